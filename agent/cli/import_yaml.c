/* The configuration that does what was found: built as a document, tried on the real reader of configurations, and
 * printed as a person would write it. A certificate for which no acceptable configuration can be made goes, and is
 * told. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/job/engine.h"
#include "agent/pki/key.h"
#include "config/config.h"

static const char *const form_words[IMPORT_FORMS] = { "fullchain", "cert", "chain", "key", "combined" };
static const char *const form_files[IMPORT_FORMS] = { "fullchain.pem", "cert.pem", "chain.pem", "privkey.pem",
        "combined.pem" };

struct builder {
        struct import *im;
        const struct conf *old;
        json_t *root;
        json_t *known; /* of old, what root refers to, as it would be found */
        struct texts paths; /* linked already: one path belongs to one certificate */
        bool agreed, server; /* server: one of the three answers on port 80 */
};

/* ---- names ---- */

static bool taken(const struct builder *b, const char *section, const char *name)
{
        if (json_object_get(json_object_get(b->root, section), name))
                return true;
        if (!b->old)
                return false;
        return strcmp(section, "cas") == 0           ? config_ca(b->old, name) != NULL
                : strcmp(section, "publishers") == 0 ? config_publisher(b->old, name) != NULL
                                                     : config_cert(b->old, name) != NULL;
}

/* A name of the configuration out of anything, free in its section. */
static char *free_name(const struct builder *b, const char *section, const char *wanted)
{
        char plain[58];
        size_t len = 0;
        for (const char *c = wanted; *c && len < sizeof plain - 1; c++)
                if (isalnum((unsigned char)*c) || (len > 0 && strchr("._-", *c)))
                        plain[len++] = *c;
        plain[len] = '\0';
        char *name = text_dup(len ? plain : "certificate");
        for (unsigned n = 2; name && taken(b, section, name); n++) {
                free(name);
                name = text_format("%s-%u", len ? plain : "certificate", n);
        }
        return name;
}

/* The entry of a section that says the same, else a new one. Takes value. */
static const char *entry(struct builder *b, const char *section, const char *wanted, json_t *value)
{
        json_t *map = json_object_get(b->root, section), *is;
        const char *key;
        json_object_foreach(map, key, is)
        {
                if (json_equal(is, value)) {
                        json_decref(value);
                        return key;
                }
        }
        CLEANUP(free_p) char *name = free_name(b, section, wanted);
        if (!name || !value || json_object_set_new(map, name, value) != 0) {
                b->im->failed = true;
                return "";
        }
        json_object_foreach(map, key, is)
        {
                if (is == value)
                        return key;
        }
        return "";
}

/* One that the configuration has: named, not written again. Takes value. */
static const char *entry_of_old(struct builder *b, const char *section, const char *name, json_t *value)
{
        b->im->failed |= json_object_set_new(json_object_get(b->known, section), name, value) != 0;
        return name;
}

/* ---- CA ---- */

static const struct {
        const char *name, *directory;
} cas[] = {
        { "letsencrypt", "https://acme-v02.api.letsencrypt.org/directory" },
        { "letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory" },
        { "zerossl", "https://acme.zerossl.com/v2/DV90" },
        { "google", "https://dv.acme-v02.api.pki.goog/directory" },
        { "buypass", "https://api.buypass.com/acme/directory" },
        { "sslcom", "https://acme.ssl.com/sslcom-dv-rsa" },
};

