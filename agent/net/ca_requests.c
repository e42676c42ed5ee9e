#include "agent/net/ca_requests.h"

#include <stddef.h>

#include "agent/base/err.h"
#include "agent/base/metrics.h"

static const char *const labels[] = { "ca", "action", "result", NULL };
static const struct metric_family requests_total = { .name = "dcvd_ca_requests_total",
        .help = "Requests to a CA, by action and result.",
        .type = METRIC_COUNTER,
        .labels = labels };

void ca_requests_count(const char *ca, const char *action, const struct err *err)
{
        const char *result = err ? err_kind_name(err->kind) : "ok";
        metric_add(&requests_total, (const char *const[]){ ca, action, result }, 1);
}

void ca_requests_declare(void)
{
        metric_declare(&requests_total);
}
