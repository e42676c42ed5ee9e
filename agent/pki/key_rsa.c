/* The public half of RSA keys. OpenSSL's general writer of keys first gathers all the encoders there are, which costs
 * it a hundred times as much as the key. */
#include <openssl/asn1t.h>
#include <openssl/core_names.h>

#include "agent/pki/key_internal.h"

/* RSAPublicKey, RFC 8017 appendix A.1.1. */
struct rsa_public {
        BIGNUM *modulus, *exponent;
};
typedef struct rsa_public RSA_PUBLIC;

ASN1_SEQUENCE(RSA_PUBLIC) = {
        ASN1_SIMPLE(RSA_PUBLIC, modulus, BIGNUM),
        ASN1_SIMPLE(RSA_PUBLIC, exponent, BIGNUM),
} static_ASN1_SEQUENCE_END(RSA_PUBLIC)

bool rsa_set_public(X509_PUBKEY *public, EVP_PKEY *pkey)
{
        RSA_PUBLIC p = { 0 };
        unsigned char *der = NULL;
        int len = 0;
        if (EVP_PKEY_is_a(pkey, "RSA") && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &p.modulus) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &p.exponent) == 1)
                len = ASN1_item_i2d((const ASN1_VALUE *)&p, &der, ASN1_ITEM_rptr(RSA_PUBLIC));
        BN_free(p.modulus);
        BN_free(p.exponent);
        if (len > 0 && X509_PUBKEY_set0_param(public, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL, der, len) == 1)
                return true;
        OPENSSL_free(der);
        return false;
}
