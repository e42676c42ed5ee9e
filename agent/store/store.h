/* SQLite in WAL mode with synchronous=FULL: one writer thread that commits everything queued as one transaction (group commit) and
 * answers on the loop. It knows no row's meaning: the job room hands it SQL with bound values. */
#ifndef DCVD_STORE_STORE_H
#define DCVD_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct store;
struct store_batch;

/* One ordered list of migrations, index 0 makes version 1. Applied in one transaction each, user_version set with it. */
struct store_conf {
        const char *path;
        const char *const *migrations;
        size_t migration_count;
        void (*wake)(void *arg); /* called in the writer's thread when answers are waiting: hands over to the loop (uv_async_send) */
        void *wake_arg;
        void (*queued)(void *arg); /* called when the first batch waits for store_write; NULL: none waits for that */
        void *queued_arg;
        void (*told)(void *arg, const struct err *err); /* what became of each batch, before its own callback; NULL: nobody wants that */
        void *told_arg;
};
enum store_origin { STORE_NEW, STORE_EXISTING };
/* Opens or creates (0600); PRAGMA quick_check; ERR_CONFIG "store.damaged" (names the file and what to do), "store.newer" (made by a newer
 * dcvd: untouched). Blocking: before the loop runs. */
bool store_open(struct store **ret, const struct store_conf *conf, enum store_origin *ret_origin, struct err *e);
void store_close(struct store *s); /* commits what is queued, delivers no callback, joins the thread, checkpoints */
/* To be called on the loop after wake: runs the callbacks that are due, each once. */
void store_dispatch(struct store *s);

/* A batch is a list of statements committed together or not at all. Values are copied. Types: 'i' int64_t, 't' const char * (NULL ok),
 * 'b' const void *, size_t, 'n' null; so store_batch_add(b, "UPDATE jobs SET state=?,due=? WHERE id=?", "tii", ...). */
/* Besides SQLite's own functions there is sha256_hex(text). */
struct store_batch *store_batch_new(void);
bool store_batch_add(struct store_batch *b, const char *sql, const char *types, ...);
void store_batch_must_change(struct store_batch *b); /* its last statement, a row: else it fails, ERR_BUG "store.absent" */
void store_batch_free(struct store_batch *b); /* NULL allowed */
size_t store_batch_count(const struct store_batch *b);

/* Takes the batch (also on failure). done runs on the loop after COMMIT (err NULL) or after the rollback (err: ERR_TEMPORARY disk, memory;
 * ERR_BUG constraint). If one batch of a group fails, the others are committed without it. last_rowid: of the batch's last INSERT. */
typedef void store_done_fn(void *arg, int64_t last_rowid, const struct err *err);
bool store_commit_own(struct store *s, struct store_batch *b, store_done_fn *done, void *arg, struct err *e);
/* Hands to the writer what was queued since the last call, as one transaction: to be called when a turn of the loop is over. */
void store_write(struct store *s);
/* Waits for everything queued: for the end of a program and for start-up. Dispatches the callbacks. */
bool store_flush(struct store *s, struct err *e);

/* Reads what is committed. Blocking, without waiting for the writer; for start-up, one-shot programs, and rows by key on the loop
 * (microseconds). What its callback commits is written after it. */
struct store_row; /* valid during the callback */
typedef bool store_row_fn(void *arg, const struct store_row *row); /* false stops */
bool store_query(struct store *s, const char *sql, const char *types, store_row_fn *fn, void *arg, struct err *e, ...);
int64_t row_i64(const struct store_row *row, int column); /* 0 for null */
const char *row_text(const struct store_row *row, int column); /* NULL for null */
const void *row_blob(const struct store_row *row, int column, size_t *ret_len);
bool row_is_null(const struct store_row *row, int column);

#endif
