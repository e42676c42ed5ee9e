#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

static void copies_are_whole(void **state)
{
        (void)state;
        assert_null(text_dup(NULL));
        CLEANUP(free_p) char *a = text_dup("abc"), *b = text_dup_n("abcdef", 3), *c = text_dup_n("", 0);
        CLEANUP(free_p) char *d = text_format("%s-%03d", "x", 7);
        assert_string_equal(a, "abc");
        assert_string_equal(b, "abc");
        assert_string_equal(c, "");
        assert_string_equal(d, "x-007");
}

/* Around the size to which a text is printed once. */
static void a_printed_text_is_whole_however_long(void **state)
{
        (void)state;
        for (size_t n = 1000; n < 1060; n++) {
                char want[1100];
                memset(want, 'a', n);
                want[n] = '\0';
                CLEANUP(free_p) char *text = text_format("%s", want);
                assert_string_equal(text, want);
        }
        CLEANUP(free_p) char *longest = malloc(100000), *text = NULL;
        memset(longest, 'b', 99999);
        longest[99999] = '\0';
        text = text_format("<%s>%d", longest, 7);
        assert_int_equal(strlen(text), 100002);
        assert_string_equal(text + 99999, "b>7");
}

static void comparing(void **state)
{
        (void)state;
        assert_true(text_equal_nocase("WWW.Example", "www.eXample"));
        assert_false(text_equal_nocase("www", "www."));
        assert_false(text_equal_nocase("www.", "www"));
        assert_false(text_equal_nocase("[", "{")); /* letters only: these differ by the same bit */
        assert_false(text_equal_nocase("\xc3\x84", "\xc3\xa4"));
        assert_true(text_equal_nocase(NULL, NULL));
        assert_false(text_equal_nocase(NULL, ""));
        assert_true(text_starts("dcvd.db", "dcvd") && text_starts("x", "") && !text_starts("dc", "dcvd"));
        assert_true(text_ends("a.corp", ".corp") && text_ends("x", "") && !text_ends("corp", ".corp"));
}

static void a_list_owns_its_texts(void **state)
{
        (void)state;
        struct texts t = { 0 }, copy = { 0 };
        for (int i = 0; i < 100; i++) {
                char text[16];
                snprintf(text, sizeof text, "%02d", 99 - i);
                assert_true(texts_add(&t, text));
        }
        assert_int_equal(t.count, 100);
        assert_true(texts_has(&t, "42"));
        assert_false(texts_has(&t, "4"));
        texts_sort(&t);
        for (size_t i = 1; i < t.count; i++)
                assert_true(strcmp(t.item[i - 1], t.item[i]) < 0);
        assert_true(texts_copy(&copy, &t));
        assert_ptr_not_equal(copy.item[0], t.item[0]);
        texts_done(&t);
        assert_int_equal(t.count, 0);
        assert_string_equal(copy.item[99], "99");
        texts_done(&copy);
        assert_false(texts_add(&t, NULL));
        assert_false(texts_add_own(&t, NULL));
        texts_sort(&t);
        assert_false(texts_has(&t, ""));
        texts_done(&t);
}

static void distance_finds_near_misses_only(void **state)
{
        static const struct {
                const char *a, *b;
                unsigned max, want;
        } row[] = {
                { "publisher", "publisher", 2, 0 },
                { "publisher", "PUBLISHER", 2, 0 },
                { "publsher", "publisher", 2, 1 },
                { "publisherr", "publisher", 2, 1 },
                { "pubilsher", "publisher", 2, 2 },
                { "kitten", "sitting", 3, 3 },
                { "kitten", "sitting", 2, 3 },
                { "kitten", "sitting", 0, 1 },
                { "", "", 0, 0 },
                { "", "abc", 3, 3 },
                { "abc", "", 2, 3 },
                { "flaw", "lawn", 2, 2 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                assert_int_equal(text_distance(row[i].a, row[i].b, row[i].max), row[i].want);
                assert_int_equal(text_distance(row[i].b, row[i].a, row[i].max), row[i].want);
        }
        char longest[66], shorter[65];
        memset(longest, 'a', 65);
        longest[65] = '\0';
        memset(shorter, 'a', 64);
        shorter[64] = '\0';
        assert_int_equal(text_distance(shorter, shorter, 2), 0);
        assert_int_equal(text_distance(longest, shorter, 2), 3); /* bounded work: too long to be a key */
        assert_int_equal(text_distance(shorter, longest, 2), 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(copies_are_whole),
                cmocka_unit_test(a_printed_text_is_whole_however_long),
                cmocka_unit_test(comparing),
                cmocka_unit_test(a_list_owns_its_texts),
                cmocka_unit_test(distance_finds_near_misses_only),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
