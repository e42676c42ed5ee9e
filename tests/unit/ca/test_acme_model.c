/* What an ACME server's documents mean: directory, orders, authorizations, problems, links. */
#include "test.h"

#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/link.h"
#include "agent/ca/acme/problem.h"

#define URN "urn:ietf:params:acme:error:"

static json_t *doc(const char *text)
{
        json_t *o = NULL;
        struct err e;

        if (!json_read(text, strlen(text), 8, &o, &e))
                fail_msg("%s: %s", text, e.text);
        return o;
}

/* ---- problems ---- */

static void every_problem_type_has_its_kind(void **state)
{
        static const struct {
                const char *type;
                int status;
                enum err_kind kind;
        } row[] = {
                { "badNonce", 400, ERR_TEMPORARY },
                { "rateLimited", 429, ERR_RATE_LIMITED },
                { "serverInternal", 500, ERR_TEMPORARY },
                { "connection", 400, ERR_TEMPORARY },
                { "dns", 400, ERR_TEMPORARY },
                { "tls", 400, ERR_TEMPORARY },
                { "incorrectResponse", 403, ERR_TEMPORARY },
                { "unauthorized", 403, ERR_DENIED },
                { "caa", 403, ERR_DENIED },
                { "rejectedIdentifier", 400, ERR_DENIED },
                { "unsupportedIdentifier", 400, ERR_DENIED },
                { "malformed", 400, ERR_DENIED },
                { "accountDoesNotExist", 400, ERR_DENIED },
                { "userActionRequired", 403, ERR_DENIED },
                { "agreementRequired", 403, ERR_DENIED },
                { "externalAccountRequired", 403, ERR_CONFIG },
                { "invalidContact", 400, ERR_CONFIG },
                { "unsupportedContact", 400, ERR_CONFIG },
                { "badCSR", 400, ERR_DENIED },
                { "badPublicKey", 400, ERR_DENIED },
                { "badSignatureAlgorithm", 400, ERR_PROTOCOL },
                { "orderNotReady", 403, ERR_TEMPORARY },
                { "alreadyRevoked", 400, ERR_DENIED },
                { "badRevocationReason", 400, ERR_DENIED },
                { "alreadyReplaced", 409, ERR_DENIED },
                { "invalidProfile", 400, ERR_CONFIG },
                { "compound", 400, ERR_DENIED },
                { "conflict", 409, ERR_DENIED },
                { "neverHeardOf", 400, ERR_DENIED },
                { "neverHeardOf", 500, ERR_TEMPORARY },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *text = text_format("{\"type\": \"" URN "%s\", \"detail\": \"why\\u001b[31m\"}", row[i].type);
                CLEANUP(json_decref_p) json_t *o = doc(text);
                CLEANUP(free_p) char *code = text_format("acme.%s", row[i].type);
                struct err e;
                assert_false(acme_problem(row[i].status, o, -1, "newOrder", &e));
                assert_string_equal(e.code, code);
                if (e.kind != row[i].kind)
                        fail_msg("%s is %s", row[i].type, err_kind_name(e.kind));
                assert_non_null(strstr(e.text, "why"));
                assert_null(strchr(e.text, 0x1b));
        }
}

