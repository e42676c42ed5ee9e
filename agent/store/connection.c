/* One SQLite connection: its errors in our kinds, its prepared statements. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

#define BUSY_MS 5000
#define TEXT_MAX (64 * 1024 * 1024)

bool store_damaged(const char *path, const char *why, struct err *e)
{
        err_set(e, ERR_CONFIG, "store.damaged", "journal %s is damaged: %s", path, why);
        return err_fix(e,
                "restore it (with %s-wal, from the same moment) from a backup, or move both away: dcvd then rebuilds "
                "the "
                "journal from its sets and starts nothing by itself for the cooldown",
                path);
}

#define MAKE_ROOM "make room on the disk of"
#define SEE_DISK "see dmesg and look at the disk of"
#define UNMOUNTED "mount writable again the disk of"
#define OPENABLE "let dcvd open (files, mode, owner, LimitNOFILE=)"
#define OTHERS "end what else has open"

static const struct {
        int rc;
        const char *code, *fix; /* fix: followed by the journal's path */
} temporary[] = {
        { SQLITE_FULL, "store.full", MAKE_ROOM },
        { SQLITE_IOERR, "store.io", SEE_DISK },
        { SQLITE_NOMEM, "memory", NULL },
        { SQLITE_READONLY, "store.read-only", UNMOUNTED },
        { SQLITE_CANTOPEN, "store.open", OPENABLE },
        { SQLITE_PERM, "store.open", OPENABLE },
        { SQLITE_BUSY, "store.busy", OTHERS },
        { SQLITE_LOCKED, "store.busy", OTHERS },
        { SQLITE_PROTOCOL, "store.busy", OTHERS },
        { SQLITE_INTERRUPT, "store.busy", OTHERS },
        { SQLITE_NOLFS, "store.full", MAKE_ROOM },
};

/* SQLite has one code for whatever a disk refuses; what the system said of it is what a person can mend. */
static int what_to_mend(int rc, int system_error)
{
        int base = rc & 0xff;
        bool said = (base == SQLITE_IOERR && rc != SQLITE_IOERR_NOMEM) || base == SQLITE_CANTOPEN;
        if (said && system_error == EROFS)
                return SQLITE_READONLY;
        if (said && (system_error == ENOSPC || system_error == EDQUOT))
                return SQLITE_FULL;
        return base;
}

bool connection_err(const struct connection *c, const char *what, struct err *e)
{
        int last = errno; /* of this step: see forget_errno */
        int rc = c->db ? sqlite3_extended_errcode(c->db) : SQLITE_NOMEM;
        const char *why = c->db ? sqlite3_errmsg(c->db) : "out of memory";
        int system_error = c->db ? sqlite3_system_errno(c->db) : 0;
        if (last && (rc & 0xff) == SQLITE_IOERR)
                system_error = last; /* a step does not keep it: that may be an older one */
        int mend = what_to_mend(rc, system_error);
        for (size_t i = 0; i < ARRAY_LEN(temporary); i++)
                if (temporary[i].rc == mend) {
                        err_set(e, ERR_TEMPORARY, temporary[i].code, "journal %s: %s: %s (SQLite %d%s%s)", c->path,
                                what, why, rc, system_error ? ", " : "", system_error ? strerror(system_error) : "");
                        return temporary[i].fix ? err_fix(e, "%s %s", temporary[i].fix, c->path) : false;
                }
        if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
                return store_damaged(c->path, why, e);
        return err_set(e, ERR_BUG, (rc & 0xff) == SQLITE_CONSTRAINT ? "store.constraint" : "store.sql",
                "journal %s: %s: %s (SQLite %d)", c->path, what, why, rc);
}

/* A batch that ended the group's transaction would commit half of its neighbours. */
static int no_transactions(void *arg, int action, const char *a, const char *b, const char *d, const char *t)
{
        const struct connection *c = arg;
        (void)a, (void)b, (void)d, (void)t;
        return c->preparing && (action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT) ? SQLITE_DENY : SQLITE_OK;
}

/* sha256_hex(text): so that a chain of hashes can be made inside the transaction that orders its links. */
static void sha256_hex_function(sqlite3_context *context, int count, sqlite3_value **value)
{
        char hex[65];
        (void)count;
        const unsigned char *text = sqlite3_value_text(value[0]);
        if (!text)
                return sqlite3_result_null(context);
        sha256_hex(text, (size_t)sqlite3_value_bytes(value[0]), hex);
        sqlite3_result_text(context, hex, -1, SQLITE_TRANSIENT);
}

