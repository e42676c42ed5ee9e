/* The HTTP client against a server in this process. What names lead to is said by the test, in dns_lookup's place. */
#include "http_server.h"

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"

#include "agent/net/http_internal.h"

#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>

#define REAL_WAIT_MS INT_MAX /* for the server in its thread */
#include "own_time.h"

#define SENT_MS 500 /* of waiting alone: the request is on its way by then */

static struct loop *loop;
static struct http *http;
static struct server server;

/* ---- names ---- */

struct dns_lookup {
        struct deferred *soon;
        dns_lookup_fn *done;
        void *arg;
};
static const char *const *names_lead_to; /* NULL: to nothing; a first element "hold": no answer */
static char asked[64];
static unsigned lookups, lookups_cancelled;

static void name_found(void *arg)
{
        struct dns_lookup *l = arg;
        struct address list[8];
        size_t count = 0;
        struct err e;
        for (; names_lead_to && names_lead_to[count]; count++)
                assert_true(address_parse(names_lead_to[count], 0, &list[count]));
        err_set(&e, ERR_TEMPORARY, "dns.no-address", "there is none");
        dns_lookup_fn *done = l->done;
        void *to = l->arg;
        free(l);
        done(to, list, count, count ? NULL : &e);
}

struct dns_lookup *__wrap_dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e);
struct dns_lookup *__wrap_dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e)
{
        struct dns_lookup *l = calloc(1, sizeof *l);
        (void)d;
        (void)e;
        lookups++;
        snprintf(asked, sizeof asked, "%s", host);
        l->done = done;
        l->arg = arg;
        if (!names_lead_to || strcmp(names_lead_to[0], "hold") != 0)
                l->soon = loop_defer(loop, name_found, l);
        return l;
}

void __wrap_dns_lookup_cancel(struct dns_lookup *l);
void __wrap_dns_lookup_cancel(struct dns_lookup *l)
{
        if (!l)
                return;
        lookups_cancelled++;
        loop_undefer(loop, l->soon);
        free(l);
}

/* ---- one exchange ---- */

struct outcome {
        bool called, answered;
        unsigned calls;
        int status;
        char body[64], peer[ADDRESS_TEXT], redirect[128], one[16], retry_after[16];
        size_t body_len;
        unsigned ones;
        struct err err;
};

static void done(void *arg, const struct http_answer *a, const struct err *err)
{
        struct outcome *o = arg;
        o->called = true;
        o->calls++;
        if (!a) {
                o->err = *err;
                return;
        }
        o->answered = true;
        o->status = a->status;
        o->body_len = a->body_len;
        assert_int_equal(a->body[a->body_len], '\0');
        snprintf(o->body, sizeof o->body, "%s", a->body);
        snprintf(o->peer, sizeof o->peer, "%s", a->peer);
        snprintf(o->redirect, sizeof o->redirect, "%s", a->redirect_url ? a->redirect_url : "");
        o->ones = http_answer_header_count(a, "x-one");
        const char *one = http_answer_header(a, "x-one"), *retry = http_answer_header(a, "retry-after");
        snprintf(o->one, sizeof o->one, "%s", one ? one : "");
        snprintf(o->retry_after, sizeof o->retry_after, "%s", retry ? retry : "");
        assert_null(http_answer_header(a, "http/1.1 200 fine"));
}

static char *url_of(const char *path)
{
        static char url[200];
        snprintf(url, sizeof url, "%s://127.0.0.1:%u%s", server.tls ? "https" : "http", server.port, path);
        return url;
}

static struct outcome ask(const struct http_request *r)
{
        struct outcome o = { 0 };
        struct http_request request = *r;
        struct err e = { 0 };
        request.allow_http = true;
        request.method = r->method ? r->method : "GET";
        if (!http_start(http, &request, done, &o, &e))
                fail_msg("%s: %s", e.code, e.text);
        assert_false(o.called); /* start never calls back */
        assert_true(loop_run_until(loop, &o.called, 20000));
        assert_int_equal(o.calls, 1);
        return o;
}

static struct outcome get(const char *path)
{
        return ask(&(struct http_request){ .url = url_of(path) });
}

