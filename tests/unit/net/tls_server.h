/* A TLS server in a thread of the test, on a loopback port the kernel gives: what it says before TLS is a script, what
 * it presents can change from one connection to the next. */
#ifndef DCVD_TEST_NET_TLS_SERVER_H
#define DCVD_TEST_NET_TLS_SERVER_H

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define TLS_SERVER_SCRIPT 8
#define TLS_SERVER_NAMES 16

struct tls_server {
        int listener, stop[2];
        uint16_t port; /* 0: the kernel chooses */
        pthread_t thread;
        /* Set before the start. */
        unsigned host; /* 127.0.0.host; 0: 127.0.0.1 */
        int late_ms; /* as long connections wait before the first is taken */
        SSL_CTX *first, *then; /* then: after `turn` connections, NULL: never */
        unsigned turn;
        bool alternate; /* first and then, in turns */
        const char *script[TLS_SERVER_SCRIPT]; /* "<": a line is awaited; "!": hang up; "~": silence; else said; ended
                                                  by NULL */
        /* Read after the end, but the counter. */
        atomic_uint connections;
        char name[TLS_SERVER_NAMES][64]; /* the names asked for, "" for none */
};

static inline bool tls_server_wait(struct tls_server *s, int fd)
{
        struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };
        return poll(p, 2, -1) > 0 && !p[1].revents;
}

/* False: no TLS is to follow. */
static inline bool tls_server_play(struct tls_server *s, int fd)
{
        for (const char *const *step = s->script; *step; step++) {
                char line[256], *end = line;
                if (strcmp(*step, "!") == 0)
                        return false;
                if (strcmp(*step, "~") == 0) {
                        while (tls_server_wait(s, fd) && recv(fd, line, sizeof line, 0) > 0)
                                ;
                        return false;
                }
                if (strcmp(*step, "<") != 0) {
                        (void)send(fd, *step, strlen(*step), MSG_NOSIGNAL);
                        continue;
                }
                while (end < line + sizeof line && tls_server_wait(s, fd) && recv(fd, end, 1, 0) == 1 && *end != '\n')
                        end++;
        }
        return true;
}

static inline void tls_server_shake(struct tls_server *s, int fd, SSL_CTX *ctx, unsigned number)
{
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        (void)SSL_accept(ssl);
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        if (number < TLS_SERVER_NAMES)
                snprintf(s->name[number], sizeof s->name[number], "%s", name ? name : "");
        SSL_free(ssl);
}

static inline void *tls_server_run(void *arg)
{
        struct tls_server *s = arg;
        struct pollfd end = { .fd = s->stop[0], .events = POLLIN };
        if (s->late_ms && poll(&end, 1, s->late_ms) != 0)
                return NULL;
        for (unsigned n = 0;; n++) {
                struct pollfd p[2] = { { .fd = s->listener, .events = POLLIN },
                        { .fd = s->stop[0], .events = POLLIN } };
                if (poll(p, 2, -1) < 0 || p[1].revents)
                        return NULL;
                int fd = accept(s->listener, NULL, NULL);
                SSL_CTX *ctx = s->then && (s->alternate ? n % 2 == 1 : n >= s->turn) ? s->then : s->first;
                atomic_store(&s->connections, n + 1);
                if (tls_server_play(s, fd) && ctx)
                        tls_server_shake(s, fd, ctx, n);
                close(fd);
        }
}

static inline void tls_server_start(struct tls_server *s)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                .sin_port = htons(s->port),
                .sin_addr.s_addr = htonl(0x7f000000u + (s->host ? s->host : 1)) };
        socklen_t len = sizeof a;
        s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(listen(s->listener, 16), 0);
        assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
        s->port = ntohs(a.sin_port);
        assert_int_equal(pipe(s->stop), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, tls_server_run, s), 0);
}

static inline void tls_server_end(struct tls_server *s)
{
        assert_int_equal(write(s->stop[1], "x", 1), 1);
        assert_int_equal(pthread_join(s->thread, NULL), 0);
        close(s->listener);
        close(s->stop[0]);
        close(s->stop[1]);
}

#endif
