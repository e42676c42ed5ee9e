/* JSON Web Signatures as evidence (RFC 7515, 7517, 7518): P4, the pwnedkeys form, and P6, an ACME revocation request
 * (RFC 8555 section 7.6). The algorithm follows from the key, never from the header alone. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/pki/evidence_internal.h"
#include "agent/pki/key_internal.h"

#define HEADER_MAX 8192
#define PWNED_PAYLOAD_MAX 1024
#define PWNED_TEXT "key is pwned"
#define FIELD_MAX 66 /* bytes of a coordinate on P-521 */
#define JSON_DEPTH 6

static const struct curve {
        const char *jose, *openssl, *algorithm, *digest;
        size_t field;
} curves[] = {
        { "P-256", "prime256v1", "ES256", "SHA256", 32 },
        { "P-384", "secp384r1", "ES384", "SHA384", 48 },
        { "P-521", "secp521r1", "ES512", "SHA512", 66 },
};

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

static void build_free_p(OSSL_PARAM_BLD **b)
{
        OSSL_PARAM_BLD_free(*b);
}

static void params_free_p(OSSL_PARAM **p)
{
        OSSL_PARAM_free(*p);
}

static void pkey_ctx_free_p(EVP_PKEY_CTX **ctx)
{
        EVP_PKEY_CTX_free(*ctx);
}

/* ---- the key ---- */

static bool number(const json_t *jwk, const char *name, size_t max, uint8_t **ret, size_t *ret_len)
{
        const char *text = json_str(jwk, name);
        return text && strlen(text) <= max * 2 && base64url_decode(text, strlen(text), ret, ret_len) && *ret_len > 0 &&
                *ret_len <= max;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
        CLEANUP(pkey_ctx_free_p) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        EVP_PKEY *pkey = NULL;
        if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
                EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return NULL;
        return pkey;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
        CLEANUP(free_p) uint8_t *n = NULL, *x = NULL;
        size_t n_len = 0, x_len = 0;
        if (!number(jwk, "n", 1024, &n, &n_len) || !number(jwk, "e", 8, &x, &x_len))
                return NULL;
        CLEANUP(bn_free_p) BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(x, (int)x_len, NULL);
        CLEANUP(build_free_p) OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
        if (!modulus || !exponent || !b || OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
                OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, exponent) != 1)
                return NULL;
        CLEANUP(params_free_p) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
        return from_params("RSA", params);
}

static EVP_PKEY *ec_key(const json_t *jwk)
{
        CLEANUP(free_p) uint8_t *x = NULL, *y = NULL;
        size_t x_len = 0, y_len = 0;
        const char *name = json_str(jwk, "crv");
        const struct curve *c = NULL;
        for (size_t i = 0; name && i < ARRAY_LEN(curves); i++)
                if (strcmp(curves[i].jose, name) == 0)
                        c = &curves[i];
        if (!c || !number(jwk, "x", c->field, &x, &x_len) || !number(jwk, "y", c->field, &y, &y_len) ||
                x_len != c->field || y_len != c->field)
                return NULL;
        uint8_t point[1 + 2 * FIELD_MAX] = { 4 };
        memcpy(point + 1, x, x_len);
        memcpy(point + 1 + x_len, y, y_len);
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)c->openssl, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->field),
                OSSL_PARAM_construct_end(),
        };
        return from_params("EC", params);
}

static EVP_PKEY *key_of_jwk(const json_t *jwk)
{
        const char *type = json_str(jwk, "kty");
        if (type && strcmp(type, "RSA") == 0)
                return rsa_key(jwk);
        return type && strcmp(type, "EC") == 0 ? ec_key(jwk) : NULL;
}

/* ---- the signature ---- */

static const struct curve *curve_of(EVP_PKEY *pkey)
{
        char name[32] = "";
        if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) == 1)
                for (size_t i = 0; i < ARRAY_LEN(curves); i++)
                        if (strcmp(name, curves[i].openssl) == 0)
                                return &curves[i];
        return NULL;
}

/* r and s side by side, as wide as the field, into the SEQUENCE that OpenSSL wants. */
static int ecdsa_der(const uint8_t *both, size_t field, unsigned char **ret)
{
        CLEANUP(ecdsa_free_p) ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(both, (int)field, NULL), *s = BN_bin2bn(both + field, (int)field, NULL);
        if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
                BN_free(r);
                BN_free(s);
                return -1;
        }
        return i2d_ECDSA_SIG(sig, ret);
}

static bool verify(EVP_PKEY *pkey, const char *algorithm, const char *input, const uint8_t *sig, size_t sig_len)
{
        const struct curve *c = curve_of(pkey);
        const char *want = c ? c->algorithm : EVP_PKEY_is_a(pkey, "RSA") ? "RS256" : NULL;
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        unsigned char *der = NULL;
        int der_len = 0;
        if (!want || !algorithm || strcmp(want, algorithm) != 0 || !ctx)
                return false;
        if (c && (sig_len != 2 * c->field || (der_len = ecdsa_der(sig, c->field, &der)) <= 0))
                return false;
        bool good = EVP_DigestVerifyInit_ex(ctx, NULL, c ? c->digest : "SHA256", NULL, NULL, pkey, NULL) == 1 &&
                EVP_DigestVerify(ctx, der ? der : sig, der ? (size_t)der_len : sig_len, (const unsigned char *)input,
                        strlen(input)) == 1;
        OPENSSL_free(der);
        return good;
}

