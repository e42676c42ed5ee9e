/* dehydrated: `config` (assignments of a shell that is not run here; more of them in CONFIG_D/ *.sh and in
 * certs/NAME/config) and CERTDIR/NAME/ with links to the newest cert, chain, fullchain and privkey. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"
#include "agent/cli/import_lines.h"

#define WELL_KNOWN "/.well-known/acme-challenge"

static void read_settings(struct import *im, struct import_shell *s, const char *path)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (import_exists(im, path) && import_read_or_tell(im, path, &text, &len))
                import_shell_read(im, s, path, text, len);
}

static char *directory_of(const struct import_shell *s)
{
        static const struct {
                const char *word, *url;
        } presets[] = { { "letsencrypt", "https://acme-v02.api.letsencrypt.org/directory" },
                { "letsencrypt-test", "https://acme-staging-v02.api.letsencrypt.org/directory" },
                { "zerossl", "https://acme.zerossl.com/v2/DV90" },
                { "buypass", "https://api.buypass.com/acme/directory" },
                { "buypass-test", "https://api.test4.buypass.no/acme/directory" } };
        const char *ca = import_shell_get(s, "CA");
        for (size_t i = 0; i < ARRAY_LEN(presets); i++)
                if (strcmp(ca ? ca : "letsencrypt", presets[i].word) == 0)
                        return text_dup(presets[i].url);
        return text_dup(ca);
}

/* A certificate's own configuration stands before the common one, setting by setting. */
static const char *setting(const struct import_shell *own, const struct import_shell *global, const char *key)
{
        const char *value = import_shell_get(own, key);
        return value ? value : import_shell_get(global, key);
}

/* WELLKNOWN is what the server shows below /.well-known/acme-challenge/: a document root only where it ends so. */
static void validation(struct import *im, struct import_cert *c, const char *file, const struct import_shell *own,
        const struct import_shell *global)
{
        const char *type = setting(own, global, "CHALLENGETYPE"), *place = setting(own, global, "WELLKNOWN");
        size_t len = place ? strlen(place) : 0, tail = strlen(WELL_KNOWN);
        if (type && strcmp(type, "dns-01") == 0) {
                const char *hook = setting(own, global, "HOOK");
                if (hook && hook[0] == '/') {
                        import_publish(im, c, NULL,
                                json_pack("{s:s, s:[s], s:s}", "type", "exec", "command", hook, "protocol",
                                        "dehydrated"));
                        import_next(
                                im, "%s runs as user dcvd-hook, no longer as root: see that it may do its work", hook);
                        return;
                }
                import_left(im, "%s: HOOK is no path of a program: name a publisher of the zone", file);
                import_publish(im, c, NULL, json_pack("{s:s, s:s}", "type", "manual", "for", "dns"));
                return;
        }
        CLEANUP(free_p)
        char *root = len > tail && text_ends(place, WELL_KNOWN) ? text_dup_n(place, len - tail) : NULL;
        CLEANUP(free_p) char *path = root ? import_path(im, "", root) : NULL;
        if (path)
                import_publish(im, c, NULL, json_pack("{s:s, s:s}", "type", "webroot", "directory", path));
        else
                import_publish(im, c, NULL, json_pack("{s:s}", "type", "responder"));
}

static void take_one(struct import *im, const char *folder, const struct import_shell *global, const char *file)
{
        static const struct {
                const char *name;
                enum import_form form;
        } files[] = { { "fullchain.pem", IMPORT_FULLCHAIN }, { "cert.pem", IMPORT_CERT }, { "chain.pem", IMPORT_CHAIN },
                { "privkey.pem", IMPORT_KEY } };
        struct import_shell own = { 0 };
        CLEANUP(free_p) char *path = text_format("%s/config", folder);
        struct import_cert *c = path ? import_cert_add(im, strrchr(folder, '/') + 1) : NULL;
        if (!c)
                return;
        read_settings(im, &own, path);
        for (size_t i = 0; i < ARRAY_LEN(files); i++)
                import_cert_file(im, c, files[i].form, text_format("%s/%s", folder, files[i].name));
        c->cert = text_format("%s/fullchain.pem", folder);
        c->key = text_format("%s/privkey.pem", folder);
        c->email = text_dup(import_shell_get(global, "CONTACT_EMAIL"));
        c->directory = directory_of(global);
        const char *renew = setting(&own, global, "PRIVATE_KEY_RENEW");
        c->reuse_key = renew && strcmp(renew, "no") == 0;
        validation(im, c, own.count > 0 ? path : file, &own, global);
        import_shell_done(&own);
}

static void take_all(struct import *im, const struct import_shell *s, const char *base, const char *file)
{
        struct texts names = { 0 };
        struct err e;
        const char *said = import_shell_get(s, "CERTDIR");
        CLEANUP(free_p) char *folder = said ? import_path(im, base, said) : text_format("%s/certs", base);
        if (folder && !import_list(im, folder, "*", &names, &e) && !im->closed)
                import_left(im, "%s", e.text);
        for (size_t i = 0; folder && i < names.count; i++) {
                CLEANUP(free_p) char *one = text_format("%s/%s", folder, names.item[i]);
                CLEANUP(free_p) char *chain = text_format("%s/%s/fullchain.pem", folder, names.item[i]);
                if (one && chain && import_exists(im, chain))
                        take_one(im, one, s, file);
        }
        texts_done(&names);
}

void import_dehydrated_config(struct import *im, const char *file, const char *text, size_t len)
{
        struct import_shell s = { 0 };
        struct texts more = { 0 };
        struct err e;
        const char *slash = strrchr(file, '/');
        CLEANUP(free_p) char *folder = text_dup_n(file, slash ? (size_t)(slash - file) : 0);
        import_shell_read(im, &s, file, text, len);
        const char *extra = import_shell_get(&s, "CONFIG_D"), *base = import_shell_get(&s, "BASEDIR");
        CLEANUP(free_p) char *d = extra ? import_path(im, folder, extra) : NULL;
        if (d && import_list(im, d, "*.sh", &more, &e))
                for (size_t i = 0; i < more.count; i++) {
                        CLEANUP(free_p) char *path = text_format("%s/%s", d, more.item[i]);
                        if (path)
                                read_settings(im, &s, path);
                }
        base = import_shell_get(&s, "BASEDIR");
        CLEANUP(free_p) char *home = base ? import_path(im, folder, base) : text_dup(folder);
        if (home)
                take_all(im, &s, home, file);
        if (import_shell_get(&s, "HOOK"))
                import_left(im,
                        "%s: HOOK is not run when a certificate was put to use: what it does beyond reloading a "
                        "server belongs into services:",
                        file);
        texts_done(&more);
        import_shell_done(&s);
}

static bool read_tree(struct import *im, const char *where, struct err *e)
{
        CLEANUP(free_p) char *path = text_format("%s/config", where);
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!path)
                return err_memory(e);
        if (!import_exists(im, path)) { /* no settings: all by default, with this as BASEDIR */
                if (!import_exists(im, where))
                        return err_set(e, ERR_CONFIG, "file.absent", "there is no %s", where);
                import_dehydrated_config(im, path, "", 0);
                return true;
        }
        if (!import_read(im, path, &text, &len, e))
                return false;
        import_dehydrated_config(im, path, text, len);
        return true;
}

const struct import_source import_dehydrated = {
        .name = "dehydrated", .where = "/etc/dehydrated", .program = "dehydrated", .read = read_tree
};
