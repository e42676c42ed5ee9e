/* `dcvctl report` and `dcvctl alert test`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/alert.h"
#include "agent/alerts/intake_internal.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"

#define EXIT_OF_WAITING 4
#define ANSWER_MAX 65536
#define TEST_MS 10000
#define TEST_SPKI "0000000000000000000000000000000000000000000000000000000000000000"

struct asked {
        char spki[100]; /* as it was typed; "": something else was */
        struct engine *engine;
        action_done_fn *done;
        void *arg;
        bool dry_run;
        struct err err;
        json_t *partly; /* of an answer under way */
};

static void asked_done(struct asked *a, json_t *result_own, const struct err *err)
{
        a->done(a->arg, result_own, err);
        json_decref(result_own);
        json_decref(a->partly);
        free(a);
}

static void on_refused(void *arg)
{
        struct asked *a = arg;
        asked_done(a, NULL, &a->err);
}

/* done never runs before the action returned. */
static void refuse_later(struct asked *a)
{
        if (!loop_defer(engine_loop(a->engine), on_refused, a)) /* memory is out: better early than never */
                on_refused(a);
}

static void out_of_memory(action_done_fn *done, void *arg)
{
        struct err e;
        err_memory(&e);
        done(arg, NULL, &e);
}

/* ---- report ---- */

static void on_reported(void *arg, const struct take_result *r)
{
        struct asked *a = arg;
        struct err e;
        if (r->err && a->spki[0] && strcmp(r->err->code, "evidence.format") == 0) { /* it was not read as a hash */
                err_set(&e, ERR_CONFIG, "report", "--spki %s: the SHA-256 of a public key, 64 hex digits", a->spki);
                return asked_done(a, NULL, &e);
        }
        if (r->err)
                return asked_done(a, NULL, r->err);
        json_t *o = take_json(r);
        const struct incident_answer *first = &r->answer[0];
        bool asks = first->act == INCIDENT_ASKS || first->act == INCIDENT_HOLDS;
        CLEANUP(free_p)
        char *text =
                first->id ? text_format("incident %lld: %s", (long long)first->id, first->text) : text_dup(first->text);
        if (text)
                json_put_text(o, "text", text);
        json_put_i64(o, "exit", asks && !a->dry_run ? EXIT_OF_WAITING : 0);
        if (!a->dry_run)
                alerts_count("report", r->known ? "known" : r->opened ? "taken" : "nothing");
        asked_done(a, o, NULL);
}

void action_report(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        const char *spki = json_str(args, "spki");
        const json_t *content = json_object_get(args, "content");
        const char *text = spki ? spki : json_string_value(content);
        size_t len = spki ? strlen(spki) : json_string_length(content);
        const struct intake *i = intake_running(g);
        struct asked *a = calloc(1, sizeof *a);
        struct alert alert = { 0 };
        if (!a)
                return out_of_memory(done, arg);
        *a = (struct asked){ .engine = g, .done = done, .arg = arg, .dry_run = json_bool(args, "dry_run", false) };
        snprintf(a->spki, sizeof a->spki, "%s", spki ? spki : "");
        struct take_conf c = { .engine = g,
                .challenges = i ? &i->challenges : NULL,
                .source = "operator",
                .trust = json_bool(args, "must_prove", false) ? TAKE_PROOFS : TAKE_WORD,
                .by_operator = true,
                .judge = a->dry_run };
        CLEANUP(free_p) char *plain = NULL;
        uint8_t *raw = NULL;
        const char *encoded = json_str(args, "base64");
        bool good = true;
        if (encoded) { /* DER has bytes that no JSON text has */
                good = base64_decode(encoded, strlen(encoded), &raw, &len) && (plain = text_dup_n((char *)raw, len));
                text = plain;
        }
        if (!good || !text)
                good = err_set(&a->err, ERR_CONFIG, "report", "nothing to report: a file, --spki, --cert or --proof");
        else
                good = take_read_text(text, len, &alert, &a->err) && take_start(&c, &alert, on_reported, a, &a->err);
        if (raw)
                wipe(raw, len);
        free(raw);
        if (plain)
                wipe(plain, len);
        if (!good) {
                a->err.kind = a->err.kind == ERR_PROTOCOL ? ERR_CONFIG : a->err.kind; /* a user's input */
                refuse_later(a);
        }
}

/* ---- alert test ---- */

static const char *test_body(const struct conf_webhook *h)
{
        switch (h->format) {
        case CONF_ALERT_GITHUB:
                return "{\"action\":\"created\",\"alert\":{\"number\":1,\"secret_type\":\"rsa_private_key\",\"created_"
                       "at\":"
                       "\"2026-01-01T00:00:00Z\",\"html_url\":\"https://github.com/example/"
                       "test\"},\"repository\":{\"id\":1,"
                       "\"full_name\":\"example/test\"}}";
        case CONF_ALERT_GITGUARDIAN:
                return "{\"action\":\"incident_triggered\",\"incident\":{\"id\":1,\"detector\":{\"name\":"
                       "\"generic_private_key\",\"display_name\":\"Private key\"}}}";
        default:
                return NULL;
        }
}

/* An alert about the key of the first certificate that has one, so that the answer says something. */
static char *make_body(struct engine *g, const struct conf_webhook *h)
{
        char spki[65] = TEST_SPKI;
        const char *label = "spki_sha256";
        if (test_body(h))
                return text_dup(test_body(h));
        (void)engine_any_key(g, spki); /* none: a key that nobody has */
        for (size_t i = 0; i < h->label_ours.count; i++)
                if (strcmp(h->label_ours.item[i], label) == 0)
                        label = h->label_theirs.item[i];
        if (h->format == CONF_ALERT_ALERTMANAGER)
                return text_format(
                        "{\"version\":\"4\",\"status\":\"firing\",\"alerts\":[{\"status\":\"firing\",\"labels\":{"
                        "\"alertname\":\"dcvdTest\",\"%s\":\"%s\"},\"annotations\":{\"summary\":\"a test\"}}]}",
                        label, spki);
        return text_format(
                "{\"type\":\"key.compromised\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"data\":{\"spki_sha256\":"
                "\"%s\",\"text\":\"a test\"}}",
                spki);
}

