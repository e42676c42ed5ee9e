/* Does every authoritative address (for a file: every address of the host) show the proof? And after withdrawal: does
 * none? I7: no shared resolver is asked anything at or below the proof's owner before every authoritative address shows
 * it. */
#ifndef DCVD_VALIDATORS_PROPAGATION_H
#define DCVD_VALIDATORS_PROPAGATION_H

#include "agent/net/address.h"
#include "agent/net/dns.h"
#include "config/config.h"
#include "validators/proof.h"

struct http;
struct loop;
struct propagation;
struct propagation_engine;

/* Shares zone cuts, server addresses (kept 60 s) and channels between all that run. */
bool propagation_engine_open(
        struct propagation_engine **ret, struct loop *loop, struct dns *dns, struct http *http, struct err *e);
void propagation_engine_close(struct propagation_engine *g); /* cancels what runs */

struct propagation_request {
        const struct proof *proof; /* copied */
        bool gone; /* wait until no address shows it any more */
        bool no_resolvers; /* not even last: what is there now must not be remembered (a rehearsal's probe) */
        bool internal; /* the CA is not a public one: a file's redirect may lead to private names and addresses */
        const struct conf_propagation *conf; /* copied */
};
enum propagation_look {
        LOOK_PENDING,
        LOOK_SEEN,
        LOOK_ABSENT,
        LOOK_OTHER, /* only other values */
        LOOK_SILENT,
        LOOK_LAME, /* no AA, REFUSED, upward referral */
        LOOK_ERROR, /* SERVFAIL and the like; FILE: a status that is not 200 */
        LOOK_IGNORED
};
const char *propagation_look_name(enum propagation_look l);
struct propagation_server {
        const char *zone; /* that holds the final name */
        const char *name; /* of the name server; FILE: the host; a resolver: "resolver" */
        struct address address; /* family 0: none is known, the server is pending for want of one */
        enum propagation_look look;
        enum dns_transport transport;
        int rcode; /* -1: none yet; FILE: HTTP status */
        bool aa, resolver, has_serial;
        uint32_t serial;
        int64_t rtt_us;
        int64_t seen_after_ms; /* since start; -1 if not seen */
        unsigned in_a_row;
        char saw[200]; /* escaped: the values it showed, or what went wrong */
};
struct propagation_state {
        const struct propagation_server *server;
        size_t count, seen, wanted; /* wanted: how many the quorum asks for */
        int64_t elapsed_ms, left_ms;
        char text[400]; /* for people: "ns2 (192.0.2.7) still at serial 41; 3 of 4 agree; timeout in 6 m" */
};
/* changed (NULL ok): when a server's look changes, at most every 100 ms. done: once; err NULL = everywhere (or gone).
 * Failures: ERR_TEMPORARY "propagation.timeout" naming the servers that lack it, "propagation.blocked" ("port 53 is
 * blocked from here (0 of 8 addresses, 3 zones)"), ERR_CONFIG "propagation.no-zone". state is readable in done too. */
typedef void propagation_changed_fn(void *arg, const struct propagation_state *state);
typedef void propagation_done_fn(void *arg, const struct propagation_state *state, const struct err *err);
struct propagation *propagation_start(struct propagation_engine *g, const struct propagation_request *r,
        propagation_changed_fn *changed, propagation_done_fn *done, void *arg, struct err *e);
void propagation_cancel(struct propagation *p); /* NULL allowed */

/* The zone that holds name, found as above, at the authoritative servers: for rfc2136 and the checks. */
struct zone_cut {
        char zone[DNS_NAME_TEXT];
        char primary[DNS_NAME_TEXT]; /* SOA MNAME */
        uint32_t serial;
};
struct zone_find;
typedef void zone_found_fn(void *arg, const struct zone_cut *cut, const struct err *err);
struct zone_find *zone_find_start(
        struct propagation_engine *g, const char *name, zone_found_fn *done, void *arg, struct err *e);
void zone_find_cancel(struct zone_find *z); /* NULL allowed */

#endif
