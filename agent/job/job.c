/* A job: one function changes its state, one decides what a failure means, one ends it. */
#include "agent/job/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/rehearsal.h"
#include "agent/job/when.h"
#include "agent/net/loop.h"

#define STUCK_FAILURES 6 /* of one state in a row: a person is told */

void job_set(char **member, const char *text)
{
        char *copy = text_dup(text);
        free(*member);
        *member = copy;
}

struct job *job_new(struct engine *g, struct job_row *row_own, struct err *e)
{
        struct job *j = calloc(1, sizeof *j);
        struct job **more = realloc(g->job, (g->job_count + 1) * sizeof *more);
        if (more)
                g->job = more;
        if (!j || !more) {
                free(j);
                err_memory(e);
                return NULL;
        }
        j->engine = g;
        j->due.kind = DUE_JOB;
        j->cert = engine_cert(g, row_own->cert);
        if (!j->cert && !(j->cert = engine_cert_add(g, row_own->cert, e)))
                goto failed;
        if (!policy_read(row_own->policy, &j->policy, e))
                goto failed;
        j->row = *row_own;
        *row_own = (struct job_row){ 0 };
        j->entered_ms = clock_boot_ms();
        j->cert->job = j;
        g->job[g->job_count++] = j;
        return j;
failed:
        free(j);
        return NULL;
}

void job_stop_work(struct job *j)
{
        loop_undefer(j->engine->loop, STEAL(j->go_on));
        j->ready = false;
        if (j->ca_call && j->ca)
                j->ca->ops->cancel(j->ca->ca, j->ca_call);
        j->ca_call = NULL;
        deploy_cancel(j->deploy);
        j->deploy = NULL;
        look_cancel(j->look);
        j->look = NULL;
        rehearsal_cancel(j->rehearsal);
        j->rehearsal = NULL;
        for (size_t i = 0; i < j->propagate_count; i++) {
                propagation_cancel(j->propagate[i].run);
                json_decref(j->propagate[i].state);
        }
        free(j->propagate);
        j->propagate = NULL;
        j->propagate_count = 0;
        if (j->poll)
                timer_stop(j->poll);
        if (j->pause)
                timer_stop(j->pause);
        if (j->limit)
                timer_stop(j->limit);
}

void job_free(struct job *j)
{
        struct engine *g = j->engine;
        job_stop_work(j);
        job_cancel_over(j);
        keying_drop(j);
        set_change_drop(j);
        timer_free(j->limit);
        timer_free(j->poll);
        timer_free(j->pause);
        engine_due_clear(g, &j->due);
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i] == j) {
                        memmove(&g->job[i], &g->job[i + 1], (--g->job_count - i) * sizeof *g->job);
                        break;
                }
        if (j->cert->job == j)
                j->cert->job = NULL;
        if (j->subject)
                ca_subject_done(j->subject);
        free(j->subject);
        if (j->view)
                ca_view_done(j->view);
        free(j->view);
        policy_free(j->policy);
        free(j->progress);
        free(j->asked_person);
        free(j->saw);
        free(j->ca_says);
        job_row_done(&j->row);
        free(j);
}

bool job_only_deploys(const struct job *j)
{
        return !j->row.ca && j->row.set_number > 0;
}

static void clear_trouble(struct job_row *r)
{
        job_set(&r->err_kind, NULL);
        job_set(&r->err_code, NULL);
        job_set(&r->err_text, NULL);
        job_set(&r->err_fix, NULL);
        job_set(&r->waiting, NULL);
        r->due_ms = 0;
}

void job_note_trouble(struct job *j, const struct err *e)
{
        struct job_row *r = &j->row;
        job_set(&r->err_kind, err_kind_name(e->kind));
        job_set(&r->err_code, e->code);
        job_set(&r->err_text, e->text);
        job_set(&r->err_fix, e->fix[0] ? e->fix : NULL);
}

/* A commit that failed: nothing was sent. The disk may come back. */
static void park(struct job *j, const struct err *e)
{
        log_err(j->row.cert, "the journal cannot be written; the job waits", e);
        job_note_trouble(j, e);
        job_stop_work(j); /* the step that was to begin begins when it is due */
        job_rest(j);
        struct when_input in = { ERR_TEMPORARY, ++j->parked, 0, true, false, (uint32_t)random_u64() };
        engine_due_set(j->engine, &j->due, clock_now_ms() + when_next_ms(&in));
        job_cancel_unwritten(j, e);
}

