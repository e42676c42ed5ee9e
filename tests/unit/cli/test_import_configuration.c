#include "pki/make_cert.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/cli/import_check.h"
#include "agent/job/engine.h"
#include "base/scratch_dir.h"
#include "config/config.h"

/* NAME.crt and NAME.key in the directory, signed by a CA of the test. */
static void put_pair_of(struct scratch_dir *s, const char *name, const char *san, enum key_type type)
{
        char file[64];
        struct secret pem = { 0 };
        int64_t now_s = (int64_t)time(NULL);
        struct made ca = make_cert(
                &(struct cert_spec){ .subject = "test CA", .ca = true, .from = now_s - DAY, .until = now_s + DAY });
        struct made m = make_cert(&(struct cert_spec){
                .subject = name, .san = san, .type = type, .issuer = &ca, .from = now_s - DAY, .until = now_s + DAY });
        assert_true(key_write_pem(m.key, NULL, &pem, NULL));
        snprintf(file, sizeof file, "%s.crt", name);
        scratch_file(s, file, 0644, m.pem);
        snprintf(file, sizeof file, "%s.key", name);
        scratch_file(s, file, 0600, (char *)pem.data);
        CLEANUP(free_p) char *bundle = text_format("%s%s", m.pem, (char *)pem.data);
        snprintf(file, sizeof file, "%s.pem", name);
        scratch_file(s, file, 0600, bundle);
        secret_done(&pem);
        made_done(&m);
        made_done(&ca);
}

static void put_pair(struct scratch_dir *s, const char *name, const char *san)
{
        put_pair_of(s, name, san, KEY_EC_P256);
}

static struct import_cert *found(struct import *im, struct scratch_dir *s, const char *name)
{
        struct import_cert *c = import_cert_add(im, name);
        assert_non_null(c);
        c->cert = text_format("%s/%s.crt", s->path, name);
        c->key = text_format("%s/%s.key", s->path, name);
        import_cert_file(im, c, IMPORT_FULLCHAIN, text_dup(c->cert));
        import_cert_file(im, c, IMPORT_KEY, text_dup(c->key));
        return c;
}

static void use(struct import *im, struct scratch_dir *s, const char *preset, const char *cert, const char *key)
{
        struct import_use *u = import_use_add(im, preset, "server.conf", 7);
        u->cert = text_format("%s/%s", s->path, cert);
        u->key = key ? text_format("%s/%s", s->path, key) : NULL;
}

static char *yaml_of(struct import *im, bool agreed, const struct conf *old)
{
        struct buf b = { 0 };
        struct err e;
        struct conf_problems p = { 0 };
        struct conf *conf = NULL;
        CLEANUP(json_decref_p) json_t *configuration = NULL;
        import_load(im);
        import_match(im, false);
        import_confirm(im);
        assert_true(import_configuration(im, agreed, old, &configuration, &e));
        assert_true(import_yaml(configuration, &b));
        if (im->cert_count > 0) {
                if (!config_load_text("printed", b.data, b.len, engine_kinds(), &conf, &p))
                        fail_msg("%s in\n%s", p.text.item[0], b.data);
                assert_int_equal(conf->cert_count, im->cert_count);
                config_free(conf);
        }
        conf_problems_done(&p);
        return buf_steal(&b);
}

static void the_whole_of_one_certificate(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        put_pair(s, "www", "DNS:www.example.test, DNS:example.test");
        struct import_cert *c = found(&im, s, "www");
        c->directory = text_dup("https://acme-v02.api.letsencrypt.org/directory");
        c->email = text_dup("ops@example.test");
        c->reuse_key = true;
        import_publish(&im, c, NULL, json_pack("{s:s, s:s}", "type", "webroot", "directory", "/var/www/html"));
        use(&im, s, "nginx", "www.crt", "www.key");
        use(&im, s, "haproxy", "www.pem", NULL);
        CLEANUP(free_p) char *yaml = yaml_of(&im, true, NULL);
        CLEANUP(free_p)
        char *want =
                text_format("cas:\n"
                            "  letsencrypt:\n"
                            "    type: acme\n"
                            "    directory: \"https://acme-v02.api.letsencrypt.org/directory\"\n"
                            "    terms_agreed: true\n"
                            "    contact: [\"mailto:ops@example.test\"]\n"
                            "publishers:\n"
                            "  site:\n"
                            "    type: webroot\n"
                            "    directory: /var/www/html\n"
                            "certificates:\n"
                            "  www:\n"
                            "    names: [www.example.test, example.test]\n"
                            "    ca: letsencrypt\n"
                            "    publisher: site\n"
                            "    key: {reuse: when-not-compromised}\n"
                            "    deploy:\n"
                            "      - directory: /etc/nginx/tls/www\n"
                            "        files: {fullchain.pem: fullchain, cert.pem: cert, chain.pem: chain, privkey.pem: "
                            "key, combined.pem: combined}\n"
                            "        links:\n"
                            "          %s/www.crt: fullchain.pem\n"
                            "          %s/www.key: privkey.pem\n"
                            "          %s/www.pem: combined.pem\n"
                            "        services: [{preset: nginx}, {preset: haproxy}]\n",
                        s->path, s->path, s->path);
        assert_string_equal(yaml, want);
        assert_int_equal(im.left.count, 0);
        import_done(&im);
}

