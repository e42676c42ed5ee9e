/* acme.sh: NAME/NAME.conf or NAME_ecc/NAME.conf (assignments of a shell that is not run here), beside it NAME.cer,
 * NAME.key, fullchain.cer, ca.cer; account.conf with the address. Le_Real...Path is where --install-cert copied to. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"
#include "agent/cli/import_lines.h"

static void installed(struct import *im, struct import_cert *c, const struct import_shell *s)
{
        static const struct {
                const char *key;
                enum import_form form;
        } places[] = { { "Le_RealFullChainPath", IMPORT_FULLCHAIN }, { "Le_RealCertPath", IMPORT_CERT },
                { "Le_RealKeyPath", IMPORT_KEY }, { "Le_RealCACertPath", IMPORT_CHAIN } };
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                const char *written = import_shell_get(s, places[i].key);
                char *path = written ? import_path(im, "", written) : NULL;
                if (path)
                        import_cert_file(im, c, places[i].form, path);
        }
}

/* One way for each name, comma between; all the same one. */
static bool one_way(const char *way)
{
        size_t first = strcspn(way, ",");
        for (const char *at = way; at[strcspn(at, ",")];) {
                at += strcspn(at, ",") + 1;
                if (strcspn(at, ",") != first || strncmp(at, way, first) != 0)
                        return false;
        }
        return true;
}

/* Le_Webroot: a directory, "no" (standalone), "nginx:" or "apache" (they answer), "dns", "dns_x", or one of these for
 * each name, comma between. */
static void validation(struct import *im, struct import_cert *c, const char *file, const char *way)
{
        CLEANUP(free_p) char *first = text_dup_n(way, strcspn(way, ","));
        CLEANUP(free_p) char *path = first && first[0] == '/' ? import_path(im, "", first) : NULL;
        if (!one_way(way))
                import_left(
                        im, "%s: Le_Webroot names several ways (\"%s\"); the first was taken for all names", file, way);
        if (path)
                import_publish(im, c, NULL, json_pack("{s:s, s:s}", "type", "webroot", "directory", path));
        else if (first && strcmp(first, "dns_tencent") == 0) {
                import_publish(im, c, NULL,
                        json_pack("{s:s, s:{s:s}, s:{s:s}}", "type", "dnspod", "secret_id", "credential", "tencent-id",
                                "secret_key", "credential", "tencent-key"));
                import_next(im,
                        "put Tencent_SecretId and Tencent_SecretKey of account.conf into "
                        "/etc/dcvd/credentials/tencent-id and tencent-key (mode 0600)");
        } else if (first && strncmp(first, "dns", 3) == 0) {
                bool update = strcmp(first, "dns_nsupdate") == 0;
                import_left(im, "%s: %s %s", file, first,
                        update ? "is publisher rfc2136 in dcvd: give it the server and the key of account.conf"
                               : "has no counterpart in dcvd: name a publisher of the zone");
                import_publish(im, c, NULL, json_pack("{s:s, s:s}", "type", "manual", "for", "dns"));
        } else if (first && first[0] != '/') {
                import_publish(im, c, NULL, json_pack("{s:s}", "type", "responder"));
        }
}

static void hooks(struct import *im, const char *file, const struct import_shell *s)
{
        static const char *const keys[] = { "Le_ReloadCmd", "Le_PreHook", "Le_PostHook", "Le_RenewHook" };
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                if (import_shell_get(s, keys[i]))
                        import_left(im,
                                "%s: %s is not run by dcvd: what it does beyond reloading a server belongs into "
                                "services: of the certificate",
                                file, keys[i]);
}

void import_acme_sh_conf(struct import *im, const char *folder, const char *file, const char *text, size_t len)
{
        struct import_shell s = { 0 };
        const char *base = strrchr(file, '/');
        CLEANUP(free_p) char *name = text_dup(base ? base + 1 : file);
        CLEANUP(free_p) char *home = text_dup_n(file, base ? (size_t)(base - file) : 0);
        if (!name || !home || !text_ends(name, ".conf"))
                return;
        name[strlen(name) - 5] = '\0';
        import_shell_read(im, &s, file, text, len);
        /* Lists of commands and accounts stand in files of this name, too. */
        struct import_cert *c = import_shell_get(&s, "Le_Domain") ? import_cert_add(im, name) : NULL;
        if (c) {
                const char *way = import_shell_get(&s, "Le_Webroot"), *api = import_shell_get(&s, "Le_API");
                if (text_ends(home, "_ecc")) {
                        free(c->name);
                        c->name = text_format("%s-ecc", name);
                }
                installed(im, c, &s);
                import_cert_file(im, c, IMPORT_FULLCHAIN, text_format("%s/fullchain.cer", home));
                import_cert_file(im, c, IMPORT_CERT, text_format("%s/%s.cer", home, name));
                import_cert_file(im, c, IMPORT_KEY, text_format("%s/%s.key", home, name));
                import_cert_file(im, c, IMPORT_CHAIN, text_format("%s/ca.cer", home));
                c->cert = text_format("%s/fullchain.cer", home);
                c->key = text_format("%s/%s.key", home, name);
                c->directory = text_dup(api);
                if (way)
                        validation(im, c, file, way);
                hooks(im, file, &s);
        }
        import_shell_done(&s);
        (void)folder; /* the files stand beside the configuration */
}

static char *email_of(struct import *im, const char *where)
{
        struct import_shell s = { 0 };
        CLEANUP(free_p) char *path = text_format("%s/account.conf", where);
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!path || !import_exists(im, path) || !import_read_or_tell(im, path, &text, &len))
                return NULL;
        import_shell_read(im, &s, path, text, len);
        char *email = text_dup(import_shell_get(&s, "ACCOUNT_EMAIL"));
        import_shell_done(&s);
        return email;
}

static void read_one(struct import *im, const char *where, const char *folder, const char *email)
{
        size_t n = strlen(folder), before = im->cert_count, len = 0;
        n -= n > 4 && text_ends(folder, "_ecc") ? 4 : 0;
        CLEANUP(free_p) char *path = text_format("%s/%s/%.*s.conf", where, folder, (int)n, folder);
        CLEANUP(free_p) char *text = NULL;
        if (!path || !import_exists(im, path) || !import_read_or_tell(im, path, &text, &len))
                return;
        import_acme_sh_conf(im, where, path, text, len);
        if (im->cert_count > before)
                im->cert[before].email = text_dup(email);
}

static bool read_tree(struct import *im, const char *where, struct err *e)
{
        struct texts folders = { 0 };
        CLEANUP(free_p) char *email = email_of(im, where);
        bool good = import_list(im, where, "*", &folders, e);
        for (size_t i = 0; good && i < folders.count; i++)
                read_one(im, where, folders.item[i], email);
        texts_done(&folders);
        return good;
}

const struct import_source import_acme_sh = {
        .name = "acme.sh", .where = "~/.acme.sh", .program = "acme.sh", .read = read_tree
};