static void answers_without_a_type_go_by_their_status(void **state)
{
        static const struct {
                int status;
                const char *body;
                int64_t retry_after_s;
                enum err_kind kind;
                int64_t want_s;
        } row[] = { { 501, NULL, -1, ERR_DENIED, 0 }, { 503, NULL, -1, ERR_TEMPORARY, 0 },
                { 503, NULL, 120, ERR_RATE_LIMITED, 120 }, { 429, NULL, -1, ERR_RATE_LIMITED, 3600 },
                { 404, "{}", -1, ERR_DENIED, 0 }, { 500, "[1]", -1, ERR_TEMPORARY, 0 },
                { 403, "{\"type\": \"about:blank\"}", -1, ERR_DENIED, 0 },
                { 429, "{\"type\": \"" URN "rateLimited\"}", 7, ERR_RATE_LIMITED, 7 },
                { 429, "{\"type\": 5}", 0, ERR_RATE_LIMITED, 1 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *o = row[i].body ? doc(row[i].body) : NULL;
                struct err e;
                assert_false(acme_problem(row[i].status, o, row[i].retry_after_s, "x", &e));
                assert_int_equal(e.kind, row[i].kind);
                assert_int_equal(e.retry_after_s, row[i].want_s);
        }
}

static void subproblems_are_all_shown_and_decide_a_compound(void **state)
{
        CLEANUP(json_decref_p)
        json_t *o = doc(
                "{\"type\": \"" URN "compound\", \"detail\": \"several\", \"subproblems\": ["
                "{\"type\": \"" URN "dns\", \"detail\": \"no answer\", \"identifier\": {\"type\": \"dns\", \"value\": "
                "\"a.example\"}},"
                "{\"type\": \"" URN "connection\", \"identifier\": {\"value\": \"b.example\"}}]}");
        struct err e;

        (void)state;
        acme_problem(400, o, -1, "x", &e);
        assert_int_equal(e.kind, ERR_TEMPORARY);
        assert_non_null(strstr(e.text, "a.example: no answer"));
        assert_non_null(strstr(e.text, "b.example: connection"));
        json_array_append_new(json_object_get(o, "subproblems"), doc("{\"type\": \"" URN "caa\", \"detail\": \"no\"}"));
        acme_problem(400, o, -1, "x", &e);
        assert_int_equal(e.kind, ERR_DENIED);
}

static void a_person_is_sent_to_the_page_that_the_ca_names(void **state)
{
        CLEANUP(json_decref_p)
        json_t *o = doc("{\"type\": \"" URN "userActionRequired\", \"instance\": \"https://ca.example/terms?x\"}");
        struct err e;

        (void)state;
        acme_problem(403, o, -1, "x", &e);
        assert_non_null(strstr(e.fix, "https://ca.example/terms?x"));
}

static void the_algorithms_that_a_server_takes_are_named(void **state)
{
        CLEANUP(json_decref_p)
        json_t *o = doc("{\"type\": \"" URN "badSignatureAlgorithm\", \"algorithms\": [\"RS256\", \"ES384\", 5]}");
        struct err e;

        (void)state;
        acme_problem(400, o, -1, "newAccount", &e);
        assert_non_null(strstr(e.text, "; it takes RS256, ES384, ?"));
}

static void the_best_key_is_one_that_the_server_lists(void **state)
{
        static const struct {
                const char *problem;
                enum key_type want;
        } row[] = { { "{\"algorithms\": [\"RS256\", \"ES384\", \"ES256\"]}", KEY_EC_P256 },
                { "{\"algorithms\": [7, \"RS256\", \"ES384\"]}", KEY_EC_P384 },
                { "{\"algorithms\": [\"EdDSA\", \"RS256\"]}", KEY_RSA_2048 },
                { "{\"algorithms\": [\"EdDSA\", \"PS256\", \"es256\"]}", KEY_NONE },
                { "{\"algorithms\": \"ES256\"}", KEY_NONE }, { "{}", KEY_NONE } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *o = doc(row[i].problem);
                assert_int_equal(acme_problem_key_type(o), row[i].want);
        }
        assert_int_equal(acme_problem_key_type(NULL), KEY_NONE);
}

static void what_a_server_has_not_is_said_whatever_it_calls_it(void **state)
{
        CLEANUP(json_decref_p)
        json_t *o = doc("{\"type\": \"" URN "rejectedIdentifier\", \"detail\": \"not implemented\"}");
        struct err e;

        (void)state;
        acme_problem(501, o, -1, "keyChange", &e);
        assert_int_equal(e.kind, ERR_DENIED);
        assert_string_equal(e.fix, "this CA cannot do that");
}

/* ---- documents ---- */

#define DIRECTORY                                                                                                      \
        "{\"newNonce\": \"https://ca.example/n\", \"newAccount\": \"https://ca.example/a\", \"newOrder\": "            \
        "\"https://orders.ca.example:443/o\", \"ABCDEFG\": \"https://community.example/t/1\""

static void a_directory_is_read_with_unknown_members(void **state)
{
        struct acme_directory d;
        struct err e;

        (void)state;
        CLEANUP(json_decref_p)
        json_t *o = doc(
                DIRECTORY ", \"meta\": {\"termsOfService\": \"https://ca.example/terms\", \"profiles\": {\"classic\": "
                          "\"x\", \"short\": 5}, \"externalAccountRequired\": true}}");
        assert_true(acme_directory_read(o, &d, &e));
        assert_string_equal(d.terms, "https://ca.example/terms");
        assert_true(d.eab_required);
        assert_null(d.renewal_info);
        assert_true(texts_has(&d.profiles, "classic") && texts_has(&d.profiles, "short"));
        assert_int_equal(d.hosts.count, 2);
        assert_true(texts_has(&d.hosts, "https://orders.ca.example"));
        assert_false(texts_has(&d.hosts, "https://community.example"));
        acme_directory_done(&d);
}

static void bad_directories_are_refused(void **state)
{
        static const char *const row[] = { "{}", "[]", "{\"newNonce\": \"https://a/\", \"newAccount\": \"https://a/\"}",
                "{\"newNonce\": \"ftp://a/\", \"newAccount\": \"https://a/\", \"newOrder\": \"https://a/\"}",
                "{\"newNonce\": \"https://u@a/\", \"newAccount\": \"https://a/\", \"newOrder\": \"https://a/\"}",
                "{\"newNonce\": \"https://a/ b\", \"newAccount\": \"https://a/\", \"newOrder\": \"https://a/\"}",
                DIRECTORY ", \"keyChange\": \"/relative\"}" };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *o = doc(row[i]);
                struct acme_directory d;
                struct err e;
                if (acme_directory_read(o, &d, &e))
                        fail_msg("read: %s", row[i]);
                assert_int_equal(e.kind, ERR_PROTOCOL);
        }
}

