/* Keys of every type: made, written, read back, named. */
#include "test.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"

static const struct {
        enum key_type type;
        const char *name;
} all[] = {
        { KEY_RSA_2048, "rsa-2048" },
        { KEY_RSA_3072, "rsa-3072" },
        { KEY_RSA_4096, "rsa-4096" },
        { KEY_EC_P256, "ec-p256" },
        { KEY_EC_P384, "ec-p384" },
        { KEY_SM2, "sm2" },
};

static struct secret passphrase(const char *text)
{
        struct secret s = { 0 };
        assert_true(secret_set(&s, text, strlen(text), NULL));
        return s;
}

static void every_type_is_made_written_and_read_back_the_same(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                struct key *made = NULL, *read = NULL;
                struct secret pem = { 0 };
                struct err e = { 0 };
                char before[65], after[65];
                if (!key_generate(all[i].type, &made, &e))
                        fail_msg("%s: %s", all[i].name, e.text);
                assert_int_equal(key_type_of(made), all[i].type);
                assert_true(key_write_pem(made, NULL, &pem, &e));
                assert_true(text_starts((char *)pem.data, "-----BEGIN PRIVATE KEY-----\n"));
                if (!key_read_pem(pem.data, pem.len, NULL, &read, &e))
                        fail_msg("%s: %s", all[i].name, e.text);
                assert_int_equal(key_type_of(read), all[i].type); /* SM2 is not EC after a reload */
                assert_true(key_spki_hex(made, before, NULL) && key_spki_hex(read, after, NULL));
                assert_string_equal(before, after);
                assert_int_equal(ERR_peek_error(), 0);
                key_free(made);
                key_free(read);
                secret_done(&pem);
        }
}

static void types_have_names_and_only_these_can_be_made(void **state)
{
        struct key *k = NULL;
        struct err e = { 0 };
        enum key_type t;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                assert_string_equal(key_type_name(all[i].type), all[i].name);
                assert_true(key_type_from_name(all[i].name, &t));
                assert_int_equal(t, all[i].type);
                assert_int_equal(key_tls_signature_algorithms(t) != NULL, t != KEY_SM2);
        }
        assert_string_equal(key_type_name(KEY_OTHER), "other");
        assert_false(key_type_from_name("other", &t));
        assert_false(key_type_from_name("none", &t));
        assert_false(key_type_from_name("rsa", &t));
        assert_false(key_type_from_name(NULL, &t));
        assert_null(key_tls_signature_algorithms(KEY_OTHER));
        assert_false(key_generate(KEY_OTHER, &k, &e));
        assert_int_equal(e.kind, ERR_BUG);
        assert_false(key_generate(KEY_NONE, &k, &e));
        assert_null(k);
}

static void an_encrypted_key_needs_its_passphrase(void **state)
{
        (void)state;
        struct key *k = NULL, *read = NULL;
        struct err e = { 0 };
        CLEANUP(secret_done)
        struct secret right = passphrase("correct horse"), wrong = passphrase("wrong"), pem = { 0 };
        char before[65], after[65];
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(key_write_pem(k, &right, &pem, &e));
        assert_true(text_starts((char *)pem.data, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));

        assert_false(key_read_pem(pem.data, pem.len, NULL, &read, &e));
        assert_string_equal(e.code, "key.encrypted");
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_true(e.fix[0] != '\0');
        assert_false(key_read_pem(pem.data, pem.len, &wrong, &read, &e));
        assert_string_equal(e.code, "key.passphrase");
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_null(strstr(e.text, "wrong "));
        assert_null(read);
        assert_true(key_read_pem(pem.data, pem.len, &right, &read, &e));
        assert_true(key_spki_hex(k, before, NULL) && key_spki_hex(read, after, NULL));
        assert_string_equal(before, after);
        key_free(k);
        key_free(read);
}

