/* Trees against key tables. */
#include "config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

char *path_join(const char *path, const char *key)
{
        size_t before = path ? strlen(path) : 0, dot = before > 0, after = strlen(key);
        char *joined = malloc(before + dot + after + 1); /* one for each key of each certificate */

        if (!joined)
                return NULL;
        memcpy(joined, path ? path : "", before);
        memcpy(joined + before, ".", dot);
        memcpy(joined + before + dot, key, after + 1);
        return joined;
}

char *path_index(const char *path, size_t index)
{
        return text_format("%s[%zu]", path ? path : "", index);
}

bool conf_check_items(const struct yaml_node *node, const char *path, const struct texts *list, struct conf_problems *p,
        const char *(*fault_of)(const char *text), const char *allowed)
{
        bool good = true;

        for (size_t i = 0; i < list->count; i++) {
                const char *fault = *list->item[i] ? fault_of(list->item[i]) : NULL;
                if (!fault)
                        continue;
                CLEANUP(free_p) char *at = node->kind == YAML_LIST ? path_index(path, i) : text_dup(path);
                good = problem_node(p, node->kind == YAML_LIST ? node->item[i] : node, at, "%s; %s", fault, allowed);
        }
        return good;
}

const struct conf_key *conf_key_find(const struct conf_key *keys, const char *name)
{
        for (; keys->name; keys++)
                if (strcmp(keys->name, name) == 0)
                        return keys;
        return NULL;
}

static void *member(const struct conf_key *key, void *target)
{
        return (char *)target + key->offset;
}

/* ---- defaults ---- */

static bool set_default(const struct conf_key *key, void *target, struct conf_problems *p)
{
        if (!key->otherwise || key->type == CONF_CUSTOM || key->type == CONF_SECRET || key->type == CONF_COMMAND)
                return true;
        struct yaml_node node = { .kind = YAML_SCALAR, .file = "", .text = NULL };
        CLEANUP(free_p) char *text = node.text = text_dup(key->otherwise);
        struct conf_value v = { .node = &node, .key = key, .path = key->name, .at = member(key, target), .p = p };
        if (!text) {
                problem_memory(p);
                return false;
        }
        return value_read(&v);
}

static bool set_defaults(const struct conf_key *keys, void *target, struct conf_problems *p)
{
        bool good = true;

        for (const struct conf_key *k = keys; k->name; k++)
                good &= k->type == CONF_STRUCT ? set_defaults(k->sub, member(k, target), p) : set_default(k, target, p);
        return good;
}

/* ---- reading ---- */

static void list_keys(const struct conf_key *keys, const char *skip, char *ret, size_t size)
{
        ret[0] = '\0';
        if (skip)
                list_add(ret, size, skip);
        for (; keys->name; keys++)
                list_add(ret, size, keys->name);
}

static struct yaml_node key_place(const struct yaml_node *map, size_t i)
{
        return (struct yaml_node){ .file = map->item[i]->file, .line = map->key_line[i], .column = map->key_column[i] };
}

static void unknown_key(const struct yaml_node *map, size_t i, const struct conf_key *keys, const char *path,
        struct conf_problems *p, const char *skip)
{
        char allowed[600];
        size_t count = 0;

        if (problems_full(p)) { /* a million wrong keys cost no more than two hundred */
                p->beyond++;
                return;
        }
        while (keys[count].name)
                count++;
        const char *near = near_of(map->key[i], &keys->name, sizeof *keys, count);
        CLEANUP(free_p) char *full = path_join(path, map->key[i]);
        list_keys(keys, skip, allowed, sizeof allowed);
        const struct yaml_node at = key_place(map, i);
        if (near)
                problem_node(p, &at, full, "is not a known key (did you mean \"%s\"?); %s", near, allowed);
        else
                problem_node(p, &at, full, "is not a known key; %s", allowed);
}

static void read_one(const struct yaml_node *node, const struct conf_key *key, const char *path, void *target,
        struct conf_problems *p)
{
        struct conf_value v = { .node = node, .key = key, .path = path, .at = member(key, target), .p = p };
        bool good = true;

