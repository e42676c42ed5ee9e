/* What the files on revocation share, for this room only. */
#ifndef DCVD_PKI_REVOCATION_INTERNAL_H
#define DCVD_PKI_REVOCATION_INTERNAL_H

#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/revocation.h"

struct revocation_pair {
        X509 *cert, *issuer;
};
/* Both read, and the one issued by the other. */
bool revocation_read_subject(const struct revocation_subject *s, struct revocation_pair *ret, struct err *e);
void revocation_pair_done(struct revocation_pair *p);
bool revocation_time(const ASN1_TIME *t, int64_t *ret);

#endif
