/* Bytes on a connection to the token listener, served as dcvd serves them. Whatever comes, 200 is answered only to a
 * request line that names a published path byte for byte. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"
#include "validators/token_table.h"

#define PATH "/.well-known/acme-challenge/token"
#define INPUT_MAX 65536
#define TURNS 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct httpd *httpd;
static struct token_table *table;
static struct sockaddr_in where;

static void need(bool good, const char *what)
{
        if (good)
                return;
        fprintf(stderr, "token_request: %s\n", what);
        abort();
}

static void close_listener(void)
{
        httpd_close(httpd);
        token_table_free(table);
        loop_close(loop);
}

static void open_listener(void)
{
        struct err e;
        socklen_t len = sizeof where;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        where = (struct sockaddr_in){ .sin_family = AF_INET };
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        need(bind(fd, (struct sockaddr *)&where, len) == 0 && listen(fd, 64) == 0, "no listener");
        need(getsockname(fd, (struct sockaddr *)&where, &len) == 0, "no port");
        struct httpd_conf conf = {
                .fd = fd, .body_max_bytes = 1024, .name = "tokens", .limits = { .header_ms = 50, .rest_ms = 50 }
        };
        need(loop_open(&loop, &e) && token_table_new(&table, &e), "no loop");
        need(token_table_put(table, "www.example.com", PATH, "value", &e), "no token");
        need(httpd_open(&httpd, loop, &conf, token_table_serve, table, &e), "no server");
        (void)atexit(close_listener);
}

static size_t count(const char *in, size_t len, const char *what)
{
        size_t n = 0, what_len = strlen(what);
        const char *at = in;
        while ((at = memmem(at, len - (size_t)(at - in), what, what_len))) {
                n++;
                at += what_len;
        }
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static char answer[1 << 18];
        size_t sent = 0, len = 0;
        bool never = false, open = true;
        if (size > INPUT_MAX)
                return 0;
        if (!loop)
                open_listener();
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        need(connect(fd, (struct sockaddr *)&where, sizeof where) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0,
                "no connection");
        for (int i = 0; open && i < TURNS; i++) {
                ssize_t n = sent < size ? send(fd, data + sent, size - sent, MSG_NOSIGNAL) : 0;
                sent = n > 0 ? sent + (size_t)n : n < 0 && errno != EAGAIN ? size : sent;
                if (sent == size)
                        (void)shutdown(fd, SHUT_WR); /* fails once the server has closed */
                (void)loop_run_until(loop, &never, 1);
                while ((n = recv(fd, answer + len, sizeof answer - len, 0)) > 0)
                        len += (size_t)n;
                open = n < 0 && errno == EAGAIN;
        }
        need(!open, "the connection was never closed");
        close(fd);
        size_t good = count(answer, len, "HTTP/1.1 200 ") + count(answer, len, "HTTP/1.0 200 ");
        size_t asked = count((const char *)data, size, "GET " PATH " HTTP/1.") +
                count((const char *)data, size, "HEAD " PATH " HTTP/1.");
        need(good <= asked, "200 for something that is not published");
        return 0;
}
