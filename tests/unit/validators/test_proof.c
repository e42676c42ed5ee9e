#include "test.h"

#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "validators/proof.h"

#define HASH "jBe9m-TkL_mXXuTnxF15Pxu9Y9Z04DWzxA58xfX1lrU"
#define PKI "/.well-known/pki-validation/"

static bool fits(enum proof_type type, const char *place, const char *path, const char *value, struct err *e)
{
        struct proof p = { type, (char *)"www.example.test", (char *)place, (char *)path, (char *)value };
        return proof_check(&p, e);
}

static void the_usual_tokens_fit(void **state)
{
        struct err e;
        (void)state;
        assert_true(fits(PROOF_TXT, "_dnsauth.www.example.test", NULL, "20231115abc", &e));
        assert_true(fits(PROOF_CNAME, "_875bed25.example.test", NULL, "a310.cc73.cmcd.trust-provider.com", &e));
        assert_true(fits(PROOF_FILE, "www.example.test", PKI "fileauth.txt", "20231115\nabc\n", &e));
        assert_true(fits(PROOF_FILE, "www.example.test", "/.well-known/acme-challenge/abc_-DEF", "abc.def", &e));
        assert_true(fits(PROOF_FILE, "2001:db8::1", PKI "fileauth.txt", "abc", &e));
        assert_true(fits(PROOF_TLS, "www.example.test", NULL, HASH, &e));
        assert_true(fits(PROOF_TLS, "192.0.2.1", NULL, HASH, &e));
}

static void what_could_become_something_else_is_refused(void **state)
{
        static char long_name[400], long_body[5000];
        (void)state;
        memset(long_name, 'a', sizeof long_name - 1);
        memset(long_body, 'a', sizeof long_body - 1);
        const struct {
                enum proof_type type;
                const char *place, *path, *value;
        } bad[] = {
                { PROOF_TXT, "", NULL, "v" },
                { PROOF_TXT, NULL, NULL, "v" },
                { PROOF_TXT, "example", NULL, "v" },
                { PROOF_TXT, "a..example.test", NULL, "v" },
                { PROOF_TXT, "../etc/passwd", NULL, "v" },
                { PROOF_TXT, "a;id.example.test", NULL, "v" },
                { PROOF_TXT, "a b.example.test", NULL, "v" },
                { PROOF_TXT, "a\nb.example.test", NULL, "v" },
                { PROOF_TXT, "-a.example.test", NULL, "v" },
                { PROOF_TXT, "a-.example.test", NULL, "v" },
                { PROOF_TXT, "a.example.test.", NULL, "v" },
                { PROOF_TXT, "*.example.test", NULL, "v" },
                { PROOF_TXT, long_name, NULL, "v" },
                { PROOF_TXT, "a.example.test", NULL, "" },
                { PROOF_TXT, "a.example.test", NULL, NULL },
                { PROOF_TXT, "a.example.test", NULL, "v\n" },
                { PROOF_TXT, "a.example.test", NULL, "v\x1b[31m" },
                { PROOF_TXT, "a.example.test", NULL, "\xc3\xa9" },
                { PROOF_TXT, "a.example.test", NULL, long_body },
                { PROOF_CNAME, "a.example.test", NULL, "target" },
                { PROOF_CNAME, "a.example.test", NULL, "a b.c" },
                { PROOF_FILE, "www.example.test", NULL, "v" },
                { PROOF_FILE, "www.example.test", "", "v" },
                { PROOF_FILE, "www.example.test", PKI, "v" },
                { PROOF_FILE, "www.example.test", PKI "../x", "v" },
                { PROOF_FILE, "www.example.test", PKI ".hidden", "v" },
                { PROOF_FILE, "www.example.test", PKI "a/../b", "v" },
                { PROOF_FILE, "www.example.test", PKI "a//b", "v" },
                { PROOF_FILE, "www.example.test", PKI "a/", "v" },
                { PROOF_FILE, "www.example.test", PKI "%2e%2e", "v" },
                { PROOF_FILE, "www.example.test", PKI "a;id", "v" },
                { PROOF_FILE, "www.example.test", PKI "a\n", "v" },
                { PROOF_FILE, "www.example.test", "/.well-known/other/x", "v" },
                { PROOF_FILE, "www.example.test", "/etc/passwd", "v" },
                { PROOF_FILE, "www.example.test", "http://x" PKI "a", "v" },
                { PROOF_FILE, "www.example.test", PKI "ok", "a\rb" },
                { PROOF_FILE, "www.example.test", PKI "ok", long_body },
                { PROOF_FILE, "[2001:db8::1]", PKI "ok", "v" },
                { PROOF_FILE, "192.0.2.1:80", PKI "ok", "v" },
                { PROOF_TXT, "2001:db8::1", NULL, "v" },
                { PROOF_TLS, "www.example.test", NULL, "v" },
                { PROOF_TLS, "www.example.test", NULL, HASH "A" },
                { PROOF_TLS, "a b.example.test", NULL, HASH },
                { PROOF_TLS, "www.example.test", NULL, NULL },
                { (enum proof_type)64, "www.example.test", PKI "ok", "v" },
        };
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct err e = { 0 };
                if (fits(bad[i].type, bad[i].place, bad[i].path, bad[i].value, &e))
                        fail_msg("row %zu fits", i);
                assert_string_equal(e.code, "token.grammar");
                assert_null(strchr(e.text, '\x1b'));
                assert_true(strlen(e.text) < 400);
        }
}

static void proofs_are_the_same_without_case_of_names(void **state)
{
        struct proof a = { PROOF_CNAME, NULL, (char *)"A.example.test", NULL, (char *)"T.example.com." };
        struct proof b = { PROOF_CNAME, NULL, (char *)"a.EXAMPLE.test", NULL, (char *)"t.example.com" };
        struct proof c = { PROOF_TXT, NULL, (char *)"a.example.test", NULL, (char *)"V" };
        struct proof d = { PROOF_TXT, NULL, (char *)"a.example.test", NULL, (char *)"v" };
        (void)state;
        assert_true(proof_equal(&a, &b));
        assert_false(proof_equal(&c, &d)); /* a TXT value is compared byte for byte */
        assert_false(proof_equal(&a, &c));
}

static void the_instruction_can_be_pasted_into_a_zone(void **state)
{
        struct proof p = { PROOF_TXT, NULL, (char *)"_dnsauth.example.test", NULL, (char *)"a\"b\\c" };
        (void)state;
        CLEANUP(free_p) char *text = proof_instruction(&p, 60);
        assert_string_equal(text, "_dnsauth.example.test. 60 IN TXT \"a\\\"b\\\\c\"");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_usual_tokens_fit),
                cmocka_unit_test(what_could_become_something_else_is_refused),
                cmocka_unit_test(proofs_are_the_same_without_case_of_names),
                cmocka_unit_test(the_instruction_can_be_pasted_into_a_zone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