static void encryption_is_aes256_with_many_rounds(void **state)
{
        (void)state;
        struct key *k = NULL;
        CLEANUP(secret_done) struct secret word = passphrase("x"), pem = { 0 };
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(key_write_pem(k, &word, &pem, NULL));
        BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        X509_SIG *sealed = PEM_read_bio_PKCS8(bio, NULL, NULL, NULL);
        assert_non_null(sealed);
        const X509_ALGOR *algorithm;
        const ASN1_OBJECT *object;
        const void *value;
        int type;
        X509_SIG_get0(sealed, &algorithm, NULL);
        X509_ALGOR_get0(&object, &type, &value, algorithm);
        assert_int_equal(OBJ_obj2nid(object), NID_pbes2);
        PBE2PARAM *pbe = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter);
        assert_non_null(pbe);
        assert_int_equal(OBJ_obj2nid(pbe->encryption->algorithm), NID_aes_256_cbc);
        PBKDF2PARAM *kdf = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), pbe->keyfunc->parameter);
        assert_non_null(kdf);
        assert_true(ASN1_INTEGER_get(kdf->iter) >= 600000);
        assert_int_equal(OBJ_obj2nid(kdf->prf->algorithm), NID_hmacWithSHA256);
        PBKDF2PARAM_free(kdf);
        PBE2PARAM_free(pbe);
        X509_SIG_free(sealed);
        BIO_free(bio);
        key_free(k);
}

static void an_empty_passphrase_does_not_protect(void **state)
{
        struct key *k = NULL;
        struct secret none = { 0 }, pem = { 0 };
        struct err e = { 0 };
        (void)state;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_false(key_write_pem(k, &none, &pem, &e));
        assert_int_equal(e.kind, ERR_BUG);
        key_free(k);
}

/* "openssl ecparam -genkey" and old tools write this. */
static void traditional_and_commented_keys_are_read(void **state)
{
        (void)state;
        for (int rsa = 0; rsa < 2; rsa++) {
                struct key *k = NULL, *read = NULL;
                struct err e = { 0 };
                char *data;
                assert_true(key_generate(rsa ? KEY_RSA_2048 : KEY_EC_P256, &k, NULL));
                BIO *bio = BIO_new(BIO_s_mem());
                BIO_puts(bio, "Bag Attributes\r\n    friendlyName: x\r\n");
                if (!rsa)
                        BIO_puts(bio, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
                assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, k->pkey, NULL, NULL, 0, NULL, NULL), 1);
                long len = BIO_get_mem_data(bio, &data);
                if (!key_read_pem(data, (size_t)len, NULL, &read, &e))
                        fail_msg("%s", e.text);
                assert_int_equal(EVP_PKEY_eq(k->pkey, read->pkey), 1);
                BIO_free(bio);
                key_free(k);
                key_free(read);
        }
}

static void what_is_no_private_key_is_refused(void **state)
{
        (void)state;
        struct key *k = NULL, *read = NULL;
        struct err e = { 0 };
        char *public, *big = calloc(1, KEY_PEM_MAX + 1);
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PUBKEY(bio, k->pkey), 1);
        long len = BIO_get_mem_data(bio, &public);
        const struct {
                const char *pem;
                size_t len;
                const char *code;
        } row[] = {
                { "", 0, "key.format" },
                { "not a key", 9, "key.format" },
                { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 58, "key.format" },
                { public, (size_t)len, "key.format" },
                { big, KEY_PEM_MAX + 1, "key.size" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                assert_false(key_read_pem(row[i].pem, row[i].len, NULL, &read, &e));
                assert_string_equal(e.code, row[i].code);
                assert_int_equal(e.kind, ERR_CONFIG);
                assert_null(read);
        }
        BIO_free(bio);
        free(big);
        key_free(k);
}

