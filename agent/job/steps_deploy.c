/* The steps after the certificate is here: deployed, served, and the ends. I4: done means seen; what failed is put back
 * exactly as it was. */
#include <limits.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

#define END_WAITS_MS 60000 /* for tokens to be gone, before an end is told without them */
#define LOOK_PATIENCE_MS 10000

/* Targets are named in the policy and looked up in the configuration as it is now. */
static const struct conf_cert *target_conf(struct job *j, struct err *e)
{
        const struct conf_cert *now = config_cert(j->engine->conf, j->row.cert);
        for (size_t i = 0; i < j->policy->target_count; i++) {
                bool found = false;
                for (size_t k = 0; now && k < now->target_count; k++)
                        found = found || strcmp(now->target[k].directory, j->policy->target[i].directory) == 0;
                if (!found) {
                        err_set(e, ERR_CONFIG, "target.gone",
                                "target %s of certificate %s is no longer in the configuration",
                                j->policy->target[i].directory, j->row.cert);
                        err_fix(e,
                                "the new certificate is kept as set %lld: dcvctl deploy %s --set %lld (no new order)",
                                (long long)j->row.set_number, j->row.cert, (long long)j->row.set_number);
                        return NULL;
                }
        }
        return now ? now : j->policy;
}

static void record_services(struct job *j, const struct deploy_result *r, struct store_batch *b)
{
        for (size_t i = 0; r && i < r->service_count; i++) {
                const struct deploy_service_result *s = &r->service[i];
                CLEANUP(free_p) char *state = text_format("%s %s", s->step, s->good ? "good" : "failed");
                if (state)
                        journal_service(b, j->row.cert, s->target, s->service, state, s->text, j->row.set_number,
                                clock_now_s());
        }
}

static void kept(struct job *j, struct err *e)
{
        err_fix(e, "old set kept, new set kept as %lld; mend it, then dcvctl deploy %s --set %lld (no new order)",
                (long long)j->row.set_number, j->row.cert, (long long)j->row.set_number);
}

/* Neither the new nor surely the old is in use. */
static void stuck(const struct job *j, struct err *e)
{
        err_fix(e,
                "look at that server now: its files, or it, may be neither old nor new; when it is mended: dcvctl "
                "deploy %s --set %lld (no new order)",
                j->row.cert, (long long)j->row.set_number);
}

/* What a put-back goes to: live when the job began, per target; NULL: as the helper finds it. */
static unsigned *was_of(const struct job *j, size_t count)
{
        CLEANUP(json_decref_p) json_t *list = NULL;
        if (!j->row.was || !json_read(j->row.was, strlen(j->row.was), 4, &list, NULL) || json_array_size(list) != count)
                return NULL;
        unsigned *was = calloc(count + 1, sizeof *was);
        for (size_t i = 0; was && i < count; i++)
                was[i] = (unsigned)json_integer_value(json_array_get(list, i));
        return was;
}

static json_t *endpoints_json(const struct look_endpoint *list, size_t count)
{
        json_t *all = json_array();
        for (size_t i = 0; all && i < count; i++) {
                json_t *o = json_object();
                json_put_text(o, "endpoint", list[i].address);
                json_put_text(o, "sni", list[i].sni);
                json_put_text(o, "service", list[i].service);
                json_put_text(o, "protocol", tls_protocol_name(list[i].protocol));
                json_put_bool(o, "match", list[i].verdict == LOOK_SAME);
                json_put_text(o, "sha256", list[i].served_sha256);
                json_put_i64(o, "not_after", list[i].served_not_after_s);
                json_put_text(o, "text", list[i].text);
                json_put_bool(o, "found", list[i].found);
                json_put_i64(o, "at", clock_now_s());
                json_array_append_new(all, o);
        }
        return all;
}

void cert_keep_endpoints(struct cert *c, const struct look_endpoint *list, size_t count)
{
        CLEANUP(json_decref_p) json_t *all = endpoints_json(list, count);
        char *text = json_text(all);
        if (text) {
                free(c->row.served);
                c->row.served = text;
        }
}

/* ---- deployed ---- */

static void looked_before(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct job *j = arg;
        (void)err; /* nothing is wrong yet */
        j->look = NULL;
        if (count > 0) /* none: what an earlier look found is still expected */
                cert_keep_endpoints(j->cert, list, count);
        step_deployed(j);
}

