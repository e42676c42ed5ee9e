/* The files of a configuration, merged into one root map: sections that are maps are joined, a name given twice is an
 * error. */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

#define FILES_MAX 25000
#define BYTES_MAX ((size_t)64 * 1024 * 1024) /* of all files together */

/* ---- include patterns ---- */

bool include_patterns(const struct yaml_node *node, struct texts *ret, struct conf_problems *p)
{
        size_t count = node->kind == YAML_LIST ? node->count : 1;
        bool good = true;

        for (size_t i = 0; i < count; i++) {
                const struct yaml_node *item = node->kind == YAML_LIST ? node->item[i] : node;
                if (!value_is_scalar(item, "include", "/etc/dcvd/conf.d/*.yaml", p))
                        good = false;
                else if (syntax_path(item->text))
                        good = problem_node(p, item, "include", "%s; /etc/dcvd/conf.d/*.yaml", syntax_path(item->text));
                else if (!texts_add(ret, item->text)) {
                        problem_memory(p);
                        return false;
                }
        }
        return good;
}

/* A directory that is not there matches nothing; one that cannot be read might hide a certificate. */
static int stops_glob(const char *path, int error)
{
        (void)path;
        return error != ENOENT && error != ENOTDIR;
}

static bool expand_one(const char *pattern, const struct yaml_node *node, struct texts *ret, struct conf_problems *p)
{
        glob_t g;
        int status = glob(pattern, 0, stops_glob, &g);
        bool wild = strpbrk(pattern, "*?[") != NULL, good = true;

        if (status == GLOB_NOMATCH)
                return wild ? true
                            : problem_node(p, node, "include", "there is no file %s; a file, or a pattern of files",
                                      pattern);
        if (status != 0)
                return problem_node(p, node, "include", "%s cannot be listed; readable directories", pattern);
        if (g.gl_pathc + ret->count > FILES_MAX)
                good = problem_node(p, node, "include", "matches too many files; at most %d", FILES_MAX);
        for (size_t i = 0; good && i < g.gl_pathc; i++)
                if (!texts_add(ret, g.gl_pathv[i])) {
                        problem_memory(p);
                        good = false;
                }
        globfree(&g);
        return good;
}

bool include_expand(
        const struct texts *patterns, const struct yaml_node *node, struct texts *ret, struct conf_problems *p)
{
        bool good = true;
        size_t kept = 0;

        for (size_t i = 0; i < patterns->count; i++)
                good &= expand_one(patterns->item[i], node, ret, p);
        texts_sort(ret);
        for (size_t i = 0; i < ret->count; i++) /* a file that two patterns match counts once */
                if (kept && strcmp(ret->item[kept - 1], ret->item[i]) == 0)
                        free(ret->item[i]);
                else
                        ret->item[kept++] = ret->item[i];
        ret->count = kept;
        return good;
}

/* ---- reading ---- */

static bool keep_tree(struct sources *s, struct yaml_tree *tree, struct conf_problems *p)
{
        if ((s->count & (s->count - 1)) == 0) { /* grows at powers of two */
                struct yaml_tree **more = realloc(s->tree, (s->count ? s->count * 2 : 1) * sizeof(struct yaml_tree *));
                if (!more) {
                        yaml_tree_free(tree);
                        problem_memory(p);
                        return false;
                }
                s->tree = more;
        }
        s->tree[s->count++] = tree;
        return true;
}

static bool root_is_map(const struct yaml_tree *tree, struct conf_problems *p)
{
        const struct yaml_node *root = yaml_root(tree);

        if (root->kind == YAML_MAP)
                return true;
        return problem_node(p, root, "", "the file is a %s; a map of sections is wanted",
                root->kind == YAML_LIST ? "list" : "text");
}

static bool add_text(struct sources *s, const char *name, const char *text, size_t len, struct conf_problems *p)
{
        struct yaml_tree *tree = yaml_read(name, text, len, p);

        return tree && keep_tree(s, tree, p) && root_is_map(tree, p);
}

