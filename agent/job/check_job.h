/* The checks of this room judge what the daemon said (action_check), handed in as a target's `more`. */
#ifndef DCVD_JOB_CHECK_JOB_H
#define DCVD_JOB_CHECK_JOB_H

#include <jansson.h>

#include "validators/check.h"

struct check_said { /* by the daemon, of one certificate */
        json_t *facts; /* NULL: it did not say */
        char why[300]; /* not, then */
        bool unknown; /* a daemon runs, and its configuration has no such certificate */
};
extern const struct check *const job_checks[]; /* ended by NULL */

#endif
