/* dcvctl sets */
#include <stdio.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

void print_sets(FILE *to, const json_t *r)
{
        size_t i;
        json_t *s;
        char when[64], revoked[64];
        json_array_foreach(json_object_get(r, "sets"), i, s)
        {
                if (json_str(s, "damaged")) {
                        fprintf(to, "%4lld  damaged: %s\n", (long long)json_i64(s, "set", 0), json_str(s, "damaged"));
                        continue;
                }
                int64_t revoked_s = json_i64(s, "revoked", 0);
                fprintf(to, "%4lld %s %-9s ends %-28s serial %s%s%s%s%s\n", (long long)json_i64(s, "set", 0),
                        json_bool(s, "live", false) ? "*" : " ", json_str(s, "origin") ? json_str(s, "origin") : "-",
                        cli_when(json_i64(s, "not_after", 0), when),
                        json_str(s, "serial") ? json_str(s, "serial") : "-",
                        json_bool(s, "compromised", false) ? "  KEY COMPROMISED" : "",
                        revoked_s > 0 ? "  revoked on " : "", revoked_s > 0 ? cli_when(revoked_s, revoked) : "",
                        !json_bool(s, "good", false)               ? "  never seen served"
                                : !json_bool(s, "looked_at", true) ? "  deployed, not looked at"
                                                                   : "");
        }
        if (i == 0)
                fprintf(to, "no sets; dcvctl import takes over what the host has\n");
}

int cli_sets(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("sets takes one certificate");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "cert", json_array_get(names, 0));
        struct cli_options mine = *o;
        mine.look = true;
        return cli_simple(&mine, "sets", args, print_sets);
}
