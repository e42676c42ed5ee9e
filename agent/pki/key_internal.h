/* The inside of struct key, for this room only. */
#ifndef DCVD_PKI_KEY_INTERNAL_H
#define DCVD_PKI_KEY_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "agent/pki/key.h"

/* GM/T 0009: the identity that goes into an SM2 signature when nothing else was agreed. */
#define SM2_ID "1234567812345678"
#define KEY_PEM_MAX 65536
/* RFC 8018, at a cost that slows a guesser down today. */
#define PBKDF2_ROUNDS 600000

struct key {
        EVP_PKEY *pkey;
        enum key_type type; /* pkey_type(pkey), which takes OpenSSL long to say */
        EVP_MD_CTX *signer; /* of jws_sign: ready to sign, and copied for each signature; NULL: none yet */
};
/* Adds the text of the newest OpenSSL error to e and empties the queue. Lack of memory since openssl_clear is told as
 * that, whatever the caller took it for: nobody gives up a key or a certificate over it. Returns false. */
bool openssl_err(struct err *e, int kind, const char *code, const char *what);
/* What an i2d_ function wrote, as memory that anybody can free. der is freed in any case. */
bool der_take(unsigned char *der, int len, uint8_t **ret, size_t *ret_len, struct err *e);
void openssl_clear(void); /* before the calls that openssl_err may have to explain */
/* How many allocations OpenSSL was refused in this thread so far: if it grew, what OpenSSL said meanwhile means
 * nothing. */
unsigned openssl_refused(void);
/* SPKI hash of any public key, point form made uncompressed. */
bool spki_hex(EVP_PKEY *pkey, char ret[65], struct err *e);
enum key_type pkey_type(const EVP_PKEY *pkey);
bool rsa_set_public(X509_PUBKEY *public, EVP_PKEY *pkey); /* false: another kind of key, or no memory */
/* key_curve.c: for keys on P-256 and P-384 alone. False or NULL: another key, another form, or no memory; OpenSSL's
 * general functions do it then, or say why not. */
bool curve_set_public(X509_PUBKEY *public, EVP_PKEY *pkey);
PKCS8_PRIV_KEY_INFO *curve_to_pkcs8(EVP_PKEY *pkey);
/* The point belongs to the scalar. What EVP_PKEY_pairwise_check asks besides, the order of the point, is that of any
 * multiple of the generator, and costs it four times as much. */
bool curve_parts_match(EVP_PKEY *pkey);
EVP_PKEY *curve_from_pkcs8(const PKCS8_PRIV_KEY_INFO *info);
/* What signs with this key: SHA-256, SHA-384 for P-384, SM3 for SM2, NULL where the algorithm brings its own. */
const EVP_MD *pkey_digest(EVP_PKEY *pkey);
const EVP_MD *key_digest(const struct key *k);
/* A request (X509_REQ) is signed by this key, with either SM2 identity. False: the error queue says why. */
bool csr_is_signed(X509_REQ *req, EVP_PKEY *pkey);
/* For OpenSSL calls that might ask the terminal: arg is the struct passphrase below. */
struct passphrase {
        const struct secret *secret; /* NULL: none */
        bool asked, too_long;
};
int passphrase_answer(char *buf, int size, int writing, void *arg);
/* The bytes a memory BIO holds, as a secret. */
bool secret_from_bio(BIO *bio, struct secret *ret, struct err *e);
void bio_free_p(BIO **bio);

#endif
