/* Signatures: the vectors of specs/alerts.md section 2a, and everything beside them that must not pass. */
#include "test.h"

#include "headers.h"

#include "agent/alerts/signature.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"

#define B "{\"type\":\"key.compromised\",\"timestamp\":\"2026-11-23T07:00:00Z\",\"data\":{\"spki_sha256\":\"00\"}}"
#define T0 INT64_C(1763881200)
#define GITHUB_SECRET "0123456789abcdef0123456789abcdef"
#define GITHUB_HEX "e7931268ab3dc2d516478dfebd30f2d92b49e80e904dc826639d63c6d1cdb2af"
#define WHSEC "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define WHPK "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
#define SIG_V1 "v1,m3OcIBjwyt6liZ5zuLdIYHUUnJLdrwJAuNbDeaiIx60="
#define SIG_V1A "v1a,rPcy+qU0I7jrhvgtepTbOjwGzeYMBC9PYr6po+tBkkVzzmZAKp5SNgvcvPj9JvbVIZY8d4pDRrS3e8RkZ9nwDQ=="

struct
try {
        enum alert_format format;
        const char *secret, *body;
        const char *headers[12];
        int64_t now_s;
        const char *generic;
};

static bool passes(const struct try *t)
{
        struct secret s = { 0 };
        struct signed_request r = { header_of, (void *)t->headers, t->body, strlen(t->body), t->now_s, false };
        if (t->secret[0])
                assert_true(secret_set(&s, t->secret, strlen(t->secret), NULL));
        bool good = signature_is_good(t->format, t->generic, &s, 1, &r);
        secret_done(&s);
        return good;
}

static void published_and_computed_vectors_pass(void **state)
{
        static const struct try row[] = {
                { ALERT_GITHUB, "It's a Secret to Everybody", "Hello, World!",
                        { "X-Hub-Signature-256",
                                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", NULL },
                        T0, NULL },
                { ALERT_GITHUB, "It's a Secret to Everybody", "",
                        { "X-Hub-Signature-256",
                                "sha256=66a0c074deaa0f489ead6537e0d32f9a344b90bbeda705b6ed45ecd3b413fb40", NULL },
                        T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, { "x-hub-signature-256", "sha256=" GITHUB_HEX, NULL }, T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "{\"test\": 2432232314}",
                        { "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330",
                                "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", NULL },
                        1614265330, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-timestamp", "1763881200", "webhook-signature",
                                SIG_V1, NULL },
                        T0 + 300, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHPK, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-timestamp", "1763881200", "webhook-signature",
                                SIG_V1A, NULL },
                        T0 - 300, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-timestamp", "1763881200", "webhook-signature",
                                "v2,zzz v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= " SIG_V1A " " SIG_V1, NULL },
                        T0, NULL },
                { ALERT_GITGUARDIAN, "gg-token", B,
                        { "Timestamp", "1763881200", "Gitguardian-Signature",
                                "sha256=fff83cdf2ea41871f5d1b33f0ffb6ef2c7221070f317d81696485e87c8c4d9eb", NULL },
                        T0 + 60, NULL },
                { ALERT_ALERTMANAGER, "a-long-token", "{}", { "Authorization", "Bearer a-long-token", NULL }, T0,
                        NULL },
                /* the value counts, not how its digits are written */
                { ALERT_GITHUB, GITHUB_SECRET, B,
                        { "X-Hub-Signature-256",
                                "sha256=E7931268AB3DC2D516478DFEBD30F2D92B49E80E904DC826639D63C6D1CDB2AF", NULL },
                        T0, NULL },
                { ALERT_GENERIC, GITHUB_SECRET, B, { "X-Signature", GITHUB_HEX, NULL }, T0, NULL },
                { ALERT_GENERIC, GITHUB_SECRET, B, { "X-Gitea-Signature", GITHUB_HEX, NULL }, T0, "X-Gitea-Signature" },
                { ALERT_GENERIC, GITHUB_SECRET, B, { "X-Signature", "sha256=" GITHUB_HEX, NULL }, T0, NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (!passes(&row[i]))
                        fail_msg("row %zu was refused", i);
}

