/* key.reuse: which key a job of a certificate goes on with. */
#include "test.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/job/incident.h"
#include "agent/net/loop.h"
#include "agent/pki/csr.h"
#include "engine_fixture.h"
#include "fake_ca.h"
#include "pki/make_cert.h"

#define OTHER_SPKI "2222222222222222222222222222222222222222222222222222222222222222"

/* An engine with this `key:`, and with a live certificate if it is to be adopted; ret_live: its key. */
static struct fixture *with_a_key(const char *key, bool adopted, char ret_live[65])
{
        struct fixture *f = NULL;
        setup((void **)&f);
        stop_engine(f);
        f->key = key;
        start_engine(f);
        if (adopted) {
                reissue(f, "www", false);
                expect_done(f);
                snprintf(ret_live, 65, "%s", engine_cert(f->engine, "www")->row.live_spki);
                fake_ca.validated = false;
        }
        return f;
}

static struct fixture *with_a_live_key(char ret_live[65])
{
        return with_a_key("{reuse: when-not-compromised}", true, ret_live);
}

/* Of the CSR that left last. */
static void sent_key(char ret_spki[65])
{
        struct csr csr;
        struct err e;
        assert_true(csr_read(fake_ca.csr, strlen(fake_ca.csr), &csr, &e));
        snprintf(ret_spki, 65, "%s", csr.spki_hex);
        csr_done(&csr);
}

static void the_original_csr_is_sent_only_for_the_key_that_is_live(void **state)
{
        static const struct {
                const char *what;
                bool other; /* the newest member at the CA has another key than what is live */
                bool compromised; /* the live one is marked */
                bool insists; /* the CA's word is of before that */
                bool original; /* what was sent */
        } row[] = {
                { .what = "the same key", .original = true },
                { .what = "another key at the CA", .other = true },
                { .what = "the live key is marked", .compromised = true },
                { .what = "another key became live meanwhile", .other = true, .insists = true },
                { .what = "the live key was marked meanwhile", .compromised = true, .insists = true },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char live[65], sent[65];
                struct err e;
                struct fixture *f = with_a_live_key(live);
                fake_ca.waives = true;
                fake_ca.insists_on_csr = row[i].insists;
                strcpy(fake_ca.newest_spki, row[i].other ? OTHER_SPKI : live);
                memset(fake_ca.newest_sha256, 'a', 64);
                if (row[i].compromised)
                        assert_true(compromised_add(f->engine->keystore, live, &e));
                reissue(f, "www", false);
                assert_true(run_to(f, ended));
                if (f->exit != 0 || fake_ca.original != row[i].original)
                        fail_msg("%s: exit %d, original %d: %s", row[i].what, f->exit, fake_ca.original, f->text);
                sent_key(sent);
                const char *now = engine_cert(f->engine, "www")->row.live_spki;
                assert_string_equal(now, sent);
                if (row[i].compromised && strcmp(now, live) == 0)
                        fail_msg("%s: the marked key was used again", row[i].what);
                if (row[i].compromised)
                        assert_string_equal(fake_ca.reuse_spki, "");
                else
                        assert_string_equal(fake_ca.reuse_spki, live);
                teardown((void **)&f);
        }
}

/* Also where it is not known which key leaked, so that none is marked. */
static void a_job_for_a_leaked_key_tells_the_ca_of_no_key(void **state)
{
        (void)state;
        char live[65], sent[65];
        struct fixture *f = with_a_live_key(live);
        fake_ca.waives = true;
        strcpy(fake_ca.newest_spki, live);
        reissue(f, "www", false);
        assert_true(run_to(f, has_a_job) && f->engine->job[0]->row.state < JOB_ELIGIBLE);
        f->engine->job[0]->row.compromised = true;
        expect_done(f);
        assert_string_equal(fake_ca.reuse_spki, "");
        sent_key(sent);
        assert_string_not_equal(sent, live);
        teardown((void **)&f);
}

static void dry_run(struct fixture *f, bool staging)
{
        ask(f, action_reissue, json_pack("{s:[s], s:b, s:b}", "certs", "www", "dry_run", 1, "staging", staging));
}

