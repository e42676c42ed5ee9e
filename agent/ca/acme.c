/* ACME (RFC 8555): its settings are known and checked, so that a configuration can be written today. */
#include "agent/ca/ca.h"

struct acme_eab {
        char *kid;
        struct secret_ref hmac_key;
};
struct acme_conf {
        char *directory, *staging;
        struct texts contact;
        bool terms_agreed;
        struct acme_eab eab;
        char *profile, *preferred_chain;
        struct texts caa;
        char *ca_bundle;
        bool internal;
};

static const struct conf_key eab_keys[] = {
        { .name = "kid", .type = CONF_TEXT, .offset = offsetof(struct acme_eab, kid), .required = true },
        { .name = "hmac_key", .type = CONF_SECRET, .offset = offsetof(struct acme_eab, hmac_key), .required = true },
        { .name = NULL },
};

static const struct conf_key keys[] = {
        { .name = "directory", .type = CONF_URL, .offset = offsetof(struct acme_conf, directory), .required = true },
        { .name = "staging", .type = CONF_URL, .offset = offsetof(struct acme_conf, staging) },
        { .name = "contact", .type = CONF_TEXTS, .offset = offsetof(struct acme_conf, contact), .min = 0, .max = 10 },
        { .name = "terms_agreed", .type = CONF_BOOL, .offset = offsetof(struct acme_conf, terms_agreed) },
        { .name = "eab", .type = CONF_STRUCT, .offset = offsetof(struct acme_conf, eab), .sub = eab_keys },
        { .name = "profile", .type = CONF_TEXT, .offset = offsetof(struct acme_conf, profile) },
        { .name = "preferred_chain", .type = CONF_TEXT, .offset = offsetof(struct acme_conf, preferred_chain) },
        { .name = "caa", .type = CONF_TEXTS, .offset = offsetof(struct acme_conf, caa), .min = 0, .max = 20 },
        { .name = "ca_bundle", .type = CONF_PATH, .offset = offsetof(struct acme_conf, ca_bundle) },
        { .name = "internal", .type = CONF_BOOL, .offset = offsetof(struct acme_conf, internal) },
        { .name = NULL },
};

extern const struct ca_ops ca_acme;
const struct ca_ops ca_acme = {
        .type = "acme",
        .can = CONF_CA_ISSUES | CONF_CA_RENEWS | CONF_CA_TLS_ALPN,
        .keys = keys,
        .conf_size = sizeof(struct acme_conf),
        .not_in_build = "ACME",
};
