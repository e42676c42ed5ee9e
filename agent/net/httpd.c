/* libmicrohttpd in external epoll mode: its epoll descriptor is watched by the loop, its time-outs by one timer.
 * libmicrohttpd is lax with smuggled requests and with clients that trickle (both seen); what it lets pass is refused
 * here, and every connection has a deadline of our own. */
#include "agent/net/httpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/net/httpd_clients.h"
#include "agent/net/loop.h"

#define IDLE_S 10 /* as for a header: ends what a shutdown did not */
#define LISTEN_BACKLOG 128

struct httpd_exchange {
        struct httpd *httpd;
        struct client *client;
        struct MHD_Connection *mhd; /* NULL once it is gone */
        struct httpd_exchange *next, **at;
        struct buf body;
        bool called, in_handler, suspended, replied, refused;
        struct httpd_answer *answer;
        uintptr_t target_at; /* where libmicrohttpd has it */
        char target[];
};
struct httpd_answer { /* one reference for its maker, one for each exchange that gives it */
        unsigned status, references;
        struct MHD_Response *response;
};
struct httpd {
        struct loop *loop;
        struct MHD_Daemon *daemon;
        struct watch *watch;
        struct timer *timer;
        httpd_handler_fn *handler;
        void *arg;
        char *name, *unix_path;
        size_t body_max;
        const char *too_large;
        struct clients clients;
        struct httpd_exchange *exchanges;
        bool running, again;
};

/* ---- the loop ---- */

static void run(struct httpd *h);

static void arm(struct httpd *h)
{
        MHD_UNSIGNED_LONG_LONG ms;
        int64_t wait_ms = -1;
        if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
                wait_ms = ms > 60000 ? 60000 : (int64_t)ms;
        int64_t left_ms = clients_left_ms(&h->clients);
        if (left_ms >= 0)
                wait_ms = wait_ms < 0 ? left_ms : MIN(wait_ms, left_ms);
        if (wait_ms < 0)
                timer_stop(h->timer);
        else
                timer_start(h->timer, wait_ms);
}

static void run(struct httpd *h)
{
        if (h->running) { /* a reply from inside a handler */
                h->again = true;
                return;
        }
        h->running = true;
        do {
                h->again = false;
                (void)MHD_run(h->daemon); /* tells each connection's trouble to its own log line */
        } while (h->again);
        h->running = false;
        arm(h);
}

static void on_ready(void *arg)
{
        run(arg);
}

static void on_timer(void *arg)
{
        struct httpd *h = arg;
        clients_end_late(&h->clients);
        run(h);
}

/* ---- connections ---- */

static void on_connection(
        void *arg, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
        struct httpd *h = arg;
        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
                int connected = fd ? fd->connect_fd : -1;
                const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
                /* NULL: memory is out; its first request ends it */
                *socket_context = client_new(&h->clients, connected, info ? info->client_addr : NULL);
        } else if (*socket_context) {
                client_free(&h->clients, *socket_context);
                *socket_context = NULL;
        }
}

/* ---- requests ---- */

static void exchange_free(struct httpd_exchange *x)
{
        if (x->at) {
                *x->at = x->next;
                if (x->next)
                        x->next->at = x->at;
        }
        httpd_answer_free(x->answer);
        buf_done(&x->body);
        free(x);
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *mhd)
{
        struct httpd *h = arg;
        size_t size = strlen(uri) + 1;
        struct httpd_exchange *x = calloc(1, sizeof *x + size);
        if (!x)
                return NULL;
        memcpy(x->target, uri, size);
        x->httpd = h;
        x->mhd = mhd;
        x->target_at = (uintptr_t)uri;
        x->body.max = h->body_max ? h->body_max : 1;
        x->at = &h->exchanges;
        x->next = h->exchanges;
        if (x->next)
                x->next->at = &x->next;
        h->exchanges = x;
        return x;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
        struct httpd *h = arg;
        struct httpd_exchange *x = *context;
        (void)code;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        if (info && info->socket_context)
                client_request_ended(&h->clients, info->socket_context);
        *context = NULL;
        if (!x)
                return;
        if (x->called && !x->replied) { /* the handler still has it: its late reply frees it */
                x->mhd = NULL;
                return;
        }
        exchange_free(x);
}

struct count {
        const char *name;
        unsigned n;
        const char *first;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
        struct count *c = arg;
        (void)kind;
        if (strcasecmp(key, c->name) == 0 && c->n++ == 0)
                c->first = value;
        return MHD_YES;
}