static struct outcome post(const char *path, const char *body, bool once_only)
{
        return ask(&(struct http_request){ .method = "POST",
                .url = url_of(path),
                .body = body,
                .body_len = strlen(body),
                .once_only = once_only });
}

static void failed_with(const struct outcome *o, enum err_kind kind, const char *code)
{
        if (o->answered || o->err.kind != kind || strcmp(o->err.code, code) != 0)
                fail_msg("status %d, %s %s: %s", o->status, err_kind_name(o->err.kind), o->err.code, o->err.text);
}

static void open_http(const struct http_conf *conf)
{
        assert_true(http_open(&http, loop, NULL, conf, NULL));
}

static int set_up(void **state)
{
        (void)state;
        names_lead_to = NULL;
        lookups = lookups_cancelled = 0;
        assert_true(loop_open(&loop, NULL));
        open_http(&(struct http_conf){ .user_agent = "dcvd/test" });
        server_start(&server, NULL);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        http_close(http);
        loop_close(loop);
        server_stop(&server);
        return 0;
}

/* ---- plain exchanges ---- */

static void an_answer_is_handed_over_whole(void **state)
{
        (void)state;
        struct outcome o = get("/ok");
        assert_int_equal(o.status, 200);
        assert_string_equal(o.body, "hello");
        assert_int_equal(o.body_len, 5);
        assert_string_equal(o.peer, "127.0.0.1");
        assert_string_equal(o.one, "a");
        assert_int_equal(o.ones, 2);
        assert_string_equal(o.retry_after, "7");
        assert_string_equal(o.redirect, "");
        assert_string_equal(server.ledger[0].line, "GET /ok HTTP/1.1");
        assert_non_null(strstr(server.ledger[0].head, "\r\nUser-Agent: dcvd/test\r\n"));
        o = get("/empty");
        assert_int_equal(o.status, 204);
        assert_string_equal(o.body, "");
        o = ask(&(struct http_request){ .method = "HEAD", .url = url_of("/ok") });
        assert_int_equal(o.status, 200);
        assert_int_equal(o.body_len, 0);
        assert_string_equal(server.ledger[2].line, "HEAD /ok HTTP/1.1");
        assert_int_equal(server.connections, 1); /* kept warm */
        assert_int_equal(lookups, 0); /* numeric */
}

static void a_write_carries_its_body_and_headers(void **state)
{
        static const char *const headers[] = { "Content-Type: application/json", "X-Sign: abc", NULL };
        (void)state;
        for (int once = 0; once < 2; once++) {
                struct outcome o = ask(&(struct http_request){ .method = "POST",
                        .url = url_of("/ok"),
                        .headers = headers,
                        .body = "{\"a\":1}",
                        .body_len = 7,
                        .body_is_secret = true,
                        .once_only = once });
                assert_int_equal(o.status, 200);
                const struct server_entry *entry = &server.ledger[once];
                assert_string_equal(entry->line, "POST /ok HTTP/1.1");
                assert_string_equal(entry->body, "{\"a\":1}");
                assert_non_null(strstr(entry->head, "\r\nContent-Length: 7\r\n"));
                assert_non_null(strstr(entry->head, "\r\nContent-Type: application/json\r\n"));
                assert_non_null(strstr(entry->head, "\r\nX-Sign: abc\r\n"));
                assert_null(strstr(entry->head, "Expect:"));
                assert_null(strstr(entry->head, "chunked"));
        }
        CLEANUP(free_p) char *large = malloc(8001);
        memset(large, 'b', 8000);
        large[8000] = '\0';
        assert_int_equal(post("/ok", large, false).status, 200);
        assert_non_null(strstr(server.ledger[2].head, "\r\nContent-Length: 8000\r\n"));
        assert_int_equal(post("/ok", "", false).status, 200);
        assert_non_null(strstr(server.ledger[3].head, "\r\nContent-Length: 0\r\n"));
}

static void a_redirect_is_told_not_followed(void **state)
{
        (void)state;
        char want[64];
        struct outcome o = get("/a/moved");
        assert_int_equal(o.status, 302);
        snprintf(want, sizeof want, "http://127.0.0.1:%u/ok#part", server.port);
        assert_string_equal(o.redirect, want);
        assert_int_equal(server_count(&server), 1);
}

