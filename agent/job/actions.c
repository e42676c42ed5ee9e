/* What an operator can ask for: starting and withdrawing. Stopping is in actions_cancel.c, taking over and putting to
 * use again in actions_sets.c. */
#include "agent/job/actions.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

#define REASON_MAX 200

bool action_cert(struct engine *g, const json_t *args, struct cert **ret, struct err *e)
{
        const char *name = json_str(args, "cert");
        struct cert *c = engine_cert(g, name);
        if (c) {
                *ret = c;
                return true;
        }
        return cert_unknown(g, name, e);
}

bool cert_unknown(const struct engine *g, const char *name, struct err *e)
{
        err_set(e, ERR_CONFIG, "cert.unknown", "there is no certificate %s", name ? name : "(no name given)");
        const char *near = name ? config_cert_near(g->conf, name) : NULL;
        if (near)
                return err_fix(e, "did you mean %s?", near);
        CLEANUP(buf_done) struct buf list = { .max = 200 };
        for (size_t i = 0; i < g->conf->cert_count && list.len < 120; i++)
                buf_addf(&list, "%s%s", i ? ", " : "", g->conf->cert[i].name);
        if (g->conf->cert_count == 0 || !list.data)
                return err_fix(e, "the configuration has none: add it to certificates: and reload dcvd");
        return err_fix(e, "the configuration has %s%s", list.data, list.len < 120 ? "" : ", ...");
}

/* ---- reissue ---- */

/* Several starts, one answer after the last commit. */
struct reissue {
        struct engine *g;
        action_done_fn *done;
        void *arg;
        json_t *result;
        size_t open, wanted;
        bool launched;
        struct err err; /* of the last one that could not be started */
};
struct start {
        struct reissue *r;
        struct cert *cert;
        struct job_row row;
};

static void answer(struct reissue *r)
{
        if (r->open > 0 || !r->launched)
                return;
        bool failed = r->wanted == 1 && json_array_size(json_object_get(r->result, "refused")) > 0;
        r->done(r->arg, failed ? NULL : r->result, failed ? &r->err : NULL);
        json_decref(r->result);
        free(r);
}

/* One that cannot be started does not keep the others from it: told in the same form as a job that ended. */
static void note_refused(struct reissue *r, const char *cert, const struct err *e)
{
        json_t *o = json_pack("{s:s, s:s, s:b, s:{s:s, s:s, s:s, s:s}}", "cert", cert, "state", "refused", "ended", 1,
                "error", "kind", err_kind_name(e->kind), "code", e->code, "text", e->text, "fix", e->fix);
        json_array_append_new(json_object_get(r->result, "refused"), o);
        r->err = *e;
}

static void note_job(struct reissue *r, int64_t id, const char *cert, bool joined)
{
        json_t *o = json_object();
        json_put_i64(o, "id", id);
        json_put_text(o, "cert", cert);
        json_put_bool(o, "joined", joined);
        json_array_append_new(json_object_get(r->result, "jobs"), o);
}

static void started(void *arg, int64_t rowid, const struct err *err)
{
        (void)rowid;
        struct start *s = arg;
        struct reissue *r = s->r;
        struct err e;
        struct job *j = NULL;
        s->cert->starting = 0;
        if (err)
                e = *err;
        else
                j = job_new(r->g, &s->row, &e);
        if (!j) {
                note_refused(r, s->row.cert, &e);
        } else {
                note_job(r, j->row.id, j->row.cert, false);
                log_info(j->row.cert, "job %lld: %s%s", (long long)j->row.id, j->row.reason ? j->row.reason : "reissue",
                        j->row.compromised ? " (key compromised)" : "");
                job_run(j);
        }
        job_row_done(&s->row);
        free(s);
        r->open--;
        answer(r);
}

