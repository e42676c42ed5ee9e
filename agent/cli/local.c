#include "agent/cli/local.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ctl/server.h"
#include "agent/job/engine.h"
#include "agent/job/start.h"
#include "agent/net/loop.h"
#include "agent/pki/key.h"

#define SETTLE_MS 60000 /* after a job that was followed to its end: its tokens go back */
#define SETTLE_BRIEFLY_MS 5000 /* after anything else */

struct local {
        struct loop *loop;
        struct engine *engine;
        unsigned interrupted; /* how often */
        bool finished;
        bool started; /* jobs run */
        int64_t settle_ms;
        /* of the question that runs */
        bool answered;
        json_t *result;
        struct err err;
        bool failed;
        int64_t id; /* whose events are heard meanwhile */
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
        l->interrupted++;
        l->answered = l->finished = true;
}

/* The state directory belongs to one user; root becomes that user, nobody else can. */
static bool may_open(const struct cli_options *o, const struct conf *conf, struct err *e)
{
        struct stat st;
        struct buf b = { .max = 300 };
        const char *path = conf->state_directory;
        if (geteuid() == 0 || (stat(path, &st) == 0 ? st.st_uid == geteuid() : errno != EACCES))
                return true;
        err_set(e, ERR_CONFIG, "local.rights", "the state directory %s belongs to another user%s", path,
                o->local ? "" : ", and no daemon answers"); /* with --local none was asked */
        buf_add(&b, "sudo ");
        cli_typed(o, &b);
        if (b.data && !b.failed)
                err_fix(e, "%s", b.data);
        buf_done(&b);
        return false;
}

/* Beside a daemon --local is wrong usage; without --local the daemon was asked first, and did not answer. */
static void say_locked(const struct cli_options *o, struct err *e)
{
        struct err locked = *e;
        err_set(e, o->local ? ERR_CONFIG : ERR_TEMPORARY, o->local ? "locked" : "no-daemon", "%s", locked.text);
        err_fix(e, "%s",
                o->local ? "a dcvd runs on this state directory: use dcvctl without --local; another dcvctl --local: "
                           "let it end"
                         : "it is starting, or its socket is elsewhere: ask again, or look at that process");
}

bool local_open(struct local **ret, const struct cli_options *o, struct err *e)
{
        struct conf *conf = NULL;
        int helper_fd = -1;
        struct local *l = calloc(1, sizeof *l);
        if (!l)
                return err_memory(e);
        if (!cli_config(o, &conf, e)) {
                free(l);
                return false;
        }
        bool good = may_open(o, conf, e) && start_privileges(conf, o->config, &helper_fd, e) &&
                config_take_env_secrets(conf, NULL, e) && key_secure_heap_init(e) && loop_open(&l->loop, e) &&
                loop_on_signal(l->loop, SIGINT, on_signal, l, e);
        struct engine_conf c = { .conf = conf, .helper_fd = helper_fd };
        if (!good || !engine_open(&l->engine, l->loop, &c, e)) {
                config_free(conf);
                if (l->loop)
                        loop_close(l->loop);
                free(l);
                if (strcmp(e->code, "locked") == 0)
                        say_locked(o, e);
                return false;
        }
        l->settle_ms = SETTLE_BRIEFLY_MS;
        if (!o->look) {
                engine_start(l->engine);
                l->started = true;
                if (!engine_listen_tokens(l->engine, e))
                        log_err("", "tokens that dcvd itself should answer will not be seen", e);
        }
        *ret = l;
        return true;
}

void local_close(struct local *l)
{
        if (!l)
                return;
        /* A withdrawal that has begun is worth a moment; what is left is the next start's. A job goes on then too, also
         * one that nobody here asked for and that ran along, but the probes of a rehearsal are taken back even after
         * Ctrl-C; a second one ends that. */
        bool rehearsed = engine_end_rehearsals(l->engine);
        if (l->interrupted && !rehearsed)
                l->settle_ms = 0;
        for (int64_t until_ms = clock_boot_ms() + l->settle_ms;
                l->started && l->interrupted < 2 && !engine_settled(l->engine) && clock_boot_ms() < until_ms;) {
                bool never = false;
                (void)loop_run_until(l->loop, &never, 20);
        }
        engine_close(l->engine);
        loop_close(l->loop);
        json_decref(l->result); /* an answer that came too late */
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

static void heard(void *arg, const json_t *e)
{
        struct local *l = arg;
        if (json_i64(e, "job", 0) == l->id)
                (void)l->fn(l->arg, e);
}

bool local_ask(struct local *l, const char *verb, const json_t *args, session_event_fn *fn, void *arg,
        int64_t within_ms, json_t **ret, struct err *e)
{
        const struct ctl_verb *v = ctl_verb_find(ctl_verbs, verb);
        if (!v)
                return err_set(e, ERR_BUG, "verb", "no verb %s", verb);
        l->answered = l->failed = false;
        l->result = NULL;
        l->fn = fn;
        l->arg = arg;
        l->id = json_i64(args, "id", 0);
        struct engine_listener *listener = fn ? engine_listen(l->engine, heard, l) : NULL;
        v->run(l->engine, args, answered, l);
        (void)loop_run_until(l->loop, &l->answered, within_ms);
        engine_unlisten(l->engine, listener);
        if (l->interrupted)
                return err_set(e, ERR_CANCELLED, "interrupted", "interrupted");
        if (!l->answered)
                return err_set(e, ERR_TEMPORARY, "timeout", "no answer in time");
        if (l->failed) {
                *e = l->err;
                return false;
        }
        *ret = STEAL(l->result);
        return true;
}

void local_pause(struct local *l, int64_t ms)
{
        bool never = false;
        (void)loop_run_until(l->loop, &never, ms);
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
        l->settle_ms = ended ? SETTLE_MS : 0; /* who had no patience for the job has none now */
        if (l->interrupted)
                return err_set(e, ERR_CANCELLED, "interrupted",
                        "interrupted; the job goes on at the next start of dcvd or dcvctl --local");
        return ended ||
                err_set(e, ERR_TEMPORARY, "timeout",
                        "the job has not ended in time; it goes on at the next start of dcvd");
}
