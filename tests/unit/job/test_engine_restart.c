/* Jobs that are stopped, restarted and troubled at every step: one order, no token left. */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

#define RANDOM_JOBS 60

static bool waits_for_review(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_REVIEWED &&
                f->engine->job[0]->row.waiting && f->engine->job[0]->due.entry.index;
}

static void a_review_survives_a_restart(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        assert_int_equal(f->engine->acting, 0); /* it holds no slot */
        stop_engine(f);
        start_engine(f);
        f->exit = -1;
        fake_ca.approved = true;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

/* The journal counts in whole seconds, and its commit takes time: what a new job has seen of neither. */
static void the_time_in_a_state_is_counted_from_where_it_began(void **state)
{
        struct fixture *f = *state;
        const int64_t began_ms = clock_boot_ms(), wall_ms = clock_now_ms();
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:[s]}", "certs", "www");
        fake_ca.person = true;
        f->exit = -1;
        f->answered = false;
        clock_fake(wall_ms, -1);
        action_reissue(f->engine, args, on_answer, f);
        clock_fake(wall_ms + 1000, -1);
        assert_true(loop_run_until(f->loop, &f->answered, 5000));
        assert_int_equal(f->engine->job_count, 1);
        assert_true(f->engine->job[0]->entered_ms >= began_ms);
        assert_true(run_to(f, waits_for_review));
        const int64_t entered_ms = f->engine->job[0]->row.entered_s * 1000;
        stop_engine(f);
        clock_fake(entered_ms + 90000, -1);
        const int64_t back_ms = clock_boot_ms();
        start_engine(f);
        assert_in_range(f->engine->job[0]->entered_ms + 90000, back_ms, clock_boot_ms());
        clock_fake(-1, -1);
}

static void after_a_restart_the_ca_hears_what_the_job_knows(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        fake_ca.held_told = false;
        fake_ca.held_names = 0;
        stop_engine(f);
        start_engine(f);
        f->exit = -1;
        fake_ca.approved = true;
        expect_done(f);
        assert_true(fake_ca.held_told);
        assert_int_equal(fake_ca.held_names, 1);
}

static void a_due_time_of_a_clock_that_was_ahead_is_not_slept_for(void **state)
{
        struct fixture *f = *state;
        struct err e;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        fake_ca.approved = true;
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE job SET due_ms=due_ms+?", "i", (int64_t)300 * 86400 * 1000));
        assert_true(store_commit_own(f->engine->store, b, NULL, NULL, &e) && store_flush(f->engine->store, &e));
        stop_engine(f);
        start_engine(f);
        assert_int_equal(f->engine->job[0]->due.entry.index, 0);
        expect_done(f);
}

static enum job_state stop_at;
static bool at_state(struct fixture *f)
{
        return ended(f) || (f->engine->job_count == 1 && f->engine->job[0]->row.state >= stop_at);
}

static void a_restart_in_any_state_goes_on_with_one_order(void **state)
{
        struct fixture *f = *state;
        for (stop_at = JOB_ELIGIBLE; stop_at <= JOB_SERVED; stop_at++) {
                fake_ca_reset();
                reissue(f, "www", false);
                assert_true(run_to(f, at_state));
                stop_engine(f);
                start_engine(f);
                if (!ended(f))
                        expect_done(f);
                if (fake_ca.orders != 1)
                        fail_msg("%u orders after a restart in %s", fake_ca.orders, job_state_name(stop_at));
        }
}

static void cancelling_in_any_state_ends_without_tokens(void **state)
{
        struct fixture *f = *state;
        for (stop_at = JOB_ELIGIBLE; stop_at <= JOB_SUBMITTED; stop_at++) {
                fake_ca_reset();
                reissue(f, "www", false);
                assert_true(run_to(f, at_state));
                if (ended(f))
                        continue;
                ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
                assert_memory_equal(json_str(f->answer, "text"), "cancelled", 9);
                assert_true(ended(f)); /* not said before it is so */
                assert_int_equal(f->engine->job_count, 0);
                assert_int_equal(fake_ca.out, 0);
                assert_true(run_to(f, idle_without_jobs));
                assert_true(fake_ca.orders <= 1);
        }
}

