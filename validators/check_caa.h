/* The levels of a name as its CAA records are looked up, for every check that asks whether some CA may issue. */
#ifndef DCVD_VALIDATORS_CHECK_CAA_H
#define DCVD_VALIDATORS_CHECK_CAA_H

#include "validators/caa.h"
#include "validators/check.h"

#define CHECK_CAA_LEVELS 32
/* From c->base up to its top-level domain; ret has CHECK_CAA_LEVELS places, of which *ret_count are filled
 * (caa_level_done each, whatever is returned). What servers disagree on is judged into out (C12). False: not all is
 * known yet. */
bool check_caa_levels(struct check_context *c, struct caa_level *ret, size_t *ret_count, struct judgements *out);
const char *check_method_name(const struct check_target *t); /* as the CA calls it: "dns-01" */

#endif
