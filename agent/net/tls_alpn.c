#include "agent/net/tls_alpn.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"

#define CONNECTIONS_MAX 128
#define RECEIVED_MAX 65536
#define LIMIT_MS 10000
#define LISTENERS_MAX 64
#define ACCEPT_AT_ONCE 16

struct connection {
        struct tls_alpn *server;
        struct connection *prev, *next; /* oldest first */
        uv_tcp_t tcp;
        struct timer *timer;
        SSL *ssl;
        BIO *in, *out; /* memory; owned by ssl */
        size_t received;
        bool over;
        char buffer[8192];
};
struct listener {
        char *where;
        int fd;
        struct watch *watch;
        struct tls_alpn *server;
        bool fresh, wanted;
};
struct tls_alpn {
        struct loop *loop;
        tls_alpn_find_fn *find;
        void *arg;
        SSL_CTX *ctx;
        struct listener *listener[LISTENERS_MAX];
        size_t listener_count;
        struct connection *first, *last;
        size_t count;
};
struct out {
        uv_write_t write;
        char data[];
};

/* ---- who is answered, and with what ---- */

/* The extension as RFC 8737 section 3 wants it: one protocol, this one. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
        static const uint8_t only[] = { 0, 11, 10, 'a', 'c', 'm', 'e', '-', 't', 'l', 's', '/', '1' };
        const uint8_t *data = NULL;
        size_t len = 0;
        (void)arg;
        if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &len) == 1 &&
                len == sizeof only && memcmp(data, only, len) == 0)
                return SSL_CLIENT_HELLO_SUCCESS;
        *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
        return SSL_CLIENT_HELLO_ERROR;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
        struct tls_alpn *t = arg;
        const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        struct tls_alpn_answer a;
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        if (!sni || !t->find(t->arg, sni, &a))
                return SSL_TLSEXT_ERR_ALERT_FATAL;
        bool good = SSL_use_certificate_ASN1(ssl, a.cert, (int)a.cert_len) == 1 &&
                SSL_use_PrivateKey_ASN1(EVP_PKEY_EC, ssl, a.key, (long)a.key_len) == 1;
        *alert = SSL_AD_INTERNAL_ERROR;
        return good ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in,
        unsigned in_len, void *arg)
{
        (void)ssl;
        (void)arg;
        if (in_len < 1 || in[0] != in_len - 1) /* on_hello saw to it */
                return SSL_TLSEXT_ERR_ALERT_FATAL;
        *ret = in + 1;
        *ret_len = in[0];
        return SSL_TLSEXT_ERR_OK;
}

/* Made with the first listener: most hosts have none, and a context costs OpenSSL milliseconds. */
static bool make_context(struct tls_alpn *t, struct err *e)
{
        if (t->ctx)
                return true;
        t->ctx = SSL_CTX_new(TLS_server_method());
        if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
                SSL_CTX_set_num_tickets(t->ctx, 0) != 1)
                return err_memory(e);
        SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
        SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_client_hello_cb(t->ctx, on_hello, NULL);
        SSL_CTX_set_tlsext_servername_callback(t->ctx, on_name);
        SSL_CTX_set_tlsext_servername_arg(t->ctx, t);
        SSL_CTX_set_alpn_select_cb(t->ctx, on_alpn, NULL);
        return true;
}

/* ---- one connection ---- */

static void closed(uv_handle_t *handle)
{
        struct connection *c = CONTAINER_OF((uv_tcp_t *)handle, struct connection, tcp);
        SSL_free(c->ssl);
        free(c);
}

static void end(struct connection *c)
{
        struct tls_alpn *t = c->server;
        if (c->over)
                return;
        c->over = true;
        timer_free(c->timer);
        *(c->prev ? &c->prev->next : &t->first) = c->next;
        *(c->next ? &c->next->prev : &t->last) = c->prev;
        t->count--;
        uv_close((uv_handle_t *)&c->tcp, closed);
}

static void too_late(void *arg)
{
        end(arg);
}

static void written(uv_write_t *w, int status)
{
        (void)status; /* a broken connection is seen by the read side */
        free(CONTAINER_OF(w, struct out, write));
}

static bool flush(struct connection *c)
{
        size_t len = BIO_ctrl_pending(c->out);
        if (len == 0)
                return true;
        struct out *o = malloc(sizeof *o + len);
        if (!o)
                return false;
        int n = BIO_read(c->out, o->data, (int)len);
        uv_buf_t buf = uv_buf_init(o->data, n > 0 ? (unsigned)n : 0);
        if (n > 0 && uv_write(&o->write, (uv_stream_t *)&c->tcp, &buf, 1, written) == 0)
                return true;
        free(o);
        return false;
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        struct connection *c = CONTAINER_OF((uv_tcp_t *)handle, struct connection, tcp);
        (void)suggested;
        *ret = uv_buf_init(c->buffer, sizeof c->buffer);
}

/* What was looked for has been shown when the handshake is over: the other side is told, and hangs up. */
static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct connection *c = CONTAINER_OF((uv_tcp_t *)stream, struct connection, tcp);
        if (c->over || n == 0)
                return;
        c->received += n > 0 ? (size_t)n : 0;
        if (n < 0 || c->received > RECEIVED_MAX || BIO_write(c->in, buf->base, (int)n) != n)
                return end(c);
        if (SSL_is_init_finished(c->ssl)) /* it talks on: nobody listens */
                return;
        ERR_clear_error();
        int r = SSL_do_handshake(c->ssl);
        bool goes_on = r == 1 || SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ;
        if (r == 1)
                (void)SSL_shutdown(c->ssl); /* says good-bye; the answer is not waited for */
        ERR_clear_error();
        if (!flush(c))
                return end(c);
        if (!goes_on) /* the alert is on its way: the limit ends who does not hang up */
                timer_start(c->timer, 1000);
}

