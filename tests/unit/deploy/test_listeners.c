/* /proc/net/tcp as the kernel writes it, and who takes connections to an address. */
#include "agent/deploy/listeners.h"

#include <string.h>
#include <unistd.h>

#include "test.h"

static struct address address(const char *text)
{
        struct address a;
        assert_true(address_parse(text, 0, &a));
        return a;
}

static void test_lines(void **state)
{
        static const struct {
                const char *line;
                sa_family_t family;
                const char *address; /* NULL: no listener */
                unsigned long inode;
        } cases[] = {
                { "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 "
                  "100 0 0 10 0",
                        AF_INET, "127.0.0.1:8080", 4711 },
                { "  10: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 33 0 12 1 0", AF_INET,
                        "0.0.0.0:80", 12 },
                { "   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A "
                  "00000000:00000000 00:00000000 00000000     0        0 99 1",
                        AF_INET6, "[::1]:443", 99 },
                { "   2: 0100007F:1F90 0200007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 5 1",
                        AF_INET, NULL, 0 }, /* connected */
                { "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
                        AF_INET, NULL, 0 },
                { "   3: 0100007F:1F90 00000000:0000 0A", AF_INET6, NULL, 0 },
                { "", AF_INET, NULL, 0 },
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct address a, want;
                unsigned long inode = 0;
                bool is_one = listener_parse(cases[i].line, cases[i].family, &a, &inode);
                if (is_one != (cases[i].address != NULL))
                        fail_msg("line %zu", i);
                if (!is_one)
                        continue;
                want = address(cases[i].address);
                assert_true(address_equal(&a, &want));
                assert_int_equal(inode, cases[i].inode);
        }
}

static void test_who_takes_a_connection(void **state)
{
        static const struct {
                const char *bound, *at;
                bool takes;
        } cases[] = {
                { "203.0.113.5:80", "203.0.113.5:80", true },
                { "203.0.113.5:80", "203.0.113.5:443", false },
                { "203.0.113.6:80", "203.0.113.5:80", false },
                { "0.0.0.0:80", "203.0.113.5:80", true }, /* as most web servers are bound */
                { "0.0.0.0:80", "[2001:db8::5]:80", false },
                { "[::]:80", "[2001:db8::5]:80", true },
                { "[::]:80", "203.0.113.5:80", true }, /* both, unless told otherwise */
                { "[::1]:80", "127.0.0.1:80", false },
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct address bound = address(cases[i].bound), at = address(cases[i].at);
                if (listener_takes(&bound, &at) != cases[i].takes)
                        fail_msg("%s for %s", cases[i].bound, cases[i].at);
        }
}

static void test_this_very_program_is_found(void **state)
{
        struct address at = address("127.0.0.1");
        struct sockaddr_storage sa;
        struct listener l;
        char owner[LISTENER_OWNER];
        (void)state;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = address_sockaddr(&at, &sa);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
        assert_int_equal(listen(fd, 1), 0);
        len = sizeof sa;
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
        assert_true(address_from_sockaddr((struct sockaddr *)&sa, &at));
        assert_int_equal(listener_at(&at, &l), LISTENER_THERE);
        listener_owner(&l, owner);
        assert_string_equal(owner, "test_listeners");
        close(fd);
        assert_int_equal(listener_at(&at, &l) == LISTENER_THERE, 0);
        listener_owner(&l, owner);
        assert_string_equal(owner, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_who_takes_a_connection),
                cmocka_unit_test(test_this_very_program_is_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
