/* The zone that holds a name, and every address of every one of its name servers.
 *   1. The registrable domain is asked for at the resolvers (SOA, then NS), nothing deeper (I7).
 *   2. From there down to the name itself the authoritative servers are asked (SOA, RD=0): a referral, or a SOA of a
 * deeper zone, is a zone cut.
 *   3. The servers are the union of what the parent and the zone itself say, at every cut on the way; all A and AAAA of
 * all of them, by the resolvers and by the glue: a CA's resolver comes by the glue. One without an address is kept by
 * its name, so that nobody takes the others for all. */
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/propagation_internal.h"

#define ZONE_KEEP_MS 60000
#define CUTS_MAX 8

enum step {
        STEP_SOA,
        STEP_NS,
        STEP_PARENT_SOA,
        STEP_PARENT_NS,
        STEP_PARENT_ASK,
        STEP_ADDRESSES,
        STEP_DESCEND,
        STEP_CHILD_NS
};

struct asked {
        struct zone_find *find;
        struct dns_query *query;
};
struct zone_find {
        struct propagation_engine *engine;
        struct zone_find *next, **at;
        zone_servers_fn *done;
        void *arg;
        zone_found_fn *found; /* the public form */
        char *name; /* what is wanted */
        char start[DNS_NAME_TEXT];
        char parent[DNS_NAME_TEXT];
        struct zone *zone; /* being built */
        struct texts ns, parent_ns;
        struct glue glue;
        size_t looking, parent_at;
        enum step step;
        unsigned cuts;
        bool child_asked; /* the zone itself has named its servers, not its parent alone */
        bool known; /* which zone it is: what is still asked only completes its servers */
        struct asked asked[SERVERS_MAX]; /* on the way down: all servers at once, the first good answer counts */
        size_t outstanding;
        struct dns_query *query;
        struct dns_lookup *lookup;
        struct deferred *begin;
        struct err unsure; /* why the addresses of a name server could not be found out */
};

/* ---- ends ---- */

static void stop_asking(struct zone_find *f)
{
        for (size_t i = 0; i < ARRAY_LEN(f->asked); i++) {
                dns_cancel(f->asked[i].query);
                f->asked[i].query = NULL;
        }
        f->outstanding = 0;
}

static void find_free(struct zone_find *f)
{
        *f->at = f->next;
        if (f->next)
                f->next->at = f->at;
        dns_cancel(f->query);
        stop_asking(f);
        dns_lookup_cancel(f->lookup);
        loop_undefer(f->engine->loop, f->begin);
        zone_release(f->zone);
        texts_done(&f->ns);
        texts_done(&f->parent_ns);
        glue_done(&f->glue);
        free(f->name);
        free(f);
}

static void finish(struct zone_find *f, struct zone *z, const struct err *err)
{
        zone_servers_fn *done = f->done;
        zone_found_fn *found = f->found;
        void *arg = f->arg;
        struct err e = { 0 };
        if (err)
                e = *err;
        if (z)
                zone_hold(z);
        find_free(f);
        if (found)
                found(arg, z ? &z->cut : NULL, err ? &e : NULL);
        else
                done(arg, z, err ? &e : NULL);
        if (z)
                zone_release(z);
}

static void fail(struct zone_find *f, enum err_kind kind, const char *code, const char *text)
{
        struct err e;
        err_set(&e, kind, code, "finding the zone of %s: %s", f->name, text);
        if (kind == ERR_CONFIG)
                err_fix(&e,
                        "have the domain delegated: registered, with NS records at its parent that name servers of it "
                        "answer to");
        finish(f, NULL, &e);
}

/* Kept for others only if nothing is missing: who comes next, or again, may find it. */
static void complete(struct zone_find *f)
{
        struct zone *z = f->zone;
        f->zone = NULL;
        if (z->lost_count == 0 && f->unsure.kind == ERR_NONE) {
                z->until_ms = clock_boot_ms() + ZONE_KEEP_MS;
                z->next = f->engine->zones;
                f->engine->zones = zone_hold(z);
        }
        finish(f, z, NULL);
        zone_release(z);
}

