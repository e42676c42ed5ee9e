/* What a job writes into the journal: a token before it is out, and nothing more often than it must. */
#include "test.h"

#include <sched.h>

#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/store/store_internal.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static unsigned commits;

/* While hold is set the writer gets nothing; what it would get stands here. */
static struct held {
        struct store *store;
        struct store_batch *batch;
        store_done_fn *done;
        void *arg;
} held[8];
static size_t held_count;
static bool hold;
static const void *hold_of; /* NULL: everybody's */
static unsigned refuse; /* this one of the commits that come, before anything that was deferred after it; 0: none */
static struct loop *loop;

static void refuse_now(void *arg)
{
        const struct held *h = arg;
        struct err e;
        err_set(&e, ERR_TEMPORARY, "store.test", "the disk is full");
        h->done(h->arg, 0, &e);
}

bool __real_store_commit_own(struct store *s, struct store_batch *b, store_done_fn *done, void *arg, struct err *e);
bool __wrap_store_commit_own(struct store *s, struct store_batch *b, store_done_fn *done, void *arg, struct err *e);
bool __wrap_store_commit_own(struct store *s, struct store_batch *b, store_done_fn *done, void *arg, struct err *e)
{
        commits++;
        if (refuse > 0 && --refuse == 0) {
                store_batch_free(b);
                held[0] = (struct held){ NULL, NULL, done, arg };
                return loop_defer(loop, refuse_now, &held[0]) != NULL;
        }
        if (!hold || (hold_of && arg != hold_of))
                return __real_store_commit_own(s, b, done, arg, e);
        assert_true(held_count < ARRAY_LEN(held));
        held[held_count++] = (struct held){ s, b, done, arg };
        return true;
}

static void let_go(void)
{
        struct err e;
        hold = false;
        for (size_t i = 0; i < held_count; i++)
                assert_true(__real_store_commit_own(held[i].store, held[i].batch, held[i].done, held[i].arg, &e));
        held_count = 0;
}

/* Each transaction waits for the disk: that is what a job costs. */
static void a_job_commits_no_more_often_than_it_must(void **state)
{
        struct fixture *f = *state;
        commits = 0;
        uint64_t before = store_commit_count(f->engine->store);
        reissue(f, "www", false);
        expect_done(f);
        assert_in_range(commits, 10, 16);
        uint64_t transactions = store_commit_count(f->engine->store) - before;
        assert_in_range(transactions, 10, commits - 2); /* its token is told of with its move, and goes with its end */
}

struct noted {
        unsigned count;
};

static void note(void *arg, int64_t rowid, const struct err *e)
{
        struct noted *n = arg;
        (void)rowid;
        assert_null(e);
        n->count++;
}

static struct noted noted;

static bool all_noted(struct fixture *f)
{
        (void)f;
        return noted.count == 3;
}

/* Whatever the writer was given is on disk. */
static void let_writer_work(struct store *s)
{
        for (bool works = true; works; sched_yield()) {
                pthread_mutex_lock(&s->lock);
                works = s->queue || s->committing;
                pthread_mutex_unlock(&s->lock);
        }
}

static void what_one_turn_of_the_loop_commits_is_one_transaction(void **state)
{
        struct fixture *f = *state;
        struct err e;
        uint64_t before = store_commit_count(f->engine->store);
        noted.count = 0;
        for (int i = 0; i < 3; i++) {
                struct store_batch *b = store_batch_new();
                assert_true(journal_audit(b, i, NULL, 0, "test", NULL));
                assert_true(engine_commit(f->engine, b, note, &noted, &e));
                let_writer_work(f->engine->store);
        }
        assert_true(run_to(f, all_noted));
        assert_int_equal(store_commit_count(f->engine->store) - before, 1);
}

struct heard {
        unsigned recorded, published, withdrawn;
};

static bool count_event(void *arg, const struct store_row *row)
{
        struct heard *h = arg;
        const char *event = row_text(row, 0);
        h->recorded += strcmp(event, "token-recorded") == 0;
        if (strcmp(event, "token-published") == 0)
                h->published += h->recorded; /* after it, that is */
        h->withdrawn += strcmp(event, "token-withdrawn") == 0;
        return true;
}

static void a_token_is_recorded_published_and_withdrawn_once(void **state)
{
        struct fixture *f = *state;
        struct heard h = { 0 };
        struct err e;
        reissue(f, "www", false);
        expect_done(f);
        assert_true(store_query(f->engine->store, "SELECT event FROM audit ORDER BY id", "", count_event, &h, &e));
        assert_int_equal(h.recorded, 1);
        assert_int_equal(h.published, 1);
        assert_int_equal(h.withdrawn, 1);
}

static void run_sql(struct fixture *f, const char *sql)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, sql, "") && store_commit_own(f->engine->store, b, NULL, NULL, &e) &&
                store_flush(f->engine->store, &e));
}

static bool is_parked(struct fixture *f)
{
        return f->engine->job_count && f->engine->job[0]->parked && !f->engine->job[0]->moving;
}

static bool no_token_is_busy(struct fixture *f)
{
        for (size_t i = 0; i < f->engine->token_count; i++)
                if (f->engine->token[i]->busy)
                        return false;
        return true;
}

