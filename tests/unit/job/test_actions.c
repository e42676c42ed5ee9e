/* What actions of the operator say, ask for first and spare. */
#include "test.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

/* ---- cancel ---- */

static enum job_state wanted;
static bool is_there(struct fixture *f)
{
        return f->engine->job_count > 0 && f->engine->job[0]->row.state == wanted && f->engine->job[0]->row.order_id;
}

/* Where the CA keeps the job in that state. */
static void stay_in(struct fixture *f, enum job_state state)
{
        wanted = state;
        fake_ca.slow = state == JOB_SUBMITTED;
        if (state == JOB_FINALIZED)
                err_set(&fake_ca.finalize_err, ERR_TEMPORARY, "busy", "the CA is busy");
        reissue(f, "www", false);
        assert_true(run_to(f, is_there));
}

static const char *said(const struct fixture *f)
{
        if (!f->answer)
                fail_msg("%s", f->refused.text);
        return json_str(f->answer, "text");
}

static void cancelling_is_asked_for_in_words_that_fit_the_ca(void **state)
{
        static const struct {
                bool costs_nothing;
                enum job_state at;
                const char *text;
        } row[] = { { false, JOB_SUBMITTED, "order new at ca is open: cancelling it may have spent the only reissue" },
                { true, JOB_SUBMITTED,
                        "order new at ca is open: cancelling it spends nothing, another one can be opened" },
                { true, JOB_FINALIZED,
                        "order new at ca is open: cancelling it throws away the certificate that is being issued, "
                        "which "
                        "counts for the CA's limits" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct fixture *f = NULL;
                fake_ca_orders_cost_nothing(row[i].costs_nothing);
                fake_ca_finalizes(row[i].costs_nothing);
                setup((void **)&f);
                stay_in(f, row[i].at);
                ask(f, action_cancel, json_pack("{s:s}", "cert", "www"));
                assert_true(json_bool(f->answer, "confirm", false));
                assert_string_equal(said(f), row[i].text);
                ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "dry_run", 1));
                assert_non_null(strstr(said(f), row[i].text));
                assert_int_equal(fake_ca.cancels, 0);
                teardown((void **)&f);
                fake_ca_orders_cost_nothing(false);
                fake_ca_finalizes(false);
        }
}

/* ---- revoke ---- */

/* www has two sets: 2 is live, 1 is not, and both have the same key if that is kept. */
static struct fixture *with_two_sets(const char *key)
{
        struct fixture *f = NULL;
        setup((void **)&f);
        stop_engine(f);
        f->key = key;
        start_engine(f);
        for (int i = 0; i < 2; i++) {
                fake_ca.validated = false;
                reissue(f, "www", false);
                expect_done(f);
        }
        return f;
}

static json_t *how(const char *reason, bool live)
{
        return json_pack("{s:s, s:b, s:s?, s:b}", "cert", "www", "yes", 1, "reason", reason, "live", live);
}

static void a_kept_key_that_is_live_signs_no_revocation(void **state)
{
        static const char *const spared[] = { NULL, "superseded", "cessationOfOperation", "unspecified" };
        (void)state;
        struct fixture *f = with_two_sets("{reuse: when-not-compromised}");
        for (size_t i = 0; i < ARRAY_LEN(spared); i++) { /* each is a certificate that was not revoked yet */
                json_t *args = how(spared[i], false);
                json_object_del(args, "yes");
                ask(f, action_revoke, args);
                assert_true(json_bool(f->answer, "confirm", false));
                assert_non_null(strstr(said(f), "; signed by the account: the live certificate www has the same key"));
        }
        ask(f, action_revoke, how("keyCompromise", false)); /* it would be true of the live one as well */
        assert_string_equal(f->refused.code, "revoke.key");
        assert_non_null(strstr(f->refused.fix, "dcvctl reissue www --key-compromised first"));
        assert_int_equal(fake_ca.revokes, 0);
        ask(f, action_revoke, how(NULL, false));
        assert_non_null(strstr(said(f), "www is revoked: set 1"));
        assert_non_null(strstr(said(f), "reason superseded; signed by the account"));
        assert_int_equal(fake_ca.revokes, 1);
        assert_true(fake_ca.revoked_by_account);
        teardown((void **)&f);
}

static void a_marked_key_is_revoked_when_nothing_live_has_it(void **state)
{
        struct err e;
        (void)state;
        struct fixture *f = with_two_sets("{reuse: when-not-compromised}");
        assert_true(compromised_add(f->engine->keystore, engine_cert(f->engine, "www")->row.live_spki, &e));
        ask(f, action_revoke, how("superseded", false));
        assert_string_equal(f->refused.code, "revoke.key");
        assert_int_equal(fake_ca.revokes, 0);
        teardown((void **)&f);
}

