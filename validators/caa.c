#include "validators/caa.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/caa_internal.h"
#include "validators/judgement.h"

/* Plan (RFC 8659 section 3 and 4; Baseline Requirements 3.2.2.8):
 *   1. climb: the first level with records is the relevant one; an error at it or below it ends everything;
 *   2. a critical tag that is not known refuses (bit 128; Let's Encrypt reads 1 as critical too);
 *   3. a wildcard is governed by issuewild if there is any, else by issue like every name; an empty set permits;
 *   4. one record that permits suffices; a malformed one permits nobody, but still closes the set. */

#define RECHECK_S (7 * 3600) /* Boulder asks again beyond this; the Baseline Requirements say 8 h */
#define CRITICAL 0x80
#define CRITICAL_TO_SOME 0x01

enum reading { /* of one record, in rising order of how near it comes to a permission */
        READ_OTHER, /* another CA */
        READ_FORBIDS,
        READ_MALFORMED,
        READ_MISSPELT,
        READ_METHOD,
        READ_ACCOUNT,
        READ_UNDECIDED,
        READ_PERMITS
};

struct climb {
        const struct caa_question *q;
        const struct caa_level *level; /* the relevant one */
        struct judgements *out;
        struct caa_result result;
        const char *tag; /* of the set that governs */
};

static const char *owner_of(const struct caa_level *l)
{
        return l->alias ? l->alias : l->name;
}

static bool is_wildcard(const struct caa_question *q)
{
        return text_starts(q->name, "*.");
}

static char *record_line(const struct caa_question *q, const char *owner, const char *tag, const char *parameters)
{
        return text_format("%s. IN CAA 0 %s \"%s%s%s\"", owner, tag, q->issuers[0] ? q->issuers[0] : "",
                *parameters ? "; " : "", parameters);
}

char *caa_record_line(const struct caa_question *q, const char *owner)
{
        return record_line(q, owner, "issue", "");
}

static char *records_text(const struct caa_level *l, const char *tag)
{
        struct buf b = { 0 };
        for (size_t i = 0; i < l->count; i++)
                if (!tag || caa_tag_is(&l->record[i], tag)) {
                        buf_addf(&b, "%s%u %s \"", b.len ? ", " : "", l->record[i].flags, l->record[i].tag);
                        buf_append(&b, l->record[i].value, strlen((const char *)l->record[i].value));
                        buf_add(&b, "\"");
                }
        return buf_steal(&b);
}

static void refuse(struct climb *c, const char *id, int record)
{
        if (c->result.verdict == CAA_REFUSED)
                return;
        c->result.verdict = CAA_REFUSED;
        c->result.id = id;
        c->result.record = record;
}

/* ---- 1: the climb ---- */

static bool level_fails(struct climb *c, const struct caa_level *l)
{
        bool top = !strchr(l->name, '.');
        struct judgement_words w = { .subject = l->name, .observed = l->error };
        if (l->state == CAA_TRUNCATED) {
                w.fix = "delete CAA records that nobody needs, and open port 53/tcp on the name servers";
                judge(c->out, "C11", w, "the CAA answer at %s is too large for UDP and TCP gives nothing", l->name);
                refuse(c, "C11", -1);
                return true;
        }
        const char *error = l->state == CAA_ERROR ? l->error
                : l->state == CAA_ALIAS           ? "the target of its alias was not answered"
                : l->state == CAA_NXDOMAIN && top ? "NXDOMAIN for the top-level domain itself"
                                                  : NULL;
        if (!error)
                return false;
        CLEANUP(free_p)
        char *fix = l->error && text_starts(l->error, CAA_BY_RESOLVER)
                ? text_format(
                          "its own name servers answer, what resolvers make of it does not: mend what group S (DNSSEC) "
                          "or D says of %s first; try: dig CAA %s, and with +cd",
                          owner_of(l), owner_of(l))
                : text_format(
                          "make the name servers of %s answer CAA queries (NOERROR and no records is a good answer); "
                          "try: dig CAA %s",
                          owner_of(l), owner_of(l));
        w.fix = fix;
        judge(c->out, "C01", w, "CAA at %s failed: %s; no public CA can issue for %s", l->name, error, c->q->name);
        refuse(c, "C01", -1);
        return true;
}

/* The relevant level, NULL if there is none or an error came first. */
static const struct caa_level *climb(struct climb *c, const struct caa_level *levels, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                c->result.level = (int)i;
                if (level_fails(c, &levels[i]))
                        return NULL;
                if (levels[i].state == CAA_RECORDS && levels[i].count > 0)
                        return &levels[i];
        }
        c->result.level = -1;
        return NULL;
}

