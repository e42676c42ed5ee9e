/* The journal is gone, or older than the world: what the CA issued for a key of this host is taken, nothing is spent
 * again, and nothing starts by itself for a while. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/pki/csr.h"
#include "engine_fixture.h"
#include "fake_ca.h"

#define DAY_S 86400

static void lose_journal(struct fixture *f)
{
        static const char *const files[] = { "dcvd.db", "dcvd.db-wal", "dcvd.db-shm" };
        stop_engine(f);
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                CLEANUP(free_p) char *path = text_format("%s/%s", f->directory, files[i]);
                (void)unlink(path); /* the last two need not be there */
        }
        start_engine(f);
}

static bool over(struct fixture *f)
{
        return ended(f) && f->engine->job_count == 0;
}

static bool validated(struct fixture *f)
{
        (void)f;
        return fake_ca.validated;
}

/* The newest certificate at the CA is for the key of the CSR that left. */
static void issued_at_the_ca(void)
{
        struct csr csr;
        struct err e;
        assert_true(csr_read(fake_ca.csr, strlen(fake_ca.csr), &csr, &e));
        strcpy(fake_ca.newest_spki, csr.spki_hex);
        memset(fake_ca.newest_sha256, 'a', 64);
        csr_done(&csr);
        fake_ca.validated = true;
        fake_ca.open = false;
}

