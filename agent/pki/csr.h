/* Certificate signing requests (PKCS#10, RFC 2986). */
#ifndef DCVD_PKI_CSR_H
#define DCVD_PKI_CSR_H

#include "agent/base/buf.h"
#include "agent/pki/key.h"

struct csr_request {
        const char *common_name; /* NULL: empty subject (ACME) */
        const struct texts *names; /* SANs: DNS names and numeric addresses, in this order */
        const char *sm2_id;      /* distinguishing id for SM2 signatures; NULL: "1234567812345678" (GM/T 0009) */
};
bool csr_make(const struct key *k, const struct csr_request *r, char **ret_pem, struct err *e);

struct csr {
        struct texts names; /* SANs, lower case; the common name added if absent */
        char *common_name;  /* NULL if none */
        char *subject;      /* RFC 2253 text of the whole subject, to compare */
        enum key_type key_type;
        char spki_hex[65];
        char der_sha256[65];
        uint8_t *der;
        size_t der_len;
};
/* Reads PEM (at most 64 KiB) and checks its own signature. */
bool csr_read(const void *pem, size_t len, struct csr *ret, struct err *e);
void csr_done(struct csr *c);
/* The bytes alone, allocated: of a request that csr_make made or csr_read has read, which nothing is checked of again. */
bool csr_der(const void *pem, size_t len, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
