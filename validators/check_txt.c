/* Group T: what stands at the challenge's name, at every authoritative server. Without a value that is expected
 * (nothing is published yet) what would get in its way; with one, whether it is there, right, and everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/alias.h"
#include "validators/check_gather.h"
#include "validators/txt_forms.h"

static const char *shown(const char *zone)
{
        return *zone ? zone : ".";
}

/* ---- T14 to T18: the alias ---- */

/* "a -> b -> c", from the CNAME records. */
static char *chain_text(const struct check_challenge *l)
{
        struct buf b = { .max = 2000 };
        for (size_t i = 0; i < l->chain.count; i++)
                buf_addf(&b, "%s%s", i ? " -> " : "", l->chain.item[i]);
        if (l->loops_at)
                buf_addf(&b, " -> %s", l->loops_at);
        return buf_steal(&b);
}

static void judge_chain(const struct check_challenge *l, struct judgements *out)
{
        if (l->missing) {
                CLEANUP(free_p)
                char *fix = text_format("create %s, or remove the alias at %s", l->missing, l->owner);
                judge(out, "T16", (struct judgement_words){ l->owner, fix, l->why, l->missing },
                        "the alias of %s leads to %s, which does not exist: %s", l->owner, l->missing, l->why);
        } else if (l->loops_at || l->too_long) {
                CLEANUP(free_p) char *path = chain_text(l);
                CLEANUP(free_p)
                char *fix = text_format("let %s lead to the name of the token in one step; now it goes %s", l->owner,
                        path ? path : "?");
                judge(out, "T15", (struct judgement_words){ l->owner, fix, l->loops_at ? l->loops_at : l->final, NULL },
                        l->loops_at ? "the alias chain of %s loops at %s" : "the alias chain of %s is too long (at %s)",
                        l->owner, l->loops_at ? l->loops_at : l->final);
        } else if (l->chain.count > 1) {
                judge(out, "T14", (struct judgement_words){ l->owner, "", l->final, NULL },
                        "%s is an alias: the token is looked for at %s, in the zone %s", l->owner, l->final,
                        shown(l->zone->apex));
        }
        if (l->chain.count == 1 && l->zone && !l->zone->error && dns_name_equal(l->zone->apex, l->owner))
                judge(out, "T18", (struct judgement_words){ .subject = l->owner },
                        "%s is a zone of its own, with %zu server addresses of its own", l->owner,
                        l->zone->server_count);
}

static void judge_beside(struct check_context *c, const struct check_zone *z, const char *name, struct judgements *out)
{
        static const uint16_t others[] = { DNS_TXT, DNS_A, DNS_NS };
        char target[DNS_NAME_TEXT];
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *a = check_server(c, z, i, name, DNS_CNAME, 0);
                if (!check_is_answered(a) || !a->message->aa || !answer_alias(a->message, name, target))
                        continue;
                for (size_t k = 0; k < ARRAY_LEN(others); k++) {
                        const struct check_answer *b = check_server(c, z, i, name, others[k], 0);
                        if (!check_is_answered(b) || !b->message->aa || !answer_has(b->message, name, others[k]))
                                continue;
                        CLEANUP(free_p)
                        char *fix = text_format("keep one of them: delete the CNAME to %s, or the %s", target,
                                dns_type_name(others[k]));
                        judge(out, "T17", (struct judgement_words){ name, fix, target, NULL },
                                "CNAME and %s stand together at %s (%s): which one is seen is chance",
                                dns_type_name(others[k]), name, check_server_text(&z->server[i]));
                        return;
                }
        }
}

/* ---- T10 to T13 ---- */

static bool has_txt(const struct check_answer *a, const char *name)
{
        return check_is_answered(a) && a->message->aa && answer_has(a->message, name, DNS_TXT);
}

/* The first good answer of the zone's servers; NULL: none, or not known yet. */
static const struct check_answer *first_answer(
        struct check_context *c, const struct check_zone *z, const char *name, uint16_t type)
{
        const struct check_answer *first = NULL;
        for (size_t i = 0; i < z->server_count && !first; i++) {
                const struct check_answer *a = check_server(c, z, i, name, type, 0);
                if (!a || (check_is_answered(a) && a->message->aa))
                        first = a;
                if (!a)
                        return NULL;
        }
        return first;
}

static void judge_doubled(struct check_context *c, const struct check_zone *z, const char *owner, const char *suffix,
        struct judgements *out)
{
        CLEANUP(free_p) char *doubled = text_format("%s.%s", owner, suffix);
        CLEANUP(free_p)
        char *random = text_format("%s.%s.%s", check_random_label(c), c->base, suffix);
        if (!doubled || !random || !dns_name_is_valid(doubled) || !dns_name_is_valid(random))
                return;
        const struct check_answer *a = first_answer(c, z, doubled, DNS_TXT), *b = first_answer(c, z, random, DNS_TXT);
        if (!has_txt(a, doubled) || !b || has_txt(b, random)) /* a wildcard answers for everything */
                return;
        CLEANUP(free_p)
        char *fix = text_format(
                "in the DNS panel, enter the name relative to %s, or %s. with its final dot", suffix, owner);
        judge(out, "T10", (struct judgement_words){ doubled, fix, doubled, owner },
                "a TXT record stands at %s: the name was entered with its domain twice", doubled);
}

