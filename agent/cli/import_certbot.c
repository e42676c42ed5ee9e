/* certbot: renewal/NAME.conf says how a certificate was got (ConfigObj: `key = value`, [renewalparams],
 * [[webroot_map]]), live/NAME/ leads to what is in use. Paths are not taken from the file: they are live/NAME/ of the
 * tree that is read. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"
#include "agent/cli/import_lines.h"

#define KEYS_MAX 64

struct lineage {
        struct import *im;
        struct import_cert *cert;
        const char *file;
        char *authenticator, *installer, *webroot, *credentials, *auth_hook, *cleanup_hook, *challenges;
        bool in_map, in_parameters;
};

static const struct {
        const char *key;
        size_t member;
} kept[] = {
        { "authenticator", offsetof(struct lineage, authenticator) },
        { "installer", offsetof(struct lineage, installer) },
        { "webroot_path", offsetof(struct lineage, webroot) },
        { "dns_rfc2136_credentials", offsetof(struct lineage, credentials) },
        { "manual_auth_hook", offsetof(struct lineage, auth_hook) },
        { "manual_cleanup_hook", offsetof(struct lineage, cleanup_hook) },
        { "pref_challs", offsetof(struct lineage, challenges) },
};
static const char *const hooks[] = { "pre_hook", "post_hook", "renew_hook" };

static json_t *webroot(const char *directory)
{
        return json_pack("{s:s, s:s}", "type", "webroot", "directory", directory);
}

/* "a, b," is a list, of which the first counts; quotes go. */
static char *first_of(struct lineage *l, size_t line, const char *text, size_t len)
{
        if (len >= 2 && (*text == '"' || *text == '\'') && memchr(text + 1, *text, len - 1)) {
                const char *end = memchr(text + 1, *text, len - 1);
                return import_text(l->im, l->file, line, text + 1, (size_t)(end - text - 1));
        }
        const char *comma = memchr(text, ',', len);
        return import_text(l->im, l->file, line, text, comma ? (size_t)(comma - text) : len);
}

static void parameter(struct lineage *l, size_t line, const char *key, char *value_own)
{
        CLEANUP(free_p) char *value = value_own;
        for (size_t i = 0; i < ARRAY_LEN(kept); i++)
                if (strcmp(key, kept[i].key) == 0) {
                        char **to = (char **)((char *)l + kept[i].member);
                        free(*to);
                        *to = STEAL(value);
                        return;
                }
        for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
                if (strcmp(key, hooks[i]) == 0)
                        import_left(l->im,
                                "%s:%zu: %s \"%s\" is not run by dcvd: what it does beyond reloading a server "
                                "belongs into services: of the certificate",
                                l->file, line, key, value);
        if (strcmp(key, "preferred_chain") == 0 && strcmp(value, "None") != 0)
                import_left(l->im, "%s:%zu: preferred_chain \"%s\": set preferred_chain of its CA in cas", l->file,
                        line, value);
        if (strcmp(key, "server") == 0) {
                free(l->cert->directory);
                l->cert->directory = STEAL(value);
        } else if (strcmp(key, "reuse_key") == 0) {
                l->cert->reuse_key = strcmp(value, "True") == 0;
        }
}

static void line_of(struct lineage *l, const struct import_line *at)
{
        char key[KEYS_MAX + 200];
        const char *equals = memchr(at->text, '=', at->len);
        if (at->len == 0 || *at->text == '#')
                return;
        if (*at->text == '[') {
                l->in_map = at->len == 15 && memcmp(at->text, "[[webroot_map]]", 15) == 0;
                l->in_parameters = l->in_map || (at->len == 15 && memcmp(at->text, "[renewalparams]", 15) == 0);
                return;
        }
        size_t n = equals ? (size_t)(equals - at->text) : 0;
        while (n > 0 && (at->text[n - 1] == ' ' || at->text[n - 1] == '\t'))
                n--;
        if (n == 0 || n >= sizeof key || !l->in_parameters)
                return;
        memcpy(key, at->text, n);
        key[n] = '\0';
        const char *from = equals + 1, *end = at->text + at->len;
        while (from < end && (*from == ' ' || *from == '\t'))
                from++;
        char *value = first_of(l, at->number, from, (size_t)(end - from));
        if (!value)
                return;
        if (!l->in_map)
                return parameter(l, at->number, key, value);
        CLEANUP(free_p) char *path = import_path(l->im, "", value);
        free(value);
        if (path)
                import_publish(l->im, l->cert, key, webroot(path));
}