/* I5. The move that would record it fails; then an operator says "publish". */
static void a_token_that_is_not_in_the_journal_is_not_published(void **state)
{
        struct fixture *f = *state;
        run_sql(f, "CREATE TRIGGER refuse BEFORE INSERT ON token BEGIN SELECT RAISE(ABORT, 'no'); END");
        reissue(f, "www", false);
        assert_true(run_to(f, is_parked));
        assert_int_equal(f->engine->token_count, 1);
        f->engine->token[0]->failure.kind = ERR_NONE;
        token_publish(f->engine->token[0]);
        assert_true(run_to(f, no_token_is_busy));
        assert_int_equal(fake_ca.publishes, 0);
        run_sql(f, "DROP TRIGGER refuse");
        expect_done(f);
        assert_int_equal(fake_ca.publishes, 1);
}

static bool order_waits_for_the_disk(struct fixture *f)
{
        return f->engine->job[0]->moving && f->engine->job[0]->next == JOB_ORDERED;
}

/* Asking the CA, and making the key, need no row on disk. The order does. */
static void what_only_reads_does_not_wait_for_the_disk(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        hold = true;
        assert_true(run_to(f, order_waits_for_the_disk));
        assert_int_equal(fake_ca.inspects, 1);
        assert_in_range(held_count, 2, 3); /* keyed, ordered; eligible was perhaps there before */
        bool never = false;
        (void)loop_run_until(f->loop, &never, 20);
        assert_int_equal(fake_ca.orders, 0);
        let_go();
        expect_done(f);
        assert_int_equal(fake_ca.inspects, 1);
        assert_int_equal(fake_ca.orders, 1);
}

static void what_only_reads_is_begun_again_where_its_row_was_refused(void **state)
{
        struct fixture *f = *state;
        run_sql(f,
                "CREATE TRIGGER refuse BEFORE UPDATE ON job WHEN NEW.state='eligible' BEGIN SELECT RAISE(ABORT, 'no'); "
                "END");
        fake_ca.inspect_hangs = true;
        reissue(f, "www", false);
        assert_true(run_to(f, is_parked));
        assert_int_equal(f->engine->job[0]->row.state, JOB_ELIGIBLE);
        fake_ca.inspect_hangs = false;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

/* The writer may be quicker than the step that is to begin: it must not begin and then begin again when it is due. */
static void a_step_does_not_begin_after_its_row_was_refused(void **state)
{
        struct fixture *f = *state;
        bool never = false;
        loop = f->loop;
        fake_ca.inspect_hangs = true;
        refuse = 2; /* the job itself, then that it is eligible */
        reissue(f, "www", false);
        assert_true(run_to(f, is_parked));
        assert_int_equal(f->engine->job[0]->row.state, JOB_ELIGIBLE);
        (void)loop_run_until(f->loop, &never, 20);
        assert_int_equal(fake_ca.inspects, 0);
        assert_null(f->engine->job[0]->ca_call);
        fake_ca.inspect_hangs = false;
        expect_done(f);
        assert_int_equal(fake_ca.inspects, 1);
        assert_int_equal(fake_ca.orders, 1);
}

static bool first_waits_for_review(struct fixture *f)
{
        const struct job *j = f->engine->job[0];
        return j->row.state == JOB_REVIEWED && j->row.waiting && j->due.entry.index;
}

static bool second_is_to_wait(struct fixture *f)
{
        const struct job *j = f->engine->job_count == 2 ? f->engine->job[1] : NULL;
        hold_of = j;
        return j && j->moving && j->row.err_code && strcmp(j->row.err_code, "sibling") == 0;
}

static bool second_asks_again(struct fixture *f)
{
        (void)f;
        return fake_ca.inspects == 3;
}

/* In the milliseconds in which the row is written: else it would sleep for ten minutes with nothing in its way. */
static void a_sibling_that_ends_meanwhile_wakes_who_is_about_to_wait(void **state)
{
        struct fixture *f = *state;
        strcpy(fake_ca.exclusive, "example.test");
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, first_waits_for_review));
        fake_ca.open = false;
        reissue(f, "two", false);
        hold_of = NULL;
        hold = true;
        assert_true(run_to(f, second_is_to_wait));
        assert_int_equal(fake_ca.inspects, 2);
        fake_ca.approved = true;
        assert_true(run_to(f, ended));
        assert_true(f->engine->job[0]->moving);
        fake_ca.inspect_hangs = true;
        let_go();
        for (int i = 0; i < 100 && !second_asks_again(f); i++) { /* no time passes that it could sleep through */
                bool never = false;
                (void)loop_run_until(f->loop, &never, 20);
        }
        assert_non_null(f->engine->job[0]->ca_call);
        hold_of = NULL;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_job_commits_no_more_often_than_it_must, setup, teardown),
                cmocka_unit_test_setup_teardown(what_one_turn_of_the_loop_commits_is_one_transaction, setup, teardown),
                cmocka_unit_test_setup_teardown(a_token_is_recorded_published_and_withdrawn_once, setup, teardown),
                cmocka_unit_test_setup_teardown(a_token_that_is_not_in_the_journal_is_not_published, setup, teardown),
                cmocka_unit_test_setup_teardown(what_only_reads_does_not_wait_for_the_disk, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        what_only_reads_is_begun_again_where_its_row_was_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(a_step_does_not_begin_after_its_row_was_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        a_sibling_that_ends_meanwhile_wakes_who_is_about_to_wait, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
