#include "agent/net/dns.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/net/dns_internal.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CHECK_MS 5000

/* ---- counting ---- */

static const char *const query_labels[] = { "server", "rcode", NULL };
static const struct metric_family queries = { "dcvd_dns_queries_total", "Questions asked at name servers.",
        METRIC_COUNTER, query_labels, NULL };

void dns_count_declare(void)
{
        metric_declare(&queries);
}

void dns_count(const struct dns_query *q, const struct dns_answer *a)
{
        char server[ADDRESS_TEXT];
        address_text(&q->channel->server, false, server);
        const char *values[] = { server, a->outcome == DNS_ANSWERED ? dns_rcode_name(a->message->rcode) : "none" };
        metric_add(&queries, values, 1);
}

uint16_t dns_random_id(struct dns *d)
{
        if (d->random_left == 0) {
                random_bytes(d->random, sizeof d->random);
                d->random_left = ARRAY_LEN(d->random);
        }
        return d->random[--d->random_left];
}

/* ---- resolvers ---- */

static bool add_resolver(struct dns *d, const char *text)
{
        struct address a;
        if (d->resolver_count >= RESOLVERS_MAX || !address_parse(text, 53, &a))
                return false;
        d->resolver[d->resolver_count++] = a;
        return true;
}

static void read_resolv_conf(struct dns *d)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        d->resolver_count = 0;
        if (file_read(RESOLV_CONF, 64 * 1024, &text, &len, NULL)) {
                char *rest = NULL;
                for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                        char server[ADDRESS_TEXT];
                        if (sscanf(line, " nameserver %63s", server) == 1)
                                (void)add_resolver(d, server); /* what is no address is no resolver */
                }
        }
        if (d->resolver_count == 0) /* resolv.conf(5): then the one on this machine */
                (void)add_resolver(d, "127.0.0.1");
}

