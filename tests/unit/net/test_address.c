#include "test.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/address.h"

static struct address of(const char *text)
{
        struct address a = { 0 };
        if (!address_parse(text, 0, &a))
                fail_msg("%s", text);
        return a;
}

static void texts_become_addresses_and_back(void **state)
{
        static const struct {
                const char *in, *bare, *with_port;
                uint16_t port;
        } row[] = {
                { "192.0.2.1", "192.0.2.1", "192.0.2.1:53", 53 },
                { "192.0.2.1:5353", "192.0.2.1", "192.0.2.1:5353", 5353 },
                { "2001:DB8:0::1", "2001:db8::1", "[2001:db8::1]:53", 53 },
                { "[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:53", 53 },
                { "[2001:db8::1]:65535", "2001:db8::1", "[2001:db8::1]:65535", 65535 },
                { "::ffff:192.0.2.1", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:53", 53 },
                { "::", "::", "[::]:53", 53 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct address a, b;
                char text[ADDRESS_TEXT];
                assert_true(address_parse(row[i].in, 53, &a));
                assert_int_equal(a.port, row[i].port);
                address_text(&a, false, text);
                assert_string_equal(text, row[i].bare);
                address_text(&a, true, text);
                assert_string_equal(text, row[i].with_port);
                struct sockaddr_storage sa;
                assert_int_equal(address_sockaddr(&a, &sa),
                        a.family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
                assert_true(address_from_sockaddr((struct sockaddr *)&sa, &b));
                assert_true(address_equal(&a, &b));
                b.port++;
                assert_false(address_equal(&a, &b));
        }
        struct sockaddr unix_one = { .sa_family = AF_UNIX };
        struct address a;
        assert_false(address_from_sockaddr(&unix_one, &a));
        struct address v4 = of("0.0.0.0"), v6 = of("::");
        assert_false(address_equal(&v4, &v6));
}

static void what_is_no_address_is_refused(void **state)
{
        static const char *const bad[] = { "", "localhost", "192.0.2", "192.0.2.256", "192.0.2.1:", "192.0.2.1:0",
                "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:1 ", " 192.0.2.1", "[192.0.2.1]:53", "[::1", "::1]",
                "[::1]53", "[::1]:", "[]:53", "[::1]:0", "fe80::1%eth0", "1:2:3:4:5:6:7:8:9", "192.0.2.1/24",
                "0x7f.0.0.1", "127.1", "2130706433", "192.0.2.01",
                "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct address a = { .port = 7 };
                if (address_parse(bad[i], 53, &a))
                        fail_msg("%s", bad[i]);
                assert_int_equal(a.port, 7);
        }
}

static void nets(void **state)
{
        static const struct {
                const char *address, *net;
                bool in;
        } row[] = {
                { "10.1.2.3", "10.0.0.0/8", true },
                { "11.0.0.0", "10.0.0.0/8", false },
                { "172.31.255.255", "172.16.0.0/12", true },
                { "172.32.0.0", "172.16.0.0/12", false },
                { "192.0.2.1", "192.0.2.1", true },
                { "192.0.2.1", "192.0.2.1/32", true },
                { "192.0.2.0", "192.0.2.1/32", false },
                { "192.0.2.0", "0.0.0.0/0", true },
                { "2001:db8::1", "::/0", true },
                { "2001:db8::1", "2001:db8::/32", true },
                { "2001:db9::1", "2001:db8::/31", true },
                { "2001:dba::1", "2001:db8::/31", false },
                { "10.1.2.3", "::/0", false },
                { "::1", "0.0.0.0/0", false },
                { "10.1.2.3", "10.0.0.0/33", false },
                { "10.1.2.3", "10.0.0.0/-1", false },
                { "10.1.2.3", "10.0.0.0/", false },
                { "10.1.2.3", "10.0.0.0:80/8", false },
                { "::1", "[::1]/128", false },
                { "10.1.2.3", "corp.example", false },
                { "10.1.2.3", "", false },
                { "10.1.2.3", "/8", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct address a = of(row[i].address);
                if (address_in_net(&a, row[i].net) != row[i].in)
                        fail_msg("%s in %s", row[i].address, row[i].net);
        }
}

static void public_is_what_the_world_can_reach(void **state)
{
        static const char *const reachable[] = { "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1",
                "172.32.0.1", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
                "2001:200::1", "2a00::1", "64:ff9b::8.8.8.8" };
        static const char *const not_reachable[] = { "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255",
                "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "192.0.0.1", "192.0.2.1",
                "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
                "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::8.8.8.8",
                "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1",
                "2001:1ff::1", "2001:db8::1", "2002:a00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fe80::1",
                "fec0::1", "ff02::1", "4000::1" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(reachable); i++) {
                struct address a = of(reachable[i]);
                if (!address_is_public(&a))
                        fail_msg("%s", reachable[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(not_reachable); i++) {
                struct address a = of(not_reachable[i]);
                if (address_is_public(&a))
                        fail_msg("%s", not_reachable[i]);
        }
        struct address none = { .family = AF_UNIX };
        assert_false(address_is_public(&none));
}

static void loopback(void **state)
{
        static const char *const yes[] = { "127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1" };
        static const char *const no[] = { "128.0.0.1", "126.255.255.255", "::", "::2", "::ffff:128.0.0.1" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
                struct address a = of(yes[i]);
                assert_true(address_is_loopback(&a));
        }
        for (size_t i = 0; i < ARRAY_LEN(no); i++) {
                struct address a = of(no[i]);
                assert_false(address_is_loopback(&a));
        }
}

static void endpoints(void **state)
{
        static const struct {
                const char *text, *host; /* NULL: refused */
                uint16_t port;
        } row[] = {
                { "www.example.com:443", "www.example.com", 443 },
                { "127.0.0.1:1", "127.0.0.1", 1 },
                { "[2001:db8::1]:65535", "2001:db8::1", 65535 },
                { "www.example.com", NULL, 0 },
                { "www.example.com:", NULL, 0 },
                { "www.example.com:0", NULL, 0 },
                { "www.example.com:65536", NULL, 0 },
                { "www.example.com:https", NULL, 0 },
                { "2001:db8::1:443", NULL, 0 },
                { "[2001:db8::1]", NULL, 0 },
                { "[]:443", NULL, 0 },
                { "[::1:443", NULL, 0 },
                { "[x:443", NULL, 0 },
                { ":443", NULL, 0 },
                { "", NULL, 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char *host = NULL;
                uint16_t port = 7;
                struct err e = { 0 };
                if (hostport_split(row[i].text, &host, &port, &e) != (row[i].host != NULL))
                        fail_msg("%s", row[i].text);
                if (row[i].host) {
                        assert_string_equal(host, row[i].host);
                        assert_int_equal(port, row[i].port);
                } else {
                        assert_null(host);
                        assert_int_equal(port, 7);
                        assert_int_equal(e.kind, ERR_CONFIG);
                }
                free(host);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(texts_become_addresses_and_back),
                cmocka_unit_test(what_is_no_address_is_refused),
                cmocka_unit_test(nets),
                cmocka_unit_test(public_is_what_the_world_can_reach),
                cmocka_unit_test(loopback),
                cmocka_unit_test(endpoints),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
