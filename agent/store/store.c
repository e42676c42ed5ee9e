/* Opening and closing, the queue to the writer, the answers on the loop. */
#include "agent/store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/crash.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

#define QUEUE_MAX 100000
#define FLUSH_S 120
#define FLUSH_ROUNDS 10000

static bool set_up(struct store *s, const struct store_conf *conf, enum store_origin *ret_origin, struct err *e)
{
        static const char *const settings[] = {
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=FULL",
                "PRAGMA cell_size_check=ON",
                "PRAGMA cache_size=-1024",
                "PRAGMA journal_size_limit=4194304",
        };
        struct journal_found found = { 0 };
        if (!journal_look(s->path, conf->migration_count, &found, e) ||
                !connection_open(&s->writer, s->path, SQLITE_OPEN_READWRITE, e) ||
                (found.content && !journal_check(&s->writer, &found, conf->migration_count, e)))
                return false;
        for (size_t i = 0; i < ARRAY_LEN(settings); i++)
                if (!connection_exec(&s->writer, settings[i], e))
                        return false;
        if (!journal_migrate(&s->writer, conf, ret_origin, e))
                return false;
        if (!file_identity_of(s->path, &s->journal_id) || !file_identity_of(s->wal_path, &s->wal_id))
                return err_errno(e, errno, "store.open", "journal %s and its -wal", s->path);
        return true;
}

/* Signals are the loop's: the thread is born with all of them blocked. */
static bool start_writer(struct store *s, struct err *e)
{
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&s->thread, NULL, writer_main, s);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (error)
                return err_errno(e, error, "store.thread", "starting the journal's writer");
        s->thread_runs = true;
        return true;
}

static struct store *store_new(const struct store_conf *conf)
{
        struct store *s = calloc(1, sizeof *s);
        pthread_condattr_t monotonic;
        if (!s)
                return NULL;
        s->path = text_dup(conf->path);
        s->wal_path = text_format("%s-wal", conf->path);
        s->wake = conf->wake;
        s->wake_arg = conf->wake_arg;
        s->queued_fn = conf->queued;
        s->queued_arg = conf->queued_arg;
        s->told_fn = conf->told;
        s->told_arg = conf->told_arg;
        s->turn_end = &s->turn;
        s->queue_end = &s->queue;
        s->answers_end = &s->answers;
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->queued, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&s->answered, &monotonic);
        pthread_condattr_destroy(&monotonic);
        return s;
}

bool store_open(struct store **ret, const struct store_conf *conf, enum store_origin *ret_origin, struct err *e)
{
        /* Nobody asks SQLite how much memory it uses; counting takes a lock of the whole process for each piece.
         * Refused where SQLite runs already (a second journal of one process), and then nothing is lost. */
        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        struct store *s = store_new(conf);
        enum store_origin origin = STORE_NEW;
        if (!s || !s->path || !s->wal_path) {
                store_close(s);
                return err_memory(e);
        }
        if (!set_up(s, conf, &origin, e) || !start_writer(s, e)) {
                store_close(s);
                return false;
        }
        *ret_origin = origin;
        *ret = s;
        return true;
}

struct store_batch *store_answer(struct store *s)
{
        pthread_mutex_lock(&s->lock);
        struct store_batch *b = s->answers;
        if (b) {
                s->answers = b->next;
                if (!s->answers)
                        s->answers_end = &s->answers;
                s->answer_count--;
        }
        pthread_mutex_unlock(&s->lock);
        return b;
}

