/* K11: does pwnedkeys.com know the key? GET https://v1.pwnedkeys.com/HASH of the public key (documentation at
 * pwnedkeys.com/api/v1): 200 with a signature by the key itself, 404 not known, 429 with Retry-After. The question
 * tells a third party which keys are in use here: off unless it is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/util.h"
#include "agent/net/http.h"
#include "agent/pki/evidence.h"
#include "agent/pki/weak.h"

#define ASK_MS 30000

struct check {
        struct detector *detector;
        struct detect_subject subject;
        struct http_call *call;
};

static void check_free(struct check *c)
{
        detect_subject_done(&c->subject);
        free(c);
}

static bool own_key(void *arg, const char *spki_hex, uint8_t **ret_der, size_t *ret_len)
{
        const struct check *c = arg;
        struct err e;
        return strcmp(spki_hex, c->subject.spki_hex) == 0 &&
                cert_public_der(c->subject.der, c->subject.der_len, ret_der, ret_len, &e);
}

static bool judge(struct check *c, const struct http_answer *a, struct err *e)
{
        const struct evidence_asks asks = { .public_key = own_key, .arg = c };
        struct evidence v = { 0 };
        char text[REPORT_TEXT_MAX];
        if (a->status == 404)
                return true;
        if (a->status != 200)
                return err_set(e, ERR_TEMPORARY, "pwnedkeys.answer", "pwnedkeys.com answered %d", a->status);
        if (!evidence_read(a->body, a->body_len, &asks, &v, e))
                return false;
        if (evidence_proves(v.kind) && strcmp(v.spki_hex, c->subject.spki_hex) == 0) {
                snprintf(text, sizeof text, "%.100s: pwnedkeys.com has its private key", c->subject.cert);
                struct report r = {
                        .strength = REPORT_PROOF, .spki_hex = c->subject.spki_hex, .text = text, .revocation_reason = -1
                };
                detector_report(c->detector, &r, NULL);
        }
        evidence_done(&v);
        return true;
}

static void answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct check *c = arg;
        struct err e;
        bool good = a && judge(c, a, &e);
        detector_trouble(c->detector, c->subject.cert, good ? NULL : a ? &e : err);
        detector_over(c->detector);
        check_free(c);
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        static const char *const headers[] = { "Accept: application/json", NULL };
        char url[120];
        struct check *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        c->detector = d;
        if (detect_subject_load(detector_engine(d), cert->name, &c->subject, e)) {
                snprintf(url, sizeof url, "https://v1.pwnedkeys.com/%s", c->subject.spki_hex);
                const struct http_request q = { .method = "GET",
                        .url = url,
                        .headers = headers,
                        .answer_max_bytes = EVIDENCE_MAX,
                        .timeout_ms = ASK_MS,
                        .use_proxy = true };
                c->call = http_start(engine_http(detector_engine(d)), &q, answered, c, e);
                if (c->call)
                        return c;
        }
        check_free(c);
        return NULL;
}

static void cancel(void *check)
{
        struct check *c = check;
        http_cancel(c->call);
        check_free(c);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->pwnedkeys_ms;
}

const struct detector_ops detect_pwnedkeys = {
        .name = "pwnedkeys", .interval_ms = interval_ms, .start = start, .cancel = cancel
};
