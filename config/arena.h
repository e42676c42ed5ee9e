/* Memory that is given back in one piece: YAML trees while a configuration is read, and the configuration itself. Equal
 * texts and equal arrays are kept once, so that ten thousand certificates that differ in a name cost little more than
 * the names. Chunks are mapped, not from the heap: dropping a tree really returns its pages. */
#ifndef DCVD_CONFIG_ARENA_H
#define DCVD_CONFIG_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;
struct arena_slot;
struct arena {
        struct arena_chunk *chunk;
        size_t used; /* bytes of the newest chunk */
        struct arena_slot *slot; /* the hash table of arena_same(); freed by arena_seal() */
        size_t slot_cap, slot_count;
};

void arena_done(struct arena *a);
void *arena_take(struct arena *a, size_t size); /* zeroed, aligned for anything; NULL: memory */
char *arena_text(struct arena *a, const char *text, size_t len); /* a copy, NUL-terminated */
/* One block for all equal ones: must not be written to afterwards. NULL: memory. */
void *arena_same(struct arena *a, const void *data, size_t size);
char *arena_same_text(struct arena *a, const char *text); /* NULL in, NULL out */
void arena_seal(struct arena *a); /* no arena_same() after this finds an earlier block */

#endif
