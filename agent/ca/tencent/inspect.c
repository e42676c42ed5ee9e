/* inspect(): the certificate and what runs in the account are asked for at once; the chain is followed to its newest
 * member; then the rules speak. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/domain.h"
#include "agent/ca/tencent/revocation.h"
#include "agent/ca/tencent/rules.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/ca/tencent/time.h"
#include "agent/pki/chain.h"

#define LOG_LOOK_S (5 * 86400) /* an issue this young is looked up in the operation log */
#define LOG_ROWS 1000

struct inspect {
        struct ca_call op;
        struct ca_subject_request request; /* texts owned */
        struct texts names;
        char *id, *csr_pem, *reuse_spki;
        struct csr csr;
        ca_subject_fn *done;
        void *arg;
        struct tc_chain chain;
        struct tc_account account;
        bool listed, chained, zone_asked, log_asked;
        char asking[TC_ID_MAX];
        size_t head; /* place in chain */
        char head_spki[65], head_sha256[65], running_spki[65];
        enum key_type head_key_type;
        int64_t issued_s;
};

static void inspect_clean(struct ca_call *op)
{
        struct inspect *i = (struct inspect *)op;

        texts_done(&i->names);
        free(i->id);
        free(i->csr_pem);
        free(i->reuse_spki);
        csr_done(&i->csr);
        tc_chain_done(&i->chain);
        tc_account_done(&i->account);
}

static void inspect_finish(struct inspect *i, const struct ca_subject *subject, const struct err *err)
{
        tc_op_detach(&i->op);
        i->done(i->arg, subject, err);
        tc_op_free(&i->op);
}

static void inspect_fail(struct inspect *i, const struct err *err)
{
        inspect_finish(i, NULL, err);
}

/* ---- the subject ---- */

static bool subject_notes(const struct inspect *i, const struct tc_cert *head, struct ca_subject *s)
{
        struct tc_revocation r;
        const char *other = i->head > 0 ? i->chain.member[0].id : NULL;

        tc_revocation_of(head, other, tc_now_s(i->op.ca), &r);
        CLEANUP(free_p) char *line = text_format("revocation: %s", r.text);
        return line && texts_add(&s->notes, line);
}

static bool subject_texts(
        const struct inspect *i, const struct tc_cert *head, const struct tc_ruling *r, struct ca_subject *s)
{
        char product[120];
        bool ok = true;

        tc_product_text(head, product, sizeof product);
        s->product = text_dup(product);
        s->organization = tc_product_of(head).class == TC_OV || tc_product_of(head).class == TC_EV;
        s->common_name = text_dup(head->domain);
        s->cert_pem = text_dup(head->pem);
        for (size_t m = 0; m < i->chain.count; m++)
                ok = ok && texts_add(&s->replaced, i->chain.member[m].id);
        return ok && s->product && (s->common_name || !head->domain) && (s->cert_pem || !head->pem) &&
                texts_copy(&s->names, &head->names) && texts_copy(&s->notes, &r->notes) && subject_notes(i, head, s) &&
                tc_registrable_all(&head->names, &s->exclusive);
}

static bool subject_make(const struct inspect *i, const struct tc_ruling *r, struct ca_subject *s)
{
        const struct tc_cert *head = &i->chain.member[i->head];

        snprintf(s->id, sizeof s->id, "%s", head->id);
        snprintf(s->resume_id, sizeof s->resume_id, "%s", r->resume_id);
        s->resume_since_s = r->resume_since_s;
        if (*r->resume_id)
                snprintf(s->resume_spki_hex, sizeof s->resume_spki_hex, "%s", i->running_spki);
        snprintf(s->spki_hex, sizeof s->spki_hex, "%s", i->head_spki);
        snprintf(s->cert_sha256, sizeof s->cert_sha256, "%s", i->head_sha256);
        s->key_type = r->key_type;
        s->validation = r->validation;
        s->same_csr = r->same_csr;
        s->validation_expected = r->validation_expected;
        s->person_expected = r->person_expected;
        s->last_one = r->last_one;
        s->not_before_s = head->begin_s;
        s->not_after_s = head->end_s;
        s->reissuable_until_s = r->reissuable_until_s;
        return subject_texts(i, head, r, s);
}

/* An order of this host is one that this process follows. */
static bool is_ours(void *arg, const char *id)
{
        struct ca *ca = arg;

        return tc_notes_find(&ca->notes, id) != NULL;
}