/* ---- asking ---- */

static void answered(void *arg, const struct dns_answer *a);

static void ask_resolver(struct zone_find *f, enum step step, const char *name, uint16_t type)
{
        struct err e;
        f->step = step;
        f->query = dns_ask_resolver(f->engine->dns, name, type, 0, answered, f, &e);
        if (!f->query)
                finish(f, NULL, &e);
}

static void ask_server(
        struct zone_find *f, enum step step, const struct address *server, const char *name, uint16_t type)
{
        struct err e;
        f->step = step;
        f->query = dns_ask_any(f->engine->dns, server, name, type, 0, answered, f, &e);
        if (!f->query)
                finish(f, NULL, &e);
}

/* bailiwick: the zone of who answered, who is believed no addresses beyond it. */
static void add_ns(struct zone_find *f, const struct dns_message *m, const char *zone, enum dns_section section,
        const char *bailiwick)
{
        for (size_t i = 0; i < m->rr_count; i++) {
                char name[DNS_NAME_TEXT];
                bool fits = m->rr[i].section == section && m->rr[i].type == DNS_NS &&
                        dns_name_equal(m->rr[i].owner, zone) && dns_rr_name(m, &m->rr[i], name) && f->ns.count < NS_MAX;
                bool known = false;
                for (size_t k = 0; fits && k < f->ns.count; k++)
                        known = known || dns_name_equal(f->ns.item[k], name);
                if (fits && !known)
                        (void)texts_add(&f->ns, name); /* a server less is seen in the verdict's count */
        }
        glue_take(&f->glue, m, &f->ns, bailiwick);
}

static bool soa_of(const struct dns_message *m, char zone[DNS_NAME_TEXT], struct dns_soa *ret)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].type == DNS_SOA && m->rr[i].section != DNS_ADDITIONAL && dns_rr_soa(m, &m->rr[i], ret)) {
                        snprintf(zone, DNS_NAME_TEXT, "%s", m->rr[i].owner);
                        return true;
                }
        return false;
}

static void set_zone(struct zone_find *f, const char *zone)
{
        snprintf(f->zone->cut.zone, sizeof f->zone->cut.zone, "%s", zone);
        zone_forget_servers(f->zone);
        f->unsure = (struct err){ 0 };
        texts_done(&f->ns);
        f->looking = 0;
        f->child_asked = false;
}

/* ---- addresses ---- */

static void next_address(struct zone_find *f);

static void address_found(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct zone_find *f = arg;
        struct err e;
        const char *name = f->ns.item[f->looking++];
        bool unsure = count == 0 && strcmp(err->code, "dns.no-address") != 0, good = true, any = count > 0;
        f->lookup = NULL;
        if (unsure)
                f->unsure = *err;
        for (size_t i = 0; good && i < count; i++)
                good = zone_add_server(f->zone, name, &list[i]);
        for (size_t i = 0; good && i < f->glue.count; i++)
                if (dns_name_equal(f->glue.at[i].name, name)) {
                        good = zone_add_server(f->zone, name, &f->glue.at[i].address);
                        any = true;
                }
        if (good && !any)
                good = zone_add_lost(f->zone, name, unsure ? err->text : "no address known");
        if (!good) {
                err_memory(&e);
                return finish(f, NULL, &e);
        }
        next_address(f);
}

static void descend(struct zone_find *f);

static void next_address(struct zone_find *f)
{
        struct err e;
        f->step = STEP_ADDRESSES;
        if (f->looking >= f->ns.count) {
                if (f->zone->count == 0 && f->unsure.kind != ERR_NONE)
                        return fail(f, ERR_TEMPORARY, "propagation.resolver", f->unsure.text);
                if (f->zone->count == 0)
                        return fail(f, ERR_CONFIG, "propagation.no-zone", "none of its name servers has an address");
                return f->known ? complete(f) : descend(f);
        }
        f->lookup = dns_lookup(f->engine->dns, f->ns.item[f->looking], address_found, f, &e);
        if (!f->lookup)
                finish(f, NULL, &e);
}

