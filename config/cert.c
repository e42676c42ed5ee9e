/* The section `certificates`. */
#include <inttypes.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define NAMES_MAX 1000

static const char *const rehearse_words[] = { "auto", "always", "never", NULL };
static const char *const reuse_words[] = { "never", "when-not-compromised", NULL };
static const char *const view_words[] = { "authoritative", "resolvers", "publisher", NULL };
static const char *const reissue_words[] = { "auto", "confirm", NULL };
static const char *const revoke_words[] = { "auto", "confirm", "never", NULL };
static const char *const renew_words[] = { "auto", "off", NULL };

/* ---- names ---- */

static const struct yaml_node *item_of(const struct yaml_node *node, size_t i)
{
        return node->kind == YAML_LIST ? node->item[i] : node;
}

struct placed_name {
        const char *name;
        size_t place;
};

static int by_placed_name(const void *a, const void *b)
{
        const struct placed_name *x = a, *y = b;
        int order = strcmp(x->name, y->name);

        return order ? order : (x->place > y->place) - (x->place < y->place);
}

static bool names_differ(
        const struct yaml_node *node, const char *path, const struct texts *names, struct conf_problems *p)
{
        CLEANUP(free_p) struct placed_name *list = calloc(names->count + 1, sizeof *list);
        bool good = true;

        if (!list) {
                problem_memory(p);
                return false;
        }
        for (size_t i = 0; i < names->count; i++)
                list[i] = (struct placed_name){ names->item[i], i };
        qsort(list, names->count, sizeof *list, by_placed_name);
        for (size_t i = 1; i < names->count; i++)
                if (*list[i].name && strcmp(list[i - 1].name, list[i].name) == 0) {
                        CLEANUP(free_p) char *at = path_index(path, list[i].place);
                        good = problem_node(
                                p, item_of(node, list[i].place), at, "%s is given twice; each name once", list[i].name);
                }
        return good;
}

/* Addresses in their one canonical form, names in lower case. */
static bool name_normal(char **name)
{
        struct address a;
        char text[ADDRESS_TEXT];

        text_lower(*name);
        if (!syntax_is_address(*name) || !address_parse(*name, 0, &a))
                return true;
        address_text(&a, false, text);
        char *copy = text_dup(text);
        if (!copy)
                return false;
        free(*name);
        *name = copy;
        return true;
}

bool cert_names_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct texts *names = target;
        bool good = true;

        for (size_t i = 0; i < names->count; i++) {
                if (!*names->item[i]) /* said already */
                        continue;
                CLEANUP(free_p) char *at = node->kind == YAML_LIST ? path_index(path, i) : text_dup(path);
                const char *fault = syntax_name(names->item[i]);
                if (fault)
                        good = problem_node(p, item_of(node, i), at,
                                "%s; names such as www.example.com, *.example.com, or an address", fault);
                if (!name_normal(&names->item[i])) {
                        problem_memory(p);
                        return false;
                }
        }
        return names_differ(node, path, names, p) && good;
}

/* ---- small values ---- */

static bool certificate_id_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *text = *(char **)target;

        for (const char *c = text; *c; c++)
                if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                            strchr("-_", *c)))
                        return problem_node(p, node, path, "has a character that no id has; letters, digits, - _");
        return strlen(text) <= 128 ? true : problem_node(p, node, path, "is too long; at most 128 characters");
}

static bool renew_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct conf_key key = { .name = "renew", .type = CONF_WORD, .words = renew_words };
        int index = 0;
        struct conf_value v = { .node = node, .key = &key, .path = path, .at = &index, .p = p };
        bool good = value_read(&v);

        *(bool *)target = index == 0;
        return good;
}

static void renew_print(struct buf *out, const void *target)
{
        buf_add(out, *(const bool *)target ? "auto" : "\"off\"");
}

static bool quorum_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const char allowed[] = "all, majority or a number of addresses";
        int64_t n = 0;

        if (!value_is_scalar(node, path, allowed, p))
                return false;
        if (strcmp(node->text, "majority") == 0)
                n = -1;
        else if (strcmp(node->text, "all") != 0 && !parse_i64(node->text, 1, 1000, &n))
                return problem_node(p, node, path, "is not a quorum; %s", allowed);
        *(int64_t *)target = n;
        return true;
}

