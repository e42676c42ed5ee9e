/* The steps before anything is spent: queued, eligible, rehearsed. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/job/rehearsal.h"
#include "agent/net/loop.h"

#define SIBLING_AGAIN_MS (10 * 60 * 1000) /* also woken at once when the sibling here ends */
#define CLOCK_OFF_S 300
#define URGENT_REHEARSAL_MS 60000 /* what a rehearsal may delay a compromise job by */

/* Limits that brake what starts by itself are the incident's and the scheduler's; an operator's job only needs its
 * turn. */
void step_queued(struct job *j)
{
        job_go(j, j->row.set_number ? JOB_DEPLOYED : JOB_ELIGIBLE);
}

/* ---- eligible ---- */

static bool choose_ca(struct job *j, struct err *e)
{
        const struct conf_ca_use *use = &j->policy->ca[j->row.ca_index];
        j->ca = engine_ca(j->engine, use->ca);
        if (!j->ca)
                return err_set(e, ERR_CONFIG, "ca.gone", "CA %s of certificate %s is no longer in the configuration",
                        use->ca, j->row.cert);
        if (!j->row.ca || strcmp(j->row.ca, use->ca) != 0) {
                job_set(&j->row.ca, use->ca);
                j->row.attempt++;
                if (j->row.attempt_s == 0)
                        j->row.attempt_s = clock_now_s();
        }
        return true;
}

static void mark_reported_key(struct job *j, const char *spki)
{
        struct err e;
        if (!j->row.trigger || strcmp(j->row.trigger, "operator") != 0)
                return; /* an incident has marked what was reported, and nothing else */
        if (j->row.compromised && spki && spki[0] && !compromised_has(j->engine->keystore, spki) &&
                !engine_put_compromised(j->engine, spki, j->row.reason, &e))
                log_err(j->row.cert, "a compromised key could not be marked", &e);
}

struct subject_ask job_ask(const struct job *j)
{
        return (struct subject_ask){
                .compromised = j->row.compromised, .force = j->row.force, .refused = j->key_refused
        };
}

static void note_live_key(struct job *j, const struct ca_subject *s)
{
        struct live_key k;
        live_key_look(&k, j->engine, j->cert, j->policy, (size_t)j->row.ca_index, job_ask(j));
        j->key_stays = k.wanted && live_key_stays(&k, s);
        if (j->key_stays)
                job_note(j, "the live key %.16s... is kept (key.reuse)", k.spki);
        else if (k.wanted)
                job_note(j, "the live key is not kept (key.reuse): %s", k.why_not);
}

static void go_to_order(struct job *j)
{
        const struct ca_subject *s = job_subject(j);
        char holder[200];
        if (!job_lock_order(j, s, holder, sizeof holder)) {
                struct err e;
                err_set(&e, ERR_WAITING, "sibling",
                        "waiting for a sibling: %s is being reissued on this host; goes on by itself", holder);
                CLEANUP(json_decref_p) json_t *w = json_object();
                json_put_text(w, "party", "sibling");
                json_put_text(w, "place", holder);
                return job_wait(j, &e, w, SIBLING_AGAIN_MS);
        }
        bool wants = j->policy->rehearse == REHEARSE_ALWAYS || (j->policy->rehearse == REHEARSE_AUTO && s->last_one);
        bool can = s->validation_expected && !j->row.rehearsed;
        for (size_t i = 0; i < s->notes.count; i++)
                job_note(j, "%s", s->notes.item[i]);
        note_live_key(j, s);
        job_go(j, wants && can ? JOB_REHEARSED : JOB_KEYED);
}

static void adopt_running(struct job *j, const struct ca_subject *s)
{
        struct order_row *known = engine_order(j->engine, j->row.ca, s->resume_id);
        job_set(&j->row.order_id, s->resume_id);
        j->row.ordered_s = known && known->opened_s ? known->opened_s : s->resume_since_s;
        const char *theirs = s->resume_spki_hex;
        if (known) {
                job_set(&j->row.spki, known->spki);
                job_set(&j->row.csr, known->csr);
        } else if (theirs[0] && keystore_has(j->engine->keystore, theirs)) {
                job_set(&j->row.spki, theirs); /* the journal forgot it, the key is here */
        }
        char when[40];
        format_time(j->row.ordered_s, when, sizeof when);
        if (j->row.spki && compromised_has(j->engine->keystore, j->row.spki)) {
                struct err e;
                err_set(&e, ERR_RULE, "R5",
                        "R5: reissue %s is running since %s, but for a key that is marked compromised", s->resume_id,
                        when);
                err_fix(&e, "dcvctl cancel %s, then reissue again (may cost the only reissue of a free certificate)",
                        j->row.cert);
                return job_trouble(j, &e);
        }
        if (subject_is_untaken(s))
                job_note(j, "%s was issued for a key of this host and never taken over: fetching it, nothing is sent",
                        s->id);
        else
                job_note(j, "R5: reissue %s is running since %s; resuming it", s->resume_id, when);
        struct store_batch *b = store_batch_new();
        struct order_row row = { .ca = j->row.ca,
                .order_id = s->resume_id[0] ? (char *)s->resume_id : NULL,
                .cert = j->row.cert,
                .subject_id = (char *)s->id,
                .spki = j->row.spki,
                .csr = j->row.csr,
                .open = true,
                .opened_s = j->row.ordered_s,
                .job = j->row.id };
        if (b)
                engine_order_put(j->engine, b, &row);
        j->lock_held = true;
        job_go_with(j, JOB_ORDERED, b,
                subject_is_untaken(s) ? "what was issued is taken over" : "a running reissue is adopted");
}

