/* What an operator can ask for: starting, stopping, withdrawing. Taking over and putting to use again are in
 * actions_sets.c. */
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
        err_set(e, ERR_CONFIG, "cert.unknown", "there is no certificate %s", name ? name : "(no name given)");
        const char *near = name ? config_cert_near(g->conf, name) : NULL;
        return near ? err_fix(e, "did you mean %s?", near) : false;
}

/* ---- reissue ---- */

/* Several starts, one answer after the last commit. */
struct reissue {
        struct engine *g;
        action_done_fn *done;
        void *arg;
        json_t *result;
        size_t open;
        bool launched;
        struct err err;
        bool failed;
};
struct start {
        struct reissue *r;
        struct job_row row;
};

static void answer(struct reissue *r)
{
        if (r->open > 0 || !r->launched)
                return;
        r->done(r->arg, r->failed ? NULL : r->result, r->failed ? &r->err : NULL);
        json_decref(r->result);
        free(r);
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
        if (err)
                e = *err;
        else
                j = job_new(r->g, &s->row, &e);
        if (!j) {
                r->err = e;
                r->failed = true;
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
        const char *reason = json_str(args, "reason");
        *ret = (struct job_row){
                .id = g->next_job,
                .cert = text_dup(c->row.name),
                .state = JOB_QUEUED,
                .policy = policy_text(conf),
                .trigger = text_dup("operator"),
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
        if (b && journal_put_job(b, &s->row) && journal_audit(b, clock_now_s(), s->row.cert, s->row.id, event, data))
                return engine_commit(r->g, b, started, s, e);
        store_batch_free(b);
        return err_memory(e);
}

/* An order must not be joined by somebody who says that its key leaked. */
static bool key_is_reported(const struct job *j)
{
        return j->row.spki && compromised_has(j->engine->keystore, j->row.spki);
}

static bool start_one(struct reissue *r, struct cert *c, const json_t *args, struct err *e)
{
        bool compromised = json_bool(args, "compromised", false);
        if (compromised && c->row.live_spki && !compromised_has(r->g->keystore, c->row.live_spki)) {
                const char *reason = json_str(args, "reason");
                if (!engine_put_compromised(r->g, c->row.live_spki, reason ? reason : "reported by the operator", e))
                        return false;
        }
        if (c->job && !key_is_reported(c->job)) {
                c->job->row.compromised = c->job->row.compromised || compromised;
                note_job(r, c->job->row.id, c->row.name, true);
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
        if (!new_row(r->g, c, args, &s->row, e) || !commit_start(r, s, "started", e)) {
                job_row_done(&s->row);
                free(s);
                return false;
        }
        r->open++;
        return true;
}

static bool serial_of(struct engine *g, struct cert *c, char **ret, char **ret_issuer)
{
        struct set set = { 0 };
        struct err e;
        if (c->row.live_set == 0 || !sets_read(g->sets, c->row.name, (unsigned)c->row.live_set, &set, &e))
                return false;
        *ret = text_dup(set.chain.leaf.serial_hex);
        *ret_issuer = text_dup(set.chain.leaf.issuer);
        set_done(&set);
        return *ret && *ret_issuer;
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
                if (text_equal_nocase(json_string_value(json_array_get(serials, i)), serial))
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
                if (!action_cert(g, one, &list[n++], e))
                        return false;
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

/* ---- dry run ---- */

struct dry {
        struct engine *g;
        struct cert *cert;
        struct backend_ca *ca;
        action_done_fn *done;
        void *arg;
        json_t *result;
};

static void dry_asked(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct dry *d = arg;
        json_t *o = d->result, *notes = json_array();
        json_put_text(o, "cert", d->cert->row.name);
        json_put_text(o, "ca", d->ca->name);
        for (size_t i = 0; s && i < s->notes.count; i++)
                json_array_append_new(notes, json_string(s->notes.item[i]));
        json_object_set_new(o, "notes", notes);
        if (s) {
                json_put_text(o, "replaces", s->id);
                json_put_text(o, "product", s->product);
                json_put_text(o, "key_type", s->same_csr ? "the same key and CSR" : key_type_name(s->key_type));
                json_put_text(o, "validation", conf_validation_name(s->validation));
                json_put_bool(o, "validation_expected", s->validation_expected);
                json_put_bool(o, "person_expected", s->person_expected);
                json_put_bool(o, "last_one", s->last_one);
                json_put_i64(o, "not_after", s->not_after_s);
                json_put_text(o, "spends",
                        s->last_one ? "the only reissue of this certificate" : "one reissue of this certificate");
                if (s->resume_id[0])
                        json_put_text(o, "resumes", s->resume_id);
                cert_note_subject(d->cert, d->ca, s, err);
        }
        json_put_bool(o, "dry_run", true);
        if (err) {
                json_t *e = json_object();
                json_put_text(e, "code", err->code);
                json_put_text(e, "text", err->text);
                json_put_text(e, "fix", err->fix);
                json_object_set_new(o, "error", e);
        }
        json_put_i64(o, "exit", !err ? 0 : err->kind == ERR_RULE ? 5 : err->kind == ERR_WAITING ? 4 : 1);
        d->done(d->arg, o, NULL);
        json_decref(o);
        free(d);
}

/* Asks the CA and says what would happen; nothing is spent, nothing is written but what the CA said. */
static bool dry_run(
        struct engine *g, struct cert *c, const json_t *args, action_done_fn *done, void *arg, struct err *e)
{
        const struct conf_cert *conf = config_cert(g->conf, c->row.name);
        struct backend_ca *ca = conf ? engine_ca(g, conf->ca[0].ca) : NULL;
        if (!ca)
                return err_set(
                        e, ERR_CONFIG, "cert.retired", "certificate %s is no longer in the configuration", c->row.name);
        struct dry *d = calloc(1, sizeof *d);
        if (!d)
                return err_memory(e);
        *d = (struct dry){ .g = g, .cert = c, .ca = ca, .done = done, .arg = arg, .result = json_object() };
        bool compromised = json_bool(args, "compromised", false);
        struct ca_subject_request r = { .certificate_id = c->row.newest_id ? c->row.newest_id : conf->certificate_id,
                .names = &conf->names,
                .validation = policy_validation(conf, 0),
                .key_type = policy_key_type(conf, 0),
                .compromised = compromised,
                .same_csr = !compromised && conf->key_reuse == REUSE_WHEN_NOT_COMPROMISED,
                .force = json_bool(args, "force", false) };
        if (ca->ops->inspect(ca->ca, &r, dry_asked, d, e))
                return true;
        json_decref(d->result);
        free(d);
        return false;
}

void action_reissue(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        CLEANUP(free_p) struct cert **list = NULL;
        size_t count = 0;
        if (!choose(g, args, &list, &count, &e))
                return done(arg, NULL, &e);
        if (json_bool(args, "dry_run", false) && count == 1) {
                if (!dry_run(g, list[0], args, done, arg, &e))
                        done(arg, NULL, &e);
                return;
        }
        struct reissue *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        *r = (struct reissue){
                .g = g, .done = done, .arg = arg, .result = json_pack("{s:[], s:[], s:i}", "jobs", "names", "exit", 0)
        };
        bool ask = json_bool(args, "dry_run", false) || (count > 1 && !json_bool(args, "yes", false));
        for (size_t i = 0; i < count && !r->failed; i++) {
                json_array_append_new(json_object_get(r->result, "names"), json_string(list[i]->row.name));
                if (!ask && !start_one(r, list[i], args, &r->err))
                        r->failed = true;
        }
        if (ask)
                json_put_bool(r->result, json_bool(args, "dry_run", false) ? "dry_run" : "confirm", true);
        r->launched = true;
        answer(r);
}

/* ---- cancel ---- */

struct cancel {
        action_done_fn *done;
        void *arg;
};

static void cancel_answer(struct job *j, const char *text, const struct err *err)
{
        struct cancel *c = j->cancel;
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:I}", "exit", 0, "job", (json_int_t)j->row.id);
        json_put_text(o, "text", text);
        j->cancel = NULL;
        j->cancelling = j->cancel_order = false;
        if (!c)
                return;
        c->done(c->arg, err ? NULL : o, err);
        free(c);
}

void job_cancel_forget(struct job *j)
{
        if (j->cancel)
                cancel_answer(j, "the job has ended", NULL);
}

static void order_cancelled(void *arg, const struct err *err)
{
        struct job *j = arg;
        struct engine *g = j->engine;
        j->ca_call = NULL;
        if (err) {
                struct err e = *err;
                err_wrap(&e, "the order at the CA could not be cancelled; the job goes on");
                cancel_answer(j, NULL, &e);
                return job_run(j);
        }
        struct store_batch *b = store_batch_new();
        struct order_row row = { .ca = j->row.ca,
                .order_id = j->row.order_id,
                .cert = j->row.cert,
                .open = false,
                .opened_s = j->row.ordered_s,
                .job = j->row.id };
        if (b && engine_order_put(g, b, &row))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        cancel_answer(j, "cancelled; the order was cancelled at the CA, tokens are withdrawn", NULL);
        job_end(j, JOB_CANCELLED, "cancelled by the operator; the order was cancelled at the CA");
}

void job_cancel_order(struct job *j)
{
        struct err e;
        j->ca = j->row.ca ? engine_ca(j->engine, j->row.ca) : NULL;
        if (!j->ca || !j->row.order_id) {
                cancel_answer(j, "cancelled; no order is open", NULL);
                return job_end(j, JOB_CANCELLED, "cancelled by the operator");
        }
        job_stop_work(j);
        engine_due_clear(j->engine, &j->due);
        j->cancelling = true;
        j->ca_call = j->ca->ops->cancel_order(j->ca->ca, j->row.order_id, order_cancelled, j, &e);
        if (!j->ca_call)
                order_cancelled(j, &e);
}

void action_cancel(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        if (!action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        struct job *j = cert->job;
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_put_i64(o, "exit", 0);
        if (!j || job_is_final(j->row.state)) {
                json_put_text(o, "text", "no job is running");
                return done(arg, o, NULL);
        }
        json_put_i64(o, "job", j->row.id);
        bool unanswered = j->row.state == JOB_ORDERED && !j->row.order_id;
        bool spent = unanswered || (j->row.order_id && job_has_order_open(j->row.state));
        if (spent && !json_bool(args, "yes", false)) {
                CLEANUP(free_p)
                char *text = text_format("order %s at %s is open: cancelling it may have spent the only reissue",
                        j->row.order_id ? j->row.order_id : "(being opened)", j->row.ca);
                json_put_bool(o, "confirm", true);
                json_put_text(o, "text", text);
                return done(arg, o, NULL);
        }
        if (json_bool(args, "dry_run", false)) {
                json_put_text(o, "text",
                        spent ? "would cancel the order at the CA and withdraw its tokens"
                              : "would stop the job; nothing was spent");
                return done(arg, o, NULL);
        }
        if (!spent) {
                j->stop_wanted = true;
                if (!j->moving)
                        (void)job_stop_if_wanted(j);
                json_put_text(o, "text", "cancelled; nothing was spent");
                return done(arg, o, NULL);
        }
        if (j->cancel) {
                json_put_text(o, "text", "the order is being cancelled already");
                return done(arg, o, NULL);
        }
        j->cancel = calloc(1, sizeof *j->cancel);
        if (!j->cancel) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        *j->cancel = (struct cancel){ done, arg };
        j->stop_wanted = j->cancel_order = true;
        if (!j->moving && !job_stop_if_wanted(j) && !j->ca_call)
                job_run(j); /* ask now what became of the order */
}

/* ---- withdraw, job ---- */

void action_withdraw(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        bool stale = json_bool(args, "stale", false);
        int64_t asked = 0, held = 0;
        if (!stale && !action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        for (size_t i = g->token_count; i-- > 0;) {
                struct token *t = g->token[i];
                if (cert && (!t->row.cert || strcmp(t->row.cert, cert->row.name) != 0))
                        continue;
                if (t->row.holder_count > 0) {
                        held++;
                        continue;
                }
                asked++;
                /* Left out for an order that outlived its job: the operator's word ends that. */
                job_set(&t->row.order_id, NULL);
                t->failures = 0;
                if (!json_bool(args, "dry_run", false))
                        token_withdraw(t);
        }
        CLEANUP(free_p)
        char *text = text_format("%lld token%s being withdrawn%s", (long long)asked, asked == 1 ? " is" : "s are",
                held ? "; those of a running job stay: dcvctl cancel ends it" : "");
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:i, s:I, s:I, s:s?}", "exit", 0, "withdrawn", (json_int_t)asked, "held",
                (json_int_t)held, "text", text);
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
        if (row_text(row, 6))
                json_put_text(o, "fix", row_text(row, 6));
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
