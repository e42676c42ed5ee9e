#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/tencent/view.h"
#include "cert_text.h"

#define NOW 1767200000
#define INSERTED "'InsertTime':'2026-01-01 00:00:00'" /* 1767196800: 3200 s before NOW */
#define DV "'DvAuthDetail':{'DvAuths':[{'DvAuthKey':'_a.example.com','DvAuthValue':'v','DvAuthVerifyType':'TXT'}]}"

enum want { READY = 1, DCV = 2, PERSON = 4, OURS = 8, PROOFS = 16, CHECK = 32 };

static struct tc_view_input input_of(const struct tc_cert *c)
{
        return (struct tc_view_input){
                .order = c, .now_s = NOW, .old_fingerprint = "", .told_age_s = -1, .console = "https://console.example"
        };
}

static unsigned seen_in(const struct ca_view *v)
{
        return (v->ready ? READY : 0u) | (v->validation_wanted ? DCV : 0u) | (v->person_wanted ? PERSON : 0u) |
                (v->person_is_ours ? OURS : 0u) | (v->proof_count ? PROOFS : 0u);
}

/* Every status with every message, with and without open proofs. dcv: what 0, 4, 11 and unknown numbers come to. */
static void every_status_with_every_message(void **state)
{
        (void)state;
        static const struct {
                const char *msg;
                unsigned open, bare; /* pending: with proofs, without */
        } messages[] = {
                { "null", DCV | PROOFS | CHECK, PERSON },
                { "''", DCV | PROOFS | CHECK, PERSON },
                { "'PENDING-DCV'", DCV | PROOFS, DCV },
                { "'CA-REVIEWING'", DCV | PROOFS | CHECK, PERSON },
                { "'PRE-REVIEWING'", DCV | PROOFS | PERSON | CHECK, PERSON },
                { "'LEGAL-REVIEWING'", DCV | PROOFS | PERSON | CHECK, PERSON },
                { "'WAIT-ISSUE'", PROOFS, 0 },
                { "'something new'", DCV | PROOFS | CHECK, PERSON },
        };
        static const struct {
                int status;
                bool pending;
                unsigned want;
                enum ca_end end;
        } statuses[] = {
                { 0, true, 0, 0 },
                { 1, false, READY, 0 },
                { 2, false, 0, CA_END_FAILED },
                { 3, false, 0, CA_END_CLOSED },
                { 4, true, 0, 0 },
                { 5, false, PERSON | OURS, 0 },
                { 6, false, 0, CA_END_CANCELLED },
                { 7, false, 0, CA_END_CANCELLED },
                { 8, false, PERSON | OURS, 0 },
                { 9, false, 0, CA_END_REVOKED },
                { 10, false, 0, CA_END_REVOKED },
                { 11, true, 0, 0 },
                { 12, false, PERSON | OURS, 0 },
                { 13, false, PERSON | OURS, 0 },
                { 14, false, 0, CA_END_CLOSED },
                { 15, false, PERSON, 0 },
                { 16, true, 0, 0 },
                { 99, true, 0, 0 },
        };
        for (size_t s = 0; s < ARRAY_LEN(statuses); s++)
                for (size_t m = 0; m < ARRAY_LEN(messages); m++)
                        for (int open = 0; open < 2; open++) {
                                char text[600];
                                struct ca_view v;
                                struct err e;
                                snprintf(text, sizeof text,
                                        "{'CertificateId':'N','Domain':'example.com','Status':%d,'StatusMsg':%"
                                        "s," INSERTED "%s}",
                                        statuses[s].status, messages[m].msg, open ? "," DV : "");
                                struct tc_cert c = cert_of(text);
                                struct tc_view_input in = input_of(&c);
                                unsigned want = statuses[s].pending ? (open ? messages[m].open : messages[m].bare)
                                                                    : statuses[s].want;
                                if (!statuses[s].pending && !statuses[s].end && !(want & READY) && open)
                                        want |= PROOFS;
                                assert_true(tc_view_make(&in, &v, &e));
                                unsigned seen = seen_in(&v) | (tc_view_needs_check(&in) ? CHECK : 0u);
                                if (seen != want || v.end != statuses[s].end)
                                        fail_msg("%s: seen %u want %u end %d", text, seen, want, v.end);
                                assert_true(v.end == CA_END_NONE || v.end_reason[0]);
                                assert_true(v.poll_after_ms >= 2000 && v.poll_after_ms <= 600000);
                                assert_non_null(strstr(v.state, "status "));
                                ca_view_done(&v);
                                tc_cert_done(&c);
                        }
}