static void nothing_beside_the_vectors_passes(void **state)
{
#define HUB(value)                                                                                                     \
        {                                                                                                              \
                "X-Hub-Signature-256", value, NULL                                                                     \
        }
#define HOOK(id, time, sig)                                                                                            \
        {                                                                                                              \
                "webhook-id", id, "webhook-timestamp", time, "webhook-signature", sig, NULL                            \
        }
        static const struct try row[] = {
                { ALERT_GITHUB, GITHUB_SECRET, B "\n", HUB("sha256=" GITHUB_HEX), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET,
                        "{\"type\": "
                        "\"key.compromised\",\"timestamp\":\"2026-11-23T07:00:00Z\",\"data\":{\"spki_sha256\":"
                        "\"00\"}}",
                        HUB("sha256=" GITHUB_HEX), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB("sha1=" GITHUB_HEX), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB(GITHUB_HEX), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB("sha256=" GITHUB_HEX "0"), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB("sha256=" GITHUB_HEX "00"), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B,
                        HUB("sha256=e7931268ab3dc2d516478dfebd30f2d92b49e80e904dc826639d63c6d1cdb2a"), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B,
                        HUB("sha256=e7931268ab3dc2d516478dfebd30f2d92b49e80e904dc826639d63c6d1cdb2"), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB("sha256="), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, HUB(""), T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, { NULL }, T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B, { "X-Hub-Signature", "sha256=" GITHUB_HEX, NULL }, T0, NULL },
                { ALERT_GITHUB, GITHUB_SECRET, B,
                        { "X-Hub-Signature-256", "sha256=" GITHUB_HEX, "X-Hub-Signature-256", "sha256=" GITHUB_HEX,
                                NULL },
                        T0, NULL },
                { ALERT_GITHUB, "0123456789abcdef0123456789abcdee", B, HUB("sha256=" GITHUB_HEX), T0, NULL },
                /* the MAC of B under an empty key */
                { ALERT_GITHUB, "", B, HUB("sha256=60446a0ed6e070f41a62c103ebe09af659a64ae305f112b56c84e593b53aec8e"),
                        T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B "\n", HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC,
                        "{\"type\": "
                        "\"key.compromised\",\"timestamp\":\"2026-11-23T07:00:00Z\",\"data\":{\"spki_sha256\":"
                        "\"00\"}}",
                        HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHPK, B "\n", HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1A), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHPK, B, HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1A), T0 + 301, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_02TESTVECTOR", "1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881201", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1), T0 + 301, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1), T0 - 301, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "+1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "-1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", " 1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881200.0", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "17638812000000000000", SIG_V1), T0,
                        NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("", "1763881200", SIG_V1), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881200", ""), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B, HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1A), T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHPK, B, HOOK("msg_01TESTVECTOR", "1763881200", SIG_V1), T0, NULL },
                /* a v1 value called v1a, and the other way round */
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        HOOK("msg_01TESTVECTOR", "1763881200", "v1a,m3OcIBjwyt6liZ5zuLdIYHUUnJLdrwJAuNbDeaiIx60="), T0,
                        NULL },
                { ALERT_STANDARD_WEBHOOKS, WHPK, B,
                        HOOK("msg_01TESTVECTOR", "1763881200", "v1a,m3OcIBjwyt6liZ5zuLdIYHUUnJLdrwJAuNbDeaiIx60="), T0,
                        NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-timestamp", "1763881200", NULL }, T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-signature", SIG_V1, NULL }, T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-timestamp", "1763881200", "webhook-signature", SIG_V1, NULL }, T0, NULL },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, B,
                        { "webhook-id", "msg_01TESTVECTOR", "webhook-timestamp", "1763881200", "webhook-timestamp",
                                "1763881200", "webhook-signature", SIG_V1, NULL },
                        T0, NULL },
                { ALERT_GITGUARDIAN, "gg-token", B,
                        { "Timestamp", "1763881200", "Gitguardian-Signature",
                                "sha256=fff83cdf2ea41871f5d1b33f0ffb6ef2c7221070f317d81696485e87c8c4d9eb", NULL },
                        T0 + 61, NULL },
                { ALERT_GITGUARDIAN, "gg-token", B,
                        { "Timestamp", "1763881201", "Gitguardian-Signature",
                                "sha256=fff83cdf2ea41871f5d1b33f0ffb6ef2c7221070f317d81696485e87c8c4d9eb", NULL },
                        T0, NULL },
                { ALERT_ALERTMANAGER, "a-long-token", "{}", { "Authorization", "Bearer a-long-toke", NULL }, T0, NULL },
                { ALERT_ALERTMANAGER, "a-long-token", "{}", { "Authorization", "a-long-token", NULL }, T0, NULL },
                { ALERT_ALERTMANAGER, "a-long-token", "{}", { "Authorization", "Bearer ", NULL }, T0, NULL },
                { ALERT_ALERTMANAGER, "", "{}", { "Authorization", "Bearer ", NULL }, T0, NULL },
                { ALERT_ALERTMANAGER, "a-long-token", "{}", { NULL }, T0, NULL },
                { ALERT_GENERIC, GITHUB_SECRET, B, { "X-Other", GITHUB_HEX, NULL }, T0, NULL },
                /* token before the body under a plain hash: can be made longer by anybody */
                { ALERT_GENERIC, "mySecretToken", B,
                        { "X-Signature", "dc874a0f88558695a3f3d1d851e3884cb50593499d188f4c5fb7c6ece724f4dc", NULL }, T0,
                        NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (passes(&row[i]))
                        fail_msg("row %zu passed", i);
}

