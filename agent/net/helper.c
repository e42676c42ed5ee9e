/* The daemon's side of helper requests, on the loop: calls, and their line when every connection is busy. */
#include "agent/net/helper.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/helper_internal.h"

#define TIMEOUT_MS 150000
#define LINE_MAX_CALLS 1024

struct helper_call {
        struct helper *helper;
        struct helper_call *next, **at; /* of helper.busy, or of helper.line */
        struct helper_link *link; /* NULL: in line */
        struct timer *timer;
        helper_done_fn *done;
        void *arg;
        char *verb;
        struct buf out, in;
};

static void take_turns(void *arg);

bool helper_open(struct helper **ret, struct loop *loop, const char *socket_path, const char *hook_path, int broker_fd,
        struct err *e)
{
        struct helper *h = calloc(1, sizeof *h);
        if (!h || (socket_path && !(h->socket_path = text_dup(socket_path))) ||
                (hook_path && !(h->hook_path = text_dup(hook_path))) ||
                !timer_new(&h->idle_timer, loop, links_close_old, h, e)) {
                if (h) {
                        free(h->socket_path);
                        free(h->hook_path);
                }
                free(h);
                return err_memory(e);
        }
        h->loop = loop;
        h->broker = broker_fd;
        h->line_end = &h->line;
        *ret = h;
        return true;
}

void helper_close(struct helper *h)
{
        while (h->line) /* first: nobody takes the place of one that is busy */
                helper_cancel(h->line);
        while (h->busy)
                helper_cancel(h->busy);
        links_close_idle(h);
        loop_undefer(h->loop, h->turn);
        timer_free(h->idle_timer);
        close_p(&h->broker);
        free(h->socket_path);
        free(h->hook_path);
        free(h);
}

/* ---- one call ---- */

static void call_free(struct helper_call *c)
{
        timer_free(c->timer);
        buf_done(&c->out);
        buf_done(&c->in);
        free(c->verb);
        free(c);
}

static void leave_list(struct helper_call *c)
{
        struct helper *h = c->helper;
        if (h->line_end == &c->next)
                h->line_end = c->at;
        h->in_line -= !c->link;
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
}

static void finish(struct helper_call *c, bool reuse, const json_t *answer, const struct err *err)
{
        helper_done_fn *done = c->done;
        void *arg = c->arg;
        leave_list(c);
        if (c->link)
                link_put(c->link, reuse);
        call_free(c);
        done(arg, answer, err);
}

static void failed(struct helper_call *c, const char *why)
{
        struct err e;
        err_set(&e, ERR_TEMPORARY, "helper.lost", "dcvd-helper (%s): %s", c->verb, why);
        finish(c, false, NULL, &e);
}

static void too_late(void *arg)
{
        struct helper_call *c = arg;
        struct err e;
        if (c->link)
                return failed(c, "no answer in time");
        err_set(&e, ERR_TEMPORARY, "helper.busy", "dcvd-helper (%s): other requests took all the time", c->verb);
        finish(c, false, NULL, &e);
}

static void read_answer(struct helper_call *c, size_t line_len)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err e;
        if (!json_read(c->in.data, line_len, 10, &o, &e))
                return finish(c, false, NULL, &e);
        bool reuse = json_bool(o, "more", false) && c->in.len == line_len + 1;
        const json_t *error = json_object_get(o, "error");
        if (!error)
                return finish(c, reuse, o, NULL);
        const char *code = json_str(error, "code"), *text = json_str(error, "text"), *fix = json_str(error, "fix");
        err_set(&e, err_kind_from_name(json_str(error, "kind")), code ? code : "helper", "%s",
                text ? text : "dcvd-helper refused");
        if (fix && fix[0])
                err_fix(&e, "%s", fix);
        finish(c, reuse, o, &e);
}

void call_got(struct helper_call *c, const char *data, size_t len)
{
        if (!buf_append(&c->in, data, len))
                return failed(c, "its answer is too large");
        const char *end = memchr(c->in.data, '\n', c->in.len);
        if (end)
                read_answer(c, (size_t)(end - c->in.data));
}

void call_gone(struct helper_call *c)
{
        failed(c, "it ended without an answer; its reason is in the log");
}

static bool encode(struct helper_call *c, const json_t *header, const void *blob, size_t blob_len, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = json_deep_copy(header);
        json_put_text(o, "verb", c->verb);
        json_put_i64(o, "blob", (int64_t)blob_len);
        CLEANUP(free_p) char *text = json_text(o);
        c->out = (struct buf){ .max = HELPER_HEADER_MAX + HELPER_BLOB_MAX + 2, .secret = true };
        c->in = (struct buf){ .max = HELPER_ANSWER_MAX };
        return (text && buf_add(&c->out, text) && buf_addc(&c->out, '\n') && buf_append(&c->out, blob, blob_len)) ||
                err_memory(e);
}

/* ---- the line ---- */

static bool stand_in_line(struct helper_call *c, struct err *e)
{
        struct helper *h = c->helper;
        if (h->in_line >= LINE_MAX_CALLS)
                return err_set(e, ERR_TEMPORARY, "helper.busy", "dcvd-helper has too many requests in line");
        h->in_line++;
        c->at = h->line_end;
        *h->line_end = c;
        h->line_end = &c->next;
        return true;
}

static bool go(struct helper_call *c, struct helper_link *l, struct err *e)
{
        struct helper *h = c->helper;
        if (!link_send(l, c, &c->out, e))
                return false;
        if (c->at)
                leave_list(c);
        c->link = l;
        c->next = h->busy;
        c->at = &h->busy;
        if (c->next)
                c->next->at = &c->next;
        h->busy = c;
        return true;
}

static bool go_or_wait(struct helper_call *c, struct err *e)
{
        bool hook = strcmp(c->verb, "hook") == 0, full = c->helper->line && !hook;
        struct helper_link *l = full ? NULL : link_take(c->helper, hook, &full, e);
        return l ? go(c, l, e) : full && stand_in_line(c, e);
}

/* Later, from the loop: whoever made room is in the middle of something, and a call that fails now is told. */
void calls_next(struct helper *h)
{
        if (h->line && !h->turn)
                h->turn = loop_defer(h->loop, take_turns, h); /* no memory: the next to end tries again */
}

static void take_turns(void *arg)
{
        struct helper *h = arg;
        struct helper_link *l;
        struct err e;
        bool full = false;
        h->turn = NULL;
        while (h->line && (l = link_take(h, false, &full, &e)) && go(h->line, l, &e))
                ;
        if (!h->line || full)
                return;
        calls_next(h); /* what done does to h is its own affair */
        finish(h->line, false, NULL, &e);
}

struct helper_call *helper_start(struct helper *h, const char *verb, const json_t *header, const void *blob,
        size_t blob_len, int64_t timeout_ms, helper_done_fn *done, void *arg, struct err *e)
{
        struct helper_call *c = calloc(1, sizeof *c);
        if (!c || !(c->verb = text_dup(verb)) || !timer_new(&c->timer, h->loop, too_late, c, e)) {
                if (c)
                        free(c->verb);
                free(c);
                err_memory(e);
                return NULL;
        }
        c->helper = h;
        c->done = done;
        c->arg = arg;
        if (!encode(c, header, blob, blob_len, e) || !go_or_wait(c, e)) {
                call_free(c);
                return NULL;
        }
        timer_start(c->timer, timeout_ms ? timeout_ms : TIMEOUT_MS);
        return c;
}

void helper_cancel(struct helper_call *c)
{
        if (!c)
                return;
        leave_list(c);
        if (c->link)
                link_close(c->link);
        call_free(c);
}
