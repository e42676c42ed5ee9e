/* Normal forms of specs/alerts.md section 5. */
#include "test.h"

#include "agent/alerts/forms.h"
#include "agent/base/util.h"

#define HEX "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"

static void every_spelling_of_a_hash_is_one(void **state)
{
        static const char *const row[] = {
                HEX,
                "5A7A78CCA4A0F420D9BC62BB669C3C2759E39F723D3AE10DCBE0F0815A07ECD4",
                "5a:7a:78:cc:a4:a0:f4:20:d9:bc:62:bb:66:9c:3c:27:59:e3:9f:72:3d:3a:e1:0d:cb:e0:f0:81:5a:07:ec:d4",
                "5a7a78cca4a0f420 d9bc62bb669c3c27 59e39f723d3ae10d cbe0f0815a07ecd4\n",
                "sha256:" HEX,
                "SHA256=" HEX,
                "sha256//Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=",
                "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=",
                "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy-DwgVoH7NQ",
                " sha256/Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ ",
        };
        static const char *const bad[] = { "", "00", HEX "0", HEX "00", "sha256:", ("sha1:" HEX),
                "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecdg",
                "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7N!=", "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ==",
                "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NR=" /* a bit beyond the end */ };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char hex[65] = "";
                if (!form_sha256(row[i], hex) || strcmp(hex, HEX) != 0)
                        fail_msg("%s: %s", row[i], hex);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                char hex[65] = "untouched";
                if (form_sha256(bad[i], hex))
                        fail_msg("%s passed", bad[i]);
                assert_string_equal(hex, "untouched");
        }
}

static void serial_numbers_lose_what_is_not_the_number(void **state)
{
        static const struct {
                const char *text, *want;
        } row[] = { { "00:87:65:43:21", "87654321" }, { "0x87654321", "87654321" }, { "0087654321", "87654321" },
                { "AB cd", "abcd" }, { "00", "0" }, { "0x", NULL }, { "", NULL }, { "-1", NULL }, { "12g", NULL },
                { "10000000000000000000000000000000000000000000000000000000000000000", NULL } };
        static const struct {
                const char *text, *want;
        } decimal[] = { { "2271560481", "87654321" }, { "0", "0" }, { "255", "ff" }, { "1a", NULL }, { "", NULL },
                { "-1", NULL },
                { "115792089237316195423570985008687907853269984665640564039457584007913129639935",
                        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" },
                { "115792089237316195423570985008687907853269984665640564039457584007913129639936", NULL } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char hex[FORM_SERIAL] = "";
                assert_int_equal(form_serial(row[i].text, hex), row[i].want != NULL);
                assert_string_equal(hex, row[i].want ? row[i].want : "");
        }
        for (size_t i = 0; i < ARRAY_LEN(decimal); i++) {
                char hex[FORM_SERIAL] = "";
                assert_int_equal(form_serial_decimal(decimal[i].text, hex), decimal[i].want != NULL);
                assert_string_equal(hex, decimal[i].want ? decimal[i].want : "");
        }
}

static void domains_are_lower_case_a_labels(void **state)
{
        static const struct {
                const char *text, *want;
        } row[] = { { "WWW.Example.COM.", "www.example.com" }, { "*.Example.com", "*.example.com" },
                { "b\xc3\xbc"
                  "cher.example",
                        "xn--bcher-kva.example" },
                { "xn--bcher-kva.example", "xn--bcher-kva.example" }, { "", NULL }, { ".", NULL }, { "a..b", NULL },
                { "a b", NULL }, { "a/b", NULL }, { "*", NULL }, { "\xff.example", NULL },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", NULL } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char name[FORM_DOMAIN] = "";
                if (form_domain(row[i].text, name) != (row[i].want != NULL) ||
                        strcmp(name, row[i].want ? row[i].want : "") != 0)
                        fail_msg("%s: %s", row[i].text, name);
        }
}

static void a_sha1_is_forty_digits(void **state)
{
        char hex[41] = "";
        (void)state;
        assert_true(form_sha1("DA:D9:DA:D1:48:D0:A9:BD:B7:79:C7:47:E3:5D:29:90:20:A9:1F:1B", hex));
        assert_string_equal(hex, "dad9dad148d0a9bdb779c747e35d299020a91f1b");
        assert_false(form_sha1(HEX, hex));
        assert_false(form_sha1("dad9", hex));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_spelling_of_a_hash_is_one),
                cmocka_unit_test(serial_numbers_lose_what_is_not_the_number),
                cmocka_unit_test(domains_are_lower_case_a_labels),
                cmocka_unit_test(a_sha1_is_forty_digits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
