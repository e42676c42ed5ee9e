/* The engine of the dry run over name servers that live in this process. */
#include "test.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/net/address.h"
#include "fake_dns.h"
#include "own_time.h"
#include "validators/check.h"

static struct loop *loop;
static const struct check_result *results;
static bool done;
static unsigned calls, zone_calls, later_calls;
static struct texts at_resolvers;

static enum fake_reply serve(const char *server, enum dns_transport t, const char *name, uint16_t type, struct buf *b)
{
        static const uint8_t address[4] = { 192, 0, 2, 1 };
        (void)t;
        if (strcmp(server, "resolver") == 0)
                assert_true(texts_add(&at_resolvers, name));
        if (strcmp(name, "never.example.org") == 0)
                return FAKE_NEVER;
        bool above = strcmp(server, "192.0.2.9") == 0;
        fake_dns_begin(b, above ? 0x8000 : 0x8400, name, type);
        if (strcmp(server, "resolver") == 0 && type == DNS_A)
                fake_dns_rr(b, DNS_ANSWER, name, DNS_A,
                        strcmp(name, "ns.nic.org") == 0 ? (const uint8_t[]){ 192, 0, 2, 9 } : address, 4);
        else if (strcmp(server, "resolver") == 0 && type == DNS_NS)
                fake_dns_rr_name(b, DNS_ANSWER, "org", DNS_NS, "ns.nic.org");
        else if (strcmp(server, "resolver") == 0)
                fake_dns_rr_soa(b, DNS_ANSWER, "org");
        else if (above)
                fake_dns_rr_name(b, DNS_AUTHORITY, "example.org", DNS_NS, "ns1.host.net");
        else if (type == DNS_NS)
                fake_dns_rr_name(b, DNS_ANSWER, "example.org", DNS_NS, "ns1.host.net");
        else
                fake_dns_rr_soa(b, DNS_AUTHORITY, "example.org");
        return FAKE_ANSWERS;
}

static const struct address server = { .family = AF_INET, .port = 53, .ip.v4.s_addr = 0x010200c0u };

static void chained(struct check_context *c, struct judgements *out)
{
        calls++;
        judge(out, "D11", (struct judgement_words){ .subject = c->name }, "seen");
        if (check_dns(c, &server, CHECK_UDP, "a.example.org", DNS_A, 0))
                (void)check_dns(c, &server, CHECK_UDP, "b.example.org", DNS_A, 0);
}

static void stopping(struct check_context *c, struct judgements *out)
{
        if (strcmp(c->name, "bad.example.org") == 0)
                judge(out, "D01", (struct judgement_words){ .subject = c->name }, "no zone");
}

static void of_zone(struct check_context *c, struct judgements *out)
{
        zone_calls++;
        judge(out, "D04", (struct judgement_words){ .subject = c->zone }, "of %s", c->zone);
}

static void walking(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->base);
        (void)out;
        if (z && !z->error)
                check_needs_zone(c, z->apex);
}

static void later(struct check_context *c, struct judgements *out)
{
        (void)c;
        (void)out;
        later_calls++;
}

static void waiting(struct check_context *c, struct judgements *out)
{
        judge(out, "D06", (struct judgement_words){ .subject = c->name }, "half of the truth");
        (void)check_dns(c, &server, CHECK_UDP, "never.example.org", DNS_A, 0);
}

static void asking_early(struct check_context *c, struct judgements *out)
{
        static const char owner[] = "_acme-challenge.example.org";
        static bool refused;
        CLEANUP(free_p) char *sibling = text_format("%s.example.org", check_random_label(c));
        if (fake_dns.asked == 0)
                refused = check_resolver(c, owner, DNS_TXT, 0)->outcome == DNS_FAILED &&
                        check_resolver(c, sibling, DNS_TXT, 0)->outcome == DNS_FAILED &&
                        check_lookup(c, "_x.example.org")->count == 0;
        check_published(c, owner);
        (void)check_resolver(c, owner, DNS_TXT, 0);
        if (refused)
                judge(out, "T14", (struct judgement_words){ .subject = c->name }, "refused");
}

#define CHECK(name, ids, stage, scope, run) static const struct check name = { ids, stage, scope, 0, run }
CHECK(chained_check, "D11", STAGE_DNS, CHECK_NAME, chained);
CHECK(stopping_check, "D01", STAGE_DNS, CHECK_NAME, stopping);
CHECK(zone_check, "D04", STAGE_DNS, CHECK_ZONE, of_zone);
CHECK(walking_check, "D02", STAGE_DNS, CHECK_NAME, walking);
CHECK(later_check, "T01 T02", STAGE_METHOD, CHECK_NAME, later);
CHECK(waiting_check, "D06", STAGE_DNS, CHECK_NAME, waiting);
CHECK(early_check, "T14", STAGE_METHOD, CHECK_NAME, asking_early);

static void finished(void *arg, const struct check_result *r, size_t count)
{
        (void)arg;
        (void)count;
        results = r;
        done = true;
}

static struct check_target target; /* outlives the run */

static struct check_run *look(const char *const *names, const struct check *const *checks, int64_t timeout_ms)
{
        const struct check *const *const arrays[] = { checks, NULL };
        struct err e;
        texts_done(&target.names);
        target = (struct check_target){ .method = METHOD_DNS, .dns_label = "_acme-challenge", .acme = true };
        for (; *names; names++)
                assert_true(texts_add(&target.names, *names));
        const struct check_conf conf = {
                .loop = loop, .targets = &target, .target_count = 1, .checks = arrays, .timeout_ms = timeout_ms
        };
        done = false;
        struct check_run *r = check_run_start(&conf, finished, NULL, &e);
        assert_non_null(r);
        assert_false(done); /* start never calls back */
        assert_true(loop_run_until(loop, &done, 20000));
        return r;
}

