#include "agent/job/rehearsal.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"

#define GONE_MS 60000 /* what waiting for the withdrawal to spread may take */

/* Out, seen, back, gone: each is over once, well or not. */
struct probe {
        struct rehearsal *rehearsal;
        struct probe_plan plan;
        struct token *token; /* NULL: not recorded, or withdrawn */
        struct propagation *run;
        bool settled; /* seen, or failed */
        bool seen;
        bool back; /* its withdrawal has ended */
        bool looked; /* whether it is gone */
        int64_t published_ms, seen_ms, gone_ms; /* since the start, since the withdrawal; -1: not */
        json_t *servers; /* as they showed it */
        struct err err; /* why it was not seen; kind ERR_NONE: it was */
        struct err left; /* what stays behind */
};
struct rehearsal {
        struct engine *engine;
        struct rehearsal *next;
        struct conf_propagation conf;
        int64_t holder, start_ms, back_ms;
        bool hurried, going_back;
        struct probe *probe;
        size_t count;
        rehearsal_note_fn *note;
        rehearsal_done_fn *done;
        void *arg;
        struct timer *step; /* what happened is judged once, from the loop */
};

static void step(void *arg);

static void step_soon(struct rehearsal *r)
{
        timer_start(r->step, 0);
}

static void note(struct rehearsal *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct rehearsal *r, const char *format, ...)
{
        struct buf b = { .max = 2000 };
        va_list ap;
        va_start(ap, format);
        buf_addv(&b, format, ap);
        va_end(ap);
        if (b.data)
                r->note(r->arg, b.data);
        buf_done(&b);
}

static void settle(struct probe *p, const struct err *err)
{
        if (err)
                p->err = *err;
        p->seen = !err;
        p->settled = true;
        if (!p->token)
                p->back = true;
        step_soon(p->rehearsal);
}

/* ---- seen ---- */

static void spreading(void *arg, const struct propagation_state *state)
{
        struct probe *p = arg;
        note(p->rehearsal, "%s", state->text);
}

static void spread(void *arg, const struct propagation_state *state, const struct err *err)
{
        struct probe *p = arg;
        p->run = NULL;
        p->servers = propagation_servers_json(state);
        p->seen_ms = err ? -1 : clock_boot_ms() - p->rehearsal->start_ms;
        settle(p, err);
}

static void look(struct probe *p)
{
        struct err e;
        struct rehearsal *r = p->rehearsal;
        struct propagation_request q = { .proof = &p->token->row.proof,
                .no_resolvers = !p->plan.label,
                .internal = engine_ca_is_internal(r->engine, p->plan.ca),
                .conf = &r->conf };
        p->run = propagation_start(r->engine->propagation, &q, spreading, spread, p, &e);
        if (!p->run)
                settle(p, &e);
}

void rehearsals_token_moved(struct engine *g, const struct token *t, const struct err *err)
{
        for (struct rehearsal *r = g->rehearsal; r; r = r->next)
                for (size_t i = 0; i < r->count; i++) {
                        struct probe *p = &r->probe[i];
                        if (p->token != t || p->settled || p->run)
                                continue;
                        if (err) {
                                settle(p, err);
                                continue;
                        }
                        p->published_ms = clock_boot_ms() - r->start_ms;
                        look(p);
                }
}

/* ---- gone ---- */

void rehearsals_token_back(struct engine *g, const struct token *t, const struct err *err)
{
        for (struct rehearsal *r = g->rehearsal; r; r = r->next)
                for (size_t i = 0; i < r->count; i++) {
                        struct probe *p = &r->probe[i];
                        if (p->token != t)
                                continue;
                        p->back = true;
                        if (err)
                                p->left = *err;
                        else
                                p->token = NULL;
                        step_soon(r);
                }
}

static void looked(void *arg, const struct propagation_state *state, const struct err *err)
{
        struct probe *p = arg;
        (void)state;
        p->run = NULL;
        p->looked = true;
        if (err)
                p->left = *err;
        else
                p->gone_ms = clock_boot_ms() - p->rehearsal->back_ms;
        step_soon(p->rehearsal);
}