static bool new_row(struct engine *g, struct cert *c, const json_t *args, struct job_row *ret, struct err *e)
{
        const struct conf_cert *conf = config_cert(g->conf, c->row.name);
        if (!conf)
                return err_set(
                        e, ERR_CONFIG, "cert.retired", "certificate %s is no longer in the configuration", c->row.name);
        const char *reason = json_str(args, "reason"), *trigger = json_str(args, "trigger");
        bool staging = json_bool(args, "staging", false);
        struct conf_cert mine = *conf;
        mine.fallback_downgrade = mine.fallback_downgrade || json_bool(args, "downgrade", false);
        CLEANUP(free_p)
        char *policy = staging ? staging_policy(g, conf, (size_t)json_i64(args, "ca_index", 0), e) : policy_text(&mine);
        if (!policy)
                return staging ? false : err_memory(e);
        *ret = (struct job_row){
                .id = g->next_job,
                .cert = text_dup(c->row.name),
                .state = JOB_QUEUED,
                .policy = STEAL(policy),
                .trigger = text_dup(trigger ? trigger : "operator"),
                .ca_index = staging ? 0 : MIN(json_i64(args, "ca_index", 0), (int64_t)conf->ca_count - 1),
                .reason = reason ? text_dup_n(reason, MIN(strlen(reason), REASON_MAX))
                                 : text_dup(json_bool(args, "compromised", false) ? "key compromised" : "reissue"),
                .compromised = json_bool(args, "compromised", false),
                .force = json_bool(args, "force", false),
                .created_s = clock_now_s(),
                .entered_s = clock_now_s(),
                .live_set = c->row.live_set,
                .live_sha256 = text_dup(c->row.live_sha256),
        };
        if (!ret->cert || !ret->policy || !ret->trigger || !ret->reason)
                return err_memory(e);
        g->next_job++;
        return true;
}

static bool commit_start(struct reissue *r, struct start *s, const char *event, struct err *e)
{
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p) json_t *data = json_object();
        json_put_text(data, "reason", s->row.reason);
        json_put_text(data, "trigger", s->row.trigger);
        json_put_bool(data, "compromised", s->row.compromised);
        if (b && journal_add_job(b, &s->row) && journal_audit(b, clock_now_s(), s->row.cert, s->row.id, event, data))
                return engine_commit(r->g, b, started, s, e);
        store_batch_free(b);
        return err_memory(e);
}

/* An order must not be joined by somebody who says that its key leaked. */
static bool key_is_reported(const struct job *j)
{
        return j->row.spki && compromised_has(j->engine->keystore, j->row.spki);
}

/* No new certificate comes of a job that puts a set to use: who wants one must not be told that he has it. Who says
 * that the live key leaked is served by a set with another key. */
static bool brings_nothing_new(const struct job *j, bool compromised, struct err *e)
{
        if (!job_only_deploys(j) || compromised)
                return false;
        err_set(e, ERR_RULE, "running",
                "%s: job %lld puts set %lld to use; a new certificate is ordered once it has ended", j->row.cert,
                (long long)j->row.id, (long long)j->row.set_number);
        (void)err_fix(e, "let it end (dcvctl status %s), or dcvctl cancel %s", j->row.cert, j->row.cert);
        return true;
}

/* What stood in its way may be mended: who asks again need not wait for the next try. Not so while the CA, a person or
 * a sibling is waited for, or the CA asked for a pause. */
static void wake(struct job *j)
{
        const char *kind = j->row.err_kind;
        if (j->due.entry.index && kind && strcmp(kind, err_kind_name(ERR_RATE_LIMITED)) != 0 &&
                strcmp(kind, err_kind_name(ERR_WAITING)) != 0)
                job_run(j);
}

/* A trial and a real job do not run beside each other: the real one goes first. */
static bool trial_in_the_way(struct cert *c, bool staging, struct err *e)
{
        struct job *j = c->job;
        if (!j || j->policy->staging == staging)
                return true;
        if (staging)
                return err_set(e, ERR_RULE, "running", "%s: job %lld is running; a trial waits until it has ended",
                        c->row.name, (long long)j->row.id);
        j->stop_wanted = true;
        if (!j->moving)
                (void)job_stop_if_wanted(j);
        return err_set(e, ERR_TEMPORARY, "staging", "%s: the trial of job %lld is being ended; ask again", c->row.name,
                (long long)j->row.id);
}

static bool start_one(struct reissue *r, struct cert *c, const json_t *args, struct err *e)
{
        bool staging = json_bool(args, "staging", false);
        bool compromised = json_bool(args, "compromised", false) && !staging;
        if (reissue_reports_key(c, args) && !compromised_has(r->g->keystore, c->row.live_spki)) {
                const char *reason = json_str(args, "reason");
                if (!engine_put_compromised(r->g, c->row.live_spki, reason ? reason : "reported by the operator", e))
                        return false;
        }
        if (!trial_in_the_way(c, staging, e))
                return false;
        if (reissue_reports_key(c, args))
                reissue_take_others(r->g, c, json_str(args, "reason"), json_object_get(r->result, "also"));
        if (c->job && brings_nothing_new(c->job, compromised, e))
                return false;
        if (c->job && !key_is_reported(c->job)) {
                c->job->row.compromised = c->job->row.compromised || compromised;
                if (json_bool(args, "downgrade", false)) /* over a restart it is asked for again */
                        c->job->policy->fallback_downgrade = true;
                note_job(r, c->job->row.id, c->row.name, true);
                wake(c->job);
                return true;
        }
        if (c->starting && compromised)
                return err_set(e, ERR_TEMPORARY, "starting", "%s: job %lld is being started; ask again", c->row.name,
                        (long long)c->starting);
        if (c->starting) {
                note_job(r, c->starting, c->row.name, true);
                return true;
        }
        if (c->job)
                return err_set(e, ERR_RULE, "running",
                        "%s: job %lld is running with a key that is marked compromised; dcvctl cancel %s first",
                        c->row.name, (long long)c->job->row.id, c->row.name);
        struct start *s = calloc(1, sizeof *s);
        if (!s)
                return err_memory(e);
        s->r = r;
        s->cert = c;
        if (!new_row(r->g, c, args, &s->row, e) || !commit_start(r, s, "started", e)) {
                job_row_done(&s->row);
                free(s);
                return false;
        }
        c->starting = s->row.id;
        r->open++;
        return true;
}

