#include "test.h"

#include <jansson.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "validators/dnspod_list.h"

#define ROW(id, name, type, value)                                                                                     \
        "{\"RecordId\": " #id ", \"Name\": \"" name "\", \"Type\": \"" type "\", \"Value\": \"" value "\"}"

static void a_list_tells_ours_from_what_is_in_the_way(void **state)
{
        static const struct proof txt = { .type = PROOF_TXT, .value = (char *)"v" },
                                  cname = { .type = PROOF_CNAME, .value = (char *)"t.example.net" };
        static const struct {
                const struct proof *proof;
                const char *rows, *other;
                int64_t id;
        } row[] = {
                { &txt, "", "", 0 },
                { &txt, ROW(7, "_a", "TXT", "v"), "", 7 },
                { &txt, ROW(8589934593, "_A", "TXT", "\\\"v\\\""), "", 8589934593 },
                { &txt, ROW(7, "_a", "TXT", "w") "," ROW(8, "_a", "A", "v"), "", 0 },
                { &txt, ROW(7, "_b", "TXT", "v") "," ROW(8, "_b", "CNAME", "x."), "", 0 }, /* another name's */
                { &txt, ROW(7, "_a", "CNAME", "x.example."), "CNAME", 0 },
                { &cname, ROW(7, "_a", "CNAME", "T.example.net."), "", 7 },
                { &cname, ROW(7, "_a", "CNAME", "u.example.net."), "CNAME", 0 },
                { &cname, ROW(7, "_a", "TXT", "t.example.net"), "TXT", 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct dnspod_seen seen = { 0 };
                struct err e;
                CLEANUP(free_p) char *text = text_format("{\"RecordList\": [%s]}", row[i].rows);
                CLEANUP(json_decref_p) json_t *o = json_loads(text, 0, NULL);
                assert_non_null(o);
                assert_true(dnspod_list_read(o, "_a", row[i].proof, &seen, &e));
                assert_int_equal(seen.id, row[i].id);
                assert_string_equal(seen.other, row[i].other);
        }
}

static void an_answer_of_another_shape_is_refused(void **state)
{
        static const struct proof txt = { .type = PROOF_TXT, .value = (char *)"v" };
        static const char *const texts[] = { "{}", "{\"RecordList\": {}}", "{\"RecordList\": [1]}",
                "{\"RecordList\": [{\"RecordId\": 7, \"Name\": \"_a\", \"Type\": \"TXT\"}]}",
                "{\"RecordList\": [" ROW(-1, "_a", "TXT", "v") "]}",
                "{\"RecordList\": [" ROW("7", "_a", "TXT", "v") "]}" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                struct dnspod_seen seen = { .id = 5 };
                struct err e;
                CLEANUP(json_decref_p) json_t *o = json_loads(texts[i], 0, NULL);
                assert_false(dnspod_list_read(o, "_a", &txt, &seen, &e));
                assert_string_equal(e.code, "dnspod.list");
                assert_int_equal(seen.id, 5);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_tells_ours_from_what_is_in_the_way),
                cmocka_unit_test(an_answer_of_another_shape_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
