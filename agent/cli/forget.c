/* dcvctl forget */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_forget(const struct cli_options *o, int argc, char **argv)
{
        bool purge = false;
        const struct cli_arg options[] = { { "--purge", NULL, &purge }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("forget takes one certificate");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O, s:b}", "cert", json_array_get(names, 0), "purge", purge);
        return cli_simple(o, "forget", args, NULL);
}
