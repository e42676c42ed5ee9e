/* Committing: groups, answers, what happens when one batch or the disk fails, and when the process dies. */
#include "scratch.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Wakes the test, and while the gate is closed holds the writer back, so that what is queued meanwhile is one group. */
struct gate {
        sem_t woken, open;
        atomic_bool closed;
};

static void gate_wake(void *arg)
{
        struct gate *g = arg;
        sem_post(&g->woken);
        if (g->closed)
                sem_wait(&g->open);
}

static struct store *open_gated(const struct scratch *t, struct gate *g)
{
        sem_init(&g->woken, 0, 0);
        sem_init(&g->open, 0, 0);
        g->closed = false;
        struct store_conf conf = conf_of(t, 3);
        conf.wake = gate_wake;
        conf.wake_arg = g;
        return open_good(&conf, STORE_NEW);
}

/* The writer is in its wake from here until gate_release. */
static void gate_hold(struct store *s, struct gate *g)
{
        g->closed = true;
        assert_true(store_commit_own(s, store_batch_new(), NULL, NULL, NULL));
        sem_wait(&g->woken);
}

static void gate_release(struct gate *g)
{
        g->closed = false;
        sem_post(&g->open);
}

static void the_answer_comes_by_wake_and_dispatch_once(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note a = { &said, "a" };
        assert_true(store_commit_own(s, insert_job("a"), note_done, &a, NULL));
        sem_wait(&g.woken);
        assert_string_equal(said.text, ""); /* never before the loop asks */
        store_dispatch(s);
        assert_string_equal(said.text, "a ");
        assert_int_equal(said.rowid, 1);
        store_dispatch(s);
        assert_int_equal(said.count, 1);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 1);
        store_close(s);
}

/* The first of this process: later SQLite runs already. */
static void no_memory_is_counted(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        assert_int_equal(sqlite3_memory_used(), 0);
        store_close(s);
}

static void what_is_queued_together_is_one_transaction_in_order(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note note[] = { { &said, "a" }, { &said, "b" }, { &said, "c" } };
        gate_hold(s, &g);
        uint64_t before = store_commit_count(s);
        for (size_t i = 0; i < ARRAY_LEN(note); i++)
                assert_true(store_commit_own(s, insert_job(note[i].name), note_done, &note[i], NULL));
        gate_release(&g);
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "a b c ");
        assert_int_equal(store_commit_count(s) - before, 1);
        store_close(s);
}

static void one_bad_batch_does_not_take_the_others(void **state)
{
        static const struct {
                const char *sql, *types, *code;
        } bad[] = {
                { "INSERT INTO job(name) VALUES('a')", "", "store.constraint" },
                { "INSERT INTO job(name) VALUES(NULL)", "", "store.constraint" },
                { "INSERT INTO step(job) VALUES(99)", "", "store.constraint" }, /* deferred: fails at COMMIT */
                { "INSERT INTO nowhere VALUES(1)", "", "store.sql" },
                { "INSERT INTO job(name) VALUES(?)", "", "store.sql" },
                { "INSERT INTO job(name) VALUES('y'); SELECT 1", "", "store.sql" },
                { "COMMIT", "", "store.sql" },
                { "ROLLBACK", "", "store.sql" },
        };
        struct gate g;
        struct store *s = open_gated(*state, &g);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct said said = { 0 };
                struct note note[] = { { &said, "a" }, { &said, "bad" }, { &said, "b" } };
                struct store_batch *b = insert_job("x");
                assert_true(store_batch_add(b, bad[i].sql, bad[i].types));
                gate_hold(s, &g);
                assert_true(store_commit_own(s, insert_job("a"), note_done, &note[0], NULL));
                assert_true(store_commit_own(s, b, note_done, &note[1], NULL));
                assert_true(store_commit_own(s, insert_job("b"), note_done, &note[2], NULL));
                gate_release(&g);
                assert_true(store_flush(s, NULL));
                assert_string_equal(said.text, "a bad! b ");
                assert_string_equal(said.err.code, bad[i].code);
                assert_int_equal(said.err.kind, ERR_BUG);
                assert_int_equal(count_of(s, "SELECT count(*) FROM job WHERE name IN ('a','b')"), 2);
                assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 2); /* nothing of the bad one */
                b = store_batch_new();
                assert_true(store_batch_add(b, "DELETE FROM job", ""));
                assert_true(store_commit_own(s, b, NULL, NULL, NULL));
                assert_true(store_flush(s, NULL));
        }
        store_close(s);
}

