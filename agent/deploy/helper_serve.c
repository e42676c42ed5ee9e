/* dcvd-helper's life: one request after another over one connection. Nothing of one is seen by the next: what a request
 * brought is wiped with it, commands get a clean environment of their own, and no verb but hook, after which there is
 * no next, changes this process. */
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/deploy/helper_verbs.h"

/* systemd ends the process at RuntimeMaxSec: MORE_MS, what the last request may take to come (WAIT_MS, and 30 s to be
 * whole), and the 150 s that it has then lie below that. The daemon goes half as far. */
#define REQUESTS_MAX 256
#define MORE_MS 60000
#define WAIT_MS 5000

struct session {
        int in, out;
        struct helper_conf *conf;
        int64_t until_ms;
        unsigned requests;
};

bool helper_conf_load(struct helper_conf *c, struct err *e)
{
        struct conf_problems p = { 0 };
        if (c->loaded && config_unchanged(c->loaded))
                return true;
        helper_conf_forget(c);
        if (!config_check_owner(c->path, geteuid(), e))
                return false;
        bool good = config_load(c->path, c->kinds, &c->loaded, &p);
        if (!good)
                err_set(e, ERR_CONFIG, "helper.config", "%s",
                        p.text.count ? p.text.item[0] : "the configuration cannot be read");
        conf_problems_done(&p);
        if (good) /* one log with the daemon's */
                log_set((enum log_level)c->loaded->log_level, (enum log_format)c->loaded->log_format);
        return good;
}

void helper_conf_forget(struct helper_conf *c)
{
        config_free(c->loaded);
        c->loaded = NULL;
}

/* The user is lowered for good: nothing was done before, nothing can be done after. */
static bool lower(const struct session *s, struct err *e)
{
        return (s->requests == 1 || err_set(e, ERR_PROTOCOL, "helper.request", "a hook wants a helper of its own")) &&
                helper_become_hook_user(e);
}

static bool serve_one(struct session *s, bool *ret_more)
{
        struct helper_request r = { 0 };
        struct err e = { 0 };
        json_t *answer = json_object();
        s->requests++;
        bool whole = helper_request_read(s->in, &r, &e), hook = whole && strcmp(r.verb, "hook") == 0;
        bool good = whole && helper_conf_load(s->conf, &e) && (!hook || lower(s, &e)) &&
                helper_do(s->conf->loaded, &r, answer, &e);
        if (!good)
                log_err("", r.verb ? r.verb : "request", &e);
        *ret_more = whole && !hook && s->requests < REQUESTS_MAX && clock_boot_ms() < s->until_ms;
        json_put_bool(answer, "more", *ret_more);
        bool told = helper_answer_write(s->out, answer, good ? NULL : &e);
        *ret_more = *ret_more && told;
        json_decref(answer);
        helper_request_done(&r);
        return good && told;
}

bool helper_serve(int in, int out, struct helper_conf *conf)
{
        struct session s = { .in = in, .out = out, .conf = conf, .until_ms = clock_boot_ms() + MORE_MS };
        bool good, more;
        do
                good = serve_one(&s, &more);
        while (more && helper_request_comes(in, WAIT_MS));
        return good;
}
