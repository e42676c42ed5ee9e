/* lego: certificates/NAME.json (which CA), NAME.crt (the chain), NAME.key, NAME.issuer.crt; accounts/HOST_PORT/EMAIL/.
 * How names were validated is only in the command line that renews them, which lego does not write down. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"

#define DEPTH_MAX 8

/* "https://acme.example:14000/x/y" -> "acme.example:14000"; NULL: no such URL. */
static char *host_of(const char *url)
{
        if (strncmp(url, "https://", 8) != 0)
                return NULL;
        size_t len = strcspn(url + 8, "/?#@");
        return len > 0 && len < 256 && url[8 + len] != '@' ? text_dup_n(url + 8, len) : NULL;
}

static void directory_of(struct import *im, struct import_cert *c, const char *file, const char *url)
{
        static const struct {
                const char *host, *directory;
        } known[] = {
                { "acme-v02.api.letsencrypt.org", "https://acme-v02.api.letsencrypt.org/directory" },
                { "acme-staging-v02.api.letsencrypt.org", "https://acme-staging-v02.api.letsencrypt.org/directory" },
                { "acme.zerossl.com", "https://acme.zerossl.com/v2/DV90" },
                { "dv.acme-v02.api.pki.goog", "https://dv.acme-v02.api.pki.goog/directory" },
                { "api.buypass.com", "https://api.buypass.com/acme/directory" },
        };
        CLEANUP(free_p) char *host = url ? host_of(url) : NULL;
        for (size_t i = 0; host && i < ARRAY_LEN(known); i++)
                if (strcmp(host, known[i].host) == 0)
                        c->directory = text_dup(known[i].directory);
        if (!host || c->directory)
                return;
        c->directory = text_format("https://%s/directory", host);
        import_left(im, "%s: lego keeps no directory URL of the CA at %s: correct the one in cas", file, host);
}

void import_lego_json(struct import *im, const char *folder, const char *file, const char *text, size_t len)
{
        static const struct {
                const char *suffix;
                enum import_form form;
        } files[] = { { "crt", IMPORT_FULLCHAIN }, { "key", IMPORT_KEY }, { "issuer.crt", IMPORT_CHAIN },
                { "pem", IMPORT_COMBINED } };
        struct err e;
        CLEANUP(json_decref_p) json_t *o = NULL;
        const char *base = strrchr(file, '/');
        CLEANUP(free_p) char *name = text_dup(base ? base + 1 : file);
        if (name && text_ends(name, ".json"))
                name[strlen(name) - 5] = '\0';
        if (!json_read(text, len, DEPTH_MAX, &o, &e) || !json_is_object(o)) {
                import_left(im, "%s: not what lego writes", file);
                return;
        }
        if (name && text_ends(name, ".issuer"))
                return;
        struct import_cert *c = name ? import_cert_add(im, name) : NULL;
        if (!c)
                return;
        for (size_t i = 0; i < ARRAY_LEN(files); i++)
                import_cert_file(
                        im, c, files[i].form, text_format("%s/certificates/%s.%s", folder, name, files[i].suffix));
        c->cert = text_format("%s/certificates/%s.crt", folder, name);
        c->key = text_format("%s/certificates/%s.key", folder, name);
        directory_of(im, c, file, json_str(o, "certUrl"));
        CLEANUP(free_p) char *pfx = text_format("%s/certificates/%s.pfx", folder, name);
        if (pfx && import_exists(im, pfx))
                import_left(im, "%s stays as it is: who reads it wants a file of form pkcs12 in files:", pfx);
}

/* The one address that all accounts have in common; with several nobody knows whose certificate is whose. */
static char *email_of(struct import *im, const char *where)
{
        struct texts hosts = { 0 }, people = { 0 };
        struct err e;
        char *email = NULL;
        CLEANUP(free_p) char *accounts = text_format("%s/accounts", where);
        if (accounts && import_list(im, accounts, "*", &hosts, &e))
                for (size_t i = 0; i < hosts.count; i++) {
                        CLEANUP(free_p) char *host = text_format("%s/%s", accounts, hosts.item[i]);
                        if (host)
                                (void)import_list(im, host, "*@*", &people, &e); /* none: no address is known */
                }
        for (size_t i = 0; i < people.count; i++)
                if (strcmp(people.item[i], people.item[0]) != 0)
                        goto done;
        if (people.count > 0)
                email = text_dup(people.item[0]);
done:
        texts_done(&hosts);
        texts_done(&people);
        return email;
}

static bool read_tree(struct import *im, const char *where, struct err *e)
{
        struct texts files = { 0 };
        CLEANUP(free_p) char *folder = text_format("%s/certificates", where);
        CLEANUP(free_p) char *email = email_of(im, where);
        bool good = folder ? import_list(im, folder, "*.json", &files, e) : err_memory(e);
        for (size_t i = 0; good && i < files.count; i++) {
                CLEANUP(free_p) char *path = text_format("%s/%s", folder, files.item[i]);
                CLEANUP(free_p) char *text = NULL;
                size_t len = 0, before = im->cert_count;
                if (path && import_read_or_tell(im, path, &text, &len))
                        import_lego_json(im, where, path, text, len);
                if (im->cert_count > before)
                        im->cert[before].email = text_dup(email);
        }
        if (files.count > 0)
                import_left(im, "lego does not write down how it validated: look at the publisher of each certificate");
        texts_done(&files);
        return good;
}

const struct import_source import_lego = { .name = "lego", .where = ".lego", .program = "lego", .read = read_tree };
