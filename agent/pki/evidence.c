/* What a report is: told by its first bytes, read by the one reader of that kind. */
#include "agent/pki/evidence.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/evidence_internal.h"
#include "agent/pki/key_internal.h"

#define JSON_DEPTH 6
#define RSA_BITS_MIN 512
#define RSA_BITS_MAX 8192
#define AKI_MAX 64

static const struct {
        const char *name;
        bool proves;
} kinds[EVIDENCE_KINDS] = {
        [EVIDENCE_NONE] = { "none", false },
        [EVIDENCE_CERTIFICATE] = { "certificate", false },
        [EVIDENCE_PUBLIC_KEY] = { "public-key", false },
        [EVIDENCE_REQUEST] = { "request", false },
        [EVIDENCE_PRIVATE_KEY] = { "private-key", true },
        [EVIDENCE_ATTESTATION] = { "attestation", true },
        [EVIDENCE_PHRASE] = { "phrase", true },
        [EVIDENCE_JWS] = { "jws", true },
        [EVIDENCE_STATEMENT] = { "statement", true },
        [EVIDENCE_REVOCATION] = { "revocation", true },
};

const char *evidence_name(enum evidence_kind k)
{
        return (unsigned)k < EVIDENCE_KINDS ? kinds[k].name : "none";
}

bool evidence_proves(enum evidence_kind k)
{
        return (unsigned)k < EVIDENCE_KINDS && kinds[k].proves;
}

void pkey_free_p(EVP_PKEY **pkey)
{
        EVP_PKEY_free(*pkey);
}

static void pss_free_p(RSA_PSS_PARAMS **p)
{
        RSA_PSS_PARAMS_free(*p);
}

bool evidence_take_key(EVP_PKEY *pkey, struct evidence *v, struct err *e)
{
        static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1", "P-256", "P-384", "P-521" };
        char curve[32] = "";
        int bits = EVP_PKEY_get_bits(pkey);
        bool good = EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "SM2") ||
                (EVP_PKEY_is_a(pkey, "RSA") && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX);
        if (!good && EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL) == 1)
                for (size_t i = 0; !good && i < ARRAY_LEN(curves); i++)
                        good = strcmp(curve, curves[i]) == 0;
        if (!good)
                return openssl_err(e, ERR_CONFIG, "evidence.key",
                        "no certificate has such a key: RSA up to 8192 bits, P-256, P-384 and P-521 are looked at");
        v->key_type = pkey_type(pkey);
        return spki_hex(pkey, v->spki_hex, e);
}

/* RSA-PSS names its digest in the parameters; none named is SHA-1 (RFC 4055 section 3.1). */
static int pss_digest(int type, const void *value)
{
        const ASN1_STRING *s = type == V_ASN1_SEQUENCE ? value : NULL;
        const unsigned char *at = s ? ASN1_STRING_get0_data(s) : NULL;
        CLEANUP(pss_free_p) RSA_PSS_PARAMS *p = at ? d2i_RSA_PSS_PARAMS(NULL, &at, ASN1_STRING_length(s)) : NULL;
        return p && p->hashAlgorithm ? OBJ_obj2nid(p->hashAlgorithm->algorithm) : NID_sha1;
}

bool evidence_digest_is_good(const X509_ALGOR *algorithm, struct err *e)
{
        static const int good[] = { NID_sha256, NID_sha384, NID_sha512, NID_sm3, NID_sha3_256, NID_sha3_384,
                NID_sha3_512 };
        const ASN1_OBJECT *object;
        const void *value;
        int type, digest = NID_undef, nid;
        X509_ALGOR_get0(&object, &type, &value, algorithm);
        nid = OBJ_obj2nid(object);
        if (nid == NID_ED25519)
                return true;
        if (nid == NID_rsassaPss)
                digest = pss_digest(type, value);
        else if (!OBJ_find_sigid_algs(nid, &digest, NULL))
                digest = nid; /* CMS names the digest itself */
        openssl_clear();
        for (size_t i = 0; i < ARRAY_LEN(good); i++)
                if (digest == good[i])
                        return true;
        return err_set(e, ERR_CONFIG, "evidence.digest", "signed over %s, which others can make collide",
                digest == NID_undef ? "an unknown digest" : OBJ_nid2ln(digest));
}

/* ---- kinds without a signature ---- */

static bool take_private_key(struct key *k, struct evidence *v, struct err *e)
{
        v->kind = EVIDENCE_PRIVATE_KEY;
        bool good = evidence_take_key(k->pkey, v, e);
        key_free(k);
        return good;
}

static bool private_pem(const char *pem, size_t len, struct evidence *v, struct err *e)
{
        struct key *k = NULL;
        struct err why = { 0 };
        if (key_read_pem(pem, len, NULL, &k, &why))
                return take_private_key(k, v, e);
        if (strcmp(why.code, "key.encrypted") == 0)
                return err_set(e, ERR_CONFIG, "evidence.encrypted",
                        "the private key is encrypted: that proves nothing; send it decrypted, or a request signed by "
                        "it");
        *e = why;
        return false;
}

