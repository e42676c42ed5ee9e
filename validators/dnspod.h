/* The settings of publishers of type dnspod. */
#ifndef DCVD_VALIDATORS_DNSPOD_H
#define DCVD_VALIDATORS_DNSPOD_H

#include "config/schema.h"

struct dnspod_conf {
        struct secret_ref secret_id, secret_key, token;
        char *endpoint, *ca_bundle;
        int64_t ttl;
};
extern const struct conf_key dnspod_keys[];
bool dnspod_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);

#endif