/* ---- writes are never repeated ---- */

static void a_once_only_write_is_sent_once(void **state)
{
        (void)state;
        assert_int_equal(get("/ok").status, 200); /* a warm connection is there */
        struct outcome o = post("/drop", "spend", true);
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        assert_int_equal(server_count(&server), 2);
        assert_string_equal(server.ledger[1].line, "POST /drop HTTP/1.1");
        assert_int_equal(server.ledger[0].connection, 1);
        assert_int_equal(server.ledger[1].connection, 2); /* and was not used */
        assert_int_equal(post("/ok", "spend", true).status, 200);
        assert_int_equal(get("/ok").status, 200);
        assert_int_equal(server.ledger[2].connection, 3);
        assert_int_equal(server.ledger[3].connection, 1); /* nor is a once-only one left for others */
}

static void any_write_on_a_warm_connection_is_sent_once(void **state)
{
        static const char ended[] = "127.0.0.1: the request was sent, and the connection ended before the answer came";
        (void)state;
        assert_int_equal(get("/ok").status, 200);
        struct outcome o = post("/drop", "account", false);
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        assert_string_equal(o.err.text, ended);
        assert_int_equal(server_count(&server), 2);
        assert_int_equal(server.ledger[1].connection, 1); /* it was the warm one: the danger was there */
        assert_int_equal(get("/ok").status, 200);
        o = post("/drop", "", false); /* no body that could not be rewound */
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        assert_string_equal(o.err.text, ended);
        assert_int_equal(server_count(&server), 4);
}

/* Kept for the next one; that the server ends it meanwhile is that one's trouble. */
#define AT_ONCE 48 /* more than are kept at first */

static void all_at_once(void)
{
        struct outcome o[AT_ONCE] = { 0 };
        const struct http_request r = { .method = "GET", .url = url_of("/ok"), .allow_http = true };
        for (size_t i = 0; i < AT_ONCE; i++)
                assert_true(http_start(http, &r, done, &o[i], NULL));
        for (size_t i = 0; i < AT_ONCE; i++) {
                assert_true(loop_run_until(loop, &o[i].called, 20000));
                assert_int_equal(o[i].status, 200);
        }
}

static void as_many_connections_are_kept_as_were_used_at_once(void **state)
{
        (void)state;
        all_at_once();
        all_at_once();
        assert_int_equal(server.connections, AT_ONCE);
}

static void a_connection_at_rest_wakes_nobody(void **state)
{
        struct epoll_event event;
        (void)state;
        assert_int_equal(get("/ok").status, 200);
        server_stop(&server);
        assert_int_equal(epoll_wait(http->sockets_fd, &event, 1, 0), 0);
        server_start(&server, NULL);
        assert_int_equal(get("/ok").status, 200);
}

/* ---- limits ---- */

static void an_answer_has_a_size_limit(void **state)
{
        static const struct {
                const char *path;
                size_t max;
                bool fits;
        } row[] = { { "/big=1000", 1000, true }, { "/big=1001", 1000, false }, { "/big-1000", 1000, true },
                { "/big-1001", 1000, false }, { "/big=1048576", 0, true }, { "/big=1048577", 0, false },
                { "/big-9000000", 0, false }, { "/flood", 0, false } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct outcome o =
                        ask(&(struct http_request){ .url = url_of(row[i].path), .answer_max_bytes = row[i].max });
                if (!row[i].fits) {
                        failed_with(&o, ERR_PROTOCOL, "http.size");
                } else {
                        assert_int_equal(o.status, 200);
                        assert_int_equal(o.body_len, strtoul(row[i].path + 5, NULL, 10));
                }
        }
        struct outcome o = post("/big=1048577", "x", true); /* whatever it said: what it did is open */
        failed_with(&o, ERR_UNKNOWN, "http.size");
}

