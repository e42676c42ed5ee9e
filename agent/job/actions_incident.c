/* What an operator can ask about incidents: which there are, one of them whole, and the answers to its questions. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/incident_evidence.h"
#include "agent/job/incident_internal.h"

#define LIST_MAX 500
#define BECAUSE_MAX 400
/* What people would call quick; after four hours one of them is told (incident_step.c). */
#define TARGET_S 3600
#define REVOKE_TARGET_S 7200

/* ---- which there are ---- */

static json_t *summary(const struct incident *i)
{
        const struct incident_row *r = &i->row;
        json_t *o = json_object();
        char line[480];
        incident_say(i, line, sizeof line);
        json_put_i64(o, "id", r->id);
        json_put_text(o, "state", incident_state_name(r->state));
        json_put_text(o, "act", incident_act_name(incident_acts(i)));
        json_put_text(o, "source", r->source);
        json_put_text(o, "strength", report_strength_name(r->strength));
        json_put_text(o, "text", r->text);
        json_put_text(o, "link", r->link);
        json_put_text(o, "spki", r->spki);
        json_put_bool(o, "marked", r->marked);
        json_put_i64(o, "reported", r->reported_s);
        json_put_i64(o, "opened", r->opened_s);
        json_put_i64(o, "target", MIN(r->opened_s + TARGET_S, r->deadline_s));
        json_put_i64(o, "revoke_target", MIN(r->opened_s + REVOKE_TARGET_S, r->deadline_s));
        json_put_i64(o, "deadline", r->deadline_s);
        json_put_i64(o, "remedied", r->remedied_s);
        json_put_i64(o, "ended", r->ended_s);
        json_put_i64(o, "reports", r->reports);
        json_put_i64(o, "last_report", r->last_report_s);
        json_put_text(o, "because", r->because);
        json_put_text(o, "line", line);
        return o;
}

static bool closed_id(void *arg, const struct store_row *row)
{
        return json_array_append_new(arg, json_integer(row_i64(row, 0))) == 0;
}

/* One that is over, read back from the journal; freed by incident_free. */
static struct incident *read_back(struct engine *g, int64_t id, struct err *e)
{
        bool found = false;
        struct incident *i = incident_new(g, e);
        if (i && incident_load_row(g->store, id, &i->row, &found, e) && found && incident_load_cases(g->store, i, e))
                return i;
        if (i && !found) {
                err_set(e, ERR_CONFIG, "incident.unknown", "there is no incident %lld", (long long)id);
                err_fix(e, "dcvctl incidents lists them");
        }
        if (i)
                incident_free(i);
        return NULL;
}

void action_incidents(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:s, s:I, s:i, s:[]}", "schema", "dcvd.incidents/1", "now", (json_int_t)clock_now_s(),
                "exit", 0, "incidents");
        CLEANUP(json_decref_p) json_t *closed = json_array();
        json_t *list = json_object_get(o, "incidents"), *id;
        size_t k;
        struct err e;
        if (json_bool(args, "all", false) &&
                !store_query(g->store, "SELECT id FROM incident WHERE ended > 0 ORDER BY id DESC LIMIT ?", "i",
                        closed_id, closed, &e, (int64_t)LIST_MAX))
                return done(arg, NULL, &e);
        for (size_t n = 0; n < g->incidents->count; n++)
                json_array_append_new(list, summary(g->incidents->list[n]));
        json_array_foreach(closed, k, id)
        {
                struct incident *i = read_back(g, json_integer_value(id), &e);
                if (!i)
                        return done(arg, NULL, &e);
                json_array_append_new(list, summary(i));
                incident_free(i);
        }
        done(arg, o, NULL);
}

/* ---- one of them ---- */

static void add_todo(json_t *list, const char *cert, const char *text, const char *fix)
{
        json_t *o = json_object();
        json_put_text(o, "cert", cert);
        json_put_text(o, "text", text);
        json_put_text(o, "fix", fix);
        json_array_append_new(list, o);
}

