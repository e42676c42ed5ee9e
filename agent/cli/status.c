/* dcvctl status */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/cli.h"

#define WATCH_S 2
#define URGENT_S (7 * 86400)

static const char *or_dash(const char *text)
{
        return text && text[0] ? text : "-";
}

static void print_names(const json_t *c)
{
        size_t i;
        json_t *n;
        printf("%s:", json_str(c, "name"));
        json_array_foreach(json_object_get(c, "names"), i, n)
        {
                printf(" %s", json_string_value(n));
        }
        printf("%s\n", json_bool(c, "configured", true) ? "" : " (no longer in the configuration)");
}

static void print_waiting(const json_t *job)
{
        const json_t *w = json_object_get(job, "waiting");
        char when[64];
        if (!json_is_object(w))
                return;
        printf("  WAITS     for %s", or_dash(json_str(w, "party")));
        if (json_str(w, "act") && json_str(w, "act")[0])
                printf(": %s", json_str(w, "act"));
        if (json_i64(w, "since", 0))
                printf(", since %s", cli_when(json_i64(w, "since", 0), when));
        if (json_i64(w, "deadline", 0))
                printf(", by %s", cli_when(json_i64(w, "deadline", 0), when));
        printf("\n");
        if (json_str(w, "place") && json_str(w, "place")[0])
                printf("            %s\n", json_str(w, "place"));
}

static void print_job(const json_t *job)
{
        const json_t *error = json_object_get(job, "error");
        char when[64];
        if (!json_is_object(job))
                return;
        printf("  JOB       %lld %s, attempt %lld%s%s%s%s\n", (long long)json_i64(job, "job", 0),
                json_str(job, "state"), (long long)json_i64(job, "attempt", 0), json_str(job, "ca") ? " at " : "",
                json_str(job, "ca") ? json_str(job, "ca") : "", json_str(job, "order") ? ", order " : "",
                json_str(job, "order") ? json_str(job, "order") : "");
        if (json_str(job, "progress") && json_str(job, "progress")[0])
                printf("            %s\n", json_str(job, "progress"));
        print_waiting(job);
        if (error) {
                printf("  %-9s %s\n", json_is_object(json_object_get(job, "waiting")) ? "" : "TROUBLE",
                        json_str(error, "text"));
                if (json_str(error, "fix") && json_str(error, "fix")[0])
                        printf("            %s\n", json_str(error, "fix"));
        }
        if (json_i64(job, "next", 0))
                printf("  NEXT      %s\n", cli_when(json_i64(job, "next", 0), when));
}

static void print_live(const json_t *c)
{
        const json_t *live = json_object_get(c, "live");
        char when[64];
        if (!json_is_object(live)) {
                printf("  LIVE      %s\n", or_dash(json_str(c, "adopted")));
                return;
        }
        printf("  LIVE      set %lld until %s%s\n", (long long)json_i64(live, "set", 0),
                cli_when(json_i64(live, "not_after", 0), when),
                json_bool(live, "compromised", false) ? "; its key is marked compromised" : "");
}

static void print_served(const json_t *c)
{
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(c, "served"), i, x)
        {
                printf("  SERVED    %s%s%s %s\n", json_str(x, "endpoint"), json_str(x, "sni") ? " as " : "",
                        json_str(x, "sni") ? json_str(x, "sni") : "",
                        json_bool(x, "match", false) ? "the live certificate" : or_dash(json_str(x, "text")));
        }
}

static void print_tokens(const json_t *c)
{
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(c, "tokens"), i, x)
        {
                printf("  TOKEN     %s \"%s\" by %s: %s%s%s\n", json_str(x, "token"), json_str(x, "value"),
                        json_str(x, "publisher"), json_str(x, "state"), json_str(x, "problem") ? ": " : "",
                        json_str(x, "problem") ? json_str(x, "problem") : "");
        }
}

static void print_cert(const json_t *c)
{
        size_t i;
        json_t *note;
        print_names(c);
        print_live(c);
        print_job(json_object_get(c, "job"));
        printf("  REISSUE   %s\n", or_dash(json_str(c, "reissue")));
        json_array_foreach(json_object_get(json_object_get(c, "reissuable"), "notes"), i, note)
        {
                printf("            %s\n", json_string_value(note));
        }
        print_served(c);
        print_tokens(c);
        if (json_str(c, "stopped"))
                printf("  STOPPED   %s\n", json_str(c, "stopped"));
}

/* --check: failed, stuck, not served, or under seven days. */
static bool bad(const json_t *c)
{
        size_t i;
        json_t *x;
        const json_t *live = json_object_get(c, "live"), *job = json_object_get(c, "job");
        json_array_foreach(json_object_get(c, "served"), i, x)
        {
                if (!json_bool(x, "match", false))
                        return true;
        }
        if (json_i64(c, "last_failure", 0) > json_i64(c, "last_success", 0) || json_str(c, "stopped"))
                return true;
        if (json_is_object(job) && json_object_get(job, "error") && !json_is_object(json_object_get(job, "waiting")))
                return true;
        return !json_is_object(live) || json_i64(live, "not_after", 0) - clock_now_s() < URGENT_S ||
                json_bool(live, "compromised", false);
}

static int show(const struct cli_options *o, struct session *s, const json_t *args, bool check)
{
        struct err e;
        size_t i;
        json_t *c;
        int status = EXIT_GOOD;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!session_ask(s, "status", args, &r, &e))
                return cli_fail(o, &e);
        if (o->json)
                cli_print_json(r);
        json_array_foreach(json_object_get(r, "certificates"), i, c)
        {
                if (!o->json && !o->quiet)
                        print_cert(c);
                if (check && bad(c))
                        status = EXIT_JOB_FAILED;
        }
        if (!o->json && !o->quiet && json_array_size(json_object_get(r, "certificates")) == 0)
                printf("no certificate is configured\n");
        return status;
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
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O, s:b}", "certs", names, "records", records);
        if (!session_open(&s, o, false, &e))
                return cli_fail(o, &e);
        int status;
        for (;;) {
                if (watch && isatty(STDOUT_FILENO))
                        fputs("\033[H\033[2J", stdout);
                status = show(o, s, args, check);
                if (!watch || status == EXIT_NO_DAEMON)
                        break;
                fflush(stdout);
                if (sleep(WATCH_S) > 0) /* interrupted */
                        break;
        }
        session_close(s);
        return status;
}