static void silence_ends(void **state)
{
        (void)state;
        struct outcome o = ask(&(struct http_request){ .url = url_of("/hold"), .timeout_ms = SENT_MS });
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        static const char *const hold[] = { "hold", NULL };
        names_lead_to = hold;
        o = ask(&(struct http_request){ .url = "http://slow.example/", .timeout_ms = 20 });
        failed_with(&o, ERR_TEMPORARY, "http.timeout");
        assert_non_null(strstr(o.err.text, "slow.example"));
        assert_int_equal(lookups_cancelled, 1);
}

static void what_is_not_http_is_not_believed(void **state)
{
        (void)state;
        struct outcome o = get("/junk");
        failed_with(&o, ERR_PROTOCOL, "http.protocol");
        o = post("/junk", "x", true);
        failed_with(&o, ERR_UNKNOWN, "http.protocol");
        o = get("/cut");
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        o = get("/drop");
        failed_with(&o, ERR_UNKNOWN, "http.lost");
}

static void a_bad_request_is_refused_before_anything_is_sent(void **state)
{
        static const char *const injected[] = { "X-A: b\r\nX-C: d", NULL }, *const nameless[] = { "nothing", NULL };
        static const struct {
                struct http_request r;
                enum err_kind kind;
                const char *code;
        } row[] = {
                { { .method = "GET", .url = "http://127.0.0.1/" }, ERR_CONFIG, "http.plain" },
                { { .method = "GET", .url = "ftp://127.0.0.1/", .allow_http = true }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "file:///etc/passwd", .allow_http = true }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "www.example.com" }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "" }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "https://" }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "https://a b/" }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "https://127.0.0.1:99999/" }, ERR_CONFIG, "http.url" },
                { { .method = "GET", .url = "https://me:c4n4ry@127.0.0.1/" }, ERR_CONFIG, "http.url" },
                { { .method = "PUT", .url = "https://127.0.0.1/" }, ERR_BUG, "http.method" },
                { { .method = "GET", .url = "https://127.0.0.1/", .body = "x", .body_len = 1 }, ERR_BUG,
                        "http.method" },
                { { .method = "GET", .url = "https://127.0.0.1/", .headers = injected }, ERR_BUG, "http.header" },
                { { .method = "GET", .url = "https://127.0.0.1/", .headers = nameless }, ERR_BUG, "http.header" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct outcome o = { 0 };
                struct err e = { 0 };
                if (http_start(http, &row[i].r, done, &o, &e))
                        fail_msg("%s", row[i].r.url);
                if (e.kind != row[i].kind)
                        fail_msg("%s: %s", row[i].r.url, e.text);
                assert_string_equal(e.code, row[i].code);
                assert_null(strstr(e.text, "c4n4ry"));
                assert_false(o.called);
        }
}

/* ---- where to ---- */

static void every_address_is_tried_until_one_connects(void **state)
{
        static const char *const second[] = { "127.0.0.2", "127.0.0.1", "127.0.0.3", NULL };
        static const char *const none[] = { "127.0.0.2", "127.0.0.3", NULL };
        char url[64];
        (void)state;
        names_lead_to = second;
        snprintf(url, sizeof url, "http://www.example.com:%u/ok", server.port);
        struct outcome o = ask(&(struct http_request){ .url = url });
        assert_int_equal(o.status, 200);
        assert_string_equal(o.peer, "127.0.0.1");
        assert_string_equal(asked, "www.example.com");
        char host[64];
        snprintf(host, sizeof host, "\r\nHost: www.example.com:%u\r\n", server.port);
        assert_non_null(strstr(server.ledger[0].head, host));
        names_lead_to = none;
        o = ask(&(struct http_request){ .url = url });
        failed_with(&o, ERR_TEMPORARY, "http.connect");
        assert_non_null(strstr(o.err.text, "www.example.com"));
        names_lead_to = NULL;
        o = ask(&(struct http_request){ .url = url });
        failed_with(&o, ERR_TEMPORARY, "dns.no-address");
        assert_string_equal(o.err.text, "www.example.com: there is none");
        assert_int_equal(server_count(&server), 1);
}

