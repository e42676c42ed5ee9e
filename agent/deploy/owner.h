/* Whose the files of a target are. */
#ifndef DCVD_DEPLOY_OWNER_H
#define DCVD_DEPLOY_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

struct conf_target;
struct err;

/* By name or number. A name that was found once is not looked up again while others of its kind are not asked for:
 * processes that live for long want another function. ERR_CONFIG names what is not there. */
bool owner_find(const struct conf_target *t, uid_t *ret_uid, gid_t *ret_gid, struct err *e);

#endif