static bool certificate(const uint8_t *der, size_t len, struct evidence *v, EVP_PKEY **ret, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        if (!cert_parse(der, len, &x, e) || !cert_fill(x, der, len, &v->cert, e))
                return false;
        v->kind = EVIDENCE_CERTIFICATE;
        EVP_PKEY *pkey = X509_get0_pubkey(x);
        if (!pkey || !evidence_take_key(pkey, v, e))
                return false;
        if (ret && EVP_PKEY_up_ref(pkey) == 1)
                *ret = pkey;
        return true;
}

static bool public_key(EVP_PKEY *pkey, struct evidence *v, EVP_PKEY **ret, struct err *e)
{
        if (!pkey || !evidence_take_key(pkey, v, e)) {
                EVP_PKEY_free(pkey);
                return pkey ? false : openssl_err(e, ERR_CONFIG, "evidence.format", "not a public key");
        }
        v->kind = EVIDENCE_PUBLIC_KEY;
        if (ret)
                *ret = pkey;
        else
                EVP_PKEY_free(pkey);
        return true;
}

static EVP_PKEY *public_from_pem(const char *pem, size_t len)
{
        struct passphrase none = { 0 };
        CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        return bio ? PEM_read_bio_PUBKEY(bio, NULL, passphrase_answer, &none) : NULL;
}

/* ---- PEM ---- */

/* The bytes of the first block with this label, or one of its other spellings. */
static bool pem_block(const char *pem, size_t len, const char *label, uint8_t **ret, size_t *ret_len)
{
        struct passphrase none = { 0 };
        unsigned char *der = NULL;
        long der_len = 0;
        CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        if (!bio || PEM_bytes_read_bio(&der, &der_len, NULL, label, bio, passphrase_answer, &none) != 1) {
                openssl_clear();
                return false;
        }
        *ret = malloc((size_t)der_len + 1);
        if (*ret)
                memcpy(*ret, der, (size_t)der_len);
        *ret_len = (size_t)der_len;
        OPENSSL_free(der);
        return *ret != NULL;
}

/* Our own reader forgives what people do to certificates: long lines, blanks. */
static bool certificate_block(const char *pem, size_t len, uint8_t **ret, size_t *ret_len)
{
        const char *at = pem;
        struct err ignored = { 0 };
        return pem_next(&at, pem + len, ret, ret_len, &ignored);
}

/* A certificate or public key inside a JSON member. */
bool evidence_public_pem(const char *pem, struct evidence *v, EVP_PKEY **ret, struct err *e)
{
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t len = 0;
        if (certificate_block(pem, strlen(pem), &der, &len))
                return certificate(der, len, v, ret, e);
        return public_key(public_from_pem(pem, strlen(pem)), v, ret, e);
}

static bool has(const char *text, size_t len, const char *what)
{
        return memmem(text, len, what, strlen(what)) != NULL;
}

/* Of several blocks the one that says most. */
static bool from_pem(const char *pem, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t n = 0;
        if (has(pem, len, "PRIVATE KEY-----"))
                return private_pem(pem, len, v, e);
        if (pem_block(pem, len, PEM_STRING_X509_REQ, &der, &n))
                return evidence_csr(der, n, v, e);
        /* OpenSSL would take a certificate for one. */
        if ((has(pem, len, "BEGIN CMS-----") || has(pem, len, "BEGIN PKCS7-----")) &&
                pem_block(pem, len, PEM_STRING_CMS, &der, &n))
                return evidence_cms(der, n, asks, v, e);
        if (certificate_block(pem, len, &der, &n))
                return certificate(der, n, v, NULL, e);
        return public_key(public_from_pem(pem, len), v, NULL, e);
}

/* ---- DER ---- */

static bool from_der(
        const uint8_t *der, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        const unsigned char *at = der;
        struct key *k = NULL;
        struct err why = { 0 };
        if (key_read_der(der, len, &k, &why))
                return take_private_key(k, v, e);
        X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)len);
        X509_REQ_free(req);
        if (req)
                return evidence_csr(der, len, v, e);
        at = der;
        X509 *x = d2i_X509(NULL, &at, (long)len);
        X509_free(x);
        if (x)
                return certificate(der, len, v, NULL, e);
        at = der;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);
        if (pkey)
                return public_key(pkey, v, NULL, e);
        return evidence_cms(der, len, asks, v, e);
}

/* ---- text ---- */

static bool from_json(const char *text, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!json_read(text, len, JSON_DEPTH, &o, e))
                return false;
        if (json_str(o, "protected"))
                return evidence_jws(o, asks, v, e);
        if (json_str(o, "statement"))
                return evidence_signed(o, asks, v, e);
        return err_set(e, ERR_CONFIG, "evidence.format", "neither a flattened JWS nor a signed statement");
}

