/* Certificates at rest: what is live, when to look next, what to say as the end comes near. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/job/when.h"

/* Between jobs what the CA allows changes only by a date that is known, or by a hand at its console: asking seldom is
 * enough, and it is asked again before and after every job. A thousand certificates are a question a minute at most. */
#define ASK_EVERY_S (7 * 86400)
#define ASK_SPREAD_S 86400
#define ASK_FIRST_SPREAD_S 60
#define ASK_FEW 50

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
        if (live == 0) {
                job_set(&c->row.live_sha256, NULL);
                job_set(&c->row.live_spki, NULL);
                c->row.live_not_after_s = 0;
                return true;
        }
        if (!sets_read(c->engine->sets, c->row.name, live, &set, e))
                return false;
        job_set(&c->row.live_sha256, set.chain.leaf.sha256);
        job_set(&c->row.live_spki, set.chain.leaf.spki_hex);
        c->row.live_not_after_s = set.chain.leaf.not_after_s;
        set_done(&set);
        metrics_cert(c);
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

/* A Tencent reissue never extends validity, so time starts no job: it is said what to buy. */
static void warn_of_end(struct cert *c, int64_t not_before_s, int64_t not_after_s, int64_t now_s)
{
        if (not_after_s == 0 || not_before_s == 0 || now_s < not_after_s - (not_after_s - not_before_s) / 3)
                return;
        char left[40], date[32];
        format_span(not_after_s - now_s, left, sizeof left);
        format_date(not_after_s, date, sizeof date);
        if (now_s >= not_after_s)
                log_error(c->row.name,
                        "the certificate ended on %s; a reissue keeps the end date: buy a new one at the CA, set its "
                        "certificate_id",
                        date);
        else
                log_warning(c->row.name,
                        "%s left (%s); a reissue keeps the end date: buy or apply for a new one at the CA, then set "
                        "its certificate_id",
                        left, date);
}

static void save_row(struct cert *c)
{
        struct store_batch *b = store_batch_new();
        if (b && journal_put_cert(b, &c->row))
                engine_commit_logged(c->engine, b);
        else
                store_batch_free(b);
}

static void asked(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct cert *c = arg;
        struct backend_ca *ca = c->asked;
        c->asking = NULL;
        if (s || (err && (err->kind == ERR_RULE || err->kind == ERR_WAITING))) {
                cert_note_subject(c, ca, s, err);
                /* The chain at the CA and the journal disagree: somebody reissued elsewhere, or the journal is older
                 * than the world. */
                bool moved = s && c->row.live_sha256 && s->cert_sha256[0] &&
                        strcmp(s->cert_sha256, c->row.live_sha256) != 0 && !c->job;
                if (moved && !c->row.stopped) {
                        CLEANUP(free_p)
                        char *why = text_format("%s holds a newer certificate (%s) than the one live here; automatic "
                                                "reissues are stopped",
                                ca->name, s->id);
                        job_set(&c->row.stopped, why);
                        log_warning(c->row.name, "%s; run dcvctl import or dcvctl reissue", why ? why : "");
                } else if (s && !moved && c->row.stopped) {
                        job_set(&c->row.stopped, NULL);
                }
                save_row(c);
        } else if (err) {
                struct when_input in = { ERR_TEMPORARY, ++c->ask_failures, err->retry_after_s, false,
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
        struct ca_subject_request r = {
                .certificate_id = c->row.newest_id ? c->row.newest_id : conf->certificate_id,
                .names = &conf->names,
                .validation = policy_validation(conf, 0),
                .key_type = policy_key_type(conf, 0),
        };
        c->asking = c->asked->ops->inspect(c->asked->ca, &r, asked, c, &e);
        return c->asking != NULL;
}

void cert_due(struct cert *c)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        int64_t not_before_s = 0, not_after_s = 0, now_s = clock_now_s();
        (void)checked_s(c, &not_before_s, &not_after_s);
        if (conf)
                warn_of_end(c, not_before_s, not_after_s ? not_after_s : c->row.live_not_after_s, now_s);
        /* Next time even if the CA does not answer: never at once again. */
        engine_due_set(c->engine, &c->due, clock_now_ms() + (ASK_EVERY_S + (int64_t)random_below(ASK_SPREAD_S)) * 1000);
        if (conf && !c->job && !c->asking)
                (void)ask(c, conf); /* not possible now: the next planned look will do */
}

void cert_plan(struct cert *c)
{
        int64_t not_before_s, not_after_s, last_s = checked_s(c, &not_before_s, &not_after_s), now_s = clock_now_s();
        if (!config_cert(c->engine->conf, c->row.name))
                return engine_due_clear(c->engine, &c->due);
        int64_t count = (int64_t)c->engine->cert_count;
        int64_t spread_s = count <= ASK_FEW ? ASK_FIRST_SPREAD_S : MIN(60 * count, ASK_EVERY_S);
        int64_t next_s = last_s ? last_s + ASK_EVERY_S + (int64_t)random_below(ASK_SPREAD_S)
                                : now_s + (int64_t)random_below((uint64_t)spread_s) + 2;
        engine_due_set(c->engine, &c->due, MAX(next_s, now_s + 2) * 1000);
}