static void quorum_print(struct buf *out, const void *target)
{
        int64_t n = *(const int64_t *)target;

        if (n > 0)
                buf_addf(out, "%" PRId64, n);
        else
                buf_add(out, n ? "majority" : "all");
}

static bool hosts_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct texts *list = target;

        for (size_t i = 0; i < list->count; i++) {
                size_t len = strlen(list->item[i]);
                if (len > 1 && list->item[i][len - 1] == '.')
                        list->item[i][len - 1] = '\0';
        }
        return conf_check_items(node, path, list, p, syntax_host, "addresses or names of name servers");
}

static const char *endpoint_fault(const char *text)
{
        CLEANUP(free_p) char *host = NULL;
        uint16_t port;

        return hostport_split(text, &host, &port, NULL) && !syntax_host(host) ? NULL : "is not host and port";
}

static bool endpoints_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, endpoint_fault, "\"cdn.example.com:443\"");
}

/* ---- the table ---- */

#define AT(member) offsetof(struct conf_cert, member)
static const struct conf_key fallback_keys[] = {
        { .name = "after",
                .type = CONF_DURATION,
                .offset = AT(fallback_after_ms),
                .otherwise = "6h",
                .min = 5000,
                .max = 90 * DAY_MS },
        { .name = "downgrade", .type = CONF_BOOL, .offset = AT(fallback_downgrade), .otherwise = "false" },
        { .name = NULL },
};
static const struct conf_key key_keys[] = {
        { .name = "type",
                .type = CONF_CUSTOM,
                .offset = AT(key_type),
                .words = key_type_words,
                .parse = key_type_parse,
                .print = key_type_print,
                .left_to = "the CA's rule" },
        { .name = "reuse", .type = CONF_WORD, .offset = AT(key_reuse), .words = reuse_words, .otherwise = "never" },
        { .name = "csr", .type = CONF_PATH, .offset = AT(key_csr) },
        { .name = "passphrase", .type = CONF_SECRET, .offset = AT(key_passphrase) },
        { .name = NULL },
};
static const struct conf_key propagation_keys[] = {
        { .name = "timeout",
                .type = CONF_DURATION,
                .offset = AT(propagation.timeout_ms),
                .otherwise = "10m",
                .min = 1000,
                .max = 7 * DAY_MS },
        { .name = "consecutive",
                .type = CONF_INT,
                .offset = AT(propagation.consecutive),
                .otherwise = "2",
                .min = 1,
                .max = 100 },
        { .name = "settle",
                .type = CONF_DURATION,
                .offset = AT(propagation.settle_ms),
                .otherwise = "0s",
                .min = 0,
                .max = DAY_MS },
        { .name = "view",
                .type = CONF_WORD,
                .offset = AT(propagation.view),
                .words = view_words,
                .otherwise = "authoritative" },
        { .name = "ignore", .type = CONF_TEXTS, .offset = AT(propagation.ignore), .max = 64, .parse = hosts_check },
        { .name = "quorum",
                .type = CONF_CUSTOM,
                .offset = AT(propagation.quorum),
                .parse = quorum_parse,
                .print = quorum_print,
                .shape = "{\"anyOf\":[{\"enum\":[\"all\",\"majority\"]},{\"type\":\"integer\",\"minimum\":1}]}" },
        { .name = NULL },
};
static const struct conf_key compromise_keys[] = {
        { .name = "reissue",
                .type = CONF_WORD,
                .offset = AT(compromise_reissue),
                .words = reissue_words,
                .otherwise = "auto" },
        { .name = "revoke",
                .type = CONF_WORD,
                .offset = AT(compromise_revoke),
                .words = revoke_words,
                .otherwise = "auto" },
        { .name = "deadline",
                .type = CONF_DURATION,
                .offset = AT(compromise_deadline_ms),
                .otherwise = "23h",
                .min = 600000,
                .max = 30 * DAY_MS },
        { .name = NULL },
};
const struct conf_key cert_keys[] = {
        { .name = "names",
                .type = CONF_TEXTS,
                .offset = AT(names),
                .required = true,
                .min = 1,
                .max = NAMES_MAX,
                .parse = cert_names_parse },
        { .name = "ca",
                .type = CONF_CUSTOM,
                .offset = AT(ca),
                .required = true,
                .parse = ca_list_parse,
                .print = ca_list_print,
                .sub = ca_use_keys,
                .allowed = "the name of a CA, or a list of names and {use, validation, publisher, key}",
                .shape = "{\"anyOf\":[{\"type\":\"string\"},@,{\"type\":\"array\",\"minItems\":1,\"items\":"
                         "{\"anyOf\":[{\"type\":\"string\"},@]}}]}" },
        { .name = "fallback", .type = CONF_STRUCT, .sub = fallback_keys },
        { .name = "certificate_id", .type = CONF_TEXT, .offset = AT(certificate_id), .parse = certificate_id_check },
        { .name = "validation",
                .type = CONF_CUSTOM,
                .offset = AT(validation),
                .words = validation_words,
                .parse = validation_parse,
                .print = validation_print },
        { .name = "publisher",
                .type = CONF_CUSTOM,
                .offset = AT(publisher),
                .parse = publisher_parse,
                .print = publisher_print,
                .shape = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"additionalProperties\":{\"type\":"
                         "\"string\"}}]}" },
        { .name = "rehearse", .type = CONF_WORD, .offset = AT(rehearse), .words = rehearse_words, .otherwise = "auto" },
        { .name = "key", .type = CONF_STRUCT, .sub = key_keys },
        { .name = "propagation", .type = CONF_STRUCT, .sub = propagation_keys },
        { .name = "deploy",
                .type = CONF_CUSTOM,
                .offset = AT(target),
                .parse = targets_parse,
                .print = print_by_owner,
                .sub = target_keys,
                .shape = "{\"anyOf\":[@,{\"type\":\"array\",\"items\":@}]}" },
        { .name = "elsewhere", .type = CONF_TEXTS, .offset = AT(elsewhere), .max = 256, .parse = endpoints_check },
        { .name = "renew",
                .type = CONF_CUSTOM,
                .offset = AT(renew),
                .words = renew_words,
                .parse = renew_parse,
                .print = renew_print },
        { .name = "on_compromise", .type = CONF_STRUCT, .sub = compromise_keys },
        { .name = NULL },
};

