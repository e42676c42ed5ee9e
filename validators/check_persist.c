/* Group T, dns-persist-01: a record that stays and names the CA's account (draft-ietf-acme-dns-persist, Baseline
 * Requirements 3.2.2.4.22). Its value has the form of a CAA issue value; one good record suffices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/caa.h"
#include "validators/caa_internal.h"
#include "validators/check_gather.h"
#include "validators/check_identity.h"

#define SOON_S (30 * 86400) /* the next renewal comes before that */

struct wish { /* what a record has to say */
        struct check_context *c;
        const char *const *issuers;
        const char *owner;
        bool wildcard;
        char *line; /* the exact record */
};

static char *wanted_line(const struct check_context *c, const char *owner, const char *const *issuers, bool wildcard)
{
        return text_format("%s. 3600 IN TXT \"%s; accounturi=%s%s\"", owner, issuers ? issuers[0] : "CA-DOMAIN",
                c->target->account ? c->target->account : "ACCOUNT-URL", wildcard ? "; policy=wildcard" : "");
}

static bool names_issuer(const struct wish *w, const char *domain)
{
        for (const char *const *i = w->issuers; i && *i; i++)
                if (dns_name_equal(*i, domain))
                        return true;
        return !w->issuers;
}

/* What is wrong with one value, NULL if nothing. ret_until: 0 if it has no end. */
static const char *fault_of(const struct wish *w, const struct caa_value *v, int64_t *ret_until)
{
        const char *account = caa_value_parameter(v, "accounturi"), *policy = caa_value_parameter(v, "policy"),
                   *until = caa_value_parameter(v, "persistUntil");
        *ret_until = 0;
        if (v->fault)
                return v->fault;
        if (!names_issuer(w, v->domain))
                return "it names another CA";
        if (!account)
                return "accounturi is missing";
        if (w->c->target->account && strcmp(account, w->c->target->account) != 0)
                return "accounturi is another account";
        if (w->wildcard && (!policy || !text_equal_nocase(policy, "wildcard")))
                return "policy=wildcard is missing";
        if (until && !parse_i64(until, 0, INT64_MAX, ret_until))
                return "persistUntil is no number of seconds";
        if (until && *ret_until <= clock_now_s())
                return "persistUntil has passed";
        return NULL;
}

static void judge_until(const struct wish *w, int64_t until, struct judgements *out)
{
        char when[32];
        format_time(until, when, sizeof when);
        if (until == 0 || until - clock_now_s() > SOON_S)
                return;
        judge(out, "T22", (struct judgement_words){ w->owner, "set persistUntil later, or leave it out", when, NULL },
                "the validation at %s ends %s, before the next renewal", w->owner, when);
}

/* True: this record is good. */
static bool judge_value(
        const struct wish *w, const uint8_t *data, size_t len, struct judgements *faults, struct judgements *out)
{
        CLEANUP(free_p) char *text = text_dup_n((const char *)data, len);
        struct caa_record r = { .tag = "issue", .value = (uint8_t *)text, .len = len };
        struct caa_value v;
        int64_t until;
        if (!text || !caa_value_read(&r, &v)) {
                out->failed = true;
                return false;
        }
        const char *fault = fault_of(w, &v, &until);
        if (fault)
                judge(faults, "T21", (struct judgement_words){ w->owner, w->line, text, w->line },
                        "the record \"%s\" at %s does not validate: %s", text, w->owner, fault);
        else
                judge_until(w, until, out);
        caa_value_done(&v);
        return !fault;
}

static void copy(struct judgements *to, const struct judgements *from)
{
        for (size_t i = 0; i < from->count; i++) {
                const struct judgement *j = &from->item[i];
                judge(to, j->id, (struct judgement_words){ j->subject, j->fix, j->observed, j->wanted }, "%s",
                        j->message);
        }
}

static void judge_server(
        struct wish *w, const struct check_server *s, const struct check_answer *a, struct judgements *out)
{
        struct judgements faults = { 0 };
        bool good = false;
        for (size_t i = 0; i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                uint8_t *data = NULL;
                size_t len = 0;
                if (rr->section == DNS_ANSWER && rr->type == DNS_TXT && dns_rr_txt(a->message, rr, &data, &len, NULL))
                        good = judge_value(w, data, len, &faults, out) || good;
                free(data);
        }
        if (!good && faults.count == 0)
                judge(&faults, "T21", (struct judgement_words){ w->owner, w->line, "none", w->line },
                        "no record stands at %s (%s)", w->owner, check_server_text(s));
        if (!good)
                copy(out, &faults);
        judgements_done(&faults);
}

/* The wildcard has the same record name, and its record has to say more: judged once. */
static bool has_wildcard(const struct check_context *c)
{
        for (size_t i = 0; i < c->target->names.count; i++) {
                const char *name = c->target->names.item[i];
                if (text_starts(name, "*.") && dns_name_equal(name + 2, c->name))
                        return true;
        }
        return false;
}

static void of_name(struct check_context *c, struct judgements *out)
{
        const char *why;
        if (has_wildcard(c))
                return;
        const struct check_challenge *l = check_challenge(c);
        const char *const *issuers = check_issuers(c, &why);
        if (!l || !l->zone || l->zone->error)
                return;
        struct wish w = { c, issuers, l->owner, text_starts(c->name, "*."), NULL };
        w.line = wanted_line(c, l->owner, issuers, w.wildcard);
        for (size_t i = 0; w.line && i < l->zone->server_count; i++) {
                const struct check_answer *a = check_server(c, l->zone, i, l->final, DNS_TXT, 0);
                if (check_is_answered(a) && a->message->aa)
                        judge_server(&w, &l->zone->server[i], a, out);
        }
        if (!c->target->account)
                judge_unverifiable(
                        out, "T21", c->name, "our account's URL is not known, so that accounturi was not compared");
        out->failed = out->failed || !w.line;
        free(w.line);
}

const struct check check_persist_name = { "T21 T22", STAGE_METHOD, CHECK_NAME, CHECK_DNS_PERSIST, of_name };