static void a_path_that_holds_something_else_is_no_link(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        put_pair(s, "www", "DNS:www.example.test");
        put_pair(s, "other", "DNS:other.example.test");
        struct import_cert *c = found(&im, s, "www");
        import_cert_file(&im, c, IMPORT_FULLCHAIN, text_format("%s/other.crt", s->path));
        import_cert_file(&im, c, IMPORT_KEY, text_format("%s/other.key", s->path));
        import_cert_file(&im, c, IMPORT_KEY, text_dup("/etc/passwd"));
        import_cert_file(&im, c, IMPORT_CHAIN, text_format("%s/www.pem", s->path)); /* a key is in it */
        import_cert_file(&im, c, IMPORT_CERT, text_dup("/absent"));
        CLEANUP(free_p) char *yaml = yaml_of(&im, true, NULL);
        assert_null(strstr(yaml, "other"));
        assert_null(strstr(yaml, "passwd"));
        assert_null(strstr(yaml, "www.pem"));
        assert_null(strstr(yaml, "absent"));
        assert_non_null(strstr(yaml, "/www.key: privkey.pem"));
        assert_int_equal(im.left.count, 5); /* these four, and who issued it */
        import_done(&im);
}

static void what_cannot_be_taken_over_is_told_and_costs_the_others_nothing(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        struct made own = make_cert(&(struct cert_spec){ .subject = "self", .san = "DNS:self.example.test" });
        struct secret pem = { 0 };
        assert_true(key_write_pem(own.key, NULL, &pem, NULL));
        scratch_file(s, "self.crt", 0644, own.pem);
        scratch_file(s, "self.key", 0600, (char *)pem.data);
        put_pair(s, "www", "DNS:www.example.test");
        put_pair(s, "odd", "DNS:not_a_name.example.test");
        put_pair(s, "mixed", "DNS:mixed.example.test");
        scratch_file(s, "mixed.key", 0600, (char *)pem.data);
        for (size_t i = 0; i < 5; i++)
                (void)found(&im, s, (const char *[]){ "self", "odd", "absent", "mixed", "www" }[i]);
        CLEANUP(free_p) char *yaml = yaml_of(&im, true, NULL);
        assert_null(strstr(yaml, "self.example"));
        assert_int_equal(im.cert_count, 1);
        assert_string_equal(im.cert[0].name, "www");
        for (size_t i = 0; i < im.next.count; i++) /* nothing has to be done for what is not there */
                assert_null(strstr(im.next.item[i], "odd"));
        static const char *const said[] = { "signed by itself", "absent.crt", "does not belong to",
                "no configuration can be made" };
        for (size_t i = 0; i < ARRAY_LEN(said); i++) {
                size_t k = 0;
                while (k < im.left.count && !strstr(im.left.item[k], said[i]))
                        k++;
                if (k == im.left.count)
                        fail_msg("nothing says \"%s\"", said[i]);
        }
        secret_done(&pem);
        made_done(&own);
        import_done(&im);
}

static void a_wildcard_is_validated_by_dns(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        put_pair(s, "wild", "DNS:*.example.test");
        (void)found(&im, s, "wild");
        CLEANUP(free_p) char *yaml = yaml_of(&im, false, NULL);
        assert_non_null(strstr(yaml, "  byhand:\n    type: manual\n"));
        assert_non_null(strstr(yaml, "    validation: dns\n"));
        assert_non_null(strstr(yaml, "    terms_agreed: false\n"));
        import_done(&im);
        (void)found(&im, s, "wild"); /* told by the name that it has in the configuration, not lego's "_.wild" */
        free(im.cert[0].name);
        im.cert[0].name = text_dup("_.wild");
        CLEANUP(free_p) char *again = yaml_of(&im, true, NULL);
        assert_non_null(strstr(again, "\n  wild:\n"));
        for (size_t i = 0; i < im.next.count; i++)
                assert_null(strstr(im.next.item[i], "_.wild"));
        assert_int_equal(im.next.count, 2);
        import_done(&im);
}

