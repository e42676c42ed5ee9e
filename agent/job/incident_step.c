/* What follows from an incident. Looked at whenever something happened that it may wait for: every look judges by what
 * is live, which jobs run and what the policy says, so that a look can be repeated, also by the next process. All
 * certificates first; what is revoked then is in incident_revoke.c. */
#include <math.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/incident_internal.h"
#include "agent/job/when.h"
#include "agent/net/loop.h"

#define LOOK_AGAIN_S 30 /* while a job is in a state in which nothing can be done about its key */
#define REST_S 3600 /* nothing is due: looked at again all the same */
#define WARN_BEFORE_S 3600
#define STUCK_AFTER_S (4 * 3600) /* a person is told */
#define AGAIN_FIRST_S 600 /* a job that ended without a certificate */
#define AGAIN_CAP_S (6 * 3600)

static const double spans[] = { 1, 5, 30, 120, 600, 3600, 4 * 3600, 86400, 7 * 86400, INFINITY };
static const struct metric_family remediation = { "dcvd_incident_remediation_seconds",
        "From the report until every certificate was served anew.", METRIC_HISTOGRAM, NULL, spans };

static void say_case(struct incident *i, struct incident_case *c, const char *text)
{
        if (c->text == text || (c->text && text && strcmp(c->text, text) == 0))
                return;
        job_set(&c->text, text);
        c->dirty = i->dirty = true;
}

/* ---- one certificate ---- */

/* Replaced: another certificate is live, was seen everywhere, and has another key where the key is the trouble. */
static bool is_replaced(const struct incident *i, const struct incident_case *c, const struct cert *cert)
{
        struct set s = { 0 };
        const char *spki = cert->row.live_spki;
        if (cert->job || cert->starting || !cert->row.live_sha256 || strcmp(cert->row.live_sha256, c->sha256) == 0 ||
                (i->row.marked && i->row.spki && (!spki || strcmp(spki, i->row.spki) == 0)))
                return false;
        bool good = sets_read(i->engine->sets, c->cert, (unsigned)cert->row.live_set, SET_META, &s, NULL) &&
                json_bool(s.meta, "good", false);
        set_done(&s);
        return good;
}

static void note_replaced(struct incident *i, struct incident_case *c, const struct cert *cert)
{
        c->state = CASE_REPLACED;
        c->replaced_s = clock_now_s();
        c->held_s = c->again_s = c->failures = 0;
        c->dirty = true;
        job_set(&c->text, NULL);
        CLEANUP(json_decref_p) json_t *seen = cert_served_json(cert);
        const char *how = json_array_size(seen) > 0 ? "the new certificate is served"
                                                    : "the new certificate is deployed, not looked at";
        incident_note(i, "incident-replaced", c->cert, c->job,
                json_pack("{s:s, s:s, s:I, s:s}", "sha256", c->sha256, "by", cert->row.live_sha256, "set",
                        (json_int_t)cert->row.live_set, "text", how));
        log_info(c->cert, "incident %lld: replaced: %s", (long long)i->row.id, how);
}

struct ended {
        bool found, cancelled;
        char text[700], spki[65];
};

static bool ended_row(void *arg, const struct store_row *row)
{
        struct ended *x = arg;
        const char *state = row_text(row, 0), *result = row_text(row, 1), *fix = row_text(row, 2),
                   *spki = row_text(row, 3);
        x->found = true;
        x->cancelled = state && strcmp(state, "cancelled") == 0;
        snprintf(x->spki, sizeof x->spki, "%s", spki ? spki : "");
        snprintf(x->text, sizeof x->text, "%s%s%s", result ? result : "its job ended", fix ? "; " : "", fix ? fix : "");
        return false;
}

/* Its job is over and the certificate is not replaced. Somebody who cancels it is asked before another one starts. */
static void note_job_over(struct incident *i, struct incident_case *c)
{
        struct ended x = { 0 };
        struct err e;
        int64_t again_s = AGAIN_FIRST_S;
        if (!store_query(i->engine->store,
                    "SELECT state, result, err_fix, spki FROM job WHERE id=? AND ended IS NOT NULL", "i", ended_row, &x,
                    &e, c->job))
                return log_err(c->cert, "how a job ended", &e);
        /* One whose own key was reported while it ended has not failed: the next one makes another key, and nothing is
         * waited for. */
        if (c->failures++ == 0 && i->row.spki && strcmp(x.spki, i->row.spki) == 0 && !x.cancelled) {
                c->again_s = c->job = 0;
                c->dirty = true;
                return;
        }
        for (int64_t k = 1; k < c->failures && again_s < AGAIN_CAP_S; k++)
                again_s *= 2;
        c->again_s = clock_now_s() + MIN(again_s, AGAIN_CAP_S);
        if (x.cancelled)
                c->reissue = VERDICT_ASK;
        say_case(i, c, x.found ? x.text : "its job is gone");
        incident_note(i, "incident-failed", c->cert, c->job,
                json_pack("{s:s, s:I}", "text", c->text ? c->text : "", "again", (json_int_t)c->again_s));
        c->job = 0;
        c->dirty = true;
}

