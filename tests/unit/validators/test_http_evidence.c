#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/http_evidence.h"
#include "validators/judgement.h"

#define NAME "www.example.com"
#define URL "http://" NAME "/.well-known/acme-challenge/tok"
#define TLS_URL "https://" NAME "/.well-known/acme-challenge/tok"
#define WANTED "tok.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
#define V4 "198.35.26.96"
#define OTHER_V4 "198.35.26.97"
#define V6 "2620:0:862:ed1a::1"
#define X124                                                                                                           \
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
        "xxxxxxxxxxxxxxxx"

/* Rows say only what differs from the healthy case. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct hop {
        int status;
        enum http_fault fault;
        const char *body, *header, *value, *url; /* url: URL if NULL */
        unsigned first_byte_ms;
        const char *certificate_fault;
};
struct look {
        const char *address;
        enum http_purpose purpose;
        bool outside;
        struct hop hop[2];
};
struct row {
        const char *what;
        bool random, pki, own, internal, good;
        struct look look[4];
        const char *ids, *said;
        const char *name; /* NAME if NULL */
};

#define OK                                                                                                             \
        {                                                                                                              \
                200, HTTP_ANSWERED, WANTED                                                                             \
        }
#define LOOK(...)                                                                                                      \
        {                                                                                                              \
                {                                                                                                      \
                        V4, HTTP_TOKEN, false,                                                                         \
                        {                                                                                              \
                                __VA_ARGS__                                                                            \
                        }                                                                                              \
                }                                                                                                      \
        }
#define TO(where) "", "Location", where

