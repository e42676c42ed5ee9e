/* `deploy:` of a certificate: where its files go, whose they are, and the hash by which dcvd and dcvd-helper agree on
 * all that. */
#include <inttypes.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

#define TARGETS_MAX 64
#define FILES_MAX 64

static const char *const form_words[] = { "cert", "chain", "fullchain", "key", "combined", "der", "pkcs12", NULL };

static bool group_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *fault = syntax_group(*(char **)target);

        return fault ? problem_node(p, node, path, "%s; a name or a number", fault) : true;
}

/* ---- mode ---- */

static bool mode_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const char allowed[] = "\"0600\", \"0640\", \"0400\" or \"0440\"";

        if (!value_is_scalar(node, path, allowed, p))
                return false;
        size_t len = strlen(node->text);
        if (len != 4 || node->text[0] != '0' || strspn(node->text, "01234567") != len)
                return problem_node(p, node, path, "is not an octal mode of four digits; %s", allowed);
        unsigned mode = (unsigned)strtoul(node->text, NULL, 8);
        if (mode & 07)
                return problem_node(p, node, path, "would let everybody read or write a private key; %s", allowed);
        if ((mode & ~0640u) || !(mode & 0400))
                return problem_node(p, node, path, "is not a mode for a private key; %s", allowed);
        *(unsigned *)target = mode;
        return true;
}

static void mode_print(struct buf *out, const void *target)
{
        buf_addf(out, "\"%04o\"", *(const unsigned *)target);
}

/* ---- files ---- */

static void files_done(struct conf_file *f, size_t count)
{
        for (size_t i = 0; f && i < count; i++)
                free(f[i].name);
        free(f);
}

static bool file_read_form(const struct yaml_node *node, const char *path, enum conf_form *ret, struct conf_problems *p)
{
        const struct conf_key key = { .name = "", .type = CONF_WORD, .words = form_words };
        int form = 0;
        struct conf_value v = { .node = node, .key = &key, .path = path, .at = &form, .p = p };
        bool good = value_read(&v);

        *ret = (enum conf_form)form;
        return good;
}

static bool files_parse(const struct yaml_node *map, const char *path, void *target, struct conf_problems *p)
{
        struct conf_target *t = CONTAINER_OF(target, struct conf_target, file);
        bool good = true;

        if (map->kind != YAML_MAP || map->count == 0 || map->count > FILES_MAX)
                return problem_node(p, map, path,
                        "is not a map of 1 to %d files; {fullchain.pem: fullchain, privkey.pem: key}", FILES_MAX);
        t->file = calloc(map->count, sizeof *t->file);
        if (!t->file) {
                problem_memory(p);
                return false;
        }
        t->file_count = map->count;
        for (size_t i = 0; i < map->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, map->key[i]);
                if (!name_is_safe(map->key[i]))
                        good = problem_node(p, map->item[i], at,
                                "is not a good file name; at most 64 letters, digits, . _ -, no leading dot");
                t->file[i].name = text_dup(map->key[i]);
                if (!t->file[i].name) {
                        problem_memory(p);
                        return false;
                }
                good &= file_read_form(map->item[i], at, &t->file[i].form, p);
        }
        return good;
}

void files_print(struct buf *out, const void *target)
{
        const struct conf_target *t = CONTAINER_OF(target, const struct conf_target, file);

        buf_addc(out, '{');
        for (size_t i = 0; i < t->file_count; i++) {
                buf_add(out, i ? ", " : "");
                print_scalar(out, t->file[i].name);
                buf_addf(out, ": %s", form_words[t->file[i].form]);
        }
        buf_addc(out, '}');
}

