/* The examples of the documentation, word for word, against tables shaped like the real ones. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "kinds.h"

#define DATA TEST_SOURCE_DIR "/tests/unit/config/data/"

static void show(const struct conf_problems *p)
{
        for (size_t i = 0; i < p->text.count; i++)
                print_message("%s\n", p->text.item[i]);
}

static struct conf *load(const char *file)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        if (!config_load(file, test_all_kinds, &c, &p))
                show(&p);
        assert_int_equal(p.text.count, 0);
        conf_problems_done(&p);
        assert_non_null(c);
        return c;
}

static struct conf *load_everything(void)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        if (!config_load(DATA "everything.yaml", test_all_kinds, &c, &p))
                show(&p);
        conf_problems_done(&p);
        assert_non_null(c);
        return c;
}

static void the_smallest_example_loads_with_every_default(void **state)
{
        (void)state;
        unsetenv("STATE_DIRECTORY");
        unsetenv("RUNTIME_DIRECTORY");
        struct conf *c = load(DATA "smallest.yaml");
        assert_string_equal(c->state_directory, "/var/lib/dcvd");
        assert_string_equal(c->runtime_directory, "/run/dcvd");
        assert_int_equal(c->log_level, LOG_LEVEL_INFO);
        assert_int_equal(c->log_format, LOG_FORMAT_AUTO);
        assert_int_equal(c->resolvers.count + c->tokens_listen.count + c->admin_listen.count, 0);
        assert_int_equal(c->limit_jobs, 16);
        assert_int_equal(c->limit_automatic_per_hour, 60);
        assert_int_equal(c->limit_per_certificate, 3);
        assert_int_equal(c->limit_window_ms, 7 * 86400000LL);
        assert_int_equal(c->limit_cooldown_ms, 6 * 3600000LL);
        assert_int_equal(c->keep_sets, 2);
        assert_int_equal(c->keep_keys_ms, 90 * 86400000LL);
        assert_int_equal(c->control_read.count, 1);
        assert_string_equal(c->control_read.item[0], "dcvd-read");
        assert_string_equal(c->control_act.item[0], "dcvd");
        assert_null(c->proxy_url);
        config_free(c);
}

static void the_smallest_certificate_has_every_default(void **state)
{
        (void)state;
        struct conf *c = load(DATA "smallest.yaml");
        const struct conf_cert *w = config_cert(c, "www");
        assert_non_null(w);
        assert_int_equal(w->line, 7);
        assert_int_equal(w->validation, VALIDATION_FILE); /* follows the webroot */
        assert_string_equal(w->publisher.otherwise, "site");
        assert_int_equal(w->fallback_after_ms, 6 * 3600000);
        assert_false(w->fallback_downgrade);
        assert_int_equal(w->rehearse, REHEARSE_AUTO);
        assert_int_equal(w->key_type, KEY_NONE);
        assert_int_equal(w->key_reuse, REUSE_NEVER);
        assert_int_equal(w->key_passphrase.source, SECRET_NONE);
        assert_int_equal(w->propagation.timeout_ms, 600000);
        assert_int_equal(w->propagation.consecutive, 2);
        assert_int_equal(w->propagation.settle_ms, 0);
        assert_int_equal(w->propagation.view, VIEW_AUTHORITATIVE);
        assert_int_equal(w->propagation.quorum, 0);
        assert_true(w->renew);
        assert_int_equal(w->compromise_reissue, CONFIRM_AUTO);
        assert_int_equal(w->compromise_revoke, CONFIRM_AUTO);
        assert_int_equal(w->compromise_deadline_ms, 23 * 3600000);
        assert_int_equal(w->target_count, 1);
        const struct conf_target *t = &w->target[0];
        assert_string_equal(t->directory, "/etc/nginx/tls/www");
        assert_string_equal(t->owner, "root");
        assert_string_equal(t->group, "root");
        assert_int_equal(t->mode, 0600);
        assert_int_equal(t->file_count, 4);
        assert_string_equal(t->file[1].name, "privkey.pem");
        assert_int_equal(t->file[1].form, FORM_KEY);
        char hash[65];
        target_hash(t, hash);
        assert_int_equal(strlen(hash), 64);
        assert_int_equal(t->service_count, 1);
        assert_string_equal(t->service[0].name, "nginx");
        assert_int_equal(t->service[0].test.count, 2);
        assert_string_equal(t->service[0].test.item[1], "-t");
        assert_int_equal(t->service[0].reload.count, 3);
        assert_string_equal(t->service[0].reload.item[0], "systemctl");
        assert_true(t->service[0].verify_auto);
        config_free(c);
}

