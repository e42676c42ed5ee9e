/* Certificates that were found, looked at: does the key belong to it, who uses it, and which of the paths really hold
 * it. A path becomes a link of dcvd only where the file there is one that dcvd would replace anyway. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/pki/key.h"

/* ---- one file ---- */

static bool read_chain(struct import *im, const char *path, struct chain *ret, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!import_read(im, path, &text, &len, e))
                return false;
        bool good = chain_read(text, len, NULL, ret, e) || err_wrap(e, "%s", path);
        wipe(text, len); /* a bundle holds the key, too */
        return good;
}

static bool read_spki(struct import *im, const char *path, char ret[65], struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct key *key = NULL;
        if (!import_read(im, path, &text, &len, e))
                return false;
        bool good = (key_read_pem(text, len, NULL, &key, e) && key_spki_hex(key, ret, e)) || err_wrap(e, "%s", path);
        wipe(text, len);
        key_free(key);
        return good;
}

/* Does it hold this certificate, its key, or issuers alone? */
static bool holds(struct import *im, const struct import_cert *c, const struct import_file *f)
{
        char spki[65] = "";
        struct chain chain = { 0 };
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct err e;
        if (f->form == IMPORT_CHAIN)
                return import_read(im, f->path, &text, &len, &e) && chain_has_only_certificates(text, len);
        bool key = f->form == IMPORT_KEY || f->form == IMPORT_COMBINED;
        if (key && (!read_spki(im, f->path, spki, &e) || strcmp(spki, c->spki) != 0))
                return false;
        if (f->form == IMPORT_KEY)
                return true;
        bool same = read_chain(im, f->path, &chain, &e) && strcmp(chain.leaf.sha256, c->chain.leaf.sha256) == 0;
        chain_done(&chain);
        return same;
}

/* ---- certificates ---- */

static bool load(struct import *im, struct import_cert *c, struct err *e)
{
        if (!c->cert || !c->key)
                return err_memory(e);
        if (!read_chain(im, c->cert, &c->chain, e) || !read_spki(im, c->key, c->spki, e))
                return false;
        const struct cert_info *leaf = &c->chain.leaf;
        if (strcmp(leaf->spki_hex, c->spki) != 0)
                return err_set(e, ERR_CONFIG, "import.pair", "%s does not belong to %s", c->key, c->cert);
        if (strcmp(leaf->subject, leaf->issuer) == 0)
                return err_set(e, ERR_CONFIG, "import.self", "%s is signed by itself: no CA made it", c->cert);
        if (leaf->names.count == 0)
                return err_set(e, ERR_CONFIG, "import.names", "%s names nobody", c->cert);
        return true;
}

static void drop(struct import *im, size_t at)
{
        struct import_cert gone = im->cert[at];
        memmove(&im->cert[at], &im->cert[at + 1], (im->cert_count - at - 1) * sizeof gone);
        im->cert[--im->cert_count] = (struct import_cert){ 0 };
        import_cert_done(&gone);
}

static const char *same_as(const struct import *im, size_t at)
{
        for (size_t i = 0; i < at; i++)
                if (strcmp(im->cert[i].chain.leaf.sha256, im->cert[at].chain.leaf.sha256) == 0)
                        return im->cert[i].name;
        return NULL;
}

void import_load(struct import *im)
{
        struct err e;
        for (size_t i = 0; i < im->cert_count;) {
                bool good = load(im, &im->cert[i], &e);
                const char *same = good ? same_as(im, i) : NULL;
                if (!good)
                        import_left(im, "%s: %s%s%s", im->cert[i].name, e.text, e.fix[0] ? "; " : "", e.fix);
                else if (same)
                        import_left(im, "%s: is the same certificate as %s", im->cert[i].name, same);
                if (good && !same)
                        i++;
                else
                        drop(im, i);
        }
}

/* ---- uses ---- */

/* One file of issuers for certificates of one CA: it cannot become a link of one of them. */
static bool chain_is_shared(const struct import *im, const struct import_use *u)
{
        for (size_t i = 0; i < im->use_count; i++) {
                const struct import_use *other = &im->use[i];
                if (other->chain && other->cert && strcmp(other->chain, u->chain) == 0 &&
                        strcmp(other->cert, u->cert) != 0)
                        return true;
        }
        return false;
}

