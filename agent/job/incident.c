/* Incidents as they are kept: the list, their commits, and which certificates they are about. Reports are taken in
 * incident_take.c; what follows from an incident is in incident_step.c. */
#include "agent/job/incident.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/job/incident_internal.h"
#include "agent/net/loop.h"

#define OPEN_MAX 4096
#define CASES_MAX 20000
#define AGAIN_MS 5000 /* after a commit that failed */

static const char *const act_names[] = { "nothing", "tells", "asks", "holds", "acts", "closed" };

const char *incident_act_name(enum incident_act a)
{
        return (unsigned)a < ARRAY_LEN(act_names) ? act_names[a] : "?";
}

/* ---- the list ---- */

struct incident *incident_new(struct engine *g, struct err *e)
{
        struct incidents *all = g->incidents;
        struct incident *i = calloc(1, sizeof *i);
        struct incident **more = realloc(all->list, (all->count + 1) * sizeof *more);
        if (more)
                all->list = more;
        if (!i || !more || !(i->events = json_array())) {
                free(i);
                err_memory(e);
                return NULL;
        }
        i->engine = g;
        i->due.kind = DUE_INCIDENT;
        return all->list[all->count++] = i;
}

static void waiters_drop(struct incidents *all, struct waiter **list)
{
        while (*list) {
                struct waiter *w = *list;
                *list = w->next;
                all->waiting--;
                free(w);
        }
}

void incident_free(struct incident *i)
{
        struct incidents *all = i->engine->incidents;
        for (size_t k = 0; k < all->count; k++)
                if (all->list[k] == i) {
                        memmove(&all->list[k], &all->list[k + 1], (--all->count - k) * sizeof(struct incident *));
                        break;
                }
        engine_due_clear(i->engine, &i->due);
        loop_undefer(i->engine->loop, i->step);
        for (size_t k = 0; k < i->case_count; k++) {
                incident_revoke_drop(&i->cases[k]);
                incident_case_done(&i->cases[k]);
        }
        waiters_drop(all, &i->waiter);
        waiters_drop(all, &i->committing);
        json_decref(i->events);
        json_decref(i->writing);
        store_batch_free(i->extra);
        seen_pending_done(&i->seen);
        seen_pending_done(&i->seen_writing);
        incident_row_done(&i->row);
        free(i->cases);
        free(i);
}

struct incident *incident_find(struct engine *g, int64_t id)
{
        for (size_t k = 0; k < g->incidents->count; k++)
                if (g->incidents->list[k]->row.id == id)
                        return g->incidents->list[k];
        return NULL;
}

struct incident *incident_by_key(struct engine *g, const char *key)
{
        for (size_t k = 0; k < g->incidents->count; k++)
                if (!g->incidents->list[k]->row.ended_s && strcmp(g->incidents->list[k]->row.key, key) == 0)
                        return g->incidents->list[k];
        return NULL;
}

/* ---- committing ---- */

void waiters_add(struct waiter **list, struct waiter *more) /* in order of arrival */
{
        while (*list)
                list = &(*list)->next;
        *list = more;
}

void incident_note(struct incident *i, const char *event, const char *cert, int64_t job, json_t *data_own)
{
        json_t *o = json_object(), *data = data_own ? data_own : json_object();
        json_put_i64(data, "incident", i->row.id);
        json_put_text(o, "event", event);
        json_put_text(o, "cert", cert);
        json_put_i64(o, "job", job);
        json_put_i64(o, "at", clock_now_s());
        json_object_set_new(o, "data", data);
        json_array_append_new(i->events, o);
}

static bool put_events(struct store_batch *b, const json_t *events)
{
        size_t k;
        json_t *o;
        json_array_foreach(events, k, o)
        {
                if (!journal_audit(b, json_i64(o, "at", 0), json_str(o, "cert"), json_i64(o, "job", 0),
                            json_str(o, "event"), json_object_get(o, "data")))
                        return false;
        }
        return true;
}

void incident_answer_of(const struct incident *i, bool known, struct incident_answer *ret)
{
        *ret = (struct incident_answer){
                .id = i->row.id, .known = known, .act = incident_acts(i), .certs = incident_certs(i)
        };
        incident_say(i, ret->text, sizeof ret->text);
}