static const struct row rows[] = {
        { "healthy", .good = true, .look = LOOK(OK), .ids = "~H31" },
        { "healthy over both", .good = true, .look = { { V4, .hop = { OK } }, { V6, .hop = { OK } } }, .ids = "~H31" },
        { "healthy redirect", .good = true, .look = LOOK({ 301, 0, TO(TLS_URL) }, { 200, 0, WANTED, .url = TLS_URL }),
                .ids = "~H31" },
        { "bad certificate", .good = true,
                .look = LOOK(
                        { 308, 0, TO(TLS_URL) }, { 200, 0, WANTED, .url = TLS_URL, .certificate_fault = "expired" }),
                .ids = "H21 ~H31", .said = "expired" },
        { "healthy 404", .random = true, .good = true, .look = { { V4, HTTP_RANDOM, .hop = { { 404, 0, "no" } } } },
                .ids = "~H31" },
        /* dial */
        { "v4 refused", .look = LOOK({ 0, HTTP_REFUSED }), .ids = "H05 ~H31", .said = V4 },
        { "v4 timeout", .look = LOOK({ 0, HTTP_CONNECT_TIMEOUT }), .ids = "H05 ~H31", .said = "firewall" },
        { "v4 reset", .look = LOOK({ 0, HTTP_RESET }), .ids = "H05 ~H31" },
        { "v6 dead, v4 good", .good = true, .look = { { V6, .hop = { { 0, HTTP_REFUSED } } }, { V4, .hop = { OK } } },
                .ids = "H04 ~H31", .said = V6 },
        { "v6 dead alone", .look = { { V6, .hop = { { 0, HTTP_UNREACHABLE } } } }, .ids = "H08 H04 ~H31" },
        { "v6 resets: final", .look = { { V6, .hop = { { 0, HTTP_RESET } } }, { V4, .hop = { OK } } },
                .ids = "H04 H06 H07 ~H31" },
        { "v6 alone, good", .good = true, .look = { { V6, .hop = { OK } } }, .ids = "H08 ~H31" },
        { "v6 wrong", .look = { { V6, .hop = { { 404, 0, "no" } } }, { V4, .hop = { OK } } }, .ids = "H09 H06 H07 ~H31",
                .said = "404" },
        { "v6 dead and redirect",
                .look = { { V6, .hop = { { 0, HTTP_REFUSED } } },
                        { V4, .hop = { { 301, 0, TO(TLS_URL) }, { 200, 0, WANTED, .url = TLS_URL } } } },
                .ids = "H04 H23 ~H31" },
        { "two v4 differ", .look = { { V4, .hop = { OK } }, { OTHER_V4, .hop = { { 404, 0, "no" } } } },
                .ids = "H09 H07 ~H31" },
        { "hairpin", .own = true, .good = true, .look = LOOK({ 0, HTTP_REFUSED }), .ids = "H33" },
        /* status */
        { "404", .look = LOOK({ 404, 0, "no" }), .ids = "H09 ~H31", .said = "location ^~" },
        { "204", .look = LOOK({ 204, 0, "" }), .ids = "H09 ~H31" },
        { "500", .look = LOOK({ 500, 0, "no" }), .ids = "H09 ~H31" },
        { "401", .look = LOOK({ 401, 0, "no" }), .ids = "H10 ~H31" },
        { "403", .look = LOOK({ 403, 0, "no" }), .ids = "H10 ~H31" },
        { "429", .look = LOOK({ 429, 0, "no" }), .ids = "H10 ~H31" },
        { "bot page", .look = LOOK({ 200, 0, "<script src=\"/aes.js\">" }), .ids = "H10 ~H31" },
        { "challenge header", .look = LOOK({ 503, 0, "x", "cf-mitigated", "challenge" }), .ids = "H10 ~H31" },
        { "random 500", .random = true, .look = { { V4, HTTP_RANDOM, .hop = { { 500, 0, "no" } } } },
                .ids = "H09 ~H31" },
        { "random 403", .random = true, .look = { { V4, HTTP_RANDOM, .hop = { { 403, 0, "no" } } } },
                .ids = "H10 ~H31" },
        { "soft 404", .random = true, .good = true, .look = { { V4, HTTP_RANDOM, .hop = { { 200, 0, "home" } } } },
                .ids = "H30 ~H31" },
        { "cached 404", .look = LOOK({ 404, 0, "no", "Age", "30" }), .ids = "H28 ~H31" },
        { "random cached 404", .random = true,
                .look = { { V4, HTTP_RANDOM, .hop = { { 404, 0, "no", "X-Cache", "HIT" } } } }, .ids = "H28 ~H31" },
        { "fresh 404 with Age 0", .random = true, .good = true,
                .look = { { V4, HTTP_RANDOM, .hop = { { 404, 0, "no", "Age", "0" } } } }, .ids = "~H31" },
        /* body */
        { "other content", .look = LOOK({ 200, 0, "tok.AAA" }), .ids = "H11 ~H31", .said = "at byte 4" },
        { "cut", .look = LOOK({ 200, 0, "tok." }), .ids = "H11 ~H31" },
        { "longer", .look = LOOK({ 200, 0, WANTED "x" }), .ids = "H11 ~H31" },
        { "leading blank", .look = LOOK({ 200, 0, " " WANTED }), .ids = "H11 ~H31", .said = "at byte 0" },
        { "byte-order mark", .look = LOOK({ 200, 0, "\xef\xbb\xbf" WANTED }), .ids = "H12 ~H31" },
        { "line end", .good = true, .look = LOOK({ 200, 0, WANTED "\r\n" }), .ids = "H13 ~H31" },
        { "128 bytes", .look = LOOK({ 200, 0, X124 "xxxx" }), .ids = "H14 ~H31" },
        /* redirects */
        { "303", .look = LOOK({ 303, 0, TO(TLS_URL) }), .ids = "H15 ~H31", .said = "303" },
        { "304", .look = LOOK({ 304, 0, "" }), .ids = "H15 ~H31" },
        { "no location", .look = LOOK({ 301, 0, "" }), .ids = "H16 ~H31" },
        { "port", .look = LOOK({ 301, 0, TO("http://" NAME ":8080/x") }), .ids = "H16 ~H31", .said = "80 and 443" },
        { "scheme", .look = LOOK({ 301, 0, TO("ftp://" NAME "/x") }), .ids = "H16 ~H31" },
        { "user", .look = LOOK({ 301, 0, TO("http://a:b@" NAME "/x") }), .ids = "H16 ~H31" },
        { "private address", .look = LOOK({ 301, 0, TO("http://10.0.0.1/x") }), .ids = "H16 ~H31" },
        { "private v6", .look = LOOK({ 301, 0, TO("http://[fd00::1]/x") }), .ids = "H16 ~H31" },
        { "private name", .look = LOOK({ 301, 0, TO("http://intranet.local/x") }), .ids = "H16 ~H31" },
        { "missing slash", .look = LOOK({ 301, 0, TO("https://" NAME ".well-known/acme-challenge/tok") }),
                .ids = "H17 ~H31", .said = "slash" },
        { "loop", .look = LOOK({ 301, 0, TO("/.well-known/acme-challenge/tok") }), .ids = "H18 ~H31", .said = "loop" },
        { "to a dead host",
                .look = LOOK({ 301, 0, TO("http://b.example.com/") },
                        { 0, HTTP_NO_ADDRESS, .url = "http://b.example.com/" }),
                .ids = "H24 ~H31" },
        { "to a host without it",
                .look = LOOK({ 301, 0, TO("http://b.example.com/") }, { 404, 0, "no", .url = "http://b.example.com/" }),
                .ids = "H24 ~H31", .said = "b.example.com" },
        { "to the same host without it", .look = LOOK({ 301, 0, TO(TLS_URL) }, { 404, 0, "no", .url = TLS_URL }),
                .ids = "H09 ~H31" },
        /* protocols */
        { "http to tls", .look = LOOK({ 400, 0, "The plain HTTP request was sent to HTTPS port" }), .ids = "H19 ~H31" },
        { "497", .look = LOOK({ 497, 0, "" }), .ids = "H19 ~H31" },
        { "tls on 80", .look = LOOK({ 0, HTTP_GARBAGE, "\x15\x03\x01" }), .ids = "H19 ~H31",
                .said = "TLS where plain" },
        { "no tls on 443", .look = LOOK({ 301, 0, TO(TLS_URL) }, { 0, HTTP_NOT_TLS, .url = TLS_URL }),
                .ids = "H19 ~H31" },
        { "garbage", .look = LOOK({ 0, HTTP_GARBAGE, "SSH-2.0" }), .ids = "H05 ~H31", .said = "not HTTP" },
        { "old tls", .look = LOOK({ 301, 0, TO(TLS_URL) }, { 0, HTTP_TLS_OLD, .url = TLS_URL }), .ids = "H22 ~H31" },
        { "cdn without certificate", .look = LOOK({ 301, 0, TO(TLS_URL) }, { 0, HTTP_TLS_FAILED, .url = TLS_URL }),
                .ids = "H24 ~H31" },
        /* remarks */
        { "slow", .good = true, .look = LOOK({ 200, 0, WANTED, .first_byte_ms = 5001 }), .ids = "H25 ~H31" },
        { "not yet slow", .good = true, .look = LOOK({ 200, 0, WANTED, .first_byte_ms = 5000 }), .ids = "~H31" },
        { "cdn", .good = true, .look = LOOK({ 200, 0, WANTED, "Server", "cloudflare" }), .ids = "H26 ~H31",
                .said = "Cloudflare" },
        { "router", .look = LOOK({ 404, 0, "login", "Server", "micro_httpd" }), .ids = "H29 H09 ~H31" },
        { "hsts", .good = true,
                .look = LOOK(
                        { 301, 0, TO(TLS_URL) }, { 200, 0, WANTED, "Strict-Transport-Security", "max-age=1", TLS_URL }),
                .ids = "H35 ~H31" },
        /* variants */
        { "by agent", .good = true,
                .look = { { V4, .hop = { OK } }, { V4, HTTP_OTHER_AGENT, .hop = { { 403, 0, "no" } } } },
                .ids = "H32 ~H31" },
        { "agents alike", .good = true, .look = { { V4, .hop = { OK } }, { V4, HTTP_OTHER_AGENT, .hop = { OK } } },
                .ids = "~H31" },
        { "default site",
                .look = { { V4, .hop = { { 200, 0, "It works!" } } },
                        { V4, HTTP_OTHER_HOST, .hop = { { 200, 0, "It works!" } } } },
                .ids = "H11 H36 ~H31", .said = NULL },
        { "own site", .good = true, .look = { { V4, .hop = { OK } }, { V4, HTTP_OTHER_HOST, .hop = { OK } } },
                .ids = "~H31" },
        /* vantage */
        { "blocked outside",
                .look = { { V4, .hop = { OK } }, { V4, HTTP_TOKEN, true, { { 0, HTTP_CONNECT_TIMEOUT } } } },
                .ids = "H31" },
        { "seen outside", .good = true, .look = { { V4, .hop = { OK } }, { V4, HTTP_TOKEN, true, { OK } } },
                .ids = "" },
        /* pki-validation */
        { "pki", .pki = true, .good = true, .look = LOOK({ 206, 0, "x " WANTED " y" }), .ids = "~H31" },
        { "pki wrong", .pki = true, .look = LOOK({ 200, 0, "other" }), .ids = "H34 ~H31", .said = WANTED },
        { "pki redirect", .pki = true, .look = LOOK({ 301, 0, TO(TLS_URL) }), .ids = "H34 ~H31", .said = "redirect" },
        { "pki 404", .pki = true, .look = LOOK({ 404, 0, WANTED }), .ids = "H34 ~H31" },
        /* addresses */
        { "private beside public", .good = true,
                .look = { { "10.1.2.3", HTTP_OTHER_HOST, .hop = { { 404, 0, "" } } }, { V4, .hop = { OK } } },
                .ids = "H07 ~H31", .said = "beside its public addresses" },
        { "private", .look = { { "10.1.2.3", .hop = { OK } } }, .ids = "H03", .said = "RFC 1918" },
        { "an address, private", .name = "10.1.2.3", .look = { { "10.1.2.3", .hop = { OK } } }, .ids = "H03",
                .said = "10.1.2.3 is not reachable from the Internet" },
        { "an address, dead", .name = V6, .look = { { V6, .hop = { { 0, HTTP_UNREACHABLE } } } }, .ids = "H04 ~H31" },
        { "an address, good", .name = V6, .good = true, .look = { { V6, .hop = { OK } } }, .ids = "~H31" },
        { "private, inside", .internal = true, .good = true, .look = { { "10.1.2.3", .hop = { OK } } }, .ids = "~H31" },
};

