/* The HTTP server: libmicrohttpd in external epoll mode on the loop, one glue file. One daemon per listen address. It
 * bounds everything: connections (512 in all; 32 an IPv4 address or IPv6 /64, except from loopback and local sockets,
 * where a proxy speaks for many), header 10 s, exchange 30 s, body size. It turns nobody away for want of room: the
 * oldest connection without a whole request, of whoever holds the most, is ended for the newcomer. It refuses
 * smuggled requests (both Transfer-Encoding and Content-Length, repeated Content-Length) with 400 and closes. */
#ifndef DCVD_NET_HTTPD_H
#define DCVD_NET_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/net/address.h"

struct err;
struct loop;
struct httpd;
struct httpd_exchange;

struct httpd_request {
        const char *method;
        const char *target; /* the raw request target, not decoded */
        const char *peer; /* numeric address; "unix" for a local socket */
        const char *body;
        size_t body_len;
};
/* Called once per complete request. Must end in httpd_reply, now or later (httpd_reply may be called from another
 * callback of the loop; the connection is suspended meanwhile). The request is borrowed until then. */
typedef void httpd_handler_fn(void *arg, struct httpd_exchange *x, const struct httpd_request *r);

struct httpd_limits { /* 0: the default */
        unsigned connections; /* 512 */
        unsigned per_source; /* 32 */
        unsigned per_local_source; /* none */
        int64_t header_ms; /* 10 s, from the connection's start or its last request's end */
        int64_t rest_ms; /* 20 s, body and answer */
        size_t memory_bytes; /* 8 KiB a connection, for the request's header and the answer's; cleared for each request
                              */
};
struct httpd_conf {
        const char *listen; /* "127.0.0.1:8402", "[::1]:80", "unix:/run/dcvd/x.sock"; NULL with fd */
        unsigned unix_mode; /* who may connect to a unix socket, whatever the umask is; 0: everybody */
        int fd; /* an already listening socket, taken over; -1: none */
        size_t body_max_bytes;
        const char *too_large; /* JSON, the answer's body where one is larger (413); NULL: none. For good */
        bool want_suspend; /* the handler may answer later */
        const char *name; /* for log lines: "tokens" */
        struct httpd_limits limits;
};
bool httpd_open(struct httpd **ret, struct loop *loop, const struct httpd_conf *conf, httpd_handler_fn *handler,
        void *arg, struct err *e);
void httpd_close(struct httpd *h); /* open exchanges are dropped; a later httpd_reply for them is a no-op that frees */
uint16_t httpd_port(const struct httpd *h);

const char *httpd_header(struct httpd_exchange *x, const char *name, unsigned *ret_count); /* the first value */
/* Queues the answer; x is gone afterwards. headers: name, value, name, value, ..., NULL; or NULL. body is copied. */
void httpd_reply(struct httpd_exchange *x, unsigned status, const char *content_type, const void *body, size_t len,
        const char *const *headers);

/* An answer made once and given many times: what is copied, formatted and checked for every httpd_reply is not done
 * again. It may be freed while exchanges still send it. NULL only if memory is out. */
struct httpd_answer;
struct httpd_answer *httpd_answer_new(
        unsigned status, const char *content_type, const void *body, size_t len, const char *const *headers);
void httpd_answer_free(struct httpd_answer *a); /* NULL allowed */
void httpd_reply_with(struct httpd_exchange *x, struct httpd_answer *a); /* as httpd_reply */

/* A listening socket that the service manager passed in, by the main before anything listens. fd is taken over and kept
 * for who asks for it by name; false: it is not, for there are 64 or the name has more than 31 bytes. */
bool listen_fd_give(const char *name, int fd);
/* The first such socket of that name; -1 if none. Each is handed out once. */
int listen_fd_by_name(const char *name);
/* A socket that listens there, v6 for v6 only. where: what it is called in messages. */
bool listen_bind(const struct sockaddr *sa, socklen_t len, int *ret, struct err *e, const char *where);

#endif