static void an_id_with_a_dot_shifts_no_field(void **state)
{
        /* Signed for id "a" at time T0 over body "1763881200.x": the same bytes as id "a.1763881200", body "x". */
        const struct signature_test t = { .id = "a", .now_s = T0 };
        struct texts headers = { 0 };
        struct secret s = { 0 };
        (void)state;
        assert_true(secret_set(&s, WHSEC, strlen(WHSEC), NULL));
        assert_true(signature_make(ALERT_STANDARD_WEBHOOKS, &s, &t, "1763881200.x", 12, &headers, NULL));
        const char *sig = headers.item[2] + strlen("webhook-signature: ");
        struct try honest = { ALERT_STANDARD_WEBHOOKS, WHSEC, "1763881200.x", HOOK("a", "1763881200", sig), T0, NULL };
        struct try shifted = { ALERT_STANDARD_WEBHOOKS, WHSEC, "x", HOOK("a.1763881200", "1763881200", sig), T0, NULL };
        assert_true(passes(&honest));
        assert_false(passes(&shifted));
        texts_done(&headers);
        secret_done(&s);
}

/* A host that does not know the time still knows its senders, and reads their stamps. */
static void without_a_clock_the_signature_decides(void **state)
{
        static const struct {
                const char *time, *sig;
                bool good;
        } row[] = {
                { "1763881200", SIG_V1, true },
                { "1763881201", SIG_V1, false },
                { "+1763881200", SIG_V1, false },
                { "1763881200", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false },
        };
        struct secret s = { 0 };
        (void)state;
        assert_true(secret_set(&s, WHSEC, strlen(WHSEC), NULL));
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                const char *headers[] = HOOK("msg_01TESTVECTOR", row[i].time, row[i].sig);
                struct signed_request r = { header_of, headers, B, strlen(B), T0 - 86400, true };
                assert_int_equal(signature_is_good(ALERT_STANDARD_WEBHOOKS, NULL, &s, 1, &r), row[i].good);
                r.any_time = false;
                assert_false(signature_is_good(ALERT_STANDARD_WEBHOOKS, NULL, &s, 1, &r));
        }
        secret_done(&s);
}

