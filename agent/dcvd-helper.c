/* dcvd-helper: narrow requests, one after another on its standard input, answered on its standard output; it lives as
 * long as a burst of them (a hook: one per start). Of the environment it asks only whether its log goes to
 * the journal; it reads only the root-owned configuration and opens nothing in STATE. A hook is run as user
 * dcvd-hook. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/deploy/helper_verbs.h"
#include "agent/job/helper_kinds.h"
#include "config/config.h"

int main(int argc, char **argv)
{
        const char *path = CONF_DEFAULT_PATH;
        if (argc == 3 && strcmp(argv[1], "--config") == 0) {
                path = argv[2];
        } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                return printf("dcvd-helper " DCVD_VERSION "\n") > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        } else if (argc != 1) {
                fprintf(stderr,
                        "usage: dcvd-helper [--config FILE]   (started by systemd or dcvd, requests on standard "
                        "input)\n");
                return 2;
        }
        if (isatty(STDIN_FILENO)) {
                fprintf(stderr, "dcvd-helper is started by systemd or dcvd; see dcvd(8)\n");
                return 2;
        }
        log_init("dcvd-helper", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        (void)clearenv();
        secret_forbid_cores();
        return helper_serve(STDIN_FILENO, STDOUT_FILENO, path, helper_kinds) ? EXIT_SUCCESS : EXIT_FAILURE;
}
