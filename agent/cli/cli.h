/* dcvctl: what every command shares. One file per command beside this one. */
#ifndef DCVD_CLI_CLI_H
#define DCVD_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct conf;

/* Exit status (interface.md section 1). */
enum {
        EXIT_GOOD = 0,
        EXIT_JOB_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_NO_DAEMON = 3,
        EXIT_WAITING = 4,
        EXIT_REFUSED = 5,
        EXIT_INTERRUPTED = 130
};

struct cli_options {
        const char *config; /* --config, DCVD_CONFIG or the default */
        bool json, quiet, color, yes, dry_run, wait, detach, local;
        bool look; /* only looks: without a daemon, an engine in this process lets jobs rest */
        int64_t timeout_ms; /* 0: none */
        char *const *argv; /* as typed; NULL-terminated */
};

/* A way to ask: the daemon's socket, or an engine in this process (under the lock). */
struct session;
typedef bool session_event_fn(void *arg, const json_t *event); /* false: stop following */

/* Socket first; if nobody listens and `local_too`, an engine in this process. ERR_TEMPORARY "no-daemon" when neither.
 */
bool session_open(struct session **ret, const struct cli_options *o, bool local_too, struct err *e);
/* An engine in this process, even beside the question of a daemon: --local. */
bool session_open_local(struct session **ret, const struct cli_options *o, struct err *e);
/* The one or the other, as o->local says; for a command that starts a job and, without a daemon, wants to be told. */
bool session_open_for_job(struct session **ret, const struct cli_options *o, struct err *e);
void session_close(struct session *s);
bool session_is_local(const struct session *s);
/* result: new reference. */
bool session_ask(struct session *s, const char *verb, const json_t *args, json_t **ret, struct err *e);
/* The same for what takes minutes: fn hears what happens meanwhile ("id" is added to args). */
bool session_ask_long(struct session *s, const char *verb, json_t *args, session_event_fn *fn, void *arg,
        int64_t within_ms, json_t **ret, struct err *e);
/* From here on nothing that happens to these jobs is lost: asked once, before their state is asked for.
 * only_ends: what ends or waits is told, no steps; a daemon that does not know this tells all. */
bool session_watch(struct session *s, const json_t *job_ids, bool only_ends, struct err *e);
/* Calls fn for what happens to these jobs until fn says stop, the time is over (ERR_TEMPORARY "timeout"), or SIGINT
 * (ERR_CANCELLED). After session_watch. */
bool session_follow(
        struct session *s, const json_t *job_ids, session_event_fn *fn, void *arg, int64_t timeout_ms, struct err *e);

/* After "no-daemon": connects again, within this time. */
bool session_reopen(struct session *s, const struct cli_options *o, int64_t within_ms);
bool session_typed(void); /* waits for an answer on standard input; false: SIGINT came first */
void session_pause(struct session *s, int64_t ms); /* a local engine goes on meanwhile */

/* The configuration, for commands that need it without a daemon. Prints every problem on stderr; cli_fail says the
 * rest, and has them all in its document. */
bool cli_config(const struct cli_options *o, struct conf **ret, struct err *e);

/* Printing. Errors go to stderr: "dcvctl: text" and the fix on its own line. Returns the exit status that fits the
 * kind. */
int cli_fail(const struct cli_options *o, const struct err *e);
int cli_exit_of(const struct err *e);
/* What was typed, "dcvctl reissue www --local", so that it can be typed again. */
void cli_typed(const struct cli_options *o, struct buf *b);
void cli_progress(const struct cli_options *o, const char *format, ...)
        __attribute__((format(printf, 2, 3))); /* stderr, not with --quiet */
void cli_print_json(const json_t *document);
bool cli_can_ask(void); /* somebody sits at a terminal */
/* EXIT_GOOD: --yes, or answered with y. Else it is said, and the exit status: EXIT_REFUSED, also without a terminal, or
 * EXIT_INTERRUPTED. */
int cli_confirm(const struct cli_options *o, const char *question);
/* What was typed is wrong: said on stderr and, after cli_json_errors(true), as a document on stdout. EXIT_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_json_errors(bool wanted);
void cli_usage_of(const char *command); /* from now on that is the command whose help is pointed to; borrowed */
const char *cli_when(int64_t unix_s, char ret[64]); /* "2026-12-05 07:59 UTC (in 12 d 4 h)" */

int cli_worse(int a, int b); /* the exit status of two together: 1 before 4 before 5 before 0 */

/* After an action that answered {jobs:[...]}, and perhaps {refused:[...]}: says so, then follows them or returns, as
 * the options and the terminal want. */
int cli_after_start(const struct cli_options *o, struct session *s, json_t *result);

/* Follows jobs ({id, cert}) and shows them; the exit status of all together (1 before 4 before 5), those in refused
 * (NULL: none; told already, with their exit) too. */
int cli_follow_jobs(const struct cli_options *o, struct session *s, const json_t *jobs, const json_t *refused);

struct cli_command {
        const char *name;
        const char *synopsis; /* after "dcvctl NAME" */
        const char *about; /* one line */
        const char *options; /* its own, a line each, "" if none */
        const char *examples; /* lines, "" if none */
        int (*run)(const struct cli_options *o, int argc, char **argv); /* argv[0] is the command's name */
};
extern const struct cli_command cli_commands[]; /* ended by name NULL */

int cli_notify(const struct cli_options *o, int argc, char **argv);
int cli_reissue(const struct cli_options *o, int argc, char **argv);
int cli_issue(const struct cli_options *o, int argc, char **argv);
int cli_revoke(const struct cli_options *o, int argc, char **argv);
int cli_account(const struct cli_options *o, int argc, char **argv);
int cli_status(const struct cli_options *o, int argc, char **argv);
int cli_history(const struct cli_options *o, int argc, char **argv);
int cli_cancel(const struct cli_options *o, int argc, char **argv);
int cli_verify(const struct cli_options *o, int argc, char **argv);
int cli_check(const struct cli_options *o, int argc, char **argv);
int cli_rehearse(const struct cli_options *o, int argc, char **argv);
int cli_withdraw(const struct cli_options *o, int argc, char **argv);
int cli_import(const struct cli_options *o, int argc, char **argv);
int cli_deploy(const struct cli_options *o, int argc, char **argv);
int cli_sets(const struct cli_options *o, int argc, char **argv);
int cli_forget(const struct cli_options *o, int argc, char **argv);
int cli_report(const struct cli_options *o, int argc, char **argv);
int cli_alert(const struct cli_options *o, int argc, char **argv);
int cli_incidents(const struct cli_options *o, int argc, char **argv);
int cli_incident(const struct cli_options *o, int argc, char **argv);
int cli_confirm_incident(const struct cli_options *o, int argc, char **argv);
int cli_dismiss(const struct cli_options *o, int argc, char **argv);
int cli_publish(const struct cli_options *o, int argc, char **argv);
int cli_publishers(const struct cli_options *o, int argc, char **argv);
int cli_snippet(const struct cli_options *o, int argc, char **argv);

#endif
