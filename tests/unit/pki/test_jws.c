/* Vectors: RFC 7515 appendices A.1 to A.3, RFC 7638 section 3.1, and one computed apart from this program. */
#include "test.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/pki/jws.h"
#include "agent/pki/key_internal.h"

static const char rsa_a2[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
                             "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
                             "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
                             "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
                             "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
                             "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
                             "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
                             "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
                             "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
                             "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
                             "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
                             "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
                             "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
                             "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
                             "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
                             "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
                             "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
                             "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
                             "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
                             "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
                             "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
                             "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
                             "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
                             "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
                             "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
                             "03k2+ZQwVK0JKSHuLFkuQ3U=\n"
                             "-----END PRIVATE KEY-----\n";
static const char ec_a3[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCOmxCecZCYv5gEh98f\n"
                            "XXfpyylgbr7SJjtfV8IT34T0sg==\n"
                            "-----END PRIVATE KEY-----\n";
static const char ec_scalar[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdn\n"
                                "sdaTTlDD2zbomxJ7imIrEg9nIQ==\n"
                                "-----END PRIVATE KEY-----\n";
static const char rsa_7638[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0vx7agoebGcQSuuPiLJX\n"
                               "ZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS\n"
                               "oc/BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ/2W+5JsGY4Hc5n9yBXArwl93lqt\n"
                               "7/RN5w6Cf0h4QyQ5v+65YGjQR0/FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0\n"
                               "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt+bFTWhAI4vMQFh6WeZu0f\n"
                               "M4lFd2NcRwr3XPksINHaQ+G/xBniIqbw0Ls1jF44+csFCur+kEgU8awapJzKnqDK\n"
                               "gwIDAQAB\n"
                               "-----END PUBLIC KEY-----\n";
static const char payload[] = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

static struct key *key_of(const char *pem)
{
        struct key *k = NULL;
        struct err e;

        assert_true(key_read_pem(pem, strlen(pem), NULL, &k, &e));
        return k;
}

static struct key *public_of(const char *pem)
{
        struct key *k = calloc(1, sizeof *k);
        BIO *bio = BIO_new_mem_buf(pem, -1);

        assert_non_null(k);
        k->pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        assert_non_null(k->pkey);
        k->type = pkey_type(k->pkey);
        BIO_free(bio);
        return k;
}

static json_t *members(char *text)
{
        json_t *o = NULL;
        struct err e;

        assert_true(json_read(text, strlen(text), 2, &o, &e));
        assert_int_equal(json_object_size(o), 3);
        free(text);
        return o;
}

static void rs256_is_that_of_the_rfc(void **state)
{
        struct key *k = key_of(rsa_a2);
        struct err e;
        char *text = NULL;

        (void)state;
        assert_string_equal(jws_algorithm(k), "RS256");
        for (int i = 0; i < 2; i++) { /* a key is made ready to sign once */
                assert_true(jws_sign(k, "{\"alg\":\"RS256\"}", payload, &text, &e));
                json_t *o = members(text);
                assert_string_equal(json_str(o, "protected"), "eyJhbGciOiJSUzI1NiJ9");
                assert_string_equal(json_str(o, "payload"),
                        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
                        "Q");
                assert_string_equal(json_str(o, "signature"),
                        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
                        "O8W2Fp5jujGbds9uJdbF9"
                        "CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
                        "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
                        "eSN9383LcOL"
                        "n6_dO--xi12jzDwusC-"
                        "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtV"
                        "rBp0igcN_IoypGlUPQGe77Rw");
                json_decref(o);
        }
        key_free(k);
}

static void hs256_is_that_of_the_rfc(void **state)
{
        static const char mac_key[] =
                "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        struct secret key = { 0 };
        struct err e;
        char *text = NULL;

        (void)state;
        assert_true(base64url_decode(mac_key, strlen(mac_key), &key.data, &key.len));
        assert_true(jws_mac("HS256", &key, "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", payload, &text, &e));
        json_t *o = members(text);
        assert_string_equal(json_str(o, "protected"), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9");
        assert_string_equal(json_str(o, "signature"), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        json_decref(o);
        secret_done(&key);
}

static void thumbprints_are_those_of_the_vectors(void **state)
{
        struct {
                struct key *key;
                const char *want;
        } row[] = { { public_of(rsa_7638), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" },
                { key_of(ec_scalar), "DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0" } };
        struct err e;

        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                char *text = NULL;
                assert_true(jwk_thumbprint(row[i].key, &text, &e));
                assert_string_equal(text, row[i].want);
                free(text);
                key_free(row[i].key);
        }
}

static void public_keys_have_the_members_of_the_rfc(void **state)
{
        struct key *k = key_of(ec_a3);
        struct err e;
        char *text = NULL;

        (void)state;
        assert_true(jwk_public(k, &text, &e));
        assert_string_equal(text,
                "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_"
                "FEzRu9m36HLN_"
                "tue659LNpXW6pCyStikYjKIWI5a0\"}");
        free(text);
        key_free(k);
        k = public_of(rsa_7638);
        assert_true(jwk_public(k, &text, &e));
        assert_memory_equal(text, "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"0vx7", 33);
        free(text);
        key_free(k);
}

/* By OpenSSL, from its own form of a signature. */
static bool verifies(const struct key *k, const char *input, const uint8_t *both, size_t len)
{
        ECDSA_SIG *sig = ECDSA_SIG_new();
        unsigned char *der = NULL;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        ECDSA_SIG_set0(sig, BN_bin2bn(both, (int)len / 2, NULL), BN_bin2bn(both + len / 2, (int)len / 2, NULL));
        int der_len = i2d_ECDSA_SIG(sig, &der);
        EVP_DigestVerifyInit(ctx, NULL, pkey_digest(k->pkey), NULL, k->pkey);
        bool good = EVP_DigestVerify(ctx, der, (size_t)der_len, (const unsigned char *)input, strlen(input)) == 1;
        EVP_MD_CTX_free(ctx);
        OPENSSL_free(der);
        ECDSA_SIG_free(sig);
        return good;
}

/* Until one has an r or s with a leading zero byte: of P-256 every 128th has. */
static void every_ecdsa_signature_has_its_width_and_verifies(void **state)
{
        static const struct {
                enum key_type type;
                const char *algorithm;
                size_t width;
                bool until_short;
        } row[] = { { KEY_EC_P256, "ES256", 64, true }, { KEY_EC_P384, "ES384", 96, false } };
        struct err e;

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                struct key *k = NULL;
                int short_ones = 0;
                assert_true(key_generate(row[i].type, &k, &e));
                assert_string_equal(jws_algorithm(k), row[i].algorithm);
                for (int n = 0; n < 30 || (row[i].until_short && short_ones == 0); n++) {
                        char *text = NULL;
                        uint8_t *both = NULL;
                        size_t len = 0;
                        assert_true(jws_sign(k, "{}", "", &text, &e));
                        json_t *o = members(text);
                        const char *sig = json_str(o, "signature");
                        assert_string_equal(json_str(o, "payload"), "");
                        assert_true(base64url_decode(sig, strlen(sig), &both, &len));
                        assert_int_equal(len, row[i].width);
                        short_ones += both[0] == 0 || both[len / 2] == 0;
                        if (both[0] == 0 || both[len / 2] == 0 || n < 20)
                                assert_true(verifies(k, "e30.", both, len));
                        free(both);
                        json_decref(o);
                }
                key_free(k);
        }
}

static void other_keys_are_refused(void **state)
{
        struct key *k = NULL;
        struct err e;
        char *text = NULL;

        (void)state;
        assert_true(key_generate(KEY_SM2, &k, &e));
        assert_null(jws_algorithm(k));
        assert_false(jwk_public(k, &text, &e));
        assert_string_equal(e.code, "jws.key");
        assert_false(jws_sign(k, "{}", "", &text, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_null(text);
        key_free(k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rs256_is_that_of_the_rfc),
                cmocka_unit_test(hs256_is_that_of_the_rfc),
                cmocka_unit_test(thumbprints_are_those_of_the_vectors),
                cmocka_unit_test(public_keys_have_the_members_of_the_rfc),
                cmocka_unit_test(every_ecdsa_signature_has_its_width_and_verifies),
                cmocka_unit_test(other_keys_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
