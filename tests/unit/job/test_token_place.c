/* I5 where an alias leads a token away: its place is in the journal before anything is sent there, and it is taken back
 * from wherever it may have come to. */
#include "test.h"

#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static void run_sql(struct fixture *f, const char *sql)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, sql, "") && store_commit_own(f->engine->store, b, NULL, NULL, &e) &&
                store_flush(f->engine->store, &e));
}

static bool first_number(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

static int64_t count(struct fixture *f, const char *sql)
{
        struct err e;
        int64_t n = 0;
        assert_true(store_flush(f->engine->store, &e) && store_query(f->engine->store, sql, "", first_number, &n, &e));
        return n;
}

static void alias_leads_to(const char *place)
{
        snprintf(fake_ca.place, sizeof fake_ca.place, "%s", place);
}

static void cancel(struct fixture *f)
{
        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
        assert_true(run_to(f, idle_without_jobs));
}

static bool one_is_out(struct fixture *f)
{
        (void)f;
        return fake_ca.out == 1;
}

static bool two_are_out(struct fixture *f)
{
        (void)f;
        return fake_ca.out == 2;
}

static bool failed(struct fixture *f)
{
        return f->engine->job_count && f->engine->job[0]->row.failures >= 1;
}

static bool failed_twice(struct fixture *f)
{
        return f->engine->job_count && f->engine->job[0]->row.failures >= 2;
}

static void what_an_ended_process_sent_is_taken_back_when_the_alias_is_gone(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        fake_ca.publisher_hangs = true;
        reissue(f, "www", false);
        assert_true(run_to(f, one_is_out));
        stop_engine(f); /* sent, no answer */
        fake_ca.publisher_hangs = false;
        alias_leads_to(FAKE_OWN_NAME);
        start_engine(f);
        cancel(f);
        assert_string_equal(fake_ca.out_at, "");
}

/* The same once more: the name itself is another place than the journal's. */
static void its_own_name_is_a_place_to_write_down_beside_another(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        fake_ca.publisher_hangs = true;
        reissue(f, "www", false);
        assert_true(run_to(f, one_is_out));
        stop_engine(f);
        alias_leads_to(FAKE_OWN_NAME);
        start_engine(f);
        assert_true(run_to(f, two_are_out));
        stop_engine(f);
        fake_ca.publisher_hangs = false;
        alias_leads_to("other");
        start_engine(f);
        cancel(f);
        assert_string_equal(fake_ca.out_at, "");
}

static void nothing_is_sent_before_its_place_is_on_disk(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        run_sql(f,
                "CREATE TRIGGER refuse BEFORE UPDATE ON token WHEN NEW.handle IS NOT NULL BEGIN SELECT RAISE(ABORT, "
                "'no'); END");
        reissue(f, "www", false);
        assert_true(run_to(f, failed_twice)); /* what the first try remembers is not on disk either */
        assert_int_equal(fake_ca.publishes, 0);
        run_sql(f, "DROP TRIGGER refuse");
        expect_done(f);
        assert_string_equal(fake_ca.out_at, "");
}

static void its_own_name_costs_no_commit(void **state)
{
        struct fixture *f = *state;
        static const char events[] = "SELECT count(*) FROM audit WHERE event='token-placed'";
        alias_leads_to(FAKE_OWN_NAME);
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(count(f, events), 0);
        fake_ca_reset();
        alias_leads_to("end");
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(count(f, events), 1);
}

static void what_was_lost_is_taken_back_from_where_the_alias_led_then(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        err_set(&fake_ca.publish_err, ERR_UNKNOWN, "lost", "no answer came");
        reissue(f, "www", false);
        assert_true(run_to(f, one_is_out));
        alias_leads_to("other");
        expect_done(f);
        assert_string_equal(fake_ca.out_at, "");
        assert_int_equal(fake_ca.retracts, 2);
}

/* Who refused it refuses its withdrawal too: that would be tried for ever. */
static void where_it_was_refused_nothing_is_taken_back(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        err_set(&fake_ca.publish_err, ERR_DENIED, "refused", "not yours");
        reissue(f, "www", false);
        assert_true(run_to(f, failed));
        assert_int_equal(count(f, "SELECT count(*) FROM token WHERE handle IS NOT NULL"), 0);
        alias_leads_to("other");
        expect_done(f);
        assert_string_equal(fake_ca.out_at, "");
        assert_int_equal(fake_ca.retracts, 1);
}

static bool is_out(struct fixture *f)
{
        return f->engine->token_count == 1 && strcmp(f->engine->token[0]->row.state, "published") == 0;
}

static void an_alias_that_changes_meanwhile_moves_no_token(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        alias_leads_to("end");
        reissue(f, "www", false);
        assert_true(run_to(f, is_out));
        alias_leads_to("other");
        cancel(f);
        assert_string_equal(fake_ca.out_at, "");
}

static bool published_twice(struct fixture *f)
{
        return fake_ca.publishes == 2 && !f->engine->token[0]->busy;
}

static void a_refused_repetition_keeps_the_place_of_the_first(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        alias_leads_to("end");
        reissue(f, "www", false);
        assert_true(run_to(f, is_out));
        stop_engine(f);
        err_set(&fake_ca.publish_err, ERR_DENIED, "refused", "not now");
        start_engine(f); /* what is out is published again */
        assert_true(run_to(f, published_twice));
        alias_leads_to("other");
        cancel(f);
        assert_string_equal(fake_ca.out_at, "");
}

static void reconfigure_meanwhile(void *fixture)
{
        struct fixture *f = fixture;
        assert_true(f->engine->token[0]->placing);
        reconfigure(f);
        assert_true(f->engine->token[0]->busy); /* its row is on its way to the disk */
}

static void a_new_configuration_meanwhile_begins_anew(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        fake_ca.place_said = reconfigure_meanwhile;
        fake_ca.place_said_arg = f;
        reissue(f, "www", false);
        expect_done(f);
        assert_int_equal(fake_ca.publishes, 1);
        assert_string_equal(fake_ca.out_at, "");
}

static void what_is_out_goes_to_its_new_place_once(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        alias_leads_to("end");
        reissue(f, "www", false);
        assert_true(run_to(f, is_out));
        alias_leads_to("other");
        fake_ca.place_said = reconfigure_meanwhile;
        fake_ca.place_said_arg = f;
        reconfigure(f); /* what is out is published again */
        assert_true(run_to(f, two_are_out));
        cancel(f);
        assert_int_equal(fake_ca.publishes, 2);
        assert_string_equal(fake_ca.out_at, "");
}

static void let_go_meanwhile(void *fixture)
{
        struct fixture *f = fixture;
        assert_true(f->engine->token[0]->placing);
        job_set(&f->engine->token[0]->row.order_id, NULL); /* which would keep it */
        tokens_let_go(f->engine, f->engine->job[0]->row.id);
}

static bool taken_back(struct fixture *f)
{
        return f->engine->token_count == 0 && fake_ca.retracts > 0;
}

static void what_nobody_wants_any_more_is_not_sent(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        fake_ca.place_said = let_go_meanwhile;
        fake_ca.place_said_arg = f;
        reissue(f, "www", false);
        assert_true(run_to(f, taken_back));
        assert_int_equal(fake_ca.publishes, 0);
        cancel(f);
}

static bool no_token_is_busy(struct fixture *f)
{
        return f->engine->token_count == 1 && !f->engine->token[0]->busy;
}

static void cancel_meanwhile(void *fixture)
{
        struct fixture *f = fixture;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:b}", "cert", "www", "yes", 1);
        action_cancel(f->engine, args, on_answer, f);
}

