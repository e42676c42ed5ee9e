/* dns-persist-01: which records permit what, as CAs read them. */
#include "test.h"

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "validators/persist.h"
#include "validators/proof.h"

#define ACCOUNT "https://ca.example/acct/1"
#define NOW INT64_C(1800000000)

static void make(bool wildcard, struct proof *ret)
{
        struct texts issuers = { 0 };
        assert_true(texts_add(&issuers, "ca.example") && texts_add(&issuers, "Other.example"));
        assert_true(persist_proof("www.example.test", wildcard, &issuers, ACCOUNT, ret));
        texts_done(&issuers);
}

static void the_record_to_write_is_one_that_does(void **state)
{
        struct proof p;
        struct err e;
        const char *why;
        (void)state;
        for (int wildcard = 0; wildcard < 2; wildcard++) {
                make(wildcard, &p);
                assert_true(proof_check(&p, &e));
                assert_string_equal(p.place, "_validation-persist.www.example.test");
                assert_string_equal(p.value,
                        wildcard ? "ca.example; accounturi=" ACCOUNT "; policy=wildcard"
                                 : "ca.example; accounturi=" ACCOUNT);
                assert_true(persist_fits(&p, p.value, strlen(p.value), NOW, &why));
                CLEANUP(free_p) char *line = proof_instruction(&p, 3600);
                assert_non_null(strstr(line, "_validation-persist.www.example.test. 3600 IN TXT \"ca.example; "));
                proof_done(&p);
        }
}

static void records_are_read_as_cas_read_them(void **state)
{
        static const struct {
                const char *record;
                bool plain, wildcard;
        } rows[] = {
                { "ca.example; accounturi=" ACCOUNT, true, false },
                { "ca.example;accounturi=" ACCOUNT, true, false },
                { "  ca.example ;  accounturi = " ACCOUNT, true, false },
                { "CA.Example.; AccountURI=" ACCOUNT, true, false },
                { "other.example; accounturi=" ACCOUNT, true, false }, /* any issuer of the challenge */
                { "ca.example; accounturi=" ACCOUNT "; policy=wildcard", true, true },
                { "ca.example; policy=WildCard; accounturi=" ACCOUNT, true, true },
                { "ca.example; accounturi=" ACCOUNT "; policy=other", true, false },
                { "ca.example; accounturi=" ACCOUNT "; unknown=1", true, false },
                { "ca.example; accounturi=" ACCOUNT "; persistUntil=1800000001", true, false },
                { "ca.example; accounturi=" ACCOUNT "; persistuntil=1799999999", false, false },
                { "ca.example; accounturi=" ACCOUNT "; persistUntil=soon", false, false },
                { "ca.example; accounturi=" ACCOUNT ";", false, false }, /* a trailing ; is malformed */
                { "ca.example;; accounturi=" ACCOUNT, false, false },
                { "ca.example; accounturi=" ACCOUNT "; accounturi=" ACCOUNT, false, false },
                { "ca.example; accounturi=" ACCOUNT "; policy=wildcard; policy=wildcard", false, false },
                { "ca.example; accounturi=" ACCOUNT "; persistUntil=1900000000; persistUntil=1900000000", false,
                        false },
                { "ca.example; accounturi=" ACCOUNT "0", false, false },
                { "ca.example; accounturi=HTTPS://ca.example/acct/1", false, false }, /* compared exactly */
                { "ca.example", false, false },
                { "a.ca.example; accounturi=" ACCOUNT, false, false },
                { "; accounturi=" ACCOUNT, false, false },
                { "", false, false },
                { "v=spf1 -all", false, false },
        };
        (void)state;
        for (int wildcard = 0; wildcard < 2; wildcard++) {
                struct proof p;
                make(wildcard, &p);
                for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                        const char *why = NULL;
                        bool fits = persist_fits(&p, rows[i].record, strlen(rows[i].record), NOW, &why);
                        if (fits != (wildcard ? rows[i].wildcard : rows[i].plain))
                                fail_msg("row %zu: %s", i, why ? why : "fits");
                        assert_true(fits == (why == NULL));
                }
                const char *why;
                assert_false(persist_fits(&p, "ca.example\0; accounturi=" ACCOUNT, 40, NOW, &why));
                proof_done(&p);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_record_to_write_is_one_that_does),
                cmocka_unit_test(records_are_read_as_cas_read_them),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