bool job_stop_if_wanted(struct job *j)
{
        if (!j->stop_wanted || job_is_final(j->row.state))
                return false;
        bool may_cost = !j->ca || !job_orders_cost_nothing(j);
        if (j->cancel_order && j->row.state == JOB_ORDERED && !j->row.order_id && may_cost && !unsent_is_noted(j))
                return false; /* sent, not answered: what was spent must be known first (I2) */
        j->stop_wanted = false;
        if (j->cancel_order)
                job_cancel_order(j);
        else
                job_end(j, JOB_CANCELLED, "cancelled by the operator");
        return true;
}

static bool holds_tokens(const struct job *j)
{
        for (size_t i = 0; i < j->engine->token_count; i++)
                if (token_held_by(j->engine->token[i], j->row.id))
                        return true;
        return false;
}

/* What is being done now; at the end there is something to do only where tokens are out. */
static void say_state(struct job *j)
{
        if (j->row.state == JOB_ORDERED && j->row.order_id)
                job_emit(j, "asking how the order stands");
        else if (!job_is_final(j->row.state) || holds_tokens(j))
                job_emit(j, job_state_doing(j->row.state));
}

/* It is in the next state, and goes on. */
static void arrive(struct job *j)
{
        enum job_state from = j->row.state;
        j->row.state = j->next;
        if (j->row.state == JOB_PUBLISHED)
                tokens_recorded(j);
        metrics_job_moved(j, from);
        say_state(j);
        if (job_is_final(j->row.state))
                job_notice_end(j);
        if (!job_has_order_open(j->row.state) && j->row.state != JOB_KEYED && j->row.state != JOB_REHEARSED)
                job_unlock_order(j);
        if (!job_stop_if_wanted(j))
                job_run(j);
}

static void moved(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct job *j = arg;
        crash_point("job.moved");
        j->moving = false;
        if (e) {
                j->intent_fresh = false;
                return park(j, e);
        }
        j->parked = 0;
        arrive(j);
}

/* Of a move that was not waited for. What it does now only reads; the next move writes the whole row. (A job is freed
 * after a later commit: it is there.) */
static void written(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct job *j = arg;
        crash_point("job.moved");
        if (!e) {
                j->parked = 0;
        } else if (!j->moving && !j->cancelling) { /* else the commit that is on its way is told of the disk too */
                park(j, e);
        }
}

void job_go(struct job *j, enum job_state next)
{
        job_go_with(j, next, NULL, NULL);
}

/* The row as it will be, its audit entry and what belongs to the same moment, in one commit. */
static bool move_batch(struct job *j, enum job_state next, struct store_batch *b, const char *why, int64_t now_s)
{
        CLEANUP(json_decref_p) json_t *data = json_object();
        json_put_text(data, "from", job_state_name(j->row.state));
        json_put_text(data, "to", job_state_name(next));
        if (why)
                json_put_text(data, "why", why);
        if (next == JOB_FAILED)
                json_put_text(data, "fix", j->row.err_fix);
        if (j->row.ca)
                json_put_text(data, "ca", j->row.ca);
        if (j->row.order_id)
                json_put_text(data, "order", j->row.order_id);
        enum job_state from = j->row.state;
        j->row.state = next;
        bool good = journal_put_job(b, &j->row) && journal_audit(b, now_s, j->row.cert, j->row.id, "state", data);
        j->row.state = from;
        return good;
}

void job_go_with(struct job *j, enum job_state next, struct store_batch *more_own, const char *why)
{
        struct err e;
        assert(!j->moving);
        if (!job_may_go(j->row.state, next)) { /* an answer to what was asked in another state changes nothing */
                err_set(&e, ERR_BUG, "job.move", "job %lld does not go from %s to %s", (long long)j->row.id,
                        job_state_name(j->row.state), job_state_name(next));
                log_err(j->row.cert, "a fault of dcvd", &e);
                return store_batch_free(more_own);
        }
        job_stop_work(j);
        struct store_batch *b = more_own ? more_own : store_batch_new();
        int64_t now_s = clock_now_s();
        if (next != j->row.state) {
                j->row.failures = 0;
                j->row.entered_s = now_s;
        }
        if (next != JOB_FAILED)
                clear_trouble(&j->row);
        if (!b || !move_batch(j, next, b, why, now_s)) {
                store_batch_free(b);
                err_memory(&e);
                return park(j, &e);
        }
        log_info(j->row.cert, "job %lld: %s -> %s%s%s", (long long)j->row.id, job_state_name(j->row.state),
                job_state_name(next), why ? ": " : "", why ? why : "");
        j->next = next;
        bool waits = !job_state_only_reads(next);
        j->moving = waits; /* takes no event until the row is on disk */
        if (!engine_commit(j->engine, b, waits ? moved : written, j, &e)) {
                j->moving = false;
                return park(j, &e);
        }
        if (!waits)
                arrive(j);
}

