/* The steps while an order is open: ordered, published, submitted, reviewed, finalized. Its view (steps_view.c)
 * decides, not the order of the rows. */
#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

#define DIAGNOSE_EVERY_MS 30000

static bool attach_order(struct job *j, struct err *e)
{
        const struct ca_subject *s = job_subject(j);
        if (!j->row.order_id || !j->ca->ops->attach)
                return true;
        const struct ca_held h = {
                .order_id = j->row.order_id,
                .validation = s ? s->validation : policy_validation(j->policy, (size_t)j->row.ca_index),
                .names = s ? &s->names : &j->policy->names,
                .told = j->row.told,
        };
        return j->ca->ops->attach(j->ca->ca, &h, e);
}

bool job_have_ca(struct job *j)
{
        struct err e;
        j->ca = j->row.ca ? engine_ca(j->engine, j->row.ca) : NULL;
        if (j->ca && attach_order(j, &e))
                return true;
        if (j->ca) {
                job_trouble(j, &e);
                return false;
        }
        err_set(&e, ERR_CONFIG, "ca.gone", "CA %s, where order %s is open, is no longer in the configuration",
                j->row.ca ? j->row.ca : "?", j->row.order_id ? j->row.order_id : "?");
        job_trouble(j, &e);
        return false;
}

/* ---- ordered ---- */

bool job_put_order(struct job *j, struct store_batch *b, bool open, int64_t deadline_s)
{
        struct order_row row = { .ca = j->row.ca,
                .order_id = j->row.order_id,
                .cert = j->row.cert,
                .subject_id = j->row.subject_id,
                .spki = j->row.spki,
                .csr = j->row.csr,
                .open = open,
                .opened_s = j->row.ordered_s,
                .deadline_s = deadline_s,
                .job = j->row.id };
        return engine_order_put(j->engine, b, &row);
}

/* Nobody comes back to an order that cost nothing: nothing of it stays published. */
bool job_drop_free_order(struct job *j, struct store_batch *b)
{
        const struct backend_ca *ca = j->row.ca ? engine_ca(j->engine, j->row.ca) : NULL;
        return !ca || ca->ops->resolve || !engine_order(j->engine, j->row.ca, j->row.order_id) ||
                job_put_order(j, b, false, 0);
}

