#include "agent/pki/cert_match.h"

#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define ISSUER_TEXT_MAX 1000
#define ISSUER_PARTS_MAX 32

static void pkey_free_p(EVP_PKEY **k)
{
        EVP_PKEY_free(*k);
}

static void name_free_p(X509_NAME **n)
{
        X509_NAME_free(*n);
}

static void hash_spki(EVP_PKEY *key, char ret[65])
{
        unsigned char *der = NULL;
        int len = i2d_PUBKEY(key, &der);
        if (len > 0)
                sha256_hex(der, (size_t)len, ret);
        OPENSSL_free(der);
}

/* i2d_PUBKEY keeps the form a point was given in, so the other form is asked for on a copy. */
static void hash_compressed(const X509 *x, char ret[65])
{
        CLEANUP(pkey_free_p) EVP_PKEY *copy = cert_pkey_general(x);
        if (copy &&
                EVP_PKEY_set_utf8_string_param(copy, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                        OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED) == 1)
                hash_spki(copy, ret);
}

static void hash_modulus(EVP_PKEY *key, char ret[65])
{
        BIGNUM *n = NULL;
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1)
                return;
        size_t len = (size_t)BN_num_bytes(n);
        CLEANUP(free_p) uint8_t *bytes = malloc(len + 1);
        if (bytes && BN_bn2bin(n, bytes) == (int)len)
                sha256_hex(bytes, len, ret);
        BN_free(n);
}

bool cert_key_names(const uint8_t *der, size_t len, struct cert_names_of_key *ret, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        struct cert_names_of_key names = { 0 };
        if (!cert_parse(der, len, &x, e))
                return false;
        EVP_PKEY *key = X509_get0_pubkey(x);
        if (!key || !spki_hex(key, names.spki, e))
                return openssl_err(e, ERR_PROTOCOL, "cert.format", "the public key of a certificate cannot be read");
        if (EVP_PKEY_is_a(key, "EC"))
                hash_compressed(x, names.spki_compressed);
        if (EVP_PKEY_is_a(key, "RSA"))
                hash_modulus(key, names.modulus);
        const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(x);
        if (aki && aki->length > 0 && (size_t)aki->length * 2 < sizeof names.aki)
                hex_encode(names.aki, aki->data, (size_t)aki->length);
        openssl_clear();
        *ret = names;
        return true;
}

/* ---- the issuer ---- */

struct part {
        char *type, *value;
};

static char *trim(char *text)
{
        while (*text == ' ')
                text++;
        for (char *end = text + strlen(text); end > text && end[-1] == ' ' && (end - 1 == text || end[-2] != '\\');)
                *--end = '\0';
        return text;
}

/* "\," is a comma, "\2C" the octet: RFC 2253. In place. */
static void unescape(char *text)
{
        char *to = text;
        for (const char *c = text; *c; c++) {
                uint8_t octet;
                size_t n;
                if (*c == '\\' && c[1] && hex_decode(c + 1, strlen(c + 1) < 2 ? 0 : 2, &octet, 1, &n) && n == 1 &&
                        octet) {
                        *to++ = (char)octet;
                        c += 2;
                } else if (*c == '\\' && c[1]) {
                        *to++ = *++c;
                } else {
                        *to++ = *c;
                }
        }
        *to = '\0';
}

static size_t split(char *text, char separator, struct part *ret)
{
        size_t n = 0;
        while (text && *text) {
                char *end = text;
                while (*end && *end != separator)
                        end += *end == '\\' && end[1] ? 2 : 1;
                char *next = *end ? end + 1 : NULL;
                *end = '\0';
                char *equal = strchr(text, '=');
                if (n == ISSUER_PARTS_MAX || !equal)
                        return 0;
                *equal = '\0';
                ret[n] = (struct part){ trim(text), trim(equal + 1) };
                unescape(ret[n++].value);
                text = next;
        }
        return n;
}

/* "CN", and "cn" as some write it; long names keep their case. */
static bool add_entry(X509_NAME *name, const struct part *p)
{
        char upper[4] = "";
        size_t n = strlen(p->type);
        for (size_t i = 0; n < sizeof upper && i < n; i++)
                upper[i] = (char)toupper((unsigned char)p->type[i]);
        return X509_NAME_add_entry_by_txt(name, upper[0] ? upper : p->type, MBSTRING_UTF8,
                       (const unsigned char *)p->value, -1, -1, 0) == 1;
}

static X509_NAME *name_of(const struct part *part, size_t count, bool reversed)
{
        CLEANUP(name_free_p) X509_NAME *name = X509_NAME_new();
        for (size_t i = 0; name && i < count; i++)
                if (!add_entry(name, &part[reversed ? count - 1 - i : i]))
                        return NULL;
        return STEAL(name);
}

bool cert_issuer_is(const uint8_t *der, size_t len, const char *text)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        CLEANUP(free_p) char *copy = text && strlen(text) <= ISSUER_TEXT_MAX ? text_dup(text) : NULL;
        struct part part[ISSUER_PARTS_MAX];
        if (!copy || !cert_parse(der, len, &x, NULL))
                return false;
        bool slashes = copy[0] == '/';
        size_t count = split(copy + slashes, slashes ? '/' : ',', part);
        bool same = false;
        for (int reversed = 0; count > 0 && !same && reversed < 2; reversed++) {
                CLEANUP(name_free_p) X509_NAME *name = name_of(part, count, reversed == 1);
                same = name && X509_NAME_cmp(name, X509_get_issuer_name(x)) == 0;
        }
        openssl_clear();
        return same;
}
