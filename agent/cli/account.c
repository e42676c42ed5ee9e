/* dcvctl account */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_account(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *words = NULL;
        if (!cli_args(argc, argv, options, &words))
                return EXIT_USAGE;
        if (json_array_size(words) != 2)
                return cli_usage("account show|rollover|deactivate CA");
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:O}", "verb", json_array_get(words, 0), "ca", json_array_get(words, 1));
        return cli_simple(o, "account", args, NULL);
}
