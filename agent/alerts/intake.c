#include "agent/alerts/intake.h"

#include <stdlib.h>
#include <string.h>

#include "agent/alerts/alert.h"
#include "agent/alerts/intake_internal.h"
#include "agent/alerts/rate.h"
#include "agent/base/err.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/loop.h"

/* Requests that failed or prove something cost us a computation and their sender nothing. */
#define FAILURES_BURST 120
#define FAILURES_EACH_MS 500
#define CONNECTIONS 256 /* each may hold a body of 1 MiB */
#define PROOFS_BURST 60
#define PROOFS_EACH_MS 1000

static struct intake *running;

static const char *const alert_labels[] = { "source", "result", NULL };
static const struct metric_family alerts_total = { "dcvd_alerts_total",
        "Reports of compromised keys by what became of them.", METRIC_COUNTER, alert_labels, NULL };

void alerts_count(const char *source, const char *result)
{
        const char *const values[] = { source, result };
        metric_add(&alerts_total, values, 1);
}

/* So that a rate can be told from the first one on. */
static void count_from_zero(const struct conf *conf)
{
        static const char *const results[] = { "taken", "known", "nothing", "ignored", "unauthorized", "malformed",
                "limited", "busy" };
        static const char *const inlets[] = { "proof", "report", "drop" };
        for (size_t r = 0; r < ARRAY_LEN(results); r++) {
                for (size_t i = 0; i < ARRAY_LEN(inlets); i++)
                        metric_add(&alerts_total, (const char *const[]){ inlets[i], results[r] }, 0);
                for (size_t i = 0; i < conf->intake.webhooks.count; i++)
                        metric_add(&alerts_total,
                                (const char *const[]){ conf->intake.webhooks.item[i].name, results[r] }, 0);
        }
}

struct intake *intake_running(const struct engine *g)
{
        return running && running->engine == g ? running : NULL;
}

_Static_assert(ALERT_BODY_MAX == 1048576, "as it is told");

static bool listen_one(void *arg, const char *where, struct httpd **ret, struct err *e)
{
        struct intake *i = arg;
        struct httpd_conf conf = { .listen = where,
                .fd = -1,
                .body_max_bytes = ALERT_BODY_MAX,
                .too_large = "{\"error\":\"a report is at most 1048576 bytes\"}",
                .name = "alerts",
                .want_suspend = true,
                .limits = { .connections = CONNECTIONS } };
        if (strcmp(where, "systemd") == 0) {
                conf.listen = NULL;
                conf.fd = listen_fd_by_name("alerts");
                if (conf.fd < 0)
                        return err_set(e, ERR_CONFIG, "listen", "systemd passed no socket named alerts");
        }
        return httpd_open(ret, engine_loop(i->engine), &conf, request_handle, i, e);
}

bool intake_prepare(struct intake *i, const struct conf *conf, struct err *e)
{
        return request_check_secrets(conf, e) &&
                (httpd_set_prepare(&i->now, &conf->intake.listen, listen_one, i, &i->next, e) ||
                        err_wrap(e, "alerts.listen"));
}

void intake_commit(struct intake *i)
{
        httpd_set_commit(&i->now, &i->next);
        count_from_zero(engine_config(i->engine));
}

void intake_abandon(struct intake *i)
{
        httpd_set_abandon(&i->now, &i->next);
}

bool intake_open(struct intake **ret, struct engine *g, struct err *e)
{
        struct intake *i = calloc(1, sizeof *i);
        if (!i)
                return err_memory(e);
        i->engine = g;
        challenges_init(&i->challenges);
        i->failures = rate_new(FAILURES_BURST, FAILURES_EACH_MS);
        i->proofs = rate_new(PROOFS_BURST, PROOFS_EACH_MS);
        if (!i->failures || !i->proofs) {
                err_memory(e);
                intake_close(i);
                return false;
        }
        if (!drop_open(&i->drop, i, e) || !intake_prepare(i, engine_config(g), e)) {
                intake_close(i);
                return false;
        }
        intake_commit(i);
        running = i;
        *ret = i;
        return true;
}

void intake_close(struct intake *i)
{
        if (!i)
                return;
        running = running == i ? NULL : running;
        httpd_set_done(&i->now);
        requests_abandon(i);
        drop_close(i->drop);
        work_finish(engine_loop(i->engine)); /* what is being judged still asks the engine */
        rate_free(i->failures);
        rate_free(i->proofs);
        challenges_done(&i->challenges);
        free(i);
}
