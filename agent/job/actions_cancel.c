/* What an operator can ask for: stopping a job, with its order. */
#include "agent/job/actions.h"

#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

#define GIVE_BACK_MS 15000 /* a CA that does not answer keeps nobody from cancelling */

struct cancel {
        struct cancel *next; /* who asked for the same meanwhile */
        action_done_fn *done;
        void *arg;
        char *text; /* what is said once it is so; of the first */
};

/* Whoever asks for it again waits with the first, for the same answer. */
static bool cancel_wait(struct job *j, action_done_fn *done, void *arg)
{
        struct cancel *c = calloc(1, sizeof *c), **at = &j->cancel;
        if (!c)
                return false;
        c->done = done;
        c->arg = arg;
        while (*at)
                at = &(*at)->next;
        *at = c;
        return true;
}

static bool cancel_begin(struct job *j, const char *said, action_done_fn *done, void *arg)
{
        char *text = text_dup(said);
        if (!text || !cancel_wait(j, done, arg)) {
                free(text);
                return false;
        }
        j->cancel->text = text;
        j->stop_wanted = true;
        return true;
}

static void cancel_answer(struct job *j, const char *text, const struct err *err)
{
        struct cancel *c = j->cancel;
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:I}", "exit", 0, "job", (json_int_t)j->row.id);
        json_put_text(o, "text", text);
        j->cancel = NULL;
        j->cancelling = j->cancel_order = false;
        while (c) {
                struct cancel *next = c->next;
                c->done(c->arg, err ? NULL : o, err);
                free(c->text);
                free(c);
                c = next;
        }
}

static bool is_installed(const struct job *j)
{
        return j->row.set_number > 0 && j->cert->row.live_set == j->row.set_number;
}

/* Not before: an end that is not on disk is none after a crash, and until then its tokens are out. */
void job_cancel_over(struct job *j)
{
        struct err e;
        if (!j->cancel)
                return;
        CLEANUP(free_p)
        char *there = text_format("cancelled; set %lld is installed: dcvctl verify %s looks at what is served",
                (long long)j->row.set_number, j->row.cert);
        if (j->row.state == JOB_CANCELLED)
                return cancel_answer(j, is_installed(j) && there ? there : j->cancel->text, NULL);
        if (job_is_final(j->row.state))
                return cancel_answer(j, "the job has ended", NULL);
        err_set(&e, ERR_TEMPORARY, "cancel", "dcvd ends before job %lld does", (long long)j->row.id);
        err_fix(&e, "once it runs again: dcvctl cancel %s", j->row.cert);
        cancel_answer(j, NULL, &e);
}

void job_cancel_unwritten(struct job *j, const struct err *err)
{
        struct err e = *err;
        if (!j->cancel)
                return;
        j->stop_wanted = false;
        err_wrap(&e, "job %lld is not cancelled", (long long)j->row.id);
        cancel_answer(j, NULL, &e);
}

/* The job ends now, and whoever asked is told so when it has. text_own NULL: out of memory. */
static void cancel_with(struct job *j, char *text_own, const char *result)
{
        if (j->cancel && text_own) {
                free(j->cancel->text);
                j->cancel->text = STEAL(text_own);
        }
        free(text_own);
        j->cancelling = j->cancel_order = false;
        job_end(j, JOB_CANCELLED, result);
}

/* An order that cost something may have been spent: the job goes on with it. */
static void cancel_failed(struct job *j, const struct err *err)
{
        struct err e = *err;
        err_wrap(&e, "the order at the CA could not be cancelled; the job goes on");
        cancel_answer(j, NULL, &e);
        j->restart = false;
        job_run(j);
}

/* kept NULL: the order is cancelled at the CA; else why it is not, which stops nobody. */
static void cancel_end(struct job *j, const char *kept)
{
        cancel_with(j,
                kept ? text_format("cancelled, tokens are being withdrawn; the order could not be given back to %s, "
                                   "which costs nothing: %s",
                               j->row.ca, kept)
                     : text_dup("cancelled; the order was cancelled at the CA, tokens are being withdrawn"),
                kept ? "cancelled by the operator; the order could not be given back to the CA"
                     : "cancelled by the operator; the order was cancelled at the CA");
}