static bool serial_of(struct engine *g, struct cert *c, char **ret, char **ret_issuer)
{
        struct set set = { 0 };
        struct err e;
        if (c->row.live_set == 0 || !sets_read(g->sets, c->row.name, (unsigned)c->row.live_set, 0, &set, &e))
                return false;
        *ret = text_dup(set.chain.leaf.serial_hex);
        *ret_issuer = text_dup(set.chain.leaf.issuer);
        set_done(&set);
        return *ret && *ret_issuer;
}

/* Tools differ in leading zeros: "00ff" is "ff". */
static bool same_number(const char *a, const char *b)
{
        return a && b && text_equal_nocase(a + strspn(a, "0"), b + strspn(b, "0"));
}

static bool selected(struct engine *g, struct cert *c, const json_t *args)
{
        const char *spki = json_str(args, "spki"), *issuer = json_str(args, "issuer");
        const json_t *serials = json_object_get(args, "serials");
        if (!config_cert(g->conf, c->row.name))
                return false;
        if (json_bool(args, "all", false))
                return true;
        if (spki)
                return c->row.live_spki && text_equal_nocase(c->row.live_spki, spki);
        CLEANUP(free_p) char *serial = NULL, *from = NULL;
        if ((!issuer && !serials) || !serial_of(g, c, &serial, &from))
                return false;
        if (issuer)
                return strcasestr(from, issuer) != NULL;
        for (size_t i = 0; i < json_array_size(serials); i++)
                if (same_number(json_string_value(json_array_get(serials, i)), serial))
                        return true;
        return false;
}

static bool is_among(struct cert *const *list, size_t count, const struct cert *c)
{
        for (size_t i = 0; i < count; i++)
                if (list[i] == c)
                        return true;
        return false;
}

/* Names given, or everything that fits. */
static bool choose(struct engine *g, const json_t *args, struct cert ***ret, size_t *ret_count, struct err *e)
{
        const json_t *names = json_object_get(args, "certs");
        CLEANUP(free_p)
        struct cert **list = calloc(MAX(g->cert_count, json_array_size(names)) + 1, sizeof(struct cert *));
        size_t n = 0;
        if (!list)
                return err_memory(e);
        for (size_t i = 0; i < json_array_size(names); i++) {
                CLEANUP(json_decref_p) json_t *one = json_pack("{s:O}", "cert", json_array_get(names, i));
                if (!action_cert(g, one, &list[n], e))
                        return false;
                n += !is_among(list, n, list[n]); /* a name said twice is one job, not two */
        }
        for (size_t i = 0; json_array_size(names) == 0 && i < g->cert_count; i++)
                if (selected(g, g->cert[i], args))
                        list[n++] = g->cert[i];
        if (n == 0)
                return err_set(e, ERR_CONFIG, "cert.none", "no certificate fits what was asked for");
        *ret = STEAL(list);
        *ret_count = n;
        return true;
}

/* Names what would be reissued. True: nothing is started now, it is a dry run, or more than one is meant and nobody
 * said yes. */
static bool is_asked_first(struct reissue *r, struct cert *const *list, const json_t *args)
{
        json_t *names = json_object_get(r->result, "names"), *also = json_object_get(r->result, "also");
        bool dry = json_bool(args, "dry_run", false);
        for (size_t i = 0; i < r->wanted; i++)
                json_array_append_new(names, json_string(list[i]->row.name));
        if (!dry && json_bool(args, "yes", false))
                return false;
        for (size_t i = 0; i < r->wanted; i++)
                reissue_note_others(r->g, list[i], args, names, also);
        if (!dry && json_array_size(names) + json_array_size(also) < 2)
                return false;
        json_put_bool(r->result, dry ? "dry_run" : "confirm", true);
        return true;
}