static struct ca_view view_of(const char *text, void (*change)(struct tc_view_input *))
{
        struct tc_cert c = cert_of(text);
        struct tc_view_input in = input_of(&c);
        struct ca_view v;
        struct err e;

        if (change)
                change(&in);
        assert_true(tc_view_make(&in, &v, &e));
        tc_cert_done(&c);
        return v;
}

static void the_company_is_told_what_where_and_by_when(void **state)
{
        (void)state;
        struct ca_view v = view_of("{'CertificateId':'a1B2','Status':8," INSERTED "}", NULL);

        assert_string_equal(v.party, "your company");
        assert_string_equal(v.act, "Tencent wants the confirmation letter");
        assert_string_equal(v.state, "status 8");
        assert_string_equal(v.place, "https://console.example/ssl/detail/a1B2");
        assert_int_equal(v.since_s, 1767196800);
        assert_int_equal(v.deadline_s, 1767196800 + 3 * 86400);
        ca_view_done(&v);
        v = view_of("{'CertificateId':'a1B2','Status':0,'StatusMsg':'LEGAL-REVIEWING'," INSERTED "}", NULL);
        assert_string_equal(v.party, "the CA's reviewers");
        assert_string_equal(v.act, "");
        assert_int_equal(v.since_s, 1767196800);
        assert_string_equal(v.state, "status 0, LEGAL-REVIEWING");
        ca_view_done(&v);
}

static void the_deadline_is_the_one_given_else_three_days(void **state)
{
        (void)state;
        struct ca_view v = view_of(
                "{'CertificateId':'N','Domain':'example.com','Status':0,'StatusMsg':'PENDING-DCV'," INSERTED "," DV "}",
                NULL);

        assert_int_equal(v.deadline_s, 1767196800 + 3 * 86400);
        ca_view_done(&v);
        v = view_of("{'CertificateId':'N','Domain':'example.com','Status':0,'StatusMsg':'PENDING-DCV'," INSERTED
                    ",'DVAuthDeadline':'2026-01-08 00:00:00'," DV "}",
                NULL);
        assert_int_equal(v.deadline_s, 1767196800 + 7 * 86400);
        ca_view_done(&v);
        v = view_of("{'CertificateId':'N','Domain':'example.com','Status':0,'StatusMsg':'PENDING-DCV'}", NULL);
        assert_int_equal(v.deadline_s, 0);
        ca_view_done(&v);
}

static void validated_by_check(struct tc_view_input *in)
{
        in->validated = TC_YES;
}

static void after_the_validation_proofs_stay_but_are_not_waited_for(void **state)
{
        (void)state;
        struct ca_view v =
                view_of("{'CertificateId':'N','Domain':'example.com','Status':11,'StatusMsg':'CA-REVIEWING'," INSERTED
                        "," DV "}",
                        validated_by_check);

        assert_int_equal(seen_in(&v), PERSON | PROOFS);
        ca_view_done(&v);
        v = view_of("{'CertificateId':'N','Domain':'example.com','Status':0,'StatusMsg':'PENDING-DCV'," INSERTED
                    ",'ValidationPassedTime':'2026-01-01 00:10:00'," DV "}",
                NULL);
        assert_int_equal(seen_in(&v), PROOFS);
        assert_int_equal(v.since_s, 1767197400);
        ca_view_done(&v);
}

static void told_just_now(struct tc_view_input *in)
{
        in->told_age_s = 3;
}

static void told_long_ago(struct tc_view_input *in)
{
        in->told_age_s = 7200;
}

static void long_ago(struct tc_view_input *in)
{
        in->now_s = NOW + 30 * 86400;
}

