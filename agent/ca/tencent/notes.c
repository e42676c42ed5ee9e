#include "agent/ca/tencent/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many as there can be certificates; beyond, the oldest is dropped. */
#define NOTES_MAX 20000

void tc_notes_done(struct tc_notes *n)
{
        free(n->item);
        *n = (struct tc_notes){ 0 };
}

struct tc_note *tc_notes_find(struct tc_notes *n, const char *id)
{
        for (size_t i = 0; id && *id && i < n->count; i++)
                if (strcmp(n->item[i].id, id) == 0)
                        return &n->item[i];
        return NULL;
}

static struct tc_note *place(struct tc_notes *n)
{
        if (n->count == NOTES_MAX)
                return &n->item[n->oldest++ % NOTES_MAX];
        if (n->count == n->cap) {
                size_t cap = n->cap ? n->cap * 2 : 8;
                struct tc_note *more = realloc(n->item, cap * sizeof *more);
                if (!more)
                        return NULL;
                n->item = more;
                n->cap = cap;
        }
        return &n->item[n->count++];
}

struct tc_note *tc_notes_get(struct tc_notes *n, const char *id)
{
        struct tc_note *found = tc_notes_find(n, id);

        if (found || !(found = place(n)))
                return found;
        *found = (struct tc_note){ 0 };
        snprintf(found->id, sizeof found->id, "%s", id);
        return found;
}

void tc_notes_forget(struct tc_notes *n, const char *id)
{
        struct tc_note *found = tc_notes_find(n, id);

        if (found)
                *found = n->item[--n->count];
}
