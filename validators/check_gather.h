/* What several checks share: reading answers, asking one server of a zone. */
#ifndef DCVD_VALIDATORS_CHECK_GATHER_H
#define DCVD_VALIDATORS_CHECK_GATHER_H

#include "validators/check.h"

#define ADDRESS_LIST_MAX 32
struct address_list {
        struct address item[ADDRESS_LIST_MAX];
        size_t count;
};
void address_list_add(struct address_list *l, const struct address *a); /* each once; port ignored */
bool address_lists_equal(const struct address_list *a, const struct address_list *b);
void address_list_text(const struct address_list *l, char *ret, size_t size); /* "none" if empty */

/* All A and AAAA of the answer section. */
void answer_addresses(const struct dns_message *m, struct address_list *ret);
/* The target of a CNAME that name owns. */
bool answer_alias(const struct dns_message *m, const char *name, char ret[DNS_NAME_TEXT]);
/* Names in the answer section, of NS or CNAME records that owner has; each once. */
void answer_names(const struct dns_message *m, const char *owner, uint16_t type, struct texts *ret);
bool answer_has(const struct dns_message *m, const char *owner, uint16_t type); /* in the answer section */
/* "SERVFAIL", "SERVFAIL (signature expired)", "does not answer over UDP": one answer for people; a ring of buffers. */
const char *answer_text(const struct check_answer *a);
const char *ede_text(int code); /* RFC 8914; NULL if not known */

/* check_dns over UDP, then TCP, at server i; not asked if it is known to be silent over both. */
const struct check_answer *check_server(
        struct check_context *c, const struct check_zone *z, size_t i, const char *name, uint16_t type, unsigned flags);
bool check_is_silent(const struct check_answer *a); /* timed out, or not to be reached */
/* Has this host a route to such an address at all? Without one nothing is said against a server. */
bool host_reaches(const struct address *a);

#endif
