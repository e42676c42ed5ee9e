/* dcvctl reissue --dry-run: asks the CAs of the list as a job would, then the web servers' own tests. Nothing is spent,
 * nothing is written but what the CA said. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

struct dry_run {
        struct engine *engine;
        struct dry_run *next;
        struct cert *cert;
        size_t index; /* of the CA that is asked */
        struct backend_ca *ca;
        bool compromised, force, staging, downgrade;
        struct ca_call *asking;
        struct deploy_run *testing;
        json_t *result;
        action_done_fn *done;
        void *arg;
};

static void finish(struct dry_run *d, const struct err *err)
{
        for (struct dry_run **at = &d->engine->dry_run; *at; at = &(*at)->next)
                if (*at == d) {
                        *at = d->next;
                        break;
                }
        d->done(d->arg, err ? NULL : d->result, err);
        json_decref(d->result);
        free(d);
}

static json_t *error_json(const struct dry_run *d, const struct err *e)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:s}", "ca", d->ca->name, "kind", err_kind_name(e->kind), "code",
                e->code, "text", e->text, "fix", e->fix);
}

static void conclude(struct dry_run *d, const struct err *err)
{
        if (err)
                json_object_set_new(d->result, "error", error_json(d, err));
        json_put_i64(d->result, "exit", !err ? 0 : err->kind == ERR_RULE ? 5 : err->kind == ERR_WAITING ? 4 : 1);
        finish(d, NULL);
}

/* This host refuses, not the CA that was asked. */
static void conclude_here(struct dry_run *d, const struct err *err)
{
        json_put_bool(d->result, "here", err != NULL);
        conclude(d, err);
}

static void tested(void *arg, const struct deploy_result *result, const struct err *err)
{
        struct dry_run *d = arg;
        (void)result;
        d->testing = NULL;
        conclude_here(d, err);
}

