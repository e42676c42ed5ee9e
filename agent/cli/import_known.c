/* What the configuration has already to which something is added: a certificate, a CA, a publisher. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/cli/import_check.h"
#include "config/config.h"
#include "validators/webroot.h"

/* ---- certificates ---- */

static bool is_at(const struct conf_target *t, const char *path)
{
        size_t len = strlen(t->directory);
        for (size_t i = 0; i < t->link_count; i++)
                if (strcmp(t->link[i].path, path) == 0)
                        return true;
        return strncmp(path, t->directory, len) == 0 && path[len] == '/';
}

/* Does it have one of these files? Then it is the same, whatever became of its names and its key since. */
static bool has_files(const struct conf_cert *old, const struct import_cert *c)
{
        for (size_t i = 0; i < old->target_count; i++) {
                const struct conf_target *t = &old->target[i];
                bool at = is_at(t, c->cert) || is_at(t, c->key);
                for (size_t k = 0; !at && k < c->file_count; k++)
                        at = is_at(t, c->file[k].path);
                if (at)
                        return true;
        }
        return false;
}

static bool has_names(const struct conf_cert *old, const struct import_cert *c)
{
        return names_same(&old->names, &c->chain.leaf.names);
}

/* Of two for the same names: without a type, an ACME CA has ec-p256 (key_of leaves that out too). */
static bool has_key_type(const struct conf_cert *old, const struct import_cert *c)
{
        return has_names(old, c) && c->chain.leaf.key_type == (old->key_type == KEY_NONE ? KEY_EC_P256 : old->key_type);
}

static bool is_anothers(const struct import *im, const struct conf_cert *old)
{
        for (size_t i = 0; i < im->cert_count; i++)
                if (has_files(old, &im->cert[i]) || has_key_type(old, &im->cert[i]))
                        return true;
        return false;
}

typedef bool is_twin_fn(const struct import *im, const struct conf_cert *old, const struct import_cert *c);

static bool is_same(const struct import *im, const struct conf_cert *old, const struct import_cert *c)
{
        (void)im;
        return has_files(old, c);
}

static bool is_alike(const struct import *im, const struct conf_cert *old, const struct import_cert *c)
{
        (void)im;
        return has_key_type(old, c);
}

static bool may_be(const struct import *im, const struct conf_cert *old, const struct import_cert *c)
{
        return has_names(old, c) && old->key_type == KEY_NONE && !is_anothers(im, old);
}

/* The one of the configuration that fits best; NULL: it is new. */
static const struct conf_cert *twin_of(const struct import *im, const struct conf *conf, const struct import_cert *c)
{
        is_twin_fn *const signs[] = { is_same, is_alike, may_be }; /* the best one first */
        for (size_t s = 0; conf && s < ARRAY_LEN(signs); s++)
                for (size_t i = 0; i < conf->cert_count; i++)
                        if (signs[s](im, &conf->cert[i], c))
                                return &conf->cert[i];
        return NULL;
}

const struct conf_cert **import_known_certs(const struct import *im, const struct conf *conf)
{
        const struct conf_cert **twin = calloc(im->cert_count + 1, sizeof *twin);
        for (size_t i = 0; twin && i < im->cert_count; i++)
                twin[i] = twin_of(im, conf, &im->cert[i]);
        return twin;
}

/* ---- CAs and publishers ---- */

/* One more entry would be one more account. */
const char *import_known_ca(const struct conf *conf, const char *directory)
{
        for (size_t i = 0; conf && i < conf->ca_count; i++) {
                const struct conf_backend *b = &conf->ca[i];
                const struct ca_ops *ops = ca_ops_find(b->kind->type);
                struct ca_about about = { 0 };
                if (ops && ops->about)
                        ops->about(b->parsed, b->name, NULL, &about);
                if (about.acme && about.directory && strcmp(about.directory, directory) == 0)
                        return b->name;
        }
        return NULL;
}

/* Of the others nobody but they know what their settings mean. */
const char *import_known_publisher(const struct conf *conf, const json_t *section)
{
        const char *type = json_str(section, "type"), *directory = json_str(section, "directory");
        for (size_t i = 0; conf && i < conf->publisher_count; i++) {
                const struct conf_backend *b = &conf->publisher[i];
                bool plain = json_object_size(section) == 1 &&
                        (strcmp(type, "responder") == 0 || strcmp(type, "manual") == 0);
                bool root = directory && json_object_size(section) == 2 && strcmp(type, "webroot") == 0;
                if (strcmp(b->kind->type, type) == 0 &&
                        (plain ||
                                (root && strcmp(((const struct webroot_conf *)b->parsed)->directory, directory) == 0)))
                        return b->name;
        }
        return NULL;
}
