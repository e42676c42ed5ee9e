/* Certificates at rest: what is live, when to look next, what to say as the end comes near. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/incident.h"
#include "agent/job/internal.h"
#include "agent/job/when.h"

/* Between jobs what the CA allows changes only by a date that is known, or by a hand at its console: asking seldom is
 * enough, and it is asked again before and after every job. Where there are many they are asked in groups, so that the
 * host sleeps between them. */
#define ASK_EVERY_S (7 * 86400)
#define ASK_SPREAD_S 86400
#define ASK_FEW 50
#define ASK_GROUP_S 600
#define WINDOW_AGAIN_S (6 * 3600) /* RFC 9773 section 4.3.3 */
#define RENEW_SOON_S 300 /* it is due, but a job runs or the clock was just set */
#define RENEW_AGAIN_S 86400 /* after a renewal that failed for good; sooner where a tenth of the lifetime is less */
#define RENEW_AGAIN_LEAST_S 60

struct cert *engine_cert(struct engine *g, const char *name)
{
        size_t low = 0, high = g->cert_count;
        while (name && low < high) {
                size_t mid = low + (high - low) / 2;
                int order = strcmp(g->cert[mid]->row.name, name);
                if (order == 0)
                        return g->cert[mid];
                if (order < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

struct cert *engine_cert_add(struct engine *g, const char *name, struct err *e)
{
        struct cert *c = calloc(1, sizeof *c);
        struct cert **more = (g->cert_count & (g->cert_count - 1)) == 0
                ? realloc(g->cert, (g->cert_count ? 2 * g->cert_count : 1) * sizeof *more)
                : g->cert;
        if (more)
                g->cert = more;
        if (!c || !more || !(c->row.name = text_dup(name))) {
                free(c);
                err_memory(e);
                return NULL;
        }
        c->engine = g;
        c->due.kind = DUE_CERT;
        c->renew_jitter = (uint32_t)random_u64();
        size_t at = g->cert_count++;
        while (at > 0 && strcmp(g->cert[at - 1]->row.name, name) > 0) {
                g->cert[at] = g->cert[at - 1];
                at--;
        }
        g->cert[at] = c;
        return c;
}

void cert_free(struct cert *c)
{
        if (c->asking && c->asked)
                c->asked->ops->cancel(c->asked->ca, c->asking);
        engine_due_clear(c->engine, &c->due);
        cert_row_done(&c->row);
        free(c);
}

bool cert_load_live(struct cert *c, struct err *e)
{
        struct set set = { 0 };
        unsigned live = sets_live(c->engine->sets, c->row.name);
        c->row.live_set = live;
        c->live_not_before_s = c->live_revoked_s = 0;
        c->live_organization = false;
        c->window_start_s = c->window_end_s = c->window_renew_s = c->window_next_s = 0;
        if (live == 0) {
                job_set(&c->row.live_sha256, NULL);
                job_set(&c->row.live_spki, NULL);
                c->row.live_not_after_s = 0;
                return true;
        }
        if (!sets_read(c->engine->sets, c->row.name, live, SET_WHOLE, &set, e))
                return false;
        job_set(&c->row.live_sha256, set.chain.leaf.sha256);
        job_set(&c->row.live_spki, set.chain.leaf.spki_hex);
        c->row.live_not_after_s = set.chain.leaf.not_after_s;
        c->live_not_before_s = set.chain.leaf.not_before_s;
        c->live_revoked_s = json_i64(set.meta, "revoked", 0);
        c->live_organization = set.chain.leaf.organization;
        set_done(&set);
        return true;
}

bool cert_shared_key(struct engine *g, const char *spki, struct texts *ret)
{
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i]->row.live_spki && strcmp(g->cert[i]->row.live_spki, spki) == 0 &&
                        !texts_add(ret, g->cert[i]->row.name))
                        return false;
        return true;
}

void cert_plan_soon(struct cert *c)
{
        if (config_cert(c->engine->conf, c->row.name))
                engine_due_set(c->engine, &c->due, clock_now_ms() + 1000);
}

static int64_t checked_s(const struct cert *c, int64_t *ret_not_before, int64_t *ret_not_after)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!c->row.reissuable || !json_read(c->row.reissuable, strlen(c->row.reissuable), 8, &o, NULL))
                return 0;
        *ret_not_before = json_i64(o, "not_before", 0);
        *ret_not_after = json_i64(o, "not_after", 0);
        return json_i64(o, "checked", 0);
}

