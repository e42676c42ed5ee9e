/* Following jobs: a line a step, and on a terminal, while tokens spread, a line a name server below them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "agent/cli/live.h"

#define BACK_WITHIN_MS 15000

struct follow {
        const struct cli_options *o;
        json_t *left; /* id -> {id, cert} of each job that has not ended */
        json_t *results; /* what ended or will wait for long, for --json and the table */
        json_t *latest; /* id -> the last event of each job */
        json_t *spread; /* id -> who showed the tokens, until it was said */
        bool many, stop_at_waits;
        int worst;
        char said[600];
        struct live live;
};

int cli_worse(int a, int b)
{
        static const int order[] = { EXIT_JOB_FAILED, EXIT_USAGE, EXIT_NO_DAEMON, EXIT_WAITING, EXIT_REFUSED };
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
                if (a == order[i] || b == order[i])
                        return order[i];
        return EXIT_GOOD;
}

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

static void key_of(const json_t *e, char ret[24])
{
        snprintf(ret, 24, "%lld", (long long)json_i64(e, "job", 0));
}

static const char *text_of(const json_t *e)
{
        const char *const texts[] = { json_str(e, "text"), json_str(e, "progress"),
                json_str(json_object_get(e, "error"), "text") };
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                if (texts[i] && texts[i][0])
                        return texts[i];
        return NULL; /* joined before anything was said */
}

static const char *paint(const struct follow *f, const char *state)
{
        if (!f->live.on || !f->o->color)
                return "";
        return strcmp(state, "done") == 0                                         ? "\033[32m"
                : strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0 ? "\033[31m"
                                                                                  : "\033[36m";
}

static void line_of(const struct follow *f, const json_t *e, const char *text, char *ret, size_t size)
{
        const char *state = or_empty(json_str(e, "state")), *on = paint(f, state);
        snprintf(ret, size, "%s%s%s%s%s%*s%s", f->many ? or_empty(json_str(e, "cert")) : "", f->many ? ": " : "", on,
                state, on[0] ? "\033[0m" : "", text[0] ? (int)MAX(1, 11 - (int)strlen(state)) : 0, "", text);
}

static void say(struct follow *f, const char *line)
{
        if (f->o->quiet || strcmp(line, f->said) == 0)
                return;
        snprintf(f->said, sizeof f->said, "%s", line);
        live_line(&f->live, line);
}

static void say_servers(struct follow *f, const char *key)
{
        size_t i;
        json_t *line;
        CLEANUP(json_decref_p) json_t *lines = live_servers(json_object_get(f->spread, key));
        json_array_foreach(lines, i, line)
        {
                if (!f->o->quiet)
                        live_line(&f->live, json_string_value(line));
        }
        json_object_del(f->spread, key);
}

/* While tokens spread, a block lives on a terminal; elsewhere each change is a line. */
static void show(struct follow *f, const json_t *e)
{
        char key[24], line[600];
        json_t *spread = json_object_get(e, "propagation");
        const char *text = text_of(e);
        key_of(e, key);
        if (text)
                line_of(f, e, text, line, sizeof line);
        if (json_array_size(spread) > 0) {
                json_object_set(f->spread, key, spread);
                if (f->live.on && text && !f->o->quiet) {
                        json_t *lines = live_servers(spread);
                        json_array_insert_new(lines, 0, json_string(line));
                        return live_block(&f->live, key, lines);
                }
        } else if (json_object_get(f->spread, key)) {
                live_block(&f->live, key, NULL);
                say_servers(f, key);
        }
        if (text)
                say(f, line);
}

/* Days may pass: the terminal is given back, the job goes on. Who must publish by hand is the one who reads this: how
 * long is left to his patience. */
static bool waits_long(const json_t *e)
{
        const json_t *waiting = json_object_get(e, "waiting");
        const char *code = json_str(json_object_get(e, "error"), "code"), *party = json_str(waiting, "party");
        return json_is_object(waiting) && code && !(party && strcmp(party, "you") == 0) &&
                (strcmp(code, "person") == 0 || strcmp(code, "review") == 0 || strcmp(code, "R4") == 0);
}

