/* What a publisher of type rfc2136 may be told. Apart from what it does, for dcvd-helper, which reads the configuration
 * and publishes nothing by DNS. */
#include "validators/rfc2136.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"
#include "config/yaml.h"
#include "validators/tsig.h"

const char *const tsig_algorithms[] = { "hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384",
        "hmac-sha512", NULL };

/* A name as it stands in zones: letters, digits, - and _ in labels; the final dot may be there. */
static bool is_zone_name(const char *name, size_t len)
{
        char plain[256];
        if (len == 0 || len >= sizeof plain ||
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") < len)
                return false;
        memcpy(plain, name, len);
        plain[len - (name[len - 1] == '.')] = '\0';
        return plain[0] && dns_name_is_valid(plain);
}

static bool check_name(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *name = *(char **)target;
        if (is_zone_name(name, strlen(name)))
                return true;
        conf_problem_at(
                p, node->file, node->line, node->column, path, "is not a domain name; a name such as example.com");
        return false;
}

static bool check_server(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *server = *(char **)target;
        CLEANUP(free_p) char *host = NULL;
        struct address a;
        uint16_t port;
        bool good = address_parse(server, RFC2136_PORT, &a) ||
                (strchr(server, ':') ? hostport_split(server, &host, &port, NULL) : true);
        if (good && !address_parse(server, RFC2136_PORT, &a))
                good = is_zone_name(host ? host : server, strlen(host ? host : server));
        if (good)
                return true;
        conf_problem_at(p, node->file, node->line, node->column, path,
                "is no name server; an address or a host name, each with or without port: \"192.0.2.1:53\", "
                "ns1.example.com");
        return false;
}

static const struct conf_key tsig_keys[] = {
        { .name = "name",
                .type = CONF_TEXT,
                .offset = offsetof(struct tsig_conf, name),
                .required = true,
                .parse = check_name },
        { .name = "algorithm",
                .type = CONF_WORD,
                .offset = offsetof(struct tsig_conf, algorithm),
                .words = tsig_algorithms,
                .otherwise = "hmac-sha256" },
        { .name = "secret", .type = CONF_SECRET, .offset = offsetof(struct tsig_conf, secret), .required = true },
        { 0 },
};
const struct conf_key rfc2136_keys[] = {
        { .name = "server", .type = CONF_TEXT, .offset = offsetof(struct rfc2136_conf, server), .parse = check_server },
        { .name = "zone", .type = CONF_TEXT, .offset = offsetof(struct rfc2136_conf, zone), .parse = check_name },
        { .name = "tsig", .type = CONF_STRUCT, .offset = offsetof(struct rfc2136_conf, tsig), .sub = tsig_keys },
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct rfc2136_conf, ttl),
                .otherwise = "60",
                .min = 1,
                .max = 604800 },
        { 0 },
};