/* ---- reading ---- */

struct parts {
        const char *header_text, *payload_text;
        json_t *header;
        char *payload; /* NUL-terminated */
        size_t payload_len;
        uint8_t *signature;
        size_t signature_len;
        EVP_PKEY *pkey;
};

static void parts_done(struct parts *p)
{
        json_decref(p->header);
        free(p->payload);
        free(p->signature);
        EVP_PKEY_free(p->pkey);
}

static bool read_parts(const json_t *jws, struct parts *p, struct err *e)
{
        CLEANUP(free_p) uint8_t *header = NULL, *payload = NULL;
        size_t header_len = 0;
        const char *signature = json_str(jws, "signature");
        p->header_text = json_str(jws, "protected");
        p->payload_text = json_str(jws, "payload");
        if (!p->header_text || !p->payload_text || !signature || strlen(p->header_text) > HEADER_MAX ||
                !base64url_decode(p->header_text, strlen(p->header_text), &header, &header_len) ||
                !base64url_decode(p->payload_text, strlen(p->payload_text), &payload, &p->payload_len) ||
                !base64url_decode(signature, strlen(signature), &p->signature, &p->signature_len))
                return err_set(e, ERR_CONFIG, "evidence.format", "not a flattened JWS");
        p->payload = text_dup_n((const char *)payload, p->payload_len);
        if (!p->payload)
                return err_memory(e);
        if (!json_read((const char *)header, header_len, JSON_DEPTH, &p->header, e))
                return false;
        /* "crit" demands what is not understood here (RFC 7515 section 4.1.11). */
        return (json_is_object(p->header) && !json_object_get(p->header, "crit")) ||
                err_set(e, ERR_CONFIG, "evidence.format", "the protected header of the JWS is not understood");
}

/* The key it brings along, or the local one that it names by its hash. */
static bool find_key(const json_t *jws, struct parts *p, const struct evidence_asks *asks, struct err *e)
{
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t len = 0;
        const char *kid = json_str(p->header, "kid");
        const json_t *jwk = json_object_get(p->header, "jwk");
        if (!jwk)
                jwk = json_object_get(json_object_get(jws, "header"), "jwk");
        if (jwk) {
                p->pkey = key_of_jwk(jwk);
        } else if (kid && asks->public_key && strlen(kid) == 64 && asks->public_key(asks->arg, kid, &der, &len)) {
                const unsigned char *at = der;
                p->pkey = d2i_PUBKEY(NULL, &at, (long)len);
        } else {
                return err_set(e, ERR_CONFIG, "evidence.unknown-key",
                        "the JWS names a key that nothing here has: no jwk, and kid is no hash of a key of this host");
        }
        return p->pkey || openssl_err(e, ERR_CONFIG, "evidence.key", "the key of the JWS cannot be read");
}

static bool is_pwned(const struct parts *p, const struct evidence *v)
{
        const char *kid = json_str(p->header, "kid");
        return kid && strcmp(kid, v->spki_hex) == 0 && p->payload_len <= PWNED_PAYLOAD_MAX &&
                memmem(p->payload, p->payload_len, PWNED_TEXT, strlen(PWNED_TEXT)) != NULL;
}

/* {"certificate": base64url DER, "reason": n}: signed by the certificate's own key, with a nonce and an URL. */
static bool is_revocation(const struct parts *p, struct evidence *v)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t len = 0;
        struct err ignored;
        struct cert_info cert = { 0 };
        if (!json_str(p->header, "nonce") || !json_str(p->header, "url") ||
                !json_read(p->payload, p->payload_len, 2, &o, &ignored))
                return false;
        const char *text = json_str(o, "certificate");
        if (!text || !base64url_decode(text, strlen(text), &der, &len) || !chain_from_der(der, len, &cert, &ignored))
                return false;
        if (strcmp(cert.spki_hex, v->spki_hex) == 0) {
                v->cert = cert;
                return true;
        }
        cert_info_done(&cert);
        return false;
}

static bool judge(
        const json_t *jws, struct parts *p, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        if (!read_parts(jws, p, e) || !find_key(jws, p, asks, e) || !evidence_take_key(p->pkey, v, e))
                return false;
        CLEANUP(free_p) char *input = text_format("%s.%s", p->header_text, p->payload_text);
        if (!input)
                return err_memory(e);
        if (!verify(p->pkey, json_str(p->header, "alg"), input, p->signature, p->signature_len))
                return openssl_err(e, ERR_CONFIG, "evidence.signature",
                        "the JWS is not signed by the key it names, or not with that key's algorithm");
        v->kind = is_pwned(p, v) ? EVIDENCE_JWS : is_revocation(p, v) ? EVIDENCE_REVOCATION : EVIDENCE_NONE;
        if (v->kind != EVIDENCE_NONE)
                return true;
        return err_set(e, ERR_CONFIG, "evidence.format",
                "what the JWS signs says nothing of a compromise: neither \"" PWNED_TEXT
                "\" under the key's own kid nor a revocation of its certificate");
}

bool evidence_jws(const json_t *jws, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        struct parts p = { 0 };
        bool good = judge(jws, &p, asks, v, e);
        parts_done(&p);
        return good;
}