static void judge_wildcards(
        struct check_context *c, const struct check_zone *z, const char *owner, struct judgements *out)
{
        static const uint16_t types[] = { DNS_TXT, DNS_A };
        char target[DNS_NAME_TEXT];
        CLEANUP(free_p) char *random = text_format("%s.%s", check_random_label(c), c->base);
        if (!random || !dns_name_is_valid(random))
                return;
        const struct check_answer *txt = first_answer(c, z, random, types[0]),
                                  *a = first_answer(c, z, random, types[1]);
        CLEANUP(free_p) char *wildcard = text_format("*.%s", c->base);
        if (has_txt(txt, random))
                judge(out, "T11", (struct judgement_words){ wildcard, "delete the wildcard TXT record", NULL, NULL },
                        "a wildcard TXT record answers for %s, and for every name beside it: an unpublished challenge "
                        "looks present, with the wrong value",
                        owner);
        else if (check_is_answered(txt) && answer_alias(txt->message, random, target))
                judge(out, "T12",
                        (struct judgement_words){ wildcard,
                                "nothing, if the challenge's own record is published: it then "
                                "takes precedence",
                                target, NULL },
                        "a wildcard alias (to %s) answers at %s until its own record is published", target, owner);
        else if (check_is_answered(a) && answer_has(a->message, random, DNS_A))
                judge(out, "T12",
                        (struct judgement_words){ wildcard,
                                "nothing, if the challenge's own record is published: it then "
                                "takes precedence",
                                NULL, NULL },
                        "a wildcard address answers at %s, so that the missing record is \"no data\", not \"no such "
                        "name\"",
                        owner);
}

/* Resolvers may take "no such name" for all that is below (RFC 8020). */
static void judge_cut(struct check_context *c, const struct check_zone *z, const char *name, size_t i,
        const struct check_answer *a, struct judgements *out)
{
        if (!check_is_answered(a) || !a->message->aa || a->message->rcode != DNS_NOERROR || a->message->rr_count == 0)
                return;
        for (const char *at = dns_name_parent(name); at && *at && !dns_name_equal(at, z->apex);
                at = dns_name_parent(at)) {
                if (!dns_name_is_below(at, z->apex))
                        return;
                const struct check_answer *b = check_server(c, z, i, at, DNS_TXT, 0);
                if (!b || b->outcome != DNS_ANSWERED || b->message->rcode != DNS_NXDOMAIN || !b->message->aa)
                        continue;
                CLEANUP(free_p)
                char *fix = text_format(
                        "upgrade %s: a name that has names below it exists, even without records", z->server[i].name);
                judge(out, "T13",
                        (struct judgement_words){ check_server_text(&z->server[i]), fix, "NXDOMAIN", "NOERROR" },
                        "%s denies %s although %s exists below it; resolvers then lose both",
                        check_server_text(&z->server[i]), at, name);
                return;
        }
}

static void judge_cuts(struct check_context *c, const struct check_zone *z, const char *name, struct judgements *out)
{
        for (size_t i = 0; i < z->server_count; i++) {
                judge_cut(c, z, name, i, check_server(c, z, i, name, DNS_TXT, 0), out);
                if (dns_name_is_below(c->base, z->apex))
                        judge_cut(c, z, c->base, i, check_server(c, z, i, c->base, DNS_A, 0), out);
        }
}

/* ---- the values: T01 to T09, T19, T23, D09 ---- */

#define VALUES_MAX 64

struct shown_values { /* what one server has at the name */
        struct txt_value value[VALUES_MAX];
        uint8_t *data[VALUES_MAX]; /* owned */
        size_t count;
};

static void values_done(struct shown_values *v)
{
        for (size_t i = 0; i < v->count; i++)
                free(v->data[i]);
        v->count = 0;
}

static void values_of(const struct dns_message *m, const char *name, struct shown_values *ret)
{
        ret->count = 0;
        for (size_t i = 0; i < m->rr_count && ret->count < VALUES_MAX; i++) {
                const struct dns_rr *rr = &m->rr[i];
                struct txt_value *v = &ret->value[ret->count];
                uint8_t *data = NULL;
                if (rr->section != DNS_ANSWER || rr->type != DNS_TXT || !dns_name_equal(rr->owner, name) ||
                        !dns_rr_txt(m, rr, &data, &v->len, &v->strings))
                        continue;
                v->ttl = rr->ttl;
                v->data = ret->data[ret->count++] = data;
        }
}

