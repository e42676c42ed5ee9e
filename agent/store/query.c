/* Reads. They go by the writer's connection while nothing is to be committed: at a start, and in a program that issues
 * one certificate, always; a second one would parse the whole schema again. What is queued meanwhile waits for the
 * query, as does the loop. While the writer commits they have a connection of their own, and do not wait for it (WAL).
 */
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

struct store_row {
        sqlite3_stmt *stmt;
};

static bool run(struct connection *c, sqlite3_stmt *stmt, store_row_fn *fn, void *arg, struct err *e)
{
        const struct store_row row = { .stmt = stmt };
        int rc;
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
                if (fn && !fn(arg, &row))
                        return true;
        return rc == SQLITE_DONE || connection_err(c, sqlite3_sql(stmt), e);
}

/* Never another file than the one that is written. */
static bool reader_open(struct store *s, struct err *e)
{
        return s->reader.db ||
                (store_is_ours(s, e) && connection_open(&s->reader, s->path, SQLITE_OPEN_READONLY, e) &&
                        connection_exec(&s->reader, "PRAGMA cache_size=-512", e));
}

static struct connection *borrow(struct store *s, struct err *e)
{
        pthread_mutex_lock(&s->lock);
        bool idle = !s->queue && !s->committing;
        s->borrowed += idle;
        pthread_mutex_unlock(&s->lock);
        if (idle)
                return &s->writer;
        return reader_open(s, e) ? &s->reader : NULL;
}

static void give_back(struct store *s, const struct connection *c)
{
        if (c != &s->writer)
                return;
        pthread_mutex_lock(&s->lock);
        if (--s->borrowed == 0 && s->queue)
                pthread_cond_signal(&s->queued);
        pthread_mutex_unlock(&s->lock);
}

static bool query(struct connection *c, const struct statement *statement, store_row_fn *fn, void *arg, struct err *e)
{
        sqlite3_stmt *stmt;
        if (!connection_take(c, statement, &stmt, e))
                return false;
        bool good = sqlite3_stmt_readonly(stmt) ? run(c, stmt, fn, arg, e)
                                                : err_set(e, ERR_BUG, "store.sql", "not a read: %s", statement->sql);
        connection_give(c, stmt);
        return good;
}

bool store_query(struct store *s, const char *sql, const char *types, store_row_fn *fn, void *arg, struct err *e, ...)
{
        va_list ap;
        va_start(ap, e);
        CLEANUP(free_p) struct statement *statement = statement_new(sql, types, ap);
        va_end(ap);
        if (!statement)
                return err_memory(e);
        struct connection *c = borrow(s, e);
        if (!c)
                return false;
        bool good = query(c, statement, fn, arg, e);
        give_back(s, c);
        return good;
}

int64_t row_i64(const struct store_row *row, int column)
{
        return sqlite3_column_int64(row->stmt, column);
}

const char *row_text(const struct store_row *row, int column)
{
        return (const char *)sqlite3_column_text(row->stmt, column);
}

const void *row_blob(const struct store_row *row, int column, size_t *ret_len)
{
        const void *data = sqlite3_column_blob(row->stmt, column);
        *ret_len = (size_t)sqlite3_column_bytes(row->stmt, column);
        return data;
}

bool row_is_null(const struct store_row *row, int column)
{
        return sqlite3_column_type(row->stmt, column) == SQLITE_NULL;
}
