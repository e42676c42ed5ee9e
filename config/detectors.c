/* The part `detectors` of the section `alerts`: what this host looks for by itself, and how often. A section `alerts`
 * without it has the usual ones; no section, none. */
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

#define MINUTE_MS (INT64_C(60) * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define OFF (-1) /* as read; afterwards 0 */

/* A duration, or off. */
static bool interval_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const struct conf_key key = {
                .name = "interval", .type = CONF_DURATION, .min = 10000, .max = 720 * HOUR_MS
        };
        const struct conf_value v = { .node = node, .key = &key, .path = path, .at = target, .p = p };

        if (node->kind == YAML_SCALAR && strcmp(node->text, "off") == 0) {
                *(int64_t *)target = OFF;
                return true;
        }
        return value_read(&v);
}

static void interval_print(struct buf *out, const void *target)
{
        char text[32];

        duration_text(*(const int64_t *)target, text, sizeof text);
        buf_add(out, *(const int64_t *)target ? text : "\"off\"");
}

static bool blocklists_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, syntax_path, "absolute paths");
}

#define INTERVAL(key, member)                                                                                          \
        {                                                                                                              \
                .name = key, .type = CONF_CUSTOM, .offset = offsetof(struct conf, detectors.member),                   \
                .parse = interval_parse, .print = interval_print, .shape = "{\"type\":\"string\"}",                    \
                .allowed = "a duration from 10s to 30d, or off"                                                        \
        }
/* Offsets count from the whole configuration. */
const struct conf_key detector_keys[] = {
        INTERVAL("revocation", revocation_ms),
        INTERVAL("served", served_ms),
        INTERVAL("key_files", key_files_ms),
        INTERVAL("exposed", exposed_ms),
        INTERVAL("keys", keys_ms),
        INTERVAL("pwnedkeys", pwnedkeys_ms),
        { .name = "blocklists",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, detectors.blocklists),
                .max = 16,
                .parse = blocklists_check },
        { .name = NULL },
};

static void settle(int64_t *member, int64_t usual_ms)
{
        *member = *member == OFF ? 0 : *member ? *member : usual_ms;
}

void detectors_settle(struct conf *c, bool given)
{
        struct conf_detectors *d = &c->detectors;

        settle(&d->revocation_ms, given ? HOUR_MS : 0);
        settle(&d->served_ms, given ? 10 * MINUTE_MS : 0);
        settle(&d->key_files_ms, given ? HOUR_MS : 0);
        settle(&d->exposed_ms, given ? 24 * HOUR_MS : 0);
        settle(&d->keys_ms, given ? HOUR_MS : 0);
        settle(&d->pwnedkeys_ms, 0); /* it tells a third party which keys are here */
}
