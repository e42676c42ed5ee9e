/* The engine and the journal's writer: how what a turn of the loop queued gets there, and how its answers come back. */
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

bool engine_commit(struct engine *g, struct store_batch *own, store_done_fn *done, void *arg, struct err *e)
{
        return store_commit_own(g->store, own, done, arg, e);
}

static void logged(void *arg, int64_t rowid, const struct err *e)
{
        (void)arg;
        (void)rowid;
        if (e)
                log_err("", "writing the journal", e);
}

void engine_commit_logged(struct engine *g, struct store_batch *own)
{
        struct err e;
        if (!store_commit_own(g->store, own, logged, NULL, &e))
                log_err("", "writing the journal", &e);
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
                .queued_arg = g->turn };
        return store_open(&g->store, &conf, ret_origin, e);
}

void engine_close_journal(struct engine *g)
{
        if (g->store)
                store_close(g->store);
        if (g->wake)
                uv_close((uv_handle_t *)g->wake, (uv_close_cb)free);
        if (g->turn)
                uv_close((uv_handle_t *)g->turn, (uv_close_cb)free);
}
