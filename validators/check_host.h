/* What the checks of H and A share: the addresses of a name as a CA's resolver would find them, and what this host is.
 */
#ifndef DCVD_VALIDATORS_CHECK_HOST_H
#define DCVD_VALIDATORS_CHECK_HOST_H

#include "validators/check.h"

#define CHECK_HOST_ADDRESSES 32

struct check_host_addresses {
        struct address list[CHECK_HOST_ADDRESSES]; /* port 0, IPv6 first */
        size_t count;
        char error[200]; /* count 0: why; "" if it simply has none */
};
/* A name or a numeric address. False: not known yet. */
bool check_host_addresses(struct check_context *c, const char *host, struct check_host_addresses *ret);
/* The same for the host of a URL. */
bool check_host_of_url(struct check_context *c, const char *url, struct check_host_addresses *ret);

bool check_host_has_v6(void); /* an address beyond the link */
bool check_host_is_public(void); /* an interface has a public address */
bool check_host_owns(const struct address *a); /* it is an interface's own */

#endif
