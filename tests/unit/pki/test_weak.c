/* Keys whose private half can be computed, and lists of keys that are burnt. */
#include "pki/make_cert.h"

#include <openssl/param_build.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/pki/blocklist.h"
#include "agent/pki/weak.h"
#include "agent/pki/weak_internal.h"

/* specs/alerts.md section 4a: the key of RFC 6979 A.2.5. */
static const char vector[] = "MIIBaDCCAQ2gAwIBAgIFAIdlQyEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVmVjdG9yIENBMB4XDTI2MDEwMTAwM"
                             "DAwMFoXDTI2MDQwMTAwMDAwMF"
                             "owFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARg/"
                             "tS6JVqdMclh63TGNW1owEm4kjth+mzmaWIuYPKftnkD/"
                             "hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZo0owSDAlBgNVHREEHjAcggtleGFtcGxlLmNvbYINKi5leGFtcG"
                             "xlLmNvbTAfBgNVHSMEGDAWgBRp"
                             "iFtrh0ZAQeGze4R7oK4s3gHI1DAKBggqhkjOPQQDAgNJADBGAiEAonHVJXRzIrxJB3RgNgv4p2vn4C5UAWoBAgKET"
                             "yC4+X4CIQDjwGKNVTjprfjATZD"
                             "+CbkhfknczTHzaDIfDkpy6yDjuw==";

static BIGNUM *number(const char *hex)
{
        BIGNUM *n = NULL;
        assert_true(BN_hex2bn(&n, hex) > 0);
        return n;
}

/* 2^bits + more */
static BIGNUM *power(int bits, unsigned long more)
{
        BIGNUM *n = BN_new();
        assert_true(BN_one(n) && BN_lshift(n, n, bits) && BN_add_word(n, more));
        return n;
}

static BIGNUM *product(BIGNUM *a, BIGNUM *b)
{
        BN_CTX *c = BN_CTX_new();
        BIGNUM *n = BN_new();
        assert_int_equal(BN_mul(n, a, b, c), 1);
        BN_CTX_free(c);
        BN_free(a);
        BN_free(b);
        return n;
}