/* ---- 2: what refuses or deserves a word, whatever the set ---- */

static void judge_tag(struct climb *c, int i)
{
        const struct caa_record *r = &c->level->record[i];
        CLEANUP(free_p) char *observed = text_format("%u %s \"%s\"", r->flags, r->tag, (const char *)r->value);
        CLEANUP(free_p)
        char *fix = text_format("at %s, set the flags of the %s record to 0 or delete it", owner_of(c->level), r->tag);
        struct judgement_words w = { c->level->name, fix, observed, NULL };
        if (caa_tag_is_known(r->tag))
                return;
        if (r->flags & (CRITICAL | CRITICAL_TO_SOME)) {
                judge(c->out, "C03", w, "the record with tag %s at %s is critical (flags %u%s) and no CA knows it",
                        r->tag, c->level->name, r->flags,
                        r->flags & CRITICAL ? "" : ", which Let's Encrypt reads as critical");
                refuse(c, "C03", i);
        } else if (!caa_tag_is_valid(r->tag)) {
                judge(c->out, "C08", w, "the record %s at %s is ignored by CAs: its tag is not letters and digits",
                        observed, c->level->name);
        }
}

static void judge_alias(struct climb *c)
{
        const struct caa_level *l = c->level;
        if (!l->alias)
                return;
        CLEANUP(free_p) char *fix = text_format("change CAA at %s, not at %s", l->alias, l->name);
        judge(c->out, "C10", (struct judgement_words){ l->name, fix, l->alias, NULL },
                "%s is an alias; its CAA comes from %s", l->name, l->alias);
}

static bool has_tag(const struct caa_level *l, const char *tag)
{
        for (size_t i = 0; i < l->count; i++)
                if (caa_tag_is(&l->record[i], tag))
                        return true;
        return false;
}

static void judge_iodef(struct climb *c)
{
        CLEANUP(free_p)
        char *fix =
                text_format("optional: %s. IN CAA 0 iodef \"mailto:security@%s\"", owner_of(c->level), c->level->name);
        if (!has_tag(c->level, "iodef"))
                judge(c->out, "C13", (struct judgement_words){ .subject = c->level->name, .fix = fix },
                        "CAA at %s names no iodef contact", c->level->name);
}

/* ---- 3 and 4: what each record of the set says ---- */

static const char *issuer_named(const struct climb *c, const char *domain)
{
        for (const char *const *i = c->q->issuers; *i; i++)
                if (strcmp(domain, *i) == 0)
                        return *i;
        return NULL;
}

static const char *issuer_meant(const struct climb *c, const char *domain)
{
        for (const char *const *i = c->q->issuers; *i; i++)
                if (caa_domain_is_misspelt(domain, *i))
                        return *i;
        return NULL;
}

static bool lists(const char *list, const char *method)
{
        size_t n = strlen(method);
        for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
                if (strncmp(at, method, n) == 0 && (at[n] == ',' || at[n] == '\0'))
                        return true;
        return false;
}

static bool methods_are_valid(const char *list)
{
        for (const char *at = list;; at++) {
                size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
                at += n;
                if (n == 0 || (*at && *at != ','))
                        return false;
                if (!*at)
                        return true;
        }
}

static enum reading read_parameters(const struct climb *c, const struct caa_value *v)
{
        const char *account = caa_value_parameter(v, "accounturi");
        const char *methods = caa_value_parameter(v, "validationmethods");
        if (methods && !methods_are_valid(methods))
                return READ_MALFORMED;
        if (account && c->q->account && strcmp(account, c->q->account) != 0)
                return READ_ACCOUNT;
        if (methods && c->q->method && !lists(methods, c->q->method))
                return READ_METHOD;
        return (account && !c->q->account) || (methods && !c->q->method) ? READ_UNDECIDED : READ_PERMITS;
}

static enum reading read_value(const struct climb *c, const struct caa_value *v)
{
        if (*v->domain == '\0')
                return v->fault ? READ_MALFORMED : READ_FORBIDS;
        if (issuer_named(c, v->domain))
                return v->fault ? READ_MALFORMED : read_parameters(c, v);
        if (issuer_meant(c, v->domain))
                return READ_MISSPELT;
        return v->fault || !caa_domain_is_valid(v->domain) ? READ_MALFORMED : READ_OTHER;
}