void action_reissue(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        CLEANUP(free_p) struct cert **list = NULL;
        size_t count = 0;
        if (!choose(g, args, &list, &count, &e))
                return done(arg, NULL, &e);
        if (json_bool(args, "dry_run", false) && count == 1) {
                if (!dry_run_start(g, list[0], args, done, arg, &e))
                        done(arg, NULL, &e);
                return;
        }
        struct reissue *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        *r = (struct reissue){ .g = g,
                .done = done,
                .arg = arg,
                .wanted = count,
                .result = json_pack("{s:[], s:[], s:[], s:[], s:i}", "jobs", "names", "refused", "also", "exit", 0) };
        bool ask = is_asked_first(r, list, args);
        for (size_t i = 0; !ask && i < count; i++)
                if (!start_one(r, list[i], args, &e))
                        note_refused(r, list[i]->row.name, &e);
        r->launched = true;
        answer(r);
}

/* ---- withdraw, job ---- */

static void note_token(json_t *o, const struct token *t)
{
        char place[300];
        proof_text(&t->row.proof, place, sizeof place);
        json_array_append_new(json_object_get(o, "tokens"),
                json_pack("{s:s, s:s, s:s?, s:s?}", "token", place, "publisher", t->row.publisher, "cert", t->row.cert,
                        "problem", t->problem[0] ? t->problem : NULL));
}

static char *withdraw_text(int64_t asked, int64_t held, bool dry)
{
        const char *stay = held ? "; those of a running job stay: dcvctl cancel ends it" : "";
        if (asked == 0)
                return text_format("no token is left behind%s", stay);
        return text_format("%lld token%s %s%s", (long long)asked, asked == 1 ? "" : "s",
                dry                  ? "would be withdrawn"
                        : asked == 1 ? "is being withdrawn"
                                     : "are being withdrawn",
                stay);
}

void action_withdraw(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        bool stale = json_bool(args, "stale", false);
        bool dry = json_bool(args, "dry_run", false);
        int64_t asked = 0, held = 0;
        if (!stale && !action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:b, s:[]}", "exit", 0, "dry_run", dry, "tokens");
        for (size_t i = g->token_count; i-- > 0;) {
                struct token *t = g->token[i];
                if (cert && (!t->row.cert || strcmp(t->row.cert, cert->row.name) != 0))
                        continue;
                if (t->row.holder_count > 0) {
                        held++;
                        continue;
                }
                asked++;
                note_token(o, t);
                if (dry)
                        continue;
                /* Left out for an order that outlived its job: the operator's word ends that. */
                job_set(&t->row.order_id, NULL);
                t->failures = 0;
                token_withdraw(t);
        }
        CLEANUP(free_p) char *text = withdraw_text(asked, held, dry);
        json_put_i64(o, "withdrawn", dry ? 0 : asked);
        json_put_i64(o, "held", held);
        json_put_text(o, "text", text);
        done(arg, o, NULL);
}

struct found {
        json_t *o;
};

static bool ended_row(void *arg, const struct store_row *row)
{
        json_t *o = arg;
        struct job_row r = { 0 };
        json_put_text(o, "cert", row_text(row, 0));
        json_put_text(o, "state", row_text(row, 1));
        json_put_text(o, "text", row_text(row, 2));
        json_put_bool(o, "ended", !row_is_null(row, 3));
        if (job_state_from_name(row_text(row, 1), &r.state)) {
                r.err_kind = text_dup(row_text(row, 4));
                json_put_i64(o, "exit_of_job", job_exit_code(&r));
                free(r.err_kind);
        }
        if (row_text(row, 5)) /* as the events of a job that runs say it */
                json_object_set_new(o, "error",
                        json_pack("{s:s?, s:s, s:s?}", "kind", row_text(row, 4), "text", row_text(row, 5), "fix",
                                row_text(row, 6)));
        return false;
}

void action_job(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        int64_t id = json_i64(args, "id", 0);
        struct job *j = engine_job(g, id);
        json_t *o = j ? job_status_json(j) : json_object();
        if (!j &&
                !store_query(g->store,
                        "SELECT cert, state, result, ended, err_kind, err_text, err_fix FROM job WHERE id=?", "i",
                        ended_row, o, &e, id)) {
                json_decref(o);
                return done(arg, NULL, &e);
        }
        json_put_i64(o, "job", id);
        json_put_i64(o, "exit", 0);
        done(arg, o, NULL);
        json_decref(o);
}
