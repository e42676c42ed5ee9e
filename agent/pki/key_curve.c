/* Keys on P-256 and P-384 in their usual forms. OpenSSL's general writers and readers of keys first gather all the
 * encoders or decoders there are, which costs them ten times as much as the key. */
#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <string.h>

#include "agent/pki/key_internal.h"

#define SCALAR_MAX 48 /* octets, of P-384 */
#define POINT_MAX (1 + 2 * SCALAR_MAX)

/* ECPrivateKey, RFC 5915 section 3. */
struct ec_private {
        int32_t version;
        ASN1_OCTET_STRING *scalar;
        ASN1_TYPE *parameters; /* absent inside PKCS#8, which names the curve itself */
        ASN1_BIT_STRING *point;
};
typedef struct ec_private EC_PRIVATE;

ASN1_SEQUENCE(EC_PRIVATE) = {
        ASN1_EMBED(EC_PRIVATE, version, INT32),
        ASN1_SIMPLE(EC_PRIVATE, scalar, ASN1_OCTET_STRING),
        ASN1_EXP_OPT(EC_PRIVATE, parameters, ASN1_ANY, 0),
        ASN1_EXP_OPT(EC_PRIVATE, point, ASN1_BIT_STRING, 1),
} static_ASN1_SEQUENCE_END(EC_PRIVATE)

static void private_free(EC_PRIVATE *p)
{
        if (p && p->scalar)
                OPENSSL_cleanse(p->scalar->data, (size_t)p->scalar->length);
        ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(EC_PRIVATE));
}

static int curve_nid(const EVP_PKEY *pkey)
{
        enum key_type type = pkey_type(pkey);
        return type == KEY_EC_P256 ? NID_X9_62_prime256v1 : type == KEY_EC_P384 ? NID_secp384r1 : NID_undef;
}

/* The uncompressed point, allocated by OpenSSL. NULL: no memory. To ask for its length first would encode it twice. */
static unsigned char *point_of(EVP_PKEY *pkey, size_t *ret_len)
{
        unsigned char *point = OPENSSL_malloc(POINT_MAX);
        if (point &&
                EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") == 1 &&
                EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_MAX, ret_len) == 1)
                return point;
        OPENSSL_free(point);
        return NULL;
}

bool curve_parts_match(EVP_PKEY *pkey)
{
        unsigned char point[POINT_MAX], product[POINT_MAX];
        size_t len = 0;
        BIGNUM *n = NULL;
        EC_GROUP *group = EC_GROUP_new_by_curve_name(curve_nid(pkey));
        EC_POINT *p = group ? EC_POINT_new(group) : NULL;
        bool good = p && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &n) == 1 &&
                BN_cmp(n, EC_GROUP_get0_order(group)) < 0 && EC_POINT_mul(group, p, n, NULL, NULL, NULL) == 1 &&
                EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) == 1 &&
                len > 0 && /* its first octet says in which form it is, the lowest bit apart */
                EC_POINT_point2oct(group, p, point[0] & ~1U, product, sizeof product, NULL) == len &&
                memcmp(product, point, len) == 0;
        BN_clear_free(n);
        EC_POINT_free(p);
        EC_GROUP_free(group);
        return good;
}

bool curve_set_public(X509_PUBKEY *public, EVP_PKEY *pkey)
{
        size_t len = 0;
        int nid = curve_nid(pkey);
        unsigned char *point = nid != NID_undef ? point_of(pkey, &len) : NULL;
        if (point &&
                X509_PUBKEY_set0_param(public, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT, OBJ_nid2obj(nid),
                        point, (int)len) == 1)
                return true;
        OPENSSL_free(point);
        return false;
}

static bool set_scalar(EC_PRIVATE *p, EVP_PKEY *pkey)
{
        unsigned char octets[SCALAR_MAX];
        int len = (EVP_PKEY_get_bits(pkey) + 7) / 8;
        BIGNUM *n = NULL;
        bool good = len <= SCALAR_MAX && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &n) == 1 &&
                BN_bn2binpad(n, octets, len) == len && ASN1_OCTET_STRING_set(p->scalar, octets, len) == 1;
        OPENSSL_cleanse(octets, sizeof octets);
        BN_clear_free(n);
        return good;
}