static bool read_file(struct sources *s, const char *path, size_t *bytes, struct conf_problems *p)
{
        CLEANUP(free_p) char *text = NULL;
        struct err e = { 0 };
        size_t len;

        if (!file_read(path, CONF_FILE_MAX, &text, &len, &e)) {
                if (s->count == 0 && strcmp(e.code, "file.absent") == 0) /* a host that has none yet */
                        conf_problem_at(p, path, 1, 1, "",
                                "No such file: there is no configuration; write one (man dcvd.yaml), have one made (dcvctl import --from "
                                "nginx|certbot|... --write), or name another with --config");
                else
                        conf_problem_at(p, path, 1, 1, "", "%s; a readable file of at most 256 KiB", e.text);
                return false;
        }
        *bytes += len;
        if (*bytes > BYTES_MAX) {
                conf_problem_at(p, path, 1, 1, "", "all files together are too large; 64 MiB are allowed");
                return false;
        }
        return add_text(s, path, text, len, p);
}

static bool add_file(struct sources *s, const char *path, size_t *bytes, struct conf_problems *p)
{
        bool good = read_file(s, path, bytes, p);

        s->incomplete |= !good;
        return good;
}

static bool add_included(struct sources *s, size_t *bytes, struct conf_problems *p)
{
        const struct yaml_node *include = yaml_get(yaml_root(s->tree[0]), "include");
        struct texts patterns = { 0 }, files = { 0 };
        bool good = true;

        if (!yaml_is_null(include)) {
                good = include_patterns(include, &patterns, p);
                stamp_places(&s->stamp, &patterns);
                good &= include_expand(&patterns, include, &files, p);
                stamp_included(&s->stamp, &files);
                for (size_t i = 0; i < files.count && *bytes <= BYTES_MAX; i++)
                        good &= add_file(s, files.item[i], bytes, p);
        }
        s->stamp.patterns = patterns;
        texts_done(&files);
        return good;
}

/* ---- merging ---- */

struct entry {
        const char *key;
        struct yaml_node *item;
        int line, column;
        size_t order;
};

static int by_key(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;
        int order = strcmp(x->key, y->key);

        return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;

        return (x->order > y->order) - (x->order < y->order);
}

static struct yaml_node *map_new(struct arena *a, const struct entry *e, size_t count, const struct yaml_node *like)
{
        struct yaml_node *n = arena_take(a, sizeof *n);

        if (!n)
                return NULL;
        *n = (struct yaml_node){
                .kind = YAML_MAP, .file = like->file, .line = like->line, .column = like->column, .count = count
        };
        n->key = arena_take(a, count * sizeof *n->key);
        n->key_line = arena_take(a, count * sizeof *n->key_line);
        n->key_column = arena_take(a, count * sizeof *n->key_column);
        n->item = arena_take(a, count * sizeof(struct yaml_node *));
        if (!n->key || !n->key_line || !n->key_column || !n->item)
                return NULL;
        for (size_t i = 0; i < count; i++) {
                n->key[i] = (char *)(uintptr_t)e[i].key;
                n->key_line[i] = e[i].line;
                n->key_column[i] = e[i].column;
                n->item[i] = e[i].item;
        }
        return n;
}

/* skip: a key that is not taken; NULL: all are. */
static void take_entries(struct entry *to, size_t *count, const struct yaml_node *map, const char *skip)
{
        for (size_t i = 0; i < map->count; i++) {
                if (skip && strcmp(map->key[i], skip) == 0)
                        continue;
                to[*count] = (struct entry){ map->key[i], map->item[i], map->key_line[i], map->key_column[i], *count };
                (*count)++;
        }
}

static void twice(const struct entry *e, const struct entry *first, const char *path, struct conf_problems *p)
{
        CLEANUP(free_p) char *full = path_join(path, e->key);
        struct yaml_node at = { .file = e->item->file, .line = e->line, .column = e->column };

        problem_node(p, &at, full, "is given twice; it is also in %s:%d", first->item->file, first->line);
}

/* Joins the maps of one section. NULL: memory. */
static struct yaml_node *join_section(
        struct sources *s, const struct entry *part, size_t parts, struct conf_problems *p)
{
        size_t total = 0, count = 0, kept = 0;

