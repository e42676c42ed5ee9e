/* Whole jobs against a CA of the tests: what it answers, loses and refuses, and what the engine makes of it. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/job/incident.h"
#include "agent/job/when.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

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

static void two_who_ask_at_once_get_one_job(void **state)
{
        struct fixture *f = *state;
        json_t *args = json_pack("{s:[s]}", "certs", "www");
        int64_t job[2];
        for (int i = 0; i < 2; i++) {
                action_reissue(f->engine, args, on_answer, f);
                job[i] = f->job;
        }
        json_decref(args);
        assert_true(run_to(f, has_a_job));
        assert_int_equal(job[1], f->engine->job[0]->row.id); /* the second joined before the first was on disk */
        ask(f, action_deploy, json_pack("{s:s, s:i}", "cert", "www", "set", 1));
        assert_string_equal(f->refused.code, "running");
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

static void who_wants_a_new_certificate_is_not_joined_to_a_job_that_deploys_an_old_one(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        expect_done(f);
        ask(f, action_deploy, json_pack("{s:s, s:i}", "cert", "www", "set", 1));
        assert_int_equal(f->refused.kind, ERR_NONE);
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_string_equal(f->refused.code, "running");
        assert_non_null(strstr(f->refused.text, "puts set 1 to use"));
        f->exit = -1;
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 2);
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
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 5);
        assert_int_equal(fake_ca.orders, 0);
}

/* A refusal leads to the next CA at once, silence only in time. */
static void a_dry_run_says_which_ca_comes_next(void **state)
{
        static const struct {
                enum err_kind kind;
                bool two;
                const char *ca, *next;
        } row[] = { { ERR_TEMPORARY, true, "ca", "second" }, { ERR_UNKNOWN, true, "ca", "second" },
                { ERR_TEMPORARY, false, "ca", NULL }, { ERR_RULE, true, "second", NULL } };
        struct fixture *f = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                f->two_cas = row[i].two;
                reconfigure(f);
                err_set(&fake_ca.inspect_err, row[i].kind, "x", "it said nothing");
                ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "dry_run", 1));
                assert_string_equal(json_str(f->answer, "ca"), row[i].ca);
                const char *next = json_str(f->answer, "next_ca");
                if (!row[i].next != !next || (next && strcmp(next, row[i].next) != 0))
                        fail_msg("%zu: %s", i, next ? next : "no next CA");
                assert_int_equal(json_i64(f->answer, "next_ca_after", 0), next ? 6 * 3600 : 0);
        }
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

static void an_order_that_is_not_shown_yet_is_not_lost(void **state)
{
        struct fixture *f = *state;
        err_set(&fake_ca.view_err, ERR_DENIED, "gone", "the certificate does not exist");
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
}

static void what_an_acme_ca_refuses_is_refused_however_young_the_order_is(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        err_set(&fake_ca.view_err, ERR_DENIED, "acme.challenge", "the CA does not offer http-01");
        reissue(f, "www", false);
        bool over = run_to(f, ended);
        fake_ca_orders_cost_nothing(false);
        assert_true(over);
        assert_int_equal(f->exit, 1);
        assert_int_equal(fake_ca.views, 1);
        assert_non_null(strstr(f->text, "does not offer http-01"));
}

static void a_certificate_for_another_key_is_never_installed(void **state)
{
        struct fixture *f = *state;
        fake_ca.wrong_key = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_int_equal(sets_live(f->engine->sets, "www"), 0);
}

static void an_order_that_failed_is_followed_by_another(void **state)
{
        struct fixture *f = *state;
        fake_ca.failing_orders = 3;
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 4);
        assert_false(fake_ca.doubled);
}

static bool waits_for_another_order(struct fixture *f)
{
        const struct job *j = f->engine->job_count ? f->engine->job[0] : NULL;
        return j && j->order_over && !j->moving && j->due.entry.index;
}

/* A limit of the CA's, say. */
static void another_order_comes_when_the_ca_takes_it(void **state)
{
        struct fixture *f = *state;
        fake_ca.failing_orders = 1;
        fake_ca.again_after_s = 3600;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_another_order));
        assert_true(f->engine->job[0]->row.due_ms > clock_now_ms() + 3590 * 1000);
        assert_int_equal(fake_ca.orders, 1);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 2);
}

