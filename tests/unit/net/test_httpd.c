/* The HTTP server against raw sockets of this process: what is answered, what is refused, who is ended when. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"
#include "own_time.h"

#define LIMIT_MS 60000
#define BODY_MAX 64
#define BIG (8 << 20) /* more than the kernel buffers for one who does not read */

static struct bed {
        struct loop *loop;
        struct httpd *httpd;
        struct httpd_exchange *later;
        unsigned requests;
        char method[16], target[512], peer[ADDRESS_TEXT], body[BODY_MAX + 1];
} bed;

static void handle(void *arg, struct httpd_exchange *x, const struct httpd_request *r)
{
        static char big[BIG];
        (void)arg;
        bed.requests++;
        snprintf(bed.method, sizeof bed.method, "%s", r->method);
        snprintf(bed.target, sizeof bed.target, "%s", r->target);
        snprintf(bed.peer, sizeof bed.peer, "%s", r->peer);
        snprintf(bed.body, sizeof bed.body, "%.*s", (int)r->body_len, r->body);
        if (strcmp(r->target, "/later") == 0)
                bed.later = x;
        else if (strcmp(r->target, "/big") == 0)
                httpd_reply(x, 200, "text/plain", memset(big, 'b', sizeof big), sizeof big, NULL);
        else
                httpd_reply(x, strcmp(r->target, "/token") == 0 ? 200 : 404, "text/plain", "value", 5, NULL);
}

static int listener(void)
{
        struct sockaddr_in sa = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        assert_int_equal(listen(fd, 128), 0);
        return fd;
}

static void open_with(struct httpd_conf conf)
{
        struct err e;
        bed = (struct bed){ 0 };
        if (!conf.listen && conf.fd < 0)
                conf.fd = listener();
        conf.body_max_bytes = BODY_MAX;
        conf.name = "test";
        assert_true(loop_open(&bed.loop, &e));
        if (!httpd_open(&bed.httpd, bed.loop, &conf, handle, NULL, &e))
                fail_msg("%s", e.text);
}

static void open_bed(void)
{
        open_with((struct httpd_conf){ .fd = -1 });
}

static void close_bed(void)
{
        httpd_close(bed.httpd);
        loop_close(bed.loop);
}

/* ---- clients ---- */

static int dial_from(const char *source)
{
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(httpd_port(bed.httpd)) };
        struct sockaddr_in from = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_true(fd >= 0);
        assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

static int dial(void)
{
        return dial_from("127.0.0.1");
}

static void turn(int64_t ms)
{
        bool never = false;
        (void)loop_run_until(bed.loop, &never, ms);
}

static void say_bytes(int fd, const char *data, size_t len)
{
        int64_t until_ms = clock_boot_ms() + LIMIT_MS;
        while (len > 0 && clock_boot_ms() < until_ms) {
                ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
                if (n < 0 && errno != EAGAIN)
                        return; /* the server had enough */
                data += n > 0 ? n : 0;
                len -= n > 0 ? (size_t)n : 0;
                turn(1);
        }
}

static void say(int fd, const char *text)
{
        say_bytes(fd, text, strlen(text));
}

static bool closed(int fd)
{
        char data[4096];
        ssize_t n;
        while ((n = recv(fd, data, sizeof data, 0)) > 0)
                continue;
        return n == 0 || (n < 0 && errno != EAGAIN);
}

/* What the server says until it closes, or until `enough` is among it. */
static const char *hear(int fd, const char *enough)
{
        static struct buf b;
        int64_t until_ms = clock_boot_ms() + LIMIT_MS;
        buf_done(&b);
        b = (struct buf){ .max = 2 * BIG };
        assert_true(buf_add(&b, ""));
        while (clock_boot_ms() < until_ms) {
                char data[16384];
                ssize_t n = recv(fd, data, sizeof data, 0);
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        return b.data ? b.data : "";
                if (n > 0)
                        assert_true(buf_append(&b, data, (size_t)n));
                if (enough && b.data && strstr(b.data, enough))
                        return b.data;
                if (n < 0)
                        turn(1);
        }
        fail_msg("the connection was not closed, it said: %s", b.data ? b.data : "");
        return "";
}

static int status_of(const char *answer)
{
        return strncmp(answer, "HTTP/1.", 7) == 0 && strlen(answer) > 12 ? atoi(answer + 9) : 0;
}

static void wait_closed(int fd)
{
        int64_t until_ms = clock_boot_ms() + LIMIT_MS;
        while (!closed(fd)) {
                assert_true(clock_boot_ms() < until_ms);
                turn(1);
        }
}

