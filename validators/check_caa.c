/* Group C: every level from the name up to its top-level domain, at every authoritative server and at the resolvers.
 * What is judged is the authoritative view; what a resolver cannot look up, a CA cannot either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_caa.h"
#include "validators/check_gather.h"
#include "validators/check_identity.h"
#include "validators/name_check.h"

struct tree { /* of one name */
        struct check_context *c;
        struct judgements *out;
        struct caa_level *level; /* what counts; CHECK_CAA_LEVELS */
        size_t count;
        bool open;
};

static void memory(struct tree *t)
{
        t->out->failed = true;
}

/* One answer of one server, UDP first: truncated there and nothing over TCP is a finding of its own. */
static bool read_level(struct tree *t, const struct check_answer *a, const char *name, struct caa_level *ret)
{
        if (a->outcome == DNS_ANSWERED && a->message->tc) {
                bool good = caa_level_failed(ret, name, "truncated");
                if (good)
                        ret->state = CAA_TRUNCATED;
                return good;
        }
        (void)t;
        return check_is_answered(a) ? caa_level_read(a->message, name, ret)
                                    : caa_level_failed(ret, name, answer_text(a));
}

/* The records of an alias' target, from its own servers. False: not known yet. */
static bool read_alias(struct tree *t, struct caa_level *level)
{
        const struct check_zone *z = check_zone(t->c, level->alias);
        bool open = !z;
        for (size_t i = 0; z && i < z->server_count; i++) {
                const struct check_answer *a = check_server(t->c, z, i, level->alias, DNS_CAA, 0);
                open = open || !a;
                if (!check_is_answered(a) || !a->message->aa)
                        continue;
                if (!caa_level_alias(level, a->message))
                        memory(t);
                if (level->state == CAA_ALIAS)
                        level->state = CAA_NODATA; /* it leads on: as far as it was followed there is none */
                return true;
        }
        const struct check_answer *a = open ? NULL : check_resolver(t->c, level->alias, DNS_CAA, 0);
        if (!a)
                return false;
        if (check_is_answered(a) && !caa_level_alias(level, a->message))
                memory(t);
        return true;
}

static void finish_alias(struct tree *t, struct caa_level *level)
{
        if (level->state == CAA_ALIAS && !read_alias(t, level))
                t->open = true;
}

/* ---- one level ---- */

static bool is_good(const struct caa_level *l)
{
        return l->state != CAA_ERROR && l->state != CAA_TRUNCATED;
}

/* Every server's view of the level; ret: the first good one, else the first. False: nobody was asked. */
static bool ask_servers(struct tree *t, const struct check_zone *z, const char *name, struct caa_level *ret)
{
        CLEANUP(free_p) struct caa_level *seen = calloc(z->server_count + 1, sizeof *seen);
        CLEANUP(free_p) struct caa_view *view = calloc(z->server_count + 1, sizeof *view);
        CLEANUP(free_p) char *names = calloc(z->server_count + 1, 400);
        size_t n = 0, best = 0;
        for (size_t i = 0; seen && view && names && i < z->server_count; i++) {
                const struct check_answer *a = check_server(t->c, z, i, name, DNS_CAA, 0);
                if (!a) {
                        t->open = true;
                        continue;
                }
                if (a->outcome == DNS_ANSWERED && check_is_answered(a) && !a->message->aa)
                        continue; /* lame: D05 says so */
                if (!read_level(t, a, name, &seen[n])) {
                        memory(t);
                        continue;
                }
                finish_alias(t, &seen[n]);
                snprintf(names + n * 400, 400, "%s", check_server_text(&z->server[i]));
                view[n] = (struct caa_view){ names + n * 400, &seen[n] };
                best = !is_good(&seen[best]) && is_good(&seen[n]) ? n : best;
                n++;
        }
        if (!t->open && n > 0)
                caa_judge_views(view, n, t->out);
        for (size_t i = 0; i < n; i++)
                if (i != best)
                        caa_level_done(&seen[i]);
        if (n > 0)
                *ret = seen[best];
        return n > 0;
}

static bool ask_resolver(struct tree *t, const char *name, struct caa_level *ret)
{
        const struct check_answer *a = check_resolver(t->c, name, DNS_CAA, 0);
        if (!a)
                t->open = true;
        if (!a || a->outcome != DNS_ANSWERED || (a->message->rcode == DNS_REFUSED))
                return false;
        if (!read_level(t, a, name, ret)) {
                memory(t);
                return false;
        }
        finish_alias(t, ret);
        return true;
}

