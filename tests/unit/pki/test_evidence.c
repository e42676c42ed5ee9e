/* Evidence of a compromise: the vectors of specs/alerts.md section 4a, every kind made afresh, and what proves nothing.
 */
#include "test.h"

#include <openssl/pem.h>

#include <openssl/cms.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/csr.h"
#include "agent/pki/evidence.h"
#include "agent/pki/jws.h"
#include "agent/pki/key_internal.h"

#define SPKI "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
#define CERT                                                                                                           \
        "MIIBaDCCAQ2gAwIBAgIFAIdlQyEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVmVjdG9yIENBMB4XDTI2MDEwMTAwMDAwMFoXDTI2MDQwMTAw" \
        "MDAwMFowFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARg/tS6JVqdMclh63TGNW1owEm4kjth+mzm" \
        "aWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZo0owSDAlBgNVHREEHjAcggtleGFtcGxlLmNvbYINKi5leGFtcGxlLmNv" \
        "bTAfBgNVHSMEGDAWgBRpiFtrh0ZAQeGze4R7oK4s3gHI1DAKBggqhkjOPQQDAgNJADBGAiEAonHVJXRzIrxJB3RgNgv4p2vn4C5UAWoBAgKE" \
        "TyC4+X4CIQDjwGKNVTjprfjATZD+CbkhfknczTHzaDIfDkpy6yDjuw=="
#define CSR                                                                                                            \
        "MIIBCTCBsAIBADApMScwJQYDVQQDDB5rY2E9djEgVGhpcyBLZXkgSXMgQ29tcHJvbWlzZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARg" \
        "/tS6JVqdMclh63TGNW1owEm4kjth+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZoCUwIwYJKoZIhvcNAQkOMRYw" \
        "FDASBggrBgEFBQcBFwEB/wQDAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDKgPTT6zFrCP1klMoDkxhtyR94xrCRGz9TaiVtH/gb5wIgB062r+cL" \
        "fF4DD4Bc+JCCJ8EtIDKLyKxpXRMJb/tfkqY="
#define PROTECTED                                                                                                      \
        "eyJhbGciOiJFUzI1NiIsImtpZCI6IjVhN2E3OGNjYTRhMGY0MjBkOWJjNjJiYjY2OWMzYzI3NTllMzlmNzIzZDNhZTEwZGNiZTBmMDgxNWEw" \
        "N2VjZDQifQ"
#define PAYLOAD "VGhpcyBrZXkgaXMgcHduZWQ"
#define SIGNATURE "_WoQjVyLCp8SVJt3DO7SjB67_5G0QH2-kn1tvC5CxZubzUMQLTV811ZkqyubpkiQyA51JVrZx2w9O0hcFSpCDw"
#define JWS "{\"protected\":\"" PROTECTED "\",\"payload\":\"" PAYLOAD "\",\"signature\":\"" SIGNATURE "\"}"

/* The public key of the vectors' certificate, as a host that has it would find it. */
static bool find_vector_key(void *arg, const char *hex, uint8_t **ret, size_t *ret_len)
{
        uint8_t *der = NULL;
        size_t len = 0;
        unsigned char *out = NULL;
        (void)arg;
        if (strcmp(hex, SPKI) != 0)
                return false;
        assert_true(base64_decode(CERT, strlen(CERT), &der, &len));
        const unsigned char *at = der;
        X509 *x = d2i_X509(NULL, &at, (long)len);
        int n = i2d_PUBKEY(X509_get0_pubkey(x), &out);
        assert_true(n > 0);
        *ret = malloc((size_t)n);
        memcpy(*ret, out, (size_t)n);
        *ret_len = (size_t)n;
        OPENSSL_free(out);
        X509_free(x);
        free(der);
        return true;
}

static bool is_hello(void *arg, const char *text, size_t len)
{
        (void)arg;
        return len == 5 && memcmp(text, "hello", 5) == 0;
}

static const struct evidence_asks asks = { find_vector_key, is_hello, NULL };

static void must_be(const void *data, size_t len, enum evidence_kind kind, const char *spki)
{
        struct evidence v = { 0 };
        struct err e = { 0 };
        if (!evidence_read(data, len, &asks, &v, &e))
                fail_msg("%s: %s: %s", evidence_name(kind), e.code, e.text);
        assert_string_equal(evidence_name(v.kind), evidence_name(kind));
        if (spki)
                assert_string_equal(v.spki_hex, spki);
        evidence_done(&v);
}