static int ask(const char *request, size_t len, const char **ret_answer)
{
        int fd = dial();
        say_bytes(fd, request, len);
        (void)shutdown(fd, SHUT_WR);
        *ret_answer = hear(fd, NULL);
        close(fd);
        return status_of(*ret_answer);
}

/* ---- requests ---- */

#define HOST "Host: www.example.com\r\n"

struct request {
        const char *what, *text;
        size_t len; /* 0: strlen */
        int status; /* 0: closed without an answer */
        unsigned handled;
};
#define BYTES(text) (text), sizeof(text) - 1
static const struct request requests[] = {
        { "plain", "GET /token HTTP/1.1\r\n" HOST "\r\n", 0, 200, 1 },
        { "HTTP/1.0", "GET /token HTTP/1.0\r\n\r\n", 0, 200, 1 },
        { "body", "POST /other HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 0, 404, 1 },
        { "chunked", "POST /other HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
                404, 1 },
        { "encoded", "GET /tok%65n HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "dots", "GET /x/../token HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "encoded dots", "GET /x/%2e%2e/token HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "two slashes", "GET //token HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "query", "GET /token?x HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "absolute form", "GET http://www.example.com/token HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "encoded NUL", "GET /token%00x HTTP/1.1\r\n" HOST "\r\n", 0, 404, 1 },
        { "NUL in the target", BYTES("GET /token\0x HTTP/1.1\r\n" HOST "\r\n"), 400, 0 },
        { "NUL in a header", BYTES("GET /token HTTP/1.1\r\nHost: www\0.example.com\r\n\r\n"), 400, 0 },
        { "no host", "GET /token HTTP/1.1\r\n\r\n", 0, 400, 0 },
        { "HTTP/0.9", "GET /token\r\n", 0, 400, 0 },
        { "HTTP/2", "GET /token HTTP/2.0\r\n" HOST "\r\n", 0, 505, 0 },
        { "TLS", BYTES("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n"), 0, 0 },
        { "junk", BYTES("\xff\xfe\x00\x01\r\n\r\n"), 0, 0 },
        { "nothing", BYTES(""), 0, 0 },
        { "length and coding",
                "POST /token HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                "GET /token HTTP/1.1\r\n" HOST "\r\n",
                0, 400, 0 },
        { "two lengths",
                "POST /token HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 38\r\n\r\n"
                "GET /token HTTP/1.1\r\n" HOST "\r\n",
                0, 400, 0 },
        { "two codings",
                "POST /token HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
                0, 400, 0 },
        { "a foreign coding", "POST /token HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, 400,
                0 },
        { "a blank before the colon", "POST /token HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\nhello", 0, 400, 0 },
        { "bare line feeds", "GET /token HTTP/1.1\n" HOST "\r\n", 0, 400, 0 },
        { "a bare line feed", "GET /token HTTP/1.1\r\nHost: www.example.com\nX: y\r\n\r\n", 0, 400, 0 },
        { "a folded line", "GET /token HTTP/1.1\r\n" HOST "X: y\r\n z\r\nY: z\r\n\r\n", 0, 400, 0 },
        { "two blanks", "GET /token  HTTP/1.1\r\n" HOST "\r\n", 0, 0, 0 },
        { "blanks within", "GET /token /x HTTP/1.1\r\n" HOST "\r\n", 0, 0, 0 },
        { "many headers", "GET /token HTTP/1.1\r\n" HOST "A:b\r\nC:   d\r\nE:\r\nCookie: a=b; c=d\r\n\r\n", 0, 200, 1 },
        { "two hosts", "GET /token HTTP/1.1\r\n" HOST HOST "\r\n", 0, 400, 0 },
        { "a negative length", "POST /token HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 0, 400, 0 },
        { "a length beyond all numbers",
                "POST /token HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 0, 413, 0 },
        { "a body too large",
                "POST /token HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n"
                "12345678901234567890123456789012345678901234567890123456789012345",
                0, 413, 0 },
        { "a chunked body too large",
                "POST /token HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n41\r\n"
                "12345678901234567890123456789012345678901234567890123456789012345\r\n0\r\n\r\n",
                0, 413, 0 },
        { "a bad chunk", "POST /token HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
                0, 400, 0 },
        { "half a body", "POST /token HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nhell", 0, 0, 0 },
        { "half a header", "GET /token HTTP/1.1\r\nHost: www", 0, 0, 0 },
};

static void answers_and_refuses(void **state)
{
        (void)state;
        bool wrong = false;
        open_with((struct httpd_conf){ .fd = -1, .limits = { .header_ms = 200 } });
        for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
                const struct request *r = &requests[i];
                const char *answer;
                bed.requests = 0;
                int status = ask(r->text, r->len ? r->len : strlen(r->text), &answer);
                if (status != r->status || bed.requests != r->handled) {
                        print_error("%s: %d instead of %d, %u handled: %s\n", r->what, status, r->status, bed.requests,
                                answer);
                        wrong = true;
                }
                if (status == 400 && !strstr(answer, "lose\r\n")) {
                        print_error("%s: the connection stays\n", r->what);
                        wrong = true;
                }
        }
        close_bed();
        assert_false(wrong);
}

static void what_is_too_large_is_told_as_the_listener_has_it(void **state)
{
        static const char request[] = "POST /token HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n"
                                      "12345678901234567890123456789012345678901234567890123456789012345";
        static const char *const told[] = { NULL, "{\"error\":\"at most 64\"}" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(told); i++) {
                const char *answer;
                open_with((struct httpd_conf){ .fd = -1, .too_large = told[i] });
                assert_int_equal(ask(request, strlen(request), &answer), 413);
                assert_int_equal(!strstr(answer, "Content-Type: application/json\r\n"), !told[i]);
                assert_int_equal(!text_ends(answer, told[i] ? told[i] : "\r\n\r\n"), 0);
                close_bed();
        }
}

static void hands_over_what_came(void **state)
{
        (void)state;
        static const char request[] = "PUT /a%20b?c=d HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello";
        const char *answer;
        open_bed();
        assert_int_equal(ask(request, strlen(request), &answer), 404);
        assert_string_equal(bed.method, "PUT");
        assert_string_equal(bed.target, "/a%20b?c=d");
        assert_string_equal(bed.body, "hello");
        assert_string_equal(bed.peer, "127.0.0.1");
        close_bed();
}

static void too_much_header(void **state)
{
        (void)state;
        static char text[200000];
        const char *answer;
        open_bed();
        char *end = stpcpy(text, "GET /");
        memset(end, 'u', 100000);
        strcpy(end + 100000, " HTTP/1.1\r\n" HOST "\r\n");
        int status = ask(text, strlen(text), &answer);
        assert_true(status == 414 || status == 0); /* 0: reset, what it had not read was thrown away */
        end = stpcpy(text, "GET /token HTTP/1.1\r\n" HOST "X: ");
        memset(end, 'h', 100000);
        strcpy(end + 100000, "\r\n\r\n");
        status = ask(text, strlen(text), &answer);
        assert_true(status == 431 || status == 0);
        assert_int_equal(bed.requests, 0);
        assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200); /* it goes on */
        close_bed();
}

static void keeps_a_connection(void **state)
{
        (void)state;
        open_bed();
        int fd = dial();
        for (int i = 0; i < 3; i++) {
                say(fd, "GET /token HTTP/1.1\r\n" HOST "\r\n");
                assert_int_equal(status_of(hear(fd, "value")), 200);
        }
        say(fd, "HEAD /token HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        const char *answer = hear(fd, NULL);
        assert_int_equal(status_of(answer), 200);
        assert_non_null(strstr(answer, "Content-Length: 5\r\n"));
        assert_null(strstr(answer, "value"));
        close(fd);
        close_bed();
}

/* ---- answers that come later ---- */

static void wait_later(void)
{
        for (int64_t until_ms = clock_boot_ms() + LIMIT_MS; !bed.later && clock_boot_ms() < until_ms;)
                turn(1);
        assert_non_null(bed.later);
}

static void answers_later(void **state)
{
        (void)state;
        open_bed();
        int fd = dial();
        say(fd, "GET /later HTTP/1.0\r\n\r\n");
        wait_later();
        httpd_reply(bed.later, 200, "text/plain", "at last", 7, NULL);
        assert_non_null(strstr(hear(fd, NULL), "at last"));
        close(fd);
        close_bed();
}

static void reset(int fd)
{
        struct linger at_once = { 1, 0 };
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        close(fd);
}

static void client_leaves_before_the_answer(void **state)
{
        (void)state;
        const char *answer;
        open_bed();
        int fd = dial();
        say(fd, "GET /later HTTP/1.0\r\n\r\n");
        wait_later();
        reset(fd);
        turn(5);
        httpd_reply(bed.later, 200, "text/plain", "x", 1, NULL);
        assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        close_bed();
}

static void server_closes_before_the_answer(void **state)
{
        (void)state;
        open_bed();
        int fd = dial();
        say(fd, "GET /later HTTP/1.0\r\n\r\n");
        wait_later();
        httpd_close(bed.httpd);
        httpd_reply(bed.later, 200, "text/plain", "x", 1, NULL); /* frees it: the sanitizer sees if not */
        assert_true(closed(fd));
        close(fd);
        loop_close(bed.loop);
}

static void reset_within_an_answer(void **state)
{
        (void)state;
        const char *answer;
        open_bed();
        int fd = dial();
        say(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
        (void)hear(fd, "HTTP/1.1 200");
        reset(fd);
        assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        close_bed();
}

/* ---- deadlines ---- */

static void trickler_is_ended(void **state)
{
        (void)state;
        static const char *const begins[] = { "",
                "GET /token HTTP/1.1\r\nX: ", "POST /token HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n" };
        for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
                open_with((struct httpd_conf){ .fd = -1, .limits = { .header_ms = 60, .rest_ms = 80 } });
                int64_t start_ms = clock_boot_ms();
                int fd = dial();
                say(fd, begins[i]);
                while (!closed(fd)) {
                        assert_true(clock_boot_ms() < start_ms + LIMIT_MS);
                        (void)send(fd, "x", i > 0, MSG_NOSIGNAL);
                        turn(10);
                }
                assert_in_range(clock_boot_ms() - start_ms, 50, 5000);
                assert_int_equal(bed.requests, 0);
                close(fd);
                close_bed();
        }
}

static void kept_connection_is_ended(void **state)
{
        (void)state;
        open_with((struct httpd_conf){ .fd = -1, .limits = { .header_ms = 60, .rest_ms = 10000 } });
        int fd = dial();
        say(fd, "GET /token HTTP/1.1\r\n" HOST "\r\n");
        (void)hear(fd, "value");
        wait_closed(fd);
        close(fd);
        close_bed();
}

static void who_does_not_read_is_ended(void **state)
{
        (void)state;
        open_with((struct httpd_conf){ .fd = -1, .limits = { .header_ms = 60, .rest_ms = 60 } });
        int fd = dial(), small = 65536;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        say(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
        turn(200);
        assert_int_equal(bed.requests, 1);
        assert_true(strlen(hear(fd, NULL)) < BIG);
        close(fd);
        close_bed();
}

/* ---- room ---- */

#define CROWD 64

static void dial_many(int *fd, size_t count, const char *source, const char *text)
{
        for (size_t i = 0; i < count; i++) {
                fd[i] = dial_from(source);
                if (text)
                        (void)send(fd[i], text, strlen(text), MSG_NOSIGNAL);
                if (i % 4 == 3)
                        turn(2);
        }
        turn(20);
}

static size_t closed_of(const int *fd, size_t count)
{
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
                n += closed(fd[i]);
        return n;
}

static void close_many(const int *fd, size_t count)
{
        for (size_t i = 0; i < count; i++)
                close(fd[i]);
}

static void a_proxy_speaks_for_many(void **state)
{
        (void)state;
        int fd[CROWD];
        open_bed();
        dial_many(fd, CROWD, "127.0.0.1", NULL);
        assert_int_equal(closed_of(fd, CROWD), 0);
        close_many(fd, CROWD);
        close_bed();
}

/* Limited: the oldest of the same source makes room, nobody else does. */
static void one_source_holds_few(void **state)
{
        (void)state;
        int fd[8], other;
        open_with((struct httpd_conf){ .fd = -1, .limits = { .per_local_source = 4 } });
        other = dial_from("127.0.0.2");
        dial_many(fd, 8, "127.0.0.1", NULL);
        for (size_t i = 0; i < 4; i++) {
                wait_closed(fd[i]);
                assert_false(closed(fd[4 + i]));
        }
        assert_false(closed(other));
        say(fd[7], "GET /token HTTP/1.0\r\n\r\n");
        assert_int_equal(status_of(hear(fd[7], NULL)), 200);
        close_many(fd, 8);
        close(other);
        close_bed();
}

static void hoarder_keeps_nobody_out(const char *text, const char *hoarder)
{
        int fd[CROWD];
        open_with((struct httpd_conf){ .fd = -1, .limits = { .connections = 32 } });
        int early = dial_from("127.0.0.9");
        turn(5);
        dial_many(fd, CROWD, hoarder, text);
        assert_true(closed_of(fd, CROWD) >= CROWD - 32);
        assert_false(closed(early)); /* older than all, but of a source that holds one */
        say(early, "GET /token HTTP/1.0\r\n\r\n");
        assert_int_equal(status_of(hear(early, NULL)), 200);
        for (int i = 0; i < 3; i++) {
                const char *answer;
                assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        }
        close_many(fd, CROWD);
        close(early);
        close_bed();
}

static void hoarders_make_room(void **state)
{
        (void)state;
        hoarder_keeps_nobody_out(NULL, "127.0.0.2"); /* says nothing */
        hoarder_keeps_nobody_out("GET /token HTTP/1.1\r\nX: ", "127.0.0.2"); /* half a header */
        hoarder_keeps_nobody_out("POST /token HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\nx", "127.0.0.2");
        hoarder_keeps_nobody_out("GET /token HTTP/1.1\r\n" HOST "\r\n", "127.0.0.2"); /* keeps what it used */
        hoarder_keeps_nobody_out(NULL, "127.0.0.1"); /* behind the same proxy as those who ask */
}

static void who_comes_stays_before_who_holds_half_a_body(void **state)
{
        (void)state;
        int fd[CROWD];
        const char *answer;
        open_with((struct httpd_conf){ .fd = -1, .limits = { .connections = 32 } });
        dial_many(fd, CROWD, "127.0.0.1", "POST /token HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\nx");
        for (int i = 0; i < 3; i++)
                assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        close_many(fd, CROWD);
        close_bed();
}

static void an_answer_under_way_is_not_ended(void **state)
{
        (void)state;
        int fd[CROWD];
        open_with((struct httpd_conf){ .fd = -1, .limits = { .connections = 32 } });
        int waits = dial();
        say(waits, "GET /later HTTP/1.0\r\n\r\n");
        wait_later();
        dial_many(fd, CROWD, "127.0.0.1", NULL);
        httpd_reply(bed.later, 200, "text/plain", "at last", 7, NULL);
        assert_non_null(strstr(hear(waits, NULL), "at last"));
        close_many(fd, CROWD);
        close(waits);
        close_bed();
}

static void five_hundred_slow_clients(void **state)
{
        (void)state;
        enum { COUNT = 600 };
        static int fd[COUNT];
        struct rlimit files = { 0 };
        (void)getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
        open_bed();
        dial_many(fd, COUNT, "127.0.0.2", "GET /tok");
        for (int i = 0; i < 5; i++) {
                const char *answer;
                assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        }
        size_t gone = closed_of(fd, COUNT);
        assert_in_range(gone, COUNT - 512, COUNT - 400); /* no more than needed */
        close_many(fd, COUNT);
        close_bed();
}

/* ---- listeners ---- */

static void port_taken(void **state)
{
        (void)state;
        struct err e;
        struct httpd *second = NULL;
        char where[64];
        open_bed();
        snprintf(where, sizeof where, "127.0.0.1:%u", httpd_port(bed.httpd));
        struct httpd_conf conf = { .listen = where, .fd = -1, .name = "second" };
        assert_false(httpd_open(&second, bed.loop, &conf, handle, NULL, &e));
        assert_null(second);
        assert_non_null(strstr(e.text, where));
        assert_non_null(strstr(e.fix, "ss -ltnp"));
        conf.listen = "not an address";
        assert_false(httpd_open(&second, bed.loop, &conf, handle, NULL, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        close_bed();
}

static void listener_passed_in(void **state)
{
        (void)state;
        const char *answer;
        int fd = listener();
        open_with((struct httpd_conf){ .fd = fd });
        assert_int_equal(ask("GET /token HTTP/1.0\r\n\r\n", 23, &answer), 200);
        close_bed();
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken over, closed */
}

static void sockets_are_told_apart_by_name(void **state)
{
        (void)state;
        static const struct {
                const char *name;
                int fd;
                bool kept;
        } given[] = { { "tokens", 103, true }, { "admin", 104, true }, { "", 105, true }, { "tokens", 106, true },
                { "a-name-of-thirty-one-characters", 107, true }, { "a-name-of-thirty-two-characters.", 108, false } };
        static const struct {
                const char *name;
                int fd;
        } asked[] = { { "alerts", -1 }, { "admin", 104 }, { "admin", -1 }, { "tokens", 103 }, { "token", -1 },
                { "tokens", 106 }, { "tokens", -1 }, { "", -1 }, { "a-name-of-thirty-two-characters.", -1 },
                { "a-name-of-thirty-one-characters", 107 } };
        assert_int_equal(listen_fd_by_name("tokens"), -1);
        for (size_t i = 0; i < ARRAY_LEN(given); i++)
                assert_int_equal(listen_fd_give(given[i].name, given[i].fd), given[i].kept);
        for (size_t i = 0; i < ARRAY_LEN(asked); i++)
                assert_int_equal(listen_fd_by_name(asked[i].name), asked[i].fd);
        unsigned more = 0;
        while (listen_fd_give("alerts", 200))
                assert_true(++more < 100);
        assert_int_equal(more, 64 - 5);
        while (listen_fd_by_name("alerts") == 200)
                more--;
        assert_int_equal(more, 0);
}

static void local_socket(void **state)
{
        (void)state;
        char directory[] = "/tmp/dcvd-httpd-XXXXXX", where[64];
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        assert_non_null(mkdtemp(directory));
        snprintf(where, sizeof where, "unix:%s/s", directory);
        snprintf(to.sun_path, sizeof to.sun_path, "%s/s", directory);
        open_with((struct httpd_conf){ .listen = where, .fd = -1 });
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        say(fd, "GET /token HTTP/1.0\r\n\r\n");
        assert_int_equal(status_of(hear(fd, NULL)), 200);
        assert_string_equal(bed.peer, "unix");
        assert_int_equal(httpd_port(bed.httpd), 0);
        close(fd);
        close_bed();
        assert_int_equal(access(to.sun_path, F_OK), -1);
        assert_int_equal(rmdir(directory), 0);
}

/* Only a socket that nobody listens at is taken away: that is one of ours, from before. */
static void what_is_in_the_way_of_a_unix_socket_stays(void **state)
{
        (void)state;
        char directory[] = "/tmp/dcvd-httpd-XXXXXX", where[64];
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        struct stat before, after;
        struct err e;
        int fd = -1;
        assert_non_null(mkdtemp(directory));
        snprintf(where, sizeof where, "unix:%s/s", directory);
        snprintf(to.sun_path, sizeof to.sun_path, "%s/s", directory);
        for (int listens = 1; listens >= 0; listens--) {
                struct httpd *h = NULL;
                struct loop *loop = NULL;
                if (listens)
                        assert_true(listen_bind((struct sockaddr *)&to, sizeof to, &fd, &e, where));
                else
                        fd = open(to.sun_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                assert_int_equal(lstat(to.sun_path, &before), 0);
                assert_true(loop_open(&loop, &e));
                const struct httpd_conf conf = { .listen = where, .fd = -1, .name = "test" };
                assert_false(httpd_open(&h, loop, &conf, handle, NULL, &e));
                assert_non_null(strstr(e.fix, "name another path"));
                loop_close(loop);
                assert_int_equal(lstat(to.sun_path, &after), 0);
                assert_int_equal(after.st_ino, before.st_ino);
                close(fd);
                if (listens) { /* now it is stale */
                        open_with((struct httpd_conf){ .listen = where, .fd = -1 });
                        close_bed();
                }
        }
        assert_int_equal(unlink(to.sun_path), 0);
        assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_in_the_way_of_a_unix_socket_stays),
                cmocka_unit_test(answers_and_refuses),
                cmocka_unit_test(what_is_too_large_is_told_as_the_listener_has_it),
                cmocka_unit_test(hands_over_what_came),
                cmocka_unit_test(too_much_header),
                cmocka_unit_test(keeps_a_connection),
                cmocka_unit_test(answers_later),
                cmocka_unit_test(client_leaves_before_the_answer),
                cmocka_unit_test(server_closes_before_the_answer),
                cmocka_unit_test(reset_within_an_answer),
                cmocka_unit_test(trickler_is_ended),
                cmocka_unit_test(kept_connection_is_ended),
                cmocka_unit_test(who_does_not_read_is_ended),
                cmocka_unit_test(a_proxy_speaks_for_many),
                cmocka_unit_test(one_source_holds_few),
                cmocka_unit_test(hoarders_make_room),
                cmocka_unit_test(who_comes_stays_before_who_holds_half_a_body),
                cmocka_unit_test(an_answer_under_way_is_not_ended),
                cmocka_unit_test(five_hundred_slow_clients),
                cmocka_unit_test(port_taken),
                cmocka_unit_test(listener_passed_in),
                cmocka_unit_test(sockets_are_told_apart_by_name),
                cmocka_unit_test(local_socket),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
