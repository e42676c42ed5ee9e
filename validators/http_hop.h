/* One request as a CA makes it, and everything its answer showed: a fact of a run, asked once per URL, address and
 * headers. */
#ifndef DCVD_VALIDATORS_HTTP_HOP_H
#define DCVD_VALIDATORS_HTTP_HOP_H

#include "validators/check.h"
#include "validators/http_evidence.h"

/* host, agent: other headers than a CA's; NULL: as usual. NULL: not known yet. */
const struct http_hop *check_http_hop(
        struct check_context *c, const char *url, const struct address *at, const char *host, const char *agent);

#endif
