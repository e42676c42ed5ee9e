/* What the daemon tells dcvctl check: every CA asked, nothing spent, and what the journal counts. */
#include "test.h"

#include "agent/base/clock.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static const json_t *said_of(const struct fixture *f, size_t i)
{
        return json_array_get(json_object_get(f->answer, "certificates"), i);
}

static void a_dry_run_is_told_what_only_the_daemon_knows(void **state)
{
        struct fixture *f = *state;
        err_set(&fake_ca.inspect_err, ERR_RULE, "R3", "R3: used");
        reissue(f, "www", false);
        assert_true(run_to(f, ended));
        unsigned publishes = fake_ca.publishes;
        err_set(&fake_ca.inspect_err, ERR_DENIED, "AuthFailure", "who are you");
        ask(f, action_check, json_pack("{s:[s,s,s]}", "certs", "www", "nowhere", "two"));
        assert_int_equal(json_array_size(json_object_get(f->answer, "certificates")), 2);
        const json_t *www = said_of(f, 0), *two = said_of(f, 1);
        assert_string_equal(json_str(www, "cert"), "www");
        assert_string_equal(json_str(two, "cert"), "two");
        /* the first who asked was refused: said with its kind, for whoever judges it */
        const json_t *refusal = json_object_get(json_array_get(json_object_get(www, "cas"), 0), "error");
        assert_string_equal(json_str(refusal, "kind"), "denied");
        assert_string_equal(json_str(refusal, "code"), "AuthFailure");
        assert_null(json_object_get(json_array_get(json_object_get(two, "cas"), 0), "error"));
        /* the journal's part */
        assert_int_equal(json_i64(www, "failures_in_a_row", -1), 1);
        assert_int_equal(json_i64(two, "failures_in_a_row", -1), 0);
        assert_string_equal(json_str(www, "last_error_code"), "R3");
        assert_int_equal(json_i64(www, "issued_in_a_week", -1), 0);
        assert_int_equal(json_i64(www, "tokens_left", -1), 0);
        assert_string_equal(json_str(www, "test"), "none"); /* nothing is deployed */
        assert_int_equal(fake_ca.orders, 0);
        assert_int_equal(fake_ca.publishes, publishes);
        reissue(f, "www", false);
        expect_done(f);
        ask(f, action_check, json_pack("{s:[s]}", "certs", "www"));
        assert_int_equal(json_i64(said_of(f, 0), "issued_in_a_week", -1), 1);
        assert_in_range(json_i64(said_of(f, 0), "oldest_of_the_week", 0), clock_now_s() - 60, clock_now_s());
        assert_int_equal(json_i64(said_of(f, 0), "failures_in_a_row", -1), 0);
}

static void a_new_configuration_ends_a_dry_run_with_a_word(void **state)
{
        struct fixture *f = *state;
        json_t *args = json_pack("{s:[s]}", "certs", "www");
        f->answered = false;
        action_check(f->engine, args, on_answer, f);
        json_decref(args);
        assert_false(f->answered);
        looks_cancel(f->engine);
        assert_true(f->answered);
        assert_string_equal(f->refused.code, "reconfigured");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_dry_run_is_told_what_only_the_daemon_knows, setup, teardown),
                cmocka_unit_test_setup_teardown(a_new_configuration_ends_a_dry_run_with_a_word, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
