#include "agent/net/httpd_clients.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"

#define CONNECTIONS_MAX 512
#define PER_SOURCE_MAX 32
#define ROOM 32 /* kept free: libmicrohttpd accepts ten at a time, and none at its own limit */
#define HEADER_MS 10000
#define REST_MS 20000
#define MEMORY_BYTES (8 * 1024)

void clients_init(struct clients *all, const struct httpd_limits *limits)
{
        struct httpd_limits l = *limits;
        l.connections = l.connections ? l.connections : CONNECTIONS_MAX;
        l.per_source = l.per_source ? l.per_source : PER_SOURCE_MAX;
        l.header_ms = l.header_ms ? l.header_ms : HEADER_MS;
        l.rest_ms = l.rest_ms ? l.rest_ms : REST_MS;
        l.memory_bytes = l.memory_bytes ? l.memory_bytes : MEMORY_BYTES;
        *all = (struct clients){ .limits = l };
        for (size_t i = 0; i < CLIENT_PHASES; i++)
                all->waiting[i].last = &all->waiting[i].first;
}

/* ---- deadlines ---- */

static void list(struct clients *all, struct client *c, enum client_phase phase)
{
        c->phase = phase;
        c->next = NULL;
        c->at = all->waiting[phase].last;
        *c->at = c;
        all->waiting[phase].last = &c->next;
        c->since_ms = clock_boot_ms();
        c->deadline_ms = c->since_ms + (phase == CLIENT_IN_HEADER ? all->limits.header_ms : all->limits.rest_ms);
}

static void unlist(struct clients *all, struct client *c)
{
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
        else
                all->waiting[c->phase].last = c->at;
}

static bool may_end(const struct client *c)
{
        return !c->handled && !c->ending;
}

/* A trickling client keeps its connection alive past libmicrohttpd's own limit; shutdown ends it even within a header.
 */
static void end(struct clients *all, struct client *c)
{
        c->source->may_end -= may_end(c);
        c->ending = true;
        (void)shutdown(c->fd, SHUT_RDWR); /* fails for one that ended meanwhile */
        unlist(all, c);
        list(all, c, CLIENT_IN_REST); /* until libmicrohttpd has seen it */
}

void clients_end_late(struct clients *all)
{
        int64_t now_ms = clock_boot_ms();
        for (size_t i = 0; i < CLIENT_PHASES; i++)
                while (all->waiting[i].first && all->waiting[i].first->deadline_ms <= now_ms)
                        end(all, all->waiting[i].first);
}

int64_t clients_left_ms(const struct clients *all)
{
        int64_t now_ms = clock_boot_ms(), ret = -1;
        for (size_t i = 0; i < CLIENT_PHASES; i++)
                if (all->waiting[i].first) {
                        int64_t left_ms = MAX(all->waiting[i].first->deadline_ms - now_ms, 0);
                        ret = ret < 0 ? left_ms : MIN(ret, left_ms);
                }
        return ret;
}

/* ---- sources ---- */

static struct client_source *source_get(struct clients *all, const struct address *a)
{
        struct client_source *s = all->sources;
        while (s && !address_equal(&s->address, a))
                s = s->next;
        if (s)
                return s;
        s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->address = *a;
        s->local = a->family == 0 || address_is_loopback(a);
        s->next = all->sources;
        all->sources = s;
        return s;
}

static void source_put(struct clients *all, struct client_source *s)
{
        if (--s->count > 0)
                return;
        struct client_source **at = &all->sources;
        while (*at != s)
                at = &(*at)->next;
        *at = s->next;
        free(s);
}

static struct client *oldest_in(const struct clients *all, enum client_phase phase, const struct client_source *s)
{
        struct client *c = all->waiting[phase].first;
        while (c && (c->source != s || !may_end(c)))
                c = c->next;
        return c;
}

/* Its oldest that has not yet sent a whole request: who waits with half a body before who has just come. */
static void end_oldest_of(struct clients *all, const struct client_source *s)
{
        struct client *header = oldest_in(all, CLIENT_IN_HEADER, s), *rest = oldest_in(all, CLIENT_IN_REST, s);
        struct client *oldest = rest && (!header || rest->since_ms <= header->since_ms) ? rest : header;
        if (oldest)
                end(all, oldest);
}

/* So that nobody is kept out by those who hold connections and ask nothing: whoever comes is let in, and whoever waits
 * longest among those of the source that holds most makes room. */
static void make_room(struct clients *all, struct client_source *newcomer)
{
        unsigned limit = newcomer->local ? all->limits.per_local_source : all->limits.per_source;
        if (limit > 0 && newcomer->count > limit)
                return end_oldest_of(all, newcomer);
        if (all->count + MIN(ROOM, all->limits.connections / 2) <= all->limits.connections)
                return;
        const struct client_source *most = newcomer;
        for (const struct client_source *s = all->sources; s; s = s->next)
                if (s->may_end > most->may_end)
                        most = s;
        end_oldest_of(all, most);
}

/* ---- clients ---- */

struct client *client_new(struct clients *all, int fd, const struct sockaddr *peer)
{
        struct address a = { 0 };
        struct client *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        if (peer && address_from_sockaddr(peer, &a)) {
                address_text(&a, false, c->peer);
                a.port = 0;
                if (a.family == AF_INET6 && !address_is_loopback(&a))
                        memset(&a.ip.v6.s6_addr[8], 0, 8);
        } else {
                a = (struct address){ 0 };
                strcpy(c->peer, "unix");
        }
        c->source = source_get(all, &a);
        if (!c->source) {
                free(c);
                return NULL;
        }
        c->fd = fd;
        c->source->count++;
        c->source->may_end++;
        all->count++;
        list(all, c, CLIENT_IN_HEADER);
        make_room(all, c->source);
        return c;
}

void client_free(struct clients *all, struct client *c)
{
        c->source->may_end -= may_end(c);
        unlist(all, c);
        source_put(all, c->source);
        all->count--;
        free(c);
}

static void relist(struct clients *all, struct client *c, enum client_phase phase)
{
        if (c->ending)
                return;
        unlist(all, c);
        list(all, c, phase);
}

void client_header_came(struct clients *all, struct client *c)
{
        relist(all, c, CLIENT_IN_REST);
}

void client_request_came(struct client *c)
{
        c->source->may_end -= may_end(c);
        c->handled = true;
}

void client_request_ended(struct clients *all, struct client *c)
{
        c->source->may_end += c->handled && !c->ending;
        c->handled = false;
        relist(all, c, CLIENT_IN_HEADER);
}
