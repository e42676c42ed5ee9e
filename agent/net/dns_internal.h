/* The inside of net/dns: dns.c has the questions, dns_channel.c one c-ares channel per address and transport,
 * dns_lookup.c host names. */
#ifndef DCVD_NET_DNS_INTERNAL_H
#define DCVD_NET_DNS_INTERNAL_H

#include <ares.h>
#include <uv.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"

#if ARES_VERSION >= 0x011700
typedef ares_channel_t *dns_ares;
#else
typedef ares_channel dns_ares;
#endif

#define DNS_WINDOW 256 /* questions outstanding at one address */
#define DNS_TRIES 2
#define DNS_BUCKETS 64
#define RESOLVERS_MAX 8

struct dns_channel {
        struct dns *dns;
        struct dns_channel *next; /* in its bucket */
        struct address server;
        enum dns_transport transport;
        dns_ares ares;
        struct dns_query *waiting, **waiting_tail; /* not sent yet */
        struct dns_query *sent, **sent_tail; /* in order of (last) sending: the first is the first to repeat */
        size_t outstanding;
        struct timer *timer; /* repeats and ends, while anything is outstanding */
        int64_t timer_due_ms;
        int64_t used_ms; /* boot time of the last use */
        int64_t srtt_us, rttvar_us; /* RFC 6298; 0: not measured */
        int64_t answered_us; /* last time */
        bool repeats; /* a question that is not answered in time is sent again */
        bool plain; /* knows no EDNS */
        bool stale; /* gets no new questions */
        bool filling;
};

/* One packet handed to c-ares: it cannot be taken back, so it outlives its question, which then is NULL. */
struct dns_send {
        struct dns_channel *channel;
        struct dns_query *query;
};

struct dns_query {
        struct dns *dns;
        struct dns_query *next_all, **at_all; /* in dns->first */
        struct dns_query *next, **at; /* in a list of its channel; at NULL: in none */
        struct dns_channel *channel;
        dns_done_fn *done;
        void *arg;
        char *name;
        uint16_t type;
        unsigned flags;
        bool any; /* TCP follows when UDP is truncated or silent */
        bool resolvers; /* then the next resolver */
        size_t resolver;
        unsigned tries; /* sends so far in this channel */
        bool edns; /* the last one had an OPT record */
        struct dns_send *send[DNS_TRIES]; /* those c-ares still holds */
        int64_t asked_us, sent_us;
};

struct dns {
        struct loop *loop;
        uint16_t port;
        struct dns_channel *bucket[DNS_BUCKETS];
        size_t channels;
        struct dns_query *first;
        struct dns_lookup *lookups;
        struct timer *sweep;
        bool sweeping;
        struct address resolver[RESOLVERS_MAX];
        size_t resolver_count;
        bool follow; /* /etc/resolv.conf */
        int64_t read_mtime_ns, checked_ms;
        uint16_t random[128];
        unsigned random_left;
        bool closing;
};

/* dns_channel.c */
struct dns_channel *dns_channel_get(struct dns *d, const struct address *server, enum dns_transport t, struct err *e);
void dns_channel_ask(struct dns_channel *c, struct dns_query *q);
void dns_channel_leave(struct dns_query *q);
void dns_channel_close(struct dns_channel *c);
void dns_sweep(void *dns);

/* dns.c */
void dns_query_ended(struct dns_query *q, const struct dns_answer *answer);
uint16_t dns_random_id(struct dns *d);
void dns_refresh_resolvers(struct dns *d);
void dns_count(const struct dns_query *q, const struct dns_answer *a);

#endif
