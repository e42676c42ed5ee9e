/* What a look looks at: what services name, what they had before, and with `verify: auto` what listens on this host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/deploy/listeners.h"
#include "agent/deploy/look_internal.h"

#define LISTENERS_MAX 64
#define HOST_AGAIN_MS 500

/* What is the same for all points of one endpoint. */
struct spot {
        const struct address *address;
        enum tls_protocol protocol;
        const char *service;
        struct look_group *group;
        bool automatic, named;
};

static bool add(struct look_run *r, const struct spot *at, const char *sni, struct point **lead)
{
        char text[ADDRESS_TEXT];
        for (size_t i = 0; i < r->count; i++) {
                const struct point *p = &r->point[i];
                bool same_name = p->out.sni && sni ? strcmp(p->out.sni, sni) == 0 : !p->out.sni && !sni;
                if (address_equal(&p->address, at->address) && p->out.protocol == at->protocol && same_name)
                        return true;
        }
        if (r->count >= ENDPOINTS_MAX)
                return true; /* enough is seen; the rest is behind the same servers */
        address_text(at->address, true, text);
        CLEANUP(free_p) char *address = text_dup(text), *service = text_dup(at->service), *name = text_dup(sni);
        if (!address || !service || (sni && !name))
                return false;
        struct point *p = &r->point[r->count++];
        if (!*lead)
                *lead = p;
        *p = (struct point){ .run = r,
                .address = *at->address,
                .group = at->group,
                .lead = at->automatic ? *lead : p,
                .automatic = at->automatic,
                .named = at->named,
                .out = { .address = STEAL(address),
                        .sni = STEAL(name),
                        .service = STEAL(service),
                        .protocol = at->protocol,
                        .verdict = LOOK_FAILED } };
        return true;
}

/* SNI: every name; "dcvd." under a wildcard; none for an address. */
static bool add_names(struct look_run *r, const struct spot *at, const char *one)
{
        struct address numeric;
        struct point *lead = NULL;
        if (one)
                return add(r, at, one, &lead);
        for (size_t i = 0; i < r->names.count; i++) {
                const char *name = r->names.item[i];
                CLEANUP(free_p) char *below = text_starts(name, "*.") ? text_format("dcvd.%s", name + 2) : NULL;
                const char *sni = address_parse(name, 0, &numeric) ? NULL : below ? below : name;
                if (!add(r, at, sni, &lead))
                        return false;
        }
        return true;
}

/* ---- endpoints that are names ---- */

static void give_up_host(struct look_host *h, const char *why)
{
        struct look_run *r = h->run;
        struct point *p = &r->point[r->count];
        h->done = true;
        if (r->count >= ENDPOINTS_MAX)
                return;
        *p = (struct point){ .run = r,
                .group = h->group,
                .lead = p,
                .done = true,
                .out = { .address = STEAL(h->text),
                        .sni = STEAL(h->sni),
                        .service = STEAL(h->service),
                        .protocol = h->protocol,
                        .verdict = LOOK_FAILED } };
        snprintf(p->out.text, sizeof p->out.text, "%.230s", why);
        r->count++;
}

/* A resolver that is busy for a moment says nothing of the server: it has the same patience as that. */
static void try_host_again(struct look_host *h, const struct err *err, int64_t now_ms)
{
        if (now_ms >= h->run->until_ms)
                return give_up_host(h, err->text);
        h->again_ms = now_ms + HOST_AGAIN_MS;
}

static void host_found(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct look_host *h = arg;
        struct look_run *r = h->run;
        h->lookup = NULL;
        for (size_t i = 0; i < count; i++) {
                struct address a = list[i];
                a.port = h->port;
                struct spot at = {
                        .address = &a, .protocol = h->protocol, .service = h->service, .group = h->group, .named = true
                };
                if (!add_names(r, &at, h->sni)) {
                        give_up_host(h, "out of memory");
                        return look_plan(r);
                }
        }
        if (count > 0)
                h->done = true;
        else
                try_host_again(h, err, clock_boot_ms());
        look_plan(r);
}

