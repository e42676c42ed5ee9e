/* dcvctl rehearse: what a validation would need is tried with probes; no order is opened. */
#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/live.h"
#include "agent/cli/simple.h"

#define ANSWER_WITHIN_MS ((int64_t)2 * 3600 * 1000) /* the rehearsal ends by itself, long before */
#define AFTER_TIMEOUT_MS 180000 /* its probes still go back */

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

static void print_error(FILE *to, const char *before, const json_t *error)
{
        fprintf(to, "%s%s\n", before, or_empty(json_str(error, "text")));
        if (json_str(error, "fix") && json_str(error, "fix")[0])
                fprintf(to, "      fix: %s\n", json_str(error, "fix"));
}

static double seconds(const json_t *p, const char *key)
{
        return (double)json_i64(p, key, 0) / 1000;
}

static void print_times(FILE *to, const json_t *p)
{
        const json_t *left = json_object_get(p, "left_behind");
        if (!json_object_get(p, "published_after_ms"))
                return;
        fprintf(to, "      published after %.1f s", seconds(p, "published_after_ms"));
        if (json_object_get(p, "seen_after_ms"))
                fprintf(to, ", seen everywhere after %.1f s", seconds(p, "seen_after_ms"));
        if (json_object_get(p, "gone_after_ms"))
                fprintf(to, ", gone %.1f s after its withdrawal", seconds(p, "gone_after_ms"));
        fprintf(to, "\n");
        if (left)
                print_error(to, "      still there: ", left);
}

static void print_probe(FILE *to, const json_t *p)
{
        size_t i;
        json_t *line;
        bool label = json_bool(p, "for_resolvers", false);
        CLEANUP(json_decref_p) json_t *list = json_pack("[O]", p);
        CLEANUP(json_decref_p) json_t *lines = live_servers(list);
        const char *token = json_str(p, "token");
        fprintf(to, "  %s%s%s%s, for %s%s\n", token && token[0] ? token : or_empty(json_str(p, "name")),
                json_str(p, "publisher") ? " by " : "", or_empty(json_str(p, "publisher")),
                json_bool(p, "predicted", false) ? " (the CA names the place with the order: predicted)" : "",
                label ? "the resolvers (a label that no CA uses)" : or_empty(json_str(p, "ca")),
                json_bool(p, "seen", false)           ? ""
                        : json_object_get(p, "error") ? ": not seen"
                                                      : "");
        print_times(to, p);
        if (json_object_get(p, "error"))
                print_error(to, label ? "      resolvers were not asked: " : "      ", json_object_get(p, "error"));
        json_array_foreach(lines, i, line)
        {
                fprintf(to, "%.*s\n", 300, json_string_value(line) + 5);
        }
}

void print_rehearsal(FILE *to, const json_t *r)
{
        size_t i, k;
        json_t *c, *p;
        json_array_foreach(json_object_get(r, "certificates"), i, c)
        {
                const char *verdict = or_empty(json_str(c, "verdict")), *cert = or_empty(json_str(c, "cert"));
                if (strcmp(verdict, "ready") == 0)
                        fprintf(to, "%s: a real validation would be ready in about %lld s\n", cert,
                                (long long)((json_i64(c, "forecast_ms", 0) + 999) / 1000));
                else if (strcmp(verdict, "planned") == 0)
                        fprintf(to, "%s: would publish, look for and withdraw these; nothing is spent\n", cert);
                else
                        fprintf(to, "%s: %s: %s\n", cert,
                                strcmp(verdict, "failed") == 0 ? "a real validation would fail" : "not rehearsed",
                                or_empty(json_str(json_object_get(c, "error"), "text")));
                if (json_array_size(json_object_get(c, "probes")) == 0 && json_object_get(c, "error"))
                        print_error(to, "  ", json_object_get(c, "error"));
                json_array_foreach(json_object_get(c, "probes"), k, p)
                {
                        print_probe(to, p);
                }
        }
}

struct progress {
        const struct cli_options *o;
        char said[600];
};

static bool happened(void *arg, const json_t *event)
{
        struct progress *p = arg;
        char line[600];
        snprintf(line, sizeof line, "%s: %s", or_empty(json_str(event, "cert")), or_empty(json_str(event, "text")));
        if (strcmp(line, p->said) != 0)
                cli_progress(p->o, "%s", line);
        memcpy(p->said, line, sizeof line);
        return true;
}

int cli_rehearse(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *result = NULL;
        struct progress p = { .o = o };
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) == 0)
                return cli_usage("rehearse needs a certificate");
        CLEANUP(json_decref_p)
        json_t *args = json_pack(
                "{s:O, s:b, s:I}", "certs", names, "dry_run", o->dry_run, "timeout_ms", (json_int_t)o->timeout_ms);
        if (!session_open(&s, o, true, &e))
                return cli_fail(o, &e);
        int64_t within_ms = o->timeout_ms ? o->timeout_ms + AFTER_TIMEOUT_MS : ANSWER_WITHIN_MS;
        bool good = session_ask_long(s, "rehearse", args, happened, &p, within_ms, &result, &e);
        int status = good ? cli_answer(o, result, print_rehearsal) : cli_fail(o, &e);
        session_close(s);
        return status;
}
