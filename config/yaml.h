/* YAML -> a tree that remembers file, line and column of every value. libyaml's event API, with limits: 256 KiB a file,
 * 64 levels, no aliases, no tags, no repeated keys, one document, valid UTF-8. */
#ifndef DCVD_CONFIG_YAML_H
#define DCVD_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>

struct conf_problems;

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };
struct yaml_node {
        enum yaml_kind kind;
        const char *file; /* borrowed from the tree */
        int line, column; /* 1-based, in characters */
        char *text; /* scalar; never NULL there */
        bool quoted; /* scalar: quoted or block, so that "" and "null" are texts */
        char **key; /* map: key texts, and their places */
        int *key_line, *key_column;
        struct yaml_node **item; /* map values, list items */
        size_t count;
};
struct yaml_tree; /* owns nodes and file names */

/* Reads text as the file called name. Problems are added, never printed; NULL if the text could not be read as a tree.
 * An empty file is an empty map. */
struct yaml_tree *yaml_read(const char *name, const char *text, size_t len, struct conf_problems *p);
const struct yaml_node *yaml_root(const struct yaml_tree *t);
void yaml_tree_free(struct yaml_tree *t); /* not yaml_free: libyaml exports that name, and ours would take its place */

#endif
