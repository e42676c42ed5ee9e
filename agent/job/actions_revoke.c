/* dcvctl revoke: one certificate of the sets that are kept. What is live is revoked only when that is said, and nothing
 * is revoked that would take a live certificate with it (I6). */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

#define REVOKED_AS "revoked_as" /* in the set's own notes */

struct revocation {
        struct engine *engine;
        struct revocation *next;
        struct cert *cert;
        struct backend_ca *ca;
        struct ca_call *call;
        struct set set;
        struct key *key;
        const char *spared; /* a live certificate with the same key: the account signs, so that no CA blocks it; NULL */
        enum ca_reason reason;
        bool marks; /* who says keyCompromise reports the key, too */
        action_done_fn *done;
        void *arg;
};

static const struct {
        const char *name;
        enum ca_reason reason;
} reasons[] = { { "keyCompromise", CA_KEY_COMPROMISE }, { "superseded", CA_SUPERSEDED },
        { "cessationOfOperation", CA_CESSATION }, { "unspecified", CA_UNSPECIFIED } };

static const char *reason_name(enum ca_reason r)
{
        for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
                if (reasons[i].reason == r)
                        return reasons[i].name;
        return "?";
}

static void revocation_free(struct revocation *r)
{
        for (struct revocation **at = &r->engine->revocation; *at; at = &(*at)->next)
                if (*at == r) {
                        *at = r->next;
                        break;
                }
        set_done(&r->set);
        key_free(r->key);
        free(r);
}

void revocations_cancel(struct engine *g)
{
        struct err e;
        while (g->revocation) {
                struct revocation *r = g->revocation;
                r->ca->ops->cancel(r->ca->ca, r->call);
                err_set(&e, ERR_TEMPORARY, "reconfigured",
                        "the configuration changed meanwhile; revoke again: that harms nobody");
                r->done(r->arg, NULL, &e);
                revocation_free(r);
        }
}

/* ---- which ---- */

/* As people and tools write serial numbers: colons, case and leading zeros do not matter. */
static bool same_serial(const char *a, const char *b)
{
        for (;;) {
                while (*a == ':' || *a == ' ')
                        a++;
                while (*b == ':' || *b == ' ')
                        b++;
                if (!*a || !*b)
                        return !*a && !*b;
                if ((*a | 0x20) != (*b | 0x20))
                        return false;
                a++;
                b++;
        }
}

static const char *without_zeros(const char *serial)
{
        while (*serial == '0' || *serial == ':')
                serial++;
        return serial;
}

static bool fits(struct revocation *r, const struct set *s, const char *serial, bool live)
{
        bool is_live = (int64_t)s->number == r->cert->row.live_set;
        if (serial)
                return same_serial(without_zeros(serial), without_zeros(s->chain.leaf.serial_hex));
        return live == is_live;
}

/* Of one whose key is damaged the account can still sign. */
static bool read_set(const struct revocation *r, unsigned number, struct set *ret)
{
        struct sets *sets = r->engine->sets;
        return sets_read(sets, r->cert->row.name, number, SET_WHOLE, ret, NULL) ||
                sets_read(sets, r->cert->row.name, number, SET_META, ret, NULL);
}

static bool choose(struct revocation *r, const json_t *args, struct err *e)
{
        const char *serial = json_str(args, "serial");
        bool live = json_bool(args, "live", false);
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        if (!sets_list(r->engine->sets, r->cert->row.name, &number, &count, e))
                return false;
        for (size_t i = count; i-- > 0;) {
                struct set s = { 0 };
                if (!read_set(r, number[i], &s))
                        continue;
                if (fits(r, &s, serial, live)) {
                        r->set = s;
                        return true;
                }
                set_done(&s);
        }
        err_set(e, ERR_CONFIG, "revoke.none",
                serial ? "%s: no kept set has the serial number %s" : "%s: there is no %s certificate",
                r->cert->row.name,
                serial         ? serial
                        : live ? "live"
                               : "superseded");
        return err_fix(e, "dcvctl sets %s shows what is kept%s", r->cert->row.name,
                serial || live ? "" : "; --live revokes what is live");
}

static bool is_marked(const struct revocation *r)
{
        return compromised_has(r->engine->keystore, r->set.chain.leaf.spki_hex);
}