/* ---- how it was validated ---- */

/* dns_rfc2136_NAME = value of the plugin's own file. */
static char *credential(struct lineage *l, const char *text, size_t len, const char *name)
{
        struct import_line at;
        size_t n = strlen(name);
        import_lines(&at, text, len);
        while (import_next_line(&at)) {
                const char *from = at.text + 12 + n, *end = at.text + at.len;
                if (at.len < 12 + n || memcmp(at.text, "dns_rfc2136_", 12) != 0 || memcmp(at.text + 12, name, n) != 0)
                        continue;
                while (from < end && strchr(" \t=", *from))
                        from++;
                if (from < end)
                        return import_text(l->im, l->credentials, at.number, from, (size_t)(end - from));
        }
        return NULL;
}

static json_t *rfc2136(struct lineage *l)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!l->credentials || !import_read_or_tell(l->im, l->credentials, &text, &len))
                return NULL;
        CLEANUP(free_p) char *server = credential(l, text, len, "server");
        CLEANUP(free_p) char *port = credential(l, text, len, "port");
        CLEANUP(free_p) char *name = credential(l, text, len, "name");
        CLEANUP(free_p) char *algorithm = credential(l, text, len, "algorithm");
        wipe(text, len);
        if (!server || !name)
                return NULL;
        for (char *c = algorithm; c && *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        CLEANUP(free_p)
        char *place = text_format(strchr(server, ':') ? "[%s]:%s" : "%s:%s", server, port ? port : "53");
        import_next(l->im, "put the value of dns_rfc2136_secret in %s into /etc/dcvd/credentials/tsig (mode 0600)",
                l->credentials);
        return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}}", "type", "rfc2136", "server", place, "tsig", "name", name,
                "algorithm", algorithm ? algorithm : "hmac-md5", "secret", "credential", "tsig");
}

/* A command as an argument array; NULL: it needs a shell, which dcvd has none. */
static json_t *command(struct lineage *l, const char *text)
{
        char **words = text ? import_words(text) : NULL;
        json_t *list = words ? json_array() : NULL;
        for (size_t i = 0; words && words[i]; i++)
                json_array_append_new(list, json_string(words[i]));
        import_words_free(words);
        if (text && !list)
                import_left(l->im, "%s: the hook \"%s\" is no plain path with arguments: put it into a script", l->file,
                        text);
        return list;
}

static bool hooked(struct lineage *l)
{
        json_t *auth = command(l, l->auth_hook), *cleanup = command(l, l->cleanup_hook);
        bool good = auth && (cleanup || !l->cleanup_hook), file = l->challenges && strstr(l->challenges, "http");
        json_t *section = good && !file ? json_pack("{s:s, s:O, s:s, s:O*}", "type", "exec", "command", auth,
                                                  "protocol", "certbot", "cleanup", cleanup)
                                        : NULL;
        if (file)
                import_left(l->im, "%s: hooks that put files: use publisher webroot or responder", l->file);
        json_decref(auth);
        json_decref(cleanup);
        if (!section)
                return false;
        import_publish(l->im, l->cert, NULL, section);
        import_next(l->im, "%s runs as user dcvd-hook, no longer as root: see that it may do its work", l->auth_hook);
        return true;
}

