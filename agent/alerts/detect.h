/* What this host looks for by itself (`alerts.detectors`, specs/alerts.md section 7). Each detector goes through the
 * certificates one after another, spread over its interval, and begins soon after the start; one that is off has no
 * timer. What it finds becomes a report (agent/job/incident.h). */
#ifndef DCVD_ALERTS_DETECT_H
#define DCVD_ALERTS_DETECT_H

#include <stdbool.h>

struct detectors;
struct engine;
struct err;

bool detectors_open(struct detectors **ret, struct engine *g, struct err *e);
void detectors_close(struct detectors *d); /* before the engine; NULL allowed */
void detectors_reconfigured(struct detectors *d); /* after engine_reconfigure */

#endif
