/* Text -> tree over libyaml's event API. The limits act while events come: nothing is built beyond them, and libyaml
 * itself never sees enough nesting to become slow (its time grows with the square of the depth). */
#include "config/yaml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/util.h"
#include "config/internal.h"

#define DEPTH_MAX 64

struct yaml_tree {
        struct arena arena;
        const char *name;
        struct yaml_node *root;
};

struct pending { /* an entry of a collection that is not closed yet */
        char *key;
        int key_line, key_column;
        struct yaml_node *node;
};
struct frame { /* an open collection */
        struct yaml_node *node;
        size_t first; /* of its entries in pending */
        char *key; /* read, its value still to come */
        int key_line, key_column;
};
struct reader {
        yaml_parser_t parser;
        struct yaml_tree *tree;
        struct conf_problems *p;
        struct pending *pending;
        size_t pending_count, pending_cap;
        struct frame frame[DEPTH_MAX];
        size_t depth;
        unsigned documents;
        bool broken; /* the tree would be misleading: it is not returned */
};

/* ---- where we are, for messages ---- */

static char *path_here(const struct reader *r)
{
        struct buf b = { .max = 4096 };

        for (size_t i = 0; i < r->depth; i++) {
                const struct frame *f = &r->frame[i];
                if (f->node->kind == YAML_LIST)
                        buf_addf(&b, "[%zu]", (i + 1 < r->depth ? r->frame[i + 1].first : r->pending_count) - f->first);
                else if (f->key)
                        buf_addf(&b, "%s%s", b.len ? "." : "", f->key);
        }
        return buf_steal(&b);
}

static bool problem_mark(struct reader *r, yaml_mark_t mark, const char *what)
{
        CLEANUP(free_p) char *path = path_here(r);

        conf_problem_at(r->p, r->tree->name, (int)mark.line + 1, (int)mark.column + 1, path ? path : "", "%s", what);
        return false;
}

static bool memory(struct reader *r)
{
        problem_memory(r->p);
        r->broken = true;
        return false;
}

/* libyaml gives the place of a bad byte as an offset alone. */
static void problem_bytes(struct reader *r, const char *text, size_t len)
{
        int line = 1, column = 1;
        const char *what = "is not valid UTF-8 text";

        for (size_t i = 0; i < len && i < r->parser.problem_offset; i++)
                if (text[i] == '\n') {
                        line++;
                        column = 1;
                } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
                        column++;
                }
        if (r->parser.problem && strstr(r->parser.problem, "control"))
                what = "has a control character";
        conf_problem_at(r->p, r->tree->name, line, column, "", "%s; UTF-8 text is allowed", what);
}

static void problem_syntax(struct reader *r, const char *text, size_t len)
{
        const yaml_parser_t *y = &r->parser;

        r->broken = true;
        if (y->error == YAML_MEMORY_ERROR) {
                problem_memory(r->p);
                return;
        }
        if (y->error == YAML_READER_ERROR) {
                problem_bytes(r, text, len);
                return;
        }
        char what[400];
        int n = snprintf(what, sizeof what, "is not YAML: %s", y->problem ? y->problem : "cannot be read");
        if (y->context && n > 0 && (size_t)n < sizeof what)
                snprintf(what + n, sizeof what - (size_t)n, " %s in line %zu", y->context, y->context_mark.line + 1);
        size_t end = strlen(what);
        snprintf(what + end, sizeof what - end, "; indent with blanks, quote texts with special characters");
        problem_mark(r, y->problem_mark, what);
}

/* ---- building ---- */

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, yaml_mark_t mark)
{
        struct yaml_node *n = arena_take(&r->tree->arena, sizeof *n);

        if (!n) {
                memory(r);
                return NULL;
        }
        n->kind = kind;
        n->file = r->tree->name;
        n->line = (int)mark.line + 1;
        n->column = (int)mark.column + 1;
        return n;
}

static bool pending_push(struct reader *r, struct pending entry)
{
        if (r->pending_count == r->pending_cap) {
                size_t cap = r->pending_cap ? r->pending_cap * 2 : 64;
                struct pending *more = realloc(r->pending, cap * sizeof *more);
                if (!more)
                        return memory(r);
                r->pending = more;
                r->pending_cap = cap;
        }
        r->pending[r->pending_count++] = entry;
        return true;
}

/* Puts a finished node where it belongs; NULL (an alias) only ends the key. */
static bool place(struct reader *r, struct yaml_node *node)
{
        if (r->depth == 0) {
                r->tree->root = node;
                return true;
        }
        struct frame *f = &r->frame[r->depth - 1];
        struct pending entry = { f->key, f->key_line, f->key_column, node };
        f->key = NULL;
        return !node || pending_push(r, entry);
}

static bool wants_key(const struct reader *r)
{
        return r->depth > 0 && r->frame[r->depth - 1].node->kind == YAML_MAP && !r->frame[r->depth - 1].key;
}

