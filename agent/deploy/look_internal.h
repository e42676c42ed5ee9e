/* The inside of a look: look.c looks, look_points.c says at what. */
#ifndef DCVD_DEPLOY_LOOK_INTERNAL_H
#define DCVD_DEPLOY_LOOK_INTERNAL_H

#include "agent/deploy/deploy.h"
#include "agent/net/address.h"
#include "agent/net/dns.h"
#include "agent/net/tls_look.h"

#define ENDPOINTS_MAX 512

struct look_run;
struct look_group { /* points of which one stands in for those that say nothing */
        int64_t matched_ms; /* boot time when the first of them had shown the certificate; 0: not yet */
};
struct look_host { /* a configured endpoint that is a name: its addresses become points */
        struct look_run *run;
        struct look_group *group;
        char *text, *name, *sni, *service; /* text: as configured */
        uint16_t port;
        enum tls_protocol protocol;
        struct dns_lookup *lookup;
        int64_t again_ms;
        bool done;
};
struct point { /* one address with one name */
        struct look_run *run;
        struct look_endpoint out;
        struct address address;
        struct tls_look *look;
        struct look_group *group; /* of its service, or of the name it is an address of */
        struct point *lead; /* of a listener that was found: the first name that is tried there; else itself */
        bool automatic; /* found, not configured: counts only if it presents one of our names */
        bool named; /* an address of a configured name */
        bool refused; /* nobody listened there the last time */
        bool tried, silent; /* of a lead: something was said there; nothing was, for all the time it had */
        bool drop;
        unsigned in_a_row;
        int64_t began_ms, again_ms;
        bool done;
};
struct look_run {
        struct loop *loop;
        struct dns *dns;
        struct timer *timer;
        struct point *point;
        size_t count, running;
        struct look_host *host;
        size_t host_count;
        struct look_group *group; /* one for each service and each host */
        size_t group_count;
        char want[65];
        const char *algorithms;
        struct texts names;
        unsigned in_a_row;
        int64_t start_ms, until_ms;
        look_done_fn *done;
        void *arg;
};

bool look_add_all(struct look_run *r, const struct look_request *q, struct err *e);
void look_host_plan(struct look_host *h, int64_t now_ms); /* looks its addresses up when that is due */
void look_hosts_done(struct look_run *r);
void look_plan(struct look_run *r); /* goes on with what is due; may end the run */

#endif
