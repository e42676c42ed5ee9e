#include "test.h"

#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/job/policy.h"

static char *names[] = { (char *)"www.example.com", (char *)"*.example.com" };
static char *suffixes[] = { (char *)"shop.example.com" }, *publishers[] = { (char *)"site" };

static struct conf_cert sample(struct conf_ca_use *use, struct conf_target *target)
{
        use[0] = (struct conf_ca_use){ .ca = (char *)"tencent" };
        use[1] = (struct conf_ca_use){ .ca = (char *)"other",
                .validation = VALIDATION_FILE,
                .key_type = KEY_EC_P256,
                .publisher = { .otherwise = (char *)"self" } };
        *target = (struct conf_target){ .directory = (char *)"/etc/nginx/tls/www" };
        return (struct conf_cert){ .name = (char *)"www",
                .names = { names, 2 },
                .ca = use,
                .ca_count = 2,
                .fallback_after_ms = 6 * 3600000,
                .certificate_id = (char *)"a1B2",
                .validation = VALIDATION_DNS,
                .publisher = { .otherwise = (char *)"zone", .suffix = { suffixes, 1 }, .publisher = { publishers, 1 } },
                .key_type = KEY_RSA_2048,
                .propagation = { .timeout_ms = 1000, .consecutive = 3, .quorum = -1 },
                .target = target,
                .target_count = 1 };
}

static void a_policy_survives_its_row(void **state)
{
        struct conf_ca_use use[2];
        struct conf_target target;
        struct conf_cert c = sample(use, &target), *back = NULL;
        struct err e;
        (void)state;
        CLEANUP(free_p) char *text = policy_text(&c);
        assert_non_null(text);
        assert_true(policy_read(text, &back, &e));
        CLEANUP(free_p) char *again = policy_text(back);
        assert_string_equal(text, again);
        assert_string_equal(back->target[0].directory, "/etc/nginx/tls/www");
        assert_int_equal(back->propagation.quorum, -1);
        assert_int_equal(policy_validation(back, 0), VALIDATION_DNS);
        assert_int_equal(policy_validation(back, 1), VALIDATION_FILE);
        assert_int_equal(policy_key_type(back, 0), KEY_RSA_2048);
        assert_int_equal(policy_key_type(back, 1), KEY_EC_P256);
        assert_string_equal(policy_publisher(back, 0, "www.example.com"), "zone");
        assert_string_equal(policy_publisher(back, 0, "shop.example.com"), "site");
        assert_string_equal(policy_publisher(back, 1, "shop.example.com"), "self");
        policy_free(back);
}

static void a_damaged_policy_is_an_error_not_a_crash(void **state)
{
        static const char *const bad[] = { "", "{", "{}", "[]", "null", "{\"name\":1}", "{\"name\":\"x\",\"ca\":[{}]}",
                "{\"name\":\"x\",\"ca\":[]}" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct conf_cert *c = NULL;
                struct err e = { 0 };
                assert_false(policy_read(bad[i], &c, &e));
                assert_null(c);
                assert_true(e.text[0]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_policy_survives_its_row),
                cmocka_unit_test(a_damaged_policy_is_an_error_not_a_crash),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