struct made {
        struct http_hop hop[4][2];
        struct http_header header[4][2];
        struct http_look look[4];
        struct address address[4];
        struct http_evidence x;
};

static void make(const struct row *r, struct made *m)
{
        *m = (struct made){ .x = { .name = r->name ? r->name : NAME,
                                    .wanted = r->random ? NULL : WANTED,
                                    .pki_validation = r->pki,
                                    .own_host = r->own,
                                    .internal = r->internal } };
        for (size_t i = 0; i < 4 && r->look[i].address; i++) {
                const struct look *l = &r->look[i];
                struct http_look *to = &m->look[i];
                assert_true(address_parse(l->address, 0, &m->address[i]));
                *to = (struct http_look){ m->address[i], l->purpose, l->outside, m->hop[i], 0 };
                for (size_t k = 0; k < 2 && (l->hop[k].status || l->hop[k].fault); k++, to->count++) {
                        const struct hop *h = &l->hop[k];
                        size_t len = h->body ? strlen(h->body) : 0;
                        m->header[i][k] = (struct http_header){ h->header, h->value };
                        m->hop[i][k] = (struct http_hop){ .url = h->url ? h->url : URL,
                                .fault = h->fault,
                                .status = h->status,
                                .headers = &m->header[i][k],
                                .header_count = h->header ? 1 : 0,
                                .body = (const uint8_t *)h->body,
                                .body_len = len,
                                .body_size = len,
                                .certificate_fault = h->certificate_fault,
                                .first_byte_ms = h->first_byte_ms };
                }
                m->x.look_count = m->x.address_count = i + 1;
        }
        m->x.looks = m->look;
        m->x.addresses = m->address;
}

