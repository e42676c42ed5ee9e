/* A certificate of a CA's account becomes a configuration that is accepted, with a publisher that can prove it. */
#include "test.h"

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/cli/import_from.h"
#include "agent/job/engine.h"
#include "config/config.h"

#define CA "cas: {tc: {type: tencent, secret_id: {env: A}, secret_key: {env: B}}}\n"

static struct conf *conf_of(const char *text)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        if (!config_load_text("conf", text, strlen(text), engine_kinds(), &conf, &p))
                fail_msg("%s", p.text.count ? p.text.item[0] : "?");
        conf_problems_done(&p);
        return conf;
}

struct made {
        json_t *configuration;
        char *name;
        struct texts todo;
        struct err e;
};

static bool make(struct made *m, const char *listed, const char *configured)
{
        struct conf *conf = configured ? conf_of(configured) : NULL;
        json_t *answer = json_pack("{s:s, s:[o]}", "ca", "tc", "certificates", json_loads(listed, 0, NULL));
        *m = (struct made){ 0 };
        bool good = account_configuration(answer, conf, &m->configuration, &m->name, &m->todo, &m->e);
        json_decref(answer);
        config_free(conf);
        return good;
}

static void made_done(struct made *m)
{
        json_decref(m->configuration);
        free(m->name);
        texts_done(&m->todo);
}

static const char *member(const struct made *m, const char *key)
{
        return json_str(json_object_get(json_object_get(m->configuration, "certificates"), m->name), key);
}

static void the_publisher_is_one_that_can(void **state)
{
        static const struct {
                const char *validation, *publishers, *want;
        } row[] = {
                { "\"file\"", "{dns: {type: manual}, web: {type: webroot, directory: /srv}}", "web" },
                { "\"dns\"", "{web: {type: webroot, directory: /srv}, hand: {type: manual}}", "hand" },
                { "\"dns\"", "{hand: {type: manual}, z: {type: rfc2136, server: \"192.0.2.1:53\"}}", "z" },
                { "null", "{web: {type: webroot, directory: /srv}}", "zone" }, /* to be added, and told */
                { "\"file\"", "{z: {type: rfc2136, server: \"192.0.2.1:53\"}}", "site" },
                { "\"dns-auto\"", "{web: {type: webroot, directory: /srv}}", NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *conf = text_format(CA "publishers: %s\n", row[i].publishers);
                CLEANUP(free_p)
                char *listed = text_format("{\"id\": \"a1B2\", \"domain\": \"x.example\", \"names\": [\"x.example\"], "
                                           "\"validation\": %s}",
                        row[i].validation);
                struct made m;
                if (!make(&m, listed, conf))
                        fail_msg("%zu: %s", i, m.e.text);
                const char *got = member(&m, "publisher");
                if (row[i].want ? !got || strcmp(got, row[i].want) != 0 : got != NULL)
                        fail_msg("%zu: publisher %s", i, got ? got : "none");
                bool told = strstr(m.todo.item[0], "add publisher") != NULL;
                assert_int_equal(told, row[i].want && !strstr(row[i].publishers, row[i].want));
                made_done(&m);
        }
}

static void what_it_makes_is_accepted(void **state)
{
        struct made m;
        struct buf b = { 0 };
        (void)state;
        assert_true(make(&m,
                "{\"id\": \"a1B2\", \"domain\": \"*.shop.example\", \"names\": [\"*.shop.example\", \"shop.example\"], "
                "\"validation\": null, \"rule\": \"R3\", \"rule_text\": \"R3: used\"}",
                CA "publishers: {hand: {type: manual}}\n"));
        assert_string_equal(m.name, "shop-example");
        assert_string_equal(member(&m, "certificate_id"), "a1B2");
        assert_string_equal(member(&m, "validation"), "dns");
        assert_non_null(strstr(m.todo.item[m.todo.count - 3], "the CA would refuse: R3: used"));
        assert_string_equal(m.todo.item[m.todo.count - 1], "dcvctl reissue shop-example --dry-run");
        buf_add(&b, CA "publishers: {hand: {type: manual}}\n");
        assert_true(import_yaml(m.configuration, &b));
        struct conf *conf = conf_of(b.data);
        assert_int_equal(config_cert(conf, "shop-example")->names.count, 2);
        config_free(conf);
        buf_done(&b);
        made_done(&m);
}

static void one_that_is_configured_is_named(void **state)
{
        static const char conf[] =
                CA "publishers: {hand: {type: manual}}\ncertificates: {x-example: {names: [x.example], "
                   "ca: tc, certificate_id: a1B2, publisher: hand, validation: dns}}\n";
        struct made m;
        (void)state;
        assert_true(make(&m, "{\"id\": \"a1B2\", \"domain\": \"x.example\", \"names\": [\"x.example\"]}", conf));
        assert_string_equal(m.todo.item[0], "nothing, if certificate x-example is to stay: it has this id already");
        made_done(&m);
        assert_true(make(&m, "{\"id\": \"other\", \"domain\": \"x.example\", \"names\": [\"x.example\"]}", conf));
        assert_string_equal(m.name, "x-example-2"); /* beside the one that has the name */
        made_done(&m);
}

/* The name becomes a file: what the CA says is no path. */
static void a_hostile_domain_is_no_path(void **state)
{
        static const struct {
                const char *domain, *want;
        } row[] = { { "../../etc/cron.d/x", "etccron-dx" }, { "a b\\nc", "abc" }, { "*", "certificate" },
                { "", "certificate" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *listed = text_format("{\"id\": \"a1B2\", \"domain\": \"%s\", \"names\": []}", row[i].domain);
                struct made m;
                assert_true(make(&m, listed, NULL));
                assert_string_equal(m.name, row[i].want);
                made_done(&m);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_publisher_is_one_that_can),
                cmocka_unit_test(what_it_makes_is_accepted),
                cmocka_unit_test(one_that_is_configured_is_named),
                cmocka_unit_test(a_hostile_domain_is_no_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