/* ---- reading ---- */

static void raw_done(struct conf_cert *raw)
{
        conf_clear(cert_keys, raw);
        ca_uses_done(raw->ca, raw->ca_count);
        publisher_map_done(&raw->publisher);
        targets_done(raw->target, raw->target_count);
}

struct certs {
        struct conf *conf;
        struct conf_problems *p;
        struct written *written;
        size_t written_count, written_cap;
};

static bool note(struct certs *r, struct written w)
{
        if (r->written_count == r->written_cap) {
                size_t cap = r->written_cap ? r->written_cap * 2 : 64;
                struct written *more = realloc(r->written, cap * sizeof *more);
                if (!more)
                        return false;
                r->written = more;
                r->written_cap = cap;
        }
        w.order = r->written_count;
        r->written[r->written_count++] = w;
        return true;
}

static bool note_written(struct certs *r, const struct conf_cert *cert, const struct yaml_node *deploy)
{
        bool good = true;

        for (size_t i = 0; i < cert->target_count; i++) {
                const struct conf_target *t = &cert->target[i];
                const struct yaml_node *node = item_of(deploy, i), *links = yaml_get(node, "links");
                struct written w = {
                        .path = t->directory, .node = yaml_get(node, "directory"), .cert = cert, .target = t
                };
                if (t->directory && w.node)
                        good &= note(r, w);
                for (size_t j = 0; j < t->link_count; j++) {
                        w.path = t->link[j].path;
                        w.node = links ? links->item[j] : node;
                        w.is_link = true;
                        if (w.path)
                                good &= note(r, w);
                }
        }
        return good;
}