static json_t *case_json(const struct incident *i, const struct incident_case *c)
{
        const struct cert *cert = engine_cert(i->engine, c->cert);
        json_t *o = json_object();
        json_put_text(o, "cert", c->cert);
        json_put_text(o, "sha256", c->sha256);
        json_put_text(o, "serial", c->serial);
        json_put_i64(o, "set", c->set_number);
        json_put_i64(o, "not_after", c->not_after_s);
        json_put_bool(o, "live", c->live);
        json_put_text(o, "state", case_state_name(c->state));
        json_put_text(o, "reissue", verdict_word_name(c->reissue));
        json_put_text(o, "text", c->text);
        json_put_i64(o, "job", c->job);
        json_put_i64(o, "again", c->again_s);
        json_put_i64(o, "held", c->held_s < INT64_MAX ? c->held_s : -1);
        json_put_i64(o, "replaced", c->replaced_s);
        json_put_text(o, "revoke", verdict_word_name(c->revoke));
        json_put_text(o, "revocation", case_revocation_name(c->revocation));
        json_put_i64(o, "revoked", c->revoked_s);
        json_put_text(o, "revoke_text", c->revoke_text);
        json_object_set_new(
                o, "running", c->state == CASE_OPEN && cert && cert->job ? job_status_json(cert->job) : json_null());
        return o;
}

/* What a person still has to do for one certificate. */
static void todo_of(const struct incident *i, const struct incident_case *c, json_t *list)
{
        const struct cert *cert = engine_cert(i->engine, c->cert);
        const struct job *j = cert ? cert->job : NULL;
        char confirm[80];
        snprintf(confirm, sizeof confirm, "dcvctl confirm %lld", (long long)i->row.id);
        if (c->state == CASE_OPEN && c->reissue == VERDICT_ASK)
                add_todo(list, c->cert, c->text ? c->text : "is it to be replaced?", confirm);
        else if (c->state == CASE_OPEN && c->held_s)
                add_todo(list, c->cert, c->text ? c->text : "held by the storm brake", confirm);
        else if (c->state == CASE_OPEN && j && j->row.waiting)
                add_todo(list, c->cert, j->row.err_text, j->row.err_fix);
        else if ((c->state == CASE_OPEN && c->text) || c->state == CASE_GONE)
                add_todo(list, c->cert, c->text, NULL);
        if (c->revocation == REVOKE_WAITS)
                add_todo(list, c->cert, c->revoke_text, c->revoke == VERDICT_ASK ? confirm : NULL);
        else if (c->revocation == REVOKE_NOT && c->revoke == VERDICT_YES && c->not_after_s > clock_now_s())
                add_todo(list, c->cert, c->revoke_text, NULL);
}

static int exit_of(const struct incident *i)
{
        switch (incident_acts(i)) {
        case INCIDENT_HOLDS:
                return 5;
        case INCIDENT_ASKS:
                return 4;
        default:
                return incident_is_nameless(&i->row) && !i->row.ended_s ? 4 : 0;
        }
}

static json_t *whole(struct incident *i, struct err *e)
{
        json_t *o = summary(i), *cases = json_array(), *todo = json_array(), *others = NULL, *evidence = NULL;
        json_put_text(o, "schema", "dcvd.incident/1");
        for (size_t k = 0; k < i->case_count; k++) {
                json_array_append_new(cases, case_json(i, &i->cases[k]));
                if (!i->row.ended_s)
                        todo_of(i, &i->cases[k], todo);
        }
        if (incident_is_nameless(&i->row) && !i->row.ended_s) {
                CLEANUP(free_p)
                char *text = text_format("look whether the key is one of this host%s%s; if it is: dcvctl report FILE",
                        i->row.link ? ": " : "", i->row.link ? i->row.link : "");
                CLEANUP(free_p) char *fix = text_format("dcvctl dismiss %lld --because TEXT", (long long)i->row.id);
                add_todo(todo, NULL, text, fix);
        }
        if (!i->row.others || !json_read(i->row.others, strlen(i->row.others), 6, &others, NULL))
                others = json_array();
        json_object_set_new(o, "certificates", cases);
        json_object_set_new(o, "others", others);
        json_object_set_new(o, "todo", todo);
        json_put_i64(o, "remediation_seconds", i->row.remedied_s ? i->row.remedied_s - i->row.opened_s : -1);
        json_put_i64(o, "exit", exit_of(i));
        if (!evidence_of(i->engine->store, i->row.id, &evidence, e)) {
                json_decref(o);
                return NULL;
        }
        json_object_set_new(o, "evidence", evidence);
        return o;
}

