#include "test.h"

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ctl/server.h"

static void a_request_is_read(void **state)
{
        const char *line = "{\"verb\":\"status\",\"args\":{\"certs\":[\"www\"]}}", *verb = NULL;
        const json_t *args = NULL;
        struct err e;
        (void)state;
        CLEANUP(json_decref_p) json_t *request = NULL;
        assert_true(ctl_request_read(line, strlen(line), &request, &verb, &args, &e));
        assert_string_equal(verb, "status");
        assert_int_equal(json_array_size(json_object_get(args, "certs")), 1);
}

static void what_is_no_request_is_refused(void **state)
{
        static const char *const bad[] = { "", "x", "[]", "1", "null", "{}", "{\"verb\":1}",
                "{\"verb\":\"a\",\"args\":[]}", "{\"verb\":\"a\"} x", "{\"verb\":\"a\",\"verb\":\"b\"}",
                "{\"verb\":\"a\",\"args\":[[[[[[[[[[]]]]]]]]]]}", "{\"verb\":\"a\\u0000b\"}" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                json_t *request = NULL;
                const json_t *args;
                const char *verb;
                struct err e = { 0 };
                if (ctl_request_read(bad[i], strlen(bad[i]), &request, &verb, &args, &e))
                        fail_msg("%s", bad[i]);
                assert_int_equal(e.kind, ERR_PROTOCOL);
        }
}

static void only_known_verbs_are_found(void **state)
{
        (void)state;
        assert_int_equal(ctl_verb_find(ctl_verbs, "reissue")->right, CTL_ACT);
        assert_int_equal(ctl_verb_find(ctl_verbs, "status")->right, CTL_READ);
        assert_int_equal(ctl_verb_find(ctl_verbs, "import")->right, CTL_ACT);
        assert_null(ctl_verb_find(ctl_verbs, "Status"));
        assert_null(ctl_verb_find(ctl_verbs, ""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_is_read),
                cmocka_unit_test(what_is_no_request_is_refused),
                cmocka_unit_test(only_known_verbs_are_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
