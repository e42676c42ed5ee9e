/* The arithmetic, for this room and its tests. */
#ifndef DCVD_PKI_WEAK_INTERNAL_H
#define DCVD_PKI_WEAK_INTERNAL_H

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "agent/base/err.h"

bool weak_is_roca(const BIGNUM *n);
/* Fermat's method: rounds of trying whether n is a difference of squares that lie close together. */
bool weak_has_close_primes(const BIGNUM *n, unsigned rounds);
bool weak_has_small_factor(const BIGNUM *n); /* below 752 */
bool pkey_check_strength(EVP_PKEY *pkey, struct err *e);

#endif