static bool choose_reason(struct revocation *r, const json_t *args, struct err *e)
{
        const char *word = json_str(args, "reason");
        bool live = (int64_t)r->set.number == r->cert->row.live_set;
        r->reason = is_marked(r) ? CA_KEY_COMPROMISE : live ? CA_UNSPECIFIED : CA_SUPERSEDED;
        if (!word)
                return true;
        for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
                if (text_equal_nocase(word, reasons[i].name)) {
                        r->reason = reasons[i].reason;
                        r->marks = r->reason == CA_KEY_COMPROMISE && !is_marked(r);
                        return true;
                }
        return err_set(e, ERR_CONFIG, "revoke.reason",
                "there is no reason %s; keyCompromise, superseded, cessationOfOperation or unspecified", word);
}

/* ---- may it be ---- */

static bool spares_what_is_live(const struct revocation *r, const json_t *args, struct err *e)
{
        struct engine *g = r->engine;
        if (json_bool(args, "live", false))
                return true;
        if ((int64_t)r->set.number == r->cert->row.live_set) {
                err_set(e, ERR_RULE, "revoke.live", "%s: set %u is live: visitors would see an error",
                        r->cert->row.name, r->set.number);
                return err_fix(e, "dcvctl reissue %s first, or say --live", r->cert->row.name);
        }
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i] != r->cert && g->cert[i]->row.live_sha256 &&
                        strcmp(g->cert[i]->row.live_sha256, r->set.chain.leaf.sha256) == 0) {
                        err_set(e, ERR_RULE, "revoke.live", "%s: the same certificate is live as %s", r->cert->row.name,
                                g->cert[i]->row.name);
                        return err_fix(e, "dcvctl reissue %s first", g->cert[i]->row.name);
                }
        return true;
}

/* The name under which another certificate of this key is live; NULL: none is. */
static const char *live_with_its_key(const struct revocation *r)
{
        const struct engine *g = r->engine;
        for (size_t i = 0; i < g->cert_count; i++) {
                const struct cert_row *row = &g->cert[i]->row;
                if (row->live_spki && strcmp(row->live_spki, r->set.chain.leaf.spki_hex) == 0 &&
                        !(row->live_sha256 && strcmp(row->live_sha256, r->set.chain.leaf.sha256) == 0))
                        return row->name;
        }
        return NULL;
}

/* A key that was kept (key.reuse) is live in another certificate. What that key signs has the CA block it, and what is
 * said of the key (keyCompromise) is true of both; the account's word, for another reason, is about this one alone. */
static bool spares_its_key(struct revocation *r, const json_t *args, struct err *e)
{
        const char *other = json_bool(args, "shared_key", false) ? NULL : live_with_its_key(r);
        bool alone =
                !(r->ca->ops->can & CONF_CA_NEEDS_CERTIFICATE_ID) && r->reason != CA_KEY_COMPROMISE && !is_marked(r);
        if (other && alone)
                r->spared = other;
        if (!other || alone || json_bool(args, "live", false))
                return true;
        err_set(e, ERR_RULE, "revoke.key", "%s: the live certificate %s has the same key: the CA could revoke it too",
                r->cert->row.name, other);
        return err_fix(e, "dcvctl reissue %s --key-compromised first", other);
}

static bool find_ca(struct revocation *r, struct err *e)
{
        const struct conf_cert *conf = config_cert(r->engine->conf, r->cert->row.name);
        const char *name = json_str(r->set.meta, "ca");
        size_t index = 0;
        if (!name && conf &&
                (cert_ca_that_can(r->engine, conf, CONF_CA_ISSUES, &index) ||
                        cert_ca_that_can(r->engine, conf, CONF_CA_NEEDS_CERTIFICATE_ID, &index)))
                name = conf->ca[index].ca; /* imported: the CA itself knows whether it is one of its own */
        r->ca = name ? engine_ca(r->engine, name) : NULL;
        if (r->ca && r->ca->ops->revoke)
                return true;
        if (!name || r->ca)
                return err_set(e, ERR_CONFIG, "revoke.ca", "%s: %s%s; revoke it at its CA", r->cert->row.name,
                        name ? name : "its CA is not known", name ? ": revocation is not in this build for it" : "");
        err_set(e, ERR_CONFIG, "revoke.ca", "%s: set %u was issued by CA %s, which is no longer in the configuration",
                r->cert->row.name, r->set.number, name);
        return err_fix(e, "put cas.%s back, or revoke it at its CA", name);
}

