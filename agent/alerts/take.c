#include "agent/alerts/take.h"

#include <stdlib.h>
#include <string.h>

#include "agent/alerts/alert_internal.h"
#include "agent/alerts/challenge.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/loop.h"
#include "agent/pki/evidence.h"

struct taking {
        struct engine *engine;
        const struct challenges *challenges;
        char *source;
        enum take_trust trust;
        bool by_operator, judge, judged; /* judged: the evidence was looked at */
        struct alert alert;
        struct evidence *evidence; /* one for each item */
        struct err err;
        struct incident_answer *answer;
        size_t at; /* the next item */
        take_done_fn *done;
        void *arg;
};

static void taking_free(struct taking *t)
{
        for (size_t i = 0; t->evidence && i < t->alert.count; i++)
                evidence_done(&t->evidence[i]);
        free(t->evidence);
        free(t->answer);
        alert_done(&t->alert);
        free(t->source);
        free(t);
}

static void finish(struct taking *t, bool failed)
{
        struct take_result r = { .answer = t->answer, .count = t->at, .known = t->at > 0 };
        for (size_t i = 0; i < t->at; i++) {
                r.known &= t->answer[i].known;
                r.opened |= t->answer[i].act != INCIDENT_NOTHING;
        }
        if (failed)
                r.err = &t->err;
        t->done(t->arg, &r);
        taking_free(t);
}

/* ---- the report ---- */

static const char *given(const char *text)
{
        return text && text[0] ? text : NULL;
}

static enum report_strength strength_of(const struct alert_item *i, const struct evidence *v)
{
        if (evidence_proves(v->kind))
                return REPORT_PROOF;
        return alert_item_is_exact(i) ? REPORT_EXACT : REPORT_HINT;
}

/* The sender's text first, then what the evidence was. */
static char *text_of(const struct alert_item *i, const struct evidence *v)
{
        if (v->kind == EVIDENCE_NONE)
                return text_dup(i->text);
        return text_format("%s%sevidence: %s", i->text ? i->text : "", i->text ? "; " : "", evidence_name(v->kind));
}

static size_t fill_seen(const struct taking *t, const struct alert_item *i, struct report_seen ret[REPORT_SEEN_MAX])
{
        size_t n = 0;
        if (t->alert.seen.key && t->at == 0)
                ret[n++] = (struct report_seen){ t->alert.seen.key, t->alert.seen.expires_s };
        for (size_t k = 0; k < i->seen_count && n < REPORT_SEEN_MAX; k++)
                ret[n++] = (struct report_seen){ i->seen[k].key, i->seen[k].expires_s };
        return n;
}

static void next(struct taking *t);

static void on_taken(void *arg, const struct incident_answer *answer, const struct err *err)
{
        struct taking *t = arg;
        if (err) {
                t->err = *err;
                return finish(t, true);
        }
        t->answer[t->at++] = *answer;
        next(t);
}

static void hand_in(struct taking *t)
{
        const struct alert_item *i = &t->alert.item[t->at];
        const struct evidence *v = &t->evidence[t->at];
        struct report_seen seen[REPORT_SEEN_MAX];
        CLEANUP(free_p) char *text = text_of(i, v);
        struct report r = { .source = t->source,
                .strength = strength_of(i, v),
                .spki_hex = v->kind != EVIDENCE_NONE ? v->spki_hex : given(i->spki_hex),
                .modulus_hex = given(i->modulus_hex),
                .cert_sha256 = v->cert.sha256[0] ? v->cert.sha256 : given(i->cert_sha256),
                .aki_hex = i->aki_hex,
                .serial_hex = given(i->serial_hex),
                .issuer = i->issuer,
                .cert_sha1 = given(i->cert_sha1),
                .domains = i->domains.count ? &i->domains : NULL,
                .text = text,
                .link = i->link,
                .by_operator = t->by_operator,
                .revocation_reason = -1,
                .reported_s = i->reported_s,
                .seen = seen };
        r.seen_count = fill_seen(t, i, seen);
        if (t->judge) {
                struct incident_answer answer = { 0 };
                incident_judge(t->engine, &r, &answer);
                t->answer[t->at++] = answer;
                return next(t);
        }
        if (!incident_take(t->engine, &r, on_taken, t, &t->err))
                finish(t, true);
}

static void next(struct taking *t)
{
        if (t->at == t->alert.count)
                return finish(t, false);
        hand_in(t);
}

/* ---- the evidence ---- */

static bool local_key(void *arg, const char *spki_hex, uint8_t **ret_der, size_t *ret_len)
{
        const struct taking *t = arg;
        return engine_public_key(t->engine, spki_hex, ret_der, ret_len);
}

static bool is_challenge(void *arg, const char *text, size_t len)
{
        const struct taking *t = arg;
        return t->challenges && challenge_is_good(t->challenges, text, len, clock_now_s());
}

