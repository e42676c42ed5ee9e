/* Telling those who follow: dcvctl on a terminal, the tests. */
#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/job/internal.h"

struct engine_listener *engine_listen(struct engine *g, engine_event_fn *fn, void *arg)
{
        struct engine_listener *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        l->l.fn = fn;
        l->l.arg = arg;
        l->next = g->listener;
        g->listener = l;
        return l;
}

void engine_unlisten(struct engine *g, struct engine_listener *l)
{
        for (struct engine_listener **at = &g->listener; l && *at; at = &(*at)->next)
                if (*at == l) {
                        *at = l->next;
                        free(l);
                        return;
                }
}

void engine_emit(struct engine *g, json_t *event_own)
{
        for (struct engine_listener *l = g->listener, *next; event_own && l; l = next) {
                next = l->next; /* fn may unlisten itself */
                l->l.fn(l->l.arg, event_own);
        }
        json_decref(event_own);
}

void job_emit(struct job *j, const char *text)
{
        if (!j->engine->listener)
                return;
        json_t *o = job_status_json(j);
        json_put_text(o, "text", text);
        engine_emit(j->engine, o);
}

void job_note(struct job *j, const char *format, ...)
{
        struct buf b = { .max = 2000 };
        va_list ap;
        va_start(ap, format);
        buf_addv(&b, format, ap);
        va_end(ap);
        log_info(j->row.cert, "job %lld: %s", (long long)j->row.id, b.data ? b.data : "");
        if (b.data) {
                size_t n = b.len < sizeof j->progress - 1 ? b.len : sizeof j->progress - 1;
                memcpy(j->progress, b.data, n);
                j->progress[n] = '\0';
        }
        job_emit(j, b.data ? b.data : "");
        buf_done(&b);
}