static bool load_key(struct revocation *r, struct err *e)
{
        const struct secret *pem = &r->set.key_pem;
        if (r->spared)
                return true; /* the account signs */
        if (pem->len > 0)
                return key_read_pem(pem->data, pem->len, NULL, &r->key, e);
        if (keystore_has(r->engine->keystore, r->set.chain.leaf.spki_hex) &&
                !keystore_get(r->engine->keystore, r->set.chain.leaf.spki_hex, &r->key, e))
                log_err(r->cert->row.name, "the key of what is to be revoked", e);
        return true; /* without it, as where it is held elsewhere, the account signs */
}

bool revocation_takes_live(
        struct engine *g, const struct cert *c, const struct backend_ca *ca, char *ret_what, size_t size)
{
        struct set live = { 0 };
        bool takes = (ca->ops->can & CONF_CA_NEEDS_CERTIFICATE_ID) && c->row.live_set > 0 &&
                sets_read(g->sets, c->row.name, (unsigned)c->row.live_set, SET_META, &live, NULL);
        const char *of = takes ? json_str(live.meta, "ca") : NULL, *order = takes ? json_str(live.meta, "order") : NULL;
        takes = of && strcmp(of, ca->name) == 0;
        if (takes)
                snprintf(ret_what, size,
                        "at %s the old certificate is the original of %s: revoking it takes the new certificate with "
                        "it",
                        ca->name, order ? order : "the new one");
        set_done(&live);
        return takes;
}

/* At Tencent an original and its reissues are revoked together. */
static bool spares_its_reissue(const struct revocation *r, const json_t *args, struct err *e)
{
        char what[300];
        if (json_bool(args, "live", false) || (int64_t)r->set.number == r->cert->row.live_set ||
                !revocation_takes_live(r->engine, r->cert, r->ca, what, sizeof what))
                return true;
        err_set(e, ERR_RULE, "revoke.both", "%s: %s", r->cert->row.name, what);
        return err_fix(e, "leave it: it runs out by itself; --live revokes both");
}

/* A CA that names certificates knows the one of an order by that, and what was imported by the configuration's id. */
static const char *id_of(const struct revocation *r)
{
        const struct conf_cert *conf = config_cert(r->engine->conf, r->cert->row.name);
        const char *order = json_str(r->set.meta, "order");
        if (!(r->ca->ops->can & CONF_CA_NEEDS_CERTIFICATE_ID) || order)
                return order;
        return conf ? conf->certificate_id : NULL;
}

/* ---- doing it ---- */

static bool was_revoked(const struct revocation *r)
{
        return json_i64(r->set.meta, "revoked", 0) > 0;
}

/* One that was revoked for another reason, and whose key is now said to have leaked: that is to be heard, here and at
 * the CA, which may block the key. */
static bool is_news(const struct revocation *r)
{
        const char *before = json_str(r->set.meta, REVOKED_AS);
        return r->reason == CA_KEY_COMPROMISE && !(before && strcmp(before, reason_name(r->reason)) == 0);
}

/* What it was revoked as, where it is about that; "": nobody wrote it down. */
static const char *reason_to_tell(const struct revocation *r, bool before)
{
        const char *as = json_str(r->set.meta, REVOKED_AS);
        return !before ? reason_name(r->reason) : as ? as : "";
}

/* "; signed by the account: ..." where its own key does not sign, which is what has the CA block it; "". Allocated. */
static char *signer_text(const struct revocation *r, bool before)
{
        if (before || r->key || (r->ca->ops->can & CONF_CA_NEEDS_CERTIFICATE_ID))
                return text_dup("");
        if (r->spared)
                return text_format("; signed by the account: the live certificate %s has the same key", r->spared);
        return text_dup("; signed by the account: its key is not here, and the CA may not block it");
}

