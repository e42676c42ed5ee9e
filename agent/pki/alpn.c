#include "agent/pki/alpn.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/names_internal.h"

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"
#define WRAPPED_LEN (2 + ALPN_HASH_LEN) /* an OCTET STRING inside the extension's own */
#define LIFE_S (7 * 86400)
#define CLOCK_SKEW_S 86400
#define SUBJECT "ACME challenge" /* nobody reads it; issuer and subject must only be the same */

static void general_free_p(GENERAL_NAMES **names)
{
        GENERAL_NAMES_free(*names);
}

static void extension_free_p(X509_EXTENSION **x)
{
        X509_EXTENSION_free(*x);
}

static void object_free_p(ASN1_OBJECT **o)
{
        ASN1_OBJECT_free(*o);
}

static void octets_free_p(ASN1_OCTET_STRING **s)
{
        ASN1_OCTET_STRING_free(*s);
}

static void wrap(const uint8_t hash[ALPN_HASH_LEN], uint8_t ret[WRAPPED_LEN])
{
        ret[0] = V_ASN1_OCTET_STRING;
        ret[1] = ALPN_HASH_LEN;
        memcpy(ret + 2, hash, ALPN_HASH_LEN);
}

/* ---- making ---- */

static bool add_hash(X509 *x, const uint8_t hash[ALPN_HASH_LEN])
{
        CLEANUP(object_free_p) ASN1_OBJECT *type = OBJ_txt2obj(ACME_IDENTIFIER, 1);
        CLEANUP(octets_free_p) ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        uint8_t wrapped[WRAPPED_LEN];
        wrap(hash, wrapped);
        if (!type || !value || ASN1_OCTET_STRING_set(value, wrapped, sizeof wrapped) != 1)
                return false;
        CLEANUP(extension_free_p) X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, type, 1, value);
        return extension && X509_add_ext(x, extension, -1) == 1;
}

static bool add_name(X509 *x, const char *name, struct err *e)
{
        CLEANUP(general_free_p) GENERAL_NAMES *list = GENERAL_NAMES_new();
        if (!list)
                return err_memory(e);
        return names_add_general(list, name, e) &&
                (X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 ||
                        openssl_err(e, ERR_TEMPORARY, "alpn.make", "naming a certificate"));
}

static bool fill(X509 *x, const struct key *key, const uint8_t hash[ALPN_HASH_LEN])
{
        X509_NAME *subject = X509_get_subject_name(x);
        return X509_set_version(x, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(x), -CLOCK_SKEW_S) &&
                X509_gmtime_adj(X509_getm_notAfter(x), LIFE_S) &&
                X509_NAME_add_entry_by_NID(
                        subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)SUBJECT, -1, -1, 0) == 1 &&
                X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key->pkey) == 1 && add_hash(x, hash);
}

static bool key_der(const struct key *key, struct secret *ret, struct err *e)
{
        uint8_t *der = NULL;
        int len = i2d_PrivateKey(key->pkey, &der);
        if (len <= 0)
                return openssl_err(e, ERR_TEMPORARY, "alpn.make", "writing a key");
        bool good = secret_set(ret, der, (size_t)len, e);
        OPENSSL_clear_free(der, (size_t)len);
        return good;
}

static bool cert_der(X509 *x, uint8_t **ret, size_t *ret_len, struct err *e)
{
        uint8_t *der = NULL;
        int len = i2d_X509(x, &der);
        if (len <= 0)
                return openssl_err(e, ERR_TEMPORARY, "alpn.make", "writing a certificate");
        return der_take(der, len, ret, ret_len, e);
}

bool alpn_cert_make(const char *name, const uint8_t hash[ALPN_HASH_LEN], uint8_t **ret_cert, size_t *ret_len,
        struct secret *ret_key, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = X509_new();
        struct secret secret = { 0 };
        struct key *key = NULL;
        if (!x)
                return err_memory(e);
        openssl_clear();
        if (!key_generate(KEY_EC_P256, &key, e))
                return false;
        bool good = add_name(x, name, e) &&
                ((fill(x, key, hash) && X509_sign(x, key->pkey, EVP_sha256()) > 0) ||
                        openssl_err(e, ERR_TEMPORARY, "alpn.make", "making the certificate of a challenge")) &&
                key_der(key, &secret, e) && cert_der(x, ret_cert, ret_len, e);
        key_free(key);
        if (!good) {
                secret_done(&secret);
                return err_wrap(e, "tls-alpn for %s", name);
        }
        *ret_key = secret;
        return true;
}

/* ---- checking ---- */

static bool wrong(struct err *e, const char *why)
{
        openssl_clear();
        return err_set(e, ERR_PROTOCOL, "alpn.cert", "%s", why);
}

static bool check_hash(X509 *x, const uint8_t hash[ALPN_HASH_LEN], struct err *e)
{
        CLEANUP(object_free_p) ASN1_OBJECT *type = OBJ_txt2obj(ACME_IDENTIFIER, 1);
        uint8_t wanted[WRAPPED_LEN];
        if (!type)
                return err_memory(e);
        wrap(hash, wanted);
        int at = X509_get_ext_by_OBJ(x, type, -1);
        if (at < 0)
                return wrong(e, "its certificate has no challenge extension: another server terminates TLS");
        if (X509_get_ext_by_OBJ(x, type, at) >= 0)
                return wrong(e, "its certificate has the challenge extension twice");
        X509_EXTENSION *extension = X509_get_ext(x, at);
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
        if (!X509_EXTENSION_get_critical(extension))
                return wrong(e, "the challenge extension of its certificate is not critical");
        if (ASN1_STRING_length(value) != WRAPPED_LEN || memcmp(ASN1_STRING_get0_data(value), wanted, WRAPPED_LEN) != 0)
                return wrong(e, "its certificate answers another challenge");
        return true;
}

static bool check_name(X509 *x, const char *name, struct err *e)
{
        CLEANUP(general_free_p) GENERAL_NAMES *general = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
        struct texts names = { 0 };
        const struct texts one = { .item = (char **)(uintptr_t)&name, .count = 1 };
        bool read = general && names_from_general(general, &names);
        bool same = read && sk_GENERAL_NAME_num(general) == 1 && names_same(&names, &one);
        texts_done(&names);
        return same || wrong(e, "its certificate is not for this name alone");
}

bool alpn_cert_check(const uint8_t *der, size_t len, const char *name, const uint8_t hash[ALPN_HASH_LEN], struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        if (!cert_parse(der, len, &x, e) || !check_hash(x, hash, e) || !check_name(x, name, e))
                return false;
        EVP_PKEY *key = X509_get0_pubkey(x);
        bool itself = key && X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0 &&
                X509_verify(x, key) == 1;
        return itself || wrong(e, "its certificate is not signed by itself");
}
