/* One request at the alerts listener: who sends, is it believed, what does it say, what became of it. Nothing is parsed
 * before the signature is good; nothing is answered with 2xx before it is on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/alerts/intake_internal.h"
#include "agent/alerts/rate.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/pki/evidence.h"

#define PREFIX "/alerts/"
#define SAY_AGAIN_MS 60000

struct request {
        struct request *next, **at;
        struct intake *intake; /* NULL: it has closed */
        struct httpd_exchange *x;
        char *source; /* "webhook scanner", "proof" */
        char label[65]; /* of the metric: the webhook's name, "proof" */
        bool judge;
        enum take_trust trust;
        struct alert alert;
};

/* ---- answers ---- */

static const char *const no_store[] = { "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", NULL };

static void reply_json(struct httpd_exchange *x, unsigned status, json_t *o_own, int64_t retry_s)
{
        char seconds[24];
        const char *const retry[] = { "Cache-Control", "no-store", "Retry-After", seconds, NULL };
        CLEANUP(free_p) char *text = o_own ? json_text(o_own) : NULL;
        snprintf(seconds, sizeof seconds, "%lld", (long long)MAX(retry_s, 1));
        json_decref(o_own);
        httpd_reply(x, status, "application/json", text ? text : "{}", text ? strlen(text) : 2,
                retry_s > 0 ? retry : no_store);
}

static void reply_text(struct httpd_exchange *x, unsigned status, const char *text, int64_t retry_s)
{
        json_t *o = json_object();
        json_put_text(o, "error", text);
        reply_json(x, status, o, retry_s);
}

/* ---- who sends ---- */

static bool is_trusted(const struct texts *proxies, const struct address *a)
{
        char text[ADDRESS_TEXT];
        address_text(a, false, text);
        for (size_t i = 0; i < proxies->count; i++)
                if (strcmp(proxies->item[i], text) == 0 ||
                        (strchr(proxies->item[i], '/') && address_in_net(a, proxies->item[i])))
                        return true;
        return false;
}

/* The nearest address that is no proxy of ours: what X-Forwarded-For says before a stranger's word is anybody's. */
static bool sender_of(const struct texts *proxies, struct httpd_exchange *x, const char *peer, struct address *ret)
{
        unsigned n = 0;
        const char *list = httpd_header(x, "X-Forwarded-For", &n);
        bool local = !address_parse(peer, 0, ret);
        if (n != 1 || strlen(list) > 1024 || (!local && !is_trusted(proxies, ret)))
                return !local;
        const char *end = list + strlen(list);
        while (end > list) {
                const char *from = end;
                while (from > list && from[-1] != ',')
                        from--;
                from += strspn(from, " ");
                CLEANUP(free_p) char *one = text_dup_n(from, from < end ? strcspn(from, " ,") : 0);
                struct address a;
                if (!one || !address_parse(one, 0, &a))
                        return !local;
                *ret = a;
                local = false;
                if (!is_trusted(proxies, &a))
                        return true;
                while (end > list && end[-1] != ',')
                        end--;
                end -= end > list;
        }
        return !local;
}

/* Browsers say where a request comes from; no sender of alerts is one. */
static bool is_browser(struct httpd_exchange *x)
{
        unsigned n = 0;
        return httpd_header(x, "Origin", &n) || httpd_header(x, "Sec-Fetch-Site", &n) ||
                httpd_header(x, "Sec-Fetch-Mode", &n);
}

/* ---- secrets ---- */

void webhook_secrets_free(struct secret *s, size_t count)
{
        for (size_t i = 0; s && i < count; i++)
                secret_done(&s[i]);
        free(s);
}

/* Those that can be read; none: the error of the last. */
bool webhook_secrets(const struct conf_webhook *h, struct secret **ret, size_t *ret_count, struct err *e)
{
        struct secret *s = calloc(h->secret_count + 1, sizeof *s);
        size_t n = 0;
        if (!s)
                return err_memory(e);
        for (size_t i = 0; i < h->secret_count; i++) {
                if (!secret_load(&h->secret[i], &s[n], e))
                        continue;
                if (signature_secret_check((enum alert_format)h->format, &s[n], e))
                        n++;
                else
                        secret_done(&s[n]);
        }
        if (n == 0) {
                free(s);
                return false;
        }
        *ret = s;
        *ret_count = n;
        return true;
}

