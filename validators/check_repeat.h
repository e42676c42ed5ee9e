/* The same question several times in a row, over UDP and not repeated when unanswered: how many come back? (D17) */
#ifndef DCVD_VALIDATORS_CHECK_REPEAT_H
#define DCVD_VALIDATORS_CHECK_REPEAT_H

#include "validators/check.h"

struct repeat_count {
        unsigned sent, whole, truncated;
};
/* SOA of the apex, ten times in 150 ms; NULL: not known yet. sent 0: it could not be tried. */
const struct repeat_count *check_repeat(struct check_context *c, const struct address *server, const char *apex);

#endif
