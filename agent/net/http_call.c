/* One exchange: find the addresses, try them in order until one connects, collect the answer, tell what happened. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/net/http_internal.h"

#define ANSWER_MAX_DEFAULT ((size_t)1024 * 1024)
#define HEADERS_MAX_BYTES (64 * 1024)
#define CONNECT_MS_DEFAULT 10000
#define TIMEOUT_MS_DEFAULT 60000
#define BODY_ENOUGH ((size_t)1024 * 1024) /* with take_anything: whoever sends more has said enough */

/* ---- ends ---- */

static void drop_easy(struct http_call *c)
{
        if (c->added)
                http_remove(c->http, c->easy);
        curl_easy_cleanup(c->easy); /* NULL is no handle */
        c->easy = NULL;
        c->added = false;
        curl_slist_free_all(c->connect_to);
        curl_slist_free_all(c->resolve);
        c->connect_to = c->resolve = NULL;
}

static void unlist(struct http_call *c)
{
        if (!c->at)
                return;
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
        c->at = NULL;
}

void http_call_free(struct http_call *c)
{
        unlist(c);
        dns_lookup_cancel(c->lookup);
        loop_undefer(c->http->loop, c->begin);
        timer_free(c->limit);
        drop_easy(c);
        curl_slist_free_all(c->headers);
        free(c->method);
        free(c->url);
        free(c->host);
        free(c->proxy_host);
        free(c->ca_bundle);
        buf_done(&c->body);
        buf_done(&c->answer);
        texts_done(&c->names);
        texts_done(&c->values);
        free(c);
}

/* The one way out: takes the call off its list first, so that the callback may do anything. */
static void finish(struct http_call *c, const struct http_answer *answer, const struct err *err)
{
        http_done_fn *done = c->done;
        void *arg = c->arg;
        unlist(c);
        done(arg, answer, err);
        http_call_free(c);
}

void http_cancel(struct http_call *c)
{
        if (c)
                http_call_free(c);
}

/* ---- the answer ---- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
        struct http_call *c = arg;
        (void)size; /* always 1 */
        c->body_bytes += n;
        if (c->answer.len + n > c->answer_max) {
                c->too_large = !c->take_anything || c->body_bytes > BODY_ENOUGH;
                size_t rest = c->take_anything ? c->answer_max - c->answer.len : 0;
                return !c->too_large && buf_append(&c->answer, data, rest) ? n : 0;
        }
        return buf_append(&c->answer, data, n) ? n : 0;
}

static bool keep_header(struct http_call *c, const char *line, size_t len)
{
        const char *colon = memchr(line, ':', len);
        if (!colon)
                return true; /* the empty line */
        size_t name_len = (size_t)(colon - line);
        const char *value = colon + 1, *end = line + len;
        while (value < end && (*value == ' ' || *value == '\t'))
                value++;
        while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
                end--;
        char *name = text_dup_n(line, name_len), *text = text_dup_n(value, (size_t)(end - value));
        for (size_t i = 0; name && i < name_len; i++)
                if (name[i] >= 'A' && name[i] <= 'Z')
                        name[i] = (char)(name[i] - 'A' + 'a');
        if (name && text && texts_add_own(&c->names, name)) {
                if (texts_add_own(&c->values, text))
                        return true;
                free(text);
                return false;
        }
        free(name);
        free(text);
        return false;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
        struct http_call *c = arg;
        (void)size;
        bool status_line = n > 5 && memcmp(data, "HTTP/", 5) == 0;
        if (status_line) { /* a new head: after 100 Continue, or a proxy's */
                texts_done(&c->names);
                texts_done(&c->values);
        }
        c->header_bytes += n;
        if (c->header_bytes > HEADERS_MAX_BYTES) {
                c->too_large = true;
                return 0;
        }
        return status_line || keep_header(c, data, n) ? n : 0;
}

static size_t on_read(char *data, size_t size, size_t n, void *arg)
{
        struct http_call *c = arg;
        size_t take = MIN(size * n, c->body.len - c->body_read);
        if (take)
                memcpy(data, c->body.data + c->body_read, take);
        c->body_read += take;
        return take;
}

