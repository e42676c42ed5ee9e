/* Host names to addresses: numeric texts, localhost, /etc/hosts, then A and AAAA at the recursive resolvers, both at
 * once. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/dns_internal.h"

#define ADDRESSES_MAX 32
#define HOSTS_FILE "/etc/hosts"
#define HOSTS_MAX (1024 * 1024)

struct dns_lookup {
        struct dns *dns;
        struct dns_lookup *next, **at;
        char *host;
        dns_lookup_fn *done;
        void *arg;
        struct dns_query *query[2]; /* AAAA, A */
        struct deferred *known;
        struct address list[2][ADDRESSES_MAX];
        size_t count[2];
        struct err err;
};

static void lookup_free(struct dns_lookup *l)
{
        *l->at = l->next;
        if (l->next)
                l->next->at = l->at;
        dns_cancel(l->query[0]);
        dns_cancel(l->query[1]);
        loop_undefer(l->dns->loop, l->known);
        free(l->host);
        free(l);
}

static void add(struct dns_lookup *l, const struct address *a)
{
        size_t f = a->family == AF_INET6 ? 0 : 1;
        for (size_t i = 0; i < l->count[f]; i++)
                if (address_equal(&l->list[f][i], a))
                        return;
        if (l->count[f] < ADDRESSES_MAX)
                l->list[f][l->count[f]++] = *a;
}

static void finish(struct dns_lookup *l)
{
        struct address list[ADDRESSES_MAX];
        size_t n = 0;
        for (size_t f = 0; f < 2; f++)
                for (size_t i = 0; i < l->count[f] && n < ADDRESSES_MAX; i++)
                        list[n++] = l->list[f][i];
        struct err e = l->err;
        if (n == 0 && e.kind == ERR_NONE) {
                err_set(&e, ERR_TEMPORARY, "dns.no-address", "%s has no address", l->host);
        }
        dns_lookup_fn *done = l->done;
        void *arg = l->arg;
        lookup_free(l);
        done(arg, list, n, n ? NULL : &e);
}

static void answered(struct dns_lookup *l, size_t f, const struct dns_answer *a)
{
        l->query[f] = NULL;
        if (a->outcome != DNS_ANSWERED)
                l->err = *a->err;
        else if (a->message->rcode != DNS_NOERROR && a->message->rcode != DNS_NXDOMAIN)
                err_set(&l->err, ERR_TEMPORARY, "dns.rcode", "looking up %s: %s", l->host,
                        dns_rcode_name(a->message->rcode));
        for (size_t i = 0; a->outcome == DNS_ANSWERED && i < a->message->rr_count; i++) {
                struct address found;
                const struct dns_rr *rr = &a->message->rr[i];
                /* Behind an alias the owner is another name: the resolver followed it. */
                if (rr->section == DNS_ANSWER && dns_rr_address(a->message, rr, &found))
                        add(l, &found);
        }
        if (!l->query[1 - f])
                finish(l);
}

static void v6_answered(void *arg, const struct dns_answer *a)
{
        answered(arg, 0, a);
}

static void v4_answered(void *arg, const struct dns_answer *a)
{
        answered(arg, 1, a);
}

static void known(void *arg)
{
        struct dns_lookup *l = arg;
        l->known = NULL;
        finish(l);
}

static void add_text(struct dns_lookup *l, const char *text)
{
        struct address a;
        if (address_parse(text, 0, &a)) {
                a.port = 0;
                add(l, &a);
        }
}

static void read_hosts(struct dns_lookup *l)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        char *line_rest = NULL;
        if (!file_read(HOSTS_FILE, HOSTS_MAX, &text, &len, NULL))
                return;
        for (char *line = strtok_r(text, "\n", &line_rest); line; line = strtok_r(NULL, "\n", &line_rest)) {
                char *rest = NULL;
                line[strcspn(line, "#")] = '\0';
                const char *address = strtok_r(line, " \t\r", &rest);
                for (const char *name = NULL; address && (name = strtok_r(NULL, " \t\r", &rest));)
                        if (dns_name_equal(name, l->host))
                                add_text(l, address);
        }
}

/* RFC 6761 section 6.3: localhost is never asked for. */
static bool is_known(struct dns_lookup *l)
{
        add_text(l, l->host);
        if (l->count[0] + l->count[1] == 0)
                read_hosts(l);
        if (l->count[0] + l->count[1] == 0 &&
                (dns_name_equal(l->host, "localhost") || dns_name_is_below(l->host, "localhost"))) {
                add_text(l, "::1");
                add_text(l, "127.0.0.1");
        }
        return l->count[0] + l->count[1] > 0;
}

struct dns_lookup *dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e)
{
        struct dns_lookup *l = calloc(1, sizeof *l);
        if (!l || !(l->host = text_dup(host))) {
                free(l);
                err_memory(e);
                return NULL;
        }
        l->dns = d;
        l->done = done;
        l->arg = arg;
        l->at = &d->lookups;
        l->next = d->lookups;
        if (l->next)
                l->next->at = &l->next;
        d->lookups = l;
        bool good;
        if (is_known(l)) {
                l->known = loop_defer(d->loop, known, l);
                good = l->known || err_memory(e);
        } else {
                l->query[0] = dns_ask_resolver(d, host, DNS_AAAA, 0, v6_answered, l, e);
                l->query[1] = l->query[0] ? dns_ask_resolver(d, host, DNS_A, 0, v4_answered, l, e) : NULL;
                good = l->query[1] != NULL;
        }
        if (!good) {
                lookup_free(l);
                return NULL;
        }
        return l;
}

void dns_lookup_cancel(struct dns_lookup *l)
{
        if (l)
                lookup_free(l);
}
