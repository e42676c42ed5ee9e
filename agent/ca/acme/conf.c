/* What a CA of type acme may be told. Apart from what it does, for dcvd-helper, which reads the configuration and asks
 * no CA. */
#include "agent/ca/acme/conf.h"

#include <string.h>

#include "agent/base/util.h"
#include "config/yaml.h"

const char *const acme_eab_algorithms[] = { "HS256", "HS384", "HS512", NULL };
static const struct conf_key eab_keys[] = {
        { .name = "kid", .type = CONF_TEXT, .offset = offsetof(struct acme_eab, kid), .required = true },
        { .name = "hmac_key", .type = CONF_SECRET, .offset = offsetof(struct acme_eab, hmac_key), .required = true },
        { .name = "algorithm",
                .type = CONF_WORD,
                .offset = offsetof(struct acme_eab, algorithm),
                .words = acme_eab_algorithms,
                .otherwise = "HS256" },
        { .name = NULL },
};

/* RFC 8555 section 7.3: mailto, one address each, no header fields. */
static const char *contact_fault(const char *text)
{
        const char *at = text_starts(text, "mailto:") ? strchr(text + 7, '@') : NULL;
        bool good = at && at > text + 7 && at[1] && !strpbrk(text, ",? \t\r\n") && strlen(text) < 300;
        return good ? NULL : "is not understood";
}

static bool contacts_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, contact_fault, "one address each, as mailto:ops@example.com");
}

static const char *challenge_fault(const char *text)
{
        static const char *const known[] = { "dns-01", "dns-account-01", "dns-persist-01" };
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (strcmp(text, known[i]) == 0)
                        return NULL;
        return "is not known";
}

static bool challenges_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, challenge_fault, "dns-01, dns-account-01, dns-persist-01");
}

const struct conf_key acme_keys[] = {
        { .name = "directory", .type = CONF_URL, .offset = offsetof(struct acme_conf, directory), .required = true },
        { .name = "staging", .type = CONF_URL, .offset = offsetof(struct acme_conf, staging) },
        { .name = "contact",
                .type = CONF_TEXTS,
                .offset = offsetof(struct acme_conf, contact),
                .max = 10,
                .parse = contacts_check },
        { .name = "terms_agreed", .type = CONF_BOOL, .offset = offsetof(struct acme_conf, terms_agreed) },
        { .name = "eab", .type = CONF_STRUCT, .offset = offsetof(struct acme_conf, eab), .sub = eab_keys },
        { .name = "profile", .type = CONF_TEXT, .offset = offsetof(struct acme_conf, profile) },
        { .name = "preferred_profile", .type = CONF_TEXT, .offset = offsetof(struct acme_conf, preferred_profile) },
        { .name = "preferred_chain", .type = CONF_TEXT, .offset = offsetof(struct acme_conf, preferred_chain) },
        { .name = "caa", .type = CONF_TEXTS, .offset = offsetof(struct acme_conf, caa), .min = 0, .max = 20 },
        { .name = "challenges",
                .type = CONF_TEXTS,
                .offset = offsetof(struct acme_conf, challenges),
                .max = 3,
                .parse = challenges_check },
        { .name = "ca_bundle", .type = CONF_PATH, .offset = offsetof(struct acme_conf, ca_bundle) },
        { .name = "internal", .type = CONF_BOOL, .offset = offsetof(struct acme_conf, internal) },
        { .name = NULL },
};

bool acme_check(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p)
{
        const struct acme_conf *c = parsed;
        if (c->profile && c->preferred_profile) {
                conf_problem_at(p, node ? node->file : "", node ? node->line : 0, node ? node->column : 0, path,
                        "has profile and preferred_profile; profile is ordered or nothing is, preferred_profile only "
                        "where it is offered");
                return false;
        }
        return true;
}
