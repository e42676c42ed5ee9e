/* When a step begins: a job works, or is asked to work, never both. */
#include "test.h"

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static bool works(struct fixture *f)
{
        return f->engine->job_count > 0 && f->engine->job[0]->ca_call && !f->engine->job[0]->moving;
}

static bool waits_for_review(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_REVIEWED &&
                f->engine->job[0]->row.waiting && f->engine->job[0]->due.entry.index;
}

static void let_it_turn(struct fixture *f)
{
        bool never = false;
        (void)loop_run_until(f->loop, &never, 20);
}

/* Two questions at once would be two answers, and of an order that was sent it would be asked what became of it. */
static void who_works_is_not_asked_to(void **state)
{
        struct fixture *f = *state;
        bool *const hangs[] = { &fake_ca.inspect_hangs, &fake_ca.order_hangs };
        for (size_t i = 0; i < ARRAY_LEN(hangs); i++) {
                *hangs[i] = true;
                reissue(f, "www", false);
                assert_true(run_to(f, works));
                struct job *j = f->engine->job[0];
                const struct ca_call *asked = j->ca_call;
                assert_int_equal(j->row.state, i == 0 ? JOB_ELIGIBLE : JOB_ORDERED);
                job_run(j);
                assert_null(j->go_on);
                let_it_turn(f);
                assert_ptr_equal(j->ca_call, asked);
                assert_int_equal(fake_ca.resolves, 0);
                *hangs[i] = false;
                job_stop_work(j);
                job_run(j);
                expect_done(f);
                fake_ca_reset();
        }
}

/* It was asked, and something else began its step before the loop came to it. */
static void what_began_meanwhile_does_not_begin_again(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        struct job *j = f->engine->job[0];
        job_run(j);
        assert_non_null(j->go_on);
        job_look_at_order(j); /* as when it is due to poll */
        const struct ca_call *asked = j->ca_call;
        unsigned views = fake_ca.views;
        fake_ca.approved = true;
        assert_ptr_equal(j->ca_call, asked);
        expect_done(f);
        assert_int_equal(fake_ca.views, views + 1);
}

/* It goes to the next CA: no step of the old one begins any more. */
static void what_is_stopped_is_not_begun_either(void **state)
{
        struct fixture *f = *state;
        struct err e;
        f->two_cas = true;
        reconfigure(f);
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        struct job *j = f->engine->job[0];
        unsigned views = fake_ca.views;
        job_run(j);
        err_set(&e, ERR_RULE, "I6", "its key is reported");
        assert_true(job_go_elsewhere(j, &e));
        let_it_turn(f);
        assert_int_equal(fake_ca.views, views);
        assert_null(j->ca_call);
}

/* The call goes with the CA that it was made at; nobody else would ever answer who cancels. */
static void who_cancels_while_the_configuration_changes_is_answered(void **state)
{
        struct fixture *f = *state;
        for (int free = 1; free >= 0; free--) {
                fake_ca_reset();
                fake_ca_orders_cost_nothing(free);
                fake_ca.person = fake_ca.cancel_hangs = true;
                reissue(f, "www", false);
                assert_true(run_to(f, waits_for_review));
                CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:b}", "cert", "www", "yes", 1);
                f->answered = false;
                action_cancel(f->engine, args, on_answer, f);
                assert_true(f->engine->job[0]->cancelling);
                reconfigure(f);
                fake_ca_orders_cost_nothing(false);
                assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
                if (free) {
                        assert_non_null(strstr(json_str(f->answer, "text"), "the configuration changed meanwhile"));
                        assert_true(run_to(f, idle_without_jobs));
                        continue;
                }
                assert_non_null(strstr(f->refused.text, "the job goes on: the configuration changed meanwhile"));
                fake_ca.approved = true;
                expect_done(f);
                assert_int_equal(fake_ca.orders, 1);
        }
}

/* A target's disk may be full for days; once there is room nobody waits for another day. */
static void what_is_paid_for_is_tried_every_ten_minutes(void **state)
{
        static const struct {
                enum job_state state;
                bool soon;
        } row[] = { { JOB_ORDERED, false }, { JOB_SUBMITTED, false }, { JOB_PROPAGATED, true }, { JOB_DEPLOYED, true },
                { JOB_SERVED, true } };
        struct fixture *f = *state;
        struct err e;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        struct job *j = f->engine->job[0];
        err_set(&e, ERR_TEMPORARY, "file.write", "No space left on device");
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                j->row.state = row[i].state;
                j->row.failures = 30;
                engine_due_clear(f->engine, &j->due);
                job_trouble(j, &e);
                assert_int_equal(j->row.due_ms - clock_now_ms() <= 10 * 60 * 1000, row[i].soon);
                while (j->moving)
                        let_it_turn(f);
        }
        j->row.state = JOB_REVIEWED;
        fake_ca.approved = true;
        expect_done(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(who_works_is_not_asked_to),
                TEST(what_began_meanwhile_does_not_begin_again),
                TEST(what_is_stopped_is_not_begun_either),
                TEST(who_cancels_while_the_configuration_changes_is_answered),
                TEST(what_is_paid_for_is_tried_every_ten_minutes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
