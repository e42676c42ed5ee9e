/* The least that a client of ACME can do: libcurl and OpenSSL alone, so many orders at once, each by http-01 that a
 * thread answers; no journal, no look of its own at what it published, nothing kept or installed. What dcvd takes is
 * compared with it. Prints {"per_s":..,"cpu_ms_each":..,"requests_each":..}. bench_acme DIRECTORY_URL ADDRESS AT_ONCE
 * <names, one a line */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/pki/csr.h"
#include "agent/pki/jws.h"

#define NAMES_MAX 10000
#define AT_ONCE_MAX 64
#define NONCES_MAX 256
#define POLL_MS 10 /* before each look at an order: Pebble is not to be asked faster than every few milliseconds */
#define LIMIT_S 600 /* whoever starts this waits less */
#define PREFIX "GET /.well-known/acme-challenge/"

enum step { ORDER, AUTHORIZATION, CHALLENGE, READY, FINALIZE, VALID, CERTIFICATE, STEPS };

struct order {
        CURL *easy;
        struct curl_slist *headers;
        char *name, *body, *url, *at, *finalize; /* url: of the step; at: the order's */
        struct buf answer;
        char location[512];
        enum step step;
        int64_t due_ms; /* 0: its request runs */
};

static struct key *account_key;
static char *jwk, *thumbprint, *account_url, *new_nonce, *new_account, *new_order;
static char *nonce[NONCES_MAX];
static size_t nonce_count, requests, done_count, name_count, next_name, running[STEPS];
static char *name[NAMES_MAX];
static CURLM *multi;

static _Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void give_up(const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(1);
}

static int64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what the CA looks at ---- */

static void *answer_all(void *arg)
{
        const int *listener = arg;
        for (;;) {
                char request[2048], text[1024];
                int fd = accept(*listener, NULL, NULL);
                ssize_t n = fd < 0 ? -1 : recv(fd, request, sizeof request - 1, 0);
                request[MAX(n, 0)] = '\0';
                if (text_starts(request, PREFIX)) {
                        const char *token = request + strlen(PREFIX);
                        int len = (int)strcspn(token, " ");
                        int size = snprintf(text, sizeof text,
                                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%.*s.%s",
                                (size_t)len + 1 + strlen(thumbprint), len, token, thumbprint);
                        (void)send(fd, text, (size_t)size, MSG_NOSIGNAL);
                }
                close_p(&fd);
        }
        return NULL;
}

static void listen_at(const char *address)
{
        static int listener;
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(80) };
        pthread_t thread;
        int yes = 1;
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (inet_pton(AF_INET, address, &at.sin_addr) != 1 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 ||
                listen(listener, 128) < 0 || pthread_create(&thread, NULL, answer_all, &listener) != 0)
                give_up("cannot listen at %s:80", address);
}

/* ---- requests ---- */

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
        struct order *o = arg;
        const char *colon = memchr(data, ':', n);
        (void)size;
        if (!colon)
                return n;
        const char *value = colon + 1 + strspn(colon + 1, " ");
        size_t len = strcspn(value, "\r");
        if ((size_t)(colon - data) == 12 && strncasecmp(data, "replay-nonce", 12) == 0 && nonce_count < NONCES_MAX)
                nonce[nonce_count++] = text_dup_n(value, len);
        if ((size_t)(colon - data) == 8 && strncasecmp(data, "location", 8) == 0)
                snprintf(o->location, sizeof o->location, "%.*s", (int)len, value);
        return n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
        (void)size;
        return buf_append(arg, data, n) ? n : 0;
}

static void make_easy(struct order *o)
{
        o->easy = curl_easy_init();
        o->headers = curl_slist_append(
                curl_slist_append(NULL, "Content-Type: application/jose+json"), "Expect:"); /* one round trip */
        o->answer = (struct buf){ .max = 1 << 20 };
        curl_easy_setopt(o->easy, CURLOPT_PRIVATE, o);
        curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, o->headers);
        curl_easy_setopt(o->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(o->easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(o->easy, CURLOPT_HEADERDATA, o);
        curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, &o->answer);
}