static void orders_that_always_fail_are_not_opened_for_ever(void **state)
{
        struct fixture *f = *state;
        fake_ca.failing_orders = 1000;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_int_equal(fake_ca.orders, 5);
        assert_non_null(strstr(f->text, "www.example.test: connection refused"));
}

static void an_order_that_somebody_else_finalized_is_followed_by_another(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.others_orders = 1;
        reissue(f, "www", false);
        expect_done(f);
        fake_ca_orders_cost_nothing(false);
        assert_int_equal(fake_ca.orders, 2);
        assert_int_equal(sets_live(f->engine->sets, "www"), 1);
}

static void a_ca_that_always_certifies_another_key_is_asked_twice(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.others_orders = 1000;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        fake_ca_orders_cost_nothing(false);
        assert_int_equal(f->exit, 1);
        assert_int_equal(fake_ca.orders, 2);
}

/* It forgot the order between its last word and the certificate. */
static void what_a_ca_has_no_more_is_ordered_once_more(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.strangers = true;
        for (unsigned gone = 1; gone < 3; gone++) {
                fake_ca.orders = 0;
                fake_ca.validated = fake_ca.open = false;
                fake_ca.unfetched = gone;
                reissue(f, "www", false);
                assert_true(run_to(f, ended));
                assert_int_equal(f->exit, gone == 1 ? 0 : 1);
                assert_int_equal(fake_ca.orders, 2);
        }
        fake_ca_orders_cost_nothing(false);
        fake_ca.validated = fake_ca.open = false; /* one that was paid for stays open */
        fake_ca.orders = 0;
        fake_ca.unfetched = 1;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_int_equal(fake_ca.orders, 1);
}

static void a_lost_order_that_cost_nothing_is_opened_again_unasked(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca.order_lost = true;
        reissue(f, "www", false);
        expect_done(f);
        fake_ca_orders_cost_nothing(false);
        assert_int_equal(fake_ca.orders, 2);
        assert_int_equal(fake_ca.resolves, 0);
}

static void validity_is_judged_by_the_clock_of_the_ca(void **state)
{
        struct fixture *f = *state;
        fake_ca.ahead_s = 30 * 86400;
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(sets_live(f->engine->sets, "www"), 1);
        fake_ca_reset();
        fake_ca.ahead_s = 30 * 86400;
        fake_ca.mute = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_non_null(strstr(f->text, "not valid before"));
}

static void a_closed_order_ends_the_job(void **state)
{
        struct fixture *f = *state;
        fake_ca.closed = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_int_equal(f->engine->order_count, 0);
}

static void keep_answer(void *arg, const json_t *result, const struct err *err)
{
        assert_null(err);
        *(json_t **)arg = json_deep_copy(result);
}

static void who_asks_late_hears_what_helps_too(void **state)
{
        struct fixture *f = *state;
        CLEANUP(json_decref_p) json_t *args = NULL, *said = NULL;
        struct err e = { 0 };
        err_set(&e, ERR_DENIED, "denied", "not for you");
        err_fix(&e, "ask somebody");
        fake_ca.inspect_err = e;
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        args = json_pack("{s:I}", "id", (json_int_t)f->job);
        action_job(f->engine, args, keep_answer, &said);
        assert_true(json_bool(said, "ended", false));
        assert_string_equal(json_str(json_object_get(said, "error"), "fix"), "ask somebody");
        assert_string_equal(json_str(json_object_get(said, "error"), "text"), "not for you");
}

static bool nothing_out(struct fixture *f)
{
        return fake_ca.out == 0 && f->engine->token_count == 0;
}

static bool out_and_kept(struct fixture *f)
{
        return f->engine->token_count == 1 && !f->engine->token[0]->busy && f->engine->token[0]->due.entry.index &&
                f->engine->job_count == 0;
}

static void fail_with_an_open_order(struct fixture *f)
{
        err_set(&fake_ca.validate_err, ERR_DENIED, "denied", "not today");
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        assert_int_equal(f->exit, 1);
        assert_true(run_to(f, out_and_kept));
        assert_int_equal(fake_ca.out, 1);
}

