/* What a report may name a certificate or its key by (specs: an alert says it in many ways). */
#ifndef DCVD_PKI_CERT_MATCH_H
#define DCVD_PKI_CERT_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct cert_names_of_key { /* SHA-256 in hex; "" where it does not apply */
        char spki[65]; /* an elliptic point uncompressed */
        char spki_compressed[65];
        char modulus[65]; /* of an RSA key: big-endian, without leading zero octets */
        char aki[129]; /* the authority key identifier itself, in hex */
};
bool cert_key_names(const uint8_t *der, size_t len, struct cert_names_of_key *ret, struct err *e);
/* Is this the issuer's name? text: RFC 2253 ("CN=R3,O=Let's Encrypt,C=US"), or with slashes ("/C=US/O=.../CN=R3"), in
 * either order; compared as names are (case and blanks do not matter), never as text. */
bool cert_issuer_is(const uint8_t *der, size_t len, const char *text);

#endif