static bool set_point(EC_PRIVATE *p, EVP_PKEY *pkey)
{
        size_t len = 0;
        unsigned char *point = point_of(pkey, &len);
        p->point = point ? ASN1_BIT_STRING_new() : NULL;
        if (!p->point) {
                OPENSSL_free(point);
                return false;
        }
        ASN1_STRING_set0(p->point, point, (int)len);
        p->point->flags |= ASN1_STRING_FLAG_BITS_LEFT; /* whole octets: no bit of the last one is left out */
        return true;
}

PKCS8_PRIV_KEY_INFO *curve_to_pkcs8(EVP_PKEY *pkey)
{
        int nid = curve_nid(pkey), len = 0;
        unsigned char *der = NULL;
        EC_PRIVATE *p = nid != NID_undef ? (EC_PRIVATE *)ASN1_item_new(ASN1_ITEM_rptr(EC_PRIVATE)) : NULL;
        PKCS8_PRIV_KEY_INFO *info = p ? PKCS8_PRIV_KEY_INFO_new() : NULL;
        bool good = info && set_scalar(p, pkey) && set_point(p, pkey);
        if (good) {
                p->version = 1;
                len = ASN1_item_i2d((const ASN1_VALUE *)p, &der, ASN1_ITEM_rptr(EC_PRIVATE));
        }
        private_free(p);
        if (len > 0 &&
                PKCS8_pkey_set0(
                        info, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), 0, V_ASN1_OBJECT, OBJ_nid2obj(nid), der, len) == 1)
                return info;
        OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
        PKCS8_PRIV_KEY_INFO_free(info);
        return NULL;
}

static EVP_PKEY *from_parts(const char *curve, const EC_PRIVATE *p)
{
        EVP_PKEY *pkey = NULL;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        OSSL_PARAM *params = NULL;
        BIGNUM *n = BN_secure_new();
        if (ctx && build && n && BN_bin2bn(p->scalar->data, p->scalar->length, n) &&
                OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
                OSSL_PARAM_BLD_push_octet_string(
                        build, OSSL_PKEY_PARAM_PUB_KEY, p->point->data, (size_t)p->point->length) == 1 &&
                OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, n) == 1 &&
                (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
                pkey = NULL;
        OSSL_PARAM_free(params); /* wipes what is secure in it */
        OSSL_PARAM_BLD_free(build);
        BN_clear_free(n);
        EVP_PKEY_CTX_free(ctx);
        return pkey;
}

EVP_PKEY *curve_from_pkcs8(const PKCS8_PRIV_KEY_INFO *info)
{
        const ASN1_OBJECT *algorithm = NULL;
        const X509_ALGOR *whole = NULL;
        const void *curve = NULL;
        const unsigned char *at = NULL;
        int len = 0, parameter = V_ASN1_UNDEF;
        if (PKCS8_pkey_get0(&algorithm, &at, &len, &whole, info) != 1 ||
                OBJ_obj2nid(algorithm) != NID_X9_62_id_ecPublicKey)
                return NULL;
        X509_ALGOR_get0(NULL, &parameter, &curve, whole);
        int nid = parameter == V_ASN1_OBJECT ? OBJ_obj2nid(curve) : NID_undef;
        if (nid != NID_X9_62_prime256v1 && nid != NID_secp384r1)
                return NULL;
        const unsigned char *end = at + len;
        EC_PRIVATE *p = (EC_PRIVATE *)ASN1_item_d2i(NULL, &at, len, ASN1_ITEM_rptr(EC_PRIVATE));
        bool usual = p && at == end && p->version == 1 && !p->parameters && p->point &&
                p->scalar->length == (nid == NID_secp384r1 ? 48 : 32);
        EVP_PKEY *pkey = usual ? from_parts(OBJ_nid2sn(nid), p) : NULL;
        private_free(p);
        return pkey;
}
