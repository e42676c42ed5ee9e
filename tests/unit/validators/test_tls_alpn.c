/* The tls-alpn listener, looked at as a CA does: the right name and protocol get the answer, all else is refused. */
#include "test.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/net/tls_alpn.h"
#include "agent/net/tls_look.h"
#include "agent/pki/alpn.h"
#include "validators/alpn_table.h"

#define WHERE "127.0.0.1:8443"
#define VALUE "jBe9m-TkL_mXXuTnxF15Pxu9Y9Z04DWzxA58xfX1lrU"
#define OTHER "kBe9m-TkL_mXXuTnxF15Pxu9Y9Z04DWzxA58xfX1lrU"

static struct loop *loop;
static struct alpn_table *table;
static struct tls_alpn *server;
static struct {
        bool done, seen, taken, fits;
        char code[48];
} said;

static void listen_at(const char *where)
{
        struct texts want = { 0 };
        struct err e;
        assert_true(!where || texts_add(&want, where));
        if (!tls_alpn_prepare(server, &want, &e))
                fail_msg("%s", e.text);
        tls_alpn_commit(server);
        texts_done(&want);
}

static int begin(void **state)
{
        struct err e;
        (void)state;
        assert_true(loop_open(&loop, &e));
        assert_true(alpn_table_new(&table, &e));
        assert_true(tls_alpn_open(&server, loop, alpn_table_find, table, &e));
        assert_true(alpn_table_put(table, "www.example.test", VALUE, &e));
        listen_at(WHERE);
        return 0;
}

static int finish(void **state)
{
        (void)state;
        tls_alpn_close(server);
        loop_close(loop);
        alpn_table_free(table);
        return 0;
}

static void looked(void *arg, const struct tls_look_result *r, const struct err *err)
{
        uint8_t *hash = NULL;
        size_t len = 0;
        struct err e;
        said.done = true;
        said.seen = r != NULL;
        if (err)
                snprintf(said.code, sizeof said.code, "%s", err->code);
        if (!r)
                return;
        assert_true(base64url_decode(VALUE, strlen(VALUE), &hash, &len));
        said.taken = r->alpn_taken;
        said.fits = alpn_cert_check(r->leaf, r->leaf_len, arg, hash, &e);
        free(hash);
}

static bool look(const char *name, const char *sni, const char *alpn)
{
        struct err e;
        struct tls_look_request r = { .sni = sni, .alpn = alpn };
        memset(&said, 0, sizeof said);
        assert_true(address_parse(WHERE, 0, &r.address));
        assert_non_null(tls_look_start(loop, &r, looked, (void *)(uintptr_t)name, &e));
        assert_true(loop_run_until(loop, &said.done, 10000));
        return said.seen && said.taken && said.fits;
}

static void only_the_published_name_is_answered_and_only_for_the_protocol(void **state)
{
        struct err e;
        (void)state;
        assert_true(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        assert_true(look("www.example.test", "WWW.Example.Test", TLS_ALPN_ACME));
        static const struct {
                const char *sni, *alpn;
        } refused[] = { { "other.example.test", TLS_ALPN_ACME }, { NULL, TLS_ALPN_ACME }, { "www.example.test", NULL },
                { "www.example.test", "h2" }, { "www.example.test", "acme-tls/2" } };
        for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
                look("www.example.test", refused[i].sni, refused[i].alpn);
                if (said.seen || strcmp(said.code, "look.handshake") != 0)
                        fail_msg("row %zu: %s", i, said.seen ? "was answered" : said.code);
        }
        alpn_table_drop(table, "www.example.test");
        assert_false(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        assert_false(said.seen);
        assert_true(alpn_table_put(table, "www.example.test", OTHER, &e));
        assert_false(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        assert_true(said.seen && said.taken && !said.fits);
}

static void an_address_is_asked_for_by_its_reverse_name(void **state)
{
        struct err e;
        (void)state;
        assert_true(alpn_table_put(table, "192.0.2.1", VALUE, &e) && alpn_table_put(table, "2001:db8::1", VALUE, &e));
        assert_true(look("192.0.2.1", "1.2.0.192.in-addr.arpa", TLS_ALPN_ACME));
        assert_true(look("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
                TLS_ALPN_ACME));
        assert_false(look("192.0.2.1", "192.0.2.1", TLS_ALPN_ACME));
}

static void one_name_has_one_value(void **state)
{
        struct err e;
        (void)state;
        assert_true(alpn_table_put(table, "www.example.test", VALUE, &e));
        assert_false(alpn_table_put(table, "www.example.test", OTHER, &e));
        assert_int_equal(e.kind, ERR_RULE);
        assert_string_equal(e.code, "token.foreign");
        assert_false(alpn_table_put(table, "new.example.test", "too-short", &e));
        assert_string_equal(e.code, "token.grammar");
}

static int connect_to(const char *text)
{
        struct address a;
        struct sockaddr_storage sa;
        assert_true(address_parse(text, 0, &a));
        socklen_t len = address_sockaddr(&a, &sa);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
        return fd;
}

static void those_who_say_nothing_keep_nobody_out(void **state)
{
        int idle[140];
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
                idle[i] = connect_to(WHERE);
                assert_true(write(idle[i], "GET / HTTP/1.1\r\n\r\n", i % 2 ? 18 : 1) > 0);
                if (i % 20 == 0)
                        assert_true(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        }
        assert_true(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        char c;
        assert_true(recv(idle[0], &c, 1, MSG_DONTWAIT) <= 0); /* the oldest gave way */
        for (size_t i = 0; i < ARRAY_LEN(idle); i++)
                close(idle[i]);
}

static void listeners_change_whole_or_not_at_all(void **state)
{
        struct texts want = { 0 };
        struct err e;
        (void)state;
        assert_true(texts_add(&want, "127.0.0.1:8444") && texts_add(&want, "192.0.2.77:443"));
        assert_false(tls_alpn_prepare(server, &want, &e));
        assert_non_null(strstr(e.text, "192.0.2.77:443"));
        assert_true(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        texts_done(&want);
        assert_true(texts_add(&want, "systemd"));
        assert_false(tls_alpn_prepare(server, &want, &e));
        assert_non_null(strstr(e.fix, "dcvd-tokens-tls.socket"));
        texts_done(&want);
        assert_true(texts_add(&want, WHERE) && texts_add(&want, "127.0.0.1:8444"));
        assert_true(tls_alpn_prepare(server, &want, &e));
        tls_alpn_abandon(server);
        assert_true(look("www.example.test", "www.example.test", TLS_ALPN_ACME));
        texts_done(&want);
        listen_at("127.0.0.1:8444");
        assert_int_equal(tls_alpn_port(server), 8444);
        look("www.example.test", "www.example.test", TLS_ALPN_ACME);
        assert_string_equal(said.code, "look.connect");
        listen_at(NULL);
        assert_int_equal(tls_alpn_port(server), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(only_the_published_name_is_answered_and_only_for_the_protocol),
                TEST(an_address_is_asked_for_by_its_reverse_name),
                TEST(one_name_has_one_value),
                TEST(those_who_say_nothing_keep_nobody_out),
                TEST(listeners_change_whole_or_not_at_all),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