static void refuse_extras(struct reader *r, const yaml_event_t *ev, const void *anchor, const void *tag)
{
        if (anchor)
                problem_mark(r, ev->start_mark, "has an anchor; anchors and aliases are not allowed");
        if (tag)
                problem_mark(r, ev->start_mark, "has a tag; tags are not allowed");
}

static bool take_scalar(struct reader *r, const yaml_event_t *ev)
{
        const char *text = (const char *)ev->data.scalar.value;
        size_t len = ev->data.scalar.length;

        refuse_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
        if (memchr(text, '\0', len)) {
                problem_mark(r, ev->start_mark, "has a NUL character; it is not allowed");
                len = strlen(text);
        }
        char *copy = arena_text(&r->tree->arena, text, len);
        if (!copy)
                return memory(r);
        if (wants_key(r)) {
                struct frame *f = &r->frame[r->depth - 1];
                f->key = copy;
                f->key_line = (int)ev->start_mark.line + 1;
                f->key_column = (int)ev->start_mark.column + 1;
                return true;
        }
        struct yaml_node *n = node_new(r, YAML_SCALAR, ev->start_mark);
        if (!n)
                return false;
        n->text = copy;
        n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return place(r, n);
}

static bool take_start(
        struct reader *r, const yaml_event_t *ev, enum yaml_kind kind, const void *anchor, const void *tag)
{
        r->broken = true; /* for the two refusals */
        if (wants_key(r))
                return problem_mark(r, ev->start_mark, "a key must be a text; lists and maps are not allowed as keys");
        if (r->depth == DEPTH_MAX)
                return problem_mark(r, ev->start_mark, "is nested too deeply; 64 levels are allowed");
        r->broken = false;
        refuse_extras(r, ev, anchor, tag);
        struct yaml_node *n = node_new(r, kind, ev->start_mark);
        if (!n)
                return false;
        r->frame[r->depth++] = (struct frame){ .node = n, .first = r->pending_count };
        return true;
}

/* Names every repeated key; the first one counts, so that the rest can still be checked. */
static bool drop_repeats(struct reader *r, struct yaml_node *map)
{
        size_t count, *first, *again = yaml_repeats(map, &count, &first);

        if (!again)
                return count == 0 || memory(r);
        for (size_t i = 0; i < count; i++) {
                struct yaml_node at = {
                        .file = map->file, .line = map->key_line[again[i]], .column = map->key_column[again[i]]
                };
                CLEANUP(free_p) char *here = path_here(r);
                CLEANUP(free_p) char *path = path_join(here, map->key[again[i]]);
                problem_node(r->p, &at, path, "is given twice; it is also in line %d", map->key_line[first[i]]);
        }
        size_t kept = 0, next = 0;
        for (size_t i = 0; i < map->count; i++) {
                if (next < count && again[next] == i) {
                        next++;
                        continue;
                }
                map->key[kept] = map->key[i];
                map->key_line[kept] = map->key_line[i];
                map->key_column[kept] = map->key_column[i];
                map->item[kept++] = map->item[i];
        }
        map->count = kept;
        free(again);
        free(first);
        return true;
}

static bool close_map(struct reader *r, struct yaml_node *n, const struct pending *entry, size_t count)
{
        n->key = arena_take(&r->tree->arena, count * sizeof *n->key);
        n->key_line = arena_take(&r->tree->arena, count * sizeof *n->key_line);
        n->key_column = arena_take(&r->tree->arena, count * sizeof *n->key_column);
        if (!n->key || !n->key_line || !n->key_column)
                return memory(r);
        for (size_t i = 0; i < count; i++) {
                n->key[i] = entry[i].key;
                n->key_line[i] = entry[i].key_line;
                n->key_column[i] = entry[i].key_column;
        }
        return true;
}

static bool take_end(struct reader *r)
{
        struct frame *f = &r->frame[r->depth - 1];
        struct yaml_node *n = f->node;
        const struct pending *entry = r->pending ? r->pending + f->first : NULL;

        n->count = r->pending_count - f->first;
        n->item = arena_take(&r->tree->arena, n->count * sizeof(struct yaml_node *));
        if (!n->item)
                return memory(r);
        for (size_t i = 0; i < n->count; i++)
                n->item[i] = entry[i].node;
        if (n->kind == YAML_MAP && !close_map(r, n, entry, n->count))
                return false;
        r->pending_count = f->first;
        r->depth--;
        if (n->kind == YAML_MAP && !drop_repeats(r, n))
                return false;
        return place(r, n);
}

