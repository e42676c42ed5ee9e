#include "agent/ctl/server.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/loop.h"

#define CONNECTIONS_MAX 256
#define STRANGERS_MAX 16 /* of them, by users who may ask for nothing: they cannot keep the others out */
#define REQUEST_MAX (512 * 1024)
#define REQUEST_MS 30000
#define QUEUED_MAX (4 * 1024 * 1024) /* unread answers of one follower, before it is dropped */
#define GROUPS_MAX 256

struct connection {
        uv_pipe_t pipe;
        struct ctl_server *server; /* NULL once closed: late answers find nobody */
        struct connection *next;
        struct timer *deadline;
        struct buf in;
        bool may_read, may_act, busy, closing, reading_done;
        unsigned pending; /* actions that will still answer */
        struct engine_listener *listener;
        int64_t *job; /* followed ids, rising */
        size_t job_count;
        bool only_ends; /* of these: no steps */
        char who[64];
};
struct ctl_server {
        uv_pipe_t pipe;
        struct engine *engine;
        const struct ctl_verb *verbs;
        struct connection *first;
        unsigned count;
        char *path;
};

/* ---- who asks ---- */

static bool in_groups(const struct texts *names, gid_t primary, const gid_t *more, size_t count)
{
        for (size_t i = 0; i < names->count; i++) {
                const struct group *g = getgrnam(names->item[i]);
                if (!g)
                        continue;
                if (g->gr_gid == primary)
                        return true;
                for (size_t k = 0; k < count; k++)
                        if (more[k] == g->gr_gid)
                                return true;
        }
        return false;
}

static bool too_many(const struct ctl_server *s)
{
        unsigned strangers = 0;
        for (const struct connection *c = s->first; c; c = c->next)
                strangers += !c->may_read;
        return s->count > CONNECTIONS_MAX || strangers > STRANGERS_MAX;
}

static bool check_peer(struct connection *c)
{
        struct ucred peer;
        socklen_t len = sizeof peer;
        gid_t groups[GROUPS_MAX];
        uv_os_fd_t fd;
        if (uv_fileno((uv_handle_t *)&c->pipe, &fd) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return false;
        socklen_t bytes = sizeof groups;
        size_t count = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0 ? 0 : bytes / sizeof groups[0];
        const struct conf *conf = engine_config(c->server->engine);
        bool owner = peer.uid == 0 || peer.uid == geteuid();
        c->may_act = owner || in_groups(&conf->control_act, peer.gid, groups, count);
        c->may_read = c->may_act || in_groups(&conf->control_read, peer.gid, groups, count);
        snprintf(c->who, sizeof c->who, "uid %u pid %d", (unsigned)peer.uid, (int)peer.pid);
        return true;
}

/* ---- answers ---- */

static void freed(struct connection *c)
{
        if (c->closing && c->reading_done && c->pending == 0) {
                buf_done(&c->in);
                free(c->job);
                free(c);
        }
}

static void closed(uv_handle_t *handle)
{
        struct connection *c = handle->data;
        c->reading_done = true;
        freed(c);
}

static void drop(struct connection *c)
{
        if (c->closing)
                return;
        c->closing = true;
        struct ctl_server *s = c->server;
        for (struct connection **at = &s->first; *at; at = &(*at)->next)
                if (*at == c) {
                        *at = c->next;
                        s->count--;
                        break;
                }
        engine_unlisten(s->engine, c->listener);
        c->listener = NULL;
        c->server = NULL;
        timer_free(c->deadline);
        c->deadline = NULL;
        uv_close((uv_handle_t *)&c->pipe, closed);
}

struct answer {
        uv_write_t write;
        char *text;
};

static void written(uv_write_t *w, int status)
{
        struct answer *a = CONTAINER_OF(w, struct answer, write);
        (void)status; /* a peer that went away is seen by the read side */
        wipe_free_text(a->text);
        free(a);
}

static void send_line(struct connection *c, const char *key, json_t *value_own)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_object_set_new(o, key, value_own);
        if (c->closing)
                return;
        if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) > QUEUED_MAX)
                return drop(c);
        struct answer *a = calloc(1, sizeof *a);
        if (!a || !(a->text = json_dumps(o, JSON_COMPACT))) { /* in any order: dcvctl puts it into one */
                free(a);
                return drop(c);
        }
        static char end[] = "\n";
        const uv_buf_t line[] = { uv_buf_init(a->text, (unsigned)strlen(a->text)), uv_buf_init(end, 1) };
        if (uv_write(&a->write, (uv_stream_t *)&c->pipe, line, 2, written) != 0) {
                free(a->text);
                free(a);
                drop(c);
        }
}