static void an_open_order_keeps_its_tokens_until_its_deadline(void **state)
{
        struct fixture *f = *state;
        fake_ca.deadline_s = clock_now_s() + 3600;
        fail_with_an_open_order(f);
        int64_t due_ms = f->engine->token[0]->due.entry.due_ms;
        assert_true(due_ms >= fake_ca.deadline_s * 1000 && due_ms < (fake_ca.deadline_s + 600) * 1000);
        fake_ca.deadline_s = 0;
        fail_with_an_open_order(f); /* a deadline once said is not forgotten by the next job */
        stop_engine(f);
        start_engine(f); /* nor by the next process */
        assert_true(run_to(f, out_and_kept));
        assert_int_equal(f->engine->token[0]->due.entry.due_ms, due_ms);
        f->engine->order[0].deadline_s = clock_now_s() - 3600;
        f->engine->clock_suspect_until_ms = clock_boot_ms() + 60000; /* a clock that jumped passes no deadline */
        let_time_pass(f);
        assert_true(run_to(f, out_and_kept));
        assert_int_equal(f->engine->token[0]->row.holder_count, 0);
        f->engine->clock_suspect_until_ms = 0;
        let_time_pass(f);
        assert_true(run_to(f, nothing_out));
}

static void a_deadline_that_passed_is_no_reason_to_stop_a_job(void **state)
{
        struct fixture *f = *state;
        fake_ca.deadline_s = clock_now_s() - 86400;
        err_set(&fake_ca.validate_err, ERR_DENIED, "denied", "not today");
        reissue(f, "www", false);
        assert_true(run_to(f, ended)); /* while the job runs the CA decides, not the date */
        assert_int_equal(fake_ca.validates, 1);
        assert_true(run_to(f, nothing_out));
}

static void the_next_job_goes_on_with_the_kept_tokens(void **state)
{
        struct fixture *f = *state;
        fake_ca.deadline_s = clock_now_s() + 3600;
        fail_with_an_open_order(f);
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.orders, 1);
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

static bool waits_to_publish(struct fixture *f)
{
        const struct job *j = f->engine->job_count ? f->engine->job[0] : NULL;
        return j && j->row.state == JOB_PUBLISHED && !j->moving && j->due.entry.index && j->row.err_text;
}

static bool is_published(struct fixture *f)
{
        return f->engine->job_count && f->engine->job[0]->row.state > JOB_PUBLISHED;
}

static bool turn_until(struct fixture *f, bool (*reached)(struct fixture *f))
{
        bool never = false;
        for (int64_t end_ms = clock_boot_ms() + LIMIT_MS; !reached(f) && clock_boot_ms() < end_ms;)
                (void)loop_run_until(f->loop, &never, 1);
        return reached(f);
}

static void tokens_that_fail_together_are_tried_again_together(void **state)
{
        struct fixture *f = *state;
        fake_ca.more_proofs = 3;
        fake_ca.publisher_down = true;
        reissue(f, "www", false);
        assert_true(turn_until(f, waits_to_publish));
        assert_int_equal(fake_ca.publishes, 4);
        assert_non_null(strstr(f->engine->job[0]->row.err_text, "refused"));
        fake_ca.publisher_down = false;
        let_time_pass(f); /* one delay, not one for each */
        assert_true(turn_until(f, is_published));
        assert_int_equal(fake_ca.publishes, 8);
        expect_done(f);
}

/* A publisher that refuses, a zone that is not delegated: the order's deadline comes, somebody mends it any moment. */
static void what_is_in_the_way_of_an_open_order_is_looked_at_within_ten_minutes(void **state)
{
        struct fixture *f = *state;
        struct err e;
        fake_ca.publisher_down = true;
        reissue(f, "www", false);
        assert_true(turn_until(f, waits_to_publish));
        struct job *j = f->engine->job[0];
        err_set(&e, ERR_CONFIG, "propagation.no-zone", "no zone answers for it");
        for (int64_t failures = j->row.failures; failures < 60; failures++) {
                assert_int_equal(j->row.failures, failures);
                assert_in_range(j->row.due_ms, clock_now_ms() + 1, clock_now_ms() + 600 * 1000);
                job_trouble(j, &e);
                assert_true(turn_until(f, waits_to_publish));
        }
        fake_ca.publisher_down = false;
        expect_done(f);
}

