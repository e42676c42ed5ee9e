#include "test.h"

#include <string.h>

#include "validators/judgement.h"

static void foreign_text_is_escaped_and_cut(void **state)
{
        struct judgements j = { 0 };
        char longer[2000];
        (void)state;
        memset(longer, 'a', sizeof longer);
        longer[sizeof longer - 1] = '\0';
        judge(&j, "T02", (struct judgement_words){ .subject = "a\nb", .observed = longer }, "say \x1b[31m %s", "x");
        assert_int_equal(j.count, 1);
        assert_string_equal(j.item[0].subject, "a\\x0ab");
        assert_null(strchr(j.item[0].message, '\x1b'));
        assert_in_range(strlen(j.item[0].observed), 600, 620);
        assert_string_equal(j.item[0].fix, "");
        judgements_done(&j);
}

static void what_could_not_be_judged_is_no_finding(void **state)
{
        struct judgements j = { 0 };
        (void)state;
        judge_unverifiable(&j, "C06", "example.com", "no account yet");
        assert_int_equal(j.count, 1);
        assert_null(judgements_find(&j, "C06"));
        judge(&j, "C06", (struct judgement_words){ .fix = "do" }, "now");
        assert_string_equal(judgements_find(&j, "C06")->fix, "do");
        assert_null(judgements_find(&j, "C07"));
        judgements_done(&j);
}

static void a_flood_ends_at_the_limit_and_says_so(void **state)
{
        struct judgements j = { 0 };
        (void)state;
        for (int i = 0; i < JUDGEMENTS_MAX + 5; i++)
                judge(&j, "D05", (struct judgement_words){ 0 }, "%d", i);
        assert_int_equal(j.count, JUDGEMENTS_MAX);
        assert_true(j.failed);
        judgements_done(&j);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(foreign_text_is_escaped_and_cut),
                cmocka_unit_test(what_could_not_be_judged_is_no_finding),
                cmocka_unit_test(a_flood_ends_at_the_limit_and_says_so) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