static void must_fail(const void *data, size_t len, const char *code)
{
        struct evidence v = { .kind = EVIDENCE_KINDS };
        struct err e = { 0 };
        if (evidence_read(data, len, &asks, &v, &e))
                fail_msg("passed as %s, not %s", evidence_name(v.kind), code);
        if (strcmp(e.code, code) != 0)
                fail_msg("%s: %s, not %s", e.code, e.text, code);
        assert_int_equal(v.kind, EVIDENCE_KINDS);
}

static void must_fail_text(const char *text, const char *code)
{
        must_fail(text, strlen(text), code);
}

static void the_vectors_are_read_in_every_encoding(void **state)
{
        uint8_t *der = NULL;
        size_t len = 0;
        struct evidence v = { 0 };
        (void)state;
        must_be(CSR, strlen(CSR), EVIDENCE_ATTESTATION, SPKI);
        must_be(CERT "\n", strlen(CERT) + 1, EVIDENCE_CERTIFICATE, SPKI);
        must_be(JWS, strlen(JWS), EVIDENCE_JWS, SPKI);
        static const char compact[] = PROTECTED "." PAYLOAD "." SIGNATURE;
        must_be(compact, strlen(compact), EVIDENCE_JWS, SPKI);
        assert_true(base64_decode(CSR, strlen(CSR), &der, &len));
        assert_int_equal(len, 269);
        must_be(der, len, EVIDENCE_ATTESTATION, SPKI);
        free(der);
        static const char pem[] =
                "junk\n-----BEGIN CERTIFICATE REQUEST-----\n" CSR "\n-----END CERTIFICATE REQUEST-----\n";
        must_be(pem, strlen(pem), EVIDENCE_ATTESTATION, SPKI);
        static const char cert[] = "-----BEGIN CERTIFICATE-----\n" CERT "\n-----END CERTIFICATE-----\n";
        assert_true(evidence_read(cert, strlen(cert), NULL, &v, NULL));
        assert_string_equal(v.cert.sha256, "446388253c1c2d350b2d65b950aa783775c5a74df3eeb718d7a734b959c131ec");
        assert_string_equal(v.cert.sha1, "dad9dad148d0a9bdb779c747e35d299020a91f1b");
        assert_false(evidence_proves(v.kind));
        evidence_done(&v);
}

static void a_compressed_point_is_the_same_key(void **state)
{
        /* 59 bytes; their own SHA-256 is a9a73697... */
        static const char compressed[] =
                "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y=";
        (void)state;
        must_be(compressed, strlen(compressed), EVIDENCE_PUBLIC_KEY, SPKI);
}

static void what_is_not_signed_by_the_key_proves_nothing(void **state)
{
        uint8_t *der = NULL;
        size_t len = 0;
        (void)state;
        assert_true(base64_decode(CSR, strlen(CSR), &der, &len));
        der[len - 3] ^= 1;
        must_fail(der, len, "evidence.signature");
        der[len - 3] ^= 1;
        der[30] ^= 1; /* a letter of the subject */
        must_fail(der, len, "evidence.signature");
        free(der);
        must_fail_text("{\"protected\":\"" PROTECTED
                       "\",\"payload\":\"VGhpcyBrZXkgaXMgcHduZWR\",\"signature\":\"" SIGNATURE "\"}",
                "evidence.format"); /* trailing bits */
        must_fail_text("{\"protected\":\"" PROTECTED
                       "\",\"payload\":\"dGhpcyBrZXkgaXMgcHduZWQ\",\"signature\":\"" SIGNATURE "\"}",
                "evidence.signature");
        must_fail_text("{\"protected\":\"" PROTECTED "\",\"payload\":\"" PAYLOAD "\",\"signature\":\"\"}",
                "evidence.signature");
        /* {"alg":"none","kid":the key} */
        must_fail_text(
                "{\"protected\":\"eyJhbGciOiJub25lIiwia2lkIjoiNWE3YTc4Y2NhNGEwZjQyMGQ5YmM2MmJiNjY5YzNjMjc1OWUzOWY3MjNk"
                "M2FlMTBkY2JlMGYwODE1YTA3ZWNkNCJ9\",\"payload\":\"" PAYLOAD "\",\"signature\":\"\"}",
                "evidence.signature");
        /* a key that nothing here has */
        must_fail_text("{\"protected\":\"eyJhbGciOiJFUzI1NiIsImtpZCI6ImFiIn0\",\"payload\":\"" PAYLOAD
                       "\",\"signature\":\"" SIGNATURE "\"}",
                "evidence.unknown-key");
}

