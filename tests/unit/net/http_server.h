/* A small HTTP server in a thread of the test, on a loopback port the kernel gives, that keeps a ledger of what it saw
 * and misbehaves by the path it is asked for. */
#ifndef DCVD_TEST_NET_HTTP_SERVER_H
#define DCVD_TEST_NET_HTTP_SERVER_H

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define SERVER_CONNECTIONS 64
#define SERVER_LEDGER 64

struct server_connection {
        int fd; /* -1: free */
        unsigned number; /* of arrival */
        SSL *ssl;
        char data[16384];
        size_t len;
};
struct server_entry {
        unsigned connection;
        char line[256], head[4096], body[1024];
};
struct server {
        int listener, stop[2];
        uint16_t port;
        pthread_t thread;
        SSL_CTX *tls; /* NULL: plain */
        struct server_connection connection[SERVER_CONNECTIONS];
        pthread_mutex_t lock;
        struct server_entry ledger[SERVER_LEDGER]; /* guarded by lock */
        unsigned requests, connections; /* guarded by lock */
};

static inline void server_send(struct server_connection *c, const char *data, size_t len)
{
        for (size_t done = 0; done < len;) {
                ssize_t n = c->ssl ? SSL_write(c->ssl, data + done, (int)(len - done))
                                   : send(c->fd, data + done, len - done, MSG_NOSIGNAL);
                if (n <= 0)
                        return; /* the client had enough */
                done += (size_t)n;
        }
}

static inline void server_say(struct server_connection *c, const char *text)
{
        server_send(c, text, strlen(text));
}

static inline void server_hang_up(struct server_connection *c)
{
        SSL_free(c->ssl);
        c->ssl = NULL;
        close(c->fd);
        c->fd = -1;
}

static inline void server_big(struct server_connection *c, size_t bytes, bool told)
{
        char head[128], block[1024];
        memset(block, 'x', sizeof block);
        if (told)
                snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes);
        else
                snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        server_say(c, head);
        for (size_t left = bytes; left > 0; left -= MIN(left, sizeof block))
                server_send(c, block, MIN(left, sizeof block));
        if (!told)
                server_hang_up(c);
}

static inline void server_header_flood(struct server_connection *c)
{
        server_say(c, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 70; i++) {
                char line[1024];
                snprintf(line, sizeof line, "X-Fill: %01000d\r\n", i);
                server_say(c, line);
        }
        server_say(c, "Content-Length: 0\r\n\r\n");
}

