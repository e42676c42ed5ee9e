/* resolve(): what became of a ReplaceCertificate whose answer was lost. The original's link and the account's list are
 * read several times over more than a minute; an order that is ours is adopted as soon as it shows. Plan of a round: 1
 * the original: its link to a newer one, its state 2 the list, newest first, back to five minutes before the submission
 * (the last round: all of it) 3 each candidate's own description: its CSR, or its certificate, must carry our key where
 * it is shown Nothing was processed only if no round of at least four, the last a minute after the first, saw anything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/pki/chain.h"
#include "agent/pki/csr.h"

#define BEFORE_S 300
#define ROUNDS_MIN 4
#define WATCH_MS 60000
#define FAILURES_MAX 8
#define FAILURE_WAIT_MS 15000

struct resolve {
        struct ca_call op;
        char id[TC_ID_MAX], spki[65], asking[TC_ID_MAX];
        bool same_csr;
        int64_t submitted_s; /* by this host's clock */
        ca_id_fn *done;
        void *arg;
        struct tc_cert subject;
        struct tc_account account;
        struct texts judged; /* candidates found not to be ours */
        struct texts missing; /* named in this round, but not to be read (yet) */
        struct texts doubtful; /* looked at in this round, neither ours nor not */
        unsigned rounds, failures;
        int64_t first_ok_ms;
        bool last_round;
};

static void resolve_clean(struct ca_call *op)
{
        struct resolve *r = (struct resolve *)op;

        tc_cert_done(&r->subject);
        tc_account_done(&r->account);
        texts_done(&r->judged);
        texts_done(&r->missing);
        texts_done(&r->doubtful);
}

static void resolve_finish(struct resolve *r, const char *id, const struct err *err)
{
        char copy[TC_ID_MAX] = "";
        struct err e;

        if (id)
                snprintf(copy, sizeof copy, "%s", id);
        if (err) {
                e = *err;
                tc_err_place(r->op.ca, &e, r->id);
        }
        if (!err && strcmp(copy, r->id) != 0)
                tc_same_forget(r->op.ca, r->id);
        if (id)
                (void)tc_notes_get(&r->op.ca->notes, copy); /* only serves to tell ours from others' */
        tc_op_detach(&r->op);
        r->done(r->arg, id ? copy : NULL, err ? &e : NULL);
        tc_op_free(&r->op);
}

static void round_begin(struct ca_call *op);

/* ---- the end of a round ---- */

static void round_again(struct resolve *r, int64_t delay_ms)
{
        struct err e;

        if (!tc_op_wait(&r->op, delay_ms, round_begin, &e))
                resolve_finish(r, NULL, &e);
}

static void round_failed(struct resolve *r, const struct err *err)
{
        struct err e = *err;

        if (++r->failures < FAILURES_MAX &&
                (e.kind == ERR_TEMPORARY || e.kind == ERR_RATE_LIMITED || e.kind == ERR_PROTOCOL))
                return round_again(r, FAILURE_WAIT_MS);
        e.kind = ERR_UNKNOWN;
        err_wrap(&e, "whether the reissue of %s was taken is still not known", r->id);
        resolve_finish(r, NULL, &e);
}

static void round_empty(struct resolve *r)
{
        static const int64_t wait_ms[] = { 5000, 15000, 20000, 25000 };
        int64_t now_ms = clock_boot_ms();
        struct err e;

        if (r->rounds++ == 0)
                r->first_ok_ms = now_ms;
        if (r->last_round && r->missing.count > 0) {
                err_set(&e, ERR_UNKNOWN, "tc.unreadable",
                        "%s names %s as its reissue, which cannot be read: whether that is ours is not known", r->id,
                        r->missing.item[0]);
                return resolve_finish(r, NULL, &e);
        }
        if (r->last_round) {
                log_info(r->op.ca->name, "no reissue of %s was found in %u looks over %lld s: it was not processed",
                        r->id, r->rounds, (long long)((now_ms - r->first_ok_ms) / 1000));
                return resolve_finish(r, NULL, NULL);
        }
        int64_t wait = wait_ms[MIN((size_t)r->rounds - 1, ARRAY_LEN(wait_ms) - 1)];
        r->last_round = r->rounds + 1 >= ROUNDS_MIN && now_ms + wait - r->first_ok_ms >= WATCH_MS;
        round_again(r, wait);
}

