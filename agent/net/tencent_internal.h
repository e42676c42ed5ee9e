/* Inside the Tencent Cloud client: what its files share. */
#ifndef DCVD_NET_TENCENT_INTERNAL_H
#define DCVD_NET_TENCENT_INTERNAL_H

#include "agent/base/secret.h"
#include "agent/net/tencent_api.h"
#include "agent/net/tencent_limit.h"

#define ACTION_MAX 64
#define LANES_MAX 32
#define HEADERS_MAX 8

/* The calls of one action: those that wait, in order, and what the limit knows. */
struct lane {
        struct tencent_api *api;
        char action[ACTION_MAX];
        struct tencent_limit limit;
        struct tencent_call *first, *last;
        struct timer *timer;
};

struct tencent_call {
        struct tencent_api *api;
        struct lane *lane;
        struct tencent_call *prev, *next; /* all calls of the api */
        struct tencent_call *waits_after; /* in the lane */
        bool waits;
        bool write, corrected;
        char action[ACTION_MAX];
        char *body;
        unsigned faults, throttles;
        int64_t begun_ms;
        struct http_call *http;
        struct timer *again;
        tencent_done_fn *done;
        void *arg;
};

struct tencent_api {
        struct loop *loop;
        struct http *http;
        char *url, *host, *service, *version, *name, *ca_bundle;
        bool plain;
        struct secret_ref secret_id, secret_key, token;
        bool has_token;
        int64_t clock_offset_s;
        bool seen_date;
        int64_t date_s, date_boot_ms;
        struct lane *lane[LANES_MAX];
        size_t lane_count;
        struct tencent_call *calls;
};

struct tencent_headers {
        char *text[HEADERS_MAX + 1]; /* NULL-terminated */
        size_t count;
        bool failed;
};
bool tencent_headers_make(struct tencent_call *c, struct tencent_headers *h, struct err *e);
void tencent_headers_done(struct tencent_headers *h); /* wipes: they carry the token */

#endif
