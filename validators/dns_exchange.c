#include "validators/dns_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"

struct dns_exchange {
        uv_tcp_t tcp;
        uv_connect_t connect;
        uv_write_t write;
        struct timer *timer;
        struct address server;
        dns_exchange_fn *done;
        void *arg;
        uint8_t *out, in[2 + DNS_MESSAGE_MAX];
        size_t out_len, in_len;
        bool sent, over;
};

static void closed(uv_handle_t *handle)
{
        struct dns_exchange *x = CONTAINER_OF((uv_tcp_t *)handle, struct dns_exchange, tcp);
        free(x->out);
        free(x);
}

static void close_it(struct dns_exchange *x)
{
        x->over = true;
        timer_free(x->timer);
        x->timer = NULL;
        uv_close((uv_handle_t *)&x->tcp, closed);
}

static void finish(struct dns_exchange *x, const struct err *err)
{
        if (x->over)
                return;
        dns_exchange_fn *done = x->done;
        void *arg = x->arg;
        close_it(x); /* memory stays until the loop's next turn */
        done(arg, err ? NULL : x->in + 2, err ? 0 : x->in_len - 2, err);
}

static void failed(struct dns_exchange *x, const char *why)
{
        struct err e;
        char server[ADDRESS_TEXT];
        address_text(&x->server, true, server);
        if (x->sent)
                err_set(&e, ERR_UNKNOWN, "update.lost", "name server %s: the update was sent, no answer came: %s",
                        server, why);
        else
                err_set(&e, ERR_TEMPORARY, "update.connect", "name server %s: %s", server, why);
        finish(x, &e);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        struct dns_exchange *x = CONTAINER_OF((uv_tcp_t *)handle, struct dns_exchange, tcp);
        (void)suggested;
        *ret = uv_buf_init((char *)x->in + x->in_len, (unsigned)(sizeof x->in - x->in_len));
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct dns_exchange *x = CONTAINER_OF((uv_tcp_t *)stream, struct dns_exchange, tcp);
        (void)buf;
        if (n < 0)
                return failed(x, n == UV_EOF ? "it closed the connection" : uv_strerror((int)n));
        x->in_len += (size_t)n;
        if (x->in_len < 2)
                return;
        size_t want = 2 + ((size_t)x->in[0] << 8 | x->in[1]);
        if (x->in_len >= want) {
                x->in_len = want;
                finish(x, NULL);
        }
}

static void written(uv_write_t *w, int status)
{
        struct dns_exchange *x = CONTAINER_OF(w, struct dns_exchange, write);
        if (status < 0 && !x->over)
                failed(x, uv_strerror(status));
}

static void connected(uv_connect_t *c, int status)
{
        struct dns_exchange *x = CONTAINER_OF(c, struct dns_exchange, connect);
        if (x->over)
                return;
        if (status < 0)
                return failed(x, uv_strerror(status));
        uv_buf_t buf = uv_buf_init((char *)x->out, (unsigned)x->out_len);
        x->sent = true;
        if (uv_read_start((uv_stream_t *)&x->tcp, allocate, received) != 0 ||
                uv_write(&x->write, (uv_stream_t *)&x->tcp, &buf, 1, written) != 0)
                failed(x, "the connection cannot be used");
}

static void too_late(void *arg)
{
        failed(arg, "no answer in time");
}

struct dns_exchange *dns_exchange_start(struct loop *loop, const struct address *server, const uint8_t *packet,
        size_t len, int64_t timeout_ms, dns_exchange_fn *done, void *arg, struct err *e)
{
        struct sockaddr_storage sa;
        struct dns_exchange *x = calloc(1, sizeof *x);
        if (!x || !(x->out = malloc(len + 2)) || !timer_new(&x->timer, loop, too_late, x, e)) {
                if (x)
                        free(x->out);
                free(x);
                err_memory(e);
                return NULL;
        }
        x->server = *server;
        x->done = done;
        x->arg = arg;
        x->out[0] = (uint8_t)(len >> 8);
        x->out[1] = (uint8_t)len;
        memcpy(x->out + 2, packet, len);
        x->out_len = len + 2;
        (void)uv_tcp_init(loop_uv(loop), &x->tcp); /* makes no socket yet: cannot fail */
        address_sockaddr(server, &sa);
        int r = uv_tcp_connect(&x->connect, &x->tcp, (const struct sockaddr *)&sa, connected);
        if (r != 0) {
                char text[ADDRESS_TEXT];
                address_text(server, true, text);
                err_set(e, ERR_TEMPORARY, "update.connect", "name server %s: %s", text, uv_strerror(r));
                close_it(x);
                return NULL;
        }
        timer_start(x->timer, timeout_ms);
        return x;
}

void dns_exchange_cancel(struct dns_exchange *x)
{
        if (x && !x->over)
                close_it(x);
}