static void http_to_another_machine_is_refused(void **state)
{
        static const struct {
                const char *at;
                bool good;
        } row[] = { { "https://ca.example", true }, { "http://127.0.0.1:4000", true }, { "http://127.9.8.7", true },
                { "http://[::1]:14000", true }, { "http://[::1]", true }, { "http://localhost", true },
                { "http://LOCALHOST:8080", true }, { "http://192.0.2.9:8080", false }, { "http://ca.example", false },
                { "http://[2001:db8::1]:80", false }, { "http://localhost.example", false },
                { "http://127.0.0.1.example", false } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *text = text_format(DIRECTORY ", \"revokeCert\": \"%s/revoke\"}", row[i].at);
                CLEANUP(json_decref_p) json_t *o = doc(text);
                struct acme_directory d = { 0 };
                struct err e;
                if (acme_directory_read(o, &d, &e) != row[i].good)
                        fail_msg("%s", row[i].at);
                if (!row[i].good)
                        assert_string_equal(e.code, "acme.http");
                acme_directory_done(&d);
        }
}

static void origins_are_compared_without_port_and_case(void **state)
{
        static const struct {
                const char *url, *want;
        } row[] = { { "https://CA.example/x", "https://ca.example" },
                { "https://ca.example:443", "https://ca.example" },
                { "https://ca.example:8443/?", "https://ca.example:8443" },
                { "http://127.0.0.1:80/x", "http://127.0.0.1" }, { "https://[::1]:14000/dir", "https://[::1]:14000" },
                { "https://a@b/", NULL }, { "https:///x", NULL }, { "gopher://x/", NULL }, { "", NULL },
                { "https://ca.example/a\"b", NULL }, { "https://ca.example/a\\b", NULL },
                { "https://ca.example/a b", NULL }, { "https://ca.example/\x7f", NULL },
                { "https://ca.example/\xc3\xa4", NULL }, { "https://ca.example/~!#[]|", "https://ca.example" } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *got = acme_origin(row[i].url);
                if (!row[i].want)
                        assert_null(got);
                else
                        assert_string_equal(got, row[i].want);
        }
}

#define AUTHZ(status, more)                                                                                            \
        "{\"status\": \"" status                                                                                       \
        "\", \"identifier\": {\"type\": \"dns\", \"value\": \"WWW.example\"}, \"challenges\": [" more "]}"
