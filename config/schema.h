/* Tree -> plain structs by key tables. A backend describes its own settings with one such table; config knows no
 * backend. */
#ifndef DCVD_CONFIG_SCHEMA_H
#define DCVD_CONFIG_SCHEMA_H

#include "agent/base/buf.h"
#include "agent/base/secret.h"

struct yaml_node;

/* All that is wrong with a configuration: `FILE:LINE:COL: path.to.key: what is wrong; what is allowed`. */
struct conf_problems {
        struct texts text; /* each a whole line; at most 200 */
        size_t not_in_build; /* how many of them say "not in this build" */
        size_t beyond; /* how many did not fit: "and N more" */
        struct texts warning; /* what is accepted and does nothing; lines of the same form, at most 200 */
};
void conf_problems_done(struct conf_problems *p);
void conf_problem_at(struct conf_problems *p, const char *file, int line, int column, const char *path,
        const char *format, ...) __attribute__((format(printf, 6, 7)));
/* For the parse() of CONF_TEXTS: fault_of says what is wrong with a text, NULL: nothing; allowed: what is wanted
 * instead. Each fault is told at its item. An item that could not be read was told of already. False: there was one. */
bool conf_check_items(const struct yaml_node *node, const char *path, const struct texts *list, struct conf_problems *p,
        const char *(*fault_of)(const char *text), const char *allowed);

enum conf_type {
        CONF_TEXT, /* char * */
        CONF_PATH, /* char *, absolute */
        CONF_URL, /* char *, https, or http for loopback only */
        CONF_BOOL, /* bool: true, false (yes no on off are refused with a hint) */
        CONF_INT, /* int64_t, min..max */
        CONF_DURATION, /* int64_t milliseconds, min..max in milliseconds */
        CONF_WORD, /* int: index into words */
        CONF_TEXTS, /* struct texts; a scalar is a list of one; for parse() "" stands for an item that was refused */
        CONF_ADDRESS, /* char *, numeric address with or without port */
        CONF_ENDPOINT, /* char *, host:port, port required */
        CONF_COMMAND, /* struct texts, an argument array; a single scalar is refused: no shell */
        CONF_SECRET, /* struct secret_ref: {file:} {credential:} {env:} */
        CONF_STRUCT, /* a nested struct at offset, described by sub */
        CONF_CUSTOM, /* parse() does it; without parse() the owner of the table reads the node itself */
};
struct conf_key {
        const char *name;
        enum conf_type type;
        size_t offset;
        bool required;
        const char *otherwise; /* default of a scalar as written in YAML; NULL: zero */
        int64_t min, max; /* CONF_INT, CONF_DURATION; CONF_TEXTS: number of items; both 0 = any */
        const char *const *words; /* CONF_WORD, NULL-terminated */
        const struct conf_key *sub; /* CONF_STRUCT; tables end with name NULL */
        /* CONF_CUSTOM, or an additional check of the others (value already stored). path names the key; target is the
         * member itself (struct + offset). Not called for defaults. */
        bool (*parse)(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
        const char
                *not_in_build; /* the key is known and checked, but refused if given; the text says what it would do */
        const char *allowed; /* CONF_CUSTOM: what may stand here, for messages; NULL: made from the type */
        /* CONF_CUSTOM: its JSON Schema, each @ standing for the object described by sub; NULL: words, else anything. */
        const char *shape;
        /* CONF_CUSTOM: appends the value for --print-config: one flow value without line feed. NULL: the YAML as
         * written. */
        void (*print)(struct buf *out, const void *target);
        const char
                *left_to; /* who decides where it is not given, for --print-config; NULL: nobody, or the value says */
};

/* Fills target (zeroed by the caller) by the table: unknown, repeated, missing keys and bad values are added to p (with
 * "did you mean"). False if anything was added; target then holds what could be read and is cleared by the caller. A
 * plain null is a key not given. printed (NULL ok) collects YAML lines with `# default` or `# FILE:LINE`, secrets as
 * ***. */
bool conf_read(const struct yaml_node *map, const struct conf_key *keys, const char *path, void *target,
        struct conf_problems *p, struct buf *printed);
void conf_clear(
        const struct conf_key *keys, void *target); /* frees what conf_read allocated (CONF_CUSTOM: its owner does) */

/* A type of CA or publisher, as the mains hand it in from the registries. */
struct conf_kind {
        const char *section; /* "cas", "publishers" */
        const char *type; /* value of `type:` */
        const struct conf_key *keys;
        size_t size; /* of the parsed struct */
        bool (*check)(void *parsed, const char *path, const struct yaml_node *node,
                struct conf_problems *p); /* may be NULL */
        void (*clear)(void *parsed); /* frees CONF_CUSTOM members; may be NULL */
        const char *not_in_build; /* known, its keys are checked, but this build does not have it */
        unsigned can; /* publishers: enum proof_type bits (validators/proof.h); cas: CONF_CA_* of config.h */
        bool by_person; /* publishers: a person publishes */
        const char *const
                *key_types; /* cas: names of key types issued for an uploaded CSR; NULL-terminated; NULL: all but sm2 */
};

#endif