static bool has_value(const struct shown_values *v, const char *value)
{
        for (size_t i = 0; i < v->count; i++)
                if (v->value[i].len == strlen(value) && memcmp(v->value[i].data, value, v->value[i].len) == 0)
                        return true;
        return false;
}

static bool same_values(const struct shown_values *a, const struct shown_values *b)
{
        bool same = a->count == b->count;
        for (size_t i = 0; same && i < a->count; i++) {
                same = false;
                for (size_t k = 0; k < b->count && !same; k++)
                        same = a->value[i].len == b->value[k].len &&
                                memcmp(a->value[i].data, b->value[k].data, a->value[i].len) == 0;
        }
        return same;
}

static void show_values(struct check_context *c, const struct check_zone *z, size_t i, const struct check_answer *a,
        const struct shown_values *v)
{
        for (size_t k = 0; k < v->count; k++) {
                struct buf b = { 0 };
                buf_add_escaped(&b, (const char *)v->value[k].data, v->value[k].len, 200);
                CLEANUP(free_p) char *text = buf_steal(&b);
                check_show(c, shown(z->apex), &z->server[i], a, text);
        }
        if (v->count == 0)
                check_show(c, shown(z->apex), &z->server[i], a, NULL);
}

struct tally { /* over all servers of the zone */
        size_t asked, good, failed, silent, having;
        bool open;
        char lacking[300], first_error[300];
};

static void note(struct tally *t, const struct check_server *s)
{
        size_t n = strlen(t->lacking);
        snprintf(t->lacking + n, sizeof t->lacking - n, "%s%s", n ? ", " : "", check_server_text(s));
}

static void judge_seen(struct check_context *c, const char *owner, const char *server, const struct shown_values *v,
        size_t bytes, struct judgements *out)
{
        const struct txt_want want = { .owner = owner, .value = c->target->value, .acme = c->target->acme };
        const struct txt_seen seen = {
                .server = server, .values = v->value, .count = v->count, .message_bytes = bytes
        };
        (void)txt_judge(&want, &seen, out); /* what it found is in out */
}

static void count_one(struct check_context *c, const struct check_zone *z, size_t i, const char *name, struct tally *t)
{
        const struct check_answer *a = check_server(c, z, i, name, DNS_TXT, 0);
        t->asked++;
        if (!a) {
                t->open = true;
        } else if (check_is_answered(a) && a->message->aa) {
                struct shown_values v;
                values_of(a->message, name, &v);
                t->good++;
                bool having = c->target->value && has_value(&v, c->target->value);
                t->having += having;
                if (!having)
                        note(t, &z->server[i]);
                show_values(c, z, i, a, &v);
                values_done(&v);
        } else if (check_is_silent(a)) {
                t->silent++;
        } else if (a->outcome != DNS_ANSWERED || !check_is_answered(a)) {
                if (t->failed++ == 0)
                        snprintf(t->first_error, sizeof t->first_error, "%s says %s", check_server_text(&z->server[i]),
                                answer_text(a));
                note(t, &z->server[i]);
        }
}

/* One judgement for all servers that show the same. */
static void judge_shown(struct check_context *c, const struct check_zone *z, const char *name, const struct tally *t,
        struct judgements *out)
{
        struct shown_values first = { 0 };
        bool any = false;
        char all[60];
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *a = check_server(c, z, i, name, DNS_TXT, 0);
                struct shown_values v;
                if (!check_is_answered(a) || !a->message->aa)
                        continue;
                values_of(a->message, name, &v);
                bool having = c->target->value && has_value(&v, c->target->value);
                bool skip = (t->having > 0 && !having) || (any && same_values(&first, &v));
                snprintf(all, sizeof all, "%zu of %zu addresses", t->good, z->server_count);
                if (!skip && (v.count > 0 || c->target->value))
                        judge_seen(c, name, t->good > 1 && !any ? all : check_server_text(&z->server[i]), &v,
                                a->message->len, out);
                if (!any && !skip) {
                        first = v;
                        any = true;
                } else {
                        values_done(&v);
                }
        }
        values_done(&first);
}

static void judge_spread(const char *name, const struct check_zone *z, const struct tally *t, struct judgements *out)
{
        char observed[40];
        if (t->having == 0 || t->having >= t->good + t->failed)
                return;
        snprintf(observed, sizeof observed, "%zu of %zu", t->having, z->server_count);
        judge(out, "D09",
                (struct judgement_words){ t->lacking,
                        "wait for the zone transfer; if it stays, look at NOTIFY and the log of these servers",
                        observed, NULL },
                "%zu of %zu servers lack the value at %s: %s", t->good + t->failed - t->having, z->server_count, name,
                t->lacking);
}