#define CHALLENGE(type)                                                                                                \
        "{\"type\": \"" type "\", \"url\": \"https://ca/c\", \"status\": \"pending\", \"token\": \"abc_-1\"}"

static void an_authorization_keeps_unknown_challenges(void **state)
{
        struct acme_authz a;
        struct err e;
        char types[200];

        (void)state;
        CLEANUP(json_decref_p)
        json_t *o = doc(AUTHZ("pending",
                "{\"type\": \"dns-persist-01\", \"url\": \"https://ca/p\", \"status\": \"pending\", "
                "\"issuer-domain-names\": []}, " CHALLENGE("dns-01")));
        assert_true(acme_authz_read(o, &a, &e));
        assert_string_equal(a.name, "www.example");
        assert_int_equal(a.status, ACME_PENDING);
        assert_int_equal(a.count, 2);
        assert_null(acme_challenge_find(&a, "dns-persist-01")->token);
        assert_string_equal(acme_challenge_find(&a, "dns-01")->token, "abc_-1");
        assert_null(acme_challenge_find(&a, "http-01"));
        acme_challenge_types(&a, types, sizeof types);
        assert_string_equal(types, "dns-persist-01, dns-01");
        acme_authz_done(&a);
}

/* RFC 8555 section 7.1.5 leaves it to each type what a challenge has. */
static void challenges_of_unknown_types_are_not_judged(void **state)
{
#define LONG "x123456789x123456789x123456789x123456789x"
        static const struct {
                const char *odd;
                size_t count;
        } row[] = { { "{\"type\": \"new-01\", \"url\": \"https://ca/n\", \"token\": \"a=b\"}", 2 },
                { "{\"type\": \"new-01\", \"url\": \"https://ca/n\", \"token\": 7}", 2 },
                { "{\"type\": \"new-01\", \"url\": \"/relative\"}", 2 }, { "{\"type\": \"new-01\"}", 2 },
                { "{\"type\": \"\"}", 2 }, { "{\"type\": \"" LONG "\"}", 1 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *text = text_format(AUTHZ("pending", "%s, " CHALLENGE("http-01")), row[i].odd);
                CLEANUP(json_decref_p) json_t *o = doc(text);
                struct acme_authz a;
                struct err e;
                if (!acme_authz_read(o, &a, &e))
                        fail_msg("%s: %s", row[i].odd, e.text);
                assert_int_equal(a.count, row[i].count);
                assert_string_equal(acme_challenge_find(&a, "http-01")->token, "abc_-1");
                const struct acme_challenge *odd = acme_challenge_find(&a, "new-01");
                assert_true(!odd || (!odd->token && !odd->url));
                acme_authz_done(&a);
        }
}

static void hostile_authorizations_are_refused(void **state)
{
        static const char *const row[] = { "{}", AUTHZ("lovely", CHALLENGE("dns-01")),
                "{\"status\": \"pending\", \"challenges\": []}",
                "{\"status\": \"pending\", \"challenges\": [], \"identifier\": {\"type\": \"email\", \"value\": "
                "\"a@b\"}}",
                AUTHZ("pending", "{\"type\": \"http-01\", \"url\": \"https://ca/c\", \"token\": \"../../etc/passwd\"}"),
                AUTHZ("pending", "{\"type\": \"http-01\", \"url\": \"https://ca/c\", \"token\": \"\"}"),
                AUTHZ("pending", "{\"type\": \"http-01\", \"token\": \"abc\"}"),
                AUTHZ("pending", "{\"url\": \"https://ca/c\"}") };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *o = doc(row[i]);
                struct acme_authz a;
                struct err e;
                if (acme_authz_read(o, &a, &e))
                        fail_msg("read: %s", row[i]);
                assert_int_equal(e.kind, ERR_PROTOCOL);
        }
}