static void done(void *arg, const json_t *result, const struct err *err)
{
        struct connection *c = arg;
        c->pending--;
        c->busy = false;
        if (c->closing)
                return freed(c);
        if (err)
                return send_line(c, "error", ctl_error_json(err));
        send_line(c, "result", json_incref((json_t *)result));
        if (c->deadline && !c->listener)
                timer_start(c->deadline, REQUEST_MS);
}

/* ---- following ---- */

static int by_number(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return x < y ? -1 : x > y;
}

static bool wants(void *arg, int64_t job, bool waits)
{
        const struct connection *c = arg;
        return (waits || !c->only_ends) && c->job_count > 0 &&
                bsearch(&job, c->job, c->job_count, sizeof job, by_number);
}

static void event(void *arg, const json_t *e)
{
        struct connection *c = arg;
        bool matters = json_bool(e, "ended", false) || json_is_object(json_object_get(e, "waiting"));
        if (wants(c, json_i64(e, "job", 0), matters))
                send_line(c, "event", json_incref((json_t *)e));
}

static void follow(struct connection *c, const json_t *args)
{
        const json_t *jobs = json_object_get(args, "jobs");
        size_t count = json_array_size(jobs);
        int64_t *job = calloc(count + 1, sizeof *job);
        if (!job)
                return drop(c);
        for (size_t i = 0; i < count; i++)
                job[i] = json_integer_value(json_array_get(jobs, i));
        qsort(job, count, sizeof *job, by_number);
        free(c->job);
        c->job = job;
        c->job_count = count;
        c->only_ends = json_bool(args, "ends", false);
        if (!c->listener)
                c->listener = engine_listen_for(c->server->engine, wants, event, c);
        if (c->deadline)
                timer_stop(c->deadline); /* a follower may be silent for days */
        c->busy = false;
        send_line(c, "result", json_pack("{s:i}", "exit", 0));
}

/* ---- requests ---- */

static void refuse(struct connection *c, const struct err *e)
{
        c->busy = false;
        send_line(c, "error", ctl_error_json(e));
}

static void serve(struct connection *c, const char *line, size_t len)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *request = NULL;
        const char *name;
        const json_t *args;
        c->busy = true;
        if (!ctl_request_read(line, len, &request, &name, &args, &e))
                return refuse(c, &e);
        const struct ctl_verb *verb = ctl_verb_find(c->server->verbs, name);
        bool following = strcmp(name, "follow") == 0;
        if (!verb && !following) {
                err_set(&e, ERR_CONFIG, "verb", "this dcvd does not know \"%s\"", name);
                err_fix(&e, "dcvctl and dcvd should be of the same version");
                return refuse(c, &e);
        }
        if (!(verb && verb->right == CTL_ACT ? c->may_act : c->may_read)) {
                err_set(&e, ERR_DENIED, "control.denied", "this user may not ask the daemon for \"%s\" (%s)", name,
                        c->who);
                err_fix(&e, "join one of the groups of control.%s in the configuration, or use sudo",
                        verb && verb->right == CTL_ACT ? "act" : "read");
                log_warning("", "control: %s refused to %s", name, c->who);
                return refuse(c, &e);
        }
        if (following)
                return follow(c, args);
        if (verb->right == CTL_ACT)
                log_info("", "control: %s by %s", name, c->who);
        c->pending++;
        verb->run(c->server->engine, args, done, c);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        (void)handle;
        char *data = malloc(suggested);
        *ret = uv_buf_init(data, data ? (unsigned)suggested : 0);
}

