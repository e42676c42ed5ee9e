/* dcvd-helper: narrow requests, one after another on its standard input, answered on its standard output; it lives as
 * long as a burst of them (a hook: one per start). With --broker it is handed connections instead, and forks a helper
 * for each. Of the environment it asks only whether its log goes to the journal; it reads only the root-owned
 * configuration and opens nothing in STATE. A hook is run as user dcvd-hook. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/deploy/helper_verbs.h"
#include "agent/job/helper_kinds.h"
#include "agent/net/helper.h"
#include "config/config.h"

/* What is wrong with it is said by the helper, which reads it again. */
static void read_configuration(void *arg)
{
        struct err e;
        (void)helper_conf_load(arg, &e);
}

static void serve(void *arg)
{
        (void)helper_serve(STDIN_FILENO, STDOUT_FILENO, arg);
}

static void forget_configuration(void *arg)
{
        helper_conf_forget(arg);
}

static int usage(FILE *to, int status)
{
        fprintf(to,
                "usage: dcvd-helper [--broker] [--config FILE]   (started by systemd or dcvd, requests on standard "
                "input)\n");
        return status;
}

int main(int argc, char **argv)
{
        struct helper_conf conf = { .path = CONF_DEFAULT_PATH, .kinds = helper_kinds };
        bool broker = false;
        int at = 1;
        if (argc == 2 && strcmp(argv[1], "--version") == 0)
                return printf("dcvd-helper " DCVD_VERSION "\n") > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
                return usage(stdout, EXIT_SUCCESS);
        if (at < argc && strcmp(argv[at], "--broker") == 0) {
                broker = true;
                at++;
        }
        if (at + 2 == argc && strcmp(argv[at], "--config") == 0) {
                conf.path = argv[at + 1];
                at += 2;
        }
        if (at != argc)
                return usage(stderr, 2);
        if (isatty(STDIN_FILENO)) {
                fprintf(stderr, "dcvd-helper is started by systemd or dcvd; see dcvd(8)\n");
                return 2;
        }
        log_init("dcvd-helper", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        (void)clearenv();
        secret_forbid_cores();
        bool good = true;
        if (broker)
                helper_broker_serve(STDIN_FILENO,
                        &(struct helper_broker){ &conf, read_configuration, serve, forget_configuration });
        else
                good = helper_serve(STDIN_FILENO, STDOUT_FILENO, &conf);
        helper_conf_forget(&conf);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
