/* The session with a daemon that says nothing, or goes away. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "base/scratch_dir.h"

/* A listening socket where dcvctl looks for the daemon; *ret_config is the configuration that it reads. */
static int listen_as_dcvd(struct scratch_dir *d, char **ret_config)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/dcvd.sock", d->path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        scratch_file(d, "dcvd.yaml", 0600, "no: configuration");
        *ret_config = text_format("%s/dcvd.yaml", d->path);
        setenv("RUNTIME_DIRECTORY", d->path, 1);
        return fd;
}

/* Between the look at the flag and the wait: the wait must end all the same. */
static void an_interrupt_just_before_a_wait_ends_it(void **state)
{
        struct err e = { 0 };
        struct session *s = NULL;
        CLEANUP(free_p) char *config = NULL;
        int fd = listen_as_dcvd(*state, &config);
        const struct cli_options o = { .config = config };
        assert_true(session_open(&s, &o, false, &e));
        assert_int_equal(raise(SIGINT), 0);
        int64_t before_ms = clock_boot_ms();
        assert_false(session_follow(s, NULL, NULL, NULL, 30000, &e));
        assert_string_equal(e.code, "interrupted");
        assert_true(clock_boot_ms() - before_ms < 15000);
        session_pause(s, 30000);
        assert_true(clock_boot_ms() - before_ms < 15000);
        session_close(s);
        assert_int_equal(close(fd), 0);
}

static void a_configuration_with_mistakes_still_means_its_own_daemon(void **state)
{
        struct err e = { 0 };
        struct session *s = NULL;
        struct scratch_dir *d = *state;
        CLEANUP(free_p) char *config = NULL;
        int fd = listen_as_dcvd(d, &config);
        CLEANUP(free_p) char *text = text_format("no: configuration\nruntime_directory: %s\n", d->path);
        const struct cli_options o = { .config = config };
        scratch_file(d, "dcvd.yaml", 0600, text);
        setenv("RUNTIME_DIRECTORY", "/nonexistent", 1);
        assert_true(session_open(&s, &o, false, &e));
        session_close(s);
        assert_int_equal(close(fd), 0);
}

static int follow(const char *config)
{
        const struct cli_options o = { .config = config, .quiet = true };
        struct session *s = NULL;
        struct err e;
        CLEANUP(json_decref_p) json_t *jobs = json_pack("[{s:i, s:s}]", "id", 2, "cert", "shop");
        if (!session_open(&s, &o, false, &e))
                return 100;
        int status = cli_follow_jobs(&o, s, jobs, NULL);
        session_close(s);
        return status;
}

/* Its socket still takes connections while it dies: who lets go meanwhile is told that it is away, not that the job
 * goes on. */
static void a_daemon_that_takes_a_connection_and_says_nothing_is_not_back(void **state)
{
        CLEANUP(free_p) char *config = NULL;
        int fd = listen_as_dcvd(*state, &config), status = -1;
        pid_t pid = fork();
        if (pid == 0)
                _exit(follow(config));
        int first = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(close(first), 0);
        int second = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(second >= 0);
        assert_int_equal(kill(pid, SIGINT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_NO_DAEMON);
        assert_int_equal(close(second), 0);
        assert_int_equal(close(fd), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(a_daemon_that_takes_a_connection_and_says_nothing_is_not_back),
                IN_DIR(an_interrupt_just_before_a_wait_ends_it),
                IN_DIR(a_configuration_with_mistakes_still_means_its_own_daemon),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
