/* dcvctl: the operator's command. Common options, then the command's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "config/config.h"

static int help(void)
{
        printf("dcvctl " DCVD_VERSION
               " - asks dcvd, the domain control validation daemon\n\nusage: dcvctl [options] COMMAND ...\n\n");
        for (const struct cli_command *c = cli_commands; c->name; c++)
                if (c->about)
                        printf("  %-9s %s\n", c->name, c->about);
        printf("\noptions:\n"
               "  --config FILE        configuration (DCVD_CONFIG; " CONF_DEFAULT_PATH ")\n"
               "  --json               one JSON document on standard output\n"
               "  --quiet, --no-color  less; plain\n"
               "  --timeout DURATION   how long to follow a job (90s, 10m)\n"
               "  --yes                no questions\n"
               "  --dry-run            say what would happen, do nothing\n"
               "  --wait, --detach     follow the job to its end; or return when it is journalled\n"
               "  --help, --version\n\n"
               "exit status: 0 done, 1 failed, 2 usage or configuration, 3 no daemon, 4 waiting for a person or the "
               "CA, 5 refused by a rule\n"
               "dcvctl COMMAND --help shows a command with examples; dcvctl(8) all of it.\n");
        return EXIT_GOOD;
}

static int help_of(const struct cli_command *c)
{
        printf("usage: dcvctl %s %s\n\n%s\n", c->name, c->synopsis, c->about ? c->about : "not in this build");
        if (c->examples[0])
                printf("\nexamples:\n%s", c->examples);
        return EXIT_GOOD;
}

static const struct cli_command *find(const char *name)
{
        const char *near = NULL;
        for (const struct cli_command *c = cli_commands; c->name; c++) {
                if (strcmp(c->name, name) == 0)
                        return c;
                if (!near && text_distance(name, c->name, 2) <= 2)
                        near = c->name;
        }
        if (near)
                cli_usage("unknown command %s; did you mean %s?", name, near);
        else
                cli_usage("unknown command %s", name);
        return NULL;
}

/* Common options may stand before or after the command: taken out of argv wherever they are, up to "--". */
struct common {
        struct cli_options o;
        bool help, version, bad;
};

static bool flag(struct common *c, const char *text)
{
        const struct {
                const char *name;
                bool *flag;
                bool value;
        } flags[] = { { "--json", &c->o.json, true }, { "--quiet", &c->o.quiet, true },
                { "--no-color", &c->o.color, false }, { "--yes", &c->o.yes, true },
                { "--dry-run", &c->o.dry_run, true }, { "--wait", &c->o.wait, true },
                { "--detach", &c->o.detach, true }, { "--help", &c->help, true }, { "-h", &c->help, true },
                { "--version", &c->version, true } };
        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
                if (strcmp(flags[i].name, text) == 0) {
                        *flags[i].flag = flags[i].value;
                        return true;
                }
        return false;
}

static bool valued(struct common *c, int argc, char **argv, int *at)
{
        const char *text = argv[*at], *value = NULL;
        const char *const names[] = { "--config", "--timeout" };
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                size_t n = strlen(names[i]);
                if (strncmp(text, names[i], n) != 0 || (text[n] && text[n] != '='))
                        continue;
                value = text[n] == '=' ? text + n + 1 : *at + 1 < argc ? argv[++*at] : NULL;
                if (!value || (i == 1 && (!parse_duration_ms(value, &c->o.timeout_ms) || c->o.timeout_ms == 0))) {
                        cli_usage("%s needs %s", names[i], i == 0 ? "a file" : "a duration like 90s or 10m");
                        c->bad = true;
                } else if (i == 0) {
                        c->o.config = value;
                }
                return true;
        }
        return false;
}

int main(int argc, char **argv)
{
        const char *config = getenv("DCVD_CONFIG");
        struct common c = { .o = { .config = config && config[0] ? config : CONF_DEFAULT_PATH,
                                    .color = !getenv("NO_COLOR"),
                                    .program = argv[0] } };
        CLEANUP(free_p) char **rest = calloc((size_t)argc + 1, sizeof *rest);
        int count = 0;
        if (!rest)
                return EXIT_JOB_FAILED;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--") == 0) {
                        while (i < argc)
                                rest[count++] = argv[i++];
                        break;
                }
                if (!flag(&c, argv[i]) && !valued(&c, argc, argv, &i))
                        rest[count++] = argv[i];
                if (c.bad)
                        return EXIT_USAGE;
        }
        if (c.version) {
                printf("dcvctl " DCVD_VERSION "\n");
                return EXIT_GOOD;
        }
        if (count == 0)
                return c.help ? help() : cli_usage("no command was given");
        if (c.o.wait && c.o.detach)
                return cli_usage("--wait and --detach exclude each other");
        log_init("dcvctl", LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
        const struct cli_command *command = find(rest[0]);
        if (!command)
                return EXIT_USAGE;
        if (c.help)
                return help_of(command);
        int status = command->run(&c.o, count, rest);
        metrics_done();
        if (fflush(stdout) != 0)
                return status ? status : EXIT_JOB_FAILED;
        return status;
}