static void word_of(struct climb *c, int i, const struct caa_value *v, enum reading reading)
{
        const struct caa_record *r = &c->level->record[i];
        CLEANUP(free_p) char *observed = text_format("%u %s \"%s\"", r->flags, r->tag, (const char *)r->value);
        const char *meant = reading == READ_MISSPELT ? issuer_meant(c, v->domain) : issuer_named(c, v->domain);
        CLEANUP(free_p)
        char *wanted = text_format("%s. IN CAA 0 %s \"%s\"", owner_of(c->level), r->tag, meant ? meant : ";");
        CLEANUP(free_p)
        char *fix = meant ? text_format("replace it by: %s", wanted)
                          : text_format("correct or delete it at %s", owner_of(c->level));
        struct judgement_words w = { c->level->name, fix, observed, meant ? wanted : NULL };
        if (reading == READ_MISSPELT)
                judge(c->out, "C09", w,
                        "the record %s at %s is not read as %s by every CA: write it in lower case, without scheme, "
                        "quotes or final dot",
                        observed, c->level->name, meant);
        else if (reading == READ_MALFORMED)
                judge(c->out, "C08", w, "the record %s at %s is ignored by CAs: %s", observed, c->level->name,
                        v->fault                                              ? v->fault
                                : caa_value_parameter(v, "validationmethods") ? "its validationmethods are malformed"
                                                                              : "its issuer is not a domain name");
}

static enum reading read_record(struct climb *c, int i)
{
        const struct caa_record *r = &c->level->record[i];
        struct caa_value v;
        if (!caa_value_read(r, &v)) {
                c->out->failed = true;
                return READ_MALFORMED;
        }
        enum reading reading = read_value(c, &v);
        word_of(c, i, &v, reading);
        caa_value_done(&v);
        return reading;
}

/* The reading that comes nearest to a permission, and its record. All records of the set are read, for their words. */
static enum reading read_set(struct climb *c, int *ret_record, bool *ret_all_forbid)
{
        enum reading best = READ_OTHER;
        *ret_record = -1;
        *ret_all_forbid = true;
        for (size_t i = 0; i < c->level->count; i++) {
                bool governs = caa_tag_is(&c->level->record[i], c->tag);
                if (!governs && !caa_tag_is(&c->level->record[i], "issue") &&
                        !caa_tag_is(&c->level->record[i], "issuewild"))
                        continue;
                enum reading reading = read_record(c, (int)i);
                if (!governs)
                        continue;
                *ret_all_forbid = *ret_all_forbid && reading == READ_FORBIDS;
                if (*ret_record < 0 || reading > best) {
                        best = reading;
                        *ret_record = (int)i;
                }
        }
        return best;
}

static void refuse_parameter(struct climb *c, int record, enum reading reading)
{
        bool account = reading == READ_ACCOUNT;
        const char *tag = account ? "accounturi" : "validationmethods", *ours = account ? c->q->account : c->q->method;
        struct caa_value v;
        if (!caa_value_read(&c->level->record[record], &v)) {
                c->out->failed = true;
                return refuse(c, account ? "C06" : "C07", record);
        }
        const char *theirs = caa_value_parameter(&v, tag);
        const char *other = caa_value_parameter(&v, account ? "validationmethods" : "accounturi");
        CLEANUP(free_p)
        char *parameters = account
                ? text_format("accounturi=%s%s%s", ours, other ? "; validationmethods=" : "", other ? other : "")
                : text_format("%s%s%svalidationmethods=%s,%s", other ? "accounturi=" : "", other ? other : "",
                          other ? "; " : "", theirs, ours);
        CLEANUP(free_p) char *line = record_line(c->q, owner_of(c->level), c->tag, parameters ? parameters : "");
        CLEANUP(free_p)
        char *fix = text_format("%s: %s", account ? "add" : "replace it by (or change the method)", line);
        struct judgement_words w = { c->level->name, fix, theirs, ours };
        if (account)
                judge(c->out, "C06", w, "CAA at %s binds %s to the account %s, ours is %s", c->level->name, c->q->ca,
                        theirs, ours);
        else
                judge(c->out, "C07", w, "CAA at %s allows %s only by %s, we use %s", c->level->name, c->q->ca, theirs,
                        ours);
        refuse(c, account ? "C06" : "C07", record);
        caa_value_done(&v);
}

