/* What only the whole configuration can tell: that the CAs and publishers of a certificate exist and fit together. */
#include <string.h>

#include "agent/base/util.h"
#include "agent/pki/key.h"
#include "config/internal.h"

/* As validators/proof.h has them; that room is above this one. */
enum { CAN_TXT = 1, CAN_CNAME = 2, CAN_FILE = 4, CAN_TLS = 8 };

/* ---- where things stand, for messages ---- */

static const struct yaml_node *child(const struct cert_check *k, const char *key)
{
        const struct yaml_node *n = yaml_get(k->node, key);

        return n ? n : k->node;
}

static const struct yaml_node *use_node(const struct cert_check *k, size_t use)
{
        const struct yaml_node *n = child(k, "ca");

        return n->kind == YAML_LIST && use < n->count ? n->item[use] : n;
}

/* The node of a setting as it holds for one CA of the list: its own, else the certificate's. path is what it is called.
 */
static const struct yaml_node *setting(const struct cert_check *k, size_t use, const char *key, char **ret_path)
{
        const struct yaml_node *entry = use_node(k, use), *own = yaml_get(entry, key);

        if (own)
                *ret_path = child(k, "ca")->kind == YAML_LIST ? text_format("%s.ca[%zu].%s", k->path, use, key)
                                                              : text_format("%s.ca.%s", k->path, key);
        else
                *ret_path = path_join(k->path, key);
        return own ? own : child(k, key);
}

static bool is_given(const struct conf_publisher_map *m)
{
        return m->otherwise || m->suffix.count;
}

static const struct conf_publisher_map *publisher_of(const struct cert_check *k, size_t use)
{
        const struct conf_publisher_map *own = &k->cert->ca[use].publisher;

        return is_given(own) ? own : &k->cert->publisher;
}

static enum conf_validation validation_of(const struct cert_check *k, size_t use)
{
        enum conf_validation own = k->cert->ca[use].validation;

        return own != VALIDATION_UNSET ? own : k->cert->validation;
}

/* A few names of a list, for "what is allowed". */
static void list_names(const struct conf_backend *b, size_t count, unsigned can, char *ret, size_t size)
{
        size_t shown = 0;

        ret[0] = '\0';
        for (size_t i = 0; i < count && shown < 12; i++)
                if (!can || (b[i].kind && (b[i].kind->can & can))) {
                        list_add(ret, size, b[i].name);
                        shown++;
                }
        if (shown == 0)
                list_add(ret, size, count ? "none of those that are configured can" : "none is configured");
}

static void no_such(const struct cert_check *k, const struct yaml_node *node, const char *path, const char *what,
        const char *name, const struct conf_backend *b, size_t count)
{
        char allowed[400];

        if (problems_full(k->p)) {
                k->p->beyond++;
                return;
        }
        list_names(b, count, 0, allowed, sizeof allowed);
        const char *near = count ? near_of(name, &b->name, sizeof *b, count) : NULL;
        if (near)
                problem_node(k->p, node, path, "there is no %s \"%s\" (did you mean \"%s\"?); %s", what, name, near,
                        allowed);
        else
                problem_node(k->p, node, path, "there is no %s \"%s\"; %s", what, name, allowed);
}

/* ---- existence ---- */

static void check_ca_exists(const struct cert_check *k, size_t use)
{
        const struct conf_ca_use *u = &k->cert->ca[use];
        const struct yaml_node *node = use_node(k, use);

        if (!u->ca || config_ca(k->conf, u->ca))
                return;
        CLEANUP(free_p)
        char *path =
                child(k, "ca")->kind == YAML_LIST ? text_format("%s.ca[%zu]", k->path, use) : path_join(k->path, "ca");
        no_such(k, yaml_get(node, "use") ? yaml_get(node, "use") : node, path, "CA", u->ca, k->conf->ca,
                k->conf->ca_count);
}

