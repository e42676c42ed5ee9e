/* An engine with three certificates that have one key, a CA of the tests, and what a test does with them. Include once,
 * in the program of a test. */
#ifndef DCVD_TEST_INCIDENT_FIXTURE_H
#define DCVD_TEST_INCIDENT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"
#include "agent/net/loop.h"
#include "fake_ca.h"
#include "test.h"

#define LIMIT_MS 120000 /* only against waiting for ever: a disk may take seconds for each commit */

static const char *const names[] = { "www", "two", "six" };

struct fixture {
        char directory[64], runtime[64];
        const char *policy; /* more of each certificate's configuration */
        bool two_cas; /* each certificate may go to a second one */
        struct loop *loop;
        struct engine *engine;
        bool moved; /* some job, since run_to looked */
        bool answered;
        struct incident_answer answer;
        struct err refused;
        json_t *result;
        char key[65]; /* that all of them have */
        unsigned notices[NOTICE_DONE + 1];
};

static inline void on_notice(void *arg, const struct notice *n)
{
        struct fixture *f = arg;
        assert_non_null(n->key);
        assert_non_null(n->text);
        f->notices[n->kind]++;
}

static inline void on_event(void *arg, const json_t *event)
{
        struct fixture *f = arg;
        (void)event;
        f->moved = true;
}

static inline void start_engine(struct fixture *f)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        struct err e;
        CLEANUP(buf_done) struct buf b = { 0 };
        buf_addf(&b,
                "state_directory: %s\nruntime_directory: %s\nresolvers: [\"127.0.0.1\"]\n"
                "cas: {ca: {type: fake}, second: {type: fake}}\npublishers: {zone: {type: fake}}\ncertificates:\n",
                f->directory, f->runtime);
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                buf_addf(&b,
                        "  %s: {names: [www.example.test], ca: %s, publisher: zone, rehearse: never,"
                        " propagation: {view: publisher}%s}\n",
                        names[i], f->two_cas ? "[ca, second]" : "ca", f->policy ? f->policy : "");
        if (!config_load_text("test", b.data, b.len, fake_kinds(), &conf, &p))
                fail_msg("%s", p.text.item[0]);
        conf_problems_done(&p);
        assert_true(loop_open(&f->loop, &e));
        struct engine_conf c = { .conf = conf, .helper_fd = -1, .cas = fake_cas, .publishers = fake_publishers };
        if (!engine_open(&f->engine, f->loop, &c, &e))
                fail_msg("%s", e.text);
        assert_non_null(notice_listen(f->engine, on_notice, f));
        assert_non_null(engine_listen(f->engine, on_event, f));
        engine_start(f->engine);
        /* Looks at the CA that nobody asked for would come some seconds later, into any test. */
        for (size_t i = 0; i < f->engine->cert_count; i++)
                engine_due_set(f->engine, &f->engine->cert[i]->due, clock_now_ms() + 86400 * 1000);
}

static inline void stop_engine(struct fixture *f)
{
        engine_close(f->engine);
        loop_close(f->loop);
}

static inline void restart(struct fixture *f)
{
        stop_engine(f);
        start_engine(f);
}

static inline bool run_within(struct fixture *f, bool (*reached)(struct fixture *f), int64_t limit_ms)
{
        for (int64_t until_ms = clock_boot_ms() + limit_ms; clock_boot_ms() < until_ms;) {
                struct engine *g = f->engine;
                if (reached(f))
                        return true;
                f->moved = false;
                if (loop_run_until(f->loop, &f->moved, 1))
                        continue;
                for (size_t i = 0; i < g->job_count; i++)
                        if (g->job[i]->due.entry.index)
                                job_run(g->job[i]);
                incidents_look(g);
        }
        return reached(f);
}

/* Time passes: whoever sleeps is woken. `reached` is asked whenever a job moved, so that no state is passed unseen. */
static inline bool run_to(struct fixture *f, bool (*reached)(struct fixture *f))
{
        return run_within(f, reached, LIMIT_MS);
}

static inline bool never_reached(struct fixture *f)
{
        (void)f;
        return false;
}

/* As long, whatever happens: to see what does not. */
static inline void run_for(struct fixture *f, int64_t ms)
{
        (void)run_within(f, never_reached, ms);
}

