/* The verb hook: which command, what is handed to it, what is said of its end. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/helper_verbs.h"
#include "validators/exec.h"

struct bed {
        struct conf_notify notify[2];
        struct exec_conf exec;
        struct conf_kind kind, other;
        struct conf_backend publisher[2];
        struct conf conf;
};

static void command(struct texts *ret, const char *script)
{
        texts_done(ret);
        assert_true(
                texts_add(ret, "/bin/sh") && texts_add(ret, "-c") && texts_add(ret, script) && texts_add(ret, "hook"));
}

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        b->notify[0].name = (char *)"ops";
        b->notify[1] = (struct conf_notify){ .name = (char *)"chat", .url = (char *)"https://chat.example.test/" };
        b->kind = (struct conf_kind){ .section = "publishers", .type = "exec" };
        b->other = (struct conf_kind){ .section = "publishers", .type = "webroot" };
        b->exec.timeout_ms = 60000;
        b->publisher[0] = (struct conf_backend){ .name = (char *)"script", .kind = &b->kind, .parsed = &b->exec };
        b->publisher[1] = (struct conf_backend){ .name = (char *)"site", .kind = &b->other, .parsed = &b->exec };
        b->conf = (struct conf){ .path = (char *)"/etc/dcvd/dcvd.yaml",
                .publisher = b->publisher,
                .publisher_count = 2,
                .notify = { b->notify, 2 } };
        command(&b->notify[0].command, "cat; echo also >&2");
        command(&b->exec.command, "for a; do printf '%s|' \"$a\"; done; env | grep _ | sort");
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        texts_done(&b->notify[0].command);
        texts_done(&b->exec.command);
        free(b);
        return 0;
}

static bool ask(struct bed *b, json_t *header, const char *input, json_t *answer, struct err *e)
{
        struct helper_request r = {
                .header = header, .verb = (char *)"hook", .blob = (uint8_t *)(char *)input, .blob_len = strlen(input)
        };
        *e = (struct err){ 0 };
        assert_non_null(header);
        bool good = helper_do(&b->conf, &r, answer, e);
        json_decref(header);
        return good;
}

static void a_notice_gets_its_text_on_standard_input(void **state)
{
        CLEANUP(json_decref_p) json_t *answer = json_object();
        struct err e;
        if (!ask(*state, json_pack("{s:s,s:s}", "kind", "notify", "name", "ops"), "To: ops\n\nwords\n", answer, &e))
                fail_msg("%s", e.text);
        assert_int_equal(json_i64(answer, "exit", -2), 0);
        assert_string_equal(json_str(answer, "said"), "To: ops\n\nwords\n");
        assert_string_equal(json_str(answer, "output"), "To: ops\n\nwords\nalso\n");
        assert_string_equal(json_str(answer, "failure"), "");
}

static void a_publisher_gets_arguments_and_environment(void **state)
{
        CLEANUP(json_decref_p) json_t *answer = json_object();
        struct err e;
        json_t *header = json_pack("{s:s,s:s,s:[s,s,s],s:{s:s}}", "kind", "publisher", "name", "script", "args",
                "present", "--", "-Tok_en", "env", "CERTBOT_DOMAIN", "www.example.test");
        if (!ask(*state, header, "", answer, &e))
                fail_msg("%s", e.text);
        assert_string_equal(json_str(answer, "output"), "present|--|-Tok_en|CERTBOT_DOMAIN=www.example.test\n");
}

static void its_end_is_told(void **state)
{
        static const struct {
                const char *script;
                int exit_status, signal;
                const char *tells;
        } row[] = {
                { "exit 0", 0, 0, "" },
                { "echo no such zone >&2; exit 1", 1, 0, "no such zone, exit 1" },
                { "exit 126", 126, 0, "cannot be executed" },
                { "exit 127", 127, 0, "not found" },
                { "kill -TERM $$", -1, 15, "ended by signal 15" },
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct err e;
                command(&b->exec.command, row[i].script);
                if (!ask(b, json_pack("{s:s,s:s}", "kind", "publisher", "name", "script"), "", answer, &e))
                        fail_msg("%s", e.text);
                assert_int_equal(json_i64(answer, "exit", -2), row[i].exit_status);
                assert_int_equal(json_i64(answer, "signal", -2), row[i].signal);
                assert_false(json_bool(answer, "timed_out", true));
                if (row[i].tells[0] ? !strstr(json_str(answer, "failure"), row[i].tells)
                                    : json_str(answer, "failure")[0] != '\0')
                        fail_msg("%s: %s", row[i].script, json_str(answer, "failure"));
        }
}

static void its_time_is_the_configuration_s(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *answer = json_object();
        struct err e;
        command(&b->exec.command, "exec sleep 600");
        b->exec.timeout_ms = 50;
        assert_true(ask(b, json_pack("{s:s,s:s}", "kind", "publisher", "name", "script"), "", answer, &e));
        assert_true(json_bool(answer, "timed_out", false));
        assert_non_null(strstr(json_str(answer, "failure"), "did not end in time"));
}

static void what_it_prints_is_capped_and_escaped(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *answer = json_object();
        struct err e;
        command(&b->exec.command, "printf 'a\\033[2J\\000b\\nc\\n'; head -c 200000 /dev/zero");
        assert_true(ask(b, json_pack("{s:s,s:s}", "kind", "publisher", "name", "script"), "", answer, &e));
        const char *output = json_str(answer, "output"), *said = json_str(answer, "said");
        assert_true(text_starts(output, "a\\x1b[2J\\x00b\nc\n\\x00"));
        assert_true(strlen(output) <= 64 * 1024 && strlen(said) <= 4096);
        assert_true(strlen(output) > 60 * 1024 && strlen(said) > 4000);
        CLEANUP(free_p) char *text = json_text(answer);
        assert_true(strlen(text) < HELPER_ANSWER_MAX);
}

static void what_does_not_fit_is_refused_and_nothing_runs(void **state)
{
        static const struct {
                const char *header, *code;
        } row[] = {
                { "{}", "hook.section" },
                { "{\"kind\":\"notify\",\"name\":\"opss\"}", "hook.section" },
                { "{\"kind\":\"notify\",\"name\":\"chat\"}", "hook.section" },
                { "{\"kind\":\"publisher\",\"name\":\"ops\"}", "hook.section" },
                { "{\"kind\":\"publisher\",\"name\":\"site\"}", "hook.section" },
                { "{\"kind\":\"deploy\",\"name\":\"ops\"}", "hook.section" },
                { "{\"kind\":7,\"name\":\"ops\"}", "hook.section" },
                { "{\"kind\":\"notify\",\"name\":\"ops\",\"args\":[\"-bd\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":7}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[7]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"a b\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"$(id)\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"a;id\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"a\\nb\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"args\":[\"\\u00e9\"]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":[]}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"LD_PRELOAD\":\"x\"}}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"PATH\":\"x\"}}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"CERTBOT_a\":\"x\"}}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"EXEC_A=B\":\"x\"}}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"EXEC_A\":7}}", "hook.grammar" },
                { "{\"kind\":\"publisher\",\"name\":\"script\",\"env\":{\"EXEC_A\":\"\\u001b\"}}", "hook.grammar" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct err e;
                if (ask(*state, json_loads(row[i].header, 0, NULL), "", answer, &e) || strcmp(e.code, row[i].code) != 0)
                        fail_msg("%s: %s %s", row[i].header, e.code, e.text);
                assert_int_equal(json_object_size(answer), 0);
        }
}

static void too_much_is_refused(void **state)
{
        CLEANUP(json_decref_p) json_t *answer = json_object();
        CLEANUP(free_p) char *page = malloc(5000);
        struct err e;
        assert_non_null(page);
        memset(page, 'x', 4999);
        page[4999] = '\0';
        page[1025] = '\0';
        json_t *header = json_pack("{s:s,s:s,s:[s]}", "kind", "publisher", "name", "script", "args", page);
        assert_false(ask(*state, header, "", answer, &e));
        page[1025] = 'x';
        page[4097] = '\0';
        header = json_pack("{s:s,s:s,s:{s:s}}", "kind", "publisher", "name", "script", "env", "EXEC_A", page);
        assert_false(ask(*state, header, "", answer, &e));
        json_t *many = json_array();
        for (int i = 0; i < 65; i++)
                assert_int_equal(json_array_append_new(many, json_string("x")), 0);
        header = json_pack("{s:s,s:s,s:o}", "kind", "publisher", "name", "script", "args", many);
        assert_false(ask(*state, header, "", answer, &e));
        assert_string_equal(e.code, "hook.grammar");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_notice_gets_its_text_on_standard_input, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_publisher_gets_arguments_and_environment, set_up, tear_down),
                cmocka_unit_test_setup_teardown(its_end_is_told, set_up, tear_down),
                cmocka_unit_test_setup_teardown(its_time_is_the_configuration_s, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_it_prints_is_capped_and_escaped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused_and_nothing_runs, set_up, tear_down),
                cmocka_unit_test_setup_teardown(too_much_is_refused, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