static bool fill_files(struct conf_cert *raw)
{
        for (size_t i = 0; i < raw->target_count; i++)
                if (raw->target[i].file_count == 0 && !target_default_files(&raw->target[i], raw->key_csr != NULL))
                        return false;
        return true;
}

static bool cert_read(struct certs *r, const char *name, const struct yaml_node *node, struct conf_cert *ret)
{
        CLEANUP(free_p) char *path = path_join("certificates", name);
        struct conf_cert raw = { .renew = true };

        raw.name = (char *)(uintptr_t)name;
        raw.file = node->file;
        raw.line = node->line;
        if (!name_is_safe(name))
                problem_node(r->p, node, path, "is not a good name; at most 64 letters, digits, . _ -, no leading dot");
        (void)conf_read(node, cert_keys, path, &raw, r->p, NULL); /* what could be read is checked all the same */
        struct cert_check k = { .conf = r->conf, .cert = &raw, .node = node, .path = path, .p = r->p };
        bool good = fill_files(&raw);
        cert_check(&k);
        good = good && cert_pack(r->conf->arena, &raw, ret) && note_written(r, ret, yaml_get(node, "deploy"));
        raw_done(&raw);
        if (!good)
                problem_memory(r->p);
        return good;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct conf_cert *)a)->name, ((const struct conf_cert *)b)->name);
}

static int by_id(const void *a, const void *b)
{
        const struct conf_cert *x = *(const struct conf_cert *const *)a, *y = *(const struct conf_cert *const *)b;
        int order = strcmp(x->certificate_id, y->certificate_id);

        return order ? order : strcmp(x->name, y->name);
}

static void same_id(const struct conf_cert *cert, const struct conf_cert *other, const struct yaml_node *map,
        struct conf_problems *p)
{
        CLEANUP(free_p) char *path = text_format("certificates.%s.certificate_id", cert->name);
        const struct yaml_node *node = problems_full(p) ? NULL : yaml_get(yaml_get(map, cert->name), "certificate_id");

        problem_node(p, node ? node : map, path,
                "is also that of certificate \"%s\" (%s:%d); each replaces one of its own", other->name, other->file,
                other->line);
}

/* Two certificates with one id at the CA would spend its one reissue twice. */
static void ids_differ(const struct conf *c, const struct yaml_node *map, struct conf_problems *p)
{
        CLEANUP(free_p) const struct conf_cert **list = calloc(c->cert_count + 1, sizeof(struct conf_cert *));
        size_t count = 0;

        if (!list) {
                problem_memory(p);
                return;
        }
        for (size_t i = 0; i < c->cert_count; i++)
                if (c->cert[i].certificate_id)
                        list[count++] = &c->cert[i];
        qsort(list, count, sizeof(struct conf_cert *), by_id);
        for (size_t i = 1; i < count; i++)
                if (strcmp(list[i - 1]->certificate_id, list[i]->certificate_id) == 0)
                        same_id(list[i], list[i - 1], map, p);
}

bool certs_read(struct conf *c, const struct yaml_node *map, struct conf_problems *p)
{
        struct certs r = { .conf = c, .p = p };
        size_t before = problems_total(p);

        if (yaml_is_null(map))
                return true;
        if (map->kind != YAML_MAP)
                return problem_node(p, map, "certificates", "is not a map; a map of names is wanted");
        if (map->count > CONF_CERTS_MAX)
                return problem_node(p, map, "certificates", "has too many entries; %d are allowed", CONF_CERTS_MAX);
        c->cert = arena_take(c->arena, map->count * sizeof *c->cert);
        if (!c->cert) {
                problem_memory(p);
                return false;
        }
        for (size_t i = 0; i < map->count; i++) {
                if (!cert_read(&r, map->key[i], map->item[i], &c->cert[c->cert_count]))
                        break;
                c->cert_count++;
        }
        written_check(r.written, r.written_count, p);
        free(r.written);
        qsort(c->cert, c->cert_count, sizeof *c->cert, by_name);
        ids_differ(c, map, p);
        return problems_total(p) == before;
}