static void saved(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct job *j = arg;
        crash_point("job.saved");
        (void)e; /* the next move writes the whole row */
        j->moving = false;
        job_emit(j, j->row.err_text ? j->row.err_text : j->progress ? j->progress : "");
        if (!job_stop_if_wanted(j))
                engine_due_set(j->engine, &j->due, j->row.due_ms);
}

/* What changed of the row, without a change of its state. */
static struct store_batch *event_batch(const struct job *j, const char *event)
{
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p) json_t *data = json_object();
        json_put_text(data, "state", job_state_name(j->row.state));
        json_put_text(data, "code", j->row.err_code);
        json_put_text(data, "text", j->row.err_text);
        if (b && journal_put_job(b, &j->row) && journal_audit(b, clock_now_s(), j->row.cert, j->row.id, event, data))
                return b;
        store_batch_free(b);
        return NULL;
}

/* Keeps the state; commits what changed of the row, then sleeps until due_ms without a slot. */
static void save_and_sleep(struct job *j, const char *event)
{
        struct err e;
        job_stop_work(j);
        job_rest(j);
        struct store_batch *b = event_batch(j, event);
        j->moving = true;
        if (b && engine_commit(j->engine, b, saved, j, &e))
                return;
        if (!b)
                err_memory(&e);
        j->moving = false;
        park(j, &e);
}

/* An order is open and paid for: what stands in the way on our side (a publisher, a zone) is mended by a person, and
 * the job goes on. Only the CA's own word ends it. */
static bool waits_to_be_mended(const struct job *j)
{
        return j->row.state == JOB_PUBLISHED || j->row.state == JOB_PROPAGATED;
}

/* What was bought is here, or on its way: whoever mends what stands before it (a full disk, too) is not waited out. */
static bool is_paid_for(const struct job *j)
{
        return waits_to_be_mended(j) || j->row.state == JOB_DEPLOYED || j->row.state == JOB_SERVED;
}

void job_again_later(struct job *j, const struct err *e)
{
        j->row.failures++;
        job_note_trouble(j, e);
        struct when_input in = { e->kind, (uint64_t)j->row.failures, e->retry_after_s, j->row.compromised,
                is_paid_for(j), (uint32_t)random_u64() };
        int64_t in_ms = job_wait_ms(j, when_next_ms(&in));
        j->row.due_ms = clock_now_ms() + in_ms;
        char span[40];
        format_span(in_ms / 1000, span, sizeof span);
        log_warning(j->row.cert, "job %lld: %s: %s; again in %s%s%s", (long long)j->row.id,
                job_state_name(j->row.state), e->text, span, e->fix[0] ? "; " : "", e->fix);
        job_notice_again(j, e);
        save_and_sleep(j, "again");
}

/* True: it waited for the same before, and that was told. */
static bool take_waiting(struct job *j, const struct err *e, const json_t *waiting)
{
        char *text = waiting ? json_text(waiting) : NULL;
        bool same = j->row.waiting && text && strcmp(j->row.waiting, text) == 0;
        free(j->row.waiting);
        j->row.waiting = text;
        job_note_trouble(j, e);
        return same;
}

void job_wait(struct job *j, const struct err *e, const json_t *waiting, int64_t again_ms)
{
        if (job_is_too_long_at_ca(j, e))
                return;
        bool same = take_waiting(j, e, waiting);
        j->row.due_ms = clock_now_ms() + job_wait_ms(j, again_ms);
        if (same) { /* told before: nothing new to write down */
                job_stop_work(j);
                job_rest(j);
                engine_due_set(j->engine, &j->due, j->row.due_ms);
                return;
        }
        job_note(j, "%s", e->text);
        job_notice_waiting(j, e);
        save_and_sleep(j, "waiting");
}