/* ---- a job that runs ---- */

static void tell_stuck(struct incident *i, const struct incident_case *c, const char *text)
{
        CLEANUP(free_p) char *fix = text_format("dcvctl incident %lld", (long long)i->row.id);
        CLEANUP(free_p) char *key = text_format("stuck incident %lld %s", (long long)i->row.id, c ? c->cert : "");
        struct notice n = { .kind = NOTICE_STUCK,
                .cert = c ? c->cert : NULL,
                .incident = i->row.id,
                .job = c ? c->job : 0,
                .text = text,
                .fix = fix,
                .key = key };
        notice_tell(i->engine, &n);
}

/* Beyond a quarter of the deadline a sibling that blocks it is not waited for: the next CA, or a person. */
static void leave_sibling(struct incident *i, struct incident_case *c, struct job *j)
{
        const char *code = j->row.err_code;
        int64_t quarter_s = (i->row.deadline_s - i->row.opened_s) / 4, now_s = clock_now_s();
        if (!code || (strcmp(code, "sibling") != 0 && strcmp(code, "R4") != 0) || now_s < i->row.opened_s + quarter_s)
                return;
        struct err e;
        err_set(&e, ERR_RULE, code, "%s", j->row.err_text ? j->row.err_text : "a sibling blocks it");
        if (job_go_elsewhere(j, &e))
                return;
        CLEANUP(free_p)
        char *text =
                text_format("%s; no other CA is configured: whoever runs that job must end it (dcvctl cancel)", e.text);
        if (!c->text || !text || strcmp(c->text, text) != 0)
                tell_stuck(i, c, text ? text : e.text);
        say_case(i, c, text);
}

static int64_t follow_job(struct incident *i, struct incident_case *c, struct job *j, int64_t now_s)
{
        if (c->job != j->row.id) {
                c->job = j->row.id;
                c->dirty = true;
                c->held_s = 0;
                incident_note(i, "incident-job", c->cert, c->job, NULL);
        }
        if (i->row.marked)
                j->row.compromised = true; /* goes before what is planned */
        leave_sibling(i, c, j);
        return now_s + MIN(REST_S, MAX(60, (i->row.deadline_s - i->row.opened_s) / 8));
}

/* ---- a job that is to begin ---- */

struct starting {
        struct engine *g;
        int64_t incident;
        char *cert, *sha256;
};

static struct incident_case *case_of(const struct starting *s, struct incident **ret)
{
        struct incident *i = incident_find(s->g, s->incident);
        *ret = i;
        for (size_t k = 0; i && k < i->case_count; k++)
                if (strcmp(i->cases[k].cert, s->cert) == 0 && strcmp(i->cases[k].sha256, s->sha256) == 0)
                        return &i->cases[k];
        return NULL;
}

static void started(void *arg, const json_t *result, const struct err *err)
{
        struct starting *s = arg;
        struct incident *i = NULL;
        struct incident_case *c = s->g->closing ? NULL : case_of(s, &i);
        const json_t *job = json_array_get(json_object_get(result, "jobs"), 0);
        if (c) {
                c->starting = false;
                c->dirty = true;
                c->job = json_i64(job, "id", json_i64(result, "job", c->job));
                if (err) {
                        c->again_s = clock_now_s() + 60;
                        say_case(i, c, err->text);
                        log_err(c->cert, "an incident could not start its job; tried again", err);
                }
                incident_note(i, err ? "incident-not-started" : "incident-job", c->cert, c->job,
                        json_pack("{s:s?}", "text", err ? err->text : NULL));
                incident_flush(i);
        }
        free(s->cert);
        free(s->sha256);
        free(s);
}

