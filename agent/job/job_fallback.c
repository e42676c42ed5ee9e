/* A job goes to the next CA of its certificate's list: when it may, when it must, and how. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

#define FALLBACK_AFTER "fallback.after" /* the code of what ended an attempt that brought no final answer */
#define ANNOUNCE_MS 10000 /* before a fallback: time enough to type the cancel */

/* What the CA says of its own counts as long as nothing is live here; else what is live, even if the CA says nothing:
 * one that names nobody (any more) can lose nothing. */
bool fallback_is_downgrade(struct engine *g, const struct conf_cert *policy, size_t ca, bool organization)
{
        const struct backend_ca *now = engine_ca(g, policy->ca[ca].ca), *next = engine_ca(g, policy->ca[ca + 1].ca);
        const struct cert *c = engine_cert(g, policy->name);
        bool only_reissues = now && !(now->ops->can & CONF_CA_ISSUES),
             named = c && c->row.live_set > 0 ? c->live_organization && (organization || only_reissues) : organization;
        return named && !policy->fallback_downgrade && next && (next->ops->can & CONF_CA_ISSUES);
}

bool fallback_say_downgrade(struct err *e, const struct conf_cert *policy, size_t ca)
{
        char before[160];
        snprintf(before, sizeof before, "%.150s%s", e->fix, e->fix[0] ? "; or " : "");
        return err_fix(e,
                "%slet %s issue one without the organization's name: fallback: {downgrade: true}; or once: dcvctl "
                "reissue %s --downgrade",
                before, policy->ca[ca + 1].ca, policy->name);
}

static bool would_downgrade(struct job *j)
{
        const struct ca_subject *s = job_subject(j);
        return fallback_is_downgrade(
                j->engine, j->policy, (size_t)j->row.ca_index, j->organization || (s && s->organization));
}

/* Milliseconds until the next CA's turn, because this one gave no final answer; INT64_MAX: never. */
static int64_t until_next_ca_ms(struct job *j)
{
        bool asked = j->row.state >= JOB_ELIGIBLE && j->row.state <= JOB_ISSUED;
        if (!asked || j->row.attempt_s == 0 || j->policy->fallback_after_ms <= 0 ||
                (size_t)j->row.ca_index + 1 >= j->policy->ca_count || would_downgrade(j))
                return INT64_MAX;
        return MAX(j->row.attempt_s * 1000 + j->policy->fallback_after_ms - clock_now_ms(), 0);
}

bool job_is_too_long_at_ca(struct job *j, const struct err *e)
{
        if (until_next_ca_ms(j) > 0)
                return false;
        struct err old = *e;
        snprintf(old.code, sizeof old.code, "%s", FALLBACK_AFTER);
        job_next_attempt(j, &old);
        return true;
}

int64_t job_wait_ms(struct job *j, int64_t wanted_ms)
{
        int64_t left_ms = until_next_ca_ms(j);
        return left_ms < wanted_ms ? left_ms + 1 : wanted_ms;
}

bool job_may_fall_back(struct job *j, struct err *e)
{
        if ((size_t)j->row.ca_index + 1 >= j->policy->ca_count)
                return false;
        return !would_downgrade(j) || fallback_say_downgrade(e, j->policy, (size_t)j->row.ca_index);
}

void job_new_attempt(struct job *j, struct store_batch *b_own, const char *why)
{
        if (b_own && j->row.attempt > 0)
                journal_attempt(b_own, &j->row, j->row.err_text ? j->row.err_text : why, clock_now_s());
        job_unlock_order(j);
        j->orders_ended = 0;
        j->foreign = false;
        j->order_over = false;
        if (b_own)
                (void)job_drop_free_order(j, b_own); /* for its tokens; else they stay until the CA's deadline */
        job_set(&j->row.order_id, NULL); /* one that was paid for stays open with its tokens until then */
        job_set(&j->row.ca, NULL);
        job_set(&j->row.subject, NULL);
        job_set(&j->row.subject_id, NULL);
        job_set(&j->row.csr, NULL);
        j->row.told = j->row.same_csr = false;
        j->row.ordered_s = j->row.attempt_s = 0;
        if (j->subject)
                ca_subject_done(j->subject);
        free(j->subject);
        j->subject = NULL;
        job_go_with(j, JOB_ELIGIBLE, b_own, why);
}

/* "tencent refused (R3: ...)", "tencent gave no final answer for 6 h (...)" */
static char *left_text(const struct job *j, size_t most)
{
        char how[80] = "refused", span[40];
        if (j->row.err_code && strcmp(j->row.err_code, FALLBACK_AFTER) == 0) {
                format_span(j->policy->fallback_after_ms / 1000, span, sizeof span);
                snprintf(how, sizeof how, "gave no final answer for %s", span);
        }
        return text_format("%s %s (%.*s)", j->row.ca ? j->row.ca : "the CA", how, (int)most,
                j->row.err_text ? j->row.err_text : "");
}

static void announce_over(void *arg)
{
        struct job *j = arg;
        struct store_batch *b = store_batch_new();
        CLEANUP(free_p) char *left = left_text(j, 300), *why = NULL;
        why = text_format("%s; on to %s", left ? left : "", j->policy->ca[j->row.ca_index + 1].ca);
        j->row.ca_index++;
        job_new_attempt(j, b, why ? why : "the next CA of the list");
}

void job_next_attempt(struct job *j, const struct err *why)
{
        struct err e;
        job_stop_work(j);
        job_note_trouble(j, why);
        CLEANUP(free_p) char *left = left_text(j, 400);
        job_note(j, "%s; going to %s in 10 s; cancel: dcvctl cancel %s", left ? left : "",
                j->policy->ca[j->row.ca_index + 1].ca, j->row.cert);
        if (!j->pause && !timer_new(&j->pause, j->engine->loop, announce_over, j, &e))
                return job_again_later(j, &e);
        timer_start(j->pause, ANNOUNCE_MS);
}

bool job_go_elsewhere(struct job *j, const struct err *why)
{
        struct err e = *why;
        if (j->moving || j->ended || j->cancelling || job_is_final(j->row.state) || !job_may_fall_back(j, &e))
                return false;
        engine_due_clear(j->engine, &j->due);
        job_next_attempt(j, &e);
        return true;
}
