/* One value of each type of a key table. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

#define TEXT_MAX 4096
#define TEXTS_MAX 10000

void duration_text(int64_t ms, char *ret, size_t size)
{
        static const struct {
                int64_t ms;
                const char *unit;
        } unit[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };

        for (size_t i = 0; i < ARRAY_LEN(unit); i++)
                if (ms && ms % unit[i].ms == 0) {
                        snprintf(ret, size, "%" PRId64 "%s", ms / unit[i].ms, unit[i].unit);
                        return;
                }
        snprintf(ret, size, ms ? "%" PRId64 "ms" : "%" PRId64 "s", ms);
}

static void allowed_words(const char *const *word, char *ret, size_t size)
{
        for (ret[0] = '\0'; *word; word++)
                list_add(ret, size, *word);
}

static void allowed_range(const struct conf_key *key, char *ret, size_t size)
{
        char least[32], most[32];

        if (key->type == CONF_INT && (key->min || key->max)) {
                snprintf(ret, size, "a whole number from %" PRId64 " to %" PRId64, key->min, key->max);
        } else if (key->type == CONF_INT) {
                snprintf(ret, size, "a whole number");
        } else if (key->min || key->max) {
                duration_text(key->min, least, sizeof least);
                duration_text(key->max, most, sizeof most);
                snprintf(ret, size, "a duration from %s to %s, such as 90s, 10m, 12h or 3d", least, most);
        } else {
                snprintf(ret, size, "a duration such as 90s, 10m, 12h or 3d");
        }
}

static void allowed_texts(const struct conf_key *key, char *ret, size_t size)
{
        if (key->min == key->max && key->min)
                snprintf(ret, size, "a list of %" PRId64 " texts", key->min);
        else if (key->max)
                snprintf(ret, size, "a list of %" PRId64 " to %" PRId64 " texts", key->min, key->max);
        else
                snprintf(ret, size, "a text or a list of texts");
}

void value_allowed(const struct conf_key *key, char *ret, size_t size)
{
        static const char *const plain[] = {
                [CONF_TEXT] = "a text",
                [CONF_PATH] = "an absolute path such as /etc/dcvd/file",
                [CONF_URL] = "an https URL, or http for a loopback address",
                [CONF_BOOL] = "true or false",
                [CONF_ADDRESS] = "a numeric address such as \"192.0.2.1\", \"192.0.2.1:53\" or \"[2001:db8::1]:53\"",
                [CONF_ENDPOINT] = "\"host:port\"",
                [CONF_COMMAND] = "a list of the program and its arguments (no shell is used)",
                [CONF_SECRET] = "{file: PATH}, {credential: NAME} or {env: NAME}",
                [CONF_STRUCT] = "a map",
                [CONF_CUSTOM] = "see the documentation",
        };

        if (key->allowed)
                snprintf(ret, size, "%s", key->allowed);
        else if (key->words)
                allowed_words(key->words, ret, size);
        else if (key->type == CONF_INT || key->type == CONF_DURATION)
                allowed_range(key, ret, size);
        else if (key->type == CONF_TEXTS)
                allowed_texts(key, ret, size);
        else
                snprintf(ret, size, "%s", plain[key->type]);
}

/* "what; what is allowed" at the node. */
static bool refuse_at(const struct conf_value *v, const struct yaml_node *node, const char *path, const char *what)
{
        char allowed[400];

        value_allowed(v->key, allowed, sizeof allowed);
        return problem_node(v->p, node, path, "%s; %s", what, allowed);
}

static bool refuse(const struct conf_value *v, const char *what)
{
        return refuse_at(v, v->node, v->path, what);
}

bool value_is_scalar(const struct yaml_node *node, const char *path, const char *allowed, struct conf_problems *p)
{
        if (node->kind != YAML_SCALAR)
                return problem_node(p, node, path, "is a %s; %s", node->kind == YAML_LIST ? "list" : "map", allowed);
        if (!*node->text)
                return problem_node(p, node, path, "is empty; %s", allowed);
        return true;
}

static bool scalar(const struct conf_value *v)
{
        char allowed[400];

        if (v->node->kind == YAML_SCALAR && *v->node->text)
                return true;
        value_allowed(v->key, allowed, sizeof allowed);
        return value_is_scalar(v->node, v->path, allowed, v->p);
}

static bool keep_text(const struct conf_value *v, const char *text)
{
        char *copy = text_dup(text);

        if (!copy) {
                problem_memory(v->p);
                return false;
        }
        free(*(char **)v->at);
        *(char **)v->at = copy;
        return true;
}

