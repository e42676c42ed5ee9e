/* From any text with certificates in it to leaf, intermediates, in order.
 *
 * 1. Every CERTIFICATE block is decoded; what stands between is nobody's business; repeated ones are dropped.
 * 2. The leaf is the one with our key, the newest if several; or the only one that is no CA.
 * 3. From there each issuer is found by name, key identifier and signature; of several the one that is no root, then
 * the one that lives longest. A root ends the chain and is left out: whoever trusts it has it.
 * 4. Certificates of other people are left out.
 */
#include "agent/pki/chain.h"

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define BLOCKS_MAX 50

struct entry {
        X509 *x;
        uint8_t *der;
        size_t len;
        struct cert_info info;
        bool used, root;
};
struct bundle {
        struct entry entry[CHAIN_CERTS_MAX];
        size_t count;
};

static void entry_done(struct entry *n)
{
        X509_free(n->x);
        free(n->der);
        cert_info_done(&n->info);
}

static void bundle_done(struct bundle *b)
{
        for (size_t i = 0; i < b->count; i++)
                entry_done(&b->entry[i]);
        b->count = 0;
}

/* Takes der. */
static bool add(struct bundle *b, uint8_t *der, size_t len, struct err *e)
{
        struct entry n = { .der = der, .len = len };
        for (size_t i = 0; i < b->count; i++)
                if (b->entry[i].len == len && memcmp(b->entry[i].der, der, len) == 0) {
                        free(der);
                        return true;
                }
        bool good = b->count < CHAIN_CERTS_MAX ||
                err_set(e, ERR_PROTOCOL, "chain.size", "more than %d different certificates", CHAIN_CERTS_MAX);
        good = good && cert_parse(der, len, &n.x, e) && cert_fill(n.x, der, len, &n.info, e);
        if (!good) {
                entry_done(&n);
                return false;
        }
        n.root = cert_issued_by(n.x, n.x);
        b->entry[b->count++] = n;
        return true;
}

static bool collect(struct bundle *b, const char *text, size_t len, struct err *e)
{
        const char *at = text, *end = text + len;
        struct err mine = { 0 };
        uint8_t *der = NULL;
        size_t der_len = 0;
        unsigned blocks = 0;
        while (pem_next(&at, end, &der, &der_len, &mine)) {
                if (++blocks > BLOCKS_MAX) {
                        free(der);
                        return err_set(e, ERR_PROTOCOL, "chain.size", "more than %d certificate blocks", BLOCKS_MAX);
                }
                if (!add(b, der, der_len, e))
                        return err_wrap(e, "certificate block %u", blocks);
        }
        if (mine.kind != ERR_NONE) {
                if (e)
                        *e = mine;
                return err_wrap(e, "certificate block %u", blocks + 1);
        }
        return b->count > 0 || err_set(e, ERR_PROTOCOL, "chain.empty", "there is no certificate in it");
}

static bool newer(const struct cert_info *a, const struct cert_info *b)
{
        return a->not_before_s != b->not_before_s ? a->not_before_s > b->not_before_s : a->not_after_s > b->not_after_s;
}

static struct entry *leaf_of_key(struct bundle *b, const char *spki_hex, struct err *e)
{
        struct entry *best = NULL;
        for (size_t i = 0; i < b->count; i++)
                if (strcmp(b->entry[i].info.spki_hex, spki_hex) == 0 &&
                        (!best || newer(&b->entry[i].info, &best->info)))
                        best = &b->entry[i];
        if (!best)
                err_set(e, ERR_PROTOCOL, "chain.no-leaf",
                        "none of the %zu certificates belongs to this private key (SPKI %.16s...); the first is for %s",
                        b->count, spki_hex, b->entry[0].info.subject);
        return best;
}

static bool issues_another(struct bundle *b, const struct entry *n)
{
        for (size_t i = 0; i < b->count; i++)
                if (&b->entry[i] != n && cert_issued_by(b->entry[i].x, n->x))
                        return true;
        return false;
}

static struct entry *only_leaf(struct bundle *b, struct err *e)
{
        struct entry *leaf = NULL;
        if (b->count == 1 && b->entry[0].root) /* "openssl req -x509" marks what a server presents as a CA's */
                return &b->entry[0];
        for (size_t i = 0; i < b->count; i++) {
                struct entry *n = &b->entry[i];
                if (n->info.is_ca || issues_another(b, n))
                        continue;
                if (leaf) {
                        err_set(e, ERR_PROTOCOL, "chain.ambiguous", "two certificates could be meant: %s and %s",
                                leaf->info.subject, n->info.subject);
                        return NULL;
                }
                leaf = n;
        }
        if (!leaf)
                err_set(e, ERR_PROTOCOL, "chain.no-leaf", "all %zu certificates are certificates of CAs", b->count);
        return leaf;
}

