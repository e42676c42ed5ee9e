/* The section `alerts` but for its detectors: who may report a compromised key over HTTP, and how that is told from
 * anybody else. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

#define SECRETS_MAX 8

/* In the order of enum conf_alert_format. */
static const char *const format_words[] = { "standard-webhooks", "github", "gitguardian", "alertmanager", "generic",
        NULL };
static const char *const domain_words[] = { "notify", "reissue", "ignore", NULL };

struct secret_list {
        struct secret_ref *item;
        size_t count;
};
struct raw { /* as the table reads it */
        struct conf_webhook hook;
        struct secret_list secrets;
};

static bool one_secret(const struct yaml_node *node, const char *path, struct secret_ref *ret, struct conf_problems *p)
{
        static const struct conf_key key = { .name = "secret", .type = CONF_SECRET };
        const struct conf_value v = { .node = node, .key = &key, .path = path, .at = ret, .p = p };

        return value_read(&v);
}

/* One secret, or several while they are being changed. */
static bool secrets_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct secret_list *list = target;
        size_t count = node->kind == YAML_LIST ? node->count : 1;
        bool good = true;

        if (count == 0 || count > SECRETS_MAX)
                return problem_node(p, node, path, "holds %zu secrets; 1 to %d", count, SECRETS_MAX);
        list->item = calloc(count, sizeof *list->item);
        if (!list->item) {
                problem_memory(p);
                return false;
        }
        for (; list->count < count; list->count++) {
                const struct yaml_node *item = node->kind == YAML_LIST ? node->item[list->count] : node;
                CLEANUP(free_p)
                char *at = node->kind == YAML_LIST ? path_index(path, list->count) : text_dup(path);
                good &= one_secret(item, at ? at : path, &list->item[list->count], p);
        }
        return good;
}

/* {spki_sha256: LABEL, ...}: which label of an Alertmanager rule carries which of our fields. */
static bool labels_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const char *const fields[] = { "spki_sha256", "modulus_sha256", "cert_sha256", "cert_sha1", "serial",
                "serial_decimal", "issuer", "cert_id", "domain", "pem" };
        struct conf_webhook *hook = CONTAINER_OF(target, struct conf_webhook, label_ours);
        bool good = true;

        if (node->kind != YAML_MAP)
                return problem_node(p, node, path, "is not a map; {spki_sha256: LABEL, domain: LABEL}");
        for (size_t i = 0; i < node->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, node->key[i]);
                size_t f = 0;
                while (f < ARRAY_LEN(fields) && strcmp(fields[f], node->key[i]) != 0)
                        f++;
                if (f == ARRAY_LEN(fields))
                        good = problem_node(p, node->item[i], at,
                                "is not a fact that is known; spki_sha256, modulus_sha256, cert_sha256, cert_sha1, "
                                "serial, serial_decimal, issuer, cert_id, domain, pem");
                else if (node->item[i]->kind != YAML_SCALAR || !node->item[i]->text[0])
                        good = problem_node(p, node->item[i], at, "is not the name of a label");
                else if (!texts_add(&hook->label_ours, node->key[i]) ||
                        !texts_add(&hook->label_theirs, node->item[i]->text)) {
                        problem_memory(p);
                        return false;
                }
        }
        return good;
}

static bool header_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const char also[] = "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

        (void)target;
        return (strlen(node->text) <= 64 && node->text[strspn(node->text, also)] == '\0') ||
                problem_node(p, node, path, "is not the name of a header; X-Signature");
}

#define HOOK(member) offsetof(struct raw, hook.member)
const struct conf_key webhook_keys[] = {
        { .name = "format", .type = CONF_WORD, .offset = HOOK(format), .required = true, .words = format_words },
        { .name = "secret",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct raw, secrets),
                .required = true,
                .parse = secrets_parse,
                .allowed = "{file: PATH}, {credential: NAME} or {env: NAME}, or a list of them" },
        { .name = "token", .type = CONF_SECRET, .offset = HOOK(token) },
        { .name = "api", .type = CONF_URL, .offset = HOOK(api), .otherwise = "https://api.github.com" },
        { .name = "header",
                .type = CONF_TEXT,
                .offset = HOOK(header),
                .otherwise = "X-Signature",
                .parse = header_check },
        { .name = "labels",
                .type = CONF_CUSTOM,
                .offset = HOOK(label_ours),
                .parse = labels_parse,
                .allowed = "a map of our facts to names of labels",
                .shape = "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}" },
        { .name = NULL },
};

