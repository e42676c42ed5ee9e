/* --print-schema: JSON Schema (draft 2020-12), made from the key tables that also read the file. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

static void add_object(struct buf *out, const struct conf_key *keys, const char *type);

static void add_words(struct buf *out, const char *const *word)
{
        buf_add(out, "{\"enum\":[");
        for (size_t i = 0; word[i]; i++)
                buf_addf(out, "%s\"%s\"", i ? "," : "", word[i]);
        buf_add(out, "]}");
}

static void add_custom(struct buf *out, const struct conf_key *k)
{
        if (!k->shape) {
                if (k->words)
                        add_words(out, k->words);
                else
                        buf_add(out, "{}");
                return;
        }
        for (const char *c = k->shape; *c; c++)
                if (*c == '@')
                        add_object(out, k->sub, NULL);
                else
                        buf_addc(out, *c);
}

static void add_texts(struct buf *out, const struct conf_key *k)
{
        buf_add(out,
                "{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\",\"items\":{\"type\":"
                "\"string\"}");
        if (k->min)
                buf_addf(out, ",\"minItems\":%" PRId64, k->min);
        if (k->max)
                buf_addf(out, ",\"maxItems\":%" PRId64, k->max);
        buf_add(out, "}]}");
}

static void add_int(struct buf *out, const struct conf_key *k)
{
        buf_add(out, "{\"type\":\"integer\"");
        if (k->min || k->max)
                buf_addf(out, ",\"minimum\":%" PRId64 ",\"maximum\":%" PRId64, k->min, k->max);
        buf_addc(out, '}');
}

static void add_type(struct buf *out, const struct conf_key *k)
{
        static const char *const plain[] = {
                [CONF_TEXT] = "{\"type\":\"string\",\"minLength\":1}",
                [CONF_PATH] = "{\"type\":\"string\",\"pattern\":\"^/\"}",
                [CONF_URL] = "{\"type\":\"string\",\"pattern\":\"^https?://\"}",
                [CONF_BOOL] = "{\"type\":\"boolean\"}",
                [CONF_DURATION] = "{\"type\":\"string\",\"pattern\":\"^[0-9]+(ms|s|m|h|d)$\"}",
                [CONF_ADDRESS] = "{\"type\":\"string\",\"minLength\":1}",
                [CONF_ENDPOINT] = "{\"type\":\"string\",\"pattern\":\":[0-9]+$\"}",
                [CONF_COMMAND] = "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
                [CONF_SECRET] =
                        "{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,\"additionalProperties\":false,"
                        "\"properties\":{\"file\":{\"type\":\"string\",\"pattern\":\"^/\"},"
                        "\"credential\":{\"type\":\"string\"},\"env\":{\"type\":\"string\"}}}",
        };

        if (k->type == CONF_STRUCT)
                add_object(out, k->sub, NULL);
        else if (k->type == CONF_CUSTOM)
                add_custom(out, k);
        else if (k->type == CONF_WORD)
                add_words(out, k->words);
        else if (k->type == CONF_TEXTS)
                add_texts(out, k);
        else if (k->type == CONF_INT)
                add_int(out, k);
        else
                buf_add(out, plain[k->type]);
}

static void add_required(struct buf *out, const struct conf_key *keys, const char *type)
{
        bool any = type != NULL;

        buf_addf(out, ",\"required\":[%s", type ? "\"type\"" : "");
        for (; keys->name; keys++)
                if (keys->required) {
                        buf_addf(out, "%s\"%s\"", any ? "," : "", keys->name);
                        any = true;
                }
        buf_addc(out, ']');
}

static void add_object(struct buf *out, const struct conf_key *keys, const char *type)
{
        bool any = false;

        buf_add(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
        if (type && !conf_key_find(keys, "type")) {
                buf_addf(out, "\"type\":{\"const\":\"%s\"}", type);
                any = true;
        }
        for (const struct conf_key *k = keys; k->name; k++, any = true) {
                buf_addf(out, "%s\"%s\":", any ? "," : "", k->name);
                add_type(out, k);
        }
        buf_addc(out, '}');
        add_required(out, keys, type);
        buf_addc(out, '}');
}

static void add_section(struct buf *out, const struct conf_kind *kinds, const char *section)
{
        bool any = false;

        buf_add(out, "{\"type\":\"object\",\"additionalProperties\":");
        for (; kinds && kinds->section; kinds++)
                if (strcmp(kinds->section, section) == 0) {
                        buf_add(out, any ? "," : "{\"anyOf\":[");
                        add_object(out, kinds->keys, kinds->type);
                        any = true;
                }
        buf_add(out, any ? "]}}" : "false}");
}

static void add_root(struct buf *out, const struct conf_kind *kinds)
{
        buf_add(out,
                "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"dcvd.yaml\","
                "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
        for (const struct conf_key *k = conf_root_keys; k->name; k++) {
                buf_addf(out, "%s\"%s\":", k == conf_root_keys ? "" : ",", k->name);
                if (strcmp(k->name, "cas") == 0 || strcmp(k->name, "publishers") == 0)
                        add_section(out, kinds, k->name);
                else
                        add_type(out, k);
        }
        buf_add(out, "}}");
}

char *config_schema_json(const struct conf_kind *kinds)
{
        struct buf out = { 0 };
        char *text = NULL;

        add_root(&out, kinds);
        json_t *schema = out.failed ? NULL : json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
        if (schema)
                text = json_dumps(schema, JSON_INDENT(2));
        json_decref(schema);
        buf_done(&out);
        return text;
}
