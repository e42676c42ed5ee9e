/* The session with a daemon that says nothing. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "base/scratch_dir.h"

/* Between the look at the flag and the wait: the wait must end all the same. */
static void an_interrupt_just_before_a_wait_ends_it(void **state)
{
        struct scratch_dir *d = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct err e = { 0 };
        struct session *s = NULL;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/dcvd.sock", d->path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        scratch_file(d, "dcvd.yaml", 0600, "no: configuration");
        CLEANUP(free_p) char *config = text_format("%s/dcvd.yaml", d->path);
        setenv("RUNTIME_DIRECTORY", d->path, 1);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(an_interrupt_just_before_a_wait_ends_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