static void order_cancelled(void *arg, const struct err *err)
{
        struct job *j = arg;
        struct engine *g = j->engine;
        struct err kept = err ? *err : (struct err){ 0 };
        j->ca_call = NULL;
        if (err && !job_orders_cost_nothing(j))
                return cancel_failed(j, err);
        if (err)
                job_note(j, "order %s could not be given back to %s: %s", j->row.order_id, j->row.ca, kept.text);
        struct store_batch *b = store_batch_new();
        struct order_row row = { .ca = j->row.ca,
                .order_id = j->row.order_id,
                .cert = j->row.cert,
                .open = false,
                .opened_s = j->row.ordered_s,
                .job = j->row.id };
        bool put = b && engine_order_put(g, b, &row);
        if (put && j->restart)
                return job_restart(j, b);
        if (put)
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        if (j->restart)
                return job_restart(j, NULL);
        cancel_end(j, err ? kept.text : NULL);
}

void job_give_back_no_more(struct job *j, const struct err *err)
{
        job_stop_work(j);
        order_cancelled(j, err);
}

void job_cancel_order(struct job *j)
{
        struct err e;
        j->ca = j->row.ca ? engine_ca(j->engine, j->row.ca) : NULL;
        if (!j->ca || !j->row.order_id)
                return cancel_with(j, text_dup("cancelled; no order is open"), "cancelled by the operator");
        job_stop_work(j);
        engine_due_clear(j->engine, &j->due);
        j->cancelling = true;
        j->ca_call = j->ca->ops->cancel_order(j->ca->ca, j->row.order_id, order_cancelled, j, &e);
        if (j->ca_call && job_orders_cost_nothing(j) && !job_limit(j, GIVE_BACK_MS, &e)) {
                j->ca->ops->cancel(j->ca->ca, j->ca_call);
                j->ca_call = NULL;
        }
        if (!j->ca_call)
                order_cancelled(j, &e);
}

/* What a person loses with an open order: at an ACME CA one spends nothing before its CSR is taken. */
static char *cancel_costs(const struct job *j)
{
        const struct backend_ca *ca = j->row.ca ? engine_ca(j->engine, j->row.ca) : NULL;
        const char *costs = "may have spent the only reissue";
        if (ca && !ca->ops->resolve)
                costs = j->row.state < JOB_FINALIZED
                        ? "spends nothing, another one can be opened"
                        : "throws away the certificate that is being issued, which counts for the CA's limits";
        return text_format("order %s at %s is open: cancelling it %s",
                j->row.order_id ? j->row.order_id : "(being opened)", j->row.ca ? j->row.ca : "?", costs);
}

/* What is there once no order is open: a certificate that was issued stays, whatever becomes of its job. */
static char *stop_text(const struct job *j, bool dry)
{
        char job[40];
        snprintf(job, sizeof job, "would stop job %lld", (long long)j->row.id);
        const char *done = dry ? job : "cancelled";
        if (j->row.set_number == 0)
                return text_format("%s; nothing was spent", done);
        return text_format("%s; set %lld stays: dcvctl deploy %s --set %lld puts it to use", done,
                (long long)j->row.set_number, j->row.cert, (long long)j->row.set_number);
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
        CLEANUP(free_p) char *what = spent ? cancel_costs(j) : NULL;
        if (json_bool(args, "dry_run", false)) {
                CLEANUP(free_p)
                char *text = spent ? text_format("would cancel job %lld, its order and its tokens; %s",
                                             (long long)j->row.id, what ? what : "")
                                   : stop_text(j, true);
                json_put_bool(o, "dry_run", true);
                json_put_text(o, "text", text);
                return done(arg, o, NULL);
        }
        if (spent && !json_bool(args, "yes", false)) {
                json_put_bool(o, "confirm", true);
                json_put_text(o, "text", what);
                return done(arg, o, NULL);
        }
        if (j->cancel && cancel_wait(j, done, arg))
                return;
        CLEANUP(free_p) char *said = spent ? text_dup("cancelled") : stop_text(j, false);
        if (j->cancel || !said || !cancel_begin(j, said, done, arg)) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        if (!spent) { /* what is being installed goes on at the helper: how it ended belongs into the journal */
                if (!j->moving && !j->deploy)
                        (void)job_stop_if_wanted(j);
                return;
        }
        j->cancel_order = true;
        if (!j->moving && !job_stop_if_wanted(j))
                job_run(j); /* ask now what became of the order */
}