static void adopt(struct resolve *r, const char *id)
{
        log_info(r->op.ca->name,
                "unknown outcome: asked Tencent, found %s, adopted it; nothing sent twice (reissue of %s)", id, r->id);
        resolve_finish(r, id, NULL);
}

/* ---- candidates ---- */

/* By the CA's clock, however far this host's is off. */
static int64_t cut_s(const struct resolve *r)
{
        return r->submitted_s + (tc_now_s(r->op.ca) - clock_now_s()) - BEFORE_S;
}

static enum tc_known csr_is_ours(const struct resolve *r, const struct tc_cert *c)
{
        struct csr csr;
        struct err e;

        if (!c->csr || !csr_read(c->csr, strlen(c->csr), &csr, &e))
                return TC_UNKNOWN;
        bool same = strcmp(csr.spki_hex, r->spki) == 0;
        csr_done(&csr);
        return same ? TC_YES : TC_NO;
}

static enum tc_known cert_is_ours(const struct resolve *r, const struct tc_cert *c)
{
        struct chain chain;
        struct err e;

        if (!c->pem || !chain_read(c->pem, strlen(c->pem), NULL, &chain, &e))
                return TC_UNKNOWN;
        bool same = strcmp(chain.leaf.spki_hex, r->spki) == 0;
        chain_done(&chain);
        return same ? TC_YES : TC_NO;
}

/* The key of an order as the CA shows it: its CSR, else its certificate. UNKNOWN: neither is shown. */
static enum tc_known carries_our_key(const struct resolve *r, const struct tc_cert *c)
{
        enum tc_known csr = csr_is_ours(r, c);

        return csr != TC_UNKNOWN ? csr : cert_is_ours(r, c);
}

/* UNKNOWN: nothing links it to the original and its key is not shown; in the last look it is taken for ours all the
 * same, because to send a second order costs more than to follow one that fails for its key. */
static enum tc_known is_ours(const struct resolve *r, const struct tc_cert *c)
{
        if (c->inserted_s && c->inserted_s < cut_s(r))
                return TC_NO;
        enum tc_known key = *r->spki ? carries_our_key(r, c) : TC_UNKNOWN;
        if (key != TC_UNKNOWN)
                return key;
        return tc_cert_links(c, &r->subject) || !tc_cert_is_lookalike(c, &r->subject) || r->last_round ? TC_YES
                                                                                                       : TC_UNKNOWN;
}

static bool is_judged(const struct resolve *r, const char *id)
{
        return texts_has(&r->judged, id) || texts_has(&r->missing, id) || texts_has(&r->doubtful, id);
}

static bool is_candidate(const struct resolve *r, const struct tc_cert *c)
{
        if (strcmp(c->id, r->id) == 0 || (c->inserted_s && c->inserted_s < cut_s(r)))
                return false;
        if (strcmp(c->replaced_by, r->id) == 0 || strcmp(c->replaced_for, r->id) == 0)
                return true;
        return c->inserted_s && !tc_status_has_ended(c->status) && tc_cert_is_lookalike(c, &r->subject);
}

static const char *candidate_next(const struct resolve *r)
{
        struct tc_before before;
        const char *linked = r->subject.replaced_for;

        if (*linked && !is_judged(r, linked) &&
                !(tc_same_recall(r->op.ca, r->id, &before) && strcmp(before.linked, linked) == 0))
                return linked;
        for (size_t i = 0; i < r->account.count; i++) {
                const struct tc_cert *c = &r->account.item[i];
                if (is_candidate(r, c) && !is_judged(r, c->id))
                        return c->id;
        }
        return NULL;
}

/* The reissue may keep the original's id: another certificate under it than order() saw, or status 11 with no other
 * entry to the very end. */
static bool came_back_in_place(const struct resolve *r)
{
        const struct tc_cert *s = &r->subject;
        struct tc_before before;

        if (s->status == TC_REISSUING) /* our CSR beside a certificate that is not of it: the order itself */
                return r->last_round || (*r->spki && csr_is_ours(r, s) == TC_YES && cert_is_ours(r, s) != TC_YES);
        if (s->status != TC_ISSUED || (*r->spki && carries_our_key(r, s) == TC_NO))
                return false;
        if (!tc_same_recall(r->op.ca, r->id, &before))
                return s->begin_s >= cut_s(r);
        return *before.fingerprint && *s->fingerprint ? strcasecmp(before.fingerprint, s->fingerprint) != 0
                                                      : s->begin_s != before.begin_s;
}

