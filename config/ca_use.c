/* `ca:`, `publisher:`, `validation:` and `key.type` of a certificate, which also stand in the entries of a list of CAs.
 */
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

#define USES_MAX 16

const char *const validation_words[] = { "dns", "file", "tls-alpn", "dns-auto", NULL };
const char *const key_type_words[] = { "rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384", "sm2", NULL };

const char *conf_validation_name(enum conf_validation v)
{
        return v == VALIDATION_UNSET || v > VALIDATION_DNS_AUTO ? "unset" : validation_words[v - 1];
}

/* Position of a word, from 1; 0 after a problem. */
static int word_of(const struct yaml_node *node, const char *path, const char *const *words, struct conf_problems *p)
{
        const struct conf_key key = { .name = "", .type = CONF_WORD, .words = words };
        int index = -1;
        struct conf_value v = { .node = node, .key = &key, .path = path, .at = &index, .p = p };

        return value_read(&v) ? index + 1 : 0;
}

bool validation_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        int word = word_of(node, path, validation_words, p);

        *(enum conf_validation *)target = (enum conf_validation)word;
        return word != 0;
}

void validation_print(struct buf *out, const void *target)
{
        enum conf_validation v = *(const enum conf_validation *)target;

        print_scalar(out, v == VALIDATION_UNSET ? NULL : conf_validation_name(v));
}

static const enum key_type key_types[] = { KEY_NONE, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096, KEY_EC_P256, KEY_EC_P384,
        KEY_SM2 };

const char *key_type_word(enum key_type t)
{
        for (size_t i = 1; i < ARRAY_LEN(key_types); i++)
                if (key_types[i] == t)
                        return key_type_words[i - 1];
        return "other";
}

bool key_type_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        int word = word_of(node, path, key_type_words, p);

        *(enum key_type *)target = key_types[word];
        return word != 0;
}

void key_type_print(struct buf *out, const void *target)
{
        enum key_type t = *(const enum key_type *)target;

        print_scalar(out, t == KEY_NONE ? NULL : key_type_word(t));
}

/* ---- publisher: a name, or a map of suffixes ---- */

void publisher_map_done(struct conf_publisher_map *m)
{
        free(m->otherwise);
        texts_done(&m->suffix);
        texts_done(&m->publisher);
        m->otherwise = NULL;
}

static bool keep(char **ret, const char *text, struct conf_problems *p)
{
        *ret = text_dup(text);
        if (*ret)
                return true;
        problem_memory(p);
        return false;
}

static bool add_suffix(struct conf_publisher_map *m, const char *suffix, const char *publisher, struct conf_problems *p)
{
        CLEANUP(free_p) char *lower = text_dup(suffix);

        if (lower)
                text_lower(lower);
        if (lower && texts_has(&m->suffix, lower))
                return true; /* said by the repeated-key check unless the case differs: the first one counts */
        if (lower && texts_add(&m->suffix, lower)) {
                if (texts_add(&m->publisher, publisher))
                        return true;
                free(m->suffix.item[--m->suffix.count]);
        }
        problem_memory(p);
        return false;
}

static bool publisher_map_read(
        const struct yaml_node *map, const char *path, struct conf_publisher_map *m, struct conf_problems *p)
{
        bool good = true;

        if (map->count == 0 || map->count > 1000)
                return problem_node(
                        p, map, path, "has %s entries; default and suffixes of names", map->count ? "too many" : "no");
        for (size_t i = 0; i < map->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, map->key[i]);
                bool otherwise = strcmp(map->key[i], "default") == 0;
                const char *fault = otherwise ? NULL : syntax_host(map->key[i]);
                struct yaml_node key = {
                        .file = map->item[i]->file, .line = map->key_line[i], .column = map->key_column[i]
                };
                if (fault)
                        good = problem_node(p, &key, at, "%s; default, or a name such as shop.example.com", fault);
                if (!value_is_scalar(map->item[i], at, "the name of a publisher", p))
                        good = false;
                else if (!fault)
                        good &= otherwise ? keep(&m->otherwise, map->item[i]->text, p)
                                          : add_suffix(m, map->key[i], map->item[i]->text, p);
        }
        return good;
}

bool publisher_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_publisher_map *m = target;

        if (node->kind == YAML_MAP)
                return publisher_map_read(node, path, m, p);
        if (!value_is_scalar(node, path, "the name of a publisher, or a map of suffixes to names", p))
                return false;
        return keep(&m->otherwise, node->text, p);
}