/* The web server's own test is the last that can refuse before something is spent. */
static void test_services(struct dry_run *d)
{
        struct err e;
        const struct conf_cert *conf = config_cert(d->engine->conf, d->cert->row.name);
        if (!conf || conf->target_count == 0)
                return conclude(d, NULL);
        d->testing = deploy_start(d->engine->loop, d->engine->helper, conf, DEPLOY_TEST, NULL, NULL, tested, d, &e);
        if (!d->testing)
                conclude_here(d, &e);
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

/* What CAs count: how many certificates of these names they gave in a week. Of other hosts only they know. */
static int64_t issued_this_week(const struct dry_run *d)
{
        int64_t n = 0;
        struct err e;
        if (!store_query(d->engine->store,
                    "SELECT count(*) FROM job WHERE cert = ? AND ca = ? AND state = 'done' AND ended > ?", "tti",
                    counted, &n, &e, d->cert->row.name, d->ca->name, clock_now_s() - 7 * 86400))
                log_err(d->cert->row.name, "how many certificates there were this week", &e);
        return n;
}

/* The name of a publisher that only announces; NULL: none is used. */
static const char *publisher_by_hand(const struct dry_run *d)
{
        const struct conf_cert *conf = config_cert(d->engine->conf, d->cert->row.name);
        for (size_t i = 0; conf && i < conf->names.count; i++) {
                const char *name = policy_publisher(conf, d->index, conf->names.item[i]);
                const struct backend_publisher *p = name ? engine_publisher(d->engine, name) : NULL;
                if (p && p->ops->by_person)
                        return name;
        }
        return NULL;
}

static struct conf_cert policy_of(const struct dry_run *d, const struct conf_cert *conf)
{
        struct conf_cert policy = *conf;
        if (d->staging)
                staging_make_trial(&policy);
        policy.fallback_downgrade = policy.fallback_downgrade || d->downgrade;
        return policy;
}

static struct subject_ask ask_of(const struct dry_run *d)
{
        return (struct subject_ask){ .compromised = d->compromised, .force = d->force, .dry = true };
}

static void note_key(struct dry_run *d, const struct conf_cert *conf, const struct ca_subject *s)
{
        struct live_key k;
        if (conf->key_csr) {
                CLEANUP(free_p) char *elsewhere = text_format("that of %s", conf->key_csr);
                json_put_text(d->result, "key_type", elsewhere);
                return;
        }
        json_put_text(d->result, "key_type", s->same_csr ? "the same key and CSR" : key_type_name(s->key_type));
        const struct conf_cert policy = policy_of(d, conf);
        live_key_look(&k, d->engine, d->cert, &policy, d->index, ask_of(d));
        if (!k.wanted || s->resume_id[0])
                return;
        bool kept = live_key_stays(&k, s);
        json_put_bool(d->result, "key_kept", kept);
        json_put_text(d->result, "key_not_kept", kept ? NULL : k.why_not);
}

static void note_subject(struct dry_run *d, const struct conf_cert *conf, const struct ca_subject *s)
{
        json_t *o = d->result;
        json_object_set_new(o, "notes", s ? json_texts(&s->notes) : json_array());
        if (!s)
                return;
        json_put_text(o, "replaces", s->id);
        json_put_text(o, "product", s->product);
        if (conf)
                note_key(d, conf, s);
        json_put_text(o, "validation", conf_validation_name(s->validation));
        json_put_bool(o, "validation_expected", s->validation_expected);
        const char *by_hand = s->validation_expected ? publisher_by_hand(d) : NULL;
        json_put_bool(o, "person_expected", s->person_expected || by_hand);
        json_put_bool(o, "approval_expected", s->person_expected);
        json_put_text(o, "published_by_hand", by_hand);
        json_put_bool(o, "last_one", s->last_one);
        json_put_i64(o, "not_after", s->not_after_s);
        json_put_text(o, "spends",
                d->ca->ops->can & CONF_CA_ISSUES ? "one of the certificates the CA allows in a time"
                        : s->last_one            ? "the only reissue of this certificate"
                                                 : "one reissue of this certificate");
        if (d->ca->ops->can & CONF_CA_ISSUES)
                json_put_i64(o, "issued_this_week", issued_this_week(d));
        if (s->resume_id[0]) {
                json_put_text(o, "resumes", s->resume_id);
                json_put_text(o, "spends", "nothing more: the order is open");
        }
}

static bool ask(struct dry_run *d, struct err *e);

/* As the job will look at it before it orders. */
static bool csr_fits(const struct dry_run *d, const struct conf_cert *conf, const struct ca_subject *s, struct err *e)
{
        CLEANUP(free_p) char *pem = NULL;
        char spki[65];
        return s->resume_id[0] || foreign_csr(d->engine, d->cert, conf, d->compromised, s, &pem, spki, e);
}

/* The next CA of the list is asked at once if this one refused for good. If it only gave no answer, its turn comes
 * after fallback.after. */
static void ask_next(struct dry_run *d, const struct conf_cert *conf, bool organization, const struct err *err)
{
        struct err e = *err;
        bool for_good = e.kind == ERR_RULE || e.kind == ERR_DENIED || e.kind == ERR_PROTOCOL || e.kind == ERR_CONFIG;
        if (d->staging || !conf || d->index + 1 >= conf->ca_count)
                return conclude(d, &e);
        const struct conf_cert policy = policy_of(d, conf);
        if (fallback_is_downgrade(d->engine, &policy, d->index, organization)) {
                fallback_say_downgrade(&e, conf, d->index);
                json_put_text(d->result, "downgrade_to", for_good ? conf->ca[d->index + 1].ca : NULL);
                return conclude(d, &e);
        }
        if (!for_good) {
                json_put_text(d->result, "next_ca", conf->ca[d->index + 1].ca);
                json_put_i64(d->result, "next_ca_after", conf->fallback_after_ms / 1000);
                return conclude(d, &e);
        }
        json_array_append_new(json_object_get(d->result, "refused"), error_json(d, &e));
        d->index++;
        if (!ask(d, &e))
                conclude_here(d, &e);
}

static void asked(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct dry_run *d = arg;
        d->asking = NULL;
        const struct conf_cert *conf = config_cert(d->engine->conf, d->cert->row.name);
        json_put_text(d->result, "ca", d->ca->name);
        json_put_bool(d->result, "issues", d->ca->ops->can & CONF_CA_ISSUES);
        note_subject(d, conf, s);
        if (s && d->index == 0 && !d->staging)
                cert_note_subject(d->cert, d->ca, s, err);
        else if (err && !d->staging)
                cert_note_limit(d->cert, d->ca, err);
        bool may_stay = conf && live_key_may_stay(d->engine, d->cert, conf, d->index, ask_of(d));
        bool untaken = !d->staging && cert_never_taken(d->cert, d->ca, s, err, may_stay);
        if (untaken) {
                json_put_text(d->result, "takes", s->id);
                json_put_text(d->result, "spends", "nothing");
                json_put_bool(d->result, "last_one", false);
        }
        struct err no_csr;
        if (!err && conf && conf->key_csr && !csr_fits(d, conf, s, &no_csr))
                err = &no_csr;
        if (!err || untaken)
                return test_services(d);
        ask_next(d, conf, s && s->organization, err);
}

static bool ask(struct dry_run *d, struct err *e)
{
        const struct conf_cert *conf = config_cert(d->engine->conf, d->cert->row.name);
        while (d->staging && conf && d->index + 1 < conf->ca_count && !staging_of(d->engine, conf->ca[d->index].ca))
                d->index++;
        const char *name = conf ? conf->ca[d->index].ca : "";
        struct backend_ca *ca = d->staging ? staging_of(d->engine, name) : engine_ca(d->engine, name);
        if (conf && d->staging && !ca) {
                free(staging_policy(d->engine, conf, 0, e)); /* says why */
                return false;
        }
        if (!ca)
                return err_set(e, ERR_CONFIG, "cert.retired", "certificate %s is no longer in the configuration",
                        d->cert->row.name);
        if (!validation_is_possible(d->engine, policy_validation(conf, d->index), e))
                return false;
        d->ca = ca;
        const struct conf_cert policy = policy_of(d, conf);
        CLEANUP(subject_request_done) struct subject_request q = { 0 };
        if (subject_request_make(&q, d->engine, d->cert, &policy, d->index, ask_of(d), e))
                d->asking = ca->ops->inspect(ca->ca, &q.r, asked, d, e);
        return d->asking != NULL;
}

bool dry_run_start(struct engine *g, struct cert *c, const json_t *args, action_done_fn *done, void *arg, struct err *e)
{
        struct dry_run *d = calloc(1, sizeof *d);
        if (!d)
                return err_memory(e);
        *d = (struct dry_run){ .engine = g,
                .cert = c,
                .compromised = json_bool(args, "compromised", false),
                .force = json_bool(args, "force", false),
                .staging = json_bool(args, "staging", false),
                .downgrade = json_bool(args, "downgrade", false),
                .index = (size_t)json_i64(args, "ca_index", 0),
                .result = json_pack("{s:s, s:b, s:[]}", "cert", c->row.name, "dry_run", 1, "refused"),
                .done = done,
                .arg = arg };
        dry_run_note_key(g, c, args, d->result);
        if (!ask(d, e)) {
                json_decref(d->result);
                free(d);
                return false;
        }
        d->next = g->dry_run;
        g->dry_run = d;
        return true;
}

void dry_runs_cancel(struct engine *g)
{
        struct err e;
        while (g->dry_run) {
                struct dry_run *d = g->dry_run;
                if (d->asking)
                        d->ca->ops->cancel(d->ca->ca, d->asking);
                deploy_cancel(d->testing);
                err_set(&e, ERR_TEMPORARY, "reconfigured", "the configuration changed meanwhile; ask again");
                finish(d, &e);
        }
}