void action_incident(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        int64_t id = json_i64(args, "id", 0);
        struct incident *i = incident_find(g, id), *old = i ? NULL : read_back(g, id, &e);
        if (!i && !old)
                return done(arg, NULL, &e);
        CLEANUP(json_decref_p) json_t *o = whole(i ? i : old, &e);
        if (old)
                incident_free(old);
        done(arg, o, o ? NULL : &e);
}

/* ---- the answers to its questions ---- */

static struct incident *open_one(struct engine *g, const json_t *args, struct err *e)
{
        int64_t id = json_i64(args, "id", 0);
        struct incident *i = incident_find(g, id);
        if (i && !i->row.ended_s)
                return i;
        struct incident *old = i ? NULL : read_back(g, id, e);
        if (i || old) {
                err_set(e, ERR_RULE, "incident.over", "incident %lld is over", (long long)id);
                err_fix(e, "dcvctl incident %lld shows how it ended", (long long)id);
        }
        if (old)
                incident_free(old);
        return NULL;
}

struct question {
        bool reissue, lifts, revoke, looks; /* one of them */
        size_t count;
        struct buf names;
};

static bool is_reissue_question(const struct incident_case *c)
{
        return c->state == CASE_OPEN && c->reissue == VERDICT_ASK;
}

static bool is_revoke_question(const struct incident_case *c)
{
        return c->state != CASE_OPEN && c->state != CASE_GONE && c->revoke == VERDICT_ASK &&
                c->revocation <= REVOKE_WAITS;
}

static bool is_waiting(const struct incident_case *c)
{
        return (c->revocation == REVOKE_WAITS && c->revoke == VERDICT_YES) || (c->state == CASE_OPEN && c->again_s > 0);
}

static bool is_held(const struct incident_case *c)
{
        return c->state == CASE_OPEN && c->held_s > clock_now_s();
}

static size_t count_of(const struct incident *i, bool (*fits)(const struct incident_case *c), struct buf *names)
{
        size_t n = 0;
        for (size_t k = 0; k < i->case_count; k++)
                if (fits(&i->cases[k]) && ++n <= 10)
                        buf_addf(names, "%s%s", n > 1 ? ", " : "", i->cases[k].cert);
        if (n > 10)
                buf_addf(names, " and %zu more", n - 10);
        return n;
}

static struct question question_of(const struct incident *i)
{
        struct question q = { .names = { .max = 4096 } };
        if ((q.count = count_of(i, is_reissue_question, &q.names)) > 0)
                q.reissue = true;
        else if ((q.count = count_of(i, is_held, &q.names)) > 0)
                q.lifts = true;
        else if ((q.count = count_of(i, is_revoke_question, &q.names)) > 0)
                q.revoke = true;
        else if ((q.count = count_of(i, is_waiting, &q.names)) > 0)
                q.looks = true;
        return q;
}

static char *question_text(const struct question *q)
{
        const char *of = q->count == 1 ? "" : "s";
        const char *names = q->names.data ? q->names.data : "";
        if (q->reissue)
                return text_format("%zu certificate%s would be reissued with a new key: %s", q->count, of, names);
        if (q->lifts)
                return text_format(
                        "%zu certificate%s would be reissued now, past the storm brake: %s", q->count, of, names);
        if (q->revoke)
                return text_format("%zu old certificate%s would be revoked, for ever: %s", q->count, of, names);
        return text_format("%zu certificate%s would be tried again now: %s", q->count, of, names);
}

/* The key with it, where one was named: what a person believes is marked too. */
static bool take_answer(struct incident *i, const struct question *q, struct err *e)
{
        if (q->reissue && i->row.spki && (i->row.strength == REPORT_EXACT || i->row.strength == REPORT_EXPOSED) &&
                !incident_mark(i, e))
                return false;
        for (size_t k = 0; k < i->case_count; k++) {
                struct incident_case *c = &i->cases[k];
                if (q->revoke && is_revoke_question(c)) {
                        c->revoke = VERDICT_YES;
                        c->revoke_again_s = 0;
                        c->dirty = true;
                }
                if (q->looks && is_waiting(c)) {
                        c->revoke_again_s = c->again_s = 0;
                        c->dirty = true;
                }
                if (!q->revoke && (is_reissue_question(c) || is_held(c))) {
                        c->reissue = VERDICT_YES;
                        c->again_s = c->held_s = 0;
                        job_set(&c->text, NULL);
                        c->dirty = true;
                }
        }
        i->row.confirmed = i->row.confirmed || q->reissue || q->lifts;
        i->dirty = true;
        incident_note(i, "incident-confirmed", NULL, 0,
                json_pack("{s:s, s:s}", "what",
                        q->revoke          ? "revoke"
                                : q->looks ? "again"
                                           : "reissue",
                        "certificates", q->names.data ? q->names.data : ""));
        return true;
}

