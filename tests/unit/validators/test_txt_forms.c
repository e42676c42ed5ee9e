#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/judgement.h"
#include "validators/txt_forms.h"

/* Made with sha256sum and base64 from the key authorization. */
#define THUMB "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
#define KEY_AUTHORIZATION "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-01." THUMB
#define VALUE "7KyGUhlVynj-lkwxbjkzki4h-7Hb2M9o7w3y_qBnx8s"
#define BASE64 "7KyGUhlVynj+lkwxbjkzki4h+7Hb2M9o7w3y/qBnx8s="
#define HEX "ecac86521955ca78fe964c316e3933922e21fbb1dbd8cf68ef0df2fea067c7cb"
#define BASE64_HEX "ZWNhYzg2NTIxOTU1Y2E3OGZlOTY0YzMxNmUzOTMzOTIyZTIxZmJiMWRiZDhjZjY4ZWYwZGYyZmVhMDY3YzdjYg=="
#define OLDER "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKK"
#define OWNER "_acme-challenge.example.com"
#define SERVER "ns1.example.net (192.0.2.1)"

static char unpadded[] = BASE64;

struct row {
        const char *value[3]; /* records; "A|B" is two strings */
        enum txt_match match;
        const char *ids; /* joined by blanks */
        const char *said; /* in message or fix of the first */
};

static size_t make_values(const char *const text[3], struct txt_value *ret, char store[3][400])
{
        size_t n = 0;
        for (; n < 3 && text[n]; n++) {
                ret[n] = (struct txt_value){ .data = (uint8_t *)store[n], .strings = 1, .ttl = 77 };
                for (const char *c = text[n]; *c; c++)
                        if (*c == '|')
                                ret[n].strings++;
                        else
                                store[n][ret[n].len++] = *c;
        }
        return n;
}

static void run(const struct txt_want *want, const struct row *r, size_t i)
{
        struct judgements j = { 0 };
        struct txt_value v[3];
        char store[3][400] = { 0 }, ids[100] = "";
        struct txt_seen seen = { SERVER, v, make_values(r->value, v, store), 100 };
        enum txt_match got = txt_judge(want, &seen, &j);
        for (size_t k = 0, n = 0; k < j.count; k++) {
                n += (size_t)snprintf(ids + n, sizeof ids - n, "%s%s", n ? " " : "", j.item[k].id);
                assert_true(*j.item[k].fix != '\0');
                assert_non_null(strstr(j.item[k].message, SERVER));
                assert_string_equal(j.item[k].subject, want->owner);
        }
        if (got != r->match || strcmp(ids, r->ids) != 0)
                fail_msg("row %zu (%s): %d, %s", i, r->value[0] ? r->value[0] : "-", (int)got, ids);
        if (r->said && !strstr(j.item[0].message, r->said) && !strstr(j.item[0].fix, r->said))
                fail_msg("row %zu: %s / %s", i, j.item[0].message, j.item[0].fix);
        assert_false(j.failed);
        judgements_done(&j);
}

