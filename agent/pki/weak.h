/* Keys that can be computed from their public half, or that no CA may certify (Baseline Requirements 6.1.1.3, 6.1.5,
 * 6.1.6), and how lists of burnt keys name a key. */
#ifndef DCVD_PKI_WEAK_H
#define DCVD_PKI_WEAK_H

#include "agent/base/err.h"
#include "agent/pki/key.h"

/* ERR_RULE; code "key.roca", "key.close-primes", "key.small-factor" (the private half can be computed), "key.size",
 * "key.exponent", "key.curve", "key.point" (not fit for use). A kind of key that has no rule here is good. */
bool key_check_strength(const struct key *k, struct err *e);
bool cert_check_strength(const uint8_t *der, size_t len, struct err *e);
bool request_check_strength(const void *pem, size_t len, struct err *e); /* of a CSR */
bool weak_is_computable(const struct err *e); /* of the first three */

/* The DER SubjectPublicKeyInfo of a certificate; allocated. */
bool cert_public_der(const uint8_t *der, size_t len, uint8_t **ret, size_t *ret_len, struct err *e);

/* How badkeys lists name a key: SHA-256 over the number that makes it (RSA modulus, EC x, Ed25519 bytes), without
 * leading zeros. False: a kind of key those lists do not have. */
bool cert_list_hash(const uint8_t *der, size_t len, uint8_t ret[32]);

#endif
