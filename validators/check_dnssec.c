/* Group S: what validating resolvers say (CD=0 against CD=1, with their extended errors), and what the authoritative
 * answers themselves show (dnssec.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/check_gather.h"
#include "validators/dnssec.h"

#define RESOLVERS_ASKED 3
#define NSEC3PARAM 51

static const char *shown(const char *zone)
{
        return *zone ? zone : ".";
}

/* ---- the resolvers ---- */

enum sight { SIGHT_OPEN, SIGHT_BLIND /* does not validate, or does not answer */, SIGHT_GOOD, SIGHT_BOGUS };

struct view {
        const struct check_answer *checked, *unchecked; /* CD=0, CD=1 */
};

static struct view view_of(struct check_context *c, size_t i, const char *name, uint16_t type)
{
        return (struct view){ check_resolver_at(c, i, name, type, DNS_WANT_AD | DNS_WANT_DNSSEC),
                check_resolver_at(c, i, name, type, DNS_WANT_DNSSEC | DNS_CHECKING_DISABLED) };
}

static bool refuses(const struct view *v)
{
        return v->checked && v->unchecked && v->checked->outcome == DNS_ANSWERED &&
                v->checked->message->rcode == DNS_SERVFAIL && check_is_answered(v->unchecked);
}

static enum sight look(struct check_context *c, size_t i, const char *zone, struct view *ret)
{
        const struct check_answer *root = check_resolver_at(c, i, "", DNS_SOA, DNS_WANT_AD | DNS_WANT_DNSSEC);
        *ret = view_of(c, i, zone, DNS_SOA);
        if (!root || !ret->checked || !ret->unchecked)
                return SIGHT_OPEN;
        if (refuses(ret))
                return SIGHT_BOGUS;
        bool validates = check_is_answered(root) && root->message->ad;
        bool secure = check_is_answered(ret->checked) && ret->checked->message->ad;
        return (validates && check_is_answered(ret->checked)) || secure ? SIGHT_GOOD : SIGHT_BLIND;
}

static void resolver_text(const struct check_context *c, size_t i, char ret[ADDRESS_TEXT + 16])
{
        char address[ADDRESS_TEXT];
        address_text(dns_resolver(check_net(c->run), i), false, address);
        snprintf(ret, ADDRESS_TEXT + 16, "resolver %s", address);
}

static void judge_bogus(const char *zone, const char *resolver, const struct view *v, struct judgements *out)
{
        CLEANUP(free_p)
        char *fix = text_format(
                "sign %s again, or have its DS record removed at the registrar (dcvctl lists under S02 to S06 "
                "what is wrong); try: dig +dnssec SOA %s, delv SOA %s",
                shown(zone), shown(zone), shown(zone));
        judge(out, "S01", (struct judgement_words){ shown(zone), fix, answer_text(v->checked), "NOERROR" },
                "DNSSEC validation of %s fails: %s says %s, and answers when told not to check; every public CA "
                "refuses",
                shown(zone), resolver, answer_text(v->checked));
}

/* Answers that are mostly empty show a broken denial first. */
static void judge_denial(struct check_context *c, size_t i, const char *resolver, struct judgements *out)
{
        struct view v = view_of(c, i, c->zone, DNS_CAA);
        if (!refuses(&v))
                return;
        judge(out, "S06",
                (struct judgement_words){ shown(c->zone),
                        "upgrade the name server, or sign again: an empty answer needs its NSEC or NSEC3 records",
                        answer_text(v.checked), "NOERROR" },
                "negative answers of %s are not provable: %s says %s to CAA, and answers when told not to check",
                shown(c->zone), resolver, answer_text(v.checked));
}

