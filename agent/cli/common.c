#include "agent/cli/common.h"

#include <string.h>

#include "agent/base/util.h"

static const char *const valued_names[] = { "--config", "--timeout" };
static const char *const flag_names[] = { "--json", "--quiet", "--no-color", "--yes", "--dry-run", "--wait", "--detach",
        "--help", "-h", "--version" };

static bool flag(struct cli_common *c, const char *text)
{
        bool *const place[ARRAY_LEN(flag_names)] = { &c->o.json, &c->o.quiet, &c->o.color, &c->o.yes, &c->o.dry_run,
                &c->o.wait, &c->o.detach, &c->help, &c->help, &c->version };
        for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
                if (strcmp(flag_names[i], text) == 0) {
                        *place[i] = place[i] != &c->o.color;
                        return true;
                }
        return false;
}

/* 1: taken; 0: another option; -1: said what is wrong. */
static int valued(struct cli_common *c, int argc, char **argv, int *at)
{
        const char *text = argv[*at];
        for (size_t i = 0; i < ARRAY_LEN(valued_names); i++) {
                size_t n = strlen(valued_names[i]);
                if (strncmp(text, valued_names[i], n) != 0 || (text[n] && text[n] != '='))
                        continue;
                const char *value = text[n] == '=' ? text + n + 1 : *at + 1 < argc ? argv[++*at] : NULL;
                bool good = value && value[0];
                if (good && i == 0)
                        c->o.config = value;
                else if (good)
                        good = parse_duration_ms(value, &c->o.timeout_ms) && c->o.timeout_ms > 0;
                if (!good)
                        cli_usage("%s needs %s", valued_names[i], i == 0 ? "a file" : "a duration like 90s or 10m");
                return good ? 1 : -1;
        }
        return 0;
}

bool cli_common_read(int argc, char **argv, struct cli_common *c, char **rest, int *ret_count)
{
        int count = 0;
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--json") == 0)
                        cli_json_errors(true); /* also of what stands before it */
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--") == 0) {
                        while (i < argc)
                                rest[count++] = argv[i++];
                        break;
                }
                int taken = flag(c, argv[i]) ? 1 : valued(c, argc, argv, &i);
                if (taken < 0)
                        return false;
                if (taken == 0)
                        rest[count++] = argv[i];
        }
        *ret_count = count;
        if (c->o.wait && c->o.detach)
                return cli_usage("--wait and --detach exclude each other") == 0;
        return true;
}

const char *cli_common_near(const char *text, unsigned max)
{
        const char *best = NULL;
        for (size_t i = 0; i < ARRAY_LEN(valued_names) + ARRAY_LEN(flag_names); i++) {
                const char *name =
                        i < ARRAY_LEN(valued_names) ? valued_names[i] : flag_names[i - ARRAY_LEN(valued_names)];
                unsigned distance = text_distance(text, name, max);
                if (strlen(name) > 2 && distance <= max) {
                        best = name;
                        max = distance > 0 ? distance - 1 : 0;
                }
        }
        return best;
}
