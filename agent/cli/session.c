/* Asking: over the control socket, or an engine in this process. The socket side is plain blocking I/O with a deadline:
 * dcvctl does one thing. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "agent/cli/local.h"
#include "config/config.h"
#include "config/yaml.h"

#define LINE_MAX_BYTES (16 * 1024 * 1024)
#define ASK_TIMEOUT_MS 120000
#define LOCAL_ASK_MS 300000

struct session {
        int fd; /* -1: local */
        struct local *local;
        struct buf in;
        json_t *events; /* came while an answer was awaited */
        int64_t ask_ms;
        bool plain; /* answers are printed as text: nothing in them may command the terminal */
};

static volatile sig_atomic_t interrupted;
static int wake[2] = { -1, -1 }; /* a pipe: a signal that comes just before a poll is still there in it */

static void on_interrupt(int signum)
{
        int error = errno;
        (void)signum;
        interrupted = 1;
        if (write(wake[1], "", 1) < 0)
                interrupted = 1; /* full: it is readable already */
        errno = error;
}

static void watch_interrupt(void)
{
        struct sigaction action = { .sa_handler = on_interrupt };
        if (wake[0] < 0 && pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
                wake[0] = wake[1] = -1; /* then a signal ends only what it meets */
        (void)sigaction(SIGINT, &action, NULL);
}

/* Of a configuration with mistakes elsewhere: it is still this daemon that is meant, not the one of another. NULL: not
 * said. */
static char *runtime_of(const char *config)
{
        CLEANUP(free_p) char *text = NULL;
        struct conf_problems p = { 0 };
        struct err e;
        size_t len = 0;
        char *found = NULL;
        if (!file_read(config, CONF_FILE_MAX, &text, &len, &e))
                return NULL;
        struct yaml_tree *tree = yaml_read(config, text, len, &p);
        const struct yaml_node *root = tree ? yaml_root(tree) : NULL;
        for (size_t i = 0; !found && root && root->kind == YAML_MAP && i < root->count; i++)
                if (strcmp(root->key[i], "runtime_directory") == 0 && root->item[i]->kind == YAML_SCALAR &&
                        root->item[i]->text[0] == '/')
                        found = text_dup(root->item[i]->text);
        yaml_tree_free(tree);
        conf_problems_done(&p);
        return found;
}

/* The daemon's socket: from the configuration where it can be read, else the default. */
static void socket_path(const struct cli_options *o, char *ret, size_t size)
{
        struct conf *conf = NULL;
        const char *runtime = getenv("RUNTIME_DIRECTORY");
        struct conf_problems p = { 0 };
        if (access(o->config, R_OK) == 0 && config_load(o->config, local_kinds(), &conf, &p)) {
                snprintf(ret, size, "%s/dcvd.sock", conf->runtime_directory);
                config_free(conf);
        } else {
                CLEANUP(free_p) char *said = runtime_of(o->config);
                snprintf(ret, size, "%s/dcvd.sock", said ? said : runtime && runtime[0] ? runtime : "/run/dcvd");
        }
        conf_problems_done(&p);
}

static bool try_socket(struct session *s, const struct cli_options *o, char *path, size_t size, int *ret_errno)
{
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        socket_path(o, path, size);
        if (strlen(path) >= sizeof where.sun_path) {
                *ret_errno = ENAMETOOLONG;
                return false;
        }
        memcpy(where.sun_path, path, strlen(path) + 1);
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&where, sizeof where) == 0)
                return true;
        *ret_errno = errno;
        close_p(&s->fd);
        return false;
}

static struct session *session_new(const struct cli_options *o, struct err *e)
{
        struct session *s = calloc(1, sizeof *s);
        if (!s) {
                err_memory(e);
                return NULL;
        }
        s->fd = -1;
        s->in = (struct buf){ .max = LINE_MAX_BYTES };
        s->events = json_array();
        s->plain = !o->json;
        s->ask_ms = o->timeout_ms ? o->timeout_ms : ASK_TIMEOUT_MS;
        watch_interrupt();
        return s;
}

