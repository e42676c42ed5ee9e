#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

static void on_event(void *arg, const json_t *e)
{
        struct fixture *f = arg;
        if (!json_bool(e, "ended", false))
                return;
        f->exit = (int)json_i64(e, "exit", -2);
        snprintf(f->text, sizeof f->text, "%s", json_str(e, "text") ? json_str(e, "text") : "");
}

/* The first looks at the CA come some seconds after a start: where the machine is slow, in the middle of a test, and
 * they take what fake_ca has ready for its job. */
static void put_off_looks(struct engine *g)
{
        for (size_t i = 0; i < g->cert_count; i++)
                engine_due_set(g, &g->cert[i]->due, clock_now_ms() + 86400 * 1000);
}

static struct conf *configuration(const struct fixture *f)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        CLEANUP(buf_done) struct buf b = { .max = 1 << 20 };
        buf_addf(&b,
                "state_directory: %s\nruntime_directory: %s\nresolvers: [\"127.0.0.1\"]\n"
                "cas: {ca: {type: fake}, second: {type: fake}}\npublishers: {zone: {type: fake}}\n"
                "certificates:\n  www: {names: [www.example.test], ca: %s, publisher: zone, rehearse: never,"
                " propagation: {view: publisher}, key: %s}\n"
                "  two: {names: [www.example.test], ca: ca, publisher: zone, rehearse: never,"
                " propagation: {view: publisher}}\n",
                f->directory, f->runtime, f->two_cas ? "[ca, second]" : "ca", f->key ? f->key : "{reuse: never}");
        for (size_t i = 0; i < f->more; i++)
                buf_addf(&b, "  c%zu: {names: [c%zu.example.test], ca: ca, publisher: zone}\n", i, i);
        if (!config_load_text("test", b.data, b.len, fake_kinds(), &conf, &p))
                fail_msg("%s", p.text.item[0]);
        conf_problems_done(&p);
        return conf;
}

void reconfigure(struct fixture *f)
{
        struct err e;
        assert_true(engine_reconfigure(f->engine, configuration(f), &e));
}

void start_engine(struct fixture *f)
{
        struct err e;
        assert_true(loop_open(&f->loop, &e));
        struct engine_conf c = {
                .conf = configuration(f), .helper_fd = -1, .cas = fake_cas, .publishers = fake_publishers
        };
        if (!engine_open(&f->engine, f->loop, &c, &e))
                fail_msg("%s", e.text);
        f->listener = engine_listen(f->engine, on_event, f);
        engine_start(f->engine);
        if (!f->looks)
                put_off_looks(f->engine);
}

void stop_engine(struct fixture *f)
{
        engine_close(f->engine);
        loop_close(f->loop);
}

int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        fake_ca_reset();
        strcpy(f->directory, "/tmp/dcvd-engine-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        strcpy(f->runtime, "/dev/shm/dcvd-engine-XXXXXX");
        assert_non_null(mkdtemp(f->runtime));
        f->exit = -1;
        start_engine(f);
        *state = f;
        return 0;
}

int teardown(void **state)
{
        struct fixture *f = *state;
        struct err e;
        stop_engine(f);
        assert_true(tree_remove_at(-100, f->directory, &e) && tree_remove_at(-100, f->runtime, &e));
        fake_ca_reset();
        fake_ca_renews(false);
        json_decref(f->answer);
        free(f);
        return 0;
}

void on_answer(void *arg, const json_t *result, const struct err *err)
{
        struct fixture *f = arg;
        f->answered = true;
        f->refused = err ? *err : (struct err){ 0 };
        json_decref(f->answer);
        f->answer = result ? json_deep_copy(result) : NULL;
        f->job = json_i64(json_array_get(json_object_get(result, "jobs"), 0), "id", 0);
}

void ask(struct fixture *f, action_fn *action, json_t *args_own)
{
        f->answered = false;
        action(f->engine, args_own, on_answer, f);
        json_decref(args_own);
        assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
}

void reissue(struct fixture *f, const char *cert, bool compromised)
{
        f->exit = -1;
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", cert, "compromised", compromised));
}

void let_time_pass(struct fixture *f)
{
        struct engine *g = f->engine;
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i]->due.entry.index)
                        job_run(g->job[i]);
        for (size_t i = g->token_count; i-- > 0;)
                if (g->token[i]->due.entry.index) {
                        engine_due_clear(g, &g->token[i]->due);
                        token_due(g->token[i]);
                }
}

bool run_to(struct fixture *f, bool (*reached)(struct fixture *f))
{
        for (int64_t until_ms = clock_boot_ms() + LIMIT_MS; clock_boot_ms() < until_ms;) {
                bool never = false;
                if (reached(f))
                        return true;
                (void)loop_run_until(f->loop, &never, 1);
                if (reached(f))
                        return true;
                let_time_pass(f);
        }
        return reached(f);
}

bool ended(struct fixture *f)
{
        return f->exit != -1;
}

bool has_a_job(struct fixture *f)
{
        return f->engine->job_count > 0;
}

bool idle_without_jobs(struct fixture *f)
{
        return f->engine->job_count == 0 && f->engine->token_count == 0;
}

void expect_done(struct fixture *f)
{
        if (!run_to(f, ended))
                fail_msg("the job did not end: %s",
                        f->engine->job_count ? job_state_name(f->engine->job[0]->row.state) : "?");
        if (f->exit != 0)
                fail_msg("exit %d: %s", f->exit, f->text);
        assert_int_equal(fake_ca.out, 0);
        assert_true(run_to(f, idle_without_jobs));
}