/* Past a CA of the list that only reissues what names an organization, to one that would leave it out: as a fallback
 * there, only where that is allowed. */
static bool drops_organization(const struct cert *c, const struct conf_cert *conf, size_t index)
{
        return index > 0 && c->live_organization && !conf->fallback_downgrade;
}

/* The first of its list that renews, and may. */
static bool renews(const struct cert *c, const struct conf_cert *conf, size_t *ret_index)
{
        return cert_ca_that_can(c->engine, conf, CONF_CA_RENEWS, ret_index) && !drops_organization(c, conf, *ret_index);
}

int64_t cert_renewal_s(const struct cert *c)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        size_t index;
        int64_t end_s = c->row.live_not_after_s, life_s = end_s - c->live_not_before_s;
        if (!conf || !conf->renew || c->row.live_set == 0 || c->live_not_before_s == 0 || life_s <= 0 ||
                !renews(c, conf, &index))
                return 0;
        /* The CA's word, unless it would leave no time for a second try. */
        int64_t rule_s = when_renew_s(c->live_not_before_s, end_s, c->renew_jitter);
        int64_t at_s = c->window_renew_s ? MIN(c->window_renew_s, end_s - life_s / 10) : rule_s;
        /* One that wants each new certificate renewed at once would get them one after another for ever. */
        if (c->hurried_s && c->row.last_success_s >= c->hurried_s && at_s < rule_s)
                at_s = MAX(at_s, MIN(c->hurried_s + c->engine->conf->limit_cooldown_ms / 1000, rule_s));
        /* A journal that was lost makes it wait, but never until the end. */
        return MAX(at_s, MIN(c->engine->rest_until_s, end_s - life_s / 10));
}

/* As the CA says of the newest certificate now, or said it last, else of what is live here. */
static int64_t end_dates(const struct cert *c, const struct ca_subject *now, int64_t *ret_not_before)
{
        int64_t not_before_s = now ? now->not_before_s : 0, not_after_s = now ? now->not_after_s : 0;
        if (!not_before_s || !not_after_s)
                (void)checked_s(c, &not_before_s, &not_after_s);
        bool known = not_before_s && not_after_s;
        *ret_not_before = known ? not_before_s : c->live_not_before_s;
        return known ? not_after_s : c->row.live_not_after_s;
}

char *cert_end_text(const struct cert *c, const struct ca_subject *now, int64_t now_s)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        size_t index;
        if (!conf || cert_renewal_s(c))
                return NULL;
        int64_t not_before_s, not_after_s = end_dates(c, now, &not_before_s);
        bool could = cert_ca_that_can(c->engine, conf, CONF_CA_RENEWS, &index),
             drops = could && drops_organization(c, conf, index);
        CLEANUP(free_p) char *text = when_end_text(c->row.name, not_before_s, not_after_s, now_s, could && !drops);
        if (!text || !drops)
                return STEAL(text);
        return text_format("%s; or let %s issue one without the organization's name: fallback: {downgrade: true}", text,
                conf->ca[index].ca);
}

/* A Tencent reissue never extends validity, so time starts no job: it is said what to buy. */
static void warn_of_end(struct cert *c, int64_t now_s)
{
        CLEANUP(free_p) char *text = cert_end_text(c, NULL, now_s);
        if (!text) /* or no memory: told at the next look */
                return;
        int64_t not_before_s, left_s = end_dates(c, NULL, &not_before_s) - now_s;
        if (left_s <= 0)
                log_error(c->row.name, "%s", text);
        else
                log_warning(c->row.name, "%s", text);
        cert_notice_end(c, left_s, text);
}

void cert_save(struct cert *c)
{
        struct store_batch *b = store_batch_new();
        if (b && journal_put_cert(b, &c->row))
                engine_commit_logged(c->engine, b);
        else
                store_batch_free(b);
}

/* The chain at the CA and this host disagree: somebody reissued elsewhere, or the journal is older than the world. What
 * a set here has is neither: it was put back, or an older one was deployed on purpose. */
