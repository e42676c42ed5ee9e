#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/due.h"
#include "agent/base/util.h"

static void it_gives_them_in_order_and_only_when_due(void **state)
{
        (void)state;
        struct due_heap h = { 0 };
        struct due_entry e[3] = { 0 };
        assert_null(due_first(&h));
        assert_null(due_pop(&h, INT64_MAX));
        assert_true(due_set(&h, &e[0], 300));
        assert_true(due_set(&h, &e[1], 100));
        assert_true(due_set(&h, &e[2], 200));
        assert_ptr_equal(due_first(&h), &e[1]);
        assert_null(due_pop(&h, 99));
        assert_ptr_equal(due_pop(&h, 100), &e[1]);
        assert_int_equal(e[1].index, 0);
        assert_ptr_equal(due_pop(&h, 1000), &e[2]);
        assert_ptr_equal(due_pop(&h, 1000), &e[0]);
        assert_null(due_pop(&h, 1000));
        due_heap_done(&h);
}

static void moving_and_clearing(void **state)
{
        (void)state;
        struct due_heap h = { 0 };
        struct due_entry e[4] = { 0 };
        for (int i = 0; i < 4; i++)
                assert_true(due_set(&h, &e[i], 10 * (i + 1)));
        assert_true(due_set(&h, &e[3], 5)); /* earlier */
        assert_ptr_equal(due_first(&h), &e[3]);
        assert_true(due_set(&h, &e[3], 50)); /* later */
        assert_ptr_equal(due_first(&h), &e[0]);
        assert_int_equal(h.count, 4);
        due_clear(&h, &e[0]);
        due_clear(&h, &e[0]); /* not in: nothing happens */
        assert_int_equal(h.count, 3);
        assert_ptr_equal(due_first(&h), &e[1]);
        due_clear(&h, &e[3]); /* the last place */
        assert_int_equal(h.count, 2);
        due_heap_done(&h);
        assert_int_equal(e[1].index, 0); /* may go into another heap */
        assert_true(due_set(&h, &e[1], 1));
        due_heap_done(&h);
}

static void check_heap(const struct due_heap *h)
{
        for (size_t i = 0; i < h->count; i++) {
                assert_int_equal(h->entry[i]->index, i + 1);
                if (i > 0)
                        assert_true(h->entry[(i - 1) / 2]->due_ms <= h->entry[i]->due_ms);
        }
}

/* A thousand entries, ten thousand random moves, against the plain list of what is in. */
static void it_stays_a_heap_whatever_is_done(void **state)
{
        (void)state;
        enum { ENTRIES = 1000, MOVES = 10000 };
        struct due_entry *e = calloc(ENTRIES, sizeof *e);
        struct due_heap h = { 0 };
        uint64_t seed = random_u64();
        size_t in = 0;
        srandom((unsigned)seed);
        print_message("seed %u\n", (unsigned)seed);
        for (int i = 0; i < MOVES; i++) {
                struct due_entry *one = &e[random() % ENTRIES];
                bool was_in = one->index != 0;
                if (random() % 3 == 0) {
                        due_clear(&h, one);
                        in -= was_in;
                } else {
                        assert_true(due_set(&h, one, random() % 500));
                        in += !was_in;
                }
                assert_int_equal(h.count, in);
                if (i % 100 == 0)
                        check_heap(&h);
        }
        check_heap(&h);
        int64_t last = -1;
        for (struct due_entry *one; (one = due_pop(&h, INT64_MAX)); in--) {
                assert_true(one->due_ms >= last);
                last = one->due_ms;
        }
        assert_int_equal(in, 0);
        due_heap_done(&h);
        free(e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_gives_them_in_order_and_only_when_due),
                cmocka_unit_test(moving_and_clearing),
                cmocka_unit_test(it_stays_a_heap_whatever_is_done),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