static void names_of_the_configuration_are_not_used_twice(void **state)
{
        static const char text[] = "cas: {letsencrypt: {type: acme, directory: \"https://other.example/\"}}\n"
                                   "publishers: {site: {type: webroot, directory: /srv/other}}\n"
                                   "certificates: {www: {names: [a.example], ca: letsencrypt, publisher: site}, "
                                   "mail: {names: [mail.example.test], ca: letsencrypt, publisher: site}}\n";
        struct import im = { 0 };
        struct conf *old = NULL;
        struct conf_problems p = { 0 };
        struct scratch_dir *s = *state;
        assert_true(config_load_text("old", text, strlen(text), engine_kinds(), &old, &p));
        put_pair(s, "www", "DNS:www.example.test");
        put_pair(s, "mail", "DNS:mail.example.test");
        import_publish(
                &im, found(&im, s, "www"), NULL, json_pack("{s:s, s:s}", "type", "webroot", "directory", "/srv/new"));
        (void)found(&im, s, "mail");
        CLEANUP(free_p) char *yaml = yaml_of(&im, true, old);
        assert_int_equal(im.cert_count, 1);
        assert_string_equal(im.cert[0].name, "www-2");
        assert_non_null(strstr(yaml, "  letsencrypt-2:\n"));
        assert_non_null(strstr(yaml, "  site-2:\n"));
        assert_non_null(strstr(im.left.item[im.left.count - 1], "has these names already"));
        config_free(old);
        conf_problems_done(&p);
        import_done(&im);
}

static void what_the_configuration_has_is_not_written_again(void **state)
{
        static const struct {
                const char *type, *directory; /* of the publisher that was found */
                const char *uses; /* NULL: it is written */
        } row[] = { { "webroot", "/srv/new", "root" }, { "webroot", "/srv/newer", NULL }, { "responder", NULL, "me" } };
        static const char text[] = "tokens: {listen: systemd}\n"
                                   "cas: {mine: {type: acme, directory: \"https://ca.example/directory\"}}\n"
                                   "publishers: {root: {type: webroot, directory: /srv/new}, me: {type: responder}, "
                                   "hand: {type: manual}}\n";
        struct conf *old = NULL;
        struct conf_problems p = { 0 };
        struct scratch_dir *s = *state;
        assert_true(config_load_text("old", text, strlen(text), engine_kinds(), &old, &p));
        put_pair(s, "www", "DNS:www.example.test");
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { 0 };
                struct err e;
                CLEANUP(json_decref_p) json_t *configuration = NULL;
                struct import_cert *c = found(&im, s, "www");
                c->directory = text_dup("https://ca.example/directory");
                json_t *section = json_pack("{s:s}", "type", row[i].type);
                if (row[i].directory)
                        json_put_text(section, "directory", row[i].directory);
                import_publish(&im, c, NULL, section);
                import_load(&im);
                assert_true(import_configuration(&im, true, old, &configuration, &e));
                const json_t *www = json_object_get(json_object_get(configuration, "certificates"), "www");
                assert_string_equal(json_str(www, "ca"), "mine");
                assert_null(json_object_get(configuration, "cas"));
                assert_string_equal(json_str(www, "publisher"), row[i].uses ? row[i].uses : "site");
                assert_int_equal(!json_object_get(configuration, "publishers"), row[i].uses != NULL);
                import_done(&im);
        }
        config_free(old);
        conf_problems_done(&p);
}

#define BY "ca: le, publisher: site, "
#define WWW "names: [www.example.test]"

