#ifndef DCVD_DEPLOY_CHECK_DEPLOY_H
#define DCVD_DEPLOY_CHECK_DEPLOY_H

#include "validators/check.h"

extern const struct check *const deploy_checks[]; /* of this host, ended by NULL */

#endif
