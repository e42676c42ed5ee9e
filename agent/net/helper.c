/* The daemon's side of helper requests, on the loop. */
#include "agent/net/helper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"

#define TIMEOUT_MS 150000

struct helper {
        struct loop *loop;
        char *socket_path, *hook_path;
        int broker;
        struct helper_call *first;
};
struct helper_call {
        struct helper *helper;
        struct helper_call *next, **at;
        uv_pipe_t pipe;
        uv_write_t write;
        uv_shutdown_t shutdown;
        struct timer *timer;
        helper_done_fn *done;
        void *arg;
        char *verb;
        struct buf out, in;
        bool over;
};

bool helper_open(struct helper **ret, struct loop *loop, const char *socket_path, const char *hook_path, int broker_fd,
        struct err *e)
{
        struct helper *h = calloc(1, sizeof *h);
        if (!h || (socket_path && !(h->socket_path = text_dup(socket_path))) ||
                (hook_path && !(h->hook_path = text_dup(hook_path)))) {
                if (h)
                        free(h->socket_path);
                free(h);
                return err_memory(e);
        }
        h->loop = loop;
        h->broker = broker_fd;
        *ret = h;
        return true;
}

void helper_close(struct helper *h)
{
        while (h->first)
                helper_cancel(h->first);
        close_p(&h->broker);
        free(h->socket_path);
        free(h->hook_path);
        free(h);
}

/* ---- reaching the helper ---- */

static bool send_fd(int to, int fd)
{
        char byte = 1;
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec io = { &byte, 1 };
        struct msghdr m = {
                .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        return sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static bool by_socket(const char *path, int *ret)
{
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        if (!path || strlen(path) >= sizeof where.sun_path)
                return false;
        memcpy(where.sun_path, path, strlen(path) + 1);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* a full queue must not stop the loop */
        if (fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof where) == 0) {
                *ret = fd;
                return true;
        }
        close_p(&fd);
        return false;
}

static bool reach(const struct helper *h, const char *verb, int *ret, struct err *e)
{
        int pair[2];
        bool hook = strcmp(verb, "hook") == 0;
        const char *path = hook ? h->hook_path : h->socket_path;
        if (by_socket(path, ret))
                return true;
        if (h->broker < 0) {
                err_set(e, ERR_TEMPORARY, "helper.absent", "dcvd-helper cannot be reached at %s",
                        path ? path : "(no socket)");
                return err_fix(e, "systemctl enable --now %s", hook ? "dcvd-hook.socket" : "dcvd-helper.socket");
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return err_errno(e, errno, "helper", "making a socket for dcvd-helper");
        bool sent = send_fd(h->broker, pair[1]), full = !sent && errno == EAGAIN;
        close_p(&pair[1]);
        if (!sent) {
                close_p(&pair[0]);
                if (full)
                        return err_set(e, ERR_TEMPORARY, "helper.busy", "dcvd-helper has too many requests in line");
                return err_set(
                        e, ERR_TEMPORARY, "helper.broker", "the process that starts dcvd-helper is gone: restart dcvd");
        }
        *ret = pair[0];
        return true;
}

/* ---- one call ---- */

static void closed(uv_handle_t *handle)
{
        struct helper_call *c = CONTAINER_OF((uv_pipe_t *)handle, struct helper_call, pipe);
        buf_done(&c->out);
        buf_done(&c->in);
        free(c->verb);
        free(c);
}

static void close_call(struct helper_call *c)
{
        c->over = true;
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
        timer_free(c->timer);
        uv_close((uv_handle_t *)&c->pipe, closed);
}

static void finish(struct helper_call *c, const json_t *answer, const struct err *err)
{
        if (c->over)
                return;
        helper_done_fn *done = c->done;
        void *arg = c->arg;
        close_call(c);
        done(arg, answer, err);
}

static void failed(struct helper_call *c, const char *why)
{
        struct err e;
        err_set(&e, ERR_TEMPORARY, "helper.lost", "dcvd-helper (%s): %s", c->verb, why);
        finish(c, NULL, &e);
}

static void read_answer(struct helper_call *c)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err e;
        size_t len = c->in.len;
        const char *end = len ? memchr(c->in.data, '\n', len) : NULL;
        if (!end)
                return failed(c, "it ended without an answer; its reason is in the log");
        if (!json_read(c->in.data, (size_t)(end - c->in.data), 10, &o, &e))
                return finish(c, NULL, &e);
        const json_t *error = json_object_get(o, "error");
        if (!error)
                return finish(c, o, NULL);
        const char *code = json_str(error, "code"), *text = json_str(error, "text"), *fix = json_str(error, "fix");
        err_set(&e, err_kind_from_name(json_str(error, "kind")), code ? code : "helper", "%s",
                text ? text : "dcvd-helper refused");
        if (fix && fix[0])
                err_fix(&e, "%s", fix);
        finish(c, o, &e);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        (void)handle;
        char *data = malloc(suggested);
        *ret = uv_buf_init(data, data ? (unsigned)suggested : 0);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct helper_call *c = CONTAINER_OF((uv_pipe_t *)stream, struct helper_call, pipe);
        bool fits = n <= 0 || buf_append(&c->in, buf->base, (size_t)n);
        free(buf->base);
        if (!fits)
                return failed(c, "its answer is too large");
        if (n < 0 || (c->in.len > 0 && memchr(c->in.data, '\n', c->in.len)))
                read_answer(c);
}

static void shut(uv_shutdown_t *s, int status)
{
        (void)s;
        (void)status; /* a helper that already ended is seen by the read side */
}

static void written(uv_write_t *w, int status)
{
        struct helper_call *c = CONTAINER_OF(w, struct helper_call, write);
        buf_reset(&c->out); /* wiped: it carried a key */
        if (c->over)
                return;
        if (status < 0)
                return; /* the helper may have answered and closed before it read all */
        (void)uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, shut);
}

static void too_late(void *arg)
{
        failed(arg, "no answer in time");
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

static bool begin(struct helper_call *c, int fd, struct err *e)
{
        (void)uv_pipe_init(loop_uv(c->helper->loop), &c->pipe, 0);
        int r = uv_pipe_open(&c->pipe, fd);
        if (r != 0) {
                close_p(&fd);
                return err_set(e, ERR_TEMPORARY, "helper", "dcvd-helper: %s", uv_strerror(r));
        }
        uv_buf_t out = uv_buf_init(c->out.data, (unsigned)c->out.len);
        r = uv_read_start((uv_stream_t *)&c->pipe, allocate, received);
        if (r == 0)
                r = uv_write(&c->write, (uv_stream_t *)&c->pipe, &out, 1, written);
        return r == 0 || err_set(e, ERR_TEMPORARY, "helper", "dcvd-helper: %s", uv_strerror(r));
}

struct helper_call *helper_start(struct helper *h, const char *verb, const json_t *header, const void *blob,
        size_t blob_len, int64_t timeout_ms, helper_done_fn *done, void *arg, struct err *e)
{
        int fd = -1;
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
        if (!encode(c, header, blob, blob_len, e) || !reach(h, verb, &fd, e)) {
                timer_free(c->timer);
                buf_done(&c->out);
                free(c->verb);
                free(c);
                return NULL;
        }
        c->next = h->first;
        c->at = &h->first;
        if (c->next)
                c->next->at = &c->next;
        h->first = c;
        if (!begin(c, fd, e)) {
                close_call(c);
                return NULL;
        }
        timer_start(c->timer, timeout_ms ? timeout_ms : TIMEOUT_MS);
        return c;
}

void helper_cancel(struct helper_call *c)
{
        if (c && !c->over)
                close_call(c);
}
