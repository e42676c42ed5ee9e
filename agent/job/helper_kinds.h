/* The kinds of the configuration for dcvd-helper. */
#ifndef DCVD_JOB_HELPER_KINDS_H
#define DCVD_JOB_HELPER_KINDS_H

#include "config/schema.h"

extern const struct conf_kind helper_kinds[]; /* ended by section NULL */

#endif