static void what_must_change_a_row_and_finds_none_is_undone(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note note[] = { { &said, "absent" }, { &said, "there" } };
        const char *const name[] = { "a", "b" };
        store_batch_must_change(NULL);
        assert_true(store_commit_own(s, insert_job("b"), NULL, NULL, NULL));
        for (size_t i = 0; i < ARRAY_LEN(note); i++) {
                struct store_batch *b = insert_job(note[i].name);
                assert_true(store_batch_add(b, "UPDATE job SET due=7 WHERE name=?", "t", name[i]));
                store_batch_must_change(b);
                assert_true(store_batch_add(b, "DELETE FROM job WHERE name='nobody'", "")); /* that one need not */
                assert_true(store_commit_own(s, b, note_done, &note[i], NULL));
        }
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "absent! there ");
        assert_string_equal(said.err.code, "store.absent");
        assert_int_equal(said.err.kind, ERR_BUG);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 2); /* nothing of it */
        store_close(s);
}

/* The first is only found out at COMMIT, which undoes all; until then it stands in the second one's way. */
static void a_batch_hindered_by_one_that_was_undone_is_committed(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note note[] = { { &said, "dangling" }, { &said, "good" } };
        struct store_batch *b = insert_job("x");
        assert_true(store_batch_add(b, "INSERT INTO step(job) VALUES(99)", ""));
        gate_hold(s, &g);
        assert_true(store_commit_own(s, b, note_done, &note[0], NULL));
        assert_true(store_commit_own(s, insert_job("x"), note_done, &note[1], NULL));
        gate_release(&g);
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "dangling! good ");
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 1);
        store_close(s);
}

static void the_rowid_is_the_last_insert_of_this_batch(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note n = { &said, "n" };
        struct store_batch *b = insert_job("a");
        assert_true(store_batch_add(b, "INSERT INTO job(id,name) VALUES(?,?)", "it", (int64_t)40, "b"));
        assert_true(store_commit_own(s, b, note_done, &n, NULL));
        assert_true(store_flush(s, NULL));
        assert_int_equal(said.rowid, 40);
        b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE job SET due=? WHERE id=?", "ii", (int64_t)5, (int64_t)40));
        assert_true(store_commit_own(s, b, note_done, &n, NULL));
        assert_true(store_flush(s, NULL));
        assert_int_equal(said.rowid, 0); /* no insert in it */
        store_close(s);
}

static void ten_thousand_batches_are_few_transactions(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note n = { &said, "" };
        gate_hold(s, &g); /* else whoever queues slowly has a transaction for each */
        uint64_t before = store_commit_count(s);
        for (int i = 0; i < 10000; i++) {
                struct store_batch *b = store_batch_new();
                assert_true(store_batch_add(b, "INSERT INTO token(value) VALUES(?)", "t", "v"));
                assert_true(store_commit_own(s, b, note_done, &n, NULL));
        }
        gate_release(&g);
        assert_true(store_flush(s, NULL));
        assert_int_equal(said.count, 10000);
        assert_int_equal(count_of(s, "SELECT count(*) FROM token"), 10000);
        assert_true(store_commit_count(s) - before < 10);
        store_close(s);
}

struct chain {
        struct store *store;
        int left;
};

static void commit_next(void *arg, int64_t rowid, const struct err *err)
{
        struct chain *c = arg;
        char name[16];
        (void)rowid;
        assert_null(err);
        if (c->left-- <= 0)
                return;
        snprintf(name, sizeof name, "%d", c->left);
        assert_true(store_commit_own(c->store, insert_job(name), commit_next, c, NULL));
}

static void a_callback_may_commit_and_flush_waits_for_that_too(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct chain c = { s, 20 };
        commit_next(&c, 0, NULL);
        assert_true(store_flush(s, NULL));
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 20);
        store_close(s);
}

static void closing_commits_the_queue_and_calls_nobody(void **state)
{
        struct scratch *t = *state;
        struct gate g;
        struct store *s = open_gated(t, &g);
        struct said said = { 0 };
        struct note n = { &said, "x" };
        gate_hold(s, &g);
        for (int i = 0; i < 50; i++) {
                char name[16];
                snprintf(name, sizeof name, "%d", i);
                assert_true(store_commit_own(s, insert_job(name), note_done, &n, NULL));
        }
        gate_release(&g);
        store_close(s);
        assert_int_equal(said.count, 0);
        char wal[96];
        struct stat st;
        snprintf(wal, sizeof wal, "%s-wal", t->path);
        assert_int_not_equal(stat(wal, &st), 0); /* checkpointed and gone */
        struct store_conf conf = conf_of(t, 3);
        s = open_good(&conf, STORE_EXISTING);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 50);
        store_close(s);
}