static void orders_are_read_or_refused(void **state)
{
        static const char *const bad[] = { "{}", "{\"status\": \"ready\", \"finalize\": \"https://ca/f\"}",
                "{\"status\": \"ready\", \"finalize\": \"https://ca/f\", \"authorizations\": []}",
                "{\"status\": \"ready\", \"finalize\": \"https://ca/f\", \"authorizations\": [5]}",
                "{\"status\": \"ready\", \"authorizations\": [\"https://ca/1\"]}",
                "{\"status\": \"new\", \"finalize\": \"https://ca/f\", \"authorizations\": [\"https://ca/1\"]}" };
        struct acme_order r;
        struct err e;

        (void)state;
        CLEANUP(json_decref_p)
        json_t *o =
                doc("{\"status\": \"valid\", \"expires\": \"2026-12-01T00:00:00.5Z\", \"finalize\": \"https://ca/f\", "
                    "\"certificate\": \"https://ca/cert\", \"authorizations\": [\"https://ca/1\", \"https://ca/2\"]}");
        assert_true(acme_order_read(o, &r, &e));
        assert_int_equal(r.status, ACME_VALID);
        assert_int_equal(r.authz.count, 2);
        assert_string_equal(r.certificate, "https://ca/cert");
        assert_int_equal(r.expires_s, 1796083200);
        acme_order_done(&r);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                CLEANUP(json_decref_p) json_t *b = doc(bad[i]);
                if (acme_order_read(b, &r, &e))
                        fail_msg("read: %s", bad[i]);
        }
}

static void the_challenge_follows_the_validation(void **state)
{
        struct acme_authz a;
        struct err e;
        struct acme_note n = { .validation = VALIDATION_FILE };

        (void)state;
        CLEANUP(json_decref_p) json_t *o = doc(AUTHZ("pending", CHALLENGE("dns-01") ", " CHALLENGE("http-01")));
        assert_true(acme_authz_read(o, &a, &e));
        assert_string_equal(acme_note_challenge(&n, &a, &e)->type, "http-01");
        n.validation = VALIDATION_DNS;
        assert_string_equal(acme_note_challenge(&n, &a, &e)->type, "dns-01");
        n.validation = VALIDATION_TLS_ALPN;
        assert_null(acme_note_challenge(&n, &a, &e));
        assert_int_equal(e.kind, ERR_DENIED);
        assert_non_null(strstr(e.text, "it offers: dns-01, http-01"));
        acme_authz_done(&a);
        CLEANUP(json_decref_p) /* one that cannot be answered is passed over */
        json_t *less = doc(AUTHZ("pending",
                "{\"type\": \"dns-01\", \"url\": \"https://ca/p\", \"status\": \"pending\"}, " CHALLENGE(
                        "dns-account-01")));
        n.validation = VALIDATION_DNS;
        assert_true(acme_authz_read(less, &a, &e));
        assert_string_equal(acme_note_challenge(&n, &a, &e)->type, "dns-account-01");
        acme_authz_done(&a);
}

static void a_challenge_has_one_to_ten_issuers(void **state)
{
        (void)state;
        for (size_t n = 0; n <= 11; n++) {
                CLEANUP(json_decref_p)
                json_t *o = doc(AUTHZ("pending",
                        "{\"type\": \"dns-persist-01\", \"url\": \"https://ca/p\", \"status\": \"pending\"}"));
                json_t *list = json_array();
                struct acme_authz a;
                struct err e;
                for (size_t i = 0; i < n; i++)
                        json_array_append_new(list, json_string("ca.example"));
                json_object_set_new(json_array_get(json_object_get(o, "challenges"), 0), "issuer-domain-names", list);
                assert_true(acme_authz_read(o, &a, &e));
                assert_int_equal(a.challenge[0].issuers.count, n <= 10 ? n : 0);
                acme_authz_done(&a);
        }
}