static bool look(struct taking *t, size_t i)
{
        const struct evidence_asks asks = { local_key, is_challenge, t };
        const struct alert_item *item = &t->alert.item[i];
        struct evidence *v = &t->evidence[i];
        if (item->evidence && !evidence_read(item->evidence, item->evidence_len, &asks, v, &t->err))
                return false;
        if (item->evidence && item->spki_hex[0] && strcmp(item->spki_hex, v->spki_hex) != 0)
                return err_set(&t->err, ERR_CONFIG, "evidence.other-key",
                        "the report names one key and its evidence is of another (%s)", v->spki_hex);
        if (t->trust == TAKE_PROOFS && !evidence_proves(v->kind))
                return err_set(&t->err, ERR_CONFIG, "evidence.none",
                        "a %s names a key and proves nothing; here only a proof is taken: the private key, a request "
                        "or a "
                        "statement signed by it",
                        v->kind == EVIDENCE_NONE ? "name" : evidence_name(v->kind));
        return true;
}

static void look_at_all(void *arg)
{
        struct taking *t = arg;
        t->judged = true;
        for (size_t i = 0; i < t->alert.count && t->judged; i++)
                t->judged = look(t, i);
}

static void on_looked(void *arg, bool abandoned)
{
        struct taking *t = arg;
        if (abandoned)
                err_set(&t->err, ERR_CANCELLED, "stopping", "the daemon stops");
        if (abandoned || !t->judged)
                return finish(t, true);
        next(t);
}

static void on_later(void *arg)
{
        on_looked(arg, false);
}

bool take_start(const struct take_conf *c, struct alert *alert, take_done_fn *done, void *arg, struct err *e)
{
        struct taking *t = calloc(1, sizeof *t);
        struct work *work;
        bool computes = false;
        if (!t) {
                alert_done(alert);
                return err_memory(e);
        }
        *t = (struct taking){ .engine = c->engine,
                .challenges = c->challenges,
                .source = text_dup(c->source),
                .trust = c->trust,
                .by_operator = c->by_operator,
                .judge = c->judge,
                .alert = *alert,
                .done = done,
                .arg = arg };
        *alert = (struct alert){ 0 };
        t->evidence = calloc(t->alert.count + 1, sizeof *t->evidence);
        t->answer = calloc(t->alert.count + 1, sizeof *t->answer);
        for (size_t i = 0; i < t->alert.count; i++)
                computes |= t->alert.item[i].evidence != NULL;
        bool good = t->source && t->evidence && t->answer;
        if (good && computes)
                good = work_start(&work, engine_loop(c->engine), look_at_all, on_looked, t, e);
        else if (good) {
                look_at_all(t);
                good = loop_defer(engine_loop(c->engine), on_later, t) != NULL || err_memory(e);
        } else {
                err_memory(e);
        }
        if (!good)
                taking_free(t);
        return good;
}

/* ---- what people bring ---- */

static bool bare_hash(const char *text, struct alert_item *i)
{
        return strlen(text) < 200 && form_sha256(text, i->spki_hex);
}

static bool read_into(const char *text, size_t len, struct alert *a, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err why = { 0 };
        struct alert_item *i = alert_add(a, e);
        if (!i)
                return false;
        if (strlen(text) == len && bare_hash(text, i))
                return true;
        if (json_read(text, len, 24, &o, &why) && json_is_object(o) && !json_str(o, "protected") &&
                !json_str(o, "statement")) {
                const json_t *data = json_object_get(o, "data");
                return alert_native(json_is_object(data) ? data : o, i, e) &&
                        (alert_item_says_something(i) ||
                                err_set(e, ERR_PROTOCOL, "alert.member", "nothing in it names a key"));
        }
        if (len == 0 || len > EVIDENCE_MAX)
                return err_set(e, ERR_PROTOCOL, "evidence.format", "a report is 1 to %d bytes", EVIDENCE_MAX);
        i->evidence = text_dup_n(text, len);
        i->evidence_len = len;
        return i->evidence || err_memory(e);
}

bool take_read_text(const char *text, size_t len, struct alert *ret, struct err *e)
{
        struct alert a = { 0 };
        if (!read_into(text, len, &a, e)) {
                alert_done(&a);
                return false;
        }
        *ret = a;
        return true;
}

static json_t *one_json(const struct incident_answer *a)
{
        json_t *o = json_object();
        if (a->id)
                json_put_i64(o, "incident", a->id);
        else
                json_object_set_new(o, "incident", json_null());
        json_put_text(o, "act", incident_act_name(a->act));
        json_put_bool(o, "known", a->known);
        json_put_i64(o, "certificates", (int64_t)a->certs);
        json_put_text(o, "text", a->text);
        return o;
}

/* The first that concerns this host speaks for all. */
json_t *take_json(const struct take_result *r)
{
        size_t first = 0;
        while (first + 1 < r->count && r->answer[first].act == INCIDENT_NOTHING)
                first++;
        json_t *o = r->count ? one_json(&r->answer[first < r->count ? first : 0]) : json_object();
        if (r->count > 1) {
                json_t *list = json_array();
                for (size_t i = 0; i < r->count; i++)
                        json_array_append_new(list, one_json(&r->answer[i]));
                json_object_set_new(o, "reports", list);
        }
        return o;
}
