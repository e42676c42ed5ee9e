/* What the configuration says of a publisher of type exec; dcvd-helper finds the commands here. */
#ifndef DCVD_VALIDATORS_EXEC_H
#define DCVD_VALIDATORS_EXEC_H

#include "agent/base/buf.h"
#include "config/schema.h"

struct err;
struct proof;

enum exec_protocol { EXEC_LEGO, EXEC_LEGO_RAW, EXEC_CERTBOT, EXEC_DEHYDRATED, EXEC_UACME };
struct exec_conf {
        struct texts command, cleanup; /* cleanup: certbot's second hook; count 0: the same command */
        int protocol; /* enum exec_protocol */
        int64_t timeout_ms;
};
extern const struct conf_key exec_keys[];
bool exec_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);

/* What a hook is given: arguments and environment of a protocol. said: what publishing printed (certbot). ERR_CONFIG
 * "hook.protocol" where the protocol has no words for this proof. Pure. */
struct exec_words {
        struct texts args, env;
};
bool exec_words_make(enum exec_protocol protocol, const struct proof *proof, bool publish, const char *said,
        struct exec_words *ret, struct err *e);
void exec_words_done(struct exec_words *w);

#endif
