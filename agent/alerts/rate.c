#include "agent/alerts/rate.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/address.h"

#define BUCKETS 4096

struct rate {
        unsigned burst;
        int64_t interval_ms;
        uint8_t seed[16]; /* nobody can choose whom to share a bucket with */
        int64_t free_at_ms[BUCKETS]; /* when a bucket is full again */
};

struct rate *rate_new(unsigned burst, int64_t interval_ms)
{
        struct rate *r = calloc(1, sizeof *r);
        if (!r)
                return NULL;
        r->burst = burst;
        r->interval_ms = interval_ms;
        random_bytes(r->seed, sizeof r->seed);
        return r;
}

void rate_free(struct rate *r)
{
        free(r);
}

/* One host has a whole IPv6 network of 64 bits. */
static int64_t *bucket(struct rate *r, const struct address *source)
{
        uint8_t text[16 + 1 + 8] = { 0 }, hash[32];
        memcpy(text, r->seed, sizeof r->seed);
        if (source && source->family == AF_INET) {
                text[16] = 4;
                memcpy(text + 17, &source->ip.v4, 4);
        } else if (source) {
                text[16] = 6;
                memcpy(text + 17, &source->ip.v6, 8);
        }
        sha256(text, sizeof text, hash);
        return &r->free_at_ms[((unsigned)hash[0] << 8 | hash[1]) % BUCKETS];
}

bool rate_may(struct rate *r, const struct address *source, int64_t now_ms, int64_t *ret_wait_s)
{
        int64_t full_ms = (int64_t)r->burst * r->interval_ms, at_ms = MAX(*bucket(r, source), now_ms);
        int64_t over_ms = at_ms + r->interval_ms - now_ms - full_ms;
        if (over_ms <= 0)
                return true;
        *ret_wait_s = (over_ms + 999) / 1000;
        return false;
}

void rate_spend(struct rate *r, const struct address *source, int64_t now_ms)
{
        int64_t *at = bucket(r, source);
        *at = MAX(*at, now_ms) + r->interval_ms;
}