static void find_addresses(struct zone_find *f)
{
        if (f->ns.count == 0)
                return fail(f, ERR_CONFIG, "propagation.no-zone", "it has no name servers");
        next_address(f);
}

/* ---- downwards ---- */

static void descended(struct zone_find *f, size_t at, const struct dns_answer *a);

static void server_answered(void *arg, const struct dns_answer *a)
{
        struct asked *asked = arg;
        struct zone_find *f = asked->find;
        asked->query = NULL;
        f->outstanding--;
        descended(f, (size_t)(asked - f->asked), a);
}

/* One that is silent must not hold up the others: they are asked together. */
static void descend(struct zone_find *f)
{
        struct err e;
        f->step = STEP_DESCEND;
        for (size_t i = 0; i < f->zone->count; i++) {
                f->asked[i].find = f;
                f->asked[i].query = dns_ask_any(f->engine->dns, &f->zone->server[i].address, f->name, DNS_SOA, 0,
                        server_answered, &f->asked[i], &e);
                f->outstanding += f->asked[i].query != NULL;
        }
        if (f->outstanding == 0)
                finish(f, NULL, &e);
}

/* Nobody has a good answer: the servers are known all the same, and the wait will name them. */
static void pass_over(struct zone_find *f)
{
        if (f->outstanding == 0)
                complete(f);
}

static void referral(struct zone_find *f, const struct dns_message *m, const char *zone)
{
        char from[DNS_NAME_TEXT];
        if (++f->cuts > CUTS_MAX)
                return fail(f, ERR_CONFIG, "propagation.no-zone", "too many zone cuts");
        memcpy(from, f->zone->cut.zone, sizeof from);
        set_zone(f, zone);
        add_ns(f, m, zone, DNS_AUTHORITY, from);
        find_addresses(f);
}

/* A delegation below the zone we are in: NS in the authority section, no AA. */
static bool is_referral(const struct zone_find *f, const struct dns_message *m, char zone[DNS_NAME_TEXT])
{
        for (size_t i = 0; !m->aa && i < m->rr_count; i++) {
                const struct dns_rr *rr = &m->rr[i];
                bool below = rr->section == DNS_AUTHORITY && rr->type == DNS_NS &&
                        dns_name_is_below(rr->owner, f->zone->cut.zone) &&
                        !dns_name_equal(rr->owner, f->zone->cut.zone) && dns_name_is_below(f->name, rr->owner);
                if (below) {
                        snprintf(zone, DNS_NAME_TEXT, "%s", rr->owner);
                        return true;
                }
        }
        return false;
}

/* Who answered is asked first by whoever uses the zone. */
static void to_front(struct zone *z, size_t at)
{
        struct zone_server first = z->server[at];
        memmove(&z->server[1], &z->server[0], at * sizeof first);
        z->server[0] = first;
}

/* Behind a referral only the parent's word on the servers is known: the zone may name others, and some resolvers ask
 * those. */
static void zone_is_known(struct zone_find *f)
{
        struct address server = f->zone->server[0].address;
        f->known = true;
        if (f->child_asked)
                return complete(f);
        ask_server(f, STEP_CHILD_NS, &server, f->zone->cut.zone, DNS_NS);
}