static char *reason_of(const struct incident *i)
{
        return text_format("incident %lld: %s, reported by %s", (long long)i->row.id,
                i->row.marked                               ? "key compromised"
                        : i->row.strength == REPORT_REVOKED ? "revoked"
                                                            : "alert",
                i->row.source);
}

/* A good certificate with a fresh key that is here already needs no new order. */
static unsigned set_that_waits(const struct incident *i, const struct incident_case *c)
{
        const struct known_cert *list = NULL;
        const struct cert *cert = engine_cert(i->engine, c->cert);
        size_t count = 0;
        unsigned found = 0;
        struct err e;
        if (!i->row.marked || !cert || !known_refresh(i->engine, &list, &count, &e))
                return 0;
        for (size_t k = 0; k < count; k++)
                if (strcmp(list[k].cert, c->cert) == 0 && (int64_t)list[k].set_number > cert->row.live_set &&
                        list[k].not_after_s > clock_now_s() && !compromised_has(i->engine->keystore, list[k].spki))
                        found = list[k].set_number;
        return found;
}

static void start(struct incident *i, struct incident_case *c)
{
        struct starting *s = calloc(1, sizeof *s);
        CLEANUP(free_p) char *reason = reason_of(i);
        bool automatic = !i->row.confirmed;
        unsigned set = set_that_waits(i, c);
        CLEANUP(json_decref_p)
        json_t *args = set
                ? json_pack("{s:s, s:i, s:b}", "cert", c->cert, "set", (int)set, "yes", 1)
                : json_pack("{s:[s], s:s?, s:s, s:b, s:b, s:b}", "certs", c->cert, "reason", reason, "trigger",
                          automatic ? "alert" : "incident", "compromised", i->row.marked, "marked", 1, "yes", 1);
        if (s)
                *s = (struct starting){ i->engine, i->row.id, text_dup(c->cert), text_dup(c->sha256) };
        if (!s || !args || !s->cert || !s->sha256) {
                if (s)
                        free(s->cert);
                free(s);
                c->again_s = clock_now_s() + 60;
                return;
        }
        c->starting = true;
        if (automatic && !set)
                starts_note(i->engine, c->cert);
        crash_point("incident.start");
        (set ? action_deploy : action_reissue)(i->engine, args, started, s);
}

static bool is_braked(struct incident *i, struct incident_case *c, const struct cert *cert, int64_t now_s)
{
        int64_t until_s = 0;
        if (!i->row.passes_brake && !i->row.confirmed) {
                until_s = MAX(starts_until_s(i->engine, c->cert), i->engine->rest_until_s);
                if (cert->row.stopped)
                        until_s = MAX(until_s, now_s + i->engine->conf->limit_cooldown_ms / 1000);
        }
        if (until_s > now_s && c->held_s == 0) {
                incident_note(i, "incident-held", c->cert, 0, json_pack("{s:I}", "until", (json_int_t)until_s));
                log_warning(c->cert, "incident %lld: held by the storm brake; dcvctl confirm %lld lifts it",
                        (long long)i->row.id, (long long)i->row.id);
        }
        if (until_s > now_s && cert->row.stopped)
                say_case(i, c, cert->row.stopped);
        if (c->held_s != until_s) {
                c->held_s = until_s > now_s ? until_s : 0;
                c->dirty = i->dirty = true;
        }
        return until_s > now_s;
}

/* When to look at it again; 0: whatever happens wakes it. */
static int64_t case_step(struct incident *i, struct incident_case *c, int64_t now_s)
{
        struct cert *cert = engine_cert(i->engine, c->cert);
        if (c->state == CASE_GONE && cert && config_cert(i->engine->conf, c->cert))
                c->state = CASE_OPEN;
        if (c->state != CASE_OPEN || c->starting)
                return 0;
        if (!cert || !config_cert(i->engine->conf, c->cert)) {
                c->state = CASE_GONE;
                say_case(i, c, "it is no longer in the configuration: nothing here replaces it");
                return 0;
        }
        if (is_replaced(i, c, cert)) {
                note_replaced(i, c, cert);
                return 0;
        }
        if (cert->job && !cert->job->policy->staging) /* a trial is ended by whatever is started */
                return follow_job(i, c, cert->job, now_s);
        if (cert->starting)
                return now_s + 1;
        if (c->job)
                note_job_over(i, c);
        if (c->reissue != VERDICT_YES)
                return 0;
        if (c->again_s > now_s)
                return c->again_s;
        if (is_braked(i, c, cert, now_s))
                return MIN(c->held_s, now_s + REST_S);
        start(i, c);
        return 0;
}

