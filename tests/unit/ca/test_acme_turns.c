/* Who may ask now, and who waits for whom. */
#include "test.h"

#include "../fake_net.h"

#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

#define PATIENCE_MS 500

#define ORDER ACME_TURN_ORDERS
#define AUTHZ ACME_TURN_AUTHORIZATIONS
#define ANY ACME_TURN_ANY

static struct {
        struct acme_seat seat; /* first */
        char name;
} asker[8];
static struct acme_turns turns;
static char went[32]; /* in this order */

static void fake_reply(const struct http_call *call, struct fake_answer *ret)
{
        (void)call;
        (void)ret;
        fail();
}

static void go(struct acme_seat *s)
{
        size_t len = strlen(went);
        went[len] = 'a' + (char)((size_t)((char *)s - (char *)asker) / sizeof asker[0]);
        went[len + 1] = '\0';
}

static void begin(char name, enum acme_turn turn)
{
        struct acme_seat *s = &asker[name - 'a'].seat;
        struct err e;
        bool now;
        *s = (struct acme_seat){ .turn = turn, .go = go };
        assert_true(acme_turn_wait(&turns, s, NULL, &now, &e));
        if (now)
                go(s);
}

static void end(char name)
{
        acme_turn_end(&turns, &asker[name - 'a'].seat);
}

/* All that is due within ms. */
static void pass(int64_t ms)
{
        int64_t last_ms = fake_boot_ms + ms;
        struct timer *t;
        while ((t = fake_timer_first()) && t->due_ms <= last_ms) {
                fake_advance(t->due_ms - fake_boot_ms);
                t->due_ms = -1;
                t->fn(t->arg);
        }
        fake_advance(last_ms - fake_boot_ms);
}

static int reset(void **state)
{
        (void)state;
        fake_reset();
        turns = (struct acme_turns){ 0 };
        went[0] = '\0';
        return 0;
}

static int no_timer_is_left(void **state)
{
        (void)state;
        int64_t left_ms = fake_run(NULL);
        acme_turns_done(&turns);
        return fake_timers || left_ms ? -1 : 0;
}

static void those_of_a_kind_share_a_turn(void **state)
{
        (void)state;
        begin('a', ORDER);
        begin('b', ORDER);
        assert_string_equal(went, "ab");
        begin('c', AUTHZ);
        begin('d', AUTHZ);
        begin('e', ANY); /* waits for nobody, and nobody for it */
        assert_string_equal(went, "abe");
        end('a');
        pass(1);
        assert_string_equal(went, "abe");
        end('b');
        pass(0);
        assert_string_equal(went, "abecd");
}

static void nobody_is_passed_by(void **state)
{
        (void)state;
        begin('a', ORDER);
        begin('b', AUTHZ);
        begin('c', ORDER); /* could share a's turn, for ever */
        assert_string_equal(went, "a");
        end('a');
        pass(0);
        assert_string_equal(went, "ab");
        end('b');
        pass(0);
        assert_string_equal(went, "abc");
}

static void who_gives_up_holds_up_nobody(void **state)
{
        (void)state;
        begin('a', ORDER);
        begin('b', AUTHZ);
        begin('c', AUTHZ);
        begin('d', ORDER);
        end('b');
        end('b');
        end('c');
        pass(0);
        assert_string_equal(went, "ad");
        end('a');
        end('d');
        end('d');
        begin('e', AUTHZ);
        assert_string_equal(went, "ade");
        assert_int_equal(turns.running, 1);
}

static void patience_ends(void **state)
{
        (void)state;
        begin('a', ORDER);
        begin('b', AUTHZ);
        pass(PATIENCE_MS / 2);
        begin('c', AUTHZ);
        pass(PATIENCE_MS / 2 - 1);
        assert_string_equal(went, "a");
        pass(1);
        assert_string_equal(went, "abc"); /* c shares b's turn */
        begin('d', ORDER);
        pass(PATIENCE_MS - 1);
        assert_string_equal(went, "abc");
        end('b');
        end('c');
        pass(0);
        assert_string_equal(went, "abc"); /* a has no answer yet, and it was not its turn that was shared */
        pass(1);
        assert_string_equal(went, "abcd");
        end('a');
        end('d');
        assert_int_equal(turns.running, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(those_of_a_kind_share_a_turn, reset, no_timer_is_left),
                cmocka_unit_test_setup_teardown(nobody_is_passed_by, reset, no_timer_is_left),
                cmocka_unit_test_setup_teardown(who_gives_up_holds_up_nobody, reset, no_timer_is_left),
                cmocka_unit_test_setup_teardown(patience_ends, reset, no_timer_is_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