/* The compact form, protected.payload.signature. */
static bool from_compact(
        const char *text, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        const char *one = memchr(text, '.', len);
        const char *two = one ? memchr(one + 1, '.', len - (size_t)(one + 1 - text)) : NULL;
        if (!two)
                return err_set(e, ERR_CONFIG, "evidence.format", "not a JWS");
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:s%, s:s%, s:s%}", "protected", text, (size_t)(one - text), "payload", one + 1,
                (size_t)(two - one - 1), "signature", two + 1, len - (size_t)(two + 1 - text));
        return o ? evidence_jws(o, asks, v, e) : err_set(e, ERR_CONFIG, "evidence.format", "not a JWS");
}

/* Base64 with line ends between. */
static bool from_base64(
        const char *text, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        struct buf plain = { .max = EVIDENCE_MAX, .secret = true };
        uint8_t *der = NULL;
        size_t n = 0;
        for (size_t i = 0; i < len; i++)
                if (!strchr(" \t\r\n", text[i]) || !text[i])
                        buf_addc(&plain, text[i]);
        bool good = !plain.failed && plain.len > 0 && base64_decode(plain.data, plain.len, &der, &n) && n > 0;
        buf_done(&plain);
        if (good)
                good = from_der(der, n, asks, v, e);
        else
                err_set(e, ERR_CONFIG, "evidence.format",
                        "neither PEM, DER, base64 nor a JWS: no certificate, key, request or proof is in it");
        if (der)
                wipe(der, n); /* it may have been a key */
        free(der);
        return good;
}

static bool from_any(const char *data, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        if (len > 0 && data[0] == 0x30 && len > 1 && ((unsigned char)data[1] >= 0x80 || (size_t)data[1] + 2 == len))
                return from_der((const uint8_t *)data, len, asks, v, e);
        while (len > 0 && strchr(" \t\r\n", data[0]) && data[0]) {
                data++;
                len--;
        }
        while (len > 0 && strchr(" \t\r\n", data[len - 1]) && data[len - 1])
                len--;
        if (len > 0 && data[0] == '{')
                return from_json(data, len, asks, v, e);
        if (has(data, len, "-----BEGIN "))
                return from_pem(data, len, asks, v, e);
        if (memchr(data, '.', len) && !memchr(data, '\n', len) && !memchr(data, ' ', len))
                return from_compact(data, len, asks, v, e);
        return from_base64(data, len, asks, v, e);
}

bool evidence_read(const void *data, size_t len, const struct evidence_asks *asks, struct evidence *ret, struct err *e)
{
        static const struct evidence_asks none;
        struct evidence v = { 0 };
        struct err why = { 0 };
        unsigned refused = openssl_refused();
        if (len > EVIDENCE_MAX)
                return err_set(e, ERR_CONFIG, "evidence.format", "a proof is at most %d bytes", EVIDENCE_MAX);
        openssl_clear();
        bool good = from_any(data, len, asks ? asks : &none, &v, &why);
        openssl_clear();
        if (openssl_refused() != refused)
                good = err_memory(&why);
        if (!good) {
                evidence_done(&v);
                if (e)
                        *e = why;
                return false;
        }
        *ret = v;
        return true;
}

void evidence_done(struct evidence *v)
{
        cert_info_done(&v->cert);
        *v = (struct evidence){ 0 };
}

/* ---- other names of certificates ---- */

static char *hex_of(const uint8_t *data, size_t len)
{
        char *ret = malloc(2 * len + 1);
        if (ret)
                hex_encode(ret, data, len);
        return ret;
}

bool renewal_id_split(const char *id, char **ret_key_id_hex, char **ret_serial_hex, struct err *e)
{
        const char *dot = strchr(id, '.');
        CLEANUP(free_p) uint8_t *key_id = NULL, *serial = NULL;
        size_t key_len = 0, len = 0, skip = 0;
        if (!dot || !base64url_decode(id, (size_t)(dot - id), &key_id, &key_len) ||
                !base64url_decode(dot + 1, strlen(dot + 1), &serial, &len) || key_len == 0 || key_len > AKI_MAX ||
                len == 0 || len > AKI_MAX || serial[0] & 0x80)
                return err_set(e, ERR_CONFIG, "cert.ari",
                        "not a renewal information id: base64url of key identifier, a dot, of serial number");
        while (skip + 1 < len && serial[skip] == 0)
                skip++;
        CLEANUP(free_p) char *key_hex = hex_of(key_id, key_len), *serial_hex = hex_of(serial + skip, len - skip);
        if (!key_hex || !serial_hex)
                return err_memory(e);
        *ret_key_id_hex = STEAL(key_hex);
        *ret_serial_hex = STEAL(serial_hex);
        return true;
}
