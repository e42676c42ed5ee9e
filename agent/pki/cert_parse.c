/* From the bytes of a certificate to OpenSSL's form of it.
 *
 * OpenSSL 3.0 reads the public key along with every certificate, and gathers all its decoders for that, each time, at
 * ten times the cost of the certificate. In a library context without decoders it leaves the key alone. Most who read a
 * certificate want names, times and extensions: they get such a one (cert_parse_fields), if its key has one of the
 * usual forms, which are judged here. Whoever needs the key itself gets it whole (cert_parse).
 */
#include <openssl/ec.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define KNOWN_MAX 48
#define KNOWN_LEN 8192 /* octets of one: strangers send some too */
/* The context takes as much for its first certificate as two whole ones do; a short command reads no more of them. */
#define FIRST_WHOLE 4

/* The newest certificates by the hash of their bytes: a job reads its own six times and its CA's every time. They are
 * shared, so nobody changes one. */
static struct {
        pthread_mutex_t lock;
        struct {
                uint8_t hash[32];
                X509 *x;
                bool whole;
        } entry[KNOWN_MAX];
        size_t count; /* ever */
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static atomic_uint asked; /* for fields that were not known; from many threads, and it wraps without harm */
/* What is the same for all certificates. NULL: no memory when it was made; then all are read whole. */
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *without_decoders;
static EC_GROUP *p256, *p384;

static void shared_make(void)
{
        p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
        p384 = EC_GROUP_new_by_curve_name(NID_secp384r1);
        OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
        if (ctx && OSSL_PROVIDER_load(ctx, "null")) /* else the default provider would come by itself */
                without_decoders = ctx;
        else
                OSSL_LIB_CTX_free(ctx);
        openssl_clear();
}

static enum key_type point_type(int nid, const unsigned char *octets, int len)
{
        pthread_once(&shared_once, shared_make);
        const EC_GROUP *group = nid == NID_X9_62_prime256v1 ? p256 : nid == NID_secp384r1 ? p384 : NULL;
        EC_POINT *point = group && len > 0 && octets[0] == POINT_CONVERSION_UNCOMPRESSED ? EC_POINT_new(group) : NULL;
        bool good = point && EC_POINT_oct2point(group, point, octets, (size_t)len, NULL) == 1; /* it is on the curve */
        EC_POINT_free(point);
        return !good ? KEY_NONE : nid == NID_secp384r1 ? KEY_EC_P384 : KEY_EC_P256;
}

static enum key_type modulus_type(const unsigned char *octets, int len)
{
        const unsigned char *at = octets;
        EVP_PKEY *pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, len);
        enum key_type type = pkey && at == octets + len ? pkey_type(pkey) : KEY_NONE;
        EVP_PKEY_free(pkey);
        return type == KEY_RSA_2048 || type == KEY_RSA_3072 || type == KEY_RSA_4096 ? type : KEY_NONE;
}

enum key_type public_type(const X509_PUBKEY *public)
{
        const unsigned char *octets = NULL;
        int len = 0, parameter = V_ASN1_UNDEF;
        const void *value = NULL;
        ASN1_OBJECT *algorithm = NULL;
        X509_ALGOR *whole = NULL;
        enum key_type type = KEY_NONE;
        if (X509_PUBKEY_get0_param(&algorithm, &octets, &len, &whole, public) != 1)
                return KEY_NONE;
        X509_ALGOR_get0(NULL, &parameter, &value, whole);
        if (OBJ_obj2nid(algorithm) == NID_X9_62_id_ecPublicKey && parameter == V_ASN1_OBJECT)
                type = point_type(OBJ_obj2nid(value), octets, len);
        else if (OBJ_obj2nid(algorithm) == NID_rsaEncryption && parameter == V_ASN1_NULL)
                type = modulus_type(octets, len);
        return type;
}

static X509 *known_find(const uint8_t hash[32], bool whole)
{
        X509 *x = NULL;
        pthread_mutex_lock(&known.lock);
        for (size_t i = 0; !x && i < MIN(known.count, (size_t)KNOWN_MAX); i++)
                if (memcmp(known.entry[i].hash, hash, 32) == 0 && (known.entry[i].whole || !whole) &&
                        X509_up_ref(known.entry[i].x))
                        x = known.entry[i].x;
        pthread_mutex_unlock(&known.lock);
        return x;
}

/* In place of the oldest, or of the same one without its key. */
static void known_add(const uint8_t hash[32], X509 *x, bool whole)
{
        if (!X509_up_ref(x))
                return;
        pthread_mutex_lock(&known.lock);
        size_t at = 0, end = MIN(known.count, (size_t)KNOWN_MAX);
        while (at < end && memcmp(known.entry[at].hash, hash, 32) != 0)
                at++;
        if (at == end)
                at = known.count++ % KNOWN_MAX;
        X509 *old = known.entry[at].x;
        known.entry[at].x = x;
        known.entry[at].whole = whole;
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

/* NULL: not usual, or not a certificate: the whole reading tells. */
static X509 *read_fields(const uint8_t *der, size_t len)
{
        const unsigned char *at = der;
        pthread_once(&shared_once, shared_make);
        X509 *x = without_decoders ? X509_new_ex(without_decoders, NULL) : NULL;
        /* d2i_X509 frees and clears x where it fails. */
        if (x && d2i_X509(&x, &at, (long)len) && at == der + len && public_type(X509_get_X509_PUBKEY(x)) != KEY_NONE)
                return x;
        X509_free(x);
        return NULL;
}

static X509 *read_whole(const uint8_t *der, size_t len, struct err *e)
{
        const unsigned char *at = der;
        openssl_clear();
        X509 *x = d2i_X509(NULL, &at, (long)len);
        if (!x) {
                openssl_err(e, ERR_PROTOCOL, "cert.format", "a certificate cannot be read");
        } else if (at != der + len) {
                X509_free(x);
                err_set(e, ERR_PROTOCOL, "cert.format", "a certificate has bytes behind its end");
                return NULL;
        }
        return x;
}

static bool parse(const uint8_t *der, size_t len, bool whole, X509 **ret, struct err *e)
{
        uint8_t hash[32];
        unsigned refused = openssl_refused();
        if (len == 0 || len > CHAIN_PEM_MAX)
                return err_set(e, ERR_PROTOCOL, "cert.format", "a certificate of %zu bytes is refused", len);
        sha256(der, len, hash);
        if ((*ret = known_find(hash, whole)))
                return true;
        X509 *x = whole || atomic_fetch_add(&asked, 1) < FIRST_WHOLE ? NULL : read_fields(der, len);
        whole = !x;
        if (!x && !(x = read_whole(der, len, e)))
                return false;
        /* What lack of memory left out must not stay out: extensions are judged at their first use, for good. */
        (void)X509_get_extension_flags(x);
        bool complete = set_sm2_identity(x) && openssl_refused() == refused;
        if (!whole)
                openssl_clear(); /* it could not be hashed there, which nobody asked for */
        if (complete && len <= KNOWN_LEN)
                known_add(hash, x, whole);
        *ret = x;
        return true;
}

bool cert_parse(const uint8_t *der, size_t len, X509 **ret, struct err *e)
{
        return parse(der, len, true, ret, e);
}

bool cert_parse_fields(const uint8_t *der, size_t len, X509 **ret, struct err *e)
{
        return parse(der, len, false, ret, e);
}
