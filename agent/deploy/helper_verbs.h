/* dcvd-helper's side: one request, checked again against the root-owned configuration, done, answered. */
#ifndef DCVD_DEPLOY_HELPER_VERBS_H
#define DCVD_DEPLOY_HELPER_VERBS_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/net/helper.h"
#include "config/config.h"

/* Before the verb "hook": root becomes user dcvd-hook for good; any other user stays. */
bool helper_become_hook_user(struct err *e);
/* Fills answer (an object) and, on failure, e. conf: already loaded, its owner checked. */
bool helper_do(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);

#endif
