/* From whatever version the journal has to the newest, one transaction a step. */
#include <stdio.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

static bool references_hold(struct connection *c, size_t version, struct err *e)
{
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(c->db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        bool good = rc == SQLITE_DONE;
        if (rc == SQLITE_ROW)
                err_set(e, ERR_BUG, "store.migration", "migration %zu breaks a reference of table %s", version,
                        (const char *)sqlite3_column_text(stmt, 0));
        else if (!good)
                connection_err(c, "PRAGMA foreign_key_check", e);
        (void)sqlite3_finalize(stmt); /* repeats the step's error */
        return good;
}

static bool step(struct connection *c, const char *sql, size_t version, struct err *e)
{
        char set[48];
        snprintf(set, sizeof set, "PRAGMA user_version=%zu", version);
        if (connection_exec(c, "BEGIN IMMEDIATE", e) && connection_exec(c, sql, e) && connection_exec(c, set, e) &&
                references_hold(c, version, e) && connection_exec(c, "COMMIT", e))
                return true;
        if (!sqlite3_get_autocommit(c->db))
                (void)connection_exec(c, "ROLLBACK", NULL); /* the first error is the one to tell */
        return err_wrap(e, "migration %zu", version);
}

bool journal_migrate(struct connection *c, const struct store_conf *conf, enum store_origin *ret_origin, struct err *e)
{
        int64_t version;
        /* Rebuilding a table needs the references off; they are checked as a whole before each COMMIT. */
        if (!connection_i64(c, "PRAGMA user_version", &version, e) || !connection_exec(c, "PRAGMA foreign_keys=OFF", e))
                return false;
        for (size_t i = (size_t)version; i < conf->migration_count; i++)
                if (!step(c, conf->migrations[i], i + 1, e))
                        return false;
        *ret_origin = version == 0 ? STORE_NEW : STORE_EXISTING;
        return connection_exec(c, "PRAGMA foreign_keys=ON", e);
}