static void an_authorization_is_for_a_name_that_was_ordered(void **state)
{
        static const struct {
                const char *identifier; /* and what follows it */
                bool asked;
        } row[] = { { "{\"type\": \"dns\", \"value\": \"www.example\"}", true },
                { "{\"type\": \"dns\", \"value\": \"WWW.Example\"}", true },
                { "{\"type\": \"dns\", \"value\": \"wild.example\"}, \"wildcard\": true", true },
                { "{\"type\": \"dns\", \"value\": \"*.wild.example\"}", true },
                { "{\"type\": \"ip\", \"value\": \"192.0.2.7\"}", true },
                { "{\"type\": \"ip\", \"value\": \"2001:0DB8:0:0:0:0:0:1\"}", true },
                { "{\"type\": \"dns\", \"value\": \"evil.example\"}", false },
                { "{\"type\": \"dns\", \"value\": \"example\"}", false },
                { "{\"type\": \"dns\", \"value\": \"a.www.example\"}", false },
                { "{\"type\": \"dns\", \"value\": \"www.example\"}, \"wildcard\": true", false },
                { "{\"type\": \"dns\", \"value\": \"wild.example\"}", false },
                { "{\"type\": \"dns\", \"value\": \"192.0.2.7\"}", false },
                { "{\"type\": \"ip\", \"value\": \"www.example\"}", false },
                { "{\"type\": \"ip\", \"value\": \"192.0.2.8\"}", false },
                { "{\"type\": \"ip\", \"value\": \"192.0.2.7\"}, \"wildcard\": true", false } };
        static char *ordered[] = { (char *)(uintptr_t) "www.Example", (char *)(uintptr_t) "*.wild.example",
                (char *)(uintptr_t) "192.0.2.7", (char *)(uintptr_t) "2001:db8::1" };
        const struct acme_note n = { .names = { .item = ordered, .count = ARRAY_LEN(ordered) } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *text = text_format(
                        "{\"status\": \"pending\", \"challenges\": [], \"identifier\": %s}", row[i].identifier);
                CLEANUP(json_decref_p) json_t *o = doc(text);
                struct acme_authz a;
                struct err e;
                assert_true(acme_authz_read(o, &a, &e));
                if (acme_note_is_asked(&n, &a, &e) != row[i].asked)
                        fail_msg("%s", row[i].identifier);
                if (!row[i].asked)
                        assert_int_equal(e.kind, ERR_PROTOCOL);
                acme_authz_done(&a);
        }
}

static void polls_grow_apart_unless_the_ca_says_when(void **state)
{
        struct acme_note n = { .retry_after_s = -1 };
        int64_t last_ms = 0, sum_ms = 0;

        (void)state;
        for (unsigned i = 0; i < 40; i++) {
                int64_t ms = acme_note_poll_ms(&n, 1200, NULL);
                assert_true(ms >= last_ms && ms <= 30000);
                last_ms = ms;
                sum_ms += i < 10 ? ms : 0;
        }
        assert_int_equal(last_ms, 30000);
        assert_true(sum_ms < 3000);
        n.retry_after_s = 7;
        assert_int_equal(acme_note_poll_ms(&n, 1200, NULL), 7000);
}

static void a_far_ca_is_first_polled_after_a_quarter_of_a_second(void **state)
{
        static const struct {
                int64_t quickest_us, want_ms;
        } row[] = { { 0, 6 }, { 900, 6 }, { 5000, 20 }, { 30000, 120 }, { 80000, 250 }, { 3000000, 250 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct acme_note n = { .retry_after_s = -1 };
                assert_int_equal(acme_note_poll_ms(&n, row[i].quickest_us, NULL), row[i].want_ms);
        }
}

static json_t *pending_order(void)
{
        return doc("{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],"
                   "\"authorizations\":[\"https://ca/1\"],\"finalize\":\"https://ca/f\"}");
}

static void taken_done(struct acme_note *n)
{
        acme_order_done(&n->order);
        for (size_t i = 0; i < n->place_count; i++)
                free(n->place[i].url);
        free(n->place);
}

/* After 400 orders of a CA that takes took_us for each; ret_looks: how often the last 100 of them were asked about. */
static int64_t pace_of(int64_t known_us, int64_t took_us, unsigned *ret_looks)
{
        CLEANUP(json_decref_p) json_t *o = pending_order();
        CLEANUP(json_decref_p) json_t *done = json_deep_copy(o);
        struct acme_pace pace = { known_us };
        struct err e;

        assert_int_equal(json_object_set_new(done, "status", json_string("ready")), 0);
        *ret_looks = 0;
        for (unsigned i = 0; i < 400; i++) {
                struct acme_note n = {
                        .url = (char *)"https://ca/o", .retry_after_s = -1, .order.status = ACME_PENDING
                };
                struct acme_answer a = { .json = o, .retry_after_s = -1 };
                for (int64_t at_us = 0; n.order.status == ACME_PENDING; *ret_looks += i >= 300) {
                        at_us += acme_note_poll_ms(&n, 1200, &pace) * 1000;
                        a.json = at_us >= took_us ? done : o;
                        assert_true(acme_note_take(&n, &a, &e));
                }
                taken_done(&n);
        }
        return pace.us;
}

static void what_a_ca_takes_is_learned(void **state)
{
        static const struct {
                int64_t known_us, took_us, least_us, most_us;
        } row[] = { { 0, 1000, 6000, 6000 }, { 0, 20000, 18000, 26000 }, { 300000, 20000, 18000, 26000 },
                { 0, 700000, 650000, 900000 }, { 0, 9000000, 2000000, 2000000 } };
        unsigned looks;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t us = pace_of(row[i].known_us, row[i].took_us, &looks);
                if (us < row[i].least_us || us > row[i].most_us)
                        fail_msg("%lld us for %lld", (long long)us, (long long)row[i].took_us);
                if (row[i].took_us < 1000000 && looks > 125)
                        fail_msg("%u looks at 100 orders of %lld us", looks, (long long)row[i].took_us);
        }
}

