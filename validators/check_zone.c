/* The zone that holds a name, found from the top as a resolver would, at authoritative servers:
 *   1. The zone above the registrable domain is found at the resolvers (SOA, NS and addresses; nothing deeper: I7).
 *   2. Its servers are asked for the name's SOA with RD=0. A referral, or an authoritative SOA of a deeper zone, is a
 *      zone cut; the next question goes to the servers it names. An answer of the zone itself ends the walk.
 *   3. Where the zone above does not answer (a network of its own), the resolvers say who the servers are, and what the
 *      parent lists stays unknown.
 * Everything is a function of answers that are kept, so it may be worked out again from the beginning at any time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_internal.h"
#include "validators/name_check.h"

#define CUTS_MAX 10
#define NS_MAX 16
#define ASKED_AT_ONCE 3 /* servers of one zone that are asked for the way down */
#define SERVERS_MAX 64

struct found { /* the value of the fact */
        struct check_zone z;
        char *apex, *parent, *denied_by, *error;
};

static void servers_free(struct check_server *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free((void *)(uintptr_t)list[i].name);
        free(list);
}

static void cut_done(struct check_zone *z)
{
        texts_done(&z->parent_ns);
        texts_done(&z->child_ns);
        texts_done(&z->no_address);
        for (size_t i = 0; i < z->glue_count; i++)
                free((void *)(uintptr_t)z->glue[i].name);
        free(z->glue);
        servers_free(z->server, z->server_count);
        servers_free(z->parent_server, z->parent_server_count);
        *z = (struct check_zone){ 0 };
}

static void found_free(void *value)
{
        struct found *f = value;
        cut_done(&f->z);
        free(f->apex);
        free(f->parent);
        free(f->denied_by);
        free(f->error);
        free(f);
}

static const struct check_fact_kind zone_kind = { .free_value = found_free };

/* ---- lists ---- */

static bool ns_add(struct texts *to, const char *name)
{
        for (size_t i = 0; i < to->count; i++)
                if (dns_name_equal(to->item[i], name))
                        return true;
        return to->count >= NS_MAX || texts_add(to, name);
}

static bool server_add(struct check_server **list, size_t *count, const char *name, const struct address *a)
{
        for (size_t i = 0; i < *count; i++)
                if (address_equal(&(*list)[i].address, a))
                        return true;
        if (*count >= SERVERS_MAX)
                return true;
        struct check_server *more = realloc(*list, (*count + 1) * sizeof *more);
        if (!more)
                return false;
        *list = more;
        more[*count] = (struct check_server){ text_dup(name), *a };
        return more[*count].name && ++*count;
}

static bool glue_add(struct check_zone *z, const char *name, const struct address *a)
{
        struct check_glue *more =
                z->glue_count < SERVERS_MAX ? realloc(z->glue, (z->glue_count + 1) * sizeof *more) : NULL;
        if (!more)
                return z->glue_count >= SERVERS_MAX;
        z->glue = more;
        more[z->glue_count] = (struct check_glue){ text_dup(name), *a };
        return more[z->glue_count].name && ++z->glue_count;
}

static void take_ns(struct texts *to, const struct dns_message *m, const char *zone, enum dns_section section)
{
        char name[DNS_NAME_TEXT];
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == section && m->rr[i].type == DNS_NS && dns_name_equal(m->rr[i].owner, zone) &&
                        dns_rr_name(m, &m->rr[i], name))
                        (void)ns_add(to, name); /* one that is missing for want of memory is asked for nothing */
}

static void take_glue(struct check_zone *z, const struct dns_message *m)
{
        struct address a;
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ADDITIONAL && dns_rr_address(m, &m->rr[i], &a))
                        for (size_t k = 0; k < z->parent_ns.count; k++)
                                if (dns_name_equal(z->parent_ns.item[k], m->rr[i].owner))
                                        (void)glue_add(z, z->parent_ns.item[k], &a);
}

/* ---- what an answer means ---- */

static bool soa_owner(const struct dns_message *m, char ret[DNS_NAME_TEXT])
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].type == DNS_SOA && m->rr[i].section != DNS_ADDITIONAL) {
                        snprintf(ret, DNS_NAME_TEXT, "%s", m->rr[i].owner);
                        return true;
                }
        return false;
}

static bool is_strictly_below(const char *name, const char *zone)
{
        return dns_name_is_below(name, zone) && !dns_name_equal(name, zone);
}

