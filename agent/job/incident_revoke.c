/* The end of an incident: revoking what was replaced, where that is possible and harms nobody. Nobody may still show
 * the old certificate, nothing may take a new one with it, and what is not proven is asked first (I6). */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/incident_internal.h"
#include "agent/job/incident_look.h"
#include "agent/job/when.h"

#define SHOWN_AGAIN_MS 300000 /* somebody elsewhere has to change something */
#define UNSURE_AGAIN_MS 60000
#define CLEAR_S 60 /* a look at all places is good for all certificates of the key */

struct revoking {
        struct engine *g;
        int64_t incident;
        char *cert, *sha256;
        bool forced;
};

static void revoking_free(struct revoking *r)
{
        if (r) {
                free(r->cert);
                free(r->sha256);
        }
        free(r);
}

static struct revoking *revoking_new(struct incident *i, const struct incident_case *c, bool forced)
{
        struct revoking *r = calloc(1, sizeof *r);
        if (!r)
                return NULL;
        *r = (struct revoking){ i->engine, i->row.id, text_dup(c->cert), text_dup(c->sha256), forced };
        if (r->cert && r->sha256)
                return r;
        revoking_free(r);
        return NULL;
}

/* The case may be gone by the time an answer comes. */
static struct incident_case *case_of(const struct revoking *r, struct incident **ret)
{
        struct incident *i = r->g->closing ? NULL : incident_find(r->g, r->incident);
        *ret = i;
        for (size_t k = 0; i && k < i->case_count; k++)
                if (strcmp(i->cases[k].cert, r->cert) == 0 && strcmp(i->cases[k].sha256, r->sha256) == 0)
                        return &i->cases[k];
        return NULL;
}

static void settle(struct incident *i, struct incident_case *c, enum case_revocation state, const char *text)
{
        bool same = c->revocation == state && c->revoke_text && text && strcmp(c->revoke_text, text) == 0;
        if (same)
                return;
        c->revocation = state;
        job_set(&c->revoke_text, text);
        c->dirty = i->dirty = true;
        if (state == REVOKE_DONE)
                c->revoked_s = clock_now_s();
        if (state == REVOKE_RUNS)
                return;
        incident_note(i, state == REVOKE_DONE ? "incident-revoked" : "incident-not-revoked", c->cert, c->job,
                json_pack("{s:s, s:s, s:s?}", "sha256", c->sha256, "serial", c->serial, "text", text));
        if (state != REVOKE_DONE)
                log_warning(c->cert, "incident %lld: %s", (long long)i->row.id, text ? text : "not revoked");
}

static void wait(struct incident *i, struct incident_case *c, const char *text, int64_t again_ms)
{
        c->revoke_again_s = when_passed_s(clock_now_ms(), again_ms);
        settle(i, c, REVOKE_WAITS, text);
}

/* ---- asking the CA ---- */

static void revoked(void *arg, const json_t *result, const struct err *err)
{
        struct revoking *r = arg;
        struct incident *i = NULL;
        struct incident_case *c = case_of(r, &i);
        revoking_free(r);
        crash_point("incident.revoked");
        if (!c)
                return;
        c->running = false;
        if (!err) {
                settle(i, c, REVOKE_DONE, json_str(result, "text"));
        } else {
                CLEANUP(free_p)
                char *text = text_format(
                        "not revoked: %s%s%s", err->text, err->fix[0] ? "; " : "", err->fix[0] ? err->fix : "");
                bool passes = err->kind == ERR_TEMPORARY || err->kind == ERR_RATE_LIMITED || err->kind == ERR_UNKNOWN ||
                        err->kind == ERR_WAITING;
                struct when_input in = { err->kind, (uint64_t)++c->failures, err->retry_after_s, true, false,
                        (uint32_t)random_u64() };
                if (passes || strcmp(err->code, "revoke.key") == 0 || strcmp(err->code, "revoke.live") == 0)
                        wait(i, c, text, when_next_ms(&in));
                else
                        settle(i, c, REVOKE_NOT, text);
        }
        incident_wake(i);
        incident_flush(i);
}

static void looked(void *arg, enum shown shown, const char *text)
{
        struct revoking *r = arg;
        struct incident *i = NULL;
        struct incident_case *c = case_of(r, &i);
        if (!c)
                return revoking_free(r);
        c->look = NULL;
        c->revoking = NULL;
        CLEANUP(free_p) char *line = text_format("not revoked: %s", text);
        /* Past the deadline, whoever cannot be looked at is no reason any more; whoever shows it always is. */
        bool late = clock_now_s() >= i->row.deadline_s && i->row.passes_brake;
        if (shown == SHOWN_YES || (shown == SHOWN_UNSURE && !late)) {
                wait(i, c, line, shown == SHOWN_YES ? SHOWN_AGAIN_MS : UNSURE_AGAIN_MS);
                c->running = false;
                revoking_free(r);
                incident_wake(i);
                return incident_flush(i);
        }
        if (shown == SHOWN_NOT && i->clear_ms == 0)
                i->clear_ms = clock_boot_ms();
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:s, s:s, s:s, s:b, s:b}", "cert", c->cert, "serial", c->serial, "reason",
                "keyCompromise", "yes", 1, "shared_key", r->forced);
        settle(i, c, REVOKE_RUNS, NULL);
        crash_point("incident.revoke");
        action_revoke(r->g, args, revoked, r);
}

