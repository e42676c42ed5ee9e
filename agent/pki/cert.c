/* One certificate: its facts, and its block in a text. */
#include <ctype.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/names_internal.h"

#define SERIAL_MAX 64 /* octets; RFC 5280 allows 20 */
#define NAMES_MAX 1000

void cert_free_p(X509 **x)
{
        X509_free(*x);
}

static void general_free_p(GENERAL_NAMES **names)
{
        GENERAL_NAMES_free(*names);
}

/* X.509 times can lie beyond what any calendar holds: those are refused, not guessed. */
static bool take_time(const ASN1_TIME *t, int64_t *ret)
{
        struct tm tm;
        if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
                return false;
        *ret = timegm(&tm);
        return true;
}

static bool take_serial(X509 *x, char **ret, struct err *e)
{
        const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
        BIGNUM *n = serial->length <= SERIAL_MAX ? ASN1_INTEGER_to_BN(serial, NULL) : NULL;
        char *hex = n ? BN_bn2hex(n) : NULL;
        BN_free(n);
        if (!hex)
                return openssl_err(e, ERR_PROTOCOL, "cert.format", "the serial number of a certificate cannot be read");
        for (char *p = hex; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        *ret = text_dup(hex);
        OPENSSL_free(hex);
        return *ret || err_memory(e);
}

static bool take_names(X509 *x, struct texts *ret, struct err *e)
{
        int critical = -1;
        CLEANUP(general_free_p) GENERAL_NAMES *general = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
        if (!general && critical != -1)
                return openssl_err(e, ERR_PROTOCOL, "cert.format", "the names of a certificate cannot be read");
        openssl_clear();
        if (general) {
                if (sk_GENERAL_NAME_num(general) > NAMES_MAX)
                        return err_set(e, ERR_PROTOCOL, "cert.format", "a certificate has too many names");
                return names_from_general(general, ret) || err_memory(e);
        }
        char *common_name;
        if (!common_name_of(X509_get_subject_name(x), &common_name, e))
                return false;
        if (common_name && !texts_add_own(ret, common_name)) {
                free(common_name);
                return err_memory(e);
        }
        return true;
}

/* The usual forms, whose bytes in the certificate are what spki_hex would encode anew, at a millisecond's cost. */
static bool is_canonical(enum key_type type, const X509_PUBKEY *public)
{
        const unsigned char *bits = NULL;
        int len = 0, parameter = V_ASN1_UNDEF;
        X509_ALGOR *algorithm = NULL;
        if (X509_PUBKEY_get0_param(NULL, &bits, &len, &algorithm, public) != 1)
                return false;
        X509_ALGOR_get0(NULL, &parameter, NULL, algorithm);
        if (type == KEY_EC_P256 || type == KEY_EC_P384)
                return parameter == V_ASN1_OBJECT && len > 0 && bits[0] == POINT_CONVERSION_UNCOMPRESSED;
        return (type == KEY_RSA_2048 || type == KEY_RSA_3072 || type == KEY_RSA_4096) && parameter == V_ASN1_NULL;
}

static bool take_key(X509 *x, struct cert_info *ret, struct err *e)
{
        const X509_PUBKEY *public = X509_get_X509_PUBKEY(x);
        EVP_PKEY *pkey = X509_get0_pubkey(x);
        unsigned char *der = NULL;
        if (!pkey)
                return openssl_err(e, ERR_PROTOCOL, "cert.format", "the public key of a certificate cannot be read");
        ret->key_type = pkey_type(pkey);
        int len = is_canonical(ret->key_type, public) ? i2d_X509_PUBKEY(public, &der) : 0;
        if (len <= 0)
                return spki_hex(pkey, ret->spki_hex, e);
        sha256_hex(der, (size_t)len, ret->spki_hex);
        OPENSSL_free(der);
        return true;
}

bool cert_fill(X509 *x, const uint8_t *der, size_t len, struct cert_info *ret, struct err *e)
{
        struct cert_info c = { 0 };
        uint8_t sha1[20];
        unsigned sha1_len = 0;
        sha256_hex(der, len, c.sha256);
        if (EVP_Digest(der, len, sha1, &sha1_len, EVP_sha1(), NULL) != 1)
                return openssl_err(e, ERR_TEMPORARY, "cert.hash", "hashing a certificate");
        hex_encode(c.sha1, sha1, sha1_len);
        bool good = true;
        if (!take_time(X509_get0_notBefore(x), &c.not_before_s) || !take_time(X509_get0_notAfter(x), &c.not_after_s))
                good = openssl_err(e, ERR_PROTOCOL, "cert.format", "the validity of a certificate cannot be read");
        good = good && take_key(x, &c, e) && take_serial(x, &c.serial_hex, e) && take_names(x, &c.names, e);
        if (good) {
                c.subject = name_text(X509_get_subject_name(x));
                c.issuer = name_text(X509_get_issuer_name(x));
                c.is_ca = (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
                c.organization = X509_NAME_get_index_by_NID(X509_get_subject_name(x), NID_organizationName, -1) >= 0;
                good = (c.subject && c.issuer) || err_memory(e);
        }
        if (!good) {
                cert_info_done(&c);
                return false;
        }
        *ret = c;
        return true;
}

void cert_info_done(struct cert_info *c)
{
        texts_done(&c->names);
        free(c->serial_hex);
        free(c->subject);
        free(c->issuer);
        *c = (struct cert_info){ 0 };
}

bool chain_from_der(const uint8_t *der, size_t len, struct cert_info *ret, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        struct cert_info c = { 0 };
        unsigned refused = openssl_refused();
        bool good = cert_parse(der, len, &x, e) && cert_fill(x, der, len, &c, e);
        if (openssl_refused() != refused)
                good = err_memory(e);
        if (!good) {
                cert_info_done(&c);
                return false;
        }
        *ret = c;
        return true;
}

static const char *find(const char *at, const char *end, const char *what)
{
        return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* Base64 with whatever blanks and line ends stand between. */
static bool decode_body(const char *from, const char *to, uint8_t **ret, size_t *ret_len, struct err *e)
{
        size_t n = 0;
        CLEANUP(free_p) char *body = malloc((size_t)(to - from) + 1);
        uint8_t *der = malloc((size_t)(to - from) + 1); /* three quarters are needed */
        if (!body || !der) {
                free(der);
                return err_memory(e);
        }
        for (const char *p = from; p < to; p++)
                if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
                        body[n++] = *p;
        body[n] = '\0';
        size_t digits = strspn(body, BASE64), padding = strspn(body + digits, "=");
        if (digits == 0 || digits + padding != n || n % 4 != 0 || padding > 2 ||
                EVP_DecodeBlock(der, (const unsigned char *)body, (int)n) < 0) {
                free(der);
                return err_set(e, ERR_PROTOCOL, "chain.format", "a certificate block is not base64");
        }
        *ret = der;
        *ret_len = n / 4 * 3 - padding;
        return true;
}

bool pem_next(const char **at, const char *end, uint8_t **ret_der, size_t *ret_len, struct err *e)
{
        static const struct {
                const char *begin, *end;
        } label[] = {
                { "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----" },
                { "-----BEGIN X509 CERTIFICATE-----", "-----END X509 CERTIFICATE-----" },
        };
        const char *first = NULL;
        size_t which = 0;
        for (size_t i = 0; i < ARRAY_LEN(label); i++) {
                const char *found = find(*at, end, label[i].begin);
                if (found && (!first || found < first)) {
                        first = found;
                        which = i;
                }
        }
        if (!first)
                return false;
        const char *body = first + strlen(label[which].begin);
        const char *stop = find(body, end, label[which].end);
        if (!stop)
                return err_set(e, ERR_PROTOCOL, "chain.format", "a certificate block has no end");
        *at = stop + strlen(label[which].end);
        return decode_body(body, stop, ret_der, ret_len, e);
}