static void note_moved(
        struct cert *c, const struct backend_ca *ca, const struct ca_subject *s, const struct err *refusal)
{
        unsigned number;
        bool moved = c->row.live_sha256 && s->cert_sha256[0] && strcmp(s->cert_sha256, c->row.live_sha256) != 0 &&
                !c->job && !cert_has_set_of(c, s->cert_sha256, &number);
        if (!moved)
                return job_set(&c->row.stopped, NULL);
        if (c->row.stopped)
                return;
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        bool may_stay = conf && live_key_may_stay(c->engine, c, conf, 0, (struct subject_ask){ 0 });
        CLEANUP(free_p)
        char *why = text_format(
                "%s holds a newer certificate (%s) than the one live here%s; automatic reissues are stopped", ca->name,
                s->id,
                cert_never_taken(c, ca, s, refusal, may_stay) ? ", for a key of this host: dcvctl reissue takes it over"
                                                              : "");
        job_set(&c->row.stopped, why);
        log_warning(c->row.name, "%s; run dcvctl import or dcvctl reissue", why ? why : "");
}

static void asked(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct cert *c = arg;
        struct backend_ca *ca = c->asked;
        c->asking = NULL;
        if (s || (err && (err->kind == ERR_RULE || err->kind == ERR_WAITING))) {
                cert_note_subject(c, ca, s, err);
                if (s)
                        note_moved(c, ca, s, err);
                cert_save(c);
        } else if (err) {
                cert_note_limit(c, ca, err);
                cert_note_refused(c, ca, err);
                struct when_input in = { ERR_TEMPORARY, ++c->ask_failures, err->retry_after_s, false, false,
                        (uint32_t)random_u64() };
                log_err(c->row.name, "asking the CA whether a reissue is possible", err);
                return engine_due_set(c->engine, &c->due, clock_now_ms() + when_next_ms(&in));
        }
        c->ask_failures = 0;
        cert_plan(c);
}

static bool ask(struct cert *c, const struct conf_cert *conf)
{
        struct err e;
        c->asked = engine_ca(c->engine, conf->ca[0].ca);
        if (!c->asked || !c->asked->ops->inspect)
                return false;
        c->ask_first = false; /* if this fails, the planned looks do */
        struct conf_cert without = *conf; /* its CSR, if that cannot be read: what the CA has is worth knowing */
        /* After a job that failed an account is asked for by itself. */
        const struct subject_ask how = { .dry = c->row.last_failure_s &&
                        c->row.last_failure_s >= c->row.last_success_s };
        CLEANUP(subject_request_done) struct subject_request q = { 0 };
        if (!subject_request_make(&q, c->engine, c, conf, 0, how, &e)) {
                log_err(c->row.name, "asking the CA whether a reissue is possible, without a CSR", &e);
                without.key_csr = NULL;
                if (!subject_request_make(&q, c->engine, c, &without, 0, how, &e))
                        return false;
        }
        c->asking = c->asked->ops->inspect(c->asked->ca, &q.r, asked, c, &e);
        return c->asking != NULL;
}

void cert_plan_first(struct cert *c)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        const struct backend_ca *ca = conf ? engine_ca(c->engine, conf->ca[0].ca) : NULL;
        c->ask_first =
                ca && !(ca->ops->can & (CONF_CA_ISSUES | CONF_CA_RENEWS)); /* a chain of reissues is kept there */
        cert_plan(c);
}

/* The next common instant of this process; another process has another phase, or a CA would see them all at once. */
static int64_t group_s(const struct engine *g, int64_t at_s)
{
        if (g->cert_count <= ASK_FEW)
                return at_s;
        return at_s - (at_s + g->ask_phase_s) % ASK_GROUP_S + ASK_GROUP_S;
}

static void plan_at(struct cert *c, int64_t at_s)
{
        engine_due_set(c->engine, &c->due, group_s(c->engine, at_s) * 1000);
}

/* ---- renewal: a third of the lifetime is left (a half below ten days), and a CA of the list can renew ---- */

static void alarm_taken(void *arg, const struct incident_answer *answer, const struct err *err)
{
        (void)arg;
        (void)answer;
        if (err) /* the detector finds it again in its next round */
                log_err("", "the alarm of a CA is not kept", err);
}

/* At once: the detector that looks at the windows comes by once an hour. A window of the last third is the usual one.
 */
static void report_alarm(const struct cert *c, const struct ca_renewal *w, int64_t now_s, const char *text)
{
        struct err e;
        const struct report r = { .source = "detector revocation",
                .strength = REPORT_REVOKED,
                .cert_sha256 = c->row.live_sha256,
                .text = text,
                .link = w->explanation[0] ? w->explanation : NULL,
                .revocation_reason = -1 };
        int64_t life_s = c->row.live_not_after_s - c->live_not_before_s;
        if (c->engine->conf->detectors.revocation_ms == 0 || now_s > c->row.live_not_after_s - life_s / 3 ||
                strlen(text) > REPORT_TEXT_MAX)
                return;
        if (!incident_take(c->engine, &r, alarm_taken, NULL, &e))
                log_err(c->row.name, "the alarm of a CA is not taken", &e);
}

