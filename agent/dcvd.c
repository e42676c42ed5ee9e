/* dcvd: the daemon. Start order: configuration, broker, another user, state, listeners, ready, loop. Stop order:
 * listeners, jobs left in the journal, store. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/alerts/detect.h"
#include "agent/alerts/intake.h"
#include "agent/alerts/notify.h"
#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/ctl/admin.h"
#include "agent/ctl/manager.h"
#include "agent/ctl/server.h"
#include "agent/job/engine.h"
#include "agent/job/start.h"
#include "agent/net/loop.h"
#include "agent/pki/key.h"
#include "config/config.h"
#include "systemd.h"

enum { EXIT_LOCKED = 75, EXIT_BAD_CONFIG = 78 };
enum { REST_MS = 3 * 1000 }; /* so long nothing happened: the next thing may be months away */

struct daemon {
        const char *config_path;
        struct loop *loop;
        struct engine *engine;
        struct ctl_server *control;
        struct admin *admin;
        struct intake *intake;
        struct notifier *notifier;
        struct detectors *detectors;
        struct timer *watchdog;
        int64_t watchdog_ms;
};

static int usage(FILE *to, int status)
{
        fprintf(to,
                "usage: dcvd [--config FILE] [--check-config] [--print-config] [--print-schema] [--version] "
                "[--help]\n\n"
                "The domain control validation daemon: replaces TLS certificates without a person. Stays in the "
                "foreground.\n\n"
                "options:\n"
                "  --config FILE   configuration (DCVD_CONFIG; " CONF_DEFAULT_PATH ")\n"
                "  --check-config  say every mistake of the configuration and of its secrets, and end\n"
                "  --print-config  print the configuration in force, each value with its origin\n"
                "  --print-schema  print a JSON Schema of the configuration, for editors\n"
                "  --version       the version\n"
                "  -h, --help      this\n\n"
                "signals: SIGHUP takes a new configuration, whole or not at all; SIGTERM ends, jobs go on at the next "
                "start\n"
                "exit status: 0 ended as asked, 78 bad configuration, 75 the state directory is locked, 2 wrong usage, "
                "1 anything "
                "else\n"
                "dcvd(8), dcvd.yaml(5), dcvctl(8)\n");
        return status;
}

/* One that runs has a log, with a form and a level of its own. */
static void complain(bool runs, bool is_error, const char *text)
{
        if (runs && is_error)
                log_error("", "%s", text);
        else if (runs)
                log_warning("", "%s", text);
        else
                fprintf(stderr, "%s%s\n", is_error ? "" : "warning: ", text);
}

