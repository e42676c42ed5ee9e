#include "agent/job/incident_look.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"
#include "agent/net/tls_look.h"

#define PLACES_MAX 4096 /* beyond that nobody can say, as with one that does not answer */
#define ADDRESSES_MAX 8 /* of one host */
#define LOOK_MS 5000

enum place_kind { PLACE_HERE, PLACE_ELSEWHERE, PLACE_PUBLIC };
struct place {
        char *host, *sni;
        uint16_t port;
        enum tls_protocol protocol;
        enum place_kind kind;
};
struct case_look {
        struct engine *engine;
        struct place *place;
        size_t count, cap, at;
        struct address address[ADDRESSES_MAX]; /* of the place that is looked at */
        size_t address_count, address_at;
        bool looked_up;
        struct dns_lookup *lookup;
        struct tls_look *look;
        struct deferred *next;
        char sha256[65], spki[65];
        const char *algorithms;
        enum shown shown;
        char text[300];
        case_look_fn *done;
        void *arg;
};

void case_look_cancel(struct case_look *l)
{
        if (!l)
                return;
        dns_lookup_cancel(l->lookup);
        tls_look_cancel(l->look);
        loop_undefer(l->engine->loop, l->next);
        for (size_t i = 0; i < l->count; i++) {
                free(l->place[i].host);
                free(l->place[i].sni);
        }
        free(l->place);
        free(l);
}

/* ---- where ---- */

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool room_for_one(struct case_look *l)
{
        if (l->count == PLACES_MAX) {
                l->shown = SHOWN_UNSURE;
                snprintf(l->text, sizeof l->text, "more than %d places may show it: not all are looked at", PLACES_MAX);
        }
        if (l->count < l->cap || l->count == PLACES_MAX)
                return true;
        size_t cap = MIN(l->cap ? 2 * l->cap : 16, PLACES_MAX);
        struct place *more = realloc(l->place, cap * sizeof *more);
        if (!more)
                return false;
        l->place = more;
        l->cap = cap;
        return true;
}

static bool add_place(struct case_look *l, const char *hostport, uint16_t port, const char *sni,
        enum tls_protocol protocol, enum place_kind kind)
{
        struct place p = { .port = port, .protocol = protocol, .kind = kind };
        if (!room_for_one(l))
                return false;
        if (l->count == PLACES_MAX)
                return true;
        if (port)
                p.host = text_dup(hostport);
        else if (!hostport_split(hostport, &p.host, &p.port, NULL))
                return true; /* the configuration was checked; what a look once found may be older */
        if (!p.host)
                return false;
        for (size_t i = 0; i < l->count; i++)
                if (strcmp(l->place[i].host, p.host) == 0 && l->place[i].port == p.port &&
                        same_text(l->place[i].sni, sni)) {
                        free(p.host);
                        return true;
                }
        p.sni = text_dup(sni);
        l->place[l->count++] = p;
        return !sni || p.sni;
}

/* "cdn.example.com:443/smtp" */
static bool add_elsewhere(struct case_look *l, const char *entry, const struct conf_cert *conf)
{
        CLEANUP(free_p) char *copy = text_dup(entry), *host = NULL;
        char *slash = copy ? strchr(copy, '/') : NULL;
        enum tls_protocol protocol = TLS_DIRECT;
        struct address a;
        uint16_t port;
        if (!copy)
                return false;
        if (slash)
                *slash++ = '\0';
        if (slash)
                (void)tls_protocol_from_name(slash, &protocol); /* checked with the configuration */
        bool named = hostport_split(copy, &host, &port, NULL) && !address_parse(host, 0, &a) &&
                names_cover(&conf->names, host);
        const char *sni = named ? host : NULL;
        for (size_t i = 0; !sni && i < conf->names.count; i++)
                if (!text_starts(conf->names.item[i], "*.") && !address_parse(conf->names.item[i], 0, &a))
                        sni = conf->names.item[i];
        return add_place(l, copy, 0, sni, protocol, PLACE_ELSEWHERE);
}

static bool add_places(struct case_look *l, const struct cert *cert, const struct conf_cert *conf)
{
        CLEANUP(json_decref_p) json_t *served = cert_served_json(cert);
        size_t i;
        json_t *x;
        struct address a;
        bool good = true;
        json_array_foreach(served, i, x)
        {
                enum tls_protocol protocol = TLS_DIRECT;
                if (json_str(x, "protocol"))
                        (void)tls_protocol_from_name(json_str(x, "protocol"), &protocol);
                good = good &&
                        (!json_str(x, "endpoint") ||
                                add_place(l, json_str(x, "endpoint"), 0, json_str(x, "sni"), protocol, PLACE_HERE));
        }
        for (i = 0; good && conf && i < conf->elsewhere.count; i++)
                good = add_elsewhere(l, conf->elsewhere.item[i], conf);
        for (i = 0; good && conf && i < conf->names.count; i++) {
                const char *name = conf->names.item[i];
                if (!text_starts(name, "*."))
                        good = add_place(
                                l, name, 443, address_parse(name, 0, &a) ? NULL : name, TLS_DIRECT, PLACE_PUBLIC);
        }
        return good;
}

/* ---- looking ---- */

static bool is_of_this_host(const struct address *a)
{
        uv_interface_address_t *list = NULL;
        int count = 0;
        bool mine = address_is_loopback(a);
        if (mine || uv_interface_addresses(&list, &count) != 0)
                return mine;
        for (int i = 0; i < count && !mine; i++) {
                struct address own;
                if (!address_from_sockaddr((const struct sockaddr *)&list[i].address, &own))
                        continue;
                own.port = a->port;
                mine = address_equal(&own, a);
        }
        uv_free_interface_addresses(list, count);
        return mine;
}