static unsigned headers_named(struct MHD_Connection *mhd, const char *name, const char **ret_first)
{
        struct count c = { .name = name };
        (void)MHD_get_connection_values(mhd, MHD_HEADER_KIND, count_header, &c);
        if (ret_first)
                *ret_first = c.first;
        return c.n;
}

const char *httpd_header(struct httpd_exchange *x, const char *name, unsigned *ret_count)
{
        const char *first = NULL;
        unsigned n = x->mhd ? headers_named(x->mhd, name, &first) : 0;
        if (ret_count)
                *ret_count = n;
        return first;
}

struct framing {
        uintptr_t line; /* where the next line must begin */
        unsigned lengths, codings, hosts;
        bool wrong;
};

static bool is_token_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* RFC 9110 section 5.6.2: a name with anything else is another name to another reader ("Content-Length :"). */
static bool is_token(const char *name)
{
        size_t n = 0; /* not by strspn, which makes a table of so many characters anew for each line */
        while (is_token_char(name[n]))
                n++;
        return n > 0 && name[n] == '\0';
}

/* libmicrohttpd cuts the header into lines where it lies. A line that does not begin two bytes after the end of the one
 * before was ended by a bare line feed, hides something behind a NUL, or was folded. */
static enum MHD_Result check_line(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
        struct framing *f = arg;
        bool coding = strcasecmp(key, "Transfer-Encoding") == 0;
        (void)kind;
        f->lengths += strcasecmp(key, "Content-Length") == 0;
        f->codings += coding;
        f->hosts += strcasecmp(key, "Host") == 0;
        f->wrong |=
                (uintptr_t)key != f->line || !value || !is_token(key) || (coding && strcasecmp(value, "chunked") != 0);
        f->line = value ? (uintptr_t)value + strlen(value) + 2 : 0;
        return MHD_YES;
}

/* Two readings of where the header or the body ends let a second request hide in the first one. */
static bool smuggled(const struct httpd_exchange *x, const char *method, const char *version)
{
        struct framing f = { .line = (uintptr_t)version + strlen(version) + 2 };
        if ((uintptr_t)version != x->target_at + strlen(x->target) + 1)
                return true;
        (void)MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, check_line, &f);
        const union MHD_ConnectionInfo *size = MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
        /* the method and its blank before the target, an empty line after all */
        size_t seen = strlen(method) + 1 + (size_t)(f.line - x->target_at) + 2;
        f.wrong |= !size || size->header_size != seen;
        return f.wrong || f.lengths > 1 || f.codings > 1 || (f.lengths && f.codings) || f.hosts > 1;
}

static enum MHD_Result queue(struct httpd_exchange *x)
{
        return x->answer ? MHD_queue_response(x->mhd, x->answer->status, x->answer->response) : MHD_NO;
}

/* json NULL: nothing is said with it. */
static enum MHD_Result refuse(struct httpd_exchange *x, unsigned status, const char *json)
{
        static const char *const headers[] = { "Connection", "close", NULL };
        x->refused = x->replied = true;
        x->answer = httpd_answer_new(
                status, json ? "application/json" : NULL, json ? json : "", json ? strlen(json) : 0, headers);
        return queue(x);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
        const char *version, const char *data, size_t *size, void **context)
{
        struct httpd *h = arg;
        struct httpd_exchange *x = *context;
        (void)url;
        if (!x)
                return MHD_NO;
        if (!x->called && !x->client) { /* the first call: headers only */
                const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
                x->client = info ? info->socket_context : NULL;
                if (!x->client)
                        return MHD_NO;
                client_header_came(&h->clients, x->client);
                if (smuggled(x, method, version) || strncmp(version, "HTTP/1.", 7) != 0)
                        return refuse(x, MHD_HTTP_BAD_REQUEST, NULL);
                return MHD_YES;
        }
        if (*size > 0) {
                bool fits = x->refused || buf_append(&x->body, data, *size);
                *size = 0;
                if (!fits) {
                        buf_reset(&x->body);
                        x->refused = true;
                }
                return MHD_YES;
        }
        if (x->replied)
                return queue(x);
        if (x->refused)
                return refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, h->too_large);
        struct httpd_request r = { .method = method,
                .target = x->target,
                .peer = x->client->peer,
                .body = x->body.data ? x->body.data : "",
                .body_len = x->body.len };
        client_request_came(x->client);
        x->called = x->in_handler = true;
        h->handler(h->arg, x, &r);
        x->in_handler = false;
        if (x->replied)
                return queue(x);
        x->suspended = true;
        MHD_suspend_connection(mhd);
        return MHD_YES;
}