static void check_publisher_exists(
        const struct cert_check *k, const struct yaml_node *node, const char *path, const char *name)
{
        if (name && !config_publisher(k->conf, name))
                no_such(k, node, path, "publisher", name, k->conf->publisher, k->conf->publisher_count);
}

static void check_map_exists(
        const struct cert_check *k, const struct yaml_node *node, const char *path, const struct conf_publisher_map *m)
{
        if (!node || node->kind != YAML_MAP) {
                check_publisher_exists(k, node, path, m->otherwise);
                return;
        }
        for (size_t i = 0; i < node->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, node->key[i]);
                if (node->item[i]->kind == YAML_SCALAR && *node->item[i]->text)
                        check_publisher_exists(k, node->item[i], at, node->item[i]->text);
        }
}

static void check_exist(const struct cert_check *k)
{
        CLEANUP(free_p) char *path = path_join(k->path, "publisher");

        for (size_t i = 0; i < k->cert->ca_count; i++)
                check_ca_exists(k, i);
        if (is_given(&k->cert->publisher))
                check_map_exists(k, yaml_get(k->node, "publisher"), path, &k->cert->publisher);
        for (size_t i = 0; i < k->cert->ca_count; i++)
                if (is_given(&k->cert->ca[i].publisher)) {
                        CLEANUP(free_p) char *at = NULL;
                        const struct yaml_node *node = setting(k, i, "publisher", &at);
                        check_map_exists(k, node, at, &k->cert->ca[i].publisher);
                }
}

/* ---- validation follows the publisher ---- */

enum follow { FOLLOW_NOTHING, FOLLOW_DNS, FOLLOW_FILE, FOLLOW_UNCLEAR };

static enum follow follow_kind(const struct conf_kind *kind)
{
        if (kind->by_person && (kind->can & CAN_TXT) && (kind->can & CAN_FILE))
                return FOLLOW_UNCLEAR;
        if (kind->can & CAN_TXT)
                return FOLLOW_DNS;
        return kind->can & CAN_FILE ? FOLLOW_FILE : FOLLOW_UNCLEAR;
}

static enum follow follow(const struct cert_check *k, const struct conf_publisher_map *m)
{
        enum follow all = FOLLOW_NOTHING;

        for (size_t i = 0; i < k->cert->names.count; i++) {
                const char *name = *k->cert->names.item[i] ? conf_publisher_for(m, k->cert->names.item[i]) : NULL;
                const struct conf_backend *b = name ? config_publisher(k->conf, name) : NULL;
                if (!b || !b->kind)
                        continue; /* said elsewhere */
                enum follow one = follow_kind(b->kind);
                if (all == FOLLOW_NOTHING)
                        all = one;
                else if (all != one)
                        return FOLLOW_UNCLEAR;
        }
        return all;
}

static bool all_say_theirs(const struct cert_check *k)
{
        for (size_t i = 0; i < k->cert->ca_count; i++)
                if (k->cert->ca[i].validation == VALIDATION_UNSET)
                        return false;
        return k->cert->ca_count > 0;
}

static const struct conf_publisher_map *first_map(const struct cert_check *k)
{
        if (is_given(&k->cert->publisher))
                return &k->cert->publisher;
        for (size_t i = 0; i < k->cert->ca_count; i++)
                if (is_given(&k->cert->ca[i].publisher))
                        return &k->cert->ca[i].publisher;
        return NULL;
}

static void resolve_validation(struct cert_check *k)
{
        struct conf_cert *c = k->cert;
        const struct conf_publisher_map *m = first_map(k);

        if (c->validation != VALIDATION_UNSET)
                return;
        if (all_say_theirs(k)) {
                c->validation = c->ca[0].validation;
                return;
        }
        c->validation = VALIDATION_DNS;
        k->unclear = yaml_get(k->node, "validation") != NULL; /* given, but wrong */
        if (k->unclear || !m) /* no publisher: said below */
                return;
        enum follow f = follow(k, m);
        CLEANUP(free_p) char *path = path_join(k->path, "validation");
        k->unclear = f == FOLLOW_UNCLEAR;
        if (k->unclear)
                problem_node(k->p, child(k, "publisher"), path,
                        "is missing, and the publisher does not decide it; dns or file must be said");
        else if (f == FOLLOW_FILE)
                c->validation = VALIDATION_FILE;
}

