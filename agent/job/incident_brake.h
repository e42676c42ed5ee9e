/* The storm brake: what alerts and detectors may start by themselves (`limits`). Pure. */
#ifndef DCVD_JOB_INCIDENT_BRAKE_H
#define DCVD_JOB_INCIDENT_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct brake_limits {
        int64_t per_hour, per_cert, window_s, cooldown_s;
};
struct brake_start { /* one job that started by itself */
        int64_t at_s;
        bool same; /* of this certificate */
};
/* 0: it may start now; else the time from which on it may, if nothing else starts; INT64_MAX: a limit is 0, so never.
 * list: newest first. */
int64_t brake_until(const struct brake_limits *limits, const struct brake_start *list, size_t count, int64_t now_s);

#endif
