/* The certificate of tls-alpn-01: what is made is what a CA takes, and nothing else is. */
#include "test.h"

#include "make_cert.h"

#include "agent/base/secret.h"
#include "agent/pki/alpn.h"

static const uint8_t hash[ALPN_HASH_LEN] = { 1, 2, 3, 4 }, other[ALPN_HASH_LEN] = { 4, 3, 2, 1 };

static void make(const char *name, uint8_t **cert, size_t *len)
{
        struct secret key = { 0 };
        struct err e;
        if (!alpn_cert_make(name, hash, cert, len, &key, &e))
                fail_msg("%s", e.text);
        const unsigned char *at = key.data;
        EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &at, (long)key.len);
        assert_non_null(pkey);
        EVP_PKEY_free(pkey);
        secret_done(&key);
}

static void it_is_taken_for_its_name_and_hash_alone(void **state)
{
        static const char *const names[] = { "www.example.test", "192.0.2.1", "2001:db8::1" };
        struct err e;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                uint8_t *cert = NULL;
                size_t len = 0;
                make(names[i], &cert, &len);
                assert_true(alpn_cert_check(cert, len, names[i], hash, &e));
                assert_false(alpn_cert_check(cert, len, names[i], other, &e));
                assert_string_equal(e.code, "alpn.cert");
                assert_non_null(strstr(e.text, "another challenge"));
                assert_false(alpn_cert_check(cert, len, names[(i + 1) % ARRAY_LEN(names)], hash, &e));
                assert_non_null(strstr(e.text, "this name alone"));
                assert_false(alpn_cert_check(cert, len - 1, names[i], hash, &e));
                free(cert);
        }
}

static void every_one_has_a_key_of_its_own(void **state)
{
        uint8_t *a = NULL, *b = NULL;
        size_t a_len = 0, b_len = 0;
        (void)state;
        make("www.example.test", &a, &a_len);
        make("www.example.test", &b, &b_len);
        assert_false(a_len == b_len && memcmp(a, b, a_len) == 0);
        free(a);
        free(b);
}

static void a_name_that_is_none_is_refused(void **state)
{
        static const char *const names[] = { "", "a b.test", "a\nb.test" };
        struct secret key = { 0 };
        uint8_t *cert = NULL;
        size_t len = 0;
        struct err e;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                assert_false(alpn_cert_make(names[i], hash, &cert, &len, &key, &e));
                assert_null(cert);
                assert_null(key.data);
        }
}

static bool taken(const struct cert_spec *spec, const char *why)
{
        struct err e = { 0 };
        struct made m = make_cert(spec);
        uint8_t *der = NULL;
        int len = i2d_X509(m.x, &der);
        bool good = alpn_cert_check(der, (size_t)len, "www.example.test", hash, &e);
        if (!good && !strstr(e.text, why))
                fail_msg("%s", e.text);
        OPENSSL_free(der);
        made_done(&m);
        return good;
}

static void what_a_web_server_shows_is_named(void **state)
{
        (void)state;
        assert_false(taken(&(struct cert_spec){ .subject = "www.example.test", .san = "DNS:www.example.test" },
                "another server terminates TLS"));
        assert_false(taken(&(struct cert_spec){ .subject = "www.example.test",
                                   .san = "DNS:www.example.test",
                                   .critical_oid = "1.3.6.1.5.5.7.1.31" },
                "another challenge"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_is_taken_for_its_name_and_hash_alone),
                cmocka_unit_test(every_one_has_a_key_of_its_own),
                cmocka_unit_test(a_name_that_is_none_is_refused),
                cmocka_unit_test(what_a_web_server_shows_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
