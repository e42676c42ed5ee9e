/* Tokens: recorded before they are published, withdrawn when the last holder lets go (I5). A token is (publisher, kind,
 * place, value); its holders are jobs; while its order is open at the CA it stays out without one. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/job/when.h"
#include "agent/net/loop.h"

#define DEADLINE_GRACE_S 300 /* the CA's clock may be behind this one */
#define KEEP_LEAST_MS 60000

static bool is_state(const struct token *t, const char *state)
{
        return strcmp(t->row.state, state) == 0;
}

struct token *token_find(struct engine *g, const char *publisher, const struct proof *p)
{
        for (size_t i = 0; i < g->token_count; i++)
                if (!g->token[i]->gone && strcmp(g->token[i]->row.publisher, publisher) == 0 &&
                        proof_equal(&g->token[i]->row.proof, p))
                        return g->token[i];
        return NULL;
}

/* CNAME, FILE and TLS are exclusive per place: another value there means that another job's token must go first. */
bool token_exclusive_conflict(struct engine *g, const char *publisher, const struct proof *p, struct token **ret)
{
        for (size_t i = 0; i < g->token_count; i++) {
                struct token *t = g->token[i];
                if (t->gone || p->type == PROOF_TXT || p->type == PROOF_PERSIST || t->row.proof.type != p->type ||
                        strcmp(t->row.publisher, publisher) != 0 || !text_equal_nocase(t->row.proof.place, p->place) ||
                        proof_equal(&t->row.proof, p))
                        continue;
                if (p->type == PROOF_FILE && strcmp(t->row.proof.path, p->path) != 0)
                        continue;
                *ret = t;
                return true;
        }
        return false;
}

static struct token *add(struct engine *g, struct token_row *row_own)
{
        struct token *t = calloc(1, sizeof *t);
        struct token **more = realloc(g->token, (g->token_count + 1) * sizeof *more);
        if (more)
                g->token = more;
        if (!t || !more) {
                free(t);
                return NULL;
        }
        t->engine = g;
        t->due.kind = DUE_TOKEN;
        t->row = *row_own;
        *row_own = (struct token_row){ 0 };
        g->token[g->token_count++] = t;
        return t;
}

struct token *token_new(
        struct engine *g, const char *publisher, const struct proof *p, const char *cert, bool probe, struct err *e)
{
        struct token *t = token_find(g, publisher, p), *other = NULL;
        if (t)
                return t;
        if (!proof_check(p, e))
                return NULL;
        if (token_exclusive_conflict(g, publisher, p, &other)) {
                err_set(e, ERR_TEMPORARY, "token.busy", "%s is in use for %s", p->place,
                        other->row.cert ? other->row.cert : "another job");
                return NULL;
        }
        struct token_row row = { .id = g->next_token,
                .publisher = text_dup(publisher),
                .state = text_dup("recorded"),
                .cert = text_dup(cert),
                .probe = probe,
                .created_s = clock_now_s() };
        if (!row.publisher || !row.state || !proof_copy(&row.proof, p) || !(t = add(g, &row))) {
                token_row_done(&row);
                err_memory(e);
                return NULL;
        }
        g->next_token++;
        return t;
}

bool token_held_by(const struct token *t, int64_t job)
{
        for (size_t i = 0; i < t->row.holder_count; i++)
                if (t->row.holder[i] == job)
                        return true;
        return false;
}

bool token_hold(struct token *t, int64_t job)
{
        if (token_held_by(t, job))
                return true;
        int64_t *more = realloc(t->row.holder, (t->row.holder_count + 1) * sizeof *more);
        if (!more)
                return false;
        t->row.holder = more;
        more[t->row.holder_count++] = job;
        return true;
}

static void unhold(struct token *t, int64_t job)
{
        size_t kept = 0;
        for (size_t i = 0; i < t->row.holder_count; i++)
                if (t->row.holder[i] != job)
                        t->row.holder[kept++] = t->row.holder[i];
        t->row.holder_count = kept;
}

static const struct order_row *open_order(const struct token *t)
{
        for (size_t i = 0; t->row.order_id && i < t->engine->order_count; i++)
                if (t->engine->order[i].open && strcmp(t->engine->order[i].order_id, t->row.order_id) == 0)
                        return &t->engine->order[i];
        return NULL;
}

/* Judged by a clock that was set a moment ago no deadline has passed (engine.c: jumped). */
static bool is_past(const struct engine *g, int64_t deadline_s)
{
        return deadline_s > 0 && clock_boot_ms() >= g->clock_suspect_until_ms &&
                clock_now_s() >= deadline_s + DEADLINE_GRACE_S;
}

