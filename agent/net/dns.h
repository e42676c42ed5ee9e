/* Asking name servers, on c-ares and the loop: one glue file. Two channels per server address (UDP with EDNS and no
 * silent TCP fallback, TCP), shared by everybody, so that the caller knows which transport answered. A window per
 * address keeps at most 256 questions outstanding, the rest wait in order; the first time-out comes from the measured
 * round trip. */
#ifndef DCVD_NET_DNS_H
#define DCVD_NET_DNS_H

#include "agent/net/address.h"
#include "agent/net/dns_message.h"

struct loop;
struct dns;

struct dns_conf {
        const char *const
                *resolvers; /* "192.0.2.53", "[2001:db8::53]:53"; NULL-terminated; NULL: /etc/resolv.conf, followed */
        uint16_t port; /* of authoritative servers; 0 = 53 */
};
void dns_count_declare(void); /* its metric, before the first question */
bool dns_open(struct dns **ret, struct loop *loop, const struct dns_conf *conf, struct err *e);
void dns_close(struct dns *d); /* cancels what runs: no callback */
bool dns_configure(struct dns *d, const struct dns_conf *conf, struct err *e); /* SIGHUP */
uint16_t dns_port(const struct dns *d);

enum dns_transport { DNS_UDP, DNS_TCP };
enum dns_outcome {
        DNS_ANSWERED, /* message is there, whatever its rcode */
        DNS_TIMEOUT, /* silent after all tries */
        DNS_UNREACHABLE, /* connection refused, no route */
        DNS_MALFORMED, /* answered, but not with a message that can be read */
        DNS_FAILED, /* our side: memory, files; err has it */
};
enum {
        DNS_RECURSE = 1,
        DNS_WANT_AD = 2,
        DNS_CHECKING_DISABLED = 4,
        DNS_WANT_DNSSEC = 8,
        DNS_WITHOUT_EDNS = 16
}; /* flags */

struct dns_answer {
        enum dns_outcome outcome;
        const struct dns_message *message; /* DNS_ANSWERED; valid during the callback */
        enum dns_transport transport;
        bool plain; /* the server refused EDNS (FORMERR): this is its answer to a question without */
        int64_t rtt_us;
        const struct err *err; /* unless ANSWERED: what a person reads */
};
struct dns_query;
typedef void dns_done_fn(void *arg, const struct dns_answer *answer);
/* One question to one address over one transport; port 0 in server means the configured one. name in presentation form.
 * Returns NULL (and fills e) only for a bad name or no memory. At most 2 tries; a query ends within 6 s of being sent,
 * and one that waits for the window of a server that answered nothing for 6 s ends unsent, as timed out. */
struct dns_query *dns_ask(struct dns *d, const struct address *server, enum dns_transport transport, const char *name,
        uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e);
void dns_cancel(struct dns_query *q); /* NULL allowed */

/* UDP first, TCP when truncated or silent: what most callers want. The answer's transport says which one it was. */
struct dns_query *dns_ask_any(struct dns *d, const struct address *server, const char *name, uint16_t type,
        unsigned flags, dns_done_fn *done, void *arg, struct err *e);

/* The same question at the configured recursive resolvers, in order until one answers. Mind I7: never for a challenge
 * name. */
struct dns_query *dns_ask_resolver(
        struct dns *d, const char *name, uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e);
size_t dns_resolver_count(const struct dns *d);
const struct address *dns_resolver(const struct dns *d, size_t i);

/* All A and AAAA of a host (numeric texts, localhost and /etc/hosts included), port 0, v6 first; duplicates dropped, at
 * most 32. count 0 comes with err: "dns.no-address" if there is none, another code if that could not be found out. */
struct dns_lookup;
typedef void dns_lookup_fn(void *arg, const struct address *list, size_t count, const struct err *err);
struct dns_lookup *dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e);
void dns_lookup_cancel(struct dns_lookup *l); /* NULL allowed */

/* Counters for dcvd_dns_queries_total are kept in base/metrics by this module. */

#endif
