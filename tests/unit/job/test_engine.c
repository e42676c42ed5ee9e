/* Whole jobs against a CA of the tests: what it answers, loses and refuses, and what the engine makes of it. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"
#include "fake_ca.h"

#define RANDOM_JOBS 60

struct fixture {
        char directory[64];
        struct loop *loop;
        struct engine *engine;
        bool answered;
        int64_t job;
        struct err refused;
        int exit; /* of the last job that ended; -1: none yet */
        char text[300];
        struct engine_listener *listener;
};

static void on_event(void *arg, const json_t *e)
{
        struct fixture *f = arg;
        if (!json_bool(e, "ended", false))
                return;
        f->exit = (int)json_i64(e, "exit", -2);
        snprintf(f->text, sizeof f->text, "%s", json_str(e, "text") ? json_str(e, "text") : "");
}

static void start_engine(struct fixture *f)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        struct err e;
        CLEANUP(free_p)
        char *text = text_format(
                "state_directory: %s\nruntime_directory: %s\nresolvers: [\"127.0.0.1\"]\n"
                "cas: {ca: {type: fake}}\npublishers: {zone: {type: fake}}\n"
                "certificates:\n  www: {names: [www.example.test], ca: ca, publisher: zone, rehearse: never,"
                " propagation: {view: publisher}}\n"
                "  two: {names: [www.example.test], ca: ca, publisher: zone, rehearse: never,"
                " propagation: {view: publisher}}\n",
                f->directory, f->directory);
        if (!config_load_text("test", text, strlen(text), fake_kinds(), &conf, &p))
                fail_msg("%s", p.text.item[0]);
        conf_problems_done(&p);
        assert_true(loop_open(&f->loop, &e));
        struct engine_conf c = { .conf = conf, .helper_fd = -1, .cas = fake_cas, .publishers = fake_publishers };
        if (!engine_open(&f->engine, f->loop, &c, &e))
                fail_msg("%s", e.text);
        f->listener = engine_listen(f->engine, on_event, f);
        engine_start(f->engine);
}

static void stop_engine(struct fixture *f)
{
        engine_close(f->engine);
        loop_close(f->loop);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        fake_ca_reset();
        strcpy(f->directory, "/tmp/dcvd-engine-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        f->exit = -1;
        start_engine(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        struct err e;
        stop_engine(f);
        assert_true(tree_remove_at(-100, f->directory, &e));
        fake_ca_reset();
        free(f);
        return 0;
}

static void on_answer(void *arg, const json_t *result, const struct err *err)
{
        struct fixture *f = arg;
        f->answered = true;
        f->refused = err ? *err : (struct err){ 0 };
        f->job = json_i64(json_array_get(json_object_get(result, "jobs"), 0), "id", 0);
}

static void ask(struct fixture *f, action_fn *action, json_t *args_own)
{
        f->answered = false;
        action(f->engine, args_own, on_answer, f);
        json_decref(args_own);
        assert_true(loop_run_until(f->loop, &f->answered, 5000));
}

static void reissue(struct fixture *f, const char *cert, bool compromised)
{
        f->exit = -1;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", cert, "compromised", compromised));
}

/* Time passes: whoever sleeps until a due time is woken. */
static void let_time_pass(struct fixture *f)
{
        struct engine *g = f->engine;
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i]->due.entry.index)
                        job_run(g->job[i]);
        for (size_t i = g->token_count; i-- > 0;)
                if (g->token[i]->due.entry.index) {
                        engine_due_clear(g, &g->token[i]->due);
                        token_due(g->token[i]);
                }
}

static bool run_to(struct fixture *f, bool (*reached)(struct fixture *f), int64_t limit_ms)
{
        for (int64_t until_ms = clock_boot_ms() + limit_ms; clock_boot_ms() < until_ms;) {
                bool never = false;
                if (reached(f))
                        return true;
                (void)loop_run_until(f->loop, &never, 1);
                if (reached(f))
                        return true;
                let_time_pass(f);
        }
        return reached(f);
}

static bool ended(struct fixture *f)
{
        return f->exit != -1;
}

static bool idle_without_jobs(struct fixture *f)
{
        return f->engine->job_count == 0 && f->engine->token_count == 0;
}

static void expect_done(struct fixture *f)
{
        if (!run_to(f, ended, 20000))
                fail_msg("the job did not end: %s",
                        f->engine->job_count ? job_state_name(f->engine->job[0]->row.state) : "?");
        if (f->exit != 0)
                fail_msg("exit %d: %s", f->exit, f->text);
        assert_int_equal(fake_ca.out, 0);
        assert_true(run_to(f, idle_without_jobs, 5000));
}

/* ---- */

static void a_reissue_sends_one_order_and_leaves_no_token(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        assert_int_equal(sets_live(f->engine->sets, "www"), 1);
        struct err e;
        assert_true(journal_audit_verify(f->engine->store, &e));
}

static void a_lost_answer_is_asked_for_never_repeated(void **state)
{
        struct fixture *f = *state;
        fake_ca.order_lost = true;
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        assert_true(fake_ca.resolves >= 1);
}

static void an_order_that_was_not_processed_is_sent_again(void **state)
{
        struct fixture *f = *state;
        err_set(&fake_ca.order_err, ERR_UNKNOWN, "lost", "lost on the way there");
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        assert_int_equal(fake_ca.resolves, 1);
}

