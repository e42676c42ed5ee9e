#include "validators/http_hop.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

#define BODY_MAX 4096 /* kept; more is counted */
#define CONNECT_MS 6000
#define WHOLE_MS 12000 /* CAs stop near 10 s */

struct request {
        const char *url, *host, *agent;
        const struct address *at;
};
struct kept {
        struct http_hop hop;
        char *url, *error, *certificate_fault;
        uint8_t *body;
        struct http_header *headers;
};
/* While it runs: the look, then for https the same with the certificate verified. */
struct asking {
        struct check_fact *fact;
        struct http_call *call;
        struct kept *kept;
        struct address at;
        bool verified_twice;
};

static void kept_free(void *value)
{
        struct kept *k = value;
        for (size_t i = 0; i < k->hop.header_count; i++) {
                free((void *)(uintptr_t)k->headers[i].name);
                free((void *)(uintptr_t)k->headers[i].value);
        }
        free(k->headers);
        free(k->body);
        free(k->url);
        free(k->error);
        free(k->certificate_fault);
        free(k);
}

static const struct {
        const char *code;
        enum http_fault fault;
} faults[] = {
        { "http.refused", HTTP_REFUSED },
        { "http.unreachable", HTTP_UNREACHABLE },
        { "http.timeout", HTTP_CONNECT_TIMEOUT },
        { "http.silent", HTTP_READ_TIMEOUT },
        { "http.reset", HTTP_RESET },
        { "http.not-tls", HTTP_NOT_TLS },
        { "http.tls-old", HTTP_TLS_OLD },
        { "http.tls", HTTP_TLS_FAILED },
        { "http.protocol", HTTP_GARBAGE },
};

/* A fault that has a name needs no words of libcurl's. */
static void set_fault(struct kept *k, const struct err *err)
{
        k->hop.fault = HTTP_UNREACHABLE;
        for (size_t i = 0; i < ARRAY_LEN(faults); i++)
                if (strcmp(faults[i].code, err->code) == 0) {
                        k->hop.fault = faults[i].fault;
                        return;
                }
        k->error = text_dup(err->text);
        k->hop.error = k->error;
}

static void *failed(const struct err *err)
{
        struct kept *k = calloc(1, sizeof *k);
        if (!k || !(k->url = text_dup(""))) {
                free(k);
                return NULL;
        }
        k->hop.url = k->url;
        set_fault(k, err);
        return k;
}

static void end(struct asking *a)
{
        struct check_fact *f = a->fact;
        struct kept *k = a->kept;
        free(a);
        check_fact_done(f, k);
}

static bool verify(struct asking *a);

static void verified(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct asking *a = arg;
        (void)answer;
        a->call = NULL;
        bool certificate = err && strcmp(err->code, "http.certificate") == 0;
        if (err && !certificate && !a->verified_twice) { /* it answered a moment ago */
                a->verified_twice = true;
                if (verify(a))
                        return;
        }
        if (certificate) {
                a->kept->certificate_fault = text_dup(err->text);
                a->kept->hop.certificate_fault = a->kept->certificate_fault;
        }
        end(a);
}

static bool keep_headers(struct kept *k, const struct http_answer *answer)
{
        k->headers = calloc(answer->header_count + 1, sizeof *k->headers);
        k->hop.headers = k->headers;
        for (size_t i = 0; k->headers && i < answer->header_count; i++) {
                k->headers[i] =
                        (struct http_header){ text_dup(answer->headers[i].name), text_dup(answer->headers[i].value) };
                k->hop.header_count++;
                if (!k->headers[i].name || !k->headers[i].value)
                        return false;
        }
        return k->headers != NULL;
}

static bool keep(struct kept *k, const struct http_answer *answer)
{
        k->body = malloc(answer->body_len + 1);
        if (!k->body || !keep_headers(k, answer))
                return false;
        if (answer->body_len > 0)
                memcpy(k->body, answer->body, answer->body_len);
        k->hop.body = k->body;
        k->hop.body_len = answer->body_len;
        k->hop.body_size = answer->body_size;
        k->hop.status = answer->status;
        k->hop.fault = answer->status == 0 ? HTTP_GARBAGE : HTTP_ANSWERED;
        k->hop.first_byte_ms = (unsigned)(answer->first_byte_us / 1000);
        return true;
}

/* Browsers would look at the certificate; CAs do not. */
static bool verify(struct asking *a)
{
        struct err e;
        const struct http_request r = { .method = "HEAD",
                .url = a->kept->url,
                .connect_timeout_ms = CONNECT_MS,
                .timeout_ms = WHOLE_MS,
                .pin = &a->at };
        a->call = http_start(check_http_client(check_fact_run(a->fact)), &r, verified, a, &e);
        return a->call != NULL;
}

static void answered(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct asking *a = arg;
        struct kept *k = a->kept;
        a->call = NULL;
        if (answer && !keep(k, answer)) {
                k->hop.fault = HTTP_UNREACHABLE;
                k->hop.error = "out of memory";
        } else if (!answer) {
                set_fault(k, err);
        } else if (text_starts(k->url, "https://") && verify(a)) {
                return;
        }
        end(a);
}

static bool start(struct check_fact *f, const void *request, struct err *e)
{
        const struct request *q = request;
        struct asking *a = calloc(1, sizeof *a);
        struct kept *k = calloc(1, sizeof *k);
        CLEANUP(free_p) char *host = q->host ? text_format("Host: %s", q->host) : NULL;
        CLEANUP(free_p) char *agent = q->agent ? text_format("User-Agent: %s", q->agent) : NULL;
        const char *headers[] = { "Accept: */*", host ? host : agent, host ? agent : NULL, NULL };
        const struct http_request r = { .method = "GET",
                .url = q->url,
                .headers = headers,
                .answer_max_bytes = BODY_MAX,
                .connect_timeout_ms = CONNECT_MS,
                .timeout_ms = WHOLE_MS,
                .allow_http = true,
                .look = true,
                .take_anything = true,
                .pin = q->at };
        if (a && k && (k->url = text_dup(q->url)) != NULL) {
                *a = (struct asking){ .fact = f, .kept = k, .at = *q->at };
                k->hop.url = k->url;
                a->call = http_start(check_http_client(check_fact_run(f)), &r, answered, a, e);
                if (a->call) {
                        *check_fact_place(f) = a;
                        return true;
                }
        } else {
                err_memory(e);
        }
        free(a);
        if (k)
                kept_free(k);
        return false;
}

static void cancel(struct check_fact *f)
{
        struct asking *a = *check_fact_place(f);
        http_cancel(a->call);
        kept_free(a->kept);
        free(a);
}

static const struct check_fact_kind hop_kind = { start, cancel, kept_free, failed };

const struct http_hop *check_http_hop(
        struct check_context *c, const char *url, const struct address *at, const char *host, const char *agent)
{
        char place[ADDRESS_TEXT];
        address_text(at, true, place);
        CLEANUP(free_p)
        char *key = text_format("hop %s %s %s|%s", place, url, host ? host : "", agent ? agent : "");
        if (!key) {
                c->open++; /* no memory: the run ends by its deadline */
                return NULL;
        }
        const struct kept *k = check_fact(c, key, &hop_kind, &(const struct request){ url, host, agent, at });
        return k ? &k->hop : NULL;
}