/* ---- what each CA of the list needs ---- */

static const struct need {
        unsigned can;
        const char *what;
} needs[] = {
        [VALIDATION_DNS] = { CAN_TXT, "publish TXT records" },
        [VALIDATION_FILE] = { CAN_FILE, "publish files" },
        [VALIDATION_TLS_ALPN] = { CAN_TLS, "answer TLS handshakes" },
        [VALIDATION_DNS_AUTO] = { 0, "" }, /* the CA does it itself */
};

static void cannot_publish(const struct cert_check *k, size_t use, const struct conf_backend *b, const char *name)
{
        enum conf_validation v = validation_of(k, use);
        CLEANUP(free_p) char *path = NULL;
        const struct yaml_node *node = setting(k, use, "publisher", &path);
        char allowed[400];

        if (node->kind == YAML_MAP)
                for (size_t i = 0; i < node->count; i++)
                        if (node->item[i]->kind == YAML_SCALAR && strcmp(node->item[i]->text, b->name) == 0) {
                                node = node->item[i];
                                break;
                        }
        list_names(k->conf->publisher, k->conf->publisher_count, needs[v].can, allowed, sizeof allowed);
        problem_node(k->p, node, path, "publisher \"%s\" (%s) cannot %s, which validation %s needs for %s; %s", b->name,
                b->kind->type, needs[v].what, conf_validation_name(v), name, allowed);
}

static void check_publishers(const struct cert_check *k, size_t use)
{
        const struct conf_publisher_map *m = publisher_of(k, use);
        unsigned need = needs[validation_of(k, use)].can;
        const struct conf_backend *said = NULL;
        CLEANUP(free_p) char *path = NULL;
        const struct yaml_node *node = setting(k, use, "publisher", &path);

        if (!is_given(m)) {
                char allowed[400];
                bool open = !yaml_get(k->node, "validation") && !yaml_get(use_node(k, use), "validation");
                if (open) /* it will follow the publisher */
                        need = 0;
                list_names(k->conf->publisher, k->conf->publisher_count, need, allowed, sizeof allowed);
                if (!yaml_get(k->node, "publisher") && !yaml_get(use_node(k, use), "publisher"))
                        problem_node(k->p, k->node, path, "is missing; %s", allowed);
                return;
        }
        for (size_t i = 0; i < k->cert->names.count; i++) {
                const char *name = k->cert->names.item[i], *publisher = conf_publisher_for(m, name);
                const struct conf_backend *b = publisher ? config_publisher(k->conf, publisher) : NULL;
                if (!publisher && *name) /* what is no name was said already */
                        problem_node(
                                k->p, node, path, "names no publisher for %s; add a suffix of it, or default", name);
                else if (b && b->kind && b != said && !(b->kind->can & need)) {
                        cannot_publish(k, use, b, name);
                        said = b;
                }
        }
}

/* tls-alpn is answered by dcvd itself; a publisher that stands beside it must be one that can all the same. */
static bool needs_publisher(const struct cert_check *k, size_t use)
{
        enum conf_validation own = k->cert->ca[use].validation;
        const struct conf_publisher_map *beside =
                own != VALIDATION_UNSET ? &k->cert->ca[use].publisher : &k->cert->publisher;

        return validation_of(k, use) == VALIDATION_TLS_ALPN ? is_given(beside) : needs[validation_of(k, use)].can != 0;
}

static const struct yaml_node *name_node(const struct cert_check *k, size_t i)
{
        const struct yaml_node *names = child(k, "names");

        return names->kind == YAML_LIST && i < names->count ? names->item[i] : names;
}