static void hook_done(struct conf_webhook *h)
{
        free(h->name);
        free(h->api);
        free(h->header);
        for (size_t i = 0; i < h->secret_count; i++)
                secret_ref_done(&h->secret[i]);
        free(h->secret);
        secret_ref_done(&h->token);
        texts_done(&h->label_ours);
        texts_done(&h->label_theirs);
}

void webhooks_done(struct conf_webhook_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                hook_done(&list->item[i]);
        free(list->item);
        *list = (struct conf_webhook_list){ 0 };
}

static bool belongs(
        const struct yaml_node *map, const char *path, const struct conf_webhook *h, struct conf_problems *p)
{
        static const struct {
                const char *key;
                int format;
        } only[] = { { "token", CONF_ALERT_GITHUB }, { "api", CONF_ALERT_GITHUB }, { "header", CONF_ALERT_GENERIC },
                { "labels", CONF_ALERT_ALERTMANAGER } };
        bool good = true;

        for (size_t i = 0; i < ARRAY_LEN(only); i++) {
                const struct yaml_node *node = yaml_get(map, only[i].key);
                CLEANUP(free_p) char *at = path_join(path, only[i].key);
                if (node && h->format != only[i].format)
                        good = problem_node(p, node, at, "belongs to format: %s", format_words[only[i].format]);
        }
        return good;
}

static bool read_hook(
        const struct yaml_node *map, const char *name, const char *path, void *target, struct conf_problems *p)
{
        struct conf_webhook *ret = target;
        struct raw raw = { 0 };
        bool good = (name_is_safe(name) && strcmp(name, "proof") != 0) ||
                problem_node(p, map, path,
                        "is not a good name; at most 64 letters, digits, . _ -, no leading dot, and not proof");

        good &= conf_read(map, webhook_keys, path, &raw, p, NULL);
        good = good && belongs(map, path, &raw.hook, p);
        *ret = raw.hook;
        ret->secret = raw.secrets.item;
        ret->secret_count = raw.secrets.count;
        ret->name = text_dup(name);
        if (!ret->name)
                problem_memory(p);
        return good && ret->name;
}

static bool webhooks_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_webhook_list *list = target;
        void *items = NULL;
        bool good = named_parse(node, path, CONF_WEBHOOKS_MAX, sizeof *list->item, read_hook, &items, &list->count, p);

        list->item = items;
        return good;
}

static bool is_net(const char *text)
{
        CLEANUP(free_p) char *net = text_dup(text);
        char *slash = net ? strchr(net, '/') : NULL;
        int64_t bits;

        if (!slash)
                return syntax_is_address(text);
        *slash = '\0';
        return syntax_is_address(net) && parse_i64(slash + 1, 0, strchr(net, ':') ? 128 : 32, &bits);
}

static const char *net_fault(const char *text)
{
        return is_net(text) ? NULL : "is neither an address nor a network";
}

static bool proxies_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, net_fault, "\"192.0.2.1\" or \"10.0.0.0/8\"");
}

/* Offsets count from the whole configuration. */
const struct conf_key alerts_keys[] = {
        { .name = "listen",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, intake.listen),
                .max = 16,
                .parse = listen_parse },
        { .name = "proofs", .type = CONF_BOOL, .offset = offsetof(struct conf, intake.proofs), .otherwise = "true" },
        { .name = "trusted_proxies",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, intake.trusted_proxies),
                .max = 64,
                .parse = proxies_check },
        { .name = "webhooks",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf, intake.webhooks),
                .parse = webhooks_parse,
                .sub = webhook_keys,
                .shape = "{\"type\":\"object\",\"additionalProperties\":@}" },
        { .name = "on_domain_alert",
                .type = CONF_WORD,
                .offset = offsetof(struct conf, on_domain_alert),
                .words = domain_words,
                .otherwise = "notify" },
        { .name = "detectors", .type = CONF_STRUCT, .sub = detector_keys },
        { .name = NULL },
};

const struct conf_webhook *config_webhook(const struct conf *c, const char *name)
{
        for (size_t i = 0; i < c->intake.webhooks.count; i++)
                if (strcmp(c->intake.webhooks.item[i].name, name) == 0)
                        return &c->intake.webhooks.item[i];
        return NULL;
}
