/* The services of a target: configuration tests, reloads, signals. Commands come from the root-owned configuration
 * alone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/command.h"
#include "agent/deploy/helper_internal.h"

#define COMMAND_MS 60000
#define TRIES 4
#define SWITCH_MS 150
#define YOUNGER_MS 2000 /* a server writes its pidfile after it started, give or take coarse clocks */

static void note(json_t *answer, const struct conf_service *s, const char *step, bool good, const char *text)
{
        json_t *list = json_object_get(answer, "services"), *o = json_object();
        if (!list) {
                list = json_array();
                json_object_set_new(answer, "services", list);
        }
        json_put_text(o, "service", s->name);
        json_put_text(o, "step", step);
        json_put_bool(o, "good", good);
        json_put_text(o, "text", text);
        json_array_append_new(list, o);
}

static bool is_there(const struct conf_service *s, const struct texts *argv, const char *step, struct err *e)
{
        if (argv->count == 0 || command_exists(argv->item[0]))
                return true;
        err_set(e, ERR_DENIED, "deploy.command",
                "the %s command of service %s is not on this host, or not executable: %s", step, s->name,
                argv->item[0]);
        return err_fix(e, "install it, or correct the path in deploy.services of the configuration");
}

/* ran: it was started, whatever became of it. */
static bool run(const struct conf_service *s, const struct texts *argv, const char *step, bool *ran, json_t *answer,
        struct err *e)
{
        struct command_result r;
        char text[400] = "";
        if (!is_there(s, argv, step, e) || !command_run(argv, COMMAND_MS, &r, e)) {
                note(answer, s, step, false, e->text);
                return false;
        }
        *ran = true;
        bool bad = command_failed(argv, &r, text, sizeof text);
        command_result_done(&r);
        note(answer, s, step, !bad, text);
        return !bad || err_set(e, ERR_DENIED, "deploy.failed", "%s: %s", s->name, text);
}

static int signal_number(const char *name)
{
        static const struct {
                const char *name;
                int number;
        } signals[] = { { "HUP", SIGHUP }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "TERM", SIGTERM },
                { "INT", SIGINT }, { "WINCH", SIGWINCH } };
        for (size_t i = 0; i < ARRAY_LEN(signals); i++)
                if (strcmp(signals[i].name, name) == 0)
                        return signals[i].number;
        return -1;
}

/* The name in /proc/PID/comm is cut at 15 bytes. */
static bool runs_program(const char *comm, const char *program)
{
        const char *slash = strrchr(program, '/');
        return strncmp(comm, slash ? slash + 1 : program, 15) == 0;
}

/* A server that died leaves its pidfile, and the kernel gives the number to somebody else: a process that is younger
 * than the file did not write it. The program of the service's test is believed whatever the clocks say. */
