/* What the CA shows of an order that is open, and where that leads its job: the view decides, not the order of the
 * rows. */
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

#define POLL_LEAST_MS 100
#define POLL_MOST_MS (30 * 60 * 1000)
#define POLL_KEEPS_SLOT_MS 15000 /* shorter waits keep the slot */
#define POLL_EXACT_LEAST_MS 5
#define READS_LAG_S 300 /* how long the CA's reads may lag behind its writes */
#define ORDERS_MOST 5 /* of one attempt; each ended without a certificate */
#define ORDER_AGAIN_S 30 /* before the second; doubled for each further one */

static const char *publisher_for(struct job *j, const struct proof *p)
{
        const char *name = policy_publisher(j->policy, (size_t)j->row.ca_index, p->name ? p->name : p->place);
        const struct backend_publisher *b = name ? engine_publisher(j->engine, name) : NULL;
        if (p->type == PROOF_PERSIST)
                return PUBLISHER_STANDING;
        if (p->type == PROOF_TLS && !(b && (b->ops->can & PROOF_TLS)))
                return PUBLISHER_SELF;
        return name;
}

/* Is every open proof of the view held as a token by this job and out? */
static bool all_out(struct job *j, const struct ca_view *v)
{
        for (size_t i = 0; i < v->proof_count; i++) {
                const char *publisher = publisher_for(j, &v->proof[i]);
                const struct token *t = publisher ? token_find(j->engine, publisher, &v->proof[i]) : NULL;
                if (!t || strcmp(t->row.state, "published") != 0 || !token_held_by(t, j->row.id))
                        return false;
        }
        return true;
}

static bool record_tokens(struct job *j, const struct ca_view *v, struct store_batch *b, struct err *e)
{
        for (size_t i = 0; i < v->proof_count; i++) {
                const char *publisher = publisher_for(j, &v->proof[i]);
                if (!publisher) {
                        err_set(e, ERR_CONFIG, "publisher.none", "no publisher is configured for %s",
                                v->proof[i].name ? v->proof[i].name : v->proof[i].place);
                        return err_fix(e,
                                "name one under certificates.%s.publisher and send SIGHUP to dcvd; the order waits",
                                j->row.cert);
                }
                const struct backend_publisher *p = engine_publisher(j->engine, publisher);
                if (p && !(p->ops->can & v->proof[i].type)) {
                        err_set(e, ERR_CONFIG, "publisher.cannot",
                                "%s asks for a %s record or file for %s, which publisher %s (%s) cannot make",
                                j->row.ca, proof_type_name((int)v->proof[i].type), v->proof[i].place, publisher,
                                p->ops->type);
                        return err_fix(e,
                                "name one that can under certificates.%s.publisher and send SIGHUP to dcvd; the order "
                                "waits",
                                j->row.cert);
                }
                struct token *t = token_new(j->engine, publisher, &v->proof[i], j->row.cert, false, e);
                if (!t)
                        return false;
                job_set(&t->row.order_id, j->row.order_id);
                if (!token_hold(t, j->row.id) || !token_record(t, b))
                        return err_memory(e);
        }
        return true;
}

static void go_published(struct job *j, const struct ca_view *v)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        if (!b || !record_tokens(j, v, b, &e) || !job_put_order(j, b, true, v->deadline_s)) {
                if (!b)
                        err_memory(&e);
                store_batch_free(b);
                if (j->row.state == JOB_ORDERED &&
                        e.kind != ERR_PROTOCOL) { /* our side: the order stays open, a person mends it */
                        e.kind = ERR_TEMPORARY;
                }
                return job_trouble(j, &e);
        }
        j->row.told = false;
        job_go_with(j, JOB_PUBLISHED, b, NULL);
}

static void poll_again(void *arg)
{
        struct job *j = arg;
        if (!j->moving && !j->ca_call)
                job_look_at_order(j);
}

void job_poll_in(struct job *j, int64_t ms)
{
        struct err e;
        if (!j->poll && !timer_new(&j->poll, j->engine->loop, poll_again, j, &e))
                return job_trouble(j, &e);
        timer_start(j->poll, ms);
        if (j->limit)
                timer_stop(j->limit); /* waiting for the CA is bounded by its deadline, not by this */
}