static void use_key(struct fixture *f, const char *key)
{
        stop_engine(f);
        f->key = key;
        start_engine(f);
}

static void remove_from_set(const struct fixture *f)
{
        CLEANUP(free_p) char *path = text_format("%s/sets/www/1/privkey.pem", f->directory);
        assert_int_equal(unlink(path), 0);
}

static void remove_from_store(const struct fixture *f, const char *spki)
{
        struct err e;
        assert_true(keystore_remove(f->engine->keystore, spki, &e));
}

static void damage(const struct fixture *f, const char *spki)
{
        struct err e;
        CLEANUP(free_p) char *path = text_format("%s/keys/%s.pem", f->directory, spki);
        assert_true(file_write_atomic(path, 0600, (uid_t)-1, (gid_t)-1, "no key\n", 7, &e));
}

static const char *status_key(struct fixture *f)
{
        ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
        return json_str(json_array_get(json_object_get(f->answer, "certificates"), 0), "key");
}

/* What the jobs say; the test's own listener. */
static char notes[8000];

static void on_note(void *arg, const json_t *event)
{
        size_t len = strlen(notes);
        (void)arg;
        snprintf(notes + len, sizeof notes - len, "%s\n", json_str(event, "text") ? json_str(event, "text") : "");
}

static bool job_said(const char *text)
{
        return strstr(notes, text) != NULL;
}

static void listen_anew(struct fixture *f)
{
        notes[0] = '\0';
        (void)engine_listen(f->engine, on_note, f);
}

enum { KEPT, KEPT_P384, NEVER, MARKED, RULE, TYPE, NOT_ISSUED, WEAK, SET_ALONE, STORE_ALONE, NOWHERE, DAMAGED, LEAKED };

/* Takes over a certificate whose key no CA would take today. */
static void import_weak(struct fixture *f, char live[65])
{
        struct key weak = { .pkey = EVP_RSA_gen(1024), .type = KEY_OTHER };
        struct made of = { .key = &weak };
        struct made m = make_cert(&(struct cert_spec){ .subject = "www.example.test",
                .key_of = &of,
                .san = "DNS:www.example.test",
                .from = clock_now_s() - DAY,
                .until = clock_now_s() + 90 * DAY });
        struct secret pem = { 0 };
        struct err e;
        assert_true(key_write_pem(&weak, NULL, &pem, &e));
        ask(f, action_import,
                json_pack("{s:s, s:s, s:s%}", "cert", "www", "cert_pem", m.pem, "key_pem", pem.data, (size_t)pem.len));
        assert_int_equal(f->refused.kind, ERR_NONE);
        snprintf(live, 65, "%s", engine_cert(f->engine, "www")->row.live_spki);
        secret_done(&pem);
        made_done(&m);
        EVP_PKEY_free(weak.pkey);
}

static void prepare(struct fixture *f, int what, char live[65])
{
        static const char *const rsa_alone[] = { "rsa-2048", NULL };
        struct err e;
        if (what == NEVER)
                use_key(f, "{reuse: never}");
        if (what == TYPE)
                use_key(f, "{type: ec-p384, reuse: when-not-compromised}");
        if (what == KEPT_P384)
                use_key(f, "{reuse: when-not-compromised}"); /* no type any more */
        if (what == NOT_ISSUED)
                fake_ca_takes(rsa_alone);
        if (what == WEAK)
                import_weak(f, live);
        if (what == MARKED)
                assert_true(compromised_add(f->engine->keystore, live, &e));
        if (what == RULE)
                fake_ca.rule = KEY_EC_P384;
        if (what == SET_ALONE || what == NOWHERE)
                remove_from_store(f, live);
        if (what == STORE_ALONE || what == NOWHERE)
                remove_from_set(f);
        if (what == DAMAGED)
                damage(f, live);
}

