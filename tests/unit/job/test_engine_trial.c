/* What runs beside the real jobs: trials with another account, and the renewal information of what lives. */
#include "test.h"

#include <dirent.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static size_t files_in(const struct fixture *f, const char *folder)
{
        char path[120];
        snprintf(path, sizeof path, "%s/%s", f->directory, folder);
        DIR *d = opendir(path);
        size_t n = 0;
        for (struct dirent *x; d && (x = readdir(d));)
                n += x->d_name[0] != '.';
        if (d)
                closedir(d);
        return n;
}

static void try_it(struct fixture *f)
{
        f->exit = -1;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "staging", 1));
}

static void a_trial_orders_all_and_leaves_nothing(void **state)
{
        struct fixture *f = *state;
        try_it(f);
        assert_int_equal(f->refused.kind, ERR_CONFIG);
        assert_string_equal(f->refused.code, "staging");
        fake_ca_has_staging(true);
        stop_engine(f);
        start_engine(f);
        try_it(f);
        assert_string_equal(f->engine->job[0]->policy->ca[0].ca, "ca.staging");
        expect_done(f);
        assert_non_null(strstr(f->text, "nothing of it was kept or deployed"));
        const struct cert *c = engine_cert(f->engine, "www");
        assert_int_equal(fake_ca.orders, 1);
        assert_int_equal(c->row.live_set + c->row.last_success_s + c->row.last_failure_s, 0);
        json_t *status = cert_status_json(engine_cert(f->engine, "www"), false);
        assert_true(json_is_null(json_object_get(status, "last_job")));
        json_decref(status);
        assert_int_equal(files_in(f, "keys") + files_in(f, "sets/www") + f->engine->order_count, 0);
        fake_ca.open = false;
        reissue(f, "www", false); /* the real one owes it nothing */
        expect_done(f);
        assert_int_equal(fake_ca.orders, 2);
        fake_ca_has_staging(false);
}

static void a_real_job_ends_a_trial_and_is_not_joined_to_it(void **state)
{
        struct fixture *f = *state;
        fake_ca_has_staging(true);
        stop_engine(f);
        start_engine(f);
        try_it(f);
        reissue(f, "www", true);
        assert_string_equal(f->refused.code, "staging");
        assert_true(run_to(f, idle_without_jobs));
        fake_ca.open = false;
        reissue(f, "www", false);
        assert_int_equal(f->refused.kind, ERR_NONE);
        f->answered = false;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:[s], s:b}", "certs", "www", "staging", 1);
        action_reissue(f->engine, args, on_answer, f);
        assert_string_equal(f->refused.code, "running");
        f->exit = -1;
        expect_done(f);
        fake_ca_has_staging(false);
}