static bool order_keeps(const struct token *t)
{
        const struct order_row *o = open_order(t);
        return o && !is_past(t->engine, o->deadline_s);
}

/* No job holds it, its order does: until the CA's deadline. */
static void keep_for_order(struct token *t)
{
        const struct order_row *o = t->row.holder_count == 0 ? open_order(t) : NULL;
        if (o && o->deadline_s > 0)
                engine_due_set(t->engine, &t->due,
                        MAX((o->deadline_s + DEADLINE_GRACE_S) * 1000, clock_now_ms() + KEEP_LEAST_MS));
}

bool token_wanted(const struct token *t)
{
        return t->row.holder_count > 0 || order_keeps(t);
}

/* The CA has validated and issued: the order needs its tokens no more, only the job that runs still holds them. */
bool tokens_not_for_order(struct job *j, struct store_batch *b)
{
        for (size_t i = 0; i < j->engine->token_count; i++) {
                struct token *t = j->engine->token[i];
                if (t->gone || !token_held_by(t, j->row.id) || !t->row.order_id)
                        continue;
                job_set(&t->row.order_id, NULL);
                if (!journal_put_token(b, &t->row))
                        return false;
        }
        return true;
}

void token_free(struct token *t)
{
        struct engine *g = t->engine;
        if (t->call && t->publisher)
                t->publisher->ops->cancel(t->publisher->publisher, t->call);
        engine_due_clear(g, &t->due);
        loop_undefer(g->loop, t->go_on);
        for (size_t i = 0; i < g->token_count; i++)
                if (g->token[i] == t) {
                        memmove(&g->token[i], &g->token[i + 1], (--g->token_count - i) * sizeof *g->token);
                        break;
                }
        token_row_done(&t->row);
        free(t);
}

static void tell_holders(struct token *t, const struct err *e)
{
        struct engine *g = t->engine;
        if (t->row.probe)
                return rehearsals_token_moved(g, t, e);
        for (size_t i = t->row.holder_count; i-- > 0;) {
                struct job *j = engine_job(g, t->row.holder[i]);
                if (j && !j->moving)
                        job_token_moved(j, t, e);
        }
}

/* A job that ends waits for its tokens to be gone. */
static void tell_ender(struct engine *g, const char *cert)
{
        const struct cert *c = engine_cert(g, cert);
        if (c && c->job && job_is_final(c->job->row.state))
                step_final(c->job);
}

static bool put(struct token *t, struct store_batch *b, const char *event)
{
        CLEANUP(json_decref_p) json_t *data = json_object();
        char place[300];
        proof_text(&t->row.proof, place, sizeof place);
        json_put_text(data, "token", place);
        json_put_text(data, "publisher", t->row.publisher);
        int64_t job = t->row.holder_count ? t->row.holder[0] : 0;
        return journal_put_token(b, &t->row) && journal_audit(b, clock_now_s(), t->row.cert, job, event, data);
}

static bool commit(struct token *t, store_done_fn *done, const char *event)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        if (b && put(t, b, event))
                return engine_commit(t->engine, b, done, t, &e);
        store_batch_free(b);
        return false;
}

static void later(struct token *t, const struct err *e)
{
        snprintf(t->problem, sizeof t->problem, "%s", e->text);
        struct when_input in = { e->kind == ERR_CONFIG ? ERR_TEMPORARY : e->kind, ++t->failures, e->retry_after_s, true,
                false, (uint32_t)random_u64() };
        engine_due_set(t->engine, &t->due, clock_now_ms() + when_next_ms(&in));
        if (t->row.probe)
                rehearsals_token_back(t->engine, t, e);
}

/* ---- out ---- */

static void not_out(struct token *t, const struct err *e)
{
        t->failure = *e;
        snprintf(t->problem, sizeof t->problem, "%s", e->text);
        if (t->row.holder_count == 0)
                return token_withdraw(t);
        tell_holders(t, e);
}

static void published_committed(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct token *t = arg;
        crash_point("token.published");
        t->busy = false;
        if (t->row.holder_count == 0)
                return token_withdraw(t);
        tell_holders(t, e);
}

static bool knows_handle(const struct token *t, const char *handle)
{
        size_t len = strlen(handle);
        const char *line = t->row.handle;
        while (line && !(strncmp(line, handle, len) == 0 && (line[len] == '\n' || line[len] == '\0'))) {
                line = strchr(line, '\n');
                line += line != NULL;
        }
        return line != NULL;
}

