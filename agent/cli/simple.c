#include "agent/cli/simple.h"

#include <stdio.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

static bool ask(
        const struct cli_options *o, struct session *s, const char *verb, json_t *args, json_t **ret, int *ret_status)
{
        struct err e;
        json_t *r = NULL;
        if (!session_ask(s, verb, args, &r, &e)) {
                *ret_status = cli_fail(o, &e);
                return false;
        }
        if (json_bool(r, "confirm", false) && !o->dry_run) {
                int asked = cli_confirm(o, json_str(r, "text") ? json_str(r, "text") : "This cannot be undone.");
                json_decref(r);
                r = NULL;
                json_put_bool(args, "yes", true);
                if (asked != EXIT_GOOD || !session_ask(s, verb, args, &r, &e)) {
                        *ret_status = asked != EXIT_GOOD ? asked : cli_fail(o, &e);
                        return false;
                }
        }
        *ret = r;
        return true;
}

int cli_answer(const struct cli_options *o, const json_t *answer, print_fn *print)
{
        if (o->json)
                cli_print_json(answer);
        else if (!o->quiet && print)
                print(stdout, answer);
        else if (!o->quiet && json_str(answer, "text"))
                printf("%s\n", json_str(answer, "text"));
        return (int)json_i64(answer, "exit", 0);
}

int cli_simple(const struct cli_options *o, const char *verb, json_t *args, print_fn *print)
{
        struct session *s = NULL;
        struct err e;
        int status = EXIT_GOOD;
        CLEANUP(json_decref_p) json_t *r = NULL;
        json_put_bool(args, "yes", o->yes);
        json_put_bool(args, "dry_run", o->dry_run);
        if (!session_open(&s, o, true, &e))
                return cli_fail(o, &e);
        if (ask(o, s, verb, args, &r, &status))
                status = json_array_size(json_object_get(r, "jobs")) > 0 ? cli_after_start(o, s, r)
                                                                         : cli_answer(o, r, print);
        session_close(s);
        return status;
}
