#include "validators/direct.h"

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/net/loop.h"

struct publish_call {
        struct direct_list *list;
        struct publish_call *next;
        struct deferred *deferred;
        publish_done_fn *done;
        void *arg;
        char *handle;
        struct err err;
};

static void unlist(struct publish_call *c)
{
        for (struct publish_call **at = &c->list->first; *at; at = &(*at)->next)
                if (*at == c) {
                        *at = c->next;
                        return;
                }
}

static void answer(void *arg)
{
        struct publish_call *c = arg;
        unlist(c);
        c->done(c->arg, c->err.kind == ERR_NONE ? c->handle : NULL, c->err.kind == ERR_NONE ? NULL : &c->err);
        free(c->handle);
        free(c);
}

struct publish_call *direct_answer(struct direct_list *l, const char *handle, const struct err *err,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = calloc(1, sizeof *c);
        if (!c || !(c->handle = text_dup(handle ? handle : "")) || !(c->deferred = loop_defer(l->loop, answer, c))) {
                if (c)
                        free(c->handle);
                free(c);
                err_memory(e);
                return NULL;
        }
        c->list = l;
        c->done = done;
        c->arg = arg;
        if (err)
                c->err = *err;
        c->next = l->first;
        l->first = c;
        return c;
}

void direct_cancel(struct direct_list *l, struct publish_call *c)
{
        loop_undefer(l->loop, c->deferred);
        unlist(c);
        free(c->handle);
        free(c);
}

void direct_done(struct direct_list *l)
{
        while (l->first)
                direct_cancel(l, l->first);
}
