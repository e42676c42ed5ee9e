/* Making keys and naming them. */
#include "agent/pki/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"

/* An RSA key takes about 1.7 KiB of it, an EC key 0.5 KiB. */
#define SECURE_HEAP 4194304
#define SECURE_SMALLEST 16

#define SIGALGS_RSA "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define SIGALGS_EC "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"

static const struct {
        const char *name;
        const char *algorithm, *curve;
        int bits;
        const char *signature_algorithms;
} types[] = {
        [KEY_NONE] = { .name = "none" },
        [KEY_RSA_2048] = { "rsa-2048", "RSA", NULL, 2048, SIGALGS_RSA },
        [KEY_RSA_3072] = { "rsa-3072", "RSA", NULL, 3072, SIGALGS_RSA },
        [KEY_RSA_4096] = { "rsa-4096", "RSA", NULL, 4096, SIGALGS_RSA },
        [KEY_EC_P256] = { "ec-p256", "EC", "prime256v1", 256, SIGALGS_EC },
        [KEY_EC_P384] = { "ec-p384", "EC", "secp384r1", 384, SIGALGS_EC },
        [KEY_SM2] = { "sm2", "SM2", "SM2", 256, NULL },
        [KEY_OTHER] = { .name = "other" },
};

const char *key_type_name(enum key_type t)
{
        return (unsigned)t < ARRAY_LEN(types) ? types[t].name : "other";
}

bool key_type_from_name(const char *name, enum key_type *ret)
{
        for (unsigned i = KEY_RSA_2048; name && i < KEY_OTHER; i++)
                if (strcmp(types[i].name, name) == 0) {
                        *ret = (enum key_type)i;
                        return true;
                }
        return false;
}

const char *key_tls_signature_algorithms(enum key_type t)
{
        return (unsigned)t < ARRAY_LEN(types) ? types[t].signature_algorithms : NULL;
}

static EVP_PKEY *make(enum key_type t)
{
        if (types[t].algorithm && strcmp(types[t].algorithm, "RSA") == 0)
                return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)types[t].bits);
        if (types[t].algorithm && strcmp(types[t].algorithm, "EC") == 0)
                return EVP_PKEY_Q_keygen(NULL, NULL, "EC", types[t].curve);
        /* Not "EC" with that curve: such a key would sign by ECDSA. */
        return EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
}

bool key_generate(enum key_type type, struct key **ret, struct err *e)
{
        if (type <= KEY_NONE || type >= KEY_OTHER)
                return err_set(e, ERR_BUG, "key.type", "cannot make a key of type %s", key_type_name(type));
        struct key *k = calloc(1, sizeof *k);
        if (!k)
                return err_memory(e);
        openssl_clear();
        k->pkey = make(type);
        if (!k->pkey) {
                key_free(k);
                return openssl_err(e, ERR_TEMPORARY, "key.generate", "making a private key");
        }
        k->type = type;
        *ret = k;
        return true;
}

void key_free(struct key *k)
{
        if (!k)
                return;
        EVP_MD_CTX_free(k->signer);
        EVP_PKEY_free(k->pkey);
        free(k);
}

enum key_type pkey_type(const EVP_PKEY *pkey)
{
        char curve[32] = "";
        if (!pkey)
                return KEY_NONE;
        if (!EVP_PKEY_is_a(pkey, "RSA"))
                (void)EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL); /* no curve: no match below */
        for (unsigned i = KEY_RSA_2048; i < KEY_OTHER; i++)
                if (EVP_PKEY_is_a(pkey, types[i].algorithm) && EVP_PKEY_get_bits(pkey) == types[i].bits &&
                        (!types[i].curve || strcmp(types[i].curve, curve) == 0))
                        return (enum key_type)i;
        /* An SM2 key has no other curve, and not every build names it. */
        return EVP_PKEY_is_a(pkey, "SM2") ? KEY_SM2 : KEY_OTHER;
}

enum key_type key_type_of(const struct key *k)
{
        return k->type;
}

static const EVP_MD *digest_of(enum key_type type, EVP_PKEY *pkey)
{
        char name[32] = "";
        switch (type) {
        case KEY_EC_P384:
                return EVP_sha384();
        case KEY_SM2:
                return EVP_sm3();
        case KEY_OTHER:
                if (EVP_PKEY_get_default_digest_name(pkey, name, sizeof name) > 0 && strcmp(name, "UNDEF") == 0)
                        return NULL; /* Ed25519 */
                return EVP_sha256();
        default:
                return EVP_sha256();
        }
}

const EVP_MD *pkey_digest(EVP_PKEY *pkey)
{
        return digest_of(pkey_type(pkey), pkey);
}

const EVP_MD *key_digest(const struct key *k)
{
        return digest_of(k->type, k->pkey);
}

/* A key read with a compressed point would keep it, and hash to another name than its certificate. */
static int public_der(EVP_PKEY *pkey, unsigned char **ret)
{
        X509_PUBKEY *public = X509_PUBKEY_new();
        openssl_clear();
        bool usual = public && (curve_set_public(public, pkey) || rsa_set_public(public, pkey));
        int n = usual ? i2d_X509_PUBKEY(public, ret) : 0;
        X509_PUBKEY_free(public);
        if (n > 0)
                return n;
        if (EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_is_a(pkey, "SM2"))
                (void)EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                        "uncompressed"); /* fails only for lack of memory: seen by the callers */
        return i2d_PUBKEY(pkey, ret);
}

bool key_public_der(const struct key *k, uint8_t **ret, size_t *ret_len, struct err *e)
{
        unsigned char *der = NULL;
        unsigned refused = openssl_refused();
        int len = public_der(k->pkey, &der);
        uint8_t *copy = len > 0 && openssl_refused() == refused ? malloc((size_t)len) : NULL;
        if (copy) {
                memcpy(copy, der, (size_t)len);
                *ret = copy;
                *ret_len = (size_t)len;
        }
        OPENSSL_free(der);
        return copy || err_memory(e);
}

bool spki_hex(EVP_PKEY *pkey, char ret[65], struct err *e)
{
        unsigned char *der = NULL;
        unsigned refused = openssl_refused();
        int len = public_der(pkey, &der);
        if (len <= 0)
                return openssl_err(e, ERR_PROTOCOL, "key.public", "encoding a public key");
        char hex[65];
        sha256_hex(der, (size_t)len, hex);
        OPENSSL_free(der);
        if (openssl_refused() != refused) /* then the hash may be of nothing, and would become a file's name */
                return err_memory(e);
        memcpy(ret, hex, sizeof hex);
        return true;
}

bool key_spki_hex(const struct key *k, char ret[65], struct err *e)
{
        return spki_hex(k->pkey, ret, e);
}

static pthread_once_t heap_once = PTHREAD_ONCE_INIT;
static int heap_result;

static void heap_make(void)
{
        heap_result = CRYPTO_secure_malloc_initialized() ? 1 : CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_SMALLEST);
        if (heap_result == 2)
                log_warning("",
                        "private keys cannot be locked into memory: they could reach the swap; "
                        "set LimitMEMLOCK=8M in the unit");
}

bool key_secure_heap_init(struct err *e)
{
        pthread_once(&heap_once, heap_make);
        return heap_result != 0 ||
                err_set(e, ERR_TEMPORARY, "memory", "no memory for the heap that holds private keys");
}