static inline void server_answer(struct server_connection *c, const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *what = slash ? slash : path;
        if (strncmp(what, "/ok", 3) == 0)
                server_say(c,
                        "HTTP/1.1 200 Fine: really\r\nContent-Length: 5\r\nX-One:  a \r\nx-one: b\r\n"
                        "Retry-After: 7\r\n\r\nhello");
        else if (strncmp(what, "/empty", 6) == 0)
                server_say(c, "HTTP/1.1 204 None\r\n\r\n");
        else if (strncmp(what, "/moved", 6) == 0)
                server_say(c, "HTTP/1.1 302 Found\r\nLocation: ../ok#part\r\nContent-Length: 0\r\n\r\n");
        else if (strncmp(what, "/big", 4) == 0)
                server_big(c, strtoul(what + 5, NULL, 10), what[4] == '=');
        else if (strncmp(what, "/flood", 6) == 0)
                server_header_flood(c);
        else if (strncmp(what, "/junk", 5) == 0)
                server_say(c, "220 mail.example.com ESMTP\r\n\r\n");
        else if (strncmp(what, "/cut", 4) == 0)
                server_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        else if (strncmp(path, "html.", 5) == 0)
                server_say(c, "HTTP/1.1 200 OK\r\n<html>\r\n\r\n");
        else if (strncmp(path, "smtp.", 5) == 0)
                server_say(c, "220 mail.example.com ESMTP\r\n\r\n");
        else if (strncmp(path, "login.", 6) == 0)
                server_say(c, "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n");
        else if (strncmp(what, "/refuse", 7) == 0 || (strchr(path, ':') && strncmp(path, "drop.", 5) != 0))
                server_say(c, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"); /* CONNECT host:port comes here */
        if (c->fd >= 0 &&
                (strncmp(what, "/junk", 5) == 0 || strncmp(path, "drop.", 5) == 0 || strncmp(what, "/cut", 4) == 0 ||
                        strncmp(what, "/drop", 5) == 0))
                server_hang_up(c);
        /* anything else, "/hold": no answer at all */
}

static inline void server_copy(char *ret, size_t size, const char *from, size_t len)
{
        size_t n = MIN(len, size - 1);
        memcpy(ret, from, n);
        ret[n] = '\0';
}

static inline void server_note(struct server *s, const struct server_connection *c, const char *body, size_t body_len)
{
        pthread_mutex_lock(&s->lock);
        if (s->requests < SERVER_LEDGER) {
                struct server_entry *entry = &s->ledger[s->requests];
                entry->connection = c->number;
                server_copy(entry->line, sizeof entry->line, c->data, strcspn(c->data, "\r"));
                server_copy(entry->head, sizeof entry->head, c->data, (size_t)(body - c->data));
                server_copy(entry->body, sizeof entry->body, body, body_len);
        }
        s->requests++;
        pthread_mutex_unlock(&s->lock);
}

/* One whole request, if it is there. */
static inline bool server_take(struct server *s, struct server_connection *c)
{
        c->data[c->len] = '\0';
        char *end = strstr(c->data, "\r\n\r\n"), path[256] = "";
        if (!end)
                return false;
        const char *length = strstr(c->data, "Content-Length:");
        size_t body_len = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
        size_t whole = (size_t)(end + 4 - c->data) + body_len;
        if (c->len < whole)
                return false;
        server_note(s, c, end + 4, body_len);
        (void)sscanf(c->data, "%*s %255s", path);
        memmove(c->data, c->data + whole, c->len - whole);
        c->len -= whole;
        server_answer(c, path);
        return c->fd >= 0;
}

static inline void server_read(struct server *s, struct server_connection *c)
{
        size_t room = sizeof c->data - 1 - c->len;
        ssize_t n = c->ssl ? SSL_read(c->ssl, c->data + c->len, (int)room) : recv(c->fd, c->data + c->len, room, 0);
        if (n <= 0)
                return server_hang_up(c);
        c->len += (size_t)n;
        while (server_take(s, c))
                ;
}

static inline void server_accept(struct server *s)
{
        int fd = accept(s->listener, NULL, NULL);
        struct server_connection *c = s->connection;
        while (c < s->connection + SERVER_CONNECTIONS && c->fd >= 0)
                c++;
        if (fd < 0 || c == s->connection + SERVER_CONNECTIONS) {
                close(fd);
                return;
        }
        pthread_mutex_lock(&s->lock);
        *c = (struct server_connection){ .fd = fd, .number = ++s->connections };
        pthread_mutex_unlock(&s->lock);
        if (!s->tls)
                return;
        c->ssl = SSL_new(s->tls);
        SSL_set_fd(c->ssl, fd);
        if (SSL_accept(c->ssl) != 1)
                server_hang_up(c);
}

static inline void *server_main(void *arg)
{
        struct server *s = arg;
        for (;;) {
                struct pollfd p[SERVER_CONNECTIONS + 2] = { { .fd = s->stop[0], .events = POLLIN },
                        { .fd = s->listener, .events = POLLIN } };
                for (int i = 0; i < SERVER_CONNECTIONS; i++)
                        p[i + 2] = (struct pollfd){ .fd = s->connection[i].fd, .events = POLLIN };
                if (poll(p, ARRAY_LEN(p), -1) < 0 || p[0].revents)
                        return NULL;
                for (int i = 0; i < SERVER_CONNECTIONS; i++)
                        if (p[i + 2].fd >= 0 && p[i + 2].revents)
                                server_read(s, &s->connection[i]);
                if (p[1].revents)
                        server_accept(s);
        }
}

static inline void server_start(struct server *s, SSL_CTX *tls)
{
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof sa;
        memset(s, 0, sizeof *s);
        for (int i = 0; i < SERVER_CONNECTIONS; i++)
                s->connection[i].fd = -1;
        s->tls = tls;
        s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listener, (struct sockaddr *)&sa, sizeof sa), 0);
        assert_int_equal(listen(s->listener, 16), 0);
        assert_int_equal(getsockname(s->listener, (struct sockaddr *)&sa, &len), 0);
        s->port = ntohs(sa.sin_port);
        pthread_mutex_init(&s->lock, NULL);
        assert_int_equal(pipe(s->stop), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static inline void server_stop(struct server *s)
{
        close(s->stop[1]);
        pthread_join(s->thread, NULL);
        close(s->stop[0]);
        close(s->listener);
        for (int i = 0; i < SERVER_CONNECTIONS; i++)
                if (s->connection[i].fd >= 0)
                        server_hang_up(&s->connection[i]);
        pthread_mutex_destroy(&s->lock);
        SSL_CTX_free(s->tls);
}

static inline unsigned server_count(struct server *s)
{
        pthread_mutex_lock(&s->lock);
        unsigned n = s->requests;
        pthread_mutex_unlock(&s->lock);
        return n;
}

#endif