bool request_check_secrets(const struct conf *conf, struct err *e)
{
        for (size_t i = 0; i < conf->intake.webhooks.count; i++) {
                const struct conf_webhook *h = &conf->intake.webhooks.item[i];
                for (size_t k = 0; k < h->secret_count; k++) {
                        CLEANUP(secret_done) struct secret s = { 0 };
                        struct err absent;
                        /* one that is not there yet is said elsewhere, and read again at use */
                        if (secret_load(&h->secret[k], &s, &absent) &&
                                !signature_secret_check((enum alert_format)h->format, &s, e))
                                return err_wrap(e, "alerts.webhooks.%s.secret", h->name);
                }
        }
        return true;
}

/* ---- the life of a request ---- */

static struct request *request_new(struct intake *i, struct httpd_exchange *x, const char *label, bool webhook)
{
        struct request *q = calloc(1, sizeof *q);
        if (!q)
                return NULL;
        q->source = webhook ? text_format("webhook %s", label) : text_dup(label);
        if (!q->source) {
                free(q);
                return NULL;
        }
        snprintf(q->label, sizeof q->label, "%s", label);
        q->intake = i;
        q->x = x;
        q->at = &i->requests;
        q->next = i->requests;
        if (q->next)
                q->next->at = &q->next;
        i->requests = q;
        i->request_count++;
        return q;
}

static void request_free(struct request *q)
{
        if (q->intake) {
                *q->at = q->next;
                if (q->next)
                        q->next->at = q->at;
                q->intake->request_count--;
        }
        alert_done(&q->alert);
        free(q->source);
        free(q);
}

void requests_abandon(struct intake *i)
{
        for (struct request *q = i->requests; q; q = q->next)
                q->intake = NULL;
        i->requests = NULL;
        i->request_count = 0;
}

/* A stranger learns that the report arrived, not what is on this host. */
static json_t *brief_json(const struct take_result *r)
{
        json_t *o = json_object();
        if (r->count && r->answer[0].id)
                json_put_i64(o, "incident", r->answer[0].id);
        else
                json_object_set_new(o, "incident", json_null());
        return o;
}

static void on_result(void *arg, const struct take_result *r)
{
        struct request *q = arg;
        const struct err *err = r->err;
        if (err && (err->kind == ERR_CONFIG || err->kind == ERR_PROTOCOL)) {
                alerts_count(q->label, "malformed");
                reply_text(q->x, 400, err->text, 0);
        } else if (err) {
                alerts_count(q->label, "busy");
                log_err("", "an alert could not be stored; its sender is asked to come again", err);
                reply_text(q->x, 503, "not stored; try again", MAX(err->retry_after_s, BUSY_RETRY_S));
        } else {
                bool fresh = r->opened && !r->known;
                if (!q->judge)
                        alerts_count(q->label, fresh ? "taken" : r->known ? "known" : "nothing");
                json_t *o = q->trust == TAKE_PROOFS ? brief_json(r) : take_json(r);
                if (q->alert.truncated)
                        json_put_text(o, "warning", "the sender left alerts out");
                reply_json(q->x, fresh ? 202 : 200, o, 0);
        }
        request_free(q);
}

static void take(struct request *q, enum take_trust trust)
{
        struct err e;
        q->trust = trust;
        struct take_conf c = { .engine = q->intake->engine,
                .challenges = &q->intake->challenges,
                .source = q->source,
                .trust = trust,
                .judge = q->judge };
        struct alert a = q->alert;
        q->alert = (struct alert){ .truncated = a.truncated };
        if (take_start(&c, &a, on_result, q, &e))
                return;
        const struct take_result failed = { .err = &e };
        on_result(q, &failed);
}

