/* Single certificates, for this room only. */
#ifndef DCVD_PKI_CERT_INTERNAL_H
#define DCVD_PKI_CERT_INTERNAL_H

#include <openssl/x509.h>

#include "agent/pki/chain.h"

/* The certificate that is exactly these bytes. */
bool cert_parse(const uint8_t *der, size_t len, X509 **ret, struct err *e);
/* The same for a tenth of the cost, for whoever reads names, times and extensions or asks cert_fill and cert_issued_by:
 * X509_get0_pubkey and X509_digest may find nothing in it. Its key is one that cert_parse would have read. */
bool cert_parse_fields(const uint8_t *der, size_t len, X509 **ret, struct err *e);
/* The type of a key that stands there in its usual form and can be read; KEY_NONE: any other, OpenSSL must say. */
enum key_type public_type(const X509_PUBKEY *public);
bool cert_fill(X509 *x, const uint8_t *der, size_t len, struct cert_info *ret, struct err *e);
/* By name, key identifiers and signature; either may be without its key. */
bool cert_issued_by(X509 *cert, X509 *issuer);
void cert_free_p(X509 **x);
/* One CERTIFICATE block of a text. False without e set (kind ERR_NONE): no more blocks. *at moves behind the block. */
bool pem_next(const char **at, const char *end, uint8_t **ret_der, size_t *ret_len, struct err *e);

#endif