static void what_was_issued_for_a_key_of_this_host_is_taken(void **state)
{
        enum { FORGOTTEN, KNOWN, ELSEWHERE, COMPROMISED };
        static const struct {
                int what;
                bool refused;
                int exit;
                unsigned orders;
        } row[] = {
                { FORGOTTEN, false, 0, 1 },
                { FORGOTTEN, true, 0, 1 },
                { KNOWN, true, 0, 1 }, /* it was tried, but there will be no other */
                { KNOWN, false, 0, 2 },
                { ELSEWHERE, true, 5, 1 },
                { COMPROMISED, true, 5, 1 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct fixture *f = NULL;
                struct err e;
                setup((void **)&f);
                reissue(f, "www", false);
                err_set(&fake_ca.fetch_err, ERR_CONFIG, "no",
                        "not today"); /* the job ends before it has the certificate */
                assert_true(run_to(f, row[i].what == KNOWN ? over : validated));
                if (row[i].what != KNOWN)
                        lose_journal(f);
                issued_at_the_ca();
                fake_ca.fetch_err = (struct err){ 0 };
                if (row[i].what == ELSEWHERE)
                        assert_true(keystore_remove(f->engine->keystore, fake_ca.newest_spki, &e));
                if (row[i].what == COMPROMISED)
                        assert_true(compromised_add(f->engine->keystore, fake_ca.newest_spki, &e));
                if (row[i].refused)
                        err_set(&fake_ca.refusal, ERR_RULE, "R3", "R3: used");
                reissue(f, "www", false);
                if (!run_to(f, over) || f->exit != row[i].exit || fake_ca.orders != row[i].orders)
                        fail_msg("row %zu: exit %d, %u orders: %s", i, f->exit, fake_ca.orders, f->text);
                const struct cert *c = engine_cert(f->engine, "www");
                if (row[i].exit == 0 && row[i].orders == 1)
                        assert_string_equal(c->row.live_spki, fake_ca.newest_spki);
                teardown((void **)&f);
        }
}

/* One that a set has was taken: whoever asks for a reissue while an older one is live wants another. */
static void what_a_set_has_is_not_taken_twice(void **state)
{
        struct fixture *f = *state;
        struct err e;
        for (int i = 0; i < 2; i++) {
                fake_ca.validated = false;
                reissue(f, "www", false);
                assert_true(run_to(f, over));
        }
        issued_at_the_ca();
        strcpy(fake_ca.newest_sha256, engine_cert(f->engine, "www")->row.live_sha256);
        assert_true(sets_switch(f->engine->sets, "www", 1, &e));
        lose_journal(f);
        fake_ca.validated = false;
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        assert_int_equal(fake_ca.orders, 3);
}

/* Reissued by somebody with the CSR of what is live: its key may be the one that leaked. */
static void the_key_that_lives_here_is_not_taken_again(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        issued_at_the_ca(); /* another certificate for the same key */
        lose_journal(f);
        fake_ca.validated = false;
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        assert_int_equal(fake_ca.orders, 2);
}

/* With key.reuse such a one is what a job would have asked for: it is taken, unless its key leaked. */
static void a_certificate_for_the_live_key_is_taken_where_that_may_stay(void **state)
{
        enum { MAY, LEAKED, NEVER };
        (void)state;
        for (int i = MAY; i <= NEVER; i++) {
                struct fixture *f = NULL;
                setup((void **)&f);
                f->key = i == NEVER ? "{reuse: never}" : "{reuse: when-not-compromised}";
                stop_engine(f);
                start_engine(f);
                reissue(f, "www", false);
                assert_true(run_to(f, over));
                issued_at_the_ca();
                lose_journal(f);
                fake_ca.validated = i == MAY;
                ask(f, action_reissue,
                        json_pack("{s:[s], s:b, s:b}", "certs", "www", "dry_run", 1, "compromised", i == LEAKED));
                assert_int_equal(json_str(f->answer, "takes") != NULL, i == MAY);
                reissue(f, "www", i == LEAKED);
                assert_true(run_to(f, over));
                assert_int_equal(f->exit, 0);
                assert_int_equal(fake_ca.orders, i == MAY ? 1 : 2);
                const char *live = engine_cert(f->engine, "www")->row.live_spki;
                assert_int_equal(strcmp(live, fake_ca.newest_spki) == 0, i == MAY);
                assert_int_equal(sets_live(f->engine->sets, "www"), 2);
                teardown((void **)&f);
        }
}

static bool starts(struct cert *c)
{
        cert_due(c);
        return c->starting || c->job;
}

static void nothing_starts_by_itself_before_the_rest_is_over(void **state)
{
        struct fixture *f = *state;
        int64_t now_s = clock_now_s(), rest_s = f->engine->conf->limit_cooldown_ms / 1000;
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        assert_int_equal(f->engine->rest_until_s, 0);
        lose_journal(f);
        assert_true(f->engine->rebuilt && f->engine->rest_until_s >= now_s + rest_s);
        int64_t until_s = f->engine->rest_until_s;
        stop_engine(f);
        start_engine(f); /* the journal is not new any more */
        assert_true(!f->engine->rebuilt && f->engine->rest_until_s == until_s);
        struct cert *c = engine_cert(f->engine, "www");
        fake_ca_renews(true);
        c->live_not_before_s = now_s - 80 * DAY_S;
        c->row.live_not_after_s = now_s + 10 * DAY_S; /* long due */
        assert_false(starts(c));
        f->engine->rest_until_s = 0;
        assert_true(starts(c));
        f->engine->rest_until_s = until_s;
        c->row.live_not_after_s = now_s + 3600; /* it would end meanwhile */
        assert_true(starts(c));
        f->exit = -1;
        assert_true(run_to(f, over));
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg += row_i64(row, 0);
        return true;
}

static int64_t rows_of_key(struct fixture *f, const char *spki, const char *cert)
{
        struct err e;
        int64_t rows = 0;
        assert_true(store_flush(f->engine->store, &e));
        assert_true(store_query(f->engine->store, "SELECT COUNT(*) FROM key WHERE spki=? AND IFNULL(cert,'')=?", "tt",
                counted, &rows, &e, spki, cert));
        return rows;
}

static void keys_that_the_journal_does_not_know_get_their_row(void **state)
{
        struct fixture *f = *state;
        struct key *key = NULL;
        struct err e;
        char orphan[65], live[65];
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        snprintf(live, sizeof live, "%s", engine_cert(f->engine, "www")->row.live_spki);
        assert_true(key_generate(KEY_EC_P256, &key, &e) && keystore_put(f->engine->keystore, key, orphan, &e));
        key_free(key);
        assert_int_equal(rows_of_key(f, orphan, ""), 0);
        lose_journal(f);
        assert_int_equal(rows_of_key(f, orphan, ""), 1);
        assert_int_equal(rows_of_key(f, live, "www"), 1); /* its set says whose it is */
        stop_engine(f);
        start_engine(f);
        assert_int_equal(rows_of_key(f, live, "www"), 1);
}

static bool asked(struct fixture *f)
{
        struct cert *c = engine_cert(f->engine, "www");
        if (!c->asking && c->ask_first)
                cert_due(c);
        return fake_ca.inspects > 0 && !c->asking;
}

static void the_ca_is_asked_at_every_start(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        assert_true(run_to(f, over));
        stop_engine(f);
        start_engine(f); /* the journal says that it was asked a moment ago */
        issued_at_the_ca();
        fake_ca.inspects = 0;
        assert_true(run_to(f, asked));
        assert_non_null(strstr(engine_cert(f->engine, "www")->row.stopped, "holds a newer certificate (new)"));
        assert_false(engine_cert(f->engine, "www")->ask_first);
}

static int64_t newest_set(struct fixture *f)
{
        json_t *status = cert_status_json(engine_cert(f->engine, "www"), false);
        int64_t number = json_i64(status, "newest_set", -1);
        json_decref(status);
        return number;
}

/* An older set is live, as after a deploy that failed or was asked for: the newer one and its key are here, so nothing
 * is held back. */
static void a_newer_set_of_this_host_stops_nothing(void **state)
{
        struct fixture *f = *state;
        struct err e;
        struct cert *c;
        for (int i = 0; i < 2; i++) {
                fake_ca.validated = false;
                reissue(f, "www", false);
                assert_true(run_to(f, over));
        }
        assert_int_equal(newest_set(f), 0);
        issued_at_the_ca();
        strcpy(fake_ca.newest_sha256, engine_cert(f->engine, "www")->row.live_sha256);
        assert_true(sets_switch(f->engine->sets, "www", 1, &e));
        stop_engine(f);
        start_engine(f);
        c = engine_cert(f->engine, "www");
        job_set(&c->row.stopped, "an earlier version stopped it");
        fake_ca.inspects = 0;
        assert_true(run_to(f, asked));
        assert_int_equal(c->row.live_set, 1);
        assert_null(c->row.stopped);
        assert_int_equal(newest_set(f), 2);
        assert_true(compromised_add(f->engine->keystore, fake_ca.newest_spki, &e));
        assert_int_equal(newest_set(f), 0); /* it must not be deployed */
        assert_true(sets_switch(f->engine->sets, "www", 2, &e) && cert_load_live(c, &e));
        assert_int_equal(newest_set(f), 0);
}

/* As a journal from a backup has it: the job has not ordered yet, but its set is there. */
static void a_job_of_yesterday_takes_the_set_it_made(void **state)
{
        enum { ITS_OWN, OF_AN_EARLIER_JOB, COMPROMISED };
        static const struct {
                int what;
                const char *state;
                unsigned orders;
        } row[] = { { ITS_OWN, "eligible", 1 }, { ITS_OWN, "keyed", 1 }, { ITS_OWN, "ordered", 1 },
                { OF_AN_EARLIER_JOB, "eligible", 2 }, { COMPROMISED, "keyed", 2 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct fixture *f = NULL;
                struct err e;
                setup((void **)&f);
                reissue(f, "www", false);
                assert_true(run_to(f, over));
                const struct cert *c = engine_cert(f->engine, "www");
                if (row[i].what == COMPROMISED)
                        assert_true(compromised_add(f->engine->keystore, c->row.live_spki, &e));
                struct store_batch *b = store_batch_new();
                assert_true(store_batch_add(b,
                        "UPDATE job SET state=?, ended=NULL, result=NULL, order_id=NULL, set_number=0, spki=NULL, "
                        "due_ms=0, "
                        "created=created+?",
                        "ti", row[i].state, (int64_t)(row[i].what == OF_AN_EARLIER_JOB ? 100 : 0)));
                engine_commit_logged(f->engine, b);
                assert_true(store_flush(f->engine->store, &e));
                stop_engine(f);
                fake_ca.validated = false;
                f->exit = -1;
                start_engine(f);
                if (!run_to(f, over) || f->exit != 0 || fake_ca.orders != row[i].orders)
                        fail_msg("row %zu: exit %d, %u orders: %s", i, f->exit, fake_ca.orders, f->text);
                assert_int_equal(sets_live(f->engine->sets, "www"), row[i].orders);
                teardown((void **)&f);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_issued_for_a_key_of_this_host_is_taken),
                cmocka_unit_test(a_job_of_yesterday_takes_the_set_it_made),
                cmocka_unit_test_setup_teardown(the_key_that_lives_here_is_not_taken_again, setup, teardown),
                cmocka_unit_test(a_certificate_for_the_live_key_is_taken_where_that_may_stay),
                cmocka_unit_test_setup_teardown(what_a_set_has_is_not_taken_twice, setup, teardown),
                cmocka_unit_test_setup_teardown(nothing_starts_by_itself_before_the_rest_is_over, setup, teardown),
                cmocka_unit_test_setup_teardown(keys_that_the_journal_does_not_know_get_their_row, setup, teardown),
                cmocka_unit_test_setup_teardown(the_ca_is_asked_at_every_start, setup, teardown),
                cmocka_unit_test_setup_teardown(a_newer_set_of_this_host_stops_nothing, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
