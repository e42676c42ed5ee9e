#include "test.h"

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

static void it_builds_a_terminated_text(void **state)
{
        (void)state;
        struct buf b = { 0 };
        assert_true(buf_add(&b, "one"));
        assert_true(buf_addc(&b, ' '));
        assert_true(buf_addf(&b, "%d-%s", 2, "three"));
        assert_true(buf_append(&b, "\0x", 2));
        assert_int_equal(b.len, 13);
        assert_memory_equal(b.data, "one 2-three\0x", 14);
        buf_reset(&b);
        assert_int_equal(b.len, 0);
        assert_string_equal(b.data, "");
        for (int i = 0; i < 10000; i++)
                assert_true(buf_addc(&b, (char)('a' + i % 26)));
        assert_int_equal(strlen(b.data), 10000);
        assert_int_equal(b.data[9999], 'a' + 9999 % 26);
        buf_done(&b);
        assert_null(b.data);
}

static void the_limit_is_exact_and_failure_stays(void **state)
{
        (void)state;
        struct buf b = { .max = 5 };
        assert_true(buf_add(&b, "12345"));
        assert_false(buf_addc(&b, '6'));
        assert_true(b.failed);
        assert_false(buf_append(&b, "", 0));
        assert_string_equal(b.data, "12345");
        assert_null(buf_steal(&b));
        assert_null(b.data);
        assert_false(b.failed); /* empty again, same limit */
        assert_false(buf_addf(&b, "%s", "123456"));
        buf_reset(&b);
        assert_true(buf_addf(&b, "%s", "12345"));
        assert_false(buf_append(&b, "x", SIZE_MAX)); /* no overflow on the way */
        buf_done(&b);
        struct buf whole = { 0 };
        assert_false(buf_append(&whole, "x", 16 * 1024 * 1024 + 1)); /* the limit that is there without one */
        buf_done(&whole);
}

static void stealing_gives_a_text_always_or_nothing(void **state)
{
        (void)state;
        struct buf b = { .max = 3 };
        CLEANUP(free_p) char *empty = buf_steal(&b);
        assert_string_equal(empty, "");
        buf_add(&b, "abc");
        CLEANUP(free_p) char *text = buf_steal(&b);
        assert_string_equal(text, "abc");
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        assert_int_equal(b.max, 3);
        buf_done(&b);
}

static void a_secret_buffer_grows_and_wipes(void **state)
{
        (void)state;
        struct buf b = { .secret = true };
        for (int i = 0; i < 1000; i++)
                assert_true(buf_add(&b, "secret"));
        assert_int_equal(b.len, 6000);
        assert_memory_equal(b.data + 5994, "secret", 7);
        buf_reset(&b);
        for (size_t i = 0; i < b.cap; i++)
                assert_int_equal(b.data[i], 0);
        assert_true(b.secret);
        buf_done(&b);
        assert_true(b.secret);
}

static void escaping_leaves_nothing_a_terminal_would_act_on(void **state)
{
        static const struct {
                const char *in;
                size_t max;
                const char *want;
        } row[] = {
                { "plain text, 100 %", 100, "plain text, 100 %" },
                { "", 100, "" },
                { "\x1b[31m\t\x7f", 100, "\\x1b[31m\\x09\\x7f" },
                { "gr\xc3\xbc\xc3\x9f", 100, "gr\xc3\xbc\xc3\x9f" },
                { "\xc2\x9b" /* C1: CSI */, 100, "\\xc2\\x9b" },
                { "a\xe2\x80\xae" /* right-to-left override */ "b", 100,
                        "a\\xe2\\x80\\xae"
                        "b" },
                { "\xe2\x81\xa6" /* isolate */, 100, "\\xe2\\x81\\xa6" },
                { "\xd8\x9c" /* arabic letter mark */, 100, "\\xd8\\x9c" },
                { "\xef\xbb\xbf" /* byte order mark */, 100, "\\xef\\xbb\\xbf" },
                { "\xff\xc3", 100, "\\xff\\xc3" },
                { "\xc0\xaf" /* overlong */, 100, "\\xc0\\xaf" },
                { "\xed\xa0\x80" /* surrogate */, 100, "\\xed\\xa0\\x80" },
                { "\xf4\x90\x80\x80" /* above U+10FFFF */, 100, "\\xf4\\x90\\x80\\x80" },
                { "\xf0\x9f\x94\x91", 100, "\xf0\x9f\x94\x91" },
                { " ~\x1f!\x7f~ \xc3\xbc.\n", 100, " ~\\x1f!\\x7f~ \xc3\xbc.\\x0a" },
                { "123456", 6, "123456" },
                { "123456", 5, "12345..." },
                { "123456", 0, "..." },
                { "a\xc3\xbc", 2, "a..." }, /* never half a character, never a byte beyond */
                { "a\xc3\xbc", 3, "a\xc3\xbc" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct buf b = { 0 };
                assert_true(buf_add_escaped(&b, row[i].in, strlen(row[i].in), row[i].max));
                CLEANUP(free_p) char *text = buf_steal(&b);
                assert_string_equal(text, row[i].want);
        }
        struct buf small = { .max = 3 };
        assert_false(buf_add_escaped(&small, "\x01", 1, 10));
        buf_done(&small);
        struct buf nul = { 0 };
        assert_true(buf_add_escaped(&nul, "a\0b", 3, 10));
        assert_string_equal(nul.data, "a\\x00b");
        buf_done(&nul);
}

static void utf8_is_judged_to_the_end(void **state)
{
        (void)state;
        assert_true(text_is_utf8("", 0));
        assert_true(text_is_utf8("a\0\xf4\x8f\xbf\xbf", 6));
        assert_false(text_is_utf8("a\xe2\x82", 3)); /* cut */
        assert_false(text_is_utf8("\xe2\x82\xac", 2)); /* by the length given, whatever follows */
        assert_false(text_is_utf8("\x80", 1));
        assert_false(text_is_utf8("\xf5\x80\x80\x80", 4));
        assert_false(text_is_utf8("\xe0\x80\xaf", 3));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_builds_a_terminated_text),
                cmocka_unit_test(the_limit_is_exact_and_failure_stays),
                cmocka_unit_test(stealing_gives_a_text_always_or_nothing),
                cmocka_unit_test(a_secret_buffer_grows_and_wipes),
                cmocka_unit_test(escaping_leaves_nothing_a_terminal_would_act_on),
                cmocka_unit_test(utf8_is_judged_to_the_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
