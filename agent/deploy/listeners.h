/* Local listening TCP sockets, for `verify: auto`. */
#ifndef DCVD_DEPLOY_LISTENERS_H
#define DCVD_DEPLOY_LISTENERS_H

#include "agent/net/address.h"

/* From /proc/net/tcp and tcp6: addresses with their ports; unspecified addresses become loopback; at most max,
 * duplicates dropped. Returns how many. */
size_t listeners_find(struct address *ret, size_t max);
/* One line of those files; false if it is no listening socket. */
bool listener_parse(const char *line, sa_family_t family, struct address *ret);

#endif
