/* Following jobs: a line a step, and on a terminal a live line below them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"

struct follow {
        const struct cli_options *o;
        json_t *left; /* ids that have not ended */
        json_t *results; /* what ended, for --json */
        bool many, tty, live;
        int worst;
        char last[600];
};

/* 1 before 4 before 5, else 0. */
static int worse(int a, int b)
{
        static const int order[] = { 1, 2, 3, 4, 5 };
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
                if (a == order[i] || b == order[i])
                        return order[i];
        return 0;
}

static void clear_live(struct follow *f)
{
        if (f->live)
                fputs("\r\033[K", stderr);
        f->live = false;
}

static void show(struct follow *f, const json_t *e)
{
        const char *text = json_str(e, "text"), *state = json_str(e, "state");
        char line[600];
        if (!text || !text[0]) /* joined while it waits: what it waits for was said before */
                text = json_str(json_object_get(e, "error"), "text");
        snprintf(line, sizeof line, "%s%s%-10s %s", f->many ? json_str(e, "cert") : "", f->many ? ": " : "",
                state ? state : "", text ? text : "");
        if (f->o->quiet || strcmp(line, f->last) == 0)
                return;
        snprintf(f->last, sizeof f->last, "%s", line);
        /* While tokens spread, the same line lives on a terminal; elsewhere each change is a line. */
        bool spreading = json_array_size(json_object_get(e, "propagation")) > 0;
        clear_live(f);
        if (spreading && f->tty) {
                fprintf(stderr, "%.118s", line);
                f->live = true;
        } else {
                fprintf(stderr, "%s\n", line);
        }
}

static void show_servers(struct follow *f, const json_t *e)
{
        size_t i, k;
        json_t *p, *s;
        if (f->o->quiet || strcmp(json_str(e, "state") ? json_str(e, "state") : "", "submitted") != 0)
                return;
        json_array_foreach(json_object_get(e, "propagation"), i, p)
        {
                json_array_foreach(json_object_get(p, "servers"), k, s)
                {
                        fprintf(stderr, "           %s (%s) %s after %lld ms\n", json_str(s, "name"),
                                json_str(s, "address"), json_str(s, "look"),
                                (long long)json_i64(s, "seen_after_ms", -1));
                }
        }
}

static void remove_id(json_t *list, int64_t id)
{
        for (size_t i = 0; i < json_array_size(list); i++)
                if (json_integer_value(json_array_get(list, i)) == id) {
                        json_array_remove(list, i);
                        return;
                }
}

/* Days may pass: the terminal is given back, the job goes on. What a manual publisher waits for is left to the user's
 * patience. */
static bool waits_long(const json_t *e)
{
        const char *code = json_str(json_object_get(e, "error"), "code");
        return json_is_object(json_object_get(e, "waiting")) && code &&
                (strcmp(code, "person") == 0 || strcmp(code, "review") == 0 || strcmp(code, "R4") == 0);
}

static bool on_event(void *arg, const json_t *e)
{
        struct follow *f = arg;
        show(f, e);
        show_servers(f, e);
        bool ended = json_bool(e, "ended", false);
        if (!ended && !(waits_long(e) && !f->o->local))
                return true;
        clear_live(f);
        const json_t *error = json_object_get(e, "error");
        if (ended && error && json_str(error, "fix") && json_i64(e, "exit", 0) != 0)
                cli_progress(f->o, "           %s", json_str(error, "fix"));
        if (!ended && error && json_str(error, "fix"))
                cli_progress(f->o, "           %s; job %lld goes on: dcvctl status %s", json_str(error, "fix"),
                        (long long)json_i64(e, "job", 0), json_str(e, "cert"));
        f->worst = worse(f->worst, ended ? (int)json_i64(e, "exit", 1) : EXIT_WAITING);
        json_array_append(f->results, (json_t *)e);
        remove_id(f->left, json_i64(e, "job", 0));
        return json_array_size(f->left) > 0;
}

static void table(const struct follow *f)
{
        size_t i;
        json_t *e;
        if (!f->many || f->o->quiet)
                return;
        json_array_foreach(f->results, i, e)
        {
                printf("%-24s %-10s %s\n", json_str(e, "cert"), json_str(e, "state"),
                        json_str(e, "text") ? json_str(e, "text") : "");
        }
}

/* A job that ended before we began to follow has no events left: ask. */
static void catch_up(struct follow *f, struct session *s, const json_t *jobs)
{
        for (size_t i = 0; i < json_array_size(jobs); i++) {
                CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "id", json_array_get(jobs, i));
                CLEANUP(json_decref_p) json_t *now = NULL;
                struct err e;
                if (!session_ask(s, "job", args, &now, &e))
                        continue;
                if (json_bool(now, "ended", false))
                        json_put_i64(now, "exit", json_i64(now, "exit_of_job", 1));
                (void)on_event(f, now);
        }
}

static int finish(struct follow *f, bool followed, const struct err *e)
{
        clear_live(f);
        if (!followed && e->kind == ERR_CANCELLED) {
                for (size_t i = 0; i < json_array_size(f->left); i++)
                        fprintf(stderr, "job %lld goes on; dcvctl status\n",
                                (long long)json_integer_value(json_array_get(f->left, i)));
                return EXIT_INTERRUPTED;
        }
        if (!followed && strcmp(e->code, "timeout") == 0) {
                cli_progress(f->o, "the job goes on; dcvctl status shows it");
                return EXIT_WAITING;
        }
        if (!followed)
                return cli_fail(f->o, e);
        if (f->o->json) {
                CLEANUP(json_decref_p) json_t *document = json_pack("{s:O, s:i}", "jobs", f->results, "exit", f->worst);
                cli_print_json(document);
        } else {
                table(f);
        }
        return f->worst;
}

int cli_follow_jobs(const struct cli_options *o, struct session *s, const json_t *jobs)
{
        struct err e = { 0 };
        CLEANUP(json_decref_p) json_t *left = json_deep_copy(jobs);
        CLEANUP(json_decref_p) json_t *results = json_array();
        struct follow f = { .o = o,
                .left = left,
                .results = results,
                .many = json_array_size(jobs) > 1,
                .tty = o->color && isatty(STDERR_FILENO) };
        catch_up(&f, s, jobs);
        bool followed = json_array_size(f.left) == 0 || session_follow(s, jobs, on_event, &f, o->timeout_ms, &e);
        return finish(&f, followed, &e);
}