static void reply_known(struct request *q, int64_t incident)
{
        json_t *o = json_object();
        if (incident)
                json_put_i64(o, "incident", incident);
        else
                json_object_set_new(o, "incident", json_null());
        json_put_bool(o, "known", true);
        json_put_text(o, "text", "this delivery was taken before");
        alerts_count(q->label, "known");
        reply_json(q->x, 200, o, 0);
        request_free(q);
}

static bool item_was_seen(struct request *q, const struct alert_item *i, int64_t *ret)
{
        for (size_t k = 0; k < i->seen_count; k++)
                if (alert_seen_check(q->intake->engine, q->source, i->seen[k].key, ret))
                        return true;
        return false;
}

/* A delivery that was taken before, or whose every alert was: answered again, acted on never. */
static bool was_seen(struct request *q, int64_t *ret)
{
        const struct alert *a = &q->alert;
        if (a->seen.key && alert_seen_check(q->intake->engine, q->source, a->seen.key, ret))
                return true;
        for (size_t i = 0; i < a->count; i++)
                if (!item_was_seen(q, &a->item[i], ret))
                        return false;
        return a->count > 0;
}

static void reply_ignored(struct request *q)
{
        json_t *o = json_object();
        struct err e;
        const struct report_seen seen = { q->alert.seen.key, q->alert.seen.expires_s };
        bool ping = q->alert.kind == ALERT_PING;
        if (!q->judge && seen.key && !alert_seen_add(q->intake->engine, q->source, &seen, &e)) {
                json_decref(o);
                alerts_count(q->label, "busy");
                reply_text(q->x, 503, e.text, MAX(e.retry_after_s, BUSY_RETRY_S));
                request_free(q);
                return;
        }
        json_object_set_new(o, "incident", json_null());
        json_put_text(o, "text", ping ? "ping answered" : q->alert.why);
        alerts_count(q->label, "ignored");
        if (!ping)
                log_debug("", "%s: %s", q->source, q->alert.why);
        reply_json(q->x, 200, o, 0);
        request_free(q);
}

static void on_fetched(void *arg, const struct err *err)
{
        struct request *q = arg;
        if (!q->intake) {
                reply_text(q->x, 503, "stopping", BUSY_RETRY_S);
                request_free(q);
                return;
        }
        if (err)
                log_err("", "the key of a GitHub alert could not be fetched; it is taken as a hint", err);
        take(q, TAKE_WORD);
}

static void handle_alert(struct request *q, const struct conf_webhook *h)
{
        int64_t incident = 0;
        struct err e;
        if (q->alert.unmapped)
                log_warning("",
                        "%s: an alert that fires names no key, certificate or domain; see alerts.webhooks.%s.labels",
                        q->source, q->label);
        if (q->alert.truncated)
                log_warning("", "%s: the sender left alerts out of its message; look there", q->source);
        if (!q->judge && was_seen(q, &incident))
                return reply_known(q, incident);
        if (q->alert.kind != ALERT_KEYS)
                return reply_ignored(q);
        if (h->token.source == SECRET_NONE || !q->alert.item[0].fetch_url || q->judge)
                return take(q, TAKE_WORD);
        if (!github_fetch(q->intake->engine, h, &q->alert, on_fetched, q, &e))
                on_fetched(q, &e);
}

/* ---- webhooks ---- */

static const char *header_of(void *arg, const char *name, unsigned *ret_count)
{
        return httpd_header(arg, name, ret_count);
}

static bool type_is(struct httpd_exchange *x, const char *const *types)
{
        unsigned n = 0;
        const char *type = httpd_header(x, "Content-Type", &n);
        if (n == 0)
                return true;
        size_t len = n == 1 ? strcspn(type, "; \t") : 0;
        for (; *types; types++)
                if (strlen(*types) == len && strncasecmp(type, *types, len) == 0)
                        return true;
        return false;
}

enum { AUTH_GOOD, AUTH_BAD, AUTH_UNREADABLE };

