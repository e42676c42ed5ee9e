/* Reads, on a connection of their own: a reader never waits for the writer (WAL). */
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

bool store_query(struct store *s, const char *sql, const char *types, store_row_fn *fn, void *arg, struct err *e, ...)
{
        va_list ap;
        va_start(ap, e);
        CLEANUP(free_p) struct statement *statement = statement_new(sql, types, ap);
        va_end(ap);
        sqlite3_stmt *stmt;
        if (!statement)
                return err_memory(e);
        if (!connection_take(&s->reader, statement, &stmt, e))
                return false;
        bool good = sqlite3_stmt_readonly(stmt) ? run(&s->reader, stmt, fn, arg, e)
                                                : err_set(e, ERR_BUG, "store.sql", "not a read: %s", sql);
        connection_give(&s->reader, stmt);
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
