/* Single certificates, for this room only. */
#ifndef DCVD_PKI_CERT_INTERNAL_H
#define DCVD_PKI_CERT_INTERNAL_H

#include <openssl/x509.h>

#include "agent/pki/chain.h"

/* How OpenSSL reads a certificate with an RSA, P-256 or P-384 key in its usual form at a tenth of the cost, into an X509
 * like any other. It refuses the others; X509_it reads them. */
const ASN1_ITEM *cert_item(void);
/* The certificate that is exactly these bytes. */
bool cert_parse(const uint8_t *der, size_t len, X509 **ret, struct err *e);
/* A key of a certificate's own, as OpenSSL's general reader makes it, at ten times the cost: for whoever asks a point
 * for its coordinates or its other form, which X509_get0_pubkey may not tell. NULL: it cannot be read. */
EVP_PKEY *cert_pkey_general(const X509 *x);
bool cert_fill(X509 *x, const uint8_t *der, size_t len, struct cert_info *ret, struct err *e);
/* By name, key identifiers and signature. */
bool cert_issued_by(X509 *cert, X509 *issuer);
void cert_free_p(X509 **x);
/* One CERTIFICATE block of a text. False without e set (kind ERR_NONE): no more blocks. *at moves behind the block. */
bool pem_next(const char **at, const char *end, uint8_t **ret_der, size_t *ret_len, struct err *e);

#endif
