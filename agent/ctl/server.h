/* The control socket: line-delimited JSON for dcvctl, peer credentials checked. Private to dcvctl: the format may
 * change with any version.
 *   -> {"verb":"reissue","args":{...}}          one request a connection at a time
 *   <- {"event":{...}}                          while it runs, only after verb "follow", whose args are
 *                                             {"jobs":[ids]} and, for one who shows no steps, "ends":true: then only
 *                                             what ends or waits
 *   <- {"result":{...}} | {"error":{kind,code,text,fix}} */
#ifndef DCVD_CTL_SERVER_H
#define DCVD_CTL_SERVER_H

#include <stdbool.h>

#include "agent/job/actions.h"

struct ctl_server;
struct loop;

enum ctl_right { CTL_READ, CTL_ACT };
struct ctl_verb {
        const char *name;
        enum ctl_right right;
        action_fn *run;
};
/* The verbs of the job room; ended by name NULL. The mains may hand in a longer table. */
extern const struct ctl_verb ctl_verbs[];
const struct ctl_verb *ctl_verb_find(const struct ctl_verb *verbs, const char *name);

/* Listens on path (RUNTIME/dcvd.sock; an old one is replaced). Bounded: 256 connections, 16 of
 * them by users without any right, a request of 512 KiB, 30 s to send it. */
bool ctl_server_open(
        struct ctl_server **ret, struct engine *g, const char *path, const struct ctl_verb *verbs, struct err *e);
void ctl_server_close(struct ctl_server *s);

/* {"error":...} of an err; new reference. */
json_t *ctl_error_json(const struct err *e);
/* One request as text -> verb and args (borrowed from *ret_request); also the fuzz target. */
bool ctl_request_read(const char *line, size_t len, json_t **ret_request, const char **ret_verb,
        const json_t **ret_args, struct err *e);

#endif
