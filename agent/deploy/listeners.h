/* Local listening TCP sockets: for `verify: auto`, and to tell who has port 80. */
#ifndef DCVD_DEPLOY_LISTENERS_H
#define DCVD_DEPLOY_LISTENERS_H

#include "agent/net/address.h"

/* From /proc/net/tcp and tcp6: addresses with their ports; unspecified addresses become loopback; at most max,
 * duplicates dropped. Returns how many. */
size_t listeners_find(struct address *ret, size_t max);
/* One line of those files; false if it is no listening socket. ret_inode: of the socket; NULL allowed. */
bool listener_parse(const char *line, sa_family_t family, struct address *ret, unsigned long *ret_inode);

struct listener {
        struct address address; /* as it is bound: unspecified ones too */
        unsigned long inode;
};
enum listener_state { LISTENER_ABSENT, LISTENER_THERE, LISTENER_UNKNOWN /* /proc/net shows nothing at all */ };
/* Who takes connections to this address and port: the socket bound to it, else one bound to every address ([::] also
 * for IPv4: whether it takes both, /proc does not say). */
enum listener_state listener_at(const struct address *at, struct listener *ret);
/* Does this socket take connections to that address? */
bool listener_takes(const struct address *bound, const struct address *at);
#define LISTENER_OWNER 40
/* The program that holds it, "nginx"; "" if this user may not see it. */
void listener_owner(const struct listener *l, char ret[LISTENER_OWNER]);

#endif