/* Genuine, and refused for its time: an old message sent again, or one of the two clocks is wrong. */
static void tell_late(struct intake *i, const struct conf_webhook *h)
{
        if (i->late_told_ms && clock_boot_ms() - i->late_told_ms < SAY_AGAIN_MS)
                return;
        i->late_told_ms = clock_boot_ms();
        log_warning("",
                "webhook %s: an alert with a good signature is refused: its time is too far from this host's clock "
                "(timedatectl), or somebody sends an old one again",
                h->name);
}

static int authenticate(
        struct intake *i, const struct conf_webhook *h, struct httpd_exchange *x, const struct httpd_request *r)
{
        struct signed_request s = { header_of, x, r->body, r->body_len, clock_now_s(),
                !engine_clock_is_sound(i->engine) };
        struct secret *secrets = NULL;
        size_t count = 0;
        struct err e;
        if (!webhook_secrets(h, &secrets, &count, &e)) {
                if (clock_boot_ms() - i->secret_told_ms >= SAY_AGAIN_MS || !i->secret_told_ms) {
                        i->secret_told_ms = clock_boot_ms();
                        log_err("", "no alert of this sender can be judged", &e);
                }
                return AUTH_UNREADABLE;
        }
        bool good = signature_is_good((enum alert_format)h->format, h->header, secrets, count, &s);
        if (!good && !s.any_time) {
                s.any_time = true;
                if (signature_is_good((enum alert_format)h->format, h->header, secrets, count, &s))
                        tell_late(i, h);
        }
        webhook_secrets_free(secrets, count);
        return good ? AUTH_GOOD : AUTH_BAD;
}

/* The answer of `dcvctl alert test` is made by the same path, without acting. */
static bool is_our_test(struct intake *i, struct httpd_exchange *x)
{
        unsigned n = 0;
        const char *nonce = httpd_header(x, TEST_HEADER, &n);
        bool is = n == 1 && i->test_nonce[0] && strcmp(nonce, i->test_nonce) == 0;
        if (is)
                i->test_nonce[0] = '\0';
        return is;
}

/* Only who fails is slowed down: nobody can keep an honest sender out by forging behind the same proxy. */
static void reply_forged(
        struct intake *i, const struct conf_webhook *h, struct httpd_exchange *x, const struct address *sender)
{
        int64_t wait_s = 0, now_ms = clock_boot_ms();
        bool may = rate_may(i->failures, sender, now_ms, &wait_s);
        alerts_count(h->name, may ? "unauthorized" : "limited");
        if (!may)
                return reply_text(x, 429, "too many requests that failed", wait_s);
        rate_spend(i->failures, sender, now_ms);
        reply_text(x, 401, "not authenticated", 0);
}

static void handle_webhook(struct intake *i, const struct conf_webhook *h, struct httpd_exchange *x,
        const struct httpd_request *r, const struct address *sender)
{
        static const char *const json_only[] = { "application/json", NULL };
        static const char *const json_or_form[] = { "application/json", "application/x-www-form-urlencoded", NULL };
        struct err e;
        int auth = authenticate(i, h, x, r);
        if (auth == AUTH_UNREADABLE) {
                alerts_count(h->name, "busy");
                return reply_text(x, 503, "not ready", 60);
        }
        if (auth == AUTH_BAD)
                return reply_forged(i, h, x, sender);
        if (!type_is(x, h->format == CONF_ALERT_GITHUB ? json_or_form : json_only)) {
                alerts_count(h->name, "malformed");
                return reply_text(x, 415, "Content-Type is not application/json", 0);
        }
        struct request *q = i->request_count < REQUESTS_MAX ? request_new(i, x, h->name, true) : NULL;
        if (!q) {
                alerts_count(h->name, "busy");
                return reply_text(x, 503, "too many alerts at a time", BUSY_RETRY_S);
        }
        struct alert_request ask = { .format = (enum alert_format)h->format,
                .header = header_of,
                .arg = x,
                .body = r->body,
                .body_len = r->body_len,
                .now_s = clock_now_s(),
                .label_ours = &h->label_ours,
                .label_theirs = &h->label_theirs };
        q->judge = is_our_test(i, x);
        if (alert_read(&ask, &q->alert, &e))
                return handle_alert(q, h);
        const struct take_result failed = { .err = &e };
        on_result(q, &failed);
}