static void in_place_adopt(struct resolve *r)
{
        struct tc_cert now = r->subject; /* borrowed */
        struct tc_before before;
        struct err e;

        if (tc_same_recall(r->op.ca, r->id, &before))
                return adopt(r, r->id);
        if (now.status == TC_ISSUED) { /* already another: anything that is there counts as new */
                now.begin_s = 0;
                now.fingerprint[0] = '\0';
        }
        if (tc_same_remember(r->op.ca, &now))
                return adopt(r, r->id);
        err_set(&e, ERR_UNKNOWN, "tc.memory",
                "the reissue of %s keeps its id, and what it was before could not be kept", r->id);
        resolve_finish(r, NULL, &e);
}

static void candidates_go_on(struct resolve *r);

static void candidate_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct resolve *r = (struct resolve *)op;
        enum tc_known ours = TC_NO;
        struct tc_cert c;
        struct err e;

        if (err && !tc_is_gone(err))
                return round_failed(r, err);
        if (!err) {
                if (!tc_cert_read(response, r->asking, &c)) {
                        err_memory(&e);
                        return round_failed(r, &e);
                }
                ours = is_ours(r, &c);
                tc_cert_done(&c);
                if (ours == TC_YES)
                        return adopt(r, r->asking);
        }
        if (!texts_add(err ? &r->missing : ours == TC_NO ? &r->judged : &r->doubtful, r->asking)) {
                err_memory(&e);
                return round_failed(r, &e);
        }
        candidates_go_on(r);
}

static void candidates_go_on(struct resolve *r)
{
        const char *next = candidate_next(r);
        struct err e;

        if (!next)
                return came_back_in_place(r) ? in_place_adopt(r) : round_empty(r);
        snprintf(r->asking, sizeof r->asking, "%s", next);
        if (!tc_op_ask_id(&r->op, 0, "DescribeCertificateDetail", r->asking, false, candidate_answered, &e))
                round_failed(r, &e);
}

/* ---- list and original ---- */

static void page_answered(struct ca_call *op, const json_t *response, const struct err *err);

static void page_ask(struct resolve *r)
{
        struct err e;

        if (!tc_op_ask(&r->op, 0, "DescribeCertificates", tc_account_request(&r->account, NULL, NULL), false,
                    page_answered, &e))
                round_failed(r, &e);
}

static void page_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct resolve *r = (struct resolve *)op;
        struct err e;

        if (err)
                return round_failed(r, err);
        enum tc_page page = tc_account_add(&r->account, response);
        if (page == TC_PAGE_MEMORY) {
                err_memory(&e);
                return round_failed(r, &e);
        }
        bool old = r->account.newest_on_page_s && r->account.newest_on_page_s < cut_s(r) && !r->last_round;
        if (page == TC_PAGE_MORE && !old)
                return page_ask(r);
        candidates_go_on(r);
}

static void original_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct resolve *r = (struct resolve *)op;
        struct err e;

        if (err && !tc_is_gone(err))
                return round_failed(r, err);
        tc_cert_done(&r->subject);
        if (!err && !tc_cert_read(response, r->id, &r->subject)) {
                err_memory(&e);
                return round_failed(r, &e);
        }
        page_ask(r);
}

static void round_begin(struct ca_call *op)
{
        struct resolve *r = (struct resolve *)op;
        struct err e;

        tc_account_done(&r->account);
        texts_done(&r->missing);
        texts_done(&r->doubtful);
        if (!tc_op_ask_id(op, 0, "DescribeCertificateDetail", r->id, false, original_answered, &e))
                round_failed(r, &e);
}

struct ca_call *tc_resolve(struct ca *ca, const struct ca_order_request *q, ca_id_fn *done, void *arg, struct err *e)
{
        if (!tc_id_check(q->subject_id, e))
                return NULL;
        struct resolve *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(e);
                return NULL;
        }
        snprintf(r->id, sizeof r->id, "%s", q->subject_id);
        snprintf(r->spki, sizeof r->spki, "%s", q->spki_hex ? q->spki_hex : "");
        r->same_csr = q->same_csr;
        r->submitted_s = q->submitted_at_s;
        r->done = done;
        r->arg = arg;
        tc_op_link(ca, &r->op, resolve_clean);
        if (!tc_op_ask_id(&r->op, 0, "DescribeCertificateDetail", r->id, false, original_answered, e)) {
                tc_op_free(&r->op);
                return NULL;
        }
        return &r->op;
}