static void once_something_was_sent_no_other_address_is_tried(void **state)
{
        static const char *const twice[] = { "127.0.0.1", "127.0.0.1", NULL };
        char url[64];
        (void)state;
        names_lead_to = twice;
        snprintf(url, sizeof url, "http://www.example.com:%u/hold", server.port);
        struct outcome o = ask(&(struct http_request){
                .method = "POST", .url = url, .body = "x", .body_len = 1, .once_only = true, .timeout_ms = SENT_MS });
        failed_with(&o, ERR_UNKNOWN, "http.lost");
        while (server_count(&server) == 0)
                sched_yield(); /* it reads what is there when it comes to it */
        assert_int_equal(server_count(&server), 1);
}

static void a_pinned_address_needs_no_name_server(void **state)
{
        char url[64], host[64];
        struct address pin;
        (void)state;
        assert_true(address_parse("127.0.0.1", 0, &pin));
        snprintf(url, sizeof url, "http://pinned.example:%u/ok", server.port);
        assert_int_equal(ask(&(struct http_request){ .url = url, .pin = &pin }).status, 200);
        pin.port = server.port;
        assert_int_equal(
                ask(&(struct http_request){ .url = "http://pinned.example/ok", .pin = &pin, .look = true }).status,
                200);
        assert_int_equal(lookups, 0);
        snprintf(host, sizeof host, "\r\nHost: pinned.example:%u\r\n", server.port);
        assert_non_null(strstr(server.ledger[0].head, host));
        assert_non_null(strstr(server.ledger[1].head, "\r\nHost: pinned.example\r\n"));
        assert_int_equal(server.ledger[1].connection, 2);
        for (int look = 1; look >= 0; look--) {
                struct outcome o = ask(&(struct http_request){ .url = url, .pin = &pin, .look = look });
                assert_int_equal(o.status, 200);
                assert_int_equal(server.ledger[3 - look].connection, look ? 3 : 1); /* a look is always fresh */
        }
}

/* ---- proxies ---- */

static void the_environment_names_no_proxy(void **state)
{
        static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                setenv(names[i], "http://127.0.0.1:1", 1);
        struct outcome o = get("/ok");
        struct outcome with = ask(&(struct http_request){ .url = url_of("/ok"), .use_proxy = true });
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                unsetenv(names[i]);
        assert_int_equal(o.status, 200);
        assert_int_equal(with.status, 200); /* none is configured */
}

static void use_proxy(const char *const *except)
{
        char url[64];
        snprintf(url, sizeof url, "http://proxy.example:%u", server.port);
        assert_true(http_configure(http, &(struct http_conf){ .proxy_url = url, .proxy_except = except }, NULL));
}

static void a_configured_proxy_is_used_where_asked_for(void **state)
{
        static const char *const except[] = { "10.0.0.0/8", ".corp.example", "one.example", NULL };
        static const char *const here[] = { "127.0.0.1", NULL };
        static const struct {
                const char *host;
                bool proxied;
        } row[] = { { "www.example.com", true }, { "192.0.2.1", true }, { "11.0.0.1", true }, { "corp.example", true },
                { "xcorp.example", true }, { "two.one.example", true }, { "a.corp.example", false },
                { "A.CORP.Example", false }, { "One.Example", false }, { "localhost", false },
                { "CA.localhost", false }, { "localhost.example", true } };
        (void)state;
        use_proxy(except);
        names_lead_to = here;
        setenv("no_proxy", "*", 1); /* not asked either */
        for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
                char url[64], want[80];
                snprintf(url, sizeof url, "http://%s:%u/ok", row[i].host, server.port);
                assert_int_equal(ask(&(struct http_request){ .url = url, .use_proxy = true }).status, 200);
                snprintf(want, sizeof want, "GET %s HTTP/1.1", row[i].proxied ? url : "/ok");
                assert_string_equal(server.ledger[i].line, want);
                assert_string_equal(asked, row[i].proxied ? "proxy.example" : row[i].host);
        }
        unsetenv("no_proxy");
        unsigned before = server_count(&server);
        struct address pin;
        assert_true(address_parse("127.0.0.1", 0, &pin));
        char url[64];
        snprintf(url, sizeof url, "http://www.example.com:%u/ok", server.port);
        const struct http_request direct[] = { { .url = url }, { .url = url, .use_proxy = true, .look = true },
                { .url = url, .use_proxy = true, .pin = &pin }, { .url = url_of("/ok"), .use_proxy = true } };
        for (unsigned i = 0; i < ARRAY_LEN(direct); i++) {
                assert_int_equal(ask(&direct[i]).status, 200);
                assert_string_equal(server.ledger[before + i].line, "GET /ok HTTP/1.1");
        }
}