static const char *ca_of(struct builder *b, const struct import_cert *c)
{
        const char *directory = c->directory ? c->directory : cas[0].directory, *wanted = "ca";
        for (size_t i = 0; i < ARRAY_LEN(cas); i++)
                if (strcmp(cas[i].directory, directory) == 0)
                        wanted = cas[i].name;
        bool lets_encrypt = strstr(c->chain.leaf.issuer, "Let's Encrypt") != NULL;
        if (!c->directory && !lets_encrypt)
                import_left(b->im,
                        "%s: was issued by %s; the configuration names letsencrypt instead: change ca if that "
                        "is not wanted (Tencent Cloud: dcvctl import --from tencent)",
                        c->name, c->chain.leaf.issuer);
        const char *known = import_known_ca(b->old, directory);
        if (known)
                return entry_of_old(b, "cas", known, json_pack("{s:s, s:s}", "type", "acme", "directory", directory));
        if (strcmp(wanted, "zerossl") == 0 || strcmp(wanted, "google") == 0 || strcmp(wanted, "sslcom") == 0)
                import_next(b->im, "%s wants an account of yours: set eab of the CA, as it shows it to you", wanted);
        json_t *ca = json_pack("{s:s, s:s, s:b}", "type", "acme", "directory", directory, "terms_agreed", b->agreed);
        CLEANUP(free_p) char *contact = c->email ? text_format("mailto:%s", c->email) : NULL;
        if (contact)
                json_object_set_new(ca, "contact", json_pack("[s]", contact));
        return entry(b, "cas", wanted, ca);
}

/* ---- publishers ---- */

static bool has_wildcard(const struct import_cert *c)
{
        for (size_t i = 0; i < c->chain.leaf.names.count; i++)
                if (text_starts(c->chain.leaf.names.item[i], "*."))
                        return true;
        return false;
}

static const char *publisher_name(const char *type)
{
        static const char *const names[][2] = { { "webroot", "site" }, { "responder", "self" }, { "rfc2136", "zone" },
                { "manual", "byhand" }, { "exec", "hook" }, { "dnspod", "dnspod" } };
        for (size_t i = 0; type && i < ARRAY_LEN(names); i++)
                if (strcmp(names[i][0], type) == 0)
                        return names[i][1];
        return "publisher";
}

static void listen_for_tokens(struct builder *b)
{
        if (b->old && b->old->tokens_listen.count)
                return;
        const char *where = b->server ? "127.0.0.1:8402" : "systemd";
        json_object_set_new(b->root, "tokens", json_pack("{s:[s]}", "listen", where));
        if (b->server)
                import_next(b->im, "have the web server pass /.well-known/acme-challenge/ on to %s (publisher self)",
                        where);
        else
                import_next(b->im,
                        "let dcvd answer on port 80: systemctl stop dcvd; systemctl enable --now dcvd-tokens.socket "
                        "dcvd");
}

/* What was found, or what fits: a wildcard needs DNS, the rest can be answered by dcvd itself. */
static void choose(struct builder *b, struct import_cert *c)
{
        const json_t *is = json_object_get(c->publishers, "default");
        const char *type = is ? json_str(is, "type") : NULL;
        bool file = type && (strcmp(type, "webroot") == 0 || strcmp(type, "responder") == 0);
        if (has_wildcard(c) && (!type || file)) {
                json_object_clear(c->publishers);
                import_publish(b->im, c, NULL, json_pack("{s:s, s:s}", "type", "manual", "for", "dns"));
        } else if (json_object_size(c->publishers) == 0) {
                import_publish(b->im, c, NULL, json_pack("{s:s}", "type", "responder"));
        }
        is = json_object_get(c->publishers, "default");
        if (!is) { /* names of the map alone: the first way is everybody's */
                json_t *first = json_object_iter_value(json_object_iter(c->publishers));
                import_publish(b->im, c, NULL, json_incref(first));
        }
        if (strcmp(json_str(json_object_get(c->publishers, "default"), "type"), "manual") == 0)
                import_next(b->im,
                        "%s: publisher byhand prints the record and waits for you: name one that writes the "
                        "zone (rfc2136) for renewals without a person",
                        c->name);
}

