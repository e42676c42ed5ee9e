/* The services of a target: configuration tests, reloads, signals. Commands come from the root-owned configuration
 * alone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/command.h"
#include "agent/deploy/helper_internal.h"

#define COMMAND_MS 60000

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

static bool run(const struct conf_service *s, const struct texts *argv, const char *step, json_t *answer, struct err *e)
{
        struct command_result r;
        char text[400] = "";
        if (!command_run(argv, COMMAND_MS, &r, e)) {
                note(answer, s, step, false, e->text);
                return false;
        }
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

static bool send_signal(const struct conf_service *s, json_t *answer, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        int64_t pid = 0;
        int number = signal_number(s->signal_name);
        bool good = number > 0 ||
                err_set(e, ERR_CONFIG, "signal", "signal %s is not one of HUP USR1 USR2 TERM INT WINCH",
                        s->signal_name);
        good = good && file_read(s->signal_pidfile, 64, &text, &len, e);
        if (good) {
                text[strcspn(text, " \t\r\n")] = '\0';
                good = parse_i64(text, 2, 1 << 22, &pid) ||
                        err_set(e, ERR_DENIED, "signal.pid", "%s holds no process number", s->signal_pidfile);
        }
        if (good && kill((pid_t)pid, number) < 0)
                good = err_set(e, ERR_DENIED, "signal", "%s: process %lld of %s: %s", s->name, (long long)pid,
                        s->signal_pidfile, strerror(errno));
        note(answer, s, "signal", good, good ? "" : e->text);
        return good;
}

bool services_test(const struct conf_target *t, json_t *answer, struct err *e)
{
        for (size_t i = 0; i < t->service_count; i++)
                if (t->service[i].test.count > 0 && !run(&t->service[i], &t->service[i].test, "test", answer, e))
                        return false;
        return true;
}

bool services_reload(const struct conf_target *t, json_t *answer, struct err *e)
{
        for (size_t i = 0; i < t->service_count; i++) {
                const struct conf_service *s = &t->service[i];
                if (s->signal_name ? !send_signal(s, answer, e)
                                   : s->reload.count > 0 && !run(s, &s->reload, "reload", answer, e))
                        return false;
        }
        return true;
}
