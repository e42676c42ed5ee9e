#include "test.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/job/refusals.h"

/* A refusal a second: how many lines that makes, and when. */
static void a_full_disk_is_told_ever_more_rarely(void **state)
{
        static const int64_t want_s[] = { 0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030 };
        struct refusals r = { 0 };
        size_t told = 0;
        (void)state;
        for (int64_t s = 0; s < 3600; s++)
                if (refusals_note(&r, "store.full", 1000000 + s * 1000)) {
                        assert_in_range(told, 0, ARRAY_LEN(want_s) - 1);
                        assert_int_equal(s, want_s[told++]);
                }
        assert_int_equal(told, ARRAY_LEN(want_s));
        assert_int_equal(r.count, 3600);
        assert_int_equal(r.since_ms, 1000000);
        assert_true(refusals_over(&r));
        assert_int_equal(r.count, 0);
}

static void another_reason_is_told_at_once(void **state)
{
        struct refusals r = { 0 };
        (void)state;
        assert_true(refusals_note(&r, "store.full", 1000));
        assert_false(refusals_note(&r, "store.full", 2000));
        assert_true(refusals_note(&r, "store.read-only", 3000));
        assert_false(refusals_note(&r, "store.read-only", 4000));
        assert_int_equal(r.count, 4);
}

/* A disk that is nearly full takes what is small: no two lines for every large one. */
static void what_comes_and_goes_is_one_trouble(void **state)
{
        struct refusals r = { 0 };
        unsigned lines = 0;
        (void)state;
        for (int64_t s = 0; s < 3600; s += 20) {
                lines += refusals_note(&r, "store.full", s * 1000);
                lines += refusals_over(&r);
        }
        assert_in_range(lines, 2, 24);
        assert_true(refusals_note(&r, "store.full", (int64_t)3 * 3600 * 1000)); /* another day's */
        assert_true(refusals_over(&r));
        assert_false(refusals_note(&r, "store.full", (int64_t)3 * 3600 * 1000 + 5000));
        assert_false(refusals_over(&r)); /* nobody was told of it */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_full_disk_is_told_ever_more_rarely),
                cmocka_unit_test(another_reason_is_told_at_once),
                cmocka_unit_test(what_comes_and_goes_is_one_trouble),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
