#include "test.h"

#include <stdio.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define NOTHING INT64_C(-99) /* what an output holds before, and after a failure */

static void numbers(void **state)
{
        static const struct {
                const char *text;
                int64_t min, max, want;
        } row[] = {
                { "0", 0, 10, 0 },
                { "10", 0, 10, 10 },
                { "11", 0, 10, NOTHING },
                { "-1", -5, 10, -1 },
                { "-1", 0, 10, NOTHING },
                { "-0", 0, 10, NOTHING }, /* no sign where none can be meant */
                { "-", -5, 10, NOTHING },
                { "--1", -5, 10, NOTHING },
                { "+1", 0, 10, NOTHING },
                { " 1", 0, 10, NOTHING },
                { "1 ", 0, 10, NOTHING },
                { "1x", 0, 10, NOTHING },
                { "0x1", 0, 10, NOTHING },
                { "", 0, 10, NOTHING },
                { NULL, 0, 10, NOTHING },
                { "9223372036854775807", 0, INT64_MAX, INT64_MAX },
                { "9223372036854775808", 0, INT64_MAX, NOTHING },
                { "-9223372036854775808", INT64_MIN, 0, INT64_MIN },
                { "99999999999999999999999", INT64_MIN, INT64_MAX, NOTHING },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t got = NOTHING;
                assert_int_equal(parse_i64(row[i].text, row[i].min, row[i].max, &got), row[i].want != NOTHING);
                assert_int_equal(got, row[i].want);
        }
}

static void durations(void **state)
{
        static const struct {
                const char *text;
                int64_t want_ms;
        } row[] = {
                { "90s", 90000 },
                { "10m", 600000 },
                { "12h", 43200000 },
                { "3d", 259200000 },
                { "250ms", 250 },
                { "0s", 0 },
                { "10", NOTHING },
                { "s", NOTHING },
                { "", NOTHING },
                { NULL, NOTHING },
                { "-1s", NOTHING },
                { "+1s", NOTHING },
                { "1.5h", NOTHING },
                { "1 h", NOTHING },
                { " 1h", NOTHING },
                { "1h ", NOTHING },
                { "1H", NOTHING },
                { "1h30m", NOTHING },
                { "1w", NOTHING },
                { "999999999999s", 999999999999000 },
                { "999999999999d", NOTHING },
                { "9999999999999ms", NOTHING },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t got = NOTHING;
                assert_int_equal(parse_duration_ms(row[i].text, &got), row[i].want_ms != NOTHING);
                assert_int_equal(got, row[i].want_ms);
        }
}

static void spans_for_people(void **state)
{
        static const struct {
                int64_t s;
                const char *want;
        } row[] = {
                { 0, "0 s" },
                { 12, "12 s" },
                { 60, "1 m" },
                { 61, "1 m 1 s" },
                { 360, "6 m" },
                { 3600, "1 h" },
                { 3659, "1 h" },
                { 3660, "1 h 1 m" },
                { 41 * 3600, "1 d 17 h" },
                { 29 * 86400 + 4 * 3600, "29 d 4 h" },
                { 86400 + 59, "1 d" },
                { -61, "-1 m 1 s" },
                { INT64_MIN, "-106751991167300 d 15 h" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char text[40];
                format_span(row[i].s, text, sizeof text);
                assert_string_equal(text, row[i].want);
        }
        char small[4];
        format_span(86400 * 30, small, sizeof small);
        assert_string_equal(small, "30 ");
}

static void times_there_and_back(void **state)
{
        static const struct {
                int64_t s;
                const char *time, *date;
        } row[] = {
                { 0, "1970-01-01T00:00:00Z", "1970-01-01" }, { 1785654000, "2026-08-02T07:00:00Z", "2026-08-02" },
                { 951782399, "2000-02-28T23:59:59Z", "2000-02-28" }, { -1, "1969-12-31T23:59:59Z", "1969-12-31" },
                { 253402300799, "9999-12-31T23:59:59Z", "9999-12-31" },
                { -62009366400, "0005-01-01T00:00:00Z", "0005-01-01" }, /* four digits always */
        };
        (void)state;
        char text[40];
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t back = NOTHING;
                format_time(row[i].s, text, sizeof text);
                assert_string_equal(text, row[i].time);
                assert_true(parse_time(text, &back));
                assert_int_equal(back, row[i].s);
                format_date(row[i].s, text, sizeof text);
                assert_string_equal(text, row[i].date);
        }
        static const int64_t beyond[] = { 253402300800, INT64_MAX, INT64_MIN, -62167219201 };
        for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
                format_time(beyond[i], text, sizeof text);
                assert_string_equal(text, "-");
                format_date(beyond[i], text, sizeof text);
                assert_string_equal(text, "-");
        }
        format_time(0, text, 20); /* one short: nothing rather than a time cut in two */
        assert_string_equal(text, "-");
        format_time(0, text, 21);
        assert_string_equal(text, "1970-01-01T00:00:00Z");
}