static void check_names(const struct cert_check *k, enum conf_validation v)
{
        for (size_t i = 0; i < k->cert->names.count; i++) {
                const char *name = k->cert->names.item[i];
                CLEANUP(free_p) char *path = text_format("%s.names[%zu]", k->path, i);
                bool dns = v == VALIDATION_DNS || v == VALIDATION_DNS_AUTO;
                if (!dns && text_starts(name, "*."))
                        problem_node(k->p, name_node(k, i), path, "a wildcard cannot be validated by %s; dns",
                                conf_validation_name(v));
                else if (dns && syntax_is_address(name))
                        problem_node(k->p, name_node(k, i), path,
                                "an address cannot be validated by %s; file or tls-alpn", conf_validation_name(v));
        }
}

static void check_ca_validates(const struct cert_check *k, size_t use, const struct conf_backend *ca)
{
        enum conf_validation v = validation_of(k, use);
        unsigned can = v == VALIDATION_TLS_ALPN ? CONF_CA_TLS_ALPN : v == VALIDATION_DNS_AUTO ? CONF_CA_DNS_AUTO : 0;
        CLEANUP(free_p) char *path = NULL;
        const struct yaml_node *node = setting(k, use, "validation", &path);

        if (!can || (ca->kind->can & can))
                return;
        problem_node(k->p, node, path, "CA \"%s\" (%s) does not validate by %s; dns, file%s%s", ca->name,
                ca->kind->type, conf_validation_name(v), ca->kind->can & CONF_CA_TLS_ALPN ? ", tls-alpn" : "",
                ca->kind->can & CONF_CA_DNS_AUTO ? ", dns-auto" : "");
}

static bool issues(const struct conf_kind *kind, const char *type)
{
        if (!kind->key_types)
                return strcmp(type, "sm2") != 0;
        for (const char *const *t = kind->key_types; *t; t++)
                if (strcmp(*t, type) == 0)
                        return true;
        return false;
}

static void check_key_type(const struct cert_check *k, size_t use, const struct conf_backend *ca)
{
        enum key_type own = k->cert->ca[use].key_type, type = own != KEY_NONE ? own : k->cert->key_type;
        CLEANUP(free_p) char *path = NULL;
        char allowed[200] = "";

        if (type == KEY_NONE || issues(ca->kind, key_type_word(type)))
                return;
        for (size_t i = 0; key_type_words[i]; i++)
                if (issues(ca->kind, key_type_words[i]))
                        list_add(allowed, sizeof allowed, key_type_words[i]);
        const struct yaml_node *node = setting(k, use, "key", &path);
        const struct yaml_node *at = yaml_get(node, "type");
        CLEANUP(free_p) char *full = path_join(path, "type");
        problem_node(k->p, at ? at : node, full, "CA \"%s\" (%s) issues no certificate for a key of type %s; %s",
                ca->name, ca->kind->type, key_type_word(type), allowed);
}

static bool checked_before(const struct cert_check *k, size_t use, bool with_map)
{
        for (size_t i = 0; i < use; i++)
                if (validation_of(k, i) == validation_of(k, use) &&
                        (!with_map || publisher_of(k, i) == publisher_of(k, use)))
                        return true;
        return false;
}

static void check_use(const struct cert_check *k, size_t use)
{
        const char *name = k->cert->ca[use].ca;
        const struct conf_backend *ca = name ? config_ca(k->conf, name) : NULL;

        bool known = !k->unclear || k->cert->ca[use].validation != VALIDATION_UNSET;
        if (known && needs_publisher(k, use) && !checked_before(k, use, true))
                check_publishers(k, use);
        if (known && !checked_before(k, use, false))
                check_names(k, validation_of(k, use));
        if (!ca || !ca->kind)
                return;
        check_ca_validates(k, use, ca);
        check_key_type(k, use, ca);
        if ((ca->kind->can & CONF_CA_NEEDS_CERTIFICATE_ID) && !yaml_get(k->node, "certificate_id")) {
                CLEANUP(free_p) char *path = path_join(k->path, "certificate_id");
                problem_node(k->p, k->node, path,
                        "is missing; CA \"%s\" (%s) replaces a certificate that exists: the id it has there", ca->name,
                        ca->kind->type);
        }
}