static void inspect_rule(struct inspect *i)
{
        struct tc_facts f = { .chain = &i->chain,
                .head = &i->chain.member[i->head],
                .list = i->account.item,
                .list_count = i->account.count,
                .request = &i->request,
                .csr = i->csr_pem ? &i->csr : NULL,
                .head_spki_hex = i->head_spki,
                .head_key_type = i->head_key_type,
                .running_spki_hex = i->running_spki,
                .now_s = tc_now_s(i->op.ca),
                .issued_s = i->issued_s ? i->issued_s : i->chain.member[i->head].begin_s,
                .is_ours = is_ours,
                .is_ours_arg = i->op.ca };
        struct tc_ruling r;
        struct ca_subject s = { 0 };
        struct err e;

        bool ok = tc_rules_apply(&f, &r) && subject_make(i, &r, &s) && tc_calendar(&f, &r, &s.rules);
        if (!ok)
                err_memory(&e);
        else if (r.refused.kind != ERR_NONE) {
                e = r.refused;
                tc_err_place(i->op.ca, &e, f.head->id);
        }
        bool refused = !ok || r.refused.kind != ERR_NONE;
        tc_ruling_done(&r);
        inspect_finish(i, ok ? &s : NULL, refused ? &e : NULL);
        ca_subject_done(&s);
}

/* ---- what the certificate itself says ---- */

/* Names and key as the certificate has them; where the service gives none, what it writes beside it stays. */
static void head_read(struct inspect *i)
{
        struct tc_cert *head = &i->chain.member[i->head];
        struct chain chain;
        struct err e;

        if (!head->pem || !chain_read(head->pem, strlen(head->pem), NULL, &chain, &e))
                return;
        snprintf(i->head_spki, sizeof i->head_spki, "%s", chain.leaf.spki_hex);
        snprintf(i->head_sha256, sizeof i->head_sha256, "%s", chain.leaf.sha256);
        i->head_key_type = chain.leaf.key_type;
        if (chain.leaf.names.count > 0) {
                struct texts names = { 0 };
                if (texts_copy(&names, &chain.leaf.names)) {
                        texts_done(&head->names);
                        head->names = names;
                }
        }
        chain_done(&chain);
}

static void running_read(struct inspect *i)
{
        const struct tc_cert *running = tc_chain_running(&i->chain, &i->chain.member[i->head]);
        struct csr csr;
        struct err e;

        if (!running && !tc_cert_is_issued(&i->chain.member[i->head]))
                running = &i->chain.member[i->head];
        if (!running || !running->csr || !csr_read(running->csr, strlen(running->csr), &csr, &e))
                return;
        snprintf(i->running_spki, sizeof i->running_spki, "%s", csr.spki_hex);
        csr_done(&csr);
}

/* ---- steps ---- */

static void inspect_step(struct inspect *i);

static void zone_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        const json_t *row = json_array_get(json_object_get(response, "Certificates"), 0);
        struct tc_cert c;

        if (!err && row && tc_cert_read(row, NULL, &c)) {
                if (strcmp(c.id, i->chain.member[i->head].id) == 0)
                        i->chain.member[i->head].is_dnspod = c.is_dnspod;
                tc_cert_done(&c);
        }
        inspect_step(i);
}

static bool zone_ask(struct inspect *i, struct err *e)
{
        const char *id = i->chain.member[i->head].id;
        json_t *p = json_pack("{s:[s]}", "CertIds", id);

        i->zone_asked = true;
        return tc_op_ask(&i->op, 0, "DescribeCertificates", p, false, zone_answered, e);
}

/* The log is the only place that tells when a certificate was really issued; without it the start of its validity is a
 * guess. */
static void log_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        const json_t *rows = json_object_get(response, "OperateLogs");

        for (size_t n = 0; !err && n < json_array_size(rows); n++) {
                const json_t *row = json_array_get(rows, n);
                const char *id = json_str(row, "CertId"), *type = json_str(row, "Type");
                int64_t at_s = tc_time_read(json_str(row, "CreatedOn"));
                if (id && type && strcmp(id, i->chain.member[i->head].id) == 0 && strcmp(type, "issued") == 0)
                        i->issued_s = MAX(i->issued_s, at_s);
        }
        inspect_step(i);
}

static bool log_ask(struct inspect *i, struct err *e)
{
        json_t *p = json_pack("{s:i,s:i}", "Offset", 0, "Limit", LOG_ROWS);

        i->log_asked = true;
        return tc_op_ask(&i->op, 0, "DescribeCertificateOperateLogs", p, false, log_answered, e);
}

static bool log_is_wanted(const struct inspect *i)
{
        const struct tc_cert *head = &i->chain.member[i->head];
        int64_t age_s = tc_now_s(i->op.ca) - head->begin_s;

        return !i->log_asked && tc_product_waives(tc_product_of(head)) && head->begin_s && age_s >= 0 &&
                age_s < LOG_LOOK_S;
}

static void head_choose(struct inspect *i)
{
        tc_chain_sort(&i->chain);
        const struct tc_cert *head = tc_chain_head(&i->chain);
        i->head = head ? (size_t)(head - i->chain.member) : i->chain.count - 1;
        head_read(i);
        running_read(i);
}