/* With `verify: auto` a server that the reload kills would not be found, and so not be missed, afterwards: who serves
 * the live certificate is looked up first. False: nothing to wait for. */
static bool look_before(struct job *j, const struct conf_cert *conf)
{
        struct set set = { 0 };
        struct err e;
        if (j->looked_before || !look_is_automatic(conf) || j->row.live_set == 0)
                return false;
        j->looked_before = true;
        if (!sets_read(j->engine->sets, j->row.cert, (unsigned)j->row.live_set, 0, &set, &e))
                return false;
        struct look_request r = { .cert = conf,
                .dns = j->engine->dns,
                .want_sha256 = set.chain.leaf.sha256,
                .key_type = set.chain.leaf.key_type,
                .in_a_row = 1 };
        j->look = look_start(j->engine->loop, &r, looked_before, j, &e);
        set_done(&set);
        return j->look != NULL;
}

static bool make_live(struct set_change *c, struct err *e)
{
        return sets_switch(c->sets, c->cert, c->number, e);
}

static void made_live(struct job *j, struct set_change *c, const struct err *err)
{
        struct err e;
        if (err || !cert_load_live(j->cert, &e)) {
                if (err)
                        e = *err;
                return job_trouble(j, &e);
        }
        crash_point("deploy.switched");
        if (c->batch)
                journal_put_cert(c->batch, &j->cert->row);
        job_go_with(j, JOB_SERVED, STEAL(c->batch), NULL);
}

static void installed(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct job *j = arg;
        struct err e;
        crash_point("deploy.answered");
        j->deploy = NULL;
        struct store_batch *b = store_batch_new();
        if (b)
                record_services(j, result, b);
        if (err) {
                e = *err;
                if (b)
                        engine_commit_logged(j->engine, b);
                if (result && result->put_back_failed)
                        stuck(j, &e);
                else if (e.kind == ERR_DENIED || e.kind == ERR_RULE)
                        kept(j, &e);
                return job_trouble(j, &e);
        }
        struct set_change *c = set_change_new(j);
        if (!c) {
                store_batch_free(b);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        c->batch = b;
        set_change_start(j, c, make_live, made_live);
}

void step_deployed(struct job *j)
{
        struct err e;
        struct set set = { 0 };
        const struct conf_cert *conf = target_conf(j, &e);
        if (!conf)
                return job_trouble(j, &e);
        if (look_before(j, conf))
                return;
        if (!sets_read(j->engine->sets, j->row.cert, (unsigned)j->row.set_number, SET_KEY, &set, &e))
                return job_trouble(j, &e);
        if (conf->target_count == 0) {
                set_done(&set);
                return installed(j, NULL, NULL);
        }
        CLEANUP(free_p) unsigned *was = was_of(j, conf->target_count);
        crash_point("deploy.send");
        j->deploy = deploy_start(j->engine->loop, j->engine->helper, conf, DEPLOY_INSTALL, &set, was, installed, j, &e);
        set_done(&set);
        if (!j->deploy)
                job_trouble(j, &e);
}

/* ---- served ---- */

/* Good, and then the oldest beyond `keep.sets` go. */
static bool mark_good(struct set_change *c, struct err *e)
{
        if (!sets_change_meta(c->sets, c->cert, c->number, c->meta, e))
                return false;
        for (size_t i = 0; i < c->old_count; i++)
                if (!sets_remove(c->sets, c->cert, c->old[i], &c->told))
                        c->stays = c->old[i];
        return true;
}

/* All but the newest `keep.sets` besides the live one. */
static void find_old_sets(struct job *j, struct set_change *c)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        unsigned live = sets_live(j->engine->sets, j->row.cert);
        if (!sets_list(j->engine->sets, j->row.cert, &number, &count, &e) ||
                !(c->old = calloc(count + 1, sizeof *c->old)))
                return;
        int64_t keep = j->engine->conf->keep_sets;
        for (size_t i = count; i-- > 0;)
                if (number[i] != live && keep-- <= 0 && !incidents_need_set(j->engine, j->row.cert, number[i]))
                        c->old[c->old_count++] = number[i];
}

static void led_back(struct job *j, struct set_change *c, const struct err *err)
{
        struct err e;
        if (err || !cert_load_live(j->cert, &e))
                log_err(j->row.cert, "the live link could not be put back", err ? err : &e);
        job_trouble(j, &c->told);
}

