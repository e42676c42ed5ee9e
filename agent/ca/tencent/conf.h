/* The settings of CAs of type tencent. */
#ifndef DCVD_CA_TENCENT_CONF_H
#define DCVD_CA_TENCENT_CONF_H

#include "agent/base/secret.h"
#include "config/schema.h"

struct tencent_conf {
        char *endpoint;
        struct secret_ref secret_id, secret_key, token;
        char *ca_bundle;
};
extern const struct conf_key tencent_keys[];
extern const char *const tencent_key_types[];
bool tencent_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);

#endif
