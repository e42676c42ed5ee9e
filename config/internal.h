/* The inside of the room: how its files work together. */
#ifndef DCVD_CONFIG_INTERNAL_H
#define DCVD_CONFIG_INTERNAL_H

#include "config/arena.h"
#include "config/config.h"
#include "config/yaml.h"

/* problems.c */
#define PROBLEMS_MAX 200
static inline size_t problems_total(const struct conf_problems *p)
{
        return p->text.count + p->beyond;
}
static inline bool problems_full(const struct conf_problems *p)
{
        return p->text.count >= PROBLEMS_MAX;
}
void problem_memory(struct conf_problems *p);
/* What is accepted there and does nothing. */
void warning_node(struct conf_problems *p, const struct yaml_node *node, const char *path, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* A problem at a node. Always false, so that `return problem_node(...)` ends a function. */
bool problem_node(struct conf_problems *p, const struct yaml_node *node, const char *path, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* The nearest of count names for "did you mean"; NULL if none is near. The names stand stride bytes apart. */
/* Appends to a list "a, b, c" in ret, as far as it fits. */
void list_add(char *ret, size_t size, const char *text);
const char *near_of(const char *text, const void *first_name, size_t stride, size_t count);

/* yaml.c */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key); /* NULL map or not a map: NULL */
bool yaml_is_null(const struct yaml_node *node); /* NULL, plain `null`, plain `~` */
/* Lists the positions of entries whose key was there before (rising); allocated, NULL if there is none. */
size_t *yaml_repeats(const struct yaml_node *map, size_t *ret_count, size_t **ret_firsts);

/* value.c: scalars and small values. All false after a problem was added. */
struct conf_value {
        const struct yaml_node *node;
        const struct conf_key *key;
        const char *path;
        void *at; /* the member */
        struct conf_problems *p;
};
bool value_read(const struct conf_value *v);
/* A map of names whose entries read() fills in, one after another, into zeroed items of that size; *ret and *ret_count
 * are right after a problem too, for whoever frees them. */
typedef bool named_fn(
        const struct yaml_node *map, const char *name, const char *path, void *ret, struct conf_problems *p);
bool named_parse(const struct yaml_node *node, const char *path, size_t max, size_t size, named_fn *read, void **ret,
        size_t *ret_count, struct conf_problems *p);
void value_allowed(const struct conf_key *key, char *ret, size_t size);
bool value_is_scalar(const struct yaml_node *node, const char *path, const char *allowed, struct conf_problems *p);
void duration_text(int64_t ms, char *ret, size_t size); /* "10m" */

/* syntax.c: small grammars. NULL: right; else what is wrong with it, without quoting it. */
const char *syntax_path(const char *text);
const char *syntax_url(const char *text, bool http_anywhere);
const char *syntax_host(const char *text); /* LDH name or address, no wildcard */
const char *syntax_name(const char *text); /* certificate name: LDH, wildcard leftmost, address */
const char *syntax_group(const char *text); /* user or group: name or number */
bool syntax_is_address(const char *text); /* numeric, without port */
void path_squeeze(char *path); /* "//" and a final "/" go */
void text_lower(char *text);

/* schema.c: conf_read without the key skip (NULL ok) being unknown. */
bool read_keys(const struct yaml_node *map, const struct conf_key *keys, const char *path, void *target,
        struct conf_problems *p, const char *skip);
const struct conf_key *conf_key_find(const struct conf_key *keys, const char *name);
char *path_join(const char *path, const char *key); /* allocated; NULL: memory */
char *path_index(const char *path, size_t index);
/* Calls visit for every CONF_SECRET of the table, nested ones too. */
void secrets_visit(
        const struct conf_key *keys, void *target, bool (*visit)(void *arg, struct secret_ref *r), void *arg);

/* print.c: --print-config. */
void print_keys(
        struct buf *out, unsigned indent, const struct conf_key *keys, const void *target, const struct yaml_node *map);
void print_scalar(struct buf *out, const char *text); /* plain where that is safe, else quoted; NULL: null */
void print_texts(struct buf *out, const struct texts *t);
void print_origin(struct buf *out, const struct yaml_node *node); /* " # FILE:LINE\n" or " # default\n" */
void print_indent(struct buf *out, unsigned indent);
void print_by_owner(
        struct buf *out, const void *target); /* as conf_key.print: the owner of the table prints this key */
void print_item_mark(struct buf *out, size_t at, unsigned indent); /* the line at offset `at` begins a list item */

/* words shared by tables and names */
extern const char *const validation_words[]; /* without the unset one: index + 1 = enum */
extern const char *const key_type_words[];
const char *key_type_word(enum key_type t);
const char *protocol_word(enum tls_protocol p); /* "tls" for none */

void print_targets(struct buf *out, unsigned indent, const struct conf_cert *cert, const struct yaml_node *node);
void print_sections(
        struct buf *out, const struct conf *c, const struct yaml_node *root); /* cas, publishers, certificates */

/* root.c */
extern const struct conf_key conf_root_keys[];
bool root_check(struct conf *c, const struct yaml_node *root, struct conf_problems *p);
bool root_defaults(struct conf *c); /* directories from the environment */
struct conf_root { /* what the root table fills */
        struct conf conf;
};
/* detectors.c */
extern const struct conf_key detector_keys[];
void detectors_settle(struct conf *c, bool given); /* given: there is a section alerts */
/* notify.c */
extern const struct conf_key notify_keys[];
bool notify_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
void notify_done(struct conf_notify_list *list);
/* alerts.c */
extern const struct conf_key alerts_keys[], webhook_keys[];
void webhooks_done(struct conf_webhook_list *list);
bool listen_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);