static void refuse_set(struct climb *c, int record, bool all_forbid)
{
        bool wild = strcmp(c->tag, "issuewild") == 0;
        const char *at = c->level->name, *id = wild ? "C05" : all_forbid ? "C04" : "C02";
        CLEANUP(free_p) char *line = record_line(c->q, owner_of(c->level), c->tag, "");
        CLEANUP(free_p)
        char *fix = text_format("add: %s%s", line, all_forbid ? " (and delete the record with \";\")" : "");
        CLEANUP(free_p) char *observed = records_text(c->level, c->tag);
        struct judgement_words w = { at, fix, observed, line };
        if (wild)
                judge(c->out, id, w, "issuewild at %s excludes %s: it has %s", at, c->q->ca, observed);
        else if (all_forbid)
                judge(c->out, id, w, "CAA at %s forbids all issuance: it has %s", at, observed);
        else
                judge(c->out, id, w, "CAA at %s lists %s, not %s", at, observed,
                        c->q->issuers[0] ? c->q->issuers[0] : c->q->ca);
        refuse(c, id, record);
}

static void leave_open(struct climb *c, int record)
{
        struct caa_value v;
        bool read = caa_value_read(&c->level->record[record], &v);
        bool account = read && caa_value_parameter(&v, "accounturi") && !c->q->account;
        judge_unverifiable(c->out, account ? "C06" : "C07", c->level->name,
                "CAA at %s binds %s to an account or method (%s), and ours is not known yet", c->level->name, c->q->ca,
                (const char *)c->level->record[record].value);
        if (read)
                caa_value_done(&v);
        c->result.verdict = CAA_UNDECIDED;
        c->result.record = record;
}

static void judge_set(struct climb *c)
{
        int record;
        bool all_forbid;
        enum reading best = read_set(c, &record, &all_forbid);
        if (record < 0 || c->result.verdict == CAA_REFUSED)
                return;
        if (best == READ_PERMITS)
                c->result.record = record;
        else if (best == READ_UNDECIDED)
                leave_open(c, record);
        else if (best == READ_ACCOUNT || best == READ_METHOD)
                refuse_parameter(c, record, best);
        else
                refuse_set(c, record, all_forbid);
}

struct caa_result caa_judge(
        const struct caa_question *q, const struct caa_level *levels, size_t count, struct judgements *out)
{
        struct climb c = { .q = q, .out = out, .result = { CAA_ALLOWED, NULL, -1, -1 } };
        c.level = climb(&c, levels, count);
        if (!c.level)
                return c.result;
        judge_alias(&c);
        for (size_t i = 0; i < c.level->count; i++)
                judge_tag(&c, (int)i);
        c.tag = is_wildcard(q) && has_tag(c.level, "issuewild") ? "issuewild" : "issue";
        judge_set(&c);
        judge_iodef(&c);
        return c.result;
}

/* ---- C12, C14 ---- */

static bool same_record(const struct caa_record *a, const struct caa_record *b)
{
        return a->flags == b->flags && a->len == b->len && text_equal_nocase(a->tag, b->tag) &&
                memcmp(a->value, b->value, a->len) == 0;
}

static bool same_level(const struct caa_level *a, const struct caa_level *b)
{
        bool same = a->count == b->count;
        for (size_t i = 0; i < a->count && same; i++) {
                same = false;
                for (size_t j = 0; j < b->count && !same; j++)
                        same = same_record(&a->record[i], &b->record[j]);
        }
        return same;
}

static bool was_answered(const struct caa_level *l)
{
        return l->state == CAA_NODATA || l->state == CAA_NXDOMAIN || l->state == CAA_RECORDS;
}

void caa_judge_views(const struct caa_view *views, size_t count, struct judgements *out)
{
        const struct caa_view *first = NULL;
        for (size_t i = 0; i < count; i++) {
                if (!was_answered(views[i].level))
                        continue;
                if (!first)
                        first = &views[i];
                if (same_level(first->level, views[i].level) && same_level(views[i].level, first->level))
                        continue;
                CLEANUP(free_p) char *a = records_text(first->level, NULL), *b = records_text(views[i].level, NULL);
                struct judgement_words w = { views[i].server,
                        "mend the zone transfer, or load the same zone on every server", b, a };
                judge(out, "C12", w, "%s and %s give different CAA for %s: %s and %s", first->server, views[i].server,
                        views[i].level->name, a && *a ? a : "none", b && *b ? b : "none");
        }
}

void caa_judge_age(const char *name, int64_t seconds_since_validation, struct judgements *out)
{
        char span[32];
        if (seconds_since_validation <= RECHECK_S)
                return;
        format_span(seconds_since_validation, span, sizeof span);
        judge(out, "C14",
                (struct judgement_words){
                        .subject = name, .fix = "finalise orders promptly, and keep CAA as it is until then" },
                "%s was validated %s ago: the CA asks for its CAA again before it issues", name, span);
}
