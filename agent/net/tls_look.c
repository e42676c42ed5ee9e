#include "agent/net/tls_look.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/net/tls_starttls.h"

#define TIMEOUT_MS 10000

struct tls_look {
        uv_tcp_t tcp;
        uv_connect_t connect;
        struct timer *timer;
        struct address address;
        struct starttls plain;
        SSL_CTX *ctx;
        SSL *ssl;
        BIO *in, *out; /* memory; owned by ssl */
        tls_look_fn *done;
        void *arg;
        int64_t start_us;
        bool over, handshaking;

        char buffer[16384];
};
struct out {
        uv_write_t write;
        char data[];
};

static void closed(uv_handle_t *handle)
{
        struct tls_look *l = CONTAINER_OF((uv_tcp_t *)handle, struct tls_look, tcp);
        SSL_free(l->ssl);
        SSL_CTX_free(l->ctx);
        starttls_done(&l->plain);
        free(l);
}

static void close_look(struct tls_look *l)
{
        l->over = true;
        timer_free(l->timer);
        uv_close((uv_handle_t *)&l->tcp, closed);
}

static void finish(struct tls_look *l, const struct tls_look_result *result, const struct err *err)
{
        if (l->over)
                return;
        tls_look_fn *done = l->done;
        void *arg = l->arg;
        close_look(l);
        done(arg, result, err);
}

static void failed(struct tls_look *l, const char *code, const char *why)
{
        struct err e;
        char address[ADDRESS_TEXT];
        address_text(&l->address, true, address);
        err_set(&e, ERR_TEMPORARY, code, "%s: %s", address, why);
        finish(l, NULL, &e);
}

static void written(uv_write_t *w, int status)
{
        (void)status; /* a broken connection is seen by the read side */
        free(CONTAINER_OF(w, struct out, write));
}

static void send_bytes(struct tls_look *l, const void *data, size_t len)
{
        struct out *o = malloc(sizeof *o + len);
        if (!o)
                return failed(l, "memory", "out of memory");
        memcpy(o->data, data, len);
        uv_buf_t buf = uv_buf_init(o->data, (unsigned)len);
        if (uv_write(&o->write, (uv_stream_t *)&l->tcp, &buf, 1, written) != 0) {
                free(o);
                failed(l, "look.write", "the connection broke");
        }
}

/* ---- TLS ---- */

static void tell(struct tls_look *l)
{
        X509 *leaf = SSL_get1_peer_certificate(l->ssl);
        uint8_t *der = NULL;
        int len = leaf ? i2d_X509(leaf, &der) : -1;
        X509_free(leaf);
        if (len <= 0)
                return failed(l, "look.certificate", "it presents no certificate");
        struct tls_look_result r = {
                .leaf = der, .leaf_len = (size_t)len, .total_us = (int64_t)(uv_hrtime() / 1000) - l->start_us
        };
        const unsigned char *chosen = NULL;
        unsigned chosen_len = 0;
        SSL_get0_alpn_selected(l->ssl, &chosen, &chosen_len);
        r.alpn_taken = chosen_len > 0;
        sha256(der, (size_t)len, r.sha256);
        snprintf(r.tls_version, sizeof r.tls_version, "%s", SSL_get_version(l->ssl));
        finish(l, &r, NULL);
        OPENSSL_free(der);
}

static void flush_out(struct tls_look *l)
{
        char data[16384];
        int n;
        while (!l->over && (n = BIO_read(l->out, data, sizeof data)) > 0)
                send_bytes(l, data, (size_t)n);
}

static void handshake(struct tls_look *l)
{
        ERR_clear_error();
        int r = SSL_do_handshake(l->ssl), why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, r);
        /* The certificate is known before the handshake ends: a server that then asks for ours has shown its own. */
        if (r == 1 || (why != SSL_ERROR_WANT_READ && SSL_get0_peer_certificate(l->ssl)))
                return tell(l);
        flush_out(l);
        if (why == SSL_ERROR_WANT_READ || l->over)
                return;
        char text[160];
        ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        failed(l, "look.handshake", reason ? reason : text);
}

static void begin_tls(struct tls_look *l)
{
        l->handshaking = true;
        handshake(l);
}

/* ---- bytes ---- */