static int set_up(void **state)
{
        struct err e;
        (void)state;
        calls = zone_calls = later_calls = 0;
        fake_dns.asked = 0;
        fake_dns.resolvers = 1;
        fake_dns.fn = serve;
        assert_true(loop_open(&loop, &e));
        fake_dns.loop = loop;
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        texts_done(&at_resolvers);
        texts_done(&target.names);
        loop_close(loop);
        return 0;
}

static void a_check_is_called_again_until_nothing_is_open(void **state)
{
        (void)state;
        struct check_run *r = look(
                (const char *[]){ "www.example.org", NULL }, (const struct check *const[]){ &chained_check, NULL }, 0);
        assert_int_equal(calls, 3);
        assert_int_equal(results[0].count, 1); /* what it said twice before does not count */
        assert_string_equal(results[0].finding[0].said->message, "seen");
        assert_string_equal(check_verdict(&results[0]), "would-validate");
        check_run_free(r);
}

static void each_server_is_asked_once_per_question(void **state)
{
        (void)state;
        struct check_run *r = look((const char *[]){ "a.org", "b.org", "c.org", NULL },
                (const struct check *const[]){ &chained_check, &chained_check, NULL }, 0);
        assert_int_equal(fake_dns.asked, 2);
        check_run_free(r);
}

static void a_zone_is_looked_at_once_for_all_its_names(void **state)
{
        (void)state;
        struct check_run *r = look((const char *[]){ "example.org", "www.example.org", "a.b.example.org", NULL },
                (const struct check *const[]){ &walking_check, &zone_check, NULL }, 0);
        assert_int_equal(zone_calls, 1);
        assert_int_equal(results[0].count, 1);
        assert_string_equal(results[0].finding[0].said->subject, "example.org");
        check_run_free(r);
}

static void something_fatal_ends_what_depends_on_it_and_says_so(void **state)
{
        (void)state;
        struct check_run *r = look((const char *[]){ "bad.example.org", "good.example.org", NULL },
                (const struct check *const[]){ &stopping_check, &later_check, NULL }, 0);
        assert_int_equal(later_calls, 1); /* for the good one */
        assert_int_equal(results[0].doubt_count, 2);
        assert_string_equal(results[0].doubt[0].id, "T01");
        assert_non_null(strstr(results[0].doubt[0].why, "D01 stops"));
        assert_string_equal(check_verdict(&results[0]), "would-fail");
        check_run_free(r);
}

static void a_run_ends_at_its_time_and_says_what_is_missing(void **state)
{
        (void)state;
        struct check_run *r = look((const char *[]){ "example.org", NULL },
                (const struct check *const[]){ &waiting_check, &later_check, NULL }, 60);
        assert_int_equal(results[0].count, 0); /* half of the truth is none */
        assert_int_equal(results[0].doubt_count, 3);
        assert_string_equal(results[0].doubt[0].id, "D06");
        assert_non_null(strstr(results[0].doubt[0].why, "--timeout"));
        assert_true(results[0].incomplete);
        assert_string_equal(check_verdict(&results[0]), "unverifiable");
        check_run_free(r);
}

static void a_run_may_be_freed_while_questions_are_open(void **state)
{
        static const struct check *const checks[] = { &waiting_check, &walking_check, NULL };
        static const struct check *const *const arrays[] = { checks, NULL };
        struct err e;
        (void)state;
        target = (struct check_target){ .method = METHOD_DNS, .dns_label = "_x" };
        assert_true(texts_add(&target.names, "example.org"));
        const struct check_conf conf = { .loop = loop, .targets = &target, .target_count = 1, .checks = arrays };
        struct check_run *r = check_run_start(&conf, finished, NULL, &e);
        done = false;
        (void)loop_run_until(loop, &done, 30);
        assert_false(done);
        check_run_free(r);
}

static void a_resolver_is_never_asked_for_what_is_not_published(void **state)
{
        (void)state;
        struct check_run *r =
                look((const char *[]){ "example.org", NULL }, (const struct check *const[]){ &early_check, NULL }, 0);
        assert_int_equal(results[0].count, 1);
        assert_int_equal(at_resolvers.count, 1); /* once it was said to be everywhere */
        assert_string_equal(at_resolvers.item[0], "_acme-challenge.example.org");
        check_run_free(r);
}

static void every_id_is_claimed_by_a_check_or_by_a_higher_room(void **state)
{
        (void)state;
        for (const struct check_id *id = check_catalogue; id->id; id++) {
                bool claimed = !strchr("NDTCS", id->id[0]);
                for (const struct check *const *at = validator_checks; *at; at++)
                        claimed = claimed || strstr((*at)->ids, id->id);
                if (!claimed)
                        fail_msg("no check claims %s", id->id);
                assert_ptr_equal(check_id_find(id->id), id); /* each once */
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_check_is_called_again_until_nothing_is_open),
                TEST(each_server_is_asked_once_per_question),
                TEST(a_zone_is_looked_at_once_for_all_its_names),
                TEST(something_fatal_ends_what_depends_on_it_and_says_so),
                TEST(a_run_ends_at_its_time_and_says_what_is_missing),
                TEST(a_run_may_be_freed_while_questions_are_open),
                TEST(a_resolver_is_never_asked_for_what_is_not_published),
                cmocka_unit_test(every_id_is_claimed_by_a_check_or_by_a_higher_room),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
