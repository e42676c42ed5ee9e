/* The settings of publishers of type rfc2136. */
#ifndef DCVD_VALIDATORS_RFC2136_H
#define DCVD_VALIDATORS_RFC2136_H

#include "config/schema.h"

#define RFC2136_PORT 53

struct tsig_conf {
        char *name;
        int algorithm;
        struct secret_ref secret;
};
struct rfc2136_conf {
        char *server, *zone;
        struct tsig_conf tsig;
        int64_t ttl;
};
extern const struct conf_key rfc2136_keys[];

#endif
