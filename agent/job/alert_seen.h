/* The replay memory's table: hashes with an end, bounded, never evicting. incident.h has what callers use. */
#ifndef DCVD_JOB_ALERT_SEEN_H
#define DCVD_JOB_ALERT_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen_entry {
        uint8_t hash[32];
        int64_t expires_s; /* 0: free */
        int64_t incident;
        bool pending; /* its commit runs: nobody is told yet that it was taken */
};
/* The hashes of what waits for one commit; zero-initialised is empty. */
struct seen_pending {
        uint8_t (*hash)[32];
        size_t count, cap;
};
void seen_pending_done(struct seen_pending *p);
struct seen_table { /* zero-initialised is empty */
        struct seen_entry *entry; /* open addressing */
        size_t cap, count, max;
        int64_t first_end_s; /* none is over before; 0: empty */
        uint64_t rebuilds; /* how often what was over was left out */
};
void seen_table_done(struct seen_table *t);
void seen_hash(const char *source, const char *key, uint8_t ret[32]);
/* NULL: not there, or over. */
struct seen_entry *seen_table_find(struct seen_table *t, const uint8_t hash[32], int64_t now_s);
/* An entry that is over makes room. False: full of living ones (*ret_full), or no memory. */
bool seen_table_put(struct seen_table *t, const struct seen_entry *entry, int64_t now_s, bool *ret_full);
/* What became of the commit of one that was pending: known from now on, or as if it had never come. */
void seen_table_settle(struct seen_table *t, const uint8_t hash[32], bool on_disk);
int64_t seen_table_first_end(const struct seen_table *t); /* none is over before; 0: empty */

#endif