static void a_key_of_its_own_signs(void **state)
{
        (void)state;
        for (int live = 0; live < 2; live++) {
                struct fixture *f = with_two_sets("{reuse: never}");
                ask(f, action_revoke, how(live ? "keyCompromise" : NULL, live));
                assert_null(strstr(said(f), "signed by the account"));
                assert_int_equal(fake_ca.revokes, 1);
                assert_false(fake_ca.revoked_by_account);
                teardown((void **)&f);
        }
}

/* Gone, damaged in its set, or damaged everywhere: it is revoked all the same, and who signs is said. */
static void without_its_key_the_account_signs(void **state)
{
        (void)state;
        for (int how_bad = 0; how_bad < 3; how_bad++) {
                struct fixture *f = with_two_sets("{reuse: never}");
                struct set s = { 0 };
                assert_true(sets_read(f->engine->sets, "www", 1, SET_META, &s, NULL));
                CLEANUP(free_p) char *in_set = text_format("%s/sets/www/1/privkey.pem", f->directory);
                CLEANUP(free_p)
                char *kept = text_format("%s/keys/%s.pem", f->directory, s.chain.leaf.spki_hex);
                bool is_kept = access(kept, F_OK) == 0;
                set_done(&s);
                assert_int_equal(how_bad ? truncate(in_set, 40) : unlink(in_set), 0);
                if (is_kept && how_bad != 1)
                        assert_int_equal(how_bad ? truncate(kept, 40) : unlink(kept), 0);
                ask(f, action_revoke, how("keyCompromise", false));
                assert_non_null(strstr(said(f), "www is revoked: set 1"));
                bool by_account = strstr(said(f), "; signed by the account: its key is not here") != NULL;
                assert_true(by_account == fake_ca.revoked_by_account);
                assert_true(by_account || (is_kept && how_bad == 1));
                assert_int_equal(fake_ca.revokes, 1);
                teardown((void **)&f);
        }
}

static void whoever_issued_it_is_asked_to_revoke_it(void **state)
{
        (void)state;
        struct fixture *f = with_two_sets("{reuse: never}");
        CLEANUP(json_decref_p) json_t *meta = NULL;
        struct err e;
        assert_true(sets_read_meta(f->engine->sets, "www", 1, &meta, &e));
        json_put_text(meta, "ca", "second"); /* its list has another one by now */
        assert_true(sets_change_meta(f->engine->sets, "www", 1, meta, &e));
        ask(f, action_revoke, json_pack("{s:s}", "cert", "www"));
        assert_non_null(strstr(said(f), ", at second, "));
        json_put_text(meta, "ca", "former");
        assert_true(sets_change_meta(f->engine->sets, "www", 1, meta, &e));
        ask(f, action_revoke, how(NULL, false));
        assert_string_equal(
                f->refused.text, "www: set 1 was issued by CA former, which is no longer in the configuration");
        assert_non_null(strstr(f->refused.fix, "put cas.former back"));
        teardown((void **)&f);
}

static bool first_key_is_marked(struct fixture *f)
{
        struct set s = { 0 };
        assert_true(sets_read(f->engine->sets, "www", 1, SET_META, &s, NULL));
        bool marked = compromised_has(f->engine->keystore, s.chain.leaf.spki_hex);
        set_done(&s);
        return marked;
}

/* What it was revoked as is told, not what is asked for now; a key that leaked is news all the same. */
static void what_was_revoked_before_says_as_what(void **state)
{
        (void)state;
        struct fixture *f = with_two_sets("{reuse: never}");
        ask(f, action_revoke, how("superseded", false));
        ask(f, action_revoke, how("unspecified", false));
        assert_non_null(strstr(said(f), "www was revoked before: set 1"));
        assert_non_null(strstr(said(f), "reason superseded"));
        assert_string_equal(json_str(f->answer, "reason"), "superseded");
        assert_int_equal(fake_ca.revokes, 1);
        json_t *unsure = how("keyCompromise", false);
        json_object_del(unsure, "yes");
        ask(f, action_revoke, unsure);
        assert_true(json_bool(f->answer, "confirm", false));
        assert_false(first_key_is_marked(f));
        for (int i = 0; i < 2; i++) {
                ask(f, action_revoke, how("keyCompromise", false));
                assert_non_null(strstr(said(f), i == 0 ? "www is revoked: set 1" : "www was revoked before: set 1"));
                assert_non_null(strstr(said(f), "reason keyCompromise"));
                assert_int_equal(strstr(said(f), "marked compromised") != NULL, i == 0);
                assert_true(first_key_is_marked(f));
                assert_int_equal(fake_ca.revokes, 2);
        }
        teardown((void **)&f);
}