/* The public half of one key with the private half of another. */
static void halves_of_two_keys_are_refused(void **state)
{
        (void)state;
        struct key *a = NULL, *b = NULL, *read = NULL;
        struct err e = { 0 };
        unsigned char *one = NULL, *two = NULL;
        char *data;
        assert_true(key_generate(KEY_EC_P256, &a, NULL) && key_generate(KEY_EC_P256, &b, NULL));
        int n = i2d_PrivateKey(a->pkey, &one), m = i2d_PrivateKey(b->pkey, &two);
        assert_int_equal(n, m);
        memcpy(one + n - 65, two + m - 65, 65); /* the point is at the end of the structure */
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio(bio, "EC PRIVATE KEY", "", one, n);
        long len = BIO_get_mem_data(bio, &data);
        assert_false(key_read_pem(data, (size_t)len, NULL, &read, &e));
        assert_string_equal(e.code, "key.damaged");
        BIO_free(bio);
        OPENSSL_free(one);
        OPENSSL_free(two);
        /* The same in PKCS#8, where the point is at the end as well. */
        PKCS8_PRIV_KEY_INFO *mine = curve_to_pkcs8(a->pkey), *other = curve_to_pkcs8(b->pkey);
        one = two = NULL;
        n = i2d_PKCS8_PRIV_KEY_INFO(mine, &one);
        assert_int_equal(i2d_PKCS8_PRIV_KEY_INFO(other, &two), n);
        memcpy(one + n - 65, two + n - 65, 65);
        bio = BIO_new(BIO_s_mem());
        PEM_write_bio(bio, PEM_STRING_PKCS8INF, "", one, n);
        len = BIO_get_mem_data(bio, &data);
        assert_false(key_read_pem(data, (size_t)len, NULL, &read, &e));
        assert_string_equal(e.code, "key.damaged");
        BIO_free(bio);
        PKCS8_PRIV_KEY_INFO_free(mine);
        PKCS8_PRIV_KEY_INFO_free(other);
        OPENSSL_free(one);
        OPENSSL_free(two);
        key_free(a);
        key_free(b);
}

/* The generator is the point of 1, and of no other number below the order. */
static void a_number_that_is_none_of_the_curve_is_refused(void **state)
{
        static const struct {
                unsigned plus, orders;
                bool good;
        } row[] = { { 1, 0, true }, { 0, 0, false }, { 2, 0, false }, { 0, 1, false }, { 1, 1, false } };
        EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
        struct key *made = NULL;
        unsigned char *der = NULL;
        (void)state;
        assert_true(key_generate(KEY_EC_P256, &made, NULL));
        PKCS8_PRIV_KEY_INFO *info = curve_to_pkcs8(made->pkey);
        int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
        assert_int_equal(EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED,
                                 der + n - 65, 65, NULL),
                65);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct key *read = NULL;
                struct err e = { 0 };
                BIGNUM *number = BN_new();
                char *data;
                BN_set_word(number, row[i].plus);
                if (row[i].orders)
                        BN_add(number, number, EC_GROUP_get0_order(group));
                assert_int_equal(BN_bn2binpad(number, der + n - 65 - 5 - 32, 32), 32); /* before the point's header */
                BIO *bio = BIO_new(BIO_s_mem());
                PEM_write_bio(bio, PEM_STRING_PKCS8INF, "", der, n);
                long len = BIO_get_mem_data(bio, &data);
                if (key_read_pem(data, (size_t)len, NULL, &read, &e) != row[i].good)
                        fail_msg("row %zu", i);
                key_free(read);
                BIO_free(bio);
                BN_free(number);
        }
        OPENSSL_free(der);
        PKCS8_PRIV_KEY_INFO_free(info);
        EC_GROUP_free(group);
        key_free(made);
}

static void a_compressed_point_does_not_change_the_name(void **state)
{
        (void)state;
        struct key *k = NULL, *read = NULL;
        char before[65], after[65], *data;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(key_spki_hex(k, before, NULL));
        assert_int_equal(
                EVP_PKEY_set_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"), 1);
        BIO *bio = BIO_new(BIO_s_mem());
        /* In this form OpenSSL's general reader reads it; dcvd's own of PKCS#8 forgets the form. */
        assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, k->pkey, NULL, NULL, 0, NULL, NULL), 1);
        long len = BIO_get_mem_data(bio, &data);
        assert_true(key_read_pem(data, (size_t)len, NULL, &read, NULL));
        unsigned char *der = NULL;
        assert_int_equal(i2d_PUBKEY(read->pkey, &der), 59); /* it did come back compressed */
        OPENSSL_free(der);
        assert_true(key_spki_hex(read, after, NULL));
        assert_string_equal(before, after);
        BIO_free(bio);
        key_free(k);
        key_free(read);
}