/* A window that is over already when the CA first names it: it wants the certificate gone. Written down once
 * for each window and process; the renewal starts by itself where there is one. */
static void raise_alarm(struct cert *c, const struct ca_renewal *r, int64_t now_s)
{
        struct engine *g = c->engine;
        char end[40];
        format_time(r->end_s, end, sizeof end);
        CLEANUP(free_p)
        char *text =
                text_format("%s asks for its renewal at once, its window ended %s%s%s: it may be about to revoke it",
                        c->asked->name, end, r->explanation[0] ? ", see " : "", r->explanation);
        CLEANUP(json_decref_p) json_t *data = json_object();
        struct store_batch *b = store_batch_new();
        log_warning(c->row.name, "%s", text ? text : "the CA asks for the renewal at once");
        json_put_text(data, "ca", c->asked->name);
        json_put_text(data, "text", text);
        json_put_i64(data, "window_end", r->end_s);
        json_put_text(data, "page", r->explanation[0] ? r->explanation : NULL);
        if (b && journal_audit(b, now_s, c->row.name, 0, "revocation-alarm", data))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        if (text)
                report_alarm(c, r, now_s, text);
}

/* Renewal information (RFC 9773): the moment is drawn once for a window, so that it does not move at every look. */
static void take_window(struct cert *c, const struct ca_renewal *r, int64_t now_s)
{
        c->window_next_s = now_s + r->look_again_s;
        if (r->start_s == c->window_start_s && r->end_s == c->window_end_s)
                return;
        c->window_start_s = r->start_s;
        c->window_end_s = r->end_s;
        c->window_renew_s = r->start_s ? r->start_s + (int64_t)random_below((uint64_t)(r->end_s - r->start_s)) : 0;
        if (r->start_s && r->end_s <= now_s)
                raise_alarm(c, r, now_s);
}

static void window_told(void *arg, const struct ca_renewal *r, const struct err *err)
{
        struct cert *c = arg;
        int64_t now_s = clock_now_s();
        c->asking = NULL;
        if (r) {
                c->ask_failures = 0;
                take_window(c, r, now_s);
        } else { /* the rule without it holds meanwhile */
                struct when_input in = { err->kind, ++c->ask_failures, err->retry_after_s, false, false,
                        (uint32_t)random_u64() };
                bool passes = err->kind == ERR_TEMPORARY || err->kind == ERR_RATE_LIMITED || err->kind == ERR_UNKNOWN;
                c->window_next_s = c->window_guessed ? INT64_MAX : now_s + WINDOW_AGAIN_S; /* it is another CA's */
                if (passes)
                        c->window_next_s = MIN(when_passed_s(clock_now_ms(), when_next_ms(&in)), c->window_next_s);
        }
        cert_plan(c);
}

/* Where nothing is renewed by itself the window is asked for all the same: it is the CA's alarm. */
static struct backend_ca *renewing_ca(const struct cert *c, const struct conf_cert *conf)
{
        size_t index;
        bool wanted = conf && (conf->renew || c->engine->conf->detectors.revocation_ms > 0);
        if (!wanted || c->row.live_set == 0 || !cert_ca_that_can(c->engine, conf, CONF_CA_RENEWS, &index))
                return NULL;
        struct backend_ca *ca = engine_ca(c->engine, conf->ca[index].ca);
        return ca && ca->ops->renewal ? ca : NULL;
}

/* Whoever issued it, be it the last of the list; of one that was imported nobody knows, and the CA that is to renew it
 * says whether it is its own. NULL: there is nothing to ask. */
static struct backend_ca *issuing_ca(const struct cert *c, const json_t *meta, struct backend_ca *renews)
{
        const char *issuer = json_str(meta, "ca");
        struct backend_ca *ca = issuer ? engine_ca(c->engine, issuer) : renews;
        return ca && ca->ops->renewal ? ca : NULL;
}

