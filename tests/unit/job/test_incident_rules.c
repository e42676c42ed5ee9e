/* What a report is worth, what the storm brake allows, and the replay memory: pure tables. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/job/alert_seen.h"
#include "agent/job/incident_brake.h"
#include "agent/job/incident_decide.h"
#include "config/config.h"

#define AUTO CONFIRM_AUTO
#define ASK CONFIRM_ASK
#define NEVER CONFIRM_NEVER

static void a_report_is_worth_what_it_shows(void **state)
{
        static const struct {
                const char *what;
                struct verdict_input in;
                struct verdict want;
        } row[] = {
                { "a proof acts on everything", { REPORT_PROOF, true, -1, AUTO, AUTO, 0 },
                        { true, VERDICT_YES, VERDICT_YES, true } },
                { "its mark does not wait for the policy", { REPORT_PROOF, true, -1, ASK, ASK, 0 },
                        { true, VERDICT_ASK, VERDICT_ASK, true } },
                { "never is never", { REPORT_PROOF, true, -1, AUTO, NEVER, 0 },
                        { true, VERDICT_YES, VERDICT_NO, true } },
                { "a proof of a name alone proves nothing", { REPORT_PROOF, false, -1, AUTO, AUTO, 0 },
                        { false, VERDICT_ASK, VERDICT_NO, false } },
                { "an exact word reissues and asks to revoke", { REPORT_EXACT, true, -1, AUTO, AUTO, 0 },
                        { true, VERDICT_YES, VERDICT_ASK, false } },
                { "asked first, it is not marked yet", { REPORT_EXACT, true, -1, ASK, AUTO, 0 },
                        { false, VERDICT_ASK, VERDICT_ASK, false } },
                { "an exposed key is an exact word", { REPORT_EXPOSED, true, -1, AUTO, NEVER, 0 },
                        { true, VERDICT_YES, VERDICT_NO, false } },
                { "revoked for its key", { REPORT_REVOKED, true, 1, AUTO, AUTO, 0 },
                        { true, VERDICT_YES, VERDICT_YES, false } },
                { "revoked for another reason", { REPORT_REVOKED, true, 4, AUTO, AUTO, 0 },
                        { false, VERDICT_YES, VERDICT_NO, false } },
                { "about to be revoked, nobody says why", { REPORT_REVOKED, true, -1, ASK, AUTO, 0 },
                        { false, VERDICT_ASK, VERDICT_NO, false } },
                { "a hint asks", { REPORT_HINT, true, -1, AUTO, AUTO, DOMAIN_ALERT_NOTIFY },
                        { false, VERDICT_ASK, VERDICT_NO, false } },
                { "a name asks", { REPORT_EXACT, false, -1, AUTO, AUTO, DOMAIN_ALERT_NOTIFY },
                        { false, VERDICT_ASK, VERDICT_NO, false } },
                { "a name acts where that is wanted", { REPORT_EXACT, false, -1, AUTO, AUTO, DOMAIN_ALERT_REISSUE },
                        { false, VERDICT_YES, VERDICT_NO, false } },
                { "but not against the certificate's policy",
                        { REPORT_HINT, false, -1, ASK, AUTO, DOMAIN_ALERT_REISSUE },
                        { false, VERDICT_ASK, VERDICT_NO, false } },
                { "or is ignored", { REPORT_HINT, false, -1, AUTO, AUTO, DOMAIN_ALERT_IGNORE },
                        { false, VERDICT_NO, VERDICT_NO, false } },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct verdict v = incident_decide(&row[i].in);
                if (v.mark != row[i].want.mark || v.reissue != row[i].want.reissue || v.revoke != row[i].want.revoke ||
                        v.passes_brake != row[i].want.passes_brake)
                        fail_msg("%s: mark %d, reissue %s, revoke %s, passes %d", row[i].what, v.mark,
                                verdict_word_name(v.reissue), verdict_word_name(v.revoke), v.passes_brake);
        }
}

static void nothing_marks_a_key_by_a_name(void **state)
{
        (void)state;
        for (int strength = REPORT_HINT; strength <= REPORT_PROOF; strength++)
                for (int domain = DOMAIN_ALERT_NOTIFY; domain <= DOMAIN_ALERT_IGNORE; domain++)
                        for (int reissue = AUTO; reissue <= ASK; reissue++) {
                                struct verdict_input in = { (enum report_strength)strength, false, 1, reissue, AUTO,
                                        domain };
                                struct verdict v = incident_decide(&in);
                                assert_false(v.mark || v.passes_brake);
                                assert_int_equal(v.revoke, VERDICT_NO);
                        }
}

#define HOUR 3600
#define DAY (24 * HOUR)

static void the_brake_counts_by_hour_by_certificate_and_rests_between(void **state)
{
        static const int64_t now = 1000 * DAY;
        static const struct {
                const char *what;
                struct brake_limits limits;
                struct brake_start list[4];
                size_t count;
                int64_t want;
        } row[] = {
                { "nothing was started", { 2, 3, 7 * DAY, 6 * HOUR }, { { 0 } }, 0, 0 },
                { "one of another", { 2, 3, 7 * DAY, 6 * HOUR }, { { now - 60, false } }, 1, 0 },
                { "the hour is full", { 2, 3, 7 * DAY, 6 * HOUR }, { { now - 60, false }, { now - 120, false } }, 2,
                        now - 120 + HOUR },
                { "the hour is over", { 2, 3, 7 * DAY, 0 }, { { now - 60, false }, { now - HOUR, false } }, 2, 0 },
                { "it rests", { 60, 3, 7 * DAY, 6 * HOUR }, { { now - HOUR, true } }, 1, now + 5 * HOUR },
                { "it has rested", { 60, 3, 7 * DAY, 6 * HOUR }, { { now - 6 * HOUR, true } }, 1, 0 },
                { "three in a week", { 60, 3, 7 * DAY, 6 * HOUR },
                        { { now - 1 * DAY, true }, { now - 2 * DAY, true }, { now - 2 * DAY, false },
                                { now - 3 * DAY, true } },
                        4, now + 4 * DAY },
                { "others do not count for it", { 60, 3, 7 * DAY, 6 * HOUR },
                        { { now - DAY, true }, { now - DAY, false }, { now - DAY, false }, { now - DAY, true } }, 4,
                        0 },
                { "a clock that was set back holds no longer than a window", { 60, 3, 7 * DAY, 6 * HOUR },
                        { { now + 300 * DAY, true } }, 1, now + 6 * HOUR },
                { "no limit is left: never", { 0, 3, 7 * DAY, 0 }, { { 0 } }, 0, INT64_MAX },
                { "no cooldown", { 60, 3, 7 * DAY, 0 }, { { now - 1, true } }, 1, 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                int64_t until = brake_until(&row[i].limits, row[i].list, row[i].count, now);
                if (until != row[i].want)
                        fail_msg("%s: %lld instead of %lld", row[i].what, (long long)(until - now),
                                (long long)(row[i].want - now));
        }
}

static struct seen_entry entry_of(const char *key, int64_t expires_s, int64_t incident)
{
        struct seen_entry e = { .expires_s = expires_s, .incident = incident };
        seen_hash("scanner", key, e.hash);
        return e;
}

static void a_delivery_is_known_until_its_end(void **state)
{
        struct seen_table t = { .max = 100 };
        struct seen_entry e = entry_of("msg_1", 1000, 7), other;
        bool full;
        (void)state;
        assert_null(seen_table_find(&t, e.hash, 10));
        assert_true(seen_table_put(&t, &e, 10, &full));
        assert_int_equal(seen_table_find(&t, e.hash, 999)->incident, 7);
        assert_null(seen_table_find(&t, e.hash, 1000));
        seen_hash("scanne", "rmsg_1", other.hash); /* another split of the same letters */
        assert_null(seen_table_find(&t, other.hash, 10));
        seen_table_done(&t);
}