bool session_open_local(struct session **ret, const struct cli_options *o, struct err *e)
{
        struct session *s = session_new(o, e);
        if (!s)
                return false;
        if (!local_open(&s->local, o, e)) {
                session_close(s);
                return false;
        }
        *ret = s;
        return true;
}

/* The command that was typed, for the one who is told that it can do without a daemon. */
static bool start_it(const struct cli_options *o, bool alone, struct err *e)
{
        struct buf b = { .max = 200 };
        if (!alone)
                return err_fix(e, "start it: systemctl start dcvd");
        cli_typed(o, &b);
        bool typed = b.data && !b.failed;
        err_fix(e, "start it: systemctl start dcvd; or do the whole job without one: %s --local",
                typed ? b.data : "the same");
        buf_done(&b);
        return false;
}

/* alone: a command that can do without a daemon. ret_errno: why nobody was reached; 0: it was not tried. */
static bool open_socket(struct session **ret, const struct cli_options *o, bool alone, int *ret_errno, struct err *e)
{
        char path[256];
        *ret_errno = 0;
        if (strcmp(o->config, CONF_DEFAULT_PATH) != 0 && access(o->config, F_OK) != 0)
                return err_errno(e, errno, "config", "configuration %s", o->config);
        struct session *s = session_new(o, e);
        if (!s)
                return false;
        if (try_socket(s, o, path, sizeof path, ret_errno)) {
                *ret = s;
                return true;
        }
        session_close(s);
        err_set(e, ERR_TEMPORARY, "no-daemon", "no daemon answers at %s: %s", path, strerror(*ret_errno));
        if (*ret_errno == EACCES)
                return err_fix(e, "use sudo, or join one of the groups of control.act");
        return start_it(o, alone, e);
}

bool session_open(struct session **ret, const struct cli_options *o, bool local_too, struct err *e)
{
        int error;
        if (open_socket(ret, o, false, &error, e))
                return true;
        return local_too && error && error != EACCES && session_open_local(ret, o, e);
}

bool session_open_for_job(struct session **ret, const struct cli_options *o, struct err *e)
{
        int error;
        return o->local ? session_open_local(ret, o, e) : open_socket(ret, o, true, &error, e);
}

void session_close(struct session *s)
{
        if (!s)
                return;
        close_p(&s->fd);
        local_close(s->local);
        buf_done(&s->in);
        json_decref(s->events);
        free(s);
}

bool session_is_local(const struct session *s)
{
        return s->local != NULL;
}

static void escape_string(json_t *value, bool of_lines)
{
        struct buf b = { 0 };
        const char *at = json_string_value(value), *end = at + json_string_length(value);
        while (at < end) {
                const char *stop = of_lines ? memchr(at, '\n', (size_t)(end - at)) : NULL;
                size_t len = (size_t)((stop ? stop : end) - at);
                buf_add_escaped(&b, at, len, len);
                if (stop)
                        buf_addc(&b, '\n');
                at += len + (stop != NULL);
        }
        if (b.data && !b.failed)
                (void)json_string_set(value, b.data);
        buf_done(&b);
}

/* What the daemon makes of lines, one a name or token: each was escaped where it came in. */
static bool is_of_lines(const char *key)
{
        return strcmp(key, "ca_says") == 0 || strcmp(key, "dcvd_saw") == 0;
}

/* Control characters of texts that came from outside (a reason, a CA's words) become \\xNN. */
static void escape_strings(json_t *value)
{
        const char *key;
        json_t *item;
        size_t i;
        void *next;
        if (json_is_string(value))
                escape_string(value, false);
        json_object_foreach_safe(value, next, key, item)
        {
                if (json_is_string(item) && is_of_lines(key))
                        escape_string(item, true);
                else
                        escape_strings(item);
        }
        json_array_foreach(value, i, item)
        {
                escape_strings(item);
        }
}

