#include "agent/net/hook.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"

#define DEFAULT_MS 60000
#define BEYOND_MS 20000 /* SIGTERM, five seconds, SIGKILL, and a busy machine */

struct hook_call {
        struct helper_call *call;
        hook_done_fn *done;
        void *arg;
};

static json_t *environment(const struct texts *env)
{
        json_t *o = json_object();
        for (size_t i = 0; env && i < env->count; i++) {
                const char *equals = strchr(env->item[i], '=');
                CLEANUP(free_p) char *name = equals ? text_dup_n(env->item[i], (size_t)(equals - env->item[i])) : NULL;
                if (name)
                        json_put_text(o, name, equals + 1);
        }
        return o;
}

static const char *text_of(const json_t *answer, const char *key)
{
        const char *text = json_str(answer, key);
        return text ? text : "";
}

static void answered(void *arg, const json_t *answer, const struct err *err)
{
        struct hook_call c = *(struct hook_call *)arg;
        free(arg);
        if (err)
                return c.done(c.arg, NULL, err);
        const struct hook_result r = { .exit_status = (int)json_i64(answer, "exit", -1),
                .signal = (int)json_i64(answer, "signal", 0),
                .timed_out = json_bool(answer, "timed_out", false),
                .output = text_of(answer, "output"),
                .said = text_of(answer, "said"),
                .failure = text_of(answer, "failure") };
        c.done(c.arg, &r, NULL);
}

struct hook_call *hook_start(
        struct helper *h, const struct hook_request *q, hook_done_fn *done, void *arg, struct err *e)
{
        static const struct texts none;
        struct hook_call *c = calloc(1, sizeof *c);
        CLEANUP(json_decref_p) json_t *header = json_object();
        if (!c || !header) {
                free(c);
                err_memory(e);
                return NULL;
        }
        json_put_text(header, "kind", q->kind);
        json_put_text(header, "name", q->name);
        json_object_set_new(header, "args", json_texts(q->args ? q->args : &none));
        json_object_set_new(header, "env", environment(q->env));
        c->done = done;
        c->arg = arg;
        c->call = helper_start(h, "hook", header, q->input ? q->input : "", q->input_len,
                (q->timeout_ms ? q->timeout_ms : DEFAULT_MS) + BEYOND_MS, answered, c, e);
        if (c->call)
                return c;
        free(c);
        return NULL;
}

void hook_cancel(struct hook_call *c)
{
        if (!c)
                return;
        helper_cancel(c->call);
        free(c);
}