static void the_example_files_load_in_this_build(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        bool loaded = config_load(TEST_SOURCE_DIR "/config/examples/tencent-nginx.yaml", test_some_kinds, &c, &p);
        show(&p);
        assert_true(loaded);
        assert_int_equal(config_cert(c, "www")->validation, VALIDATION_DNS);
        config_free(c);
}

static void detectors_and_targets_are_as_written(void **state)
{
        (void)state;
        struct conf *c = load_everything();
        assert_int_equal(c->detectors.revocation_ms, 3600000);
        assert_int_equal(c->detectors.served_ms, 600000);
        assert_int_equal(c->detectors.key_files_ms, 3600000);
        assert_int_equal(c->detectors.exposed_ms, 86400000); /* not given: as usual */
        assert_int_equal(c->detectors.pwnedkeys_ms, 0);
        assert_string_equal(c->detectors.blocklists.item[0], "/usr/share/dcvd/blocklist");
        const struct conf_notify *ops = config_notify(c, "ops");
        assert_int_equal(ops->command.count, 2);
        assert_int_equal(ops->on, 127);
        assert_int_equal(ops->repeat_ms, 6 * 3600000);
        assert_null(config_notify(c, "nobody"));
        config_free(c);
}

static void detectors_are_off_without_alerts_and_one_by_one(void **state)
{
        static const char text[] = "alerts: {detectors: {revocation: off, served: 30s, pwnedkeys: 2d}}\n";
        struct conf_problems p = { 0 };
        struct conf *c = load(DATA "smallest.yaml");

        (void)state;
        assert_int_equal(c->detectors.revocation_ms + c->detectors.served_ms + c->detectors.key_files_ms +
                        c->detectors.exposed_ms + c->detectors.keys_ms + c->detectors.pwnedkeys_ms,
                0);
        config_free(c);
        if (!config_load_text("c", text, strlen(text), test_all_kinds, &c, &p))
                show(&p);
        assert_int_equal(c->detectors.revocation_ms, 0);
        assert_int_equal(c->detectors.served_ms, 30000);
        assert_int_equal(c->detectors.key_files_ms, 3600000);
        assert_int_equal(c->detectors.pwnedkeys_ms, 2 * 86400000);
        config_free(c);
        conf_problems_done(&p);
}

static void types_that_a_build_lacks_are_refused_one_by_one(void **state)
{
        static const char *const want[] = {
                ":20:11: cas.letsencrypt.type: acme is not in this build (it would issue by RFC 8555); tencent",
                ":38:18: publishers.dnspod.type: dnspod is not in this build (it would write DNSPod records); "
                "rfc2136, webroot, responder, manual",
                ":39:18: publishers.script.type: exec is not in this build (it would run a program); rfc2136, webroot, "
                "responder, manual"
        };
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        assert_false(config_load(DATA "everything.yaml", test_some_kinds, &c, &p));
        if (p.text.count != ARRAY_LEN(want))
                show(&p);
        assert_int_equal(p.text.count, ARRAY_LEN(want));
        assert_int_equal(p.not_in_build, ARRAY_LEN(want));
        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
                if (!strstr(p.text.item[i], want[i]))
                        fail_msg("%s lacks %s", p.text.item[i], want[i]);
        }
        conf_problems_done(&p);
}

