/* dcvctl rehearse: every certificate's probes at once, one answer when all of them are gone again. No order is opened.
 * Its tokens are held by a negative number, which no job has: a start after a crash finds no holder and sweeps. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/rehearsal.h"

struct rehearse_one {
        struct rehearse *all;
        const char *cert;
        json_t *result;
};
struct rehearse {
        struct engine *engine;
        struct rehearse_one *one;
        size_t count, open;
        int64_t id;
        action_done_fn *done;
        void *arg;
};

static void answer(struct rehearse *a)
{
        json_t *o = json_pack("{s:s, s:[]}", "schema", "dcvd.rehearse/1", "certificates");
        int64_t exit = 0;
        for (size_t i = 0; i < a->count; i++) {
                int64_t one = json_i64(a->one[i].result, "exit", 1);
                exit = exit == 1 || one == 1 ? 1 : exit > one ? exit : one;
                json_array_append_new(json_object_get(o, "certificates"), a->one[i].result);
        }
        json_put_i64(o, "exit", exit);
        a->done(a->arg, o, NULL);
        json_decref(o);
        free(a->one);
        free(a);
}

static void emit(struct rehearse_one *one, const char *text)
{
        json_t *o = json_object();
        json_put_i64(o, "job", one->all->id);
        json_put_text(o, "cert", one->cert);
        json_put_text(o, "text", text);
        engine_emit(one->all->engine, o);
}

static void said(void *arg, const char *text)
{
        emit(arg, text);
}

static json_t *failed_json(const struct err *e)
{
        return json_pack("{s:s, s:s, s:s}", "code", e->code, "text", e->text, "fix", e->fix);
}

static void put_failure(json_t *o, const struct err *err)
{
        json_put_i64(o, "exit", err->kind == ERR_RULE ? 5 : 1);
        json_put_text(o, "verdict", err->kind == ERR_RULE ? "not-rehearsed" : "failed");
        json_object_set_new(o, "error", failed_json(err));
}

static void over(void *arg, const struct rehearsal *r, const struct err *err)
{
        struct rehearse_one *one = arg;
        json_t *o = rehearsal_json(r);
        json_put_text(o, "cert", one->cert);
        if (err) {
                put_failure(o, err);
        } else {
                json_put_i64(o, "exit", 0);
                json_put_text(o, "verdict", "ready");
        }
        one->result = o;
        if (--one->all->open == 0)
                answer(one->all);
}

/* ---- dry run ---- */

static json_t *planned_json(const char *cert, const struct rehearsal_plan *plan)
{
        json_t *o = json_pack("{s:s, s:s, s:[], s:i}", "cert", cert, "verdict", "planned", "probes", "exit", 0);
        for (size_t i = 0; i < plan->count; i++) {
                json_t *p = probe_plan_json(&plan->item[i]);
                if (plan->item[i].why_not.kind != ERR_NONE) {
                        json_object_set_new(p, "error", failed_json(&plan->item[i].why_not));
                        if (!plan->item[i].label)
                                put_failure(o, &plan->item[i].why_not);
                }
                json_array_append_new(json_object_get(o, "probes"), p);
        }
        return o;
}

/* ---- start ---- */

static bool begin(struct rehearse_one *one, const json_t *args, struct err *e)
{
        struct engine *g = one->all->engine;
        struct rehearsal_plan plan = { 0 };
        const struct conf_cert *policy = config_cert(g->conf, one->cert);
        if (!policy)
                return err_set(
                        e, ERR_CONFIG, "cert.retired", "certificate %s is no longer in the configuration", one->cert);
        if (!rehearsal_plan_make(g, policy, ALL_CAS, true, &plan, e))
                return false;
        if (json_bool(args, "dry_run", false)) {
                one->result = planned_json(one->cert, &plan);
                rehearsal_plan_done(&plan);
                return one->result || err_memory(e);
        }
        struct rehearsal_request r = {
                .policy = policy, .holder = --g->last_rehearsal, .timeout_ms = json_i64(args, "timeout_ms", 0)
        };
        bool good = rehearsal_start(g, &r, &plan, said, over, one, e) != NULL;
        rehearsal_plan_done(&plan);
        one->all->open += good;
        return good;
}

static bool is_chosen(const struct rehearse *a, const char *cert)
{
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->one[i].cert, cert) == 0)
                        return true;
        return false;
}

static bool choose(struct rehearse *a, const json_t *args, struct err *e)
{
        const json_t *names = json_object_get(args, "certs");
        a->one = calloc(json_array_size(names) + 1, sizeof *a->one);
        if (!a->one)
                return err_memory(e);
        for (size_t i = 0; i < json_array_size(names); i++) {
                CLEANUP(json_decref_p) json_t *name = json_pack("{s:O}", "cert", json_array_get(names, i));
                struct cert *cert = NULL;
                if (!action_cert(a->engine, name, &cert, e))
                        return false;
                if (!is_chosen(a, cert->row.name))
                        a->one[a->count++] = (struct rehearse_one){ .all = a, .cert = cert->row.name };
        }
        return a->count > 0 || err_set(e, ERR_CONFIG, "cert.none", "rehearse needs a certificate");
}

void action_rehearse(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct rehearse *a = calloc(1, sizeof *a);
        if (!a || (a->engine = g, !choose(a, args, &e))) {
                if (!a)
                        err_memory(&e);
                else
                        free(a->one);
                free(a);
                return done(arg, NULL, &e);
        }
        a->id = json_i64(args, "id", 0);
        a->done = done;
        a->arg = arg;
        a->open = 1;
        for (size_t i = 0; i < a->count; i++)
                if (!begin(&a->one[i], args, &e)) {
                        a->one[i].result = json_pack("{s:s, s:[]}", "cert", a->one[i].cert, "probes");
                        put_failure(a->one[i].result, &e);
                }
        if (--a->open == 0)
                answer(a);
}