static void looks_grow_rarer_and_never_stop(void **state)
{
        (void)state;
        const char *dcv =
                "{'CertificateId':'N','Domain':'example.com','Status':0,'StatusMsg':'PENDING-DCV'," INSERTED "," DV "}";
        const char *review = "{'CertificateId':'N','Status':0,'StatusMsg':'CA-REVIEWING'," INSERTED "}";
        static const struct {
                bool review;
                void (*change)(struct tc_view_input *);
                int64_t want_ms;
        } row[] = { { false, told_just_now, 2000 }, { false, told_long_ago, 30000 }, { false, long_ago, 30000 },
                { true, NULL, 160000 }, { true, long_ago, 600000 } };

        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct ca_view v = view_of(row[i].review ? review : dcv, row[i].change);
                assert_int_equal(v.poll_after_ms, row[i].want_ms);
                ca_view_done(&v);
        }
}

static void came_back(struct tc_view_input *in)
{
        in->same_id = true;
        in->old_fingerprint = "AB12";
        in->old_begin_s = 1735689600;
}

static void came_back_nameless(struct tc_view_input *in)
{
        in->same_id = true;
        in->old_begin_s = 1735689600; /* 2025-01-01 08:00:00 */
}

static void under_the_same_id_only_another_certificate_is_done(void **state)
{
        (void)state;
        static const struct {
                const char *json;
                bool ready;
                void (*change)(struct tc_view_input *);
        } row[] = {
                { "{'CertificateId':'O','Status':1,'CertFingerprint':'ab12','CertBeginTime':'2025-01-01 08:00:00'}",
                        false, came_back },
                { "{'CertificateId':'O','Status':1,'CertFingerprint':'CD34','CertBeginTime':'2025-01-01 08:00:00'}",
                        true, came_back },
                { "{'CertificateId':'O','Status':11,'CertFingerprint':'CD34'}", false, came_back },
                { "{'CertificateId':'O','Status':1,'CertBeginTime':'2025-01-01 08:00:00'}", false, came_back_nameless },
                { "{'CertificateId':'O','Status':1,'CertBeginTime':'2025-01-02 08:00:00'}", true, came_back_nameless },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct ca_view v = view_of(row[i].json, row[i].change);
                assert_int_equal(v.ready, row[i].ready);
                assert_int_equal(v.end, CA_END_NONE);
                ca_view_done(&v);
        }
}

static void what_the_ca_writes_is_escaped(void **state)
{
        (void)state;
        struct ca_view v = view_of("{'CertificateId':'N','Status':2,'StatusMsg':'timed out\\u001b[31m\\n'}", NULL);

        assert_null(strchr(v.end_reason, '\x1b'));
        assert_null(strchr(v.end_reason, '\n'));
        assert_non_null(strstr(v.end_reason, "order N: status 2, review failed: timed out"));
        ca_view_done(&v);
}

static void a_hostile_proof_is_an_error_not_a_view(void **state)
{
        (void)state;
        struct tc_cert c =
                cert_of("{'CertificateId':'N','Domain':'example.com','Status':0,'DvAuthDetail':{'DvAuths':[{'DvAuthKey'"
                        ":'../x','DvAuthPath':'/','DvAuthValue':'v','DvAuthVerifyType':'FILE'}]}}");
        struct tc_view_input in = input_of(&c);
        struct ca_view v;
        struct err e;

        assert_false(tc_view_make(&in, &v, &e));
        assert_int_equal(e.kind, ERR_PROTOCOL);
        tc_cert_done(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_status_with_every_message),
                cmocka_unit_test(the_company_is_told_what_where_and_by_when),
                cmocka_unit_test(the_deadline_is_the_one_given_else_three_days),
                cmocka_unit_test(after_the_validation_proofs_stay_but_are_not_waited_for),
                cmocka_unit_test(looks_grow_rarer_and_never_stop),
                cmocka_unit_test(under_the_same_id_only_another_certificate_is_done),
                cmocka_unit_test(what_the_ca_writes_is_escaped),
                cmocka_unit_test(a_hostile_proof_is_an_error_not_a_view),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
