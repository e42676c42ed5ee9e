/* What a publisher of type exec may be told. */
#include "agent/base/util.h"
#include "config/yaml.h"
#include "validators/exec.h"

bool exec_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p)
{
        const struct exec_conf *x = parsed;
        CLEANUP(free_p) char *at = text_format("%s.cleanup", path);
        if (!x->cleanup.count || x->protocol == EXEC_CERTBOT)
                return true;
        conf_problem_at(p, node->file, node->line, node->column, at ? at : path,
                "belongs to protocol certbot, which has two hooks; the others call one command for both");
        return false;
}

static const char *const protocols[] = { "lego", "lego-raw", "certbot", "dehydrated", "uacme", NULL };
const struct conf_key exec_keys[] = {
        { .name = "command", .type = CONF_COMMAND, .offset = offsetof(struct exec_conf, command), .required = true },
        { .name = "cleanup", .type = CONF_COMMAND, .offset = offsetof(struct exec_conf, cleanup) },
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