static const char *party_of(const struct ca_view *v)
{
        if (v->party[0])
                return v->party;
        return v->person_is_ours ? "your company" : "the CA's reviewers";
}

static void waiting_for(json_t *w, const struct ca_view *v)
{
        json_put_text(w, "party", party_of(v));
        json_put_text(w, "act", v->act);
        json_put_text(w, "place", v->place);
        json_put_bool(w, "ours", v->person_is_ours);
        json_put_i64(w, "since", v->since_s);
        json_put_i64(w, "deadline", v->deadline_s);
        json_put_text(w, "state", v->state);
}

/* A person must act: no slot is held, days may pass. */
static void wait_for_person(struct job *j, const struct ca_view *v)
{
        struct err e;
        char since[32] = "", by[48] = "", when[32];
        if (v->since_s) {
                format_date(v->since_s, when, sizeof when);
                snprintf(since, sizeof since, " since %.12s", when);
        }
        if (v->deadline_s) {
                format_date(v->deadline_s, when, sizeof when);
                snprintf(by, sizeof by, ", by %.12s", when);
        }
        if (v->person_is_ours)
                err_set(&e, ERR_WAITING, "person", "waiting for %s: %s (%s), order %s%s", party_of(v), v->act, v->state,
                        j->row.order_id, by);
        else
                err_set(&e, ERR_WAITING, "review", "waiting for %s%s: %s%sorder %s (%s)%s", party_of(v), since, v->act,
                        v->act[0] ? ", " : "", j->row.order_id, v->state, by);
        err_fix(&e, "%s", v->place);
        CLEANUP(json_decref_p) json_t *w = json_object();
        waiting_for(w, v);
        job_wait(j, &e, w, MIN(MAX(v->poll_after_ms, POLL_LEAST_MS), POLL_MOST_MS));
}

/* The order is over without a certificate, and another costs nothing but the CA's patience. */
void job_order_again(struct job *j, const char *why)
{
        struct store_batch *b = store_batch_new();
        if (b)
                (void)(journal_attempt(b, &j->row, why, clock_now_s()) &&
                        job_put_order(j, b, false, 0)); /* for people */
        j->orders_ended++;
        j->order_over = false;
        tokens_let_go(j->engine, j->row.id);
        job_set(&j->row.order_id, NULL);
        job_set(&j->row.ca, NULL);
        job_set(&j->row.csr, NULL);
        j->row.told = false;
        j->row.ordered_s = 0;
        job_note(j, "a new order: %s", why);
        job_go_with(j, JOB_ELIGIBLE, b, why);
}

bool job_orders_cost_nothing(const struct job *j)
{
        return j->ca->ops->resolve == NULL;
}

bool job_may_order_again(const struct job *j)
{
        return j->orders_ended + 1 < ORDERS_MOST;
}

/* Waits first, with its tokens taken back: what failed (a name server, a firewall) may pass, and CAs count failures. */
static void ended_again(struct job *j, int64_t least_s, struct err *e)
{
        if (j->order_over)
                return job_order_again(j, e->text);
        j->order_over = true;
        tokens_let_go(j->engine, j->row.id);
        e->kind = ERR_TEMPORARY;
        e->retry_after_s = MAX(ORDER_AGAIN_S << j->orders_ended, least_s);
        job_trouble(j, e);
}

static void ended(struct job *j, const struct ca_view *v)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        if (b && job_put_order(j, b, false, v->deadline_s))
                engine_commit_logged(j->engine, b);
        else
                store_batch_free(b);
        static const char *const how[] = { "", "failed", "was closed", "was cancelled", "was revoked" };
        err_set(&e, ERR_DENIED, "order.ended", "order %s at %s %s: %s (%s)", j->row.order_id, j->row.ca, how[v->end],
                v->end_reason[0] ? v->end_reason : "no reason given", v->state);
        if (v->place[0] || v->act[0])
                err_fix(&e, "%s", v->place[0] ? v->place : v->act);
        if (v->end_again && job_may_order_again(j))
                return ended_again(j, v->again_after_s, &e);
        job_trouble(j, &e);
}