        if (node->kind == YAML_SCALAR && !node->quoted && !*node->text) {
                char allowed[400];
                value_allowed(key, allowed, sizeof allowed);
                problem_node(p, node, path, "has no value; %s", allowed);
        } else if (key->type == CONF_STRUCT) {
                good = read_keys(node, key->sub, path, v.at, p, NULL);
                if (good && key->parse)
                        key->parse(node, path, v.at, p);
        } else if (key->type == CONF_CUSTOM) {
                if (key->parse)
                        key->parse(node, path, v.at, p);
        } else {
                good = value_read(&v) || key->type == CONF_TEXTS; /* the items that could be read are checked, too */
                if (good && key->parse)
                        key->parse(node, path, v.at, p);
        }
}

static void read_entry(const struct yaml_node *map, size_t i, const struct conf_key *key, const char *path,
        void *target, struct conf_problems *p)
{
        CLEANUP(free_p) char *full = path_join(path, key->name);
        const struct yaml_node at = key_place(map, i);

        if (yaml_is_null(map->item[i]))
                return;
        read_one(map->item[i], key, full, target, p);
        if (key->not_in_build)
                problem_node(p, &at, full, "is not in this build; it would %s", key->not_in_build);
}

static void complete(const struct yaml_node *map, const struct conf_key *key, const char *path, void *target,
        struct conf_problems *p)
{
        char allowed[400];

        if (!key->required) {
                if (key->type == CONF_STRUCT)
                        set_defaults(key->sub, member(key, target), p);
                else
                        set_default(key, target, p);
                return;
        }
        CLEANUP(free_p) char *full = path_join(path, key->name);
        value_allowed(key, allowed, sizeof allowed);
        problem_node(p, map, full, "is missing; %s", allowed);
}

bool read_keys(const struct yaml_node *map, const struct conf_key *keys, const char *path, void *target,
        struct conf_problems *p, const char *skip)
{
        size_t before = problems_total(p);

        if (map->kind != YAML_MAP)
                return problem_node(p, map, path, "is a %s; a map is wanted", map->kind == YAML_LIST ? "list" : "text");
        for (size_t i = 0; i < map->count; i++) {
                const struct conf_key *key = conf_key_find(keys, map->key[i]);
                if (!key && skip && strcmp(map->key[i], skip) == 0)
                        continue;
                if (!key)
                        unknown_key(map, i, keys, path, p, skip);
                else
                        read_entry(map, i, key, path, target, p);
        }
        for (const struct conf_key *k = keys; k->name; k++)
                if (yaml_is_null(yaml_get(map, k->name)))
                        complete(map, k, path, target, p);
        return problems_total(p) == before;
}

bool conf_read(const struct yaml_node *map, const struct conf_key *keys, const char *path, void *target,
        struct conf_problems *p, struct buf *printed)
{
        if (!read_keys(map, keys, path, target, p, NULL))
                return false;
        if (printed)
                print_keys(printed, 0, keys, target, map);
        return true;
}

/* ---- freeing, visiting ---- */

void conf_clear(const struct conf_key *keys, void *target)
{
        for (const struct conf_key *k = keys; k->name; k++) {
                void *at = member(k, target);
                switch (k->type) {
                case CONF_TEXT:
                case CONF_PATH:
                case CONF_URL:
                case CONF_ADDRESS:
                case CONF_ENDPOINT:
                        free(*(char **)at);
                        *(char **)at = NULL;
                        break;
                case CONF_TEXTS:
                case CONF_COMMAND:
                        texts_done(at);
                        break;
                case CONF_SECRET:
                        secret_ref_done(at);
                        break;
                case CONF_STRUCT:
                        conf_clear(k->sub, at);
                        break;
                default:
                        break;
                }
        }
}

void secrets_visit(const struct conf_key *keys, void *target, bool (*visit)(void *arg, struct secret_ref *r), void *arg)
{
        for (const struct conf_key *k = keys; k->name; k++)
                if (k->type == CONF_STRUCT)
                        secrets_visit(k->sub, member(k, target), visit, arg);
                else if (k->type == CONF_SECRET && !visit(arg, member(k, target)))
                        return;
}
