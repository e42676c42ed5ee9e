/* What a publisher of type dnspod may be told. */
#include "validators/dnspod.h"

#include <string.h>

#include "agent/base/util.h"
#include "config/yaml.h"

/* The signature covers the path "/": an endpoint with another one would be refused by every call. */
bool dnspod_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p)
{
        const struct dnspod_conf *c = parsed;
        const char *host = c->endpoint ? strstr(c->endpoint, "://") : NULL,
                   *slash = host ? strchr(host + 3, '/') : NULL;
        if (!slash || !slash[1])
                return true;
        conf_problem_at(
                p, node->file, node->line, node->column, path, "the endpoint has a path; only https://HOST is allowed");
        return false;
}

const struct conf_key dnspod_keys[] = {
        { .name = "secret_id",
                .type = CONF_SECRET,
                .offset = offsetof(struct dnspod_conf, secret_id),
                .required = true },
        { .name = "secret_key",
                .type = CONF_SECRET,
                .offset = offsetof(struct dnspod_conf, secret_key),
                .required = true },
        { .name = "token", .type = CONF_SECRET, .offset = offsetof(struct dnspod_conf, token) },
        { .name = "endpoint",
                .type = CONF_URL,
                .offset = offsetof(struct dnspod_conf, endpoint),
                .otherwise = "https://dnspod.tencentcloudapi.com" },
        { .name = "ca_bundle", .type = CONF_PATH, .offset = offsetof(struct dnspod_conf, ca_bundle) },
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct dnspod_conf, ttl),
                .otherwise = "600",
                .min = 1,
                .max = 604800 },
        { 0 },
};
