/* The HTTP client behind TLS: whose certificate counts, and that nothing is sent where it does not. */
#include "http_server.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/http_internal.h"
#include "agent/net/loop.h"

static struct loop *loop;
static struct http *http;
static struct server server;
static char bundle[] = "/tmp/dcvd-roots-XXXXXX";

static X509 *make_certificate(EVP_PKEY *key, long from_s, long until_s)
{
        X509 *x = X509_new();
        X509V3_CTX ctx;
        X509_set_version(x, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), from_s);
        X509_gmtime_adj(X509_getm_notAfter(x), until_s);
        X509_NAME *name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
        X509_set_issuer_name(x, name);
        X509_set_pubkey(x, key);
        X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
        static const struct {
                int nid;
                const char *value;
        } row[] = { { NID_subject_alt_name, "DNS:www.example.test,IP:127.0.0.1" },
                { NID_subject_key_identifier, "hash" }, { NID_authority_key_identifier, "keyid:always" } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, row[i].nid, row[i].value);
                assert_non_null(extension);
                X509_add_ext(x, extension, -1);
                X509_EXTENSION_free(extension);
        }
        assert_true(X509_sign(x, key, EVP_sha256()) > 0);
        return x;
}

/* Starts the server with a certificate of its own and writes that into the bundle of roots. */
static void serve(int most_version, long until_s)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *x = make_certificate(key, -86400, until_s);
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
        if (most_version) { /* so old that it must be allowed on purpose */
                SSL_CTX_set_security_level(ctx, 0);
                SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
                SSL_CTX_set_max_proto_version(ctx, most_version);
        }
        assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
        FILE *f = fopen(bundle, "w");
        assert_non_null(f);
        assert_int_equal(PEM_write_X509(f, x), 1);
        fclose(f);
        X509_free(x);
        EVP_PKEY_free(key);
        server_start(&server, ctx);
}

static int set_up(void **state)
{
        (void)state;
        assert_true(loop_open(&loop, NULL));
        assert_true(http_open(&http, loop, NULL, &(struct http_conf){ .user_agent = "dcvd/test" }, NULL));
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        http_close(http);
        loop_close(loop);
        server_stop(&server);
        return 0;
}

struct outcome {
        bool called;
        int status;
        struct err err;
};

static void done(void *arg, const struct http_answer *a, const struct err *err)
{
        struct outcome *o = arg;
        o->called = true;
        o->status = a ? a->status : 0;
        if (err)
                o->err = *err;
}

static struct outcome ask(const char *host, const char *roots, bool look, bool proxied)
{
        struct outcome o = { 0 };
        struct address pin;
        char url[80];
        assert_true(address_parse("127.0.0.1", server.port, &pin));
        snprintf(url, sizeof url, "https://%s:%u/ok", host, server.port);
        struct http_request r = { .method = "POST",
                .url = url,
                .body = "x",
                .body_len = 1,
                .once_only = true,
                .pin = proxied ? NULL : &pin,
                .use_proxy = proxied,
                .ca_bundle = roots,
                .look = look };
        assert_non_null(http_start(http, &r, done, &o, NULL));
        assert_true(loop_run_until(loop, &o.called, 20000));
        return o;
}

static void failed_with(const struct outcome *o, enum err_kind kind, const char *code)
{
        if (o->status || o->err.kind != kind || strcmp(o->err.code, code) != 0)
                fail_msg("status %d, %s %s: %s", o->status, err_kind_name(o->err.kind), o->err.code, o->err.text);
        assert_int_equal(server_count(&server), 0);
}

static void only_a_certificate_of_a_known_root_for_this_name_counts(void **state)
{
        (void)state;
        serve(0, 86400);
        struct outcome o = ask("www.example.test", NULL, false, false);
        failed_with(&o, ERR_DENIED, "http.certificate");
        assert_non_null(strstr(o.err.text, "www.example.test"));
        o = ask("other.example.test", bundle, false, false);
        failed_with(&o, ERR_DENIED, "http.certificate");
        assert_null(strstr(o.err.text, "clock"));
        o = ask("127.0.0.2", bundle, false, false);
        failed_with(&o, ERR_DENIED, "http.certificate");
        assert_int_equal(ask("www.example.test", bundle, false, false).status, 200);
        assert_int_equal(ask("127.0.0.1", bundle, false, false).status, 200);
        assert_int_equal(server_count(&server), 2);
}

static void roots_of_one_call_are_not_those_of_the_next(void **state)
{
        (void)state;
        serve(0, 86400);
        struct address pin;
        char url[80];
        assert_true(address_parse("127.0.0.1", server.port, &pin));
        snprintf(url, sizeof url, "https://www.example.test:%u/ok", server.port);
        struct http_request r = { .method = "GET", .url = url, .pin = &pin, .ca_bundle = bundle };
        for (int i = 0; i < 2; i++) {
                struct outcome o = { 0 };
                assert_non_null(http_start(http, &r, done, &o, NULL));
                assert_true(loop_run_until(loop, &o.called, 20000));
                assert_int_equal(o.status, i == 0 ? 200 : 0); /* the warm connection must not stand in for a check */
                assert_int_equal(o.err.kind, i == 0 ? ERR_NONE : ERR_DENIED);
                r.ca_bundle = NULL;
        }
}

