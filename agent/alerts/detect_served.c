/* K15: do the endpoints serve the certificate that is live here? A notice, never a reissue: it may be a server that was
 * not reloaded, another host, or somebody in between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/util.h"
#include "agent/deploy/deploy.h"
#include "agent/deploy/sets.h"

#define PATIENCE_MS 2000

struct check {
        struct detector *detector;
        struct look_run *look;
        char *cert;
};

static void check_free(struct check *c)
{
        free(c->cert);
        free(c);
}

static void warn(struct check *c, const struct look_endpoint *at)
{
        CLEANUP(free_p)
        char *what = text_format("%s%s%s does not serve the live certificate of %s: %.200s", at->address,
                at->sni ? " as " : "", at->sni ? at->sni : "", c->cert, at->text);
        CLEANUP(free_p)
        char *fix = text_format("reload that server, or dcvctl deploy %s; then dcvctl verify %s", c->cert, c->cert);
        if (what && fix)
                detector_warn(c->detector, c->cert, what, fix);
}

static void looked(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct check *c = arg;
        (void)err; /* its endpoints say the same, one by one; who does not answer is no news of another certificate */
        for (size_t i = 0; i < count; i++)
                if (list[i].verdict == LOOK_DIFFERENT)
                        warn(c, &list[i]);
        detector_over(c->detector);
        check_free(c);
}

static bool begin(struct check *c, const struct conf_cert *cert, struct err *e)
{
        struct engine *g = detector_engine(c->detector);
        struct set s = { 0 };
        unsigned number = sets_live(engine_sets(g), cert->name);
        if (!number || !sets_read(engine_sets(g), cert->name, number, 0, &s, e))
                return false;
        const struct look_request r = { .cert = cert,
                .dns = engine_dns(g),
                .want_sha256 = s.chain.leaf.sha256,
                .key_type = s.chain.leaf.key_type,
                .in_a_row = 1,
                .patience_ms = PATIENCE_MS };
        c->look = look_start(engine_loop(g), &r, looked, c, e);
        set_done(&s);
        return c->look != NULL;
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        struct check *c;
        e->kind = ERR_NONE;
        if (engine_runs_job(detector_engine(d), cert->name)) /* it looks by itself */
                return NULL;
        c = calloc(1, sizeof *c);
        if (!c || !(c->cert = text_dup(cert->name))) {
                free(c);
                err_memory(e);
                return NULL;
        }
        c->detector = d;
        if (begin(c, cert, e))
                return c;
        check_free(c);
        return NULL;
}

static void cancel(void *check)
{
        struct check *c = check;
        look_cancel(c->look);
        check_free(c);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->served_ms;
}

const struct detector_ops detect_served = {
        .name = "served", .interval_ms = interval_ms, .start = start, .cancel = cancel
};
