/* What CheckCertificateDomainVerification says, in words. Pure. */
#ifndef DCVD_CA_TENCENT_CHECK_H
#define DCVD_CA_TENCENT_CHECK_H

#include <jansson.h>

#include "agent/ca/tencent/model.h"

/* A line per domain: "www.example.com: TXT record not found (found: nothing); the CA has not validated it yet". */
bool tc_check_text(const json_t *response, struct buf *ret);
/* YES: every domain is validated at the CA. UNKNOWN: nothing was said (throttled, or no results). */
enum tc_known tc_check_validated(const json_t *response);

#endif
