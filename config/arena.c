#include "config/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_FIRST (16 * 1024)
#define CHUNK_MOST (1024 * 1024)
#define ALIGN 8

struct arena_chunk {
        struct arena_chunk *older;
        size_t size;
};
struct arena_slot {
        void *block;
        size_t size;
        uint64_t hash;
};

void arena_done(struct arena *a)
{
        arena_seal(a);
        while (a->chunk) {
                struct arena_chunk *older = a->chunk->older;
                munmap(a->chunk, a->chunk->size);
                a->chunk = older;
        }
        a->used = 0;
}

static bool add_chunk(struct arena *a, size_t need)
{
        size_t size = a->chunk ? a->chunk->size * 2 : CHUNK_FIRST;

        if (size > CHUNK_MOST)
                size = CHUNK_MOST;
        if (need > SIZE_MAX / 2)
                return false;
        while (size < need + sizeof(struct arena_chunk))
                size *= 2;
        struct arena_chunk *c = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c == MAP_FAILED)
                return false;
        c->older = a->chunk;
        c->size = size;
        a->chunk = c;
        a->used = sizeof *c;
        return true;
}

void *arena_take(struct arena *a, size_t size)
{
        if (size > SIZE_MAX - ALIGN)
                return NULL;
        size = (size + ALIGN - 1) / ALIGN * ALIGN;
        if ((!a->chunk || a->chunk->size - a->used < size) && !add_chunk(a, size))
                return NULL;
        void *block = (char *)a->chunk + a->used;
        a->used += size;
        return block;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
        char *copy = len == SIZE_MAX ? NULL : arena_take(a, len + 1);

        if (copy)
                memcpy(copy, text, len);
        return copy;
}

/* FNV-1a; the keys are our own configuration, and the table only saves memory. */
static uint64_t hash_of(const void *data, size_t size)
{
        const unsigned char *byte = data;
        uint64_t hash = 14695981039346656037u;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ byte[i]) * 1099511628211u;
        return hash;
}

static struct arena_slot *slot_for(struct arena_slot *slot, size_t cap, const void *data, size_t size, uint64_t hash)
{
        size_t i = (size_t)hash & (cap - 1);

        while (slot[i].block &&
                (slot[i].hash != hash || slot[i].size != size || memcmp(slot[i].block, data, size) != 0))
                i = (i + 1) & (cap - 1);
        return &slot[i];
}

static bool grow_slots(struct arena *a)
{
        if (a->slot_count * 4 < a->slot_cap * 3)
                return true;
        size_t cap = a->slot_cap ? a->slot_cap * 2 : 256;
        struct arena_slot *slot = calloc(cap, sizeof *slot);

        if (!slot)
                return false;
        for (size_t i = 0; i < a->slot_cap; i++)
                if (a->slot[i].block)
                        *slot_for(slot, cap, a->slot[i].block, a->slot[i].size, a->slot[i].hash) = a->slot[i];
        free(a->slot);
        a->slot = slot;
        a->slot_cap = cap;
        return true;
}

void *arena_same(struct arena *a, const void *data, size_t size)
{
        if (!grow_slots(a))
                return NULL;
        uint64_t hash = hash_of(data, size);
        struct arena_slot *s = slot_for(a->slot, a->slot_cap, data, size, hash);

        if (s->block)
                return s->block;
        void *block = arena_take(a, size);
        if (!block)
                return NULL;
        memcpy(block, data, size);
        *s = (struct arena_slot){ .block = block, .size = size, .hash = hash };
        a->slot_count++;
        return block;
}

char *arena_same_text(struct arena *a, const char *text)
{
        return text ? arena_same(a, text, strlen(text) + 1) : NULL;
}

void arena_seal(struct arena *a)
{
        free(a->slot);
        a->slot = NULL;
        a->slot_cap = a->slot_count = 0;
}