static bool write_line(struct session *s, const char *text, struct err *e)
{
        size_t len = strlen(text);
        while (len > 0) {
                ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR && !interrupted)
                        continue;
                if (n <= 0)
                        return err_set(e, ERR_TEMPORARY, "no-daemon", "the daemon closed the connection");
                text += n;
                len -= (size_t)n;
        }
        return true;
}

static bool more(struct session *s, int64_t until_ms, struct err *e)
{
        struct pollfd p[] = { { .fd = s->fd, .events = POLLIN }, { .fd = wake[0], .events = POLLIN } };
        char data[65536];
        int64_t left_ms = until_ms ? until_ms - clock_boot_ms() : -1;
        if (until_ms && left_ms <= 0)
                return err_set(e, ERR_TEMPORARY, "timeout", "no answer in time");
        int r = poll(p, ARRAY_LEN(p), left_ms < 0 ? -1 : left_ms > 60000 ? 60000 : (int)left_ms);
        if (interrupted)
                return err_set(e, ERR_CANCELLED, "interrupted", "interrupted");
        if (r <= 0 || !p[0].revents)
                return true;
        ssize_t n = recv(s->fd, data, sizeof data, 0);
        if (n <= 0)
                return err_set(e, ERR_TEMPORARY, "no-daemon", "the daemon closed the connection");
        if (!buf_append(&s->in, data, (size_t)n))
                return err_set(e, ERR_PROTOCOL, "answer", "the daemon's answer is too long");
        return true;
}

static bool read_line(struct session *s, int64_t until_ms, json_t **ret, struct err *e)
{
        char *end;
        while (s->in.len == 0 || !(end = memchr(s->in.data, '\n', s->in.len)))
                if (!more(s, until_ms, e))
                        return false;
        size_t line = (size_t)(end - s->in.data);
        bool good = json_read(s->in.data, line, 32, ret, e);
        if (good && s->plain)
                escape_strings(*ret);
        memmove(s->in.data, s->in.data + line + 1, s->in.len - line - 1);
        s->in.len -= line + 1;
        return good;
}

static bool error_of(const json_t *o, struct err *e)
{
        const json_t *error = json_object_get(o, "error");
        const char *text = json_str(error, "text"), *code = json_str(error, "code"), *fix = json_str(error, "fix");
        err_set(e, err_kind_from_name(json_str(error, "kind")), code ? code : "error", "%s",
                text ? text : "the daemon refused");
        return fix && fix[0] ? err_fix(e, "%s", fix) : false;
}

/* Who hears what happens while an answer is awaited; fn NULL: it is kept for session_follow. */
struct hearer {
        session_event_fn *fn;
        void *arg;
        int64_t within_ms;
};

static bool ask_local(
        struct session *s, const char *verb, const json_t *args, const struct hearer *h, json_t **ret, struct err *e)
{
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!local_ask(s->local, verb, args, h->fn, h->arg, h->fn ? h->within_ms : LOCAL_ASK_MS, &r, e))
                return false;
        *ret = json_deep_copy(r);
        if (*ret && s->plain)
                escape_strings(*ret);
        return *ret || err_memory(e);
}

static void hear(struct session *s, const struct hearer *h, const json_t *event)
{
        if (h->fn)
                (void)h->fn(h->arg, event);
        else
                json_array_append(s->events, (json_t *)event);
}

static bool ask(
        struct session *s, const char *verb, const json_t *args, const struct hearer *h, json_t **ret, struct err *e)
{
        if (s->local)
                return ask_local(s, verb, args, h, ret, e);
        CLEANUP(json_decref_p) json_t *request = json_pack("{s:s, s:O*}", "verb", verb, "args", args);
        CLEANUP(free_p) char *text = json_text(request);
        CLEANUP(free_p) char *line = text ? text_format("%s\n", text) : NULL;
        bool sent = line ? write_line(s, line, e) : err_memory(e);
        int64_t until_ms = clock_boot_ms() + h->within_ms;
        if (text)
                wipe(text, strlen(text)); /* an import carries a private key */
        if (line)
                wipe(line, strlen(line));
        while (sent) {
                CLEANUP(json_decref_p) json_t *answer = NULL;
                if (!read_line(s, until_ms, &answer, e)) {
                        if (strcmp(e->code, "timeout") == 0)
                                err_set(e, ERR_TEMPORARY, "no-daemon", "the daemon did not answer within %lld s",
                                        (long long)(h->within_ms / 1000));
                        return false;
                }
                if (json_object_get(answer, "event"))
                        hear(s, h, json_object_get(answer, "event"));
                if (json_object_get(answer, "error"))
                        return error_of(answer, e);
                json_t *result = json_object_get(answer, "result");
                if (result) {
                        *ret = json_incref(result);
                        return true;
                }
        }
        return false;
}