static void the_memory_refuses_and_never_forgets(void **state)
{
        struct seen_table t = { .max = 500 };
        bool full;
        char key[32];
        (void)state;
        for (int i = 0; i < 500; i++) {
                snprintf(key, sizeof key, "msg_%d", i);
                struct seen_entry e = entry_of(key, i < 100 ? 50 : 1000, i);
                assert_true(seen_table_put(&t, &e, 10, &full));
        }
        struct seen_entry more = entry_of("one more", 1000, 1);
        assert_false(seen_table_put(&t, &more, 10, &full));
        assert_true(full);
        assert_int_equal(seen_table_first_end(&t), 50);
        for (int i = 0; i < 500; i++) {
                snprintf(key, sizeof key, "msg_%d", i);
                struct seen_entry e = entry_of(key, 0, 0);
                const struct seen_entry *found = seen_table_find(&t, e.hash, 10);
                assert_non_null(found);
                assert_int_equal(found->incident, i);
        }
        assert_true(seen_table_put(&t, &more, 50, &full)); /* a hundred are over: there is room again */
        assert_int_equal(t.count, 401);
        seen_table_done(&t);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_report_is_worth_what_it_shows),
                cmocka_unit_test(nothing_marks_a_key_by_a_name),
                cmocka_unit_test(the_brake_counts_by_hour_by_certificate_and_rests_between),
                cmocka_unit_test(a_delivery_is_known_until_its_end),
                cmocka_unit_test(the_memory_refuses_and_never_forgets),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