static void ask_for_the_window(struct fixture *f, struct cert *c)
{
        c->window_next_s = 0;
        cert_due(c);
        for (int i = 0; i < 20; i++) {
                bool never = false;
                (void)loop_run_until(f->loop, &never, 1);
        }
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

static int64_t alarms(struct fixture *f)
{
        struct err e;
        int64_t rows = -1;
        assert_true(store_query(f->engine->store,
                "SELECT COUNT(*) FROM audit WHERE event='revocation-alarm' AND data LIKE '%about to revoke%'", "",
                counted, &rows, &e));
        return rows;
}

static void renewal_information_is_asked_for_what_lives(void **state)
{
        struct fixture *f = *state;
        struct cert *c = engine_cert(f->engine, "www");
        int64_t now_s = clock_now_s();
        fake_ca_renews(true);
        f->engine->clock_suspect_until_ms = INT64_MAX; /* nothing renews meanwhile */
        reissue(f, "www", false);
        expect_done(f);
        fake_ca.window_start_s = now_s + 86400;
        fake_ca.window_end_s = now_s + 2 * 86400;
        ask_for_the_window(f, c);
        assert_true(fake_ca.renewals > 0 && c->window_renew_s > now_s);
        assert_int_equal(alarms(f), 0);
        unsigned later = 0;
        for (int i = 0; i < 50; i++) { /* somewhere in it, not all at its beginning */
                fake_ca.window_start_s++;
                ask_for_the_window(f, c);
                assert_in_range(c->window_renew_s, fake_ca.window_start_s, fake_ca.window_end_s);
                later += c->window_renew_s > fake_ca.window_start_s + 3600;
        }
        assert_true(later > 25);
        int64_t end_s = c->row.live_not_after_s;
        fake_ca.window_start_s = end_s - 2; /* one that leaves no time for a second try */
        fake_ca.window_end_s = end_s - 1;
        ask_for_the_window(f, c);
        assert_true(cert_renewal_s(c) <= end_s - (end_s - c->live_not_before_s) / 10);
        fake_ca.window_start_s = now_s - 7200; /* over when it is first named */
        fake_ca.window_end_s = now_s - 3600;
        ask_for_the_window(f, c);
        ask_for_the_window(f, c);
        assert_int_equal(alarms(f), 1);
        unsigned asked = fake_ca.renewals;
        c->row.live_not_after_s = now_s - 1; /* it has ended: nobody is asked */
        ask_for_the_window(f, c);
        assert_int_equal(fake_ca.renewals, asked);
        fake_ca_renews(false);
}

static void issued_by(struct fixture *f, const struct cert *c, const char *ca)
{
        CLEANUP(json_decref_p) json_t *meta = NULL;
        unsigned live = (unsigned)c->row.live_set;
        struct err e;
        assert_true(sets_read_meta(f->engine->sets, "www", live, &meta, &e));
        (void)json_object_del(meta, "ca");
        json_put_text(meta, "ca", ca);
        assert_true(sets_change_meta(f->engine->sets, "www", live, meta, &e));
}

/* A CA counts such an order as none; of another CA's certificate it knows nothing. */
static void an_order_names_what_it_replaces_at_its_own_ca(void **state)
{
        static const char *const issuer[] = { NULL, "ca", "second" };
        struct fixture *f = *state;
        fake_ca_renews(true);
        for (size_t i = 0; i < ARRAY_LEN(issuer); i++) {
                if (i > 0)
                        issued_by(f, engine_cert(f->engine, "www"), issuer[i]);
                fake_ca.validated = false;
                reissue(f, "www", false);
                expect_done(f);
                assert_true(fake_ca.replaces == (i == 1));
        }
        fake_ca_renews(false);
}

/* badCSR, badPublicKey: another order has another key. Twice it is no chance. */
static void a_key_that_is_refused_is_changed_once(void **state)
{
        struct fixture *f = *state;
        fake_ca_orders_cost_nothing(true);
        fake_ca_finalizes(true);
        for (unsigned refused = 1; refused < 3; refused++) {
                fake_ca.orders = 0;
                fake_ca.validated = fake_ca.open = fake_ca.finalized = false;
                fake_ca.refused_keys = refused;
                reissue(f, "www", false);
                assert_true(run_to(f, ended));
                assert_int_equal(f->exit, refused == 1 ? 0 : 1);
                assert_int_equal(fake_ca.orders, 2);
        }
        fake_ca_finalizes(false);
        fake_ca_orders_cost_nothing(false);
}

/* Not the first of the list that could renew it. One that was imported may be of that CA. */
static void the_ca_that_issued_it_is_asked(void **state)
{
        static const struct {
                const char *issuer, *asked;
        } row[] = { { "ca", "ca" }, { "second", "second" }, { "gone", NULL }, { NULL, "ca" } };
        struct fixture *f = *state;
        stop_engine(f);
        f->two_cas = true;
        fake_ca_renews(true);
        start_engine(f);
        struct cert *c = engine_cert(f->engine, "www");
        f->engine->clock_suspect_until_ms = INT64_MAX; /* nothing renews meanwhile */
        reissue(f, "www", false);
        expect_done(f);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                unsigned before = fake_ca.renewals;
                issued_by(f, c, row[i].issuer);
                ask_for_the_window(f, c);
                assert_int_equal(fake_ca.renewals, before + (row[i].asked != NULL));
                if (row[i].asked)
                        assert_string_equal(c->asked->name, row[i].asked);
                else
                        assert_true(c->window_next_s == INT64_MAX);
        }
        for (int known = 0; known < 2; known++) { /* it is not, and says so: that does not change */
                issued_by(f, c, known ? "ca" : NULL);
                err_set(&fake_ca.renewal_err, ERR_DENIED, "acme.http-404", "none of ours");
                ask_for_the_window(f, c);
                assert_true((c->window_next_s == INT64_MAX) != known);
                issued_by(f, c, known ? "ca" : NULL);
                err_set(&fake_ca.renewal_err, ERR_TEMPORARY, "acme.http-503", "later");
                ask_for_the_window(f, c);
                assert_true(c->window_next_s < clock_now_s() + 7 * 3600);
        }
        fake_ca_renews(false);
}

static void ask_dry(struct fixture *f, enum err_kind kind, bool downgrade)
{
        err_set(&fake_ca.inspect_err, kind, "x", "it says no");
        ask(f, action_reissue, json_pack("{s:[s], s:b, s:b}", "certs", "www", "dry_run", 1, "downgrade", downgrade));
}