static void keep_looking(struct job *j, const struct ca_view *v)
{
        /* Soon after it was told the CA may be done any moment: a half of the time since then, up to what the CA's way
         * asks for. */
        int64_t since_ms = j->submitted_ms ? clock_boot_ms() - j->submitted_ms : POLL_MOST_MS;
        int64_t in_ms = v->poll_exact ? MIN(MAX(v->poll_after_ms, POLL_EXACT_LEAST_MS), POLL_MOST_MS)
                                      : MIN(MAX(MIN(v->poll_after_ms, since_ms / 2), POLL_LEAST_MS), POLL_MOST_MS);
        struct err e;
        job_set_progress(j, "order %s: %s", j->row.order_id, v->state);
        err_set(&e, ERR_WAITING, "ca", "waiting for %s: order %s (%s)", j->row.ca, j->row.order_id, v->state);
        if (job_is_too_long_at_ca(j, &e))
                return;
        if (in_ms <= POLL_KEEPS_SLOT_MS)
                return job_poll_in(j, job_wait_ms(j, in_ms));
        CLEANUP(json_decref_p) json_t *w = json_object();
        json_put_text(w, "party", "ca");
        json_put_text(w, "state", v->state);
        json_put_i64(w, "deadline", v->deadline_s);
        job_wait(j, &e, w, in_ms);
}

static void still_wants_csr(struct job *j, const struct ca_view *v)
{
        struct err e;
        err_set(&e, ERR_TEMPORARY, "finalize", "%s took the CSR of order %s, yet asks for it again (%s)", j->row.ca,
                j->row.order_id, v->state);
        job_trouble(j, &e);
}

/* At a CA whose orders must be found again after a lost answer, reads may lag behind the write that made one: if it
 * does not know the order yet, it has not refused it. An ACME CA gives the order with its first answer, and means what
 * it says. */
static bool look_again_young(struct job *j, const struct err *err)
{
        int64_t age_s = clock_now_s() - j->row.ordered_s;
        if (job_orders_cost_nothing(j) || (err->kind != ERR_DENIED && err->kind != ERR_RULE) || age_s < 0 ||
                age_s > READS_LAG_S)
                return false;
        job_set_progress(j, "order %s is not shown yet: %.300s", j->row.order_id, err->text);
        job_poll_in(j, MAX(age_s * 1000 / 4, POLL_LEAST_MS));
        return true;
}

static void viewed(void *arg, const struct ca_view *v, const struct err *err)
{
        struct job *j = arg;
        j->ca_call = NULL;
        if (err && look_again_young(j, err))
                return;
        if (err)
                return j->row.state == JOB_PROPAGATED ? job_poll_in(j, LOOK_WHILE_SPREADING_MS) : job_trouble(j, err);
        bool by_ca = policy_validation(j->policy, (size_t)j->row.ca_index) == VALIDATION_DNS_AUTO;
        bool out = by_ca || all_out(j, v);
        enum job_state next = order_next(v, by_ca || (out && (j->row.told || j->row.state == JOB_PROPAGATED)));
        if (j->row.state == JOB_PROPAGATED && (next == JOB_SUBMITTED || next == JOB_REVIEWED))
                return job_poll_in(j, LOOK_WHILE_SPREADING_MS); /* only its end or its success changes the course while
                                                               tokens spread */
        if (next == JOB_FAILED)
                return ended(j, v);
        if (next == JOB_PUBLISHED)
                return go_published(j, v);
        if (next == JOB_REVIEWED && j->row.state == JOB_REVIEWED)
                return wait_for_person(j, v);
        bool same = next == j->row.state;
        if (same && (next == JOB_SUBMITTED || (next == JOB_FINALIZED && v->issuing)))
                return keep_looking(j, v);
        if (same && next == JOB_FINALIZED)
                return still_wants_csr(j, v);
        struct store_batch *b = NULL;
        if (next == JOB_ISSUED) {
                b = store_batch_new();
                if (!b || !tokens_not_for_order(j, b)) {
                        struct err e;
                        store_batch_free(b);
                        err_memory(&e);
                        return job_trouble(j, &e);
                }
        }
        job_go_with(j, next, b, v->state);
}

void job_look_at_order(struct job *j)
{
        struct err e;
        if (!job_have_ca(j))
                return;
        j->ca_call = j->ca->ops->view(j->ca->ca, j->row.order_id, viewed, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}