/* False ends the reading. */
static bool take(struct reader *r, const yaml_event_t *ev)
{
        switch (ev->type) {
        case YAML_DOCUMENT_START_EVENT:
                if (r->documents++ == 0)
                        return true;
                r->broken = true;
                return problem_mark(r, ev->start_mark, "a second document begins; one is allowed");
        case YAML_ALIAS_EVENT:
                r->broken = true;
                problem_mark(r, ev->start_mark, "is an alias; aliases are not allowed");
                if (wants_key(r))
                        return false;
                return place(r, NULL);
        case YAML_SCALAR_EVENT:
                return take_scalar(r, ev);
        case YAML_SEQUENCE_START_EVENT:
                return take_start(r, ev, YAML_LIST, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
        case YAML_MAPPING_START_EVENT:
                return take_start(r, ev, YAML_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                return take_end(r);
        default:
                return true;
        }
}

static void read_events(struct reader *r, const char *text, size_t len)
{
        for (bool more = true; more;) {
                yaml_event_t ev;
                if (!yaml_parser_parse(&r->parser, &ev)) {
                        problem_syntax(r, text, len);
                        return;
                }
                more = take(r, &ev) && ev.type != YAML_STREAM_END_EVENT;
                yaml_event_delete(&ev);
        }
}

static void read_text(struct reader *r, const char *text, size_t len)
{
        if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
                text += 3;
                len -= 3;
        }
        if (!yaml_parser_initialize(&r->parser)) {
                memory(r);
                return;
        }
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING); /* else a byte order mark could choose UTF-16 */
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
        read_events(r, text, len);
        yaml_parser_delete(&r->parser);
        free(r->pending);
}

static void make_root(struct reader *r)
{
        struct yaml_node *root = r->tree->root;

        if (root && !(root->kind == YAML_SCALAR && !root->quoted && (!*root->text || yaml_is_null(root))))
                return;
        r->tree->root = node_new(r, YAML_MAP, (yaml_mark_t){ 0 });
}

struct yaml_tree *yaml_read(const char *name, const char *text, size_t len, struct conf_problems *p)
{
        struct yaml_tree *tree = calloc(1, sizeof *tree);
        struct reader r = { .tree = tree, .p = p };

        if (!tree || !(tree->name = arena_text(&tree->arena, name, strlen(name)))) {
                problem_memory(p);
                yaml_tree_free(tree);
                return NULL;
        }
        if (len > CONF_FILE_MAX) {
                conf_problem_at(p, name, 1, 1, "", "the file is too large; 256 KiB are allowed, use include for more");
                r.broken = true;
        } else {
                read_text(&r, text, len);
        }
        if (!r.broken)
                make_root(&r);
        if (!r.broken)
                return tree;
        yaml_tree_free(tree);
        return NULL;
}

const struct yaml_node *yaml_root(const struct yaml_tree *t)
{
        return t->root;
}

void yaml_tree_free(struct yaml_tree *t)
{
        if (!t)
                return;
        arena_done(&t->arena);
        free(t);
}

/* ---- looking at trees ---- */

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
        if (!map || map->kind != YAML_MAP)
                return NULL;
        for (size_t i = 0; i < map->count; i++)
                if (strcmp(map->key[i], key) == 0)
                        return map->item[i];
        return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
        return !node ||
                (node->kind == YAML_SCALAR && !node->quoted &&
                        (strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0));
}

static int by_key_then_place(const void *a, const void *b, void *keys)
{
        char *const *key = keys;
        size_t x = *(const size_t *)a, y = *(const size_t *)b;
        int order = strcmp(key[x], key[y]);

        return order ? order : (x > y) - (x < y);
}

static int by_again(const void *a, const void *b)
{
        size_t x = ((const size_t *)a)[0], y = ((const size_t *)b)[0];

        return (x > y) - (x < y);
}

/* Pairs (repeat, first) among the sorted positions, in order of place. */
static size_t collect_repeats(const struct yaml_node *map, const size_t *sorted, size_t *pair)
{
        size_t n = 0, first = 0;

        for (size_t i = 1; i < map->count; i++)
                if (strcmp(map->key[sorted[first]], map->key[sorted[i]]) == 0) {
                        pair[2 * n] = sorted[i];
                        pair[2 * n++ + 1] = sorted[first];
                } else {
                        first = i;
                }
        qsort(pair, n, 2 * sizeof *pair, by_again);
        return n;
}

size_t *yaml_repeats(const struct yaml_node *map, size_t *ret_count, size_t **ret_firsts)
{
        *ret_count = 0;
        *ret_firsts = NULL;
        if (map->count < 2)
                return NULL;
        CLEANUP(free_p) size_t *sorted = calloc(map->count, sizeof *sorted);
        CLEANUP(free_p) size_t *pair = calloc(map->count, 2 * sizeof *pair);
        CLEANUP(free_p) size_t *again = calloc(map->count, sizeof *again);
        CLEANUP(free_p) size_t *first = calloc(map->count, sizeof *first);
        *ret_count = 1; /* not none, if memory fails */
        if (!sorted || !pair || !again || !first)
                return NULL;
        for (size_t i = 0; i < map->count; i++)
                sorted[i] = i;
        qsort_r(sorted, map->count, sizeof *sorted, by_key_then_place, map->key);
        *ret_count = collect_repeats(map, sorted, pair);
        if (*ret_count == 0)
                return NULL;
        for (size_t i = 0; i < *ret_count; i++) {
                again[i] = pair[2 * i];
                first[i] = pair[2 * i + 1];
        }
        *ret_firsts = STEAL(first);
        return STEAL(again);
}
