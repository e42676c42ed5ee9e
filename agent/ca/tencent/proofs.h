/* DvAuths, as the CA gives them, to proofs that can be published. What is given is taken, nothing is assumed; what
 * breaks the grammar of tokens is refused whole. Pure. */
#ifndef DCVD_CA_TENCENT_PROOFS_H
#define DCVD_CA_TENCENT_PROOFS_H

#include <stdbool.h>
#include <stddef.h>

#include "validators/proof.h"

struct err;
struct tc_cert;

/* ret: allocated array (NULL and 0 if nothing is asked for). */
bool tc_proofs(const struct tc_cert *c, struct proof **ret, size_t *ret_count, struct err *e);
void tc_proofs_free(struct proof *list, size_t count);
bool tc_cert_asks(const struct tc_cert *c); /* anything to publish */

#endif