static void sign(struct order *o, const char *url, const char *payload)
{
        struct err e;
        if (nonce_count == 0)
                give_up("no nonce is left");
        char *once = nonce[--nonce_count];
        char *header = account_url
                ? text_format(
                          "{\"alg\":\"ES256\",\"kid\":\"%s\",\"nonce\":\"%s\",\"url\":\"%s\"}", account_url, once, url)
                : text_format("{\"alg\":\"ES256\",\"jwk\":%s,\"nonce\":\"%s\",\"url\":\"%s\"}", jwk, once, url);
        free(once);
        free(o->body);
        if (!header || !jws_sign(account_key, header, payload, &o->body, &e))
                give_up("%s", e.text);
        free(header);
        buf_done(&o->answer);
        o->answer = (struct buf){ .max = 1 << 20 };
        curl_easy_setopt(o->easy, CURLOPT_URL, url);
        curl_easy_setopt(o->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(o->body));
        curl_easy_setopt(o->easy, CURLOPT_POSTFIELDS, o->body);
        requests++;
}

static json_t *answer_of(struct order *o)
{
        json_t *doc = NULL;
        long status = 0;
        struct err e;
        curl_easy_getinfo(o->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 300 || !o->answer.data)
                give_up("%s: status %ld: %s", o->url ? o->url : "", status, o->answer.data ? o->answer.data : "");
        if (o->answer.data[0] == '{' && !json_read(o->answer.data, o->answer.len, 20, &doc, &e))
                give_up("%s", e.text);
        return doc;
}

static char *member(const json_t *doc, const char *key)
{
        const char *text = json_str(doc, key);
        if (!text)
                give_up("an answer has no %s", key);
        return text_dup(text);
}

/* ---- the account ---- */

static void begin(const char *directory)
{
        struct order o = { 0 };
        struct err e;
        make_easy(&o);
        curl_easy_setopt(o.easy, CURLOPT_URL, directory);
        if (curl_easy_perform(o.easy) != CURLE_OK)
                give_up("%s cannot be read", directory);
        CLEANUP(json_decref_p) json_t *doc = answer_of(&o);
        new_nonce = member(doc, "newNonce");
        new_account = member(doc, "newAccount");
        new_order = member(doc, "newOrder");
        if (!key_generate(KEY_EC_P256, &account_key, &e) || !jwk_public(account_key, &jwk, &e) ||
                !jwk_thumbprint(account_key, &thumbprint, &e))
                give_up("%s", e.text);
        curl_easy_setopt(o.easy, CURLOPT_URL, new_nonce);
        curl_easy_setopt(o.easy, CURLOPT_NOBODY, 1L);
        for (size_t i = 0; i < AT_ONCE_MAX; i++)
                (void)curl_easy_perform(o.easy);
        curl_easy_setopt(o.easy, CURLOPT_NOBODY, 0L);
        sign(&o, new_account, "{\"termsOfServiceAgreed\":true}");
        if (curl_easy_perform(o.easy) != CURLE_OK)
                give_up("no account was made");
        json_decref(answer_of(&o));
        account_url = text_dup(o.location);
        curl_easy_cleanup(o.easy);
        curl_slist_free_all(o.headers);
        buf_done(&o.answer);
        free(o.body);
        requests = 0;
}

/* ---- one order ---- */

static char *csr_payload(const struct order *o)
{
        struct key *key = NULL;
        struct texts names = { (char **)(uintptr_t)&o->name, 1 };
        struct csr_request r = { .names = &names };
        struct err e;
        char *pem = NULL, *text = NULL;
        uint8_t *der = NULL;
        size_t len = 0;
        if (!key_generate(KEY_EC_P256, &key, &e) || !csr_make(key, &r, &pem, &e) ||
                !csr_der(pem, strlen(pem), &der, &len, &e) || !(text = base64url_encode(der, len)))
                give_up("no CSR for %s", o->name);
        char *payload = text_format("{\"csr\":\"%s\"}", text);
        free(text);
        free(der);
        free(pem);
        key_free(key);
        return payload;
}

static void send_step(struct order *o)
{
        char *payload = o->step == ORDER
                ? text_format("{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}]}", o->name)
                : o->step == FINALIZE ? csr_payload(o)
                                      : text_dup(o->step == CHALLENGE ? "{}" : "");
        o->due_ms = 0;
        running[o->step]++;
        sign(o, o->url, payload);
        free(payload);
        if (curl_multi_add_handle(multi, o->easy) != CURLM_OK)
                give_up("libcurl takes no transfer");
}

static void go(struct order *o, enum step step, const char *url)
{
        char *copy = text_dup(url);
        free(o->url);
        o->url = copy;
        o->step = step;
        o->due_ms = now_ms() + (step == READY || step == VALID ? POLL_MS : 0);
}

/* Pebble locks up over the two at the same time (agent/ca/acme/turns.c). */
static bool may_go(enum step step)
{
        return step == ORDER ? running[AUTHORIZATION] == 0 : step != AUTHORIZATION || running[ORDER] == 0;
}

