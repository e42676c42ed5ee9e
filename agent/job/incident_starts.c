/* What alerts started by themselves, for the storm brake: in memory, and after a restart from the journal's jobs. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/incident_brake.h"
#include "agent/job/incident_internal.h"

#define STARTS_MAX 20000 /* the newest: more than any sensible limit counts */

struct starts { /* oldest first */
        struct start_note {
                char *cert;
                int64_t at_s;
        } * list;
        size_t count, cap;
};

static bool push(struct starts *s, const char *cert, int64_t at_s)
{
        if (s->count == STARTS_MAX) {
                free(s->list[0].cert);
                memmove(s->list, s->list + 1, --s->count * sizeof *s->list);
        }
        if (s->count == s->cap) {
                size_t cap = s->cap ? 2 * s->cap : 16;
                struct start_note *more = realloc(s->list, cap * sizeof *more);
                if (!more)
                        return false;
                s->list = more;
                s->cap = cap;
        }
        s->list[s->count++] = (struct start_note){ text_dup(cert), at_s };
        return true;
}

void starts_free(struct starts *s)
{
        for (size_t i = 0; s && i < s->count; i++)
                free(s->list[i].cert);
        if (s)
                free(s->list);
        free(s);
}

static bool start_row(void *arg, const struct store_row *row)
{
        return push(arg, row_text(row, 1), row_i64(row, 0));
}

bool starts_load(struct engine *g, struct err *e)
{
        int64_t window_s = MAX(g->conf->limit_window_ms, g->conf->limit_cooldown_ms) / 1000;
        g->incidents->starts = calloc(1, sizeof(struct starts));
        if (!g->incidents->starts)
                return err_memory(e);
        return store_query(g->store,
                "SELECT created, cert FROM (SELECT id, created, cert FROM job WHERE trigger = 'alert' AND created > ?"
                " ORDER BY id DESC LIMIT ?) ORDER BY id",
                "ii", start_row, g->incidents->starts, e, clock_now_s() - MAX(window_s, 3600), (int64_t)STARTS_MAX);
}

void starts_note(struct engine *g, const char *cert)
{
        if (!push(g->incidents->starts, cert, clock_now_s()))
                log_warning(cert, "no memory: the storm brake does not count this start");
}

int64_t starts_until_s(struct engine *g, const char *cert)
{
        const struct conf *conf = g->conf;
        const struct starts *s = g->incidents->starts;
        struct brake_limits l = { conf->limit_automatic_per_hour, conf->limit_per_certificate,
                conf->limit_window_ms / 1000, conf->limit_cooldown_ms / 1000 };
        CLEANUP(free_p) struct brake_start *list = calloc(s->count + 1, sizeof *list);
        int64_t now_s = clock_now_s();
        if (!list)
                return now_s + 60;
        for (size_t i = 0; i < s->count; i++) {
                const struct start_note *n = &s->list[s->count - 1 - i];
                list[i] = (struct brake_start){ n->at_s, n->cert && strcmp(n->cert, cert) == 0 };
        }
        return brake_until(&l, list, s->count, now_s);
}