bool target_default_files(struct conf_target *t, bool key_elsewhere)
{
        static const struct {
                const char *name;
                enum conf_form form;
        } usual[] = { { "fullchain.pem", FORM_FULLCHAIN }, { "privkey.pem", FORM_KEY }, { "cert.pem", FORM_CERT },
                { "chain.pem", FORM_CHAIN } };

        t->file = calloc(ARRAY_LEN(usual), sizeof *t->file);
        for (size_t i = 0; t->file && i < ARRAY_LEN(usual); i++) {
                if (key_elsewhere && usual[i].form == FORM_KEY)
                        continue;
                struct conf_file *f = &t->file[t->file_count++];
                f->form = usual[i].form;
                f->name = text_dup(usual[i].name);
                if (!f->name)
                        return false;
        }
        return t->file != NULL;
}

/* ---- links ---- */

static void links_done(struct conf_link *l, size_t count)
{
        for (size_t i = 0; l && i < count; i++) {
                free(l[i].path);
                free(l[i].file);
        }
        free(l);
}

static bool link_read(
        const struct yaml_node *map, size_t i, const char *path, struct conf_link *l, struct conf_problems *p)
{
        struct yaml_node key = { .file = map->item[i]->file, .line = map->key_line[i], .column = map->key_column[i] };
        const char *fault = syntax_path(map->key[i]);

        if (!fault && strstr(map->key[i], "/.dcvd"))
                fault = "is inside a directory of dcvd's own";
        if (!fault && strspn(map->key[i], "/") == strlen(map->key[i]))
                fault = "is the root directory";
        if (fault)
                return problem_node(
                        p, &key, path, "%s; absolute paths of the links, each with the name of a file", fault);
        if (!value_is_scalar(map->item[i], path, "a name that stands in files", p))
                return false;
        l->path = text_dup(map->key[i]);
        l->file = text_dup(map->item[i]->text);
        if (!l->path || !l->file) {
                problem_memory(p);
                return false;
        }
        path_squeeze(l->path);
        return true;
}

static bool links_parse(const struct yaml_node *map, const char *path, void *target, struct conf_problems *p)
{
        struct conf_target *t = CONTAINER_OF(target, struct conf_target, link);
        bool good = true;

        if (map->kind != YAML_MAP || map->count > FILES_MAX)
                return problem_node(p, map, path,
                        "is not a map of at most %d links; {/etc/ssl/private/www.key: privkey.pem}", FILES_MAX);
        t->link = map->count ? calloc(map->count, sizeof *t->link) : NULL;
        if (map->count && !t->link) {
                problem_memory(p);
                return false;
        }
        t->link_count = map->count;
        for (size_t i = 0; i < map->count; i++) {
                CLEANUP(free_p) char *at = path_join(path, map->key[i]);
                good &= link_read(map, i, at, &t->link[i], p);
        }
        return good;
}

void links_print(struct buf *out, const void *target)
{
        const struct conf_target *t = CONTAINER_OF(target, const struct conf_target, link);

        buf_addc(out, '{');
        for (size_t i = 0; i < t->link_count; i++) {
                buf_add(out, i ? ", " : "");
                print_scalar(out, t->link[i].path);
                buf_add(out, ": ");
                print_scalar(out, t->link[i].file);
        }
        buf_addc(out, '}');
}

/* ---- a target ---- */

const struct conf_key target_keys[] = {
        { .name = "directory", .type = CONF_PATH, .offset = offsetof(struct conf_target, directory), .required = true },
        { .name = "owner",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_target, owner),
                .otherwise = "root",
                .parse = group_check },
        { .name = "group",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_target, group),
                .otherwise = "root",
                .parse = group_check },
        { .name = "mode",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_target, mode),
                .parse = mode_parse,
                .print = mode_print,
                .shape = "{\"type\":\"string\",\"pattern\":\"^0[46][04]0$\"}" },
        { .name = "files",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_target, file),
                .parse = files_parse,
                .print = files_print,
                .shape = "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":{\"enum\":[\"cert\","
                         "\"chain\","
                         "\"fullchain\",\"key\",\"combined\",\"der\",\"pkcs12\"]}}" },
        { .name = "links",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_target, link),
                .parse = links_parse,
                .print = links_print,
                .shape = "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}" },
        { .name = "services",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_target, service),
                .parse = services_parse,
                .print = print_by_owner,
                .sub = service_keys,
                .shape = "{\"type\":\"array\",\"items\":@}" },
        { .name = NULL },
};