static void a_refusal_by_a_rule_spends_nothing(void **state)
{
        struct fixture *f = *state;
        err_set(&fake_ca.inspect_err, ERR_RULE, "R3", "R3: used");
        reissue(f, "www", false);
        assert_true(run_to(f, ended, 5000));
        assert_int_equal(f->exit, 5);
        assert_int_equal(fake_ca.orders, 0);
}

static void temporary_trouble_in_every_call_only_delays(void **state)
{
        struct fixture *f = *state;
        struct err *const all[] = { &fake_ca.inspect_err, &fake_ca.order_err, &fake_ca.view_err, &fake_ca.validate_err,
                &fake_ca.fetch_err, &fake_ca.publish_err, &fake_ca.retract_err };
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                err_set(all[i], ERR_TEMPORARY, "down", "down");
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

static void a_certificate_for_another_key_is_never_installed(void **state)
{
        struct fixture *f = *state;
        fake_ca.wrong_key = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ended, 5000));
        assert_int_equal(f->exit, 1);
        assert_int_equal(sets_live(f->engine->sets, "www"), 0);
}

static void a_closed_order_ends_the_job(void **state)
{
        struct fixture *f = *state;
        fake_ca.closed = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ended, 5000));
        assert_int_equal(f->exit, 1);
        assert_int_equal(f->engine->order_count, 0);
}

static void a_compromised_key_is_marked_and_a_new_one_made(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        expect_done(f);
        CLEANUP(free_p) char *old = text_dup(engine_cert(f->engine, "www")->row.live_spki);
        reissue(f, "www", true);
        assert_true(compromised_has(f->engine->keystore, old));
        expect_done(f);
        assert_string_not_equal(old, engine_cert(f->engine, "www")->row.live_spki);
        ask(f, action_deploy, json_pack("{s:s, s:i}", "cert", "www", "set", 1));
        assert_string_equal(f->refused.code, "I6");
}

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
        assert_true(run_to(f, waits_for_review, 10000));
        assert_int_equal(f->engine->acting, 0); /* it holds no slot */
        stop_engine(f);
        start_engine(f);
        f->exit = -1;
        fake_ca.approved = true;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
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
                assert_true(run_to(f, at_state, 10000));
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
                assert_true(run_to(f, at_state, 10000));
                if (ended(f))
                        continue;
                ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
                assert_true(run_to(f, ended, 10000));
                assert_true(run_to(f, idle_without_jobs, 5000));
                assert_int_equal(fake_ca.out, 0);
                assert_true(fake_ca.orders <= 1);
        }
}

static void jobs_that_exclude_each_other_go_one_after_another(void **state)
{
        struct fixture *f = *state;
        strcpy(fake_ca.exclusive, "example.test");
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review, 10000));
        fake_ca.open = false; /* the other certificate's own subject has no running reissue */
        reissue(f, "two", false);
        for (int i = 0; i < 20; i++) {
                bool never = false;
                (void)loop_run_until(f->loop, &never, 2);
        }
        assert_int_equal(f->engine->job_count, 2);
        assert_string_equal(f->engine->job[1]->row.err_code, "sibling");
        assert_int_equal(fake_ca.orders, 1);
        fake_ca.approved = true;
        assert_true(run_to(f, ended, 10000));
        fake_ca.validated = false;
        f->exit = -1;
        assert_true(run_to(f, ended, 10000));
        assert_int_equal(fake_ca.orders, 2);
}

static void a_second_engine_is_refused(void **state)
{
        struct fixture *f = *state;
        struct err e = { 0 };
        int fd = -1;
        CLEANUP(free_p) char *lock = text_format("%s/lock", f->directory);
        assert_false(file_lock(lock, &fd, &e));
        assert_string_equal(e.code, "locked");
}

/* ---- random ---- */

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
                for (int step = 0; step < 4000 && !ended(f); step++) {
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
                if (!run_to(f, idle_without_jobs, 5000) || fake_ca.out)
                        fail_msg("seed %u: tokens are left after job %d", seed, i);
        }
        struct err e;
        assert_true(journal_audit_verify(f->engine->store, &e));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_reissue_sends_one_order_and_leaves_no_token, setup, teardown),
                cmocka_unit_test_setup_teardown(a_lost_answer_is_asked_for_never_repeated, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_was_not_processed_is_sent_again, setup, teardown),
                cmocka_unit_test_setup_teardown(a_refusal_by_a_rule_spends_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(temporary_trouble_in_every_call_only_delays, setup, teardown),
                cmocka_unit_test_setup_teardown(a_certificate_for_another_key_is_never_installed, setup, teardown),
                cmocka_unit_test_setup_teardown(a_closed_order_ends_the_job, setup, teardown),
                cmocka_unit_test_setup_teardown(a_compromised_key_is_marked_and_a_new_one_made, setup, teardown),
                cmocka_unit_test_setup_teardown(a_review_survives_a_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(a_restart_in_any_state_goes_on_with_one_order, setup, teardown),
                cmocka_unit_test_setup_teardown(cancelling_in_any_state_ends_without_tokens, setup, teardown),
                cmocka_unit_test_setup_teardown(jobs_that_exclude_each_other_go_one_after_another, setup, teardown),
                cmocka_unit_test_setup_teardown(a_second_engine_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(random_events_never_break_the_invariants, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
