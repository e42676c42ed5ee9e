#include "agent/ctl/admin.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/ctl/page.h"
#include "agent/job/actions.h"
#include "agent/job/engine.h"
#include "agent/net/httpd.h"
#include "agent/net/httpd_set.h"

struct admin {
        struct engine *engine;
        struct httpd_set now, next;
};

static const char *const no_store[] = { "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff",
        "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'", NULL };

static const char *const info_labels[] = { "version", NULL };
static const struct metric_family info = { "dcvd_build_info", "Version of this build.", METRIC_GAUGE, info_labels,
        NULL };

static void status_json(void *arg, const json_t *result, const struct err *err)
{
        CLEANUP(free_p) char *text = result ? json_text(result) : NULL;
        if (!text)
                return httpd_reply(arg, 500, "text/plain; charset=utf-8", err ? err->text : "",
                        err ? strlen(err->text) : 0, no_store);
        httpd_reply(arg, 200, "application/json", text, strlen(text), no_store);
}

static void status_page(void *arg, const json_t *result, const struct err *err)
{
        struct buf b = { 0 };
        if (err || !page_render(result, &b))
                httpd_reply(arg, 500, "text/plain; charset=utf-8", "", 0, no_store);
        else
                httpd_reply(arg, 200, "text/html; charset=utf-8", b.data, b.len, no_store);
        buf_done(&b);
}

static void metrics(struct admin *a, struct httpd_exchange *x)
{
        struct buf b = { 0 };
        metrics_collect(a->engine);
        if (metrics_render(&b))
                httpd_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data ? b.data : "", b.len, no_store);
        else
                httpd_reply(x, 500, "text/plain; charset=utf-8", "", 0, no_store);
        buf_done(&b);
}

/* /status.json?now and /status.json are one page. */
static bool is_path(const struct httpd_request *r, const char *path)
{
        size_t len = strcspn(r->target, "?");
        return strlen(path) == len && memcmp(r->target, path, len) == 0;
}

static void handle(void *arg, struct httpd_exchange *x, const struct httpd_request *r)
{
        struct admin *a = arg;
        static const char *const allow[] = { "Allow", "GET, HEAD", NULL };
        if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
                return httpd_reply(x, 405, "text/plain; charset=utf-8", "GET only\n", 9, allow);
        if (is_path(r, "/metrics"))
                return metrics(a, x);
        if (is_path(r, "/healthz"))
                return httpd_reply(x, 200, "text/plain; charset=utf-8", "ok\n", 3, no_store);
        if (is_path(r, "/status.json"))
                return action_status(a->engine, NULL, status_json, x);
        if (is_path(r, "/"))
                return action_status(a->engine, NULL, status_page, x);
        httpd_reply(x, 404, "text/plain; charset=utf-8", "not found\n", 10, no_store);
}

static bool listen_one(void *arg, const char *where, struct httpd **ret, struct err *e)
{
        struct admin *a = arg;
        struct httpd_conf conf = { .listen = where,
                .unix_mode = 0660,
                .fd = -1,
                .body_max_bytes = 1024,
                .name = "admin",
                .want_suspend = true };
        if (strcmp(where, "systemd") == 0) {
                conf.listen = NULL;
                conf.fd = listen_fd_by_name("admin");
                if (conf.fd < 0)
                        return err_set(e, ERR_CONFIG, "listen", "systemd passed no socket named admin");
        }
        return httpd_open(ret, engine_loop(a->engine), &conf, handle, a, e);
}

bool admin_prepare(struct admin *a, const struct conf *conf, struct err *e)
{
        return httpd_set_prepare(&a->now, &conf->admin_listen, listen_one, a, &a->next, e) ||
                err_wrap(e, "admin.listen");
}

void admin_commit(struct admin *a)
{
        httpd_set_commit(&a->now, &a->next);
}

void admin_abandon(struct admin *a)
{
        httpd_set_abandon(&a->now, &a->next);
}

bool admin_open(struct admin **ret, struct engine *g, struct err *e)
{
        const char *const version[] = { DCVD_VERSION };
        struct admin *a = calloc(1, sizeof *a);
        if (!a)
                return err_memory(e);
        a->engine = g;
        metric_set(&info, version, 1);
        if (!admin_prepare(a, engine_config(g), e)) {
                free(a);
                return false;
        }
        admin_commit(a);
        *ret = a;
        return true;
}

void admin_close(struct admin *a)
{
        if (!a)
                return;
        httpd_set_done(&a->now);
        free(a);
}