static void the_live_key_is_kept_or_it_is_said_why_not(void **state)
{
        static const struct {
                int what;
                const char *why_not; /* as a dry run, the job and status say it; NULL: they say nothing */
        } row[] = {
                { KEPT, "" },
                { KEPT_P384, "" }, /* the CA is told that ec-p256 need not be */
                { NEVER, NULL },
                { MARKED, "it is marked compromised" },
                { RULE, "it is ec-p256, and the CA's rule is ec-p384" },
                { TYPE, "it is ec-p256, and ec-p384 is configured" },
                { NOT_ISSUED, "it is ec-p256, which ca does not take" },
                { WEAK, "the RSA key has 1024 bits" },
                { SET_ALONE, "" },
                { STORE_ALONE, "" },
                { NOWHERE, "it is not on this host" },
                { DAMAGED, "is damaged" },
                { LEAKED, "marked compromised" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char live[65], sent[65];
                const char *why = row[i].why_not;
                bool kept = why && !why[0], leaked = row[i].what == LEAKED;
                struct fixture *f = row[i].what == KEPT_P384
                        ? with_a_key("{type: ec-p384, reuse: when-not-compromised}", true, live)
                        : with_a_live_key(live);
                prepare(f, row[i].what, live);
                dry_run(f, false);
                const char *said = json_str(f->answer, "key_not_kept");
                if (!leaked &&
                        (json_bool(f->answer, "key_kept", false) != kept || !said != (!why || kept) ||
                                (said && !strstr(said, why))))
                        fail_msg("row %zu: a dry run says %s", i, said ? said : "nothing");
                listen_anew(f);
                reissue(f, "www", leaked);
                assert_true(run_to(f, idle_without_jobs));
                if (f->exit != 0)
                        fail_msg("row %zu: exit %d: %s", i, f->exit, f->text);
                sent_key(sent);
                const struct cert *c = engine_cert(f->engine, "www");
                if ((strcmp(sent, live) == 0) != kept || strcmp(c->row.live_spki, sent) != 0)
                        fail_msg("row %zu: sent %s", i, sent);
                assert_int_equal(fake_ca.orders, 2);
                assert_int_equal(sets_live(f->engine->sets, "www"), row[i].what == WEAK ? 3 : 2);
                assert_true(keystore_has(f->engine->keystore, sent));
                fake_ca_takes(NULL);
                if (job_said("the live key ") != (why != NULL) ||
                        (why && !job_said(kept ? "is kept (key.reuse)" : why)))
                        fail_msg("row %zu: the job does not say it", i);
                teardown((void **)&f);
        }
}

static void status_says_what_becomes_of_the_live_key(void **state)
{
        (void)state;
        char live[65];
        struct err e;
        struct fixture *f = with_a_live_key(live);
        assert_null(status_key(f)); /* the CA was asked before it was live */
        dry_run(f, false);
        assert_string_equal(status_key(f), "kept next time (key.reuse)");
        fake_ca.rule = KEY_EC_P384;
        dry_run(f, false);
        assert_non_null(
                strstr(status_key(f), "a new one next time, the live one is not kept (key.reuse): it is ec-p256"));
        assert_true(compromised_add(f->engine->keystore, live, &e));
        assert_string_equal(status_key(f), "a new one next time: the live one is marked compromised");
        use_key(f, "{reuse: never}");
        assert_null(status_key(f));
        teardown((void **)&f);
}

static enum job_state stop_at;
static bool at_state(struct fixture *f)
{
        const struct job *j = f->engine->job_count == 1 ? f->engine->job[0] : NULL;
        return ended(f) || (j && j->row.state >= stop_at && !j->moving); /* as dcvd stops: else a set is left over */
}

static void a_kept_key_survives_a_restart_in_any_state(void **state)
{
        (void)state;
        for (stop_at = JOB_ELIGIBLE; stop_at < JOB_DONE; stop_at++) {
                char live[65], sent[65];
                struct fixture *f = with_a_live_key(live);
                reissue(f, "www", false);
                assert_true(run_to(f, at_state));
                if (!ended(f)) {
                        stop_engine(f);
                        start_engine(f);
                }
                assert_true(run_to(f, idle_without_jobs));
                sent_key(sent);
                if (f->exit > 0 || fake_ca.orders != 2 || strcmp(sent, live) != 0 ||
                        sets_live(f->engine->sets, "www") != 2)
                        fail_msg("%s: exit %d, %u orders: %s", job_state_name(stop_at), f->exit, fake_ca.orders,
                                f->text);
                assert_string_equal(engine_cert(f->engine, "www")->row.live_spki, live);
                teardown((void **)&f);
        }
}

static bool waits_for_review(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_REVIEWED &&
                f->engine->job[0]->row.waiting && f->engine->job[0]->due.entry.index;
}

static void mark_when_promised(void *arg, const json_t *event)
{
        struct fixture *f = arg;
        const char *text = json_str(event, "text");
        struct err e;
        if (text && strstr(text, "is kept (key.reuse)"))
                assert_true(compromised_add(f->engine->keystore, engine_cert(f->engine, "www")->row.live_spki, &e));
}

static void a_promise_is_not_kept_for_a_key_that_was_marked_since(void **state)
{
        (void)state;
        for (int original = 0; original < 2; original++) {
                char live[65], sent[65];
                struct fixture *f = with_a_live_key(live);
                fake_ca.waives = original;
                strcpy(fake_ca.newest_spki, live);
                memset(fake_ca.newest_sha256, 'a', 64);
                listen_anew(f);
                (void)engine_listen(f->engine, mark_when_promised, f);
                reissue(f, "www", false);
                expect_done(f);
                sent_key(sent);
                assert_string_not_equal(sent, live);
                assert_false(fake_ca.original);
                assert_true(job_said("the live key is not kept after all: it is marked compromised"));
                teardown((void **)&f);
        }
}

static void nobody(void *arg, const struct incident_answer *answer, const struct err *err)
{
        (void)answer;
        assert_null(err);
        *(bool *)arg = true;
}

static bool its_order_is_cancelled(struct fixture *f)
{
        (void)f;
        return fake_ca.cancels > 0;
}

/* Its order waits for a person then: it is given up, and the certificate ends with a fresh key. */
static void a_kept_key_that_is_reported_meanwhile_is_left(void **state)
{
        (void)state;
        char live[65], sent[65];
        struct err e;
        bool taken = false;
        struct fixture *f = with_a_live_key(live);
        const struct report r = {
                .source = "test", .strength = REPORT_PROOF, .spki_hex = live, .text = "leaked", .revocation_reason = -1
        };
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, waits_for_review));
        assert_string_equal(f->engine->job[0]->row.spki, live);
        assert_true(incident_take(f->engine, &r, nobody, &taken, &e));
        assert_true(loop_run_until(f->loop, &taken, LIMIT_MS));
        assert_true(run_to(f, its_order_is_cancelled));
        fake_ca.approved = true;
        assert_true(run_to(f, idle_without_jobs));
        sent_key(sent);
        assert_string_not_equal(sent, live);
        assert_string_equal(engine_cert(f->engine, "www")->row.live_spki, sent);
        assert_int_equal(fake_ca.orders, 3);
        assert_false(fake_ca.doubled);
        teardown((void **)&f);
}

