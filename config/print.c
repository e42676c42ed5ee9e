/* The configuration in force, with the origin of each value. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "agent/base/util.h"
#include "config/internal.h"

void print_indent(struct buf *out, unsigned indent)
{
        for (unsigned i = 0; i < indent; i++)
                buf_addc(out, ' ');
}

/* Plain only what no YAML reader takes for a number, a boolean, a null or a date. */
static bool is_plain(const char *text)
{
        static const char *const taken[] = { "true", "false", "yes", "no", "on", "off", "null", "y", "n" };

        if (!isalpha((unsigned char)text[0]) && text[0] != '/')
                return false;
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("._/-", *c))
                        return false;
        for (size_t i = 0; i < ARRAY_LEN(taken); i++)
                if (strcasecmp(text, taken[i]) == 0)
                        return false;
        return true;
}

void print_scalar(struct buf *out, const char *text)
{
        if (!text) {
                buf_add(out, "null");
                return;
        }
        if (is_plain(text)) {
                buf_add(out, text);
                return;
        }
        buf_addc(out, '"');
        for (const char *c = text; *c; c++)
                if (*c == '"' || *c == '\\')
                        buf_addf(out, "\\%c", *c);
                else if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        buf_addf(out, "\\x%02x", (unsigned)*c);
                else
                        buf_addc(out, *c);
        buf_addc(out, '"');
}

void print_texts(struct buf *out, const struct texts *t)
{
        buf_addc(out, '[');
        for (size_t i = 0; i < t->count; i++) {
                buf_add(out, i ? ", " : "");
                print_scalar(out, t->item[i]);
        }
        buf_addc(out, ']');
}

void print_origin(struct buf *out, const struct yaml_node *node)
{
        if (yaml_is_null(node)) {
                buf_add(out, " # default\n");
                return;
        }
        buf_add(out, " # ");
        buf_add_escaped(out, node->file, strlen(node->file), 4096);
        buf_addf(out, ":%d\n", node->line);
}

void print_item_mark(struct buf *out, size_t at, unsigned indent)
{
        if (!out->failed && at + indent + 2 <= out->len)
                memcpy(out->data + at + indent, "- ", 2);
}

void print_by_owner(struct buf *out, const void *target)
{
        (void)out;
        (void)target;
}

/* ---- a value as it stands in the file, for keys that only their owner understands ---- */

static bool is_secret_map(const struct yaml_node *n)
{
        return n->kind == YAML_MAP && n->count == 1 &&
                (strcmp(n->key[0], "file") == 0 || strcmp(n->key[0], "credential") == 0 ||
                        strcmp(n->key[0], "env") == 0);
}

static void print_node(struct buf *out, const struct yaml_node *n)
{
        if (yaml_is_null(n)) {
                buf_add(out, "null");
        } else if (n->kind == YAML_SCALAR) {
                print_scalar(out, n->text);
        } else if (is_secret_map(n)) {
                buf_add(out, "\"***\"");
        } else {
                buf_addc(out, n->kind == YAML_LIST ? '[' : '{');
                for (size_t i = 0; i < n->count; i++) {
                        buf_add(out, i ? ", " : "");
                        if (n->kind == YAML_MAP) {
                                print_scalar(out, n->key[i]);
                                buf_add(out, ": ");
                        }
                        print_node(out, n->item[i]);
                }
                buf_addc(out, n->kind == YAML_LIST ? ']' : '}');
        }
}

/* ---- a value by its type ---- */

static void print_value(struct buf *out, const struct conf_key *k, const void *at, const struct yaml_node *node)
{
        char span[32];

        switch (k->type) {
        case CONF_TEXT:
        case CONF_PATH:
        case CONF_URL:
        case CONF_ADDRESS:
        case CONF_ENDPOINT:
                print_scalar(out, *(char *const *)at);
                break;
        case CONF_BOOL:
                buf_add(out, *(const bool *)at ? "true" : "false");
                break;
        case CONF_INT:
                buf_addf(out, "%" PRId64, *(const int64_t *)at);
                break;
        case CONF_DURATION:
                duration_text(*(const int64_t *)at, span, sizeof span);
                buf_add(out, span);
                break;
        case CONF_WORD:
                print_scalar(out, k->words[*(const int *)at]);
                break;
        case CONF_TEXTS:
        case CONF_COMMAND:
                print_texts(out, at);
                break;
        case CONF_SECRET:
                buf_add(out, ((const struct secret_ref *)at)->source == SECRET_NONE ? "null" : "\"***\"");
                break;
        default:
                if (k->print)
                        k->print(out, at);
                else
                        print_node(out, node);
        }
}

/* A map that need not be given, but has members that must be if it is: absent, it has no values to show. */
static bool is_all_or_nothing(const struct conf_key *k)
{
        for (const struct conf_key *sub = k->sub; sub->name; sub++)
                if (sub->required)
                        return true;
        return false;
}