static void on_tested(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct asked *a = arg;
        struct intake *i = intake_running(a->engine);
        struct err ignored;
        json_t *body = NULL;
        if (i)
                i->test_nonce[0] = '\0';
        if (!answer)
                return asked_done(a, NULL, err);
        json_t *o = STEAL(a->partly);
        json_put_i64(o, "status", answer->status);
        if (json_read(answer->body, answer->body_len, 8, &body, &ignored))
                json_object_set(o, "answer", body);
        const char *said = json_str(body, "text") ? json_str(body, "text") : json_str(body, "error");
        bool good = answer->status == 200 || answer->status == 202;
        json_put_text(o, "text", said && said[0] ? said : "no more was said");
        json_put_i64(o, "exit", good ? 0 : 1);
        json_decref(body);
        asked_done(a, o, NULL);
}

/* The first listener that can be reached by TCP. */
static char *own_url(const struct intake *i, const char *name, struct address *ret)
{
        for (size_t k = 0; k < i->now.count; k++) {
                const char *where = i->now.where[k];
                if (text_starts(where, "unix:"))
                        continue;
                if (strcmp(where, "systemd") == 0)
                        where = "127.0.0.1";
                if (!address_parse(where, 0, ret))
                        continue;
                if (ret->family == AF_INET && ret->ip.v4.s_addr == 0)
                        (void)address_parse("127.0.0.1", 0, ret); /* cannot fail */
                if (ret->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&ret->ip.v6))
                        (void)address_parse("::1", 0, ret); /* cannot fail */
                ret->port = httpd_port(i->now.httpd[k]);
                char text[ADDRESS_TEXT];
                if (ret->port == 0)
                        continue;
                address_text(ret, true, text);
                return text_format("http://%s/alerts/%s", text, name);
        }
        return NULL;
}

static bool send_test(struct asked *a, struct intake *i, const struct conf_webhook *h, const char *body, size_t len)
{
        struct secret *secrets = NULL;
        size_t count = 0;
        struct texts headers = { 0 };
        struct address where;
        char random[17], id[32];
        uint8_t bytes[24];
        CLEANUP(free_p) char *url = own_url(i, h->name, &where);
        if (!url) {
                err_set(&a->err, ERR_CONFIG, "alerts.listen",
                        "the alerts listener has no TCP address to send a test to");
                return err_fix(&a->err, "set alerts.listen to an address like \"127.0.0.1:9854\"");
        }
        if (!webhook_secrets(h, &secrets, &count, &a->err))
                return false;
        random_bytes(bytes, sizeof bytes);
        hex_encode(i->test_nonce, bytes, 16);
        hex_encode(random, bytes + 16, 8);
        snprintf(id, sizeof id, "test_%s", random);
        const struct signature_test t = { h->header, id, "secret_scanning_alert", clock_now_s() };
        bool good = signature_make((enum alert_format)h->format, &secrets[0], &t, body, len, &headers, &a->err);
        webhook_secrets_free(secrets, count);
        if (good)
                good = (texts_add(&headers, "Content-Type: application/json") &&
                               texts_add_own(&headers, text_format(TEST_HEADER ": %s", i->test_nonce))) ||
                        err_memory(&a->err);
        const char *lines[16] = { NULL };
        for (size_t k = 0; k < headers.count && k + 1 < ARRAY_LEN(lines); k++)
                lines[k] = headers.item[k];
        a->partly = json_object();
        json_put_text(a->partly, "webhook", h->name);
        json_put_text(a->partly, "url", url);
        const struct http_request r = { .method = "POST",
                .url = url,
                .headers = lines,
                .body = body,
                .body_len = len,
                .answer_max_bytes = ANSWER_MAX,
                .timeout_ms = TEST_MS,
                .once_only = true,
                .allow_http = true,
                .pin = &where };
        good = good && http_start(engine_http(a->engine), &r, on_tested, a, &a->err) != NULL;
        for (size_t k = 0; k < headers.count; k++) /* a bearer token is one of them */
                wipe(headers.item[k], strlen(headers.item[k]));
        texts_done(&headers);
        return good;
}

void action_alert_test(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct asked *a = calloc(1, sizeof *a);
        struct intake *i = intake_running(g);
        const char *name = json_str(args, "name"), *given = json_str(args, "body");
        const struct conf_webhook *h = name ? config_webhook(engine_config(g), name) : NULL;
        if (!a)
                return out_of_memory(done, arg);
        *a = (struct asked){ .engine = g, .done = done, .arg = arg };
        CLEANUP(free_p) char *made = h && !given ? make_body(g, h) : NULL;
        const char *body = given ? given : made;
        bool good = false;
        if (!h) {
                err_set(&a->err, ERR_CONFIG, "alerts.webhooks", "no webhook is called %s", name ? name : "that");
                err_fix(&a->err, "dcvd --print-config shows those there are, under alerts.webhooks");
        } else if (!i || i->now.count == 0) {
                err_set(&a->err, ERR_CONFIG, "alerts.listen", "nothing listens for alerts here");
                err_fix(&a->err, "set alerts.listen, then systemctl reload dcvd");
        } else if (!body) {
                err_memory(&a->err);
        } else {
                good = send_test(a, i, h, body, strlen(body));
        }
        if (!good)
                refuse_later(a);
}