/* A CA looks through a resolver: what fails there fails for the CA, though the servers themselves look well. */
static void add_level(struct tree *t, const char *name, bool own_zone)
{
        struct caa_level servers = { 0 }, resolver = { 0 };
        const struct check_zone *z = own_zone ? check_zone(t->c, name) : NULL;
        if (own_zone && !z)
                t->open = true;
        bool by_servers = z && !z->error && ask_servers(t, z, name, &servers);
        bool by_resolver = ask_resolver(t, name, &resolver);
        bool use_resolver = by_resolver && (!by_servers || (is_good(&servers) && !is_good(&resolver)));
        if (use_resolver && by_servers && resolver.error) {
                CLEANUP(free_p) char *text = text_format(CAA_BY_RESOLVER " %s", resolver.error);
                free(resolver.error);
                resolver.error = STEAL(text);
        }
        if (by_servers || by_resolver)
                t->level[t->count++] = use_resolver ? resolver : servers;
        if (by_servers && use_resolver)
                caa_level_done(&servers);
        if (by_resolver && !use_resolver)
                caa_level_done(&resolver);
}

/* The top-level domain's servers are not ours to ask: the resolvers know. */
static void climb(struct tree *t)
{
        CLEANUP(free_p) char *registrable = name_registrable(t->c->base);
        for (const char *at = t->c->base; at && *at && t->count < CHECK_CAA_LEVELS; at = dns_name_parent(at))
                add_level(t, at, !registrable || dns_name_is_below(at, registrable));
}

bool check_caa_levels(struct check_context *c, struct caa_level *ret, size_t *ret_count, struct judgements *out)
{
        struct tree t = { .c = c, .out = out, .level = ret };
        climb(&t);
        *ret_count = t.count;
        return !t.open;
}

/* ---- the verdict ---- */

const char *check_method_name(const struct check_target *t)
{
        switch (t->method) {
        case METHOD_FILE:
                return "http-01";
        case METHOD_TLS_ALPN:
                return "tls-alpn-01";
        case METHOD_DNS_PERSIST:
                return "dns-persist-01";
        case METHOD_DNS:
                break;
        }
        return "dns-01";
}

/* Whose records are wanted is not known: what refuses everybody still does. */
static void judge_for_anybody(struct tree *t, const struct caa_question *q, const char *why)
{
        static const char *const personal[] = { "C02", "C05", "C06", "C07", "C09" };
        struct judgements all = { 0 };
        struct caa_result r = caa_judge(q, t->level, t->count, &all);
        for (size_t i = 0; i < all.count; i++) {
                const struct judgement *j = &all.item[i];
                bool skip = j->unverifiable;
                for (size_t k = 0; k < ARRAY_LEN(personal); k++)
                        skip = skip || strcmp(personal[k], j->id) == 0;
                if (!skip)
                        judge(t->out, j->id, (struct judgement_words){ j->subject, j->fix, j->observed, j->wanted },
                                "%s", j->message);
        }
        for (size_t k = 0; k < ARRAY_LEN(personal) && r.level >= 0; k++)
                judge_unverifiable(t->out, personal[k], t->c->name, "there are CAA records at %s, and %s",
                        t->level[r.level].name, why);
        judgements_done(&all);
}

static void of_name(struct check_context *c, struct judgements *out)
{
        struct caa_level level[CHECK_CAA_LEVELS];
        struct tree t = { .c = c, .out = out, .level = level };
        const char *why = NULL;
        const char *const *issuers = check_issuers(c, &why);
        bool known = check_caa_levels(c, level, &t.count, out);
        const struct caa_question q = { .name = c->name,
                .ca = c->target->ca ? c->target->ca : "the CA",
                .issuers = issuers ? issuers : (const char *const[]){ NULL },
                .account = c->target->account,
                .method = c->target->acme ? check_method_name(c->target) : NULL };
        if (known && !issuers)
                judge_for_anybody(&t, &q, why ? why : "which CA is meant is not known");
        else if (known)
                (void)caa_judge(&q, level, t.count, out); /* what it found is in out */
        for (size_t i = 0; i < t.count; i++)
                caa_level_done(&level[i]);
}

const struct check check_caa_name = { "C01 C02 C03 C04 C05 C06 C07 C08 C09 C10 C11 C12 C13 C14", STAGE_CAA, CHECK_NAME,
        CHECK_NEEDS_PUBLIC | CHECK_NEEDS_HOST, of_name };
