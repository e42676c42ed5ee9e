#ifndef DCVD_CA_CHECK_CA_H
#define DCVD_CA_CHECK_CA_H

#include "validators/check.h"

extern const struct check *const ca_checks[]; /* ended by NULL */

#endif