/* At a CA that takes every key once: another order, a new key. */
static void a_kept_key_that_the_ca_refuses_is_followed_by_a_new_one(void **state)
{
        (void)state;
        char live[65], sent[65];
        fake_ca_finalizes(true);
        struct fixture *f = with_a_live_key(live);
        fake_ca.finalized = false;
        listen_anew(f);
        err_set(&fake_ca.finalize_err, ERR_DENIED, CA_KEY_REFUSED, "seen before");
        reissue(f, "www", false);
        expect_done(f);
        sent_key(sent);
        assert_string_not_equal(sent, live);
        assert_int_equal(fake_ca.orders, 3);
        assert_true(job_said("the live key is not kept (key.reuse): a CA did not take it"));
        fake_ca_finalizes(false);
        teardown((void **)&f);
}

static void a_kept_key_is_not_retired_for_its_age(void **state)
{
        (void)state;
        char live[65];
        struct err e;
        struct fixture *f = with_a_live_key(live);
        reissue(f, "www", false);
        expect_done(f);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE key SET created=1", ""));
        engine_commit_logged(f->engine, b);
        assert_true(store_flush(f->engine->store, &e));
        keys_retire(f->engine);
        assert_true(keystore_has(f->engine->keystore, live));
        fake_ca.validated = false;
        use_key(f, "{reuse: never}");
        f->engine->conf->keep_sets = 0;
        reissue(f, "www", false);
        expect_done(f);
        keys_retire(f->engine); /* now nothing names it */
        assert_false(keystore_has(f->engine->keystore, live));
        teardown((void **)&f);
}