static bool is_told(struct fixture *f)
{
        const struct job *j = f->engine->job_count ? f->engine->job[0] : NULL;
        return j && j->row.state == JOB_SUBMITTED && j->row.told && !j->moving && fake_ca.views > 2;
}

static bool rests(struct fixture *f)
{
        const struct job *j = f->engine->job[0];
        return j->due.entry.index && !j->moving && !j->ca_call;
}

static bool is_diagnosed(struct fixture *f)
{
        return fake_ca.diagnoses > 0 && rests(f);
}

static void what_the_ca_says_of_the_tokens_stands_beside_what_was_seen(void **state)
{
        struct fixture *f = *state;
        fake_ca.slow = true;
        strcpy(fake_ca.diagnosis, "www.example.test by TXT: TXT record not found (found: nothing)\n");
        reissue(f, "www", false);
        assert_true(run_to(f, is_told));
        struct job *j = f->engine->job[0];
        j->submitted_ms -= 120 * 1000; /* two minutes later it is not asked every moment */
        assert_true(turn_until(f, rests));
        assert_int_equal(fake_ca.diagnoses, 0); /* and only then whether it sees the tokens */
        j->diagnosed_ms -= 31 * 1000;
        let_time_pass(f);
        assert_true(turn_until(f, is_diagnosed));
        ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
        const json_t *job = json_object_get(json_array_get(json_object_get(f->answer, "certificates"), 0), "job");
        assert_string_equal(json_str(job, "ca_says"), fake_ca.diagnosis);
        assert_string_equal(json_str(job, "dcvd_saw"), "nothing: propagation.view is publisher");
        assert_string_equal(json_str(job, "state"), "submitted");
        let_time_pass(f);
        assert_true(turn_until(f, rests));
        assert_int_equal(fake_ca.diagnoses, 1); /* not at each look */
        fake_ca.slow = false;
        fake_ca.validated = true;
        expect_done(f);
}

static void many_certificates_are_asked_for_in_groups(void **state)
{
        struct fixture *f = *state;
        f->looks = true;
        for (f->more = 20; f->more <= 200; f->more += 180) {
                size_t together = 0;
                stop_engine(f);
                start_engine(f);
                for (size_t i = 0; i < f->engine->cert_count; i++)
                        together += (f->engine->cert[i]->due.entry.due_ms / 1000 + f->engine->ask_phase_s) % 600 == 0;
                assert_int_equal(f->engine->cert_count, f->more + 2);
                if (f->more > 50)
                        assert_int_equal(together, f->engine->cert_count);
                else
                        assert_in_range(together, 0, f->more / 2); /* within the minute after the start */
        }
}

static bool is_asked(struct fixture *f)
{
        return !engine_cert(f->engine, "www")->asking;
}

static const char *end_said(struct fixture *f, action_fn *action, int64_t at_s)
{
        clock_fake(at_s * 1000, -1);
        ask(f, action, json_pack("{s:[s]}", "certs", "www"));
        clock_fake(-1, -1);
        return json_str(json_array_get(json_object_get(f->answer, "certificates"), 0), "end");
}

static void from_its_last_third_on_status_and_check_say_what_to_buy(void **state)
{
        static action_fn *const action[] = { action_status, action_check };
        struct fixture *f = *state;
        fake_ca.not_before_s = clock_now_s() - 100 * 86400;
        fake_ca.not_after_s = fake_ca.not_before_s + 300 * 86400;
        const int64_t third_s = fake_ca.not_before_s + 200 * 86400;
        cert_due(engine_cert(f->engine, "www"));
        assert_true(run_to(f, is_asked));
        for (size_t i = 0; i < ARRAY_LEN(action); i++) {
                assert_null(end_said(f, action[i], third_s - 1));
                const char *end = end_said(f, action[i], third_s);
                assert_non_null(end);
                assert_non_null(strstr(end, "100 d left (until "));
                assert_non_null(strstr(end, "a reissue keeps the end date: buy or apply for a new one at the CA"));
        }
        assert_int_equal(fake_ca.orders, 0);
}

