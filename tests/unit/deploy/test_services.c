/* Reloading by command and by signal: each step is told, and no signal reaches a process that is not the server. */
#include "test.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/deploy/helper_internal.h"
#include "base/scratch_dir.h"

/* A child that waits for a signal. */
static pid_t start_child(void)
{
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)signal(SIGUSR2, SIG_DFL);
                for (;;)
                        (void)pause();
        }
        return pid;
}

/* The signal that ended it; 0: it was alive. */
static int end_child(pid_t pid, bool signalled)
{
        int status = 0;
        if (!signalled) {
                assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
                (void)kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                return WTERMSIG(status) == SIGKILL ? 0 : WTERMSIG(status);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WTERMSIG(status);
}

static bool reload(struct conf_service *s, json_t *answer, struct err *e)
{
        struct conf_target t = { .service = s, .service_count = 1 };
        *e = (struct err){ 0 };
        return services_reload(&(const struct conf){ 0 }, &t, 1, NULL, answer, e);
}

static void age(struct scratch_dir *s, const char *name, int seconds)
{
        struct timespec t[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
        assert_int_equal(utimensat(s->fd, name, t, 0), 0);
}

static void a_signal_reaches_the_server_alone(void **state)
{
        static const struct {
                const char *test;
                int age_s;
                bool good;
        } row[] = {
                { NULL, 0, true }, /* written by the process that runs */
                { NULL, 3600, false }, /* the process is younger than the file */
                { "/usr/sbin/nginx", 3600, false },
                { "/usr/sbin/test_services", 3600, true }, /* the clock was set meanwhile; the program is the one */
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct scratch_dir *s = *state;
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct texts test = { 0 };
                struct err e;
                char text[32];
                pid_t pid = start_child();
                snprintf(text, sizeof text, "%d\n", (int)pid);
                scratch_file(s, "pid", 0644, text);
                age(s, "pid", row[i].age_s);
                if (row[i].test)
                        assert_true(texts_add(&test, row[i].test));
                struct conf_service service = { .name = (char *)"server",
                        .signal_name = (char *)"USR2",
                        .signal_pidfile = (char *)scratch_path(s, "pid"),
                        .test = test };
                bool good = reload(&service, answer, &e);
                assert_int_equal(end_child(pid, good), row[i].good ? SIGUSR2 : 0);
                assert_int_equal(good, row[i].good);
                if (!row[i].good) {
                        assert_string_equal(e.code, "signal.stranger");
                        assert_int_equal(e.kind, ERR_DENIED);
                }
                texts_done(&test);
        }
}

static void a_pidfile_without_a_live_process_is_named(void **state)
{
        static const struct {
                const char *text, *code, *said;
        } row[] = {
                { "", "signal.pid", "holds no process number" },
                { "\n", "signal.pid", "holds no process number" },
                { "nginx\n", "signal.pid", "holds no process number" },
                { "0\n", "signal.pid", "holds no process number" }, /* this process group */
                { "1\n", "signal.pid", "holds no process number" },
                { "-1\n", "signal.pid", "holds no process number" }, /* everybody */
                { "12x\n", "signal.pid", "holds no process number" },
                { "99999999999999999999\n", "signal.pid", "holds no process number" },
                { NULL, "signal", "No such process" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct scratch_dir *s = *state;
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct err e;
                char dead[32];
                if (!row[i].text) {
                        pid_t pid = start_child();
                        (void)end_child(pid, false);
                        snprintf(dead, sizeof dead, "%d\n", (int)pid);
                }
                scratch_file(s, "pid", 0644, row[i].text ? row[i].text : dead);
                struct conf_service service = { .name = (char *)"server",
                        .signal_name = (char *)"HUP",
                        .signal_pidfile = (char *)scratch_path(s, "pid") };
                assert_false(reload(&service, answer, &e));
                assert_string_equal(e.code, row[i].code);
                assert_non_null(strstr(e.text, row[i].said));
                assert_non_null(strstr(e.text, service.signal_pidfile));
                json_t *told = json_array_get(json_object_get(answer, "services"), 0);
                assert_string_equal(json_str(told, "step"), "signal");
                assert_false(json_bool(told, "good", true));
        }
}

static void no_other_signal_is_known(void **state)
{
        struct scratch_dir *s = *state;
        static const char *const names[] = { "KILL", "STOP", "9", "", "hup" };
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct err e;
                struct conf_service service = { .name = (char *)"server",
                        .signal_name = (char *)names[i],
                        .signal_pidfile = (char *)scratch_path(s, "pid") };
                assert_false(reload(&service, answer, &e));
                assert_int_equal(e.kind, ERR_CONFIG);
        }
}

static void the_first_failure_ends_the_steps(void **state)
{
        struct texts good = { 0 }, bad = { 0 };
        CLEANUP(json_decref_p) json_t *answer = json_object();
        struct err e = { 0 };
        size_t reached = 9;
        (void)state;
        assert_true(texts_add(&good, "/bin/true") && texts_add(&bad, "/bin/false"));
        struct conf_service service[3] = { { .name = (char *)"one", .test = good, .reload = good },
                { .name = (char *)"two", .test = good, .reload = bad }, { .name = (char *)"three", .reload = good } };
        struct conf_target t = { .service = service, .service_count = 3 };
        const struct conf none = { 0 };
        assert_true(services_test(&none, &t, answer, &e));
        assert_int_equal(json_array_size(json_object_get(answer, "services")), 2);
        assert_false(services_reload(&none, &t, 3, &reached, answer, &e));
        assert_int_equal(e.kind, ERR_DENIED);
        assert_non_null(strstr(e.text, "two: /bin/false failed"));
        assert_int_equal(reached, 2); /* it ran, and may have taken up what is new */
        assert_int_equal(json_array_size(json_object_get(answer, "services")), 4);
        texts_done(&good);
        texts_done(&bad);
}

/* Nothing has to be undone at a server that nobody spoke to. */
static void a_reload_that_never_ran_reached_nobody(void **state)
{
        struct scratch_dir *s = *state;
        struct texts good = { 0 }, absent = { 0 };
        assert_true(texts_add(&good, "true") && texts_add(&absent, "/usr/sbin/nosuch"));
        struct conf_service row[] = { { .name = (char *)"two", .reload = absent },
                { .name = (char *)"two", .signal_name = (char *)"HUP", .signal_pidfile = (char *)"/run/nosuch.pid" },
                { .name = (char *)"two",
                        .signal_name = (char *)"HUP",
                        .signal_pidfile = (char *)scratch_path(s, "text") } };
        const struct conf none = { 0 };
        scratch_file(s, "text", 0644, "nginx\n");
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct conf_service service[2] = { { .name = (char *)"one", .reload = good }, row[i] };
                struct conf_target t = { .service = service, .service_count = 2 };
                struct err e = { 0 };
                size_t reached = 9;
                assert_false(services_reload(&none, &t, 2, &reached, answer, &e));
                assert_int_equal(reached, 1);
                assert_int_equal(e.kind, ERR_DENIED);
                assert_non_null(strstr(e.text, "two"));
                assert_int_equal(json_array_size(json_object_get(answer, "services")), 2);
                assert_true(services_reload(&none, &t, reached, NULL, answer, &e)); /* the way back */
        }
        texts_done(&good);
        texts_done(&absent);
}

static void what_test_and_reload_need_is_looked_for_first(void **state)
{
        struct scratch_dir *s = *state;
        static const struct {
                const char *test, *reload, *pidfile;
                bool automatic, endpoint;
                const char *said; /* NULL: ready */
        } row[] = {
                { "true", "/bin/true", NULL, true, false, NULL },
                { "/usr/sbin/nosuch", "true", NULL, true, false,
                        "the test command of service web is not on this host, or not executable: /usr/sbin/nosuch" },
                { "true", "nosuch", NULL, true, false,
                        "the reload command of service web is not on this host, or not executable: nosuch" },
                { NULL, "@plain", NULL, true, false, "not executable: " }, /* not a program */
                { NULL, "/usr/sbin", NULL, true, false, "not executable: /usr/sbin" },
                { NULL, NULL, "pid", true, false, NULL },
                { NULL, NULL, "no", true, false, "the pidfile of service web is not there: " },
                { NULL, NULL, "no", false, true, "the pidfile of service web is not there: " },
                { NULL, NULL, "no", false, false, NULL }, /* verify: []: it need not run yet */
        };
        scratch_file(s, "plain", 0644, "");
        scratch_file(s, "pid", 0644, "7\n");
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct texts test = { 0 }, reload = { 0 };
                struct err e = { 0 };
                const char *program =
                        row[i].reload && row[i].reload[0] == '@' ? scratch_path(s, "plain") : row[i].reload;
                if (row[i].test)
                        assert_true(texts_add(&test, row[i].test));
                if (program)
                        assert_true(texts_add(&reload, program));
                struct conf_service service = { .name = (char *)"web",
                        .test = test,
                        .reload = reload,
                        .signal_pidfile = row[i].pidfile ? (char *)scratch_path(s, row[i].pidfile) : NULL,
                        .verify_auto = row[i].automatic,
                        .verify_count = row[i].endpoint };
                struct conf_target t = { .service = &service, .service_count = 1 };
                assert_int_equal(services_ready(&t, &e), row[i].said == NULL);
                if (row[i].said) {
                        assert_non_null(strstr(e.text, row[i].said));
                        assert_int_equal(e.kind, ERR_DENIED);
                        assert_true(e.fix[0] != 0);
                }
                texts_done(&test);
                texts_done(&reload);
        }
}

