#include "agent/net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"

bool address_parse(const char *text, uint16_t default_port, struct address *ret)
{
        char host[ADDRESS_TEXT];
        struct address a = { .port = default_port };
        const char *port = NULL, *end, *colon = strchr(text, ':');
        size_t len = strlen(text);
        bool bracketed = text[0] == '[';
        if (bracketed) {
                end = strchr(text, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return false;
                port = end[1] ? end + 2 : NULL;
                len = (size_t)(end - ++text);
        } else if (colon && !strchr(colon + 1, ':')) {
                port = colon + 1;
                len = (size_t)(colon - text);
        }
        if (len == 0 || len >= sizeof host)
                return false;
        memcpy(host, text, len);
        host[len] = '\0';
        int64_t number;
        if (port) {
                if (!parse_i64(port, 1, 65535, &number))
                        return false;
                a.port = (uint16_t)number;
        }
        if (!bracketed && inet_pton(AF_INET, host, &a.ip.v4) == 1)
                a.family = AF_INET;
        else if (inet_pton(AF_INET6, host, &a.ip.v6) == 1)
                a.family = AF_INET6;
        else
                return false;
        *ret = a;
        return true;
}

void address_text(const struct address *a, bool with_port, char ret[ADDRESS_TEXT])
{
        char host[INET6_ADDRSTRLEN] = "?";
        (void)inet_ntop(a->family, &a->ip, host, sizeof host); /* "?" for a family that is none */
        if (!with_port)
                snprintf(ret, ADDRESS_TEXT, "%s", host);
        else
                snprintf(ret, ADDRESS_TEXT, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, a->port);
}

static size_t ip_len(const struct address *a)
{
        return a->family == AF_INET6 ? sizeof a->ip.v6 : sizeof a->ip.v4;
}

void address_reverse_name(const struct address *a, char ret[ADDRESS_REVERSE_TEXT])
{
        const uint8_t *byte = (const uint8_t *)&a->ip;
        int at = 0;
        for (size_t i = ip_len(a); i-- > 0;)
                at += a->family == AF_INET6
                        ? snprintf(ret + at, (size_t)(ADDRESS_REVERSE_TEXT - at), "%x.%x.", byte[i] & 15, byte[i] >> 4)
                        : snprintf(ret + at, (size_t)(ADDRESS_REVERSE_TEXT - at), "%u.", byte[i]);
        snprintf(ret + at, (size_t)(ADDRESS_REVERSE_TEXT - at), a->family == AF_INET6 ? "ip6.arpa" : "in-addr.arpa");
}

bool address_equal(const struct address *a, const struct address *b)
{
        return a->family == b->family && a->port == b->port && memcmp(&a->ip, &b->ip, ip_len(a)) == 0;
}

socklen_t address_sockaddr(const struct address *a, struct sockaddr_storage *ret)
{
        memset(ret, 0, sizeof *ret);
        if (a->family == AF_INET6) {
                struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
                in6->sin6_family = AF_INET6;
                in6->sin6_port = htons(a->port);
                in6->sin6_addr = a->ip.v6;
                return sizeof *in6;
        }
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        in->sin_addr = a->ip.v4;
        return sizeof *in;
}

bool address_from_sockaddr(const struct sockaddr *sa, struct address *ret)
{
        *ret = (struct address){ .family = sa->sa_family };
        if (sa->sa_family == AF_INET) {
                ret->ip.v4 = ((const struct sockaddr_in *)sa)->sin_addr;
                ret->port = ntohs(((const struct sockaddr_in *)sa)->sin_port);
                return true;
        }
        if (sa->sa_family != AF_INET6)
                return false;
        ret->ip.v6 = ((const struct sockaddr_in6 *)sa)->sin6_addr;
        ret->port = ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
        return true;
}

bool address_in_net(const struct address *a, const char *cidr)
{
        char net[ADDRESS_TEXT];
        const char *slash = strchr(cidr, '/');
        size_t len = slash ? (size_t)(slash - cidr) : strlen(cidr);
        uint8_t y[sizeof a->ip] = { 0 };
        int64_t most = (int64_t)ip_len(a) * 8, bits = most;
        if (len >= sizeof net)
                return false;
        memcpy(net, cidr, len);
        net[len] = '\0';
        if (inet_pton(a->family, net, y) != 1 || (slash && !parse_i64(slash + 1, 0, most, &bits)))
                return false;
        const uint8_t *x = (const uint8_t *)&a->ip;
        size_t whole = (size_t)bits / 8;
        unsigned rest = (unsigned)bits % 8, mask = rest ? 0xffu << (8 - rest) & 0xffu : 0;
        return memcmp(x, y, whole) == 0 && (rest == 0 || ((x[whole] ^ y[whole]) & mask) == 0);
}

bool address_is_loopback(const struct address *a)
{
        return address_in_net(a, "127.0.0.0/8") || address_in_net(a, "::1/128") ||
                address_in_net(a, "::ffff:127.0.0.0/104");
}

/* IANA IPv4 and IPv6 Special-Purpose Address Registries. Of IPv6 only 2000::/3 is given out at all, so that nothing
 * outside it has to be listed; behind the NAT64 prefix lies an IPv4 address, which is judged itself. */
bool address_is_public(const struct address *a)
{
        static const char *const special[] = { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
                "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
                "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23",
                "2001:db8::/32", "2002::/16", "3fff::/20" };
        if (address_in_net(a, "64:ff9b::/96")) {
                struct address v4 = { .family = AF_INET };
                memcpy(&v4.ip.v4, a->ip.v6.s6_addr + 12, sizeof v4.ip.v4);
                return address_is_public(&v4);
        }
        if (a->family != AF_INET && !address_in_net(a, "2000::/3"))
                return false;
        for (size_t i = 0; i < ARRAY_LEN(special); i++)
                if (address_in_net(a, special[i]))
                        return false;
        return true;
}

bool hostport_split(const char *text, char **ret_host, uint16_t *ret_port, struct err *e)
{
        const char *colon = strrchr(text, ':'), *host = text;
        size_t len = colon ? (size_t)(colon - text) : 0;
        int64_t port;
        bool bracketed = text[0] == '[' && len > 2 && text[len - 1] == ']';
        if (bracketed) {
                host = text + 1;
                len -= 2;
        }
        if (len == 0 || (!bracketed && (memchr(host, ':', len) || host[0] == '[')) ||
                !parse_i64(colon + 1, 1, 65535, &port))
                return err_set(e, ERR_CONFIG, "endpoint",
                        "\"%.80s\" is not host:port; addresses with colons stand in brackets", text);
        char *copy = text_dup_n(host, len);
        if (!copy)
                return err_memory(e);
        *ret_host = copy;
        *ret_port = (uint16_t)port;
        return true;
}