static struct entry *issuer_of(struct bundle *b, const struct entry *n)
{
        struct entry *best = NULL;
        for (size_t i = 0; i < b->count; i++) {
                struct entry *c = &b->entry[i];
                if (c->used || !cert_issued_by(n->x, c->x))
                        continue;
                if (!best || (best->root && !c->root) ||
                        (best->root == c->root && c->info.not_after_s > best->info.not_after_s))
                        best = c;
        }
        return best;
}

static bool write_pem(BIO *bio, const struct entry *n)
{
        return PEM_write_bio(bio, PEM_STRING_X509, "", n->der, (long)n->len) > 0;
}

static char *bio_text(BIO *bio)
{
        char *data = NULL;
        long len = BIO_get_mem_data(bio, &data);
        return text_dup_n(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
}

static bool assemble(struct bundle *b, struct entry *leaf, struct chain *c, struct err *e)
{
        CLEANUP(bio_free_p) BIO *own = BIO_new(BIO_s_mem()), *above = BIO_new(BIO_s_mem());
        bool good = own && above && write_pem(own, leaf);
        leaf->used = true;
        c->count = 1;
        c->orphan = b->count > 1 && !leaf->root && !issuer_of(b, leaf);
        for (struct entry *n = leaf; good && !n->root && (n = issuer_of(b, n)) && !n->root; c->count++) {
                n->used = true;
                good = write_pem(above, n);
        }
        c->cert_pem = good ? bio_text(own) : NULL;
        c->chain_pem = good ? bio_text(above) : NULL;
        c->fullchain_pem = c->cert_pem && c->chain_pem ? text_format("%s%s", c->cert_pem, c->chain_pem) : NULL;
        openssl_clear();
        return c->fullchain_pem || err_memory(e);
}

static bool read_bundle(
        struct bundle *b, const void *text, size_t len, const char *want_spki_hex, struct chain *c, struct err *e)
{
        if (!collect(b, text, len, e))
                return false;
        struct entry *leaf = want_spki_hex ? leaf_of_key(b, want_spki_hex, e) : only_leaf(b, e);
        if (!leaf || !assemble(b, leaf, c, e))
                return false;
        c->leaf = leaf->info;
        c->leaf_der = STEAL(leaf->der);
        c->leaf_der_len = leaf->len;
        leaf->info = (struct cert_info){ 0 };
        return true;
}

bool chain_read(const void *text, size_t len, const char *want_spki_hex, struct chain *ret, struct err *e)
{
        CLEANUP(bundle_done) struct bundle b = { .count = 0 };
        struct chain c = { 0 };
        unsigned refused = openssl_refused();
        if (len > CHAIN_PEM_MAX)
                return err_set(e, ERR_PROTOCOL, "chain.size", "a chain is at most %d bytes", CHAIN_PEM_MAX);
        bool good = read_bundle(&b, text, len, want_spki_hex, &c, e);
        if (openssl_refused() != refused)
                good = err_memory(e);
        if (!good) {
                chain_done(&c);
                return false;
        }
        *ret = c;
        return true;
}

static bool info_copy(const struct cert_info *i, struct cert_info *ret)
{
        *ret = *i;
        ret->names = (struct texts){ 0 };
        ret->serial_hex = text_dup(i->serial_hex);
        ret->subject = text_dup(i->subject);
        ret->issuer = text_dup(i->issuer);
        bool good = ret->serial_hex && ret->subject && ret->issuer;
        for (size_t n = 0; good && n < i->names.count; n++)
                good = texts_add(&ret->names, i->names.item[n]);
        return good;
}

bool chain_copy(const struct chain *c, struct chain *ret, struct err *e)
{
        struct chain copy = { .count = c->count, .orphan = c->orphan, .leaf_der_len = c->leaf_der_len };
        copy.cert_pem = text_dup(c->cert_pem);
        copy.chain_pem = text_dup(c->chain_pem);
        copy.fullchain_pem = text_dup(c->fullchain_pem);
        copy.leaf_der = malloc(c->leaf_der_len + 1);
        if (!info_copy(&c->leaf, &copy.leaf) || !copy.cert_pem || !copy.chain_pem || !copy.fullchain_pem ||
                !copy.leaf_der) {
                chain_done(&copy);
                return err_memory(e);
        }
        memcpy(copy.leaf_der, c->leaf_der, c->leaf_der_len);
        *ret = copy;
        return true;
}

void chain_done(struct chain *c)
{
        cert_info_done(&c->leaf);
        free(c->cert_pem);
        free(c->chain_pem);
        free(c->fullchain_pem);
        free(c->leaf_der);
        *c = (struct chain){ 0 };
}