static void put_back(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct job *j = arg;
        struct err e;
        bool back = !err || (result && result->restored);
        j->deploy = NULL;
        if (err && !back && err->kind == ERR_TEMPORARY) {
                e = *err; /* looked at again, and put back again if that is still the answer */
                return job_trouble(j, &e);
        }
        err_set(&e, ERR_DENIED, "look.put-back", "%s; put back",
                j->row.err_text ? j->row.err_text : "an endpoint serves another certificate");
        if (err)
                err_set(&e, ERR_DENIED, "look.put-back-failed", "%s; putting back failed: %s",
                        j->row.err_text ? j->row.err_text : "", err->text);
        if (err)
                stuck(j, &e);
        else
                kept(j, &e);
        struct set_change *c = back && j->row.live_set ? set_change_new(j) : NULL;
        if (!c)
                return job_trouble(j, &e);
        c->number = (unsigned)j->row.live_set;
        c->told = e;
        set_change_start(j, c, make_live, led_back);
}

/* I4: only a set that is valid and not compromised is worth going back to after a good test and reload. */
static bool old_set_is_worth_it(struct job *j)
{
        struct set set = { 0 };
        struct err e;
        if (j->row.live_set == 0 || j->row.live_set == j->row.set_number ||
                !sets_read(j->engine->sets, j->row.cert, (unsigned)j->row.live_set, SET_KEY, &set, &e))
                return false;
        bool worth = set.chain.leaf.not_after_s > clock_now_s() &&
                !compromised_has(j->engine->keystore, set.chain.leaf.spki_hex) && !j->row.compromised;
        set_done(&set);
        return worth;
}

static void looked_bad(struct job *j, const struct err *err)
{
        struct err e = *err;
        const struct conf_cert *conf = target_conf(j, &(struct err){ 0 });
        if (e.kind == ERR_DENIED && strcmp(e.code, "look.different") == 0)
                err_set(&e, ERR_DENIED, "look.different", "reload said 0 but %s", err->text);
        if (!conf || !old_set_is_worth_it(j)) {
                /* The new set stays; the look is repeated: somebody may mend the server. */
                e.kind = ERR_TEMPORARY;
                err_fix(&e,
                        "the new certificate stays installed (the old one is compromised or expired): see that the "
                        "server's configuration names the files in %s, reload it by hand; dcvd looks again",
                        conf && conf->target_count ? conf->target[0].directory : "its directory");
                return job_trouble(j, &e);
        }
        job_set(&j->row.err_text, e.text);
        CLEANUP(free_p) unsigned *was = was_of(j, conf->target_count);
        j->deploy = was
                ? deploy_start(j->engine->loop, j->engine->helper, conf, DEPLOY_RESTORE, NULL, was, put_back, j, &e)
                : NULL;
        if (!j->deploy)
                put_back(j, NULL, was ? &e : NULL);
}

static void marked_good(struct job *j, struct set_change *c, const struct err *err)
{
        if (err)
                return job_trouble(j, err);
        if (c->stays)
                log_err(j->row.cert, "an old set could not be removed", &c->told);
        job_end(j, JOB_DONE, c->text);
}

