#include "agent/cli/local.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ctl/server.h"
#include "agent/job/engine.h"
#include "agent/job/start.h"
#include "agent/net/loop.h"
#include "agent/pki/key.h"

#define SETTLE_MS 60000

struct local {
        struct loop *loop;
        struct engine *engine;
        bool interrupted, finished;
        /* of the question that runs */
        bool answered;
        json_t *result;
        struct err err;
        bool failed;
        /* of the following */
        session_event_fn *fn;
        void *arg;
        const json_t *jobs;
};

const struct conf_kind *local_kinds(void)
{
        return engine_kinds();
}

static void on_signal(void *arg, int signum)
{
        struct local *l = arg;
        (void)signum;
        l->interrupted = l->answered = l->finished = true;
}

bool local_open(struct local **ret, const struct cli_options *o, struct err *e)
{
        struct conf *conf = NULL;
        int helper_fd = -1;
        struct local *l = calloc(1, sizeof *l);
        if (!l)
                return err_memory(e);
        if (!cli_config(o, &conf)) {
                free(l);
                return err_set(e, ERR_CONFIG, "config", "the configuration %s cannot be used", o->config);
        }
        bool good = start_privileges(conf, o->config, &helper_fd, e) && config_take_env_secrets(conf, NULL, e) &&
                key_secure_heap_init(e) && loop_open(&l->loop, e) && loop_on_signal(l->loop, SIGINT, on_signal, l, e);
        struct engine_conf c = { .conf = conf, .helper_fd = helper_fd };
        if (!good || !engine_open(&l->engine, l->loop, &c, e)) {
                config_free(conf);
                if (l->loop)
                        loop_close(l->loop);
                free(l);
                if (strcmp(e->code, "locked") == 0)
                        err_fix(e, "a dcvd runs on this state directory: use dcvctl without --local");
                return false;
        }
        engine_start(l->engine);
        *ret = l;
        return true;
}

void local_close(struct local *l)
{
        if (!l)
                return;
        /* A withdrawal that has begun is worth a moment; what is left is the next start's. */
        for (int64_t until_ms = clock_boot_ms() + SETTLE_MS;
                !l->interrupted && !engine_idle(l->engine) && clock_boot_ms() < until_ms;) {
                bool never = false;
                (void)loop_run_until(l->loop, &never, 20);
        }
        engine_close(l->engine);
        loop_close(l->loop);
        free(l);
}

static void answered(void *arg, const json_t *result, const struct err *err)
{
        struct local *l = arg;
        l->answered = true;
        l->failed = err != NULL;
        if (err)
                l->err = *err;
        else
                l->result = json_incref((json_t *)result);
}

bool local_ask(struct local *l, const char *verb, const json_t *args, json_t **ret, struct err *e)
{
        const struct ctl_verb *v = ctl_verb_find(ctl_verbs, verb);
        if (!v)
                return err_set(e, ERR_BUG, "verb", "no verb %s", verb);
        l->answered = l->failed = false;
        l->result = NULL;
        v->run(l->engine, args, answered, l);
        (void)loop_run_until(l->loop, &l->answered, 300000);
        if (l->interrupted)
                return err_set(e, ERR_CANCELLED, "interrupted", "interrupted");
        if (!l->answered)
                return err_set(e, ERR_TEMPORARY, "timeout", "no answer in time");
        if (l->failed) {
                *e = l->err;
                return false;
        }
        *ret = l->result;
        return true;
}

static void event(void *arg, const json_t *e)
{
        struct local *l = arg;
        for (size_t i = 0; !l->finished && i < json_array_size(l->jobs); i++)
                if (json_integer_value(json_array_get(l->jobs, i)) == json_i64(e, "job", 0) && !l->fn(l->arg, e))
                        l->finished = true;
}

bool local_follow(
        struct local *l, const json_t *job_ids, session_event_fn *fn, void *arg, int64_t timeout_ms, struct err *e)
{
        l->fn = fn;
        l->arg = arg;
        l->jobs = job_ids;
        l->finished = false;
        struct engine_listener *listener = engine_listen(l->engine, event, l);
        if (!listener)
                return err_memory(e);
        bool ended = loop_run_until(l->loop, &l->finished, timeout_ms ? timeout_ms : INT64_MAX / 4);
        engine_unlisten(l->engine, listener);
        if (l->interrupted)
                return err_set(e, ERR_CANCELLED, "interrupted",
                        "interrupted; the job goes on at the next start of dcvd or dcvctl --local");
        return ended ||
                err_set(e, ERR_TEMPORARY, "timeout",
                        "the job has not ended in time; it goes on at the next start of dcvd");
}