static void what_lives_here_counts_where_the_ca_says_no_dates(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        expect_done(f);
        int64_t end_s = engine_cert(f->engine, "www")->row.live_not_after_s;
        assert_null(end_said(f, action_status, end_s - 40 * 86400));
        assert_non_null(end_said(f, action_status, end_s - 20 * 86400));
        fake_ca_renews(true); /* then time does it */
        assert_null(end_said(f, action_status, end_s - 20 * 86400));
}

static bool all_are_asked(struct fixture *f)
{
        for (size_t i = 0; i < f->engine->cert_count; i++)
                if (f->engine->cert[i]->asking)
                        return false;
        return true;
}

/* From one due time to the next for so many days, or until a job starts; where each begins is kept in ret_s. */
static bool a_job_starts_within(struct fixture *f, int64_t days, int64_t *ret_s)
{
        struct engine *g = f->engine;
        int64_t until_ms = clock_now_ms() + days * 86400 * 1000;
        bool starts = false, asked = true, never = false;
        int kept = dup(STDERR_FILENO),
            null = open("/dev/null", O_WRONLY | O_CLOEXEC); /* the end is told at each look */
        assert_true(kept >= 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0);
        for (struct due_entry *next; asked && !starts && (next = due_first(&g->heap)) && next->due_ms <= until_ms;) {
                int64_t at_ms = MAX(next->due_ms, clock_now_ms());
                clock_fake(at_ms, -1);
                g->clock_suspect_until_ms = 0; /* nothing is held back because of the leap */
                while ((next = due_pop(&g->heap, at_ms)))
                        engine_due_fired(g, next);
                for (int turn = 0; turn < 1000 && !all_are_asked(f); turn++)
                        (void)loop_run_until(f->loop, &never, 0);
                asked = all_are_asked(f);
                starts = g->job_count > 0 || g->cert[0]->starting || g->cert[1]->starting;
        }
        (void)dup2(kept, STDERR_FILENO); /* it was open there before */
        close(kept);
        close(null);
        assert_true(asked);
        *ret_s = clock_now_s();
        clock_fake(-1, -1);
        return starts;
}

/* A reissue never extends what it replaces: time alone opens no order, before the end or after it. */
static void a_hundred_years_open_no_order_where_nothing_renews(void **state)
{
        struct fixture *f = *state;
        int64_t now_s = clock_now_s(), at_s = 0;
        reissue(f, "www", false);
        expect_done(f);
        const struct fake_ca before = fake_ca;
        fake_ca.not_before_s = now_s;
        fake_ca.not_after_s = now_s + 365 * 86400;
        assert_false(a_job_starts_within(f, 100 * 365, &at_s));
        assert_in_range(at_s, now_s + (100 * 365 - 9) * INT64_C(86400), now_s + 100 * 365 * INT64_C(86400));
        assert_int_equal(fake_ca.orders, before.orders);
        assert_int_equal(fake_ca.publishes, before.publishes);
        assert_true(fake_ca.inspects - before.inspects > 100 * 365 / 9); /* it was asked all the time */
}

/* The same walk where a CA renews: before a third of the lifetime is left. */
static void where_a_ca_renews_time_opens_one(void **state)
{
        struct fixture *f = *state;
        int64_t at_s = 0;
        reissue(f, "www", false);
        expect_done(f);
        int64_t end_s = engine_cert(f->engine, "www")->row.live_not_after_s;
        fake_ca_renews(true);
        cert_plan(engine_cert(f->engine, "www"));
        assert_true(a_job_starts_within(f, 100, &at_s));
        assert_in_range(at_s, end_s - 34 * 86400, end_s - 30 * 86400);
}

static bool renewal_is_over(struct fixture *f)
{
        return !engine_cert(f->engine, "www")->starting && idle_without_jobs(f);
}

