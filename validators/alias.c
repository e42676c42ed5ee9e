#include "validators/alias.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/propagation_internal.h"

struct alias_follow {
        struct propagation_engine *engine;
        alias_followed_fn *done;
        void *arg;
        struct texts visited; /* the last one is asked about */
        struct zone *zone;
        size_t at; /* server of the zone */
        struct zone_find *find;
        struct dns_query *query;
};

void alias_follow_cancel(struct alias_follow *f)
{
        if (!f)
                return;
        zone_find_cancel(f->find);
        dns_cancel(f->query);
        zone_release(f->zone);
        texts_done(&f->visited);
        free(f);
}

static const char *name_now(const struct alias_follow *f)
{
        return f->visited.item[f->visited.count - 1];
}

static void finish(struct alias_follow *f, const struct err *err)
{
        const struct zone_cut *cut = f->zone ? &f->zone->cut : NULL;
        f->done(f->arg, err ? NULL : name_now(f), err || !cut ? NULL : cut->zone, err || !cut ? NULL : cut->primary,
                err);
        alias_follow_cancel(f);
}

static void ask(struct alias_follow *f);

static void zone_known(void *arg, struct zone *zone, const struct err *err)
{
        struct alias_follow *f = arg;
        struct err e;
        f->find = NULL;
        if (err) {
                e = *err;
                return finish(f, &e);
        }
        zone_release(f->zone);
        f->zone = zone_hold(zone);
        f->at = 0;
        ask(f);
}

static void find_zone(struct alias_follow *f)
{
        struct err e;
        f->find = zone_servers_start(f->engine, name_now(f), zone_known, f, &e);
        if (!f->find)
                finish(f, &e);
}

static void follow(struct alias_follow *f, const char *target)
{
        struct err e;
        bool loop = false;
        for (size_t i = 0; i < f->visited.count; i++)
                loop = loop || dns_name_equal(f->visited.item[i], target);
        if (loop || f->visited.count > ALIASES_MAX) {
                err_set(&e, ERR_CONFIG, "token.alias",
                        loop ? "the alias chain of %s loops at %s" : "the alias chain of %s is too long (at %s)",
                        f->visited.item[0], target);
                err_fix(&e, "mend these CNAME records");
                return finish(f, &e);
        }
        if (!texts_add(&f->visited, target)) {
                err_memory(&e);
                return finish(f, &e);
        }
        find_zone(f);
}

static bool alias_in(const struct dns_message *m, const char *name, char ret[DNS_NAME_TEXT])
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && m->rr[i].type == DNS_CNAME &&
                        dns_name_equal(m->rr[i].owner, name) && dns_rr_name(m, &m->rr[i], ret))
                        return true;
        return false;
}

static void answered(void *arg, const struct dns_answer *a)
{
        struct alias_follow *f = arg;
        char target[DNS_NAME_TEXT];
        f->query = NULL;
        bool good = a->outcome == DNS_ANSWERED && a->message->aa &&
                (a->message->rcode == DNS_NOERROR || a->message->rcode == DNS_NXDOMAIN);
        if (!good) {
                f->at++;
                return ask(f);
        }
        if (alias_in(a->message, name_now(f), target))
                return follow(f, target);
        finish(f, NULL);
}

static void ask(struct alias_follow *f)
{
        struct err e;
        if (f->at >= f->zone->count)
                return finish(f, NULL);
        f->query = dns_ask_any(
                f->engine->dns, &f->zone->server[f->at].address, name_now(f), DNS_CNAME, 0, answered, f, &e);
        if (!f->query)
                finish(f, &e);
}

struct alias_follow *alias_follow_start(
        struct propagation_engine *g, const char *name, alias_followed_fn *done, void *arg, struct err *e)
{
        struct alias_follow *f = calloc(1, sizeof *f);
        if (!f || !texts_add(&f->visited, name)) {
                free(f);
                err_memory(e);
                return NULL;
        }
        f->engine = g;
        f->done = done;
        f->arg = arg;
        f->find = zone_servers_start(g, name, zone_known, f, e);
        if (f->find)
                return f;
        alias_follow_cancel(f);
        return NULL;
}

bool alias_zone_is_ours(const char *owner, const char *zone, struct err *e)
{
        if (zone[0] && strcmp(zone, ".") != 0)
                return true;
        err_set(e, ERR_CONFIG, "token.no-zone", "no zone holds %s: nobody below the root answers for it", owner);
        return err_fix(e, "correct the name, or the CNAME records that lead to it");
}
