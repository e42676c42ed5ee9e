#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/ca/tencent/tencent.h"

/* What the mains do: the kinds of the configuration, from the registry. */
static size_t kinds_make(struct conf_kind *ret)
{
        size_t n = 0;

        for (const struct ca_ops *const *o = ca_registry; *o; o++)
                ret[n++] = (struct conf_kind){ .section = "cas",
                        .type = (*o)->type,
                        .keys = (*o)->keys,
                        .size = (*o)->conf_size,
                        .check = (*o)->check,
                        .not_in_build = (*o)->not_in_build,
                        .can = (*o)->can,
                        .key_types = (*o)->key_types };
        ret[n] = (struct conf_kind){ 0 };
        return n;
}

static struct conf *load(const char *text, struct conf_problems *p)
{
        struct conf_kind kinds[8];
        struct conf *c = NULL;

        kinds_make(kinds);
        return config_load_text("t.yaml", text, strlen(text), kinds, &c, p) ? c : NULL;
}

static void tencent_settings_have_their_defaults(void **state)
{
        (void)state;
        struct conf_problems p = { 0 };
        struct conf *c = load("cas:\n  t: {type: tencent, secret_id: {file: /i}, secret_key: {credential: k}}\n", &p);

        if (!c)
                fail_msg("%s", p.text.count ? p.text.item[0] : "nothing said");
        const struct conf_backend *b = config_ca(c, "t");
        const struct tencent_conf *t = b->parsed;
        assert_string_equal(t->endpoint, "https://ssl.tencentcloudapi.com");
        assert_int_equal(t->secret_id.source, SECRET_FILE);
        assert_int_equal(t->secret_key.source, SECRET_CREDENTIAL);
        assert_int_equal(t->token.source, SECRET_NONE);
        assert_null(t->ca_bundle);
        config_free(c);
        conf_problems_done(&p);
}

static void wrong_settings_are_named(void **state)
{
        (void)state;
        static const struct {
                const char *text, *says;
        } row[] = {
                { "cas:\n  t: {type: tencent, secret_id: {file: /i}}\n", "secret_key" },
                { "cas:\n  t: {type: tencent, secret_id: {file: /i}, secret_key: {file: /k}, endpoint: "
                  "\"https://h/v2\"}\n",
                        "has a path" },
                { "cas:\n  t: {type: tencent, secret_id: {file: /i}, secret_key: {file: /k}, endpoint: "
                  "\"http://ssl.tencentcloudapi.com\"}\n",
                        "endpoint" },
                { "cas:\n  t: {type: tencent, secret_id: plain, secret_key: {file: /k}}\n", "secret_id" },
                { "cas:\n  t: {type: tencent, secret_id: {file: /i}, secret_key: {file: /k}, regoin: x}\n", "regoin" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", contact: [\"ops@example.com\"]}\n",
                        "mailto:" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", contact: [\"mailto:a@b.c,d@e.f\"]}\n",
                        "one address each" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", contact: [\"mailto:a@b.c\", "
                  "\"tel:1\"]}\n",
                        "2:78: cas.a.contact[1]: is not understood" },
                { "cas:\n  a: {type: acme, directory: \"http://d.example/\"}\n", "directory" },
                { "cas:\n  a: {type: acme}\n", "directory" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", eab: {kid: k}}\n", "hmac_key" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", eab: {kid: k, hmac_key: {file: /k}, "
                  "algorithm: HS1}}\n",
                        "HS256" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", challenges: [dns-02, [x], http-01]}\n",
                        "2:78: cas.a.challenges[2]: is not known" },
                { "cas:\n  a: {type: acme, directory: \"https://d.example/\", profile: a, preferred_profile: b}\n",
                        "has profile and preferred_profile" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_problems p = { 0 };
                struct conf *c = load(row[i].text, &p);
                bool said = false;

                for (size_t n = 0; n < p.text.count; n++)
                        said = said || strstr(p.text.item[n], row[i].says);
                if (c || !said)
                        fail_msg("%s: %s", row[i].text, p.text.count ? p.text.item[0] : "nothing said");
                conf_problems_done(&p);
        }
}

static void the_acme_keys_of_the_contract_are_all_known(void **state)
{
        (void)state;
        struct conf_problems p = { 0 };
        struct conf *c = load("cas:\n"
                              "  letsencrypt:\n"
                              "    type: acme\n"
                              "    directory: https://acme-v02.api.letsencrypt.org/directory\n"
                              "    staging: https://acme-staging-v02.api.letsencrypt.org/directory\n"
                              "    contact: [\"mailto:ops@example.com\"]\n"
                              "    terms_agreed: true\n"
                              "    eab: {kid: k1, hmac_key: {file: /etc/dcvd/eab}}\n"
                              "    profile: tlsserver\n"
                              "    preferred_chain: \"ISRG Root X1\"\n"
                              "    caa: [letsencrypt.org]\n"
                              "    ca_bundle: /etc/dcvd/extra-roots.pem\n"
                              "    internal: false\n",
                &p);

        assert_non_null(c);
        assert_int_equal(p.text.count, 0);
        config_free(c);
        conf_problems_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(tencent_settings_have_their_defaults),
                cmocka_unit_test(wrong_settings_are_named),
                cmocka_unit_test(the_acme_keys_of_the_contract_are_all_known),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