static bool looked(struct fixture *f)
{
        struct cert *c = engine_cert(f->engine, "www");
        if (!c->asking && c->ask_first)
                cert_due(c);
        return !c->ask_first && !c->asking;
}

/* By a dry run, by status, by check and by a job. */
static void ask_as_all(struct fixture *f, bool compromised, char told[4][300])
{
        json_t *dry = json_pack("{s:[s], s:b, s:b}", "certs", "www", "dry_run", 1, "compromised", compromised);
        ask(f, action_reissue, dry);
        memcpy(told[0], fake_ca.told, sizeof told[0]);
        engine_cert(f->engine, "www")->ask_first = true;
        assert_true(run_to(f, looked));
        memcpy(told[1], fake_ca.told, sizeof told[1]);
        ask(f, action_check, json_pack("{s:[s]}", "certs", "www"));
        memcpy(told[2], fake_ca.told, sizeof told[2]);
        fake_ca.told[0] = '\0';
        reissue(f, "www", compromised);
        assert_true(run_to(f, ended));
        memcpy(told[3], fake_ca.told, sizeof told[3]);
}

static char *foreign_key(const char *path, const char *name)
{
        struct key *key = NULL;
        struct err e;
        CLEANUP(free_p) char *pem = NULL;
        struct texts names = { 0 };
        assert_true(texts_add(&names, name));
        struct csr_request r = { .common_name = name, .names = &names };
        assert_true(key_generate(KEY_EC_P256, &key, &e) && csr_make(key, &r, &pem, &e));
        assert_true(file_write_atomic(path, 0600, (uid_t)-1, (gid_t)-1, pem, strlen(pem), &e));
        key_free(key);
        texts_done(&names);
        return text_format("{csr: %s}", path);
}

static void everybody_who_asks_tells_the_ca_what_the_job_will(void **state)
{
        enum { ADOPTED, NOT_ADOPTED, A_MARKED, A_LEAKED, ELSEWHERE, A_NEVER };
        static const struct {
                const char *what, *tells; /* NULL: that the live key may be used again */
        } row[] = {
                [ADOPTED] = { "the live key may be used again", NULL },
                [NOT_ADOPTED] = { "nothing is live here", " new " },
                [A_MARKED] = { "the live key is marked", " new " },
                [A_LEAKED] = { "the operator says that it leaked", " new " },
                [ELSEWHERE] = { "the key is held elsewhere", " new " },
                [A_NEVER] = { "reuse: never", " new " },
        };
        (void)state;
        for (int i = 0; i < (int)ARRAY_LEN(row); i++) {
                char live[65] = "none", told[4][300];
                struct err e;
                CLEANUP(free_p) char *csr_path = text_format("/tmp/dcvd-reuse-%d.csr", getpid());
                CLEANUP(free_p) char *key = i == ELSEWHERE ? foreign_key(csr_path, "www.example.test") : NULL;
                struct fixture *f = with_a_key(key ? key
                                : i == A_NEVER     ? "{reuse: never}"
                                                   : "{reuse: when-not-compromised}",
                        i != NOT_ADOPTED, live);
                if (i == A_MARKED)
                        assert_true(compromised_add(f->engine->keystore, live, &e));
                ask_as_all(f, i == A_LEAKED, told);
                for (int k = 0; k < 4; k++) {
                        bool asks_of_leak = i == A_LEAKED && (k == 1 || k == 2); /* status and check know of none */
                        if (!strstr(told[k], row[i].tells && !asks_of_leak ? row[i].tells : live))
                                fail_msg("%s: %d was told %s", row[i].what, k, told[k]);
                        if (!asks_of_leak)
                                assert_string_equal(told[k], told[3]);
                }
                assert_int_equal(told[3][strlen(told[3]) - 1] != ' ', i == ELSEWHERE); /* the CSR's hash */
                (void)unlink(csr_path);
                teardown((void **)&f);
        }
}