static void a_revocation_that_is_put_off_says_until_when(void **state)
{
        (void)state;
        struct fixture *f = with_two_sets("{reuse: never}");
        err_set(&fake_ca.revoke_err, ERR_RATE_LIMITED, "limited", "too many");
        fake_ca.revoke_err.retry_after_s = 90;
        ask(f, action_revoke, how(NULL, false));
        assert_string_equal(f->refused.fix, "again in 1 m 30 s at the earliest");
        teardown((void **)&f);
}

/* ---- status ---- */

static const json_t *reissuable(struct fixture *f)
{
        ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
        return json_object_get(json_array_get(json_object_get(f->answer, "certificates"), 0), "reissuable");
}

static bool is_asked(struct fixture *f)
{
        return !engine_cert(f->engine, "www")->asking;
}

static int64_t newest_set(struct fixture *f)
{
        ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
        return json_i64(json_array_get(json_object_get(f->answer, "certificates"), 0), "newest_set", -1);
}

static unsigned lists;

bool __real_sets_list(struct sets *s, const char *cert, unsigned **ret, size_t *ret_count, struct err *e);
bool __wrap_sets_list(struct sets *s, const char *cert, unsigned **ret, size_t *ret_count, struct err *e);
bool __wrap_sets_list(struct sets *s, const char *cert, unsigned **ret, size_t *ret_count, struct err *e)
{
        lists++;
        return __real_sets_list(s, cert, ret, ret_count, e);
}

/* An ACME CA knows of no newest one. Of ten thousand certificates no directory is read anew for each look. */
static void without_the_cas_word_the_last_set_is_the_newest(void **state)
{
        (void)state;
        struct err e;
        struct fixture *f = with_two_sets("{reuse: never}");
        struct cert *c = engine_cert(f->engine, "www");
        assert_int_equal(newest_set(f), 0);
        lists = 0;
        assert_int_equal(newest_set(f), 0);
        assert_int_equal(lists, 0);
        assert_true(sets_switch(f->engine->sets, "www", 1, &e) && cert_load_live(c, &e));
        assert_int_equal(newest_set(f), 2);
        json_t *meta = NULL;
        assert_true(sets_read_meta(f->engine->sets, "www", 2, &meta, &e));
        json_object_set_new(meta, "revoked", json_integer(1));
        assert_true(sets_change_meta(f->engine->sets, "www", 2, meta, &e));
        json_decref(meta);
        assert_int_equal(newest_set(f), 0);
        teardown((void **)&f);
}

/* Credentials, an account: it was asked, and nothing can be had. */
static void a_ca_that_refuses_to_be_asked_replaces_nothing_today(void **state)
{
        struct fixture *f = *state;
        CLEANUP(buf_done) struct buf b = { 0 };
        static const struct {
                enum err_kind kind;
                const char *line;
        } row[] = { { ERR_TEMPORARY, "not asked yet: dcvctl reissue www --dry-run asks" },
                { ERR_DENIED, "none: nothing could replace this today (the signature does not match)" },
                { ERR_NONE, "yes" }, { ERR_TEMPORARY, "yes" },
                { ERR_CONFIG, "none: nothing could replace this today (the signature does not match)" } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                if (row[i].kind)
                        err_set(&fake_ca.inspect_err, row[i].kind, "tc.AuthFailure", "the signature does not match");
                clock_fake((clock_now_s() + 30 * 86400) * 1000, -1);
                cert_due(engine_cert(f->engine, "www"));
                assert_true(run_to(f, is_asked));
                (void)reissuable(f);
                assert_string_equal(json_str(json_array_get(json_object_get(f->answer, "certificates"), 0), "reissue"),
                        row[i].line);
        }
        metrics_collect(f->engine);
        assert_true(metrics_render(&b));
        assert_non_null(strstr(b.data, "dcvd_certificate_reissuable{cert=\"www\"} 0\n"));
        clock_fake(-1, -1);
}

/* Until the CA is asked again the JSON and the metric say what the REISSUE line says. */
static void the_last_reissue_is_used_at_once_for_everybody(void **state)
{
        struct fixture *f = *state;
        CLEANUP(buf_done) struct buf b = { 0 };
        fake_ca.last_one = true;
        cert_due(engine_cert(f->engine, "www"));
        assert_true(run_to(f, is_asked));
        assert_true(json_bool(reissuable(f), "possible", false));
        reissue(f, "www", false);
        expect_done(f);
        assert_false(json_bool(reissuable(f), "possible", true));
        assert_string_equal(json_str(reissuable(f), "rule"), "R3");
        assert_string_equal(json_str(json_array_get(json_object_get(f->answer, "certificates"), 0), "reissue"),
                "none: nothing could replace this today (R3: used)");
        metrics_collect(f->engine);
        assert_true(metrics_render(&b));
        assert_non_null(strstr(b.data, "dcvd_certificate_reissuable{cert=\"www\"} 0\n"));
}

