#include "agent/base/due.h"

#include <stdlib.h>

void due_heap_done(struct due_heap *h)
{
        for (size_t i = 0; i < h->count; i++)
                h->entry[i]->index = 0;
        free(h->entry);
        *h = (struct due_heap){ 0 };
}

static void place(struct due_heap *h, size_t at, struct due_entry *entry)
{
        h->entry[at] = entry;
        entry->index = at + 1;
}

static void sift_up(struct due_heap *h, size_t at)
{
        struct due_entry *entry = h->entry[at];
        while (at > 0 && h->entry[(at - 1) / 2]->due_ms > entry->due_ms) {
                place(h, at, h->entry[(at - 1) / 2]);
                at = (at - 1) / 2;
        }
        place(h, at, entry);
}

static void sift_down(struct due_heap *h, size_t at)
{
        struct due_entry *entry = h->entry[at];
        for (size_t child; (child = 2 * at + 1) < h->count; at = child) {
                if (child + 1 < h->count && h->entry[child + 1]->due_ms < h->entry[child]->due_ms)
                        child++;
                if (h->entry[child]->due_ms >= entry->due_ms)
                        break;
                place(h, at, h->entry[child]);
        }
        place(h, at, entry);
}

static bool grow(struct due_heap *h)
{
        if (h->count < h->cap)
                return true;
        size_t cap = h->cap ? 2 * h->cap : 16;
        struct due_entry **more = realloc(h->entry, cap * sizeof *more);
        if (!more)
                return false;
        h->entry = more;
        h->cap = cap;
        return true;
}

bool due_set(struct due_heap *h, struct due_entry *entry, int64_t due_ms)
{
        if (entry->index == 0) {
                if (!grow(h))
                        return false;
                entry->due_ms = due_ms;
                h->entry[h->count] = entry;
                sift_up(h, h->count++);
                return true;
        }
        entry->due_ms = due_ms;
        sift_up(h, entry->index - 1);
        sift_down(h, entry->index - 1);
        return true;
}

void due_clear(struct due_heap *h, struct due_entry *entry)
{
        if (entry->index == 0)
                return;
        size_t at = entry->index - 1;
        struct due_entry *last = h->entry[--h->count];
        entry->index = 0;
        if (last == entry)
                return;
        place(h, at, last);
        sift_up(h, at);
        sift_down(h, last->index - 1);
}

struct due_entry *due_first(const struct due_heap *h)
{
        return h->count ? h->entry[0] : NULL;
}

struct due_entry *due_pop(struct due_heap *h, int64_t now_ms)
{
        struct due_entry *first = due_first(h);
        if (!first || first->due_ms > now_ms)
                return NULL;
        due_clear(h, first);
        return first;
}
