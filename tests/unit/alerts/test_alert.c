/* What each sender says, in the one shape that the rest of the program knows. */
#include "test.h"

#include "headers.h"

#include "agent/alerts/alert.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define HEX "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
#define B64 "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ="
#define NOW INT64_C(1763881200)

static bool read_as(enum alert_format f, const char *const *headers, const char *body, struct alert *a, struct err *e)
{
        struct alert_request r = { .format = f,
                .header = header_of,
                .arg = (void *)headers,
                .body = body,
                .body_len = strlen(body),
                .now_s = NOW };
        *a = (struct alert){ 0 };
        return alert_read(&r, a, e);
}

static const char *const hook[] = { "webhook-id", "msg_1", NULL };
static const char *const none[] = { NULL };
static const char *const scanning[] = { "X-GitHub-Event", "secret_scanning_alert", "X-GitHub-Delivery", "d-1", NULL };

static void a_native_event_names_a_key_in_every_spelling(void **state)
{
        struct alert a;
        struct err e = { 0 };
        (void)state;
        assert_true(read_as(ALERT_STANDARD_WEBHOOKS, hook,
                "{\"type\":\"key.compromised\",\"timestamp\":\"2026-11-23T07:00:00Z\",\"data\":{\"spki_sha256\":"
                "\"sha256//" B64 "\",\"serial\":\"00:87:65:43:21\",\"issuer\":\"CN=Vector "
                "CA\",\"cert_sha1\":\"DAD9DAD148D0A9BDB779C747E35D29"
                "9020A91F1B\",\"domains\":[\"WWW.Example.com.\",\"*.example.com\"],\"reported_at\":\"2026-11-23T06:00:"
                "00Z\","
                "\"text\":\"found\\u001b[31m\",\"link\":\"javascript:alert(1)\"}}",
                &a, &e));
        assert_int_equal(a.kind, ALERT_KEYS);
        assert_int_equal(a.count, 1);
        assert_string_equal(a.item[0].spki_hex, HEX);
        assert_string_equal(a.item[0].serial_hex, "87654321");
        assert_string_equal(a.item[0].issuer, "CN=Vector CA");
        assert_string_equal(a.item[0].cert_sha1, "dad9dad148d0a9bdb779c747e35d299020a91f1b");
        assert_string_equal(a.item[0].domains.item[0], "www.example.com");
        assert_string_equal(a.item[0].domains.item[1], "*.example.com");
        assert_int_equal(a.item[0].reported_s, 1795413600);
        assert_null(strchr(a.item[0].text, '\033'));
        assert_null(a.item[0].link);
        assert_string_equal(a.seen.key, "id msg_1");
        assert_true(a.seen.expires_s >= NOW + 600);
        alert_done(&a);
}