/* What the resolvers say of the zone: the gravest of what they see. out NULL: only the verdict. */
static enum sight ask_resolvers(struct check_context *c, const char *zone, struct judgements *out)
{
        enum sight best = SIGHT_BLIND;
        bool open = false;
        char text[ADDRESS_TEXT + 16];
        for (size_t i = 0; i < MIN(dns_resolver_count(check_net(c->run)), RESOLVERS_ASKED); i++) {
                struct view v;
                enum sight one = look(c, i, zone, &v);
                open = open || one == SIGHT_OPEN;
                resolver_text(c, i, text);
                if (out && one == SIGHT_BOGUS && best != SIGHT_BOGUS)
                        judge_bogus(zone, text, &v, out);
                if (out && one == SIGHT_GOOD && best == SIGHT_BLIND)
                        judge_denial(c, i, text, out);
                best = MAX(best, one);
        }
        return open ? SIGHT_OPEN : best;
}

/* ---- the zone's own answers ---- */

/* DS of the zone as its parent has it. 1 known, 0 not yet, -1 not to be had. */
static int ask_ds(struct check_context *c, const struct check_zone *z, const struct check_answer **ret)
{
        bool open = false;
        for (size_t i = 0; i < z->parent_server_count; i++) {
                const struct check_answer *a =
                        check_dns(c, &z->parent_server[i].address, CHECK_ANY, z->apex, DNS_DS, DNS_WANT_DNSSEC);
                if (check_is_answered(a) && a->message->aa) {
                        *ret = a;
                        return 1;
                }
                open = open || !a;
                if (!a)
                        return 0; /* the next one only if this one says nothing */
        }
        const struct check_answer *a = check_resolver(c, z->apex, DNS_DS, DNS_WANT_DNSSEC | DNS_CHECKING_DISABLED);
        *ret = a;
        return !a || open ? 0 : check_is_answered(a) ? 1 : -1;
}

static bool has_type(const struct dns_message *m, uint16_t type)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && m->rr[i].type == type)
                        return true;
        return false;
}

/* ---- one line for one server and one fault ---- */

static bool is_same(const struct judgement *a, const struct judgement *b)
{
        static const char by_set[] = "S03 S04 S05 S06"; /* found for each set of records of a server */
        return strstr(by_set, a->id) && a->unverifiable == b->unverifiable && strcmp(a->id, b->id) == 0 &&
                strcmp(a->subject, b->subject) == 0;
}

/* A server that has the zone unsigned (S05) has no keys and proves nothing: that is said by S05 alone. */
static bool follows(const struct judgements *all, const struct judgement *j)
{
        if (strcmp(j->id, "S02") != 0 && strcmp(j->id, "S06") != 0)
                return false;
        for (size_t i = 0; i < all->count; i++)
                if (strcmp(all->item[i].id, "S05") == 0 && strcmp(all->item[i].subject, j->subject) == 0)
                        return true;
        return false;
}

/* Each fault once for each server: what holds for one set of records usually holds for all that it has. */
static void tell(const struct judgements *all, struct judgements *out)
{
        for (size_t i = 0; i < all->count; i++) {
                const struct judgement *j = &all->item[i];
                size_t before = 0, more = 0;
                for (size_t k = 0; k < all->count; k++) {
                        before += k < i && is_same(&all->item[k], j);
                        more += k > i && is_same(&all->item[k], j);
                }
                if (before > 0 || (!j->unverifiable && follows(all, j)))
                        continue;
                struct judgement_words w = { j->subject, j->fix, j->observed, j->wanted };
                if (j->unverifiable)
                        judge_unverifiable(out, j->id, j->subject, "%s", j->message);
                else if (more > 0)
                        judge(out, j->id, w, "%s (and %zu more of its sets of records)", j->message, more);
                else
                        judge(out, j->id, w, "%s", j->message);
        }
        out->failed = out->failed || all->failed;
}