static void curve_keys_are_written_as_openssl_writes_them(void **state)
{
        static const enum key_type types[] = { KEY_EC_P256, KEY_EC_P384 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                struct key *k = NULL;
                struct secret pem = { 0 };
                char *data;
                assert_true(key_generate(types[i], &k, NULL));
                assert_true(key_write_pem(k, NULL, &pem, NULL));
                BIO *bio = BIO_new(BIO_s_mem());
                assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL), 1);
                long len = BIO_get_mem_data(bio, &data);
                assert_int_equal(pem.len, len);
                assert_memory_equal(pem.data, data, (size_t)len);
                BIO_free(bio);
                secret_done(&pem);
                key_free(k);
        }
}

/* What curve_from_pkcs8 makes of an EC key whose inner structure is these bytes: name of the key, or NULL. */
static const char *inner_name(int curve, const unsigned char *inner, size_t len, char ret[65])
{
        PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
        unsigned char *copy = OPENSSL_memdup(inner, len);
        assert_int_equal(PKCS8_pkey_set0(info, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), 0, V_ASN1_OBJECT,
                                 OBJ_nid2obj(curve), copy, (int)len),
                1);
        EVP_PKEY *pkey = curve_from_pkcs8(info);
        bool good = pkey && spki_hex(pkey, ret, NULL);
        EVP_PKEY_free(pkey);
        PKCS8_PRIV_KEY_INFO_free(info);
        return good ? ret : NULL;
}

static void only_the_usual_form_of_a_curve_key_is_read_directly(void **state)
{
        struct key *k = NULL;
        char name[65], hex[65];
        unsigned char bytes[200];
        const unsigned char *inner = NULL;
        int len = 0;
        (void)state;
        assert_true(key_generate(KEY_EC_P256, &k, NULL) && key_spki_hex(k, name, NULL));
        PKCS8_PRIV_KEY_INFO *info = curve_to_pkcs8(k->pkey);
        assert_int_equal(PKCS8_pkey_get0(NULL, &inner, &len, NULL, info), 1);
        assert_int_equal(len, 109); /* SEQUENCE 3, version 3, scalar 2 + 32, [1] BIT STRING 4 + 65 */
        memcpy(bytes, inner, 109);
        PKCS8_PRIV_KEY_INFO_free(info);
        assert_string_equal(inner_name(NID_X9_62_prime256v1, bytes, 109, hex), name);
        assert_null(inner_name(NID_secp384r1, bytes, 109, hex)); /* a scalar of another size */
        assert_null(inner_name(NID_secp256k1, bytes, 109, hex));
        bytes[109] = 0;
        assert_null(inner_name(NID_X9_62_prime256v1, bytes, 110, hex)); /* a byte behind its end */
        bytes[4] = 2;
        assert_null(inner_name(NID_X9_62_prime256v1, bytes, 109, hex)); /* another version */
        bytes[4] = 1;
        bytes[108] ^= 1;
        assert_null(inner_name(NID_X9_62_prime256v1, bytes, 109, hex)); /* a point beside the curve */
        bytes[1] = 2 + 34 + 1;
        assert_null(inner_name(NID_X9_62_prime256v1, bytes, 39, hex)); /* no point: it would have to be computed */
        key_free(k);
}

/* A key in its SPKI form, hashed by another program (openssl pkey -pubout -outform DER | sha256sum). */
static void the_name_is_the_hash_others_compute(void **state)
{
        static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                                  "-----END PRIVATE KEY-----\n";
        struct key *k = NULL;
        char hex[65], want[65];
        unsigned char *der = NULL;
        (void)state;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_int_equal(i2d_PUBKEY(k->pkey, &der), 91); /* uncompressed, as in its certificate */
        sha256_hex(der, 91, want);
        assert_true(key_spki_hex(k, hex, NULL));
        assert_string_equal(hex, want);
        OPENSSL_free(der);
        key_free(k);
        assert_true(key_read_pem(pem, sizeof pem - 1, NULL, &k, NULL));
        assert_int_equal(key_type_of(k), KEY_OTHER); /* RFC 8410's example */
        static const uint8_t spki[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19,
                0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50,
                0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1 };
        sha256_hex(spki, sizeof spki, want);
        assert_true(key_spki_hex(k, hex, NULL));
        assert_string_equal(hex, want);
        key_free(k);
}