const char *http_answer_header(const struct http_answer *a, const char *name)
{
        for (size_t i = 0; i < a->header_count; i++)
                if (strcmp(a->headers[i].name, name) == 0)
                        return a->headers[i].value;
        return NULL;
}

unsigned http_answer_header_count(const struct http_answer *a, const char *name)
{
        unsigned count = 0;
        for (size_t i = 0; i < a->header_count; i++)
                count += strcmp(a->headers[i].name, name) == 0;
        return count;
}

static void deliver(struct http_call *c)
{
        struct http_answer a = { .body_len = c->answer.len, .body_size = c->body_bytes };
        struct err e;
        long status = 0;
        char *ip = NULL, *redirect = NULL;
        curl_off_t total_us = 0, first_us = 0;
        (void)curl_easy_getinfo(c->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
        (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(c->easy, CURLINFO_PRIMARY_IP, &ip);
        (void)curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &redirect);
        (void)curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME_T, &total_us);
        CLEANUP(free_p) struct http_header *headers = calloc(c->names.count + 1, sizeof *headers);
        if (!headers || !buf_append(&c->answer, "", 0)) {
                err_memory(&e);
                e.kind = ERR_UNKNOWN;
                return finish(c, NULL, &e);
        }
        for (size_t i = 0; i < c->names.count; i++)
                headers[i] = (struct http_header){ c->names.item[i], c->values.item[i] };
        a.status = (int)status;
        a.body = c->answer.data;
        a.headers = headers;
        a.header_count = c->names.count;
        a.redirect_url = redirect;
        a.total_us = total_us;
        a.first_byte_us = first_us;
        snprintf(a.peer, sizeof a.peer, "%s", ip ? ip : "");
        finish(c, &a, NULL);
}

/* ---- the transfer ---- */