static void answer_waiters(struct incident *i, const struct err *err)
{
        struct engine *g = i->engine;
        struct incident_answer answer;
        incident_answer_of(i, false, &answer);
        while (i->committing) {
                struct waiter *w = i->committing;
                i->committing = w->next;
                g->incidents->waiting--;
                answer.known = w->known;
                w->done(w->arg, err ? NULL : &answer, err);
                free(w);
        }
}

/* Nothing is lost: it is written whole, soon. */
static void write_again(struct incident *i, const struct err *err)
{
        if (!i->refused)
                log_err("", "an incident could not be written; tried again", err);
        i->refused = true;
        if (i->writing) { /* the trail keeps its order */
                json_array_extend(i->writing, i->events);
                json_decref(i->events);
                i->events = STEAL(i->writing);
        }
        i->dirty = true;
        for (size_t k = 0; k < i->case_count; k++)
                i->cases[k].dirty = true;
        engine_due_set(i->engine, &i->due, clock_now_ms() + AGAIN_MS);
}

static void committed(void *arg, int64_t rowid, const struct err *err)
{
        struct incident *i = arg;
        (void)rowid;
        crash_point("incident.committed");
        i->moving = false;
        if (i->engine->closing)
                return;
        seen_settle(i->engine, &i->seen_writing, !err);
        if (err) {
                write_again(i, err);
        } else {
                i->durable = true;
                i->refused = false;
                json_decref(STEAL(i->writing));
                incident_wake(i);
        }
        answer_waiters(i, err);
        if (!err && i->row.ended_s && !i->dirty && !i->moving) {
                incident_ended(i);
                return incident_free(i);
        }
        if (!err)
                incident_flush(i);
}

static bool put_all(struct incident *i, struct store_batch *b)
{
        bool good = journal_put_incident(b, &i->row) && put_events(b, i->events);
        for (size_t k = 0; good && k < i->case_count; k++)
                good = !i->cases[k].dirty || journal_put_case(b, i->row.id, &i->cases[k]);
        return good;
}

void incident_flush(struct incident *i)
{
        struct err e;
        if (i->moving || (!i->dirty && json_array_size(i->events) == 0))
                return;
        struct store_batch *b = i->extra ? i->extra : store_batch_new();
        i->extra = NULL;
        if (!b || !put_all(i, b)) {
                store_batch_free(b);
                err_memory(&e);
                return write_again(i, &e);
        }
        i->writing = STEAL(i->events);
        i->events = json_array();
        i->seen_writing = i->seen;
        i->seen = (struct seen_pending){ 0 };
        i->dirty = false;
        for (size_t k = 0; k < i->case_count; k++)
                i->cases[k].dirty = false;
        i->moving = true;
        waiters_add(&i->committing, i->waiter);
        i->waiter = NULL;
        if (engine_commit(i->engine, b, committed, i, &e))
                return;
        i->moving = false;
        seen_settle(i->engine, &i->seen_writing, false);
        write_again(i, &e);
        waiters_add(&i->waiter, i->committing); /* answered with the commit that works */
        i->committing = NULL;
}

/* ---- what a report means ---- */

struct verdict incident_verdict_for(struct engine *g, const struct report *r, const struct match *m, const char *cert)
{
        const struct conf_cert *conf = config_cert(g->conf, cert);
        struct verdict_input in = { .strength = r->strength,
                .exact = m->exact,
                .revocation_reason = r->revocation_reason,
                .on_reissue = conf ? conf->compromise_reissue : CONFIRM_AUTO,
                .on_revoke = conf ? conf->compromise_revoke : CONFIRM_ASK,
                .on_domain_alert = g->conf->on_domain_alert };
        if (r->by_operator && m->exact)
                in.on_reissue = CONFIRM_AUTO;
        return incident_decide(&in);
}

/* Of a certificate alone, and not of its key. */
static bool is_of_one(const struct report *r, const struct match *m)
{
        return r->strength == REPORT_REVOKED && r->revocation_reason != CA_KEY_COMPROMISE && m->only_sha256[0];
}

#define NAMELESS "leak "

bool incident_is_nameless(const struct incident_row *r)
{
        return r->key && text_starts(r->key, NAMELESS);
}

char *incident_key_of(const struct report *r, const struct match *m)
{
        if (report_is_nameless(r))
                return text_format(NAMELESS "%s %s", r->source, r->link ? r->link : r->text);
        return is_of_one(r, m) ? text_format("cert %s", m->only_sha256) : match_key(m);
}

