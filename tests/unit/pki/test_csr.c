/* Certificate requests: what goes in comes out, and what is not right does not pass. */
#include "test.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/csr.h"
#include "agent/pki/key_internal.h"

static struct texts names_of(const char *const *list)
{
        struct texts t = { 0 };
        for (; *list; list++)
                assert_true(texts_add(&t, *list));
        return t;
}

static X509_REQ *parse(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
        BIO_free(bio);
        assert_non_null(req);
        return req;
}

static void requests_of_every_key_type_read_back(void **state)
{
        static const enum key_type types[] = { KEY_RSA_2048, KEY_EC_P256, KEY_EC_P384, KEY_SM2 };
        static const int signature[] = { NID_sha256WithRSAEncryption, NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA384,
                NID_SM2_with_SM3 };
        static const char *const list[] = { "www.example.com", "*.Example.com", "192.0.2.7", "2001:db8::7", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                struct key *k = NULL;
                struct csr csr = { 0 };
                struct err e = { 0 };
                char *pem = NULL, hex[65];
                assert_true(key_generate(types[i], &k, NULL));
                struct csr_request r = { .common_name = "www.example.com", .names = &names };
                if (!csr_make(k, &r, &pem, &e) || !csr_read(pem, strlen(pem), &csr, &e))
                        fail_msg("%s: %s", key_type_name(types[i]), e.text);
                assert_true(text_starts(pem, "-----BEGIN CERTIFICATE REQUEST-----\n"));
                assert_int_equal(csr.names.count, 4);
                assert_string_equal(csr.names.item[0], "www.example.com");
                assert_string_equal(csr.names.item[1], "*.example.com");
                assert_string_equal(csr.names.item[2], "192.0.2.7");
                assert_string_equal(csr.names.item[3], "2001:db8::7");
                assert_string_equal(csr.common_name, "www.example.com");
                assert_string_equal(csr.subject, "CN=www.example.com");
                assert_int_equal(csr.key_type, types[i]);
                assert_true(key_spki_hex(k, hex, NULL));
                assert_string_equal(csr.spki_hex, hex);
                sha256_hex(csr.der, csr.der_len, hex);
                assert_string_equal(csr.der_sha256, hex);
                uint8_t *der = NULL;
                size_t len = 0;
                assert_true(csr_der(pem, strlen(pem), &der, &len, NULL));
                assert_int_equal(len, csr.der_len);
                assert_memory_equal(der, csr.der, len);
                free(der);
                X509_REQ *req = parse(pem);
                assert_int_equal(X509_REQ_get_signature_nid(req), signature[i]);
                assert_int_equal(X509_REQ_get_version(req), 0);
                X509_REQ_free(req);
                csr_done(&csr);
                free(pem);
                key_free(k);
        }
}

