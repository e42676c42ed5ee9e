/* The inside of struct key, for this room only. */
#ifndef DCVD_PKI_KEY_INTERNAL_H
#define DCVD_PKI_KEY_INTERNAL_H

#include <openssl/evp.h>

#include "agent/pki/key.h"

struct key {
        EVP_PKEY *pkey;
};
/* Adds the text of the newest OpenSSL error to e and empties the queue. Returns false. */
bool openssl_err(struct err *e, int kind, const char *code, const char *what);
/* SPKI hash of any public key, point form made uncompressed. */
bool spki_hex(EVP_PKEY *pkey, char ret[65], struct err *e);
enum key_type pkey_type(const EVP_PKEY *pkey);

#endif