void dns_refresh_resolvers(struct dns *d)
{
        struct stat st;
        int64_t now_ms = clock_boot_ms();
        if (!d->follow || (d->checked_ms && now_ms - d->checked_ms < RESOLV_CHECK_MS))
                return;
        d->checked_ms = now_ms;
        int64_t mtime_ns =
                stat(RESOLV_CONF, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : -1;
        if (mtime_ns == d->read_mtime_ns && d->resolver_count > 0)
                return;
        d->read_mtime_ns = mtime_ns;
        read_resolv_conf(d);
}

/* Whole or not at all. */
bool dns_configure(struct dns *d, const struct dns_conf *conf, struct err *e)
{
        struct address a;
        for (size_t i = 0; conf->resolvers && conf->resolvers[i]; i++)
                if (i >= RESOLVERS_MAX || !address_parse(conf->resolvers[i], 53, &a))
                        return err_set(e, ERR_CONFIG, "dns.resolver",
                                "resolver \"%s\" is not a numeric address, or one too many", conf->resolvers[i]);
        d->port = conf->port ? conf->port : 53;
        d->follow = conf->resolvers == NULL;
        d->resolver_count = 0;
        d->checked_ms = 0;
        for (size_t i = 0; conf->resolvers && conf->resolvers[i]; i++)
                (void)add_resolver(d, conf->resolvers[i]);
        dns_refresh_resolvers(d);
        return true;
}

size_t dns_resolver_count(const struct dns *d)
{
        return d->resolver_count;
}

const struct address *dns_resolver(const struct dns *d, size_t i)
{
        return &d->resolver[i];
}

uint16_t dns_port(const struct dns *d)
{
        return d->port;
}

/* ---- questions ---- */

static void query_free(struct dns_query *q)
{
        dns_channel_leave(q);
        *q->at_all = q->next_all;
        if (q->next_all)
                q->next_all->at_all = q->at_all;
        free(q->name);
        free(q);
}

/* Goes on over TCP, or at the next resolver; false: this was the last way. */
static bool go_on(struct dns_query *q, const struct dns_answer *a)
{
        struct err e;
        struct address server = q->channel->server;
        bool useless = a->outcome != DNS_ANSWERED || a->message->tc;
        bool broken =
                a->outcome == DNS_ANSWERED && (a->message->rcode == DNS_SERVFAIL || a->message->rcode == DNS_REFUSED);
        enum dns_transport next = DNS_TCP;
        if (!(q->any && q->channel->transport == DNS_UDP && useless)) {
                if (!q->resolvers || q->resolver + 1 >= q->dns->resolver_count || !(useless || broken))
                        return false;
                server = q->dns->resolver[++q->resolver];
                next = DNS_UDP;
        }
        struct dns_channel *c = dns_channel_get(q->dns, &server, next, &e);
        if (!c)
                return false;
        dns_channel_ask(c, q);
        return true;
}

void dns_query_ended(struct dns_query *q, const struct dns_answer *answer)
{
        dns_count(q, answer);
        if (go_on(q, answer))
                return;
        dns_done_fn *done = q->done;
        void *arg = q->arg;
        query_free(q);
        done(arg, answer);
}

static struct dns_query *ask(struct dns *d, const struct address *server, enum dns_transport t, const char *name,
        uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        if (!dns_name_is_valid(name)) {
                err_set(e, ERR_CONFIG, "dns.name", "\"%.300s\" is not a DNS name", name);
                return NULL;
        }
        struct dns_channel *c = dns_channel_get(d, server, t, e);
        struct dns_query *q = c ? calloc(1, sizeof *q) : NULL;
        if (!q || !(q->name = text_dup(name))) {
                free(q);
                if (c)
                        err_memory(e);
                return NULL;
        }
        q->dns = d;
        q->type = type;
        q->flags = flags;
        q->done = done;
        q->arg = arg;
        q->next_all = d->first;
        q->at_all = &d->first;
        if (q->next_all)
                q->next_all->at_all = &q->next_all;
        d->first = q;
        dns_channel_ask(c, q);
        return q;
}

struct dns_query *dns_ask(struct dns *d, const struct address *server, enum dns_transport transport, const char *name,
        uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        return ask(d, server, transport, name, type, flags, done, arg, e);
}

struct dns_query *dns_ask_any(struct dns *d, const struct address *server, const char *name, uint16_t type,
        unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        struct dns_query *q = ask(d, server, DNS_UDP, name, type, flags, done, arg, e);
        if (q)
                q->any = true;
        return q;
}

struct dns_query *dns_ask_resolver(
        struct dns *d, const char *name, uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        dns_refresh_resolvers(d);
        if (d->resolver_count == 0) {
                err_set(e, ERR_CONFIG, "dns.resolver", "no recursive resolver is configured");
                return NULL;
        }
        struct dns_query *q = dns_ask_any(d, &d->resolver[0], name, type, flags | DNS_RECURSE, done, arg, e);
        if (q)
                q->resolvers = true;
        return q;
}

void dns_cancel(struct dns_query *q)
{
        if (q)
                query_free(q);
}

/* ---- open, close ---- */

bool dns_open(struct dns **ret, struct loop *loop, const struct dns_conf *conf, struct err *e)
{
        static bool initialised;
        if (!initialised && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
                return err_set(e, ERR_TEMPORARY, "dns", "c-ares cannot be initialised");
        initialised = true;
        struct dns *d = calloc(1, sizeof *d);
        if (!d)
                return err_memory(e);
        d->loop = loop;
        if (!timer_new(&d->sweep, loop, dns_sweep, d, e) || !dns_configure(d, conf, e)) {
                dns_close(d);
                return false;
        }
        *ret = d;
        return true;
}

void dns_close(struct dns *d)
{
        if (!d)
                return;
        d->closing = true;
        while (d->lookups) {
                struct dns_lookup *l = d->lookups;
                dns_lookup_cancel(l);
        }
        while (d->first)
                dns_cancel(d->first);
        for (unsigned i = 0; i < DNS_BUCKETS; i++)
                while (d->bucket[i]) {
                        struct dns_channel *c = d->bucket[i];
                        d->bucket[i] = c->next;
                        dns_channel_close(c);
                }
        timer_free(d->sweep);
        free(d);
}