static void without_a_common_name_the_subject_is_empty(void **state)
{
        static const char *const list[] = { "a.example", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        struct key *k = NULL;
        struct csr csr = { 0 };
        char *pem = NULL;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(csr_make(k, &(struct csr_request){ .names = &names }, &pem, NULL));
        assert_true(csr_read(pem, strlen(pem), &csr, NULL));
        assert_null(csr.common_name);
        assert_string_equal(csr.subject, "");
        assert_int_equal(csr.names.count, 1);
        csr_done(&csr);
        free(pem);
        key_free(k);
}

static void a_common_name_that_is_no_san_is_added_to_the_names(void **state)
{
        static const char *const list[] = { "b.example", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        struct key *k = NULL;
        struct csr csr = { 0 };
        char *pem = NULL;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(csr_make(k, &(struct csr_request){ .common_name = "A.example", .names = &names }, &pem, NULL));
        assert_true(csr_read(pem, strlen(pem), &csr, NULL));
        assert_int_equal(csr.names.count, 2);
        assert_string_equal(csr.names.item[1], "a.example");
        csr_done(&csr);
        free(pem);
        key_free(k);
}

/* A GM/T 0009 peer verifies with this identity, and not with an empty one. */
static void sm2_requests_are_signed_with_the_identity(void **state)
{
        static const struct {
                const char *id, *verify;
                int want;
        } row[] = {
                { NULL, "1234567812345678", 1 },
                { NULL, "", 0 },
                { "other", "other", 1 },
                { "other", "1234567812345678", 0 },
        };
        static const char *const list[] = { "a.example", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        struct key *k = NULL;
        assert_true(key_generate(KEY_SM2, &k, NULL));
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char *pem = NULL;
                struct csr csr = { 0 };
                assert_true(csr_make(k, &(struct csr_request){ .names = &names, .sm2_id = row[i].id }, &pem, NULL));
                X509_REQ *req = parse(pem);
                ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
                ASN1_OCTET_STRING_set(id, (const unsigned char *)row[i].verify, (int)strlen(row[i].verify));
                X509_REQ_set0_distinguishing_id(req, id);
                assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1, row[i].want);
                X509_REQ_free(req);
                if (row[i].id) {
                        struct err e = { 0 };
                        assert_false(csr_read(pem, strlen(pem), &csr, &e));
                        assert_non_null(strstr(e.text, "SM2"));
                }
                free(pem);
        }
        key_free(k);
}

static void names_that_are_none_make_no_request(void **state)
{
        static const char long_name[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbb.example";
        static const struct {
                const char *common_name, *san;
        } row[] = { { NULL, NULL }, { long_name, "a.example" }, { "a b", "a.example" }, { NULL, "a.example,DNS:b" },
                { NULL, "-.exam ple" }, { NULL, "" },
                { NULL,
                        "b\xc3\xbc"
                        "cher.example" } };
        struct key *k = NULL;
        (void)state;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct texts names = { 0 };
                struct err e = { 0 };
                char *pem = NULL;
                if (row[i].san)
                        assert_true(texts_add(&names, row[i].san));
                struct csr_request r = { .common_name = row[i].common_name, .names = &names };
                assert_false(csr_make(k, &r, &pem, &e));
                assert_string_equal(e.code, "csr.name");
                assert_int_equal(e.kind, ERR_CONFIG);
                assert_null(pem);
                texts_done(&names);
        }
        key_free(k);
}

static void what_is_no_request_is_refused(void **state)
{
        static const char *const list[] = { "a.example", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        struct key *k = NULL, *other = NULL;
        struct csr csr = { 0 };
        struct err e = { 0 };
        char *pem = NULL, *data;
        assert_true(key_generate(KEY_EC_P256, &k, NULL) && key_generate(KEY_EC_P256, &other, NULL));
        assert_true(csr_make(k, &(struct csr_request){ .names = &names }, &pem, NULL));

        assert_false(csr_read("junk", 4, &csr, &e));
        assert_string_equal(e.code, "csr.format");
        assert_false(csr_read(pem, 100, &csr, &e)); /* cut */
        assert_string_equal(e.code, "csr.format");
        CLEANUP(free_p) char *big = calloc(1, 65537);
        assert_false(csr_read(big, 65537, &csr, &e));
        assert_string_equal(e.code, "csr.size");

        X509_REQ *req = parse(pem);
        X509_REQ_set_pubkey(req, other->pkey); /* the signature is still k's */
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_X509_REQ(bio, req);
        long len = BIO_get_mem_data(bio, &data);
        assert_false(csr_read(data, (size_t)len, &csr, &e));
        assert_string_equal(e.code, "csr.signature");
        assert_int_equal(e.kind, ERR_CONFIG);
        BIO_free(bio);
        X509_REQ_free(req);
        free(pem);
        key_free(k);
        key_free(other);
}

static void crlf_and_text_around_are_no_harm(void **state)
{
        static const char *const list[] = { "a.example", NULL };
        (void)state;
        CLEANUP(texts_done) struct texts names = names_of(list);
        struct key *k = NULL;
        struct csr csr = { 0 };
        struct buf b = { 0 };
        char *pem = NULL;
        assert_true(key_generate(KEY_EC_P256, &k, NULL));
        assert_true(csr_make(k, &(struct csr_request){ .names = &names }, &pem, NULL));
        buf_add(&b, "here it is\r\n");
        for (const char *p = pem; *p; p++)
                buf_add(&b, *p == '\n' ? "\r\n" : (char[]){ *p, '\0' });
        assert_true(csr_read(b.data, b.len, &csr, NULL));
        csr_done(&csr);
        buf_done(&b);
        free(pem);
        key_free(k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_of_every_key_type_read_back),
                cmocka_unit_test(without_a_common_name_the_subject_is_empty),
                cmocka_unit_test(a_common_name_that_is_no_san_is_added_to_the_names),
                cmocka_unit_test(sm2_requests_are_signed_with_the_identity),
                cmocka_unit_test(names_that_are_none_make_no_request),
                cmocka_unit_test(what_is_no_request_is_refused),
                cmocka_unit_test(crlf_and_text_around_are_no_harm),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