static bool load_config(const char *path, bool runs, struct conf **ret)
{
        struct conf_problems p = { 0 };
        bool good = config_load(path, engine_kinds(), ret, &p);
        CLEANUP(free_p) char *more = p.beyond ? text_format("and %zu more", p.beyond) : NULL;
        for (size_t i = 0; i < p.text.count; i++)
                complain(runs, true, p.text.item[i]);
        if (more)
                complain(runs, true, more);
        for (size_t i = 0; i < p.warning.count; i++)
                complain(runs, false, p.warning.item[i]);
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

/* An error of any kind: with log.level error it is told, too. */
static int cannot_start(const struct err *e)
{
        log_error("", "dcvd cannot start: %s (%s %s)%s%s", e->text, err_kind_name(e->kind), e->code,
                e->fix[0] ? "; " : "", e->fix);
        if (strcmp(e->code, "locked") == 0)
                return EXIT_LOCKED;
        return e->kind == ERR_CONFIG ? EXIT_BAD_CONFIG : EXIT_FAILURE;
}

/* ---- signals ---- */

static void on_stop(void *arg, int signum)
{
        struct daemon *d = arg;
        log_info("", "stopping (signal %d); jobs go on at the next start", signum);
        (void)manager_tell("STOPPING=1");
        loop_stop(d->loop);
}

static bool check_secrets(struct conf *conf, struct err *e)
{
        struct texts absent = { 0 };
        bool good = config_check_secrets(conf, SECRETS_ALL, &absent, e);
        for (size_t i = 0; good && i < absent.count; i++)
                log_warning("", "%s", absent.item[i]);
        texts_done(&absent);
        return good;
}

static void tell_ready(size_t certificates)
{
        (void)manager_tell("READY=1\nSTATUS=%zu certificate%s", certificates, certificates == 1 ? "" : "s");
}

/* New listeners open before anything else changes, old ones close last. */
static bool take(struct daemon *d, struct conf *conf, struct err *e)
{
        if (!config_take_env_secrets(conf, engine_config(d->engine), e) ||
                !config_keep_credentials(conf, engine_config(d->engine), e) || !check_secrets(conf, e) ||
                !admin_prepare(d->admin, conf, e))
                return false;
        if (!intake_prepare(d->intake, conf, e)) {
                admin_abandon(d->admin);
                return false;
        }
        if (!engine_reconfigure(d->engine, conf, e)) {
                intake_abandon(d->intake);
                admin_abandon(d->admin);
                return false;
        }
        admin_commit(d->admin);
        intake_commit(d->intake);
        notifier_reconfigured(d->notifier);
        detectors_reconfigured(d->detectors);
        return true;
}

/* Whole or not at all: what cannot be used leaves everything as it is. */
static void on_reload(void *arg, int signum)
{
        static const char kept[] = "the new configuration is not taken; the old one stays in force";
        struct daemon *d = arg;
        struct conf *conf = NULL;
        struct err e;
        (void)signum;
        (void)manager_tell("RELOADING=1");
        if (!load_config(d->config_path, true, &conf)) {
                log_error("", "%s", kept);
        } else if (!take(d, conf, &e)) {
                log_err("", kept, &e);
                config_free(conf);
        } else {
                const struct conf *now = engine_config(d->engine);
                log_set((enum log_level)now->log_level, (enum log_format)now->log_format);
                log_info("", "new configuration: %zu certificate%s", now->cert_count, now->cert_count == 1 ? "" : "s");
        }
        tell_ready(engine_config(d->engine)->cert_count);
}

static void ping(void *arg)
{
        struct daemon *d = arg;
        (void)manager_tell("WATCHDOG=1");
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

static void rest(void *arg)
{
        (void)arg;
        memory_give_back();
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
        if (!notifier_open(&d->notifier, d->engine, e)) /* before anything happens that it is to tell */
                return false;
        engine_start(d->engine);
        return engine_listen_tokens(d->engine, e) && ctl_server_open(&d->control, d->engine, control, ctl_verbs, e) &&
                admin_open(&d->admin, d->engine, e) && intake_open(&d->intake, d->engine, e) &&
                detectors_open(&d->detectors, d->engine, e) && start_watchdog(d, e) &&
                loop_on_rest(d->loop, REST_MS, rest, d, e) && loop_on_signal(d->loop, SIGTERM, on_stop, d, e) &&
                loop_on_signal(d->loop, SIGINT, on_stop, d, e) && loop_on_signal(d->loop, SIGHUP, on_reload, d, e);
}

static void close_all(struct daemon *d, struct conf *conf)
{
        intake_close(d->intake);
        admin_close(d->admin);
        ctl_server_close(d->control);
        timer_free(d->watchdog);
        detectors_close(d->detectors);
        notifier_close(d->notifier);
        if (d->engine)
                engine_close(d->engine);
        else
                config_free(conf);
        loop_close(d->loop);
        metrics_done();
}

/* Better said now than in the night, when the helper refuses to install. */
static void warn_of_owner(const char *path)
{
        struct err e;
        if (!config_check_owner(path, 0, &e) && (geteuid() == 0 || !config_check_owner(path, geteuid(), &e)))
                log_warning(
                        "", "dcvd-helper will refuse this configuration: %s%s%s", e.text, e.fix[0] ? "; " : "", e.fix);
}

static int run(const char *path, struct conf *conf)
{
        struct daemon d = { .config_path = path };
        struct err e;
        int helper_fd = -1;
        size_t count = conf->cert_count;
        log_init("dcvd", (enum log_level)conf->log_level, (enum log_format)conf->log_format);
        warn_of_owner(path);
        systemd_take_sockets(); /* before the broker is started: no helper is to have them */
        if (!start_privileges(conf, path, &helper_fd, &e) || !config_take_env_secrets(conf, NULL, &e) ||
                !check_secrets(conf, &e)) {
                config_free(conf);
                return cannot_start(&e);
        }
        if (!key_secure_heap_init(&e))
                log_err("", "secure memory for keys", &e);
        if (!open_all(&d, conf, helper_fd, &e)) {
                int status = cannot_start(&e);
                close_all(&d, conf);
                return status;
        }
        log_info("", "dcvd " DCVD_VERSION " is ready: %zu certificate%s", count, count == 1 ? "" : "s");
        tell_ready(count);
        memory_give_back(); /* what only the start needed, before the first jobs come */
        loop_run(d.loop);
        close_all(&d, conf);
        return EXIT_SUCCESS;
}

struct asked {
        const char *path;
        bool check, print, schema, version, help;
};

static const char *const option_names[] = { "--config", "--check-config", "--print-config", "--print-schema",
        "--version", "--help" };

static int unknown(const char *text)
{
        const char *near = NULL;
        unsigned max = 3;
        for (size_t i = 0; i < ARRAY_LEN(option_names); i++) {
                unsigned distance = text_distance(text, option_names[i], max);
                if (distance <= max) {
                        near = option_names[i];
                        max = distance;
                }
        }
        fprintf(stderr, "dcvd: unknown %s %s%s%s%s\n", text[0] == '-' ? "option" : "argument", text,
                near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        return usage(stderr, 2);
}

/* 0: go on; else the exit status. */
static int read_options(int argc, char **argv, struct asked *a)
{
        bool *const place[] = { NULL, &a->check, &a->print, &a->schema, &a->version, &a->help };
        for (int i = 1; i < argc; i++) {
                const char *text = strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
                size_t k = 1;
                while (k < ARRAY_LEN(option_names) && strcmp(text, option_names[k]) != 0)
                        k++;
                if (k < ARRAY_LEN(option_names)) {
                        *place[k] = true;
                        continue;
                }
                if (strncmp(text, "--config", 8) != 0 || (text[8] && text[8] != '='))
                        return unknown(text);
                const char *value = text[8] ? text + 9 : i + 1 < argc ? argv[++i] : "";
                if (!value[0]) {
                        fprintf(stderr, "dcvd: --config needs a file\n");
                        return usage(stderr, 2);
                }
                a->path = value;
        }
        return 0;
}

static int print_schema(void)
{
        CLEANUP(free_p) char *schema = config_schema_json(engine_kinds());
        return schema && puts(schema) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Alerts of which a person must find out whose key it is. */
static void warn_of_hints(const struct conf *conf)
{
        for (size_t i = 0; i < conf->intake.webhooks.count; i++) {
                const struct conf_webhook *h = &conf->intake.webhooks.item[i];
                bool fetches = h->format == CONF_ALERT_GITHUB && h->token.source != SECRET_NONE;
                if ((h->format != CONF_ALERT_GITHUB && h->format != CONF_ALERT_GITGUARDIAN) || fetches)
                        continue;
                fprintf(stderr,
                        "warning: alerts.webhooks.%s: its alerts do not say which key leaked: a person is told to "
                        "look%s\n",
                        h->name, h->format == CONF_ALERT_GITHUB ? "; with token: dcvd fetches the key and acts" : "");
        }
}

struct secrets_seen {
        bool by_root; /* before root becomes the user who will read them */
        bool stranger; /* whoever asks is neither: what is closed to it is not judged */
        unsigned refused;
};

static bool secret_seen(void *arg, const struct secret_ref *r, const struct err *why, struct err *e)
{
        struct secrets_seen *seen = arg;
        bool absent = strcmp(why->code, "secret.absent") == 0 && r->source != SECRET_ENV;
        bool owner = strcmp(why->code, "secret.owner") == 0;
        bool closed = seen->stranger && (owner || strcmp(why->code, "secret.open") == 0);
        (void)e;
        if (seen->by_root && (absent || owner)) /* the user's own look tells, or finds it good */
                return true;
        seen->refused += !absent && !closed;
        fprintf(stderr, "%s%s: %s%s%s\n", absent || closed ? "warning: " : "", r->where ? r->where : "", why->text,
                why->fix[0] ? "; " : "", why->fix);
        return true;
}

/* Read once, as the start does and as its user: what that would refuse is said, what is not there yet is a warning. */
static bool secrets_are_good(struct conf *conf)
{
        struct secrets_seen seen = { .by_root = geteuid() == 0, .stranger = start_is_stranger() };
        struct err e;
        bool good = !seen.by_root || config_each_secret(conf, 1u << SECRET_CREDENTIAL, secret_seen, &seen, &e);
        if (good && seen.refused == 0) {
                seen.by_root = false;
                good = start_user(conf, &e);
                if (good) {
                        (void)config_take_env_secrets(conf, NULL, &(struct err){ 0 }); /* one not set is seen next */
                        good = config_each_secret(conf, SECRETS_ALL, secret_seen, &seen, &e);
                }
        }
        if (!good)
                fprintf(stderr, "%s%s%s\n", e.text, e.fix[0] ? "; " : "", e.fix);
        return good && seen.refused == 0;
}

static int check_config(const char *path, struct conf *conf)
{
        warn_of_hints(conf);
        bool good = secrets_are_good(conf);
        if (good)
                printf("%s: good, %zu certificate%s\n", path, conf->cert_count, conf->cert_count == 1 ? "" : "s");
        config_free(conf);
        return !good ? EXIT_BAD_CONFIG : fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        const char *path = getenv("DCVD_CONFIG");
        struct asked a = { .path = path && path[0] ? path : CONF_DEFAULT_PATH };
        struct conf *conf = NULL;
        log_to_journal(systemd_log);
        log_init("dcvd", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        int wrong = read_options(argc, argv, &a);
        if (wrong)
                return wrong;
        if (a.help)
                return usage(stdout, EXIT_SUCCESS);
        if (a.version)
                return printf("dcvd " DCVD_VERSION "\n") > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (a.schema)
                return print_schema();
        if (a.print)
                return print_config(a.path);
        if (!load_config(a.path, false, &conf))
                return EXIT_BAD_CONFIG;
        return a.check ? check_config(a.path, conf) : run(a.path, conf);
}