static void shell(struct texts *ret, const char *script)
{
        assert_true(texts_add(ret, "/bin/sh") && texts_add(ret, "-c") && texts_add(ret, script));
}

/* nginx reads certificate and key of every site: one that is switched meanwhile is no broken configuration. */
static void what_another_switch_crossed_is_run_again(void **state)
{
        struct scratch_dir *s = *state;
        static const struct {
                const char *during; /* what happens elsewhere while the command runs first */
                bool reload, good;
                size_t runs;
        } row[] = { { "ln -s x other/.dcvd/live.new && mv -T other/.dcvd/live.new other/.dcvd/live", false, true, 2 },
                { "ln -s x other/new && mv -T other/new other/fullchain.pem", false, true, 2 },
                { "ln -s x own/new", false, false, 1 }, { "true", false, false, 1 },
                { "ln -s x other/newer && mv -T other/newer other/fullchain.pem", true, true, 2 },
                { "true", true, false, 1 } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                CLEANUP(free_p)
                char *script = text_format("cd %s; echo >>calls%zu; [ $(wc -l <calls%zu) -gt 1 ] || { %s; false; }",
                        s->path, i, i, row[i].during);
                CLEANUP(free_p) char *own = text_format("%s/own", s->path), *other = text_format("%s/other", s->path);
                CLEANUP(free_p) char *below = text_format("%s/.dcvd", other);
                CLEANUP(free_p) char *calls = text_format("%s/calls%zu", s->path, i), *text = NULL;
                struct texts test = { 0 };
                struct err e = { 0 };
                size_t len = 0;
                (void)mkdir(own, 0700);
                (void)mkdir(other, 0700);
                (void)mkdir(below, 0700);
                age(s, "own", 60);
                age(s, "other", 60);
                age(s, "other/.dcvd", 60);
                shell(&test, script);
                struct conf_service service = { .name = (char *)"nginx" };
                *(row[i].reload ? &service.reload : &service.test) = test;
                struct conf_target target[2] = { { .directory = own, .service = &service, .service_count = 1 },
                        { .directory = other } };
                struct conf_cert cert[2] = { { .target = &target[0], .target_count = 1 },
                        { .target = &target[1], .target_count = 1 } };
                const struct conf c = { .cert = cert, .cert_count = 2 };
                bool good = row[i].reload ? services_reload(&c, &target[0], 1, NULL, answer, &e)
                                          : services_test(&c, &target[0], answer, &e);
                assert_int_equal(good, row[i].good);
                assert_int_equal(json_array_size(json_object_get(answer, "services")), 1);
                assert_true(file_read(calls, 100, &text, &len, &e));
                assert_int_equal(len, row[i].runs);
                texts_done(&test);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(a_signal_reaches_the_server_alone),
                IN_DIR(a_pidfile_without_a_live_process_is_named),
                IN_DIR(no_other_signal_is_known),
                IN_DIR(what_another_switch_crossed_is_run_again),
                cmocka_unit_test(the_first_failure_ends_the_steps),
                IN_DIR(a_reload_that_never_ran_reached_nobody),
                IN_DIR(what_test_and_reload_need_is_looked_for_first),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