static void next_order(struct order *o)
{
        if (next_name == name_count)
                return;
        free(o->at);
        free(o->finalize);
        o->at = o->finalize = NULL;
        o->name = name[next_name++];
        go(o, ORDER, new_order);
}

static void challenged(struct order *o, const json_t *doc)
{
        size_t i;
        json_t *c;
        json_array_foreach(json_object_get(doc, "challenges"), i, c)
        {
                const char *type = json_str(c, "type");
                if (type && strcmp(type, "http-01") == 0)
                        return go(o, CHALLENGE, json_str(c, "url"));
        }
        give_up("%s: no http-01 is offered", o->name);
}

static void answered(struct order *o)
{
        CLEANUP(json_decref_p) json_t *doc = answer_of(o);
        const char *status = json_str(doc, "status");
        if (status && strcmp(status, "invalid") == 0)
                give_up("%s: %s", o->name, o->answer.data);
        switch (o->step) {
        case ORDER:
                o->at = text_dup(o->location);
                o->finalize = member(doc, "finalize");
                return go(
                        o, AUTHORIZATION, json_string_value(json_array_get(json_object_get(doc, "authorizations"), 0)));
        case AUTHORIZATION:
                return challenged(o, doc);
        case CHALLENGE:
                return go(o, READY, o->at);
        case READY:
                return status && strcmp(status, "ready") == 0 ? go(o, FINALIZE, o->finalize) : go(o, READY, o->at);
        case FINALIZE:
                return go(o, VALID, o->at);
        case VALID:
                return json_str(doc, "certificate") ? go(o, CERTIFICATE, json_str(doc, "certificate"))
                                                    : go(o, VALID, o->at);
        case CERTIFICATE:
                done_count++;
                return next_order(o);
        case STEPS:
                break;
        }
}

static int send_due(struct order *order, size_t count)
{
        int64_t now = now_ms(), next = now + 1000;
        for (size_t i = 0; i < count; i++) {
                if (order[i].due_ms > now)
                        next = MIN(next, order[i].due_ms);
                else if (order[i].due_ms && may_go(order[i].step))
                        send_step(&order[i]);
        }
        return (int)(next - now);
}

/* False: none has ended. */
static bool take_answers(void)
{
        CURLMsg *message;
        int left;
        bool any = false;
        while ((message = curl_multi_info_read(multi, &left))) {
                struct order *o = NULL;
                CURLcode result = message->data.result;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&o);
                if (result != CURLE_OK)
                        give_up("%s: %s", o->url, curl_easy_strerror(result));
                curl_multi_remove_handle(multi, o->easy);
                running[o->step]--;
                answered(o);
                any = true;
        }
        return any;
}

static void run(struct order *order, size_t count)
{
        while (done_count < name_count) {
                int left, wait_ms = send_due(order, count);
                if (curl_multi_perform(multi, &left) != CURLM_OK)
                        give_up("libcurl fails");
                if (!take_answers() && curl_multi_poll(multi, NULL, 0, wait_ms, NULL) != CURLM_OK)
                        give_up("libcurl fails");
        }
}

static void read_names(void)
{
        char line[300];
        while (name_count < NAMES_MAX && fgets(line, sizeof line, stdin)) {
                line[strcspn(line, "\n")] = '\0';
                name[name_count++] = text_dup(line);
        }
}

int main(int argc, char **argv)
{
        static struct order order[AT_ONCE_MAX];
        size_t at_once = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
        struct rusage before, after;
        if (at_once == 0 || at_once > AT_ONCE_MAX)
                return 2;
        (void)alarm(LIMIT_S);
        (void)signal(SIGPIPE, SIG_IGN);
        read_names();
        curl_global_init(CURL_GLOBAL_DEFAULT);
        begin(argv[1]);
        listen_at(argv[2]);
        multi = curl_multi_init();
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)AT_ONCE_MAX);
        getrusage(RUSAGE_SELF, &before);
        int64_t since_ms = now_ms();
        for (size_t i = 0; i < at_once; i++) {
                make_easy(&order[i]);
                next_order(&order[i]);
        }
        run(order, at_once);
        double wall_s = (double)(now_ms() - since_ms) / 1000;
        getrusage(RUSAGE_SELF, &after);
        double cpu_s = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
                               before.ru_stime.tv_sec) +
                (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                        before.ru_stime.tv_usec) /
                        1e6;
        printf("{\"per_s\": %.1f, \"cpu_ms_each\": %.3f, \"requests_each\": %.2f}\n", (double)name_count / wall_s,
                1000 * cpu_s / (double)name_count, (double)requests / (double)name_count);
        return 0;
}