static bool referral_to(const struct dns_message *m, const char *apex, const char *name, char ret[DNS_NAME_TEXT])
{
        for (size_t i = 0; !m->aa && i < m->rr_count; i++) {
                const struct dns_rr *rr = &m->rr[i];
                if (rr->section == DNS_AUTHORITY && rr->type == DNS_NS && is_strictly_below(rr->owner, apex) &&
                        dns_name_is_below(name, rr->owner)) {
                        snprintf(ret, DNS_NAME_TEXT, "%s", rr->owner);
                        return true;
                }
        }
        return false;
}

enum step { STEP_OPEN, STEP_HERE, STEP_REFERRAL, STEP_SAME_SERVER, STEP_DENIED, STEP_CLIMB, STEP_NOBODY };

/* One server's answer about name, asked as a server of apex. */
static enum step read_step(
        const struct check_answer *a, const char *apex, const char *name, char ret_zone[DNS_NAME_TEXT])
{
        char owner[DNS_NAME_TEXT];
        if (!check_is_answered(a))
                return STEP_NOBODY;
        const struct dns_message *m = a->message;
        if (referral_to(m, apex, name, ret_zone))
                return STEP_REFERRAL;
        if (!m->aa)
                return STEP_NOBODY;
        if (!soa_owner(m, owner))
                return STEP_CLIMB; /* an alias at the name hides the SOA */
        if (is_strictly_below(owner, apex) && dns_name_is_below(name, owner)) {
                snprintf(ret_zone, DNS_NAME_TEXT, "%s", owner);
                return STEP_SAME_SERVER;
        }
        return m->rcode == DNS_NXDOMAIN ? STEP_DENIED : STEP_HERE;
}

struct walk {
        struct check_context *c;
        const char *name;
        char apex[DNS_NAME_TEXT], parent[DNS_NAME_TEXT];
        bool has_parent;
        struct check_zone z; /* of apex: server, and how the parent sees it */
        char error[DNS_NAME_TEXT + 300];
        bool blocked, denied;
};

/* Some servers of the zone are asked together; the first in order that knows counts. */
static enum step ask_down(struct walk *w, const char *name, char zone[DNS_NAME_TEXT], const struct check_answer **ret,
        struct address *ret_server)
{
        enum step step = STEP_NOBODY;
        bool open = false;
        size_t good = 0;
        for (size_t i = 0; i < w->z.server_count && good < ASKED_AT_ONCE; i++) {
                const struct check_answer *a = check_dns(w->c, &w->z.server[i].address, CHECK_ANY, name, DNS_SOA, 0);
                open = open || !a;
                good += !a || check_is_answered(a);
                enum step one = a && step == STEP_NOBODY ? read_step(a, w->apex, name, zone) : STEP_NOBODY;
                if (one != STEP_NOBODY) {
                        step = one;
                        *ret = a;
                        *ret_server = w->z.server[i].address;
                }
        }
        return step == STEP_NOBODY && open ? STEP_OPEN : step;
}

/* ---- the servers of a zone ---- */

/* Adds every address of a name server: what a resolver says, and the glue. False: not known yet. */
static bool add_addresses(struct walk *w, struct check_zone *z, const char *ns)
{
        const struct check_addresses *list = check_lookup(w->c, ns);
        bool any = false;
        for (size_t i = 0; list && i < list->count; i++)
                any = server_add(&z->server, &z->server_count, ns, &list->list[i]) || any;
        for (size_t i = 0; i < z->glue_count; i++)
                if (dns_name_equal(z->glue[i].name, ns))
                        any = server_add(&z->server, &z->server_count, ns, &z->glue[i].address) || any;
        if (list && !any)
                (void)texts_add(&z->no_address, ns);
        return list;
}

static bool add_servers(struct walk *w, struct check_zone *z, const struct texts *ns)
{
        bool known = true;
        for (size_t i = 0; i < ns->count; i++)
                known = add_addresses(w, z, ns->item[i]) && known;
        return known;
}

