/* Which names cover which. */
#include "test.h"

#include "agent/base/util.h"
#include "agent/pki/chain.h"
#include "agent/pki/names_internal.h"

static void one_name_covers_another(void **state)
{
        static const struct {
                const char *has, *asked;
                bool want;
        } row[] = {
                { "www.example.com", "www.example.com", true },
                { "www.example.com", "WWW.Example.COM", true },
                { "www.example.com", "www.example.com.", true },
                { "www.example.com", "example.com", false },
                { "example.com", "www.example.com", false },
                { "*.example.com", "www.example.com", true },
                { "*.example.com", "*.example.com", true },
                { "*.example.com", "*.www.example.com", false },
                { "*.example.com", "a.b.example.com", false },
                { "*.example.com", "example.com", false },
                { "*.example.com", ".example.com", false },
                { "*.example.com", "www.example.com.evil", false },
                { "w*.example.com", "www.example.com", false },
                { "www.*.com", "www.example.com", false },
                { "*", "localhost", false },
                { "*.0.2.1", "192.0.2.1", false },
                { "192.0.2.1", "192.0.2.1", true },
                { "192.0.2.1", "192.0.2.2", false },
                { "2001:db8::1", "2001:0DB8:0:0::1", true },
                { "2001:db8::1", "2001:db8::2", false },
                { "www.example.com\\x00.evil", "www.example.com", false },
                { "", "www.example.com", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char *name = (char *)row[i].has;
                struct texts names = { .item = &name, .count = 1 };
                if (names_cover(&names, row[i].asked) != row[i].want)
                        fail_msg("%s for %s", row[i].has, row[i].asked);
        }
        assert_false(names_cover(&(struct texts){ 0 }, "a"));
}

static void sets_are_compared_without_order_case_or_repetition(void **state)
{
        char *a[] = { (char *)"a.example", (char *)"B.example", (char *)"2001:db8::1" };
        char *b[] = { (char *)"2001:DB8:0::1", (char *)"b.example", (char *)"a.example", (char *)"A.example" };
        struct texts x = { a, 3 }, y = { b, 4 }, less = { a, 2 }, none = { 0 };
        (void)state;
        assert_true(names_same(&x, &y));
        assert_true(names_same(&y, &x));
        assert_false(names_same(&x, &less));
        assert_false(names_same(&less, &x));
        assert_false(names_same(&x, &none));
        assert_true(names_same(&none, &none));
}

static void only_host_names_may_stand_in_a_request(void **state)
{
        static const struct {
                const char *name;
                bool want;
        } row[] = {
                { "example.com", true },
                { "*.example.com", true },
                { "_x.example.com", true },
                { "xn--bcher-kva.example", true },
                { "", false },
                { "*.", false },
                { "*", false },
                { "a..b", false },
                { ".a", false },
                { "a.", false },
                { "a b", false },
                { "a,DNS:b", false },
                { "b\xc3\xbc"
                  "cher.example",
                        false },
                { "a.*.b", false },
                { "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.x", true },
                { "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.x", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (dns_name_is_good(row[i].name) != row[i].want)
                        fail_msg("%s", row[i].name);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_name_covers_another),
                cmocka_unit_test(sets_are_compared_without_order_case_or_repetition),
                cmocka_unit_test(only_host_names_may_stand_in_a_request),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
