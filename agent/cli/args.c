#include "agent/cli/args.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/cli/cli.h"
#include "agent/cli/common.h"

/* Names the option that was meant: the command's own, or a common one. */
static void unknown(const char *text, const struct cli_arg *args)
{
        const char *best = NULL;
        unsigned max = 3;
        for (const struct cli_arg *a = args; a->name; a++) {
                unsigned distance = text_distance(text, a->name, max);
                if (distance <= max) {
                        best = a->name;
                        max = distance;
                }
        }
        const char *common = cli_common_near(text, best && max > 0 ? max - 1 : max);
        if (common || best)
                cli_usage("unknown option %s; did you mean %s?", text, common ? common : best);
        else
                cli_usage("unknown option %s", text);
}

static bool take(int argc, char **argv, int *at, const struct cli_arg *args)
{
        const char *text = argv[*at], *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : strlen(text);
        for (const struct cli_arg *a = args; a->name; a++) {
                if (strlen(a->name) != len || strncmp(a->name, text, len) != 0)
                        continue;
                if (a->flag && !equals)
                        return *a->flag = true;
                if (a->flag)
                        return cli_usage("%s takes no value", a->name) == 0;
                if (!equals && *at + 1 >= argc)
                        return cli_usage("%s needs a value", a->name) == 0;
                *a->value = equals ? equals + 1 : argv[++*at];
                return true;
        }
        unknown(text, args);
        return false;
}

bool cli_args(int argc, char **argv, const struct cli_arg *args, json_t **ret_names)
{
        json_t *names = json_array();
        bool only_names = false;
        for (int i = 1; i < argc; i++) {
                if (!only_names && strcmp(argv[i], "--") == 0) {
                        only_names = true;
                } else if (!only_names && argv[i][0] == '-' && argv[i][1]) {
                        if (!take(argc, argv, &i, args)) {
                                json_decref(names);
                                return false;
                        }
                } else {
                        json_array_append_new(names, json_string(argv[i]));
                }
        }
        *ret_names = names;
        return true;
}
