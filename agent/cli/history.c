/* dcvctl history */
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/cli.h"

static void print_row(const json_t *row)
{
        char when[32];
        const json_t *data = json_object_get(row, "data");
        CLEANUP(free_p) char *text = json_text(data);
        format_time(json_i64(row, "at", 0), when, sizeof when);
        printf("%s %-16s", when, json_str(row, "cert") ? json_str(row, "cert") : "-");
        if (json_i64(row, "job", 0))
                printf(" job %lld", (long long)json_i64(row, "job", 0));
        if (strcmp(json_str(row, "event"), "state") == 0 && json_str(data, "to"))
                printf(" %s -> %s%s%s\n", json_str(data, "from"), json_str(data, "to"),
                        json_str(data, "why") ? ": " : "", json_str(data, "why") ? json_str(data, "why") : "");
        else
                printf(" %s %s\n", json_str(row, "event"), text ? text : "");
}

/* A point in time, or how long ago: "3d". */
static bool since_of(const char *text, int64_t *ret)
{
        int64_t ago_ms;
        if (parse_time(text, ret))
                return true;
        if (!parse_duration_ms(text, &ago_ms))
                return false;
        *ret = clock_now_s() - ago_ms / 1000;
        return true;
}

int cli_history(const struct cli_options *o, int argc, char **argv)
{
        const char *since = NULL;
        int64_t since_s = 0;
        size_t i;
        json_t *row;
        struct err e;
        struct session *s = NULL;
        const struct cli_arg options[] = { { "--since", &since, NULL }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) > 1)
                return cli_usage("history takes one certificate at most");
        if (since && !since_of(since, &since_s))
                return cli_usage("--since %s: a time like 2026-11-23T07:00:00Z or an age like 3d", since);
        CLEANUP(json_decref_p)
        json_t *args = json_pack(
                "{s:s?, s:I}", "cert", json_string_value(json_array_get(names, 0)), "since", (json_int_t)since_s);
        if (!session_open(&s, o, true, &e))
                return cli_fail(o, &e);
        bool good = session_ask(s, "history", args, &r, &e);
        session_close(s);
        if (!good)
                return cli_fail(o, &e);
        if (o->json) {
                cli_print_json(r);
        } else {
                json_array_foreach(json_object_get(r, "history"), i, row)
                {
                        print_row(row);
                }
        }
        if (json_bool(r, "intact", true))
                return EXIT_GOOD;
        fprintf(stderr, "dcvctl: %s\n", json_str(r, "broken"));
        return EXIT_JOB_FAILED;
}
