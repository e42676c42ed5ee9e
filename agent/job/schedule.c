/* Who may act now: slots, the line of ready jobs, due times, and the lock on orders that exclude each other. */
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/due_timer.h"
#include "agent/net/loop.h"

typedef void step_fn(struct job *j);
static step_fn *const steps[JOB_STATES] = {
        [JOB_QUEUED] = step_queued,
        [JOB_ELIGIBLE] = step_eligible,
        [JOB_REHEARSED] = step_rehearsed,
        [JOB_KEYED] = step_keyed,
        [JOB_ORDERED] = step_ordered,
        [JOB_PUBLISHED] = step_published,
        [JOB_PROPAGATED] = step_propagated,
        [JOB_SUBMITTED] = step_submitted,
        [JOB_REVIEWED] = step_reviewed,
        [JOB_FINALIZED] = step_finalized,
        [JOB_ISSUED] = step_issued,
        [JOB_DEPLOYED] = step_deployed,
        [JOB_SERVED] = step_served,
        [JOB_DONE] = step_final,
        [JOB_FAILED] = step_final,
        [JOB_CANCELLED] = step_final,
};

void engine_due_set(struct engine *g, struct due *d, int64_t due_ms)
{
        if (due_set(&g->heap, &d->entry, due_ms) && g->due_timer)
                due_timer_arm(g->due_timer);
}

void engine_due_clear(struct engine *g, struct due *d)
{
        due_clear(&g->heap, &d->entry);
}

void engine_due_fired(void *engine, struct due_entry *entry)
{
        (void)engine;
        struct due *d = CONTAINER_OF(entry, struct due, entry);
        if (d->kind == DUE_CERT)
                cert_due(CONTAINER_OF(d, struct cert, due));
        else if (d->kind == DUE_JOB)
                job_run(CONTAINER_OF(d, struct job, due));
        else if (d->kind == DUE_INCIDENT)
                incident_due(d);
        else
                token_due(CONTAINER_OF(d, struct token, due));
}

static void limit_reached(void *arg)
{
        struct job *j = arg;
        struct err e;
        if (j->cancelling) {
                err_set(&e, ERR_TEMPORARY, "limit", "%s did not answer in time", j->row.ca);
                return job_give_back_no_more(j, &e);
        }
        err_set(&e, ERR_TEMPORARY, "limit", "%s took longer than %lld s and was stopped", job_state_name(j->row.state),
                (long long)job_state_limit_s(j->row.state));
        job_stop_work(j);
        job_trouble(j, &e);
}

bool job_limit(struct job *j, int64_t ms, struct err *e)
{
        if (!j->limit && !timer_new(&j->limit, j->engine->loop, limit_reached, j, e))
                return false;
        if (ms > 0)
                timer_start(j->limit, ms);
        return true;
}

/* A job works, or is asked to work, never both: two questions would be two answers. This is the one half, whoever asks;
 * the other is job_stop_work, which takes back what was asked. (A key in the making is nobody's step: it began before,
 * and step_keyed finds it.) */
static bool may_begin(const struct job *j)
{
        bool works = j->ca_call || j->deploy || j->look || j->rehearsal || j->propagate_count > 0;
        return !works && !j->moving && !j->ended && !j->cancelling;
}

/* Runs from the loop, so that a step never begins inside the call that made it possible. */
static void act(void *arg)
{
        struct job *j = arg;
        struct err e;
        j->go_on = NULL;
        if (!may_begin(j)) /* something else began it since it was asked for */
                return;
        if (!job_limit(j, job_state_limit_s(j->row.state) * 1000, &e))
                return job_trouble(j, &e);
        steps[j->row.state](j);
}

static bool start_acting(struct job *j)
{
        struct engine *g = j->engine;
        /* Ends are free: they only give back. */
        bool ends = job_is_final(j->row.state);
        if (!j->slot && !ends) {
                if ((int64_t)g->acting >= g->conf->limit_jobs)
                        return false;
                j->slot = true;
                g->acting++;
        }
        j->ready = false;
        if (!j->go_on)
                j->go_on = loop_defer(g->loop, act, j);
        return true;
}

void job_run(struct job *j)
{
        if (!j->engine->started || j->engine->closing || !may_begin(j))
                return;
        engine_due_clear(j->engine, &j->due);
        if (!start_acting(j))
                j->ready = true;
}

void job_rest(struct job *j)
{
        if (j->limit)
                timer_stop(j->limit);
        if (!j->slot)
                return;
        j->slot = false;
        j->engine->acting--;
        schedule_dispatch(j->engine);
}

/* Compromised first, then in order of arrival: a planned reissue never outranks a leaked key. */
void schedule_dispatch(struct engine *g)
{
        for (int urgent = 1; urgent >= 0; urgent--)
                for (size_t i = 0; i < g->job_count; i++)
                        if (g->job[i]->ready && g->job[i]->row.compromised == (urgent == 1) && !start_acting(g->job[i]))
                                return;
}

static bool shares(const struct texts *a, const struct texts *b)
{
        for (size_t i = 0; i < a->count; i++)
                for (size_t k = 0; k < b->count; k++)
                        if (text_equal_nocase(a->item[i], b->item[k]))
                                return true;
        return false;
}

static bool excludes(struct job *holder, const char *ca, const struct ca_subject *s)
{
        const struct ca_subject *held = job_subject(holder);
        if (!held || !holder->row.ca || strcmp(holder->row.ca, ca) != 0)
                return false;
        return shares(&held->exclusive, &s->exclusive) || names_same(&held->names, &s->names);
}

static bool waits_for_sibling(const struct job *j)
{
        return j->row.state == JOB_ELIGIBLE && j->row.err_code && strcmp(j->row.err_code, "sibling") == 0;
}

/* It stands aside for a leaked key that waits for the same order. */
static bool leaked_key_waits(struct job *j, const struct ca_subject *s, struct job *other)
{
        return !j->row.compromised && other->row.compromised && waits_for_sibling(other) &&
                excludes(other, j->row.ca, s);
}

bool job_lock_order(struct job *j, const struct ca_subject *s, char *ret_holder, size_t size)
{
        struct engine *g = j->engine;
        for (size_t i = 0; i < g->job_count; i++) {
                struct job *other = g->job[i];
                if (other == j ||
                        ((!other->lock_held || !excludes(other, j->row.ca, s)) && !leaked_key_waits(j, s, other)))
                        continue;
                snprintf(ret_holder, size, "%s (job %lld)", other->row.cert, (long long)other->row.id);
                return false;
        }
        j->lock_held = true;
        return true;
}

/* Where it is just being written down that it waits, it does not sleep yet: then for no time. */
static void wake_sibling(struct job *j)
{
        if (j->moving)
                j->row.due_ms = clock_now_ms();
        else
                job_run(j);
}

void job_unlock_order(struct job *j)
{
        if (!j->lock_held)
                return;
        j->lock_held = false;
        struct engine *g = j->engine;
        for (int urgent = 1; urgent >= 0; urgent--)
                for (size_t i = 0; i < g->job_count; i++) {
                        struct job *other = g->job[i];
                        if (other != j && waits_for_sibling(other) && other->row.compromised == (urgent == 1))
                                wake_sibling(other);
                }
}