static void order_known(struct job *j, const char *id, const char *how)
{
        struct store_batch *b = store_batch_new();
        struct err e;
        job_set(&j->row.order_id, id);
        j->intent_fresh = false;
        if (!b || !j->row.order_id || !job_put_order(j, b, true, 0) ||
                !journal_close_intents(b, j->row.id, how, clock_now_s())) {
                store_batch_free(b);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        job_note(j, "order %s is open at %s%s%s", id, j->row.ca, how[0] ? ": " : "", how);
        job_go_with(j, JOB_ORDERED, b, how[0] ? how : NULL);
}

static void order_anew(struct job *j, const char *why)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        char hash[65] = "";
        if (j->row.csr)
                sha256_hex(j->row.csr, strlen(j->row.csr), hash);
        j->row.ordered_s = clock_now_s();
        if (!b || !journal_close_intents(b, j->row.id, why, clock_now_s()) ||
                !journal_open_intent(b, j->row.id, "order", j->row.subject_id, hash, clock_now_s())) {
                store_batch_free(b);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        unsent_note(j);
        j->intent_fresh = true;
        job_go_with(j, JOB_ORDERED, b, why);
}

static void resolved(void *arg, const char *id, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (err)
                return job_trouble(j, err);
        if (!id)
                return order_anew(j, "unknown outcome: asked, nothing was processed; sent again");
        CLEANUP(free_p)
        char *how = text_format("unknown outcome: asked %s, found %s, adopted it; nothing sent twice", j->row.ca, id);
        log_info(j->row.cert, "%s", how ? how : "");
        order_known(j, id, how ? how : "adopted");
}

static void ordered(void *arg, const char *id, const struct err *err)
{
        struct job *j = arg;
        crash_point("order.answered");
        j->ca_call = NULL;
        if (!err)
                return order_known(j, id, "");
        if (err->kind == ERR_UNKNOWN) { /* resolving has its own rounds and waits: it begins at once */
                job_note(j, "unknown outcome: asking %s before anything is sent again (%s)", j->row.ca, err->text);
                return step_ordered(j);
        }
        /* Anything else was refused before it was processed: the intent is answered. */
        struct store_batch *b = store_batch_new();
        if (b && journal_close_intents(b, j->row.id, err->code, clock_now_s()))
                engine_commit_logged(j->engine, b);
        else
                store_batch_free(b);
        if (err->kind == ERR_TEMPORARY || err->kind == ERR_RATE_LIMITED)
                job_unlock_order(j);
        if (!j->policy->staging)
                cert_note_limit(j->cert, j->ca, err);
        job_trouble(j, err);
}

static void send_order(struct job *j, const struct ca_order_request *r)
{
        struct err e;
        crash_point("order.send");
        j->intent_fresh = false; /* whoever stops this call does not know how far it came */
        j->ca_call = j->ca->ops->order(j->ca->ca, r, ordered, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}

/* Empty if another CA, or nobody known, issued what is live. */
static struct set live_of_this_ca(struct job *j)
{
        struct set s = { 0 };
        struct err e;
        if (!j->ca->ops->renewal || j->cert->row.live_set == 0 ||
                !sets_read(j->engine->sets, j->row.cert, (unsigned)j->cert->row.live_set, SET_META, &s, &e))
                return (struct set){ 0 };
        const char *ca = json_str(s.meta, "ca");
        if (ca && strcmp(ca, j->row.ca) == 0)
                return s;
        set_done(&s);
        return (struct set){ 0 };
}

void step_ordered(struct job *j)
{
        struct err e;
        bool open = false;
        if (!job_have_ca(j))
                return;
        if (j->row.order_id)
                return job_look_at_order(j);
        const struct ca_subject *s = job_subject(j);
        CLEANUP(set_done) struct set live = live_of_this_ca(j);
        CLEANUP(free_p)
        char *reason = text_dup_n(
                j->row.reason ? j->row.reason : "reissue", MIN(strlen(j->row.reason ? j->row.reason : "reissue"), 200));
        struct ca_order_request r = {
                .subject_id = j->row.subject_id,
                .names = s ? &s->names : &j->policy->names,
                .replaces_der = live.chain.leaf_der,
                .replaces_len = live.chain.leaf_der_len,
                .csr_pem = j->row.same_csr ? NULL : j->row.csr,
                .same_csr = j->row.same_csr,
                .validation = s ? s->validation : policy_validation(j->policy, (size_t)j->row.ca_index),
                .reason = reason,
                .submitted_at_s = j->row.ordered_s,
                .spki_hex = j->row.spki,
                .sending = job_orders_cost_nothing(j) ? NULL : unsent_forget,
                .sending_arg = j,
        };
        if (j->intent_fresh) {
                send_order(j, &r);
                return;
        }
        if (!journal_open_intents_of(j->engine->store, j->row.id, &open, &e))
                return job_trouble(j, &e);
        if (open && unsent_is_noted(j)) {
                job_note(j, "the order was about to be opened; nothing had been sent");
                return send_order(j, &r);
        }
        if (!open) /* refused before it was processed: from the beginning, the rules may have changed */
                return job_go(j, JOB_ELIGIBLE);
        if (!j->ca->ops->resolve)
                return order_anew(j, "unknown outcome: an order that spends nothing; sent again");
        j->ca_call = j->ca->ops->resolve(j->ca->ca, &r, resolved, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}

/* ---- published ---- */

bool job_holds(const struct job *j, const struct token *t)
{
        return token_held_by(t, j->row.id) && !t->row.probe && !t->gone;
}

/* Every token has its result before the job judges: one delay for all of them, and what failed is tried again together.
 */
static void not_published(struct job *j, const struct token *first)
{
        struct err e = first->failure;
        err_wrap(&e, "publisher %s", first->row.publisher);
        e.kind = ERR_TEMPORARY; /* the order waits until somebody mends the key, the zone or the web root */
        for (size_t i = 0; i < j->engine->token_count; i++)
                if (job_holds(j, j->engine->token[i]))
                        j->engine->token[i]->failure.kind = ERR_NONE;
        job_trouble(j, &e);
}

void step_published(struct job *j)
{
        const struct token *failed = NULL;
        bool waiting = false;
        for (size_t i = 0; i < j->engine->token_count; i++) {
                struct token *t = j->engine->token[i];
                if (!job_holds(j, t) || strcmp(t->row.state, "published") == 0)
                        continue;
                if (!t->busy && t->failure.kind == ERR_NONE)
                        token_publish(t);
                waiting = waiting || t->busy;
                if (!t->busy && !failed)
                        failed = t;
        }
        if (waiting)
                return;
        if (failed)
                return not_published(j, failed);
        job_go(j, JOB_PROPAGATED);
}

/* ---- submitted, reviewed, finalized ---- */

static void diagnosed(void *arg, const char *text, size_t len, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (!err && len > 0) {
                job_set(&j->ca_says, text);
                job_note(j, "%s says: %s; dcvd saw: %s", j->row.ca, text, j->saw ? j->saw : "nothing since its start");
        }
        job_look_at_order(j);
}

static void told(void *arg, const struct err *err)
{
        struct job *j = arg;
        struct err e;
        j->ca_call = NULL;
        if (err)
                return job_trouble(j, err);
        j->row.told = true;
        j->submitted_ms = j->diagnosed_ms = clock_boot_ms();
        struct store_batch *b = store_batch_new();
        if (!b || !journal_put_job(b, &j->row)) {
                store_batch_free(b);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        engine_commit_logged(j->engine, b); /* told once more after a crash, a CA does nothing else */
        job_look_at_order(j);
}

void step_submitted(struct job *j)
{
        struct err e;
        if (!job_have_ca(j))
                return;
        if (!j->row.told) {
                j->ca_call = j->ca->ops->validate(j->ca->ca, j->row.order_id, told, j, &e);
        } else if (j->ca->ops->diagnose && clock_boot_ms() - j->diagnosed_ms > DIAGNOSE_EVERY_MS) {
                j->diagnosed_ms = clock_boot_ms();
                j->ca_call = j->ca->ops->diagnose(j->ca->ca, j->row.order_id, diagnosed, j, &e);
        } else {
                return job_look_at_order(j);
        }
        if (!j->ca_call)
                job_trouble(j, &e);
}

void step_reviewed(struct job *j)
{
        job_look_at_order(j);
}

static void finalized(void *arg, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (err && strcmp(err->code, CA_KEY_REFUSED) == 0 && !j->key_refused && !j->policy->key_csr) {
                j->key_refused = true;
                return job_order_again(j, err->text); /* every order has a key of its own */
        }
        if (err)
                return job_trouble(j, err);
        job_look_at_order(j);
}

void step_finalized(struct job *j)
{
        struct err e;
        if (!job_have_ca(j))
                return;
        if (!j->ca->ops->finalize) /* the order carried the CSR */
                return job_look_at_order(j);
        j->ca_call = j->ca->ops->finalize(j->ca->ca, j->row.order_id, j->row.csr, finalized, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}
