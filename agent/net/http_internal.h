/* The inside of the HTTP client: http.c runs the multi handle on the loop, http_call.c is one exchange, http_failure.c
 * says why one failed. */
#ifndef DCVD_NET_HTTP_INTERNAL_H
#define DCVD_NET_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <openssl/x509.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"

#define HTTP_ADDRESSES_MAX 8

struct http {
        struct loop *loop;
        struct dns *dns;
        CURLM *multi;
        int sockets_fd; /* the epoll of libcurl's sockets */
        struct watch *watch; /* of it */
        struct timer *timer;
        struct http_call *first;
        char *user_agent, *proxy_url;
        struct texts proxy_except;
        bool draining;
        unsigned running, kept; /* transfers; connections that are kept open for later ones, at most */
};

struct http_call {
        struct http *http;
        struct http_call *next, **at;
        http_done_fn *done;
        void *arg;
        /* the request, copied */
        char *method, *url, *ca_bundle, *host;
        uint16_t port;
        struct curl_slist *headers;
        struct buf body;
        size_t body_read;
        size_t answer_max;
        int64_t connect_timeout_ms, deadline_ms; /* deadline: boot time */
        bool once_only, allow_http, tls, look, take_anything;
        /* where to */
        struct dns_lookup *lookup;
        struct timer *limit; /* while looking up: libcurl has its own afterwards */
        struct deferred *begin;
        struct address list[HTTP_ADDRESSES_MAX];
        size_t count, tried;
        bool proxied, proxy_tls; /* list then holds the proxy's addresses */
        char *proxy_host;
        uint16_t proxy_port;
        /* the transfer that runs */
        CURL *easy;
        bool added; /* easy, to the multi handle */
        struct curl_slist *connect_to, *resolve;
        char curl_error[CURL_ERROR_SIZE];
        /* the answer */
        struct buf answer;
        struct texts names, values;
        size_t header_bytes, body_bytes;
        bool too_large;
};

void http_call_transfer_done(struct http_call *c, CURLcode result); /* by http.c, outside libcurl's callbacks */
void http_call_free(struct http_call *c);
bool http_add(struct http *h, CURL *easy, struct err *e);
void http_remove(struct http *h, CURL *easy); /* what was added */
bool http_is_write(const struct http_call *c);
bool http_may_have_arrived(const struct http_call *c); /* once a byte of the request itself was written */
/* While the easy handle still knows. ERR_UNKNOWN: the request may have arrived (I2); ERR_TEMPORARY: it did not. */
void http_failure(const struct http_call *c, CURLcode result, struct err *ret);
void http_proxy_not_found(const struct http_call *c, struct err *e); /* to an error of its look-up */
/* The system's file of roots is searched for the one that is wanted, instead of being read whole. */
void http_roots_of_system(CURL *x);
bool http_roots_add(X509_STORE *store, const char *path); /* path, of such a file, outlives store. False: no memory */

#endif
