/* What only the daemon can say for dcvctl check: what each CA of the list answers when asked whether the certificate
 * can be had now, whether the web servers' own tests pass, whether the publishers are let in, and what the journal
 * counts. Everything is asked, nothing is changed and nothing spent. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

struct looks;
struct look_one { /* one certificate; its CAs, its test and its publishers one after another */
        struct looks *all;
        const struct conf_cert *conf;
        size_t ca, name;
        struct backend_ca *asked;
        struct ca_call *asking;
        struct deploy_run *testing;
        struct backend_publisher *tried;
        struct publish_call *trying;
        struct texts tried_names;
        json_t *result;
};
struct looks {
        struct looks *next;
        struct engine *engine;
        struct look_one *one;
        size_t count, open;
        action_done_fn *done;
        void *arg;
};

static void next_ca(struct look_one *l);
static void next_publisher(struct look_one *l);

static void answer(struct looks *a, const struct err *err)
{
        struct engine *g = a->engine;
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:[], s:i}", "certificates", "exit", 0);
        for (struct looks **at = &g->looks; *at; at = &(*at)->next)
                if (*at == a) {
                        *at = a->next;
                        break;
                }
        for (size_t i = 0; i < a->count; i++) {
                json_array_append_new(json_object_get(o, "certificates"), a->one[i].result);
                texts_done(&a->one[i].tried_names);
        }
        a->done(a->arg, err ? NULL : o, err);
        free(a->one);
        free(a);
}

static json_t *error_json(const struct err *e)
{
        return json_pack("{s:s, s:s, s:s, s:s}", "kind", err_kind_name(e->kind), "code", e->code, "text", e->text,
                "fix", e->fix);
}

/* ---- the journal ---- */

static bool count_failure(void *arg, const struct store_row *row)
{
        int64_t *n = arg;
        const char *state = row_text(row, 0);
        bool failed = state && strcmp(state, job_state_name(JOB_FAILED)) == 0;
        *n += failed;
        return failed;
}

static bool last_error(void *arg, const struct store_row *row)
{
        json_put_text(arg, "last_error_code", row_text(row, 0));
        json_put_text(arg, "last_error", row_text(row, 1));
        return false;
}

struct issued { /* within seven days */
        int64_t count, oldest_s;
};

static bool take_issued(void *arg, const struct store_row *row)
{
        struct issued *i = arg;
        *i = (struct issued){ row_i64(row, 0), row_i64(row, 1) };
        return false;
}

static void add_journal(struct look_one *l)
{
        struct engine *g = l->all->engine;
        struct err e;
        int64_t failures = 0, now_s = clock_now_s();
        const char *cert = l->conf->name;
        struct issued issued = { 0 };
        size_t stale = 0;
        (void)store_query(g->store,
                "SELECT state FROM job WHERE cert=? AND ended IS NOT NULL ORDER BY id DESC LIMIT 20", "t",
                count_failure, &failures, &e, cert);
        (void)store_query(g->store,
                "SELECT count(*), ifnull(min(ended), 0) FROM job WHERE cert=? AND state='done' AND cert_sha256 IS NOT "
                "NULL "
                "AND ended>?",
                "ti", take_issued, &issued, &e, cert, now_s - 7 * 86400);
        (void)store_query(g->store,
                "SELECT err_code, err_text FROM job WHERE cert=? AND ended IS NOT NULL ORDER BY id DESC LIMIT 1", "t",
                last_error, l->result, &e, cert);
        for (size_t i = 0; i < g->token_count; i++)
                stale +=
                        g->token[i]->row.cert && strcmp(g->token[i]->row.cert, cert) == 0 && !token_wanted(g->token[i]);
        json_put_i64(l->result, "failures_in_a_row", failures);
        json_put_i64(l->result, "issued_in_a_week", issued.count);
        json_put_i64(l->result, "oldest_of_the_week", issued.oldest_s);
        json_put_i64(l->result, "tokens_left", (int64_t)stale);
}

/* ---- publishers ---- */

static void over(struct look_one *l)
{
        if (--l->all->open == 0)
                answer(l->all, NULL);
}

static void note_publisher(struct look_one *l, const struct err *err)
{
        json_t *o = json_pack("{s:s, s:s}", "publisher", l->tried->name, "name", l->conf->names.item[l->name]);
        if (err)
                json_object_set_new(o, "error", error_json(err));
        json_array_append_new(json_object_get(l->result, "publishers"), o);
}

static void tried(void *arg, const char *handle, const struct err *err)
{
        struct look_one *l = arg;
        (void)handle;
        l->trying = NULL;
        note_publisher(l, err);
        l->name++;
        next_publisher(l);
}

static bool probe_of(struct look_one *l, const char *name, struct proof *ret)
{
        const char *base = text_starts(name, "*.") ? name + 2 : name;
        const struct backend_ca *ca = engine_ca(l->all->engine, l->conf->ca[0].ca);
        *ret = (struct proof){ .type = PROOF_TXT,
                .name = text_dup(base),
                .place = text_format("%s.%s", ca && ca->ops->dns_label ? ca->ops->dns_label : "_dnsauth", base),
                .value = text_dup("dcvd-check") };
        return ret->name && ret->place && ret->value;
}