void targets_done(struct conf_target *t, size_t count)
{
        for (size_t i = 0; t && i < count; i++) {
                conf_clear(target_keys, &t[i]);
                files_done(t[i].file, t[i].file_count);
                links_done(t[i].link, t[i].link_count);
                services_done(t[i].service, t[i].service_count);
        }
        free(t);
}

bool targets_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_cert *cert = CONTAINER_OF(target, struct conf_cert, target);
        size_t count = node->kind == YAML_LIST ? node->count : 1;
        bool good = true;

        if (count > TARGETS_MAX)
                return problem_node(p, node, path, "has too many entries; at most %d", TARGETS_MAX);
        cert->target = count ? calloc(count, sizeof *cert->target) : NULL;
        if (count && !cert->target) {
                problem_memory(p);
                return false;
        }
        cert->target_count = count;
        for (size_t i = 0; i < count; i++) {
                CLEANUP(free_p) char *at = path_index(path, i);
                cert->target[i].mode = 0600;
                good &= conf_read(
                        node->kind == YAML_LIST ? node->item[i] : node, target_keys, at, &cert->target[i], p, NULL);
        }
        return good;
}

/* ---- the canonical text: every member, lengths before texts, so that no two targets share one ---- */

static void canon_text(struct buf *b, const char *what, const char *text)
{
        if (text)
                buf_addf(b, "%s=%zu:%s\n", what, strlen(text), text);
        else
                buf_addf(b, "%s=-\n", what);
}

static void canon_texts(struct buf *b, const char *what, const struct texts *t)
{
        buf_addf(b, "%s=%zu\n", what, t->count);
        for (size_t i = 0; i < t->count; i++)
                canon_text(b, "", t->item[i]);
}

static void canon_service(struct buf *b, const struct conf_service *s)
{
        canon_text(b, "service", s->name);
        canon_text(b, "preset", s->preset);
        canon_texts(b, "test", &s->test);
        canon_texts(b, "reload", &s->reload);
        canon_text(b, "signal", s->signal_name);
        canon_text(b, "pidfile", s->signal_pidfile);
        buf_addf(b, "verify=%d %zu\n", s->verify_auto, s->verify_count);
        for (size_t i = 0; i < s->verify_count; i++) {
                canon_text(b, "address", s->verify[i].address);
                canon_text(b, "sni", s->verify[i].sni);
                canon_text(b, "protocol", protocol_word(s->verify[i].protocol));
        }
}

void target_hash(const struct conf_target *t, char ret[65])
{
        struct buf b = { 0 };

        buf_add(&b, "dcvd-target/1\n");
        canon_text(&b, "directory", t->directory);
        canon_text(&b, "owner", t->owner);
        canon_text(&b, "group", t->group);
        buf_addf(&b, "mode=%04o\nfiles=%zu\n", t->mode, t->file_count);
        for (size_t i = 0; i < t->file_count; i++) {
                canon_text(&b, "file", t->file[i].name);
                canon_text(&b, "form", form_words[t->file[i].form]);
        }
        buf_addf(&b, "links=%zu\n", t->link_count);
        for (size_t i = 0; i < t->link_count; i++) {
                canon_text(&b, "link", t->link[i].path);
                canon_text(&b, "to", t->link[i].file);
        }
        buf_addf(&b, "services=%zu\n", t->service_count);
        for (size_t i = 0; i < t->service_count; i++)
                canon_service(&b, &t->service[i]);
        ret[0] = '\0';
        if (!b.failed)
                sha256_hex(b.data, b.len, ret);
        buf_done(&b);
}