static void a_wanted_digest_is_found_or_its_disguise_named(void **state)
{
        static const struct row t[] = {
                { { VALUE }, TXT_PRESENT, "", NULL },
                { { OLDER, VALUE }, TXT_PRESENT, "", NULL },
                { { "\"" VALUE "\"", VALUE }, TXT_PRESENT, "", NULL },
                { { "v=spf1 -all", VALUE, OLDER }, TXT_PRESENT, "", NULL },
                { { NULL }, TXT_ABSENT, "T02", OWNER ". 60 IN TXT \"" VALUE "\"" },
                { { "v=spf1 -all" }, TXT_DIFFERS, "T02", "1 others" },
                { { "" }, TXT_DIFFERS, "T02", NULL },
                /* T03 */
                { { "\"" VALUE "\"" }, TXT_DIFFERS, "T03", "without quotes" },
                { { "\\\"" VALUE "\\\"" }, TXT_DIFFERS, "T03", NULL },
                { { "'" VALUE "'" }, TXT_DIFFERS, "T03", NULL },
                { { VALUE "\\" }, TXT_DIFFERS, "T03", NULL },
                { { "\"" OLDER "\"" }, TXT_DIFFERS, "T02", NULL },
                /* T04 */
                { { " " VALUE }, TXT_DIFFERS, "T04", "1 blank(s) at the beginning" },
                { { VALUE "  " }, TXT_DIFFERS, "T04", "2 blank(s) at the end" },
                { { "\t" VALUE "\r\n" }, TXT_DIFFERS, "T04", "3 blank(s) at the beginning and the end" },
                { { VALUE "x" }, TXT_DIFFERS, "T02", NULL },
                /* T05 */
                { { "7KyGUhlVynj-lkwxbjkz|ki4h-7Hb2M9o7w3y_qBnx8s" }, TXT_PRESENT, "T05", "2 strings" },
                { { OLDER, "7KyGUhlVynj-lkwxbjkz||ki4h-7Hb2M9o7w3y_qBnx8s" }, TXT_PRESENT, "T05", "3 strings" },
                /* T06 */
                { { "7KyGUhlVynj-lkwxbjkz", "ki4h-7Hb2M9o7w3y_qBnx8s" }, TXT_DIFFERS, "T06", "two records" },
                { { "ki4h-7Hb2M9o7w3y_qBnx8s", "7KyGUhlVynj-lkwxbjkz" }, TXT_DIFFERS, "T06", NULL },
                { { "ki4h-7Hb2M9o7w3y_qBnx8s", "x", "7KyGUhlVynj-lkwxbjkz" }, TXT_DIFFERS, "T06", NULL },
                { { "7KyGUhlVynj-lkwxbjkz", "7KyGUhlVynj-lkwxbjkz" }, TXT_DIFFERS, "T02", NULL },
                /* T07 */
                { { VALUE "=" }, TXT_DIFFERS, "T07", "padded with =" },
                { { BASE64 }, TXT_DIFFERS, "T07", "standard base64" },
                { { unpadded }, TXT_DIFFERS, "T07", "standard base64" },
                { { HEX }, TXT_DIFFERS, "T07", "TXT \"" VALUE "\"" },
                { { BASE64_HEX }, TXT_DIFFERS, "T07", "base64 of the hex" },
                { { "00" HEX }, TXT_DIFFERS, "T02", NULL },
                /* T08 */
                { { KEY_AUTHORIZATION }, TXT_DIFFERS, "T08", "TXT \"" VALUE "\"" },
                { { "another-token." THUMB }, TXT_DIFFERS, "T08", "http-01 file" },
                { { "another-token.of-another-account" }, TXT_DIFFERS, "T02", NULL },
                /* T09 */
                { { OLDER }, TXT_DIFFERS, "T09", "wait 77 s" },
                { { OLDER, HEX }, TXT_DIFFERS, "T09 T07", OLDER },
        };
        static const struct txt_want want = { OWNER, VALUE, KEY_AUTHORIZATION, false, true };
        (void)state;
        unpadded[strlen(unpadded) - 1] = '\0';
        for (size_t i = 0; i < ARRAY_LEN(t); i++)
                run(&want, &t[i], i);
}

static void without_a_wanted_value_only_shapes_are_told(void **state)
{
        static const struct row t[] = {
                { { NULL }, TXT_ABSENT, "", NULL },
                { { OLDER }, TXT_DIFFERS, "", NULL },
                { { VALUE }, TXT_DIFFERS, "", NULL },
                { { "\"" OLDER "\"" }, TXT_DIFFERS, "T03", NULL },
                { { OLDER " " }, TXT_DIFFERS, "T04", NULL },
                { { HEX }, TXT_DIFFERS, "T07", VALUE },
                { { KEY_AUTHORIZATION }, TXT_DIFFERS, "T08", VALUE },
                { { "7KyGUhlVynj-lkwxbjkz", "ki4h-7Hb2M9o7w3y_qBnx8s" }, TXT_DIFFERS, "", NULL },
                { { "google-site-verification=abc" }, TXT_DIFFERS, "", NULL },
        };
        static const struct txt_want want = { .owner = OWNER, .acme = true };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++)
                run(&want, &t[i], i);
}

