/* dcvctl revoke */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

int cli_revoke(const struct cli_options *o, int argc, char **argv)
{
        const char *serial = NULL, *reason = NULL;
        bool live = false;
        const struct cli_arg options[] = { { "--serial", &serial, NULL }, { "--reason", &reason, NULL },
                { "--live", NULL, &live }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("revoke takes one certificate");
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:s?, s:s?, s:b}", "cert", json_array_get(names, 0), "serial", serial, "reason",
                reason, "live", live);
        return cli_simple(o, "revoke", args, NULL);
}
