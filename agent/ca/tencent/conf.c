/* What a CA of type tencent may be told. */
#include "agent/ca/tencent/conf.h"

#include <string.h>

#include "agent/base/util.h"
#include "config/yaml.h"

const struct conf_key tencent_keys[] = {
        { .name = "endpoint",
                .type = CONF_URL,
                .offset = offsetof(struct tencent_conf, endpoint),
                .otherwise = "https://ssl.tencentcloudapi.com" },
        { .name = "secret_id",
                .type = CONF_SECRET,
                .offset = offsetof(struct tencent_conf, secret_id),
                .required = true },
        { .name = "secret_key",
                .type = CONF_SECRET,
                .offset = offsetof(struct tencent_conf, secret_key),
                .required = true },
        { .name = "token", .type = CONF_SECRET, .offset = offsetof(struct tencent_conf, token) },
        { .name = "ca_bundle", .type = CONF_PATH, .offset = offsetof(struct tencent_conf, ca_bundle) },
        { .name = NULL },
};

const char *const tencent_key_types[] = { "rsa-2048", "rsa-4096", "ec-p256", "ec-p384", "sm2", NULL };

/* The signature covers the path "/": an endpoint with another one would be refused by every call. */
bool tencent_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p)
{
        const struct tencent_conf *c = parsed;
        const char *host = c->endpoint ? strstr(c->endpoint, "://") : NULL;
        const char *slash = host ? strchr(host + 3, '/') : NULL;

        (void)node;
        if (!slash || !slash[1])
                return true;
        conf_problem_at(p, node ? node->file : "", node ? node->line : 0, node ? node->column : 0, path,
                "the endpoint %s has a path; only https://HOST is allowed", c->endpoint);
        return false;
}