/* ---- proofs ---- */

static void give_challenge(struct intake *i, struct httpd_exchange *x)
{
        char text[CHALLENGE_TEXT];
        json_t *o = json_object();
        challenge_make(&i->challenges, clock_now_s(), text);
        json_put_text(o, "challenge", text);
        json_put_i64(o, "seconds", CHALLENGE_LIFE_S);
        reply_json(x, 200, o, 0);
}

static bool asks_challenge(const struct httpd_request *r)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err e;
        return r->body_len < 64 && json_read(r->body, r->body_len, 2, &o, &e) && json_bool(o, "challenge", false);
}

static void handle_proof(
        struct intake *i, struct httpd_exchange *x, const struct httpd_request *r, const struct address *sender)
{
        static const char *const types[] = { "application/json", "application/jose+json", "application/jose",
                "application/pkcs10", "application/pkcs8", "application/pkcs7-mime", "application/cms",
                "application/x-pem-file", "application/pem-certificate-chain", "application/octet-stream", "text/plain",
                NULL };
        int64_t wait_s = 0, now_ms = clock_boot_ms();
        struct err e;
        if (!rate_may(i->proofs, sender, now_ms, &wait_s)) {
                alerts_count("proof", "limited");
                return reply_text(x, 429, "too many proofs from your address", wait_s);
        }
        rate_spend(i->proofs, sender, now_ms);
        if (!type_is(x, types)) {
                alerts_count("proof", "malformed");
                return reply_text(x, 415,
                        "Content-Type is none of application/json, application/jose+json, application/pkcs10, "
                        "application/x-pem-file, application/octet-stream, text/plain",
                        0);
        }
        if (r->body_len > EVIDENCE_MAX) {
                alerts_count("proof", "malformed");
                return reply_text(x, 413, "a proof is at most 65536 bytes", 0);
        }
        if (asks_challenge(r))
                return give_challenge(i, x);
        struct request *q = i->request_count < REQUESTS_MAX ? request_new(i, x, "proof", false) : NULL;
        if (!q) {
                alerts_count("proof", "busy");
                return reply_text(x, 503, "too many proofs at a time", BUSY_RETRY_S);
        }
        if (take_read_text(r->body, r->body_len, &q->alert, &e))
                return take(q, TAKE_PROOFS);
        const struct take_result failed = { .err = &e };
        on_result(q, &failed);
}

/* ---- targets ---- */

void request_handle(void *arg, struct httpd_exchange *x, const struct httpd_request *r)
{
        struct intake *i = arg;
        static const char *const allow[] = { "Allow", "POST", NULL };
        static const char post_only[] = "{\"error\":\"POST only\"}";
        const struct conf *conf = engine_config(i->engine);
        const char *name = text_starts(r->target, PREFIX) ? r->target + strlen(PREFIX) : NULL;
        const struct conf_webhook *h = name ? config_webhook(conf, name) : NULL;
        bool proof = name && !h && conf->intake.proofs && strcmp(name, "proof") == 0;
        struct address sender;
        if (!h && !proof)
                return reply_text(x, 404, "not found", 0);
        if (strcmp(r->method, "POST") != 0)
                return httpd_reply(x, 405, "application/json", post_only, sizeof post_only - 1, allow);
        if (is_browser(x)) {
                alerts_count(h ? h->name : "proof", "malformed");
                return reply_text(x, 400, "requests of a browser are not taken", 0);
        }
        bool known = sender_of(&conf->intake.trusted_proxies, x, r->peer, &sender);
        if (h)
                handle_webhook(i, h, x, r, known ? &sender : NULL);
        else
                handle_proof(i, x, r, known ? &sender : NULL);
}
