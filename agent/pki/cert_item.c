/* How OpenSSL is told to read a certificate.
 *
 * OpenSSL 3 reads the public key along with every certificate, and gathers all its decoders for that, each time, at ten
 * times the cost of the certificate. But what it reads is described in tables. Here is its own description of a
 * certificate, in which the public key alone is described anew and read without decoders: a usual key, whose bytes in
 * the certificate are exactly those that OpenSSL writes for it, so that nothing in them can be missed.
 */
#include <openssl/asn1t.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "agent/pki/cert_internal.h"

#define FIELDS_MAX 16 /* a certificate has three, what is signed of it has ten */

/* SubjectPublicKeyInfo, RFC 5280 section 4.1. */
struct public_info {
        X509_ALGOR *algorithm;
        ASN1_BIT_STRING *key;
};
typedef struct public_info PUBLIC_INFO;

ASN1_SEQUENCE(PUBLIC_INFO) = {
        ASN1_SIMPLE(PUBLIC_INFO, algorithm, X509_ALGOR),
        ASN1_SIMPLE(PUBLIC_INFO, key, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(PUBLIC_INFO)

/* ---- usual keys ---- */

static EVP_PKEY *curve_make(int nid)
{
        unsigned char *der = NULL;
        int len = i2d_ASN1_OBJECT(OBJ_nid2obj(nid), &der);
        const unsigned char *at = der;
        EVP_PKEY *pkey = len > 0 ? d2i_KeyParams(EVP_PKEY_EC, NULL, &at, len) : NULL;
        OPENSSL_free(der);
        return pkey;
}

/* A key that lacks its point yet. The curve is made once: that costs ten times as much as to copy it. */
static EVP_PKEY *curve_of(int nid)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        static EVP_PKEY *p256, *p384;
        EVP_PKEY **made = nid == NID_X9_62_prime256v1 ? &p256 : nid == NID_secp384r1 ? &p384 : NULL;
        EVP_PKEY *pkey = made ? EVP_PKEY_new() : NULL;
        pthread_mutex_lock(&lock);
        if (pkey && !*made)
                *made = curve_make(nid);
        bool good = pkey && *made && EVP_PKEY_copy_parameters(pkey, *made) == 1;
        pthread_mutex_unlock(&lock);
        if (good)
                return pkey;
        EVP_PKEY_free(pkey);
        return NULL;
}

/* NULL: another algorithm, curve or form of a point. */
static EVP_PKEY *usual_key(const PUBLIC_INFO *p)
{
        const ASN1_OBJECT *algorithm = NULL;
        const void *curve = NULL;
        int parameter = V_ASN1_UNDEF;
        const unsigned char *at = p->key->data;
        long len = p->key->length;
        X509_ALGOR_get0(&algorithm, &parameter, &curve, p->algorithm);
        int type = OBJ_obj2nid(algorithm);
        /* A key is written in the form it was read in, and named by this one. Parameters of another type than a name
         * need not be a pointer at all (BOOLEAN). */
        bool point =
                type == EVP_PKEY_EC && parameter == V_ASN1_OBJECT && len > 0 && *at == POINT_CONVERSION_UNCOMPRESSED;
        EVP_PKEY *pkey = point ? curve_of(OBJ_obj2nid(curve)) : NULL;
        if ((pkey || type == EVP_PKEY_RSA) && d2i_PublicKey(type, &pkey, &at, len))
                return pkey;
        EVP_PKEY_free(pkey);
        return NULL;
}

/* True: the key stands in *public, and would be written as these bytes. */
static bool set_public(X509_PUBKEY **public, EVP_PKEY *pkey, const unsigned char *der, long len)
{
        unsigned char *own = NULL;
        int own_len = pkey && X509_PUBKEY_set(public, pkey) == 1 ? i2d_X509_PUBKEY(*public, &own) : 0;
        bool same = own_len > 0 && own_len == len && memcmp(own, der, (size_t)len) == 0;
        OPENSSL_free(own);
        return same;
}

/* An ASN1_ex_d2i. */
static int read_public(ASN1_VALUE **ret, const unsigned char **in, long len, const ASN1_ITEM *item, int tag, int class,
        char optional, ASN1_TLC *context)
{
        const unsigned char *from = *in;
        PUBLIC_INFO *p = NULL;
        (void)item;
        int read = ASN1_item_ex_d2i(
                (ASN1_VALUE **)&p, in, len, ASN1_ITEM_rptr(PUBLIC_INFO), tag, class, optional, context);
        if (read <= 0)
                return read;
        EVP_PKEY *pkey = usual_key(p);
        bool good = set_public((X509_PUBKEY **)ret, pkey, from, *in - from);
        EVP_PKEY_free(pkey);
        ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(PUBLIC_INFO));
        return good;
}

/* ---- the description ---- */

/* OpenSSL's description of a structure, with one of its fields described anew. */
struct described {
        ASN1_ITEM item;
        ASN1_TEMPLATE field[FIELDS_MAX];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool known; /* OpenSSL describes a certificate as was expected */
static ASN1_EXTERN_FUNCS functions;
static ASN1_ITEM public;
static struct described info, cert;

static const ASN1_ITEM *public_it(void)
{
        return &public;
}

static const ASN1_ITEM *info_it(void)
{
        return &info.item;
}

static bool describe(struct described *ret, const ASN1_ITEM *as, const ASN1_ITEM *but, ASN1_ITEM_EXP *anew)
{
        bool found = false;
        if (as->tcount > FIELDS_MAX)
                return false;
        ret->item = *as;
        ret->item.templates = ret->field;
        for (long i = 0; i < as->tcount; i++) {
                ret->field[i] = as->templates[i];
                if (ASN1_ITEM_ptr(ret->field[i].item) != but)
                        continue;
                ret->field[i].item = anew;
                found = true;
        }
        return found;
}

static void describe_all(void)
{
        public = *ASN1_ITEM_rptr(X509_PUBKEY);
        if (public.itype != ASN1_ITYPE_EXTERN)
                return;
        functions = *(const ASN1_EXTERN_FUNCS *)public.funcs;
        functions.asn1_ex_d2i = read_public;
        functions.asn1_ex_d2i_ex = NULL;
        public.funcs = &functions;
        known = describe(&info, ASN1_ITEM_rptr(X509_CINF), ASN1_ITEM_rptr(X509_PUBKEY), public_it) &&
                describe(&cert, ASN1_ITEM_rptr(X509), ASN1_ITEM_rptr(X509_CINF), info_it);
}

const ASN1_ITEM *cert_item(void)
{
        pthread_once(&once, describe_all);
        return known ? &cert.item : ASN1_ITEM_rptr(X509);
}
