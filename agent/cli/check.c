/* dcvctl check: finds what would make a CA refuse, before anything is spent. Needs no daemon, lock, credential or, with
 * --name, configuration; changes nothing anywhere. */
#include "agent/cli/check.h"

#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/net/loop.h"

#define WATCH_PAUSE_MS 3000
#define TIMEOUT_MS 60000 /* of one whole look */

struct looking {
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        struct check_targets *targets;
        const struct cli_options *o;
        struct check_run *run;
        const struct check_result *result;
        size_t count;
        bool done, interrupted;
};

/* ---- the command line ---- */

/* --name takes every name up to the next option, and may stand more than once. */
static bool take_names(int argc, char **argv, struct check_options *c, char **rest, int *ret_count)
{
        bool naming = false;
        int n = 0;
        rest[n++] = argv[0];
        for (int i = 1; i < argc; i++) {
                bool begins = strcmp(argv[i], "--name") == 0, with = text_starts(argv[i], "--name=");
                if (begins && (i + 1 >= argc || argv[i + 1][0] == '-'))
                        return cli_usage("--name needs a name") == 0;
                if (begins || with)
                        naming = true;
                else if (argv[i][0] == '-')
                        naming = false;
                if (begins)
                        continue;
                if (with || (naming && argv[i][0] != '-')) {
                        if (!texts_add(&c->names, with ? argv[i] + strlen("--name=") : argv[i]))
                                return cli_usage("no memory") == 0;
                        continue;
                }
                rest[n++] = argv[i];
                /* the value of an option is no name */
                bool valued = strcmp(argv[i], "--validation") == 0 || strcmp(argv[i], "--caa") == 0 ||
                        strcmp(argv[i], "--value") == 0;
                if (valued && i + 1 < argc)
                        rest[n++] = argv[++i];
        }
        *ret_count = n;
        return true;
}

static bool read_options(int argc, char **argv, struct check_options *c)
{
        CLEANUP(free_p) char **rest = calloc((size_t)argc + 1, sizeof *rest);
        CLEANUP(json_decref_p) json_t *certs = NULL;
        const struct cli_arg options[] = { { "--validation", &c->validation, NULL }, { "--caa", &c->caa, NULL },
                { "--value", &c->value, NULL }, { "--internal", NULL, &c->internal }, { "-v", NULL, &c->verbose },
                { "--verbose", NULL, &c->verbose }, { "--watch", NULL, &c->watch }, { "--strict", NULL, &c->strict },
                { "--catalogue", NULL, &c->catalogue }, { NULL, NULL, NULL } };
        int n = 0;
        if (!rest || !take_names(argc, argv, c, rest, &n) || !cli_args(n, rest, options, &certs))
                return false;
        for (size_t i = 0; i < json_array_size(certs); i++)
                if (!texts_add(&c->certs, json_string_value(json_array_get(certs, i))))
                        return false;
        return true;
}

/* ---- one look ---- */

static void looked(void *arg, const struct check_result *result, size_t count)
{
        struct looking *l = arg;
        l->result = result;
        l->count = count;
        l->done = true;
}

static void on_signal(void *arg, int signum)
{
        struct looking *l = arg;
        (void)signum;
        l->interrupted = l->done = true;
}

/* The daemon's part is in the time as well; what is left is for the rest, and never nothing. */
static bool look(struct looking *l, struct err *e)
{
        int64_t whole_ms = l->o->timeout_ms ? l->o->timeout_ms : TIMEOUT_MS, begun_ms = clock_boot_ms();
        check_ask_daemon(l->targets, l->o, whole_ms / 2);
        int64_t left_ms = MAX(whole_ms - (clock_boot_ms() - begun_ms), 1);
        const struct check_conf conf = { .loop = l->loop,
                .dns = l->dns,
                .http = l->http,
                .targets = l->targets->item,
                .target_count = l->targets->count,
                .checks = cli_checks,
                .timeout_ms = left_ms };
        l->done = false;
        l->run = check_run_start(&conf, looked, l, e);
        while (l->run && !l->done)
                (void)loop_run_until(l->loop, &l->done, 60000); /* the run has its own end */
        return l->run;
}

static int show(const struct looking *l, const struct check_options *c)
{
        if (l->o->json) {
                CLEANUP(json_decref_p) json_t *document = check_document(l->result, l->count);
                cli_print_json(document);
        } else if (!l->o->quiet) {
                check_print(stdout, l->result, l->count, c->verbose);
        }
        return check_exit(l->result, l->count, c->strict);
}

static int look_and_show(struct looking *l, const struct check_options *c)
{
        struct err e;
        int status;
        for (;;) {
                if (!look(l, &e))
                        return cli_fail(l->o, &e);
                status = l->interrupted ? EXIT_INTERRUPTED : show(l, c);
                check_run_free(l->run);
                l->run = NULL;
                if (!c->watch || status == EXIT_GOOD || status == EXIT_INTERRUPTED)
                        return status;
                fflush(stdout);
                cli_progress(l->o, "again in %d s (Ctrl-C ends)", WATCH_PAUSE_MS / 1000);
                l->done = false;
                (void)loop_run_until(l->loop, &l->done, WATCH_PAUSE_MS); /* only a signal ends it early */
                if (l->interrupted)
                        return EXIT_INTERRUPTED;
        }
}

static int run(const struct cli_options *o, const struct check_options *c, struct check_targets *targets)
{
        struct looking l = { .o = o, .targets = targets };
        struct err e;
        const struct conf *conf = targets->conf;
        CLEANUP(free_p) const char **resolvers = conf ? check_list(&conf->resolvers) : NULL;
        CLEANUP(free_p) const char **except = conf ? check_list(&conf->proxy_except) : NULL;
        const struct dns_conf dns = { .resolvers = resolvers };
        const struct http_conf http = {
                .user_agent = "dcvd/" DCVD_VERSION, .proxy_url = conf ? conf->proxy_url : NULL, .proxy_except = except
        };
        bool good = loop_open(&l.loop, &e) && loop_on_signal(l.loop, SIGINT, on_signal, &l, &e) &&
                loop_on_signal(l.loop, SIGTERM, on_signal, &l, &e) && dns_open(&l.dns, l.loop, &dns, &e) &&
                http_open(&l.http, l.loop, l.dns, &http, &e);
        int status = good ? look_and_show(&l, c) : cli_fail(o, &e);
        http_close(l.http);
        dns_close(l.dns);
        if (l.loop)
                loop_close(l.loop);
        return status;
}

static int show_catalogue(const struct cli_options *o)
{
        CLEANUP(json_decref_p) json_t *document = o->json ? check_catalogue_document() : NULL;
        if (o->json)
                cli_print_json(document);
        else
                check_print_catalogue(stdout);
        return EXIT_GOOD;
}

int cli_check(const struct cli_options *o, int argc, char **argv)
{
        struct check_options c = { 0 };
        struct check_targets targets = { 0 };
        int status = EXIT_USAGE;
        if (!read_options(argc, argv, &c))
                status = EXIT_USAGE;
        else if (c.catalogue)
                status = show_catalogue(o);
        else if (c.watch && o->json)
                status = cli_usage("--watch and --json exclude each other");
        else if (check_targets_make(&targets, o, &c))
                status = run(o, &c, &targets);
        check_targets_done(&targets);
        texts_done(&c.names);
        texts_done(&c.certs);
        return status;
}
