/* Private keys as PEM. */
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"

#define BITS_MAX 8192
#define SALT_LEN 16

void bio_free_p(BIO **bio)
{
        (void)BIO_free(*bio); /* NULL allowed */
}

static void mac_free_p(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

int passphrase_answer(char *buf, int size, int writing, void *arg)
{
        struct passphrase *p = arg;
        (void)writing;
        p->asked = true;
        if (!p->secret || !p->secret->data)
                return -1;
        if (size < 0 || p->secret->len > (size_t)size) {
                p->too_long = true;
                return -1;
        }
        memcpy(buf, p->secret->data, p->secret->len);
        return (int)p->secret->len;
}

bool secret_from_bio(BIO *bio, struct secret *ret, struct err *e)
{
        char *data = NULL;
        long len = BIO_get_mem_data(bio, &data);
        return len > 0 ? secret_set(ret, data, (size_t)len, e)
                       : err_set(e, ERR_BUG, "key.write", "a private key came out empty");
}

static bool signs_for_itself(EVP_PKEY *pkey)
{
        static const unsigned char probe[] = "dcvd";
        unsigned char signature[BITS_MAX / 8 + 16];
        size_t len = sizeof signature;
        CLEANUP(mac_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *check = EVP_MD_CTX_new();
        const EVP_MD *md = pkey_digest(pkey);
        return ctx && check && EVP_DigestSignInit(ctx, NULL, md, NULL, pkey) > 0 &&
                EVP_DigestSign(ctx, signature, &len, probe, sizeof probe) > 0 &&
                EVP_DigestVerifyInit(check, NULL, md, NULL, pkey) > 0 &&
                EVP_DigestVerify(check, signature, len, probe, sizeof probe) > 0;
}

/* A damaged file can hold a private part that is not the one of its public part; every signature would then be wrong.
 * A point is computed anew: a signature would need random numbers, whose first cost more than all else of a start. */
static bool parts_match(const struct key *k)
{
        bool curve = k->type == KEY_EC_P256 || k->type == KEY_EC_P384;
        return curve ? curve_parts_match(k->pkey) : signs_for_itself(k->pkey);
}

static bool not_read(const struct passphrase *p, struct err *e)
{
        if (p->too_long) {
                openssl_clear();
                return err_set(e, ERR_CONFIG, "key.passphrase", "the passphrase of the private key is too long");
        }
        if (p->asked && !p->secret) {
                openssl_clear();
                err_set(e, ERR_CONFIG, "key.encrypted", "the private key is encrypted and no passphrase was given");
                return err_fix(e, "set key.passphrase, or decrypt it: openssl pkey -in FILE -out PLAIN");
        }
        if (p->asked)
                return openssl_err(e, ERR_CONFIG, "key.passphrase",
                        "the passphrase does not open the private key (or it is damaged)");
        return openssl_err(e, ERR_CONFIG, "key.format", "not a private key in PEM form");
}

/* Takes pkey (NULL: why says so) over into a key that signs for its own public part. */
static bool take(EVP_PKEY *pkey, bool readable, unsigned refused, struct key **ret, struct err *e)
{
        struct key *k = calloc(1, sizeof *k);
        bool good = readable;
        if (!k) {
                EVP_PKEY_free(pkey);
                return err_memory(e);
        }
        k->pkey = pkey;
        k->type = pkey_type(pkey);
        openssl_clear();
        if (good && EVP_PKEY_get_bits(k->pkey) > BITS_MAX)
                good = err_set(e, ERR_CONFIG, "key.size", "a private key has at most %d bits", BITS_MAX);
        if (good && !parts_match(k))
                good = openssl_err(
                        e, ERR_CONFIG, "key.damaged", "the private key does not sign for its own public key");
        if (openssl_refused() != refused)
                good = err_memory(e);
        if (!good) {
                key_free(k);
                return false;
        }
        *ret = k;
        return true;
}

/* A plain PKCS#8 block of a usual key, which is what dcvd writes. OpenSSL's general reader first gathers every decoder
 * there is, for whatever it may find, at three times the cost. NULL: leave it to that. */
static EVP_PKEY *read_plain(const void *pem, size_t len)
{
        CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        struct passphrase none = { 0 };
        char *name = NULL;
        unsigned char *der = NULL;
        long der_len = 0;
        EVP_PKEY *pkey;
        if (!bio ||
                PEM_bytes_read_bio_secmem(&der, &der_len, &name, PEM_STRING_EVP_PKEY, bio, passphrase_answer, &none) !=
                        1)
                return NULL;
        const unsigned char *at = der, *end = der;
        const ASN1_OBJECT *algorithm = NULL;
        PKCS8_PRIV_KEY_INFO *info =
                strcmp(name, PEM_STRING_PKCS8INF) == 0 ? d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, der_len) : NULL;
        bool whole = info && end == der + der_len;
        pkey = whole ? curve_from_pkcs8(info) : NULL;
        if (!pkey && whole && PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info) == 1)
                pkey = d2i_PrivateKey(OBJ_obj2nid(algorithm), NULL, &at, der_len);
        PKCS8_PRIV_KEY_INFO_free(info);
        OPENSSL_secure_clear_free(der, (size_t)der_len);
        OPENSSL_secure_free(name);
        enum key_type type = pkey_type(pkey);
        if (type != KEY_NONE && type != KEY_OTHER && type != KEY_SM2)
                return pkey;
        EVP_PKEY_free(pkey);
        return NULL;
}

