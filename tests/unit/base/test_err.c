#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "agent/base/err.h"
#include "agent/base/util.h"

static void setting_fills_everything_and_is_false(void **state)
{
        (void)state;
        struct err e = { .retry_after_s = 7, .fix = "old", .text = "old" };
        assert_false(err_set(&e, ERR_RULE, "R3", "used on %s", "2026-08-02"));
        assert_int_equal(e.kind, ERR_RULE);
        assert_string_equal(e.code, "R3");
        assert_string_equal(e.text, "used on 2026-08-02");
        assert_string_equal(e.fix, "");
        assert_int_equal(e.retry_after_s, 0);
        assert_false(err_fix(&e, "wait until %d", 2027));
        assert_string_equal(e.fix, "wait until 2027");
}

static void nobody_listening_is_allowed(void **state)
{
        (void)state;
        assert_false(err_set(NULL, ERR_BUG, "x", "y"));
        assert_false(err_fix(NULL, "y"));
        assert_false(err_wrap(NULL, "y"));
        assert_false(err_errno(NULL, ENOENT, "x", "y"));
        assert_false(err_memory(NULL));
}

static void its_own_fields_may_be_arguments(void **state)
{
        (void)state;
        struct err e;
        err_set(&e, ERR_DENIED, "one", "first");
        err_set(&e, ERR_CONFIG, e.code, "second after %s", e.text);
        assert_string_equal(e.code, "one");
        assert_string_equal(e.text, "second after first");
        err_fix(&e, "%s!", e.text);
        assert_string_equal(e.fix, "second after first!");
}

static void foreign_bytes_are_escaped(void **state)
{
        (void)state;
        struct err e;
        err_set(&e, ERR_PROTOCOL, "tc.\x1b[31m", "said \"%s\"", "\x1b[2J\r\n\xff");
        assert_string_equal(e.code, "tc.\\x1b[31m");
        assert_string_equal(e.text, "said \"\\x1b[2J\\x0d\\x0a\\xff\"");
        err_fix(&e, "ask %s", "\a");
        assert_string_equal(e.fix, "ask \\x07");
        err_wrap(&e, "%s", "\b");
        assert_string_equal(e.text, "\\x08: said \"\\x1b[2J\\x0d\\x0a\\xff\"");
}

static void long_texts_are_cut_between_characters(void **state)
{
        (void)state;
        struct err e;
        char text[2000];
        for (size_t i = 0; i < sizeof text - 2; i += 2)
                memcpy(text + i, "\xc3\xa9", 2); /* e with acute */
        text[sizeof text - 2] = '\0';
        err_set(&e, ERR_TEMPORARY, "a.code.that.is.longer.than.its.field.and.so.has.to.be.cut.somewhere", "%s", text);
        assert_int_equal(strlen(e.text), sizeof e.text - 1);
        assert_string_equal(e.text + sizeof e.text - 6, "\xc3\xa9...");
        assert_int_equal(strlen(e.code), sizeof e.code - 1);
        err_set(&e, ERR_TEMPORARY, "x", "1%s", text);
        assert_int_equal(strlen(e.text), sizeof e.text - 2); /* one more would be half a character */
        assert_string_equal(e.text + sizeof e.text - 7, "\xc3\xa9...");
        err_wrap(&e, "x");
        assert_memory_equal(e.text, "x: 1\xc3\xa9", 6);
        assert_true(strlen(e.text) < sizeof e.text);
        /* Bytes that grow fourfold when escaped still end inside the field. */
        memset(text, 1, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        err_set(&e, ERR_TEMPORARY, text, "%s", text);
        assert_true(strlen(e.text) < sizeof e.text && strlen(e.code) < sizeof e.code);
        err_fix(&e, "%s", text);
        assert_true(strlen(e.fix) < sizeof e.fix);
}

static void wrapping_keeps_kind_code_and_fix(void **state)
{
        (void)state;
        struct err e;
        err_set(&e, ERR_DENIED, "dns.refused", "refused");
        err_fix(&e, "allow it");
        e.retry_after_s = 9;
        assert_false(err_wrap(&e, "zone %s", "example.com"));
        assert_string_equal(e.text, "zone example.com: refused");
        assert_string_equal(e.code, "dns.refused");
        assert_string_equal(e.fix, "allow it");
        assert_int_equal(e.kind, ERR_DENIED);
        assert_int_equal(e.retry_after_s, 9);
}

static void errno_decides_the_kind(void **state)
{
        static const struct {
                int error;
                enum err_kind kind;
        } row[] = { { ENOENT, ERR_CONFIG }, { EACCES, ERR_CONFIG }, { EPERM, ERR_CONFIG }, { ENOTDIR, ERR_CONFIG },
                { ELOOP, ERR_CONFIG }, { ENOSPC, ERR_TEMPORARY }, { EMFILE, ERR_TEMPORARY }, { ENOMEM, ERR_TEMPORARY },
                { EIO, ERR_TEMPORARY }, { ECONNREFUSED, ERR_TEMPORARY } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct err e;
                char want[300];
                assert_false(err_errno(&e, row[i].error, "file", "opening %s", "a\nb"));
                snprintf(want, sizeof want, "opening a\\x0ab: %s", strerror(row[i].error));
                assert_string_equal(e.text, want);
                assert_int_equal(e.kind, row[i].kind);
        }
        struct err e;
        err_memory(&e);
        assert_int_equal(e.kind, ERR_TEMPORARY);
        assert_string_equal(e.code, "memory");
}

static void names_go_there_and_back(void **state)
{
        (void)state;
        for (int k = 0; k < ERR_KINDS; k++)
                assert_int_equal(err_kind_from_name(err_kind_name((enum err_kind)k)), k);
        assert_string_equal(err_kind_name(ERR_UNKNOWN), "unknown-outcome"); /* the journal holds these words */
        assert_string_equal(err_kind_name(ERR_KINDS), "bug");
        assert_int_equal(err_kind_from_name("Rule"), ERR_BUG);
        assert_int_equal(err_kind_from_name(NULL), ERR_BUG);
}

static void errors_of_the_machine_say_what_to_do(void **state)
{
        static const struct {
                int error;
                const char *fix;
        } row[] = { { ENOSPC, "df -i" }, { EDQUOT, "make room" }, { EROFS, "mount" }, { EIO, "dmesg" },
                { EMFILE, "LimitNOFILE=" }, { ENFILE, "LimitNOFILE=" } };
        struct err e;
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                assert_false(err_errno(&e, row[i].error, "x", "/a/path"));
                assert_non_null(strstr(e.text, "/a/path"));
                assert_non_null(strstr(e.fix, row[i].fix));
        }
        assert_false(err_errno(&e, ENOENT, "x", "/a/path"));
        assert_string_equal(e.fix, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(setting_fills_everything_and_is_false),
                cmocka_unit_test(nobody_listening_is_allowed),
                cmocka_unit_test(its_own_fields_may_be_arguments),
                cmocka_unit_test(foreign_bytes_are_escaped),
                cmocka_unit_test(long_texts_are_cut_between_characters),
                cmocka_unit_test(wrapping_keeps_kind_code_and_fix),
                cmocka_unit_test(errno_decides_the_kind),
                cmocka_unit_test(names_go_there_and_back),
                cmocka_unit_test(errors_of_the_machine_say_what_to_do),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