/* An order that names a member while no member names it back. */
static const char *list_next(const struct inspect *i)
{
        for (size_t n = 0; n < i->account.count; n++) {
                const struct tc_cert *c = &i->account.item[n];
                if (tc_chain_find(&i->chain, c->id) || texts_has(&i->chain.gone, c->id))
                        continue;
                for (size_t m = 0; m < i->chain.count; m++)
                        if (tc_cert_links(&i->chain.member[m], c))
                                return c->id;
        }
        return NULL;
}

static void detail_answered(struct ca_call *op, const json_t *response, const struct err *err);

static bool detail_ask(struct inspect *i, const char *id, struct err *e)
{
        snprintf(i->asking, sizeof i->asking, "%s", id);
        return tc_op_ask_id(&i->op, 0, "DescribeCertificateDetail", i->asking, false, detail_answered, e);
}

static void inspect_step(struct inspect *i)
{
        struct err e;
        bool asked = true, ok = true;

        if (i->op.slot[0].call)
                return;
        const char *next = i->chained ? NULL : tc_chain_next(&i->chain);
        if (!next && !i->chained && i->listed)
                next = list_next(i);
        if (next) {
                ok = detail_ask(i, next, &e);
        } else if (!i->listed) {
                return;
        } else {
                if (!i->chained)
                        head_choose(i);
                i->chained = true;
                if (i->request.validation == VALIDATION_DNS_AUTO && !i->zone_asked &&
                        i->chain.member[i->head].is_dnspod == TC_UNKNOWN)
                        ok = zone_ask(i, &e);
                else if (log_is_wanted(i))
                        ok = log_ask(i, &e);
                else
                        asked = false;
        }
        if (!ok)
                inspect_fail(i, &e);
        else if (!asked)
                inspect_rule(i);
}

static void detail_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        struct tc_cert c;
        struct err e;

        if (err && tc_is_gone(err) && i->chain.count == 0) {
                err_set(&e, ERR_CONFIG, "tc.gone", "there is no certificate %s in this account: %s", i->asking,
                        err->text);
                err_fix(&e, "set certificate_id to one that `dcvctl import --from %s` lists", op->ca->name);
                return inspect_fail(i, &e);
        }
        if (err && !tc_is_gone(err))
                return inspect_fail(i, err);
        if (err) {
                if (texts_add(&i->chain.gone, i->asking))
                        return inspect_step(i);
                err_memory(&e);
                return inspect_fail(i, &e);
        }
        if (!tc_cert_read(response, i->asking, &c)) {
                err_memory(&e);
                return inspect_fail(i, &e);
        }
        if (!tc_chain_add_own(&i->chain, &c)) {
                tc_cert_done(&c);
                err_set(&e, ERR_PROTOCOL, "tc.chain",
                        "the chain of reissues of %s has more than %d members, or memory is out", i->id, TC_CHAIN_MAX);
                return inspect_fail(i, &e);
        }
        inspect_step(i);
}

static void list_answered(struct ca_call *op, const json_t *response, const struct err *err);

static bool list_ask(struct inspect *i, struct err *e)
{
        return tc_op_ask(&i->op, 1, "DescribeCertificates", tc_account_request(&i->account, tc_running_statuses, NULL),
                false, list_answered, e);
}

static void list_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        struct err e;

        if (err)
                return inspect_fail(i, err);
        switch (tc_account_add(&i->account, response)) {
        case TC_PAGE_MORE:
                if (!list_ask(i, &e))
                        inspect_fail(i, &e);
                return;
        case TC_PAGE_MEMORY:
                err_memory(&e);
                return inspect_fail(i, &e);
        case TC_PAGE_LAST:
                i->listed = true;
                if (i->chain.count > 0)
                        inspect_step(i);
        }
}

/* ---- start ---- */

static bool request_copy(struct inspect *i, const struct ca_subject_request *r, struct err *e)
{
        i->request = *r;
        i->id = text_dup(r->certificate_id);
        i->csr_pem = text_dup(r->csr_pem);
        i->reuse_spki = text_dup(r->reuse_spki_hex);
        if (!i->id || (r->csr_pem && !i->csr_pem) || (r->reuse_spki_hex && !i->reuse_spki) ||
                (r->names && !texts_copy(&i->names, r->names)))
                return err_memory(e);
        i->request.certificate_id = i->id;
        i->request.csr_pem = i->csr_pem;
        i->request.reuse_spki_hex = i->reuse_spki;
        i->request.names = &i->names;
        return !i->csr_pem || csr_read(i->csr_pem, strlen(i->csr_pem), &i->csr, e);
}

struct ca_call *tc_inspect(
        struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e)
{
        if (!tc_id_check(r->certificate_id, e))
                return NULL;
        struct inspect *i = calloc(1, sizeof *i);
        if (!i) {
                err_memory(e);
                return NULL;
        }
        i->done = done;
        i->arg = arg;
        tc_op_link(ca, &i->op, inspect_clean);
        if (!request_copy(i, r, e) || !detail_ask(i, i->id, e) || !list_ask(i, e)) {
                tc_op_free(&i->op);
                return NULL;
        }
        return &i->op;
}
