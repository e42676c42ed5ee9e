/* The checks of this room: does the CA live, does its clock agree with ours, does the proxy lead to it? Each CA of a
 * certificate's list is asked for one page that anybody may fetch. */
#include "agent/ca/check_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/ca.h"

#define SKEW_S 60
#define FETCH_MS 15000

struct page {
        int status;
        int64_t skew_s;
        bool dated;
        char code[48], text[300];
};

static void *page_failed(const struct err *err)
{
        struct page *p = calloc(1, sizeof *p);
        if (p) {
                snprintf(p->code, sizeof p->code, "%s", err->code);
                snprintf(p->text, sizeof p->text, "%s", err->text);
        }
        return p;
}

static void fetched(void *arg, const struct http_answer *a, const struct err *err)
{
        struct page *p = a ? calloc(1, sizeof *p) : page_failed(err);
        const char *date = a ? http_answer_header(a, "date") : NULL;
        int64_t at_s = 0;
        if (!p)
                return; /* no memory: the run ends at its deadline */
        if (a)
                p->status = a->status;
        p->dated = date && parse_http_date(date, &at_s);
        p->skew_s = p->dated ? clock_now_s() - at_s : 0;
        check_fact_done(arg, p);
}

static bool fetch(struct check_fact *f, const void *request, struct err *e)
{
        const struct ca_about *about = request;
        const struct http_request r = { .method = "GET",
                .url = about->url,
                .answer_max_bytes = 256 * 1024,
                .timeout_ms = FETCH_MS,
                .allow_http = true,
                .use_proxy = true,
                .ca_bundle = about->ca_bundle };
        *check_fact_place(f) = http_start(check_http_client(check_fact_run(f)), &r, fetched, f, e);
        return *check_fact_place(f) != NULL;
}

static void stop(struct check_fact *f)
{
        http_cancel(*check_fact_place(f));
}

static const struct check_fact_kind page_kind = { fetch, stop, free, page_failed };

/* "; a job goes to CA second ...", or nothing. Whether a CA that only reissues has a certificate that names an
 * organization, which one that issues would leave out, is not known here. */
static void next_text(const struct check_target *t, size_t i, bool issues, char *ret, size_t size)
{
        char after[40];
        ret[0] = '\0';
        if (i + 1 >= t->cert->ca_count || (!issues && !t->cert->fallback_downgrade))
                return;
        format_span(t->cert->fallback_after_ms / 1000, after, sizeof after);
        snprintf(ret, size, "; a job goes to CA %s after %s of that (fallback.after)", t->cert->ca[i + 1].ca, after);
}

/* next: what is said of the CA after it, for when it does not answer. */
static void judge_page(struct check_context *c, const char *ca, const char *url, const char *next, const struct page *p,
        struct judgements *out)
{
        struct judgement_words w = { .subject = ca };
        bool proxied = c->target->conf && c->target->conf->proxy_url;
        if (p->status == 0 && proxied && strcmp(p->code, "http.certificate") != 0) {
                w.fix = "mend the proxy, or except the CA from it (proxy.except)";
                w.observed = c->target->conf->proxy_url;
                judge(out, "O17", w, "CA %s is not reached through the proxy: %s%s", ca, p->text, next);
        } else if (p->status == 0 || p->status >= 500) {
                w.fix = "look at the CA's status page and try again later; if only this host cannot reach it, let it "
                        "out on port 443";
                if (p->status)
                        judge(out, "L01", w, "CA %s answers %s with %d%s", ca, url, p->status, next);
                else
                        judge(out, "L01", w, "CA %s does not answer: %s%s", ca, p->text, next);
        }
        if (p->dated && (p->skew_s > SKEW_S || p->skew_s < -SKEW_S)) {
                char span[40];
                format_span(p->skew_s > 0 ? p->skew_s : -p->skew_s, span, sizeof span);
                w.fix = "set this host's clock and keep it so: systemctl enable --now systemd-timesyncd, or chronyc "
                        "makestep";
                judge(out, "W04", w, "the clock of this host is %s %s by the clock of CA %s", span,
                        p->skew_s > 0 ? "ahead" : "behind", ca);
        } else if (!p->dated) {
                judge_unverifiable(out, "W04", ca, "CA %s did not say what time it is", ca);
        }
}

static void look_at(
        struct check_context *c, const char *ca, const struct ca_about *about, const char *next, struct judgements *out)
{
        if (!about->url) {
                judge_unverifiable(out, "L01", ca, "nothing is known of CA %s that could be fetched", ca);
                return judge_unverifiable(out, "W04", ca, "nothing is known of CA %s that could be fetched", ca);
        }
        CLEANUP(free_p) char *key = text_format("ca %s", about->url);
        const struct page *p = key ? check_fact(c, key, &page_kind, about) : NULL;
        if (p)
                judge_page(c, ca, about->url, next, p, out);
}

static void run(struct check_context *c, struct judgements *out)
{
        const struct check_target *t = c->target;
        if (!t->cert) {
                judge_unverifiable(out, "L01", t->ca, "no CA is configured for a name alone");
                return judge_unverifiable(out, "W04", t->ca, "no CA is configured for a name alone");
        }
        for (size_t i = 0; i < t->cert->ca_count; i++) {
                const struct conf_backend *b = config_ca(t->conf, t->cert->ca[i].ca);
                const struct ca_ops *ops = b ? ca_ops_find(b->kind->type) : NULL;
                struct ca_about about = { 0 };
                char next[160];
                if (ops && ops->about)
                        ops->about(b->parsed, b->name, NULL, &about);
                next_text(t, i, ops && (ops->can & CONF_CA_ISSUES), next, sizeof next);
                look_at(c, t->cert->ca[i].ca, &about, next, out);
        }
}

static const struct check check_ca_page = {
        .ids = "L01 W04 O17", .stage = STAGE_REST, .scope = CHECK_TARGET, .needs = CHECK_REGARDLESS, .run = run
};
const struct check *const ca_checks[] = { &check_ca_page, NULL };
