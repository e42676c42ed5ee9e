/* The writer's thread and the group commit.
 *
 * 1. Everything queued is taken at once and becomes one transaction: one fsync for all of it.
 * 2. If one batch fails, or the transaction itself is lost (disk full, I/O error), all of it is undone and the batches
 * are tried one by one: a bad one takes no other with it, and a small one still gets in where a large one did not.
 * After three in a row that the disk refuses, the rest is given the same answer without being tried. (A SAVEPOINT for
 * each batch would undo the bad one alone, but copies every page before each batch changes it, for a failure that is a
 * bug.)
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/base/crash.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

#define REFUSALS 3

bool file_identity_of(const char *path, struct file_identity *ret)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return false;
        *ret = (struct file_identity){ .dev = st.st_dev, .ino = st.st_ino };
        return true;
}

static bool same_file(const char *path, const struct file_identity *want)
{
        struct file_identity is;
        return file_identity_of(path, &is) && is.dev == want->dev && is.ino == want->ino;
}

/* SQLite goes on writing into a file that was unlinked: after a restart nothing of it would be there. */
bool store_is_ours(const struct store *s, struct err *e)
{
        if (same_file(s->path, &s->journal_id) && same_file(s->wal_path, &s->wal_id))
                return true;
        err_set(e, ERR_TEMPORARY, "store.gone", "journal %s or its -wal was removed or replaced while dcvd runs",
                s->path);
        return err_fix(e, "restore both files, then restart dcvd; nothing is sent until then");
}

static bool run(struct connection *c, struct store_batch *b, struct err *e)
{
        sqlite3_set_last_insert_rowid(c->db, 0);
        for (const struct statement *s = b->first; s; s = s->next) {
                sqlite3_stmt *stmt;
                int rc;
                if (!connection_take(c, s, &stmt, e))
                        return false;
                while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
                        continue; /* RETURNING and pragmas answer with rows; nobody asked for them here */
                bool good = rc == SQLITE_DONE || connection_err(c, s->sql, e);
                connection_give(c, stmt);
                if (good && s->must_change && sqlite3_changes(c->db) == 0)
                        good = err_set(
                                e, ERR_BUG, "store.absent", "journal %s: there is no such row: %s", c->path, s->sql);
                if (!good)
                        return false;
        }
        b->last_rowid = sqlite3_last_insert_rowid(c->db);
        return true;
}

static void roll_back(struct connection *c)
{
        if (!sqlite3_get_autocommit(c->db))
                (void)connection_exec(c, "ROLLBACK", NULL); /* the error that led here is the one to tell */
}

static bool commit(struct store *s, struct err *e)
{
        crash_point("store.before-commit");
        if (!connection_control(&s->writer, CONTROL_COMMIT, e))
                return false;
        crash_point("store.after-commit");
        pthread_mutex_lock(&s->lock);
        s->commits++;
        pthread_mutex_unlock(&s->lock);
        return true;
}

/* One transaction over the whole list. False: nothing of it is in the journal. */
static bool commit_all(struct store *s, struct store_batch *group, struct err *e)
{
        struct connection *c = &s->writer;
        if (!store_is_ours(s, e) || !connection_control(c, CONTROL_BEGIN, e))
                return false;
        bool good = true;
        for (struct store_batch *b = group; good && b; b = b->next)
                good = run(c, b, e);
        if (good && commit(s, e))
                return true;
        roll_back(c);
        return false;
}

static void commit_each(struct store *s, struct store_batch *group)
{
        struct err e = { 0 };
        unsigned refused = 0;
        for (struct store_batch *b = group, *next; b; b = next) {
                next = b->next;
                b->next = NULL;
                if (refused >= REFUSALS) {
                        batch_fail(b, &e);
                } else {
                        struct err why = { 0 };
                        if (!commit_all(s, b, &why))
                                batch_fail(b, &why);
                        bool disk = b->err && b->err->kind == ERR_TEMPORARY;
                        refused = disk ? refused + 1 : 0;
                        if (disk)
                                e = *b->err;
                }
                b->next = next;
        }
}

static void commit_group(struct store *s, struct store_batch *group)
{
        struct err e = { 0 };
        if (commit_all(s, group, &e))
                return;
        if (group->next)
                commit_each(s, group);
        else
                batch_fail(group, &e);
}

static struct store_batch *take_queue(struct store *s)
{
        struct store_batch *group = s->queue;
        s->queue = NULL;
        s->queue_end = &s->queue;
        s->queue_count = 0;
        s->committing = group != NULL;
        return group;
}

static void answer(struct store *s, struct store_batch *group)
{
        *s->answers_end = group;
        for (struct store_batch *b = group; b; b = b->next) {
                s->answers_end = &b->next;
                s->answer_count++;
        }
        s->committing = false;
        pthread_cond_broadcast(&s->answered);
}

void *writer_main(void *arg)
{
        struct store *s = arg;
        pthread_mutex_lock(&s->lock);
        for (;;) {
                while ((!s->queue || s->borrowed) && !s->stop)
                        pthread_cond_wait(&s->queued, &s->lock);
                struct store_batch *group = take_queue(s);
                if (!group)
                        break; /* told to stop, and everything is committed */
                pthread_mutex_unlock(&s->lock);
                commit_group(s, group);
                pthread_mutex_lock(&s->lock);
                answer(s, group);
                pthread_mutex_unlock(&s->lock);
                if (s->wake)
                        s->wake(s->wake_arg);
                pthread_mutex_lock(&s->lock);
        }
        pthread_mutex_unlock(&s->lock);
        return NULL;
}
