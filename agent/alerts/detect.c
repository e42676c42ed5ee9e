#include "agent/alerts/detect_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/notify.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/deploy/sets.h"
#include "agent/net/loop.h"
#include "agent/pki/revocation.h"

#define FIRST_MS 1000 /* the first looks begin so long after the start, and up to ten times as long */
#define TICK_LEAST_MS 100 /* however many certificates there are */
#define TOLD_MAX 20000

static const struct detector_ops *const registry[] = { &detect_revocation, &detect_keys, &detect_files, &detect_exposed,
        &detect_served, &detect_pwnedkeys };

struct detectors {
        struct engine *engine;
        struct detector detector[ARRAY_LEN(registry)];
        struct texts told; /* "NAME WHAT": found and handed on, warned of, or in trouble */
};

struct engine *detector_engine(const struct detector *d)
{
        return d->all->engine;
}

/* ---- what was told already ---- */

static bool told(struct detectors *all, const char *text)
{
        if (texts_has(&all->told, text))
                return true;
        if (all->told.count >= TOLD_MAX)
                texts_done(&all->told); /* said again, rather than not at all */
        (void)texts_add(&all->told, text); /* without memory it is said again */
        return false;
}

static void untell(struct detectors *all, const char *prefix)
{
        size_t kept = 0;
        struct texts *t = &all->told;
        for (size_t i = 0; i < t->count; i++)
                if (text_starts(t->item[i], prefix))
                        free(t->item[i]);
                else
                        t->item[kept++] = t->item[i];
        t->count = kept;
}

static void taken(void *arg, const struct incident_answer *answer, const struct err *err)
{
        struct detectors *all = arg;
        if (err) {
                log_err("", "a detector's report is not kept", err);
                untell(all, "report "); /* found again at the next look */
        } else if (answer->id) {
                log_info("", "%s", answer->text);
        }
}

void detector_report(struct detector *d, struct report *r, const char *what)
{
        char source[64];
        struct err e;
        CLEANUP(free_p)
        char *key = text_format("report %s %s", d->ops->name,
                what                     ? what
                        : r->cert_sha256 ? r->cert_sha256
                                         : r->spki_hex);
        if (key && told(d->all, key))
                return;
        snprintf(source, sizeof source, "detector %s", d->ops->name);
        r->source = source;
        log_warning("", "%s: %s", source, r->text);
        if (incident_take(d->all->engine, r, taken, d->all, &e))
                return;
        log_err("", "a detector's report is not taken", &e);
        if (key)
                untell(d->all, key);
}

void detector_trouble(struct detector *d, const char *cert, const struct err *e)
{
        CLEANUP(free_p) char *place = text_format("trouble %s %s ", d->ops->name, cert);
        CLEANUP(free_p) char *key = text_format("%s%s", place ? place : "", e ? e->code : "");
        if (!place || !key)
                return;
        if (e && texts_has(&d->all->told, key))
                return;
        untell(d->all, place);
        if (!e)
                return;
        (void)told(d->all, key);
        log_err(cert, d->ops->name, e);
}

void detector_warn(struct detector *d, const char *cert, const char *text, const char *fix)
{
        CLEANUP(free_p) char *key = text_format("warn %s %s", d->ops->name, text);
        if (!key || told(d->all, key))
                return;
        log_warning(cert, "%s%s%s", text, fix ? "; " : "", fix ? fix : "");
        const struct notice n = {
                .kind = NOTICE_STUCK, .cert = cert, .text = text, .fix = fix, .at_s = clock_now_s(), .key = key
        };
        notifier_tell(d->all->engine, &n);
}

/* ---- what is looked at ---- */

bool detect_subject_load(struct engine *g, const char *cert, struct detect_subject *ret, struct err *e)
{
        struct detect_subject s = { 0 };
        struct set set = { 0 };
        struct err alone;
        unsigned number = sets_live(engine_sets(g), cert);
        e->kind = ERR_NONE;
        if (!number || !sets_read(engine_sets(g), cert, number, 0, &set, e))
                return false;
        const struct cert_info *leaf = &set.chain.leaf;
        memcpy(s.sha256, leaf->sha256, sizeof s.sha256);
        memcpy(s.spki_hex, leaf->spki_hex, sizeof s.spki_hex);
        s.not_before_s = leaf->not_before_s;
        s.not_after_s = leaf->not_after_s;
        s.cert = text_dup(cert);
        s.der = STEAL(set.chain.leaf_der);
        s.der_len = set.chain.leaf_der_len;
        (void)chain_first_der(set.chain.chain_pem, &s.issuer, &s.issuer_len, &alone); /* NULL: it has none */
        set_done(&set);
        if (!s.cert) {
                detect_subject_done(&s);
                return err_memory(e);
        }
        *ret = s;
        return true;
}

void detect_subject_done(struct detect_subject *s)
{
        free(s->cert);
        free(s->der);
        free(s->issuer);
        *s = (struct detect_subject){ 0 };
}

/* ---- going round ---- */

static int64_t tick_ms(const struct detector *d)
{
        const struct conf *conf = engine_config(d->all->engine);
        int64_t interval_ms = d->ops->interval_ms(&conf->detectors);
        return conf->cert_count ? MAX(interval_ms / (int64_t)conf->cert_count, TICK_LEAST_MS) : 0;
}

static void tick(void *arg)
{
        struct detector *d = arg;
        const struct conf *conf = engine_config(d->all->engine);
        struct err e = { 0 };
        timer_start(d->timer, tick_ms(d));
        if (d->check || conf->cert_count == 0)
                return;
        d->at = d->at < conf->cert_count ? d->at : 0;
        const struct conf_cert *cert = &conf->cert[d->at++];
        d->check = d->ops->start(d, cert, &e);
        if (!d->check && e.kind != ERR_NONE)
                detector_trouble(d, cert->name, &e);
}

void detector_over(struct detector *d)
{
        d->check = NULL;
}

static void stop(struct detector *d)
{
        if (d->check)
                d->ops->cancel(d->check);
        d->check = NULL;
        timer_free(d->timer);
        d->timer = NULL;
        if (d->kept && d->ops->forget)
                d->ops->forget(d);
        d->kept = NULL;
}

static void start(struct detector *d)
{
        struct err e;
        int64_t every_ms = tick_ms(d);
        if (!every_ms || !d->ops->interval_ms(&engine_config(d->all->engine)->detectors))
                return;
        if (!timer_new(&d->timer, engine_loop(d->all->engine), tick, d, &e)) {
                log_err("", d->ops->name, &e);
                return;
        }
        timer_start(d->timer, FIRST_MS + (int64_t)random_below((uint64_t)MIN(every_ms, 9 * FIRST_MS)));
}

void detectors_reconfigured(struct detectors *all)
{
        for (size_t i = 0; i < ARRAY_LEN(all->detector); i++) {
                stop(&all->detector[i]);
                start(&all->detector[i]);
        }
}

bool detectors_open(struct detectors **ret, struct engine *g, struct err *e)
{
        struct detectors *all = calloc(1, sizeof *all);
        if (!all)
                return err_memory(e);
        all->engine = g;
        for (size_t i = 0; i < ARRAY_LEN(registry); i++)
                all->detector[i] = (struct detector){ .ops = registry[i], .all = all };
        detectors_reconfigured(all);
        *ret = all;
        return true;
}

void detectors_close(struct detectors *all)
{
        if (!all)
                return;
        for (size_t i = 0; i < ARRAY_LEN(all->detector); i++)
                stop(&all->detector[i]);
        texts_done(&all->told);
        free(all);
}