void store_close(struct store *s)
{
        if (!s)
                return;
        store_write(s);
        if (s->thread_runs) {
                pthread_mutex_lock(&s->lock);
                s->stop = true;
                pthread_cond_signal(&s->queued);
                pthread_mutex_unlock(&s->lock);
                pthread_join(s->thread, NULL);
        }
        for (struct store_batch *b; (b = store_answer(s));)
                store_batch_free(b);
        connection_close(&s->reader);
        struct file_identity now;
        /* A checkpoint into a file that somebody put there meanwhile would mix two journals. */
        if (s->writer.db && file_identity_of(s->path, &now) && now.ino == s->journal_id.ino)
                (void)sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        connection_close(&s->writer);
        pthread_cond_destroy(&s->answered);
        pthread_cond_destroy(&s->queued);
        pthread_mutex_destroy(&s->lock);
        free(s->path);
        free(s->wal_path);
        free(s);
}

bool store_commit_own(struct store *s, struct store_batch *b, store_done_fn *done, void *arg, struct err *e)
{
        if (!b || b->failed) {
                store_batch_free(b);
                return err_memory(e);
        }
        pthread_mutex_lock(&s->lock);
        bool room = s->queue_count + s->turn_count < QUEUE_MAX;
        pthread_mutex_unlock(&s->lock);
        if (!room) {
                store_batch_free(b);
                return err_set(e, ERR_TEMPORARY, "store.busy", "journal %s: %d changes wait for the disk already",
                        s->path, QUEUE_MAX);
        }
        b->done = done;
        b->arg = arg;
        *s->turn_end = b;
        s->turn_end = &b->next;
        if (s->turn_count++ > 0)
                return true; /* it was told of the first */
        if (s->queued_fn)
                s->queued_fn(s->queued_arg);
        else
                store_write(s);
        return true;
}

void store_write(struct store *s)
{
        if (!s->turn)
                return;
        pthread_mutex_lock(&s->lock);
        *s->queue_end = s->turn;
        s->queue_end = s->turn_end;
        s->queue_count += s->turn_count;
        if (!s->borrowed)
                pthread_cond_signal(&s->queued);
        pthread_mutex_unlock(&s->lock);
        s->turn = NULL;
        s->turn_end = &s->turn;
        s->turn_count = 0;
}

void store_dispatch(struct store *s)
{
        pthread_mutex_lock(&s->lock);
        size_t due = s->answer_count; /* what callbacks add now has a wake of its own: the loop is not held up */
        pthread_mutex_unlock(&s->lock);
        for (struct store_batch *b; due > 0 && (b = store_answer(s)); due--) {
                crash_point("store.before-callback");
                if (s->told_fn)
                        s->told_fn(s->told_arg, b->err);
                if (b->done)
                        b->done(b->arg, b->last_rowid, b->err);
                store_batch_free(b);
        }
}

/* Until the writer has nothing left. False: it did not get there in time. */
static bool settle(struct store *s)
{
        struct timespec limit;
        int rc = 0;
        store_write(s);
        clock_gettime(CLOCK_MONOTONIC, &limit);
        limit.tv_sec += FLUSH_S;
        pthread_mutex_lock(&s->lock);
        while (rc == 0 && (s->queue || s->committing))
                rc = pthread_cond_timedwait(&s->answered, &s->lock, &limit);
        bool idle = !s->queue && !s->committing;
        pthread_mutex_unlock(&s->lock);
        return idle;
}

static bool anything_left(struct store *s)
{
        pthread_mutex_lock(&s->lock);
        bool left = s->turn || s->queue || s->committing || s->answers;
        pthread_mutex_unlock(&s->lock);
        return left;
}

bool store_flush(struct store *s, struct err *e)
{
        for (unsigned i = 0; i < FLUSH_ROUNDS && anything_left(s); i++) {
                if (!settle(s))
                        return err_set(e, ERR_TEMPORARY, "store.slow", "journal %s: the disk did not answer for %d s",
                                s->path, FLUSH_S);
                store_dispatch(s);
        }
        return !anything_left(s) ||
                err_set(e, ERR_BUG, "store.flush", "journal %s: callbacks commit without end", s->path);
}

uint64_t store_commit_count(struct store *s)
{
        pthread_mutex_lock(&s->lock);
        uint64_t n = s->commits;
        pthread_mutex_unlock(&s->lock);
        return n;
}