/* A list that begins with a CA that only reissues: time goes to the next one, but not past the organization's name. */
static void time_drops_no_organization(void **state)
{
        struct fixture *f = *state;
        struct ca_ops renewing;
        stop_engine(f);
        f->two_cas = true;
        start_engine(f);
        struct cert *c = engine_cert(f->engine, "www");
        renewing = *engine_ca(f->engine, "second")->ops;
        renewing.can |= CONF_CA_ISSUES | CONF_CA_RENEWS;
        engine_ca(f->engine, "second")->ops = &renewing;
        reissue(f, "www", false);
        expect_done(f);
        assert_false(c->live_organization);
        assert_int_not_equal(cert_renewal_s(c), 0);
        fake_ca.organization = true; /* of what it once issued: what is live was let go without */
        err_set(&fake_ca.refusal, ERR_RULE, "R3", "used");
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "dry_run", 1));
        assert_null(json_str(f->answer, "downgrade_to"));
        c->live_organization = true;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "dry_run", 1));
        assert_string_equal(json_str(f->answer, "downgrade_to"), "second");
        fake_ca.organization = false;
        fake_ca.refusal.kind = ERR_NONE;
        c->live_organization = true;
        assert_int_equal(cert_renewal_s(c), 0);
        CLEANUP(free_p) char *end = cert_end_text(c, NULL, c->row.live_not_after_s - 1);
        assert_non_null(strstr(end, "buy or apply for a new one"));
        assert_non_null(
                strstr(end, "let second issue one without the organization's name: fallback: {downgrade: true}"));
        ask_dry(f, ERR_TEMPORARY, false); /* not by silence either */
        assert_null(json_str(f->answer, "next_ca"));
        ask_dry(f, ERR_RULE, false);
        assert_string_equal(json_str(f->answer, "downgrade_to"), "second");
        assert_non_null(strstr(json_str(json_object_get(f->answer, "error"), "fix"), "dcvctl reissue www --downgrade"));
        ask_dry(f, ERR_RULE, true);
        assert_string_equal(json_str(f->answer, "ca"), "second");
        ask_dry(f, ERR_TEMPORARY, true);
        assert_string_equal(json_str(f->answer, "next_ca"), "second");
        ((struct conf_cert *)(uintptr_t)config_cert(f->engine->conf, "www"))->fallback_downgrade = true;
        assert_int_not_equal(cert_renewal_s(c), 0);
        ask_dry(f, ERR_TEMPORARY, false);
        assert_string_equal(json_str(f->answer, "next_ca"), "second");
        engine_ca(f->engine, "second")->ops = engine_ca(f->engine, "ca")->ops;
}

/* It may be about to revoke it; but one that says so of every new certificate does not get them one after another. */
static void a_ca_that_always_hurries_is_obeyed_once(void **state)
{
        struct fixture *f = *state;
        struct cert *c = engine_cert(f->engine, "www");
        int64_t now_s = clock_now_s(), most_ms = (now_s + 60) * 1000;
        fake_ca_renews(true);
        f->engine->clock_suspect_until_ms = INT64_MAX; /* nothing renews meanwhile */
        reissue(f, "www", false);
        expect_done(f);
        fake_ca.window_start_s = now_s - 7200;
        fake_ca.window_end_s = now_s - 3600;
        ask_for_the_window(f, c);
        cert_plan(c);
        assert_true(c->due.entry.due_ms < most_ms);
        f->engine->clock_suspect_until_ms = 0;
        f->exit = -1;
        cert_due(c);
        expect_done(f);
        assert_in_range(c->hurried_s, now_s, clock_now_s());
        c->hurried_s = now_s; /* that was obeyed, and the next one is as old */
        c->row.last_success_s = now_s + 1;
        fake_ca.window_start_s = now_s - 7200;
        fake_ca.window_end_s = now_s - 3600;
        ask_for_the_window(f, c);
        cert_plan(c);
        assert_true(c->due.entry.due_ms > most_ms);
        c->row.last_success_s = now_s - 1; /* it failed: tried again as ever */
        cert_plan(c);
        assert_true(c->due.entry.due_ms < most_ms);
        fake_ca_renews(false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_trial_orders_all_and_leaves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(a_real_job_ends_a_trial_and_is_not_joined_to_it, setup, teardown),
                cmocka_unit_test_setup_teardown(renewal_information_is_asked_for_what_lives, setup, teardown),
                cmocka_unit_test_setup_teardown(the_ca_that_issued_it_is_asked, setup, teardown),
                cmocka_unit_test_setup_teardown(an_order_names_what_it_replaces_at_its_own_ca, setup, teardown),
                cmocka_unit_test_setup_teardown(a_key_that_is_refused_is_changed_once, setup, teardown),
                cmocka_unit_test_setup_teardown(time_drops_no_organization, setup, teardown),
                cmocka_unit_test_setup_teardown(a_ca_that_always_hurries_is_obeyed_once, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