static void orders_side_by_side_tell_one_thing(void **state)
{
        static const struct {
                const char *status;
                int64_t want_us;
        } row[] = { { "pending", 25000 }, { "processing", 25000 }, { "ready", 18750 }, { "invalid", 18750 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *o = pending_order();
                const struct acme_answer a = { .json = o, .retry_after_s = -1 };
                struct acme_pace pace = { 20000 };
                struct acme_note n[30];
                struct err e;
                assert_int_equal(json_object_set_new(o, "status", json_string(row[i].status)), 0);
                for (size_t k = 0; k < ARRAY_LEN(n); k++) {
                        n[k] = (struct acme_note){ .url = (char *)"https://ca/o", .retry_after_s = -1 };
                        n[k].order.status = ACME_PENDING;
                        assert_int_equal(acme_note_poll_ms(&n[k], 1200, &pace), 20);
                }
                for (size_t k = 0; k < ARRAY_LEN(n); k++) {
                        assert_true(acme_note_take(&n[k], &a, &e));
                        taken_done(&n[k]);
                }
                if (pace.us != row[i].want_us)
                        fail_msg("%s: %lld us", row[i].status, (long long)pace.us);
        }
}

static void a_pace_is_not_learned_from_what_the_ca_says(void **state)
{
        struct acme_pace pace = { .us = 50000 };
        struct acme_note n = { .retry_after_s = 3, .first = &pace };

        (void)state;
        assert_int_equal(acme_note_poll_ms(&n, 1200, &pace), 3000);
        assert_null(n.first);
        assert_int_equal(pace.us, 50000);
}

static void links_are_found_in_every_legal_form(void **state)
{
        static const struct {
                const char *value;
                size_t count;
                const char *last;
        } row[] = { { "<https://ca/1>;rel=\"alternate\"", 1, "https://ca/1" },
                { "<https://ca/d>; rel=\"index\", <https://ca/2>; title=\"a, <b>; rel=alternate\" ; rel=alternate", 1,
                        "https://ca/2" },
                { "<https://ca/1>;rel=alternate,<https://ca/2>;REL=\"up Alternate\"", 2, "https://ca/2" },
                { "<https://ca/1>;rel=up", 0, NULL }, { "<https://ca/1", 0, NULL }, { "", 0, NULL },
                { ";;,,<>;=", 0, NULL }, { "<a>;rel=\"alternate", 1, "a" }, { "<a>;xrel=alternate", 0, NULL } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct texts t = { 0 };
                assert_true(acme_link_read(row[i].value, "alternate", &t));
                if (t.count != row[i].count)
                        fail_msg("%zu in %s", t.count, row[i].value);
                if (row[i].last)
                        assert_string_equal(t.item[t.count - 1], row[i].last);
                texts_done(&t);
        }
}

static void renewal_windows_are_read_or_no_answer(void **state)
{
        static const char *const bad[] = { "{}", "{\"suggestedWindow\": {\"start\": \"2026-01-02T00:00:00Z\"}}",
                "{\"suggestedWindow\": {\"start\": \"2026-01-02T00:00:00Z\", \"end\": \"2026-01-02T00:00:00Z\"}}",
                "{\"suggestedWindow\": {\"start\": \"2026-01-03T00:00:00Z\", \"end\": \"2026-01-02T00:00:00Z\"}}",
                "{\"suggestedWindow\": {\"start\": \"soon\", \"end\": \"later\"}}", "[]" };
        static const struct {
                int64_t retry_after_s, want_s;
        } row[] = { { -1, 21600 }, { 1, 60 }, { 3600, 3600 }, { 999999, 86400 } };
        struct ca_renewal r;
        struct err e;

        (void)state;
        CLEANUP(json_decref_p)
        json_t *o = doc("{\"suggestedWindow\": {\"start\": \"2026-01-02T04:00:00.25+01:00\", \"end\": "
                        "\"2026-01-03T04:00:00Z\"}, "
                        "\"explanationURL\": \"https://ca.example/why?x=1\"}");
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                assert_true(acme_renewal_read(o, row[i].retry_after_s, &r, &e));
                assert_int_equal(r.look_again_s, row[i].want_s);
        }
        assert_int_equal(r.start_s, 1767322800);
        assert_int_equal(r.end_s, 1767412800);
        assert_string_equal(r.explanation, "https://ca.example/why?x=1");
        static const char *const no_page[] = { "https://ca.example/\x1b[31m", "javascript:alert(1)",
                "http://ca.example/" };
        for (size_t i = 0; i < ARRAY_LEN(no_page); i++) {
                json_object_set_new(o, "explanationURL", json_string(no_page[i]));
                assert_true(acme_renewal_read(o, -1, &r, &e));
                assert_string_equal(r.explanation, "");
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                CLEANUP(json_decref_p) json_t *b = doc(bad[i]);
                if (acme_renewal_read(b, -1, &r, &e))
                        fail_msg("read: %s", bad[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_problem_type_has_its_kind),
                cmocka_unit_test(answers_without_a_type_go_by_their_status),
                cmocka_unit_test(the_algorithms_that_a_server_takes_are_named),
                cmocka_unit_test(the_best_key_is_one_that_the_server_lists),
                cmocka_unit_test(what_a_server_has_not_is_said_whatever_it_calls_it),
                cmocka_unit_test(subproblems_are_all_shown_and_decide_a_compound),
                cmocka_unit_test(a_person_is_sent_to_the_page_that_the_ca_names),
                cmocka_unit_test(a_directory_is_read_with_unknown_members),
                cmocka_unit_test(bad_directories_are_refused),
                cmocka_unit_test(http_to_another_machine_is_refused),
                cmocka_unit_test(origins_are_compared_without_port_and_case),
                cmocka_unit_test(an_authorization_keeps_unknown_challenges),
                cmocka_unit_test(challenges_of_unknown_types_are_not_judged),
                cmocka_unit_test(hostile_authorizations_are_refused),
                cmocka_unit_test(orders_are_read_or_refused),
                cmocka_unit_test(the_challenge_follows_the_validation),
                cmocka_unit_test(a_challenge_has_one_to_ten_issuers),
                cmocka_unit_test(an_authorization_is_for_a_name_that_was_ordered),
                cmocka_unit_test(polls_grow_apart_unless_the_ca_says_when),
                cmocka_unit_test(a_far_ca_is_first_polled_after_a_quarter_of_a_second),
                cmocka_unit_test(what_a_ca_takes_is_learned),
                cmocka_unit_test(orders_side_by_side_tell_one_thing),
                cmocka_unit_test(a_pace_is_not_learned_from_what_the_ca_says),
                cmocka_unit_test(renewal_windows_are_read_or_no_answer),
                cmocka_unit_test(links_are_found_in_every_legal_form),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