static void take_lines(struct connection *c)
{
        char *end;
        while (!c->closing && !c->busy && c->in.len > 0 && (end = memchr(c->in.data, '\n', c->in.len))) {
                size_t line = (size_t)(end - c->in.data), used = line + 1;
                CLEANUP(free_p) char *text = text_dup_n(c->in.data, line);
                memmove(c->in.data, c->in.data + used, c->in.len - used);
                wipe(c->in.data + c->in.len - used, used);
                c->in.len -= used;
                if (c->deadline)
                        timer_stop(c->deadline);
                if (!text)
                        return drop(c);
                serve(c, text, line);
                wipe(text, line); /* an import carries a private key */
        }
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct connection *c = stream->data;
        bool fits = n <= 0 || buf_append(&c->in, buf->base, (size_t)n);
        if (n > 0)
                wipe(buf->base, (size_t)n);
        free(buf->base);
        if (n < 0 || !fits)
                return drop(c);
        take_lines(c);
}

static void too_slow(void *arg)
{
        drop(arg);
}

static void connected(uv_stream_t *listener, int status)
{
        struct ctl_server *s = listener->data;
        struct err e;
        struct connection *c = status == 0 ? calloc(1, sizeof *c) : NULL;
        if (!c)
                return;
        c->server = s;
        c->in = (struct buf){ .max = REQUEST_MAX, .secret = true };
        c->pipe.data = c;
        (void)uv_pipe_init(loop_uv(engine_loop(s->engine)), &c->pipe, 0); /* cannot fail without ipc */
        c->next = s->first;
        s->first = c;
        s->count++;
        if (uv_accept(listener, (uv_stream_t *)&c->pipe) != 0 || !check_peer(c) || too_many(s) ||
                !timer_new(&c->deadline, engine_loop(s->engine), too_slow, c, &e) ||
                uv_read_start((uv_stream_t *)&c->pipe, allocate, received) != 0)
                return drop(c);
        timer_start(c->deadline, REQUEST_MS);
}

bool ctl_server_open(
        struct ctl_server **ret, struct engine *g, const char *path, const struct ctl_verb *verbs, struct err *e)
{
        struct ctl_server *s = calloc(1, sizeof *s);
        if (!s || !(s->path = text_dup(path))) {
                free(s);
                return err_memory(e);
        }
        s->engine = g;
        s->verbs = verbs;
        s->pipe.data = s;
        if (unlink(path) < 0 && errno != ENOENT) {
                err_errno(e, errno, "control", "replacing the control socket %s", path);
                free(s->path);
                free(s);
                return false;
        }
        (void)uv_pipe_init(loop_uv(engine_loop(g)), &s->pipe, 0);
        int r = uv_pipe_bind(&s->pipe, path);
        /* Anybody may connect: who may ask for what is decided by the credentials of the peer. */
        if (r == 0 && chmod(path, 0666) < 0)
                r = -errno;
        if (r == 0)
                r = uv_listen((uv_stream_t *)&s->pipe, CONNECTIONS_MAX, connected);
        if (r != 0) {
                err_errno(e, -r, "control", "control socket %s", path);
                ctl_server_close(s);
                return false;
        }
        *ret = s;
        return true;
}

static void listener_closed(uv_handle_t *handle)
{
        struct ctl_server *s = handle->data;
        free(s->path);
        free(s);
}

void ctl_server_close(struct ctl_server *s)
{
        if (!s)
                return;
        while (s->first)
                drop(s->first);
        (void)unlink(s->path); /* a leftover socket file is replaced at the next start */
        uv_close((uv_handle_t *)&s->pipe, listener_closed);
}