/* The state is short where nothing is installed: now and then it is over before anybody looks. */
static void what_was_issued_is_not_called_unspent_when_it_is_cancelled(void **state)
{
        struct fixture *f = *state;
        bool seen = false;
        char want[100];
        for (int i = 0; i < 50 && !seen; i++) {
                fake_ca_reset();
                stop_at = JOB_DEPLOYED;
                reissue(f, "www", false);
                assert_true(run_to(f, at_state));
                seen = f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_DEPLOYED;
                if (!seen) {
                        assert_true(run_to(f, idle_without_jobs));
                        continue;
                }
                long long set = (long long)f->engine->job[0]->row.set_number;
                snprintf(want, sizeof want, "; set %lld stays: dcvctl deploy www --set %lld", set, set);
                ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "dry_run", 1));
                assert_non_null(strstr(json_str(f->answer, "text"), want));
                ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
                snprintf(want, sizeof want, "cancelled; set %lld ", set); /* stays, or is installed */
                assert_memory_equal(json_str(f->answer, "text"), want, strlen(want));
                assert_true(ended(f));
        }
        assert_true(seen);
}

/* One of two who asked, before the other one: nobody is told that it is so before it is. */
static void count_answer(void *arg, const json_t *result, const struct err *err)
{
        unsigned *answers = arg;
        assert_null(err);
        assert_memory_equal(json_str(result, "text"), "cancelled", 9);
        (*answers)++;
}

static void who_cancels_it_again_waits_with_the_first(void **state)
{
        struct fixture *f = *state;
        unsigned answers = 0;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:b}", "cert", "www", "yes", 1);
        stop_at = JOB_SUBMITTED;
        fake_ca.slow = true; /* its order is open until then */
        reissue(f, "www", false);
        assert_true(run_to(f, at_state));
        for (int i = 0; i < 2; i++)
                action_cancel(f->engine, args, count_answer, &answers);
        assert_int_equal(answers, 0);
        ask(f, action_cancel, json_incref(args));
        assert_memory_equal(json_str(f->answer, "text"), "cancelled", 9);
        assert_true(ended(f));
        assert_int_equal(answers, 2);
        assert_int_equal(fake_ca.cancels, 1);
}

static bool calls_the_ca(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_ORDERED && f->engine->job[0]->ca_call;
}

static void try_to_cancel(struct fixture *f)
{
        err_set(&fake_ca.cancel_err, ERR_TEMPORARY, "away", "nobody answers");
        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
}

static void a_ca_that_is_away_keeps_nobody_from_cancelling(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        assert_int_equal(fake_ca.out, 1);
        try_to_cancel(f);
        fake_ca_orders_cost_nothing(false);
        assert_non_null(f->answer);
        assert_non_null(strstr(
                json_str(f->answer, "text"), "could not be given back to ca, which costs nothing: nobody answers"));
        assert_true(run_to(f, ended));
        assert_true(run_to(f, idle_without_jobs));
        assert_int_equal(fake_ca.cancels, 1);
        assert_int_equal(fake_ca.out, 0);
}