static void values_of_other_cas_are_taken_as_they_are(void **state)
{
        static const struct row txt[] = {
                { { "201911xyz-token" }, TXT_PRESENT, "", NULL },
                { { "201911XYZ-token" }, TXT_DIFFERS, "T09", "wanted 201911xyz-token" }, /* TXT compares case */
                { { "another" }, TXT_DIFFERS, "T23", "found another" },
                { { "\"201911xyz-token\"" }, TXT_DIFFERS, "T03", NULL },
                { { " 201911xyz-token" }, TXT_DIFFERS, "T04", NULL },
                { { "201911xyz", "-token" }, TXT_DIFFERS, "T06", NULL },
        };
        static const struct row cname[] = {
                { { "a310.cc73.trust-provider.com" }, TXT_PRESENT, "", NULL },
                { { "A310.cc73.Trust-Provider.com." }, TXT_PRESENT, "", NULL },
                { { "b310.cc73.trust-provider.com" }, TXT_DIFFERS, "T23", "IN CNAME a310.cc73.trust-provider.com." },
                { { NULL }, TXT_ABSENT, "T02", "no CNAME record" },
        };
        static const struct txt_want want_txt = { .owner = "_dnsauth.example.com", .value = "201911xyz-token" };
        static const struct txt_want want_cname = {
                .owner = "_abc.example.com", .value = "a310.cc73.trust-provider.com", .cname = true
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(txt); i++)
                run(&want_txt, &txt[i], i);
        for (size_t i = 0; i < ARRAY_LEN(cname); i++)
                run(&want_cname, &cname[i], i);
}

static void an_answer_too_large_is_said(void **state)
{
        static const struct {
                size_t count, bytes;
                bool large;
        } t[] = { { 20, 1232, false }, { 21, 900, true }, { 3, 1233, true }, { 3000, 60000, true } };
        static const struct txt_want want = { .owner = OWNER, .acme = true };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct judgements j = { 0 };
                struct txt_value *v = calloc(t[i].count, sizeof *v);
                for (size_t k = 0; k < t[i].count; k++)
                        v[k] = (struct txt_value){ (const uint8_t *)OLDER, strlen(OLDER), 1, 60 };
                struct txt_seen seen = { SERVER, v, t[i].count, t[i].bytes };
                txt_judge(&want, &seen, &j);
                assert_int_equal(judgements_find(&j, "T19") != NULL, t[i].large);
                judgements_done(&j);
                free(v);
        }
}

static void a_zero_byte_does_not_shorten_a_value(void **state)
{
        static const uint8_t bytes[] = VALUE "\0tail";
        static const struct txt_want want = { OWNER, VALUE, KEY_AUTHORIZATION, false, true };
        static const struct txt_want alias = { .owner = OWNER, .value = VALUE, .cname = true };
        const struct txt_value v = { bytes, sizeof bytes - 1, 1, 60 };
        const struct txt_seen seen = { SERVER, &v, 1, 0 };
        struct judgements j = { 0 };
        (void)state;
        assert_int_equal(txt_judge(&want, &seen, &j), TXT_DIFFERS);
        assert_int_equal(txt_judge(&alias, &seen, &j), TXT_DIFFERS);
        judgements_done(&j);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(a_wanted_digest_is_found_or_its_disguise_named),
                cmocka_unit_test(without_a_wanted_value_only_shapes_are_told),
                cmocka_unit_test(values_of_other_cas_are_taken_as_they_are),
                cmocka_unit_test(an_answer_too_large_is_said), cmocka_unit_test(a_zero_byte_does_not_shorten_a_value) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
