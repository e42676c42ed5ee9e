/* The engine: everything that runs, behind one handle. It opens the state directory, the loop's clients and the
 * backends the configuration names, goes on with the jobs of the journal, and takes actions (agent/job/actions.h). One
 * per process; the mains and dcvctl --local use the same. */
#ifndef DCVD_JOB_ENGINE_H
#define DCVD_JOB_ENGINE_H

#include <jansson.h>

#include "agent/base/err.h"
#include "config/config.h"

struct ca_ops;
struct dns;
struct engine;
struct helper;
struct http;
struct loop;
struct publisher_ops;
struct sets;
struct store;

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
/* Ends the rehearsals of dcvctl rehearse; their probes are on their way back. False: none ran. */
bool engine_end_rehearsals(struct engine *g);
void engine_close(struct engine *g); /* jobs stay in the journal as they are */
/* SIGHUP: takes conf_own if everything it names can be opened, else keeps what runs. */
bool engine_reconfigure(struct engine *g, struct conf *conf_own, struct err *e);
const struct conf *engine_config(const struct engine *g);
struct loop *engine_loop(struct engine *g);
bool engine_runs_job(struct engine *g, const char *cert);
/* False for a while after the wall clock was set: nothing is judged by it then. */
bool engine_clock_is_sound(const struct engine *g);
/* When the window ends in which the CA wants a certificate renewed (RFC 9773); 0: not said. */
int64_t engine_renewal_window_end(struct engine *g, const char *cert);
/* For the rooms above: what it has open. Borrowed, to the engine's end. */
struct helper *engine_helper(struct engine *g);
struct sets *engine_sets(struct engine *g);
struct store *engine_store(struct engine *g);
struct dns *engine_dns(struct engine *g);
/* The same client that the CAs are asked with: its proxy, its limits. */
struct http *engine_http(struct engine *g);
/* The DER SubjectPublicKeyInfo of a key in STATE/keys, allocated; false: not there. From any thread. */
bool engine_public_key(struct engine *g, const char *spki_hex, uint8_t **ret_der, size_t *ret_len);
/* The hash of a key that some live certificate has; false: there is none. */
bool engine_any_key(const struct engine *g, char ret_spki_hex[65]);
/* May the process end? No row is being written, nothing installed, no token put out or taken back; jobs go on from
 * where they are at the next start, but one whose key is compromised is not left while it could move now. */
bool engine_settled(const struct engine *g);

/* What happens, as it happens: {"job":17,"cert":"www","state":"published","text":"..."} and at the end
 * {"job":17,...,"ended":true,"exit":0}. */
typedef void engine_event_fn(void *arg, const json_t *event);
struct engine_listener;
struct engine_listener *engine_listen(struct engine *g, engine_event_fn *fn, void *arg);
/* The same for one who wants some of them: asked before a step of a job is told, and where nobody wants it it is not
 * made. waits: the job waits for somebody or something outside. fn is called for whatever was made all the same: it
 * chooses too. NULL: no memory, as from engine_listen. */
typedef bool engine_wants_fn(void *arg, int64_t job, bool waits);
struct engine_listener *engine_listen_for(struct engine *g, engine_wants_fn *wants, engine_event_fn *fn, void *arg);
void engine_unlisten(struct engine *g, struct engine_listener *l); /* NULL allowed; not from inside fn */

/* Sets the gauges of the job room as things are now: before metrics_render. */
void metrics_collect(struct engine *g);

/* The kinds config_load wants, from both registries; static, ended by section NULL. */
const struct conf_kind *engine_kinds(void);

#endif
