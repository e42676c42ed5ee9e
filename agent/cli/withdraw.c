/* dcvctl withdraw */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_withdraw(const struct cli_options *o, int argc, char **argv)
{
        bool stale = false;
        const struct cli_arg options[] = { { "--stale", NULL, &stale }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) + stale != 1)
                return cli_usage("withdraw takes one certificate, or --stale");
        CLEANUP(json_decref_p)
        json_t *args = stale ? json_pack("{s:b}", "stale", 1) : json_pack("{s:O}", "cert", json_array_get(names, 0));
        return cli_simple(o, "withdraw", args, NULL);
}
