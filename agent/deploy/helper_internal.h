/* The verbs of dcvd-helper, for this room only. */
#ifndef DCVD_DEPLOY_HELPER_INTERNAL_H
#define DCVD_DEPLOY_HELPER_INTERNAL_H

#include "agent/base/err.h"
#include "agent/deploy/helper_verbs.h"

bool helper_deploy(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);
bool helper_restore(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);
bool helper_token_put(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);
bool helper_token_drop(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);
bool helper_hook(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);

/* services.c: tests, then reloads; each result is appended to answer.services. False: e is the first failure. A command
 * that failed while another target of c was being switched is run again: servers, and nginx -s reload as well, open the
 * two files of a pair one after the other, and may have got one of before and one of after. */
bool services_test(const struct conf *c, const struct conf_target *t, json_t *answer, struct err *e);
/* The first count of them. ret_reached (NULL allowed, always filled): how many may have taken anything up, the one that
 * failed included unless nothing of it ever ran. */
bool services_reload(const struct conf *c, const struct conf_target *t, size_t count, size_t *ret_reached,
        json_t *answer, struct err *e);
/* Are the programs there, and the pidfiles of servers that are looked at? Without them test or reload would fail
 * whatever the server says. ERR_DENIED. */
bool services_ready(const struct conf_target *t, struct err *e);

#endif
