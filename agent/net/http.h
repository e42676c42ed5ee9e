/* The HTTP client: libcurl's multi interface on the loop, one glue file. libcurl never resolves a name (net/dns does,
 * CONNECT_TO pins the address), never follows a redirect, never reads proxies from the environment, and never repeats a
 * write (specs: a POST goes on a fresh connection when once_only, else its body has no rewind). */
#ifndef DCVD_NET_HTTP_H
#define DCVD_NET_HTTP_H

#include "agent/net/address.h"

struct loop;
struct dns;
struct http;
struct http_call;

struct http_conf {
        const char *user_agent; /* "dcvd/0.1.0" */
        const char *proxy_url; /* NULL: none. Only for CA requests (use_proxy) */
        const char *const *proxy_except; /* CIDR nets and ".suffix" or "host"; NULL-terminated */
};
bool http_open(struct http **ret, struct loop *loop, struct dns *dns, const struct http_conf *conf, struct err *e);
void http_close(struct http *h);
bool http_configure(struct http *h, const struct http_conf *conf, struct err *e);

struct http_request {
        const char *method; /* "GET", "POST", "HEAD" */
        const char *url; /* absolute; https, or http where allow_http */
        const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
        const void *body;
        size_t body_len;
        bool body_is_secret; /* wipe our copy */
        size_t answer_max_bytes; /* 0 = 1 MiB */
        int64_t connect_timeout_ms; /* 0 = 10 s */
        int64_t timeout_ms; /* 0 = 60 s, the whole exchange */
        bool once_only; /* a write that must not be repeated: fresh connection, never reused before */
        bool allow_http;
        bool use_proxy;
        bool look; /* a validation look: fresh, no proxy, certificate not verified (CAs do not either) */
        bool take_anything; /* what is no HTTP comes as an answer with status 0, and a body is cut at answer_max_bytes */
        const struct address *pin; /* connect here (port 0: the URL's), Host and SNI stay; NULL: resolve and try all */
        const char *ca_bundle; /* extra roots, a PEM file; NULL: the system's only */
};
struct http_answer {
        int status;
        const char *body; /* NUL-terminated */
        size_t body_len;
        size_t body_size; /* bytes that came; more than body_len only with take_anything */
        const struct http_header *headers; /* names in lower case */
        size_t header_count;
        char peer[ADDRESS_TEXT];
        const char *redirect_url; /* absolute, or NULL */
        int64_t total_us, first_byte_us;
};
struct http_header {
        const char *name, *value;
};
const char *http_answer_header(const struct http_answer *a, const char *name); /* the first; NULL if absent */
unsigned http_answer_header_count(const struct http_answer *a, const char *name);

/* A look's failure names its cause: http.refused, http.unreachable, http.timeout (no connection in time), http.silent
 * (no answer in time), http.reset, http.not-tls, http.tls-old, http.tls.
 * answer is NULL on a transport failure; err then is ERR_UNKNOWN if the request may have reached the other side (once a
 * byte of it was written), else ERR_TEMPORARY (not connected), ERR_DENIED (their certificate does not verify: named) or
 * ERR_PROTOCOL (too large, not HTTP). Everything is borrowed for the length of the callback. */
typedef void http_done_fn(void *arg, const struct http_answer *answer, const struct err *err);
struct http_call *http_start(
        struct http *h, const struct http_request *request, http_done_fn *done, void *arg, struct err *e);
void http_cancel(struct http_call *c); /* NULL allowed; the request may have been sent */

#endif
