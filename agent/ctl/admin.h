/* The admin listener: GET /metrics, /healthz, /status.json and / (the status page). Loopback or a unix socket unless
 * the configuration says public. */
#ifndef DCVD_CTL_ADMIN_H
#define DCVD_CTL_ADMIN_H

#include <stdbool.h>

struct admin;
struct conf;
struct engine;
struct err;

/* Opens admin.listen of the engine's configuration; none: nothing listens yet. */
bool admin_open(struct admin **ret, struct engine *g, struct err *e);
/* Another configuration: opens what is new of it, beside what listens. One of the two below must follow. Failure:
 * nothing changed. */
bool admin_prepare(struct admin *a, const struct conf *conf, struct err *e);
void admin_commit(struct admin *a); /* closes what is gone */
void admin_abandon(struct admin *a); /* closes what was new */
void admin_close(struct admin *a); /* NULL allowed */

#endif