static void the_public_half_of_rsa_is_written_as_openssl_writes_it(void **state)
{
        static const struct {
                const char *algorithm;
                size_t bits;
                unsigned exponent;
        } row[] = { { "RSA", 2048, 65537 }, { "RSA", 2047, 65537 }, { "RSA", 3072, 3 }, { "RSA", 2056, 129 },
                { "RSA-PSS", 2048, 65537 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                EVP_PKEY *pkey = NULL;
                EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, row[i].algorithm, NULL);
                X509_PUBKEY *public = X509_PUBKEY_new();
                BIGNUM *e = BN_new();
                unsigned char *der = NULL, *want = NULL;
                BN_set_word(e, row[i].exponent);
                assert_true(EVP_PKEY_keygen_init(ctx) == 1 &&
                        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)row[i].bits) == 1 &&
                        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) == 1 && EVP_PKEY_generate(ctx, &pkey) == 1);
                if (rsa_set_public(public, pkey)) {
                        int len = i2d_PUBKEY(pkey, &want);
                        assert_true(strcmp(row[i].algorithm, "RSA") == 0 && len > 0);
                        assert_int_equal(i2d_X509_PUBKEY(public, &der), len);
                        assert_memory_equal(der, want, (size_t)len);
                } else {
                        assert_string_equal(row[i].algorithm, "RSA-PSS");
                }
                OPENSSL_free(der);
                OPENSSL_free(want);
                BN_free(e);
                X509_PUBKEY_free(public);
                EVP_PKEY_CTX_free(ctx);
                EVP_PKEY_free(pkey);
        }
}

static void the_secure_heap_is_made_once(void **state)
{
        (void)state;
        assert_true(key_secure_heap_init(NULL));
        assert_true(key_secure_heap_init(NULL));
        assert_int_equal(CRYPTO_secure_malloc_initialized(), 1);
}

static void told(void)
{
        _exit(1);
}

/* Other threads may be at work in it. */
static void the_end_of_the_process_leaves_openssl_as_it_is(void **state)
{
        int status = 0;
        (void)state;
#ifdef DCVD_SANITIZE
        skip();
#endif
        pid_t pid = fork();
        if (pid == 0) {
                struct key *k = NULL;
                (void)OPENSSL_atexit(told);
                exit(key_generate(KEY_EC_P256, &k, NULL) ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_end_of_the_process_leaves_openssl_as_it_is),
                cmocka_unit_test(the_secure_heap_is_made_once),
                cmocka_unit_test(every_type_is_made_written_and_read_back_the_same),
                cmocka_unit_test(types_have_names_and_only_these_can_be_made),
                cmocka_unit_test(an_encrypted_key_needs_its_passphrase),
                cmocka_unit_test(encryption_is_aes256_with_many_rounds),
                cmocka_unit_test(an_empty_passphrase_does_not_protect),
                cmocka_unit_test(traditional_and_commented_keys_are_read),
                cmocka_unit_test(what_is_no_private_key_is_refused),
                cmocka_unit_test(halves_of_two_keys_are_refused),
                cmocka_unit_test(a_number_that_is_none_of_the_curve_is_refused),
                cmocka_unit_test(a_compressed_point_does_not_change_the_name),
                cmocka_unit_test(curve_keys_are_written_as_openssl_writes_them),
                cmocka_unit_test(only_the_usual_form_of_a_curve_key_is_read_directly),
                cmocka_unit_test(the_public_half_of_rsa_is_written_as_openssl_writes_it),
                cmocka_unit_test(the_name_is_the_hash_others_compute),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