bool key_read_pem(const void *pem, size_t len, const struct secret *passphrase, struct key **ret, struct err *e)
{
        if (len > KEY_PEM_MAX)
                return err_set(e, ERR_CONFIG, "key.size", "a private key file is at most %d bytes", KEY_PEM_MAX);
        CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        struct passphrase p = { .secret = passphrase };
        unsigned refused = openssl_refused();
        if (!bio)
                return err_memory(e);
        EVP_PKEY *pkey = read_plain(pem, len);
        openssl_clear();
        if (!pkey)
                pkey = PEM_read_bio_PrivateKey(bio, NULL, passphrase_answer, &p);
        return take(pkey, pkey || not_read(&p, e), refused, ret, e);
}

bool key_read_der(const void *der, size_t len, struct key **ret, struct err *e)
{
        const unsigned char *at = der;
        unsigned refused = openssl_refused();
        if (len > KEY_PEM_MAX)
                return err_set(e, ERR_CONFIG, "key.size", "a private key file is at most %d bytes", KEY_PEM_MAX);
        openssl_clear();
        EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &at, (long)len);
        bool whole = pkey && at == (const unsigned char *)der + len;
        return take(pkey, whole || openssl_err(e, ERR_CONFIG, "key.format", "not a private key in DER form"), refused,
                ret, e);
}

/* OpenSSL's own writer stops at 2,048 rounds. */
static bool write_encrypted(BIO *bio, EVP_PKEY *pkey, const struct secret *passphrase)
{
        if (passphrase->len > INT_MAX)
                return false;
        PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(pkey);
        X509_ALGOR *pbe = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), PBKDF2_ROUNDS, NULL, SALT_LEN, NULL, NID_hmacWithSHA256);
        X509_SIG *sealed =
                plain && pbe ? PKCS8_set0_pbe((const char *)passphrase->data, (int)passphrase->len, plain, pbe) : NULL;
        if (!sealed)
                X509_ALGOR_free(pbe); /* else it is part of sealed */
        bool good = sealed && PEM_write_bio_PKCS8(bio, sealed) == 1;
        X509_SIG_free(sealed);
        PKCS8_PRIV_KEY_INFO_free(plain);
        return good;
}

static bool write_plain(BIO *bio, EVP_PKEY *pkey)
{
        PKCS8_PRIV_KEY_INFO *info = curve_to_pkcs8(pkey);
        bool good = info && PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1;
        PKCS8_PRIV_KEY_INFO_free(info);
        openssl_clear();
        return good;
}

bool key_write_pem(const struct key *k, const struct secret *passphrase, struct secret *ret, struct err *e)
{
        CLEANUP(bio_free_p) BIO *bio = BIO_new(BIO_s_secmem());
        if (!bio)
                return err_memory(e);
        if (passphrase && !passphrase->data)
                return err_set(e, ERR_BUG, "key.passphrase", "an empty passphrase would not protect the key");
        openssl_clear();
        bool good = passphrase ? write_encrypted(bio, k->pkey, passphrase) : write_plain(bio, k->pkey);
        if (!good && !passphrase) {
                (void)BIO_reset(bio); /* a memory BIO cannot fail at that */
                good = PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) == 1;
        }
        return good ? secret_from_bio(bio, ret, e)
                    : openssl_err(e, ERR_TEMPORARY, "key.write", "encoding a private key");
}