static void put_publishers(struct builder *b, struct import_cert *c, json_t *certificate)
{
        const char *key;
        json_t *section;
        choose(b, c);
        json_t *map = json_object();
        json_object_foreach(c->publishers, key, section)
        {
                json_t *plain = json_copy(section);
                if (json_object_del(plain, "for") == 0)
                        json_put_text(certificate, "validation", "dns");
                if (strcmp(json_str(plain, "type"), "responder") == 0)
                        listen_for_tokens(b);
                const char *type = json_str(plain, "type"), *known = import_known_publisher(b->old, plain);
                json_put_text(map, key,
                        known ? entry_of_old(b, "publishers", known, plain)
                              : entry(b, "publishers", publisher_name(type), plain));
        }
        const char *otherwise = json_str(map, "default");
        json_object_foreach(map, key, section)
        {
                if (strcmp(json_string_value(section), otherwise) != 0) {
                        json_object_set_new(certificate, "publisher", map);
                        return;
                }
        }
        json_put_text(certificate, "publisher", otherwise);
        json_decref(map);
}

/* ---- deploy ---- */

static json_t *services_of(const struct import_cert *c)
{
        json_t *list = json_array();
        for (size_t i = 0; c->preset[i]; i++)
                json_array_append_new(list, json_pack("{s:s}", "preset", c->preset[i]));
        return list;
}

static json_t *target_of(struct builder *b, const struct import_cert *c, const char *name)
{
        static const char *const homes[][2] = { { "nginx", "/etc/nginx" }, { "apache", "/etc/apache2" },
                { "haproxy", "/etc/haproxy" } };
        const char *home = "/etc/dcvd";
        bool combined = false;
        for (size_t i = 0; c->preset[0] && i < ARRAY_LEN(homes); i++)
                if (strcmp(homes[i][0], c->preset[0]) == 0)
                        home = homes[i][1];
        CLEANUP(free_p) char *directory = text_format("%s/tls/%s", home, name);
        json_t *links = json_object(), *files = json_object(), *target = json_pack("{s:s}", "directory", directory);
        for (size_t i = 0; i < c->file_count; i++) {
                if (texts_has(&b->paths, c->file[i].path))
                        continue;
                b->im->failed |= !texts_add(&b->paths, c->file[i].path);
                json_put_text(links, c->file[i].path, form_files[c->file[i].form]);
                combined |= c->file[i].form == IMPORT_COMBINED;
        }
        for (size_t i = 0; combined && i < IMPORT_FORMS; i++)
                json_put_text(files, form_files[i], form_words[i]);
        if (combined)
                json_object_set(target, "files", files);
        if (json_object_size(links) > 0)
                json_object_set(target, "links", links);
        if (c->preset[0])
                json_object_set_new(target, "services", services_of(c));
        else
                import_next(b->im,
                        "%s: neither nginx, apache nor haproxy names it: add services: that reload what uses it",
                        c->name);
        json_decref(links);
        json_decref(files);
        return target;
}

/* ---- certificates ---- */

static json_t *key_of(const struct import_cert *c)
{
        enum key_type type = c->chain.leaf.key_type;
        json_t *key = json_object();
        if (type != KEY_NONE && type != KEY_OTHER && type != KEY_EC_P256)
                json_put_text(key, "type", key_type_name(type));
        if (c->reuse_key)
                json_put_text(key, "reuse", "when-not-compromised");
        return key;
}

static const char *const shared[] = { "cas", "publishers" }; /* sections that certificates refer to */

/* With what it refers to. */
static json_t *whole_of(const struct builder *b)
{
        json_t *whole = json_copy(b->root);
        for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
                json_t *both = json_copy(json_object_get(b->root, shared[i]));
                (void)json_object_update(both, json_object_get(b->known, shared[i]));
                json_object_set_new(whole, shared[i], both);
        }
        return whole;
}

static bool accepted(const struct builder *b, char *ret, size_t size)
{
        CLEANUP(json_decref_p) json_t *whole = whole_of(b);
        CLEANUP(free_p) char *text = whole ? json_text(whole) : NULL;
        struct conf_problems p = { 0 };
        struct conf *conf = NULL;
        bool good = text && config_load_text("import", text, strlen(text), engine_kinds(), &conf, &p);
        const char *said = p.text.count ? p.text.item[0] : "no memory";
        for (int colons = 0; !good && p.text.count && colons < 3 && strchr(said, ':'); colons++)
                said = strchr(said, ':') + 1; /* file, line and column mean nothing to who reads this */
        snprintf(ret, size, "%s", good ? "" : said);
        config_free(conf);
        conf_problems_done(&p);
        return good;
}