static bool is_stranger(const struct conf_service *s, int64_t pid)
{
        char path[64], text[512], *end = NULL;
        struct stat st;
        unsigned long long ticks = 0;
        snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
        FILE *f = fopen(path, "re");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        if (f)
                (void)fclose(f); /* read only */
        text[n] = '\0';
        char *name = strchr(text, '(');
        if (!name || !(end = strrchr(text, ')')) || end < name || stat(s->signal_pidfile, &st) < 0)
                return false; /* gone meanwhile: the signal tells */
        *end = '\0';
        if (s->test.count > 0 && runs_program(name + 1, s->test.item[0]))
                return false;
        if (sscanf(end + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                    &ticks) != 1)
                return false;
        int64_t age_ms = clock_boot_ms() - (int64_t)(ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
        return age_ms + YOUNGER_MS < (clock_now_s() - st.st_mtim.tv_sec) * 1000;
}

/* By a handle, so that it reaches the process that was judged. */
static bool signal_process(const struct conf_service *s, int64_t pid, int number, struct err *e)
{
        CLEANUP(close_p) int fd = pidfd_open((pid_t)pid, 0);
        if (fd >= 0 && is_stranger(s, pid)) {
                err_set(e, ERR_DENIED, "signal.stranger",
                        "%s: process %lld is younger than %s, another program has that number now", s->name,
                        (long long)pid, s->signal_pidfile);
                return err_fix(e, "start the server, so that it writes %s anew", s->signal_pidfile);
        }
        if (fd >= 0 && pidfd_send_signal(fd, number, NULL, 0) == 0)
                return true;
        return err_set(e, ERR_DENIED, "signal", "%s: process %lld of %s: %s", s->name, (long long)pid,
                s->signal_pidfile, strerror(errno));
}

static bool read_pidfile(const struct conf_service *s, char **ret, struct err *e)
{
        size_t len = 0;
        struct err cause;
        if (file_read(s->signal_pidfile, 64, ret, &len, &cause))
                return true;
        err_set(e, ERR_DENIED, "signal.pidfile", "the pidfile of service %s cannot be read: %s", s->name, cause.text);
        return err_fix(e, "start the service, or correct signal.pidfile");
}

static bool send_signal(const struct conf_service *s, json_t *answer, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        int64_t pid = 0;
        int number = signal_number(s->signal_name);
        bool good = number > 0 ||
                err_set(e, ERR_CONFIG, "signal", "signal %s is not one of HUP USR1 USR2 TERM INT WINCH",
                        s->signal_name);
        good = good && read_pidfile(s, &text, e);
        if (good) {
                text[strcspn(text, " \t\r\n")] = '\0';
                good = parse_i64(text, 2, 1 << 22, &pid) ||
                        err_set(e, ERR_DENIED, "signal.pid", "%s: %s holds no process number", s->name,
                                s->signal_pidfile);
        }
        good = good && signal_process(s, pid, number, e);
        note(answer, s, "signal", good, good ? "" : e->text);
        return good;
}

static bool is_younger(const char *path, const struct timespec *since)
{
        struct stat st;
        return stat(path, &st) == 0 &&
                (st.st_mtim.tv_sec > since->tv_sec ||
                        (st.st_mtim.tv_sec == since->tv_sec && st.st_mtim.tv_nsec >= since->tv_nsec));
}

/* Links are switched by renames, in the target's directory or in .dcvd below it. */
static bool another_moved(const struct conf *c, const struct conf_target *own, const struct timespec *since)
{
        for (size_t i = 0; i < c->cert_count; i++)
                for (size_t k = 0; k < c->cert[i].target_count; k++) {
                        const struct conf_target *t = &c->cert[i].target[k];
                        CLEANUP(free_p) char *below = text_format("%s/.dcvd", t->directory);
                        if (t != own && (is_younger(t->directory, since) || (below && is_younger(below, since))))
                                return true;
                }
        return false;
}

static void pause_ms(long ms)
{
        const struct timespec t = { .tv_nsec = ms * 1000000 };
        (void)nanosleep(&t, NULL);
}

static bool run_again(const struct conf *c, const struct conf_target *t, const struct conf_service *s,
        const struct texts *command, const char *step, bool *ran, json_t *answer, struct err *e)
{
        for (int tries = 1;; tries++) {
                struct timespec since;
                (void)clock_gettime(CLOCK_REALTIME_COARSE, &since); /* as files are dated */
                if (run(s, command, step, ran, answer, e))
                        return true;
                if (e->kind != ERR_DENIED || !*ran || tries == TRIES)
                        return false;
                pause_ms(SWITCH_MS); /* what goes on there is over then */
                if (!another_moved(c, t, &since))
                        return false;
                json_t *list = json_object_get(answer, "services");
                (void)json_array_remove(list, json_array_size(list) - 1);
        }
}

bool services_test(const struct conf *c, const struct conf_target *t, json_t *answer, struct err *e)
{
        for (size_t i = 0; i < t->service_count; i++) {
                bool ran = false; /* of this one */
                if (t->service[i].test.count > 0 &&
                        !run_again(c, t, &t->service[i], &t->service[i].test, "test", &ran, answer, e))
                        return false;
        }
        return true;
}

bool services_reload(const struct conf *c, const struct conf_target *t, size_t count, size_t *ret_reached,
        json_t *answer, struct err *e)
{
        bool good = true;
        size_t reached = 0;
        for (size_t i = 0; good && i < MIN(count, t->service_count); i++) {
                const struct conf_service *s = &t->service[i];
                bool ran = false;
                if (s->signal_name)
                        good = ran = send_signal(s, answer, e);
                else if (s->reload.count > 0)
                        good = run_again(c, t, s, &s->reload, "reload", &ran, answer, e);
                if (good || ran)
                        reached = i + 1;
        }
        if (ret_reached)
                *ret_reached = reached;
        return good;
}

/* With `verify: []` nobody says that the server runs: it may be started until it is its turn. */
static bool has_pidfile(const struct conf_service *s, struct err *e)
{
        bool looked_at = s->verify_auto || s->verify_count > 0;
        if (!s->signal_pidfile || !looked_at || access(s->signal_pidfile, F_OK) == 0 || errno != ENOENT)
                return true;
        err_set(e, ERR_DENIED, "signal.pidfile", "the pidfile of service %s is not there: %s", s->name,
                s->signal_pidfile);
        return err_fix(e, "start the service, or correct signal.pidfile");
}

bool services_ready(const struct conf_target *t, struct err *e)
{
        for (size_t i = 0; i < t->service_count; i++) {
                const struct conf_service *s = &t->service[i];
                if (!is_there(s, &s->test, "test", e) || !is_there(s, &s->reload, "reload", e) || !has_pidfile(s, e))
                        return false;
        }
        return true;
}