struct told {
        action_done_fn *done;
        void *arg;
};

static void tell(void *arg, const struct incident_answer *answer, const struct err *err)
{
        struct told *t = arg;
        CLEANUP(json_decref_p)
        json_t *o = answer ? json_pack("{s:i, s:I, s:s, s:s}", "exit", 0, "incident", (json_int_t)answer->id, "act",
                                     incident_act_name(answer->act), "text", answer->text)
                           : NULL;
        t->done(t->arg, err ? NULL : o, err);
        free(t);
}

/* Answers when it is on disk. */
static void tell_after(struct incident *i, action_done_fn *done, void *arg)
{
        struct err e;
        struct told *t = calloc(1, sizeof *t);
        if (!t || !incident_await(i, tell, t, &e)) {
                free(t);
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        *t = (struct told){ done, arg };
        incident_flush(i);
}

void action_confirm(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct incident *i = open_one(g, args, &e);
        if (!i)
                return done(arg, NULL, &e);
        struct question q = question_of(i);
        CLEANUP(free_p) char *text = q.count ? question_text(&q) : text_dup("nothing waits for a word of yours");
        bool dry = json_bool(args, "dry_run", false);
        if (q.count == 0 || dry || !json_bool(args, "yes", false)) {
                CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s?}", "exit", 0, "text", text);
                if (q.count > 0)
                        json_put_bool(o, dry ? "dry_run" : "confirm", true);
                done(arg, o, NULL);
        } else if (!take_answer(i, &q, &e)) {
                done(arg, NULL, &e);
        } else {
                tell_after(i, done, arg);
        }
        buf_done(&q.names);
}

static bool is_dismissed(struct engine *g, int64_t id)
{
        struct err e;
        struct incident *i = incident_find(g, id), *old = i ? NULL : read_back(g, id, &e);
        bool yes = (i || old) && (i ? i : old)->row.state == INCIDENT_DISMISSED;
        if (old)
                incident_free(old);
        return yes;
}

void action_dismiss(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        const char *because = json_str(args, "because");
        int64_t id = json_i64(args, "id", 0);
        struct incident *i = open_one(g, args, &e);
        if (!i && is_dismissed(g, id)) {
                CLEANUP(free_p) char *text = text_format("incident %lld was dismissed before", (long long)id);
                CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s?}", "exit", 0, "text", text);
                return done(arg, o, NULL);
        }
        if (!i)
                return done(arg, NULL, &e);
        if (!because || !because[0] || strlen(because) > BECAUSE_MAX) {
                err_set(&e, ERR_CONFIG, "because", "an incident is dismissed for a reason of 1 to %d bytes",
                        BECAUSE_MAX);
                err_fix(&e, "dcvctl dismiss %lld --because \"a drill\"", (long long)i->row.id);
                return done(arg, NULL, &e);
        }
        if (json_bool(args, "dry_run", false)) {
                CLEANUP(free_p)
                char *text = text_format("would dismiss incident %lld; jobs that run go on%s", (long long)i->row.id,
                        i->row.marked ? ", its key stays marked for ever" : "");
                CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s?, s:b}", "exit", 0, "text", text, "dry_run", 1);
                return done(arg, o, NULL);
        }
        struct buf clean = { .max = 4 * BECAUSE_MAX };
        buf_add_escaped(&clean, because, strlen(because), BECAUSE_MAX);
        job_set(&i->row.because, clean.data);
        buf_done(&clean);
        i->row.state = INCIDENT_DISMISSED;
        i->row.ended_s = clock_now_s();
        i->dirty = true;
        incident_note(i, "incident-dismissed", NULL, 0, json_pack("{s:s?}", "because", i->row.because));
        tell_after(i, done, arg);
}