static void tested(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct job *j = arg;
        j->deploy = NULL;
        if (err) {
                struct err e = *err;
                if (e.kind == ERR_RULE)
                        err_fix(&e, "%s, then dcvctl reissue %s: nothing was spent",
                                err->fix[0] ? err->fix : "mend the web server's configuration", j->row.cert);
                return job_trouble(j, &e);
        }
        if (!j->row.was && result && result->target_count > 0) {
                CLEANUP(json_decref_p) json_t *list = json_array();
                for (size_t i = 0; i < result->target_count; i++)
                        json_array_append_new(list, json_integer(result->was[i]));
                free(j->row.was);
                j->row.was = json_text(list);
        }
        const struct ca_subject *s = job_subject(j);
        if (s->resume_id[0])
                return adopt_running(j, s);
        go_to_order(j);
}

/* The web server's own test, before anything is spent: a configuration that is broken already would waste the reissue.
 */
static void test_services(struct job *j)
{
        struct err e;
        const struct conf_cert *now = config_cert(j->engine->conf, j->row.cert);
        if (!now || now->target_count == 0)
                return tested(j, NULL, NULL);
        j->deploy = deploy_start(j->engine->loop, j->engine->helper, now, DEPLOY_TEST, NULL, NULL, tested, j, &e);
        if (!j->deploy)
                job_trouble(j, &e);
}

static void refused(struct job *j, const struct err *err)
{
        if (err->kind != ERR_WAITING)
                return job_trouble(j, err);
        CLEANUP(json_decref_p) json_t *w = json_object();
        json_put_text(w, "party", "sibling");
        json_put_text(w, "act", "none: asked again by itself");
        int64_t again_ms = MAX(err->retry_after_s, 30) * 1000;
        job_wait(j, err, w, again_ms);
}

/* Started by time, in the future of the CA's clock, and by that it is not to be renewed yet: an order that nobody needs
 * is spared. A CA that is in the time before it issued what is live says nothing about that. */
static bool is_not_due(const struct job *j)
{
        int64_t ca_s = j->ca->ops->server_time_s ? j->ca->ops->server_time_s(j->ca->ca) : 0;
        bool by_time = j->row.trigger && strcmp(j->row.trigger, "time") == 0 && !j->row.compromised;
        return by_time && ca_s > 0 && ca_s >= j->cert->live_not_before_s && j->row.created_s > ca_s + CLOCK_OFF_S &&
                cert_renewal_s(j->cert) > ca_s;
}

/* A clock that is right by now is no failure of anybody's; one that is not must not begin it again at once. */
static void end_before_its_time(struct job *j)
{
        int64_t due_s = cert_renewal_s(j->cert), off_s = clock_now_s() - j->ca->ops->server_time_s(j->ca->ca);
        char due[40], span[40];
        struct err e;
        format_time(due_s, due, sizeof due);
        format_span(off_s, span, sizeof span);
        err_set(&e, ERR_CONFIG, "clock", "it is not renewed before %s, and by the clock of %s that is not yet", due,
                j->row.ca);
        if (off_s <= CLOCK_OFF_S)
                return job_end(j, JOB_CANCELLED, e.text);
        err_fix(&e, "set this host's clock, which is %s ahead: timedatectl set-ntp true", span);
        job_fail(j, &e);
}

