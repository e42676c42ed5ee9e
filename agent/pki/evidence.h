/* What somebody brings to say that a key is compromised (specs/alerts.md section 4): a text that names a key, or one
 * that only who holds the key can make. Any encoding: PEM, DER, base64 of it, a JSON Web Signature. */
#ifndef DCVD_PKI_EVIDENCE_H
#define DCVD_PKI_EVIDENCE_H

#include "agent/pki/chain.h"

#define EVIDENCE_MAX 65536 /* bytes */

enum evidence_kind {
        EVIDENCE_NONE,
        /* These name a key and prove nothing. */
        EVIDENCE_CERTIFICATE,
        EVIDENCE_PUBLIC_KEY,
        EVIDENCE_REQUEST,
        /* These prove that whoever made them has the key. */
        EVIDENCE_PRIVATE_KEY, /* P1 */
        EVIDENCE_ATTESTATION, /* P2: a request as in draft-mpalmer-key-compromise-attestation */
        EVIDENCE_PHRASE, /* P3: a request whose subject says it */
        EVIDENCE_JWS, /* P4: a JSON Web Signature of the pwnedkeys form */
        EVIDENCE_STATEMENT, /* P5: a signature over a challenge of ours */
        EVIDENCE_REVOCATION, /* P6: an ACME revocation signed by the certificate's key */
        EVIDENCE_KINDS
};
const char *evidence_name(enum evidence_kind k); /* "private-key", "attestation" */
bool evidence_proves(enum evidence_kind k);

struct evidence {
        enum evidence_kind kind;
        char spki_hex[65];
        enum key_type key_type;
        struct cert_info cert; /* EVIDENCE_CERTIFICATE, EVIDENCE_REVOCATION; else empty */
};
struct evidence_asks { /* each may be NULL: then nothing is known */
        /* The DER SubjectPublicKeyInfo of this hash, allocated; false: not known here. */
        bool (*public_key)(void *arg, const char *spki_hex, uint8_t **ret_der, size_t *ret_len);
        /* Is this text a challenge of ours, and fresh? */
        bool (*challenge)(void *arg, const char *text, size_t len);
        void *arg;
};
/* A private key in it is tried, then forgotten; what data points to is the caller's to wipe.
 * ERR_CONFIG "evidence.format": nothing known, "evidence.encrypted", "evidence.signature": not signed by its key,
 * "evidence.digest": signed over MD5, SHA-1 or another weak digest, "evidence.key": a kind of key that no public
 * certificate has, "evidence.unknown-key": it names a key whose public part is not known here, "evidence.challenge":
 * what was signed is no fresh challenge of ours. */
bool evidence_read(const void *data, size_t len, const struct evidence_asks *asks, struct evidence *ret, struct err *e);
void evidence_done(struct evidence *v);

/* Serial number without leading zeros as lower-case hex, and authority key identifier as hex, of a renewal id
 * (RFC 9773). Both allocated. ERR_CONFIG "cert.ari": it is none. */
bool renewal_id_split(const char *id, char **ret_key_id_hex, char **ret_serial_hex, struct err *e);

#endif
