/* dcvd-helper's side: requests, each checked again against the root-owned configuration, done, answered. */
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
/* The configuration that decides, read when it is first needed and again whenever a file of it changed. */
struct helper_conf {
        const char *path;
        const struct conf_kind *kinds;
        struct conf *loaded; /* NULL: not read yet, or bad */
};
/* As it is now; the owner of path is checked whenever it is read. ERR_CONFIG, or why the owner is not trusted. */
bool helper_conf_load(struct helper_conf *c, struct err *e);
void helper_conf_forget(struct helper_conf *c);
/* Serves what comes on in, one request after another, and answers on out, until the other side is done or silent for 5
 * s, the framing is broken, or 256 requests or 60 s were served; "more" in the last answer is false then, if it could
 * be known. A hook is the only request of its process. True: the last request was done and its answer taken. */
bool helper_serve(int in, int out, struct helper_conf *conf);

#endif
