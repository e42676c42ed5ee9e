/* The rules a new certificate meets before it is installed. Each is one function with one code. */
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define CLOCK_AHEAD_S 3600 /* so far may a CA's clock be ahead of ours, or ours behind */

struct checked {
        const struct chain *chain;
        const struct chain_rules *rules;
        X509 *x; /* the leaf */
        struct entry {
                X509 *x;
                struct cert_info info;
        } above[CHAIN_CERTS_MAX];
        size_t above_count;
};

static bool rule_same(const struct checked *c, struct err *e)
{
        const char *old = c->rules->old_sha256;
        return !old || strcasecmp(old, c->chain->leaf.sha256) != 0 ||
                err_set(e, ERR_PROTOCOL, "cert.same", "the CA gave the certificate that is to be replaced (serial %s)",
                        c->chain->leaf.serial_hex);
}

static bool rule_key(const struct checked *c, struct err *e)
{
        const char *want = c->rules->spki_hex;
        return (want && strcasecmp(want, c->chain->leaf.spki_hex) == 0) ||
                err_set(e, ERR_PROTOCOL, "cert.key",
                        "the certificate is for another key (SPKI %.16s... instead of %.16s...)",
                        c->chain->leaf.spki_hex, want ? want : "");
}

static bool rule_names(const struct checked *c, struct err *e)
{
        static const struct texts none;
        const struct texts *has = &c->chain->leaf.names;
        const struct texts *want = c->rules->names ? c->rules->names : &none;
        const struct texts *extra_ok = c->rules->extra_ok ? c->rules->extra_ok : &none;
        for (size_t i = 0; i < want->count; i++)
                if (!names_cover(has, want->item[i]))
                        return err_set(e, ERR_PROTOCOL, "cert.name-missing", "the certificate does not cover %s",
                                want->item[i]);
        for (size_t i = 0; i < has->count; i++) {
                struct texts one = { .item = &has->item[i], .count = 1 };
                bool expected = false;
                for (size_t j = 0; !expected && j < want->count + extra_ok->count; j++) {
                        char *name = j < want->count ? want->item[j] : extra_ok->item[j - want->count];
                        expected = names_same(&one, &(struct texts){ .item = &name, .count = 1 });
                }
                if (!expected)
                        return err_set(e, ERR_PROTOCOL, "cert.name-extra", "nobody asked for %s in the certificate",
                                has->item[i]);
        }
        return true;
}

static bool rule_time(const struct checked *c, struct err *e)
{
        const struct cert_info *leaf = &c->chain->leaf;
        char when[32];
        int64_t now = c->rules->now_s;
        if (leaf->not_after_s <= now) {
                format_time(leaf->not_after_s, when, sizeof when);
                return err_set(e, ERR_PROTOCOL, "cert.expired", "the certificate expired at %s", when);
        }
        if (leaf->not_before_s <= now)
                return true;
        format_time(leaf->not_before_s, when, sizeof when);
        bool soon = leaf->not_before_s - now < CLOCK_AHEAD_S;
        err_set(e, soon ? ERR_TEMPORARY : ERR_PROTOCOL, "cert.not-yet", "the certificate is not valid before %s", when);
        if (soon && e)
                e->retry_after_s = leaf->not_before_s - now;
        return soon ? err_fix(e, "look at this host's clock (timedatectl): it, or the CA's, is wrong") : false;
}

static bool rule_end(const struct checked *c, struct err *e)
{
        char is[32], want[32];
        if (!c->rules->not_after_s || c->rules->not_after_s == c->chain->leaf.not_after_s)
                return true;
        format_time(c->chain->leaf.not_after_s, is, sizeof is);
        format_time(c->rules->not_after_s, want, sizeof want);
        return err_set(e, ERR_PROTOCOL, "cert.end", "the certificate ends at %s, expected was %s", is, want);
}

static bool rule_issuer(const struct checked *c, struct err *e)
{
        const char *like = c->rules->issuer_like;
        if (!like || strcasestr(c->chain->leaf.issuer, like))
                return true;
        for (size_t i = 0; i < c->above_count; i++)
                if (strcasestr(c->above[i].info.issuer, like))
                        return true;
        return err_set(e, ERR_PROTOCOL, "cert.issuer", "the certificate was issued by %s; nothing above it matches %s",
                c->chain->leaf.issuer, like);
}