/* The zone's own list, from the first server that has it; then its servers too. False: not known yet. */
static bool add_child(struct walk *w)
{
        bool open = false, got = false;
        for (size_t i = 0; i < w->z.server_count && !got; i++) {
                const struct check_answer *a = check_dns(w->c, &w->z.server[i].address, CHECK_ANY, w->apex, DNS_NS, 0);
                open = open || !a;
                if (!check_is_answered(a) || !a->message->aa)
                        continue;
                take_ns(&w->z.child_ns, a->message, w->apex, DNS_ANSWER);
                got = w->z.child_ns.count > 0;
        }
        if (!got && open)
                return false;
        struct texts more = { 0 };
        for (size_t i = 0; i < w->z.child_ns.count; i++) {
                bool known = false;
                for (size_t k = 0; k < w->z.parent_ns.count; k++)
                        known = known || dns_name_equal(w->z.parent_ns.item[k], w->z.child_ns.item[i]);
                if (!known)
                        (void)texts_add(&more, w->z.child_ns.item[i]);
        }
        bool known = add_servers(w, &w->z, &more);
        texts_done(&more);
        return known;
}

/* The cut below: what were the servers are the parent's now. */
static void go_below(struct walk *w, const char *zone)
{
        struct check_zone below = { .parent_server = w->z.server, .parent_server_count = w->z.server_count };
        w->z.server = NULL;
        w->z.server_count = 0;
        cut_done(&w->z);
        w->z = below;
        snprintf(w->parent, sizeof w->parent, "%s", w->apex);
        w->has_parent = true;
        snprintf(w->apex, sizeof w->apex, "%s", zone);
}

/* ---- the start ---- */

/* Servers of the zone that encloses name, as the resolvers know it. 0: not known yet, -1: cannot be found, 1: found. */
static int start_at(struct walk *w, const char *name, bool exactly)
{
        char owner[DNS_NAME_TEXT];
        const struct check_answer *a = check_resolver(w->c, name, DNS_SOA, 0);
        if (!a)
                return 0;
        if (!check_is_answered(a) || !soa_owner(a->message, owner) || !dns_name_is_below(name, owner)) {
                snprintf(w->error, sizeof w->error, "the resolver has no SOA for %s: %s", *name ? name : ".",
                        a->outcome != DNS_ANSWERED     ? a->error
                                : check_is_answered(a) ? "no such record"
                                                       : dns_rcode_name(a->message->rcode));
                w->blocked = a->outcome != DNS_ANSWERED || !check_is_answered(a);
                return -1;
        }
        if (exactly && a->message->rcode == DNS_NXDOMAIN)
                return -1;
        a = check_resolver(w->c, owner, DNS_NS, 0);
        if (!a)
                return 0;
        struct texts ns = { 0 };
        if (check_is_answered(a))
                take_ns(&ns, a->message, owner, DNS_ANSWER);
        snprintf(w->apex, sizeof w->apex, "%s", owner);
        bool known = add_servers(w, &w->z, &ns);
        if (exactly)
                (void)texts_copy(&w->z.child_ns, &ns);
        texts_done(&ns);
        if (known && w->z.server_count == 0)
                snprintf(w->error, sizeof w->error, "the resolver names no server of %s", *owner ? owner : ".");
        return !known ? 0 : w->z.server_count ? 1 : -1;
}

/* Below which nothing may be asked at a resolver: the registrable domain; of a name without one, the name without its
 * labels that begin with "_" or "*". */
static char *registrable_of(const char *name)
{
        const char *start = name;
        for (const char *at = name; at && *at; at = dns_name_parent(at))
                if (*at == '_' || *at == '*')
                        start = dns_name_parent(at);
        char *rd = start && *start ? name_registrable(start) : NULL;
        return rd ? rd : text_dup(start ? start : "");
}

/* ---- the walk ---- */

enum way { WAY_OPEN, WAY_FOUND, WAY_FAILED };

static enum way descend(struct walk *w, bool top)
{
        char zone[DNS_NAME_TEXT];
        const char *ask = w->name;
        const struct check_answer *a = NULL;
        struct address server;
        for (unsigned cuts = 0; cuts < CUTS_MAX;) {
                switch (ask_down(w, ask, zone, &a, &server)) {
                case STEP_OPEN:
                        return WAY_OPEN;
                case STEP_NOBODY: /* its servers are known all the same: they are what is wrong */
                        return top ? WAY_FAILED : WAY_FOUND;
                case STEP_HERE:
                        return WAY_FOUND;
                case STEP_DENIED:
                        w->denied = top;
                        return WAY_FOUND;
                case STEP_CLIMB:
                        ask = dns_name_parent(ask);
                        if (!ask || !is_strictly_below(ask, w->apex))
                                return WAY_FOUND;
                        continue;
                case STEP_REFERRAL:
                        go_below(w, zone);
                        take_ns(&w->z.parent_ns, a->message, zone, DNS_AUTHORITY);
                        take_glue(&w->z, a->message);
                        break;
                case STEP_SAME_SERVER:
                        go_below(w, zone);
                        a = check_dns(w->c, &server, CHECK_ANY, zone, DNS_NS, 0);
                        if (!a)
                                return WAY_OPEN;
                        if (check_is_answered(a))
                                take_ns(&w->z.child_ns, a->message, zone, DNS_ANSWER);
                        break;
                }
                cuts++;
                top = false;
                ask = w->name;
                if (!add_servers(w, &w->z, w->z.parent_ns.count ? &w->z.parent_ns : &w->z.child_ns))
                        return WAY_OPEN;
                if (w->z.server_count == 0)
                        return WAY_FOUND;
        }
        snprintf(w->error, sizeof w->error, "more than %d zone cuts", CUTS_MAX);
        return WAY_FAILED;
}

