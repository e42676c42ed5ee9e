/* The admin listener: GET /metrics, /healthz, /status.json and / (the status page). Loopback or a unix socket unless
 * the configuration says public. */
#ifndef DCVD_CTL_ADMIN_H
#define DCVD_CTL_ADMIN_H

#include <stdbool.h>

struct admin;
struct engine;
struct err;

bool admin_open(struct admin **ret, struct engine *g,
        struct err *e); /* opens admin.listen of the engine's configuration; none: *ret = NULL */
void admin_close(struct admin *a); /* NULL allowed */

#endif
