/* What is kept and for how long: sets, keys; and who may act at once: slots, a leaked key first. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

/* ---- sets and keys ---- */

static void another(struct fixture *f)
{
        fake_ca.validated = false;
        reissue(f, "www", false);
        expect_done(f);
}

static void expect_sets(struct fixture *f, const unsigned *want, size_t want_count)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        assert_true(sets_list(f->engine->sets, "www", &number, &count, &e));
        assert_int_equal(count, want_count);
        for (size_t i = 0; i < count; i++)
                assert_int_equal(number[i], want[i]);
}

static void the_live_set_and_so_many_before_it_are_kept(void **state)
{
        struct fixture *f = *state;
        f->engine->conf->keep_sets = 2;
        for (int i = 0; i < 5; i++)
                another(f);
        expect_sets(f, (const unsigned[]){ 3, 4, 5 }, 3);
        f->engine->conf->keep_sets = 0;
        another(f);
        expect_sets(f, (const unsigned[]){ 6 }, 1);
}

static void a_set_that_lives_again_is_kept_however_old(void **state)
{
        struct fixture *f = *state;
        struct err e;
        f->engine->conf->keep_sets = 1;
        another(f);
        another(f);
        assert_true(sets_switch(f->engine->sets, "www", 1, &e) && cert_load_live(engine_cert(f->engine, "www"), &e));
        fake_ca.view_err = (struct err){ 0 };
        another(f); /* live: 3; 1 was live until then, 2 is newer */
        expect_sets(f, (const unsigned[]){ 2, 3 }, 2);
}

static char *key_of(struct fixture *f)
{
        return text_dup(engine_cert(f->engine, "www")->row.live_spki);
}

static void all_keys_are_old(struct fixture *f)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE key SET created=1", ""));
        engine_commit_logged(f->engine, b);
        assert_true(store_flush(f->engine->store, &e));
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return true;
}

static int64_t rows(struct fixture *f, const char *sql, const char *spki)
{
        int64_t n = -1;
        struct err e;
        assert_true(store_flush(f->engine->store, &e));
        assert_true(store_query(f->engine->store, sql, "t", counted, &n, &e, spki));
        return n;
}

static void an_old_key_goes_when_no_set_has_it(void **state)
{
        struct fixture *f = *state;
        f->engine->conf->keep_sets = 1;
        another(f);
        CLEANUP(free_p) char *first = key_of(f);
        another(f);
        CLEANUP(free_p) char *second = key_of(f);
        another(f); /* the first set goes, its key is young */
        CLEANUP(free_p) char *third = key_of(f);
        assert_true(keystore_has(f->engine->keystore, first));
        all_keys_are_old(f);
        keys_retire(f->engine);
        assert_false(keystore_has(f->engine->keystore, first));
        assert_true(keystore_has(f->engine->keystore, second)); /* of a kept set */
        assert_true(keystore_has(f->engine->keystore, third)); /* live */
        assert_int_equal(rows(f, "SELECT COUNT(*) FROM key WHERE spki=?", first), 1); /* its hash stays for ever */
        assert_int_equal(rows(f, "SELECT COUNT(*) FROM audit WHERE event='key-removed' AND instr(data, ?)", first), 1);
}

/* What went stays in the table for ever, and is looked at again: it takes no other's turn. */
static void an_old_key_goes_however_many_went_before(void **state)
{
        struct fixture *f = *state;
        f->engine->conf->keep_sets = 0;
        another(f);
        CLEANUP(free_p) char *first = key_of(f);
        another(f);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                " INSERT INTO key(spki, created) SELECT printf('%064x', i), 0 FROM n",
                ""));
        engine_commit_logged(f->engine, b);
        all_keys_are_old(f);
        for (unsigned i = 0; i < 21; i++)
                keys_retire(f->engine);
        assert_false(keystore_has(f->engine->keystore, first));
        CLEANUP(free_p) char *second = key_of(f);
        another(f); /* wherever the second one's turn is: it comes round */
        all_keys_are_old(f);
        for (unsigned i = 0; i < 22; i++)
                keys_retire(f->engine);
        assert_false(keystore_has(f->engine->keystore, second));
}

static bool ordered(struct fixture *f)
{
        return f->engine->job_count > 0 && f->engine->job[0]->row.state == JOB_PUBLISHED;
}

static void a_key_of_an_open_order_stays(void **state)
{
        struct fixture *f = *state;
        another(f);
        fake_ca.validated = false;
        fake_ca.publisher_down = true;
        reissue(f, "www", false);
        assert_true(run_to(f, ordered));
        CLEANUP(free_p) char *open = text_dup(f->engine->job[0]->row.spki);
        all_keys_are_old(f);
        keys_retire(f->engine);
        assert_true(keystore_has(f->engine->keystore, open));
        fake_ca.publisher_down = false;
        expect_done(f);
}

/* ---- slots ---- */

#define MORE 3

static struct {
        char order[8][16]; /* certificates as they became eligible */
        size_t count;
        size_t most; /* that acted at once */
} seen;

static void on_event(void *arg, const json_t *e)
{
        struct fixture *f = arg;
        const char *cert = json_str(e, "cert"), *now = json_str(e, "state");
        seen.most = MAX(seen.most, f->engine->acting);
        if (!cert || !now || strcmp(now, "eligible") != 0)
                return;
        for (size_t i = 0; i < seen.count; i++)
                if (strcmp(seen.order[i], cert) == 0)
                        return;
        if (seen.count < ARRAY_LEN(seen.order))
                snprintf(seen.order[seen.count++], sizeof seen.order[0], "%s", cert);
}

/* The first for its reviewer, the others for its order, which is for the same names. */
static bool all_wait(struct fixture *f)
{
        return f->engine->job_count == MORE && f->engine->acting == 0 && seen.count == MORE;
}

static void so_many_act_at_once_and_a_leaked_key_goes_first(void **state)
{
        struct fixture *f = *state;
        memset(&seen, 0, sizeof seen);
        stop_engine(f);
        f->more = MORE;
        start_engine(f);
        (void)engine_listen(f->engine, on_event, f);
        f->engine->conf->limit_jobs = 1;
        fake_ca.strangers = fake_ca.person = fake_ca.validated = true;
        reissue(f, "c0", false);
        reissue(f, "c1", false);
        reissue(f, "c2", true);
        assert_true(run_to(f, all_wait)); /* who waits holds no slot */
        assert_int_equal(seen.most, 1);
        assert_int_equal(seen.count, 3);
        assert_string_equal(seen.order[0], "c0");
        assert_string_equal(seen.order[1], "c2");
        assert_string_equal(seen.order[2], "c1");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(the_live_set_and_so_many_before_it_are_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(a_set_that_lives_again_is_kept_however_old, setup, teardown),
                cmocka_unit_test_setup_teardown(an_old_key_goes_when_no_set_has_it, setup, teardown),
                cmocka_unit_test_setup_teardown(an_old_key_goes_however_many_went_before, setup, teardown),
                cmocka_unit_test_setup_teardown(a_key_of_an_open_order_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(so_many_act_at_once_and_a_leaked_key_goes_first, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
