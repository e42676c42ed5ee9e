/* The steps before anything is spent: queued, eligible, rehearsed, keyed. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

#define SIBLING_AGAIN_MS (10 * 60 * 1000) /* also woken at once when the sibling here ends */
#define PROBE_GONE_MS 60000 /* what waiting for its withdrawal to spread may take */
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
        }
        return true;
}

static void mark_reported_key(struct job *j, const char *spki)
{
        struct err e;
        if (j->row.compromised && spki && spki[0] && !compromised_has(j->engine->keystore, spki) &&
                !engine_put_compromised(j->engine, spki, j->row.reason, &e))
                log_err(j->row.cert, "a compromised key could not be marked", &e);
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
        bool can = s->validation_expected && s->validation == VALIDATION_DNS && !j->row.rehearsed;
        for (size_t i = 0; i < s->notes.count; i++)
                job_note(j, "%s", s->notes.item[i]);
        job_go(j, wants && can ? JOB_REHEARSED : JOB_KEYED);
}

static void adopt_running(struct job *j, const struct ca_subject *s)
{
        struct order_row *known = engine_order(j->engine, j->row.ca, s->resume_id);
        job_set(&j->row.order_id, s->resume_id);
        j->row.ordered_s = known && known->opened_s ? known->opened_s : s->resume_since_s;
        if (known) {
                job_set(&j->row.spki, known->spki);
                job_set(&j->row.csr, known->csr);
        }
        char when[40];
        format_time(j->row.ordered_s, when, sizeof when);
        if (known && known->spki && compromised_has(j->engine->keystore, known->spki)) {
                struct err e;
                err_set(&e, ERR_RULE, "R5",
                        "R5: reissue %s is running since %s, but for a key that is marked compromised", s->resume_id,
                        when);
                err_fix(&e, "dcvctl cancel %s, then reissue again (may cost the only reissue of a free certificate)",
                        j->row.cert);
                return job_trouble(j, &e);
        }
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
        job_go_with(j, JOB_ORDERED, b, "a running reissue is adopted");
}