static bool same_map(const struct conf_publisher_map *a, const struct conf_publisher_map *b)
{
        return !is_given(a) && !is_given(b);
}

static void check_repeats(const struct cert_check *k)
{
        const struct conf_ca_use *u = k->cert->ca;

        for (size_t i = 1; i < k->cert->ca_count; i++)
                for (size_t j = 0; j < i; j++)
                        if (u[i].ca && u[j].ca && strcmp(u[i].ca, u[j].ca) == 0 && u[i].key_type == u[j].key_type &&
                                validation_of(k, i) == validation_of(k, j) &&
                                same_map(&u[i].publisher, &u[j].publisher)) {
                                CLEANUP(free_p) char *path = text_format("%s.ca[%zu]", k->path, i);
                                problem_node(k->p, use_node(k, i), path,
                                        "CA \"%s\" is given twice; once, or with another validation, publisher or key",
                                        u[i].ca);
                                break;
                        }
}

/* ---- what is accepted and does nothing ---- */

static void warn_of_id(const struct cert_check *k)
{
        const struct yaml_node *node = yaml_get(k->node, "certificate_id");

        if (yaml_is_null(node) || k->cert->ca_count == 0)
                return;
        for (size_t i = 0; i < k->cert->ca_count; i++) {
                const struct conf_backend *ca = k->cert->ca[i].ca ? config_ca(k->conf, k->cert->ca[i].ca) : NULL;
                if (!ca || !ca->kind || (ca->kind->can & CONF_CA_NEEDS_CERTIFICATE_ID))
                        return;
        }
        CLEANUP(free_p) char *path = path_join(k->path, "certificate_id");
        warning_node(k->p, node, path, "means nothing: no CA of its list knows certificates by an id");
}

/* dcvd itself answers for a publisher that can answer handshakes: those, and files over HTTP, where it listens. */
static void warn_of_answers(const struct cert_check *k, size_t use)
{
        const struct conf_publisher_map *m = publisher_of(k, use);
        bool file = validation_of(k, use) == VALIDATION_FILE, tls = validation_of(k, use) == VALIDATION_TLS_ALPN;
        bool listens = file ? k->conf->tokens_listen.count > 0 : k->conf->tokens_tls_listen.count > 0;

        if ((!file && !tls) || listens || checked_before(k, use, true))
                return;
        for (size_t i = 0; is_given(m) && i < k->cert->names.count; i++) {
                const char *name = *k->cert->names.item[i] ? conf_publisher_for(m, k->cert->names.item[i]) : NULL;
                const struct conf_backend *b = name ? config_publisher(k->conf, name) : NULL;
                if (!b || !b->kind || !(b->kind->can & CAN_TLS))
                        continue;
                CLEANUP(free_p) char *path = NULL;
                const struct yaml_node *node = setting(k, use, "publisher", &path);
                warning_node(k->p, node, path,
                        "publisher \"%s\" (%s) answers nobody: tokens.%s is not set, and %s is to be validated by %s",
                        b->name, b->kind->type, file ? "listen" : "tls_listen", k->cert->names.item[i],
                        conf_validation_name(validation_of(k, use)));
                return;
        }
}

/* ---- a key held elsewhere; links ---- */

static void check_csr(const struct cert_check *k)
{
        static const char *const other[] = { "type", "reuse", "passphrase" };
        const struct yaml_node *key = yaml_get(k->node, "key");

        if (!k->cert->key_csr)
                return;
        for (size_t i = 0; i < ARRAY_LEN(other); i++) {
                CLEANUP(free_p) char *path = text_format("%s.key.%s", k->path, other[i]);
                bool never = strcmp(other[i], "reuse") == 0 && k->cert->key_reuse == REUSE_NEVER; /* as it is printed */
                if (!never && !yaml_is_null(yaml_get(key, other[i])))
                        problem_node(k->p, yaml_get(key, other[i]), path,
                                "means nothing with csr, whose key is held elsewhere; one of the two");
        }
}