bool session_ask(struct session *s, const char *verb, const json_t *args, json_t **ret, struct err *e)
{
        const struct hearer nobody = { .within_ms = s->ask_ms };
        return ask(s, verb, args, &nobody, ret, e);
}

bool session_ask_long(struct session *s, const char *verb, json_t *args, session_event_fn *fn, void *arg,
        int64_t within_ms, json_t **ret, struct err *e)
{
        const struct hearer h = { fn, arg, within_ms };
        int64_t id = -(int64_t)(random_u64() >> 16) - 1;
        CLEANUP(json_decref_p) json_t *ids = json_pack("[I]", (json_int_t)id);
        json_put_i64(args, "id", id);
        return session_watch(s, ids, false, e) && ask(s, verb, args, &h, ret, e);
}

/* A daemon that is restarted is back soon. */
bool session_reopen(struct session *s, const struct cli_options *o, int64_t within_ms)
{
        char path[256];
        int error = 0;
        int64_t until_ms = clock_boot_ms() + within_ms;
        close_p(&s->fd);
        s->fd = -1;
        buf_reset(&s->in);
        while (!s->local && !interrupted && clock_boot_ms() < until_ms) {
                if (try_socket(s, o, path, sizeof path, &error))
                        return true;
                (void)poll(NULL, 0, 200);
        }
        return false;
}

bool session_watch(struct session *s, const json_t *job_ids, bool only_ends, struct err *e)
{
        json_t *ready = NULL;
        if (s->local)
                return true; /* nothing happens before local_follow runs the loop */
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O, s:b}", "jobs", job_ids, "ends", (int)only_ends);
        if (!session_ask(s, "follow", args, &ready, e))
                return false;
        json_decref(ready);
        return true;
}

/* What came while an answer was awaited. */
static bool run_queued(struct session *s, session_event_fn *fn, void *arg)
{
        while (json_array_size(s->events) > 0) {
                CLEANUP(json_decref_p) json_t *event = json_incref(json_array_get(s->events, 0));
                json_array_remove(s->events, 0);
                if (!fn(arg, event))
                        return false;
        }
        return true;
}

bool session_follow(
        struct session *s, const json_t *job_ids, session_event_fn *fn, void *arg, int64_t timeout_ms, struct err *e)
{
        if (s->local)
                return local_follow(s->local, job_ids, fn, arg, timeout_ms, e);
        int64_t until_ms = timeout_ms ? clock_boot_ms() + timeout_ms : 0;
        if (!run_queued(s, fn, arg))
                return true;
        for (;;) {
                CLEANUP(json_decref_p) json_t *line = NULL;
                if (!read_line(s, until_ms, &line, e))
                        return false;
                const json_t *event = json_object_get(line, "event");
                if (event && !fn(arg, event))
                        return true;
        }
}

bool session_typed(void)
{
        struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = wake[0], .events = POLLIN } };
        while (!interrupted && poll(p, 2, -1) < 0 && errno == EINTR)
                continue;
        return !interrupted;
}

void session_pause(struct session *s, int64_t ms)
{
        if (s->local)
                return local_pause(s->local, ms);
        struct pollfd p = { .fd = wake[0], .events = POLLIN };
        (void)poll(&p, 1, (int)ms); /* cut short by a signal: the next question says so */
}