static struct incident_case *find_case(struct incident *i, const char *cert, const char *sha256)
{
        for (size_t k = 0; k < i->case_count; k++)
                if (strcmp(i->cases[k].cert, cert) == 0 && strcmp(i->cases[k].sha256, sha256) == 0)
                        return &i->cases[k];
        return NULL;
}

static struct incident_case *add_case(struct incident *i, const struct known_cert *k)
{
        struct incident_case *c = find_case(i, k->cert, k->sha256);
        if (c)
                return c;
        struct incident_case *more = realloc(i->cases, (i->case_count + 1) * sizeof *more);
        if (!more)
                return NULL;
        i->cases = more;
        c = &more[i->case_count++];
        *c = (struct incident_case){ .cert = text_dup(k->cert),
                .sha256 = text_dup(k->sha256),
                .serial = text_dup(k->serial),
                .set_number = k->set_number,
                .not_after_s = k->not_after_s,
                .state = CASE_KEPT,
                .dirty = true };
        if (c->cert && c->sha256 && c->serial)
                return c;
        i->case_count--;
        incident_case_done(c);
        return NULL;
}

/* Which certificates it is about, with what is to be done for each. Called again when a stronger report comes: a
 * verdict only grows. */
static bool take_cases(struct incident *i, const struct report *r, const struct match *m)
{
        struct engine *g = i->engine;
        const struct known_cert *list = NULL;
        size_t count = 0;
        struct err e;
        if (!known_refresh(g, &list, &count, &e))
                return false;
        for (size_t k = 0; k < count && i->case_count < CASES_MAX; k++) {
                const struct cert *c = engine_cert(g, list[k].cert);
                bool live = c && (int64_t)list[k].set_number == c->row.live_set;
                bool mine = m->exact ? strcmp(list[k].spki, m->spki) == 0 : live && texts_has(&m->certs, list[k].cert);
                if (is_of_one(r, m))
                        mine = strcmp(list[k].sha256, m->only_sha256) == 0;
                if (!mine || (!live && list[k].not_after_s < clock_now_s()))
                        continue;
                struct incident_case *x = add_case(i, &list[k]);
                if (!x)
                        return false;
                struct verdict v = incident_verdict_for(g, r, m, x->cert);
                x->reissue = MAX(x->reissue, v.reissue);
                x->revoke = MAX(x->revoke, v.revoke);
                x->dirty = true;
                if (live) {
                        x->live = true;
                        x->set_number = list[k].set_number;
                        x->state = config_cert(g->conf, x->cert) ? CASE_OPEN : CASE_GONE;
                }
        }
        return true;
}

/* ---- opening ---- */

static int64_t deadline_of(const struct incident *i)
{
        int64_t shortest_ms = (int64_t)24 * 3600 * 1000;
        for (size_t k = 0; k < i->case_count; k++) {
                const struct conf_cert *conf = config_cert(i->engine->conf, i->cases[k].cert);
                if (conf)
                        shortest_ms = MIN(shortest_ms, conf->compromise_deadline_ms);
        }
        return i->row.opened_s + shortest_ms / 1000;
}

static json_t *opened_data(const struct incident *i)
{
        const struct incident_row *r = &i->row;
        json_t *o = json_object(), *list = json_array();
        json_put_text(o, "source", r->source);
        json_put_text(o, "strength", report_strength_name(r->strength));
        json_put_text(o, "text", r->text);
        json_put_text(o, "link", r->link);
        json_put_text(o, "spki", r->spki);
        json_put_bool(o, "marked", r->marked);
        json_put_i64(o, "reported", r->reported_s);
        json_put_i64(o, "deadline", r->deadline_s);
        for (size_t k = 0; k < i->case_count; k++) {
                const struct incident_case *c = &i->cases[k];
                json_array_append_new(list,
                        json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:s}", "cert", c->cert, "sha256", c->sha256,
                                "serial", c->serial, "set", (json_int_t)c->set_number, "not_after",
                                (json_int_t)c->not_after_s, "live", c->live, "reissue", verdict_word_name(c->reissue),
                                "revoke", verdict_word_name(c->revoke)));
        }
        json_object_set_new(o, "certificates", list);
        return o;
}

