/* dcvctl status */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

#define WATCH_S 2
#define URGENT_S (7 * 86400)

static const char *or_dash(const char *text)
{
        return text && text[0] ? text : "-";
}

static void print_names(FILE *to, const json_t *c)
{
        size_t i;
        json_t *n;
        fprintf(to, "%s:", json_str(c, "name"));
        json_array_foreach(json_object_get(c, "names"), i, n)
        {
                fprintf(to, " %s", json_string_value(n));
        }
        fprintf(to, "%s\n", json_bool(c, "configured", true) ? "" : " (no longer in the configuration)");
}

static void print_waiting(FILE *to, const json_t *job)
{
        const json_t *w = json_object_get(job, "waiting");
        char when[64];
        if (!json_is_object(w))
                return;
        fprintf(to, "  WAITS     for %s", or_dash(json_str(w, "party")));
        if (json_str(w, "act") && json_str(w, "act")[0])
                fprintf(to, ": %s", json_str(w, "act"));
        if (json_i64(w, "since", 0))
                fprintf(to, ", since %s", cli_when(json_i64(w, "since", 0), when));
        if (json_i64(w, "deadline", 0))
                fprintf(to, ", by %s", cli_when(json_i64(w, "deadline", 0), when));
        fprintf(to, "\n");
        if (json_str(w, "place") && json_str(w, "place")[0])
                fprintf(to, "            %s\n", json_str(w, "place"));
}

/* Each line of it; the label before the first. */
static void print_lines(FILE *to, const char *label, const char *text)
{
        while (text && *text) {
                int len = (int)strcspn(text, "\n");
                fprintf(to, "  %-9s %.*s\n", label, len, text);
                label = "";
                text += len + (text[len] == '\n');
        }
}

static void print_job(FILE *to, const json_t *job)
{
        const json_t *error = json_object_get(job, "error");
        char when[64];
        if (!json_is_object(job))
                return;
        fprintf(to, "  JOB       %lld %s, attempt %lld%s%s%s%s\n", (long long)json_i64(job, "job", 0),
                json_str(job, "state"), (long long)json_i64(job, "attempt", 0), json_str(job, "ca") ? " at " : "",
                json_str(job, "ca") ? json_str(job, "ca") : "", json_str(job, "order") ? ", order " : "",
                json_str(job, "order") ? json_str(job, "order") : "");
        if (json_str(job, "progress") && json_str(job, "progress")[0])
                fprintf(to, "            %s\n", json_str(job, "progress"));
        print_lines(to, "CA SAYS", json_str(job, "ca_says"));
        print_lines(to, "DCVD SAW", json_str(job, "dcvd_saw"));
        print_waiting(to, job);
        if (error) {
                fprintf(to, "  %-9s %s\n", json_is_object(json_object_get(job, "waiting")) ? "" : "TROUBLE",
                        json_str(error, "text"));
                if (json_str(error, "fix") && json_str(error, "fix")[0])
                        fprintf(to, "            %s\n", json_str(error, "fix"));
        }
        if (json_i64(job, "next", 0))
                fprintf(to, "  NEXT      %s\n", cli_when(json_i64(job, "next", 0), when));
}

static bool has_failed(const json_t *last_job)
{
        const char *state = json_str(last_job, "state");
        return state && strcmp(state, "failed") == 0;
}

/* Whoever started it from a script never saw it: told until a later one succeeds. */
static void print_failed(FILE *to, const json_t *last_job)
{
        char when[64];
        if (!has_failed(last_job))
                return;
        fprintf(to, "  FAILED    %s: %s\n", cli_when(json_i64(last_job, "at", 0), when),
                or_dash(json_str(last_job, "text")));
        if (json_str(last_job, "fix"))
                fprintf(to, "            %s\n", json_str(last_job, "fix"));
}

static void print_live(FILE *to, const json_t *c)
{
        const json_t *live = json_object_get(c, "live");
        char when[64];
        int64_t revoked_s = json_i64(live, "revoked", 0);
        if (!json_is_object(live)) {
                fprintf(to, "  LIVE      %s\n", or_dash(json_str(c, "adopted")));
                return;
        }
        fprintf(to, "  LIVE      set %lld until %s%s", (long long)json_i64(live, "set", 0),
                cli_when(json_i64(live, "not_after", 0), when),
                json_bool(live, "compromised", false) ? "; its key is marked compromised" : "");
        if (revoked_s > 0)
                fprintf(to, "; revoked on %s", cli_when(revoked_s, when));
        fputc('\n', to);
}

static void print_served(FILE *to, const json_t *c)
{
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(c, "served"), i, x)
        {
                fprintf(to, "  SERVED    %s%s%s %s\n", json_str(x, "endpoint"), json_str(x, "sni") ? " as " : "",
                        json_str(x, "sni") ? json_str(x, "sni") : "",
                        json_bool(x, "match", false) ? "the live certificate" : or_dash(json_str(x, "text")));
        }
        if (!json_bool(c, "looked_at", true))
                fprintf(to, "  SERVED    deployed, not looked at\n");
}

static void print_tokens(FILE *to, const json_t *c)
{
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(c, "tokens"), i, x)
        {
                const char *publish = json_str(x, "please_publish");
                if (publish) {
                        fprintf(to, "  TOKEN     please publish: %s\n", publish);
                        continue;
                }
                fprintf(to, "  TOKEN     %s \"%s\" by %s: %s%s%s\n", json_str(x, "token"), json_str(x, "value"),
                        json_str(x, "publisher"), json_str(x, "state"), json_str(x, "problem") ? ": " : "",
                        json_str(x, "problem") ? json_str(x, "problem") : "");
        }
}

