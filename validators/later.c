/* Publishers of later builds: their settings are known and checked, their use is refused. */
#include "agent/base/util.h"
#include "config/schema.h"
#include "validators/publisher.h"

extern const struct publisher_ops publisher_exec;

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
