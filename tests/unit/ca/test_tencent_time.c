#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/tencent/time.h"

static void times_are_read_as_gmt_plus_eight_and_leniently(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t want;
        } row[] = {
                { "2025-02-26 07:59:59", 1740527999 }, /* 2025-02-25T23:59:59Z */
                { "2025-02-26 07:59:5", 1740527945 },
                { "2025-2-26 7:59:59", 1740527999 },
                { " 2025-02-26 07:59:59 ", 1740527999 },
                { "2025-02-26T07:59:59", 1740527999 },
                { "2024-02-29 08:00:00", 1709164800 },
                { "2025-02-26", 1740499200 },
                { "2026-01-01 00:00:00", 1767196800 }, /* still 2025 in UTC */
                { "9999-12-31 23:59:59", 253402271999 },
                { NULL, 0 },
                { "", 0 },
                { "--", 0 },
                { "0000-00-00 00:00:00", 0 },
                { "2025-02-29 00:00:00", 0 },
                { "2025-13-01 00:00:00", 0 },
                { "2025-00-01 00:00:00", 0 },
                { "2025-01-00 00:00:00", 0 },
                { "2025-01-01 24:00:00", 0 },
                { "2025-01-01 00:60:00", 0 },
                { "2025-01-01 00:00:61", 0 },
                { "2025-01-01 00:00", 0 },
                { "2025-01-01 00:00:00Z", 0 },
                { "2025-01-01 00:00:000", 0 },
                { "20250-01-01 00:00:00", 0 },
                { "-2025-01-01 00:00:00", 0 },
                { "1970-01-01 07:59:59", 0 },
                { "now", 0 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (tc_time_read(row[i].text) != row[i].want)
                        fail_msg("%s: %lld", row[i].text, (long long)tc_time_read(row[i].text));
}

static void what_is_written_is_read_back(void **state)
{
        (void)state;
        static const int64_t at[] = { 1, 1700000000, 1740527999, 4102444800, 253402271999 };
        char text[20];

        for (size_t i = 0; i < ARRAY_LEN(at); i++) {
                tc_time_write(at[i], text);
                assert_int_equal(tc_time_read(text), at[i]);
        }
        tc_time_write(1740527999, text);
        assert_string_equal(text, "2025-02-26 07:59:59");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_are_read_as_gmt_plus_eight_and_leniently),
                cmocka_unit_test(what_is_written_is_read_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