void print_keys(
        struct buf *out, unsigned indent, const struct conf_key *keys, const void *target, const struct yaml_node *map)
{
        for (const struct conf_key *k = keys; k->name; k++) {
                const struct yaml_node *node = yaml_get(map, k->name);
                const void *at = (const char *)target + k->offset;
                if ((k->type == CONF_CUSTOM && k->print == print_by_owner) || k->not_in_build)
                        continue;
                print_indent(out, indent);
                buf_add(out, k->name);
                if (k->type == CONF_STRUCT && yaml_is_null(node) && is_all_or_nothing(k)) {
                        buf_add(out, ": null # default\n");
                        continue;
                }
                if (k->type == CONF_STRUCT) {
                        buf_add(out, ":\n");
                        print_keys(out, indent + 2, k->sub, at, node);
                        continue;
                }
                buf_add(out, ": ");
                print_value(out, k, at, node);
                if (k->left_to && yaml_is_null(node))
                        buf_addf(out, " # default: %s\n", k->left_to);
                else
                        print_origin(out, node);
        }
}

/* ---- the sections of names ---- */

static void print_name(struct buf *out, unsigned indent, const char *name)
{
        print_indent(out, indent);
        print_scalar(out, name);
        buf_add(out, ":\n");
}

static void print_backends(
        struct buf *out, const char *section, const struct conf_backend *b, size_t count, const struct yaml_node *map)
{
        if (count == 0) {
                buf_addf(out, "%s: {} # default\n", section);
                return;
        }
        buf_addf(out, "%s:\n", section);
        for (size_t i = 0; i < count; i++) {
                const struct yaml_node *node = yaml_get(map, b[i].name);
                print_name(out, 2, b[i].name);
                buf_add(out, "    type: ");
                print_scalar(out, b[i].kind->type);
                print_origin(out, yaml_get(node, "type"));
                print_keys(out, 4, b[i].kind->keys, b[i].parsed, node);
        }
}

static void print_services(struct buf *out, unsigned indent, const struct conf_target *t, const struct yaml_node *list)
{
        print_indent(out, indent);
        buf_add(out, t->service_count ? "services:\n" : "services: []");
        if (t->service_count == 0)
                print_origin(out, list);
        for (size_t i = 0; i < t->service_count; i++) {
                size_t at = out->len;
                print_keys(out, indent + 4, service_keys, &t->service[i], list->item[i]);
                print_item_mark(out, at, indent + 2);
        }
}

void print_targets(struct buf *out, unsigned indent, const struct conf_cert *cert, const struct yaml_node *node)
{
        print_indent(out, indent);
        buf_add(out, cert->target_count ? "deploy:\n" : "deploy: []");
        if (cert->target_count == 0)
                print_origin(out, node);
        for (size_t i = 0; i < cert->target_count; i++) {
                size_t at = out->len;
                const struct yaml_node *item = node->kind == YAML_LIST ? node->item[i] : node;
                print_keys(out, indent + 4, target_keys, &cert->target[i], item);
                print_services(out, indent + 4, &cert->target[i], yaml_get(item, "services"));
                print_item_mark(out, at, indent + 2);
        }
}

/* The tree's places by name, so that ten thousand certificates are not ten thousand searches. */
static int by_name(const void *a, const void *b, void *map)
{
        char *const *key = ((const struct yaml_node *)map)->key;

        return strcmp(key[*(const size_t *)a], key[*(const size_t *)b]);
}

static void print_certs(struct buf *out, const struct conf *c, const struct yaml_node *map)
{
        size_t count = map ? map->count : 0;
        CLEANUP(free_p) size_t *place = calloc(count + 1, sizeof *place);

        if (!place || count != c->cert_count) {
                out->failed = true;
                return;
        }
        for (size_t i = 0; i < count; i++)
                place[i] = i;
        qsort_r(place, count, sizeof *place, by_name, (void *)(uintptr_t)map);
        buf_add(out, count ? "certificates:\n" : "certificates: {} # default\n");
        for (size_t i = 0; i < count; i++) {
                const struct yaml_node *node = map->item[place[i]];
                print_name(out, 2, c->cert[i].name);
                print_keys(out, 4, cert_keys, &c->cert[i], node);
                print_targets(out, 4, &c->cert[i], yaml_get(node, "deploy"));
        }
}

static void print_notify(struct buf *out, const struct conf *c, const struct yaml_node *map)
{
        buf_add(out, c->notify.count ? "notify:\n" : "notify: {} # default\n");
        for (size_t i = 0; i < c->notify.count; i++) {
                print_name(out, 2, c->notify.item[i].name);
                print_keys(out, 4, notify_keys, &c->notify.item[i], yaml_get(map, c->notify.item[i].name));
        }
}

void print_sections(struct buf *out, const struct conf *c, const struct yaml_node *root)
{
        print_backends(out, "cas", c->ca, c->ca_count, yaml_get(root, "cas"));
        print_backends(out, "publishers", c->publisher, c->publisher_count, yaml_get(root, "publishers"));
        print_certs(out, c, yaml_get(root, "certificates"));
        print_notify(out, c, yaml_get(root, "notify"));
}