static void descended(struct zone_find *f, size_t at, const struct dns_answer *a)
{
        char zone[DNS_NAME_TEXT];
        struct dns_soa soa;
        const struct dns_message *m = a->message;
        if (a->outcome != DNS_ANSWERED || (m->rcode != DNS_NOERROR && m->rcode != DNS_NXDOMAIN))
                return pass_over(f);
        bool cut = is_referral(f, m, zone);
        if (!cut && !m->aa)
                return pass_over(f);
        stop_asking(f);
        if (cut)
                return referral(f, m, zone);
        to_front(f->zone, at);
        if (!soa_of(m, zone, &soa)) /* an alias at the name hides the SOA: then the zone is the one that was asked */
                return zone_is_known(f);
        snprintf(f->zone->cut.primary, sizeof f->zone->cut.primary, "%s", soa.mname);
        f->zone->cut.serial = soa.serial;
        if (dns_name_equal(zone, f->zone->cut.zone) || !dns_name_is_below(f->name, zone) ||
                !dns_name_is_below(zone, f->zone->cut.zone))
                return zone_is_known(f);
        /* The same server has the deeper zone too: ask it who else does. */
        struct address server = f->zone->server[0].address;
        if (++f->cuts > CUTS_MAX)
                return fail(f, ERR_CONFIG, "propagation.no-zone", "too many zone cuts");
        set_zone(f, zone);
        f->child_asked = true;
        ask_server(f, STEP_CHILD_NS, &server, zone, DNS_NS);
}

/* ---- the steps at the resolvers ---- */

static void soa_answered(struct zone_find *f, const struct dns_message *m)
{
        char zone[DNS_NAME_TEXT];
        struct dns_soa soa;
        if (!soa_of(m, zone, &soa)) {
                /* No SOA for an alias: climb. */
                const char *up = dns_name_parent(f->start);
                if (!up || !up[0])
                        return fail(f, ERR_CONFIG, "propagation.no-zone",
                                "no zone answers for it; is the domain delegated?");
                memmove(f->start, up, strlen(up) + 1);
                return ask_resolver(f, STEP_SOA, f->start, DNS_SOA);
        }
        if (!dns_name_is_below(f->start, zone)) /* behind an alias: the zone of its target is not the name's */
                return soa_answered(f, &(const struct dns_message){ 0 });
        set_zone(f, zone);
        f->child_asked = true; /* through the resolver; the parent is asked by ourselves */
        snprintf(f->zone->cut.primary, sizeof f->zone->cut.primary, "%s", soa.mname);
        f->zone->cut.serial = soa.serial;
        ask_resolver(f, STEP_NS, zone, DNS_NS);
}

static void ns_answered(struct zone_find *f, const struct dns_message *m)
{
        const char *up = dns_name_parent(f->zone->cut.zone);
        add_ns(f, m, f->zone->cut.zone, DNS_ANSWER, f->zone->cut.zone);
        if (!up || f->zone->cut.zone[0] == '\0')
                return find_addresses(f);
        snprintf(f->parent, sizeof f->parent, "%s", up);
        ask_resolver(f, STEP_PARENT_SOA, f->parent, DNS_SOA);
}

static void ask_parent(struct zone_find *f);

static void parent_address(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct zone_find *f = arg;
        (void)err;
        f->lookup = NULL;
        f->parent_at++;
        if (count == 0)
                return ask_parent(f);
        ask_server(f, STEP_PARENT_ASK, &list[0], f->zone->cut.zone, DNS_NS);
}

/* One server of the parent is enough: it is only asked whom it names. */
static void ask_parent(struct zone_find *f)
{
        struct err e;
        if (f->parent_at >= f->parent_ns.count || f->parent_at >= 2)
                return find_addresses(f);
        f->lookup = dns_lookup(f->engine->dns, f->parent_ns.item[f->parent_at], parent_address, f, &e);
        if (!f->lookup)
                find_addresses(f);
}

static void parent_ns_answered(struct zone_find *f, const struct dns_message *m)
{
        for (size_t i = 0; m && i < m->rr_count && f->parent_ns.count < 4; i++) {
                char name[DNS_NAME_TEXT];
                if (m->rr[i].section == DNS_ANSWER && dns_rr_name(m, &m->rr[i], name) && m->rr[i].type == DNS_NS)
                        (void)texts_add(&f->parent_ns, name);
        }
        ask_parent(f);
}

