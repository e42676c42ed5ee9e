/* dcvd: the daemon. Start order: configuration, broker, another user, state, listeners, ready, loop. Stop order:
 * listeners, jobs left in the journal, store. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/ctl/admin.h"
#include "agent/ctl/server.h"
#include "agent/job/engine.h"
#include "agent/job/start.h"
#include "agent/net/loop.h"
#include "agent/pki/key.h"
#include "config/config.h"

enum { EXIT_LOCKED = 75, EXIT_BAD_CONFIG = 78 };

struct daemon {
        const char *config_path;
        struct loop *loop;
        struct engine *engine;
        struct ctl_server *control;
        struct admin *admin;
        struct timer *watchdog;
        int64_t watchdog_ms;
};

static int usage(FILE *to, int status)
{
        fprintf(to,
                "usage: dcvd [--config FILE] [--check-config] [--print-config] [--print-schema] [--version] [--help]\n"
                "Stays in the foreground. Exit 78: bad configuration, 75: the state directory is locked. See dcvd(8), "
                "dcvd.yaml(5).\n");
        return status;
}

static bool load_config(const char *path, struct conf **ret)
{
        struct conf_problems p = { 0 };
        bool good = config_load(path, engine_kinds(), ret, &p);
        for (size_t i = 0; i < p.text.count; i++)
                fprintf(stderr, "%s\n", p.text.item[i]);
        if (p.beyond)
                fprintf(stderr, "and %zu more\n", p.beyond);
        conf_problems_done(&p);
        return good;
}

static int print_config(const char *path)
{
        struct conf_problems p = { 0 };
        struct buf b = { 0 };
        bool good = config_print(path, engine_kinds(), &b, &p);
        for (size_t i = 0; i < p.text.count; i++)
                fprintf(stderr, "%s\n", p.text.item[i]);
        if (good)
                fputs(b.data ? b.data : "", stdout);
        conf_problems_done(&p);
        buf_done(&b);
        return !good ? EXIT_BAD_CONFIG : fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int exit_of(const struct err *e)
{
        if (strcmp(e->code, "locked") == 0)
                return EXIT_LOCKED;
        return e->kind == ERR_CONFIG ? EXIT_BAD_CONFIG : EXIT_FAILURE;
}

/* ---- signals ---- */

static void on_stop(void *arg, int signum)
{
        struct daemon *d = arg;
        log_info("", "stopping (signal %d); jobs go on at the next start", signum);
        (void)sd_notify(0, "STOPPING=1");
        loop_stop(d->loop);
}

/* Whole or not at all: what cannot be used leaves everything as it is. */
static void on_reload(void *arg, int signum)
{
        struct daemon *d = arg;
        struct conf *conf = NULL;
        struct err e;
        struct admin *admin = NULL;
        (void)signum;
        (void)sd_notify(0, "RELOADING=1");
        if (!load_config(d->config_path, &conf)) {
                log_error("", "the new configuration is not taken; the old one stays in force");
        } else if (!config_take_env_secrets(conf, engine_config(d->engine), &e) ||
                !engine_reconfigure(d->engine, conf, &e)) {
                log_err("", "the new configuration is not taken; the old one stays in force", &e);
                config_free(conf);
        } else {
                const struct conf *now = engine_config(d->engine);
                log_set((enum log_level)now->log_level, (enum log_format)now->log_format);
                admin_close(d->admin);
                d->admin = NULL;
                if (admin_open(&admin, d->engine, &e))
                        d->admin = admin;
                else
                        log_err("", "the admin listener could not be opened", &e);
                log_info("", "new configuration: %zu certificates", now->cert_count);
        }
        (void)sd_notify(0, "READY=1");
}

static void ping(void *arg)
{
        struct daemon *d = arg;
        (void)sd_notify(0, "WATCHDOG=1");
        timer_start(d->watchdog, d->watchdog_ms);
}

