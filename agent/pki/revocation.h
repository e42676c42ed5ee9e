/* Does its CA say that a certificate is revoked? By the list (CRL, RFC 5280) or the answer (OCSP, RFC 6960) that the
 * certificate itself points to. What is not signed by the issuer, meant for other certificates or too old is no answer.
 */
#ifndef DCVD_PKI_REVOCATION_H
#define DCVD_PKI_REVOCATION_H

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define REVOCATION_SLACK_S 300 /* clocks differ */

/* Where to ask: http URLs of the certificate. */
struct revocation_places {
        struct texts crl; /* each is one place with the same list, in order of preference; empty: none */
        char *ocsp; /* NULL: none */
};
bool revocation_places(const uint8_t *der, size_t len, struct revocation_places *ret, struct err *e);
void revocation_places_done(struct revocation_places *p);

struct revocation_answer {
        bool revoked;
        int reason; /* RFC 5280 code; -1: not said */
        int64_t revoked_at_s; /* 0: not revoked */
        int64_t this_update_s, next_update_s; /* next 0: newer answers are always there (OCSP) */
};
/* The certificate in question and its issuer, both DER. */
struct revocation_subject {
        const uint8_t *cert, *issuer;
        size_t cert_len, issuer_len;
};
/* crl: DER or PEM, fetched from url (NULL: no distribution point is compared). ERR_PROTOCOL "crl.signature",
 * "crl.issuer", "crl.shard" (it is for other certificates), "crl.format"; ERR_TEMPORARY "crl.stale". */
bool crl_check(const void *crl, size_t len, const char *url, const struct revocation_subject *s, int64_t now_s,
        struct revocation_answer *ret, struct err *e);
/* The request to POST; allocated. */
bool ocsp_request(const struct revocation_subject *s, uint8_t **ret, size_t *ret_len, struct err *e);
/* ERR_PROTOCOL "ocsp.signature", "ocsp.format"; ERR_TEMPORARY "ocsp.stale", "ocsp.status" (try later, unknown). */
bool ocsp_check(const void *answer, size_t len, const struct revocation_subject *s, int64_t now_s,
        struct revocation_answer *ret, struct err *e);
const char *revocation_reason_name(int reason); /* "keyCompromise"; "no reason given" */

/* The first certificate of a PEM chain as DER: the issuer of the leaf that the chain belongs to. Allocated. */
bool chain_first_der(const char *pem, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
