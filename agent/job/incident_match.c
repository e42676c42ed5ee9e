/* Does a report concern this host? Exact facts find every certificate with the key; a name only finds who covers it. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"
#include "agent/pki/cert_match.h"

#define KEY_FILE_MAX (64 * 1024)
#define SERIAL_MAX 80

/* ---- is it in normal form? ---- */

static bool is_hex(const char *text, size_t digits)
{
        return !text || (strlen(text) == digits && strspn(text, "0123456789abcdef") == digits);
}

static bool is_number(const char *text)
{
        size_t n = text ? strlen(text) : 0;
        return !text || (n > 0 && n <= SERIAL_MAX && strspn(text, "0123456789abcdef") == n);
}

bool report_is_good(const struct report *r, struct err *e)
{
        const char *what = !r->source || !r->source[0]                 ? "source"
                : !is_hex(r->spki_hex, 64)                             ? "SHA-256 of a key"
                : !is_hex(r->modulus_hex, 64)                          ? "SHA-256 of a modulus"
                : !is_hex(r->cert_sha256, 64)                          ? "SHA-256 of a certificate"
                : !is_hex(r->cert_sha1, 40)                            ? "SHA-1 of a certificate"
                : !is_number(r->serial_hex)                            ? "serial number"
                : !is_number(r->aki_hex)                               ? "authority key identifier"
                : r->text && strlen(r->text) > REPORT_TEXT_MAX         ? "text"
                : r->link && strlen(r->link) > REPORT_TEXT_MAX         ? "link"
                : r->domains && r->domains->count > REPORT_DOMAINS_MAX ? "list of domains"
                : r->seen_count > REPORT_SEEN_MAX                      ? "list of deliveries"
                                                                       : NULL;
        return !what || err_set(e, ERR_PROTOCOL, "report", "the %s of a report is not in normal form", what);
}

void match_done(struct match *m)
{
        texts_done(&m->certs);
        json_decref(m->others);
        *m = (struct match){ 0 };
}

/* ---- one certificate of a kept set ---- */

static bool same_serial(const char *a, const char *b)
{
        return strcmp(a + strspn(a, "0"), b + strspn(b, "0")) == 0;
}

static bool covers(struct engine *g, const char *cert, const struct texts *domains)
{
        const struct conf_cert *conf = config_cert(g->conf, cert);
        for (size_t i = 0; conf && domains && i < domains->count; i++)
                if (texts_has(&conf->names, domains->item[i]) || names_cover(&conf->names, domains->item[i]))
                        return true;
        return false;
}

static bool issued_by(struct engine *g, const struct known_cert *k, const char *issuer)
{
        struct set s = { 0 };
        bool same = sets_read(g->sets, k->cert, k->set_number, 0, &s, NULL) &&
                cert_issuer_is(s.chain.leaf_der, s.chain.leaf_der_len, issuer);
        set_done(&s);
        return same;
}

/* The one that the certificate's own names single out: by hash, or by its issuer and serial number. */
static bool names_it(struct engine *g, const struct known_cert *k, const struct report *r)
{
        bool serial = r->serial_hex && same_serial(k->serial, r->serial_hex);
        if (r->cert_sha256)
                return strcmp(k->sha256, r->cert_sha256) == 0;
        if (r->aki_hex && r->serial_hex)
                return serial && strcmp(k->aki, r->aki_hex) == 0;
        if (r->issuer && r->serial_hex)
                return serial && issued_by(g, k, r->issuer);
        if (r->cert_sha1) /* collisions can be made: it needs one more item */
                return strcmp(k->sha1, r->cert_sha1) == 0 && (serial || covers(g, k->cert, r->domains));
        return false;
}

static bool has_key(const struct known_cert *k, const struct report *r)
{
        if (r->spki_hex)
                return strcmp(k->spki, r->spki_hex) == 0 || strcmp(k->spki_compressed, r->spki_hex) == 0;
        return r->modulus_hex && strcmp(k->modulus, r->modulus_hex) == 0;
}

static bool is_exact(const struct report *r)
{
        return r->spki_hex || r->modulus_hex || r->cert_sha256 || (r->serial_hex && (r->aki_hex || r->issuer)) ||
                r->cert_sha1;
}

bool report_is_nameless(const struct report *r)
{
        return !is_exact(r) && !r->serial_hex && !r->domains && r->text && r->text[0];
}

/* ---- where else the key is ---- */

static bool add_other(struct match *m, const char *kind, const char *name, char *text_own)
{
        json_t *o = json_object();
        json_put_text(o, "kind", kind);
        json_put_text(o, "name", name);
        json_put_text(o, "text", text_own);
        free(text_own);
        return json_array_append_new(m->others, o) == 0;
}

