/* What a CA calls itself in CAA records. */
#ifndef DCVD_VALIDATORS_CHECK_IDENTITY_H
#define DCVD_VALIDATORS_CHECK_IDENTITY_H

#include "validators/check.h"

/* As configured or typed; else as the CA's ACME directory says (caaIdentities); else the built-in table. NULL: not
 * known yet (then c->open grew) or not to be known: why. NULL-terminated. */
const char *const *check_issuers(struct check_context *c, const char **ret_why);

#endif
