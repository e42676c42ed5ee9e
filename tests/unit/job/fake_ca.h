/* A CA and a publisher of the tests: they answer from the loop, as told, and count. */
#ifndef DCVD_TEST_FAKE_CA_H
#define DCVD_TEST_FAKE_CA_H

#include "agent/ca/ca.h"
#include "validators/publisher.h"

struct fake_ca {
        /* what to do next time; each is used up */
        struct err inspect_err, order_err, view_err, validate_err, fetch_err, publish_err, retract_err;
        bool order_lost; /* processed, the answer lost */
        bool wrong_key; /* the certificate is for another key */
        bool person; /* a review stands between validation and issue, until approved */
        bool approved, closed;
        bool late_proofs; /* the first view has none */
        /* what happened */
        unsigned orders, inspects, views, validates, fetches, resolves, cancels,
                out; /* out: tokens that are published now */
        bool open, validated;
        char *csr;
        char exclusive[32]; /* "": none */
};
extern struct fake_ca fake_ca;
extern const struct ca_ops *const fake_cas[];
extern const struct publisher_ops *const fake_publishers[];
const struct conf_kind *fake_kinds(void);
void fake_ca_reset(void);

#endif
