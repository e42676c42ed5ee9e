/* dcvctl publish: puts the tokens of a certificate's open order out again, now. */
#include <stdio.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

static void print_tokens(FILE *to, const json_t *r)
{
        size_t i;
        json_t *t;
        fprintf(to, "%s\n", json_str(r, "text") ? json_str(r, "text") : "");
        json_array_foreach(json_object_get(r, "tokens"), i, t)
        {
                fprintf(to, "  %s \"%s\" by %s: before, %s%s%s\n", json_str(t, "token"), json_str(t, "value"),
                        json_str(t, "publisher"), json_str(t, "state"), json_str(t, "problem") ? ": " : "",
                        json_str(t, "problem") ? json_str(t, "problem") : "");
        }
}

int cli_publish(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("publish takes one certificate");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "cert", json_array_get(names, 0));
        return cli_simple(o, "publish", args, print_tokens);
}
