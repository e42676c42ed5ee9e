/* exec: a hook that the operator has from another client publishes and withdraws. dcvd executes nothing: dcvd-helper
 * runs the configured command as user dcvd-hook (agent/net/hook.h), with an argument array, a small environment and a
 * time limit, and caps and escapes what it prints. One at a time, as the clients do that such scripts were written for:
 * a script that reads, changes and writes a zone must not race with itself. The hook adds; dcvd then looks at every
 * authoritative server as for any other publisher. What a hook printed is kept as the handle (certbot's
 * CERTBOT_AUTH_OUTPUT). A hook that fails is tried again by the job; one that ran into its time limit may have done its
 * work: the outcome is unknown, and publishing again is harmless. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/hook.h"
#include "config/schema.h"
#include "config/yaml.h"
#include "validators/exec.h"
#include "validators/proof.h"
#include "validators/publisher.h"

#define SAID_MAX 2000 /* of what is kept: in base64 it fits a handle */

struct publish_call {
        struct publish_call *next;
        struct publisher *p;
        bool publish;
        struct exec_words words;
        char *what; /* "TXT _acme-challenge.example.com" */
        struct hook_call *hook; /* the first of the queue runs */
        publish_done_fn *done;
        void *arg;
};
struct publisher {
        struct helper *helper;
        char *name;
        enum exec_protocol protocol;
        int64_t timeout_ms;
        bool own_cleanup;
        struct publish_call *first;
};

static void call_free(struct publish_call *c)
{
        for (struct publish_call **at = &c->p->first; *at; at = &(*at)->next)
                if (*at == c) {
                        *at = c->next;
                        break;
                }
        hook_cancel(c->hook);
        exec_words_done(&c->words);
        free(c->what);
        free(c);
}

static void run_first(struct publisher *p);

static void finish(struct publish_call *c, const char *handle, struct err *err)
{
        publish_done_fn *done = c->done;
        void *arg = c->arg;
        struct publisher *p = c->p;
        if (err)
                err_wrap(err, "%s %s by %s", c->publish ? "publishing" : "withdrawing", c->what, p->name);
        call_free(c);
        run_first(p); /* before done, which may close the publisher */
        done(arg, handle, err);
}

/* ---- what a hook printed, as one line ---- */

static char *handle_of(const char *said)
{
        size_t len = strlen(said);
        while (len > 0 && (said[len - 1] == '\n' || said[len - 1] == '\r'))
                len--;
        return base64_encode(said, len < SAID_MAX ? len : SAID_MAX);
}

/* Printable ASCII and line feeds alone: what is not was escaped by the helper or is left out. */
static char *said_of(const char *handle)
{
        uint8_t *raw = NULL;
        size_t len = 0;
        struct buf b = { .max = SAID_MAX + 1 };
        if (handle && base64_decode(handle, strlen(handle), &raw, &len))
                for (size_t i = 0; i < len; i++)
                        if (raw[i] == '\n' || (raw[i] >= 0x20 && raw[i] < 0x7f))
                                buf_addc(&b, (char)raw[i]);
        free(raw);
        return buf_steal(&b);
}

/* ---- running ---- */

static void hooked(void *arg, const struct hook_result *r, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        c->hook = NULL;
        if (err) {
                e = *err;
                return finish(c, NULL, &e);
        }
        if (r->timed_out) {
                err_set(&e, ERR_UNKNOWN, "hook.timeout", "the hook did not end within %lld s and was killed",
                        (long long)(c->p->timeout_ms / 1000));
                err_fix(&e, "see why it hangs, or raise publishers.%s.timeout", c->p->name);
                return finish(c, NULL, &e);
        }
        if (r->failure[0]) {
                err_set(&e, ERR_TEMPORARY, "hook.failed", "%s", r->failure);
                err_fix(&e, "try it by hand as user dcvd-hook; the last lines it printed are above");
                return finish(c, NULL, &e);
        }
        CLEANUP(free_p) char *handle = handle_of(r->said);
        if (handle)
                return finish(c, handle, NULL);
        err_memory(&e);
        finish(c, NULL, &e);
}

static bool run(struct publish_call *c, struct err *e)
{
        const struct hook_request q = { .kind = !c->publish && c->p->own_cleanup ? "cleanup" : "publisher",
                .name = c->p->name,
                .args = &c->words.args,
                .env = &c->words.env,
                .timeout_ms = c->p->timeout_ms };
        c->hook = hook_start(c->p->helper, &q, hooked, c, e);
        return c->hook != NULL;
}

static void run_first(struct publisher *p)
{
        struct err e;
        if (p->first && !p->first->hook && !run(p->first, &e))
                finish(p->first, NULL, &e);
}

static struct publish_call *request(struct publisher *p, const struct proof *proof, bool publish, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        char what[300];
        CLEANUP(free_p) char *said = said_of(handle);
        struct publish_call *c = calloc(1, sizeof *c), **last = &p->first;
        proof_text(proof, what, sizeof what);
        if (!c || !said || !(c->what = text_dup(what))) {
                free(c);
                err_memory(e);
                return NULL;
        }
        c->p = p;
        c->publish = publish;
        c->done = done;
        c->arg = arg;
        if (!exec_words_make(p->protocol, proof, publish, said, &c->words, e)) {
                call_free(c);
                return NULL;
        }
        while (*last)
                last = &(*last)->next;
        *last = c;
        if (p->first != c || run(c, e))
                return c;
        call_free(c);
        return NULL;
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)place;
        return request(p, proof, true, NULL, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        return request(p, proof, false, handle, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        call_free(c);
        run_first(p);
}

/* ---- life and settings ---- */

static bool open_publisher(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        const struct exec_conf *x = conf;
        struct publisher *p = calloc(1, sizeof *p);
        if (!p || !(p->name = text_dup(name))) {
                free(p);
                return err_memory(e);
        }
        p->helper = env->helper;
        p->protocol = (enum exec_protocol)x->protocol;
        p->timeout_ms = x->timeout_ms;
        p->own_cleanup = x->cleanup.count > 0;
        *ret = p;
        return true;
}

static void close_publisher(struct publisher *p)
{
        while (p->first)
                call_free(p->first);
        free(p->name);
        free(p);
}

extern const struct publisher_ops publisher_exec;
const struct publisher_ops publisher_exec = { .type = "exec",
        .can = PROOF_TXT | PROOF_FILE,
        .keys = exec_keys,
        .conf_size = sizeof(struct exec_conf),
        .check = exec_check,
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
