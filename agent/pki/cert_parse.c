/* From the bytes of a certificate to OpenSSL's form of it. */
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define KNOWN_MAX 48
#define KNOWN_LEN 8192 /* octets of one: strangers send some too */

/* The newest certificates by the hash of their bytes: a job reads its own six times and its CA's every time. They are
 * shared, so nobody changes one. */
static struct {
        pthread_mutex_t lock;
        struct {
                uint8_t hash[32];
                X509 *x;
        } entry[KNOWN_MAX];
        size_t count; /* ever */
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static X509 *known_find(const uint8_t hash[32])
{
        X509 *x = NULL;
        pthread_mutex_lock(&known.lock);
        for (size_t i = 0; !x && i < MIN(known.count, (size_t)KNOWN_MAX); i++)
                if (memcmp(known.entry[i].hash, hash, 32) == 0 && X509_up_ref(known.entry[i].x))
                        x = known.entry[i].x;
        pthread_mutex_unlock(&known.lock);
        return x;
}

/* In place of the oldest. */
static void known_add(const uint8_t hash[32], X509 *x)
{
        if (!X509_up_ref(x))
                return;
        pthread_mutex_lock(&known.lock);
        size_t at = known.count++ % KNOWN_MAX;
        X509 *old = known.entry[at].x;
        known.entry[at].x = x;
        memcpy(known.entry[at].hash, hash, 32);
        pthread_mutex_unlock(&known.lock);
        X509_free(old);
}

/* An SM2 signature covers an identity; certificates use the usual one. */
static bool set_sm2_identity(X509 *x)
{
        if (X509_get_signature_nid(x) != NID_SM2_with_SM3 || X509_get0_distinguishing_id(x))
                return true;
        ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
        if (!id || !ASN1_OCTET_STRING_set(id, (const unsigned char *)SM2_ID, -1)) {
                ASN1_OCTET_STRING_free(id);
                return false;
        }
        X509_set0_distinguishing_id(x, id);
        return true;
}

/* *ret_longer: something follows it. */
static X509 *read_as(const ASN1_ITEM *item, const uint8_t *der, size_t len, bool *ret_longer)
{
        const unsigned char *at = der;
        openssl_clear();
        X509 *x = (X509 *)ASN1_item_d2i(NULL, &at, (long)len, item);
        *ret_longer = x && at != der + len;
        if (!*ret_longer)
                return x;
        X509_free(x);
        return NULL;
}

bool cert_parse(const uint8_t *der, size_t len, X509 **ret, struct err *e)
{
        uint8_t hash[32];
        bool longer;
        unsigned refused = openssl_refused();
        if (len == 0 || len > CHAIN_PEM_MAX)
                return err_set(e, ERR_PROTOCOL, "cert.format", "a certificate of %zu bytes is refused", len);
        sha256(der, len, hash);
        if ((*ret = known_find(hash)))
                return true;
        X509 *x = read_as(cert_item(), der, len, &longer);
        if (!x)
                x = read_as(ASN1_ITEM_rptr(X509), der, len, &longer);
        if (!x)
                return longer ? err_set(e, ERR_PROTOCOL, "cert.format", "a certificate has bytes behind its end")
                              : openssl_err(e, ERR_PROTOCOL, "cert.format", "a certificate cannot be read");
        /* What lack of memory left out must not stay out: extensions are judged at their first use, for good. */
        (void)X509_get_extension_flags(x);
        if (set_sm2_identity(x) && openssl_refused() == refused && len <= KNOWN_LEN)
                known_add(hash, x);
        *ret = x;
        return true;
}

EVP_PKEY *cert_pkey_general(const X509 *x)
{
        unsigned char *der = NULL;
        int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
        const unsigned char *at = der;
        EVP_PKEY *pkey = len > 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
        OPENSSL_free(der);
        return pkey;
}
