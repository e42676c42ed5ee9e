/* The engine and the journal's writer: how what a turn of the loop queued gets there, how its answers come back, and
 * what is said of those that are refused: once for all, by far not as often as it happens. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

#define CALM_MS 10000 /* so long it took everything: the trouble is over */

bool engine_commit(struct engine *g, struct store_batch *own, store_done_fn *done, void *arg, struct err *e)
{
        return store_commit_own(g->store, own, done, arg, e);
}

static void refused(struct engine *g, const struct err *err)
{
        struct refusals *r = &g->refusals;
        char what[120] = "writing the journal", span[40];
        int64_t now_ms = clock_boot_ms();
        if (err->kind == ERR_BUG) /* of one row, whatever the disk does */
                return log_err("", what, err);
        if (g->calm)
                timer_stop(g->calm);
        g->is_calm = false;
        if (!refusals_note(r, err->code, now_ms))
                return;
        format_span((now_ms - r->since_ms) / 1000, span, sizeof span);
        if (r->count > 1)
                snprintf(what, sizeof what, "writing the journal, refused %llu times in %s",
                        (unsigned long long)r->count, span);
        log_err("", what, err);
}

static void calmed(void *arg)
{
        struct engine *g = arg;
        struct refusals *r = &g->refusals;
        unsigned long long count = r->count;
        char span[40];
        format_span((r->last_ms - r->since_ms) / 1000, span, sizeof span);
        g->is_calm = false;
        if (refusals_over(r))
                log_info("", "the journal takes what is written again; it refused %llu in %s", count, span);
}

static void told(void *arg, const struct err *err)
{
        struct engine *g = arg;
        if (err)
                return refused(g, err);
        if (g->refusals.count == 0 || g->is_calm)
                return;
        g->is_calm = g->calm || timer_new(&g->calm, g->loop, calmed, g, NULL);
        if (g->is_calm)
                timer_start(g->calm, CALM_MS);
}

void engine_commit_logged(struct engine *g, struct store_batch *own)
{
        struct err e;
        if (!store_commit_own(g->store, own, NULL, NULL, &e))
                refused(g, &e);
}

static void woken(uv_async_t *async)
{
        struct engine *g = async->data;
        store_dispatch(g->store);
}

static void wake(void *arg)
{
        (void)uv_async_send(arg); /* fails only for a closed handle: the loop is ending */
}

/* The jobs that were moved in one turn of the loop share a transaction: it is written before the loop waits. */
static void turn_over(uv_prepare_t *prepare)
{
        struct engine *g = prepare->data;
        (void)uv_prepare_stop(prepare);
        store_write(g->store);
}

static void queued(void *arg)
{
        (void)uv_prepare_start(arg, turn_over); /* cannot fail */
}

/* How the loop and the writer tell each other. */
static bool open_handles(struct engine *g, struct err *e)
{
        g->turn = calloc(1, sizeof *g->turn);
        if (!g->turn)
                return err_memory(e);
        (void)uv_prepare_init(loop_uv(g->loop), g->turn); /* cannot fail */
        g->turn->data = g;
        g->wake = calloc(1, sizeof *g->wake);
        if (!g->wake)
                return err_memory(e);
        g->wake->data = g;
        if (uv_async_init(loop_uv(g->loop), g->wake, woken) != 0) {
                free(g->wake);
                g->wake = NULL;
                return err_set(e, ERR_TEMPORARY, "loop", "the loop takes no more handles");
        }
        return true;
}

bool engine_open_journal(struct engine *g, enum store_origin *ret_origin, struct err *e)
{
        CLEANUP(free_p) char *path = text_format("%s/dcvd.db", g->conf->state_directory);
        if (!path)
                return err_memory(e);
        if (!open_handles(g, e))
                return false;
        struct store_conf conf = { .path = path,
                .migrations = journal_migrations,
                .migration_count = journal_migration_count,
                .wake = wake,
                .wake_arg = g->wake,
                .queued = queued,
                .queued_arg = g->turn,
                .told = told,
                .told_arg = g };
        return store_open(&g->store, &conf, ret_origin, e);
}

void engine_close_journal(struct engine *g)
{
        if (g->store)
                store_close(g->store);
        timer_free(g->calm);
        if (g->wake)
                uv_close((uv_handle_t *)g->wake, (uv_close_cb)free);
        if (g->turn)
                uv_close((uv_handle_t *)g->turn, (uv_close_cb)free);
}
