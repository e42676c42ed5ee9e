/* The job room's families (interface.md section 5). */
#include <math.h>

#include "agent/base/clock.h"
#include "agent/base/metrics.h"
#include "agent/job/internal.h"

static const char *const by_cert_state[] = { "cert", "state", NULL };
static const char *const by_state[] = { "state", NULL };
static const char *const by_cert[] = { "cert", NULL };
static const char *const by_result[] = { "cert", "ca", "result", NULL };
static const double seconds[] = { 0.05, 0.2, 1, 5, 30, 120, 600, 3600, 86400, INFINITY };

static const struct metric_family jobs = { "dcvd_jobs", "Jobs that run, by certificate and state.", METRIC_GAUGE,
        by_cert_state, NULL };
static const struct metric_family state_seconds = { "dcvd_job_state_seconds", "Time spent in a state.",
        METRIC_HISTOGRAM, by_state, seconds };
static const struct metric_family reissues = { "dcvd_reissues_total", "Reissues that ended.", METRIC_COUNTER, by_result,
        NULL };
static const struct metric_family not_after = { "dcvd_certificate_not_after_timestamp_seconds",
        "End of the live certificate.", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family success = { "dcvd_certificate_last_success_timestamp_seconds",
        "Last reissue that was served.", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family failure = { "dcvd_certificate_last_failure_timestamp_seconds",
        "Last reissue that failed.", METRIC_GAUGE, by_cert, NULL };

void metrics_job_moved(struct job *j, enum job_state from)
{
        const char *old[] = { j->row.cert, job_state_name(from) },
                   *new[] = { j->row.cert, job_state_name(j->row.state) };
        const char *of[] = { job_state_name(from) };
        metric_forget(&jobs, old);
        metric_set(&jobs, new, 1);
        if (from != j->row.state)
                metric_observe(&state_seconds, of, (double)(clock_now_s() - j->row.entered_s));
}

void metrics_job_ended(struct job *j)
{
        const char *state[] = { j->row.cert, job_state_name(j->row.state) };
        const char *result[] = { j->row.cert, j->row.ca ? j->row.ca : "", job_state_name(j->row.state) };
        metric_forget(&jobs, state);
        metric_add(&reissues, result, 1);
        metrics_cert(j->cert);
}

void metrics_cert(struct cert *c)
{
        const char *of[] = { c->row.name };
        if (c->row.live_not_after_s)
                metric_set(&not_after, of, (double)c->row.live_not_after_s);
        if (c->row.last_success_s)
                metric_set(&success, of, (double)c->row.last_success_s);
        if (c->row.last_failure_s)
                metric_set(&failure, of, (double)c->row.last_failure_s);
}
