/* dcvd-helper: one narrow request per start, on its standard input, answered on its standard output. It ignores the
 * environment, reads only the root-owned configuration and opens nothing in STATE. A hook is run as user dcvd-hook. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/deploy/helper_verbs.h"
#include "agent/job/helper_kinds.h"
#include "agent/net/helper.h"
#include "config/config.h"

static bool lower(const char *verb, struct err *e)
{
        return strcmp(verb, "hook") != 0 || helper_become_hook_user(e);
}

static bool load(const char *path, struct conf **ret, struct err *e)
{
        struct conf_problems p = { 0 };
        if (!config_check_owner(path, geteuid(), e))
                return false;
        bool good = config_load(path, helper_kinds, ret, &p);
        if (!good)
                err_set(e, ERR_CONFIG, "helper.config", "%s",
                        p.text.count ? p.text.item[0] : "the configuration cannot be read");
        conf_problems_done(&p);
        return good;
}

int main(int argc, char **argv)
{
        const char *path = CONF_DEFAULT_PATH;
        struct helper_request request = { 0 };
        struct conf *conf = NULL;
        struct err e = { 0 };
        if (argc == 3 && strcmp(argv[1], "--config") == 0) {
                path = argv[2];
        } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                return printf("dcvd-helper " DCVD_VERSION "\n") > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        } else if (argc != 1) {
                fprintf(stderr,
                        "usage: dcvd-helper [--config FILE]   (started by systemd or dcvd, one request on standard "
                        "input)\n");
                return 2;
        }
        if (isatty(STDIN_FILENO)) {
                fprintf(stderr, "dcvd-helper is started by systemd or dcvd; see dcvd(8)\n");
                return 2;
        }
        (void)clearenv();
        secret_forbid_cores();
        log_init("dcvd-helper", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        json_t *answer = json_object();
        bool good = helper_request_read(STDIN_FILENO, &request, &e) && load(path, &conf, &e) &&
                lower(request.verb, &e) && helper_do(conf, &request, answer, &e);
        if (!good)
                log_err("", request.verb ? request.verb : "request", &e);
        bool told = helper_answer_write(STDOUT_FILENO, answer, good ? NULL : &e);
        json_decref(answer);
        helper_request_done(&request);
        config_free(conf);
        return good && told ? EXIT_SUCCESS : EXIT_FAILURE;
}
