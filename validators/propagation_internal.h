/* The inside of the propagation engine: zone.c finds zones and their servers, zone_servers.c holds what was found,
 * propagation.c runs one wait, propagation_servers.c says whom it asks,
 * propagation_dns.c, propagation_file.c and propagation_tls.c look
 * once. */
#ifndef DCVD_VALIDATORS_PROPAGATION_INTERNAL_H
#define DCVD_VALIDATORS_PROPAGATION_INTERNAL_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "agent/net/tls_look.h"
#include "validators/propagation.h"

#define SERVERS_MAX 64
#define NS_MAX 16

struct zone_server {
        char *name;
        struct address address;
};
struct zone_lost { /* a name server of which no address is known */
        char *name;
        char why[200];
};
struct zone { /* cached for ZONE_KEEP_MS; shared, counted */
        struct zone *next;
        char *owner; /* the name that was asked for */
        struct zone_cut cut;
        struct zone_server server[SERVERS_MAX];
        size_t count;
        struct zone_lost lost[NS_MAX];
        size_t lost_count;
        int64_t until_ms;
        unsigned users;
};
struct propagation_engine {
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        struct zone *zones;
        struct zone_find *finds;
        struct propagation *runs;
};

/* Like zone_find_start, with the servers. zone is borrowed in the callback; zone_hold keeps it. */
typedef void zone_servers_fn(void *arg, struct zone *zone, const struct err *err);
struct zone_find *zone_servers_start(
        struct propagation_engine *g, const char *name, zone_servers_fn *done, void *arg, struct err *e);
struct zone *zone_hold(struct zone *z);
void zone_release(struct zone *z);
void zones_drop(struct propagation_engine *g);
struct zone *zone_kept(struct propagation_engine *g, const char *name); /* borrowed; NULL: none */

/* What zone.c fills in. False: no memory. */
bool zone_add_server(struct zone *z, const char *name, const struct address *address);
bool zone_add_lost(struct zone *z, const char *name, const char *why);
void zone_forget_servers(struct zone *z);

struct glue { /* addresses of name servers that came along with an answer */
        struct zone_server at[SERVERS_MAX];
        size_t count;
};
/* Of the servers in ns, from the additional section; only names below bailiwick, the zone of who answered. */
void glue_take(struct glue *g, const struct dns_message *m, const struct texts *ns, const char *bailiwick);
void glue_done(struct glue *g);

struct look { /* one server or address of one run */
        struct propagation *run;
        struct propagation_server s;
        struct dns_query *query;
        struct http_call *http;
        struct tls_look *tls;
        int64_t next_ms; /* boot time of the next look; 0: under way */
        unsigned silent; /* in a row */
        bool done; /* shown often enough */
        bool lost; /* a name server without an address: nothing can be asked, nor is it passed over */
        bool extra; /* a resolver that is asked last: what it says is shown, it decides nothing */
        char *name;
        struct texts trail; /* of a file: the URLs of this look, as redirects lead */
        bool secure; /* of a file: over https from the start, which suffices at some CAs */
        enum propagation_look plain; /* what http said before */
        int plain_rcode;
        char plain_saw[200];
};
struct propagation {
        struct propagation_engine *engine;
        struct propagation *next, **at;
        struct proof proof;
        bool gone, no_resolvers, internal;
        struct conf_propagation conf;
        propagation_changed_fn *changed;
        propagation_done_fn *done;
        void *arg;
        char *owner; /* the final name, behind aliases */
        unsigned aliases;
        struct texts visited;
        struct zone *zone;
        struct zone_find *find;
        int64_t again_ms; /* boot time when the servers without an address are looked for again */
        struct dns_lookup *lookup;
        struct deferred *begin;
        struct timer *timer;
        struct look *look;
        size_t count;
        bool settling, asking_resolvers, told_dirty;
        int64_t start_ms, told_ms, settled_ms;
        struct propagation_server *copy; /* what the state shows */
};

int64_t run_interval_ms(const struct propagation *p);
void run_drop_looks(struct propagation *p);
void run_start_looks(struct propagation *p); /* those that are pending */
void run_check(struct propagation *p); /* after every look and every tick; may end the run */
void run_finish(struct propagation *p, const struct err *err); /* ends it */
void run_find_zone(struct propagation *p);
void run_use_resolvers(struct propagation *p);
void run_host_known(void *arg, const struct address *list, size_t count, const struct err *err);
bool run_lacks_address(const struct propagation *p); /* a name server without one is waited for: one may turn up */
void run_find_lost(struct propagation *p);
void look_result(struct look *l, enum propagation_look what); /* after s was filled: counts, tells, plans */
void look_later(struct look *
                l); /* it could not even be asked: again in a second; ends nothing, so it may be called from the tick */
void look_dns(struct look *l);
void look_file(struct look *l);
void look_tls(struct look *l);
void run_follow_alias(struct propagation *p, const char *target);
bool run_add(
        struct propagation *p, const char *zone, const char *name, const struct address *a, bool resolver, bool extra);

#endif
