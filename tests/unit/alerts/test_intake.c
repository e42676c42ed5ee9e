/* The small parts of the intake: allowances by address, challenges, what people bring as a file. */
#include "test.h"

#include <stdio.h>

#include "agent/alerts/challenge.h"
#include "agent/alerts/rate.h"
#include "agent/alerts/take.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/address.h"

#define HEX "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"

static struct address address_of(const char *text)
{
        struct address a;
        assert_true(address_parse(text, 0, &a));
        return a;
}

static void an_address_may_fail_so_often_and_then_waits(void **state)
{
        struct rate *r = rate_new(3, 1000);
        const struct address a = address_of("192.0.2.1"), b = address_of("192.0.2.2");
        int64_t wait_s = 0;
        (void)state;
        assert_non_null(r);
        for (int i = 0; i < 3; i++) {
                assert_true(rate_may(r, &a, 5000, &wait_s));
                rate_spend(r, &a, 5000);
        }
        assert_false(rate_may(r, &a, 5000, &wait_s));
        assert_int_equal(wait_s, 1);
        assert_true(rate_may(r, &b, 5000, &wait_s)); /* but for one in 4096 runs they do not share */
        assert_false(rate_may(r, &a, 5999, &wait_s));
        assert_true(rate_may(r, &a, 6000, &wait_s)); /* one came back */
        rate_spend(r, &a, 6000);
        assert_false(rate_may(r, &a, 6000, &wait_s));
        assert_true(rate_may(r, &a, 9000, &wait_s));
        assert_true(rate_may(r, NULL, 9000, &wait_s)); /* a local socket */
        rate_free(r);
}

static void an_ipv6_network_is_one_source(void **state)
{
        struct rate *r = rate_new(1, 1000);
        const struct address a = address_of("2001:db8::1"), b = address_of("2001:db8::ffff");
        int64_t wait_s = 0;
        (void)state;
        rate_spend(r, &a, 0);
        assert_false(rate_may(r, &b, 0, &wait_s));
        rate_free(r);
}

static void a_challenge_is_good_for_an_hour_and_only_here(void **state)
{
        struct challenges c, other;
        char text[CHALLENGE_TEXT], changed[CHALLENGE_TEXT + 2];
        (void)state;
        challenges_init(&c);
        challenges_init(&other);
        challenge_make(&c, 1763881200, text);
        assert_non_null(strstr(text, "my private key is compromised"));
        assert_true(challenge_is_good(&c, text, strlen(text), 1763881200));
        assert_true(challenge_is_good(&c, text, strlen(text), 1763881200 + 3600));
        assert_false(challenge_is_good(&c, text, strlen(text), 1763881200 + 3601));
        assert_false(challenge_is_good(&c, text, strlen(text), 1763881199)); /* from the future */
        assert_false(challenge_is_good(&other, text, strlen(text), 1763881200));
        snprintf(changed, sizeof changed, "%s\r\n", text);
        assert_true(challenge_is_good(&c, changed, strlen(changed), 1763881200));
        for (size_t i = 0; i < strlen(text); i += 7) {
                snprintf(changed, sizeof changed, "%s", text);
                changed[i] ^= 1;
                if (challenge_is_good(&c, changed, strlen(changed), 1763881200))
                        fail_msg("byte %zu does not count", i);
        }
        assert_false(challenge_is_good(&c, "", 0, 1763881200));
        assert_false(challenge_is_good(&c, "; date=", 7, 1763881200));
        challenges_done(&c);
        challenges_done(&other);
}

static void a_file_is_a_hash_an_event_or_evidence(void **state)
{
        static const struct {
                const char *text;
                bool good, exact, evidence;
                size_t domains;
        } row[] = {
                { HEX "\n", true, true, false, 0 },
                { "sha256//Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=", true, true, false, 0 },
                { "{\"spki_sha256\":\"" HEX "\"}", true, true, false, 0 },
                { "{\"type\":\"x\",\"data\":{\"domains\":[\"a.example\"]}}", true, false, false, 1 },
                { "{\"protected\":\"a\",\"payload\":\"b\",\"signature\":\"c\"}", true, true, true, 0 },
                { "{\"statement\":\"a\"}", true, true, true, 0 },
                { "-----BEGIN CERTIFICATE-----", true, true, true, 0 },
                { "{}", false, false, false, 0 },
                { "{\"spki_sha256\":\"00\"}", false, false, false, 0 },
                { "", false, false, false, 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct alert a = { 0 };
                struct err e = { 0 };
                if (take_read_text(row[i].text, strlen(row[i].text), &a, &e) != row[i].good)
                        fail_msg("row %zu: %s", i, e.text);
                if (row[i].good) {
                        assert_int_equal(a.count, 1);
                        assert_int_equal(alert_item_is_exact(&a.item[0]), row[i].exact);
                        assert_int_equal(a.item[0].evidence != NULL, row[i].evidence);
                        assert_int_equal(a.item[0].domains.count, row[i].domains);
                }
                alert_done(&a);
        }
}

static void the_answer_shows_first_what_concerns_this_host(void **state)
{
        struct incident_answer answers[2] = { { .act = INCIDENT_NOTHING, .text = "no key here" },
                { .id = 7, .act = INCIDENT_ASKS, .certs = 2, .text = "2 certificates" } };
        struct take_result r = { .answer = answers, .count = 2 };
        (void)state;
        json_t *o = take_json(&r);
        assert_int_equal(json_i64(o, "incident", 0), 7);
        assert_string_equal(json_str(o, "act"), "asks");
        assert_int_equal(json_array_size(json_object_get(o, "reports")), 2);
        json_decref(o);
        r.count = 1;
        o = take_json(&r);
        assert_true(json_is_null(json_object_get(o, "incident")));
        assert_null(json_object_get(o, "reports"));
        json_decref(o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_may_fail_so_often_and_then_waits),
                cmocka_unit_test(an_ipv6_network_is_one_source),
                cmocka_unit_test(a_challenge_is_good_for_an_hour_and_only_here),
                cmocka_unit_test(a_file_is_a_hash_an_event_or_evidence),
                cmocka_unit_test(the_answer_shows_first_what_concerns_this_host),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
