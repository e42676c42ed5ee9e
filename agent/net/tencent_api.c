/* Calls of Tencent Cloud's API 3.0 over the HTTP client. One call: wait for a place under the action's limit, sign with
 * the corrected clock, send, judge the answer, and send again only where the table of the header allows it. */
#include "agent/net/tencent_api.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/ca_requests.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "agent/net/tencent_internal.h"

#define ANSWER_MAX (8 * 1024 * 1024)
#define FAULTS_MAX 3
#define THROTTLES_MAX 5
#define DELAY_CAP_MS 30000

static void call_finish(struct tencent_call *c, const json_t *response, const char *request_id, const struct err *err);

/* ---- opening and closing ---- */

static bool host_is_loopback(const char *host)
{
        return text_starts(host, "127.") || text_starts(host, "[::1]") || strcmp(host, "localhost") == 0 ||
                text_starts(host, "localhost:");
}

/* The Host header as libcurl will send it: without the scheme's own port. */
static char *host_of(const char *rest, const char *usual_port)
{
        size_t len = strcspn(rest, "/");
        char *host = text_dup_n(rest, len);

        if (!host)
                return NULL;
        for (char *p = host; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        if (text_ends(host, usual_port))
                host[len - strlen(usual_port)] = '\0';
        return host;
}

static bool endpoint_is_plain_text(const char *endpoint)
{
        for (const char *p = endpoint; *p; p++)
                if (*p <= ' ' || *p >= 0x7f || strchr("@?#\\\"", *p))
                        return false;
        return true;
}

static bool endpoint_read(struct tencent_api *a, const char *endpoint, struct err *e)
{
        a->plain = text_starts(endpoint, "http://");
        const char *rest = strstr(endpoint, "://");
        const char *slash = rest ? strchr(rest + 3, '/') : NULL;

        if (!rest || (!a->plain && !text_starts(endpoint, "https://")) || (slash && slash[1]) || rest[3] == '/' ||
                !rest[3] || !endpoint_is_plain_text(endpoint))
                return err_set(e, ERR_CONFIG, "tc.endpoint", "%s: the endpoint %s is not https://HOST without a path",
                        a->name, endpoint);
        a->host = host_of(rest + 3, a->plain ? ":80" : ":443");
        a->url = a->host ? text_format("%s://%s/", a->plain ? "http" : "https", a->host) : NULL;
        if (!a->url)
                return err_memory(e);
        if (a->plain && !host_is_loopback(a->host))
                return err_set(e, ERR_CONFIG, "tc.endpoint", "%s: http is for loopback only, the endpoint %s is not",
                        a->name, endpoint);
        return true;
}

static bool conf_copy(struct tencent_api *a, const struct tencent_api_conf *conf)
{
        a->service = text_dup(conf->service);
        a->version = text_dup(conf->version);
        a->name = text_dup(conf->name);
        a->ca_bundle = text_dup(conf->ca_bundle);
        a->has_token = conf->token && conf->token->source != SECRET_NONE;
        return a->service && a->version && a->name && (a->ca_bundle || !conf->ca_bundle) &&
                secret_ref_copy(&a->secret_id, conf->secret_id) && secret_ref_copy(&a->secret_key, conf->secret_key) &&
                (!a->has_token || secret_ref_copy(&a->token, conf->token));
}

bool tencent_api_open(struct tencent_api **ret, struct loop *loop, struct http *http,
        const struct tencent_api_conf *conf, struct err *e)
{
        struct tencent_api *a = calloc(1, sizeof *a);

        if (!a)
                return err_memory(e);
        a->loop = loop;
        a->http = http;
        if (!conf_copy(a, conf)) {
                err_memory(e);
                tencent_api_close(a);
                return false;
        }
        if (!endpoint_read(a, conf->endpoint, e)) {
                tencent_api_close(a);
                return false;
        }
        *ret = a;
        return true;
}

void tencent_api_close(struct tencent_api *a)
{
        if (!a)
                return;
        while (a->calls)
                tencent_cancel(a->calls);
        for (size_t i = 0; i < a->lane_count; i++) {
                timer_free(a->lane[i]->timer);
                free(a->lane[i]);
        }
        secret_ref_done(&a->secret_id);
        secret_ref_done(&a->secret_key);
        secret_ref_done(&a->token);
        free(a->url);
        free(a->host);
        free(a->service);
        free(a->version);
        free(a->name);
        free(a->ca_bundle);
        free(a);
}

/* ---- clock ---- */

int64_t tencent_api_clock_offset_s(const struct tencent_api *a)
{
        return a->clock_offset_s;
}

void tencent_api_set_clock_offset(struct tencent_api *a, int64_t offset_s)
{
        a->clock_offset_s = offset_s;
}

bool tencent_api_has_server_time(const struct tencent_api *a)
{
        return a->seen_date;
}

int64_t tencent_api_server_time_s(const struct tencent_api *a)
{
        if (a->seen_date)
                return a->date_s + (clock_boot_ms() - a->date_boot_ms) / 1000;
        return clock_now_s() + a->clock_offset_s;
}

static void date_note(struct tencent_api *a, const struct http_answer *answer)
{
        const char *date = http_answer_header(answer, "date");
        int64_t at_s;

        if (!date || !parse_http_date(date, &at_s))
                return;
        a->seen_date = true;
        a->date_s = at_s;
        a->date_boot_ms = clock_boot_ms();
}

/* After SignatureExpire: the request was refused before it was processed, so that even a write may go again, once. */
static bool clock_correct(struct tencent_call *c)
{
        struct tencent_api *a = c->api;

        if (c->corrected || !a->seen_date)
                return false;
        int64_t offset_s = tencent_api_server_time_s(a) - clock_now_s();
        if (offset_s == a->clock_offset_s)
                return false;
        log_warning(a->name,
                "%s: this host's clock and the server's differ by %lld s; requests are signed with the server's",
                a->host, (long long)offset_s);
        a->clock_offset_s = offset_s;
        c->corrected = true;
        return true;
}

/* ---- the lanes ---- */

static void lane_next(void *arg);

static struct lane *lane_new(struct tencent_api *a, const char *action, struct err *e)
{
        struct lane *l = calloc(1, sizeof *l);

        if (!l) {
                err_memory(e);
                return NULL;
        }
        l->api = a;
        snprintf(l->action, sizeof l->action, "%s", action);
        tencent_limit_init(&l->limit, a->service, action);
        if (!timer_new(&l->timer, a->loop, lane_next, l, e)) {
                free(l);
                return NULL;
        }
        a->lane[a->lane_count++] = l;
        return l;
}

static struct lane *lane_of(struct tencent_api *a, const char *action, struct err *e)
{
        for (size_t i = 0; i < a->lane_count; i++)
                if (strcmp(a->lane[i]->action, action) == 0)
                        return a->lane[i];
        return a->lane_count == LANES_MAX ? a->lane[LANES_MAX - 1] : lane_new(a, action, e);
}

static void lane_arm(struct lane *l)
{
        if (l->first)
                timer_start(l->timer, tencent_limit_delay_ms(&l->limit, clock_boot_ms()));
        else
                timer_stop(l->timer);
}

static void lane_put(struct tencent_call *c, bool in_front)
{
        struct lane *l = c->lane;

        c->waits = true;
        c->waits_after = in_front ? l->first : NULL;
        if (in_front || !l->first) {
                l->first = c;
                if (!c->waits_after)
                        l->last = c;
        } else {
                l->last->waits_after = c;
                l->last = c;
        }
        lane_arm(l);
}

static void lane_take(struct tencent_call *c)
{
        struct lane *l = c->lane;
        struct tencent_call *before = NULL;

        if (!c->waits)
                return;
        for (struct tencent_call *i = l->first; i != c; i = i->waits_after)
                before = i;
        if (before)
                before->waits_after = c->waits_after;
        else
                l->first = c->waits_after;
        if (l->last == c)
                l->last = before;
        c->waits = false;
        c->waits_after = NULL;
        lane_arm(l);
}

/* ---- sending ---- */

static void call_answered(void *arg, const struct http_answer *answer, const struct err *err);

static bool call_send(struct tencent_call *c, struct err *e)
{
        struct tencent_api *a = c->api;
        CLEANUP(tencent_headers_done) struct tencent_headers headers = { 0 };

        if (!tencent_headers_make(c, &headers, e))
                return false;
        struct http_request r = { .method = "POST",
                .url = a->url,
                .headers = (const char *const *)headers.text,
                .body = c->body,
                .body_len = strlen(c->body),
                .answer_max_bytes = ANSWER_MAX,
                .once_only = c->write,
                .allow_http = a->plain,
                .use_proxy = true,
                .ca_bundle = a->ca_bundle };
        tencent_limit_start(&c->lane->limit, clock_boot_ms());
        c->http = http_start(a->http, &r, call_answered, c, e);
        return c->http != NULL;
}

/* The last act is the sending: its failure calls back, and that may close the api. */
static void lane_next(void *arg)
{
        struct lane *l = arg;
        struct tencent_call *c = l->first;
        struct err e;

        if (!c || tencent_limit_delay_ms(&l->limit, clock_boot_ms()) > 0)
                return lane_arm(l);
        lane_take(c);
        if (!call_send(c, &e))
                call_finish(c, NULL, "", &e);
        else
                lane_arm(l);
}

static void call_again(void *arg)
{
        lane_put(arg, false);
}

static int64_t delay_ms(unsigned times)
{
        int64_t base = MIN((int64_t)1000 << MIN(times, 10u), DELAY_CAP_MS);

        return base * 3 / 4 + (int64_t)random_below((uint64_t)base / 2 + 1);
}

/* ---- judging ---- */

static bool call_retry(struct tencent_call *c, const struct err *e)
{
        if (e->kind == ERR_RATE_LIMITED && c->throttles < THROTTLES_MAX) {
                int64_t wait_ms = MAX(delay_ms(c->throttles), e->retry_after_s * 1000);
                c->throttles++;
                tencent_limit_hold(&c->lane->limit, clock_boot_ms() + MIN(wait_ms, DELAY_CAP_MS));
                lane_put(c, true);
                return true;
        }
        if (e->kind == ERR_TEMPORARY && !c->write && c->faults < FAULTS_MAX) {
                timer_start(c->again, delay_ms(c->faults));
                c->faults++;
                return true;
        }
        return false;
}

static void call_judge(struct tencent_call *c, const json_t *response, const char *request_id, struct err *e)
{
        if (!response && strcmp(e->code, "tc.AuthFailure.SignatureExpire") == 0 && clock_correct(c)) {
                lane_put(c, true);
                return;
        }
        if (!response && call_retry(c, e)) {
                log_debug(c->api->name, "%s %s: %s; sent again later", c->api->host, c->action, e->text);
                return;
        }
        call_finish(c, response, request_id, response ? NULL : e);
}

/* Transport failures of a read are all worth another try, except a certificate that does not verify. */
static void transport_failed(struct tencent_call *c, const struct err *err)
{
        struct err e = *err;

        if (!c->write && e.kind == ERR_UNKNOWN)
                e.kind = ERR_TEMPORARY;
        else if (c->write && e.kind == ERR_PROTOCOL)
                e.kind = ERR_UNKNOWN;
        call_judge(c, NULL, "", &e);
}

static bool status_check(const struct tencent_call *c, const struct http_answer *answer, bool readable,
        const char *request_id, struct err *e)
{
        bool named = !readable && text_starts(e->code, "tc.") && strcmp(e->code, "tc.answer") != 0;
        const char *retry = http_answer_header(answer, "retry-after");
        int64_t after_s = 0;

        if (retry)
                (void)parse_retry_after(retry, clock_now_s(), &after_s); /* garbage: 0, our own delay */
        if (answer->status == 429 && !named && !c->write)
                err_set(e, ERR_RATE_LIMITED, "tc.http-429", "the gateway throttles (HTTP 429)");
        else if (!named && (answer->status >= 500 || !readable))
                err_set(e, c->write ? ERR_UNKNOWN : ERR_TEMPORARY, "tc.answer", "HTTP status %d, %s%s%s",
                        answer->status, readable ? "not to be relied on" : e->text, *request_id ? ", RequestId " : "",
                        request_id);
        else
                return readable;
        e->retry_after_s = after_s;
        return false;
}

static void call_answered(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct tencent_call *c = arg;
        CLEANUP(json_decref_p) json_t *response = NULL;
        char request_id[80] = "";
        struct err e;

        c->http = NULL;
        if (!answer)
                return transport_failed(c, err);
        date_note(c->api, answer);
        bool ok = tencent_envelope_read(answer->body, answer->body_len, c->write, &response, request_id, &e);
        ok = status_check(c, answer, ok, request_id, &e);
        call_judge(c, ok ? response : NULL, request_id, &e);
}

/* The reply of a certificate made by the CA itself carries its key: it does not stay in freed memory. */
static void secrets_wipe(json_t *value)
{
        static const char *const names[] = { "CertificatePrivateKey", "EncryptPrivateKey", "KeyPassword" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                json_t *s = json_object_get(value, names[i]);
                if (json_is_string(s))
                        wipe((char *)(uintptr_t)json_string_value(s), json_string_length(s));
        }
        json_t *submitted = json_object_get(value, "SubmittedData");
        if (json_is_object(submitted))
                secrets_wipe(submitted);
}

static void call_free(struct tencent_call *c)
{
        if (c->next)
                c->next->prev = c->prev;
        if (c->prev)
                c->prev->next = c->next;
        else if (c->api->calls == c)
                c->api->calls = c->next;
        timer_free(c->again);
        free(c->body);
        free(c);
}

static void call_finish(struct tencent_call *c, const json_t *response, const char *request_id, const struct err *err)
{
        tencent_done_fn *done = c->done;
        void *arg = c->arg;
        struct err e;

        ca_requests_count(c->api->name, c->action, err);
        log_debug(c->api->name, "POST %s %s: %s, RequestId %s, %lld ms", c->api->host, c->action,
                err ? err->code : "ok", *request_id ? request_id : "-", (long long)(clock_boot_ms() - c->begun_ms));
        if (err) {
                e = *err;
                err_wrap(&e, "%s: %s", c->api->name, c->action);
        }
        call_free(c);
        done(arg, response, request_id, err ? &e : NULL);
        if (response)
                secrets_wipe((json_t *)(uintptr_t)response);
}

/* ---- starting ---- */

static struct tencent_call *call_new(
        struct tencent_api *a, const char *action, const json_t *parameters, bool write, struct err *e)
{
        struct tencent_call *c = calloc(1, sizeof *c);

        if (!c) {
                err_memory(e);
                return NULL;
        }
        c->api = a;
        c->write = write;
        c->begun_ms = clock_boot_ms();
        snprintf(c->action, sizeof c->action, "%s", action);
        c->next = a->calls;
        if (a->calls)
                a->calls->prev = c;
        a->calls = c;
        c->lane = lane_of(a, action, e);
        if (!c->lane || !timer_new(&c->again, a->loop, call_again, c, e)) {
                call_free(c);
                return NULL;
        }
        c->body = parameters ? json_dumps(parameters, JSON_COMPACT) : text_dup("{}");
        if (!c->body) {
                err_memory(e);
                call_free(c);
                return NULL;
        }
        return c;
}

struct tencent_call *tencent_start(struct tencent_api *a, const char *action, const json_t *parameters, bool write,
        tencent_done_fn *done, void *arg, struct err *e)
{
        struct tencent_call *c = call_new(a, action, parameters, write, e);

        if (!c)
                return NULL;
        c->done = done;
        c->arg = arg;
        if (c->lane->first || tencent_limit_delay_ms(&c->lane->limit, clock_boot_ms()) > 0) {
                lane_put(c, false);
        } else if (!call_send(c, e)) {
                call_free(c);
                return NULL;
        }
        return c;
}

void tencent_cancel(struct tencent_call *c)
{
        if (!c)
                return;
        lane_take(c);
        http_cancel(c->http);
        call_free(c);
}
