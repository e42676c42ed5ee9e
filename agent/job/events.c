/* Telling those who follow: dcvctl on a terminal, the tests. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

#define PROGRESS_SIZE 400

struct engine_listener *engine_listen(struct engine *g, engine_event_fn *fn, void *arg)
{
        return engine_listen_for(g, NULL, fn, arg);
}

struct engine_listener *engine_listen_for(struct engine *g, engine_wants_fn *wants, engine_event_fn *fn, void *arg)
{
        struct engine_listener *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        l->l.fn = fn;
        l->l.wants = wants;
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

static bool is_wanted(const struct job *j)
{
        for (const struct engine_listener *l = j->engine->listener; l; l = l->next)
                if (!l->l.wants || l->l.wants(l->l.arg, j->row.id, j->row.waiting != NULL))
                        return true;
        return false;
}

void job_emit(struct job *j, const char *text)
{
        if (!is_wanted(j))
                return;
        json_t *o = job_status_json(j);
        json_put_text(o, "text", text);
        engine_emit(j->engine, o);
}

/* Most jobs of many wait in line and have nothing to say. */
void job_set_progress(struct job *j, const char *format, ...)
{
        char line[PROGRESS_SIZE];
        va_list ap;
        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        char *copy = text_dup(line);
        if (!copy)
                return; /* the line of before stays */
        free(j->progress);
        j->progress = copy;
}

void job_note(struct job *j, const char *format, ...)
{
        struct buf b = { .max = 2000 };
        va_list ap;
        va_start(ap, format);
        buf_addv(&b, format, ap);
        va_end(ap);
        log_info(j->row.cert, "job %lld: %s", (long long)j->row.id, b.data ? b.data : "");
        job_set_progress(j, "%s", b.data ? b.data : "");
        job_emit(j, b.data ? b.data : "");
        buf_done(&b);
}
