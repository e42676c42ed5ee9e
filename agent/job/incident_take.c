/* Taking reports. The same key is the same incident; a stronger report makes it a stronger one; nothing is answered
 * before it is on disk. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"
#include "agent/net/loop.h"

#define UNMATCHED_MAX 1000
#define NAMELESS_MAX                                                                                                   \
        64 /* open at a time: a scanner of many repositories reports many keys that are not of this host               \
            */
#define UNMATCHED_S (30 * 86400)

/* ---- answers without an incident's commit ---- */

struct answer_later {
        struct engine *g;
        struct answer_later *next;
        incident_done_fn *done;
        void *arg;
        struct incident_answer answer;
        struct seen_pending seen;
        struct deferred *deferred;
};

static void answer_now(struct answer_later *l, const struct err *err)
{
        struct incidents *all = l->g->incidents;
        for (struct answer_later **at = &all->later; *at; at = &(*at)->next)
                if (*at == l) {
                        *at = l->next;
                        break;
                }
        all->waiting--;
        seen_settle(l->g, &l->seen, !err);
        l->done(l->arg, err ? NULL : &l->answer, err);
        free(l);
}

static void answer_deferred(void *arg)
{
        answer_now(arg, NULL);
}

static void answer_committed(void *arg, int64_t rowid, const struct err *err)
{
        (void)rowid;
        answer_now(arg, err);
}

/* b NULL: nothing is to be written. seen: of the deliveries in b; taken over. */
static bool answer_after(struct engine *g, struct store_batch *b_own, struct seen_pending *seen,
        const struct incident_answer *answer, incident_done_fn *done, void *arg, struct err *e)
{
        struct answer_later *l = calloc(1, sizeof *l);
        if (!l) {
                store_batch_free(b_own);
                seen_settle(g, seen, false);
                return err_memory(e);
        }
        *l = (struct answer_later){ .g = g, .done = done, .arg = arg, .answer = *answer, .seen = *seen };
        *seen = (struct seen_pending){ 0 };
        bool good = b_own ? engine_commit(g, b_own, answer_committed, l, e)
                          : (l->deferred = loop_defer(g->loop, answer_deferred, l)) != NULL;
        if (!good) {
                seen_settle(g, &l->seen, false);
                free(l);
                return b_own ? false : err_memory(e);
        }
        l->next = g->incidents->later;
        g->incidents->later = l;
        g->incidents->waiting++;
        return true;
}

void answers_drop(struct engine *g)
{
        while (g->incidents->later) {
                struct answer_later *l = g->incidents->later;
                g->incidents->later = l->next;
                loop_undefer(g->loop, l->deferred);
                seen_pending_done(&l->seen);
                free(l);
        }
}

static bool remember_all(struct engine *g, struct store_batch *b, const struct report *r, int64_t incident,
        struct seen_pending *pending, struct err *e)
{
        for (size_t k = 0; k < r->seen_count; k++)
                if (!seen_remember(g, b, r->source, &r->seen[k], incident, pending, e)) {
                        seen_settle(g, pending, false);
                        return false;
                }
        return true;
}

/* No certificate here: it may come later. */
static bool remember_unmatched(struct engine *g, struct store_batch *b, const struct report *r, struct err *e)
{
        (void)g;
        int64_t now_s = clock_now_s();
        if (!r->spki_hex && !r->cert_sha256)
                return true;
        return (store_batch_add(b,
                        "INSERT INTO alert_unmatched(spki, cert_sha256, source, strength, text, at)"
                        " VALUES(?,?,?,?,?,?)",
                        "tttt"
                        "ti",
                        r->spki_hex, r->cert_sha256, r->source, report_strength_name(r->strength), r->text, now_s) &&
                       store_batch_add(b,
                               "DELETE FROM alert_unmatched WHERE at < ? OR id <= (SELECT max(id) FROM "
                               "alert_unmatched) - ?",
                               "ii", now_s - UNMATCHED_S, (int64_t)UNMATCHED_MAX)) ||
                err_memory(e);
}

