/* The settings of CAs of type acme. */
#ifndef DCVD_CA_ACME_CONF_H
#define DCVD_CA_ACME_CONF_H

#include "agent/base/buf.h"
#include "agent/base/secret.h"
#include "config/schema.h"

struct acme_eab {
        char *kid;
        struct secret_ref hmac_key;
        int algorithm; /* index into acme_eab_algorithms */
};
extern const char *const acme_eab_algorithms[]; /* "HS256" ... */
struct acme_conf {
        char *directory, *staging;
        struct texts contact;
        bool terms_agreed;
        struct acme_eab eab;
        char *profile, *preferred_profile, *preferred_chain;
        struct texts caa;
        struct texts challenges; /* for validation dns, the preferred one first; empty: dns-01, dns-account-01 */
        char *ca_bundle;
        bool internal;
};
extern const struct conf_key acme_keys[];
bool acme_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);

#endif