static void shorten(struct texts *list, size_t count)
{
        while (list->count > count)
                free(list->item[--list->count]);
}

/* With this certificate alone: what is wrong with it must not cost the others theirs. */
static bool add_cert(struct builder *b, struct import_cert *c)
{
        char said[300];
        json_t *before = json_deep_copy(b->root), *certificate = json_object();
        size_t paths = b->paths.count, left = b->im->left.count, next = b->im->next.count;
        CLEANUP(free_p) char *found = c->name; /* as the source calls it; what is told has the configuration's name */
        const char *name = c->name = free_name(b, "certificates", found);
        if (!name || !before) {
                b->im->failed = true;
                return false;
        }
        json_object_set_new(certificate, "names", json_texts(&c->chain.leaf.names));
        json_put_text(certificate, "ca", ca_of(b, c));
        put_publishers(b, c, certificate);
        json_t *key = key_of(c);
        if (json_object_size(key) > 0)
                json_object_set(certificate, "key", key);
        json_decref(key);
        json_object_set_new(certificate, "deploy", json_pack("[o]", target_of(b, c, name)));
        json_t *others = json_incref(json_object_get(b->root, "certificates"));
        json_object_set_new(b->root, "certificates", json_pack("{s:O}", name, certificate));
        bool good = accepted(b, said, sizeof said);
        json_object_set_new(b->root, "certificates", others);
        if (good) {
                json_object_set(others, name, certificate);
        } else {
                shorten(&b->im->left, left);
                shorten(&b->im->next, next);
                shorten(&b->paths, paths);
                import_left(b->im, "%s: no configuration can be made for it:%s", found, said);
                json_decref(b->root);
                b->root = json_incref(before);
        }
        json_decref(before);
        json_decref(certificate);
        return good;
}

static void tell_twin(struct import *im, const struct import_cert *c, const struct conf_cert *old)
{
        import_left(im, "%s: certificate %s of the configuration has these %s already", c->name, old->name,
                names_same(&old->names, &c->chain.leaf.names) ? "names" : "files");
}

/* One file has to hold it, and what is told of it. */
static bool is_full(const struct builder *b)
{
        return json_dumpb(b->root, NULL, 0, JSON_COMPACT) > CONF_FILE_MAX / 2;
}

/* All of them the configuration has already. */
static void drop_empty(json_t *root)
{
        for (size_t i = 0; i < ARRAY_LEN(shared); i++)
                if (json_object_size(json_object_get(root, shared[i])) == 0)
                        json_object_del(root, shared[i]);
}

bool import_configuration(struct import *im, bool agreed, const struct conf *old, json_t **ret, struct err *e)
{
        struct builder b = { .im = im, .old = old, .agreed = agreed };
        char said[300];
        size_t kept = 0, over = 0;
        CLEANUP(free_p) const struct conf_cert **twin = import_known_certs(im, old);
        b.root = twin ? json_pack("{s:{}, s:{}, s:{}}", "cas", "publishers", "certificates") : NULL;
        b.known = json_pack("{s:{}, s:{}}", "cas", "publishers");
        for (size_t i = 0; i < im->cert_count; i++)
                b.server |= im->cert[i].preset[0] != NULL;
        for (size_t i = 0; b.root && !im->failed && i < im->cert_count; i++) {
                struct import_cert *c = &im->cert[i];
                struct import_cert one = *c;
                *c = (struct import_cert){ 0 };
                bool fits = !twin[i] && !is_full(&b);
                over += !twin[i] && !fits;
                if (twin[i])
                        tell_twin(im, &one, twin[i]);
                if (fits && add_cert(&b, &one))
                        im->cert[kept++] = one;
                else
                        import_cert_done(&one);
        }
        if (over > 0) {
                shorten(&im->next, MIN(im->next.count, IMPORT_TEXTS_MAX - 1));
                import_next(im,
                        "%zu more certificates do not fit into one file: when this one is written (--write), give it "
                        "another name in its directory, as NAME-1.yaml, and import again",
                        over);
        }
        im->cert_count = im->failed ? im->cert_count : kept;
        texts_done(&b.paths);
        bool good = b.root && b.known && !im->failed ? true : err_memory(e);
        if (good && kept > 0 && !accepted(&b, said, sizeof said))
                good = err_set(
                        e, ERR_BUG, "import.configuration", "the configuration is not accepted as a whole:%s", said);
        drop_empty(b.root);
        json_decref(b.known);
        if (good)
                *ret = b.root;
        else
                json_decref(b.root);
        return good;
}