void job_wait_looking(struct job *j, const struct err *e, const json_t *waiting)
{
        bool same = take_waiting(j, e, waiting);
        job_rest(j);
        if (same)
                return;
        struct store_batch *b = event_batch(j, "waiting");
        if (b) /* what it looks for may come meanwhile: nothing waits for the disk */
                engine_commit_logged(j->engine, b);
        job_note(j, "%s", e->text);
}

static bool final_for_attempt(const struct job *j, const struct err *e)
{
        if (e->kind != ERR_RULE && e->kind != ERR_DENIED && e->kind != ERR_PROTOCOL && e->kind != ERR_CONFIG)
                return false;
        if (waits_to_be_mended(j))
                return false;
        /* A leaked key is still being served: the incident stays open. */
        if ((j->row.state == JOB_DEPLOYED || j->row.state == JOB_SERVED) && j->row.compromised)
                return false;
        return true;
}

void job_trouble(struct job *j, const struct err *err)
{
        struct err copy = *err, *e = &copy;
        bool next_ca = job_may_fall_back(j, e);
        bool after_order = j->row.state == JOB_DEPLOYED || j->row.state == JOB_SERVED;
        if (final_for_attempt(j, e)) {
                if (next_ca && !after_order && strcmp(e->code, "deploy.test") != 0)
                        return job_next_attempt(j, e);
                return job_fail(j, e);
        }
        if (!job_is_too_long_at_ca(j, e))
                job_again_later(j, e);
}

void job_fail(struct job *j, const struct err *e)
{
        job_note_trouble(j, e);
        job_end(j, JOB_FAILED, e->text);
}

static bool end_batch(struct job *j, enum job_state final, const char *result, struct store_batch *b, int64_t now_s)
{
        struct cert *c = j->cert;
        if (final == JOB_DONE && !j->policy->staging)
                c->row.last_success_s = now_s;
        else if (final == JOB_FAILED && !j->policy->staging)
                c->row.last_failure_s = now_s;
        return journal_close_intents(b, j->row.id, result, now_s) && journal_put_cert(b, &c->row) &&
                job_drop_free_order(j, b) && (j->row.attempt == 0 || journal_attempt(b, &j->row, result, now_s));
}

void job_end(struct job *j, enum job_state final, const char *result)
{
        struct err e;
        if (j->moving) {
                j->stop_wanted = true;
                return;
        }
        struct store_batch *b = store_batch_new();
        (void)unsent_forget(j, &e); /* a note that stays is of no later request */
        job_set(&j->row.result, result);
        if (!b || !end_batch(j, final, result, b, clock_now_s())) {
                store_batch_free(b);
                err_memory(&e);
                return park(j, &e);
        }
        if (final == JOB_FAILED)
                log_error(j->row.cert, "job %lld failed: %s%s%s", (long long)j->row.id, result,
                        j->row.err_fix ? "; " : "", j->row.err_fix ? j->row.err_fix : "");
        job_go_with(j, final, b, result);
}

int job_exit_code(const struct job_row *r)
{
        if (r->state == JOB_DONE)
                return 0;
        if (r->state == JOB_FAILED && r->err_kind && strcmp(r->err_kind, err_kind_name(ERR_RULE)) == 0)
                return 5;
        if (r->state == JOB_CANCELLED || r->state == JOB_FAILED)
                return 1;
        return r->waiting ? 4 : 0;
}

/* Due times are of the wall clock. One that was set while the clock stood in the future would be slept for as long. */
static bool due_is_credible(const struct job *j)
{
        int64_t now_ms = clock_now_ms(), ahead_ms = 300 * 1000, longest_ms = (int64_t)9 * 86400 * 1000;
        return j->row.entered_s * 1000 <= now_ms + ahead_ms && j->row.due_ms - now_ms <= longest_ms;
}

void job_resume_loaded(struct job *j)
{
        j->row.attempt_s = MIN(j->row.attempt_s, clock_now_s()); /* else its CA had until then, and more */
        job_find_own_set(j);
        j->lock_held = (job_has_order_open(j->row.state) || j->row.state == JOB_KEYED) && job_subject(j) != NULL;
        if (j->row.due_ms > clock_now_ms() && due_is_credible(j))
                engine_due_set(j->engine, &j->due, j->row.due_ms);
        else
                job_run(j);
}