static bool take_unmatched(struct engine *g, const struct report *r, incident_done_fn *done, void *arg, struct err *e)
{
        struct incident_answer answer = { .act = INCIDENT_NOTHING };
        struct seen_pending seen = { 0 };
        snprintf(answer.text, sizeof answer.text, "no key or certificate of this host fits");
        struct store_batch *b = store_batch_new();
        if (!b)
                return err_memory(e);
        if (!remember_unmatched(g, b, r, e) || !remember_all(g, b, r, 0, &seen, e)) {
                store_batch_free(b);
                return false;
        }
        if (store_batch_count(b) == 0) {
                store_batch_free(b);
                b = NULL;
        }
        return answer_after(g, b, &seen, &answer, done, arg, e);
}

/* ---- taking ---- */

static bool await(struct incident *i, bool known, incident_done_fn *done, void *arg, struct err *e)
{
        struct waiter *w = calloc(1, sizeof *w);
        if (!w)
                return err_memory(e);
        *w = (struct waiter){ done, arg, known, NULL };
        /* What is known already is on disk with the commit that runs. */
        waiters_add(known && i->moving ? &i->committing : &i->waiter, w);
        i->engine->incidents->waiting++;
        return true;
}

bool incident_await(struct incident *i, incident_done_fn *done, void *arg, struct err *e)
{
        return await(i, false, done, arg, e);
}

/* A report of a key whose incident is on disk: while that is open, and once it is over, a repetition changes nothing
 * even if nobody remembers it. So such reports fill half of the memory at most, and whoever has something new to say
 * finds room. */
static bool need_not_remember(const struct incident *i)
{
        const struct seen_table *seen = &i->engine->incidents->seen;
        return i->row.spki && i->durable && seen->count >= seen->max / 2;
}

static bool take_known(struct incident *i, const struct report *r, incident_done_fn *done, void *arg, struct err *e)
{
        struct engine *g = i->engine;
        struct incident_answer answer;
        struct store_batch *b = NULL;
        struct seen_pending seen = { 0 };
        i->row.reports++;
        i->row.last_report_s = clock_now_s();
        if (!i->durable) { /* the sender must not be told sooner than the first one */
                if (!await(i, true, done, arg, e))
                        return false;
                incident_flush(i); /* the disk may be well again */
                return true;
        }
        if (r->seen_count > 0 && !need_not_remember(i)) {
                b = store_batch_new();
                if (!b || !remember_all(g, b, r, i->row.id, &seen, e)) {
                        store_batch_free(b);
                        return b ? false : err_memory(e);
                }
        }
        incident_answer_of(i, true, &answer);
        return answer_after(g, b, &seen, &answer, done, arg, e);
}

/* One that is over: the same key is not acted on twice, unless it was dismissed and the report is a better one, or the
 * key is live again. */
static bool is_live_again(const struct engine *g, const struct incident_row *last)
{
        const char *one = text_starts(last->key, "cert ") ? last->key + 5 : NULL;
        for (size_t k = 0; k < g->cert_count; k++) {
                const char *live = one ? g->cert[k]->row.live_sha256 : g->cert[k]->row.live_spki;
                const char *wanted = one ? one : last->spki;
                if (live && wanted && strcmp(live, wanted) == 0)
                        return true;
        }
        return false;
}

static bool stays_closed(struct engine *g, const struct incident_row *last, const struct report *r)
{
        int64_t now_s = clock_now_s();
        if (incident_is_nameless(last)) /* somebody has looked */
                return true;
        if (last->state == INCIDENT_DISMISSED)
                return r->strength <= last->strength &&
                        (last->spki || now_s - last->ended_s < g->conf->limit_cooldown_ms / 1000);
        return last->spki ? !is_live_again(g, last) : now_s - last->ended_s < g->conf->limit_cooldown_ms / 1000;
}