static void garbage_is_refused(void **state)
{
        static const char *const row[] = { "", " ", "hello", "{}", "{\"protected\":\"\"}", "a.b", "a.b.c", "AAAA",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n",
                "{\"statement\":\"hello\"}", "MAA=" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct evidence v = { 0 };
                struct err e = { 0 };
                if (evidence_read(row[i], strlen(row[i]), &asks, &v, &e) || e.kind == ERR_NONE || !e.text[0])
                        fail_msg("row %zu", i);
        }
        char *big = calloc(1, EVIDENCE_MAX + 1);
        must_fail(big, EVIDENCE_MAX + 1, "evidence.format");
        free(big);
}

/* ---- made afresh ---- */

static struct key *make(enum key_type t, char spki[65])
{
        struct key *k = NULL;
        assert_true(key_generate(t, &k, NULL));
        assert_true(key_spki_hex(k, spki, NULL));
        return k;
}

static void a_private_key_is_its_own_proof(void **state)
{
        static const enum key_type types[] = { KEY_RSA_2048, KEY_EC_P256, KEY_EC_P384 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                char spki[65];
                struct key *k = make(types[i], spki);
                struct secret pem = { 0 }, pass = { 0 };
                unsigned char *der = NULL;
                assert_true(key_write_pem(k, NULL, &pem, NULL));
                must_be(pem.data, pem.len, EVIDENCE_PRIVATE_KEY, spki);
                int n = i2d_PrivateKey(k->pkey, &der); /* PKCS#1, SEC1 */
                must_be(der, (size_t)n, EVIDENCE_PRIVATE_KEY, spki);
                char *text = base64_encode(der, (size_t)n);
                must_be(text, strlen(text), EVIDENCE_PRIVATE_KEY, spki);
                free(text);
                must_fail(der, (size_t)n - 1, "evidence.format");
                OPENSSL_free(der);
                assert_true(secret_set(&pass, "secret", 6, NULL));
                if (i == 1) {
                        assert_true(key_write_pem(k, &pass, &pem, NULL));
                        must_fail(pem.data, pem.len, "evidence.encrypted");
                }
                secret_done(&pem);
                secret_done(&pass);
                key_free(k);
        }
}

struct subject {
        const char *common_name, *more; /* an organization */
        const EVP_MD *md;
        int type; /* of the string */
        bool extension, critical;
};

static void request(struct key *k, const struct subject *s, unsigned char **ret, int *ret_len)
{
        X509_REQ *req = X509_REQ_new();
        X509_NAME *name = X509_REQ_get_subject_name(req);
        assert_int_equal(X509_NAME_add_entry_by_NID(
                                 name, NID_commonName, s->type, (const unsigned char *)s->common_name, -1, -1, 0),
                1);
        if (s->more)
                X509_NAME_add_entry_by_NID(
                        name, NID_organizationName, MBSTRING_ASC, (const unsigned char *)s->more, -1, -1, 0);
        X509_REQ_set_pubkey(req, k->pkey);
        if (s->extension) {
                ASN1_OCTET_STRING *yes = ASN1_OCTET_STRING_new();
                ASN1_OCTET_STRING_set(yes, (const unsigned char *)"\x01\x01\xff", 3);
                ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.23", 1);
                X509_EXTENSION *x = X509_EXTENSION_create_by_OBJ(NULL, oid, s->critical, yes);
                STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
                sk_X509_EXTENSION_push(list, x);
                X509_REQ_add_extensions(req, list);
                sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
                ASN1_OBJECT_free(oid);
                ASN1_OCTET_STRING_free(yes);
        }
        assert_true(X509_REQ_sign(req, k->pkey, s->md) > 0);
        *ret = NULL;
        *ret_len = i2d_X509_REQ(req, ret);
        X509_REQ_free(req);
}