static void no_batch_and_a_failed_batch_are_no_memory(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct err e = { 0 };
        assert_false(store_batch_add(NULL, "SELECT 1", ""));
        assert_int_equal(store_batch_count(NULL), 0);
        assert_false(store_commit_own(s, NULL, NULL, NULL, &e));
        assert_int_equal(e.kind, ERR_TEMPORARY);
        struct store_batch *b = insert_job("half");
        b->failed = true;
        assert_false(store_commit_own(s, b, NULL, NULL, &e));
        assert_string_equal(e.code, "memory");
        assert_true(store_flush(s, NULL));
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        store_close(s);
}

static void a_full_journal_refuses_the_large_and_takes_the_small(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct said said = { 0 };
        struct note note[] = { { &said, "small" }, { &said, "large" }, { &said, "small" } };
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "PRAGMA max_page_count=20", ""));
        assert_true(store_commit_own(s, b, NULL, NULL, NULL));
        assert_true(store_flush(s, NULL));
        gate_hold(s, &g);
        b = store_batch_new();
        assert_true(store_batch_add(b, "INSERT INTO token(value) VALUES(hex(zeroblob(500000)))", ""));
        assert_true(store_commit_own(s, insert_job("a"), note_done, &note[0], NULL));
        assert_true(store_commit_own(s, b, note_done, &note[1], NULL));
        assert_true(store_commit_own(s, insert_job("b"), note_done, &note[2], NULL));
        gate_release(&g);
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "small large! small ");
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_string_equal(said.err.code, "store.full");
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 2);
        store_close(s);
}

/* A real write error: the file may not grow any more (RLIMIT_FSIZE), as on a full or failing disk. */
static void a_disk_that_refuses_is_temporary_and_the_writer_goes_on(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        struct rlimit before, tight;
        struct stat st;
        struct said said = { 0 };
        struct note n[5] = { { &said, "a" }, { &said, "b" }, { &said, "c" }, { &said, "d" }, { &said, "e" } };
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(stat(s->wal_path, &st), 0);
        tight = (struct rlimit){ .rlim_cur = (rlim_t)st.st_size, .rlim_max = before.rlim_max };
        gate_hold(s, &g);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        for (size_t i = 0; i < ARRAY_LEN(n); i++)
                assert_true(store_commit_own(s, insert_job(n[i].name), note_done, &n[i], NULL));
        gate_release(&g);
        assert_true(store_flush(s, NULL));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_string_equal(said.text, "a! b! c! d! e! ");
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        said.text[0] = '\0';
        assert_true(store_commit_own(s, insert_job("after"), note_done, &n[0], NULL));
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "a ");
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 1);
        store_close(s);
}

static atomic_int write_error;

static ssize_t refuse_write(int fd, const void *data, size_t len, off_t at)
{
        (void)fd, (void)data, (void)len, (void)at;
        errno = write_error;
        return -1;
}

static void set_writes(sqlite3_syscall_ptr call)
{
        static const char *const name[] = { "pwrite", "pwrite64" };
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
        for (size_t i = 0; i < ARRAY_LEN(name); i++)
                assert_int_equal(vfs->xSetSystemCall(vfs, name[i], call), SQLITE_OK);
}

/* SQLite says "disk I/O error" of nearly all of them: a person mends what the system said. */
static void what_the_system_said_of_a_write_is_told(void **state)
{
        static const struct {
                int error;
                const char *code, *fix;
        } row[] = { { EROFS, "store.read-only", "mount writable again the disk of " },
                { EDQUOT, "store.full", "make room on the disk of " },
                { ENOSPC, "store.full", "make room on the disk of " }, { EIO, "store.io", "see dmesg" } };
        struct gate g;
        struct store *s = open_gated(*state, &g);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct said said = { 0 };
                struct note n = { &said, "a" };
                write_error = row[i].error;
                set_writes((sqlite3_syscall_ptr)refuse_write);
                assert_true(store_commit_own(s, insert_job("a"), note_done, &n, NULL));
                assert_true(store_flush(s, NULL));
                set_writes(NULL);
                assert_string_equal(said.text, "a! ");
                assert_int_equal(said.err.kind, ERR_TEMPORARY);
                if (strcmp(said.err.code, row[i].code) != 0 || !strstr(said.err.fix, row[i].fix))
                        fail_msg("%s: %s; %s", row[i].code, said.err.text, said.err.fix);
                assert_non_null(strstr(said.err.fix, s->path));
        }
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        store_close(s);
}