static bool take_closed(struct engine *g, const struct incident_row *last, const struct report *r,
        incident_done_fn *done, void *arg, struct err *e)
{
        struct incident_answer answer = { .id = last->id, .known = true, .act = INCIDENT_CLOSED };
        snprintf(answer.text, sizeof answer.text, "incident %lld is over: %s%s", (long long)last->id,
                last->state == INCIDENT_DISMISSED ? "dismissed, " : "everything is done",
                last->state == INCIDENT_DISMISSED && last->because ? last->because : "");
        struct store_batch *b = r->seen_count ? store_batch_new() : NULL;
        struct seen_pending seen = { 0 };
        if (r->seen_count && (!b || !remember_all(g, b, r, last->id, &seen, e))) {
                store_batch_free(b);
                return b ? false : err_memory(e);
        }
        return answer_after(g, b, &seen, &answer, done, arg, e);
}

/* The replay keys ride in the incident's own commit. */
static bool commit_with(struct incident *i, const struct report *r, incident_done_fn *done, void *arg, struct err *e)
{
        struct store_batch *b = i->extra ? i->extra : store_batch_new();
        bool mine = b != i->extra;
        if (!b)
                return err_memory(e);
        if (!remember_all(i->engine, b, r, i->row.id, &i->seen, e) || !await(i, false, done, arg, e)) {
                if (mine)
                        store_batch_free(b);
                return false;
        }
        i->extra = b;
        incident_flush(i);
        return true;
}

static bool take_matched(struct engine *g, const struct report *r, const struct match *m, incident_done_fn *done,
        void *arg, struct err *e)
{
        CLEANUP(free_p) char *key = incident_key_of(r, m);
        struct incident_row last = { 0 };
        bool found = false;
        if (!key)
                return err_memory(e);
        struct incident *i = incident_by_key(g, key);
        if (i && r->strength <= i->row.strength)
                return take_known(i, r, done, arg, e);
        if (!i) {
                bool good = incident_load_last(g->store, key, &last, &found, e);
                bool closed = good && found && stays_closed(g, &last, r);
                if (closed)
                        good = take_closed(g, &last, r, done, arg, e);
                incident_row_done(&last);
                if (!good || closed)
                        return good;
        }
        bool fresh = !i;
        if (fresh ? !(i = incident_open_new(g, r, m, e)) : !incident_strengthen(i, r, m, e))
                return false;
        if (!commit_with(i, r, done, arg, e)) {
                if (fresh)
                        incident_free(i);
                return false;
        }
        if (fresh)
                incident_tell_opened(i);
        return true;
}

/* There is room for it among those that wait for a person, or it is one of them. */
static bool takes_nameless(struct engine *g, const struct report *r, const struct match *m)
{
        size_t open = 0;
        if (!report_is_nameless(r))
                return false;
        CLEANUP(free_p) char *key = incident_key_of(r, m);
        for (size_t k = 0; k < g->incidents->count; k++)
                open += incident_is_nameless(&g->incidents->list[k]->row);
        if (open < NAMELESS_MAX || (key && incident_by_key(g, key)))
                return true;
        log_warning("", "%s: %s; nothing in it names a key and %zu such reports wait for somebody to look%s%s",
                r->source, r->text, open, r->link ? ": " : "", r->link ? r->link : "");
        return false;
}

bool incident_take(struct engine *g, const struct report *r, incident_done_fn *done, void *arg, struct err *e)
{
        struct match m = { 0 };
        if (g->incidents->waiting >= INCIDENT_WAITERS_MAX) {
                err_set(e, ERR_TEMPORARY, "incident.busy", "%zu reports wait for the disk", g->incidents->waiting);
                e->retry_after_s = 5;
                return false;
        }
        if (!report_is_good(r, e) || !incident_match(g, r, &m, e))
                return false;
        bool ignored = !m.exact && g->conf->on_domain_alert == DOMAIN_ALERT_IGNORE;
        bool concerns = m.exact || m.certs.count > 0 || (!ignored && takes_nameless(g, r, &m));
        bool good = concerns && !ignored ? take_matched(g, r, &m, done, arg, e) : take_unmatched(g, r, done, arg, e);
        match_done(&m);
        return good;
}