/* A line that is no step: above the blocks too. */
static void tell(struct follow *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct follow *f, const char *format, ...)
{
        char line[1024];
        va_list ap;
        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        if (!f->o->quiet)
                live_line(&f->live, line);
}

static void say_fix(struct follow *f, const json_t *e, bool ended)
{
        const char *fix = json_str(json_object_get(e, "error"), "fix");
        if (!fix || !fix[0] || (ended && json_i64(e, "exit", 0) == 0))
                return;
        if (ended)
                tell(f, "           %s", fix);
        else
                tell(f, "           %s; job %lld goes on: dcvctl status %s", fix, (long long)json_i64(e, "job", 0),
                        or_empty(json_str(e, "cert")));
}

/* An event that tells of trouble the job waits out: what mends it, once. */
static void say_what_helps(struct follow *f, const json_t *e)
{
        const json_t *error = json_object_get(e, "error");
        const char *fix = json_str(error, "fix"), *text = json_str(error, "text"), *said = json_str(e, "text");
        if (fix && fix[0] && text && said && strcmp(text, said) == 0)
                tell(f, "           %s", fix);
}

static bool on_event(void *arg, const json_t *e)
{
        struct follow *f = arg;
        char key[24];
        bool ended = json_bool(e, "ended", false);
        key_of(e, key);
        if (!json_object_get(f->left, key))
                return true; /* its end was seen when we asked */
        json_object_set(f->latest, key, (json_t *)e);
        show(f, e);
        if (!ended && !(f->stop_at_waits && waits_long(e))) {
                say_what_helps(f, e);
                return true;
        }
        live_block(&f->live, key, NULL);
        say_fix(f, e, ended);
        f->worst = cli_worse(f->worst, ended ? (int)json_i64(e, "exit", 1) : EXIT_WAITING);
        json_array_append(f->results, (json_t *)e);
        json_object_del(f->left, key);
        return json_object_size(f->left) > 0;
}

static void table(const struct follow *f)
{
        size_t i;
        json_t *e;
        if (!f->many || f->o->quiet)
                return;
        json_array_foreach(f->results, i, e)
        {
                printf("%-24s %-10s %s\n", or_empty(json_str(e, "cert")), or_empty(json_str(e, "state")),
                        text_of(e) ? text_of(e) : "");
        }
}

/* A job that ended before we began to follow has no events left: ask. */
static void catch_up(struct follow *f, struct session *s, const json_t *jobs)
{
        for (size_t i = 0; i < json_array_size(jobs); i++) {
                CLEANUP(json_decref_p)
                json_t *args = json_pack("{s:O}", "id", json_object_get(json_array_get(jobs, i), "id"));
                CLEANUP(json_decref_p) json_t *now = NULL;
                struct err e;
                if (!session_ask(s, "job", args, &now, &e))
                        continue; /* its events tell */
                if (json_bool(now, "ended", false))
                        json_put_i64(now, "exit", json_i64(now, "exit_of_job", 1));
                (void)on_event(f, now);
        }
}

/* The time is over, or somebody pressed Ctrl-C: what is left goes on without us. */
static void leave(struct follow *f, int status)
{
        const char *key;
        json_t *job;
        json_object_foreach(f->left, key, job)
        {
                fprintf(stderr,
                        f->stop_at_waits ? "job %s goes on; dcvctl status %s\n"
                                         : "job %s of %s goes on at the next start of dcvd\n",
                        key, or_empty(json_str(job, "cert")));
                json_t *latest = json_object_get(f->latest, key);
                json_t *o = latest ? json_deep_copy(latest)
                                   : json_pack("{s:O, s:O}", "job", json_object_get(job, "id"), "cert",
                                             json_object_get(job, "cert"));
                json_put_bool(o, "ended", false);
                json_put_i64(o, "exit", status);
                json_array_append_new(f->results, o);
        }
}

