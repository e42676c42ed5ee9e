/* dcvctl deploy */
#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_deploy(const struct cli_options *o, int argc, char **argv)
{
        const char *set = NULL;
        int64_t number = 0;
        const struct cli_arg options[] = { { "--set", &set, NULL }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("deploy takes one certificate");
        if (set && !parse_i64(set, 1, UINT32_MAX, &number))
                return cli_usage("--set %s: a number of dcvctl sets", set);
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "cert", json_array_get(names, 0));
        if (set)
                json_put_i64(args, "set", number);
        return cli_simple(o, "deploy", args, NULL);
}
