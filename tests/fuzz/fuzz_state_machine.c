/* Whole jobs against a CA and a publisher of the tests (tests/unit/job/fake_ca.c), driven by the input: each byte is an
 * event (low half) and how long the loop runs after it (high half). Whatever happens: never two orders open at once
 * (I2), no token left behind (I5), an audit trail that verifies, and once the faults are over every job ends (I9). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"
#include "fake_ca.h"

#define EVENTS_MAX 96
#define END_MS 20000

static struct run {
        char directory[40];
        struct loop *loop;
        struct engine *engine;
        struct engine_listener *listener;
        bool ended;
        int exit;
} run;

static void broken(const char *what)
{
        const struct job *j = run.engine->job_count ? run.engine->job[0] : NULL;
        fprintf(stderr, "%s; job: %s %s\n", what, j ? job_state_name(j->row.state) : "none",
                j && j->row.err_text ? j->row.err_text : "");
        abort();
}

static void on_event(void *arg, const json_t *e)
{
        (void)arg;
        if (!json_bool(e, "ended", false))
                return;
        run.ended = true;
        run.exit = (int)json_i64(e, "exit", -1);
        if (run.exit == 0) /* it has its certificate: nothing is open at the CA */
                fake_ca.open = fake_ca.validated = fake_ca.approved = false;
}

static void open_all(void)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        struct err e;
        CLEANUP(free_p)
        char *text =
                text_format("state_directory: %s\nruntime_directory: %s\nresolvers: [\"127.0.0.1\"]\n"
                            "cas: {ca: {type: fake}}\npublishers: {zone: {type: fake}}\n"
                            "certificates: {www: {names: [www.example.test], ca: ca, publisher: zone, rehearse: never,"
                            " propagation: {view: publisher}}}\n",
                        run.directory, run.directory);
        struct engine_conf c = { .helper_fd = -1, .cas = fake_cas, .publishers = fake_publishers };
        if (!text || !config_load_text("fuzz", text, strlen(text), fake_kinds(), &conf, &p) ||
                !loop_open(&run.loop, &e))
                abort();
        conf_problems_done(&p);
        c.conf = conf;
        if (!engine_open(&run.engine, run.loop, &c, &e)) {
                fprintf(stderr, "%s\n", e.text);
                abort();
        }
        run.listener = engine_listen(run.engine, on_event, NULL);
        engine_start(run.engine);
}

static void close_all(void)
{
        engine_close(run.engine);
        loop_close(run.loop);
}

static void answered(void *arg, const json_t *result, const struct err *err)
{
        (void)arg;
        (void)result;
        (void)err;
}

static void ask(action_fn *action, json_t *args_own)
{
        action(run.engine, args_own, answered, NULL);
        json_decref(args_own);
}

/* Whoever sleeps is woken: time does not matter here. */
static void time_passes(void)
{
        struct engine *g = run.engine;
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i]->due.entry.index)
                        job_run(g->job[i]);
        for (size_t i = g->token_count; i-- > 0;)
                if (g->token[i]->due.entry.index) {
                        engine_due_clear(g, &g->token[i]->due);
                        token_due(g->token[i]);
                }
}

static void turn(unsigned times)
{
        bool never = false;
        for (unsigned i = 0; i < times; i++)
                (void)loop_run_until(run.loop, &never, 1);
        if (fake_ca.doubled)
                broken("I2: a second order was opened");
        if (run.engine->job_count > 1)
                broken("two jobs for one certificate");
}

static void fail_next(unsigned which, unsigned how)
{
        static const enum err_kind kinds[] = { ERR_TEMPORARY, ERR_RATE_LIMITED, ERR_UNKNOWN, ERR_PROTOCOL, ERR_DENIED,
                ERR_RULE, ERR_CONFIG };
        struct err *const all[] = { &fake_ca.inspect_err, &fake_ca.order_err, &fake_ca.view_err, &fake_ca.validate_err,
                &fake_ca.fetch_err, &fake_ca.publish_err, &fake_ca.retract_err };
        err_set(all[which % ARRAY_LEN(all)], kinds[how % ARRAY_LEN(kinds)], "fuzz", "fuzz");
}

static void stop_calls(void)
{
        for (size_t i = 0; i < run.engine->job_count; i++)
                if (run.engine->job[i]->ca_call) { /* as a new configuration does */
                        job_stop_work(run.engine->job[i]);
                        job_run(run.engine->job[i]);
                }
}

static void event(unsigned what, unsigned more)
{
        switch (what) {
        case 0:
        case 1:
                return ask(action_reissue, json_pack("{s:[s], s:b}", "certs", "www", "compromised", (int)what));
        case 2:
                return ask(action_cancel, json_pack("{s:s, s:b}", "cert", "www", "yes", (int)(more & 1)));
        case 3:
                close_all();
                return open_all();
        case 4:
                return stop_calls();
        case 5:
                fake_ca.order_lost = true;
                return;
        case 6:
                fake_ca.order_hangs = !fake_ca.order_hangs;
                return;
        case 7:
                fake_ca.order_reads = !fake_ca.order_reads;
                return;
        case 8:
                fake_ca.person = more & 1;
                fake_ca.approved = more & 2;
                return;
        case 9:
                fake_ca.late_proofs = true;
                return;
        case 10:
                fake_ca.wrong_key = more & 1;
                return;
        case 11:
                return ask(action_deploy, json_pack("{s:s, s:i}", "cert", "www", "set", (int)more));
        case 12:
        case 13:
                return fail_next(more, what);
        default:
                return fail_next(more, more + what);
        }
}

static bool idle(void)
{
        return run.engine->job_count == 0 && run.engine->token_count == 0;
}

/* All faults are over: what runs must end, and give back what it holds. */
static void come_to_an_end(void)
{
        struct err *const all[] = { &fake_ca.inspect_err, &fake_ca.order_err, &fake_ca.view_err, &fake_ca.validate_err,
                &fake_ca.fetch_err, &fake_ca.publish_err, &fake_ca.retract_err };
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                *all[i] = (struct err){ 0 };
        fake_ca.order_lost = fake_ca.order_hangs = fake_ca.order_reads = fake_ca.wrong_key = fake_ca.person = false;
        fake_ca.approved = true;
        close_all(); /* calls that never answer end with their process */
        open_all();
        for (unsigned round = 0; round < 4 && !idle(); round++) {
                if (run.engine->job_count == 0) /* an order outlived its job: the next one adopts it */
                        ask(action_reissue, json_pack("{s:[s]}", "certs", "www"));
                for (int64_t until_ms = clock_boot_ms() + END_MS / 4; !idle() && clock_boot_ms() < until_ms;) {
                        turn(1);
                        time_passes();
                }
        }
        if (!idle() || fake_ca.out)
                broken(fake_ca.out ? "I5: a token is left" : "I9: it does not end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e;
        if (size > EVENTS_MAX)
                return 0;
        log_init("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        run = (struct run){ .directory = "/dev/shm/dcvd-fuzz-XXXXXX" };
        if (!mkdtemp(run.directory))
                abort();
        fake_ca_reset();
        open_all();
        for (size_t i = 0; i < size; i++) {
                event(data[i] & 15, data[i] >> 4);
                turn(1 + (data[i] >> 6));
                time_passes();
        }
        come_to_an_end();
        if (!journal_audit_verify(run.engine->store, &e))
                broken(e.text);
        close_all();
        if (!tree_remove_at(-100, run.directory, &e))
                abort();
        fake_ca_reset();
        return 0;
}