/* The CA's clock was right all the time; this one still stands months ahead, or is right again by now. */
static void a_renewal_by_a_clock_that_is_ahead_opens_no_order(void **state)
{
        (void)state;
        for (int wrong = 0; wrong < 2; wrong++) {
                struct fixture *f = NULL;
                int64_t at_s = 0;
                assert_int_equal(setup((void **)&f), 0);
                reissue(f, "www", false);
                expect_done(f);
                fake_ca_renews(true);
                cert_plan(engine_cert(f->engine, "www"));
                unsigned orders = fake_ca.orders;
                assert_true(a_job_starts_within(f, 100, &at_s));
                fake_ca.ahead_s = wrong ? clock_now_s() - at_s : -1;
                if (wrong)
                        clock_fake(at_s * 1000, -1);
                assert_true(run_to(f, renewal_is_over));
                assert_int_equal(fake_ca.orders, orders);
                ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
                const json_t *cert = json_array_get(json_object_get(f->answer, "certificates"), 0),
                             *last = json_object_get(cert, "last_job");
                assert_string_equal(json_str(last, "state"), wrong ? "failed" : "done");
                if (wrong) {
                        assert_non_null(strstr(json_str(last, "text"), "it is not renewed before "));
                        assert_non_null(strstr(json_str(last, "fix"), "set this host's clock, which is "));
                }
                clock_fake(-1, -1);
                teardown((void **)&f);
        }
}

static bool waits_at_the_ca(struct fixture *f)
{
        return f->engine->job_count > 0 && f->engine->job[0]->row.err_code && f->engine->job[0]->due.entry.index;
}

static bool jump_is_seen(struct fixture *f)
{
        return !engine_clock_is_sound(f->engine);
}

/* From 1970, say: the CA that could not be reached until then has its six hours all the same. */
static void a_clock_that_is_set_leaves_the_ca_its_time(void **state)
{
        static const int64_t by_s[] = { 7 * 3600, -7 * 3600 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(by_s); i++) {
                struct fixture *f = NULL;
                assert_int_equal(setup((void **)&f), 0);
                err_set(&fake_ca.inspect_err, ERR_TEMPORARY, "http.certificate", "not yet valid");
                reissue(f, "www", false);
                assert_true(turn_until(f, waits_at_the_ca));
                int64_t began_s = f->engine->job[0]->row.attempt_s;
                clock_fake(clock_now_ms() + by_s[i] * 1000, -1);
                engine_due_set(f->engine, &engine_cert(f->engine, "two")->due, 1); /* at once */
                assert_true(turn_until(f, jump_is_seen));
                assert_in_range(f->engine->job[0]->row.attempt_s, began_s + by_s[i] - 2, began_s + by_s[i] + 2);
                clock_fake(-1, -1);
                teardown((void **)&f);
        }
}

