/* K14: can the private key be fetched over HTTP? The certificate's own names are asked for files that people leave in a
 * document root, one request after another. A key that comes is proof, whosever it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/util.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "agent/pki/chain.h"
#include "agent/pki/evidence.h"

#define NAMES_MAX 100
#define LOOK_MS 10000

static const char *const paths[] = { "/privkey.pem", "/key.pem", "/server.key", "/.git/config" };
static const char *const schemes[] = { "http", "https" };
#define LOOKS_OF_A_NAME (ARRAY_LEN(paths) * ARRAY_LEN(schemes))

struct check {
        struct detector *detector;
        char *cert;
        struct texts names;
        size_t at; /* of names, schemes and paths */
        char url[400];
        struct http_call *call;
        struct deferred *later;
};

static void next(void *arg);

static void check_free(struct check *c)
{
        texts_done(&c->names);
        free(c->cert);
        free(c);
}

static void report_key(struct check *c, const struct http_answer *a)
{
        static const struct evidence_asks nothing;
        struct evidence v = { 0 };
        struct err e;
        char text[REPORT_TEXT_MAX], key[480];
        if (!evidence_read(a->body, a->body_len, &nothing, &v, &e) || v.kind != EVIDENCE_PRIVATE_KEY) {
                evidence_done(&v);
                return;
        }
        snprintf(text, sizeof text, "a private key can be fetched from %s", c->url);
        snprintf(key, sizeof key, "%s %s", c->url, v.spki_hex);
        struct report r = { .strength = REPORT_PROOF, .spki_hex = v.spki_hex, .text = text, .revocation_reason = -1 };
        detector_report(c->detector, &r, key);
        detector_warn(c->detector, c->cert, text, "remove that file from the document root");
        evidence_done(&v);
}

static void answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct check *c = arg;
        c->call = NULL;
        (void)err; /* a name that cannot be reached exposes nothing */
        if (a && a->status == 200 && a->body_len >= 11 && strncmp(a->body, "-----BEGIN ", 11) == 0 &&
                strstr(a->body, "PRIVATE KEY-----")) {
                report_key(c, a);
        } else if (a && a->status == 200 && strncmp(a->body, "[core]", 6) == 0) {
                CLEANUP(free_p) char *text = text_format("a git repository can be fetched from %s", c->url);
                if (text)
                        detector_warn(c->detector, c->cert, text, "whatever was ever committed there is public");
        }
        c->at++;
        next(c);
}

static bool begin(struct check *c)
{
        struct err e;
        const char *name = c->names.item[c->at / LOOKS_OF_A_NAME];
        size_t look = c->at % LOOKS_OF_A_NAME;
        bool v6 = strchr(name, ':') != NULL;
        snprintf(c->url, sizeof c->url, "%s://%s%s%s%s", schemes[look % ARRAY_LEN(schemes)], v6 ? "[" : "", name,
                v6 ? "]" : "", paths[look / ARRAY_LEN(schemes)]);
        const struct http_request q = { .method = "GET",
                .url = c->url,
                .answer_max_bytes = EVIDENCE_MAX,
                .connect_timeout_ms = LOOK_MS / 2,
                .timeout_ms = LOOK_MS,
                .allow_http = true,
                .look = true };
        c->call = http_start(engine_http(detector_engine(c->detector)), &q, answered, c, &e);
        return c->call != NULL;
}

static void next(void *arg)
{
        struct check *c = arg;
        c->later = NULL;
        for (; c->at < c->names.count * LOOKS_OF_A_NAME; c->at++)
                if (begin(c))
                        return;
        detector_over(c->detector);
        check_free(c);
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        struct check *c = calloc(1, sizeof *c);
        bool good = c && (c->cert = text_dup(cert->name));
        if (c)
                c->detector = d;
        for (size_t i = 0; good && i < cert->names.count && c->names.count < NAMES_MAX; i++)
                if (!strchr(cert->names.item[i], '*'))
                        good = texts_add(&c->names, cert->names.item[i]);
        good = good && (c->later = loop_defer(engine_loop(detector_engine(d)), next, c)) != NULL;
        if (good)
                return c;
        if (c)
                check_free(c);
        err_memory(e);
        return NULL;
}

static void cancel(void *check)
{
        struct check *c = check;
        loop_undefer(engine_loop(detector_engine(c->detector)), c->later);
        http_cancel(c->call);
        check_free(c);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->exposed_ms;
}

const struct detector_ops detect_exposed = {
        .name = "exposed", .interval_ms = interval_ms, .start = start, .cancel = cancel
};
