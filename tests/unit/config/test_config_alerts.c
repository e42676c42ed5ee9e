/* The section `alerts` as it is read. */
#include "test.h"

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "config/config.h"

static const struct conf_kind no_kinds[] = { { .section = NULL } };

static struct conf *load(const char *text)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;
        if (!config_load_text("c", text, strlen(text), no_kinds, &c, &p))
                for (size_t i = 0; i < p.text.count; i++)
                        print_message("%s\n", p.text.item[i]);
        conf_problems_done(&p);
        assert_non_null(c);
        return c;
}

static void senders_have_one_secret_or_several(void **state)
{
        (void)state;
        struct conf *c = load("alerts:\n"
                              "  listen: [\"127.0.0.1:9854\", \"unix:/run/dcvd/alerts.sock\", systemd]\n"
                              "  trusted_proxies: [192.0.2.1, \"2001:db8::/32\"]\n"
                              "  proofs: false\n"
                              "  on_domain_alert: reissue\n"
                              "  webhooks:\n"
                              "    scanner: {format: standard-webhooks, secret: [{credential: new}, {file: /old}]}\n"
                              "    github: {format: github, secret: {env: SECRET}, token: {credential: api}}\n"
                              "    am: {format: alertmanager, secret: {file: /am}, labels: {spki_sha256: pin, domain: "
                              "instance}}\n"
                              "    forge: {format: generic, secret: {file: /f}, header: X-Gitea-Signature}\n"
                              "    plain: {format: generic, secret: {file: /f}}\n"
                              "    gg: {format: gitguardian, secret: {file: /f}}\n");
        assert_int_equal(c->intake.listen.count, 3);
        assert_int_equal(c->intake.trusted_proxies.count, 2);
        assert_false(c->intake.proofs);
        assert_int_equal(c->on_domain_alert, DOMAIN_ALERT_REISSUE);
        assert_int_equal(c->intake.webhooks.count, 6);
        const struct conf_webhook *h = config_webhook(c, "scanner");
        assert_int_equal(h->format, CONF_ALERT_STANDARD_WEBHOOKS);
        assert_int_equal(h->secret_count, 2);
        assert_string_equal(h->secret[1].name, "/old");
        h = config_webhook(c, "github");
        assert_int_equal(h->secret_count, 1);
        assert_int_equal(h->secret[0].source, SECRET_ENV);
        assert_string_equal(h->token.name, "api");
        assert_string_equal(h->api, "https://api.github.com");
        h = config_webhook(c, "am");
        assert_string_equal(h->label_ours.item[1], "domain");
        assert_string_equal(h->label_theirs.item[1], "instance");
        assert_string_equal(config_webhook(c, "forge")->header, "X-Gitea-Signature");
        assert_string_equal(config_webhook(c, "plain")->header, "X-Signature");
        assert_int_equal(config_webhook(c, "gg")->format, CONF_ALERT_GITGUARDIAN);
        assert_null(config_webhook(c, "nobody"));
        config_free(c);
}

static void nothing_listens_unless_it_is_said(void **state)
{
        (void)state;
        struct conf *c = load("log: {level: info}\n");
        assert_int_equal(c->intake.listen.count, 0);
        assert_true(c->intake.proofs);
        assert_int_equal(c->on_domain_alert, DOMAIN_ALERT_NOTIFY);
        config_free(c);
}

static void secrets_of_the_environment_are_taken_out_of_it(void **state)
{
        struct err e;
        struct secret s = { 0 };
        (void)state;
        assert_int_equal(setenv("DCVD_TEST_HOOK", "the-secret", 1), 0);
        struct conf *c = load("alerts: {webhooks: {a: {format: generic, secret: [{env: DCVD_TEST_HOOK}]}}}\n");
        assert_true(config_take_env_secrets(c, NULL, &e));
        assert_true(secret_load(&c->intake.webhooks.item[0].secret[0], &s, &e));
        assert_string_equal(s.data, "the-secret");
        const char *left = getenv("DCVD_TEST_HOOK");
        assert_true(!left || !strstr(left, "secret"));
        secret_done(&s);
        config_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(senders_have_one_secret_or_several),
                cmocka_unit_test(nothing_listens_unless_it_is_said),
                cmocka_unit_test(secrets_of_the_environment_are_taken_out_of_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
