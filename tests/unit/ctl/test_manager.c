#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/ctl/manager.h"

/* A manager that listens on an abstract name of the kernel's choice. */
static int listen_as_manager(char ret_path[64])
{
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        socklen_t len = sizeof where;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_return_code(bind(fd, (struct sockaddr *)&where, sizeof where.sun_family), 0);
        assert_return_code(getsockname(fd, (struct sockaddr *)&where, &len), 0);
        snprintf(ret_path, 64, "@%.*s", (int)(len - sizeof where.sun_family - 1), where.sun_path + 1);
        return fd;
}

static void what_is_told_arrives_whole(void **state)
{
        char path[64], got[128];
        int fd = listen_as_manager(path);
        (void)state;
        setenv("NOTIFY_SOCKET", path, 1);
        assert_true(manager_tell("READY=1\nSTATUS=%d certificates", 3));
        ssize_t n = recv(fd, got, sizeof got, 0);
        assert_int_equal(n, 29);
        assert_memory_equal(got, "READY=1\nSTATUS=3 certificates", 29);
        close(fd);
}

static void a_manager_that_does_not_read_is_not_waited_for(void **state)
{
        char path[64];
        int fd = listen_as_manager(path), told = 0;
        (void)state;
        setenv("NOTIFY_SOCKET", path, 1);
        alarm(60); /* a call that waits ends the test */
        while (told < 100000 && manager_tell("WATCHDOG=1"))
                told++;
        alarm(0);
        assert_true(told > 0 && told < 100000);
        close(fd);
}

static void without_a_manager_nothing_is_told(void **state)
{
        static const char *const odd[] = { "", "@", "relative", "/nowhere/at/all",
                "@a-name-that-is-much-too-long-for-the-address-of-a-socket-because-it-has-more-than-one-hundred-and-"
                "eight-"
                "characters" };
        (void)state;
        unsetenv("NOTIFY_SOCKET");
        assert_false(manager_tell("READY=1"));
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
                setenv("NOTIFY_SOCKET", odd[i], 1);
                assert_false(manager_tell("READY=1"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_told_arrives_whole),
                cmocka_unit_test(a_manager_that_does_not_read_is_not_waited_for),
                cmocka_unit_test(without_a_manager_nothing_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