static void any_of_several_secrets_may_match(void **state)
{
        const char *headers[] = { "X-Hub-Signature-256", "sha256=" GITHUB_HEX, NULL };
        struct secret s[3] = { 0 };
        struct signed_request r = { header_of, headers, B, strlen(B), T0, false };
        (void)state;
        assert_true(secret_set(&s[0], "an old secret", 13, NULL));
        assert_true(secret_set(&s[1], GITHUB_SECRET, 32, NULL));
        assert_true(secret_set(&s[2], "a newer secret", 14, NULL));
        assert_true(signature_is_good(ALERT_GITHUB, NULL, s, 3, &r));
        assert_false(signature_is_good(ALERT_GITHUB, NULL, s, 1, &r));
        assert_false(signature_is_good(ALERT_GITHUB, NULL, s, 0, &r));
        for (size_t i = 0; i < 3; i++)
                secret_done(&s[i]);
}

static void secrets_that_protect_nothing_are_refused(void **state)
{
        static const struct {
                enum alert_format format;
                const char *secret;
                bool good;
        } row[] = {
                { ALERT_GITHUB, "", false },
                { ALERT_GITHUB, "short", false },
                { ALERT_GITHUB, GITHUB_SECRET, true },
                { ALERT_STANDARD_WEBHOOKS, "", false },
                { ALERT_STANDARD_WEBHOOKS, "whsec_", false },
                { ALERT_STANDARD_WEBHOOKS, "whpk_", false },
                { ALERT_STANDARD_WEBHOOKS, "whsec_AAECAwQF", false },
                { ALERT_STANDARD_WEBHOOKS, "not base64 at all", false },
                { ALERT_STANDARD_WEBHOOKS, WHSEC, true },
                { ALERT_STANDARD_WEBHOOKS, WHPK, true },
                { ALERT_STANDARD_WEBHOOKS, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true },
                { ALERT_ALERTMANAGER, "", false },
                { ALERT_GENERIC, "1234567", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct secret s = { 0 };
                struct err e = { 0 };
                if (row[i].secret[0])
                        assert_true(secret_set(&s, row[i].secret, strlen(row[i].secret), NULL));
                if (signature_secret_check(row[i].format, &s, &e) != row[i].good)
                        fail_msg("row %zu: %s", i, e.text);
                if (!row[i].good) {
                        assert_int_equal(e.kind, ERR_CONFIG);
                        assert_true(!row[i].secret[0] || !strstr(e.text, row[i].secret) || strlen(row[i].secret) < 7);
                }
                secret_done(&s);
        }
}

static void what_is_made_for_a_test_passes(void **state)
{
        static const struct {
                enum alert_format format;
                const char *secret;
        } row[] = { { ALERT_STANDARD_WEBHOOKS, WHSEC }, { ALERT_GITHUB, GITHUB_SECRET },
                { ALERT_GITGUARDIAN, "gg-token" }, { ALERT_ALERTMANAGER, "a-long-token" },
                { ALERT_GENERIC, GITHUB_SECRET } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct secret s = { 0 };
                struct texts lines = { 0 };
                const char *headers[16] = { NULL };
                const struct signature_test t = { .id = "msg_1", .event = "ping", .now_s = T0 };
                assert_true(secret_set(&s, row[i].secret, strlen(row[i].secret), NULL));
                assert_true(signature_make(row[i].format, &s, &t, B, strlen(B), &lines, NULL));
                for (size_t k = 0; k < lines.count; k++) {
                        char *colon = strstr(lines.item[k], ": ");
                        *colon = '\0';
                        headers[2 * k] = lines.item[k];
                        headers[2 * k + 1] = colon + 2;
                }
                struct signed_request r = { header_of, headers, B, strlen(B), T0, false };
                if (!signature_is_good(row[i].format, NULL, &s, 1, &r))
                        fail_msg("row %zu", i);
                r.body_len--;
                assert_true(!signature_is_good(row[i].format, NULL, &s, 1, &r) || row[i].format == ALERT_ALERTMANAGER);
                texts_done(&lines);
                secret_done(&s);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(published_and_computed_vectors_pass),
                cmocka_unit_test(nothing_beside_the_vectors_passes),
                cmocka_unit_test(an_id_with_a_dot_shifts_no_field),
                cmocka_unit_test(without_a_clock_the_signature_decides),
                cmocka_unit_test(any_of_several_secrets_may_match),
                cmocka_unit_test(secrets_that_protect_nothing_are_refused),
                cmocka_unit_test(what_is_made_for_a_test_passes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
