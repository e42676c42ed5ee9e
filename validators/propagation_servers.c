/* Whom a wait asks: the servers of the zone that holds the final name, behind aliases; the addresses of a host; the
 * resolvers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/alias.h"
#include "validators/propagation_internal.h"

#define TLS_PORT 443 /* RFC 8737 section 3: no other */
#define LOST_LEAST_MS 1000 /* between two searches for servers that have no address */

static bool ignored(const struct propagation *p, const char *name, const struct address *a)
{
        char text[ADDRESS_TEXT];
        address_text(a, false, text);
        for (size_t i = 0; i < p->conf.ignore.count; i++)
                if (strcmp(p->conf.ignore.item[i], text) == 0 || dns_name_equal(p->conf.ignore.item[i], name))
                        return true;
        return false;
}

bool run_add(
        struct propagation *p, const char *zone, const char *name, const struct address *a, bool resolver, bool extra)
{
        /* Looks under way point into the array: it moves only while none is. */
        for (size_t i = 0; i < p->count; i++) {
                dns_cancel(p->look[i].query);
                http_cancel(p->look[i].http);
                tls_look_cancel(p->look[i].tls);
                p->look[i].query = NULL;
                p->look[i].http = NULL;
                p->look[i].tls = NULL;
        }
        struct look *more = realloc(p->look, (p->count + 1) * sizeof *more);
        if (!more)
                return false;
        p->look = more;
        struct look *l = &p->look[p->count];
        *l = (struct look){ .run = p, .name = text_dup(name), .extra = extra };
        if (!l->name)
                return false;
        l->s = (struct propagation_server){ .zone = zone,
                .name = l->name,
                .address = *a,
                .rcode = -1,
                .resolver = resolver,
                .seen_after_ms = -1,
                .look = !resolver && ignored(p, name, a) ? LOOK_IGNORED : LOOK_PENDING };
        p->count++;
        return true;
}

static bool add_lost(struct propagation *p, const struct zone *z, const struct zone_lost *lost)
{
        if (!run_add(p, z->cut.zone, lost->name, &(struct address){ 0 }, false, false))
                return false;
        struct look *l = &p->look[p->count - 1];
        l->lost = true;
        snprintf(l->s.saw, sizeof l->s.saw, "%s", lost->why);
        return true;
}

static void look_for_lost_later(struct propagation *p)
{
        p->again_ms = clock_boot_ms() + MAX(run_interval_ms(p), LOST_LEAST_MS);
}

static void use_zone(struct propagation *p, struct zone *z)
{
        struct err e;
        bool good = true;
        run_drop_looks(p);
        zone_hold(z);
        zone_release(p->zone);
        p->zone = z;
        for (size_t i = 0; good && i < z->count; i++)
                good = run_add(p, z->cut.zone, z->server[i].name, &z->server[i].address, false, false);
        for (size_t i = 0; good && i < z->lost_count; i++)
                good = add_lost(p, z, &z->lost[i]);
        if (!good) {
                err_memory(&e);
                return run_finish(p, &e);
        }
        look_for_lost_later(p);
        run_start_looks(p);
}

static void zone_known(void *arg, struct zone *z, const struct err *err)
{
        struct propagation *p = arg;
        struct err e;
        p->find = NULL;
        if (err) {
                e = *err;
                return run_finish(p, &e);
        }
        use_zone(p, z);
}

/* What the others have shown so far is kept, unless somebody was found. */
static void lost_found(void *arg, struct zone *z, const struct err *err)
{
        struct propagation *p = arg;
        p->find = NULL;
        if (!err && z->lost_count < p->zone->lost_count && !p->asking_resolvers)
                return use_zone(p, z);
        look_for_lost_later(p);
        run_check(p);
}

/* Some name server without an address is waited for: one may turn up. */
bool run_lacks_address(const struct propagation *p)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->look[i].lost && p->look[i].s.look != LOOK_IGNORED)
                        return !p->asking_resolvers && !p->find;
        return false;
}

void run_find_lost(struct propagation *p)
{
        p->find = zone_servers_start(p->engine, p->owner, lost_found, p, NULL);
        if (!p->find) /* no memory now */
                look_for_lost_later(p);
}

void run_host_known(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct propagation *p = arg;
        struct err e;
        p->lookup = NULL;
        if (count == 0) {
                e = *err;
                return run_finish(p, &e);
        }
        for (size_t i = 0; i < count; i++) {
                struct address a = list[i];
                if (p->proof.type == PROOF_TLS)
                        a.port = TLS_PORT;
                if (!run_add(p, p->proof.place, p->proof.place, &a, false, false)) {
                        err_memory(&e);
                        return run_finish(p, &e);
                }
        }
        run_start_looks(p);
}

void run_find_zone(struct propagation *p)
{
        struct err e;
        p->find = zone_servers_start(p->engine, p->owner, zone_known, p, &e);
        if (!p->find)
                run_finish(p, &e);
}

void run_follow_alias(struct propagation *p, const char *target)
{
        struct err e;
        bool loop = dns_name_equal(target, p->proof.place);
        for (size_t i = 0; i < p->visited.count; i++)
                loop = loop || dns_name_equal(p->visited.item[i], target);
        if (loop || ++p->aliases > ALIASES_MAX) {
                err_set(&e, ERR_CONFIG, "propagation.alias",
                        loop ? "the alias chain of %s loops at %s" : "the alias chain of %s is too long (at %s)",
                        p->proof.place, target);
                return run_finish(p, &e);
        }
        char *owner = text_dup(target);
        if (!owner || !texts_add(&p->visited, target)) {
                free(owner);
                err_memory(&e);
                return run_finish(p, &e);
        }
        free(p->owner);
        p->owner = owner;
        run_drop_looks(p);
        zone_find_cancel(p->find); /* who was looked for in the zone of the alias */
        p->find = NULL;
        run_find_zone(p);
}

void run_use_resolvers(struct propagation *p)
{
        struct err e;
        for (size_t i = 0; i < dns_resolver_count(p->engine->dns); i++)
                if (!run_add(p, "", "resolver", dns_resolver(p->engine->dns, i), true, false)) {
                        err_memory(&e);
                        return run_finish(p, &e);
                }
        run_start_looks(p);
}
