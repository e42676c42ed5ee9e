/* The chain of reissues: ReplacedFor and ReplacedBy followed to the newest member, whichever field on whichever end
 * names the other. Pure. */
#ifndef DCVD_CA_TENCENT_CHAIN_H
#define DCVD_CA_TENCENT_CHAIN_H

#include "agent/ca/tencent/model.h"

#define TC_CHAIN_MAX 128

struct tc_chain {
        struct tc_cert *member; /* owned */
        size_t count, cap;
        struct texts gone; /* named by a link, not to be had: deleted */
};
void tc_chain_done(struct tc_chain *c);
bool tc_chain_add_own(struct tc_chain *c,
        struct tc_cert *cert); /* takes it (left empty); one already known is dropped; false: memory, full */
/* An id that a link names and that was neither read nor found missing; NULL: all are known. */
const char *tc_chain_next(const struct tc_chain *c);
void tc_chain_sort(struct tc_chain *c); /* oldest first: by application time, then by what the links say */
const struct tc_cert *tc_chain_find(const struct tc_chain *c, const char *id);
/* The newest issued member; NULL if none is. After tc_chain_sort. */
const struct tc_cert *tc_chain_head(const struct tc_chain *c);
/* A member newer than head whose order may still be issued: the newest such; NULL if none. */
const struct tc_cert *tc_chain_running(const struct tc_chain *c, const struct tc_cert *head);
bool tc_cert_is_issued(const struct tc_cert *c); /* status 1, or 11 on one that has a certificate */
bool tc_cert_links(const struct tc_cert *a, const struct tc_cert *b); /* one names the other */

#endif