static bool read_text(const struct conf_value *v)
{
        if (!scalar(v))
                return false;
        if (strlen(v->node->text) > TEXT_MAX)
                return refuse(v, "is longer than 4096 bytes");
        for (const char *c = v->node->text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return refuse(v, "has a control character");
        return keep_text(v, v->node->text);
}

static bool read_path(const struct conf_value *v)
{
        if (!scalar(v))
                return false;
        const char *fault = syntax_path(v->node->text);
        if (fault)
                return refuse(v, fault);
        if (!keep_text(v, v->node->text))
                return false;
        path_squeeze(*(char **)v->at);
        return true;
}

static bool read_url(const struct conf_value *v)
{
        if (!scalar(v))
                return false;
        const char *fault = syntax_url(v->node->text, false);
        return fault ? refuse(v, fault) : keep_text(v, v->node->text);
}

static bool read_bool(const struct conf_value *v)
{
        if (!scalar(v))
                return false;
        if (v->node->quoted)
                return refuse(v, "is a quoted text");
        if (strcmp(v->node->text, "true") == 0 || strcmp(v->node->text, "false") == 0) {
                *(bool *)v->at = v->node->text[0] == 't';
                return true;
        }
        return refuse(v, "is neither true nor false (yes, no, on and off are texts here)");
}

static bool read_int(const struct conf_value *v)
{
        const struct conf_key *k = v->key;
        bool any = !k->min && !k->max;
        const char *text = v->node->text;
        int64_t n;

        if (!scalar(v))
                return false;
        if (!parse_i64(text + (*text == '-'), 0, INT64_MAX, &n))
                return refuse(v, "is not a whole number");
        n = *text == '-' ? -n : n;
        if (!any && (n < k->min || n > k->max))
                return refuse(v, n < k->min ? "is too small" : "is too large");
        *(int64_t *)v->at = n;
        return true;
}

static bool read_duration(const struct conf_value *v)
{
        const struct conf_key *k = v->key;
        int64_t ms;

        if (!scalar(v))
                return false;
        if (!parse_duration_ms(v->node->text, &ms))
                return refuse(v, "is not a duration");
        if ((k->min || k->max) && (ms < k->min || ms > k->max))
                return refuse(v, ms < k->min ? "is too short" : "is too long");
        *(int64_t *)v->at = ms;
        return true;
}

static bool read_word(const struct conf_value *v)
{
        size_t count = 0;

        if (!scalar(v))
                return false;
        for (; v->key->words[count]; count++)
                if (strcmp(v->key->words[count], v->node->text) == 0) {
                        *(int *)v->at = (int)count;
                        return true;
                }
        char what[120];
        const char *near = near_of(v->node->text, v->key->words, sizeof v->key->words[0], count);
        snprintf(what, sizeof what, near ? "is not known (did you mean \"%s\"?)" : "is not known", near);
        return refuse(v, what);
}

static bool add_text(
        const struct conf_value *v, const struct yaml_node *node, const char *path, struct texts *list, bool empty_ok)
{
        if (node->kind != YAML_SCALAR)
                return refuse_at(v, node, path, node->kind == YAML_LIST ? "is a list" : "is a map");
        if (yaml_is_null(node))
                return refuse_at(v, node, path, "has no value");
        if (!*node->text && !(empty_ok && node->quoted))
                return refuse_at(v, node, path, "is empty");
        if (strlen(node->text) > TEXT_MAX)
                return refuse_at(v, node, path, "is longer than 4096 bytes");
        for (const char *c = node->text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return refuse_at(v, node, path, "has a control character");
        if (texts_add(list, node->text))
                return true;
        problem_memory(v->p);
        return false;
}

static bool add_texts(const struct conf_value *v, struct texts *list, bool empty_ok)
{
        bool good = true;

        if (v->node->kind != YAML_LIST)
                return add_text(v, v->node, v->path, list, false);
        if (v->node->count > TEXTS_MAX)
                return refuse(v, "has too many items");
        for (size_t i = 0; i < v->node->count; i++) {
                CLEANUP(free_p) char *path = path_index(v->path, i);
                bool text = add_text(v, v->node->item[i], path, list, empty_ok && i > 0);
                good &= text;
                if (!text && !texts_add(list, "")) { /* its place, for the check of the others */
                        problem_memory(v->p);
                        return false;
                }
        }
        return good;
}

static bool read_texts(const struct conf_value *v)
{
        const struct conf_key *k = v->key;
        struct texts list = { 0 };

        bool good = add_texts(v, &list, false);
        if (good && (k->min || k->max) && ((int64_t)list.count < k->min || (k->max && (int64_t)list.count > k->max))) {
                bool few = (int64_t)list.count < k->min;
                texts_done(&list);
                return refuse(v, few ? "has too few items" : "has too many items");
        }
        texts_done(v->at);
        *(struct texts *)v->at = list;
        return good;
}

static bool read_command(const struct conf_value *v)
{
        struct texts list = { 0 };

        if (v->node->kind == YAML_SCALAR)
                return refuse(v, "is a text");
        if (v->node->kind == YAML_MAP)
                return refuse(v, "is a map");
        if (v->node->count == 0 && v->key->required)
                return refuse(v, "is empty");
        if (!add_texts(v, &list, true)) {
                texts_done(&list);
                return false;
        }
        /* A name is looked for in PATH; a path that depends on where somebody stands is a mistake. */
        if (list.count > 0 && strchr(list.item[0], '/') && list.item[0][0] != '/') {
                texts_done(&list);
                return refuse(v, "begins with a relative path");
        }
        texts_done(v->at);
        *(struct texts *)v->at = list;
        return true;
}

static bool read_address(const struct conf_value *v)
{
        struct address a;

        if (!scalar(v))
                return false;
        return address_parse(v->node->text, 0, &a) ? keep_text(v, v->node->text)
                                                   : refuse(v, "is not a numeric address");
}

static bool read_endpoint(const struct conf_value *v)
{
        CLEANUP(free_p) char *host = NULL;
        uint16_t port;

        if (!scalar(v))
                return false;
        if (!hostport_split(v->node->text, &host, &port, NULL))
                return refuse(v, "is not host and port");
        const char *fault = syntax_host(host);
        return fault ? refuse(v, fault) : keep_text(v, v->node->text);
}

static bool env_name_is_good(const char *name)
{
        size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        return len && len < 256 && !name[len] && !(name[0] >= '0' && name[0] <= '9');
}

/* Nothing here may quote what stands in the file: it may be the secret itself, put in the wrong place. */
static bool read_secret(const struct conf_value *v)
{
        static const char *const word[] = { "file", "credential", "env" };
        const struct yaml_node *map = v->node;
        struct secret_ref ref = { .source = SECRET_NONE };

        if (map->kind != YAML_MAP)
                return refuse(v, "must not be written here, only where it is");
        if (map->count != 1)
                return refuse(v, "must have exactly one key");
        for (size_t i = 0; i < ARRAY_LEN(word); i++)
                if (strcmp(map->key[0], word[i]) == 0)
                        ref.source = (enum secret_source)((int)SECRET_FILE + (int)i);
        if (ref.source == SECRET_NONE)
                return refuse(v, "has a key that is none of file, credential and env");
        const struct yaml_node *name = map->item[0];
        if (name->kind != YAML_SCALAR || !*name->text || yaml_is_null(name))
                return refuse_at(v, name, v->path, "names nothing");
        if (ref.source == SECRET_FILE && syntax_path(name->text))
                return refuse_at(v, name, v->path, "the file is not given as an absolute path");
        if (ref.source == SECRET_CREDENTIAL && !name_is_safe(name->text))
                return refuse_at(v, name, v->path, "the credential's name is not made of letters, digits, . _ - alone");
        if (ref.source == SECRET_ENV && !env_name_is_good(name->text))
                return refuse_at(v, name, v->path, "the variable's name is not made of letters, digits and _ alone");
        ref.name = text_dup(name->text);
        ref.where = text_format("%s:%d:%d: %s", name->file, name->line, name->column, v->path);
        if (!ref.name || !ref.where) {
                secret_ref_done(&ref);
                problem_memory(v->p);
                return false;
        }
        secret_ref_done(v->at);
        *(struct secret_ref *)v->at = ref;
        return true;
}

bool value_read(const struct conf_value *v)
{
        static bool (*const reader[])(const struct conf_value *v) = {
                [CONF_TEXT] = read_text,
                [CONF_PATH] = read_path,
                [CONF_URL] = read_url,
                [CONF_BOOL] = read_bool,
                [CONF_INT] = read_int,
                [CONF_DURATION] = read_duration,
                [CONF_WORD] = read_word,
                [CONF_TEXTS] = read_texts,
                [CONF_ADDRESS] = read_address,
                [CONF_ENDPOINT] = read_endpoint,
                [CONF_COMMAND] = read_command,
                [CONF_SECRET] = read_secret,
        };

        return reader[v->key->type](v);
}

bool named_parse(const struct yaml_node *node, const char *path, size_t max, size_t size, named_fn *read, void **ret,
        size_t *ret_count, struct conf_problems *p)
{
        bool good = true;

        if (node->kind != YAML_MAP)
                return problem_node(p, node, path, "is not a map; a map of names is wanted");
        if (node->count > max)
                return problem_node(p, node, path, "has too many entries; %zu are allowed", max);
        char *items = calloc(node->count + 1, size);
        *ret = items;
        if (!items) {
                problem_memory(p);
                return false;
        }
        for (; *ret_count < node->count; ++*ret_count) {
                const char *name = node->key[*ret_count];
                CLEANUP(free_p) char *at = path_join(path, name);
                good &= read(node->item[*ret_count], name, at, items + *ret_count * size, p);
        }
        return good;
}
