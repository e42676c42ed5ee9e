/* Tells people what they asked to be told (`notify:`): keeps each notice in the journal until its target took it, tries
 * again with a growing delay up to `repeat`, over restarts, bounded. */
#ifndef DCVD_ALERTS_NOTIFY_H
#define DCVD_ALERTS_NOTIFY_H

#include "agent/job/actions.h"

struct notifier;

bool notifier_open(struct notifier **ret, struct engine *g, struct err *e); /* loads what is still to be told */
void notifier_close(struct notifier *n); /* before the engine; NULL allowed */
void notifier_reconfigured(struct notifier *n); /* after engine_reconfigure: targets may be gone or new */

struct notice;
void notifier_tell(struct engine *g, const struct notice *notice); /* as if the engine had said it */

action_fn action_notify; /* {name}: tells one target that this is a test, and what came of it */

#endif