/* Takes the reference over; NULL (memory was out): the connection ends without an answer. */
static void reply_own(struct httpd_exchange *x, struct httpd_answer *a)
{
        x->answer = a;
        if (!x->mhd || !x->httpd) { /* its client or its server has gone */
                exchange_free(x);
                return;
        }
        x->replied = true;
        if (x->in_handler)
                return;
        struct httpd *h = x->httpd;
        MHD_resume_connection(x->mhd);
        run(h);
}

void httpd_reply(struct httpd_exchange *x, unsigned status, const char *content_type, const void *body, size_t len,
        const char *const *headers)
{
        reply_own(x, httpd_answer_new(status, content_type, body, len, headers));
}

void httpd_reply_with(struct httpd_exchange *x, struct httpd_answer *a)
{
        a->references++;
        reply_own(x, a);
}

struct httpd_answer *httpd_answer_new(
        unsigned status, const char *content_type, const void *body, size_t len, const char *const *headers)
{
        struct httpd_answer *a = calloc(1, sizeof *a);
        if (!a)
                return NULL;
        *a = (struct httpd_answer){ status, 1,
                MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY) };
        bool good = a->response &&
                (!content_type || MHD_add_response_header(a->response, "Content-Type", content_type) == MHD_YES);
        for (size_t i = 0; good && headers && headers[i] && headers[i + 1]; i += 2)
                good = MHD_add_response_header(a->response, headers[i], headers[i + 1]) == MHD_YES;
        if (good)
                return a;
        httpd_answer_free(a);
        return NULL;
}

void httpd_answer_free(struct httpd_answer *a)
{
        if (!a || --a->references > 0)
                return;
        if (a->response)
                MHD_destroy_response(a->response);
        free(a);
}

/* ---- open, close ---- */

__attribute__((format(printf, 2, 0))) static void to_log(void *arg, const char *format, va_list ap)
{
        const struct httpd *h = arg;
        struct buf b = { .max = 1024 };
        buf_addv(&b, format, ap);
        if (b.data && b.len > 0 && b.data[b.len - 1] == '\n')
                b.data[b.len - 1] = '\0';
        log_debug("", "%s listener: %s", h->name, b.data ? b.data : "");
        buf_done(&b);
}

static bool say_why(struct err *e, int error, bool local)
{
        if (error == EACCES)
                return err_fix(e,
                        local ? "dcvd must be able to write in that directory; it may in runtime_directory"
                              : "ports below 1024 need systemd's socket: listen: systemd");
        if (error == EADDRINUSE)
                return err_fix(e,
                        local ? "a file or another program's socket is there: remove it, or name another path"
                              : "another program listens there: ss -ltnp");
        return false;
}

bool listen_bind(const struct sockaddr *sa, socklen_t len, int *ret, struct err *e, const char *where)
{
        int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
        if (fd < 0)
                return err_errno(e, errno, "listen", "listening on %s", where);
        if (sa->sa_family != AF_UNIX)
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (sa->sa_family == AF_INET6)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (bind(fd, sa, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
                int error = errno;
                close_p(&fd);
                err_errno(e, error, "listen", "listening on %s", where);
                return say_why(e, error, sa->sa_family == AF_UNIX);
        }
        *ret = fd;
        return true;
}

/* A socket that nobody listens at is ours, from before. What is anybody's, bind tells. */
static void remove_stale(const struct sockaddr_un *un)
{
        struct stat st;
        if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 && errno == ECONNREFUSED)
                (void)unlink(un->sun_path);
        close_p(&fd);
}