static void look_gone(struct probe *p)
{
        struct err e;
        struct conf_propagation conf = p->rehearsal->conf;
        conf.timeout_ms = MIN(conf.timeout_ms, GONE_MS);
        conf.consecutive = 1;
        struct propagation_request q = { .proof = &p->plan.proof,
                .gone = true,
                .no_resolvers = true,
                .internal = engine_ca_is_internal(p->rehearsal->engine, p->plan.ca),
                .conf = &conf };
        p->looked = !p->seen;
        p->run = p->seen ? propagation_start(p->rehearsal->engine->propagation, &q, NULL, looked, p, &e) : NULL;
        if (p->seen && !p->run) {
                p->left = e;
                p->looked = true;
        }
}

/* ---- ends ---- */

static void unlink_rehearsal(struct rehearsal *r)
{
        for (struct rehearsal **at = &r->engine->rehearsal; *at; at = &(*at)->next)
                if (*at == r) {
                        *at = r->next;
                        break;
                }
        for (size_t i = 0; i < r->count; i++) {
                propagation_cancel(r->probe[i].run);
                r->probe[i].run = NULL;
                r->probe[i].token = NULL;
        }
        timer_stop(r->step);
        if (!r->engine->closing) /* else the next start sweeps */
                tokens_let_go(r->engine, r->holder);
}

static void rehearsal_free(struct rehearsal *r)
{
        for (size_t i = 0; i < r->count; i++) {
                json_decref(r->probe[i].servers);
                probe_plan_done(&r->probe[i].plan);
        }
        timer_free(r->step);
        free(r->probe);
        free(r);
}

void rehearsal_cancel(struct rehearsal *r)
{
        if (!r)
                return;
        unlink_rehearsal(r);
        rehearsal_free(r);
}

static struct rehearsal *of_no_job(struct engine *g)
{
        struct rehearsal *r = g->rehearsal;
        while (r && r->holder > 0)
                r = r->next;
        return r;
}

void rehearsals_end(struct engine *g, const struct err *err)
{
        for (struct rehearsal *r; (r = of_no_job(g));) {
                unlink_rehearsal(r);
                r->done(r->arg, r, err);
                rehearsal_free(r);
        }
}

bool engine_end_rehearsals(struct engine *g)
{
        struct err e;
        bool any = of_no_job(g) != NULL;
        err_set(&e, ERR_CANCELLED, "interrupted", "interrupted; the probes are being withdrawn");
        rehearsals_end(g, &e);
        return any;
}

/* What went wrong before what could not be tried. */
static const struct err *first_error(const struct rehearsal *r)
{
        const struct err *untried = NULL;
        for (size_t i = 0; i < r->count; i++) {
                const struct probe *p = &r->probe[i];
                if (p->err.kind == ERR_NONE || p->plan.label)
                        continue;
                if (p->plan.why_not.kind == ERR_NONE)
                        return &p->err;
                untried = untried ? untried : &p->err;
        }
        return untried;
}

static void say_gone(struct rehearsal *r)
{
        size_t left = 0, at = 0;
        for (size_t i = 0; i < r->count; i++)
                if (r->probe[i].left.kind != ERR_NONE && left++ == 0)
                        at = i;
        if (left == 0)
                note(r, "%s gone everywhere", r->count == 1 ? "the probe is" : "the probes are");
        else
                note(r, "a probe is still shown: %s", r->probe[at].left.text);
}

static void finish(struct rehearsal *r)
{
        const struct err *err = first_error(r);
        unlink_rehearsal(r);
        if (r->going_back)
                say_gone(r);
        r->done(r->arg, r, err);
        rehearsal_free(r);
}

static void go_back(struct rehearsal *r)
{
        r->going_back = true;
        r->back_ms = clock_boot_ms();
        tokens_let_go(r->engine, r->holder);
        for (size_t i = 0; i < r->count; i++)
                look_gone(&r->probe[i]);
        step_soon(r);
}

static void step(void *arg)
{
        struct rehearsal *r = arg;
        bool settled = true, back = true;
        for (size_t i = 0; i < r->count; i++) {
                settled = settled && r->probe[i].settled;
                back = back && r->probe[i].back && r->probe[i].looked;
        }
        if (r->going_back)
                return back ? finish(r) : (void)0;
        if (r->hurried && first_error(r))
                return finish(r);
        if (!settled)
                return;
        if (!first_error(r))
                note(r, "seen everywhere");
        if (r->hurried)
                return finish(r);
        go_back(r);
}