void look_host_plan(struct look_host *h, int64_t now_ms)
{
        struct err e;
        if (h->done || h->lookup || h->again_ms > now_ms)
                return;
        h->lookup = dns_lookup(h->run->dns, h->name, host_found, h, &e);
        if (!h->lookup)
                try_host_again(h, &e, now_ms);
}

void look_hosts_done(struct look_run *r)
{
        for (size_t i = 0; i < r->host_count; i++) {
                struct look_host *h = &r->host[i];
                dns_lookup_cancel(h->lookup);
                free(h->text);
                free(h->name);
                free(h->sni);
                free(h->service);
        }
        free(r->host);
}

static bool add_host(struct look_run *r, const struct conf_service *s, const struct conf_verify *v, struct err *e)
{
        struct look_host *h = &r->host[r->host_count];
        *h = (struct look_host){ .run = r, .group = &r->group[r->group_count], .protocol = v->protocol };
        if (!hostport_split(v->address, &h->name, &h->port, e))
                return false;
        r->host_count++;
        r->group_count++;
        h->text = text_dup(v->address);
        h->sni = text_dup(v->sni);
        h->service = text_dup(s->name);
        return (h->text && h->service && (h->sni || !v->sni)) || err_memory(e);
}

/* ---- services ---- */

/* Before those found now, which would not count if nothing answers. */
static bool add_known(
        struct look_run *r, const struct look_request *q, const struct conf_service *s, struct look_group *group)
{
        for (size_t i = 0; i < q->known_count; i++) {
                struct address a;
                struct point *lead = NULL;
                size_t before = r->count;
                if (!address_parse(q->known[i].address, 443, &a))
                        continue;
                struct spot at = { .address = &a, .protocol = TLS_DIRECT, .service = s->name, .group = group };
                if (!add(r, &at, q->known[i].sni, &lead))
                        return false;
                if (r->count > before)
                        r->point[before].out.found = true;
        }
        return true;
}

static bool add_service(struct look_run *r, const struct look_request *q, const struct conf_service *s,
        const struct address *found, size_t found_count, struct err *e)
{
        struct look_group *group = &r->group[r->group_count++];
        if (s->verify_auto && !add_known(r, q, s, group))
                return err_memory(e);
        for (size_t i = 0; s->verify_auto && i < found_count; i++) {
                struct spot at = { .address = &found[i], .service = s->name, .group = group, .automatic = true };
                if (!add_names(r, &at, NULL))
                        return err_memory(e);
        }
        for (size_t i = 0; i < s->verify_count; i++) {
                const struct conf_verify *v = &s->verify[i];
                struct address a;
                if (!address_parse(v->address, 443, &a)) {
                        if (!add_host(r, s, v, e))
                                return false;
                        continue;
                }
                struct spot at = { .address = &a, .protocol = v->protocol, .service = s->name, .group = group };
                if (!add_names(r, &at, v->sni))
                        return err_memory(e);
        }
        return true;
}

/* For as many services and names as there may be. */
static bool make_room(struct look_run *r, const struct conf_cert *cert)
{
        size_t services = 0, endpoints = 0;
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++) {
                        services++;
                        endpoints += cert->target[i].service[k].verify_count;
                }
        r->host = calloc(endpoints + 1, sizeof *r->host);
        r->group = calloc(services + endpoints + 1, sizeof *r->group);
        return r->host && r->group;
}

bool look_add_all(struct look_run *r, const struct look_request *q, struct err *e)
{
        const struct conf_cert *cert = q->cert;
        struct address found[LISTENERS_MAX];
        if (!make_room(r, cert))
                return err_memory(e);
        size_t found_count = look_is_automatic(cert) ? listeners_find(found, LISTENERS_MAX) : 0;
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++)
                        if (!add_service(r, q, &cert->target[i].service[k], found, found_count, e))
                                return false;
        return true;
}