/* Published again it may come to another place (an alias was changed): all are to be withdrawn, the newest first. */
static bool remember_handle(struct token *t, const char *handle)
{
        const char *old = t->row.handle;
        if (!handle || !handle[0] || knows_handle(t, handle)) /* a publisher may have nothing new to remember */
                return true;
        char *all = old && old[0] ? text_format("%s\n%s", handle, old) : text_dup(handle);
        if (!all)
                return false;
        free(t->row.handle);
        t->row.handle = all;
        return true;
}

static bool drop_newest_handle(struct token *t) /* false: there is no other, it stays */
{
        const char *rest = t->row.handle ? strchr(t->row.handle, '\n') : NULL;
        if (rest)
                memmove(t->row.handle, rest + 1, strlen(rest));
        return rest != NULL;
}

/* Nothing came there: who refused a token would refuse its withdrawal too, for ever. */
static void forget_place(struct token *t)
{
        if (!t->new_place)
                return;
        t->new_place = false;
        if (!drop_newest_handle(t))
                job_set(&t->row.handle, NULL);
        struct store_batch *b = store_batch_new();
        if (b && journal_put_token(b, &t->row))
                engine_commit_logged(t->engine, b);
        else
                store_batch_free(b);
}

static void published(void *arg, const char *handle, const struct err *err)
{
        struct token *t = arg;
        crash_point("token.out");
        t->call = NULL;
        t->busy = false;
        if (err && err->kind != ERR_UNKNOWN && err->kind != ERR_PROTOCOL)
                forget_place(t);
        if (err)
                return not_out(t, err);
        t->problem[0] = '\0';
        t->failure.kind = ERR_NONE;
        t->failures = 0;
        (void)remember_handle(t, handle); /* no memory: older places stay known, the publisher finds this one again */
        job_set(&t->row.state, "published");
        t->busy = true;
        if (!commit(t, published_committed, "token-published"))
                return published_committed(
                        t, 0, NULL); /* it is out; the row still says recorded, which a restart publishes again */
        if (!t->row.probe)
                tell_holders(t, NULL); /* that they go on is written behind it, in the same transaction */
}

static void publish_now(struct token *t);

static void publish_if_wanted(struct token *t)
{
        if (!token_wanted(t))
                return token_withdraw(t);
        publish_now(t);
}

static void stop_call(struct token *t)
{
        if (t->call)
                t->publisher->ops->cancel(t->publisher->publisher, t->call);
        t->call = NULL;
        t->busy = false;
}

static void place_committed(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct token *t = arg;
        crash_point("token.placed");
        t->placing = false;
        if (!e && t->call && token_wanted(t))
                return t->publisher->ops->go_on(t->publisher->publisher, t->call);
        stop_call(t); /* nobody wants it out now, or there is none: the configuration changed meanwhile */
        forget_place(t);
        if (e)
                return not_out(t, e);
        publish_if_wanted(t);
}

/* I5. The token's own name is in the journal already: where no alias leads away nothing more is committed. */
static void placed(void *arg, const char *handle, bool own_name)
{
        struct token *t = arg;
        struct err e;
        if ((own_name && !t->row.handle) || knows_handle(t, handle))
                return t->publisher->ops->go_on(t->publisher->publisher, t->call);
        if (!remember_handle(t, handle)) {
                stop_call(t);
                err_memory(&e);
                return not_out(t, &e);
        }
        t->placing = t->new_place = true;
        if (commit(t, place_committed, "token-placed"))
                return;
        err_memory(&e);
        place_committed(t, 0, &e);
}

static void publish_now(struct token *t)
{
        struct err e;
        t->publisher = engine_publisher(t->engine, t->row.publisher);
        if (!t->publisher) {
                err_set(&e, ERR_CONFIG, "publisher.gone", "publisher %s is no longer in the configuration",
                        t->row.publisher);
                return not_out(t, &e);
        }
        t->busy = true;
        t->new_place = false;
        t->call = t->publisher->ops->publish(t->publisher->publisher, &t->row.proof, placed, published, t, &e);
        if (!t->call) {
                t->busy = false;
                not_out(t, &e);
        }
}

static void recorded(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct token *t = arg;
        crash_point("token.recorded");
        t->busy = false;
        if (e)
                return not_out(t, e);
        t->recorded = true;
        publish_if_wanted(t);
}

static void recorded_before(void *arg)
{
        struct token *t = arg;
        t->go_on = NULL;
        recorded(t, 0, NULL);
}

bool token_record(struct token *t, struct store_batch *b)
{
        return t->recorded ? journal_put_token(b, &t->row) : put(t, b, "token-recorded");
}

