/* What Tencent Cloud would do of a revocation: may it be had, and what it takes. A pure function of what is known. */
#ifndef DCVD_CA_TENCENT_REVOCATION_H
#define DCVD_CA_TENCENT_REVOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/ca/tencent/model.h"

struct tc_revocation {
        const char *code; /* of the refusal, static; NULL: it may be revoked by itself */
        char text[400]; /* for people, in both cases */
};
/* other: its original or its reissue; NULL or "": what the certificate itself names as such. */
void tc_revocation_of(const struct tc_cert *c, const char *other, int64_t now_s, struct tc_revocation *ret);

#endif