static void every_exchange_gets_its_ids(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct made m;
                struct judgements j = { 0 };
                char ids[200] = "";
                bool said = !rows[i].said;
                make(&rows[i], &m);
                bool good = http_judge(&m.x, &j);
                for (size_t k = 0, n = 0; k < j.count; k++) {
                        n += (size_t)snprintf(ids + n, sizeof ids - n, "%s%s%s", n ? " " : "",
                                j.item[k].unverifiable ? "~" : "", j.item[k].id);
                        said = said || strstr(j.item[k].message, rows[i].said) || strstr(j.item[k].fix, rows[i].said);
                        assert_true(j.item[k].unverifiable || *j.item[k].fix);
                }
                if (good != rows[i].good || strcmp(ids, rows[i].ids) != 0 || !said)
                        fail_msg("%s: %d, %s; %s", rows[i].what, good, ids, j.count ? j.item[0].message : "");
                judgements_done(&j);
        }
}

static void a_name_without_an_address_ends_it(void **state)
{
        struct http_evidence x = { .name = NAME };
        struct judgements j = { 0 };
        (void)state;
        assert_false(http_judge(&x, &j));
        assert_non_null(judgements_find(&j, "H01"));
        x.lookup_failed = true;
        x.lookup_error = "SERVFAIL from 192.0.2.53";
        assert_false(http_judge(&x, &j));
        assert_non_null(strstr(judgements_find(&j, "H02")->message, "192.0.2.53"));
        judgements_done(&j);
}

static void a_cdn_seen_before_explains_a_failing_handshake(void **state)
{
        struct made m;
        struct judgements j = { 0 };
        const struct row r = { .look = LOOK({ 301, 0, "", "CF-Ray", "1" }, { 0, HTTP_TLS_FAILED, .url = TLS_URL }) };
        (void)state;
        make(&r, &m);
        assert_false(http_judge(&m.x, &j));
        assert_non_null(judgements_find(&j, "H27"));
        judgements_done(&j);
}