static void a_renewal_id_and_a_proof_are_taken(void **state)
{
        struct alert a;
        struct err e = { 0 };
        (void)state;
        assert_true(read_as(ALERT_GENERIC, none,
                "{\"cert_id\":\"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE\",\"proof\":{\"format\":\"jws\",\"content\":\"a.b."
                "c\"}}",
                &a, &e));
        assert_string_equal(a.item[0].aki_hex, "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        assert_string_equal(a.item[0].serial_hex, "87654321");
        assert_string_equal(a.item[0].evidence, "a.b.c");
        assert_true(text_starts(a.seen.key, "body "));
        alert_done(&a);
}

static void malformed_events_are_named_by_their_member(void **state)
{
#define DATA(text) "{\"type\":\"key.compromised\",\"data\":{" text "}}"
        static const struct {
                const char *body, *code, *names;
        } row[] = {
                { "", "alert.json", "" },
                { "[]", "alert.json", "" },
                { "{\"type\":\"key.compromised\"", "alert.json", "" },
                { "{\"type\":\"a\",\"type\":\"key.compromised\"}", "alert.json", "" },
                { "{\"type\":\"\xff\"}", "alert.json", "" },
                { "{\"data\":{}}", "alert.member", "type" },
                { "{\"type\":\"key.compromised\"}", "alert.member", "data" },
                { DATA(""), "alert.member", "spki_sha256" },
                { DATA("\"spki_sha256\":\"00\""), "alert.member", "spki_sha256" },
                { DATA("\"spki_sha256\":1"), "alert.member", "spki_sha256" },
                { DATA("\"cert_id\":\"aa\""), "alert.member", "cert_id" },
                { DATA("\"domains\":\"a.example\""), "alert.member", "domains" },
                { DATA("\"domains\":[\"a b\"]"), "alert.member", "domains[0]" },
                { DATA("\"proof\":7"), "alert.member", "proof" },
                { DATA("\"spki_sha256\":\"" HEX "\",\"reported_at\":\"yesterday\""), "alert.member", "reported_at" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct alert a;
                struct err e = { 0 };
                assert_false(read_as(ALERT_STANDARD_WEBHOOKS, hook, row[i].body, &a, &e));
                if (strcmp(e.code, row[i].code) != 0 || !strstr(e.text, row[i].names) || e.kind != ERR_PROTOCOL)
                        fail_msg("row %zu: %s: %s", i, e.code, e.text);
        }
        char deep[128];
        memset(deep, '[', sizeof deep);
        deep[127] = '\0';
        struct alert a;
        struct err e = { 0 };
        assert_false(read_as(ALERT_GENERIC, none, deep, &a, &e));
}

static void events_that_report_no_key_are_answered_and_named(void **state)
{
        static const char *const ping[] = { "X-GitHub-Event", "ping", NULL };
        static const char *const push[] = { "X-GitHub-Event", "push\r\nx", NULL };
        static const struct {
                enum alert_format format;
                const char *const *headers;
                const char *body;
                enum alert_kind kind;
                const char *why;
        } row[] = {
                { ALERT_STANDARD_WEBHOOKS, hook, "{\"type\":\"ping\"}", ALERT_PING, "" },
                { ALERT_STANDARD_WEBHOOKS, hook, "{\"type\":\"user.created\",\"data\":{}}", ALERT_NOTHING,
                        "user.created" },
                { ALERT_GITHUB, ping, "{\"zen\":\"x\"}", ALERT_PING, "" },
                { ALERT_GITHUB, push, "{}", ALERT_NOTHING, "push\\x0d" },
                { ALERT_GITHUB, scanning, "{\"action\":\"resolved\",\"alert\":{}}", ALERT_NOTHING, "resolved" },
                { ALERT_GITHUB, scanning, "{\"action\":\"created\",\"alert\":{\"secret_type\":\"aws_key\"}}",
                        ALERT_NOTHING, "aws_key" },
                { ALERT_GITGUARDIAN, none, "{\"action\":\"incident_resolved\"}", ALERT_NOTHING, "incident_resolved" },
                { ALERT_GITGUARDIAN, none,
                        "{\"action\":\"incident_triggered\",\"incident\":{\"detector\":{\"name\":\"aws_iam\"}}}",
                        ALERT_NOTHING, "aws_iam" },
                { ALERT_ALERTMANAGER, none,
                        "{\"version\":\"4\",\"alerts\":[{\"status\":\"resolved\",\"labels\":{\"spki_sha256\":\"" HEX
                        "\"}},"
                        "{\"status\":\"firing\",\"labels\":{\"alertname\":\"Other\"}}]}",
                        ALERT_NOTHING, "no firing alert" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct alert a;
                struct err e = { 0 };
                if (!read_as(row[i].format, row[i].headers, row[i].body, &a, &e))
                        fail_msg("row %zu: %s", i, e.text);
                bool unmapped = row[i].format == ALERT_ALERTMANAGER; /* told, not only answered */
                if (a.kind != row[i].kind || !strstr(a.why, row[i].why) || a.count != 0 || a.unmapped != unmapped)
                        fail_msg("row %zu: %s", i, a.why);
                alert_done(&a);
        }
}

#define GITHUB_BODY                                                                                                    \
        "{\"action\":\"created\",\"alert\":{\"number\":42,\"created_at\":\"2026-11-23T07:00:00Z\",\"updated_at\":"     \
        "\"2026-11-23T07:00:01Z\",\"url\":\"https://api.github.com/repos/o/r/secret-scanning/alerts/"                  \
        "42\",\"html_url\":"                                                                                           \
        "\"https://github.com/o/r/security/secret-scanning/42\",\"secret_type\":\"rsa_private_key\"},\"repository\":{" \
        "\"id\":7,\"full_name\":\"o/r\"}}"

static void check_github(const struct alert *a)
{
        assert_int_equal(a->count, 1);
        const struct alert_item *i = &a->item[0];
        assert_false(alert_item_says_something(i));
        assert_string_equal(i->fetch_url, "https://api.github.com/repos/o/r/secret-scanning/alerts/42");
        assert_string_equal(i->link, "https://github.com/o/r/security/secret-scanning/42");
        assert_non_null(strstr(i->text, "alert 42 in o/r"));
        assert_int_equal(i->seen_count, 3);
        assert_string_equal(i->seen[0].key, "delivery d-1");
        assert_true(text_starts(i->seen[1].key, "body "));
        assert_string_equal(i->seen[2].key, "alert 7 42 created 2026-11-23T07:00:01Z");
        assert_int_equal(i->seen[2].expires_s, NOW + 30 * 86400);
}

static void github_alerts_come_as_json_or_as_a_form(void **state)
{
        static const char *const form[] = { "X-GitHub-Event", "secret_scanning_alert", "X-GitHub-Delivery", "d-1",
                "Content-Type", "application/x-www-form-urlencoded", NULL };
        static const char digits[] = "0123456789ABCDEF";
        struct alert a;
        struct err e = { 0 };
        struct buf b = { 0 };
        (void)state;
        assert_true(read_as(ALERT_GITHUB, scanning, GITHUB_BODY, &a, &e));
        check_github(&a);
        alert_done(&a);
        buf_add(&b, "x=1&payload=");
        for (const char *p = GITHUB_BODY; *p; p++) {
                const char one[] = { '%', digits[(unsigned char)*p >> 4], digits[*p & 15], '\0' };
                buf_add(&b, one);
        }
        assert_true(read_as(ALERT_GITHUB, form, b.data, &a, &e));
        check_github(&a);
        alert_done(&a);
        buf_done(&b);
        assert_false(read_as(ALERT_GITHUB, form, "other=1", &a, &e));
        assert_string_equal(e.code, "alert.member");
        assert_false(read_as(ALERT_GITHUB, form, "payload=%7", &a, &e));
        assert_false(read_as(ALERT_GITHUB, none, GITHUB_BODY, &a, &e));
        assert_non_null(strstr(e.text, "X-GitHub-Event"));
}

static void gitguardian_incidents_are_hints(void **state)
{
        static const char *const time[] = { "Timestamp", "1763881200", NULL };
        struct alert a;
        struct err e = { 0 };
        (void)state;
        assert_true(read_as(ALERT_GITGUARDIAN, time,
                "{\"source\":\"GitGuardian\",\"action\":\"incident_triggered\",\"incident\":{\"id\":9,\"detector\":{"
                "\"name\":"
                "\"generic_private_key\",\"display_name\":\"Private key\"},\"gitguardian_url\":\"https://dash/9\"}}",
                &a, &e));
        assert_int_equal(a.count, 1);
        assert_false(alert_item_is_exact(&a.item[0]));
        assert_string_equal(a.item[0].text, "GitGuardian incident 9: Private key");
        assert_string_equal(a.item[0].seen[0].key, "incident 9 incident_triggered 1763881200");
        alert_done(&a);
}

static void alertmanager_labels_are_mapped(void **state)
{
        struct texts ours = { 0 }, theirs = { 0 };
        struct alert a = { 0 };
        struct err e = { 0 };
        static const char body[] =
                "{\"version\":\"4\",\"status\":\"firing\",\"truncatedAlerts\":3,\"alerts\":["
                "{\"status\":\"firing\",\"labels\":{\"alertname\":\"KeyLeak\",\"pin\":\"" B64
                "\"},\"annotations\":{\"summary\":\"leaked\",\"domain\":\"a.example\"},\"startsAt\":\"2026-11-23T07:00:"
                "00Z\","
                "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://prom/graph\",\"fingerprint\":\"f00\"},"
                "{\"status\":\"firing\",\"labels\":{\"domain\":\"b.example\"},\"fingerprint\":\"f01\"}]}";
        struct alert_request r = { .format = ALERT_ALERTMANAGER,
                .header = header_of,
                .arg = (void *)none,
                .body = body,
                .body_len = sizeof body - 1,
                .now_s = NOW,
                .label_ours = &ours,
                .label_theirs = &theirs };
        (void)state;
        assert_true(texts_add(&ours, "spki_sha256") && texts_add(&theirs, "pin"));
        if (!alert_read(&r, &a, &e))
                fail_msg("%s", e.text);
        assert_int_equal(a.count, 2);
        assert_true(a.truncated);
        assert_string_equal(a.item[0].spki_hex, HEX);
        assert_string_equal(a.item[0].domains.item[0], "a.example");
        assert_string_equal(a.item[0].text, "KeyLeak: leaked");
        assert_string_equal(a.item[0].seen[0].key, "alert f00 2026-11-23T07:00:00Z firing");
        assert_true(alert_item_is_exact(&a.item[0]));
        assert_false(alert_item_is_exact(&a.item[1]));
        alert_done(&a);
        texts_done(&ours);
        texts_done(&theirs);
}

static void alertmanager_wants_version_four(void **state)
{
        static const char *const bad[] = { "{}", "{\"version\":4,\"alerts\":[]}", "{\"version\":\"3\",\"alerts\":[]}",
                "{\"version\":\"4\"}",
                "{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"spki_sha256\":\"x\"}}]}" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct alert a;
                struct err e = { 0 };
                if (read_as(ALERT_ALERTMANAGER, none, bad[i], &a, &e) || strcmp(e.code, "alert.member") != 0)
                        fail_msg("row %zu: %s", i, e.code);
        }
}

static void more_alerts_than_fit_are_refused(void **state)
{
        struct buf b = { 0 };
        struct alert a;
        struct err e = { 0 };
        (void)state;
        buf_add(&b, "{\"version\":\"4\",\"alerts\":[");
        for (int i = 0; i <= ALERT_ITEMS_MAX; i++)
                buf_addf(&b, "%s{\"status\":\"firing\",\"labels\":{\"domain\":\"a%d.example\"}}", i ? "," : "", i);
        buf_add(&b, "]}");
        assert_false(read_as(ALERT_ALERTMANAGER, none, b.data, &a, &e));
        assert_int_equal(e.kind, ERR_PROTOCOL);
        buf_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_native_event_names_a_key_in_every_spelling),
                cmocka_unit_test(a_renewal_id_and_a_proof_are_taken),
                cmocka_unit_test(malformed_events_are_named_by_their_member),
                cmocka_unit_test(events_that_report_no_key_are_answered_and_named),
                cmocka_unit_test(github_alerts_come_as_json_or_as_a_form),
                cmocka_unit_test(gitguardian_incidents_are_hints),
                cmocka_unit_test(alertmanager_labels_are_mapped),
                cmocka_unit_test(alertmanager_wants_version_four),
                cmocka_unit_test(more_alerts_than_fit_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
