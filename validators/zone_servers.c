/* What is known of a zone's name servers: their addresses, those that have none, and the glue that came along with
 * answers. Zones are kept for a while and shared. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/propagation_internal.h"

/* ---- kept zones ---- */

struct zone *zone_hold(struct zone *z)
{
        z->users++;
        return z;
}

void zone_release(struct zone *z)
{
        if (!z || --z->users > 0)
                return;
        zone_forget_servers(z);
        free(z->owner);
        free(z);
}

void zones_drop(struct propagation_engine *g)
{
        while (g->zones) {
                struct zone *z = g->zones;
                g->zones = z->next;
                zone_release(z);
        }
}

struct zone *zone_kept(struct propagation_engine *g, const char *name)
{
        int64_t now_ms = clock_boot_ms();
        for (struct zone **at = &g->zones; *at;) {
                struct zone *z = *at;
                if (z->until_ms <= now_ms) {
                        *at = z->next;
                        zone_release(z);
                        continue;
                }
                if (dns_name_equal(z->owner, name))
                        return z;
                at = &z->next;
        }
        return NULL;
}

/* ---- servers ---- */

void zone_forget_servers(struct zone *z)
{
        for (size_t i = 0; i < z->count; i++)
                free(z->server[i].name);
        for (size_t i = 0; i < z->lost_count; i++)
                free(z->lost[i].name);
        z->count = z->lost_count = 0;
}

static bool add_server(
        struct zone_server *list, size_t *count, size_t most, const char *name, const struct address *address)
{
        for (size_t i = 0; i < *count; i++)
                if (address_equal(&list[i].address, address))
                        return true;
        if (*count >= most)
                return true; /* the rest is behind the same names */
        list[*count] = (struct zone_server){ .name = text_dup(name), .address = *address };
        return list[*count].name && ++*count;
}

bool zone_add_server(struct zone *z, const char *name, const struct address *address)
{
        return add_server(z->server, &z->count, SERVERS_MAX, name, address);
}

bool zone_add_lost(struct zone *z, const char *name, const char *why)
{
        if (z->lost_count >= NS_MAX)
                return true;
        struct zone_lost *l = &z->lost[z->lost_count];
        if (!(l->name = text_dup(name)))
                return false;
        snprintf(l->why, sizeof l->why, "%s", why);
        z->lost_count++;
        return true;
}

/* ---- glue ---- */

static bool is_one_of(const struct texts *ns, const char *name)
{
        for (size_t i = 0; i < ns->count; i++)
                if (dns_name_equal(ns->item[i], name))
                        return true;
        return false;
}

/* The same address is kept once for each name: which of them will need it is not known yet. */
static bool has_glue(const struct glue *g, const char *name, const struct address *address)
{
        for (size_t i = 0; i < g->count; i++)
                if (dns_name_equal(g->at[i].name, name) && address_equal(&g->at[i].address, address))
                        return true;
        return false;
}

void glue_take(struct glue *g, const struct dns_message *m, const struct texts *ns, const char *bailiwick)
{
        for (size_t i = 0; i < m->rr_count && g->count < SERVERS_MAX; i++) {
                struct address a;
                const struct dns_rr *rr = &m->rr[i];
                if (rr->section != DNS_ADDITIONAL || !dns_rr_address(m, rr, &a) || !is_one_of(ns, rr->owner) ||
                        !dns_name_is_below(rr->owner, bailiwick) || has_glue(g, rr->owner, &a))
                        continue;
                g->at[g->count] = (struct zone_server){ .name = text_dup(rr->owner), .address = a };
                g->count += g->at[g->count].name != NULL; /* without it the server is named as one without address */
        }
}

void glue_done(struct glue *g)
{
        for (size_t i = 0; i < g->count; i++)
                free(g->at[i].name);
        g->count = 0;
}
