#include "test.h"

#include <time.h>

#include "agent/base/clock.h"

static void fake_clocks_stand_still_until_set_again(void **state)
{
        (void)state;
        clock_fake(1700000000999, 5);
        assert_int_equal(clock_now_ms(), 1700000000999);
        assert_int_equal(clock_now_s(), 1700000000);
        assert_int_equal(clock_files_ms(), 1700000000999);
        assert_int_equal(clock_boot_ms(), 5);
        clock_fake(0, 0); /* zero is a time too */
        assert_int_equal(clock_now_s(), 0);
        clock_fake(-1, -1);
        time_t now = time(NULL);
        assert_true(clock_now_s() >= now && clock_now_s() <= now + 60);
        assert_true(clock_files_ms() <= clock_now_ms() && clock_files_ms() >= (int64_t)(now - 1) * 1000);
        struct timespec t;
        clock_gettime(CLOCK_BOOTTIME, &t);
        assert_true(clock_boot_ms() >= (int64_t)t.tv_sec * 1000);
}

static void random_stays_below_its_bound_and_reaches_all_of_it(void **state)
{
        (void)state;
        unsigned seen[5] = { 0 };
        for (int i = 0; i < 1000; i++) {
                uint64_t r = random_below(5);
                assert_true(r < 5);
                seen[r]++;
        }
        for (int i = 0; i < 5; i++)
                assert_true(seen[i] > 0); /* a miss: once in 10^96 runs */
        assert_int_equal(random_below(1), 0);
        assert_true(random_below(UINT64_MAX) < UINT64_MAX);
        uint8_t a[600] = { 0 }, b[600] = { 0 }; /* more than getrandom gives at once */
        random_bytes(a, sizeof a);
        random_bytes(b, sizeof b);
        assert_memory_not_equal(a, b, sizeof a);
        assert_memory_not_equal(a + 580, b + 580, 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fake_clocks_stand_still_until_set_again),
                cmocka_unit_test(random_stays_below_its_bound_and_reaches_all_of_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