static void reading_times(void **state)
{
        static const struct {
                const char *text;
                int64_t want;
        } row[] = {
                { "2026-08-02T07:00:00Z", 1785654000 },
                { "2026-08-02t07:00:00z", 1785654000 },
                { "2026-08-02 07:00:00Z", 1785654000 },
                { "2026-08-02T15:00:00+08:00", 1785654000 },
                { "2026-08-02T01:30:00-05:30", 1785654000 },
                { "2026-08-02T07:00:00.999Z", 1785654000 },
                { "2026-08-02", 1785628800 },
                { "@1700000000", 1700000000 },
                { "@0", 0 },
                { "2024-02-29", 1709164800 },
                { "2016-12-31T23:59:60Z", 1483228800 }, /* a leap second */
                { "2023-02-29", NOTHING },
                { "2026-04-31", NOTHING },
                { "2026-13-01", NOTHING },
                { "2026-00-01", NOTHING },
                { "2026-01-00", NOTHING },
                { "2026-08-02T24:00:00Z", NOTHING },
                { "2026-08-02T07:60:00Z", NOTHING },
                { "2026-08-02T07:00:61Z", NOTHING },
                { "2026-08-02T07:00:00", NOTHING }, /* whose time? */
                { "2026-08-02T07:00:00.Z", NOTHING },
                { "2026-08-02T07:00:00+0800", NOTHING },
                { "2026-08-02T07:00:00+24:00", NOTHING },
                { "2026-08-02T07:00:00Zx", NOTHING },
                { "2026-08-02T07:00Z", NOTHING },
                { "2026-8-2", NOTHING },
                { "26-08-02", NOTHING },
                { "2026-08-02T", NOTHING },
                { "@", NOTHING },
                { "@-1", NOTHING },
                { "@1e9", NOTHING },
                { "@999999999999999", NOTHING },
                { "", NOTHING },
                { NULL, NOTHING },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t got = NOTHING;
                if (parse_time(row[i].text, &got) != (row[i].want != NOTHING) || got != row[i].want)
                        fail_msg("%s: %lld", row[i].text, (long long)got);
        }
}

static void http_dates(void **state)
{
        static const struct {
                const char *text;
                int64_t want;
        } row[] = {
                { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* the example of RFC 9110 section 5.6.7 */
                { "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 },
                { "Sunday, 06-Nov-94 08:49:37 GMT", NOTHING },
                { "Sun Nov  6 08:49:37 1994", NOTHING },
                { "Sun, 06 Nov 1994 08:49:37 UTC", NOTHING },
                { "Sun, 06 nov 1994 08:49:37 GMT", NOTHING },
                { "Sun, 06 anF 1994 08:49:37 GMT", NOTHING }, /* in the list of months, but across two */
                { "Sun, 31 Feb 1994 08:49:37 GMT", NOTHING },
                { "Sun, 06 Nov 1994 24:49:37 GMT", NOTHING },
                { "Sun, 06 Nov 1994 08:49:37 GMT ", NOTHING },
                { "Sun, 6 Nov 1994 08:49:37 GMT", NOTHING },
                { "", NOTHING },
                { NULL, NOTHING },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t got = NOTHING;
                assert_int_equal(parse_http_date(row[i].text, &got), row[i].want != NOTHING);
                assert_int_equal(got, row[i].want);
        }
}

static void retry_after(void **state)
{
        static const int64_t now = 784111777, week = 7 * 86400;
        static const struct {
                const char *text;
                int64_t want;
        } row[] = {
                { "120", 120 },
                { "0", 0 },
                { "604800", 604800 },
                { "604801", 604800 },
                { "1000000000000", 604800 },
                { "99999999999999999999999999", 604800 },
                { "-1", NOTHING },
                { "+1", NOTHING },
                { "1.5", NOTHING },
                { "120 ", NOTHING },
                { "soon", NOTHING },
                { "", NOTHING },
                { NULL, NOTHING },
                { "Sun, 06 Nov 1994 08:50:37 GMT", 60 },
                { "Sun, 06 Nov 1994 08:48:37 GMT", 0 }, /* past */
                { "Sun, 06 Nov 9999 08:48:37 GMT", 604800 },
        };
        (void)state;
        assert_int_equal(week, 604800);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t got = NOTHING;
                assert_int_equal(parse_retry_after(row[i].text, now, &got), row[i].want != NOTHING);
                assert_int_equal(got, row[i].want);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers),
                cmocka_unit_test(durations),
                cmocka_unit_test(spans_for_people),
                cmocka_unit_test(times_there_and_back),
                cmocka_unit_test(reading_times),
                cmocka_unit_test(http_dates),
                cmocka_unit_test(retry_after),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
