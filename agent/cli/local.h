/* An engine in dcvctl's own process: under the lock, as the owner of the state directory, with a helper broker started
 * first. */
#ifndef DCVD_CLI_LOCAL_H
#define DCVD_CLI_LOCAL_H

#include "agent/cli/cli.h"

struct conf_kind;
struct local;

bool local_open(struct local **ret, const struct cli_options *o, struct err *e);
void local_close(struct local *l); /* NULL allowed; lets tokens go back, at most 60 s */
/* fn (NULL ok) hears what happens meanwhile to "id" of args. */
bool local_ask(struct local *l, const char *verb, const json_t *args, session_event_fn *fn, void *arg,
        int64_t within_ms, json_t **ret, struct err *e);
bool local_follow(
        struct local *l, const json_t *job_ids, session_event_fn *fn, void *arg, int64_t timeout_ms, struct err *e);
void local_pause(struct local *l, int64_t ms); /* the engine goes on meanwhile */
const struct conf_kind *local_kinds(void);

#endif