static void a_journal_removed_while_running_takes_no_commit(void **state)
{
        struct scratch *t = *state;
        struct gate g;
        struct store *s = open_gated(t, &g);
        char aside[96];
        struct said said = { 0 };
        struct note n = { &said, "a" };
        snprintf(aside, sizeof aside, "%s/aside", t->directory);
        assert_int_equal(rename(t->path, aside), 0);
        assert_true(store_commit_own(s, insert_job("a"), note_done, &n, NULL));
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "a! ");
        assert_string_equal(said.err.code, "store.gone");
        assert_non_null(strstr(said.err.text, t->path));
        assert_int_equal(rename(aside, t->path), 0);
        said.text[0] = '\0';
        assert_true(store_commit_own(s, insert_job("a"), note_done, &n, NULL));
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "a ");
        store_close(s);
}

static void while_nothing_is_written_queries_open_no_connection(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        for (int i = 0; i < 3; i++) {
                char name[16];
                snprintf(name, sizeof name, "%d", i);
                assert_true(store_commit_own(s, insert_job(name), NULL, NULL, NULL));
                assert_true(store_flush(s, NULL));
                assert_int_equal(count_of(s, "SELECT count(*) FROM job"), i + 1);
        }
        assert_null(s->reader.db);
        store_close(s);
}