static int fail_left(const struct follow *f, const struct err *why)
{
        struct err e = *why;
        const json_t *job = json_object_iter_value(json_object_iter(f->left)); /* the first of them */
        err_fix(&e, "job %lld goes on when dcvd runs again; dcvctl status %s", (long long)json_i64(job, "id", 0),
                or_empty(json_str(job, "cert")));
        return cli_fail(f->o, &e);
}

static int finish(struct follow *f, bool followed, const struct err *e)
{
        int status = f->worst;
        live_done(&f->live);
        if (!followed && e->kind == ERR_CANCELLED)
                leave(f, status = EXIT_INTERRUPTED);
        else if (!followed && strcmp(e->code, "timeout") == 0)
                leave(f, status = cli_worse(f->worst, EXIT_WAITING));
        else if (!followed)
                return strcmp(e->code, "no-daemon") == 0 ? fail_left(f, e) : cli_fail(f->o, e);
        if (f->o->json) {
                CLEANUP(json_decref_p) json_t *document = json_pack("{s:O, s:i}", "jobs", f->results, "exit", status);
                cli_print_json(document);
        } else {
                table(f);
        }
        return status;
}

static bool terminal(void)
{
        const char *term = getenv("TERM");
        return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* *ret_there: a daemon answered. */
static bool follow_once(
        struct follow *f, struct session *s, const json_t *ids, const json_t *jobs, bool *ret_there, struct err *e)
{
        bool shows_nothing = f->o->quiet && !f->o->json; /* --json names the last step of what is left */
        *ret_there = session_watch(s, ids, shows_nothing, e);
        if (!*ret_there)
                return false;
        catch_up(f, s, jobs);
        return json_object_size(f->left) == 0 || session_follow(s, ids, on_event, f, f->o->timeout_ms, e);
}

int cli_follow_jobs(const struct cli_options *o, struct session *s, const json_t *jobs, const json_t *refused)
{
        struct err e = { 0 };
        size_t i;
        json_t *job;
        CLEANUP(json_decref_p) json_t *left = json_object();
        CLEANUP(json_decref_p) json_t *results = refused ? json_deep_copy(refused) : json_array();
        CLEANUP(json_decref_p) json_t *latest = json_object();
        CLEANUP(json_decref_p) json_t *spread = json_object();
        CLEANUP(json_decref_p) json_t *ids = json_array();
        struct follow f = { .o = o,
                .left = left,
                .results = results,
                .latest = latest,
                .spread = spread,
                .stop_at_waits = !session_is_local(s),
                .many = json_array_size(jobs) + json_array_size(refused) > 1 };
        json_array_foreach(refused, i, job)
        {
                f.worst = cli_worse(f.worst, (int)json_i64(job, "exit", EXIT_JOB_FAILED));
        }
        json_array_foreach(jobs, i, job)
        {
                char key[24];
                snprintf(key, sizeof key, "%lld", (long long)json_i64(job, "id", 0));
                json_object_set(left, key, job);
                json_array_append(ids, json_object_get(job, "id"));
        }
        live_init(&f.live, stderr, terminal() && !o->quiet);
        bool there, followed = follow_once(&f, s, ids, jobs, &there, &e);
        while (!followed && strcmp(e.code, "no-daemon") == 0) { /* restarted: its jobs go on, and so do we */
                struct err away = e;
                tell(&f, "%s; waiting for it to come back", e.text);
                if (!session_reopen(s, o, BACK_WITHIN_MS))
                        break;
                followed = follow_once(&f, s, ids, jobs, &there, &e);
                if (!followed && !there && e.kind == ERR_CANCELLED) {
                        e = away; /* one that is dying may still let us in: it is not back before it answers */
                        break;
                }
        }
        return finish(&f, followed, &e);
}