void shown_text(const struct address *a, char *ret, size_t size)
{
        char where[ADDRESS_TEXT];
        address_text(a, true, where);
        snprintf(ret, size, "%s%s still serves the old certificate", where,
                is_of_this_host(a) ? "" : " (not this host)");
}

static void go_on(struct case_look *l);

static void over(struct case_look *l)
{
        case_look_fn *done = l->done;
        void *arg = l->arg;
        enum shown shown = l->shown;
        char text[sizeof l->text];
        memcpy(text, l->text, sizeof text);
        case_look_cancel(l);
        done(arg, shown, text);
}

static void next_place(void *arg)
{
        struct case_look *l = arg;
        l->next = NULL;
        go_on(l);
}

static void soon(struct case_look *l)
{
        l->next = loop_defer(l->engine->loop, next_place, l);
        if (l->next)
                return;
        l->shown = SHOWN_UNSURE;
        snprintf(l->text, sizeof l->text, "no memory to look");
        over(l);
}

/* A name of ours may lead to a host without TLS there; whoever is listed must answer. */
static void note_unsure(struct case_look *l, const struct place *p, const char *why)
{
        if (p->kind == PLACE_PUBLIC || l->shown != SHOWN_NOT)
                return;
        l->shown = SHOWN_UNSURE;
        snprintf(l->text, sizeof l->text, "%.100s:%u cannot be looked at: %.150s", p->host, p->port, why);
}

static void looked(void *arg, const struct tls_look_result *r, const struct err *err)
{
        struct case_look *l = arg;
        const struct place *p = &l->place[l->at];
        struct address *a = &l->address[l->address_at++];
        struct cert_info leaf = { 0 };
        l->look = NULL;
        if (err || !chain_from_der(r->leaf, r->leaf_len, &leaf, NULL)) {
                note_unsure(l, p, err ? err->text : "it shows no certificate");
                return soon(l);
        }
        bool old = strcmp(leaf.sha256, l->sha256) == 0 || (l->spki[0] && strcmp(leaf.spki_hex, l->spki) == 0);
        cert_info_done(&leaf);
        if (!old)
                return soon(l);
        l->shown = SHOWN_YES;
        shown_text(a, l->text, sizeof l->text);
        over(l);
}

static void found(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct case_look *l = arg;
        l->lookup = NULL;
        l->address_count = MIN(count, ADDRESSES_MAX);
        l->address_at = 0;
        for (size_t i = 0; i < l->address_count; i++) {
                l->address[i] = list[i];
                l->address[i].port = l->place[l->at].port;
        }
        if (count == 0) {
                bool none = err && strcmp(err->code, "dns.no-address") == 0;
                if (!none && l->shown == SHOWN_NOT) { /* a public name too: nobody knows where it leads */
                        l->shown = SHOWN_UNSURE;
                        snprintf(l->text, sizeof l->text, "the addresses of %.100s cannot be found: %.150s",
                                l->place[l->at].host, err ? err->text : "");
                } else if (none) {
                        note_unsure(l, &l->place[l->at], err->text);
                }
        }
        soon(l);
}

static void look_at(struct case_look *l)
{
        const struct place *p = &l->place[l->at];
        struct tls_look_request r = { .address = l->address[l->address_at],
                .sni = p->sni,
                .protocol = p->protocol,
                .signature_algorithms = l->algorithms,
                .timeout_ms = LOOK_MS };
        struct err e;
        l->look = tls_look_start(l->engine->loop, &r, looked, l, &e);
        if (l->look)
                return;
        note_unsure(l, p, e.text);
        l->address_at++;
        soon(l);
}

static void go_on(struct case_look *l)
{
        struct err e;
        if (l->address_at < l->address_count)
                return look_at(l);
        if (l->address_count > 0 || l->looked_up) {
                l->at++;
                l->address_count = l->address_at = 0;
                l->looked_up = false;
        }
        if (l->at == l->count)
                return over(l);
        const char *host = l->place[l->at].host;
        l->looked_up = true;
        l->lookup = dns_lookup(l->engine->dns, host, found, l, &e);
        if (l->lookup)
                return;
        note_unsure(l, &l->place[l->at], e.text);
        soon(l);
}

struct case_look *case_look_start(struct engine *g, const struct texts *certs, const struct set *old, const char *spki,
        case_look_fn *done, void *arg, struct err *e)
{
        struct case_look *l = calloc(1, sizeof *l);
        bool good = true;
        if (!l) {
                err_memory(e);
                return NULL;
        }
        l->engine = g;
        l->done = done;
        l->arg = arg;
        l->algorithms = key_tls_signature_algorithms(old->chain.leaf.key_type);
        memcpy(l->sha256, old->chain.leaf.sha256, sizeof l->sha256);
        if (spki)
                snprintf(l->spki, sizeof l->spki, "%s", spki);
        for (size_t i = 0; good && i < certs->count; i++) {
                const struct cert *c = engine_cert(g, certs->item[i]);
                good = !c || add_places(l, c, config_cert(g->conf, certs->item[i]));
        }
        if (!good || !(l->next = loop_defer(g->loop, next_place, l))) {
                case_look_cancel(l);
                err_memory(e);
                return NULL;
        }
        return l;
}
