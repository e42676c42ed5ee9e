/* The sections `cas` and `publishers`: each entry is read by the table of its type. */
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

struct section {
        const char *name;
        const struct conf_kind *kinds;
        struct conf_problems *p;
};

static void list_types(const struct section *s, char *ret, size_t size)
{
        ret[0] = '\0';
        for (const struct conf_kind *k = s->kinds; k && k->section; k++)
                if (strcmp(k->section, s->name) == 0 && !k->not_in_build)
                        list_add(ret, size, k->type);
}

static const char *near_type(const struct section *s, const char *text)
{
        const char *name[64];
        size_t count = 0;

        for (const struct conf_kind *k = s->kinds; k && k->section && count < ARRAY_LEN(name); k++)
                if (strcmp(k->section, s->name) == 0)
                        name[count++] = k->type;
        return near_of(text, name, sizeof name[0], count);
}

static const struct conf_kind *kind_of(const struct section *s, const struct yaml_node *map, const char *path)
{
        const struct yaml_node *type = yaml_get(map, "type");
        CLEANUP(free_p) char *at = path_join(path, "type");
        char allowed[400];

        list_types(s, allowed, sizeof allowed);
        if (yaml_is_null(type)) {
                problem_node(s->p, map, at, "is missing; %s", allowed);
                return NULL;
        }
        if (!value_is_scalar(type, at, allowed, s->p))
                return NULL;
        for (const struct conf_kind *k = s->kinds; k && k->section; k++)
                if (strcmp(k->section, s->name) == 0 && strcmp(k->type, type->text) == 0)
                        return k;
        const char *near = near_type(s, type->text);
        if (near)
                problem_node(s->p, type, at, "is not known (did you mean \"%s\"?); %s", near, allowed);
        else
                problem_node(s->p, type, at, "is not known; %s", allowed);
        return NULL;
}

static void read_settings(
        const struct section *s, const struct yaml_node *map, const char *path, struct conf_backend *b)
{
        const struct conf_kind *kind = b->kind;

        b->parsed = calloc(1, kind->size ? kind->size : 1);
        if (!b->parsed) {
                problem_memory(s->p);
                return;
        }
        bool good = read_keys(map, kind->keys, path, b->parsed, s->p, "type");
        if (good && kind->check)
                kind->check(b->parsed, path, map, s->p);
        if (kind->not_in_build) {
                CLEANUP(free_p) char *at = path_join(path, "type");
                char allowed[400];
                list_types(s, allowed, sizeof allowed);
                problem_node(s->p, yaml_get(map, "type"), at, "%s is not in this build (%s); %s", kind->type,
                        kind->not_in_build, allowed);
        }
}

static void read_backend(
        const struct section *s, struct conf *c, const char *name, const struct yaml_node *map, struct conf_backend *b)
{
        CLEANUP(free_p) char *path = path_join(s->name, name);

        b->name = arena_same_text(c->arena, name);
        b->file = arena_same_text(c->arena, map->file);
        b->line = map->line;
        if (!b->name || !b->file) {
                problem_memory(s->p);
                return;
        }
        if (!name_is_safe(name))
                problem_node(s->p, map, path, "is not a good name; at most 64 letters, digits, . _ -, no leading dot");
        if (map->kind != YAML_MAP) {
                problem_node(s->p, map, path, "is not a map; a map with type is wanted");
                return;
        }
        b->kind = kind_of(s, map, path);
        if (b->kind)
                read_settings(s, map, path, b);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct conf_backend *)a)->name, ((const struct conf_backend *)b)->name);
}

bool backends_read(struct conf *c, const char *section, const struct yaml_node *map, const struct conf_kind *kinds,
        struct conf_backend **ret, size_t *ret_count, struct conf_problems *p)
{
        const struct section s = { .name = section, .kinds = kinds, .p = p };
        size_t before = problems_total(p);

        if (yaml_is_null(map))
                return true;
        if (map->kind != YAML_MAP)
                return problem_node(p, map, section, "is not a map; a map of names is wanted");
        if (map->count > CONF_BACKENDS_MAX)
                return problem_node(p, map, section, "has too many entries; %d are allowed", CONF_BACKENDS_MAX);
        struct conf_backend *list = arena_take(c->arena, map->count * sizeof *list);
        if (!list) {
                problem_memory(p);
                return false;
        }
        *ret = list;
        for (size_t i = 0; i < map->count; i++) {
                read_backend(&s, c, map->key[i], map->item[i], &list[i]);
                if (!list[i].name)
                        return false;
                *ret_count = i + 1;
        }
        qsort(list, map->count, sizeof *list, by_name);
        return problems_total(p) == before;
}

void backends_clear(struct conf_backend *b, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (!b[i].parsed)
                        continue;
                conf_clear(b[i].kind->keys, b[i].parsed);
                if (b[i].kind->clear)
                        b[i].kind->clear(b[i].parsed);
                free(b[i].parsed);
                b[i].parsed = NULL;
        }
}