static void only_a_request_that_says_so_is_a_proof(void **state)
{
#define KCA "kca=v1 This Key Is Compromised"
        static const struct {
                struct subject s;
                enum evidence_kind kind; /* NONE: refused */
        } row[] = {
                { { KCA, NULL, NULL, MBSTRING_UTF8, true, true }, EVIDENCE_ATTESTATION },
                { { KCA, NULL, NULL, MBSTRING_UTF8, true, false }, EVIDENCE_PHRASE },
                { { KCA, NULL, NULL, MBSTRING_UTF8, false, false }, EVIDENCE_PHRASE },
                { { KCA, NULL, NULL, V_ASN1_PRINTABLESTRING, true, true }, EVIDENCE_PHRASE },
                { { KCA, "Example", NULL, MBSTRING_UTF8, true, true }, EVIDENCE_REQUEST },
                { { KCA " not", NULL, NULL, MBSTRING_UTF8, true, true }, EVIDENCE_REQUEST },
                { { "The key that signed this CSR has been publicly disclosed", NULL, NULL, MBSTRING_UTF8, false,
                          false },
                        EVIDENCE_PHRASE },
                { { "This key is compromised", "Example", NULL, MBSTRING_UTF8, false, false }, EVIDENCE_REQUEST },
                { { "www.example.com", NULL, NULL, MBSTRING_UTF8, false, false }, EVIDENCE_REQUEST },
        };
        char spki[65];
        struct key *k = make(KEY_RSA_2048, spki);
        unsigned char *der;
        int len;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct subject s = row[i].s;
                s.md = EVP_sha256();
                request(k, &s, &der, &len);
                must_be(der, (size_t)len, row[i].kind, spki);
                OPENSSL_free(der);
        }
        for (int weak = 0; weak < 2; weak++) {
                struct subject s = { KCA, weak ? "extra" : NULL, weak ? EVP_md5() : EVP_sha1(), MBSTRING_UTF8, true,
                        true };
                request(k, &s, &der, &len);
                must_fail(der, (size_t)len, "evidence.digest");
                OPENSSL_free(der);
        }
        key_free(k);
}

static char *signed_jws(struct key *k, const char *extra, const char *payload)
{
        char *jwk = NULL, *jws = NULL;
        assert_true(jwk_public(k, &jwk, NULL));
        char *header = text_format("{\"alg\":\"%s\",\"jwk\":%s%s}", jws_algorithm(k), jwk, extra);
        assert_true(jws_sign(k, header, payload, &jws, NULL));
        free(header);
        free(jwk);
        return jws;
}

static void a_jws_may_bring_its_key(void **state)
{
        static const enum key_type types[] = { KEY_RSA_2048, KEY_EC_P256, KEY_EC_P384 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                char spki[65];
                struct key *k = make(types[i], spki);
                char *kid = text_format(",\"kid\":\"%s\"", spki);
                char *good = signed_jws(k, kid, "This key is pwned!"), *other = signed_jws(k, kid, "hello");
                char *bare = signed_jws(k, "", "This key is pwned"), *crit = signed_jws(k, ",\"crit\":[\"b64\"]", "x");
                must_be(good, strlen(good), EVIDENCE_JWS, spki);
                must_fail(other, strlen(other), "evidence.format"); /* says nothing of a compromise */
                must_fail(bare, strlen(bare), "evidence.format"); /* not under the key's own kid */
                must_fail(crit, strlen(crit), "evidence.format");
                free(good);
                free(other);
                free(bare);
                free(crit);
                free(kid);
                key_free(k);
        }
}

static X509 *self_signed(struct key *k)
{
        X509 *x = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
        X509_gmtime_adj(X509_getm_notBefore(x), 0);
        X509_gmtime_adj(X509_getm_notAfter(x), 86400);
        X509_set_pubkey(x, k->pkey);
        X509_NAME *name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const unsigned char *)"a.example", -1, -1, 0);
        X509_set_issuer_name(x, name);
        assert_true(X509_sign(x, k->pkey, EVP_sha256()) > 0);
        return x;
}

static void a_revocation_by_the_certificates_key_is_a_proof(void **state)
{
        char spki[65], other_spki[65];
        struct key *k = make(KEY_EC_P256, spki), *other = make(KEY_EC_P256, other_spki);
        X509 *x = self_signed(k);
        unsigned char *der = NULL;
        int len = i2d_X509(x, &der);
        char *b64 = base64url_encode(der, (size_t)len);
        char *payload = text_format("{\"certificate\":\"%s\",\"reason\":1}", b64);
        static const char acme[] = ",\"nonce\":\"n\",\"url\":\"https://ca/revoke\"";
        char *good = signed_jws(k, acme, payload), *foreign = signed_jws(other, acme, payload);
        char *bare = signed_jws(k, "", payload);
        (void)state;
        must_be(good, strlen(good), EVIDENCE_REVOCATION, spki);
        must_fail(foreign, strlen(foreign), "evidence.format"); /* an account may revoke without the key */
        must_fail(bare, strlen(bare), "evidence.format");
        free(good);
        free(foreign);
        free(bare);
        free(payload);
        free(b64);
        OPENSSL_free(der);
        X509_free(x);
        key_free(k);
        key_free(other);
}

