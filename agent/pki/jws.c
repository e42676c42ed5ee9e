/* Signatures are made by OpenSSL; what is done here is the turn from its forms into those of JOSE. */
#include "agent/pki/jws.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"

#define FIELD_MAX 48 /* bytes of a coordinate on P-384 */

static void bn_free_p(BIGNUM **bn)
{
        BN_free(*bn);
}

static void md_ctx_free_p(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

static void ecdsa_free_p(ECDSA_SIG **sig)
{
        ECDSA_SIG_free(*sig);
}

static int field_bytes(const struct key *k)
{
        return key_type_of(k) == KEY_EC_P256 ? 32 : key_type_of(k) == KEY_EC_P384 ? 48 : 0;
}

const char *jws_algorithm(const struct key *k)
{
        int field = field_bytes(k);
        if (field)
                return field == 32 ? "ES256" : "ES384";
        return EVP_PKEY_is_a(k->pkey, "RSA") && EVP_PKEY_get_bits(k->pkey) >= 2048 ? "RS256" : NULL;
}

/* A number of the public key: left-padded to width, or without leading zero bytes where width is 0. */
static char *number(const struct key *k, const char *name, int width)
{
        CLEANUP(bn_free_p) BIGNUM *bn = NULL;
        if (EVP_PKEY_get_bn_param(k->pkey, name, &bn) != 1)
                return NULL;
        int len = width ? width : BN_num_bytes(bn);
        CLEANUP(free_p) unsigned char *bytes = malloc((size_t)len + 1);
        return bytes && BN_bn2binpad(bn, bytes, len) == len ? base64url_encode(bytes, (size_t)len) : NULL;
}

bool jwk_public(const struct key *k, char **ret, struct err *e)
{
        int field = field_bytes(k);
        if (!jws_algorithm(k))
                return err_set(e, ERR_CONFIG, "jws.key",
                        "a key of type %s signs no ACME request; ec-p256, ec-p384, rsa-2048 or more do",
                        key_type_name(key_type_of(k)));
        openssl_clear();
        CLEANUP(free_p) char *a = number(k, field ? OSSL_PKEY_PARAM_EC_PUB_X : OSSL_PKEY_PARAM_RSA_E, field);
        CLEANUP(free_p) char *b = number(k, field ? OSSL_PKEY_PARAM_EC_PUB_Y : OSSL_PKEY_PARAM_RSA_N, field);
        if (!a || !b)
                return openssl_err(e, ERR_TEMPORARY, "jws.key", "reading a public key");
        char *text = field ? text_format("{\"crv\":\"P-%d\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", field * 8, a, b)
                           : text_format("{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", a, b);
        if (!text)
                return err_memory(e);
        *ret = text;
        return true;
}

bool jwk_thumbprint(const struct key *k, char **ret, struct err *e)
{
        CLEANUP(free_p) char *jwk = NULL;
        uint8_t hash[32];
        if (!jwk_public(k, &jwk, e))
                return false;
        sha256(jwk, strlen(jwk), hash);
        char *text = base64url_encode(hash, sizeof hash);
        if (!text)
                return err_memory(e);
        *ret = text;
        return true;
}

/* r and s, each as wide as the field (RFC 7518 section 3.4), not the SEQUENCE that OpenSSL makes. */
static char *ecdsa_text(const unsigned char *der, size_t len, int field)
{
        unsigned char both[2 * FIELD_MAX];
        CLEANUP(ecdsa_free_p) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
        bool good = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), both, field) == field &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), both + field, field) == field;
        return good ? base64url_encode(both, (size_t)field * 2) : NULL;
}

/* To look up all that signs with a key takes OpenSSL a tenth of the time of a signature: done once. */
static const EVP_MD_CTX *signer(struct key *k)
{
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = k->signer ? NULL : EVP_MD_CTX_new();
        if (ctx && EVP_DigestSignInit(ctx, NULL, key_digest(k), NULL, k->pkey) == 1)
                k->signer = STEAL(ctx);
        return k->signer;
}

static char *signature(struct key *k, const char *input, struct err *e)
{
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        const unsigned char *data = (const unsigned char *)input;
        size_t len = (size_t)EVP_PKEY_get_size(k->pkey), input_len = strlen(input);
        CLEANUP(free_p) unsigned char *raw = malloc(len);
        openssl_clear();
        const EVP_MD_CTX *ready = signer(k);
        bool good = ctx && raw && ready && EVP_MD_CTX_copy_ex(ctx, ready) == 1 &&
                EVP_DigestSign(ctx, raw, &len, data, input_len) == 1;
        int field = field_bytes(k);
        char *text = !good ? NULL : field ? ecdsa_text(raw, len, field) : base64url_encode(raw, len);
        if (!text)
                openssl_err(e, ERR_TEMPORARY, "jws.sign", "signing a request");
        return text;
}

/* What is signed, and later its two halves again. */
static char *signing_input(const char *header, const char *payload, struct err *e)
{
        CLEANUP(free_p) char *h = base64url_encode(header, strlen(header));
        CLEANUP(free_p) char *p = base64url_encode(payload, strlen(payload));
        char *input = h && p ? text_format("%s.%s", h, p) : NULL;
        if (!input)
                err_memory(e);
        return input;
}

static bool flattened(const char *input, const char *sig, char **ret, struct err *e)
{
        const char *dot = strchr(input, '.');
        char *text = text_format("{\"payload\":\"%s\",\"protected\":\"%.*s\",\"signature\":\"%s\"}", dot + 1,
                (int)(dot - input), input, sig);
        if (!text)
                return err_memory(e);
        *ret = text;
        return true;
}

bool jws_sign(struct key *k, const char *header, const char *payload, char **ret, struct err *e)
{
        if (!jws_algorithm(k))
                return err_set(e, ERR_CONFIG, "jws.key", "a key of type %s signs no ACME request",
                        key_type_name(key_type_of(k)));
        CLEANUP(free_p) char *input = signing_input(header, payload, e);
        CLEANUP(free_p) char *sig = input ? signature(k, input, e) : NULL;
        return sig && flattened(input, sig, ret, e);
}

static const EVP_MD *mac_digest(const char *algorithm)
{
        return strcmp(algorithm, "HS512") == 0    ? EVP_sha512()
                : strcmp(algorithm, "HS384") == 0 ? EVP_sha384()
                                                  : EVP_sha256();
}

bool jws_mac(const char *algorithm, const struct secret *key, const char *header, const char *payload, char **ret,
        struct err *e)
{
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        CLEANUP(free_p) char *input = signing_input(header, payload, e);
        if (!input)
                return false;
        openssl_clear();
        if (!HMAC(mac_digest(algorithm), key->data, (int)key->len, (const unsigned char *)input, strlen(input), mac,
                    &len))
                return openssl_err(e, ERR_TEMPORARY, "jws.mac", "signing the binding of an account");
        CLEANUP(free_p) char *sig = base64url_encode(mac, len);
        return sig ? flattened(input, sig, ret, e) : err_memory(e);
}