static void what_was_said_of_before_a_job_is_over_with_it(void **state)
{
        struct fixture *f = *state;
        snprintf(fake_ca.note, sizeof fake_ca.note, "R5: reissue new is running; resuming it");
        cert_due(engine_cert(f->engine, "www"));
        assert_true(run_to(f, is_asked));
        assert_int_equal(json_array_size(json_object_get(reissuable(f), "notes")), 1);
        reissue(f, "www", false);
        expect_done(f);
        assert_null(json_object_get(reissuable(f), "notes"));
        assert_true(json_bool(reissuable(f), "possible", false)); /* the rest stays until the CA is asked again */
        snprintf(fake_ca.note, sizeof fake_ca.note, "R8: no validation needed");
        clock_fake((clock_now_s() + 1) * 1000, -1);
        cert_due(engine_cert(f->engine, "www"));
        assert_true(run_to(f, is_asked));
        assert_string_equal(
                json_string_value(json_array_get(json_object_get(reissuable(f), "notes"), 0)), fake_ca.note);
        clock_fake(-1, -1);
}

static const char *reissue_line(struct fixture *f)
{
        ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
        return json_str(json_array_get(json_object_get(f->answer, "certificates"), 0), "reissue");
}

static bool is_limited(struct fixture *f)
{
        const struct job *j = f->engine->job_count > 0 ? f->engine->job[0] : NULL;
        return j && !j->moving && j->row.err_code && j->due.entry.index;
}

/* Also when its job is gone, and after a restart. */
static void a_limit_is_told_until_it_is_over(void **state)
{
        struct fixture *f = *state;
        int64_t now_s = clock_now_s();
        char until[40];
        err_set(&fake_ca.order_err, ERR_RATE_LIMITED, "limited", "too many for this set of names");
        fake_ca.order_err.retry_after_s = 3600;
        clock_fake(now_s * 1000, -1);
        reissue(f, "www", false);
        /* Whoever sleeps is not woken here. */
        for (int64_t end_ms = clock_boot_ms() + LIMIT_MS; !is_limited(f) && clock_boot_ms() < end_ms;)
                (void)loop_run_until(f->loop, &(bool){ false }, 10);
        format_time(now_s + 3600, until, sizeof until);
        CLEANUP(free_p) char *want = text_format("not before %s: too many for this set of names", until);
        for (int i = 0; i < 3; i++) {
                assert_string_equal(reissue_line(f), want);
                if (i == 0)
                        ask(f, action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", 1));
                if (i == 1) {
                        stop_engine(f);
                        start_engine(f);
                }
        }
        clock_fake((now_s + 3601) * 1000, -1);
        assert_string_equal(reissue_line(f), "yes");
        clock_fake(-1, -1);
}

/* It is asked by status and before each automatic start: a set whose key is damaged was made all the same. */
static void a_set_is_known_by_its_certificate_alone(void **state)
{
        struct fixture *f = *state;
        unsigned number;
        reissue(f, "www", false);
        expect_done(f);
        CLEANUP(free_p) char *key = text_format("%s/sets/www/1/privkey.pem", f->directory);
        assert_int_equal(truncate(key, 40), 0);
        const struct cert *c = engine_cert(f->engine, "www");
        assert_true(cert_has_set_of(c, c->row.live_sha256, &number));
        assert_int_equal(number, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(cancelling_is_asked_for_in_words_that_fit_the_ca),
                cmocka_unit_test(a_kept_key_that_is_live_signs_no_revocation),
                cmocka_unit_test(a_marked_key_is_revoked_when_nothing_live_has_it),
                cmocka_unit_test(a_key_of_its_own_signs),
                cmocka_unit_test(without_its_key_the_account_signs),
                cmocka_unit_test(whoever_issued_it_is_asked_to_revoke_it),
                cmocka_unit_test(what_was_revoked_before_says_as_what),
                cmocka_unit_test(a_revocation_that_is_put_off_says_until_when),
                cmocka_unit_test_setup_teardown(a_set_is_known_by_its_certificate_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(a_limit_is_told_until_it_is_over, setup, teardown),
                cmocka_unit_test(without_the_cas_word_the_last_set_is_the_newest),
                cmocka_unit_test_setup_teardown(a_ca_that_refuses_to_be_asked_replaces_nothing_today, setup, teardown),
                cmocka_unit_test_setup_teardown(the_last_reissue_is_used_at_once_for_everybody, setup, teardown),
                cmocka_unit_test_setup_teardown(what_was_said_of_before_a_job_is_over_with_it, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