static json_t *answer_new(const struct revocation *r, const char *format, bool before)
{
        char date[32];
        const char *reason = reason_to_tell(r, before);
        CLEANUP(free_p) char *signer = signer_text(r, before);
        format_date(r->set.chain.leaf.not_after_s, date, sizeof date);
        json_t *o = json_pack("{s:i, s:s, s:s, s:i}", "exit", 0, "cert", r->cert->row.name, "serial",
                r->set.chain.leaf.serial_hex, "set", (int)r->set.number);
        CLEANUP(free_p)
        char *text = text_format("%s %s: set %u, serial %s, until %s, at %s%s%s%s%s", r->cert->row.name, format,
                r->set.number, r->set.chain.leaf.serial_hex, date, r->ca->name, reason[0] ? ", reason " : "", reason,
                signer ? signer : "", r->marks ? "; its key is marked compromised for ever" : "");
        if (reason[0])
                json_put_text(o, "reason", reason);
        if (r->spared && !before)
                json_put_text(o, "same_key_live", r->spared);
        json_put_text(o, "text", text);
        return o;
}

static void note(const struct revocation *r)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *changes = json_object();
        if (!was_revoked(r))
                json_put_i64(changes, "revoked", clock_now_s());
        json_put_text(changes, REVOKED_AS, reason_name(r->reason));
        (void)json_object_update(r->set.meta, changes);
        if ((int64_t)r->set.number == r->cert->row.live_set)
                r->cert->live_revoked_s = json_i64(r->set.meta, "revoked", 0);
        if (!sets_change_meta(r->engine->sets, r->cert->row.name, r->set.number, changes, &e))
                log_err(r->cert->row.name, "noting the revocation", &e);
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p)
        json_t *data = json_pack("{s:s, s:s, s:s}", "serial", r->set.chain.leaf.serial_hex, "reason",
                reason_name(r->reason), "ca", r->ca->name);
        if (b && journal_audit(b, clock_now_s(), r->cert->row.name, 0, "revoked", data))
                engine_commit_logged(r->engine, b);
        else
                store_batch_free(b);
}

/* Nobody tries it again by himself: whoever asked is told from when on he may. */
static void tell_when(struct err *e)
{
        char span[40];
        if (e->kind != ERR_RATE_LIMITED || e->retry_after_s <= 0 || e->fix[0])
                return;
        format_span(e->retry_after_s, span, sizeof span);
        err_fix(e, "again in %s at the earliest", span);
}

static void revoked(void *arg, const struct err *err)
{
        struct revocation *r = arg;
        struct err e;
        r->call = NULL;
        if (err) {
                e = *err;
                err_wrap(&e, "%s was not revoked", r->cert->row.name);
                tell_when(&e);
                r->done(r->arg, NULL, &e);
                return revocation_free(r);
        }
        note(r);
        log_info(
                r->cert->row.name, "set %u was revoked at %s (%s)", r->set.number, r->ca->name, reason_name(r->reason));
        CLEANUP(json_decref_p) json_t *o = answer_new(r, "is revoked", false);
        r->done(r->arg, o, NULL);
        revocation_free(r);
}

/* True: it was answered without asking the CA. */
static bool answer_at_once(const struct revocation *r, const json_t *args)
{
        bool dry = json_bool(args, "dry_run", false), already = was_revoked(r) && !is_news(r);
        if (!dry && !already && json_bool(args, "yes", false))
                return false;
        CLEANUP(json_decref_p)
        json_t *o = answer_new(r, already ? "was revoked before" : "would be revoked", already);
        if (dry)
                json_put_bool(o, "dry_run", true);
        else if (!already)
                json_put_bool(o, "confirm", true);
        r->done(r->arg, o, NULL);
        return true;
}

void action_revoke(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct revocation *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        r->engine = g;
        r->done = done;
        r->arg = arg;
        bool good = action_cert(g, args, &r->cert, &e) && choose(r, args, &e) && choose_reason(r, args, &e) &&
                spares_what_is_live(r, args, &e) && find_ca(r, &e) && spares_its_key(r, args, &e) &&
                spares_its_reissue(r, args, &e) && load_key(r, &e);
        if (good && answer_at_once(r, args))
                return revocation_free(r);
        const struct ca_revoke_request q = { .der = r->set.chain.leaf_der,
                .der_len = r->set.chain.leaf_der_len,
                .id = good ? id_of(r) : NULL,
                .key = r->key,
                .reason = r->reason };
        if (good && r->marks)
                good = engine_put_compromised(
                        g, r->set.chain.leaf.spki_hex, "revoked as keyCompromise by the operator", &e);
        if (good)
                r->call = r->ca->ops->revoke(r->ca->ca, &q, revoked, r, &e);
        if (!good || !r->call) {
                done(arg, NULL, &e);
                return revocation_free(r);
        }
        r->next = g->revocation;
        g->revocation = r;
}
