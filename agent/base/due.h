/* The heap of due times: what must happen at which wall time. Intrusive: an entry costs its own bytes and nothing else,
 * so that ten thousand certificates at rest are ten thousand heap entries. Not thread-safe: it belongs to the loop. */
#ifndef DCVD_BASE_DUE_H
#define DCVD_BASE_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct due_entry {
        int64_t due_ms; /* wall time */
        size_t index; /* place in the heap + 1; 0 = not in it */
};
struct due_heap {
        struct due_entry **entry;
        size_t count, cap;
};

void due_heap_done(struct due_heap *h);
/* Inserts, or moves if it is already in. False: memory; the entry is then where it was. */
bool due_set(struct due_heap *h, struct due_entry *entry, int64_t due_ms);
void due_clear(struct due_heap *h, struct due_entry *entry); /* no-op if not in */
struct due_entry *due_first(const struct due_heap *h); /* the earliest, NULL if empty; not removed */
struct due_entry *due_pop(struct due_heap *h, int64_t now_ms); /* removes and returns one that is due, else NULL */

#endif