static void judge_at_resolver(struct check_context *c, const char *owner, const struct tally *t, struct judgements *out)
{
        if (t->having == 0 || t->having < t->good || t->failed > 0) {
                judge_unverifiable(out, "T01", owner,
                        "%s is not asked for at resolvers before every server shows its value: the answer would stay "
                        "in "
                        "their caches",
                        owner);
                return;
        }
        check_published(c, owner);
        const struct check_answer *a = check_resolver(c, owner, DNS_TXT, DNS_WANT_AD);
        if (!a || check_is_answered(a))
                return;
        if (a->outcome != DNS_ANSWERED)
                return judge_unverifiable(out, "T01", owner, "no resolver answers: %s", a->error);
        judge(out, "T01", (struct judgement_words){ owner, "see the findings of groups D and S", answer_text(a), NULL },
                "looking up %s at a resolver fails: %s", owner, answer_text(a));
}

static void judge_values(
        struct check_context *c, const struct check_challenge *l, const struct check_zone *z, struct judgements *out)
{
        struct tally t = { 0 };
        for (size_t i = 0; i < z->server_count; i++)
                count_one(c, z, i, l->final, &t);
        if (t.open)
                return;
        if (t.good == 0 && t.failed > 0) {
                judge(out, "T01",
                        (struct judgement_words){ l->final,
                                "mend these servers: a name that is not there yet is answered "
                                "with NXDOMAIN or an empty answer",
                                t.first_error, NULL },
                        "looking up TXT for %s fails at every server: %s", l->final, t.first_error);
                return;
        }
        judge_shown(c, z, l->final, &t, out);
        if (!c->target->value) {
                judge_unverifiable(out, "T02", c->name,
                        "no value is known that should be at %s now; once one is published: --value TOKEN", l->owner);
                judge_unverifiable(out, "D09", c->name, "no value is known that should be at %s now", l->owner);
        } else {
                judge_spread(l->final, z, &t, out);
        }
        judge_at_resolver(c, l->owner, &t, out);
}

/* ---- together ---- */

static void of_name(struct check_context *c, struct judgements *out)
{
        const struct check_challenge *l = check_challenge(c);
        const struct check_zone *base = check_zone(c, c->base);
        if (!l || !base)
                return;
        judge_chain(l, out);
        if (!base->error && dns_name_is_below(l->owner, base->apex)) {
                judge_wildcards(c, base, l->owner, out);
                judge_doubled(c, base, l->owner, base->apex, out);
                if (!dns_name_equal(base->apex, c->base))
                        judge_doubled(c, base, l->owner, c->base, out);
        }
        const struct check_zone *first = check_zone(c, l->owner);
        if (first && !first->error)
                judge_beside(c, first, l->owner, out);
        if (!l->zone || l->zone->error || l->loops_at || l->too_long)
                return;
        judge_cuts(c, l->zone, l->final, out);
        judge_values(c, l, l->zone, out);
}

const struct check check_txt_name = {
        "T01 T02 T03 T04 T05 T06 T07 T08 T09 T10 T11 T12 T13 T14 T15 T16 T17 T18 T19 T23 D09", STAGE_METHOD, CHECK_NAME,
        CHECK_DNS, of_name
};

/* ---- D16: does it depend on who asks ---- */

static void judge_views(struct check_context *c, const struct check_zone *z, uint16_t type, struct judgements *out)
{
        struct address_list there = { 0 }, here = { 0 };
        char a[300], b[300];
        const struct check_answer *r = check_resolver(c, c->base, type, 0);
        if (!check_is_answered(r))
                return;
        answer_addresses(r->message, &here);
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *s = check_server(c, z, i, c->base, type, 0);
                if (!check_is_answered(s) || !s->message->aa || answer_has(s->message, c->base, DNS_CNAME))
                        continue;
                there.count = 0;
                answer_addresses(s->message, &there);
                if (address_lists_equal(&there, &here))
                        continue;
                address_list_text(&there, a, sizeof a);
                address_list_text(&here, b, sizeof b);
                judge(out, "D16",
                        (struct judgement_words){ c->base,
                                "serve the names of the challenge alike everywhere (no split horizon, no answers by "
                                "country); if it was changed just now, wait for the TTL",
                                b, a },
                        "different answers for %s %s: %s says %s, the resolver here %s", dns_type_name(type), c->base,
                        check_server_text(&z->server[i]), a, b);
                return;
        }
}

static void of_views(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->base);
        if (!z || z->error)
                return;
        judge_views(c, z, DNS_A, out);
        judge_views(c, z, DNS_AAAA, out);
}

const struct check check_views_name = { "D16", STAGE_METHOD, CHECK_NAME, CHECK_NEEDS_RESOLVER | CHECK_NEEDS_HOST,
        of_views };