/* ---- start ---- */

/* I7: a resolver that was asked would remember the probe, or that there is nothing, just before the CA asks it. */
static void choose_view(struct conf_propagation *conf)
{
        if (conf->view == VIEW_RESOLVERS)
                conf->view = VIEW_AUTHORITATIVE;
}

static void publish(struct probe *p, const char *cert)
{
        struct rehearsal *r = p->rehearsal;
        struct err e;
        if (p->plan.why_not.kind != ERR_NONE)
                return settle(p, &p->plan.why_not);
        note(r, "publishing a probe at %s%s", p->plan.proof.place, p->plan.predicted ? " (predicted place)" : "");
        struct token *t = token_new(r->engine, p->plan.publisher, &p->plan.proof, cert, true, &e);
        if (!t)
                return settle(p, &e);
        if (!token_hold(t, r->holder)) {
                token_free(t);
                err_memory(&e);
                return settle(p, &e);
        }
        p->token = t;
        token_publish(t);
}

struct rehearsal *rehearsal_start(struct engine *g, const struct rehearsal_request *q, struct rehearsal_plan *plan_own,
        rehearsal_note_fn *note_fn, rehearsal_done_fn *done, void *arg, struct err *e)
{
        struct rehearsal *r = calloc(1, sizeof *r);
        if (r)
                r->probe = calloc(plan_own->count + 1, sizeof *r->probe);
        if (!r || !r->probe || !timer_new(&r->step, g->loop, step, r, e)) {
                if (r)
                        free(r->probe);
                free(r);
                err_memory(e);
                return NULL;
        }
        r->engine = g;
        r->conf = q->policy->propagation;
        choose_view(&r->conf);
        if (q->timeout_ms > 0)
                r->conf.timeout_ms = MIN(r->conf.timeout_ms, q->timeout_ms);
        r->holder = q->holder;
        r->hurried = q->hurried;
        r->note = note_fn;
        r->done = done;
        r->arg = arg;
        r->start_ms = clock_boot_ms();
        r->count = plan_own->count;
        for (size_t i = 0; i < r->count; i++)
                r->probe[i] = (struct probe){
                        .rehearsal = r, .plan = plan_own->item[i], .published_ms = -1, .seen_ms = -1, .gone_ms = -1
                };
        free(plan_own->item);
        *plan_own = (struct rehearsal_plan){ 0 };
        r->next = g->rehearsal;
        g->rehearsal = r;
        for (size_t i = 0; i < r->count; i++)
                publish(&r->probe[i], q->policy->name);
        step_soon(r);
        return r;
}

/* ---- the document ---- */

static json_t *error_json(const struct err *e)
{
        return json_pack("{s:s, s:s, s:s}", "code", e->code, "text", e->text, "fix", e->fix);
}

static json_t *probe_json(const struct probe *p)
{
        json_t *o = probe_plan_json(&p->plan);
        json_put_bool(o, "seen", p->seen);
        if (p->published_ms >= 0)
                json_put_i64(o, "published_after_ms", p->published_ms);
        if (p->seen_ms >= 0)
                json_put_i64(o, "seen_after_ms", p->seen_ms);
        if (p->gone_ms >= 0)
                json_put_i64(o, "gone_after_ms", p->gone_ms);
        if (p->err.kind != ERR_NONE)
                json_object_set_new(o, "error", error_json(&p->err));
        if (p->left.kind != ERR_NONE)
                json_object_set_new(o, "left_behind", error_json(&p->left));
        json_object_set_new(o, "servers", p->servers ? json_incref(p->servers) : json_array());
        return o;
}

json_t *rehearsal_json(const struct rehearsal *r)
{
        json_t *o = json_pack("{s:[]}", "probes");
        int64_t ready_ms = 0;
        for (size_t i = 0; i < r->count; i++) {
                json_array_append_new(json_object_get(o, "probes"), probe_json(&r->probe[i]));
                if (!r->probe[i].plan.label)
                        ready_ms = MAX(ready_ms, r->probe[i].seen_ms);
        }
        if (!first_error(r))
                json_put_i64(o, "forecast_ms", ready_ms);
        return o;
}
