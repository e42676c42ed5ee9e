/* How often one address may fail or ask without being known: a fixed table of buckets. Addresses that share a bucket
 * share its allowance; nothing grows, nothing is forgotten early. */
#ifndef DCVD_ALERTS_RATE_H
#define DCVD_ALERTS_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct address;
struct rate;

/* burst at once, then one each interval_ms. NULL: memory. */
struct rate *rate_new(unsigned burst, int64_t interval_ms);
void rate_free(struct rate *r); /* NULL allowed */
/* source NULL: a local socket. False: none is left; ret_wait_s: until there is one. */
bool rate_may(struct rate *r, const struct address *source, int64_t now_ms, int64_t *ret_wait_s);
void rate_spend(struct rate *r, const struct address *source, int64_t now_ms);

#endif
