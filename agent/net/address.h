/* Numeric addresses and "host:port" texts. */
#ifndef DCVD_NET_ADDRESS_H
#define DCVD_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

#define ADDRESS_TEXT 64 /* bytes for "[v6]:port" with its NUL */

struct address {
        sa_family_t family; /* AF_INET, AF_INET6 */
        uint16_t port; /* host order; 0 = not said */
        union {
                struct in_addr v4;
                struct in6_addr v6;
        } ip;
};

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53". No names. */
bool address_parse(const char *text, uint16_t default_port, struct address *ret);
void address_text(
        const struct address *a, bool with_port, char ret[ADDRESS_TEXT]); /* v6 in brackets only with a port */
bool address_equal(const struct address *a, const struct address *b); /* port included */
socklen_t address_sockaddr(const struct address *a, struct sockaddr_storage *ret);
bool address_from_sockaddr(const struct sockaddr *sa, struct address *ret);
/* Its name in the reverse zone: "1.2.0.192.in-addr.arpa". */
#define ADDRESS_REVERSE_TEXT 80
void address_reverse_name(const struct address *a, char ret[ADDRESS_REVERSE_TEXT]);
bool address_is_loopback(const struct address *a);
bool address_is_public(const struct address *a); /* not in an IANA special-purpose registry */
bool address_in_net(const struct address *a, const char *cidr); /* "10.0.0.0/8"; false also for a bad net */

/* Splits "host:port" or "[v6]:port"; ret_host is allocated, without brackets. Port 1..65535, required. */
bool hostport_split(const char *text, char **ret_host, uint16_t *ret_port, struct err *e);

#endif
