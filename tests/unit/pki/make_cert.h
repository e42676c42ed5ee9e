/* Certificates made for a test: CA, intermediate, leaf, by a description. */
#ifndef DCVD_TEST_PKI_MAKE_CERT_H
#define DCVD_TEST_PKI_MAKE_CERT_H

#include "test.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/chain.h"
#include "agent/pki/key_internal.h"

#define T0 INT64_C(1750000000) /* "now" in these tests */
#define DAY INT64_C(86400)

struct made {
        struct key *key;
        X509 *x;
        char *pem;
};

struct cert_spec {
        const char *subject; /* common name */
        const char *organization; /* NULL: none */
        const struct made *issuer; /* NULL: self-signed */
        const struct made *key_of; /* use this one's key; NULL: a new one */
        enum key_type type; /* 0: P-256 */
        int64_t from, until; /* 0: T0 - 1 day, T0 + 90 days */
        const char *san, *usage, *extended_usage; /* OpenSSL's words; NULL: none */
        const char *san_raw; /* one DNS name, any bytes up to san_raw_len */
        int san_raw_len;
        const char *critical_oid; /* a critical extension nobody knows */
        bool ca, no_constraints;
        const char *serial_hex;
        const char *crl, *access; /* OpenSSL's words: distribution points, authority information access */
};

static inline void add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
        assert_non_null(extension);
        assert_int_equal(X509_add_ext(x, extension, -1), 1);
        X509_EXTENSION_free(extension);
}

static inline void add_raw_san(X509 *x, const struct cert_spec *s)
{
        GENERAL_NAMES *list = GENERAL_NAMES_new();
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *value = ASN1_IA5STRING_new();
        ASN1_STRING_set(value, s->san_raw, s->san_raw_len);
        GENERAL_NAME_set0_value(name, GEN_DNS, value);
        sk_GENERAL_NAME_push(list, name);
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, 0), 1);
        GENERAL_NAMES_free(list);
}

static inline void add_critical(X509 *x, const char *oid)
{
        ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
        ASN1_OCTET_STRING *null = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(null, (const unsigned char *)"\x05\x00", 2);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, null);
        assert_int_equal(X509_add_ext(x, extension, -1), 1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(null);
        ASN1_OBJECT_free(object);
}

static inline char *pem_of(X509 *x)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        assert_int_equal(PEM_write_bio_X509(bio, x), 1);
        long len = BIO_get_mem_data(bio, &data);
        char *pem = text_dup_n(data, (size_t)len);
        BIO_free(bio);
        return pem;
}

/* SM2 with the identity that everybody uses; X509_sign would use an empty one. */
static inline void sign_cert(X509 *x, EVP_PKEY *pkey)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *inner = NULL;
        assert_int_equal(EVP_DigestSignInit(ctx, &inner, pkey_digest(pkey), NULL, pkey), 1);
        if (pkey_type(pkey) == KEY_SM2)
                assert_true(EVP_PKEY_CTX_set1_id(inner, SM2_ID, (int)strlen(SM2_ID)) > 0);
        assert_true(X509_sign_ctx(x, ctx) > 0);
        EVP_MD_CTX_free(ctx);
}

static inline struct made make_cert(const struct cert_spec *s)
{
        struct made m = { 0 };
        X509 *x = X509_new();
        m.x = x;
        if (s->key_of) {
                m.key = calloc(1, sizeof *m.key);
                m.key->pkey = s->key_of->key->pkey;
                EVP_PKEY_up_ref(m.key->pkey);
                m.key->type = s->key_of->key->type;
        } else {
                assert_true(key_generate(s->type ? s->type : KEY_EC_P256, &m.key, NULL));
        }
        const struct made *issuer = s->issuer ? s->issuer : &m;
        static long serial = 4096;
        X509_set_version(x, 2);
        if (s->serial_hex) {
                BIGNUM *n = NULL;
                BN_hex2bn(&n, s->serial_hex);
                ASN1_INTEGER *i = BN_to_ASN1_INTEGER(n, NULL);
                X509_set_serialNumber(x, i);
                ASN1_INTEGER_free(i);
                BN_free(n);
        } else {
                ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
        }
        ASN1_TIME_set(X509_getm_notBefore(x), s->from ? s->from : T0 - DAY);
        ASN1_TIME_set(X509_getm_notAfter(x), s->until ? s->until : T0 + 90 * DAY);
        X509_NAME_add_entry_by_txt(
                X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)s->subject, -1, -1, 0);
        if (s->organization)
                X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O", MBSTRING_UTF8,
                        (const unsigned char *)s->organization, -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(issuer->x));
        X509_set_pubkey(x, m.key->pkey);
        X509V3_CTX ctx;
        X509V3_set_ctx(&ctx, issuer->x, x, NULL, NULL, 0);
        if (!s->no_constraints)
                add_extension(x, &ctx, NID_basic_constraints, s->ca ? "critical,CA:TRUE" : "CA:FALSE");
        if (s->ca)
                add_extension(x, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign");
        if (s->usage)
                add_extension(x, &ctx, NID_key_usage, s->usage);
        if (s->extended_usage)
                add_extension(x, &ctx, NID_ext_key_usage, s->extended_usage);
        if (s->san)
                add_extension(x, &ctx, NID_subject_alt_name, s->san);
        if (s->crl)
                add_extension(x, &ctx, NID_crl_distribution_points, s->crl);
        if (s->access)
                add_extension(x, &ctx, NID_info_access, s->access);
        if (s->san_raw)
                add_raw_san(x, s);
        if (s->critical_oid)
                add_critical(x, s->critical_oid);
        sign_cert(x, issuer->key->pkey);
        m.pem = pem_of(x);
        return m;
}

static inline void made_done(struct made *m)
{
        key_free(m->key);
        X509_free(m->x);
        free(m->pem);
        *m = (struct made){ 0 };
}

static inline const char *spki_of(const struct made *m)
{
        static char hex[4][65];
        static unsigned at;
        at = (at + 1) % 4;
        assert_true(key_spki_hex(m->key, hex[at], NULL));
        return hex[at];
}

#endif