static bool form_holds_key(enum conf_form form)
{
        return form == FORM_KEY || form == FORM_COMBINED || form == FORM_PKCS12;
}

static bool has_file(const struct conf_target *t, const char *name)
{
        for (size_t i = 0; i < t->file_count; i++)
                if (t->file[i].name && strcmp(t->file[i].name, name) == 0)
                        return true;
        return false;
}

static void check_target(const struct cert_check *k, size_t i)
{
        const struct conf_target *t = &k->cert->target[i];
        const struct yaml_node *deploy = child(k, "deploy");
        const struct yaml_node *node = deploy->kind == YAML_LIST && i < deploy->count ? deploy->item[i] : deploy;
        const struct yaml_node *files = yaml_get(node, "files"), *links = yaml_get(node, "links");

        for (size_t j = 0; k->cert->key_csr && j < t->file_count; j++)
                if (t->file[j].name && form_holds_key(t->file[j].form)) {
                        CLEANUP(free_p)
                        char *path = text_format("%s.deploy[%zu].files.%s", k->path, i, t->file[j].name);
                        problem_node(k->p, files ? files->item[j] : node, path,
                                "needs the private key, which key.csr holds elsewhere; cert, chain, fullchain, der");
                }
        for (size_t j = 0; j < t->link_count; j++)
                if (t->link[j].file && !has_file(t, t->link[j].file)) {
                        CLEANUP(free_p)
                        char *path = text_format("%s.deploy[%zu].links.%s", k->path, i, t->link[j].path);
                        problem_node(k->p, links ? links->item[j] : node, path,
                                "\"%s\" is not in files; a name from there", t->link[j].file);
                }
}

void cert_check(struct cert_check *k)
{
        if (k->node->kind != YAML_MAP)
                return;
        check_exist(k);
        resolve_validation(k);
        for (size_t i = 0; i < k->cert->ca_count; i++)
                check_use(k, i);
        for (size_t i = 0; i < k->cert->ca_count; i++)
                warn_of_answers(k, i);
        warn_of_id(k);
        check_repeats(k);
        check_csr(k);
        for (size_t i = 0; i < k->cert->target_count; i++)
                check_target(k, i);
}

/* ---- two certificates must not write the same ---- */

static int by_path(const void *a, const void *b)
{
        const struct written *x = a, *y = b;
        int order = strcmp(x->path, y->path);

        return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void clash(const struct written *w, const struct written *other, const char *what, struct conf_problems *p)
{
        CLEANUP(free_p) char *path = text_format("certificates.%s.deploy", w->cert->name);

        problem_node(p, w->node, path, "%s is %s of certificate \"%s\" (%s:%d); a place of its own", w->path, what,
                other->cert->name, other->node->file, other->node->line);
}

static void check_inside(const struct written *link, const struct written *list, size_t count, struct conf_problems *p)
{
        const char *slash = strrchr(link->path, '/');
        CLEANUP(free_p)
        char *directory = text_dup_n(link->path, slash == link->path ? 1 : (size_t)(slash - link->path));
        const struct written wanted = { .path = directory };
        size_t low = 0, high = count;

        if (!directory) {
                problem_memory(p);
                return;
        }
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (by_path(&list[middle], &wanted) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low < count && !list[low].is_link && strcmp(list[low].path, directory) == 0 &&
                has_file(list[low].target, slash + 1))
                clash(link, &list[low], "a file", p);
}

void written_check(struct written *w, size_t count, struct conf_problems *p)
{
        if (count == 0)
                return;
        qsort(w, count, sizeof *w, by_path);
        for (size_t i = 1; i < count; i++)
                if (strcmp(w[i - 1].path, w[i].path) == 0)
                        clash(&w[i], &w[i - 1], w[i - 1].is_link ? "a link" : "the directory", p);
        for (size_t i = 0; i < count; i++)
                if (w[i].is_link)
                        check_inside(&w[i], w, count, p);
}
