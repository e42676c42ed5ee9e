/* The alerts listener: POST /alerts/<webhook> for senders that share a secret with us, POST /alerts/proof for anybody
 * who can prove that a key leaked; and the drop folder. The answer waits for the durable commit. */
#ifndef DCVD_ALERTS_INTAKE_H
#define DCVD_ALERTS_INTAKE_H

#include <stdbool.h>

#include "agent/job/actions.h"

struct conf;
struct intake;

/* Opens alerts.listen and RUNTIME/alerts of the engine's configuration. A secret that would let anybody in is
 * ERR_CONFIG. */
bool intake_open(struct intake **ret, struct engine *g, struct err *e);
/* Another configuration: opens what is new of it, beside what listens. One of the two below must follow. Failure:
 * nothing changed. */
bool intake_prepare(struct intake *i, const struct conf *conf, struct err *e);
void intake_commit(struct intake *i); /* after the engine took the configuration; closes what is gone */
void intake_abandon(struct intake *i); /* closes what was new */
void intake_close(struct intake *i); /* NULL allowed; before engine_close */

/* {content | spki, dry_run}: an operator's report. A proof, a certificate, a key, a JSON event or a hash. */
action_fn action_report;
/* {name, body}: signs a test alert, sends it to our own listener, answers what would happen. Only where an intake is
 * open. */
action_fn action_alert_test;

#endif