static void print_cert(FILE *to, const json_t *c)
{
        size_t i;
        json_t *note;
        print_names(to, c);
        print_live(to, c);
        if (json_str(c, "end"))
                fprintf(to, "  END       %s\n", json_str(c, "end"));
        print_job(to, json_object_get(c, "job"));
        print_failed(to, json_object_get(c, "last_job"));
        fprintf(to, "  REISSUE   %s\n", or_dash(json_str(c, "reissue")));
        json_array_foreach(json_object_get(json_object_get(c, "reissuable"), "notes"), i, note)
        {
                fprintf(to, "            %s\n", json_string_value(note));
        }
        if (json_str(c, "key"))
                fprintf(to, "  KEY       %s\n", json_str(c, "key"));
        if (json_i64(c, "newest_set", 0))
                fprintf(to, "  NEWEST    set %lld is the newest: dcvctl deploy %s --set %lld\n",
                        (long long)json_i64(c, "newest_set", 0), json_str(c, "name"),
                        (long long)json_i64(c, "newest_set", 0));
        print_served(to, c);
        print_tokens(to, c);
        if (json_str(c, "stopped"))
                fprintf(to, "  STOPPED   %s\n", json_str(c, "stopped"));
        if (json_str(c, "trouble")) /* of --check */
                fprintf(to, "  CHECK     %s\n", json_str(c, "trouble"));
}

const char *status_trouble(const json_t *c, int64_t now_s)
{
        size_t i;
        json_t *x;
        const json_t *live = json_object_get(c, "live"), *job = json_object_get(c, "job"),
                     *last = json_object_get(c, "last_job");
        if (!json_is_object(live))
                return "not adopted";
        if (has_failed(last))
                return "the last job failed";
        if (json_str(c, "stopped"))
                return "stopped";
        if (json_is_object(job) && json_object_get(job, "error") && !json_is_object(json_object_get(job, "waiting")))
                return "its job is stuck";
        if (json_bool(live, "compromised", false))
                return "the live key is marked compromised";
        if (json_i64(live, "revoked", 0) > 0)
                return "the live certificate is revoked";
        json_array_foreach(json_object_get(c, "served"), i, x)
        {
                if (!json_bool(x, "match", false))
                        return "not served";
        }
        return json_i64(live, "not_after", 0) - now_s < URGENT_S ? "under seven days" : NULL;
}

static int check_all(json_t *status)
{
        size_t i;
        json_t *c;
        int worst = EXIT_GOOD;
        json_array_foreach(json_object_get(status, "certificates"), i, c)
        {
                const char *why = status_trouble(c, clock_now_s());
                json_put_text(c, "trouble", why);
                if (why)
                        worst = EXIT_JOB_FAILED;
        }
        if (json_is_object(json_object_get(status, "held")))
                worst = cli_worse(worst, EXIT_REFUSED);
        json_put_i64(status, "exit", worst);
        return worst;
}

static void print_incidents_of(FILE *to, const json_t *answer)
{
        size_t i;
        json_t *x;
        const char *held = json_str(json_object_get(answer, "held"), "text");
        json_array_foreach(json_object_get(answer, "incidents"), i, x)
        {
                fprintf(to, "INCIDENT %lld: %s (dcvctl incident %lld)\n", (long long)json_i64(x, "id", 0),
                        or_dash(json_str(x, "line")), (long long)json_i64(x, "id", 0));
        }
        if (held)
                fprintf(to, "HELD %s\n", held);
}

void print_status(FILE *to, const json_t *answer)
{
        size_t i;
        json_t *c;
        char until[64];
        int64_t rest_s = json_i64(answer, "rest_until", 0);
        print_incidents_of(to, answer);
        if (rest_s)
                fprintf(to, "REBUILT the journal was lost: nothing starts by itself before %s; what you ask for does\n",
                        cli_when(rest_s, until));
        json_array_foreach(json_object_get(answer, "certificates"), i, c)
        {
                print_cert(to, c);
        }
        if (i == 0)
                fprintf(to, "no certificate is configured\n");
}

static int show(const struct cli_options *o, struct session *s, const json_t *args, bool check)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!session_ask(s, "status", args, &r, &e))
                return cli_fail(o, &e);
        if (check)
                (void)check_all(r); /* its exit is in the document */
        return cli_answer(o, r, print_status);
}

static volatile sig_atomic_t stopped;

static void on_interrupt(int signum)
{
        (void)signum;
        stopped = 1;
}

/* Until Ctrl-C; where nobody looks at a terminal, one picture after the other. */
static int watch_it(const struct cli_options *o, struct session *s, const json_t *args, bool check)
{
        struct sigaction action = { .sa_handler = on_interrupt };
        (void)sigaction(SIGINT, &action, NULL); /* the session's own handler is for one question */
        for (;;) {
                if (isatty(STDOUT_FILENO))
                        fputs("\033[H\033[2J", stdout);
                int status = show(o, s, args, check);
                if (stopped)
                        return EXIT_INTERRUPTED;
                if (status == EXIT_NO_DAEMON || status == EXIT_USAGE || fflush(stdout) != 0)
                        return status;
                if (sleep(WATCH_S) > 0 || stopped)
                        return EXIT_INTERRUPTED;
        }
}

int cli_status(const struct cli_options *o, int argc, char **argv)
{
        bool watch = false, check = false, records = false;
        const struct cli_arg options[] = { { "--watch", NULL, &watch }, { "--check", NULL, &check },
                { "--records", NULL, &records }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (watch && o->json)
                return cli_usage("--watch and --json exclude each other");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O, s:b}", "certs", names, "records", records);
        if (!session_open(&s, o, false, &e))
                return cli_fail(o, &e);
        int status = watch ? watch_it(o, s, args, check) : show(o, s, args, check);
        session_close(s);
        return status;
}