/* Which one of the configuration a certificate is: the one with its files, else the one of its kind. */
static void what_is_configured_is_named_as_such(void **state)
{
        static const struct {
                const char *old; /* certificates, the last one's end open */
                const char *deploy; /* of that, before and after the directory of what is found; NULL: nothing */
                const char *more;
                const char *ec, *rsa; /* what the two are said to be; NULL: new */
        } row[] = {
                { "both: {" BY WWW "}, both-2: {key: {type: rsa-2048}, " BY WWW, NULL, NULL, "both", "both-2" },
                { "both: {key: {type: rsa-2048}, " BY WWW "}, both-2: {" BY WWW, NULL, NULL, "both-2", "both" },
                { "one: {" BY WWW, NULL, NULL, "one", NULL },
                { "one: {key: {type: rsa-2048}, " BY WWW, NULL, NULL, NULL, "one" },
                /* whose kind of key was changed since, or whose names */
                { "one: {key: {type: ec-p384}, " BY WWW, "/etc/tls, links: {", "/ec.crt: cert.pem}", "one", NULL },
                { "one: {" BY "names: [other.example.test]", "", "", "one", "one" },
        };
        struct scratch_dir *s = *state;
        put_pair_of(s, "ec", "DNS:www.example.test", KEY_EC_P256);
        put_pair_of(s, "rsa", "DNS:www.example.test", KEY_RSA_2048);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { 0 };
                struct conf *old = NULL;
                struct conf_problems p = { 0 };
                const char *deploy = row[i].deploy;
                CLEANUP(free_p)
                char *text = text_format("cas: {le: {type: acme, directory: \"https://ca.example/\"}}\n"
                                         "publishers: {site: {type: webroot, directory: /srv}}\n"
                                         "certificates: {%s%s%s%s%s%s}}\n",
                        row[i].old, deploy ? ", deploy: {directory: " : "", deploy ? deploy : "", deploy ? s->path : "",
                        deploy ? row[i].more : "", deploy ? "}" : "");
                if (!config_load_text("old", text, strlen(text), engine_kinds(), &old, &p))
                        fail_msg("%s", p.text.item[0]);
                (void)found(&im, s, "ec");
                (void)found(&im, s, "rsa");
                CLEANUP(free_p) char *yaml = yaml_of(&im, true, old);
                assert_non_null(yaml);
                const char *want[] = { row[i].ec, row[i].rsa }, *const name[] = { "ec", "rsa" };
                assert_int_equal(im.cert_count, !want[0] + !want[1]);
                for (size_t k = 0; k < 2; k++) {
                        char line[100];
                        size_t at = 0;
                        snprintf(line, sizeof line, "%s: certificate %s of the configuration has these ", name[k],
                                want[k] ? want[k] : "");
                        while (at < im.left.count && !text_starts(im.left.item[at], line))
                                at++;
                        if (want[k] && at == im.left.count)
                                fail_msg("%zu: nothing says \"%s\"", i, line);
                }
                config_free(old);
                conf_problems_done(&p);
                import_done(&im);
        }
}

static void what_does_not_fit_into_one_file_waits(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        struct err e;
        size_t count = 1200;
        CLEANUP(json_decref_p) json_t *configuration = NULL;
        put_pair(s, "www", "DNS:www.example.test");
        (void)found(&im, s, "www");
        import_load(&im);
        for (size_t i = 1; i < count; i++) {
                struct import_cert *c = found(&im, s, "www");
                assert_true(chain_copy(&im.cert[0].chain, &c->chain, &e));
        }
        assert_true(import_configuration(&im, true, NULL, &configuration, &e));
        struct buf b = { 0 };
        assert_true(import_yaml(configuration, &b) && b.len < 3 * CONF_FILE_MAX / 5);
        assert_true(im.cert_count > 100 && im.cert_count < count);
        CLEANUP(free_p) char *want = text_format("%zu more certificates do not fit", count - im.cert_count);
        assert_non_null(strstr(im.next.item[im.next.count - 1], want));
        buf_done(&b);
        import_done(&im);
}

static void texts_that_yaml_would_read_otherwise_are_quoted(void **state)
{
        struct buf b = { 0 };
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", "cas", "a", "yes", "b", "12", "c", "x: #y", "d",
                "quote\"and\\", "e", "/plain/path-1.pem");
        (void)state;
        assert_true(import_yaml(o, &b));
        assert_string_equal(b.data,
                "cas:\n  a: \"yes\"\n  b: \"12\"\n  c: \"x: #y\"\n  d: \"quote\\\"and\\\\\"\n"
                "  e: /plain/path-1.pem\n");
        buf_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(the_whole_of_one_certificate),
                IN_DIR(a_path_that_holds_something_else_is_no_link),
                IN_DIR(what_cannot_be_taken_over_is_told_and_costs_the_others_nothing),
                IN_DIR(a_wildcard_is_validated_by_dns),
                IN_DIR(names_of_the_configuration_are_not_used_twice),
                IN_DIR(what_the_configuration_has_is_not_written_again),
                IN_DIR(what_is_configured_is_named_as_such),
                IN_DIR(what_does_not_fit_into_one_file_waits),
                cmocka_unit_test(texts_that_yaml_would_read_otherwise_are_quoted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
