/* K1 to K3: does the CA say that the certificate is revoked? The list first, if the certificate points to one; its OCSP
 * responder if that says nothing; and whether its renewal window (RFC 9773) ended already. A certificate that points
 * nowhere is short-lived: renewal is its remedy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "agent/pki/revocation.h"

#define LIST_MAX (16 * 1024 * 1024)
#define ANSWER_MAX (64 * 1024)
#define FETCH_MS 60000
#define SHARED 8 /* lists that other certificates may need as well */
#define SHARED_MAX (1024 * 1024)

struct shared {
        char *url;
        char *body;
        size_t len;
        int64_t fetched_ms;
};
struct lists {
        struct shared item[SHARED];
        size_t next;
};
struct check {
        struct detector *detector;
        struct detect_subject subject;
        struct revocation_places places;
        size_t place; /* in places.crl */
        struct http_call *call;
        struct work *work;
        struct deferred *later;
        char *body; /* what came */
        size_t len;
        bool ocsp; /* it is an OCSP answer */
        /* the judgement, made in a thread */
        bool good;
        struct revocation_answer answer;
        struct err err;
};

static void next_place(struct check *c);

static void check_free(struct check *c)
{
        detect_subject_done(&c->subject);
        revocation_places_done(&c->places);
        free(c->body);
        free(c);
}

static void over(struct check *c, const struct err *trouble)
{
        detector_trouble(c->detector, c->subject.cert, trouble);
        detector_over(c->detector);
        check_free(c);
}

/* ---- lists that were fetched a moment ago ---- */

static struct shared *shared_find(struct detector *d, const char *url)
{
        struct lists *l = d->kept;
        int64_t fresh_ms = engine_config(detector_engine(d))->detectors.revocation_ms / 2;
        for (size_t i = 0; l && i < SHARED; i++)
                if (l->item[i].url && strcmp(l->item[i].url, url) == 0 &&
                        clock_boot_ms() - l->item[i].fetched_ms < fresh_ms)
                        return &l->item[i];
        return NULL;
}

static void shared_keep(struct detector *d, const char *url, const char *body, size_t len)
{
        struct lists *l = d->kept ? d->kept : calloc(1, sizeof *l);
        d->kept = l;
        if (!l || len > SHARED_MAX || shared_find(d, url))
                return;
        struct shared *s = &l->item[l->next++ % SHARED];
        free(s->url);
        free(s->body);
        *s = (struct shared){ text_dup(url), text_dup_n(body, len), len, clock_boot_ms() };
        if (!s->url || !s->body)
                free(STEAL(s->url)); /* not found: fetched again */
}

static void forget(struct detector *d)
{
        struct lists *l = d->kept;
        for (size_t i = 0; i < SHARED; i++) {
                free(l->item[i].url);
                free(l->item[i].body);
        }
        free(l);
}

/* ---- judging ---- */

static void judge(void *arg)
{
        struct check *c = arg;
        const struct revocation_subject s = { c->subject.der, c->subject.issuer, c->subject.der_len,
                c->subject.issuer_len };
        int64_t now_s = clock_now_s();
        c->good = c->ocsp ? ocsp_check(c->body, c->len, &s, now_s, &c->answer, &c->err)
                          : crl_check(c->body, c->len, c->places.crl.item[c->place], &s, now_s, &c->answer, &c->err);
}

static void report(struct check *c)
{
        const struct revocation_answer *a = &c->answer;
        char when[40], text[REPORT_TEXT_MAX];
        format_time(a->revoked_at_s, when, sizeof when);
        snprintf(text, sizeof text, "%.100s: its CA revoked the certificate on %s (%s), says %.200s", c->subject.cert,
                when, revocation_reason_name(a->reason), c->ocsp ? c->places.ocsp : c->places.crl.item[c->place]);
        struct report r = { .strength = REPORT_REVOKED,
                .cert_sha256 = c->subject.sha256,
                .spki_hex = a->reason == 1 ? c->subject.spki_hex : NULL,
                .text = text,
                .revocation_reason = a->reason,
                .reported_s = a->revoked_at_s };
        detector_report(c->detector, &r, NULL);
}

static void judged(void *arg, bool abandoned)
{
        struct check *c = arg;
        c->work = NULL;
        if (abandoned)
                return check_free(c);
        free(STEAL(c->body));
        if (c->good && c->answer.revoked) {
                report(c);
                return over(c, NULL);
        }
        if (c->good && (c->ocsp || !c->places.ocsp))
                return over(c, NULL);
        if (!c->good && c->ocsp)
                return over(c, &c->err);
        c->place = c->good ? c->places.crl.count : c->place + 1;
        next_place(c);
}

