/* The job room's families (interface.md section 5). What is counted is counted when it happens; what is (gauges) is
 * looked at when somebody asks. */
#include <math.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"
#include "agent/net/ca_requests.h"
#include "agent/net/dns.h"

static const char *const by_cert_state[] = { "cert", "state", NULL };
static const char *const by_state[] = { "state", NULL };
static const char *const by_cert[] = { "cert", NULL };
static const char *const by_party[] = { "cert", "party", NULL };
static const char *const by_endpoint[] = { "cert", "endpoint", NULL };
static const char *const by_publisher[] = { "publisher", NULL };
static const char *const by_result[] = { "cert", "ca", "result", NULL };
static const double seconds[] = { 0.05, 0.2, 1, 5, 30, 120, 600, 3600, 86400, INFINITY };

static const struct metric_family state_seconds = { "dcvd_job_state_seconds", "Time spent in a state.",
        METRIC_HISTOGRAM, by_state, seconds };
static const struct metric_family propagation = { "dcvd_propagation_seconds",
        "Time until every authoritative address showed a token.", METRIC_HISTOGRAM, by_publisher, seconds };
static const struct metric_family reissues = { "dcvd_reissues_total", "Reissues that ended.", METRIC_COUNTER, by_result,
        NULL };

static const struct metric_family jobs = { "dcvd_jobs", "Jobs that run, by certificate and state.", METRIC_GAUGE,
        by_cert_state, NULL };
static const struct metric_family next_attempt = { "dcvd_job_next_attempt_timestamp_seconds",
        "When the job of a certificate acts again.", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family waiting = { "dcvd_waiting",
        "Jobs that wait for somebody: person, ca, sibling or brake.", METRIC_GAUGE, by_party, NULL };
static const struct metric_family not_after = { "dcvd_certificate_not_after_timestamp_seconds",
        "End of the live certificate.", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family reissuable = { "dcvd_certificate_reissuable",
        "Could the CA replace the certificate now, as it said last?", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family served_match = { "dcvd_certificate_served_match",
        "Did the endpoint serve the live certificate when it was looked at last?", METRIC_GAUGE, by_endpoint, NULL };
static const struct metric_family success = { "dcvd_certificate_last_success_timestamp_seconds",
        "Last reissue that was served.", METRIC_GAUGE, by_cert, NULL };
static const struct metric_family failure = { "dcvd_certificate_last_failure_timestamp_seconds",
        "Last reissue that failed.", METRIC_GAUGE, by_cert, NULL };

static const struct metric_family open_incidents = { "dcvd_incidents_open", "Incidents that are not over.",
        METRIC_GAUGE, NULL, NULL };
static const struct metric_family incident_deadline = { "dcvd_incident_deadline_timestamp_seconds",
        "The first deadline of an incident whose certificates are not all replaced.", METRIC_GAUGE, NULL, NULL };

/* ---- what happens ---- */

void metrics_job_moved(struct job *j, enum job_state from)
{
        const char *of[] = { job_state_name(from) };
        if (from == j->row.state)
                return;
        int64_t now_ms = clock_boot_ms();
        metric_observe(&state_seconds, of, (double)(now_ms - j->entered_ms) / 1000);
        j->entered_ms = now_ms;
}

void metrics_job_ended(struct job *j)
{
        if (job_only_deploys(j))
                return;
        const char *result[] = { j->row.cert, j->row.ca ? j->row.ca : "", job_state_name(j->row.state) };
        metric_add(&reissues, result, 1);
}

void metrics_token_seen(const char *publisher, int64_t elapsed_ms)
{
        const char *of[] = { publisher };
        metric_observe(&propagation, of, (double)elapsed_ms / 1000);
}

/* ---- what is ---- */

static const char *party_of(const struct job *j)
{
        const char *code = j->row.err_code;
        if (!j->row.waiting)
                return NULL;
        if (code && (strcmp(code, "R4") == 0 || strcmp(code, "sibling") == 0))
                return "sibling";
        return code && strcmp(code, "person") == 0 ? "person" : "ca";
}

static void collect_job(const struct job *j)
{
        const char *state[] = { j->row.cert, job_state_name(j->row.state) }, *cert[] = { j->row.cert },
                   *party[] = { j->row.cert, party_of(j) };
        metric_set(&jobs, state, 1);
        if (j->row.due_ms > 0 && j->due.entry.index)
                metric_set(&next_attempt, cert, (double)(j->row.due_ms / 1000));
        if (party[1])
                metric_set(&waiting, party, 1);
}

/* An endpoint is looked at once for each name: it matches when all did. */
static void collect_served(const struct cert *c)
{
        CLEANUP(json_decref_p) json_t *list = cert_served_json(c);
        size_t i, k;
        json_t *x, *y;
        json_array_foreach(list, i, x)
        {
                const char *endpoint = json_str(x, "endpoint");
                bool match = true;
                json_array_foreach(list, k, y)
                {
                        const char *other = json_str(y, "endpoint");
                        if (endpoint && other && strcmp(endpoint, other) == 0)
                                match = match && json_bool(y, "match", false);
                }
                const char *of[] = { c->row.name, endpoint ? endpoint : "" };
                metric_set(&served_match, of, match);
        }
}

static void collect_cert(const struct cert *c)
{
        const char *of[] = { c->row.name };
        CLEANUP(json_decref_p) json_t *facts = cert_reissuable_json(c);
        if (c->row.live_not_after_s)
                metric_set(&not_after, of, (double)c->row.live_not_after_s);
        if (c->row.last_success_s)
                metric_set(&success, of, (double)c->row.last_success_s);
        if (c->row.last_failure_s)
                metric_set(&failure, of, (double)c->row.last_failure_s);
        if (json_is_object(facts))
                metric_set(&reissuable, of, json_bool(facts, "possible", false));
        collect_served(c);
}

static void collect_waiting(void *arg, const char *cert, const char *party)
{
        const char *of[] = { cert, party };
        (void)arg;
        metric_set(&waiting, of, 1);
}

static void collect_incidents(struct engine *g)
{
        int64_t deadline_s;
        metric_set(&open_incidents, NULL, (double)incidents_count(g, &deadline_s));
        if (deadline_s)
                metric_set(&incident_deadline, NULL, (double)deadline_s);
        incidents_each_waiting(g, collect_waiting, NULL);
}

void metrics_collect(struct engine *g)
{
        const struct metric_family *const gauges[] = { &jobs, &next_attempt, &waiting, &not_after, &reissuable,
                &served_match, &success, &failure, &incident_deadline };
        for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
                metric_clear(gauges[i]); /* what is gone is not shown again */
        const struct metric_family *const counted[] = { &state_seconds, &propagation, &reissues };
        for (size_t i = 0; i < ARRAY_LEN(counted); i++)
                metric_declare(counted[i]);
        incidents_declare();
        ca_requests_declare();
        dns_count_declare();
        for (size_t i = 0; i < g->job_count; i++)
                if (!g->job[i]->ended)
                        collect_job(g->job[i]);
        for (size_t i = 0; i < g->cert_count; i++)
                collect_cert(g->cert[i]);
        collect_incidents(g);
}