static void a_proxy_that_refuses_the_tunnel_leaves_no_doubt(void **state)
{
        static const char *const second[] = { "127.0.0.2", "127.0.0.1", NULL };
        (void)state;
        use_proxy(NULL);
        names_lead_to = second; /* and each of its addresses is tried */
        struct outcome o = ask(&(struct http_request){ .method = "POST",
                .url = "https://ca.example/v1",
                .body = "x",
                .body_len = 1,
                .once_only = true,
                .use_proxy = true });
        failed_with(&o, ERR_TEMPORARY, "http.connect");
        char through[80];
        snprintf(through, sizeof through, "through proxy proxy.example:%u: ca.example: ", server.port);
        assert_non_null(strstr(o.err.text, through));
        assert_non_null(strstr(o.err.fix, "proxy.except"));
        assert_string_equal(server.ledger[0].line, "CONNECT ca.example:443 HTTP/1.1");
        assert_int_equal(server_count(&server), 1);
        assert_true(http_configure(http, &(struct http_conf){ .proxy_url = "http://u:c4n4ry@p" }, NULL));
        struct err e = { 0 };
        assert_null(http_start(http,
                &(struct http_request){ .method = "GET", .url = "https://ca.example/", .use_proxy = true }, done, &o,
                &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_null(strstr(e.text, "c4n4ry"));
}

static void a_proxy_that_is_none_or_wants_a_login_is_told_in_plain_words(void **state)
{
        static const char *const here[] = { "127.0.0.1", NULL };
        static const struct {
                const char *host, *code, *says, *fix;
        } row[] = { { "login.example", "http.proxy-login", "it wants a login (407), which dcvd does not have",
                            "without a login, or name login.example in proxy.except" },
                { "html.example", "http.connect", "it does not answer as an HTTP proxy does", "mend proxy.url" },
                { "smtp.example", "http.connect", "it does not answer as an HTTP proxy does", "mend proxy.url" },
                { "drop.example", "http.connect", "it does not answer as an HTTP proxy does", "mend proxy.url" } };
        (void)state;
        use_proxy(NULL);
        names_lead_to = here;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char url[64], want[160];
                snprintf(url, sizeof url, "https://%s/", row[i].host);
                struct outcome o = ask(&(struct http_request){ .url = url, .use_proxy = true });
                failed_with(&o, ERR_TEMPORARY, row[i].code);
                snprintf(want, sizeof want, "through proxy proxy.example:%u: %s: %s", server.port, row[i].host,
                        row[i].says);
                assert_string_equal(o.err.text, want);
                assert_non_null(strstr(o.err.fix, row[i].fix));
        }
}

static void a_proxy_that_is_not_found_is_named_as_the_proxy(void **state)
{
        static const char *const hold[] = { "hold", NULL };
        const struct http_request r = { .url = "https://ca.example/", .use_proxy = true, .timeout_ms = 20 };
        (void)state;
        use_proxy(NULL);
        struct outcome o = ask(&r);
        failed_with(&o, ERR_TEMPORARY, "dns.no-address");
        assert_string_equal(o.err.text, "ca.example: the proxy proxy.example was not found: there is none");
        assert_non_null(strstr(o.err.fix, "mend proxy.url"));
        names_lead_to = hold;
        o = ask(&r);
        failed_with(&o, ERR_TEMPORARY, "http.timeout");
        assert_string_equal(
                o.err.text, "ca.example: the proxy proxy.example was not found: there was no answer in time");
}

/* ---- cancelling ---- */

static struct http_call *start(const char *url, struct outcome *o)
{
        struct http_call *c = http_start(
                http, &(struct http_request){ .method = "GET", .url = url, .allow_http = true }, done, o, NULL);
        assert_non_null(c);
        return c;
}

static void a_cancelled_call_never_calls_back(void **state)
{
        static const char *const hold[] = { "hold", NULL };
        struct outcome o = { 0 };
        (void)state;
        http_cancel(NULL);
        http_cancel(start(url_of("/ok"), &o)); /* before it began */
        names_lead_to = NULL;
        http_cancel(start("http://www.example.com/", &o)); /* while the answer of the name server is on its way */
        names_lead_to = hold;
        http_cancel(start("http://www.example.com/", &o)); /* while looking up */
        assert_int_equal(lookups_cancelled, 2);
        struct http_call *c = start(url_of("/hold"), &o); /* while the server thinks */
        while (server_count(&server) == 0)
                (void)uv_run(loop_uv(loop), UV_RUN_NOWAIT);
        http_cancel(c);
        assert_int_equal(get("/ok").status, 200);
        assert_false(o.called);
        assert_int_equal(server_count(&server), 2);
        start(url_of("/hold"), &o); /* and closing is cancelling */
        start(url_of("/ok"), &o);
        start("http://www.example.com/", &o);
}

static struct http_call *other;
static struct outcome other_outcome;
static void cancel_other(void *arg, const struct http_answer *a, const struct err *err)
{
        done(arg, a, err);
        http_cancel(STEAL(other));
        other = start(url_of("/ok"), &other_outcome); /* starting from a callback is allowed too */
}

static void a_callback_may_cancel_and_start_others(void **state)
{
        struct outcome first = { 0 }, cancelled = { 0 };
        (void)state;
        assert_non_null(
                http_start(http, &(struct http_request){ .method = "GET", .url = url_of("/ok"), .allow_http = true },
                        cancel_other, &first, NULL));
        other = start(url_of("/hold"), &cancelled);
        other_outcome = (struct outcome){ 0 };
        assert_true(loop_run_until(loop, &other_outcome.called, 20000));
        assert_int_equal(first.calls, 1);
        assert_int_equal(other_outcome.status, 200);
        assert_false(cancelled.called);
}

static void many_at_once_each_get_their_own(void **state)
{
        static struct outcome o[40];
        (void)state;
        memset(o, 0, sizeof o);
        for (size_t i = 0; i < 10; i++)
                start(url_of(i % 2 ? "/ok" : "/a/moved"), &o[i]);
        for (size_t i = 0; i < 10; i++) {
                assert_true(loop_run_until(loop, &o[i].called, 20000));
                assert_int_equal(o[i].status, i % 2 ? 200 : 302);
                assert_int_equal(o[i].calls, 1);
        }
}

#define ON_SERVER(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_SERVER(an_answer_is_handed_over_whole),
                ON_SERVER(a_write_carries_its_body_and_headers),
                ON_SERVER(a_redirect_is_told_not_followed),
                ON_SERVER(a_once_only_write_is_sent_once),
                ON_SERVER(any_write_on_a_warm_connection_is_sent_once),
                ON_SERVER(as_many_connections_are_kept_as_were_used_at_once),
                ON_SERVER(a_connection_at_rest_wakes_nobody),
                ON_SERVER(an_answer_has_a_size_limit),
                ON_SERVER(silence_ends),
                ON_SERVER(what_is_not_http_is_not_believed),
                ON_SERVER(a_bad_request_is_refused_before_anything_is_sent),
                ON_SERVER(every_address_is_tried_until_one_connects),
                ON_SERVER(once_something_was_sent_no_other_address_is_tried),
                ON_SERVER(a_pinned_address_needs_no_name_server),
                ON_SERVER(the_environment_names_no_proxy),
                ON_SERVER(a_configured_proxy_is_used_where_asked_for),
                ON_SERVER(a_proxy_that_refuses_the_tunnel_leaves_no_doubt),
                ON_SERVER(a_proxy_that_is_none_or_wants_a_login_is_told_in_plain_words),
                ON_SERVER(a_proxy_that_is_not_found_is_named_as_the_proxy),
                ON_SERVER(a_cancelled_call_never_calls_back),
                ON_SERVER(a_callback_may_cancel_and_start_others),
                ON_SERVER(many_at_once_each_get_their_own),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
