/* The loop's timers and threads, and the HTTP client, played by the test: time is virtual, answers come from one
 * function. Include once, in the program of a test; it then takes the place of loop.c, work.c and http.c. */
#ifndef DCVD_TEST_FAKE_NET_H
#define DCVD_TEST_FAKE_NET_H

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"

struct timer {
        struct timer *next;
        timer_fn *fn;
        void *arg;
        int64_t due_ms; /* boot time; < 0: not started */
};
struct work {
        struct work *next;
        work_fn *fn;
        work_done_fn *done;
        void *arg;
        bool abandoned;
};
struct http_call {
        struct http_call *next;
        http_done_fn *done;
        void *arg;
        char *action, *body, *authorization, *stamp, *method, *url, *type;
        bool once_only;
        int64_t due_ms;
};
struct fake_answer {
        int status;
        char *body; /* allocated; NULL: a transport failure of this kind */
        enum err_kind failed;
        const char *failed_code; /* NULL: http.test */
        const char *date; /* header, or NULL for none */
        const char *retry_after;
        struct http_header more[4];
        size_t more_count;
        int64_t delay_ms;
};
/* What the other side says to one request. */
static void fake_reply(const struct http_call *call, struct fake_answer *ret);

static struct timer *fake_timers;
static struct http_call *fake_calls;
static struct work *fake_works;
static unsigned fake_sent;
static int64_t fake_wall_ms = 1700000000000, fake_boot_ms = 1000000;

static void fake_reset(void)
{
        fake_sent = 0;
        fake_wall_ms = 1700000000000;
        fake_boot_ms = 1000000;
        clock_fake(fake_wall_ms, fake_boot_ms);
}

bool timer_new(struct timer **ret, struct loop *loop, timer_fn *fn, void *arg, struct err *e)
{
        struct timer *t = calloc(1, sizeof *t);

        (void)loop;
        (void)e;
        *t = (struct timer){ fake_timers, fn, arg, -1 };
        fake_timers = t;
        *ret = t;
        return true;
}

void timer_start(struct timer *t, int64_t delay_ms)
{
        t->due_ms = fake_boot_ms + (delay_ms > 0 ? delay_ms : 0);
}

void timer_stop(struct timer *t)
{
        t->due_ms = -1;
}

void timer_free(struct timer *t)
{
        for (struct timer **p = &fake_timers; *p; p = &(*p)->next)
                if (*p == t) {
                        *p = t->next;
                        free(t);
                        return;
                }
}

bool work_start(struct work **ret, struct loop *loop, work_fn *fn, work_done_fn *done, void *arg, struct err *e)
{
        struct work *w = calloc(1, sizeof *w);

        (void)loop;
        (void)e;
        *w = (struct work){ fake_works, fn, done, arg, false };
        fake_works = w;
        *ret = w;
        return true;
}

void work_abandon(struct work *w)
{
        w->abandoned = true;
}

static void fake_work(struct work *w)
{
        fake_works = w->next;
        w->fn(w->arg); /* one that runs already cannot be stopped */
        w->done(w->arg, w->abandoned);
        free(w);
}

static const char *fake_header(const struct http_request *r, const char *name)
{
        for (const char *const *h = r->headers; h && *h; h++)
                if (text_starts(*h, name))
                        return *h + strlen(name);
        return "";
}

struct http_call *http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg, struct err *e)
{
        if (text_starts(r->url, "http://") && !r->allow_http) {
                err_set(e, ERR_CONFIG, "http.plain", "%s: only https is spoken here", r->url);
                return NULL;
        }
        struct http_call *c = calloc(1, sizeof *c);

        (void)h;
        c->done = done;
        c->arg = arg;
        c->action = text_dup(fake_header(r, "X-TC-Action: "));
        c->authorization = text_dup(fake_header(r, "Authorization: "));
        c->stamp = text_dup(fake_header(r, "X-TC-Timestamp: "));
        c->type = text_dup(fake_header(r, "Content-Type: "));
        c->method = text_dup(r->method);
        c->url = text_dup(r->url);
        c->body = text_dup_n(r->body ? r->body : "", r->body_len);
        c->once_only = r->once_only;
        c->due_ms = fake_boot_ms;
        struct http_call **p = &fake_calls;
        while (*p)
                p = &(*p)->next;
        *p = c;
        fake_sent++;
        return c;
}

static void fake_call_free(struct http_call *c)
{
        free(c->action);
        free(c->body);
        free(c->authorization);
        free(c->stamp);
        free(c->type);
        free(c->method);
        free(c->url);
        free(c);
}

static void fake_call_take(struct http_call *c)
{
        for (struct http_call **p = &fake_calls; *p; p = &(*p)->next)
                if (*p == c) {
                        *p = c->next;
                        return;
                }
}

void http_cancel(struct http_call *c)
{
        if (!c)
                return;
        fake_call_take(c);
        fake_call_free(c);
}

const char *http_answer_header(const struct http_answer *a, const char *name)
{
        for (size_t i = 0; i < a->header_count; i++)
                if (strcmp(a->headers[i].name, name) == 0)
                        return a->headers[i].value;
        return NULL;
}

static void fake_advance(int64_t ms)
{
        fake_boot_ms += ms;
        fake_wall_ms += ms;
        clock_fake(fake_wall_ms, fake_boot_ms);
}

static void fake_deliver(struct http_call *c)
{
        struct fake_answer said = { .status = 200 };

        fake_call_take(c);
        fake_reply(c, &said);
        fake_advance(said.delay_ms);
        struct http_header headers[6];
        size_t count = 0;
        if (said.date)
                headers[count++] = (struct http_header){ "date", said.date };
        if (said.retry_after)
                headers[count++] = (struct http_header){ "retry-after", said.retry_after };
        for (size_t i = 0; i < said.more_count; i++)
                headers[count++] = said.more[i];
        struct http_answer answer = { .status = said.status,
                .body = said.body,
                .body_len = said.body ? strlen(said.body) : 0,
                .headers = headers,
                .header_count = count };
        struct err e;
        err_set(&e, said.failed, said.failed_code ? said.failed_code : "http.test", "the connection failed");
        c->done(c->arg, said.body ? &answer : NULL, said.body ? NULL : &e);
        free(said.body);
        fake_call_free(c);
}

static struct timer *fake_timer_first(void)
{
        struct timer *first = NULL;

        for (struct timer *t = fake_timers; t; t = t->next)
                if (t->due_ms >= 0 && (!first || t->due_ms < first->due_ms))
                        first = t;
        return first;
}

/* Until nothing is left to do, or *flag. Returns virtual milliseconds spent. */
static int64_t fake_run(const bool *flag)
{
        int64_t begun_ms = fake_boot_ms;

        for (unsigned i = 0; i < 200000 && !(flag && *flag); i++) {
                if (fake_calls) {
                        fake_deliver(fake_calls);
                        continue;
                }
                if (fake_works) {
                        fake_work(fake_works);
                        continue;
                }
                struct timer *t = fake_timer_first();
                if (!t)
                        break;
                if (t->due_ms > fake_boot_ms)
                        fake_advance(t->due_ms - fake_boot_ms);
                t->due_ms = -1;
                t->fn(t->arg);
        }
        return fake_boot_ms - begun_ms;
}

#endif