static void inspected(void *arg, const struct ca_subject *subject, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (!j->policy->staging && (subject || (err && (err->kind == ERR_RULE || err->kind == ERR_WAITING))))
                cert_note_subject(j->cert, j->ca, subject, err);
        else if (!j->policy->staging && err)
                cert_note_limit(j->cert, j->ca, err);
        bool untaken = cert_never_taken(j->cert, j->ca, subject, err,
                live_key_may_stay(j->engine, j->cert, j->policy, (size_t)j->row.ca_index, job_ask(j)));
        if (subject) {
                if (!untaken) /* else its key is a fresh one: what was reported is live */
                        mark_reported_key(j, subject->spki_hex);
                j->organization = subject->organization;
        }
        struct err e;
        if (err && !untaken)
                return refused(j, err);
        if (is_not_due(j))
                return end_before_its_time(j);
        struct ca_subject *copy = calloc(1, sizeof *copy);
        if (!copy || !ca_subject_copy(copy, subject)) {
                free(copy);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        if (untaken)
                subject_set_untaken(copy);
        char *text = subject_to_text(copy);
        if (!text) {
                ca_subject_done(copy);
                free(copy);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        if (j->subject)
                ca_subject_done(j->subject);
        free(j->subject);
        j->subject = copy;
        free(j->row.subject);
        j->row.subject = text;
        job_set(&j->row.subject_id, subject->id);
        j->row.same_csr = subject->same_csr;
        test_services(j);
}

bool validation_is_possible(const struct engine *g, enum conf_validation v, struct err *e)
{
        if (v != VALIDATION_TLS_ALPN || g->conf->tokens_tls_listen.count > 0)
                return true;
        err_set(e, ERR_CONFIG, "tls-alpn", "validation tls-alpn needs port 443, and dcvd does not listen there");
        return err_fix(e, "set tokens.tls_listen: [\"ADDRESS:443\"] or systemd, or choose another validation");
}

void step_eligible(struct job *j)
{
        struct err e;
        if (!choose_ca(j, &e))
                return job_trouble(j, &e);
        if (!validation_is_possible(j->engine, policy_validation(j->policy, (size_t)j->row.ca_index), &e))
                return job_trouble(j, &e);
        CLEANUP(subject_request_done) struct subject_request q = { 0 };
        if (!subject_request_make(&q, j->engine, j->cert, j->policy, (size_t)j->row.ca_index, job_ask(j), &e))
                return job_trouble(j, &e);
        if (q.r.key_type != KEY_NONE && !q.csr && !q.live.may)
                keying_start(j, q.r.key_type); /* its making takes the time that the CA takes to answer */
        j->ca_call = j->ca->ops->inspect(j->ca->ca, &q.r, inspected, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}

/* ---- rehearsed ---- */

static void rehearsal_said(void *arg, const char *text)
{
        job_note(arg, "rehearsal: %s", text);
}

/* What is left behind somewhere is worth a word, not a stop: the real token's value differs. */
static void rehearsal_over(void *arg, const struct rehearsal *r, const struct err *err)
{
        struct job *j = arg;
        (void)r;
        j->rehearsal = NULL;
        if (err && !j->row.compromised)
                return job_trouble(j, err);
        j->row.rehearsed = true;
        if (err)
                job_note(j, "rehearsal: %s; going on, the key is compromised", err->text);
        job_go(j, JOB_KEYED);
}

/* What cannot be rehearsed is no reason to stop: the job will ask for it when it is needed. */
static void drop_impossible(struct rehearsal_plan *plan)
{
        size_t kept = 0;
        for (size_t i = 0; i < plan->count; i++)
                if (plan->item[i].why_not.kind != ERR_NONE)
                        probe_plan_done(&plan->item[i]);
                else
                        plan->item[kept++] = plan->item[i];
        plan->count = kept;
}

void step_rehearsed(struct job *j)
{
        struct err e;
        struct rehearsal_plan plan;
        for (size_t i = 0; i < j->engine->token_count; i++) /* after a restart: an older probe goes first */
                if (token_held_by(j->engine->token[i], j->row.id) && j->engine->token[i]->row.probe)
                        tokens_let_go(j->engine, j->row.id);
        if (!rehearsal_plan_make(j->engine, j->policy, (size_t)j->row.ca_index, false, &plan, &e))
                return job_trouble(j, &e);
        drop_impossible(&plan);
        if (plan.count == 0) { /* nothing to rehearse with */
                rehearsal_plan_done(&plan);
                j->row.rehearsed = true;
                return job_go(j, JOB_KEYED);
        }
        struct rehearsal_request r = { .policy = j->policy, .holder = j->row.id };
        if (j->row.compromised) { /* a leaked key does not wait for the withdrawal to spread */
                r.hurried = true;
                r.timeout_ms = URGENT_REHEARSAL_MS;
        }
        j->rehearsal = rehearsal_start(j->engine, &r, &plan, rehearsal_said, rehearsal_over, j, &e);
        rehearsal_plan_done(&plan);
        if (!j->rehearsal)
                job_trouble(j, &e);
}

void job_token_moved(struct job *j, struct token *t, const struct err *err)
{
        if (j->row.state == JOB_PUBLISHED && !j->cancelling)
                step_published(j);
        (void)err;
        (void)t;
}
