/* dcvctl history */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

/* key=value, lists in brackets; what is a text of its own stands last. */
static void print_data(FILE *to, const json_t *data)
{
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)data, key, value)
        {
                CLEANUP(free_p)
                char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
                if (json_is_string(value))
                        fprintf(to, strchr(json_string_value(value), ' ') ? " %s=\"%s\"" : " %s=%s", key,
                                json_string_value(value));
                else if (text && !json_is_null(value))
                        fprintf(to, " %s=%s", key, text);
        }
}

static void print_row(FILE *to, const json_t *row)
{
        char when[32];
        const json_t *data = json_object_get(row, "data");
        const char *event = json_str(row, "event"), *why = json_str(data, "why");
        format_time(json_i64(row, "at", 0), when, sizeof when);
        fprintf(to, "%s %-16s", when, json_str(row, "cert") ? json_str(row, "cert") : "-");
        int64_t job = json_i64(row, "job", 0);
        if (job)
                fprintf(to, job > 0 ? " job %lld" : " rehearsal %lld", (long long)llabs(job));
        if (event && strcmp(event, "state") == 0 && json_str(data, "from") && json_str(data, "to")) {
                fprintf(to, " %s -> %s%s%s", json_str(data, "from"), json_str(data, "to"), why && why[0] ? ": " : "",
                        why ? why : "");
                if (json_str(data, "order"))
                        fprintf(to, " (%s %s)", json_str(data, "ca") ? json_str(data, "ca") : "order",
                                json_str(data, "order"));
                if (json_str(data, "fix"))
                        fprintf(to, "; fix: %s", json_str(data, "fix"));
        } else {
                fprintf(to, " %s", event ? event : "");
                print_data(to, data);
        }
        fputc('\n', to);
}

void print_history(FILE *to, const json_t *answer)
{
        size_t i;
        json_t *row;
        json_array_foreach(json_object_get(answer, "history"), i, row)
        {
                print_row(to, row);
        }
        if (i == 0)
                fprintf(to, "nothing is written\n");
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
        struct cli_options mine = *o;
        mine.look = true;
        if (!session_open(&s, &mine, true, &e))
                return cli_fail(o, &e);
        bool good = session_ask(s, "history", args, &r, &e);
        session_close(s);
        if (!good)
                return cli_fail(o, &e);
        int status = cli_answer(o, r, print_history);
        if (!json_bool(r, "intact", true))
                fprintf(stderr, "dcvctl: %s\n", json_str(r, "broken"));
        return status;
}