static void tested(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct job *j = arg;
        j->deploy = NULL;
        if (err) {
                struct err e = *err;
                if (e.kind == ERR_RULE && !e.fix[0])
                        err_fix(&e, "mend the web server's configuration, then dcvctl reissue %s: nothing was spent",
                                j->row.cert);
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

static void inspected(void *arg, const struct ca_subject *subject, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (subject || (err && (err->kind == ERR_RULE || err->kind == ERR_WAITING)))
                cert_note_subject(j->cert, j->ca, subject, err);
        if (subject)
                mark_reported_key(j, subject->spki_hex);
        if (err)
                return refused(j, err);
        struct ca_subject *copy = calloc(1, sizeof *copy);
        char *text = subject_to_text(subject);
        struct err e;
        if (!copy || !text || !ca_subject_copy(copy, subject)) {
                free(copy);
                free(text);
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

static bool may_reuse(const struct job *j)
{
        const char *live = j->cert->row.live_spki;
        return j->policy->key_reuse == REUSE_WHEN_NOT_COMPROMISED && !j->row.compromised && live &&
                !compromised_has(j->engine->keystore, live);
}

void step_eligible(struct job *j)
{
        struct err e;
        if (!choose_ca(j, &e))
                return job_trouble(j, &e);
        enum key_type wanted = policy_key_type(j->policy, (size_t)j->row.ca_index);
        if (wanted != KEY_NONE && !j->policy->key_csr && !may_reuse(j))
                keying_start(j, wanted); /* its making takes the time that the CA takes to answer */
        CLEANUP(free_p) char *csr = NULL;
        size_t csr_len = 0;
        if (j->policy->key_csr && !file_read(j->policy->key_csr, 64 * 1024, &csr, &csr_len, &e))
                return job_trouble(j, &e);
        struct ca_subject_request r = {
                .certificate_id = j->cert->row.newest_id ? j->cert->row.newest_id : j->policy->certificate_id,
                .names = &j->policy->names,
                .validation = policy_validation(j->policy, (size_t)j->row.ca_index),
                .key_type = wanted,
                .compromised = j->row.compromised,
                .same_csr = may_reuse(j),
                .csr_pem = csr,
                .force = j->row.force,
        };
        j->ca_call = j->ca->ops->inspect(j->ca->ca, &r, inspected, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}

/* ---- rehearsed ---- */

static void rehearsal_over(struct job *j, const struct err *err)
{
        proof_done(&j->probe);
        tokens_let_go(j->engine, j->row.id);
        if (!err || j->row.compromised) {
                j->row.rehearsed = true;
                if (err)
                        job_note(j, "rehearsal: %s; going on, the key is compromised", err->text);
                return job_go(j, JOB_KEYED);
        }
        job_trouble(j, err);
}

/* What is left behind somewhere is worth a word, not a stop: the real token's value differs. */
static void probe_gone(void *arg, const struct propagation_state *state, const struct err *err)
{
        struct propagate *p = arg;
        struct job *j = p->job;
        p->run = NULL;
        job_note(j, "rehearsal: the probe %s%s", err ? "is still shown: " : "is gone everywhere",
                err ? state->text : "");
        job_stop_work(j);
        rehearsal_over(j, NULL);
}

static void wait_until_gone(struct job *j)
{
        struct err e;
        struct conf_propagation conf = j->policy->propagation;
        conf.timeout_ms = MIN(conf.timeout_ms, PROBE_GONE_MS);
        conf.consecutive = 1;
        tokens_let_go(j->engine, j->row.id);
        j->propagate = calloc(1, sizeof *j->propagate);
        if (!j->propagate)
                return rehearsal_over(j, NULL);
        j->propagate_count = 1;
        j->propagate[0] = (struct propagate){ .job = j };
        struct propagation_request r = { .proof = &j->probe, .gone = true, .conf = &conf };
        j->propagate[0].run = propagation_start(j->engine->propagation, &r, NULL, probe_gone, &j->propagate[0], &e);
        if (!j->propagate[0].run)
                rehearsal_over(j, NULL);
}

static void probe_seen(void *arg, const struct propagation_state *state, const struct err *err)
{
        struct propagate *p = arg;
        struct job *j = p->job;
        struct err e;
        (void)state;
        p->run = NULL;
        if (err)
                e = *err;
        job_stop_work(j);
        if (!err)
                job_note(j, "rehearsal: seen everywhere");
        /* A leaked key does not wait for the withdrawal to spread. */
        if (err || j->row.compromised)
                return rehearsal_over(j, err ? &e : NULL);
        wait_until_gone(j);
}

static void probe_out(struct job *j, struct token *t)
{
        struct err e;
        proof_done(&j->probe);
        j->propagate = calloc(1, sizeof *j->propagate);
        if (!j->propagate || !proof_copy(&j->probe, &t->row.proof)) {
                free(j->propagate);
                j->propagate = NULL;
                err_memory(&e);
                return rehearsal_over(j, &e);
        }
        j->propagate_count = 1;
        j->propagate[0] = (struct propagate){ .job = j, .token = t };
        struct conf_propagation conf = j->policy->propagation;
        if (j->row.compromised)
                conf.timeout_ms = MIN(conf.timeout_ms, URGENT_REHEARSAL_MS);
        if (conf.view == VIEW_RESOLVERS)
                conf.view = VIEW_AUTHORITATIVE; /* I7: a resolver would remember the probe's name */
        struct propagation_request r = { .proof = &t->row.proof, .conf = &conf };
        j->propagate[0].run = propagation_start(j->engine->propagation, &r, NULL, probe_seen, &j->propagate[0], &e);
        if (!j->propagate[0].run)
                rehearsal_over(j, &e);
}

/* A value that no CA hands out, at the place where the real one is expected: the brand's usual label, as the CA names
 * it only with an order. */
static bool probe_proof(struct job *j, struct proof *ret)
{
        const char *name = j->policy->names.item[0];
        if (text_starts(name, "*."))
                name += 2;
        char random[17];
        uint64_t r = random_u64();
        hex_encode(random, &r, sizeof r);
        *ret = (struct proof){ .type = PROOF_TXT,
                .name = text_dup(name),
                .place = text_format("_dnsauth.%s", name),
                .value = text_format("dcvd-rehearsal-%s", random) };
        return ret->name && ret->place && ret->value;
}

void step_rehearsed(struct job *j)
{
        struct err e;
        struct proof probe;
        const char *publisher = policy_publisher(j->policy, (size_t)j->row.ca_index, j->policy->names.item[0]);
        const struct backend_publisher *p = publisher ? engine_publisher(j->engine, publisher) : NULL;
        if (!p || p->ops->by_person || !(p->ops->can & PROOF_TXT)) { /* nothing to rehearse with */
                j->row.rehearsed = true;
                return job_go(j, JOB_KEYED);
        }
        for (size_t i = 0; i < j->engine->token_count; i++) /* after a restart: an older probe goes first */
                if (token_held_by(j->engine->token[i], j->row.id) && j->engine->token[i]->row.probe)
                        tokens_let_go(j->engine, j->row.id);
        if (!probe_proof(j, &probe)) {
                proof_done(&probe);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        job_note(j, "rehearsal: publishing a probe at %s (predicted place)", probe.place);
        struct token *t = token_new(j->engine, publisher, &probe, j->row.cert, true, &e);
        proof_done(&probe);
        if (!t || !token_hold(t, j->row.id))
                return job_trouble(j, &e);
        token_publish(t);
}

/* ---- keyed ---- */

void job_token_moved(struct job *j, struct token *t, const struct err *err)
{
        if (j->row.state == JOB_REHEARSED && t->row.probe) {
                if (err)
                        return rehearsal_over(j, err);
                return probe_out(j, t);
        }
        if (j->row.state == JOB_PUBLISHED)
                step_published(j);
        (void)err;
}