/* Whatever else makes it look at the certificate meanwhile. */
static void a_renewal_that_failed_for_good_is_not_tried_at_once_again(void **state)
{
        enum { DAY = 86400, IT_IS_DUE = 1 };
        static const struct {
                int64_t life_s, left_s, failed_s; /* ago */
                int64_t least_s, most_s;
        } row[] = { { 90 * DAY, 10 * DAY, 0, DAY, DAY + 60 }, { 90 * DAY, 10 * DAY, DAY / 2, DAY / 2, DAY / 2 + 60 },
                { 90 * DAY, IT_IS_DUE, 0, DAY, DAY + 60 }, { 90 * DAY, -DAY, 0, DAY, DAY + 60 },
                { DAY, DAY / 3, 0, DAY / 10, DAY / 10 + 60 }, { 90 * DAY, 10 * DAY, -DAY, 0, 60 },
                { 90 * DAY, 10 * DAY, 2 * DAY, 0, 60 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct fixture *f = NULL;
                assert_int_equal(setup((void **)&f), 0);
                struct cert *c = engine_cert(f->engine, "www");
                reissue(f, "www", false);
                expect_done(f);
                fake_ca_renews(true);
                int64_t now_s = clock_now_s(), at_s = 0;
                c->row.live_not_after_s = now_s + row[i].left_s;
                c->live_not_before_s = c->row.live_not_after_s - row[i].life_s;
                if (row[i].left_s == IT_IS_DUE) { /* in this very second, as it was when it was tried */
                        int64_t later_s =
                                now_s - when_renew_s(c->live_not_before_s, c->row.live_not_after_s, c->renew_jitter);
                        c->live_not_before_s += later_s;
                        c->row.live_not_after_s += later_s;
                }
                c->row.last_success_s = c->live_not_before_s;
                c->row.last_failure_s = now_s - row[i].failed_s;
                c->ask_first = true; /* as after each job */
                cert_plan(c);
                assert_true(a_job_starts_within(f, 5, &at_s));
                if (at_s < now_s + row[i].least_s || at_s > now_s + row[i].most_s)
                        fail_msg("row %zu: %lld", i, (long long)(at_s - now_s));
                teardown((void **)&f);
        }
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

/* ---- publisher manual ---- */

struct told { /* by notices that somebody must act */
        unsigned count;
        char text[400];
};

static void on_waiting(void *arg, const struct notice *n)
{
        struct told *t = arg;
        if (n->kind != NOTICE_WAITING)
                return;
        t->count++;
        snprintf(t->text, sizeof t->text, "%s", n->text);
}

static bool waits_for_you(struct fixture *f)
{
        const struct job *j = f->engine->job_count ? f->engine->job[0] : NULL;
        if (j) /* the fixture's certificates are not looked at */
                j->policy->propagation.view = VIEW_AUTHORITATIVE;
        return j && j->row.waiting && strstr(j->row.waiting, "\"party\":\"you\"");
}

#define LONG_ORDER "https://acme-v02.api.letsencrypt.org/acme/order/1234567890/345678901234567"
static bool names_the_order(struct fixture *f)
{
        const char *text = f->engine->job[0]->row.err_text;
        return text && strstr(text, ", order https:");
}

static void a_person_who_must_publish_is_told_once_with_the_record(void **state)
{
        struct fixture *f = *state;
        struct told t = { 0 };
        struct notice_listener *l = notice_listen(f->engine, on_waiting, &t);
        fake_publisher_is_a_person(true);
        fake_ca.deadline_s = clock_now_s() + 3 * 86400;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "dry_run", 1));
        assert_string_equal(json_str(f->answer, "published_by_hand"), "zone");
        assert_true(json_bool(f->answer, "person_expected", false));
        assert_false(json_bool(f->answer, "approval_expected", true));
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_you));
        struct job *j = f->engine->job[0];
        CLEANUP(json_decref_p) json_t *shown = job_status_json(j);
        const json_t *w = json_object_get(shown, "waiting");
        assert_int_equal(json_i64(w, "deadline", 0), fake_ca.deadline_s);
        assert_non_null(strstr(json_str(w, "act"), "please publish: "));
        assert_non_null(strstr(json_str(w, "act"), " IN TXT \""));
        assert_string_equal(json_str(json_object_get(shown, "error"), "code"), "person");
        assert_int_equal(job_exit_code(&j->row), 4);
        assert_false(j->slot); /* days may pass */
        assert_true(j->propagate_count > 0 && j->propagate[0].run); /* the looks go on */
        assert_int_equal(t.count, 1);
        assert_non_null(strstr(t.text, json_str(w, "act")));
        job_set(&j->row.order_id, LONG_ORDER);
        job_stop_work(j);
        step_propagated(j);
        assert_true(run_to(f, names_the_order));
        assert_non_null(strstr(j->row.err_text, ", order " LONG_ORDER));
        job_set(&j->row.order_id, "new");
        job_stop_work(j);
        j->policy->propagation.view = VIEW_PUBLISHER;
        step_propagated(j); /* it was seen */
        assert_null(j->row.waiting);
        expect_done(f);
        assert_int_equal(t.count, 1);
        fake_publisher_is_a_person(false);
        notice_unlisten(f->engine, l);
}

