/* The inside of the store, for this room and its tests only. */
#ifndef DCVD_STORE_STORE_INTERNAL_H
#define DCVD_STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/types.h>

#include "agent/store/store.h"

#define STATEMENT_CACHE 64

/* One SQL text with its bound values, one allocation. */
struct value {
        char type; /* 'i' 't' 'b' 'n' */
        int64_t i;
        const void *data;
        size_t len;
};
struct statement {
        struct statement *next;
        const char *sql;
        bool must_change; /* a row */
        size_t count;
        struct value value[];
};
struct statement *statement_new(const char *sql, const char *types, va_list ap); /* NULL: memory */

struct store_batch {
        struct store_batch *next; /* in the queue, then in the list of answers */
        struct statement *first, *last;
        size_t count;
        bool failed; /* an add ran out of memory: not to be committed */
        store_done_fn *done;
        void *arg;
        int64_t last_rowid;
        const struct err *err; /* NULL: committed; allocated, or the constant for "no memory" */
};
void batch_fail(struct store_batch *b, const struct err *err);

/* What the writer says around a group: so often that it is prepared once. */
enum control { CONTROL_BEGIN, CONTROL_COMMIT, CONTROLS };

/* A connection with its prepared statements, least recently used first to go. Used by one thread at a time; stays where
 * it is. */
struct connection {
        sqlite3 *db;
        const char *path; /* borrowed from the store */
        struct cached {
                sqlite3_stmt *stmt;
                uint64_t used;
                bool busy;
        } cache[STATEMENT_CACHE];
        uint64_t clock;
        sqlite3_stmt *control[CONTROLS];
        bool preparing; /* a batch's or a query's SQL: no BEGIN, COMMIT, SAVEPOINT */
};
bool connection_open(struct connection *c, const char *path, int flags, struct err *e);
void connection_close(struct connection *c);
bool connection_exec(struct connection *c, const char *sql, struct err *e);
bool connection_control(struct connection *c, enum control which, struct err *e);
/* First column of the first row. */
bool connection_i64(struct connection *c, const char *sql, int64_t *ret, struct err *e);
/* The prepared statement of this SQL, values bound. Given back with connection_give. */
bool connection_take(struct connection *c, const struct statement *s, sqlite3_stmt **ret, struct err *e);
void connection_give(struct connection *c, sqlite3_stmt *stmt);
/* Fills e from the connection's last error: disk, memory and locks are ERR_TEMPORARY; damage is ERR_CONFIG; the rest
 * ERR_BUG. */
bool connection_err(const struct connection *c, const char *what, struct err *e);
bool store_damaged(const char *path, const char *why, struct err *e);

struct journal_found {
        bool content; /* else it is empty */
        bool log; /* a write-ahead log with something in it */
};
/* Looks at the files without writing to them: kind, owner, mode, header, version. Makes an absent one. known: how many
 * migrations there are. */
bool journal_look(const char *path, size_t known, struct journal_found *ret, struct err *e);
/* Reads the content: version, PRAGMA quick_check. What it refuses stays as it is when the connection is closed. */
bool journal_check(struct connection *c, const struct journal_found *f, size_t known, struct err *e);
bool journal_migrate(struct connection *c, const struct store_conf *conf, enum store_origin *ret_origin, struct err *e);

/* Which files we write to: a commit into a file that was removed or replaced would be lost. */
struct file_identity {
        dev_t dev;
        ino_t ino;
};

struct store {
        char *path, *wal_path;
        struct connection writer; /* the thread's while it commits, else whoever queries borrows it */
        struct connection reader; /* for queries meanwhile; opened when it is needed first */
        struct file_identity journal_id, wal_id;
        void (*wake)(void *arg);
        void *wake_arg;
        void (*queued_fn)(void *arg);
        void *queued_arg;
        void (*told_fn)(void *arg, const struct err *err);
        void *told_arg;
        pthread_t thread;
        bool thread_runs;
        struct store_batch *turn, **turn_end; /* queued in this turn of the loop, which alone sees them */
        size_t turn_count;

        pthread_mutex_t lock; /* all below */
        pthread_cond_t queued, answered;
        struct store_batch *queue, **queue_end;
        size_t queue_count;
        struct store_batch *answers, **answers_end;
        size_t answer_count;
        bool stop, committing;
        unsigned borrowed; /* queries that run by the writer's connection, one inside the other */
        uint64_t commits; /* transactions that reached COMMIT with success */
};
void *writer_main(void *arg); /* arg: struct store */
bool file_identity_of(const char *path, struct file_identity *ret);
bool store_is_ours(const struct store *s, struct err *e); /* path and -wal lead to the files that we write */
/* Takes the oldest answer off the list; NULL if none. */
struct store_batch *store_answer(struct store *s);
/* For tests and metrics: how many transactions were committed. */
uint64_t store_commit_count(struct store *s);

#endif