bool account_has_key(const struct engine *g, const char *ca, const char *spki)
{
        CLEANUP(free_p) char *path = text_format("%s/accounts/%s/key.pem", g->conf->state_directory, ca);
        char *pem = NULL, hex[65];
        size_t len = 0;
        struct key *key = NULL;
        bool same = path && file_read(path, KEY_FILE_MAX, &pem, &len, NULL) &&
                key_read_pem(pem, len, NULL, &key, NULL) && key_spki_hex(key, hex, NULL) && strcmp(hex, spki) == 0;
        key_free(key);
        if (pem)
                wipe(pem, len);
        free(pem);
        return same;
}

static void find_others(struct engine *g, struct match *m)
{
        for (size_t i = 0; i < g->ca_count; i++)
                if (account_has_key(g, g->ca[i].name, m->spki))
                        m->account = add_other(m, "account", g->ca[i].name,
                                text_format("it is the account key at %s: dcvctl account rollover %s", g->ca[i].name,
                                        g->ca[i].name));
        for (size_t i = 0; i < g->order_count; i++)
                if (g->order[i].spki && strcmp(g->order[i].spki, m->spki) == 0)
                        m->order = add_other(m, "order", g->order[i].order_id,
                                text_format("order %s of %s at %s is open with it", g->order[i].order_id,
                                        g->order[i].cert, g->order[i].ca));
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i]->row.spki && strcmp(g->job[i]->row.spki, m->spki) == 0)
                        m->order = add_other(m, "job", g->job[i]->row.cert,
                                text_format(
                                        "job %lld of %s uses it", (long long)g->job[i]->row.id, g->job[i]->row.cert));
        if (keystore_has(g->keystore, m->spki) && m->kept == 0)
                m->key = add_other(m, "key", m->spki, text_dup("its file is in the key store, in no kept set"));
}

/* ---- all of it ---- */

static bool add_cert(struct match *m, const char *cert)
{
        return texts_has(&m->certs, cert) || texts_add(&m->certs, cert);
}

static bool match_exact(
        struct engine *g, const struct report *r, const struct known_cert *list, size_t count, struct match *m)
{
        bool by_key = r->spki_hex || r->modulus_hex;
        if (r->spki_hex)
                memcpy(m->spki, r->spki_hex, sizeof m->spki);
        for (size_t i = 0; i < count; i++) {
                if (by_key ? !has_key(&list[i], r) : !names_it(g, &list[i], r))
                        continue;
                memcpy(m->spki, list[i].spki, sizeof m->spki); /* a compressed point's hash becomes the usual one */
                if (!by_key)
                        memcpy(m->only_sha256, list[i].sha256, sizeof m->only_sha256);
                break;
        }
        for (size_t i = 0; m->spki[0] && i < count; i++)
                if (strcmp(list[i].spki, m->spki) == 0) {
                        m->kept++;
                        if (!add_cert(m, list[i].cert))
                                return false;
                }
        if (m->spki[0])
                find_others(g, m);
        return true;
}

static bool match_hint(
        struct engine *g, const struct report *r, const struct known_cert *list, size_t count, struct match *m)
{
        const char *only = NULL;
        bool several = false;
        for (size_t i = 0; r->serial_hex && i < count; i++)
                if (same_serial(list[i].serial, r->serial_hex)) {
                        several = several || (only && strcmp(only, list[i].cert) != 0);
                        only = list[i].cert;
                }
        if (only && !several && !add_cert(m, only))
                return false;
        for (size_t i = 0; i < g->conf->cert_count; i++)
                if (covers(g, g->conf->cert[i].name, r->domains) && !add_cert(m, g->conf->cert[i].name))
                        return false;
        return true;
}

bool incident_match(struct engine *g, const struct report *r, struct match *ret, struct err *e)
{
        struct match m = { .others = json_array() };
        const struct known_cert *list = NULL;
        size_t count = 0;
        if (!m.others || !known_refresh(g, &list, &count, e)) {
                match_done(&m);
                return false;
        }
        bool good = !is_exact(r) || match_exact(g, r, list, count, &m);
        m.exact = m.kept > 0 || m.account || m.order || m.key;
        if (!m.exact)
                m.spki[0] = '\0';
        /* A hash that fits nothing here is not made to fit by a name beside it. */
        if (good && !is_exact(r))
                good = match_hint(g, r, list, count, &m);
        if (!good) {
                match_done(&m);
                return err_memory(e);
        }
        texts_sort(&m.certs);
        *ret = m;
        return true;
}

char *match_key(const struct match *m)
{
        if (m->exact)
                return text_format("spki %s", m->spki);
        struct buf b = { .max = 64 * 1024 };
        buf_add(&b, "names ");
        for (size_t i = 0; i < m->certs.count; i++)
                buf_addf(&b, "%s%s", i ? "," : "", m->certs.item[i]);
        return buf_steal(&b);
}