static void judge_later(struct check *c, const char *body, size_t len)
{
        c->body = text_dup_n(body, len);
        c->len = len;
        if (!c->body)
                err_memory(&c->err);
        else if (work_start(&c->work, engine_loop(detector_engine(c->detector)), judge, judged, c, &c->err))
                return;
        over(c, &c->err);
}

/* ---- fetching ---- */

static void fetched(void *arg, const struct http_answer *a, const struct err *err)
{
        struct check *c = arg;
        const char *url = c->ocsp ? c->places.ocsp : c->places.crl.item[c->place];
        c->call = NULL;
        if (a && a->status == 200) {
                if (!c->ocsp)
                        shared_keep(c->detector, url, a->body, a->body_len);
                return judge_later(c, a->body, a->body_len);
        }
        if (a)
                err_set(&c->err, ERR_TEMPORARY, "revocation.answer", "%s answered %d", url, a->status);
        else
                c->err = *err;
        if (c->ocsp)
                return over(c, &c->err);
        c->place++;
        next_place(c);
}

static bool fetch(struct check *c, const char *url, const void *body, size_t len)
{
        static const char *const headers[] = { "Content-Type: application/ocsp-request",
                "Accept: application/ocsp-response", NULL };
        const struct http_request q = { .method = body ? "POST" : "GET",
                .url = url,
                .headers = body ? headers : NULL,
                .body = body,
                .body_len = len,
                .answer_max_bytes = body ? ANSWER_MAX : LIST_MAX,
                .timeout_ms = FETCH_MS,
                .allow_http = true, /* what comes is signed */
                .use_proxy = true };
        c->call = http_start(engine_http(detector_engine(c->detector)), &q, fetched, c, &c->err);
        return c->call != NULL;
}

static bool ask_responder(struct check *c)
{
        const struct revocation_subject s = { c->subject.der, c->subject.issuer, c->subject.der_len,
                c->subject.issuer_len };
        CLEANUP(free_p) uint8_t *request = NULL;
        size_t len = 0;
        c->ocsp = true;
        return ocsp_request(&s, &request, &len, &c->err) && fetch(c, c->places.ocsp, request, len);
}

/* The next list that is worth a try, then the responder. */
static void next_place(struct check *c)
{
        for (; c->place < c->places.crl.count; c->place++) {
                const char *url = c->places.crl.item[c->place];
                const struct shared *s = shared_find(c->detector, url);
                if (s)
                        return judge_later(c, s->body, s->len);
                if (fetch(c, url, NULL, 0))
                        return;
        }
        if (!c->places.ocsp || !ask_responder(c))
                over(c, &c->err);
}

/* K4: the CA wants it replaced at once; it may be about to revoke it. Its usual window lies in the last third. */
static void look_at_window(struct detector *d, const struct detect_subject *s)
{
        char text[REPORT_TEXT_MAX], when[40];
        int64_t end_s = engine_renewal_window_end(detector_engine(d), s->cert), now_s = clock_now_s();
        if (!end_s || end_s > now_s || now_s > s->not_after_s - (s->not_after_s - s->not_before_s) / 3)
                return;
        format_time(end_s, when, sizeof when);
        snprintf(text, sizeof text, "%.100s: its CA wanted it replaced by %s, long before its end", s->cert, when);
        struct report r = {
                .strength = REPORT_REVOKED, .cert_sha256 = s->sha256, .text = text, .revocation_reason = -1
        };
        detector_report(d, &r, NULL);
}

static void begin(void *arg)
{
        struct check *c = arg;
        c->later = NULL;
        next_place(c);
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        struct check *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        c->detector = d;
        bool good = detect_subject_load(detector_engine(d), cert->name, &c->subject, e) &&
                revocation_places(c->subject.der, c->subject.der_len, &c->places, e);
        if (good) {
                look_at_window(d, &c->subject);
                good = c->places.crl.count > 0 || c->places.ocsp; /* else e is as it was: nothing to ask */
        }
        if (good && !c->subject.issuer)
                good = err_set(e, ERR_CONFIG, "chain.alone",
                        "revocation cannot be judged: the chain holds no issuer's certificate");
        if (good && (c->later = loop_defer(engine_loop(detector_engine(d)), begin, c)) == NULL)
                good = err_memory(e);
        if (good)
                return c;
        check_free(c);
        return NULL;
}

static void cancel(void *check)
{
        struct check *c = check;
        loop_undefer(engine_loop(detector_engine(c->detector)), c->later);
        http_cancel(c->call);
        if (c->work)
                return work_abandon(c->work); /* judged frees it */
        check_free(c);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->revocation_ms;
}

const struct detector_ops detect_revocation = {
        .name = "revocation", .interval_ms = interval_ms, .start = start, .cancel = cancel, .forget = forget
};