/* ---- the whole ---- */

/* Jobs that use the reported key go on with another one; an account key waits for a person. True: something still uses
 * it. */
static bool leave_key(struct incident *i)
{
        struct engine *g = i->engine;
        bool used = false;
        if (!i->row.marked || !i->row.spki)
                return false;
        for (size_t k = g->job_count; k-- > 0;) {
                struct job *j = g->job[k];
                if (!j->row.spki || strcmp(j->row.spki, i->row.spki) != 0 || j->ended)
                        continue;
                used = true;
                j->row.compromised = true;
                job_leave_key(j);
        }
        for (size_t k = 0; k < g->ca_count; k++)
                used = used || account_has_key(g, g->ca[k].name, i->row.spki);
        return used;
}

static bool all_replaced(const struct incident *i)
{
        if (incident_is_nameless(&i->row)) /* that is for a person to say */
                return false;
        for (size_t k = 0; k < i->case_count; k++)
                if (i->cases[k].state == CASE_OPEN)
                        return false;
        return true;
}

void incidents_declare(void)
{
        metric_declare(&remediation);
}

static void note_remedied(struct incident *i, int64_t now_s)
{
        bool any = false;
        for (size_t k = 0; k < i->case_count; k++)
                any = any || i->cases[k].state == CASE_REPLACED;
        i->row.state = INCIDENT_REVOKING;
        i->row.remedied_s = now_s;
        i->dirty = true;
        if (any)
                metric_observe(&remediation, NULL, (double)(now_s - i->row.opened_s));
        incident_note(
                i, "incident-remedied", NULL, 0, json_pack("{s:I}", "seconds", (json_int_t)(now_s - i->row.opened_s)));
}

/* The names of what is still open, for people. */
static char *open_names(const struct incident *i)
{
        struct buf b = { .max = 400 };
        size_t n = 0;
        for (size_t k = 0; k < i->case_count; k++)
                if (i->cases[k].state == CASE_OPEN && ++n <= 5)
                        buf_addf(&b, "%s%s", n > 1 ? ", " : "", i->cases[k].cert);
        if (n > 5)
                buf_addf(&b, " and %zu more", n - 5);
        return buf_steal(&b);
}

static void watch_deadline(struct incident *i, int64_t now_s)
{
        bool warn = !i->row.warned && now_s >= i->row.deadline_s - WARN_BEFORE_S;
        bool stuck = !i->row.stuck_told && now_s >= MIN(i->row.opened_s + STUCK_AFTER_S, i->row.deadline_s);
        if (i->row.state != INCIDENT_OPEN || (!warn && !stuck))
                return;
        bool nameless = incident_is_nameless(&i->row);
        CLEANUP(free_p) char *names = nameless ? text_dup("nobody has said whose key it is") : open_names(i);
        char when[40], text[700];
        format_time(i->row.deadline_s, when, sizeof when);
        snprintf(text, sizeof text, "incident %lld: %s%s; the deadline is %s", (long long)i->row.id,
                nameless ? "" : "not replaced yet: ", names ? names : "", when);
        log_warning("", "%s", text);
        i->row.warned = i->row.warned || warn;
        i->row.stuck_told = i->row.stuck_told || stuck;
        i->dirty = true;
        incident_note(i, warn ? "incident-deadline" : "incident-stuck", NULL, 0,
                json_pack("{s:s, s:I}", "open", names ? names : "", "deadline", (json_int_t)i->row.deadline_s));
        tell_stuck(i, NULL, text);
}

static bool revocations_settled(const struct incident *i)
{
        for (size_t k = 0; k < i->case_count; k++)
                if (i->cases[k].revocation != REVOKE_DONE && i->cases[k].revocation != REVOKE_NOT)
                        return false;
        return true;
}

static void end(struct incident *i, int64_t now_s)
{
        char text[480];
        i->row.state = INCIDENT_DONE;
        i->row.ended_s = now_s;
        i->dirty = true;
        incident_say(i, text, sizeof text);
        incident_note(i, "incident-done", NULL, 0, json_pack("{s:s}", "text", text));
}

static int64_t sooner(int64_t a_s, int64_t b_s)
{
        return a_s && b_s ? MIN(a_s, b_s) : a_s ? a_s : b_s;
}