static void the_top_of_everything_is_as_written(void **state)
{
        (void)state;
        struct conf *c = load_everything();
        assert_int_equal(c->resolvers.count, 2);
        assert_string_equal(c->resolvers.item[1], "[2001:db8::53]:53");
        assert_string_equal(c->tokens_listen.item[0], "127.0.0.1:8402");
        assert_string_equal(c->admin_listen.item[0], "127.0.0.1:9853");
        assert_string_equal(c->proxy_url, "http://proxy.example.net:3128");
        assert_int_equal(c->proxy_except.count, 2);
        assert_int_equal(c->ca_count, 2);
        assert_int_equal(c->publisher_count, 6);
        const struct test_tencent *t = config_ca(c, "tencent")->parsed;
        assert_int_equal(t->secret_id.source, SECRET_CREDENTIAL);
        assert_string_equal(t->secret_id.name, "tencent-id");
        assert_int_equal(t->token.source, SECRET_FILE);
        const struct test_acme *a = config_ca(c, "letsencrypt")->parsed;
        assert_string_equal(a->kid, "k1");
        assert_true(a->terms_agreed);
        const struct test_rfc2136 *z = config_publisher(c, "zone")->parsed;
        assert_int_equal(z->ttl, 60);
        assert_string_equal(z->tsig_name, "dcvd.");
        const struct test_exec *x = config_publisher(c, "script")->parsed;
        assert_int_equal(x->timeout_ms, 120000);
        assert_null(config_publisher(c, "nowhere"));
        config_free(c);
}

static void the_certificate_of_everything_is_as_written(void **state)
{
        (void)state;
        struct conf *c = load_everything();
        const struct conf_cert *w = config_cert(c, "www");
        assert_int_equal(w->ca_count, 2);
        assert_string_equal(w->ca[0].ca, "tencent");
        assert_int_equal(w->ca[0].validation, VALIDATION_UNSET);
        assert_string_equal(w->ca[1].ca, "letsencrypt");
        assert_int_equal(w->ca[1].validation, VALIDATION_FILE);
        assert_string_equal(w->ca[1].publisher.otherwise, "self");
        assert_int_equal(w->ca[1].key_type, KEY_EC_P256);
        assert_string_equal(w->certificate_id, "a1B2c3D4");
        assert_int_equal(w->validation, VALIDATION_DNS);
        assert_int_equal(w->key_type, KEY_RSA_2048);
        assert_string_equal(conf_publisher_for(&w->publisher, "www.example.com"), "zone");
        assert_string_equal(conf_publisher_for(&w->publisher, "a.shop.example.com"), "site");
        assert_string_equal(conf_publisher_for(&w->publisher, "*.shop.example.com"), "site");
        assert_string_equal(conf_publisher_for(&w->publisher, "workshop.example.com"), "zone");
        assert_string_equal(w->elsewhere.item[0], "cdn.example.com:443");
        config_free(c);
}

static void the_target_of_everything_is_as_written(void **state)
{
        (void)state;
        struct conf *c = load_everything();
        const struct conf_target *t = &config_cert(c, "www")->target[0];
        assert_string_equal(t->group, "www-data");
        assert_int_equal(t->mode, 0640);
        assert_int_equal(t->file_count, 3);
        assert_int_equal(t->file[2].form, FORM_COMBINED);
        assert_int_equal(t->link_count, 2);
        assert_string_equal(t->link[0].path, "/etc/ssl/private/www.key");
        assert_string_equal(t->link[0].file, "privkey.pem");
        assert_int_equal(t->service_count, 4);
        assert_false(t->service[0].verify_auto);
        assert_int_equal(t->service[0].verify_count, 2);
        assert_string_equal(t->service[0].verify[1].address, "[::1]:443");
        assert_int_equal(t->service[1].verify[0].protocol, TLS_SMTP);
        assert_string_equal(t->service[1].verify[0].address, "127.0.0.1:25");
        assert_int_equal(t->service[1].test.count, 0);
        assert_int_equal(t->service[2].test.count, 4);
        assert_true(t->service[2].verify_auto);
        assert_string_equal(t->service[3].signal_name, "HUP");
        assert_string_equal(t->service[3].signal_pidfile, "/run/app.pid");
        assert_false(t->service[3].verify_auto);
        assert_int_equal(t->service[3].verify_count, 0);
        config_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_smallest_example_loads_with_every_default),
                cmocka_unit_test(the_smallest_certificate_has_every_default),
                cmocka_unit_test(the_example_files_load_in_this_build),
                cmocka_unit_test(detectors_and_targets_are_as_written),
                cmocka_unit_test(detectors_are_off_without_alerts_and_one_by_one),
                cmocka_unit_test(types_that_a_build_lacks_are_refused_one_by_one),
                cmocka_unit_test(the_top_of_everything_is_as_written),
                cmocka_unit_test(the_certificate_of_everything_is_as_written),
                cmocka_unit_test(the_target_of_everything_is_as_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