static void looked(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct job *j = arg;
        struct err e;
        j->look = NULL;
        cert_keep_endpoints(j->cert, list, count);
        if (err)
                return looked_bad(j, err);
        CLEANUP(free_p)
        char *what = job_only_deploys(j) ? text_format("set %lld", (long long)j->row.set_number)
                                         : text_dup("new certificate");
        struct set_change *c = set_change_new(j);
        if (c) {
                c->meta = json_pack("{s:b, s:b}", "good", 1, "looked_at", count > 0);
                c->text = count == 0 ? text_dup("deployed, not looked at") : text_format("%s served", what ? what : "");
                find_old_sets(j, c);
        }
        if (!c || !what || !c->meta || !c->text) {
                set_change_free(c);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        for (size_t i = 0; i < count; i++)
                job_note(j, "%s%s%s serves %s%s", list[i].address, list[i].sni ? " as " : "",
                        list[i].sni ? list[i].sni : "", job_only_deploys(j) ? "" : "the ", what);
        set_change_start(j, c, mark_good, marked_good);
}

struct look_known *known_endpoints(const json_t *list, size_t *ret_count)
{
        struct look_known *known = calloc(json_array_size(list) + 1, sizeof *known);
        size_t i;
        json_t *x;
        *ret_count = 0;
        json_array_foreach(list, i, x)
        {
                const char *address = json_str(x, "endpoint");
                if (known && address && json_bool(x, "found", false))
                        known[(*ret_count)++] = (struct look_known){ address, json_str(x, "sni") };
        }
        return known;
}

void step_served(struct job *j)
{
        CLEANUP(json_decref_p) json_t *before = NULL;
        CLEANUP(free_p) struct look_known *known = NULL;
        size_t known_count = 0;
        struct err e;
        struct set set = { 0 };
        const struct conf_cert *conf = target_conf(j, &e);
        if (!conf)
                return job_trouble(j, &e);
        if (!sets_read(j->engine->sets, j->row.cert, (unsigned)j->row.set_number, 0, &set, &e))
                return job_trouble(j, &e);
        if (j->cert->row.served && json_read(j->cert->row.served, strlen(j->cert->row.served), 8, &before, &e))
                known = known_endpoints(before, &known_count);
        struct look_request r = { .cert = conf,
                .dns = j->engine->dns,
                .want_sha256 = set.chain.leaf.sha256,
                .known = known,
                .known_count = known_count,
                .key_type = set.chain.leaf.key_type,
                .in_a_row = 3,
                .patience_ms = LOOK_PATIENCE_MS };
        j->look = look_start(j->engine->loop, &r, looked, j, &e);
        set_done(&set);
        if (!j->look)
                job_trouble(j, &e);
}

/* ---- the ends ---- */

static void over(void *arg, int64_t rowid, const struct err *err)
{
        (void)rowid;
        struct job *j = arg;
        struct engine *g = j->engine;
        struct cert *c = j->cert;
        j->moving = false;
        if (err) {
                if (j->parked++ == 0)
                        log_err(j->row.cert, "the end of a job could not be written; tried again", err);
                j->ended = false;
                engine_due_set(g, &j->due, clock_now_ms() + 5000);
                return;
        }
        metrics_job_ended(j);
        json_t *o = job_status_json(j);
        json_put_bool(o, "ended", true);
        json_put_i64(o, "exit", job_exit_code(&j->row));
        json_put_text(o, "text", j->row.result);
        engine_emit(g, o);
        job_unlock_order(j);
        job_rest(j);
        if (j->row.state == JOB_FAILED) /* an ACME CA, too, which is asked seldom: it may take no orders any more */
                c->ask_first = true;
        job_free(j);
        keys_retire(g);
        incidents_look(g);
        cert_plan_soon(c); /* what the CA allows now is not what it allowed before */
}

static void end_now(struct job *j)
{
        struct err e;
        struct store_batch *b = store_batch_new();
        job_stop_work(j);
        j->row.ended_s = clock_now_s();
        j->ended = j->moving = true;
        if (b && journal_put_job(b, &j->row) && engine_commit(j->engine, b, over, j, &e))
                return;
        err_memory(&e);
        over(j, 0, &e);
}

static void end_timeout(void *arg)
{
        struct job *j = arg;
        if (!j->moving && !j->ended) {
                log_warning(j->row.cert, "job %lld ends with tokens still out; they are withdrawn in the background",
                        (long long)j->row.id);
                end_now(j);
        }
}

static bool still_out(const struct job *j)
{
        for (size_t i = 0; i < j->engine->token_count; i++) {
                const struct token *t = j->engine->token[i];
                bool same = t->row.cert && strcmp(t->row.cert, j->row.cert) == 0;
                if (same && !t->gone && !token_wanted(t) && t->failures < 2 && (t->busy || t->due.entry.index))
                        return true;
        }
        return false;
}

void step_final(struct job *j)
{
        struct err e;
        if (j->ended || j->moving)
                return;
        keying_drop(j);
        if (!j->counted) { /* once: a withdrawal that ends comes back here */
                j->counted = true;
                staging_clear(j);
                tokens_let_go(j->engine, j->row.id);
        }
        if (!still_out(j))
                return end_now(j);
        if (!j->pause && timer_new(&j->pause, j->engine->loop, end_timeout, j, &e))
                timer_start(j->pause, END_WAITS_MS);
}