static inline void on_result(void *arg, const json_t *result, const struct err *err)
{
        struct fixture *f = arg;
        f->answered = true;
        json_decref(f->result);
        f->result = json_incref((json_t *)result);
        f->refused = err ? *err : (struct err){ 0 };
}

static inline void ask(struct fixture *f, action_fn *action, json_t *args_own)
{
        f->answered = false;
        action(f->engine, args_own, on_result, f);
        json_decref(args_own);
        assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
}

static inline bool nothing_runs(struct fixture *f)
{
        for (size_t i = 0; i < f->engine->cert_count; i++)
                if (f->engine->cert[i]->starting)
                        return false;
        return f->engine->job_count == 0 && f->engine->token_count == 0;
}

/* www gets a certificate, the others the same one. */
static inline void give_all_one_key(struct fixture *f)
{
        struct set s = { 0 };
        struct err e;
        unsigned number;
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, nothing_runs));
        assert_true(sets_read(f->engine->sets, "www", sets_live(f->engine->sets, "www"), SET_WHOLE, &s, &e));
        for (size_t i = 1; i < ARRAY_LEN(names); i++) {
                assert_true(sets_write(f->engine->sets, names[i], &s.chain, &s.key_pem, s.meta, &number, &e));
                assert_true(sets_switch(f->engine->sets, names[i], number, &e));
                assert_true(cert_load_live(engine_cert(f->engine, names[i]), &e));
        }
        strcpy(f->key, s.chain.leaf.spki_hex);
        set_done(&s);
        fake_ca.orders = 0;
        fake_ca.strangers = true;
        strcpy(fake_ca.exclusive, "example.test");
}

static inline int setup_with(void **state, const char *policy)
{
        struct fixture *f = calloc(1, sizeof *f);
        log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        fake_ca_reset();
        f->policy = policy;
        strcpy(f->directory, "/tmp/dcvd-incident-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        strcpy(f->runtime, "/dev/shm/dcvd-incident-XXXXXX");
        assert_non_null(mkdtemp(f->runtime));
        start_engine(f);
        give_all_one_key(f);
        *state = f;
        return 0;
}

static inline int setup(void **state)
{
        return setup_with(state, NULL);
}

static inline int setup_asking(void **state)
{
        return setup_with(state, ", on_compromise: {reissue: confirm}");
}

static inline int teardown(void **state)
{
        struct fixture *f = *state;
        struct err e;
        stop_engine(f);
        assert_true(tree_remove_at(-100, f->directory, &e) && tree_remove_at(-100, f->runtime, &e));
        json_decref(f->result);
        fake_ca_reset();
        free(f);
        return 0;
}

static inline void on_answer(void *arg, const struct incident_answer *answer, const struct err *err)
{
        struct fixture *f = arg;
        f->answered = true;
        f->refused = err ? *err : (struct err){ 0 };
        f->answer = answer ? *answer : (struct incident_answer){ 0 };
}

static inline void take(struct fixture *f, const struct report *r)
{
        struct err e;
        f->answered = false;
        if (!incident_take(f->engine, r, on_answer, f, &e))
                fail_msg("%s", e.text);
        assert_false(f->answered); /* never before it returned */
        assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
        assert_int_equal(f->refused.kind, ERR_NONE);
}

static inline void take_key(struct fixture *f, enum report_strength strength, const char *spki)
{
        const struct report r = { .source = "webhook scanner",
                .strength = strength,
                .spki_hex = spki,
                .text = "found in a repository",
                .revocation_reason = -1 };
        take(f, &r);
}

static inline bool all_replaced(struct fixture *f)
{
        return f->engine->incidents->count == 0 ||
                (f->engine->incidents->list[0]->row.state != INCIDENT_OPEN && nothing_runs(f));
}

static inline struct incident *only(struct fixture *f)
{
        assert_int_equal(f->engine->incidents->count, 1);
        return f->engine->incidents->list[0];
}

static inline bool no_incident(struct fixture *f)
{
        return f->engine->incidents->count == 0;
}

static inline void expect_replaced(struct fixture *f)
{
        if (!run_to(f, all_replaced)) {
                char text[480];
                incident_say(only(f), text, sizeof text);
                fail_msg("%s", text);
        }
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                assert_string_not_equal(engine_cert(f->engine, names[i])->row.live_spki, f->key);
        assert_false(fake_ca.doubled);
}

#endif