static char *cms(struct key *k, X509 *x, const char *text, const EVP_MD *md)
{
        BIO *in = BIO_new_mem_buf(text, -1), *out = BIO_new(BIO_s_mem());
        char *data = NULL;
        CMS_ContentInfo *c = CMS_sign(NULL, NULL, NULL, in, CMS_BINARY | CMS_PARTIAL);
        assert_non_null(CMS_add1_signer(c, x, k->pkey, md, CMS_BINARY));
        assert_int_equal(CMS_final(c, in, NULL, CMS_BINARY), 1);
        assert_int_equal(PEM_write_bio_CMS(out, c), 1);
        long n = BIO_get_mem_data(out, &data);
        char *ret = text_dup_n(data, (size_t)n);
        CMS_ContentInfo_free(c);
        BIO_free(in);
        BIO_free(out);
        return ret;
}

static void a_signed_challenge_is_a_proof(void **state)
{
        char spki[65];
        struct key *k = make(KEY_EC_P256, spki);
        X509 *x = self_signed(k);
        (void)state;
        char *good = cms(k, x, "hello", EVP_sha256()), *stale = cms(k, x, "other", EVP_sha256());
        char *weak = cms(k, x, "hello", EVP_sha1());
        must_be(good, strlen(good), EVIDENCE_STATEMENT, spki);
        must_fail(stale, strlen(stale), "evidence.challenge");
        must_fail(weak, strlen(weak), "evidence.digest");
        free(good);
        free(stale);
        free(weak);
        X509_free(x);
        key_free(k);
}

static void a_bare_signature_beside_its_public_key_is_a_proof(void **state)
{
        char spki[65];
        struct key *k = make(KEY_EC_P256, spki);
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem = NULL;
        unsigned char sig[256];
        size_t len = sizeof sig;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        (void)state;
        PEM_write_bio_PUBKEY(bio, k->pkey);
        BIO_write(bio, "", 1);
        BIO_get_mem_data(bio, &pem);
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"hello", 5), 1);
        char *b64 = base64_encode(sig, len);
        for (int i = 0; i < 2; i++) {
                json_t *o = json_pack(
                        "{s:s, s:s, s:s}", "statement", i ? "hellO" : "hello", "signature", b64, "public_key", pem);
                char *text = json_dumps(o, 0);
                if (i)
                        must_fail(text, strlen(text), "evidence.signature");
                else
                        must_be(text, strlen(text), EVIDENCE_STATEMENT, spki);
                free(text);
                json_decref(o);
        }
        free(b64);
        EVP_MD_CTX_free(ctx);
        BIO_free(bio);
        key_free(k);
}

static void keys_that_no_certificate_has_are_not_looked_at(void **state)
{
        EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
        unsigned char *der = NULL;
        (void)state;
        int n = i2d_PUBKEY(pkey, &der);
        must_fail(der, (size_t)n, "evidence.key");
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
}

static void a_renewal_id_is_taken_apart(void **state)
{
        char *aki = NULL, *serial = NULL;
        static const char *const bad[] = { "", ".", "a", "aYhb.", ".AIdlQyE", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ",
                "a.b.c" };
        (void)state;
        assert_true(renewal_id_split("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", &aki, &serial, NULL));
        assert_string_equal(aki, "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        assert_string_equal(serial, "87654321");
        free(aki);
        free(serial);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                if (renewal_id_split(bad[i], &aki, &serial, NULL))
                        fail_msg("%s passed", bad[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_vectors_are_read_in_every_encoding),
                cmocka_unit_test(a_compressed_point_is_the_same_key),
                cmocka_unit_test(what_is_not_signed_by_the_key_proves_nothing),
                cmocka_unit_test(garbage_is_refused),
                cmocka_unit_test(a_private_key_is_its_own_proof),
                cmocka_unit_test(only_a_request_that_says_so_is_a_proof),
                cmocka_unit_test(a_jws_may_bring_its_key),
                cmocka_unit_test(a_revocation_by_the_certificates_key_is_a_proof),
                cmocka_unit_test(a_signed_challenge_is_a_proof),
                cmocka_unit_test(a_bare_signature_beside_its_public_key_is_a_proof),
                cmocka_unit_test(keys_that_no_certificate_has_are_not_looked_at),
                cmocka_unit_test(a_renewal_id_is_taken_apart),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
