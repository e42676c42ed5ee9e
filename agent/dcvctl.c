/* dcvctl: the operator's command. Common options, then the command's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "agent/cli/common.h"
#include "config/config.h"

static const char common_options[] =
        "  --config FILE       configuration (DCVD_CONFIG; " CONF_DEFAULT_PATH ")\n"
        "  --json              one JSON document on standard output\n"
        "  --quiet             no progress, no text; errors only\n"
        "  --no-color          no colours (NO_COLOR)\n"
        "  --timeout DURATION  how long to follow a job or to wait for an answer (90s, 10m); the job goes on\n"
        "  --yes               no questions\n"
        "  --dry-run           say what would happen, do nothing; exit as the real run\n"
        "  --wait              follow the job to its end (on a terminal: the default)\n"
        "  --detach            return when the job is journalled (elsewhere: the default)\n"
        "  -h, --help          this, or a command with its options and examples\n"
        "  --version           the version\n";

static int help(void)
{
        printf("dcvctl " DCVD_VERSION
               " - asks dcvd, the domain control validation daemon\n\nusage: dcvctl [options] COMMAND ...\n\n");
        for (const struct cli_command *c = cli_commands; c->name; c++)
                printf("  %-10s %s\n", c->name, c->about);
        printf("\noptions of every command:\n%s\n"
               "exit status: 0 done, 1 failed, 2 usage or configuration, 3 no daemon answers, 4 waiting for a person "
               "or "
               "the CA,\n5 refused by a rule, 130 interrupted\n"
               "dcvctl COMMAND --help shows a command with examples; dcvctl(8) all of it.\n",
                common_options);
        return EXIT_GOOD;
}

static void indented(const char *title, const char *lines)
{
        if (!lines[0])
                return;
        printf("\n%s:\n", title);
        while (*lines) {
                int len = (int)strcspn(lines, "\n");
                printf("  %.*s\n", len, lines);
                lines += len + (lines[len] == '\n');
        }
}

static int help_of(const struct cli_command *c)
{
        printf("usage: dcvctl %s%s%s\n\n%s\n", c->name, c->synopsis[0] ? " " : "", c->synopsis, c->about);
        indented("options", c->options);
        indented("examples", c->examples);
        printf("\noptions of every command: --config --json --quiet --no-color --timeout --yes --dry-run --wait "
               "--detach "
               "--help --version\n");
        return EXIT_GOOD;
}

static const struct cli_command *find(const char *name)
{
        const char *near = NULL;
        unsigned max = 2;
        for (const struct cli_command *c = cli_commands; c->name; c++) {
                unsigned distance = text_distance(name, c->name, max);
                if (distance == 0)
                        return c;
                if (distance > max)
                        continue;
                near = c->name;
                max = distance;
        }
        if (name[0] == '-')
                near = cli_common_near(name, 3);
        const char *what = name[0] == '-' ? "option" : "command";
        if (near)
                cli_usage("unknown %s %s; did you mean %s?", what, name, near);
        else
                cli_usage("unknown %s %s", what, name);
        return NULL;
}

static int version(bool json)
{
        printf(json ? "{\"program\": \"dcvctl\", \"version\": \"" DCVD_VERSION "\"}\n" : "dcvctl " DCVD_VERSION "\n");
        return EXIT_GOOD;
}

static int run(int argc, char **argv)
{
        const char *config = getenv("DCVD_CONFIG"), *no_color = getenv("NO_COLOR");
        struct cli_common c = { .o = { .config = config && config[0] ? config : CONF_DEFAULT_PATH,
                                        .color = !no_color || !no_color[0],
                                        .argv = argv } };
        CLEANUP(free_p) char **rest = calloc((size_t)argc + 1, sizeof *rest);
        int count = 0;
        if (!rest)
                return EXIT_JOB_FAILED;
        if (!cli_common_read(argc, argv, &c, rest, &count))
                return EXIT_USAGE;
        if (c.version)
                return version(c.o.json);
        if (count > 0 && strcmp(rest[0], "help") == 0) {
                c.help = true;
                memmove(rest, rest + 1, (size_t)count-- * sizeof *rest);
        }
        if (count == 0)
                return c.help ? help() : cli_usage("no command was given");
        log_init("dcvctl", LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
        const struct cli_command *command = find(rest[0]);
        if (!command)
                return EXIT_USAGE;
        if (c.help)
                return help_of(command);
        cli_usage_of(command->name);
        int status = command->run(&c.o, count, rest);
        metrics_done();
        return status;
}

int main(int argc, char **argv)
{
        int status = run(argc, argv);
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        fprintf(stderr, "dcvctl: standard output: %s\n", strerror(errno));
        return status ? status : EXIT_JOB_FAILED;
}