void publisher_print(struct buf *out, const void *target)
{
        const struct conf_publisher_map *m = target;

        if (m->suffix.count == 0) {
                print_scalar(out, m->otherwise);
                return;
        }
        buf_addc(out, '{');
        if (m->otherwise) {
                buf_add(out, "default: ");
                print_scalar(out, m->otherwise);
        }
        for (size_t i = 0; i < m->suffix.count; i++) {
                buf_add(out, i || m->otherwise ? ", " : "");
                print_scalar(out, m->suffix.item[i]);
                buf_add(out, ": ");
                print_scalar(out, m->publisher.item[i]);
        }
        buf_addc(out, '}');
}

const char *conf_publisher_for(const struct conf_publisher_map *m, const char *name)
{
        const char *best = m->otherwise;
        size_t best_len = 0, len;

        if (text_starts(name, "*."))
                name += 2;
        len = strlen(name);
        for (size_t i = 0; i < m->suffix.count; i++) {
                const char *suffix = m->suffix.item[i];
                size_t n = strlen(suffix);
                if (n <= len && n > best_len && text_equal_nocase(name + len - n, suffix) &&
                        (n == len || name[len - n - 1] == '.')) {
                        best = m->publisher.item[i];
                        best_len = n;
                }
        }
        return best;
}

/* ---- ca: a name, a list, or entries with settings of their own ---- */

static const struct conf_key use_key_keys[] = {
        { .name = "type",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_ca_use, key_type),
                .words = key_type_words,
                .parse = key_type_parse,
                .print = key_type_print },
        { .name = NULL },
};
const struct conf_key ca_use_keys[] = {
        { .name = "use",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_ca_use, ca),
                .required = true,
                .allowed = "the name of a CA" },
        { .name = "validation",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_ca_use, validation),
                .words = validation_words,
                .parse = validation_parse,
                .print = validation_print },
        { .name = "publisher",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_ca_use, publisher),
                .parse = publisher_parse,
                .print = publisher_print,
                .shape = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"additionalProperties\":{\"type\":"
                         "\"string\"}}]}" },
        { .name = "key", .type = CONF_STRUCT, .sub = use_key_keys },
        { .name = NULL },
};

void ca_uses_done(struct conf_ca_use *use, size_t count)
{
        for (size_t i = 0; use && i < count; i++) {
                conf_clear(ca_use_keys, &use[i]);
                publisher_map_done(&use[i].publisher);
        }
        free(use);
}

static bool use_read(const struct yaml_node *node, const char *path, struct conf_ca_use *use, struct conf_problems *p)
{
        if (node->kind == YAML_MAP)
                return conf_read(node, ca_use_keys, path, use, p, NULL);
        if (!value_is_scalar(node, path, "the name of a CA, or {use, validation, publisher, key}", p))
                return false;
        return keep(&use->ca, node->text, p);
}

bool ca_list_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_cert *cert = CONTAINER_OF(target, struct conf_cert, ca);
        size_t count = node->kind == YAML_LIST ? node->count : 1;
        bool good = true;

        if (count == 0 || count > USES_MAX)
                return problem_node(p, node, path, "has %s entries; 1 to %d CAs", count ? "too many" : "no", USES_MAX);
        cert->ca = calloc(count, sizeof *cert->ca);
        if (!cert->ca) {
                problem_memory(p);
                return false;
        }
        cert->ca_count = count;
        for (size_t i = 0; i < count; i++) {
                CLEANUP(free_p) char *at = node->kind == YAML_LIST ? path_index(path, i) : text_dup(path);
                good &= use_read(node->kind == YAML_LIST ? node->item[i] : node, at, &cert->ca[i], p);
        }
        return good;
}

static void use_print(struct buf *out, const struct conf_ca_use *u)
{
        bool publisher = u->publisher.otherwise || u->publisher.suffix.count;

        if (u->validation == VALIDATION_UNSET && u->key_type == KEY_NONE && !publisher) {
                print_scalar(out, u->ca);
                return;
        }
        buf_add(out, "{use: ");
        print_scalar(out, u->ca);
        if (u->validation != VALIDATION_UNSET)
                buf_addf(out, ", validation: %s", conf_validation_name(u->validation));
        if (publisher) {
                buf_add(out, ", publisher: ");
                publisher_print(out, &u->publisher);
        }
        if (u->key_type != KEY_NONE)
                buf_addf(out, ", key: {type: %s}", key_type_word(u->key_type));
        buf_addc(out, '}');
}

void ca_list_print(struct buf *out, const void *target)
{
        const struct conf_cert *cert = CONTAINER_OF(target, const struct conf_cert, ca);

        buf_addc(out, '[');
        for (size_t i = 0; i < cert->ca_count; i++) {
                buf_add(out, i ? ", " : "");
                use_print(out, &cert->ca[i]);
        }
        buf_addc(out, ']');
}