static void a_job_is_found_by_its_number(void **state)
{
        static const int64_t number[] = { 2, 3, 5, 8, 13, 21, 34 };
        struct job one[ARRAY_LEN(number)], *list[ARRAY_LEN(number)];
        struct engine g = { .job = list };
        (void)state;
        memset(one, 0, sizeof one);
        for (g.job_count = 0; g.job_count <= ARRAY_LEN(number); g.job_count++)
                for (int64_t id = 1; id < 36; id++) {
                        const struct job *want = NULL;
                        for (size_t i = 0; i < g.job_count; i++) {
                                one[i].row.id = number[i];
                                list[i] = &one[i];
                                want = number[i] == id ? &one[i] : want;
                        }
                        assert_ptr_equal(engine_job(&g, id), want);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_clock_that_is_set_leaves_the_ca_its_time),
                cmocka_unit_test_setup_teardown(a_reissue_sends_one_order_and_leaves_no_token, setup, teardown),
                cmocka_unit_test_setup_teardown(two_who_ask_at_once_get_one_job, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        who_wants_a_new_certificate_is_not_joined_to_a_job_that_deploys_an_old_one, setup, teardown),
                cmocka_unit_test_setup_teardown(a_lost_answer_is_asked_for_never_repeated, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_was_not_processed_is_sent_again, setup, teardown),
                cmocka_unit_test_setup_teardown(a_refusal_by_a_rule_spends_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(a_dry_run_says_which_ca_comes_next, setup, teardown),
                cmocka_unit_test_setup_teardown(temporary_trouble_in_every_call_only_delays, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_is_not_shown_yet_is_not_lost, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        what_an_acme_ca_refuses_is_refused_however_young_the_order_is, setup, teardown),
                cmocka_unit_test_setup_teardown(a_certificate_for_another_key_is_never_installed, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_that_failed_is_followed_by_another, setup, teardown),
                cmocka_unit_test_setup_teardown(another_order_comes_when_the_ca_takes_it, setup, teardown),
                cmocka_unit_test(a_job_is_found_by_its_number),
                cmocka_unit_test_setup_teardown(orders_that_always_fail_are_not_opened_for_ever, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        an_order_that_somebody_else_finalized_is_followed_by_another, setup, teardown),
                cmocka_unit_test_setup_teardown(a_ca_that_always_certifies_another_key_is_asked_twice, setup, teardown),
                cmocka_unit_test_setup_teardown(what_a_ca_has_no_more_is_ordered_once_more, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        a_lost_order_that_cost_nothing_is_opened_again_unasked, setup, teardown),
                cmocka_unit_test_setup_teardown(validity_is_judged_by_the_clock_of_the_ca, setup, teardown),
                cmocka_unit_test_setup_teardown(a_closed_order_ends_the_job, setup, teardown),
                cmocka_unit_test_setup_teardown(who_asks_late_hears_what_helps_too, setup, teardown),
                cmocka_unit_test_setup_teardown(an_open_order_keeps_its_tokens_until_its_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(a_deadline_that_passed_is_no_reason_to_stop_a_job, setup, teardown),
                cmocka_unit_test_setup_teardown(the_next_job_goes_on_with_the_kept_tokens, setup, teardown),
                cmocka_unit_test_setup_teardown(a_compromised_key_is_marked_and_a_new_one_made, setup, teardown),
                cmocka_unit_test_setup_teardown(tokens_that_fail_together_are_tried_again_together, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        what_is_in_the_way_of_an_open_order_is_looked_at_within_ten_minutes, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        what_the_ca_says_of_the_tokens_stands_beside_what_was_seen, setup, teardown),
                cmocka_unit_test_setup_teardown(many_certificates_are_asked_for_in_groups, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        a_person_who_must_publish_is_told_once_with_the_record, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        from_its_last_third_on_status_and_check_say_what_to_buy, setup, teardown),
                cmocka_unit_test_setup_teardown(what_lives_here_counts_where_the_ca_says_no_dates, setup, teardown),
                cmocka_unit_test_setup_teardown(a_hundred_years_open_no_order_where_nothing_renews, setup, teardown),
                cmocka_unit_test(a_renewal_by_a_clock_that_is_ahead_opens_no_order),
                cmocka_unit_test_setup_teardown(where_a_ca_renews_time_opens_one, setup, teardown),
                cmocka_unit_test(a_renewal_that_failed_for_good_is_not_tried_at_once_again),
                cmocka_unit_test_setup_teardown(a_second_engine_is_refused, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