static void validation(struct lineage *l)
{
        const char *way = l->authenticator ? l->authenticator : "";
        if (strcmp(way, "webroot") != 0) /* a webroot_map of before: certbot does not look at it either */
                json_object_clear(l->cert->publishers);
        if (strcmp(way, "webroot") == 0) {
                CLEANUP(free_p) char *path = l->webroot ? import_path(l->im, "", l->webroot) : NULL;
                if (path && !json_object_get(l->cert->publishers, "default"))
                        import_publish(l->im, l->cert, NULL, webroot(path));
        } else if (strcmp(way, "dns-rfc2136") == 0) {
                json_t *zone = rfc2136(l);
                if (zone)
                        import_publish(l->im, l->cert, NULL, zone);
                else
                        import_left(l->im, "%s: the name server and key of dns-rfc2136 could not be read", l->file);
        } else if (strcmp(way, "standalone") == 0 || strcmp(way, "nginx") == 0 || strcmp(way, "apache") == 0) {
                import_publish(l->im, l->cert, NULL, json_pack("{s:s}", "type", "responder"));
        } else if (strcmp(way, "manual") != 0 || !hooked(l)) {
                import_left(l->im,
                        "%s: authenticator \"%s\" has no counterpart in dcvd; dcvctl publishers lists what there is",
                        l->file, way);
                if (strncmp(way, "dns-", 4) == 0)
                        import_publish(l->im, l->cert, NULL, json_pack("{s:s, s:s}", "type", "manual", "for", "dns"));
        }
}

void import_certbot_conf(struct import *im, const char *folder, const char *file, const char *text, size_t len)
{
        static const char *const names[] = { "fullchain.pem", "cert.pem", "chain.pem", "privkey.pem" };
        static const enum import_form forms[] = { IMPORT_FULLCHAIN, IMPORT_CERT, IMPORT_CHAIN, IMPORT_KEY };
        const char *base = strrchr(file, '/');
        CLEANUP(free_p) char *name = text_dup_n(base ? base + 1 : file, strcspn(base ? base + 1 : file, "\n"));
        if (name && text_ends(name, ".conf"))
                name[strlen(name) - 5] = '\0';
        struct lineage l = { .im = im, .file = file, .cert = name ? import_cert_add(im, name) : NULL };
        struct import_line at;
        if (!l.cert)
                return;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                import_cert_file(im, l.cert, forms[i], text_format("%s/live/%s/%s", folder, name, names[i]));
        l.cert->cert = text_format("%s/live/%s/fullchain.pem", folder, name);
        l.cert->key = text_format("%s/live/%s/privkey.pem", folder, name);
        import_lines(&at, text, len);
        while (import_next_line(&at))
                line_of(&l, &at);
        validation(&l);
        for (size_t i = 0; i < ARRAY_LEN(kept); i++)
                free(*(char **)((char *)&l + kept[i].member));
}

/* renewal-hooks/: programs that certbot runs for every certificate. */
static void common_hooks(struct import *im, const char *where)
{
        static const char *const when[] = { "pre", "deploy", "post" };
        for (size_t i = 0; i < ARRAY_LEN(when); i++) {
                struct texts names = { 0 };
                struct err e;
                CLEANUP(free_p) char *folder = text_format("%s/renewal-hooks/%s", where, when[i]);
                if (folder && import_list(im, folder, "*", &names, &e))
                        for (size_t k = 0; k < names.count; k++)
                                import_left(im,
                                        "%s/%s is not run by dcvd: what it does beyond reloading a server belongs into "
                                        "services: of each certificate",
                                        folder, names.item[k]);
                texts_done(&names);
        }
}

static bool read_tree(struct import *im, const char *where, struct err *e)
{
        struct texts files = { 0 };
        CLEANUP(free_p) char *renewal = text_format("%s/renewal", where);
        bool good = renewal ? import_list(im, renewal, "*.conf", &files, e) : err_memory(e);
        for (size_t i = 0; good && i < files.count; i++) {
                CLEANUP(free_p) char *path = text_format("%s/%s", renewal, files.item[i]);
                CLEANUP(free_p) char *text = NULL;
                size_t len = 0;
                if (path && import_read_or_tell(im, path, &text, &len))
                        import_certbot_conf(im, where, path, text, len);
        }
        if (files.count > 0)
                common_hooks(im, where);
        texts_done(&files);
        return good;
}

const struct import_source import_certbot = {
        .name = "certbot", .where = "/etc/letsencrypt", .program = "certbot", .read = read_tree
};