static void an_expired_certificate_is_refused(void **state)
{
        (void)state;
        serve(0, -3600);
        struct outcome o = ask("www.example.test", bundle, false, false);
        failed_with(&o, ERR_TEMPORARY, "http.certificate"); /* the clock is set, or it is renewed */
        assert_non_null(strstr(o.err.text, "expired; this machine's clock says 20"));
        assert_non_null(strstr(o.err.fix, "set the clock if it is wrong"));
        assert_int_equal(ask("www.example.test", NULL, true, false).status, 200); /* a look sees what a CA sees */
}

static void old_tls_is_not_spoken(void **state)
{
        (void)state;
        serve(TLS1_1_VERSION, 86400);
        struct outcome o = ask("www.example.test", bundle, false, false);
        failed_with(&o, ERR_TEMPORARY, "http.connect");
}

static void roots_that_cannot_be_read_are_our_users_business(void **state)
{
        (void)state;
        serve(0, 86400);
        struct outcome o = ask("www.example.test", "/nonexistent/roots.pem", false, false);
        failed_with(&o, ERR_CONFIG, "http.roots");
        assert_non_null(strstr(o.err.text, "/nonexistent/roots.pem"));
}

static void an_https_proxy_has_to_prove_itself_first(void **state)
{
        char url[64];
        (void)state;
        serve(0, 86400);
        snprintf(url, sizeof url, "https://127.0.0.1:%u", server.port);
        assert_true(http_configure(http, &(struct http_conf){ .proxy_url = url }, NULL));
        struct outcome o = ask("ca.example", NULL, false, true);
        failed_with(&o, ERR_DENIED, "http.certificate"); /* not one CONNECT was said to it */
        assert_non_null(strstr(o.err.text, "proxy 127.0.0.1: its TLS certificate")); /* not that of ca.example */
        assert_non_null(strstr(o.err.fix, "mend proxy.url"));
}

/* Is x, which signed itself, known by this file of roots? */
static bool known(X509 *x, const char *path)
{
        X509_STORE *store = X509_STORE_new();
        X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        assert_true(http_roots_add(store, path));
        assert_int_equal(X509_STORE_CTX_init(ctx, store, x, NULL), 1);
        ERR_clear_error();
        bool good = X509_verify_cert(ctx) == 1;
        assert_true(good || X509_STORE_CTX_get_error(ctx) == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        assert_int_equal(ERR_peek_error(), 0); /* nor is the end of the file one */
        X509_STORE_CTX_free(ctx);
        X509_STORE_free(store);
        return good;
}

static bool finds(const char *common_name, const char *path)
{
        X509_NAME *name = X509_NAME_new();
        X509_STORE *store = X509_STORE_new();
        X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
        assert_true(http_roots_add(store, path) && X509_STORE_CTX_init(ctx, store, NULL, NULL) == 1);
        X509_OBJECT *found = X509_STORE_CTX_get_obj_by_subject(ctx, X509_LU_X509, name);
        bool is_there = found != NULL;
        X509_OBJECT_free(found);
        X509_STORE_CTX_free(ctx);
        X509_STORE_free(store);
        X509_NAME_free(name);
        return is_there;
}

/* Two have one name; another name, and what is no certificate, stand before them. */
static void a_root_is_found_in_a_file_by_its_name(void **state)
{
        static const char *const junk[] = { "# a comment\n",
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\nMIIBMIIBAAAA\n-----END CERTIFICATE-----\n",
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n" };
        X509 *x[3];
        EVP_PKEY *key[3];
        (void)state;
        FILE *f = fopen(bundle, "w");
        assert_non_null(f);
        for (size_t i = 0; i < ARRAY_LEN(junk); i++)
                assert_true(fputs(junk[i], f) >= 0);
        for (int i = 0; i < 3; i++) {
                key[i] = EVP_EC_gen("P-256");
                x[i] = make_certificate(key[i], -86400, 86400);
        }
        X509_NAME_add_entry_by_txt(
                X509_get_subject_name(x[2]), "O", MBSTRING_ASC, (const unsigned char *)"other", -1, -1, 0);
        assert_true(X509_sign(x[2], key[2], EVP_sha256()) > 0);
        assert_true(PEM_write_X509(f, x[2]) == 1 && PEM_write_X509(f, x[0]) == 1);
        fclose(f);
        assert_true(known(x[0], bundle));
        assert_false(known(x[1], bundle));
        f = fopen(bundle, "a");
        assert_true(f && PEM_write_X509(f, x[1]) == 1);
        fclose(f);
        assert_true(known(x[0], bundle));
        assert_true(known(x[1], bundle));
        assert_false(known(x[0], "/nowhere/roots.pem"));
        assert_true(finds("test", bundle));
        assert_true(finds(" TEST", bundle)); /* written in another way */
        assert_false(finds("tests", bundle));
        for (int i = 0; i < 3; i++) {
                X509_free(x[i]);
                EVP_PKEY_free(key[i]);
        }
}

static int make_bundle(void **state)
{
        (void)state;
        int fd = mkstemp(bundle);
        close(fd);
        return fd >= 0 ? 0 : -1;
}

static int remove_bundle(void **state)
{
        (void)state;
        return unlink(bundle);
}

#define ON_LOOP(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_LOOP(only_a_certificate_of_a_known_root_for_this_name_counts),
                ON_LOOP(roots_of_one_call_are_not_those_of_the_next),
                ON_LOOP(an_expired_certificate_is_refused),
                ON_LOOP(old_tls_is_not_spoken),
                ON_LOOP(roots_that_cannot_be_read_are_our_users_business),
                cmocka_unit_test(a_root_is_found_in_a_file_by_its_name),
                ON_LOOP(an_https_proxy_has_to_prove_itself_first),
        };
        return cmocka_run_group_tests(tests, make_bundle, remove_bundle);
}
