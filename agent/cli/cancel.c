/* dcvctl cancel */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_cancel(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("cancel takes one certificate");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "cert", json_array_get(names, 0));
        return cli_simple(o, "cancel", args, NULL);
}