static bool ask_window(struct cert *c, const struct conf_cert *conf, int64_t now_s)
{
        CLEANUP(free_p) uint8_t *der = NULL;
        CLEANUP(json_decref_p) json_t *meta = NULL;
        size_t len = 0;
        struct err e;
        struct backend_ca *ca = renewing_ca(c, conf);
        if (!ca || c->window_next_s > now_s)
                return false;
        c->window_next_s = now_s + WINDOW_AGAIN_S; /* whatever comes of it */
        if (c->row.live_not_after_s <= now_s ||
                !sets_read_leaf(c->engine->sets, c->row.name, (unsigned)c->row.live_set, &der, &len, &meta, &e))
                return false;
        c->window_guessed = !json_str(meta, "ca");
        ca = issuing_ca(c, meta, ca);
        if (ca) {
                c->asked = ca;
                c->asking = ca->ops->renewal(ca->ca, der, len, window_told, c, &e);
        } else {
                c->window_next_s = INT64_MAX;
        }
        return c->asking != NULL;
}

static void renewal_started(void *arg, const json_t *result, const struct err *err)
{
        (void)arg; /* a certificate may be gone by now: nothing of it is needed */
        (void)result;
        if (err)
                log_err("", "a renewal could not be started", err);
}

static void renew(struct cert *c, const struct conf_cert *conf)
{
        size_t index = 0;
        if (clock_now_s() < when_renew_s(c->live_not_before_s, c->row.live_not_after_s, c->renew_jitter))
                c->hurried_s = clock_now_s();
        (void)cert_ca_that_can(c->engine, conf, CONF_CA_RENEWS, &index);
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:[s], s:s, s:s, s:i, s:b}", "certs", c->row.name, "reason", "renewal", "trigger",
                "time", "ca_index", (int)index, "yes", 1);
        if (args)
                action_reissue(c->engine, args, renewal_started, NULL);
}

static int64_t again_after_s(const struct cert *c)
{
        int64_t life_s = c->row.live_not_after_s - c->live_not_before_s;
        return MIN(RENEW_AGAIN_S, MAX(life_s / 10, RENEW_AGAIN_LEAST_S));
}

/* When a failed renewal was the last thing that happened: not at once again. A failure of the future is of a clock that
 * was wrong. */
static int64_t renew_again(const struct cert *c, int64_t renew_s, int64_t now_s)
{
        bool failed = c->row.last_failure_s > c->row.last_success_s && c->row.last_failure_s >= renew_s &&
                c->row.last_failure_s <= now_s;
        return failed ? c->row.last_failure_s + again_after_s(c) : renew_s;
}

void cert_due(struct cert *c)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        int64_t not_before_s = 0, not_after_s = 0, now_s = clock_now_s(), renew_s = cert_renewal_s(c);
        int64_t last_s = checked_s(c, &not_before_s, &not_after_s);
        if (renew_s)
                renew_s = renew_again(c, renew_s, now_s);
        if (renew_s && renew_s <= now_s && !c->job && engine_clock_is_sound(c->engine)) {
                engine_due_set(c->engine, &c->due, (now_s + again_after_s(c)) * 1000); /* should it fail for good */
                return renew(c, conf);
        }
        warn_of_end(c, now_s);
        /* Next time even if the CA does not answer: never at once again. */
        int64_t next_s = now_s + ASK_EVERY_S + (int64_t)random_below(ASK_SPREAD_S);
        plan_at(c, renew_s ? MIN(next_s, MAX(renew_s, now_s + RENEW_SOON_S)) : next_s);
        bool asked_lately = last_s && now_s - last_s < ASK_EVERY_S && !c->ask_first;
        if (!conf || c->job || c->asking)
                return;
        if (asked_lately && ask_window(c, conf, now_s))
                return;
        if (asked_lately && renewing_ca(c, conf))
                return cert_plan(c);
        (void)ask(c, conf); /* not possible now: the next planned look will do */
}

void cert_plan(struct cert *c)
{
        int64_t not_before_s, not_after_s, last_s = checked_s(c, &not_before_s, &not_after_s), now_s = clock_now_s();
        if (!config_cert(c->engine->conf, c->row.name))
                return engine_due_clear(c->engine, &c->due);
        int64_t count = (int64_t)c->engine->cert_count;
        int64_t spread_s = count <= ASK_FEW ? count : MIN(60 * count, ASK_EVERY_S);
        int64_t next_s = last_s && !c->ask_first ? last_s + ASK_EVERY_S + (int64_t)random_below(ASK_SPREAD_S)
                                                 : now_s + (int64_t)random_below((uint64_t)spread_s) + 2;
        int64_t renew_s = cert_renewal_s(c);
        if (renew_s)
                next_s = MIN(next_s, renew_again(c, renew_s, now_s));
        if (last_s && renewing_ca(c, config_cert(c->engine->conf, c->row.name)))
                next_s = MIN(next_s, c->window_next_s);
        plan_at(c, MAX(next_s, now_s + 2));
}
