/* Calls: a Standard Webhooks message (specification 1.0.0), POST, signed by HMAC-SHA256, the same webhook-id at every
 * try; 2xx accepts it, 410 says that nobody wants it any more, 429 and 503 say when to come back. No redirect is
 * followed: a signed call goes where the configuration says. */
#include "agent/alerts/notify_send.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/alerts/notify_text.h"
#include "agent/alerts/signature.h"
#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/hook.h"
#include "agent/net/http.h"

#define TOGETHER 20
#define CALL_MS 30000
#define ANSWER_MAX 4096

struct delivery {
        struct hook_call *hook;
        struct http_call *call;
        char *name; /* of the target, for messages */
        delivery_done_fn *done;
        void *arg;
};

size_t delivery_size(const struct conf_notify *target, size_t waiting)
{
        return target->command.count ? MIN(waiting, (size_t)TOGETHER) : MIN(waiting, (size_t)1);
}

static void host_name(char *ret, size_t size)
{
        if (gethostname(ret, size) < 0)
                ret[0] = '\0';
        ret[size - 1] = '\0';
        for (char *c = ret; *c; c++)
                if (*c <= ' ' || *c > '~')
                        *c = '?';
}

static void finish(struct delivery *d, struct delivery_result *r)
{
        delivery_done_fn *done = d->done;
        void *arg = d->arg;
        free(d->name);
        free(d);
        done(arg, r);
}

/* ---- commands ---- */

static void hooked(void *arg, const struct hook_result *h, const struct err *err)
{
        struct delivery *d = arg;
        struct delivery_result r = { .accepted = h && !h->failure[0] };
        if (err)
                r.err = *err;
        else if (!r.accepted)
                err_set(&r.err, ERR_TEMPORARY, "notify.command", "%s", h->failure);
        if (!r.accepted)
                err_wrap(&r.err, "notify.%s", d->name);
        finish(d, &r);
}

static bool start_command(struct delivery *d, struct engine *g, const struct conf_notify *target, const char *host,
        const struct notify_item *first, size_t count, struct err *e)
{
        CLEANUP(buf_done) struct buf mail = { .max = 128 * 1024 };
        CLEANUP(texts_done) struct texts env = { 0 };
        CLEANUP(free_p) char *event = text_format("DCVD_EVENT=%s", conf_event_name(first->event));
        if (!notify_mail(&mail, host, &target->to, first, count) || !event || !texts_add(&env, event))
                return err_memory(e);
        const struct hook_request q = {
                .kind = "notify", .name = target->name, .env = &env, .input = mail.data, .input_len = mail.len
        };
        d->hook = hook_start(engine_helper(g), &q, hooked, d, e);
        return d->hook != NULL;
}

/* ---- calls ---- */

static void judge(const struct http_answer *a, struct delivery_result *r)
{
        const char *after = http_answer_header(a, "retry-after");
        r->accepted = a->status >= 200 && a->status < 300;
        if (r->accepted)
                return;
        if (!after || !parse_retry_after(after, clock_now_s(), &r->after_s))
                r->after_s = 0;
        err_set(&r->err, ERR_TEMPORARY, "notify.answer", "%s answered %d%s", a->peer, a->status,
                a->redirect_url ? " (a redirect: a signed call follows none)" : "");
        if (a->status == 401 || a->status == 403)
                err_fix(&r->err, "do both sides hold the same secret, and is their clock right?");
        else if (a->status == 404 || a->status == 410 || a->redirect_url)
                err_fix(&r->err, "correct its url in the configuration");
}

static void called(void *arg, const struct http_answer *a, const struct err *err)
{
        struct delivery *d = arg;
        struct delivery_result r = { 0 };
        if (a)
                judge(a, &r);
        else
                r.err = *err;
        if (!r.accepted)
                err_wrap(&r.err, "notify.%s", d->name);
        finish(d, &r);
}

static bool start_call(struct delivery *d, struct engine *g, const struct conf_notify *target, const char *host,
        const struct notify_item *item, struct err *e)
{
        CLEANUP(secret_done) struct secret secret = { 0 };
        CLEANUP(texts_done) struct texts headers = { 0 };
        CLEANUP(free_p) char *body = notify_json(host, item);
        const struct signature_test by = { .id = item->delivery, .now_s = clock_now_s() };
        if (!body)
                return err_memory(e);
        if (!secret_load(&target->secret, &secret, e) || !signature_secret_check(ALERT_STANDARD_WEBHOOKS, &secret, e) ||
                !signature_make(ALERT_STANDARD_WEBHOOKS, &secret, &by, body, strlen(body), &headers, e))
                return false;
        if (!texts_add(&headers, "Content-Type: application/json"))
                return err_memory(e);
        const char *list[8] = { NULL };
        for (size_t i = 0; i < headers.count && i + 1 < ARRAY_LEN(list); i++)
                list[i] = headers.item[i];
        const struct http_request q = { .method = "POST",
                .url = target->url,
                .headers = list,
                .body = body,
                .body_len = strlen(body),
                .answer_max_bytes = ANSWER_MAX,
                .timeout_ms = CALL_MS,
                .allow_http = true, /* the configuration takes http for loopback only */
                .use_proxy = true };
        d->call = http_start(engine_http(g), &q, called, d, e);
        return d->call != NULL;
}

struct delivery *delivery_start(struct engine *g, const struct conf_notify *target, const struct notify_item *first,
        size_t count, delivery_done_fn *done, void *arg, struct err *e)
{
        char host[256];
        struct delivery *d = calloc(1, sizeof *d);
        if (!d || !(d->name = text_dup(target->name))) {
                free(d);
                err_memory(e);
                return NULL;
        }
        d->done = done;
        d->arg = arg;
        host_name(host, sizeof host);
        if (target->command.count ? start_command(d, g, target, host, first, count, e)
                                  : start_call(d, g, target, host, first, e))
                return d;
        err_wrap(e, "notify.%s", target->name);
        free(d->name);
        free(d);
        return NULL;
}

void delivery_cancel(struct delivery *d)
{
        if (!d)
                return;
        hook_cancel(d->hook);
        http_cancel(d->call);
        free(d->name);
        free(d);
}
