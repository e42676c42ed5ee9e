/* Publishers of later builds: their settings are known and checked, their use is refused. */
#include "agent/base/util.h"
#include "config/schema.h"
#include "validators/publisher.h"

struct dnspod_conf {
        struct secret_ref secret_id, secret_key, token;
        char *endpoint;
        int64_t ttl;
};
static const struct conf_key dnspod_keys[] = {
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
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct dnspod_conf, ttl),
                .otherwise = "600",
                .min = 1,
                .max = 604800 },
        { 0 },
};
extern const struct publisher_ops publisher_dnspod, publisher_exec;
const struct publisher_ops publisher_dnspod = {
        .type = "dnspod",
        .can = PROOF_TXT | PROOF_CNAME,
        .keys = dnspod_keys,
        .conf_size = sizeof(struct dnspod_conf),
        .not_in_build = "the DNSPod publisher",
};

struct exec_conf {
        struct texts command;
        int protocol;
        int64_t timeout_ms;
};
static const char *const protocols[] = { "lego", "lego-raw", "certbot", "dehydrated", "uacme", NULL };
static const struct conf_key exec_keys[] = {
        { .name = "command", .type = CONF_COMMAND, .offset = offsetof(struct exec_conf, command), .required = true },
        { .name = "protocol",
                .type = CONF_WORD,
                .offset = offsetof(struct exec_conf, protocol),
                .words = protocols,
                .otherwise = "lego" },
        { .name = "timeout",
                .type = CONF_DURATION,
                .offset = offsetof(struct exec_conf, timeout_ms),
                .otherwise = "2m",
                .min = 1000,
                .max = 3600000 },
        { 0 },
};
const struct publisher_ops publisher_exec = {
        .type = "exec",
        .can = PROOF_TXT | PROOF_CNAME | PROOF_FILE,
        .keys = exec_keys,
        .conf_size = sizeof(struct exec_conf),
        .not_in_build = "the exec publisher",
};
