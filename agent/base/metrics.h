/* The registry behind GET /metrics: Prometheus text format 0.0.4. Families are declared once, in one table per room;
 * samples are found by their label values. Bounded: at most 20,000 samples a family, further ones are counted and
 * dropped. */
#ifndef DCVD_BASE_METRICS_H
#define DCVD_BASE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric_family {
        const char *name; /* "dcvd_jobs" */
        const char *help;
        enum metric_type type;
        const char *const *labels; /* NULL-terminated names; NULL: none */
        const double *buckets; /* histograms: rising upper bounds, ended by INFINITY */
};

/* values: as many label values as the family has labels. A family registers itself at its first use. */
void metric_add(const struct metric_family *family, const char *const *values, double amount);
void metric_set(const struct metric_family *family, const char *const *values, double value);
void metric_observe(const struct metric_family *family, const char *const *values, double value);
void metric_forget(const struct metric_family *family, const char *const *values); /* one sample */
void metric_declare(const struct metric_family *family); /* shown before its first sample: name, type and help */
void metric_clear(const struct metric_family *family); /* all samples of a family */
bool metrics_render(struct buf *ret);
void metrics_done(void); /* frees everything, at the end of the process */

#endif
