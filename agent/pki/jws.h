/* JSON Web Keys and Signatures as ACME wants them: RFC 7515 (flattened form), RFC 7518, RFC 7638. */
#ifndef DCVD_PKI_JWS_H
#define DCVD_PKI_JWS_H

#include "agent/pki/key.h"

/* "ES256", "ES384", "RS256"; NULL: no key that signs these. */
const char *jws_algorithm(const struct key *k);
/* The public key in the one form whose hash is the thumbprint: required members, sorted, no blanks. Allocated. */
bool jwk_public(const struct key *k, char **ret, struct err *e);
/* base64url(SHA-256(jwk_public)). Allocated. */
bool jwk_thumbprint(const struct key *k, char **ret, struct err *e);
/* {"payload":..,"protected":..,"signature":..} over two texts that are JSON already; payload "" is that of a
 * POST-as-GET. Allocated. */
bool jws_sign(struct key *k, const char *header, const char *payload, char **ret, struct err *e);
/* The same with HMAC-SHA-256, for external account binding (RFC 8555 section 7.3.4). */
bool jws_mac(const char *algorithm, const struct secret *key, const char *header, const char *payload, char **ret,
        struct err *e);

#endif
