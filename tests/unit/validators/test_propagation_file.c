/* A file at every address of its host: who is asked, pinned to what, over which scheme, and what counts. The host's
 * addresses and its web servers are the test's. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "own_time.h"
#include "validators/propagation.h"

#define PKI "/.well-known/pki-validation/fileauth.txt"
#define ACME "/.well-known/acme-challenge/token"
#define HOST "www.example.test"
#define LIMIT_MS 10000
#define OWN(text) ((char *)(uintptr_t)(text)) /* a proof borrows here */

static const char *const address[] = { "192.0.2.1", "2001:db8::1" };

struct play { /* what one address says */
        int status[4]; /* of its first looks; 0: the one before again */
        const char *body, *location;
        bool no_http; /* port 80 refuses */
        bool https; /* port 443 says the same, else it refuses */
};
struct http_call {
        struct deferred *deferred;
        http_done_fn *done;
        void *arg;
        int status;
        const char *body, *location;
        bool refused;
};
struct dns_lookup {
        struct deferred *deferred;
        dns_lookup_fn *done;
        void *arg;
};
static struct {
        struct loop *loop;
        struct propagation_engine *engine;
        struct play play[2];
        bool no_host;
        unsigned asked[2], https, unpinned;
        char last_url[300];
        bool wrong; /* a request that is not as a look must be */
        /* the end */
        bool over;
        struct err e;
        size_t seen, wanted, count;
        enum propagation_look look[2];
        char saw[2][200];
} bed;

struct http_call *__wrap_http_start(
        struct http *h, const struct http_request *request, http_done_fn *done, void *arg, struct err *e);
void __wrap_http_cancel(struct http_call *c);
struct dns_lookup *__wrap_dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e);
void __wrap_dns_lookup_cancel(struct dns_lookup *l);

static void answer(void *arg)
{
        struct http_call c = *(struct http_call *)arg;
        struct err e;
        const struct http_header location = { "location", c.location };
        struct http_answer a = { .status = c.status,
                .body = c.body,
                .body_len = strlen(c.body),
                .redirect_url = c.location,
                .headers = &location,
                .header_count = c.location != NULL };
        free(arg);
        if (c.refused)
                err_set(&e, ERR_TEMPORARY, "http.refused", "connection refused");
        c.done(c.arg, c.refused ? NULL : &a, c.refused ? &e : NULL);
}

struct http_call *__wrap_http_start(
        struct http *h, const struct http_request *r, http_done_fn *done, void *arg, struct err *e)
{
        char text[ADDRESS_TEXT] = "";
        struct http_call *c = calloc(1, sizeof *c);
        (void)h;
        (void)e;
        *c = (struct http_call){ .done = done, .arg = arg, .body = "", .status = 200 };
        snprintf(bed.last_url, sizeof bed.last_url, "%s", r->url);
        bed.wrong = bed.wrong || !r->look || !r->allow_http || r->use_proxy || strcmp(r->method, "GET") != 0;
        bool https = text_starts(r->url, "https://");
        bed.https += https;
        if (r->pin)
                address_text(r->pin, false, text);
        else
                bed.unpinned++;
        for (size_t i = 0; i < ARRAY_LEN(address); i++) {
                struct play *p = &bed.play[i];
                if (strcmp(text, address[i]) != 0)
                        continue;
                size_t n = MIN(bed.asked[i], ARRAY_LEN(p->status) - 1);
                while (n > 0 && !p->status[n])
                        n--;
                bed.asked[i] += !https || p->no_http;
                c->status = p->status[n];
                c->body = p->body ? p->body : "";
                /* Where it leads, the file is. */
                c->location = p->location && !strstr(r->url, "/moved") ? p->location : NULL;
                if (p->location && !c->location)
                        c->status = 200;
                c->refused = https ? !p->https : p->no_http;
        }
        if (!r->pin)
                c->body = "token"; /* another host has it */
        c->deferred = loop_defer(bed.loop, answer, c);
        return c;
}

void __wrap_http_cancel(struct http_call *c)
{
        if (c)
                loop_undefer(bed.loop, c->deferred);
        free(c);
}

static void resolved(void *arg)
{
        struct dns_lookup l = *(struct dns_lookup *)arg;
        struct address list[2];
        struct err e;
        free(arg);
        for (size_t i = 0; i < 2; i++)
                assert_true(address_parse(address[i], 0, &list[i]));
        err_set(&e, ERR_TEMPORARY, "dns.none", HOST " has no address");
        l.done(l.arg, bed.no_host ? NULL : list, bed.no_host ? 0 : 2, bed.no_host ? &e : NULL);
}

struct dns_lookup *__wrap_dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e)
{
        struct dns_lookup *l = calloc(1, sizeof *l);
        (void)d;
        (void)e;
        assert_string_equal(host, HOST);
        l->done = done;
        l->arg = arg;
        l->deferred = loop_defer(bed.loop, resolved, l);
        return l;
}

void __wrap_dns_lookup_cancel(struct dns_lookup *l)
{
        if (l)
                loop_undefer(bed.loop, l->deferred);
        free(l);
}

static void done(void *arg, const struct propagation_state *s, const struct err *err)
{
        (void)arg;
        assert_false(bed.over);
        bed.over = true;
        bed.e = err ? *err : (struct err){ 0 };
        bed.seen = s->seen;
        bed.wanted = s->wanted;
        bed.count = s->count;
        for (size_t i = 0; i < s->count && i < 2; i++) {
                bed.look[i] = s->server[i].look;
                snprintf(bed.saw[i], sizeof bed.saw[i], "%s", s->server[i].saw);
        }
}