/* ---- may it be? ---- */

/* What no look and no asking would change. */
static char *why_not(const struct incident *i, const struct incident_case *c, const struct set *old)
{
        const struct cert *cert = engine_cert(i->engine, c->cert);
        const struct conf_cert *conf = config_cert(i->engine->conf, c->cert);
        const char *ca = json_str(old->meta, "ca");
        char what[300];
        if (!ca && conf && conf->ca_count == 1)
                ca = conf->ca[0].ca; /* imported; there is but one it can be of */
        const struct backend_ca *b = ca ? engine_ca(i->engine, ca) : NULL;
        if (ca && b && cert && revocation_takes_live(i->engine, cert, b, what, sizeof what))
                return text_format("not revoked: %s", what);
        if (ca && b && !b->ops->revoke)
                return text_format("not revoked: %s is asked at its console; this build does not revoke there", ca);
        return NULL;
}

static bool read_old(const struct incident *i, const struct incident_case *c, struct set *ret)
{
        return sets_read(i->engine->sets, c->cert, (unsigned)c->set_number, SET_META, ret, NULL) &&
                strcmp(ret->chain.leaf.sha256, c->sha256) == 0;
}

/* Whose places count: of all that have the key. Nobody's, if they were looked at a moment ago. */
static bool whose_places(struct incident *i, const struct incident_case *c, struct texts *ret)
{
        if (clock_boot_ms() - i->clear_ms > CLEAR_S * 1000)
                i->clear_ms = 0;
        if (i->clear_ms)
                return true;
        if (!i->row.spki)
                return texts_add(ret, c->cert);
        for (size_t k = 0; k < i->case_count; k++)
                if ((k == 0 || strcmp(i->cases[k].cert, i->cases[k - 1].cert) != 0) &&
                        !texts_add(ret, i->cases[k].cert))
                        return false;
        return true;
}

static void begin(struct incident *i, struct incident_case *c, bool forced)
{
        struct set old = { 0 };
        CLEANUP(texts_done) struct texts certs = { 0 };
        struct err e;
        if (!read_old(i, c, &old)) {
                set_done(&old);
                return settle(i, c, REVOKE_NOT, "not revoked: its set is no longer kept; report its key to the CA");
        }
        if (json_i64(old.meta, "revoked", 0) > 0) { /* by an operator, or before a crash */
                set_done(&old);
                return settle(i, c, REVOKE_DONE, "revoked before");
        }
        CLEANUP(free_p) char *why = why_not(i, c, &old);
        struct revoking *r = why ? NULL : revoking_new(i, c, forced);
        if (why)
                settle(i, c, REVOKE_NOT, why);
        else if (!r || !whose_places(i, c, &certs) ||
                !(c->look = case_look_start(i->engine, &certs, &old, i->row.spki, looked, r, &e)))
                wait(i, c, "not revoked: no memory", UNSURE_AGAIN_MS);
        set_done(&old);
        if (!c->look)
                return revoking_free(r);
        c->revoking = r;
        c->running = true;
        settle(i, c, REVOKE_RUNS, NULL);
}

void incident_revoke_drop(struct incident_case *c)
{
        case_look_cancel(c->look);
        revoking_free(c->revoking);
        c->look = NULL;
        c->revoking = NULL;
}

/* By an operator's own word. */
static bool was_revoked(const struct incident *i, const struct incident_case *c)
{
        struct set old = { 0 };
        bool was = read_old(i, c, &old) && json_i64(old.meta, "revoked", 0) > 0;
        set_done(&old);
        return was;
}

void incident_revoke_step(struct incident *i, struct incident_case *c, bool forced)
{
        int64_t now_s = clock_now_s();
        if (c->revocation == REVOKE_DONE || c->revocation == REVOKE_NOT || c->state == CASE_OPEN)
                return;
        if (c->running)
                return;
        if (c->revocation == REVOKE_WAITS && c->revoke_again_s > now_s)
                return;
        if (c->not_after_s <= now_s)
                return settle(i, c, REVOKE_NOT, "not revoked: it has ended");
        if (c->state == CASE_GONE)
                return settle(i, c, REVOKE_NOT, "not revoked: it was not replaced");
        if (i->row.strength == REPORT_REVOKED && c->revoke == VERDICT_NO)
                return settle(i, c, REVOKE_NOT, "its CA has revoked it");
        if (c->revoke == VERDICT_NO)
                return settle(i, c, REVOKE_NOT, "not revoked: on_compromise.revoke is never, or no key was named");
        if (c->revoke == VERDICT_ASK && !was_revoked(i, c)) {
                CLEANUP(free_p)
                char *text = text_format("not revoked: that waits for you: dcvctl confirm %lld, or dcvctl dismiss %lld",
                        (long long)i->row.id, (long long)i->row.id);
                c->revoke_again_s = now_s + 86400;
                return settle(i, c, REVOKE_WAITS, text);
        }
        begin(i, c, forced);
}

int64_t incident_revoke_due_s(const struct incident_case *c)
{
        return c->revocation == REVOKE_WAITS ? c->revoke_again_s : 0;
}
