/* Certificates as they come from CAs and people: any order, junk between, CRLF. And the rules a new certificate must meet before it is
 * installed: one function, chain_check. */
#ifndef DCVD_PKI_CHAIN_H
#define DCVD_PKI_CHAIN_H

#include "agent/base/buf.h"
#include "agent/base/secret.h"
#include "agent/pki/key.h"

#define CHAIN_PEM_MAX 262144 /* 256 KiB */
#define CHAIN_CERTS_MAX 10

struct cert_info {
        char sha256[65];   /* of the DER */
        char sha1[41];
        char spki_hex[65];
        char *serial_hex;  /* lower case, no separators, no leading "00" octet */
        char *subject, *issuer; /* RFC 2253 text, escaped */
        struct texts names;     /* SAN DNS names (lower case, wildcards kept) and addresses (canonical text); CN if no SAN */
        int64_t not_before_s, not_after_s;
        enum key_type key_type;
        bool is_ca;
        bool organization;      /* its subject names who it belongs to: OV, EV */
};
struct chain {
        struct cert_info leaf;
        char *cert_pem;      /* the leaf alone, LF, ends in a newline */
        char *chain_pem;     /* intermediates, leaf's issuer first, root dropped; "" if none */
        char *fullchain_pem; /* cert_pem + chain_pem */
        size_t count;        /* certificates in fullchain_pem */
        bool orphan;         /* others came with the leaf, none of which issued it */
        uint8_t *leaf_der;
        size_t leaf_der_len;
};

/* Finds every CERTIFICATE block, drops duplicates and junk, puts the leaf first and each issuer after its subject (by signature).
 * want_spki_hex chooses the leaf where several are possible (NULL: the one that no other issues... the only non-CA). */
bool chain_read(const void *text, size_t len, const char *want_spki_hex, struct chain *ret, struct err *e);
bool chain_from_der(const uint8_t *der, size_t len, struct cert_info *ret, struct err *e); /* one certificate: what a look brought */
bool chain_copy(const struct chain *c, struct chain *ret, struct err *e);
void chain_done(struct chain *c);
/* Of a chain as a CA sent it: the last certificate's issuer has this common name. */
bool chain_ends_below(const void *text, size_t len, const char *common_name);
/* How renewal information names a certificate (RFC 9773 section 4.1): authority key identifier and serial number.
 * ERR_CONFIG "cert.ari": it has no such identifier. Allocated. */
bool cert_renewal_id(const uint8_t *der, size_t len, char **ret, struct err *e);
/* At least one CERTIFICATE block, and no block of another kind. */
bool chain_has_only_certificates(const void *text, size_t len);
void cert_info_done(struct cert_info *c);

struct chain_rules {
        const char *spki_hex;       /* our key's; the leaf must carry it */
        const struct texts *names;  /* every one must be covered; an extra name beyond them and extra_ok is refused */
        const struct texts *extra_ok; /* names the CA is known to add (www.); NULL: none */
        int64_t now_s;
        int64_t not_after_s;        /* expected end, compared to the second (R6); 0: any */
        const char *old_sha256;     /* the certificate being replaced; the new one must differ; NULL: none */
        const char *issuer_like;    /* fragment of the issuer's text that must appear; NULL: any */
};
/* ERR_PROTOCOL with a code per rule: "cert.key", "cert.name-missing", "cert.name-extra", "cert.expired", "cert.not-yet" (ERR_TEMPORARY with
 * retry_after_s = until valid, when below 1 h: the CA's clock may be ahead), "cert.end", "cert.same", "cert.issuer", "cert.ca", "cert.usage",
 * "cert.chain" (an intermediate does not sign, or nothing of what came with the certificate issued it). */
bool chain_check(const struct chain *c, const struct chain_rules *r, struct err *e);
/* Is name (host or address) covered by these names? One wildcard label, leftmost (RFC 6125). */
bool names_cover(const struct texts *names, const char *name);
bool names_same(const struct texts *a, const struct texts *b); /* as sets, without case */

/* PKCS#12 of key and chain, AES-256, for servers that want it. */
bool chain_pkcs12(const struct chain *c, const struct key *k, const struct secret *passphrase, struct secret *ret, struct err *e);

#endif