/* ---- YAML ---- */

static bool is_plain(const char *text)
{
        static const char *const words[] = { "true", "false", "null", "yes", "no", "on", "off", "y", "n" };
        if (!isalpha((unsigned char)text[0]) && text[0] != '/')
                return false;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
                if (text_equal_nocase(words[i], text))
                        return false;
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("/._-", *c))
                        return false;
        return true;
}

static void put_scalar(struct buf *to, const json_t *value)
{
        CLEANUP(free_p)
        char *text = json_is_string(value) && is_plain(json_string_value(value))
                ? text_dup(json_string_value(value))
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        buf_add(to, text ? text : "null");
}

static void put_flow(struct buf *to, const json_t *value)
{
        size_t i;
        const char *key;
        json_t *item, *name;
        if (json_is_array(value)) {
                buf_addc(to, '[');
                json_array_foreach(value, i, item)
                {
                        buf_add(to, i ? ", " : "");
                        put_flow(to, item);
                }
                buf_addc(to, ']');
        } else if (json_is_object(value)) {
                const char *comma = "{";
                json_object_foreach((json_t *)(uintptr_t)value, key, item)
                {
                        buf_add(to, comma);
                        put_scalar(to, name = json_string(key));
                        json_decref(name);
                        buf_add(to, ": ");
                        put_flow(to, item);
                        comma = ", ";
                }
                buf_add(to, json_object_size(value) ? "}" : "{}");
        } else {
                put_scalar(to, value);
        }
}

/* Maps as blocks down to this level, lists of maps with their dash; what is smaller on one line. */
static void put_block(struct buf *to, const json_t *map, unsigned indent, unsigned levels)
{
        const char *key;
        json_t *value, *name;
        json_object_foreach((json_t *)(uintptr_t)map, key, value)
        {
                const json_t *item = json_is_array(value) ? json_array_get(value, 0) : NULL;
                bool list = json_is_object(item) && strcmp(key, "deploy") == 0;
                bool below = (json_is_object(value) && json_object_size(value) > 0 && levels > 1) ||
                        strcmp(key, "links") == 0;
                buf_addf(to, "%*s", (int)indent, "");
                put_scalar(to, name = json_string(key));
                json_decref(name);
                buf_add(to, list || below ? ":\n" : ": ");
                if (list) {
                        size_t at = to->len;
                        put_block(to, item, indent + 4, 1);
                        if (!to->failed)
                                to->data[at + indent + 2] = '-';
                } else if (below) {
                        put_block(to, value, indent + 2, levels - 1);
                } else {
                        put_flow(to, value);
                        buf_addc(to, '\n');
                }
        }
}

bool import_yaml(const json_t *configuration, struct buf *ret)
{
        const char *key;
        json_t *section;
        json_object_foreach((json_t *)(uintptr_t)configuration, key, section)
        {
                CLEANUP(json_decref_p) json_t *one = json_pack("{s:O}", key, section);
                put_block(ret, one, 0, strcmp(key, "tokens") == 0 ? 1 : 3);
        }
        return !ret->failed;
}