void incident_judge(struct engine *g, const struct report *r, struct incident_answer *ret)
{
        struct match m = { 0 };
        struct err e;
        *ret = (struct incident_answer){ .act = INCIDENT_NOTHING };
        if (!report_is_good(r, &e) || !incident_match(g, r, &m, &e)) {
                snprintf(ret->text, sizeof ret->text, "%.*s", (int)sizeof ret->text - 1, e.text);
                return;
        }
        CLEANUP(free_p) char *key = incident_key_of(r, &m);
        const struct incident *i = key ? incident_by_key(g, key) : NULL;
        if (i && r->strength <= i->row.strength) {
                incident_answer_of(i, true, ret);
        } else if (m.exact || m.certs.count > 0) {
                struct verdict v = incident_verdict_for(g, r, &m, m.certs.count ? m.certs.item[0] : "");
                ret->certs = m.certs.count;
                ret->act = m.certs.count == 0      ? INCIDENT_TELLS
                        : v.reissue == VERDICT_YES ? INCIDENT_ACTS
                        : v.reissue == VERDICT_ASK ? INCIDENT_ASKS
                                                   : INCIDENT_NOTHING;
                snprintf(ret->text, sizeof ret->text, "%zu certificate%s: %s%s; revocation: %s", m.certs.count,
                        m.certs.count == 1 ? "" : "s",
                        ret->act == INCIDENT_ACTS           ? "would be reissued at once"
                                : ret->act == INCIDENT_ASKS ? "would wait for dcvctl confirm"
                                                            : "nothing would be done",
                        v.mark ? "; the key would be marked for ever" : "", verdict_word_name(v.revoke));
        } else if (report_is_nameless(r) && g->conf->on_domain_alert != DOMAIN_ALERT_IGNORE) {
                ret->act = INCIDENT_TELLS;
                snprintf(ret->text, sizeof ret->text,
                        "a person would be told to look: nothing in it says which key leaked, so nothing would be "
                        "replaced");
        } else {
                snprintf(ret->text, sizeof ret->text, "no key or certificate of this host fits");
        }
        match_done(&m);
}

/* ---- reported before the certificate was here ---- */

struct look_back {
        char *source, *text;
        enum report_strength strength;
        bool found;
};

static bool unmatched_row(void *arg, const struct store_row *row)
{
        struct look_back *l = arg;
        l->source = text_dup(row_text(row, 0));
        l->text = text_dup(row_text(row, 2));
        l->found = report_strength_from_name(row_text(row, 1), &l->strength);
        return false;
}

static void looked_back(void *arg, const struct incident_answer *answer, const struct err *err)
{
        (void)arg;
        (void)answer;
        if (err)
                log_err("", "an earlier report of a key that came now", err);
}

void incidents_look_back(struct engine *g, const char *spki, const char *sha256)
{
        struct look_back l = { 0 };
        struct err e;
        if (!store_query(g->store,
                    "SELECT source, strength, text FROM alert_unmatched WHERE (spki = ? OR cert_sha256 = ?) AND at > ?"
                    " ORDER BY id DESC LIMIT 1",
                    "tti", unmatched_row, &l, &e, spki, sha256, clock_now_s() - UNMATCHED_S))
                log_err("", "earlier reports", &e);
        const struct report r = {
                .source = l.source, .strength = l.strength, .spki_hex = spki, .text = l.text, .revocation_reason = -1
        };
        if (l.found && !incident_take(g, &r, looked_back, NULL, &e))
                log_err("", "an earlier report of a key that came now", &e);
        free(l.source);
        free(l.text);
}
