#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"
#include "validators/token_table.h"

#define PATH "/.well-known/acme-challenge/token"

static void an_entry_is_put_again_but_never_replaced(void **state)
{
        struct token_table *t;
        struct err e;
        (void)state;
        assert_true(token_table_new(&t, &e));
        assert_true(token_table_put(t, "www.example.com", PATH, "value", &e));
        assert_true(token_table_put(t, "WWW.example.com", PATH, "value", &e)); /* the same, said again */
        assert_int_equal(token_table_count(t), 1);
        assert_false(token_table_put(t, "www.example.com", PATH, "other", &e));
        assert_int_equal(e.kind, ERR_RULE);
        assert_string_equal(e.code, "token.foreign");
        assert_string_equal(e.text, "http://www.example.com" PATH " is in use with another content");
        assert_true(token_table_put(t, "example.com", PATH, "other", &e)); /* another host */
        assert_true(token_table_put(t, NULL, PATH, "third", &e)); /* any host */
        assert_int_equal(token_table_count(t), 3);
        token_table_drop(t, "nobody.example.com", PATH);
        token_table_drop(t, "www.example.com", PATH "2");
        assert_int_equal(token_table_count(t), 3);
        token_table_drop(t, "www.Example.com", PATH);
        token_table_drop(t, NULL, PATH);
        assert_int_equal(token_table_count(t), 1);
        assert_true(token_table_put(t, "www.example.com", PATH, "other", &e)); /* free again */
        token_table_free(t);
        token_table_free(NULL);
}

static void it_holds_as_many_as_it_says(void **state)
{
        struct token_table *t;
        struct err e;
        char path[80];
        size_t n = 0;
        (void)state;
        assert_true(token_table_new(&t, &e));
        for (bool good = true; good; n += good) {
                snprintf(path, sizeof path, "/.well-known/acme-challenge/%zu", n);
                good = token_table_put(t, "", path, "value", &e);
                assert_true(n < 1000000);
        }
        assert_int_equal(e.kind, ERR_TEMPORARY);
        assert_string_equal(e.code, "token.many");
        assert_int_equal(token_table_count(t), n);
        token_table_drop(t, "", "/.well-known/acme-challenge/7");
        assert_true(token_table_put(t, "", path, "value", &e));
        token_table_free(t);
}

static void answered(void *arg)
{
        *(bool *)arg = true;
}

/* The status that the listener gives to a request for PATH with so many bytes of header. */
static int ask_with_header(struct loop *loop, const struct httpd *httpd, size_t header_bytes)
{
        CLEANUP(buf_done) struct buf b = { 0 };
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(httpd_port(httpd)) };
        struct watch *watch;
        struct err e;
        bool there = false;
        char answer[64] = "";
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        buf_add(&b, "GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n");
        for (unsigned i = 0; b.len + 2 < header_bytes; i++)
                buf_addf(&b, "X-Forwarded-Thing-%03u: %.*s\r\n", i, 60,
                        "0123456789012345678901234567890123456789012345678901234567890123");
        buf_add(&b, "\r\n");
        assert_int_equal(send(fd, b.data, b.len, 0), (ssize_t)b.len);
        assert_true(loop_watch(&watch, loop, fd, answered, &there, &e));
        assert_true(loop_run_until(loop, &there, 20000));
        loop_unwatch(watch);
        assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
        assert_int_equal(sscanf(answer, "HTTP/1.1 %d ", &status), 1);
        close(fd);
        return status;
}

static void a_header_has_the_room_that_it_may_want(void **state)
{
        struct token_table *t;
        struct loop *loop;
        struct httpd *httpd;
        struct err e;
        struct sockaddr_in sa = { .sin_family = AF_INET };
        int fd;
        (void)state;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_true(listen_bind((struct sockaddr *)&sa, sizeof sa, &fd, &e, "127.0.0.1"));
        assert_true(loop_open(&loop, &e));
        assert_true(token_table_new(&t, &e));
        assert_true(token_table_put(t, NULL, PATH, "value", &e));
        assert_true(token_table_listen(t, loop, NULL, fd, &httpd, &e));
        assert_int_equal(ask_with_header(loop, httpd, 100), 200);
        assert_int_equal(ask_with_header(loop, httpd, 2000), 200); /* with what a server in front of this one adds */
        assert_int_equal(ask_with_header(loop, httpd, 4200), 431);
        httpd_close(httpd);
        token_table_free(t);
        loop_close(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(an_entry_is_put_again_but_never_replaced),
                cmocka_unit_test(it_holds_as_many_as_it_says),
                cmocka_unit_test(a_header_has_the_room_that_it_may_want) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