static void h2_on_port_80_is_told_from_garbage(void **state)
{
        static const uint8_t settings[] = { 0, 0, 18, 4, 0, 0, 0, 0, 0 };
        struct made m;
        struct judgements j = { 0 };
        const struct row r = { .look = LOOK({ 0, HTTP_GARBAGE, "x" }) };
        (void)state;
        make(&r, &m);
        m.hop[0][0].body = settings;
        m.hop[0][0].body_len = sizeof settings;
        assert_false(http_judge(&m.x, &j));
        assert_non_null(judgements_find(&j, "H20"));
        judgements_done(&j);
}

static void a_redirect_is_followed_as_far_as_the_ca_follows_it(void **state)
{
        static const struct {
                const char *what;
                int status;
                const char *location; /* NULL: none */
                bool pki, internal;
                size_t before; /* redirects that were followed already */
                const char *to, *why; /* both NULL: it is no redirect */
        } t[] = {
                { "found", 200, NULL, false, false, 0, NULL, NULL },
                { "absent, with a stray header", 404, TLS_URL, false, false, 0, NULL, NULL },
                { "to https", 301, TLS_URL, false, false, 0, TLS_URL, NULL },
                { "elsewhere", 308, "https://files.example.org/x", false, false, 0, "https://files.example.org/x",
                        NULL },
                { "relative", 302, "/elsewhere", false, false, 0, "http://" NAME "/elsewhere", NULL },
                { "see other", 303, TLS_URL, false, false, 0, NULL, "301, 302, 307 and 308" },
                { "nowhere", 307, NULL, false, false, 0, NULL, "Location" },
                { "loop", 301, URL, false, false, 0, NULL, "loop" },
                { "a port", 301, "http://" NAME ":8080/", false, false, 0, NULL, "80 and 443" },
                { "private", 301, "http://files.local/", false, false, 0, NULL, "top-level domain" },
                { "private, inside", 301, "http://files.local/", false, true, 0, "http://files.local/", NULL },
                { "the tenth", 301, TLS_URL, false, false, 9, TLS_URL, NULL },
                { "one too many", 301, TLS_URL, false, false, 10, NULL, "too many" },
                { "a file at Tencent Cloud", 301, TLS_URL, true, false, 0, NULL, "the file itself" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                const struct http_evidence x = { .name = NAME, .pki_validation = t[i].pki, .internal = t[i].internal };
                CLEANUP(texts_done) struct texts trail = { 0 };
                CLEANUP(free_p) char *to = NULL;
                const char *why = NULL;
                for (size_t k = 0; k < t[i].before; k++) {
                        CLEANUP(free_p) char *earlier = text_format("http://" NAME "/%zu", k);
                        assert_true(texts_add(&trail, earlier));
                }
                assert_true(texts_add(&trail, URL));
                bool on = http_goes_on(&x, &trail, t[i].status, t[i].location, &to, &why);
                if (on != (t[i].to != NULL) || (on && strcmp(to, t[i].to) != 0) || !why != !t[i].why ||
                        (why && !strstr(why, t[i].why)))
                        fail_msg("%s: %d %s %s", t[i].what, on, to ? to : "-", why ? why : "-");
        }
}

static void every_reserved_net_has_a_name(void **state)
{
        static const struct {
                const char *address, *what;
        } t[] = { { "8.8.8.8", NULL }, { "2606:4700::1", NULL }, { "172.31.0.1", "RFC 1918" }, { "172.32.0.1", NULL },
                { "100.64.0.1", "carriers" }, { "169.254.1.1", "link-local" }, { "203.0.113.7", "documentation" },
                { "255.255.255.255", "reserved" }, { "::1", "loopback" }, { "fd00::1", "unique local" },
                { "fe80::1", "link-local" }, { "2001:db8::1", "documentation" }, { "2001:0:1::1", "Teredo" },
                { "ff02::1", "multicast" }, { "::ffff:10.0.0.1", "mapped" }, { "4000::1", "not assigned" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct address a;
                assert_true(address_parse(t[i].address, 0, &a));
                const char *got = http_reserved(&a);
                if (!got != !t[i].what || (got && !strstr(got, t[i].what)))
                        fail_msg("%s: %s", t[i].address, got ? got : "public");
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(every_exchange_gets_its_ids),
                cmocka_unit_test(a_name_without_an_address_ends_it),
                cmocka_unit_test(a_cdn_seen_before_explains_a_failing_handshake),
                cmocka_unit_test(h2_on_port_80_is_told_from_garbage),
                cmocka_unit_test(a_redirect_is_followed_as_far_as_the_ca_follows_it),
                cmocka_unit_test(every_reserved_net_has_a_name) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