static bool open_socket(struct httpd *h, const char *where, unsigned unix_mode, int *ret, struct err *e)
{
        struct sockaddr_storage sa;
        struct address a;
        if (text_starts(where, "unix:")) {
                struct sockaddr_un un = { .sun_family = AF_UNIX };
                const char *path = where + 5;
                if (strlen(path) >= sizeof un.sun_path)
                        return err_set(e, ERR_CONFIG, "listen", "%s is too long for a socket", path);
                memcpy(un.sun_path, path, strlen(path) + 1);
                remove_stale(&un);
                if (!listen_bind((struct sockaddr *)&un, sizeof un, ret, e, where))
                        return false;
                h->unix_path = text_dup(path);
                if (chmod(path, unix_mode ? unix_mode : 0666) == 0)
                        return true;
                err_errno(e, errno, "listen", "setting the mode of %s", path);
                close_p(ret);
                return false;
        }
        if (!address_parse(where, 0, &a))
                return err_set(e, ERR_CONFIG, "listen", "\"%s\" is not an address with a port", where);
        socklen_t len = address_sockaddr(&a, &sa);
        return listen_bind((struct sockaddr *)&sa, len, ret, e, where);
}

static bool start_daemon(struct httpd *h, int fd, struct err *e)
{
        h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                on_request, h, MHD_OPTION_EXTERNAL_LOGGER, to_log, h, MHD_OPTION_LISTEN_SOCKET, fd,
                MHD_OPTION_CONNECTION_LIMIT, h->clients.limits.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                h->clients.limits.memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
                on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
        if (!h->daemon)
                return err_set(e, ERR_TEMPORARY, "listen", "the %s listener cannot be started", h->name);
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        return info && loop_watch(&h->watch, h->loop, info->epoll_fd, on_ready, h, e);
}

bool httpd_open(struct httpd **ret, struct loop *loop, const struct httpd_conf *conf, httpd_handler_fn *handler,
        void *arg, struct err *e)
{
        struct httpd *h = calloc(1, sizeof *h);
        int fd = conf->fd;
        if (!h || !(h->name = text_dup(conf->name))) {
                free(h);
                return err_memory(e);
        }
        h->loop = loop;
        h->handler = handler;
        h->arg = arg;
        h->body_max = conf->body_max_bytes;
        h->too_large = conf->too_large;
        clients_init(&h->clients, &conf->limits);
        bool good = timer_new(&h->timer, loop, on_timer, h, e) &&
                (!conf->listen || open_socket(h, conf->listen, conf->unix_mode, &fd, e)) && start_daemon(h, fd, e);
        if (!good) {
                if (!h->daemon)
                        close_p(&fd);
                httpd_close(h);
                return false;
        }
        *ret = h;
        return true;
}

void httpd_close(struct httpd *h)
{
        if (!h)
                return;
        loop_unwatch(h->watch);
        timer_free(h->timer);
        for (struct httpd_exchange *x = h->exchanges; x; x = x->next)
                if (x->suspended && !x->replied && x->mhd) {
                        MHD_resume_connection(x->mhd); /* libmicrohttpd stops only with none suspended */
                        x->suspended = false;
                }
        if (h->daemon)
                MHD_stop_daemon(h->daemon);
        while (h->exchanges) { /* those a handler still has: their late reply frees them */
                struct httpd_exchange *x = h->exchanges;
                h->exchanges = x->next;
                if (x->next)
                        x->next->at = &h->exchanges;
                x->at = NULL;
                x->mhd = NULL;
                x->httpd = NULL;
                if (!x->called || x->replied)
                        exchange_free(x);
        }
        if (h->unix_path)
                (void)unlink(h->unix_path); /* a leftover is replaced at the next start */
        free(h->unix_path);
        free(h->name);
        free(h);
}

uint16_t httpd_port(const struct httpd *h)
{
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_LISTEN_FD);
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        struct address a;
        if (!info || getsockname(info->listen_fd, (struct sockaddr *)&sa, &len) < 0 ||
                !address_from_sockaddr((struct sockaddr *)&sa, &a))
                return 0;
        return a.port;
}

/* ---- sockets passed in ---- */

static struct {
        char name[32]; /* "": handed out */
        int fd;
} passed[64];
static size_t passed_count;

bool listen_fd_give(const char *name, int fd)
{
        if (passed_count == ARRAY_LEN(passed) || strlen(name) >= sizeof passed[0].name)
                return false;
        snprintf(passed[passed_count].name, sizeof passed[0].name, "%s", name);
        passed[passed_count++].fd = fd;
        return true;
}

int listen_fd_by_name(const char *name)
{
        for (size_t i = 0; i < passed_count; i++)
                if (passed[i].name[0] && strcmp(passed[i].name, name) == 0) {
                        passed[i].name[0] = '\0';
                        return passed[i].fd;
                }
        return -1;
}
