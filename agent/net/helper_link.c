/* Connections to dcvd-helper: how it is reached, and which are used again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/helper_internal.h"

struct helper_link {
        struct helper *helper;
        struct helper_link *next; /* of the idle ones */
        struct helper_call *call; /* NULL: idle, or closing */
        uv_pipe_t pipe;
        uv_shutdown_t shutdown;
        bool shared;
        unsigned requests;
        int64_t opened_ms, idle_ms; /* when it was opened, and put aside */
};

/* One request on its way. The answer may be here before libuv tells that it was written. */
struct outgoing {
        uv_write_t write;
        struct helper_link *link;
        struct buf data;
};

/* ---- reaching the helper ---- */

bool helper_fd_send(int to, int fd)
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
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* the queue may be full */
        if (fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof where) == 0) {
                *ret = fd;
                return true;
        }
        close_p(&fd);
        return false;
}

static bool reach(const struct helper *h, bool hook, int *ret, struct err *e)
{
        int pair[2];
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
        bool sent = helper_fd_send(h->broker, pair[1]), full = !sent && errno == EAGAIN;
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

/* ---- one connection ---- */

static void closed(uv_handle_t *handle)
{
        struct helper_link *l = CONTAINER_OF((uv_pipe_t *)handle, struct helper_link, pipe);
        free(l);
}

void link_close(struct helper_link *l)
{
        if (uv_is_closing((uv_handle_t *)&l->pipe))
                return;
        l->call = NULL;
        if (l->shared) {
                l->helper->links--;
                calls_next(l->helper);
        }
        uv_close((uv_handle_t *)&l->pipe, closed);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        (void)handle;
        char *data = malloc(suggested);
        *ret = uv_buf_init(data, data ? (unsigned)suggested : 0);
}

static void forget_idle(struct helper_link *l)
{
        struct helper_link **at = &l->helper->idle;
        while (*at != l)
                at = &(*at)->next;
        *at = l->next;
        link_close(l);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct helper_link *l = CONTAINER_OF((uv_pipe_t *)stream, struct helper_link, pipe);
        if (n != 0 && !l->call)
                forget_idle(l); /* it ended, or says what nobody asked */
        else if (n > 0)
                call_got(l->call, buf->base, (size_t)n);
        else if (n < 0)
                call_gone(l->call);
        free(buf->base);
}

static struct helper_link *link_open(struct helper *h, bool hook, struct err *e)
{
        int fd = -1;
        struct helper_link *l = calloc(1, sizeof *l);
        if (!l || !reach(h, hook, &fd, e)) {
                if (!l)
                        err_memory(e);
                free(l);
                return NULL;
        }
        *l = (struct helper_link){ .helper = h, .shared = !hook, .opened_ms = clock_boot_ms() };
        h->links += l->shared;
        (void)uv_pipe_init(loop_uv(h->loop), &l->pipe, 0); /* cannot fail */
        int r = uv_pipe_open(&l->pipe, fd);
        if (r != 0)
                close_p(&fd);
        else
                r = uv_read_start((uv_stream_t *)&l->pipe, allocate, received);
        if (r == 0)
                return l;
        err_set(e, ERR_TEMPORARY, "helper", "dcvd-helper: %s", uv_strerror(r));
        link_close(l);
        return NULL;
}

/* ---- used again ---- */

/* Nothing to be read, not even its end: the loop may not have seen it yet. */
static bool is_there(const struct helper_link *l)
{
        uv_os_fd_t fd;
        char byte;
        return uv_fileno((const uv_handle_t *)&l->pipe, &fd) == 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
                errno == EAGAIN;
}

struct helper_link *link_take(struct helper *h, bool hook, bool *ret_full, struct err *e)
{
        *ret_full = false;
        for (struct helper_link *l; !hook && (l = h->idle);) {
                h->idle = l->next;
                if (is_there(l))
                        return l;
                link_close(l);
        }
        if (!hook && h->links >= HELPER_LINKS_MAX) {
                *ret_full = true;
                return NULL;
        }
        return link_open(h, hook, e);
}

static void shut(uv_shutdown_t *s, int status)
{
        (void)s;
        (void)status; /* a helper that already ended is seen by the read side */
}

static void written(uv_write_t *w, int status)
{
        struct outgoing *o = CONTAINER_OF(w, struct outgoing, write);
        struct helper_link *l = o->link;
        buf_done(&o->data); /* wiped: it carried a key */
        free(o);
        /* It may have answered and closed before it read all: the read side tells. */
        if (status == 0 && !l->shared && !uv_is_closing((uv_handle_t *)&l->pipe))
                (void)uv_shutdown(&l->shutdown, (uv_stream_t *)&l->pipe, shut);
}

bool link_send(struct helper_link *l, struct helper_call *call, struct buf *out, struct err *e)
{
        struct outgoing *o = malloc(sizeof *o);
        if (!o) {
                link_close(l);
                return err_memory(e);
        }
        *o = (struct outgoing){ .link = l, .data = *out };
        *out = (struct buf){ 0 };
        l->call = call;
        l->requests++;
        uv_buf_t data = uv_buf_init(o->data.data, (unsigned)o->data.len);
        int r = uv_write(&o->write, (uv_stream_t *)&l->pipe, &data, 1, written);
        if (r == 0)
                return true;
        buf_done(&o->data);
        free(o);
        link_close(l);
        return err_set(e, ERR_TEMPORARY, "helper", "dcvd-helper: %s", uv_strerror(r));
}

void links_close_old(void *arg)
{
        struct helper *h = arg;
        int64_t now_ms = clock_boot_ms(), oldest_ms = now_ms;
        struct helper_link **at = &h->idle;
        for (; *at && now_ms - (*at)->idle_ms < HELPER_IDLE_MS; at = &(*at)->next)
                oldest_ms = (*at)->idle_ms;
        for (struct helper_link *l = *at, *next; l; l = next) { /* those behind it are older */
                next = l->next;
                link_close(l);
        }
        *at = NULL;
        if (h->idle)
                timer_start(h->idle_timer, oldest_ms + HELPER_IDLE_MS - now_ms);
}

void link_put(struct helper_link *l, bool good)
{
        struct helper *h = l->helper;
        int64_t now_ms = clock_boot_ms();
        bool unread = uv_stream_get_write_queue_size((uv_stream_t *)&l->pipe) > 0;
        if (!good || unread || !l->shared || l->requests >= HELPER_LINK_REQUESTS ||
                now_ms - l->opened_ms >= HELPER_LINK_AGE_MS)
                return link_close(l);
        if (!h->idle)
                timer_start(h->idle_timer, HELPER_IDLE_MS);
        l->call = NULL;
        l->idle_ms = now_ms;
        l->next = h->idle;
        h->idle = l;
        calls_next(h);
}

void links_close_idle(struct helper *h)
{
        while (h->idle) {
                struct helper_link *l = h->idle;
                h->idle = l->next;
                link_close(l);
        }
}