static void run(const char *path, const struct play *a, const struct play *b, bool gone, int64_t timeout_ms)
{
        struct proof proof = { PROOF_FILE, OWN(HOST), OWN(HOST), OWN(path), OWN("token") };
        struct conf_propagation conf = { .timeout_ms = timeout_ms, .consecutive = 1 };
        struct propagation_request r = {
                .proof = &proof, .gone = gone, .conf = &conf, .internal = true
        }; /* .test is private */
        struct err e;
        bed.play[0] = *a;
        bed.play[1] = *b;
        bed.asked[0] = bed.asked[1] = bed.https = bed.unpinned = 0;
        bed.over = false;
        assert_non_null(propagation_start(bed.engine, &r, NULL, done, NULL, &e));
        assert_true(loop_run_until(bed.loop, &bed.over, LIMIT_MS));
        assert_false(bed.wrong);
}

static int set_up(void **state)
{
        struct err e;
        (void)state;
        return loop_open(&bed.loop, &e) && propagation_engine_open(&bed.engine, bed.loop, NULL, NULL, &e) ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        propagation_engine_close(bed.engine);
        loop_close(bed.loop);
        return 0;
}

#define HAS                                                                                                            \
        &(struct play)                                                                                                 \
        {                                                                                                              \
                .status = { 200 }, .body = "token"                                                                     \
        }

static void every_address_is_asked_by_itself(void **state)
{
        (void)state;
        run(PKI, HAS, HAS, false, 5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_true(bed.seen == 2 && bed.wanted == 2);
        assert_true(bed.asked[0] == 1 && bed.asked[1] == 1 && bed.https == 0 && bed.unpinned == 0);
        assert_string_equal(bed.last_url, "http://" HOST PKI);
}

static void who_lacks_it_is_alone_asked_again(void **state)
{
        (void)state;
        run(PKI, HAS, &(struct play){ .status = { 404, 503, 200 }, .body = "token" }, false, 5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_true(bed.asked[0] == 1 && bed.asked[1] == 3);
}

static void the_content_is_compared_exactly(void **state)
{
        static const struct {
                const char *body;
                bool same;
        } row[] = { { "token\n", true }, { "token\n\n", false }, { "token\r\n", false }, { " token", false },
                { "Token", false }, { "toke", false }, { "", false } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                run(PKI, HAS, &(struct play){ .status = { 200 }, .body = row[i].body }, false, 150);
                if ((bed.e.kind == ERR_NONE) != row[i].same)
                        fail_msg("row %zu: %s", i, bed.e.kind ? bed.e.text : "taken");
                if (!row[i].same &&
                        (strcmp(bed.e.code, "propagation.timeout") != 0 || bed.look[1] != LOOK_OTHER ||
                                !strstr(bed.saw[1], "200 with another content") || !strstr(bed.e.text, address[1])))
                        fail_msg("row %zu: %s: %s", i, bed.saw[1], bed.e.text);
        }
}

static void where_either_scheme_suffices_https_is_tried_too(void **state)
{
        const struct play secure = { .status = { 200 }, .body = "token", .no_http = true, .https = true };
        (void)state;
        run(PKI, HAS, &secure, false, 5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_string_equal(bed.last_url, "https://" HOST PKI);
        run(ACME, HAS, &secure, false, 150); /* http-01 begins at port 80 */
        assert_string_equal(bed.e.code, "propagation.timeout");
        assert_int_equal(bed.https, 0);
        assert_int_equal(bed.look[1], LOOK_SILENT);
        assert_non_null(strstr(bed.saw[1], "connection refused"));
}

static void a_redirect_is_followed_only_where_the_ca_would(void **state)
{
        const struct play here = { .status = { 301 }, .body = "token", .location = "http://" HOST "/moved" };
        const struct play away = { .status = { 302 }, .body = "token", .location = "http://other.example.test/moved" };
        (void)state;
        run(PKI, HAS, &here, false, 150);
        assert_string_equal(bed.e.code, "propagation.timeout");
        assert_non_null(strstr(bed.saw[1], "a redirect to http://" HOST "/moved"));
        run(ACME, HAS, &here, false, 5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.unpinned, 0); /* the same host stays at its address */
        run(ACME, HAS, &away, false, 5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.unpinned, 1); /* another is looked up */
}

static void gone_means_gone_at_every_address(void **state)
{
        (void)state;
        run(PKI, &(struct play){ .status = { 404 } }, &(struct play){ .status = { 200, 404 }, .body = "token" }, true,
                5000);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_true(bed.asked[1] >= 2);
}

static void a_host_without_an_address_is_named(void **state)
{
        (void)state;
        bed.no_host = true;
        run(PKI, HAS, HAS, false, 300);
        bed.no_host = false;
        assert_int_not_equal(bed.e.kind, ERR_NONE);
        assert_non_null(strstr(bed.e.text, HOST));
        assert_true(bed.asked[0] == 0 && bed.asked[1] == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_address_is_asked_by_itself),
                cmocka_unit_test(who_lacks_it_is_alone_asked_again),
                cmocka_unit_test(the_content_is_compared_exactly),
                cmocka_unit_test(where_either_scheme_suffices_https_is_tried_too),
                cmocka_unit_test(a_redirect_is_followed_only_where_the_ca_would),
                cmocka_unit_test(gone_means_gone_at_every_address),
                cmocka_unit_test(a_host_without_an_address_is_named),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
