/* The readers of single kinds of evidence, for this room only. */
#ifndef DCVD_PKI_EVIDENCE_INTERNAL_H
#define DCVD_PKI_EVIDENCE_INTERNAL_H

#include <jansson.h>
#include <openssl/evp.h>

#include "agent/pki/evidence.h"

/* A key that a public certificate may have (BR 6.1.5; Ed25519 and SM2 besides), of bounded size. Fills spki_hex and
 * key_type. */
bool evidence_take_key(EVP_PKEY *pkey, struct evidence *v, struct err *e);
/* Of a signature algorithm: a digest that nobody makes collisions for. */
bool evidence_digest_is_good(const X509_ALGOR *algorithm, struct err *e);
void pkey_free_p(EVP_PKEY **pkey);

/* evidence_csr.c: EVIDENCE_ATTESTATION, EVIDENCE_PHRASE or EVIDENCE_REQUEST. */
bool evidence_csr(const uint8_t *der, size_t len, struct evidence *v, struct err *e);
/* evidence_jws.c: EVIDENCE_JWS, EVIDENCE_REVOCATION. */
bool evidence_jws(const json_t *jws, const struct evidence_asks *asks, struct evidence *v, struct err *e);
/* evidence_statement.c: EVIDENCE_STATEMENT, as CMS or as {"statement", "signature", "certificate" or "public_key"}. */
bool evidence_cms(const uint8_t *der, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e);
bool evidence_signed(const json_t *o, const struct evidence_asks *asks, struct evidence *v, struct err *e);
/* evidence.c: a certificate or a public key in PEM. */
bool evidence_public_pem(const char *pem, struct evidence *v, EVP_PKEY **ret, struct err *e);

#endif
