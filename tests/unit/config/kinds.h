/* Types of CAs and publishers shaped like the real ones, whose tables other rooms own. */
#ifndef DCVD_TEST_CONFIG_KINDS_H
#define DCVD_TEST_CONFIG_KINDS_H

#include "config/config.h"

struct test_tencent {
        char *endpoint;
        struct secret_ref secret_id, secret_key, token;
};
static const struct conf_key test_tencent_keys[] = {
        { .name = "endpoint",
                .type = CONF_URL,
                .offset = offsetof(struct test_tencent, endpoint),
                .otherwise = "https://ssl.tencentcloudapi.com" },
        { .name = "secret_id",
                .type = CONF_SECRET,
                .offset = offsetof(struct test_tencent, secret_id),
                .required = true },
        { .name = "secret_key",
                .type = CONF_SECRET,
                .offset = offsetof(struct test_tencent, secret_key),
                .required = true },
        { .name = "token", .type = CONF_SECRET, .offset = offsetof(struct test_tencent, token) },
        { .name = NULL },
};

struct test_acme {
        char *directory, *staging, *profile, *preferred_chain, *ca_bundle, *kid;
        struct secret_ref hmac_key;
        struct texts contact, caa;
        bool terms_agreed, internal;
};
static const struct conf_key test_eab_keys[] = {
        { .name = "kid", .type = CONF_TEXT, .offset = offsetof(struct test_acme, kid), .required = true },
        { .name = "hmac_key", .type = CONF_SECRET, .offset = offsetof(struct test_acme, hmac_key), .required = true },
        { .name = NULL },
};
static const struct conf_key test_acme_keys[] = {
        { .name = "directory", .type = CONF_URL, .offset = offsetof(struct test_acme, directory), .required = true },
        { .name = "staging", .type = CONF_URL, .offset = offsetof(struct test_acme, staging) },
        { .name = "contact", .type = CONF_TEXTS, .offset = offsetof(struct test_acme, contact) },
        { .name = "terms_agreed", .type = CONF_BOOL, .offset = offsetof(struct test_acme, terms_agreed) },
        { .name = "eab", .type = CONF_STRUCT, .sub = test_eab_keys },
        { .name = "profile", .type = CONF_TEXT, .offset = offsetof(struct test_acme, profile) },
        { .name = "preferred_chain", .type = CONF_TEXT, .offset = offsetof(struct test_acme, preferred_chain) },
        { .name = "caa", .type = CONF_TEXTS, .offset = offsetof(struct test_acme, caa) },
        { .name = "ca_bundle", .type = CONF_PATH, .offset = offsetof(struct test_acme, ca_bundle) },
        { .name = "internal", .type = CONF_BOOL, .offset = offsetof(struct test_acme, internal), .otherwise = "false" },
        { .name = NULL },
};

static const char *const test_tsig_words[] = { "hmac-sha256", "hmac-sha512", NULL };
struct test_rfc2136 {
        char *server, *tsig_name;
        int tsig_algorithm;
        struct secret_ref tsig_secret;
        int64_t ttl;
};
static const struct conf_key test_tsig_keys[] = {
        { .name = "name", .type = CONF_TEXT, .offset = offsetof(struct test_rfc2136, tsig_name), .required = true },
        { .name = "algorithm",
                .type = CONF_WORD,
                .offset = offsetof(struct test_rfc2136, tsig_algorithm),
                .words = test_tsig_words,
                .otherwise = "hmac-sha256" },
        { .name = "secret",
                .type = CONF_SECRET,
                .offset = offsetof(struct test_rfc2136, tsig_secret),
                .required = true },
        { .name = NULL },
};
static const struct conf_key test_rfc2136_keys[] = {
        { .name = "server", .type = CONF_ADDRESS, .offset = offsetof(struct test_rfc2136, server) },
        { .name = "tsig", .type = CONF_STRUCT, .sub = test_tsig_keys },
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct test_rfc2136, ttl),
                .otherwise = "60",
                .min = 1,
                .max = 86400 },
        { .name = NULL },
};