/* backend.c */
bool backends_read(struct conf *c, const char *section, const struct yaml_node *map, const struct conf_kind *kinds,
        struct conf_backend **ret, size_t *ret_count, struct conf_problems *p);
void backends_clear(struct conf_backend *b, size_t count);

/* cert.c and its parts */
extern const struct conf_key cert_keys[];
bool certs_read(struct conf *c, const struct yaml_node *map, struct conf_problems *p);
extern const struct conf_key ca_use_keys[];
bool cert_names_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
bool ca_list_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
bool publisher_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
bool validation_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
bool key_type_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
void ca_list_print(struct buf *out, const void *target);
void publisher_print(struct buf *out, const void *target);
void validation_print(struct buf *out, const void *target);
void key_type_print(struct buf *out, const void *target);
void publisher_map_done(struct conf_publisher_map *m);
void ca_uses_done(struct conf_ca_use *use, size_t count);

/* target.c, service.c */
extern const struct conf_key target_keys[], service_keys[], verify_keys[];
bool targets_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
void targets_done(struct conf_target *t, size_t count);
bool target_default_files(struct conf_target *t, bool key_elsewhere);
bool services_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p);
void services_done(struct conf_service *s, size_t count);
void verify_print(struct buf *out, const void *target);
void files_print(struct buf *out, const void *target);
void links_print(struct buf *out, const void *target);

/* check.c: what only the whole configuration can tell. */
struct cert_check {
        const struct conf *conf;
        struct conf_cert *cert;
        const struct yaml_node *node;
        const char *path;
        struct conf_problems *p;
        bool unclear; /* set here: how the names are validated is not known, which was said */
};
void cert_check(struct cert_check *k); /* also resolves cert->validation */
/* What certificates write, collected to be compared at the end. */
struct written {
        const char *path;
        const struct yaml_node *node;
        const struct conf_cert *cert;
        const struct conf_target *target;
        bool is_link;
        size_t order;
};
void written_check(struct written *w, size_t count, struct conf_problems *p);

/* pack.c: cert into the arena, equal parts once. The passphrase moves; the rest of raw is the caller's. */
bool cert_pack(struct arena *a, struct conf_cert *raw, struct conf_cert *ret);

/* include.c: the files of a configuration as one root map. */
struct sources {
        struct yaml_tree **tree;
        size_t count;
        struct yaml_node *root; /* merged; NULL if a file could not be read */
        bool incomplete; /* a file could not be read */
        struct arena arena; /* of the merged maps */
        struct conf_stamp stamp;
};
bool sources_read(struct sources *s, const char *path, struct conf_problems *p);
bool sources_read_text(struct sources *s, const char *name, const char *text, size_t len, struct conf_problems *p);
void sources_done(struct sources *s);
/* The patterns of `include`, checked. False after a problem. */
bool include_patterns(const struct yaml_node *node, struct texts *ret, struct conf_problems *p);
bool include_expand(
        const struct texts *patterns, const struct yaml_node *node, struct texts *ret, struct conf_problems *p);

/* stamp.c: path, then where patterns list, then what they match, each stamped before it is read, so that a change in
 * between shows. */
void stamp_begin(struct conf_stamp *s, const char *path);
void stamp_places(struct conf_stamp *s, const struct texts *patterns);
void stamp_included(struct conf_stamp *s, const struct texts *files);
void stamp_done(struct conf_stamp *s);
/* Would a file that was last changed then be dated later by a change from now on? */
bool stamp_is_settled(const struct timespec *changed);

#endif
