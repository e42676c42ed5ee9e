#include "test.h"

#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/job/when.h"

static void delays_grow_to_their_cap_and_saturate(void **state)
{
        static const struct {
                struct when_input in;
                int64_t want_ms;
        } row[] = {
                { { ERR_TEMPORARY, 0, 0, false, false, 0 }, 30000 },
                { { ERR_TEMPORARY, 1, 0, false, false, 0 }, 30000 },
                { { ERR_TEMPORARY, 2, 0, false, false, 0 }, 60000 },
                { { ERR_TEMPORARY, 3, 0, false, false, 0 }, 120000 },
                { { ERR_TEMPORARY, 13, 0, false, false, 0 }, 86400000 },
                { { ERR_TEMPORARY, UINT64_C(1) << 32, 0, false, false, 0 }, 86400000 },
                { { ERR_TEMPORARY, UINT64_MAX, 0, false, false, 0 }, 86400000 },
                { { ERR_TEMPORARY, 1, 0, true, false, 0 }, 2000 },
                { { ERR_TEMPORARY, 40, 0, true, false, 0 }, 600000 },
                { { ERR_CONFIG, 1, 0, false, false, 0 }, 86400000 },
                { { ERR_CONFIG, 1, 0, true, false, 0 }, 600000 },
                { { ERR_RATE_LIMITED, 1, 3600, false, false, 0 }, 3600000 },
                { { ERR_RATE_LIMITED, 1, 3600, true, false, 0 }, 3600000 },
                { { ERR_RATE_LIMITED, 1, INT64_MAX, false, false, 0 }, INT64_C(7) * 86400000 },
                { { ERR_RATE_LIMITED, 1, -5, false, false, 0 }, 30000 },
                { { ERR_TEMPORARY, 1, 0, false, false, UINT32_MAX }, 37500 },
                /* an order is paid for: whoever mends what is in its way is not waited out */
                { { ERR_CONFIG, 1, 0, false, true, 0 }, 30000 },
                { { ERR_CONFIG, 40, 0, false, true, 0 }, 480000 },
                { { ERR_CONFIG, 40, 0, false, true, UINT32_MAX }, 600000 },
                { { ERR_TEMPORARY, 40, 0, false, true, UINT32_MAX }, 600000 },
                { { ERR_TEMPORARY, 40, 0, true, true, UINT32_MAX }, 600000 },
                { { ERR_BUG, 1, 0, false, true, 0 }, 480000 },
                { { ERR_RATE_LIMITED, 40, 3600, false, true, 0 }, 3600000 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (when_next_ms(&row[i].in) != row[i].want_ms)
                        fail_msg("row %zu: %lld", i, (long long)when_next_ms(&row[i].in));
}

static void more_failures_never_mean_a_shorter_wait(void **state)
{
        (void)state;
        for (int urgent = 0; urgent < 2; urgent++) {
                int64_t last = 0;
                for (uint64_t n = 1; n && n < UINT64_MAX / 2; n *= 2) {
                        struct when_input in = { ERR_TEMPORARY, n, 0, urgent == 1, false, 0 };
                        int64_t ms = when_next_ms(&in);
                        assert_true(ms >= last && ms > 0 && ms <= 86400000);
                        last = ms;
                }
        }
}

static void a_time_in_seconds_is_never_early(void **state)
{
        static const struct {
                int64_t now_ms, in_ms, want_s;
        } row[] = { { 1000, 1000, 2 }, { 1001, 1000, 3 }, { 1999, 1, 2 }, { 1999, 2, 3 }, { 1000, 0, 1 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                assert_int_equal(when_passed_s(row[i].now_ms, row[i].in_ms), row[i].want_s);
}

static void renewal_is_at_a_third_or_half_of_the_lifetime(void **state)
{
        const int64_t day = 86400;
        const struct {
                int64_t life_s;
                uint32_t jitter;
                int64_t want_s; /* after the beginning */
        } row[] = { { 90 * day, 0, 60 * day }, { 90 * day, UINT32_MAX, 57 * day }, { 45 * day, 0, 30 * day },
                { 6 * day, 0, 3 * day }, { 6 * day, UINT32_MAX, 3 * day - 3 * day / 10 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                assert_int_equal(when_renew_s(1700000000, 1700000000 + row[i].life_s, row[i].jitter),
                        1700000000 + row[i].want_s);
}

static void from_a_third_of_the_lifetime_on_it_is_said_what_to_buy(void **state)
{
        enum { BEGIN = 1700000000, LIFE = 365 * 86400, END = BEGIN + LIFE, THIRD = END - LIFE / 3 };
        static const struct {
                int64_t begin_s, end_s, now_s;
                bool could;
                const char *want; /* NULL: nothing is said */
        } row[] = {
                { BEGIN, END, THIRD - 1, false, NULL },
                { BEGIN, END, THIRD, false,
                        "121 d 16 h left (until 2024-11-13); a reissue keeps the end date: buy or apply for a new one "
                        "at "
                        "the CA, then set its certificate_id" },
                { BEGIN, END, END - 1, false, "1 s left (until 2024-11-13); a reissue keeps the end date" },
                { BEGIN, END, END, false, "the certificate ended on 2024-11-13; a reissue keeps the end date: buy" },
                { BEGIN, END, THIRD - 1, true, NULL },
                { BEGIN, END, THIRD, true, "nothing renews it by itself: dcvctl reissue www does" },
                { 0, END, END, false, NULL },
                { BEGIN, 0, END, false, NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char *text = when_end_text("www", row[i].begin_s, row[i].end_s, row[i].now_s, row[i].could);
                if (!text != !row[i].want || (text && !strstr(text, row[i].want)))
                        fail_msg("row %zu: %s", i, text ? text : "nothing");
                free(text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(delays_grow_to_their_cap_and_saturate),
                cmocka_unit_test(a_time_in_seconds_is_never_early),
                cmocka_unit_test(renewal_is_at_a_third_or_half_of_the_lifetime),
                cmocka_unit_test(from_a_third_of_the_lifetime_on_it_is_said_what_to_buy),
                cmocka_unit_test(more_failures_never_mean_a_shorter_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
