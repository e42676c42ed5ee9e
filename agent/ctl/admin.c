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

struct admin {
        struct engine *engine;
        struct httpd **httpd;
        size_t count;
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

static void metrics(struct httpd_exchange *x)
{
        struct buf b = { 0 };
        if (metrics_render(&b))
                httpd_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data ? b.data : "", b.len, no_store);
        else
                httpd_reply(x, 500, "text/plain; charset=utf-8", "", 0, no_store);
        buf_done(&b);
}

static void handle(void *arg, struct httpd_exchange *x, const struct httpd_request *r)
{
        struct admin *a = arg;
        static const char *const allow[] = { "Allow", "GET, HEAD", NULL };
        if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
                return httpd_reply(x, 405, "text/plain; charset=utf-8", "GET only\n", 9, allow);
        if (strcmp(r->target, "/metrics") == 0)
                return metrics(x);
        if (strcmp(r->target, "/healthz") == 0)
                return httpd_reply(x, 200, "text/plain; charset=utf-8", "ok\n", 3, no_store);
        if (strcmp(r->target, "/status.json") == 0)
                return action_status(a->engine, NULL, status_json, x);
        if (strcmp(r->target, "/") == 0)
                return action_status(a->engine, NULL, status_page, x);
        httpd_reply(x, 404, "text/plain; charset=utf-8", "not found\n", 10, no_store);
}

bool admin_open(struct admin **ret, struct engine *g, struct err *e)
{
        const char *const version[] = { DCVD_VERSION };
        const struct texts *where = &engine_config(g)->admin_listen;
        struct admin *a = calloc(1, sizeof *a);
        if (!a || !(a->httpd = calloc(where->count + 1, sizeof(struct httpd *)))) {
                free(a);
                return err_memory(e);
        }
        a->engine = g;
        metric_set(&info, version, 1);
        for (size_t i = 0; i < where->count; i++) {
                struct httpd_conf conf = { .listen = where->item[i],
                        .fd = -1,
                        .body_max_bytes = 1024,
                        .name = "admin",
                        .want_suspend = true };
                if (strcmp(where->item[i], "systemd") == 0) {
                        conf.listen = NULL;
                        conf.fd = listen_fd_by_name("admin");
                }
                if (!httpd_open(&a->httpd[a->count], engine_loop(g), &conf, handle, a, e)) {
                        admin_close(a);
                        return err_wrap(e, "admin.listen");
                }
                a->count++;
        }
        *ret = a;
        return true;
}

void admin_close(struct admin *a)
{
        if (!a)
                return;
        for (size_t i = 0; i < a->count; i++)
                httpd_close(a->httpd[i]);
        free(a->httpd);
        free(a);
}