static enum dnssec_verdict judge_answers(
        struct check_context *c, const struct check_zone *z, const struct check_answer *ds, struct judgements *out)
{
        static const uint16_t types[] = { DNS_DNSKEY, DNS_SOA, DNS_CAA, DNS_TXT, NSEC3PARAM };
        size_t count = 0, open = c->open;
        CLEANUP(free_p) struct dnssec_answer *list = calloc(z->server_count * ARRAY_LEN(types) + 1, sizeof *list);
        CLEANUP(free_p) char *names = calloc(z->server_count + 1, 400);
        for (size_t i = 0; list && names && i < z->server_count; i++) {
                snprintf(names + i * 400, 400, "%s", check_server_text(&z->server[i]));
                for (size_t k = 0; k < ARRAY_LEN(types); k++) {
                        const struct check_answer *a = check_server(c, z, i, z->apex, types[k], DNS_WANT_DNSSEC);
                        if (check_is_answered(a) && a->message->aa)
                                list[count++] = (struct dnssec_answer){ names + i * 400, a->message };
                }
        }
        if (!list || !names || c->open > open)
                return DNSSEC_UNDECIDED;
        const struct dnssec_zone zone = {
                .zone = z->apex, .ds = ds->message, .answers = list, .count = count, .now_s = clock_now_s()
        };
        struct judgements all = { 0 };
        enum dnssec_verdict verdict = dnssec_judge(&zone, &all);
        tell(&all, out);
        judgements_done(&all);
        return verdict;
}

/* ---- S01 to S08, S10: of a zone ---- */

static void of_zone(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->zone);
        const struct check_answer *ds = NULL;
        enum sight seen = ask_resolvers(c, c->zone, out);
        if (!z || z->error)
                return;
        int got = ask_ds(c, z, &ds);
        bool is_signed = got == 1 && has_type(ds->message, DNS_DS);
        if (is_signed)
                (void)judge_answers(c, z, ds, out); /* what it found is in out */
        if (got < 0)
                judge_unverifiable(out, "S02", shown(z->apex), "the DS record of %s was not got from its parent: %s",
                        shown(z->apex), answer_text(ds));
        if (seen == SIGHT_BLIND && is_signed)
                judge(out, "S10",
                        (struct judgement_words){ .subject = shown(z->apex),
                                .fix = "name a validating resolver under `resolvers:` (Unbound with a trust anchor, "
                                       "say)" },
                        "%s is signed, and no resolver here validates: judged by its authoritative answers alone",
                        shown(z->apex));
        if (seen == SIGHT_BLIND && got == 1)
                judge_unverifiable(out, "S01", shown(z->apex),
                        "no resolver here validates DNSSEC; the zone was judged by its authoritative answers");
}

/* ---- S09: where the alias of the challenge leads ---- */

static void of_alias(struct check_context *c, struct judgements *out)
{
        const struct check_answer *ds = NULL;
        struct judgements scratch = { 0 };
        const struct check_challenge *l = check_challenge(c);
        if (!l || l->chain.count < 2 || !l->zone || l->zone->error)
                return;
        bool bogus = ask_resolvers(c, l->zone->apex, NULL) == SIGHT_BOGUS;
        if (ask_ds(c, l->zone, &ds) == 1 && has_type(ds->message, DNS_DS))
                bogus = judge_answers(c, l->zone, ds, &scratch) == DNSSEC_BOGUS || bogus;
        judgements_done(&scratch);
        if (!bogus)
                return;
        CLEANUP(free_p)
        char *fix =
                text_format("mend DNSSEC of %s (its own findings say how), or remove the alias", shown(l->zone->apex));
        judge(out, "S09", (struct judgement_words){ l->owner, fix, l->final, NULL },
                "the alias of %s leads to %s, and DNSSEC of the zone %s is bogus", l->owner, l->final,
                shown(l->zone->apex));
}

const struct check check_dnssec_zone = { "S01 S02 S03 S04 S05 S06 S07 S08 S10", STAGE_DNS, CHECK_ZONE, 0, of_zone };
const struct check check_dnssec_alias = { "S09", STAGE_DNS, CHECK_NAME, CHECK_DNS | CHECK_NEEDS_HOST, of_alias };