static void forget_start(struct walk *w)
{
        cut_done(&w->z);
        w->apex[0] = w->parent[0] = '\0';
        w->has_parent = w->denied = false;
}

/* 1 yes, 0 not known yet, -1 no. */
static int anybody_answers(struct walk *w)
{
        bool open = false;
        for (size_t i = 0; i < w->z.server_count; i++) {
                const struct check_answer *a = check_dns(w->c, &w->z.server[i].address, CHECK_ANY, w->apex, DNS_SOA, 0);
                if (a && a->outcome == DNS_ANSWERED)
                        return 1;
                open = open || !a;
        }
        return open ? 0 : -1;
}

static enum way walk(struct walk *w, const char *registrable)
{
        const char *above = dns_name_parent(registrable);
        int at = start_at(w, above ? above : "", false);
        enum way way = at == 0 ? WAY_OPEN : at < 0 ? WAY_FAILED : descend(w, true);
        if (way != WAY_FAILED)
                return way;
        /* The zone above does not answer from here. */
        char error[sizeof w->error];
        memcpy(error, w->error, sizeof error);
        bool silent = at > 0;
        forget_start(w);
        at = start_at(w, registrable, true);
        if (at == 0)
                return WAY_OPEN;
        if (at < 0) {
                if (silent)
                        snprintf(w->error, sizeof w->error, "no server of the zone above %s answers", registrable);
                w->blocked = w->blocked || silent;
                return WAY_FAILED;
        }
        enum way below = descend(w, false);
        if (below != WAY_FOUND || !silent)
                return below;
        int heard = anybody_answers(w);
        if (heard < 0) {
                snprintf(w->error, sizeof w->error,
                        "none of %zu authoritative addresses answers, nor any of the zone above: "
                        "port 53 is blocked from here",
                        w->z.server_count);
                w->blocked = true;
        }
        return heard == 0 ? WAY_OPEN : heard < 0 ? WAY_FAILED : WAY_FOUND;
}

static bool settle(struct walk *w, enum way way, struct found *f)
{
        bool good = true;
        if (way == WAY_FAILED) {
                cut_done(&w->z);
                good = (f->error = text_dup(w->error)) != NULL;
        } else if (w->denied) {
                good = (f->denied_by = text_dup(w->apex)) && (f->error = text_dup("the zone above says: no such name"));
                cut_done(&w->z);
        }
        f->z = w->z;
        w->z = (struct check_zone){ 0 };
        good = good && (f->apex = text_dup(w->apex)) && (!w->has_parent || (f->parent = text_dup(w->parent)));
        f->z.apex = f->apex;
        f->z.parent = f->parent;
        f->z.denied_by = f->denied_by;
        f->z.error = f->error;
        f->z.blocked = w->blocked && way == WAY_FAILED;
        return good;
}

const struct check_zone *check_zone(struct check_context *c, const char *name)
{
        CLEANUP(free_p) char *key = text_format("zone %s", name), *registrable = registrable_of(name);
        const struct found *known = key ? check_known(c->run, key) : NULL;
        if (known)
                return &known->z;
        struct walk w = { .c = c, .name = name };
        struct found *f = key && registrable ? calloc(1, sizeof *f) : NULL;
        if (!f)
                return check_no_memory(c);
        size_t open = c->open;
        enum way way = walk(&w, registrable);
        bool wait = way == WAY_OPEN || (way == WAY_FOUND && !w.denied && !add_child(&w)) || c->open > open;
        if (wait || !settle(&w, way, f) || !check_know(c->run, key, &zone_kind, f)) {
                bool memory = !wait;
                cut_done(&w.z);
                found_free(f);
                return memory ? check_no_memory(c) : NULL;
        }
        return &f->z;
}
