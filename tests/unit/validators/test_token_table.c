#include "test.h"

#include <stdio.h>

#include "agent/base/err.h"
#include "validators/token_table.h"

#define PATH "/.well-known/acme-challenge/token"

static void an_entry_is_put_again_but_never_replaced(void **state)
{
        struct token_table *t;
        struct err e;
        (void)state;
        assert_true(token_table_new(&t, &e));
        assert_true(token_table_put(t, "www.example.com", PATH, "value", &e));
        assert_true(token_table_put(t, "WWW.example.com", PATH, "value", &e)); /* the same, said again */
        assert_int_equal(token_table_count(t), 1);
        assert_false(token_table_put(t, "www.example.com", PATH, "other", &e));
        assert_int_equal(e.kind, ERR_RULE);
        assert_string_equal(e.code, "token.foreign");
        assert_string_equal(e.text, "http://www.example.com" PATH " is in use with another content");
        assert_true(token_table_put(t, "example.com", PATH, "other", &e)); /* another host */
        assert_true(token_table_put(t, NULL, PATH, "third", &e)); /* any host */
        assert_int_equal(token_table_count(t), 3);
        token_table_drop(t, "nobody.example.com", PATH);
        token_table_drop(t, "www.example.com", PATH "2");
        assert_int_equal(token_table_count(t), 3);
        token_table_drop(t, "www.Example.com", PATH);
        token_table_drop(t, NULL, PATH);
        assert_int_equal(token_table_count(t), 1);
        assert_true(token_table_put(t, "www.example.com", PATH, "other", &e)); /* free again */
        token_table_free(t);
        token_table_free(NULL);
}

static void it_holds_as_many_as_it_says(void **state)
{
        struct token_table *t;
        struct err e;
        char path[80];
        size_t n = 0;
        (void)state;
        assert_true(token_table_new(&t, &e));
        for (bool good = true; good; n += good) {
                snprintf(path, sizeof path, "/.well-known/acme-challenge/%zu", n);
                good = token_table_put(t, "", path, "value", &e);
                assert_true(n < 1000000);
        }
        assert_int_equal(e.kind, ERR_TEMPORARY);
        assert_string_equal(e.code, "token.many");
        assert_int_equal(token_table_count(t), n);
        token_table_drop(t, "", "/.well-known/acme-challenge/7");
        assert_true(token_table_put(t, "", path, "value", &e));
        token_table_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(an_entry_is_put_again_but_never_replaced),
                cmocka_unit_test(it_holds_as_many_as_it_says) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