void tokens_recorded(struct job *j)
{
        for (size_t i = 0; i < j->engine->token_count; i++)
                if (job_holds(j, j->engine->token[i]))
                        j->engine->token[i]->recorded = true;
}

void token_publish(struct token *t)
{
        struct err e;
        if (t->busy || t->gone)
                return;
        engine_due_clear(t->engine, &t->due);
        t->busy = true;
        if (t->recorded)
                t->go_on = loop_defer(t->engine->loop, recorded_before, t);
        if (t->recorded ? !t->go_on : !commit(t, recorded, "token-recorded")) {
                err_memory(&e);
                recorded(t, 0, &e);
        }
}

/* ---- back ---- */

static void withdrawn_committed(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        struct token *t = arg;
        struct engine *g = t->engine;
        crash_point("token.withdrawn");
        t->busy = false;
        if (e) {
                t->gone = false;
                return later(t, e);
        }
        CLEANUP(free_p) char *cert = text_dup(t->row.cert);
        if (t->row.probe)
                rehearsals_token_back(g, t, NULL);
        token_free(t);
        tell_ender(g, cert);
}

static void forget(struct token *t)
{
        struct err e;
        job_set(&t->row.state, "withdrawn");
        t->row.holder_count = 0;
        t->gone = t->busy = true;
        if (commit(t, withdrawn_committed, "token-withdrawn"))
                return tell_ender(t->engine, t->row.cert); /* what they write comes behind it, in the same queue */
        err_memory(&e);
        withdrawn_committed(t, 0, &e);
}

static void retracted(void *arg, const char *handle, const struct err *err)
{
        (void)handle;
        struct token *t = arg;
        crash_point("token.back");
        t->call = NULL;
        t->busy = false;
        if (!err && drop_newest_handle(t))
                return token_withdraw(t);
        if (!err)
                return forget(t);
        log_err(t->row.cert ? t->row.cert : "", "a token could not be withdrawn; tried again", err);
        later(t, err);
        CLEANUP(free_p) char *cert = text_dup(t->row.cert);
        tell_ender(t->engine, cert);
}

void token_withdraw(struct token *t)
{
        struct err e;
        if (t->busy || t->gone)
                return;
        if (token_wanted(t))
                return keep_for_order(t);
        engine_due_clear(t->engine, &t->due);
        t->publisher = engine_publisher(t->engine, t->row.publisher);
        if (!t->publisher) {
                err_set(&e, ERR_CONFIG, "publisher.gone",
                        "publisher %s is no longer in the configuration; its token stays at %s", t->row.publisher,
                        t->row.proof.place);
                log_err(t->row.cert ? t->row.cert : "", "a token cannot be withdrawn", &e);
                return later(t, &e);
        }
        CLEANUP(free_p)
        char *handle = t->row.handle ? text_dup_n(t->row.handle, strcspn(t->row.handle, "\n")) : NULL;
        t->busy = true;
        t->call = t->publisher->ops->retract(t->publisher->publisher, &t->row.proof, handle, retracted, t, &e);
        if (!t->call) {
                t->busy = false;
                later(t, &e);
        }
}

void token_due(struct token *t)
{
        if (t->row.holder_count == 0)
                token_withdraw(t);
        else if (!is_state(t, "published"))
                token_publish(t);
}

void tokens_let_go(struct engine *g, int64_t job)
{
        for (size_t i = g->token_count; i-- > 0;) {
                struct token *t = g->token[i];
                if (!token_held_by(t, job))
                        continue;
                unhold(t, job);
                token_withdraw(t);
        }
}

bool tokens_pending_withdrawal(struct engine *g, const char *cert)
{
        for (size_t i = 0; i < g->token_count; i++)
                if (g->token[i]->row.cert && strcmp(g->token[i]->row.cert, cert) == 0 && !token_wanted(g->token[i]))
                        return true;
        return false;
}

/* After a restart. What is wanted is published again (the responder's table is empty now; others are idempotent), the
 * rest is swept. */
void tokens_start(struct engine *g)
{
        for (size_t i = g->token_count; i-- > 0;) {
                struct token *t = g->token[i];
                for (size_t k = t->row.holder_count; k-- > 0;)
                        if (!engine_job(g, t->row.holder[k]))
                                unhold(t, t->row.holder[k]);
                if (token_wanted(t) && is_state(t, "published") && !t->placing) /* its commit goes on with it */
                        publish_now(t);
                else
                        token_withdraw(t); /* if nobody wants it */
        }
}