static void step(void *arg)
{
        struct incident *i = arg;
        int64_t now_s = clock_now_s(), next_s = now_s + REST_S;
        i->step = NULL;
        if (i->moving || !i->durable || i->engine->closing || i->row.ended_s)
                return;
        crash_point("incident.step");
        for (size_t k = 0; i->row.state == INCIDENT_OPEN && k < i->case_count; k++)
                next_s = sooner(next_s, case_step(i, &i->cases[k], now_s));
        bool used = leave_key(i);
        if (used)
                next_s = MIN(next_s, now_s + LOOK_AGAIN_S);
        if (i->row.state == INCIDENT_OPEN && all_replaced(i))
                note_remedied(i, now_s);
        bool forced = i->row.state == INCIDENT_OPEN && now_s >= i->row.deadline_s && i->row.passes_brake;
        bool sound = engine_clock_is_sound(i->engine);
        for (size_t k = 0; sound && (i->row.state == INCIDENT_REVOKING || forced) && k < i->case_count; k++) {
                incident_revoke_step(i, &i->cases[k], forced);
                next_s = sooner(next_s, incident_revoke_due_s(&i->cases[k]));
        }
        watch_deadline(i, now_s);
        if (i->row.state == INCIDENT_OPEN && i->row.deadline_s > now_s)
                next_s = sooner(
                        next_s, i->row.warned ? i->row.deadline_s : MAX(i->row.deadline_s - WARN_BEFORE_S, now_s));
        if (i->row.state == INCIDENT_REVOKING && !used && revocations_settled(i))
                end(i, now_s);
        engine_due_set(i->engine, &i->due, MAX(next_s, now_s + 1) * 1000);
        incident_flush(i);
}

void incident_wake(struct incident *i)
{
        if (!i->step && i->engine->started && !i->engine->closing)
                i->step = loop_defer(i->engine->loop, step, i);
}

void incident_due(struct due *d)
{
        struct incident *i = CONTAINER_OF(d, struct incident, due);
        incident_flush(i); /* also again what could not be written */
        incident_wake(i);
}

void incident_ended(struct incident *i)
{
        char text[480];
        incident_say(i, text, sizeof text);
        log_info("", "incident %lld is over: %s", (long long)i->row.id, text);
        CLEANUP(free_p) char *line = text_format("incident %lld is over: %s", (long long)i->row.id, text);
        CLEANUP(free_p) char *fix = text_format("dcvctl incident %lld --evidence", (long long)i->row.id);
        struct notice n = { .kind = NOTICE_DONE, .incident = i->row.id, .text = line ? line : text, .fix = fix };
        notice_tell(i->engine, &n);
}

/* ---- of the engine ---- */

bool incidents_open(struct engine *g, struct err *e)
{
        g->incidents = calloc(1, sizeof *g->incidents);
        return g->incidents ? seen_load(g, e) && starts_load(g, e) && incidents_load_open(g, e) : err_memory(e);
}

void incidents_look(struct engine *g)
{
        for (size_t k = 0; g->incidents && k < g->incidents->count; k++)
                incident_wake(g->incidents->list[k]);
}

void incidents_start(struct engine *g)
{
        struct err e;
        for (size_t k = 0; k < g->incidents->count; k++)
                if (g->incidents->list[k]->row.marked && !incident_mark(g->incidents->list[k], &e))
                        log_err("", "a compromised key could not be marked", &e);
        incidents_look(g);
}

void incidents_close(struct engine *g)
{
        if (!g->incidents)
                return;
        while (g->incidents->count > 0)
                incident_free(g->incidents->list[g->incidents->count - 1]);
        answers_drop(g);
        free(g->incidents->list);
        seen_table_done(&g->incidents->seen);
        known_free(g->incidents->known);
        starts_free(g->incidents->starts);
        free(g->incidents);
        g->incidents = NULL;
}

bool incidents_need_set(struct engine *g, const char *cert, unsigned number)
{
        for (size_t k = 0; k < g->incidents->count; k++)
                for (size_t n = 0; n < g->incidents->list[k]->case_count; n++) {
                        const struct incident_case *c = &g->incidents->list[k]->cases[n];
                        if (strcmp(c->cert, cert) == 0 && c->set_number == (int64_t)number &&
                                c->revocation < REVOKE_DONE)
                                return true;
                }
        return false;
}

bool incidents_need_key(struct engine *g, const char *spki)
{
        for (size_t k = 0; k < g->incidents->count; k++)
                if (g->incidents->list[k]->row.spki && strcmp(g->incidents->list[k]->row.spki, spki) == 0)
                        return true;
        return false;
}