static void a_csr_is_refused_before_the_order_and_by_a_dry_run_alike(void **state)
{
        enum { GOOD, REPORTED, NAMES, NO_FILE };
        static const char *const code[] = { NULL, "key.compromised", "csr.names", "file" };
        (void)state;
        for (int i = 0; i < (int)ARRAY_LEN(code); i++) {
                char live[65];
                struct err e;
                CLEANUP(free_p) char *path = text_format("/tmp/dcvd-reuse-%d.csr", getpid());
                CLEANUP(free_p) char *key = foreign_key(path, i == NAMES ? "www.example.org" : "www.example.test");
                struct fixture *f = with_a_key(key, false, live);
                struct csr csr;
                CLEANUP(free_p) char *pem = NULL;
                size_t len = 0;
                assert_true(file_read(path, 65536, &pem, &len, &e) && csr_read(pem, len, &csr, &e));
                if (i == REPORTED)
                        assert_true(compromised_add(f->engine->keystore, csr.spki_hex, &e));
                csr_done(&csr);
                if (i == NO_FILE)
                        (void)unlink(path);
                dry_run(f, false);
                const json_t *said = json_object_get(f->answer, "error");
                const char *got = f->answer ? json_str(said, "code") : f->refused.code;
                if (!code[i] != !got || (got && !text_starts(got, code[i])))
                        fail_msg("%s: a dry run says %s", code[i] ? code[i] : "good", got ? got : "nothing");
                if (i == GOOD)
                        assert_non_null(strstr(json_str(f->answer, "key_type"), path));
                CLEANUP(free_p) char *text = text_dup(f->answer ? json_str(said, "text") : f->refused.text);
                reissue(f, "www", false);
                assert_true(run_to(f, ended));
                assert_int_equal(f->exit, code[i] ? 1 : 0);
                if (code[i])
                        assert_string_equal(f->text, text);
                assert_int_equal(fake_ca.orders, code[i] ? 0 : 1);
                fake_ca.told[0] = '\0'; /* status wants to know what the CA has all the same */
                engine_cert(f->engine, "www")->ask_first = true;
                assert_true(run_to(f, looked));
                assert_string_not_equal(fake_ca.told, "");
                (void)unlink(path);
                teardown((void **)&f);
        }
}

/* Its key is thrown away at the end: never the live one. */
static void a_trial_is_told_of_no_key(void **state)
{
        (void)state;
        char live[65];
        fake_ca_has_staging(true);
        struct fixture *f = with_a_live_key(live);
        for (int trial = 0; trial < 2; trial++) {
                dry_run(f, trial);
                assert_string_equal(fake_ca.reuse_spki, trial ? "" : live);
        }
        f->exit = -1;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "staging", 1));
        expect_done(f);
        assert_string_equal(fake_ca.reuse_spki, "");
        assert_true(keystore_has(f->engine->keystore, live));
        teardown((void **)&f);
        fake_ca_has_staging(false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_original_csr_is_sent_only_for_the_key_that_is_live),
                cmocka_unit_test(the_live_key_is_kept_or_it_is_said_why_not),
                cmocka_unit_test(status_says_what_becomes_of_the_live_key),
                cmocka_unit_test(a_kept_key_survives_a_restart_in_any_state),
                cmocka_unit_test(a_promise_is_not_kept_for_a_key_that_was_marked_since),
                cmocka_unit_test(a_kept_key_that_is_reported_meanwhile_is_left),
                cmocka_unit_test(a_kept_key_that_the_ca_refuses_is_followed_by_a_new_one),
                cmocka_unit_test(a_kept_key_is_not_retired_for_its_age),
                cmocka_unit_test(everybody_who_asks_tells_the_ca_what_the_job_will),
                cmocka_unit_test(a_csr_is_refused_before_the_order_and_by_a_dry_run_alike),
                cmocka_unit_test(a_trial_is_told_of_no_key),
                cmocka_unit_test(a_job_for_a_leaked_key_tells_the_ca_of_no_key),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