/* Else nobody waits any more for the CA's word, and the job stays as it is for ever. */
static void what_comes_out_moves_no_job_that_is_being_cancelled(void **state)
{
        struct fixture *f = *state;
        alias_leads_to("end");
        fake_ca.cancel_hangs = true;
        fake_ca.place_said = cancel_meanwhile;
        fake_ca.place_said_arg = f;
        reissue(f, "www", false);
        assert_true(run_to(f, is_out));
        assert_true(run_to(f, no_token_is_busy));
        assert_true(f->engine->job[0]->cancelling);
        assert_non_null(f->engine->job[0]->ca_call);
        assert_int_equal(f->engine->job[0]->row.state, JOB_PUBLISHED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_an_ended_process_sent_is_taken_back_when_the_alias_is_gone),
                TEST(its_own_name_is_a_place_to_write_down_beside_another),
                TEST(nothing_is_sent_before_its_place_is_on_disk),
                TEST(its_own_name_costs_no_commit),
                TEST(what_was_lost_is_taken_back_from_where_the_alias_led_then),
                TEST(where_it_was_refused_nothing_is_taken_back),
                TEST(an_alias_that_changes_meanwhile_moves_no_token),
                TEST(a_refused_repetition_keeps_the_place_of_the_first),
                TEST(a_new_configuration_meanwhile_begins_anew),
                TEST(what_is_out_goes_to_its_new_place_once),
                TEST(what_nobody_wants_any_more_is_not_sent),
                TEST(what_comes_out_moves_no_job_that_is_being_cancelled),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