bool connection_open(struct connection *c, const char *path, int flags, struct err *e)
{
        *c = (struct connection){ .path = path };
        int rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
        if (rc != SQLITE_OK) {
                connection_err(c, "opening", e);
                connection_close(c);
                return false;
        }
        (void)sqlite3_busy_timeout(c->db, BUSY_MS); /* another program that looks into the file */
        (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        (void)sqlite3_create_function(
                c->db, "sha256_hex", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sha256_hex_function, NULL, NULL);
        (void)sqlite3_set_authorizer(c->db, no_transactions, c);
        (void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, TEXT_MAX);
        (void)sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
        /* Before the schema is read: it makes SQLite forget that. */
        if (connection_exec(c, "PRAGMA temp_store=MEMORY", e))
                return true;
        connection_close(c);
        return false;
}

void connection_close(struct connection *c)
{
        for (size_t i = 0; i < STATEMENT_CACHE; i++)
                (void)sqlite3_finalize(c->cache[i].stmt); /* repeats the last error of its use */
        for (size_t i = 0; i < CONTROLS; i++)
                (void)sqlite3_finalize(c->control[i]);
        (void)sqlite3_close(c->db); /* all statements are gone: cannot be busy */
        *c = (struct connection){ 0 };
}

/* Before a step: what it leaves there then is its own. */
static void forget_errno(void)
{
        errno = 0;
}

bool connection_exec(struct connection *c, const char *sql, struct err *e)
{
        forget_errno();
        return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK || connection_err(c, sql, e);
}

bool connection_control(struct connection *c, enum control which, struct err *e)
{
        static const char *const sql[] = { [CONTROL_BEGIN] = "BEGIN IMMEDIATE", [CONTROL_COMMIT] = "COMMIT" };
        sqlite3_stmt **stmt = &c->control[which];
        if (!*stmt && sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
                return connection_err(c, sql[which], e);
        forget_errno();
        bool good = sqlite3_step(*stmt) == SQLITE_DONE || connection_err(c, sql[which], e);
        (void)sqlite3_reset(*stmt); /* repeats the error that its step reported */
        return good;
}

bool connection_i64(struct connection *c, const char *sql, int64_t *ret, struct err *e)
{
        sqlite3_stmt *stmt = NULL;
        forget_errno();
        bool good = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW;
        if (good)
                *ret = sqlite3_column_int64(stmt, 0);
        else
                connection_err(c, sql, e);
        (void)sqlite3_finalize(stmt);
        return good;
}

static bool bind(struct connection *c, sqlite3_stmt *stmt, const struct statement *s, struct err *e)
{
        if ((size_t)sqlite3_bind_parameter_count(stmt) != s->count)
                return err_set(e, ERR_BUG, "store.sql", "%d parameters but %zu values: %s",
                        sqlite3_bind_parameter_count(stmt), s->count, s->sql);
        for (size_t i = 0; i < s->count; i++) {
                const struct value *v = &s->value[i];
                int at = (int)i + 1, rc;
                switch (v->type) {
                case 'i':
                        rc = sqlite3_bind_int64(stmt, at, v->i);
                        break;
                case 't':
                        rc = sqlite3_bind_text64(stmt, at, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
                        break;
                case 'b':
                        rc = sqlite3_bind_blob64(stmt, at, v->data, v->len, SQLITE_STATIC);
                        break;
                case 'n':
                        rc = sqlite3_bind_null(stmt, at);
                        break;
                default:
                        return err_set(e, ERR_BUG, "store.sql", "value type '%c' is unknown: %s", v->type, s->sql);
                }
                if (rc != SQLITE_OK)
                        return connection_err(c, s->sql, e);
        }
        return true;
}

static bool prepare(struct connection *c, const char *sql, sqlite3_stmt **ret, struct err *e)
{
        const char *tail = NULL;
        sqlite3_stmt *stmt = NULL;
        c->preparing = true;
        int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
        c->preparing = false;
        if (rc != SQLITE_OK)
                return connection_err(c, sql, e);
        if (!stmt || tail[strspn(tail, " \t\r\n;")] != '\0') {
                (void)sqlite3_finalize(stmt);
                return err_set(e, ERR_BUG, "store.sql", "not exactly one statement: %s", sql);
        }
        *ret = stmt;
        return true;
}

/* The place of this SQL, or of the one to give way; NULL when all are in use, or this SQL itself is (a query inside the
 * callback of the same query). */
static struct cached *place(struct connection *c, const char *sql)
{
        struct cached *oldest = NULL;
        for (size_t i = 0; i < STATEMENT_CACHE; i++) {
                struct cached *at = &c->cache[i];
                if (at->stmt && strcmp(sqlite3_sql(at->stmt), sql) == 0)
                        return at->busy ? NULL : at;
                if (!at->busy && (!oldest || at->used < oldest->used))
                        oldest = at;
        }
        return oldest;
}

bool connection_take(struct connection *c, const struct statement *s, sqlite3_stmt **ret, struct err *e)
{
        struct cached *at = place(c, s->sql);
        sqlite3_stmt *stmt = at && at->stmt && strcmp(sqlite3_sql(at->stmt), s->sql) == 0 ? at->stmt : NULL;
        if (!stmt && !prepare(c, s->sql, &stmt, e))
                return false;
        if (at && at->stmt != stmt) {
                (void)sqlite3_finalize(at->stmt); /* repeats the last error of its use */
                at->stmt = stmt;
        }
        if (at) {
                at->used = ++c->clock;
                at->busy = true;
        }
        if (!bind(c, stmt, s, e)) {
                connection_give(c, stmt);
                return false;
        }
        *ret = stmt;
        forget_errno();
        return true;
}

void connection_give(struct connection *c, sqlite3_stmt *stmt)
{
        for (size_t i = 0; i < STATEMENT_CACHE; i++)
                if (c->cache[i].stmt == stmt) {
                        (void)sqlite3_reset(stmt); /* repeats the error that its step reported */
                        (void)sqlite3_clear_bindings(stmt); /* the values are the batch's and go with it */
                        c->cache[i].busy = false;
                        return;
                }
        (void)sqlite3_finalize(stmt); /* one beside the cache */
}