static void feed_plain(struct tls_look *l, const void *data, size_t len)
{
        const char *answer = NULL;
        size_t answer_len = 0;
        for (;;) {
                enum starttls_result r = starttls_feed(&l->plain, data, len, &answer, &answer_len);
                if (r == STARTTLS_READY)
                        return begin_tls(l);
                if (r == STARTTLS_FAILED) {
                        char why[160];
                        snprintf(why, sizeof why, "it does not go over to TLS%s%s", l->plain.said[0] ? "; it says: " : "",
                                l->plain.said);
                        return failed(l, "look.starttls", why);
                }
                if (r == STARTTLS_MORE)
                        return;
                send_bytes(l, answer, answer_len);
                if (l->over)
                        return;
                data = NULL;
                len = 0;
                return; /* an answer must come first */
        }
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        struct tls_look *l = CONTAINER_OF((uv_tcp_t *)handle, struct tls_look, tcp);
        (void)suggested;
        *ret = uv_buf_init(l->buffer, sizeof l->buffer);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct tls_look *l = CONTAINER_OF((uv_tcp_t *)stream, struct tls_look, tcp);
        if (l->over || n == 0)
                return;
        if (n < 0)
                return failed(l, "look.closed", n == UV_EOF ? "it closed the connection" : uv_strerror((int)n));
        if (!l->handshaking)
                return feed_plain(l, buf->base, (size_t)n);
        (void)BIO_write(l->in, buf->base, (int)n); /* memory: all or an error that the handshake meets */
        handshake(l);
}

static void connected(uv_connect_t *c, int status)
{
        struct tls_look *l = CONTAINER_OF(c, struct tls_look, connect);
        if (l->over)
                return;
        if (status < 0)
                return failed(l, "look.connect", uv_strerror(status));
        if (uv_read_start((uv_stream_t *)&l->tcp, allocate, received) != 0)
                return failed(l, "look.read", "the connection cannot be read");
        feed_plain(l, NULL, 0);
}

static void too_late(void *arg)
{
        failed(arg, "look.timeout", "no certificate in time");
}

/* ---- the start ---- */

static bool offer_alpn(SSL *ssl, const char *protocol)
{
        unsigned char list[256];
        size_t len = strlen(protocol);
        if (len == 0 || len >= sizeof list)
                return false;
        list[0] = (unsigned char)len;
        memcpy(list + 1, protocol, len);
        return SSL_set_alpn_protos(ssl, list, (unsigned)len + 1) == 0; /* 0 is success here */
}

static bool prepare_tls(struct tls_look *l, const struct tls_look_request *r, struct err *e)
{
        l->ctx = SSL_CTX_new(TLS_client_method());
        if (!l->ctx)
                return err_memory(e);
        SSL_CTX_set_verify(l->ctx, SSL_VERIFY_NONE, NULL); /* it reports, it does not judge */
        SSL_CTX_set_security_level(l->ctx, 0);
        l->ssl = SSL_new(l->ctx);
        l->in = BIO_new(BIO_s_mem());
        l->out = BIO_new(BIO_s_mem());
        if (!l->ssl || !l->in || !l->out) {
                BIO_free(l->in);
                BIO_free(l->out);
                return err_memory(e);
        }
        SSL_set_bio(l->ssl, l->in, l->out);
        SSL_set_connect_state(l->ssl);
        if (r->signature_algorithms && SSL_set1_sigalgs_list(l->ssl, r->signature_algorithms) != 1)
                return err_set(e, ERR_BUG, "look.algorithms", "OpenSSL does not know the signature algorithms %s",
                        r->signature_algorithms);
        if (r->alpn && !offer_alpn(l->ssl, r->alpn))
                return err_memory(e);
        if (r->sni && SSL_set_tlsext_host_name(l->ssl, r->sni) != 1)
                return err_memory(e);
        return true;
}

struct tls_look *tls_look_start(
        struct loop *loop, const struct tls_look_request *r, tls_look_fn *done, void *arg, struct err *e)
{
        struct sockaddr_storage sa;
        struct tls_look *l = calloc(1, sizeof *l);
        if (!l || !timer_new(&l->timer, loop, too_late, l, e)) {
                free(l);
                err_memory(e);
                return NULL;
        }
        l->address = r->address;
        l->plain.protocol = r->protocol;
        l->done = done;
        l->arg = arg;
        l->start_us = (int64_t)(uv_hrtime() / 1000);
        (void)uv_tcp_init(loop_uv(loop), &l->tcp); /* makes no socket yet: cannot fail */
        bool good = prepare_tls(l, r, e);
        if (good) {
                address_sockaddr(&l->address, &sa);
                int code = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&sa, connected);
                good = code == 0 || err_set(e, ERR_TEMPORARY, "look.connect", "%s", uv_strerror(code));
        }
        if (!good) {
                close_look(l);
                return NULL;
        }
        timer_start(l->timer, r->timeout_ms ? r->timeout_ms : TIMEOUT_MS);
        return l;
}

void tls_look_cancel(struct tls_look *l)
{
        if (l && !l->over)
                close_look(l);
}