static EVP_PKEY *rsa_of(const BIGNUM *n, unsigned long exponent)
{
        EVP_PKEY *pkey = NULL;
        BIGNUM *e = BN_new();
        OSSL_PARAM_BLD *list = OSSL_PARAM_BLD_new();
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        assert_true(BN_set_word(e, exponent) && OSSL_PARAM_BLD_push_BN(list, "n", n) &&
                OSSL_PARAM_BLD_push_BN(list, "e", e));
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(list);
        assert_int_equal(EVP_PKEY_fromdata_init(c), 1);
        assert_int_equal(EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(list);
        EVP_PKEY_CTX_free(c);
        BN_free(e);
        return pkey;
}

static void roca_is_told_by_its_subgroups(void **state)
{
        static const struct {
                const char *hex;
                bool roca;
        } row[] = {
                { "62d40c5a30aa7da53ab7fb3e677b9e8ce6023dad69a55c9fb8fe059", true },
                { "C0FFEE", false },
                { "F3", false },
                { "1", true }, /* 65537^0 */
                { "0", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                BIGNUM *n = number(row[i].hex);
                if (weak_is_roca(n) != row[i].roca)
                        fail_msg("%s", row[i].hex);
                BN_free(n);
        }
}

static void no_random_number_is_taken_for_roca(void **state)
{
        BIGNUM *n = BN_new();
        (void)state;
        for (int i = 0; i < 2000; i++) {
                assert_int_equal(BN_rand(n, 512, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD), 1);
                assert_false(weak_is_roca(n));
        }
        BN_free(n);
}

/* 2^1023 + 1155 and + 1493 are the next primes after 2^1023. */
static void primes_side_by_side_are_found(void **state)
{
        (void)state;
        BIGNUM *close = product(power(1023, 1155), power(1023, 1493)),
               *square = product(power(1023, 1155), power(1023, 1155));
        BIGNUM *far = product(power(1023, 1155), power(1022, 1493)), *small = number("B"), *zero = number("0");
        assert_true(weak_has_close_primes(close, 100));
        assert_true(weak_has_close_primes(square, 1));
        assert_false(weak_has_close_primes(far, 100));
        assert_false(weak_has_close_primes(small, 1));
        assert_false(weak_has_close_primes(zero, 100));
        BN_free(close);
        BN_free(square);
        BN_free(far);
        BN_free(small);
        BN_free(zero);
}

static void each_rule_names_itself(void **state)
{
        (void)state;
        struct {
                BIGNUM *n;
                unsigned long exponent;
                const char *code;
                bool computable;
        } row[] = {
                { product(power(1023, 1155), power(1023, 1493)), 65537, "key.close-primes", true },
                { product(power(1023, 1155), number("2EF")), 65537, "key.small-factor", true },
                { product(power(1023, 1155), power(1022, 39)), 65537, "key.size", false },
                { product(power(1023, 1155), power(1024, 643)), 4, "key.exponent", false },
                { product(power(1023, 1155), power(1024, 643)), 1, "key.exponent", false },
                { product(power(1023, 1155), power(1024, 643)), 3, NULL, false },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                EVP_PKEY *pkey = rsa_of(row[i].n, row[i].exponent);
                struct err e = { 0 };
                bool good = pkey_check_strength(pkey, &e);
                if (good != !row[i].code || (!good && strcmp(e.code, row[i].code) != 0))
                        fail_msg("%zu: %s %s", i, e.code, e.text);
                assert_int_equal(!good && weak_is_computable(&e), row[i].computable);
                EVP_PKEY_free(pkey);
                BN_free(row[i].n);
        }
}

static void a_request_for_such_a_key_is_refused(void **state)
{
        BIGNUM *n = product(power(1023, 1155), power(1023, 1493));
        EVP_PKEY *weak = rsa_of(n, 65537), *signer = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        struct err e = { 0 };
        (void)state;
        for (int i = 0; i < 2; i++) {
                X509_REQ *request = X509_REQ_new();
                BIO *bio = BIO_new(BIO_s_mem());
                char *pem;
                assert_int_equal(X509_REQ_set_pubkey(request, i ? weak : signer), 1);
                assert_true(X509_REQ_sign(request, signer, EVP_sha256()) > 0);
                assert_int_equal(PEM_write_bio_X509_REQ(bio, request), 1);
                long len = BIO_get_mem_data(bio, &pem);
                assert_int_equal(request_check_strength(pem, (size_t)len, &e), i == 0);
                BIO_free(bio);
                X509_REQ_free(request);
        }
        assert_string_equal(e.code, "key.close-primes");
        assert_false(request_check_strength("nothing", 7, &e));
        assert_string_equal(e.code, "csr.format");
        EVP_PKEY_free(signer);
        EVP_PKEY_free(weak);
        BN_free(n);
}

static void keys_that_we_make_are_good(void **state)
{
        static const enum key_type types[] = { KEY_RSA_2048, KEY_EC_P256, KEY_EC_P384, KEY_SM2 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                struct key *k = NULL;
                struct err e;
                assert_true(key_generate(types[i], &k, &e));
                if (!key_check_strength(k, &e))
                        fail_msg("%s: %s", key_type_name(types[i]), e.text);
                key_free(k);
        }
        EVP_PKEY *odd = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
        struct err e;
        assert_false(pkey_check_strength(odd, &e));
        assert_string_equal(e.code, "key.curve");
        EVP_PKEY_free(odd);
}

/* The one point that a reader takes and no curve has: both checks of OpenSSL know it. */
static void a_point_at_infinity_is_refused(void **state)
{
        static const uint8_t der[] = { 0x30, 0x19, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x02, 0x00, 0x00 };
        const uint8_t *at = der;
        struct err e = { 0 };
        (void)state;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, sizeof der);
        assert_non_null(pkey);
        assert_false(pkey_check_strength(pkey, &e));
        assert_string_equal(e.code, "key.point");
        EVP_PKEY_free(pkey);
}

/* ---- lists ---- */

static char *write_list(const void *data, size_t len)
{
        char *path = text_dup("/tmp/dcvd-list-XXXXXX");
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        assert_int_equal(close(fd), 0);
        return path;
}

static void drop_list(char *path)
{
        assert_int_equal(unlink(path), 0);
        free(path);
}

static void a_key_is_found_by_its_number(void **state)
{
        uint8_t *der = NULL, hash[32], record[5][16] = { { 0 } };
        size_t len = 0;
        struct blocklist *b = NULL;
        struct err e;
        bool found;
        unsigned list = 0;
        (void)state;
        assert_true(base64_decode(vector, strlen(vector), &der, &len));
        assert_true(cert_list_hash(der, len, hash));
        assert_memory_equal(hash, "\x10\x98\x5c\x90\x1b\x9b\xc6\xc0\x98\x25\x8f\x3a\xe4\x3e\x4f", 15);
        for (size_t i = 0; i < 5; i++)
                memset(record[i], (int)(i * 8), 16);
        memcpy(record[2], hash, 15); /* 0x10 stands at the third place already */
        record[2][15] = 7;
        char *path = write_list(record, sizeof record);
        if (!blocklist_open(&b, path, &e))
                fail_msg("%s", e.text);
        assert_true(blocklist_find(b, hash, &found, &list, &e));
        assert_true(found);
        assert_int_equal(list, 7);
        hash[14] ^= 1;
        assert_true(blocklist_find(b, hash, &found, &list, &e));
        assert_false(found);
        assert_false(blocklist_is_old(b));
        assert_int_equal(truncate(path, 16), 0);
        assert_true(blocklist_is_old(b));
        assert_false(blocklist_find(b, hash, &found, &list, &e)); /* it is told, and nobody dies of it */
        blocklist_close(b);
        drop_list(path);
        free(der);
}

static void first_and_last_are_found(void **state)
{
        uint8_t record[7][16];
        struct blocklist *b = NULL;
        struct err e;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(record); i++)
                memset(record[i], (int)(i * 10 + 3), 16);
        for (size_t n = 1; n <= ARRAY_LEN(record); n++) {
                char *path = write_list(record, n * 16);
                assert_true(blocklist_open(&b, path, &e));
                for (size_t i = 0; i < n; i++) {
                        uint8_t hash[32];
                        bool found = false;
                        unsigned list = 0;
                        memset(hash, (int)(i * 10 + 3), sizeof hash);
                        assert_true(blocklist_find(b, hash, &found, &list, &e));
                        assert_true(found);
                        hash[0]++;
                        assert_true(blocklist_find(b, hash, &found, &list, &e));
                        assert_false(found);
                }
                blocklist_close(b);
                drop_list(path);
        }
}

