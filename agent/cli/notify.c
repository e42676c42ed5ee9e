/* dcvctl notify test */
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_notify(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *words = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &words))
                return EXIT_USAGE;
        if (json_array_size(words) != 2 || strcmp(json_string_value(json_array_get(words, 0)), "test") != 0)
                return cli_usage("notify test NAME");
        if (!session_open(&s, o, false, &e)) /* only the daemon tells anybody anything */
                return cli_fail(o, &e);
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:b}", "name", json_array_get(words, 1), "dry_run", o->dry_run);
        CLEANUP(json_decref_p) json_t *r = NULL;
        int status = session_ask(s, "notify", args, &r, &e) ? cli_answer(o, r, NULL) : cli_fail(o, &e);
        session_close(s);
        return status;
}