/* Each publisher once for each name: a key may be good for one zone and not for another. */
static void next_publisher(struct look_one *l)
{
        struct err e;
        for (; l->name < l->conf->names.count; l->name++) {
                const char *name = l->conf->names.item[l->name], *which = policy_publisher(l->conf, 0, name);
                l->tried = which ? engine_publisher(l->all->engine, which) : NULL;
                if (!l->tried || !l->tried->ops->try || policy_validation(l->conf, 0) != VALIDATION_DNS)
                        continue;
                struct proof p;
                bool made = probe_of(l, name, &p);
                l->trying = made ? l->tried->ops->try(l->tried->publisher, &p, tried, l, &e) : NULL;
                proof_done(&p);
                if (l->trying)
                        return;
                if (made)
                        note_publisher(l, &e);
        }
        over(l);
}

/* ---- the web servers' tests ---- */

static void tested(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct look_one *l = arg;
        (void)result;
        l->testing = NULL;
        if (err)
                json_object_set_new(l->result, "test", error_json(err));
        else
                json_put_text(l->result, "test", l->conf->target_count ? "passed" : "none");
        next_publisher(l);
}

static void test_services(struct look_one *l)
{
        struct err e;
        struct engine *g = l->all->engine;
        if (l->conf->target_count == 0)
                return tested(l, NULL, NULL);
        l->testing = deploy_start(g->loop, g->helper, l->conf, DEPLOY_TEST, NULL, NULL, tested, l, &e);
        if (!l->testing)
                tested(l, NULL, &e);
}

/* ---- the CAs ---- */

static void asked(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct look_one *l = arg;
        l->asking = NULL;
        json_t *o = json_pack("{s:s, s:s}", "ca", l->asked->name, "type", l->asked->ops->type);
        if (err)
                json_object_set_new(o, "error", error_json(err));
        if (s) {
                json_object_set_new(o, "rules", json_texts(&s->rules));
                json_put_i64(o, "not_after", s->not_after_s);
                json_put_i64(o, "reissuable_until", s->reissuable_until_s);
                json_put_bool(o, "last_one", s->last_one);
        }
        json_array_append_new(json_object_get(l->result, "cas"), o);
        const struct cert *c = engine_cert(l->all->engine, l->conf->name);
        if (l->ca == 0 && c) {
                CLEANUP(free_p) char *end = cert_end_text(c, s, clock_now_s());
                json_put_text(l->result, "end", end);
        }
        l->ca++;
        next_ca(l);
}

static void next_ca(struct look_one *l)
{
        struct err e;
        struct engine *g = l->all->engine;
        const struct cert *cert = engine_cert(g, l->conf->name);
        if (l->ca >= l->conf->ca_count)
                return test_services(l);
        l->asked = engine_ca(g, l->conf->ca[l->ca].ca);
        if (!l->asked) {
                l->ca++;
                return next_ca(l);
        }
        CLEANUP(subject_request_done) struct subject_request q = { 0 };
        if (subject_request_make(&q, g, cert, l->conf, l->ca, (struct subject_ask){ .dry = true }, &e))
                l->asking = l->asked->ops->inspect(l->asked->ca, &q.r, asked, l, &e);
        if (!l->asking)
                asked(l, NULL, &e);
}

/* ---- start and end ---- */

void looks_cancel(struct engine *g)
{
        struct err e;
        err_set(&e, ERR_TEMPORARY, "reconfigured", "the configuration changed meanwhile; ask again");
        while (g->looks) {
                struct looks *a = g->looks;
                for (size_t i = 0; i < a->count; i++) {
                        struct look_one *l = &a->one[i];
                        if (l->asking)
                                l->asked->ops->cancel(l->asked->ca, l->asking);
                        deploy_cancel(l->testing);
                        if (l->trying)
                                l->tried->ops->cancel(l->tried->publisher, l->trying);
                }
                answer(a, &e);
        }
}

/* What the configuration in force says of it, for whoever has read the file since. */
static json_t *in_force(const struct conf_cert *conf)
{
        json_t *o =
                json_pack("{s:s, s:[], s:[], s:[], s:[]}", "cert", conf->name, "cas", "publishers", "list", "targets");
        json_object_set_new(o, "names", json_texts(&conf->names));
        for (size_t i = 0; i < conf->ca_count; i++)
                json_array_append_new(json_object_get(o, "list"), json_string(conf->ca[i].ca));
        for (size_t i = 0; i < conf->target_count; i++) {
                char hash[65];
                target_hash(&conf->target[i], hash);
                json_array_append_new(json_object_get(o, "targets"), json_string(hash));
        }
        return o;
}

static bool choose(struct looks *a, const json_t *args, struct err *e)
{
        const json_t *names = json_object_get(args, "certs");
        a->one = calloc(json_array_size(names) + 1, sizeof *a->one);
        if (!a->one)
                return err_memory(e);
        for (size_t i = 0; i < json_array_size(names); i++) {
                const char *name = json_string_value(json_array_get(names, i));
                const struct conf_cert *conf = name ? config_cert(a->engine->conf, name) : NULL;
                if (!conf) /* the daemon's configuration is an older one: what it knows is told */
                        continue;
                a->one[a->count++] = (struct look_one){ .all = a, .conf = conf, .result = in_force(conf) };
        }
        return true;
}

void action_check(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct looks *a = calloc(1, sizeof *a);
        if (!a || (a->engine = g, !choose(a, args, &e))) {
                if (!a)
                        err_memory(&e);
                free(a);
                return done(arg, NULL, &e);
        }
        a->done = done;
        a->arg = arg;
        a->next = g->looks;
        g->looks = a;
        a->open = a->count + 1;
        for (size_t i = 0; i < a->count; i++) {
                add_journal(&a->one[i]);
                next_ca(&a->one[i]);
        }
        if (--a->open == 0)
                answer(a, NULL);
}