        for (size_t i = 0; i < parts; i++)
                total += part[i].item->count;
        CLEANUP(free_p) struct entry *all = calloc(total + 1, sizeof *all);
        if (!all)
                return NULL;
        for (size_t i = 0; i < parts; i++)
                take_entries(all, &count, part[i].item, NULL);
        qsort(all, count, sizeof *all, by_key);
        for (size_t i = 0; i < count; i++)
                if (kept && strcmp(all[kept - 1].key, all[i].key) == 0)
                        twice(&all[i], &all[kept - 1], part[0].key, p);
                else
                        all[kept++] = all[i];
        qsort(all, kept, sizeof *all, by_order);
        return map_new(&s->arena, all, kept, part[0].item);
}

/* One top-level key: as it is, or joined from several files. */
static bool join_key(struct sources *s, struct entry *part, size_t parts, struct conf_problems *p)
{
        size_t maps = 0;

        for (size_t i = 0; i < parts; i++)
                if (part[i].item->kind == YAML_MAP)
                        part[maps++] = part[i]; /* the first stays first: it is what the others are compared with */
                else if (i > 0)
                        twice(&part[i], &part[0], "", p);
        if (parts == 1 || maps == 0)
                return true;
        struct yaml_node *joined = maps > 1 ? join_section(s, part, maps, p) : part[0].item;
        if (!joined) {
                problem_memory(p);
                return false;
        }
        part[0].item = joined;
        return true;
}

static bool merge(struct sources *s, struct conf_problems *p)
{
        size_t total = 0, count = 0, kept = 0;

        for (size_t i = 0; i < s->count; i++)
                total += yaml_root(s->tree[i])->count;
        CLEANUP(free_p) struct entry *all = calloc(total + 1, sizeof *all);
        for (size_t i = 0; all && i < s->count; i++)
                take_entries(all, &count, yaml_root(s->tree[i]), i ? "include" : NULL); /* refuse_nested() speaks */
        if (all)
                qsort(all, count, sizeof *all, by_key);
        for (size_t i = 0, n; i < count; i += n) {
                for (n = 1; i + n < count && strcmp(all[i].key, all[i + n].key) == 0;)
                        n++;
                if (!join_key(s, all + i, n, p))
                        return false;
                all[kept++] = all[i];
        }
        if (all)
                qsort(all, kept, sizeof *all, by_order);
        s->root = all ? map_new(&s->arena, all, kept, yaml_root(s->tree[0])) : NULL;
        if (!s->root)
                problem_memory(p);
        return s->root != NULL;
}

static bool refuse_nested(const struct sources *s, struct conf_problems *p)
{
        bool good = true;

        for (size_t i = 1; i < s->count; i++) {
                const struct yaml_node *include = yaml_get(yaml_root(s->tree[i]), "include");
                if (include)
                        good = problem_node(
                                p, include, "include", "stands in an included file; only the main file may include");
        }
        return good;
}

bool sources_read(struct sources *s, const char *path, struct conf_problems *p)
{
        size_t bytes = 0;

        stamp_begin(&s->stamp, path);
        if (!add_file(s, path, &bytes, p))
                return false;
        bool good = add_included(s, &bytes, p);
        if (s->incomplete) /* names that stand in the unread file would all be said to be unknown */
                return false;
        good &= refuse_nested(s, p);
        return merge(s, p) && good;
}

bool sources_read_text(struct sources *s, const char *name, const char *text, size_t len, struct conf_problems *p)
{
        struct texts patterns = { 0 };

        if (!add_text(s, name, text, len, p))
                return false;
        const struct yaml_node *include = yaml_get(yaml_root(s->tree[0]), "include");
        bool good = yaml_is_null(include) || include_patterns(include, &patterns, p);
        texts_done(&patterns);
        return merge(s, p) && good;
}

void sources_done(struct sources *s)
{
        for (size_t i = 0; i < s->count; i++)
                yaml_tree_free(s->tree[i]);
        free(s->tree);
        arena_done(&s->arena);
        stamp_done(&s->stamp);
        *s = (struct sources){ 0 };
}