static void an_order_that_may_have_been_spent_is_not_left_behind(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        try_to_cancel(f);
        assert_null(f->answer);
        assert_non_null(strstr(f->refused.text, "the job goes on: nobody answers"));
        assert_int_equal(fake_ca.out, 1);
        fake_ca.approved = true;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

static void an_unanswered_order_that_costs_nothing_is_not_waited_for(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.order_hangs = true;
        reissue(f, "www", false);
        assert_true(run_to(f, calls_the_ca));
        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
        bool over = run_to(f, ended);
        fake_ca_orders_cost_nothing(false);
        assert_true(over);
        assert_int_equal(fake_ca.orders, 1);
}

/* What was asked in another state is answered late: the order that is open is not left for another key. */
static void a_late_answer_moves_nothing(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        job_go(f->engine->job[0], JOB_KEYED);
        assert_int_equal(f->engine->job[0]->row.state, JOB_REVIEWED);
        fake_ca.approved = true;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

static bool the_second_was_refused(struct fixture *f)
{
        return f->engine->job_count == 2 && f->engine->job[1]->row.err_code && !f->engine->job[1]->moving;
}

static void jobs_that_exclude_each_other_go_one_after_another(void **state)
{
        struct fixture *f = *state;
        strcpy(fake_ca.exclusive, "example.test");
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        fake_ca.open = false; /* the other certificate's own subject has no running reissue */
        reissue(f, "two", false);
        assert_true(run_to(f, the_second_was_refused));
        assert_string_equal(f->engine->job[1]->row.err_code, "sibling");
        assert_int_equal(fake_ca.orders, 1);
        fake_ca.approved = true;
        assert_true(run_to(f, ended));
        fake_ca.validated = false;
        f->exit = -1;
        assert_true(run_to(f, ended));
        assert_int_equal(fake_ca.orders, 2);
}

static bool the_second_sleeps(struct fixture *f)
{
        return the_second_was_refused(f) && f->engine->job[1]->due.entry.index;
}

static bool the_second_asks(struct fixture *f)
{
        return f->engine->job[1]->ca_call != NULL;
}

/* Two questions at once would be two answers: the later one would begin a job anew that is far on already. */
static void who_asks_again_already_is_not_woken(void **state)
{
        struct fixture *f = *state;
        strcpy(fake_ca.exclusive, "example.test");
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        fake_ca.open = false;
        reissue(f, "two", false);
        assert_true(run_to(f, the_second_sleeps));
        fake_ca.inspect_hangs = true;
        job_run(f->engine->job[1]);
        assert_true(run_to(f, the_second_asks));
        const struct ca_call *asked = f->engine->job[1]->ca_call;
        fake_ca.approved = true;
        assert_true(run_to(f, ended));
        assert_string_equal(f->engine->job[0]->row.cert, "two");
        bool never = false;
        (void)loop_run_until(f->loop, &never, 20);
        assert_ptr_equal(f->engine->job[0]->ca_call, asked);
        fake_ca.inspect_hangs = fake_ca.validated = false;
        job_stop_work(f->engine->job[0]);
        job_run(f->engine->job[0]);
        f->exit = -1;
        assert_true(run_to(f, ended));
        assert_int_equal(fake_ca.orders, 2);
}

static bool parked(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->due.entry.index;
}

static void a_journal_that_takes_nothing_is_tried_ever_less_often_and_sends_nothing(void **state)
{
        struct fixture *f = *state;
        CLEANUP(free_p) char *journal = text_format("%s/dcvd.db", f->directory);
        CLEANUP(free_p) char *aside = text_format("%s/aside", f->directory);
        int64_t delay_ms = 0;
        bool never = false;
        err_set(&fake_ca.inspect_err, ERR_TEMPORARY, "busy", "not now"); /* nothing is on its way to the disk then */
        reissue(f, "www", false);
        while (!parked(f))
                (void)loop_run_until(f->loop, &never, 1);
        assert_int_equal(rename(journal, aside), 0);
        fake_ca.inspect_err = (struct err){ 0 };
        int64_t since_ms = clock_now_ms();
        job_run(f->engine->job[0]);
        for (int i = 0; i < 4; i++) {
                while (!parked(f))
                        (void)loop_run_until(f->loop, &never, 1);
                struct job *j = f->engine->job[0];
                /* A busy machine looks late: it waits more than what is left, and less than since it was run. */
                int64_t most_ms = j->due.entry.due_ms - since_ms, least_ms = j->due.entry.due_ms - clock_now_ms();
                if (most_ms <= delay_ms)
                        fail_msg("waits %lld ms after %lld ms", (long long)most_ms, (long long)delay_ms);
                delay_ms = least_ms * 3 / 2; /* doubled, but for chance */
                assert_string_equal(j->row.err_code, "store.gone");
                since_ms = clock_now_ms();
                job_run(j);
        }
        ask(f, action_cancel, json_pack("{s:s}", "cert", "www"));
        assert_non_null(strstr(f->refused.text, "job 1 is not cancelled: ")); /* after a restart it would go on */
        assert_int_equal(fake_ca.orders, 0);
        assert_int_equal(rename(aside, journal), 0);
        reissue(f, "www", false); /* joins and wakes it: nobody waits for the next try */
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

/* What stops the process, or the call alone, while an order is being opened. */
static void stop_process(struct fixture *f)
{
        stop_engine(f);
        start_engine(f);
}

static void stop_call(struct fixture *f)
{
        job_stop_work(f->engine->job[0]);
        job_run(f->engine->job[0]);
}

static void (*const stops[])(struct fixture *f) = { stop_process, stop_call };

static void an_order_that_was_sent_is_never_sent_again_unasked(void **state)
{
        struct fixture *f = *state;
        for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
                fake_ca_reset();
                fake_ca.order_hangs = true;
                reissue(f, "www", false);
                assert_true(run_to(f, calls_the_ca));
                fake_ca.order_hangs = false;
                stops[i](f);
                expect_done(f);
                assert_int_equal(fake_ca.orders, 1);
                assert_int_equal(fake_ca.resolves, 1);
        }
}

static void an_order_that_was_not_yet_sent_is_sent_without_a_question(void **state)
{
        struct fixture *f = *state;
        for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
                fake_ca_reset();
                fake_ca.order_reads = true;
                reissue(f, "www", false);
                assert_true(run_to(f, calls_the_ca));
                fake_ca.order_reads = false;
                stops[i](f);
                expect_done(f);
                assert_int_equal(fake_ca.orders, 1);
                assert_int_equal(fake_ca.resolves, 0);
        }
}

static void an_order_that_was_not_yet_sent_is_cancelled_without_one(void **state)
{
        struct fixture *f = *state;
        fake_ca.order_reads = true;
        reissue(f, "www", false);
        assert_true(run_to(f, calls_the_ca));
        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
        assert_true(run_to(f, ended));
        assert_int_equal(fake_ca.orders, 0);
        assert_int_equal(fake_ca.resolves, 0);
}

/* After a reboot, or where the runtime directory is not in memory. */
static void without_the_note_the_ca_is_asked(void **state)
{
        struct fixture *f = *state;
        fake_ca.order_reads = true;
        reissue(f, "www", false);
        assert_true(run_to(f, calls_the_ca));
        CLEANUP(free_p) char *note = text_format("%s/unsent-%lld", f->runtime, (long long)f->job);
        assert_int_equal(unlink(note), 0);
        fake_ca.order_reads = false;
        stop_process(f);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        assert_int_equal(fake_ca.resolves, 1);
}

static void an_order_that_costs_nothing_needs_no_note(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.order_reads = true;
        reissue(f, "www", false);
        assert_true(run_to(f, calls_the_ca));
        CLEANUP(free_p) char *note = text_format("%s/unsent-%lld", f->runtime, (long long)f->job);
        assert_int_equal(access(note, F_OK), -1);
        fake_ca.order_reads = false;
        stop_process(f);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        fake_ca_orders_cost_nothing(false);
}

static void maybe_fail(struct err *e, unsigned one_in)
{
        static const enum err_kind kinds[] = { ERR_TEMPORARY, ERR_RATE_LIMITED, ERR_UNKNOWN, ERR_TEMPORARY };
        if (rand() % (int)one_in == 0)
                err_set(e, kinds[rand() % (int)ARRAY_LEN(kinds)], "random", "random");
}

static void random_events_never_break_the_invariants(void **state)
{
        struct fixture *f = *state;
        unsigned seed = (unsigned)time(NULL);
        print_message("seed %u\n", seed);
        srand(seed);
        for (int i = 0; i < RANDOM_JOBS; i++) {
                fake_ca_reset();
                fake_ca.late_proofs = rand() % 2;
                fake_ca.order_lost = rand() % 3 == 0;
                reissue(f, "www", rand() % 2);
                for (int64_t end_ms = clock_boot_ms() + LIMIT_MS; clock_boot_ms() < end_ms && !ended(f);) {
                        bool never = false;
                        maybe_fail(&fake_ca.inspect_err, 9);
                        maybe_fail(&fake_ca.order_err, 9);
                        maybe_fail(&fake_ca.view_err, 9);
                        maybe_fail(&fake_ca.validate_err, 9);
                        maybe_fail(&fake_ca.fetch_err, 9);
                        maybe_fail(&fake_ca.publish_err, 9);
                        (void)loop_run_until(f->loop, &never, 1);
                        let_time_pass(f);
                        if (rand() % 60 == 0) {
                                stop_engine(f);
                                start_engine(f);
                        }
                        if (fake_ca.orders > 1)
                                fail_msg("seed %u: %u orders", seed, fake_ca.orders);
                }
                if (!ended(f) && f->engine->job_count)
                        fail_msg("seed %u: job %d stays in %s: %s", seed, i,
                                job_state_name(f->engine->job[0]->row.state),
                                f->engine->job[0]->row.err_text ? f->engine->job[0]->row.err_text : "");
                if (!run_to(f, idle_without_jobs) || fake_ca.out)
                        fail_msg("seed %u: tokens are left after job %d", seed, i);
        }
        struct err e;
        assert_true(journal_audit_verify(f->engine->store, &e));
}

static json_t *last_job(struct fixture *f)
{
        json_t *status = cert_status_json(engine_cert(f->engine, "www"), false);
        json_t *last = json_incref(json_object_get(status, "last_job"));
        json_decref(status);
        return last;
}

static void expect_last(struct fixture *f, const char *state, const char *text, const char *fix)
{
        json_t *last = last_job(f);
        assert_string_equal(json_str(last, "state"), state);
        assert_string_equal(json_str(last, "text"), text);
        if (fix)
                assert_string_equal(json_str(last, "fix"), fix);
        else
                assert_null(json_str(last, "fix"));
        assert_true(json_i64(last, "at", 0) > 0 && json_i64(last, "job", 0) > 0);
        json_decref(last);
}

static bool history_says(struct fixture *f, const char *fix)
{
        size_t i;
        json_t *row;
        ask(f, action_history, json_pack("{s:s}", "cert", "www"));
        json_array_foreach(json_object_get(f->answer, "history"), i, row)
        {
                const char *text = json_str(json_object_get(row, "data"), "fix");
                if (text && strcmp(text, fix) == 0)
                        return true;
        }
        return false;
}

/* A script's job is followed by nobody: how it ended, and what to do, is told afterwards, also by another process. */
static void how_the_last_job_ended_is_told_until_one_succeeds(void **state)
{
        struct fixture *f = *state;
        json_t *none = last_job(f);
        assert_true(json_is_null(none));
        err_set(&fake_ca.inspect_err, ERR_RULE, "R3", "R3: used");
        err_fix(&fake_ca.inspect_err, "buy one");
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        expect_last(f, "failed", "R3: used", "buy one");
        assert_true(history_says(f, "buy one"));
        stop_engine(f);
        start_engine(f);
        expect_last(f, "failed", "R3: used", "buy one");
        fake_ca.person = true;
        reissue(f, "www", false);
        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
        assert_true(run_to(f, idle_without_jobs));
        expect_last(f, "failed", "R3: used", "buy one"); /* what was cancelled changed nothing */
        fake_ca.person = fake_ca.open = fake_ca.validated = false;
        reissue(f, "www", false);
        expect_done(f); /* in the same second as the failure, perhaps */
        expect_last(f, "done", "deployed, not looked at", NULL);
        err_set(&fake_ca.inspect_err, ERR_RULE, "R3", "R3: used");
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        expect_last(f, "failed", "R3: used", "mend it, then dcvctl reissue www");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_review_survives_a_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(the_time_in_a_state_is_counted_from_where_it_began, setup, teardown),
                cmocka_unit_test_setup_teardown(after_a_restart_the_ca_hears_what_the_job_knows, setup, teardown),
                cmocka_unit_test_setup_teardown(a_due_time_of_a_clock_that_was_ahead_is_not_slept_for, setup, teardown),
                cmocka_unit_test_setup_teardown(a_restart_in_any_state_goes_on_with_one_order, setup, teardown),
                cmocka_unit_test_setup_teardown(cancelling_in_any_state_ends_without_tokens, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        what_was_issued_is_not_called_unspent_when_it_is_cancelled, setup, teardown),
                cmocka_unit_test_setup_teardown(who_cancels_it_again_waits_with_the_first, setup, teardown),
                cmocka_unit_test_setup_teardown(a_ca_that_is_away_keeps_nobody_from_cancelling, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_may_have_been_spent_is_not_left_behind, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        an_unanswered_order_that_costs_nothing_is_not_waited_for, setup, teardown),
                cmocka_unit_test_setup_teardown(jobs_that_exclude_each_other_go_one_after_another, setup, teardown),
                cmocka_unit_test_setup_teardown(a_late_answer_moves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(who_asks_again_already_is_not_woken, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        a_journal_that_takes_nothing_is_tried_ever_less_often_and_sends_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_was_sent_is_never_sent_again_unasked, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        an_order_that_was_not_yet_sent_is_sent_without_a_question, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        an_order_that_was_not_yet_sent_is_cancelled_without_one, setup, teardown),
                cmocka_unit_test_setup_teardown(without_the_note_the_ca_is_asked, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_costs_nothing_needs_no_note, setup, teardown),
                cmocka_unit_test_setup_teardown(how_the_last_job_ended_is_told_until_one_succeeds, setup, teardown),
                cmocka_unit_test_setup_teardown(random_events_never_break_the_invariants, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