static bool rule_ca(const struct checked *c, struct err *e)
{
        return (!c->chain->leaf.is_ca && !(X509_get_extension_flags(c->x) & EXFLAG_CA)) ||
                err_set(e, ERR_PROTOCOL, "cert.ca", "the certificate is one of a CA: %s", c->chain->leaf.subject);
}

static bool rule_usage(const struct checked *c, struct err *e)
{
        uint32_t flags = X509_get_extension_flags(c->x);
        const char *why = NULL;
        if (flags & EXFLAG_INVALID)
                why = "its extensions contradict each other";
        else if (flags & EXFLAG_CRITICAL)
                why = "it has an unknown critical extension, as a precertificate does";
        else if ((flags & EXFLAG_XKUSAGE) && !(X509_get_extended_key_usage(c->x) & (XKU_SSL_SERVER | XKU_ANYEKU)))
                why = "it does not allow TLS servers";
        else if ((flags & EXFLAG_KUSAGE) &&
                !(X509_get_key_usage(c->x) & (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)))
                why = "its key may neither sign nor agree on keys";
        return !why || err_set(e, ERR_PROTOCOL, "cert.usage", "the certificate cannot be served: %s", why);
}

static bool rule_chain(const struct checked *c, struct err *e)
{
        X509 *below = c->x;
        if (c->chain->orphan) /* clients that do not know the issuer by chance would refuse it */
                return err_set(e, ERR_PROTOCOL, "cert.chain",
                        "none of the certificates that came with it issued the certificate; its issuer is %s",
                        c->chain->leaf.issuer);
        for (size_t i = 0; i < c->above_count; i++) {
                const struct cert_info *info = &c->above[i].info;
                if (!cert_issued_by(below, c->above[i].x) || !info->is_ca)
                        return err_set(e, ERR_PROTOCOL, "cert.chain", "%s did not issue the certificate before it",
                                info->subject);
                if (info->not_after_s <= c->rules->now_s)
                        return err_set(e, ERR_PROTOCOL, "cert.chain", "the intermediate %s has expired", info->subject);
                below = c->above[i].x;
        }
        return true;
}

static void checked_done(struct checked *c)
{
        X509_free(c->x);
        for (size_t i = 0; i < c->above_count; i++) {
                X509_free(c->above[i].x);
                cert_info_done(&c->above[i].info);
        }
}

static bool unread(const struct err *why, struct err *e)
{
        return why->kind == ERR_TEMPORARY
                ? err_memory(e)
                : err_set(e, ERR_PROTOCOL, "cert.chain", "the chain cannot be read: %s", why->text);
}

static bool open_above(struct checked *c, struct err *e)
{
        const char *at = c->chain->chain_pem, *end = at + strlen(at);
        struct err mine = { 0 };
        uint8_t *der = NULL;
        size_t len = 0;
        while (pem_next(&at, end, &der, &len, &mine)) {
                struct entry n = { 0 };
                bool good = c->above_count < CHAIN_CERTS_MAX && cert_parse(der, len, &n.x, &mine) &&
                        cert_fill(n.x, der, len, &n.info, &mine);
                free(der);
                if (!good) {
                        X509_free(n.x);
                        return unread(&mine, e);
                }
                c->above[c->above_count++] = n;
        }
        return mine.kind == ERR_NONE || unread(&mine, e);
}

bool chain_check(const struct chain *chain, const struct chain_rules *r, struct err *e)
{
        static bool (*const rule[])(const struct checked *c, struct err *e) = {
                rule_same,
                rule_key,
                rule_names,
                rule_time,
                rule_end,
                rule_issuer,
                rule_ca,
                rule_usage,
                rule_chain,
        };
        CLEANUP(checked_done) struct checked c = { .chain = chain, .rules = r };
        unsigned refused = openssl_refused();
        bool good = cert_parse(chain->leaf_der, chain->leaf_der_len, &c.x, e) && open_above(&c, e);
        for (size_t i = 0; good && i < ARRAY_LEN(rule); i++)
                good = rule[i](&c, e);
        return openssl_refused() == refused ? good : err_memory(e);
}
