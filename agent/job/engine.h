/* The engine: everything that runs, behind one handle. It opens the state directory, the loop's clients and the
 * backends the configuration names, goes on with the jobs of the journal, and takes actions (agent/job/actions.h). One
 * per process; the mains and dcvctl --local use the same. */
#ifndef DCVD_JOB_ENGINE_H
#define DCVD_JOB_ENGINE_H

#include <jansson.h>

#include "agent/base/err.h"
#include "config/config.h"

struct ca_ops;
struct engine;
struct loop;
struct publisher_ops;

struct engine_conf {
        struct conf *conf; /* taken over on success */
        int helper_fd; /* broker (net/helper.h), -1: none; taken over */
        const struct ca_ops *const *cas; /* NULL: ca_registry; tests hand in their own */
        const struct publisher_ops *const *publishers; /* NULL: publisher_registry */
};
/* Locks the state directory (ERR_TEMPORARY "locked"), opens and checks the journal, loads. Nothing runs before
 * engine_start. */
bool engine_open(struct engine **ret, struct loop *loop, const struct engine_conf *c, struct err *e);
void engine_start(struct engine *g);
/* Opens the token listeners. After engine_start, so that what is published is answered from the first connection on. */
bool engine_listen_tokens(struct engine *g, struct err *e);
void engine_close(struct engine *g); /* jobs stay in the journal as they are */
/* SIGHUP: takes conf_own if everything it names can be opened, else keeps what runs. */
bool engine_reconfigure(struct engine *g, struct conf *conf_own, struct err *e);
const struct conf *engine_config(const struct engine *g);
struct loop *engine_loop(struct engine *g);
bool engine_idle(const struct engine *g); /* no job and no token that could move now without waiting for a due time */

/* What happens, as it happens: {"job":17,"cert":"www","state":"published","text":"..."} and at the end
 * {"job":17,...,"ended":true,"exit":0}. */
typedef void engine_event_fn(void *arg, const json_t *event);
struct engine_listener;
struct engine_listener *engine_listen(struct engine *g, engine_event_fn *fn, void *arg);
void engine_unlisten(struct engine *g, struct engine_listener *l); /* NULL allowed; not from inside fn */

/* The kinds config_load wants, from both registries; static, ended by section NULL. */
const struct conf_kind *engine_kinds(void);

#endif