/* The issuers of a certificate whose own file has none. */
static void complete(struct import *im, struct import_cert *c, const struct import_use *u)
{
        struct chain whole = { 0 };
        struct err e;
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (c->chain.count > 1 || !import_read_or_tell(im, u->chain, &text, &len))
                return;
        CLEANUP(free_p) char *both = text_format("%s%.*s", c->chain.cert_pem, (int)len, text);
        if (!both || !chain_read(both, strlen(both), c->spki, &whole, &e)) {
                import_left(im, "%s: %s: %s", u->said, u->chain, both ? e.text : "no memory");
                return;
        }
        chain_done(&c->chain);
        c->chain = whole;
}

static void attach(struct import *im, struct import_cert *c, const struct import_use *u)
{
        size_t at = 0;
        while (c->preset[at] && strcmp(c->preset[at], u->preset) != 0)
                at++;
        if (at + 1 < ARRAY_LEN(c->preset))
                c->preset[at] = u->preset;
        /* With the chain in any case: Apache takes that before the chain of SSLCertificateChainFile. */
        import_cert_file(im, c, u->key ? IMPORT_FULLCHAIN : IMPORT_COMBINED, text_dup(u->cert));
        if (u->key)
                import_cert_file(im, c, IMPORT_KEY, text_dup(u->key));
        if (!u->chain)
                return;
        complete(im, c, u);
        if (!chain_is_shared(im, u))
                import_cert_file(im, c, IMPORT_CHAIN, text_dup(u->chain));
        else
                import_left(im,
                        "%s: is the chain of several certificates and stays as it is; each has its own in "
                        "SSLCertificateFile",
                        u->chain);
}

static struct import_cert *find(struct import *im, const char *sha256)
{
        for (size_t i = 0; i < im->cert_count; i++)
                if (strcmp(im->cert[i].chain.leaf.sha256, sha256) == 0)
                        return &im->cert[i];
        return NULL;
}

static struct import_cert *add_used(struct import *im, const struct import_use *u, const struct chain *chain)
{
        struct err e;
        struct import_cert *c =
                import_cert_add(im, chain->leaf.names.count ? chain->leaf.names.item[0] : "certificate");
        if (!c)
                return NULL;
        c->cert = text_dup(u->cert);
        c->key = text_dup(u->key ? u->key : u->cert);
        if (u->root)
                import_publish(im, c, NULL, json_pack("{s:s, s:s}", "type", "webroot", "directory", u->root));
        if (load(im, c, &e))
                return c;
        import_left(im, "%s: %s%s%s", u->said, e.text, e.fix[0] ? "; " : "", e.fix);
        drop(im, im->cert_count - 1);
        return NULL;
}

void import_match(struct import *im, bool add)
{
        struct err e;
        for (size_t i = 0; i < im->use_count; i++) {
                const struct import_use *u = &im->use[i];
                struct chain chain = { 0 };
                if (u->cert && read_chain(im, u->cert, &chain, &e)) {
                        struct import_cert *c = find(im, chain.leaf.sha256);
                        if (!c && add)
                                c = add_used(im, u, &chain);
                        if (c)
                                attach(im, c, u);
                } else if (add && u->cert) {
                        import_left(im, "%s: %s%s%s", u->said, e.text, e.fix[0] ? "; " : "", e.fix);
                }
                chain_done(&chain);
        }
}

void import_confirm(struct import *im)
{
        for (size_t i = 0; i < im->cert_count; i++) {
                struct import_cert *c = &im->cert[i];
                size_t kept = 0;
                for (size_t k = 0; k < c->file_count; k++) {
                        bool good = import_exists(im, c->file[k].path) && holds(im, c, &c->file[k]);
                        if (!good && import_exists(im, c->file[k].path))
                                import_left(im, "%s: %s does not hold what it should and stays as it is", c->name,
                                        c->file[k].path);
                        if (good)
                                c->file[kept++] = c->file[k];
                        else
                                free(c->file[k].path);
                }
                c->file_count = kept;
        }
}