/* Another program that writes: whoever commits has to wait for it. */
static sqlite3 *lock_journal(const struct scratch *t)
{
        sqlite3 *other = NULL;
        assert_int_equal(sqlite3_open(t->path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        return other;
}

static void wait_until_committing(struct store *s)
{
        for (bool committing = false; !committing; sched_yield()) {
                pthread_mutex_lock(&s->lock);
                committing = s->committing;
                pthread_mutex_unlock(&s->lock);
        }
}

static void a_query_does_not_wait_for_the_writer(void **state)
{
        struct scratch *t = *state;
        struct gate g;
        struct store *s = open_gated(t, &g);
        sqlite3 *other = lock_journal(t);
        assert_true(store_commit_own(s, insert_job("slow"), NULL, NULL, NULL));
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        wait_until_committing(s);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        sqlite3_close(other);
        assert_true(store_flush(s, NULL));
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 1);
        store_close(s);
}

/* By a connection that is opened only then. */
static void a_query_never_reads_another_file(void **state)
{
        struct scratch *t = *state;
        struct gate g;
        struct store *s = open_gated(t, &g);
        struct err e = { 0 };
        int64_t n = -1;
        char aside[96];
        sqlite3 *other = lock_journal(t), *replaced = NULL;
        assert_true(store_commit_own(s, insert_job("slow"), NULL, NULL, NULL));
        wait_until_committing(s);
        snprintf(aside, sizeof aside, "%s/aside", t->directory);
        assert_int_equal(rename(t->path, aside), 0);
        assert_int_equal(sqlite3_open(t->path, &replaced), SQLITE_OK);
        assert_int_equal(sqlite3_exec(replaced, "CREATE TABLE job(id)", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(replaced);
        assert_false(store_query(s, "SELECT count(*) FROM job", "", take_i64, &n, &e));
        assert_string_equal(e.code, "store.gone");
        assert_int_equal(rename(aside, t->path), 0);
        sqlite3_close(other);
        assert_true(store_flush(s, NULL));
        store_close(s);
}

struct reading {
        struct store *store;
        uint64_t commits; /* before */
        unsigned rows;
};

static bool commit_for_row(void *arg, const struct store_row *row)
{
        struct reading *r = arg;
        char name[16];
        snprintf(name, sizeof name, "new %lld", (long long)row_i64(row, 0));
        assert_true(store_commit_own(r->store, insert_job(name), NULL, NULL, NULL));
        assert_int_equal(count_of(r->store, "SELECT count(*) FROM job"), 3);
        assert_int_equal(store_commit_count(r->store), r->commits);
        r->rows++;
        return true;
}

static void what_a_query_commits_is_written_after_it(void **state)
{
        struct gate g;
        struct store *s = open_gated(*state, &g);
        for (const char *name = "abc"; *name; name++)
                assert_true(store_commit_own(s, insert_job(name), NULL, NULL, NULL));
        assert_true(store_flush(s, NULL));
        struct reading r = { .store = s, .commits = store_commit_count(s) };
        assert_true(store_query(s, "SELECT id FROM job", "", commit_for_row, &r, NULL));
        assert_int_equal(r.rows, 3);
        assert_true(store_flush(s, NULL));
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 6);
        store_close(s);
}

static void count_call(void *arg)
{
        ++*(unsigned *)arg;
}

static void what_one_turn_queues_is_one_transaction(void **state)
{
        struct scratch *t = *state;
        unsigned told = 0;
        struct store_conf conf = conf_of(t, 3);
        conf.queued = count_call;
        conf.queued_arg = &told;
        struct store *s = open_good(&conf, STORE_NEW);
        struct said said = { 0 };
        struct note note[] = { { &said, "a" }, { &said, "b" }, { &said, "c" } };
        for (size_t turn = 0; turn < 3; turn++) {
                char name[16];
                said.text[0] = '\0';
                for (size_t i = 0; i < ARRAY_LEN(note); i++) {
                        snprintf(name, sizeof name, "%zu %s", turn, note[i].name);
                        assert_true(store_commit_own(s, insert_job(name), note_done, &note[i], NULL));
                        assert_int_equal(told, turn + 1); /* once, by the first */
                }
                assert_int_equal(count_of(s, "SELECT count(*) FROM job"), turn * ARRAY_LEN(note));
                assert_int_equal(store_commit_count(s), turn);
                store_write(s);
                assert_true(store_flush(s, NULL));
                assert_string_equal(said.text, "a b c ");
                assert_int_equal(store_commit_count(s), turn + 1);
        }
        store_write(s); /* nothing is left of it */
        assert_true(store_flush(s, NULL));
        assert_int_equal(store_commit_count(s), 3);
        store_close(s);
}

static void what_no_turn_ended_is_written_by_flush_and_close(void **state)
{
        struct scratch *t = *state;
        unsigned told = 0;
        struct store_conf conf = conf_of(t, 3);
        conf.queued = count_call;
        conf.queued_arg = &told;
        struct store *s = open_good(&conf, STORE_NEW);
        struct said said = { 0 };
        struct note n = { &said, "a" };
        assert_true(store_commit_own(s, insert_job("a"), note_done, &n, NULL));
        assert_true(store_flush(s, NULL));
        assert_string_equal(said.text, "a ");
        assert_true(store_commit_own(s, insert_job("b"), NULL, NULL, NULL));
        store_close(s);
        s = open_good(&conf, STORE_EXISTING);
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 2);
        store_close(s);
}

#ifdef DCVD_CRASH_POINTS
static void commit_and_die(const struct scratch *t, const char *where)
{
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct store_conf conf = conf_of(t, 3);
                struct store *s = NULL;
                enum store_origin origin;
                setenv("DCVD_CRASH", where, 1);
                if (store_open(&s, &conf, &origin, NULL) && store_commit_own(s, insert_job(where), NULL, NULL, NULL))
                        (void)store_flush(s, NULL);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_kill_before_commit_loses_all_of_it_and_after_nothing(void **state)
{
        struct scratch *t = *state;
        static const struct {
                const char *where;
                int want;
        } row[] = { { "store.before-commit", 0 }, { "store.after-commit", 1 }, { "store.before-callback", 2 } };
        struct store_conf conf = conf_of(t, 3);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                commit_and_die(t, row[i].where);
                struct store *s = open_good(&conf, STORE_EXISTING);
                assert_int_equal(count_of(s, "SELECT count(*) FROM job"), row[i].want);
                store_close(s);
        }
}
#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(no_memory_is_counted),
                TEST(the_answer_comes_by_wake_and_dispatch_once),
                TEST(what_is_queued_together_is_one_transaction_in_order),
                TEST(one_bad_batch_does_not_take_the_others),
                TEST(what_must_change_a_row_and_finds_none_is_undone),
                TEST(a_batch_hindered_by_one_that_was_undone_is_committed),
                TEST(the_rowid_is_the_last_insert_of_this_batch),
                TEST(ten_thousand_batches_are_few_transactions),
                TEST(a_callback_may_commit_and_flush_waits_for_that_too),
                TEST(closing_commits_the_queue_and_calls_nobody),
                TEST(no_batch_and_a_failed_batch_are_no_memory),
                TEST(a_full_journal_refuses_the_large_and_takes_the_small),
                TEST(a_disk_that_refuses_is_temporary_and_the_writer_goes_on),
                TEST(what_the_system_said_of_a_write_is_told),
                TEST(a_journal_removed_while_running_takes_no_commit),
                TEST(while_nothing_is_written_queries_open_no_connection),
                TEST(a_query_does_not_wait_for_the_writer),
                TEST(a_query_never_reads_another_file),
                TEST(what_a_query_commits_is_written_after_it),
                TEST(what_one_turn_queues_is_one_transaction),
                TEST(what_no_turn_ended_is_written_by_flush_and_close),
#ifdef DCVD_CRASH_POINTS
                TEST(a_kill_before_commit_loses_all_of_it_and_after_nothing),
#endif
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