static bool newest_audit(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

static bool mark(struct incident *i, struct err *e)
{
        CLEANUP(free_p)
        char *why = text_format("incident %lld: %s", (long long)i->row.id, i->row.source);
        if (!i->row.spki || compromised_has(i->engine->keystore, i->row.spki))
                return true;
        return engine_put_compromised(i->engine, i->row.spki, why, e);
}

/* Marks at once what is to be marked, before anything is answered (I6). */
bool incident_mark(struct incident *i, struct err *e)
{
        if (!mark(i, e))
                return false;
        if (!i->row.marked && i->row.spki) {
                i->row.marked = true;
                i->dirty = true;
        }
        return true;
}

static bool wants_mark(struct engine *g, const struct report *r, const struct match *m)
{
        bool wants = false;
        if (!m->exact)
                return false;
        for (size_t k = 0; k < m->certs.count; k++)
                wants = wants || incident_verdict_for(g, r, m, m->certs.item[k]).mark;
        /* In no certificate (an account key, one that is only on disk): the table for a certificate without policy. */
        return m->certs.count ? wants : incident_verdict_for(g, r, m, "").mark;
}

static void take_report(struct incident *i, const struct report *r)
{
        job_set(&i->row.source, r->source);
        job_set(&i->row.text, r->text);
        job_set(&i->row.link, r->link);
        i->row.strength = r->strength;
        i->row.revocation_reason = r->revocation_reason;
        i->row.passes_brake = i->row.passes_brake || r->strength == REPORT_PROOF;
        i->row.confirmed = i->row.confirmed || r->by_operator;
        i->dirty = true;
}

struct incident *incident_open_new(struct engine *g, const struct report *r, const struct match *m, struct err *e)
{
        int64_t now_s = clock_now_s();
        if (g->incidents->count >= OPEN_MAX) {
                err_set(e, ERR_TEMPORARY, "incident.busy", "%d incidents are open; no more are taken", OPEN_MAX);
                return NULL;
        }
        struct incident *i = incident_new(g, e);
        if (!i)
                return NULL;
        i->row.id = g->incidents->next_id;
        i->row.key = incident_key_of(r, m);
        i->row.spki = m->exact ? text_dup(m->spki) : NULL;
        i->row.others = json_text(m->others);
        i->row.opened_s = i->row.last_report_s = now_s;
        i->row.reported_s = r->reported_s > 0 ? MIN(r->reported_s, now_s) : now_s;
        i->row.reports = 1;
        take_report(i, r);
        bool good = i->row.key && i->row.source && i->row.others && (!m->exact || i->row.spki) && take_cases(i, r, m) &&
                store_query(g->store, "SELECT ifnull(max(id), 0) FROM audit", "", newest_audit, &i->row.audit_from, e);
        if (!good)
                err_memory(e);
        if (!good || (wants_mark(g, r, m) && !incident_mark(i, e))) {
                incident_free(i);
                return NULL;
        }
        g->incidents->next_id++;
        i->row.deadline_s = deadline_of(i);
        incident_note(i, "incident-opened", NULL, 0, opened_data(i));
        return i;
}

void incident_tell_opened(const struct incident *i)
{
        char text[480];
        incident_say(i, text, sizeof text);
        log_warning("", "incident %lld: %s (%s, %s): %s", (long long)i->row.id, i->row.text ? i->row.text : "a report",
                i->row.source, report_strength_name(i->row.strength), text);
        CLEANUP(free_p)
        char *line = text_format("incident %lld: %s%s%s: %s", (long long)i->row.id, i->row.source,
                i->row.text ? ": " : "", i->row.text ? i->row.text : "", text);
        CLEANUP(free_p) char *fix = text_format("dcvctl incident %lld", (long long)i->row.id);
        struct notice n = { .kind = NOTICE_OPENED, .incident = i->row.id, .text = line ? line : text, .fix = fix };
        notice_tell(i->engine, &n);
        if (incident_acts(i) != INCIDENT_ASKS && !incident_is_nameless(&i->row))
                return;
        n.kind = NOTICE_WAITING;
        n.key = NULL;
        notice_tell(i->engine, &n);
}

/* A stronger report of the same key: what was a question may act now. */
bool incident_strengthen(struct incident *i, const struct report *r, const struct match *m, struct err *e)
{
        take_report(i, r);
        if (!take_cases(i, r, m))
                return err_memory(e);
        if (wants_mark(i->engine, r, m) && !incident_mark(i, e))
                return false;
        incident_note(i, "incident-stronger", NULL, 0, opened_data(i));
        return true;
}