struct test_dnspod {
        struct secret_ref secret_id, secret_key;
        int64_t ttl;
};
static const struct conf_key test_dnspod_keys[] = {
        { .name = "secret_id",
                .type = CONF_SECRET,
                .offset = offsetof(struct test_dnspod, secret_id),
                .required = true },
        { .name = "secret_key",
                .type = CONF_SECRET,
                .offset = offsetof(struct test_dnspod, secret_key),
                .required = true },
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct test_dnspod, ttl),
                .otherwise = "600",
                .min = 1,
                .max = 86400 },
        { .name = NULL },
};

static const char *const test_protocol_words[] = { "lego", "certbot", NULL };
struct test_exec {
        struct texts command;
        int protocol;
        int64_t timeout_ms;
};
static const struct conf_key test_exec_keys[] = {
        { .name = "command", .type = CONF_COMMAND, .offset = offsetof(struct test_exec, command), .required = true },
        { .name = "protocol",
                .type = CONF_WORD,
                .offset = offsetof(struct test_exec, protocol),
                .words = test_protocol_words,
                .required = true },
        { .name = "timeout",
                .type = CONF_DURATION,
                .offset = offsetof(struct test_exec, timeout_ms),
                .otherwise = "2m",
                .min = 1000,
                .max = 3600000 },
        { .name = NULL },
};

struct test_webroot {
        char *directory;
};
static const struct conf_key test_webroot_keys[] = {
        { .name = "directory",
                .type = CONF_PATH,
                .offset = offsetof(struct test_webroot, directory),
                .required = true },
        { .name = NULL },
};
static const struct conf_key test_no_keys[] = { { .name = NULL } };

#define TEST_ACME(words)                                                                                               \
        {                                                                                                              \
                .section = "cas", .type = "acme", .keys = test_acme_keys, .size = sizeof(struct test_acme),            \
                .can = CONF_CA_ISSUES | CONF_CA_RENEWS | CONF_CA_TLS_ALPN, .not_in_build = words                       \
        }
#define TEST_DNSPOD(words)                                                                                             \
        {                                                                                                              \
                .section = "publishers", .type = "dnspod", .keys = test_dnspod_keys,                                   \
                .size = sizeof(struct test_dnspod), .can = 3, .not_in_build = words                                    \
        }
#define TEST_EXEC(words)                                                                                               \
        {                                                                                                              \
                .section = "publishers", .type = "exec", .keys = test_exec_keys, .size = sizeof(struct test_exec),     \
                .can = 1, .not_in_build = words                                                                        \
        }
#define TEST_REST                                                                                                      \
        { .section = "cas",                                                                                            \
                .type = "tencent",                                                                                     \
                .keys = test_tencent_keys,                                                                             \
                .size = sizeof(struct test_tencent),                                                                   \
                .can = CONF_CA_REISSUES | CONF_CA_DNS_AUTO | CONF_CA_NEEDS_CERTIFICATE_ID,                             \
                .key_types = test_tencent_types },                                                                     \
                { .section = "publishers",                                                                             \
                        .type = "rfc2136",                                                                             \
                        .keys = test_rfc2136_keys,                                                                     \
                        .size = sizeof(struct test_rfc2136),                                                           \
                        .can = 3 },                                                                                    \
                { .section = "publishers",                                                                             \
                        .type = "webroot",                                                                             \
                        .keys = test_webroot_keys,                                                                     \
                        .size = sizeof(struct test_webroot),                                                           \
                        .can = 4 },                                                                                    \
                { .section = "publishers", .type = "responder", .keys = test_no_keys, .can = 12 },                      \
                { .section = "publishers", .type = "manual", .keys = test_no_keys, .can = 7, .by_person = true },      \
        {                                                                                                              \
                .section = NULL                                                                                        \
        }

static const char *const test_tencent_types[] = { "rsa-2048", "rsa-4096", "ec-p256", "ec-p384", "sm2", NULL };
/* A build that has every type, and one that lacks some. */
static const struct conf_kind test_all_kinds[] = { TEST_ACME(NULL), TEST_DNSPOD(NULL), TEST_EXEC(NULL), TEST_REST };
__attribute__((unused)) static const struct conf_kind test_some_kinds[] = { TEST_ACME("it would issue by RFC 8555"),
        TEST_DNSPOD("it would write DNSPod records"), TEST_EXEC("it would run a program"), TEST_REST };

#endif