static bool connection_tls(struct connection *c)
{
        c->ssl = SSL_new(c->server->ctx);
        c->in = BIO_new(BIO_s_mem());
        c->out = BIO_new(BIO_s_mem());
        if (!c->ssl || !c->in || !c->out) {
                BIO_free(c->in);
                BIO_free(c->out);
                return false;
        }
        SSL_set_bio(c->ssl, c->in, c->out);
        SSL_set_accept_state(c->ssl);
        return true;
}

static void take(struct tls_alpn *t, int fd)
{
        struct err e;
        struct connection *c = calloc(1, sizeof *c);
        if (!c || !timer_new(&c->timer, t->loop, too_late, c, &e)) {
                free(c);
                (void)close(fd);
                return;
        }
        c->server = t;
        c->prev = t->last;
        *(t->last ? &t->last->next : &t->first) = c;
        t->last = c;
        t->count++;
        (void)uv_tcp_init(loop_uv(t->loop), &c->tcp); /* makes no socket: cannot fail */
        if (uv_tcp_open(&c->tcp, fd) != 0) {
                (void)close(fd);
                return end(c);
        }
        timer_start(c->timer, LIMIT_MS);
        if (!connection_tls(c) || uv_read_start((uv_stream_t *)&c->tcp, allocate, received) != 0)
                end(c);
}

static void on_accept(void *arg)
{
        struct listener *l = arg;
        for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
                int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0)
                        return;
                if (l->server->count >= CONNECTIONS_MAX)
                        end(l->server->first);
                take(l->server, fd);
        }
}

/* ---- listeners ---- */

static void listener_close(struct tls_alpn *t, size_t i)
{
        struct listener *l = t->listener[i];
        loop_unwatch(l->watch);
        close_p(&l->fd);
        free(l->where);
        free(l);
        t->listener[i] = t->listener[--t->listener_count];
}

static bool open_socket(struct listener *l, struct err *e)
{
        struct sockaddr_storage sa;
        struct address a;
        if (strcmp(l->where, "systemd") == 0) {
                l->fd = listen_fd_by_name("tokens-tls");
                if (l->fd >= 0)
                        return true;
                err_set(e, ERR_CONFIG, "listen", "systemd passed no socket named tokens-tls");
                return err_fix(e, "systemctl stop dcvd; systemctl enable --now dcvd-tokens-tls.socket dcvd");
        }
        if (!address_parse(l->where, 0, &a))
                return err_set(e, ERR_CONFIG, "listen", "\"%s\" is not an address with a port", l->where);
        socklen_t len = address_sockaddr(&a, &sa);
        return listen_bind((struct sockaddr *)&sa, len, &l->fd, e, l->where);
}

static bool listener_add(struct tls_alpn *t, const char *where, struct err *e)
{
        struct listener *l = calloc(1, sizeof *l);
        if (t->listener_count == LISTENERS_MAX || !l || !(l->where = text_dup(where))) {
                free(l);
                return err_memory(e);
        }
        l->fd = -1;
        l->server = t;
        l->fresh = l->wanted = true;
        t->listener[t->listener_count++] = l;
        if (make_context(t, e) && open_socket(l, e) && loop_watch(&l->watch, t->loop, l->fd, on_accept, l, e))
                return true;
        listener_close(t, t->listener_count - 1);
        return false;
}

static bool is_open(struct tls_alpn *t, const char *where)
{
        for (size_t i = 0; i < t->listener_count; i++)
                if (!t->listener[i]->wanted && strcmp(t->listener[i]->where, where) == 0)
                        return t->listener[i]->wanted = true;
        return false;
}

bool tls_alpn_prepare(struct tls_alpn *t, const struct texts *want, struct err *e)
{
        for (size_t i = 0; i < t->listener_count; i++)
                t->listener[i]->fresh = t->listener[i]->wanted = false;
        for (size_t i = 0; i < want->count; i++)
                if (!is_open(t, want->item[i]) && !listener_add(t, want->item[i], e)) {
                        tls_alpn_abandon(t);
                        return false;
                }
        return true;
}

void tls_alpn_commit(struct tls_alpn *t)
{
        for (size_t i = t->listener_count; i-- > 0;)
                if (t->listener[i]->wanted)
                        t->listener[i]->fresh = false;
                else
                        listener_close(t, i);
}

void tls_alpn_abandon(struct tls_alpn *t)
{
        for (size_t i = t->listener_count; i-- > 0;)
                if (t->listener[i]->fresh)
                        listener_close(t, i);
}

uint16_t tls_alpn_port(const struct tls_alpn *t)
{
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        struct address a;
        bool good = t->listener_count > 0 && getsockname(t->listener[0]->fd, (struct sockaddr *)&sa, &len) == 0 &&
                address_from_sockaddr((struct sockaddr *)&sa, &a);
        return good ? a.port : 0;
}

bool tls_alpn_open(struct tls_alpn **ret, struct loop *loop, tls_alpn_find_fn *find, void *arg, struct err *e)
{
        struct tls_alpn *t = calloc(1, sizeof *t);
        if (!t)
                return err_memory(e);
        t->loop = loop;
        t->find = find;
        t->arg = arg;
        *ret = t;
        return true;
}

void tls_alpn_close(struct tls_alpn *t)
{
        if (!t)
                return;
        while (t->listener_count > 0)
                listener_close(t, t->listener_count - 1);
        while (t->first)
                end(t->first);
        SSL_CTX_free(t->ctx); /* those that still close hold it */
        free(t);
}
