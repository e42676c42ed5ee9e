/* Sections whose work this build does not have: their keys are known and checked, so that a mistake is found now and a
 * configuration that only needs a newer build is told apart from a wrong one. */
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

#define HOUR_MS (INT64_C(3600) * 1000)

static const char *const alert_format_words[] = { "standard-webhooks", "github", NULL };
static const char *const domain_alert_words[] = { "notify", "reissue", "ignore", NULL };
static const char *const event_words[] = { "failed", "waiting", "opened", "served", "stuck", "expiring", "done", NULL };

struct webhook {
        int format;
        struct secret_ref secret, token;
};
struct notify_target {
        struct texts command, on;
        int64_t repeat_ms;
};

const struct conf_key webhook_keys[] = {
        { .name = "format",
                .type = CONF_WORD,
                .offset = offsetof(struct webhook, format),
                .required = true,
                .words = alert_format_words },
        { .name = "secret", .type = CONF_SECRET, .offset = offsetof(struct webhook, secret), .required = true },
        { .name = "token", .type = CONF_SECRET, .offset = offsetof(struct webhook, token) },
        { .name = NULL },
};

/* Reads every entry of a map of names with one table, into a scratch struct that is dropped. */
static bool each_named(const struct yaml_node *map, const char *path, const struct conf_key *keys, void *scratch,
        size_t size, struct conf_problems *p)
{
        bool good = true;

        if (map->kind != YAML_MAP)
                return problem_node(p, map, path, "is not a map; a map of names is wanted");
        for (size_t i = 0; i < map->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, map->key[i]);
                if (!name_is_safe(map->key[i]))
                        good = problem_node(p, map->item[i], at, "is not a good name; letters, digits, . _ -");
                memset(scratch, 0, size);
                good &= conf_read(map->item[i], keys, at, scratch, p, NULL);
                conf_clear(keys, scratch);
        }
        return good;
}

bool webhooks_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct webhook scratch;

        (void)target;
        return each_named(node, path, webhook_keys, &scratch, sizeof scratch, p);
}

static bool events_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct texts *on = target;
        size_t known = ARRAY_LEN(event_words) - 1;
        bool good = true;

        for (size_t i = 0; i < on->count; i++) {
                size_t w = 0;
                while (w < known && strcmp(event_words[w], on->item[i]) != 0)
                        w++;
                if (w == known)
                        good = problem_node(p, node->kind == YAML_LIST ? node->item[i] : node, path,
                                "is not a known event; failed, waiting, opened, served, stuck, expiring, done");
        }
        return good;
}

const struct conf_key notify_keys[] = {
        { .name = "command",
                .type = CONF_COMMAND,
                .offset = offsetof(struct notify_target, command),
                .required = true },
        { .name = "on", .type = CONF_TEXTS, .offset = offsetof(struct notify_target, on), .parse = events_check },
        { .name = "repeat",
                .type = CONF_DURATION,
                .offset = offsetof(struct notify_target, repeat_ms),
                .otherwise = "6h",
                .min = 60000,
                .max = 720 * HOUR_MS },
        { .name = NULL },
};

bool notify_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct notify_target scratch;

        (void)target;
        return each_named(node, path, notify_keys, &scratch, sizeof scratch, p);
}

static bool blocklists_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct texts *list = target;
        bool good = true;

        for (size_t i = 0; i < list->count; i++)
                if (syntax_path(list->item[i]))
                        good = problem_node(p, node->kind == YAML_LIST ? node->item[i] : node, path,
                                "%s; absolute paths", syntax_path(list->item[i]));
        return good;
}

#define DETECTOR(member) offsetof(struct conf_alerts, detectors.member)
static const struct conf_key detector_keys[] = {
        { .name = "revocation",
                .type = CONF_DURATION,
                .offset = DETECTOR(revocation_ms),
                .otherwise = "1h",
                .min = 60000,
                .max = 720 * HOUR_MS },
        { .name = "served",
                .type = CONF_DURATION,
                .offset = DETECTOR(served_ms),
                .otherwise = "10m",
                .min = 10000,
                .max = 720 * HOUR_MS },
        { .name = "key_files",
                .type = CONF_DURATION,
                .offset = DETECTOR(key_files_ms),
                .otherwise = "1h",
                .min = 10000,
                .max = 720 * HOUR_MS },
        { .name = "blocklists", .type = CONF_TEXTS, .offset = DETECTOR(blocklists), .parse = blocklists_check },
        { .name = NULL },
};
const struct conf_key alerts_keys[] = {
        { .name = "listen",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf_alerts, listen),
                .max = 16,
                .parse = listen_parse },
        { .name = "proofs", .type = CONF_BOOL, .offset = offsetof(struct conf_alerts, proofs), .otherwise = "true" },
        { .name = "webhooks",
                .type = CONF_CUSTOM,
                .parse = webhooks_parse,
                .sub = webhook_keys,
                .shape = "{\"type\":\"object\",\"additionalProperties\":@}" },
        { .name = "on_domain_alert",
                .type = CONF_WORD,
                .offset = offsetof(struct conf_alerts, on_domain_alert),
                .words = domain_alert_words,
                .otherwise = "notify" },
        { .name = "detectors", .type = CONF_STRUCT, .sub = detector_keys },
        { .name = NULL },
};
