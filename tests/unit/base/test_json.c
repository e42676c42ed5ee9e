#include "test.h"

#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

static void what_is_no_document_is_refused_without_showing_it(void **state)
{
        static const struct {
                const char *text;
                const char *code; /* NULL: accepted */
        } row[] = {
                { "{}", NULL },
                { " [1, 2.5, null, true, \"x\"] \n", NULL },
                { "{\"a\":{\"b\":[]}}", NULL },
                { "[[[]]]", NULL },
                { "[[[[]]]]", "json.depth" },
                { "{\"a\":{\"b\":[{}]}}", "json.depth" },
                { "[[],[],[],[]]", NULL }, /* wide is not deep */
                { "{\"a\":\"[[[[[[\"}", NULL }, /* brackets in a text are none */
                { "{\"a\":\"\\\"[[[[\"}", NULL },
                { "{\"c4n4ry\":1,\"c4n4ry\":2}", "json.syntax" },
                { "{\"a\":1} x", "json.syntax" },
                { "{\"a\":1}{}", "json.syntax" },
                { "{\"c4n4ry\":", "json.syntax" },
                { "{\"c4n4ry\xff\":1}", "json.syntax" },
                { "{'c4n4ry':1}", "json.syntax" },
                { "{\"a\":1,}", "json.syntax" },
                { "{\"a\":99999999999999999999}", "json.syntax" },
                { "{\"a\":1e999}", "json.syntax" },
                { "{\"a\":NaN}", "json.syntax" },
                { "{\"a\":\"\\ud800\"}", "json.syntax" },
                { "{\"a\":\"\n\"}", "json.syntax" },
                { "\"c4n4ry\"", "json.syntax" },
                { "", "json.syntax" },
                { "]]]]", "json.syntax" },
                { "\"", "json.syntax" },
                { "{\"a\\", "json.syntax" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                json_t *v = NULL;
                struct err e = { 0 };
                if (json_read(row[i].text, strlen(row[i].text), 3, &v, &e) != !row[i].code)
                        fail_msg("%s: %s", row[i].text, e.text);
                json_decref(v);
                if (!row[i].code)
                        continue;
                assert_null(v);
                assert_string_equal(e.code, row[i].code);
                assert_int_equal(e.kind, ERR_PROTOCOL);
                assert_null(strstr(e.text, "c4n4ry"));
        }
}

static void the_length_given_is_the_document(void **state)
{
        (void)state;
        json_t *v = NULL;
        struct err e = { 0 };
        assert_true(json_read("{}junk", 2, 3, &v, &e));
        json_decref(v);
        v = NULL;
        assert_false(json_read("{}\0", 3, 3, &v, &e)); /* NUL is no blank */
        assert_false(json_read("{\n  \"a\": x}", 11, 3, &v, &e));
        assert_string_equal(e.text, "not valid JSON at line 2, column 8");
}

static void members_are_read_by_type(void **state)
{
        (void)state;
        static const char text[] =
                "{\"s\":\"x\",\"i\":-5,\"b\":true,\"n\":null,\"nul\":\"a\\u0000b\",\"r\":1.5,\"is\":\"5\"}";
        CLEANUP(json_decref_p) json_t *o = NULL;
        assert_true(json_read(text, sizeof text - 1, 3, &o, NULL));
        assert_string_equal(json_str(o, "s"), "x");
        assert_null(json_str(o, "i"));
        assert_null(json_str(o, "n"));
        assert_null(json_str(o, "absent"));
        assert_null(json_str(o, "nul")); /* C would read another text than the sender wrote */
        assert_null(json_str(NULL, "s"));
        assert_int_equal(json_i64(o, "i", 7), -5);
        assert_int_equal(json_i64(o, "r", 7), 7);
        assert_int_equal(json_i64(o, "is", 7), 7);
        assert_int_equal(json_i64(o, "absent", 7), 7);
        assert_true(json_bool(o, "b", false));
        assert_true(json_bool(o, "i", true));
        assert_false(json_bool(o, "absent", false));
}

static void building_gives_one_text_for_one_value(void **state)
{
        (void)state;
        CLEANUP(json_decref_p) json_t *o = json_object();
        assert_true(json_put_i64(o, "z", INT64_MIN));
        assert_true(json_put_text(o, "a", "q\"\n"));
        assert_true(json_put_text(o, "n", NULL));
        assert_true(json_put_bool(o, "b", false));
        assert_true(json_put_text(o, "bad", "\xff"));
        CLEANUP(free_p) char *text = json_text(o);
        assert_string_equal(text,
                "{\"a\":\"q\\\"\\n\",\"b\":false,\"bad\":\"(not UTF-8)\",\"n\":null,"
                "\"z\":-9223372036854775808}");
        assert_false(json_put_text(NULL, "a", "x"));
        assert_false(json_put_i64(NULL, "a", 1));
        assert_false(json_put_bool(NULL, "a", true));
        assert_null(json_text(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_document_is_refused_without_showing_it),
                cmocka_unit_test(the_length_given_is_the_document),
                cmocka_unit_test(members_are_read_by_type),
                cmocka_unit_test(building_gives_one_text_for_one_value),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