static void a_file_that_is_no_list_is_refused(void **state)
{
        static const char unsorted[32] = "bbbbbbbbbbbbbbbbaaaaaaaaaaaaaaaa";
        static const struct {
                size_t len;
        } row[] = { { 0 }, { 15 }, { 17 }, { 32 } };
        struct blocklist *b = NULL;
        struct err e;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char *path = write_list(unsorted, row[i].len);
                assert_false(blocklist_open(&b, path, &e));
                assert_string_equal(e.code, "blocklist");
                drop_list(path);
        }
        assert_false(blocklist_open(&b, "/", &e));
        assert_false(blocklist_open(&b, "/nowhere/list", &e));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(roca_is_told_by_its_subgroups),
                cmocka_unit_test(no_random_number_is_taken_for_roca),
                cmocka_unit_test(primes_side_by_side_are_found),
                cmocka_unit_test(each_rule_names_itself),
                cmocka_unit_test(a_request_for_such_a_key_is_refused),
                cmocka_unit_test(keys_that_we_make_are_good),
                cmocka_unit_test(a_point_at_infinity_is_refused),
                cmocka_unit_test(a_key_is_found_by_its_number),
                cmocka_unit_test(first_and_last_are_found),
                cmocka_unit_test(a_file_that_is_no_list_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