static void set_request(struct http_call *c, CURL *x)
{
        if (strcmp(c->method, "HEAD") == 0)
                (void)curl_easy_setopt(x, CURLOPT_NOBODY, 1L);
        if (!http_is_write(c))
                return;
        (void)curl_easy_setopt(x, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
        if (c->once_only || c->body.len == 0) {
                /* A warm connection that dies before the first byte makes libcurl send the write again: none is warm.
                 * Without a body there is nothing that could not be rewound. */
                (void)curl_easy_setopt(x, CURLOPT_POSTFIELDS, c->body.data ? c->body.data : "");
                (void)curl_easy_setopt(x, CURLOPT_FRESH_CONNECT, 1L);
                (void)curl_easy_setopt(x, CURLOPT_FORBID_REUSE, 1L);
                return;
        }
        /* Keep-alive stays, but a body that cannot be rewound cannot be repeated: result 65 instead. */
        c->body_read = 0;
        (void)curl_easy_setopt(x, CURLOPT_READFUNCTION, on_read);
        (void)curl_easy_setopt(x, CURLOPT_READDATA, c);
}

static void set_security(struct http_call *c, CURL *x)
{
        (void)curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, c->allow_http ? "http,https" : "https");
        (void)curl_easy_setopt(x, CURLOPT_FOLLOWLOCATION, 0L);
        (void)curl_easy_setopt(x, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        (void)curl_easy_setopt(x, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        (void)curl_easy_setopt(x, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        (void)curl_easy_setopt(x, CURLOPT_SSL_VERIFYPEER, c->look ? 0L : 1L);
        (void)curl_easy_setopt(x, CURLOPT_SSL_VERIFYHOST, c->look ? 0L : 2L);
        http_roots_of_system(x);
        if (c->ca_bundle)
                (void)curl_easy_setopt(x, CURLOPT_CAINFO, c->ca_bundle); /* besides the system's directory of roots */
        if (c->take_anything)
                (void)curl_easy_setopt(x, CURLOPT_HTTP09_ALLOWED, 1L);
        if (c->look) {
                (void)curl_easy_setopt(x, CURLOPT_FRESH_CONNECT, 1L);
                (void)curl_easy_setopt(x, CURLOPT_FORBID_REUSE, 1L);
        }
}

/* An HTTP proxy is given by its address. An HTTPS proxy must keep its name, for its certificate: libcurl then finds the
 * address in its own cache. The environment (no_proxy) has no say in either case. */
static bool set_proxy(struct http_call *c, CURL *x)
{
        char address[ADDRESS_TEXT];
        struct address at = c->list[c->tried], numeric;
        CLEANUP(free_p) char *url = NULL, *known = NULL;
        (void)curl_easy_setopt(x, CURLOPT_NOPROXY, "");
        address_text(&at, !c->proxy_tls, address);
        if (!c->proxy_tls) {
                url = text_format("http://%s", address);
        } else if (address_parse(c->proxy_host, 0, &numeric)) {
                url = text_format(
                        numeric.family == AF_INET6 ? "https://[%s]:%u" : "https://%s:%u", c->proxy_host, c->proxy_port);
        } else {
                url = text_format("https://%s:%u", c->proxy_host, c->proxy_port);
                known = text_format(
                        at.family == AF_INET6 ? "%s:%u:[%s]" : "%s:%u:%s", c->proxy_host, c->proxy_port, address);
                c->resolve = known ? curl_slist_append(NULL, known) : NULL;
                if (!c->resolve)
                        return false;
                (void)curl_easy_setopt(x, CURLOPT_RESOLVE, c->resolve);
        }
        return url && curl_easy_setopt(x, CURLOPT_PROXY, url) == CURLE_OK;
}

static bool set_place(struct http_call *c, CURL *x)
{
        char address[ADDRESS_TEXT], line[ADDRESS_TEXT + 8];
        if (c->proxied)
                return set_proxy(c, x); /* which resolves the host */
        if (curl_easy_setopt(x, CURLOPT_PROXY, "") != CURLE_OK)
                return false;
        address_text(&c->list[c->tried], true, address);
        snprintf(line, sizeof line, "::%s", address);
        c->connect_to = curl_slist_append(NULL, line);
        return c->connect_to && curl_easy_setopt(x, CURLOPT_CONNECT_TO, c->connect_to) == CURLE_OK;
}

static bool transfer(struct http_call *c, struct err *e)
{
        int64_t left_ms = c->deadline_ms - clock_boot_ms();
        if (left_ms <= 0)
                return err_set(e, ERR_TEMPORARY, "http.timeout", "%s: no connection in time", c->host);
        CURL *x = c->easy = curl_easy_init();
        if (!x || !set_place(c, x))
                return err_memory(e);
        c->curl_error[0] = '\0';
        (void)curl_easy_setopt(x, CURLOPT_PRIVATE, c);
        (void)curl_easy_setopt(x, CURLOPT_ERRORBUFFER, c->curl_error);
        (void)curl_easy_setopt(x, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(x, CURLOPT_URL, c->url);
        (void)curl_easy_setopt(x, CURLOPT_USERAGENT, c->http->user_agent);
        (void)curl_easy_setopt(x, CURLOPT_HTTPHEADER, c->headers);
        (void)curl_easy_setopt(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        (void)curl_easy_setopt(x, CURLOPT_TIMEOUT_MS, (long)left_ms);
        (void)curl_easy_setopt(x, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(left_ms, c->connect_timeout_ms));
        (void)curl_easy_setopt(x, CURLOPT_WRITEFUNCTION, on_body);
        (void)curl_easy_setopt(x, CURLOPT_WRITEDATA, c);
        (void)curl_easy_setopt(x, CURLOPT_HEADERFUNCTION, on_header);
        (void)curl_easy_setopt(x, CURLOPT_HEADERDATA, c);
        set_request(c, x);
        set_security(c, x);
        c->added = http_add(c->http, x, e);
        return c->added;
}

void http_call_transfer_done(struct http_call *c, CURLcode result)
{
        struct err e;
        if (result == CURLE_OK || (c->take_anything && c->body_bytes > BODY_ENOUGH))
                return deliver(c);
        bool not_connected = result == CURLE_COULDNT_CONNECT || result == CURLE_OPERATION_TIMEDOUT ||
                result == CURLE_SSL_CONNECT_ERROR;
        if (!not_connected || http_may_have_arrived(c) || c->tried + 1 >= c->count) {
                http_failure(c, result, &e);
                return finish(c, NULL, &e);
        }
        drop_easy(c);
        c->tried++;
        if (!transfer(c, &e))
                finish(c, NULL, &e);
}

/* ---- the start ---- */

static void begin(void *arg)
{
        struct http_call *c = arg;
        struct err e;
        c->begin = NULL;
        if (!transfer(c, &e))
                finish(c, NULL, &e);
}

static void looked_up(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct http_call *c = arg;
        struct err e;
        c->lookup = NULL;
        timer_stop(c->limit);
        if (count == 0) {
                e = *err;
                if (c->proxied)
                        http_proxy_not_found(c, &e);
                else
                        err_wrap(&e, "%s", c->host);
                return finish(c, NULL, &e);
        }
        for (c->count = 0; c->count < MIN(count, (size_t)HTTP_ADDRESSES_MAX); c->count++) {
                c->list[c->count] = list[c->count];
                c->list[c->count].port = c->proxied ? c->proxy_port : c->port;
        }
        if (!transfer(c, &e))
                finish(c, NULL, &e);
}

static void lookup_too_long(void *arg)
{
        struct http_call *c = arg;
        struct err e;
        if (c->proxied) {
                err_set(&e, ERR_TEMPORARY, "http.timeout", "there was no answer in time");
                http_proxy_not_found(c, &e);
        } else {
                err_set(&e, ERR_TEMPORARY, "http.timeout", "%s: its name was not found in time", c->host);
        }
        finish(c, NULL, &e);
}

static bool is_below(const char *host, const char *suffix)
{
        size_t n = strlen(host), m = strlen(suffix);
        return n > m && text_equal_nocase(host + n - m, suffix);
}

static bool excepted(const struct http *h, const char *host)
{
        struct address a;
        bool numeric = address_parse(host, 0, &a);
        for (size_t i = 0; i < h->proxy_except.count; i++) {
                const char *rule = h->proxy_except.item[i];
                if (numeric ? address_in_net(&a, rule)
                            : text_equal_nocase(rule, host) || (rule[0] == '.' && is_below(host, rule)))
                        return true;
        }
        return numeric ? address_is_loopback(&a)
                       : text_equal_nocase(host, "localhost") || is_below(host, ".localhost"); /* RFC 6761: this host */
}

struct place {
        char *host; /* without brackets; owned */
        uint16_t port;
        bool tls;
};

static bool split_url(const char *url, struct place *ret, struct err *e)
{
        CURLU *u = curl_url();
        char *host = NULL, *port = NULL, *scheme = NULL;
        CURLUcode code = u ? curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) : CURLUE_OUT_OF_MEMORY;
        bool good = code == CURLUE_OK && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
        if (good) {
                size_t len = strlen(host);
                bool bracketed = host[0] == '[' && len > 2;
                ret->host = bracketed ? text_dup_n(host + 1, len - 2) : text_dup(host);
                ret->port = (uint16_t)strtoul(port, NULL, 10);
                ret->tls = strcmp(scheme, "https") == 0;
                good = ret->host != NULL;
        }
        curl_free(host);
        curl_free(port);
        curl_free(scheme);
        curl_url_cleanup(u);
        if (code == CURLUE_USER_NOT_ALLOWED) /* not shown: there may be a password in it */
                return err_set(e, ERR_CONFIG, "http.url", "a URL with a user name or password is not accepted");
        return good || err_set(e, ERR_CONFIG, "http.url", "\"%.200s\" is not an http or https URL", url);
}

static bool copy_request(struct http_call *c, const struct http_request *r, struct err *e)
{
        c->method = text_dup(r->method);
        c->url = text_dup(r->url);
        c->ca_bundle = text_dup(r->ca_bundle);
        c->body.secret = r->body_is_secret;
        c->body.max = r->body_len + 1;
        c->headers = curl_slist_append(NULL, "Expect:"); /* no 100-continue round trip */
        bool good = c->method && c->url && c->headers && (c->ca_bundle || !r->ca_bundle) &&
                buf_append(&c->body, r->body ? r->body : "", r->body_len);
        for (size_t i = 0; good && r->headers && r->headers[i]; i++)
                good = curl_slist_append(c->headers, r->headers[i]) != NULL;
        c->answer_max = r->answer_max_bytes ? r->answer_max_bytes : ANSWER_MAX_DEFAULT;
        c->answer.max = c->answer_max + 1;
        c->connect_timeout_ms = r->connect_timeout_ms ? r->connect_timeout_ms : CONNECT_MS_DEFAULT;
        c->deadline_ms = clock_boot_ms() + (r->timeout_ms ? r->timeout_ms : TIMEOUT_MS_DEFAULT);
        c->once_only = r->once_only;
        c->allow_http = r->allow_http;
        c->look = r->look;
        c->take_anything = r->take_anything;
        return good || err_memory(e);
}

/* What would write into the head of the request beyond its own line. */
static bool is_sane(const struct http_request *r, struct err *e)
{
        if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0 && strcmp(r->method, "POST") != 0)
                return err_set(e, ERR_BUG, "http.method", "method %s is not spoken here", r->method);
        if (r->body_len && strcmp(r->method, "POST") != 0)
                return err_set(e, ERR_BUG, "http.method", "%s carries no body", r->method);
        for (size_t i = 0; r->headers && r->headers[i]; i++)
                if (strpbrk(r->headers[i], "\r\n") || !strchr(r->headers[i], ':'))
                        return err_set(e, ERR_BUG, "http.header", "header %zu of the request is not one line", i);
        return true;
}

static bool look_up(struct http_call *c, const char *host, struct err *e)
{
        if (!timer_new(&c->limit, c->http->loop, lookup_too_long, c, e))
                return false;
        timer_start(c->limit, c->deadline_ms - clock_boot_ms());
        c->lookup = dns_lookup(c->http->dns, host, looked_up, c, e);
        return c->lookup != NULL;
}

static bool use_proxy(struct http_call *c, const struct http_request *r)
{
        return r->use_proxy && !r->look && !r->pin && c->http->proxy_url && !excepted(c->http, c->host);
}

/* Numeric hosts and pinned addresses need no look-up, but still a turn of the loop: start never calls back. */
static bool find_place(struct http_call *c, const struct http_request *r, struct err *e)
{
        c->proxied = use_proxy(c, r);
        if (c->proxied) {
                struct place p = { 0 };
                if (!split_url(c->http->proxy_url, &p, e))
                        return err_wrap(e, "the proxy");
                c->proxy_host = p.host;
                c->proxy_port = p.port;
                c->proxy_tls = p.tls;
        }
        const char *host = c->proxied ? c->proxy_host : c->host;
        if (r->pin)
                c->list[0] = *r->pin;
        else if (!address_parse(host, 0, &c->list[0]))
                return look_up(c, host, e);
        if (c->list[0].port == 0)
                c->list[0].port = c->proxied ? c->proxy_port : c->port;
        c->count = 1;
        c->begin = loop_defer(c->http->loop, begin, c);
        return c->begin ? true : err_memory(e);
}

static bool prepare(struct http_call *c, const struct http_request *r, struct err *e)
{
        struct place p = { 0 };
        if (!is_sane(r, e) || !copy_request(c, r, e) || !split_url(r->url, &p, e))
                return false;
        c->host = p.host;
        c->port = p.port;
        c->tls = p.tls;
        if (!p.tls && !r->allow_http)
                return err_set(e, ERR_CONFIG, "http.plain", "%s: only https is spoken here", r->url);
        return find_place(c, r, e);
}

struct http_call *http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg, struct err *e)
{
        struct http_call *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        c->http = h;
        c->done = done;
        c->arg = arg;
        if (!prepare(c, r, e)) {
                http_call_free(c);
                return NULL;
        }
        c->next = h->first;
        c->at = &h->first;
        if (c->next)
                c->next->at = &c->next;
        h->first = c;
        return c;
}