static bool start_watchdog(struct daemon *d, struct err *e)
{
        uint64_t usec = 0;
        if (sd_watchdog_enabled(0, &usec) <= 0)
                return true;
        d->watchdog_ms = (int64_t)(usec / 2000);
        if (!timer_new(&d->watchdog, d->loop, ping, d, e))
                return false;
        timer_start(d->watchdog, d->watchdog_ms);
        return true;
}

/* ---- running ---- */

static bool open_all(struct daemon *d, struct conf *conf, int helper_fd, struct err *e)
{
        struct engine_conf c = { .conf = conf, .helper_fd = helper_fd };
        CLEANUP(free_p) char *control = text_format("%s/dcvd.sock", conf->runtime_directory);
        if (!control)
                return err_memory(e);
        if (!loop_open(&d->loop, e) || !engine_open(&d->engine, d->loop, &c, e))
                return false;
        engine_start(d->engine);
        return engine_listen_tokens(d->engine, e) && ctl_server_open(&d->control, d->engine, control, ctl_verbs, e) &&
                admin_open(&d->admin, d->engine, e) && start_watchdog(d, e) &&
                loop_on_signal(d->loop, SIGTERM, on_stop, d, e) && loop_on_signal(d->loop, SIGINT, on_stop, d, e) &&
                loop_on_signal(d->loop, SIGHUP, on_reload, d, e);
}

static void close_all(struct daemon *d, struct conf *conf)
{
        admin_close(d->admin);
        ctl_server_close(d->control);
        timer_free(d->watchdog);
        if (d->engine)
                engine_close(d->engine);
        else
                config_free(conf);
        loop_close(d->loop);
        metrics_done();
}

static int run(const char *path, struct conf *conf)
{
        struct daemon d = { .config_path = path };
        struct err e;
        int helper_fd = -1;
        size_t count = conf->cert_count;
        log_init("dcvd", (enum log_level)conf->log_level, (enum log_format)conf->log_format);
        if (!start_privileges(conf, path, &helper_fd, &e) || !config_take_env_secrets(conf, NULL, &e)) {
                log_err("", "dcvd cannot start", &e);
                config_free(conf);
                return exit_of(&e);
        }
        if (!key_secure_heap_init(&e))
                log_err("", "secure memory for keys", &e);
        if (!open_all(&d, conf, helper_fd, &e)) {
                log_err("", "dcvd cannot start", &e);
                close_all(&d, conf);
                return exit_of(&e);
        }
        log_info("", "dcvd " DCVD_VERSION " is ready: %zu certificate%s", count, count == 1 ? "" : "s");
        (void)sd_notifyf(0, "READY=1\nSTATUS=%zu certificates", count);
        loop_run(d.loop);
        close_all(&d, conf);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        const char *path = getenv("DCVD_CONFIG");
        bool check = false, print = false;
        struct conf *conf = NULL;
        path = path && path[0] ? path : CONF_DEFAULT_PATH;
        log_init("dcvd", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
                        path = argv[++i];
                } else if (strncmp(argv[i], "--config=", 9) == 0) {
                        path = argv[i] + 9;
                } else if (strcmp(argv[i], "--check-config") == 0) {
                        check = true;
                } else if (strcmp(argv[i], "--print-config") == 0) {
                        print = true;
                } else if (strcmp(argv[i], "--print-schema") == 0) {
                        CLEANUP(free_p) char *schema = config_schema_json(engine_kinds());
                        return schema && puts(schema) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
                } else if (strcmp(argv[i], "--version") == 0) {
                        return printf("dcvd " DCVD_VERSION "\n") > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
                } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                        return usage(stdout, EXIT_SUCCESS);
                } else {
                        fprintf(stderr, "dcvd: unknown option %s\n", argv[i]);
                        return usage(stderr, 2);
                }
        }
        if (print)
                return print_config(path);
        if (!load_config(path, &conf))
                return EXIT_BAD_CONFIG;
        if (check)
                printf("%s: good, %zu certificate%s\n", path, conf->cert_count, conf->cert_count == 1 ? "" : "s");
        if (check) {
                config_free(conf);
                return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        return run(path, conf);
}