static void answered(void *arg, const struct dns_answer *a)
{
        struct zone_find *f = arg;
        char zone[DNS_NAME_TEXT];
        struct dns_soa soa;
        f->query = NULL;
        bool good =
                a->outcome == DNS_ANSWERED && (a->message->rcode == DNS_NOERROR || a->message->rcode == DNS_NXDOMAIN);
        switch (f->step) {
        case STEP_SOA:
        case STEP_NS:
                if (!good)
                        return fail(f, ERR_TEMPORARY, "propagation.resolver",
                                a->outcome == DNS_ANSWERED ? dns_rcode_name(a->message->rcode) : a->err->text);
                return f->step == STEP_SOA ? soa_answered(f, a->message) : ns_answered(f, a->message);
        case STEP_PARENT_SOA: /* what fails from here on only makes the parent's view unknown */
                if (!good || !soa_of(a->message, zone, &soa))
                        return find_addresses(f);
                snprintf(f->parent, sizeof f->parent, "%s", zone);
                return ask_resolver(f, STEP_PARENT_NS, f->parent, DNS_NS);
        case STEP_PARENT_NS:
                return parent_ns_answered(f, good ? a->message : NULL);
        case STEP_PARENT_ASK:
                if (good) {
                        add_ns(f, a->message, f->zone->cut.zone, DNS_AUTHORITY, f->parent);
                        add_ns(f, a->message, f->zone->cut.zone, DNS_ANSWER, f->parent);
                }
                return find_addresses(f);
        case STEP_CHILD_NS:
                if (good)
                        add_ns(f, a->message, f->zone->cut.zone, DNS_ANSWER, f->zone->cut.zone);
                return find_addresses(f);
        case STEP_DESCEND:
        case STEP_ADDRESSES:
                return;
        }
}

/* ---- the start ---- */

static void begin(void *arg)
{
        struct zone_find *f = arg;
        f->begin = NULL;
        struct zone *z = zone_kept(f->engine, f->name);
        if (z)
                return finish(f, z, NULL);
        ask_resolver(f, STEP_SOA, f->start, DNS_SOA);
}

/* The registrable domain: asking a resolver for anything deeper could plant "no such name" above the challenge, which
 * then hides all that is below it (RFC 8020). Without one (a top-level domain's own name) the name without its
 * underscores. */
static void safe_start(const char *name, char ret[DNS_NAME_TEXT])
{
        const char *start = name;
        for (const char *at = name; at && *at; at = dns_name_parent(at))
                if (*at == '_' || *at == '*')
                        start = dns_name_parent(at);
        char lower[DNS_NAME_TEXT];
        snprintf(lower, sizeof lower, "%s", start && *start ? start : name);
        for (char *c = lower; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        const char *registrable = psl_registrable_domain(psl_builtin(), lower);
        snprintf(ret, DNS_NAME_TEXT, "%s", registrable ? registrable : lower);
}

static struct zone_find *start(struct propagation_engine *g, const char *name, zone_servers_fn *done,
        zone_found_fn *found, void *arg, struct err *e)
{
        struct zone_find *f = calloc(1, sizeof *f);
        if (!f || !(f->zone = calloc(1, sizeof *f->zone)) || !(f->name = text_dup(name)) ||
                !(f->zone->owner = text_dup(name)) || !(f->begin = loop_defer(g->loop, begin, f))) {
                if (f) {
                        if (f->zone)
                                free(f->zone->owner);
                        free(f->zone);
                        free(f->name);
                }
                free(f);
                err_memory(e);
                return NULL;
        }
        f->zone->users = 1;
        f->engine = g;
        f->done = done;
        f->found = found;
        f->arg = arg;
        safe_start(name, f->start);
        f->next = g->finds;
        f->at = &g->finds;
        if (f->next)
                f->next->at = &f->next;
        g->finds = f;
        return f;
}

struct zone_find *zone_servers_start(
        struct propagation_engine *g, const char *name, zone_servers_fn *done, void *arg, struct err *e)
{
        return start(g, name, done, NULL, arg, e);
}

struct zone_find *zone_find_start(
        struct propagation_engine *g, const char *name, zone_found_fn *done, void *arg, struct err *e)
{
        return start(g, name, NULL, done, arg, e);
}

void zone_find_cancel(struct zone_find *f)
{
        if (f)
                find_free(f);
}
