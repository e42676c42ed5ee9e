/* The rfc2136 publisher against a name server of the test: what it sends, and what it makes of each answer. Signatures:
 * test_tsig.c, and real servers in tests/peer. */
#include "test.h"

#include "agent/net/dns.h"
#include "config/config.h"
#include "name_server.h"
#include "own_time.h"
#include "validators/propagation.h"
#include "validators/publisher.h"

#define PORT 5300 /* these tests have a network of their own */
#define LIMIT_MS 20000
#define PLACE "_dnsauth.www.example.test"
#define OWN(text) ((char *)(uintptr_t)(text)) /* a proof borrows here */

struct seen_rr {
        char owner[128], text[600];
        uint16_t type, class;
        uint32_t ttl;
        unsigned strings;
};
struct ended {
        bool over;
        unsigned calls;
        char handle[300];
        struct err err;
};
static struct {
        struct loop *loop;
        struct dns *dns;
        struct propagation_engine *engine;
        struct conf_kind kinds[2];
        struct conf *conf;
        struct publisher *publisher;
        struct name_server server;
        unsigned rcode, hang_ups, updates;
        bool wrong_id;
        const char *alias, *alias_here; /* of the place; alias_here: only where the update was refused */
        char zone[128];
        struct seen_rr condition, update;
} bed;
static const struct publisher_ops *ops;

/* ---- the played server: resolver, parent and primary in one ---- */

static void note_rr(const struct dns_message *m, enum dns_section section, struct seen_rr *ret)
{
        *ret = (struct seen_rr){ 0 };
        for (size_t i = 0; i < m->rr_count; i++) {
                const struct dns_rr *rr = &m->rr[i];
                uint8_t *text = NULL;
                size_t len = 0;
                if (rr->section != section)
                        continue;
                assert_int_equal(ret->type, 0); /* one record, no more */
                *ret = (struct seen_rr){ .type = rr->type, .class = rr->class, .ttl = rr->ttl };
                snprintf(ret->owner, sizeof ret->owner, "%s", rr->owner);
                if (rr->type == DNS_TXT && dns_rr_txt(m, rr, &text, &len, &ret->strings))
                        snprintf(ret->text, sizeof ret->text, "%s", (char *)text);
                else if (rr->type == DNS_CNAME && rr->rdlength > 0)
                        (void)dns_rr_name(m, rr, ret->text);
                free(text);
        }
}

static void take_update(const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        assert_true(tcp);
        bed.updates++;
        snprintf(bed.zone, sizeof bed.zone, "%s", q->question);
        assert_int_equal(q->qtype, DNS_SOA);
        note_rr(q, DNS_ANSWER, &bed.condition);
        note_rr(q, DNS_AUTHORITY, &bed.update);
        if (bed.hang_ups > 0) {
                bed.hang_ups--;
                r->hang_up = true;
                return;
        }
        ns_start(r, q, 5u << 11 | bed.rcode);
        if (bed.wrong_id)
                r->data[1] ^= 1;
}

static void answer(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        (void)s;
        if (q->opcode == 5)
                return take_update(q, tcp, r);
        ns_start(r, q, 0x0400);
        if (q->qtype == DNS_A && dns_name_equal(q->question, "two.test")) {
                ns_address(r, DNS_ANSWER, q->question, "127.0.0.98"); /* where nobody listens */
                ns_address(r, DNS_ANSWER, q->question, "127.0.0.99");
                ns_address(r, DNS_ANSWER, q->question, "127.0.0.1");
                return;
        }
        if (q->qtype == DNS_A)
                return ns_address(r, DNS_ANSWER, q->question, "127.0.0.1");
        if (q->qtype == DNS_NS)
                return ns_pointer(r, DNS_ANSWER, q->question, DNS_NS, "ns.test");
        const char *alias = bed.updates > 0 && bed.alias_here ? bed.alias_here : bed.alias;
        if (q->qtype == DNS_CNAME && alias && dns_name_equal(q->question, PLACE))
                return ns_pointer(r, DNS_ANSWER, q->question, DNS_CNAME, alias);
        const char *zone = dns_name_is_below(q->question, "tokens.test") ? "tokens.test"
                : dns_name_is_below(q->question, "test")                 ? "example.test"
                                                                         : "";
        if (!zone[0])
                ns_start(r, q, 0x0400 | DNS_NXDOMAIN);
        ns_soa(r, dns_name_equal(q->question, zone) ? DNS_ANSWER : DNS_AUTHORITY, zone, "primary.test", 3);
}

/* ---- the bed ---- */

static void open_publisher(const char *settings)
{
        bed.kinds[0] = (struct conf_kind){ .section = "publishers",
                .type = ops->type,
                .keys = ops->keys,
                .size = ops->conf_size,
                .check = ops->check,
                .can = ops->can };
        char text[1024];
        struct conf_problems p = { 0 };
        struct err e;
        int len = snprintf(text, sizeof text, "publishers:\n  zone: {type: rfc2136, ttl: 77%s}\n", settings);
        if (bed.publisher)
                ops->close(bed.publisher);
        config_free(bed.conf);
        assert_true(config_load_text("t.yaml", text, (size_t)len, bed.kinds, &bed.conf, &p));
        conf_problems_done(&p);
        struct publisher_env env = { .loop = bed.loop, .dns = bed.dns, .propagation = bed.engine };
        assert_true(ops->open(&bed.publisher, &env, "zone", bed.conf->publisher[0].parsed, &e));
}

static int open_bed(void **state)
{
        struct err e;
        char place[32];
        (void)state;
        memset(&bed, 0, sizeof bed);
        ops = publisher_ops_find("rfc2136");
        snprintf(place, sizeof place, "127.0.0.1:%d", PORT);
        const char *const resolvers[] = { place, NULL };
        struct dns_conf conf = { .resolvers = resolvers, .port = PORT };
        assert_true(loop_open(&bed.loop, &e));
        assert_true(ns_open(&bed.server, bed.loop, "127.0.0.1", PORT, answer, NULL));
        assert_true(dns_open(&bed.dns, bed.loop, &conf, &e));
        assert_true(propagation_engine_open(&bed.engine, bed.loop, bed.dns, NULL, &e));
        open_publisher(", server: \"127.0.0.1:5300\"");
        return 0;
}

static int close_bed(void **state)
{
        (void)state;
        ops->close(bed.publisher);
        config_free(bed.conf);
        propagation_engine_close(bed.engine);
        dns_close(bed.dns);
        ns_close(&bed.server);
        loop_close(bed.loop);
        return 0;
}

static void done(void *arg, const char *handle, const struct err *err)
{
        struct ended *x = arg;
        x->over = true;
        x->calls++;
        if (handle)
                snprintf(x->handle, sizeof x->handle, "%s", handle);
        if (err)
                x->err = *err;
}

static struct ended wait_for(struct ended *x, struct publish_call *c)
{
        assert_non_null(c);
        assert_false(x->over); /* never before it returned */
        assert_true(loop_run_until(bed.loop, &x->over, LIMIT_MS));
        assert_int_equal(x->calls, 1);
        return *x;
}

static struct ended publish_it(enum proof_type type, const char *value)
{
        struct proof proof = { type, OWN("www.example.test"), OWN(PLACE), NULL, OWN(value) };
        struct ended x = { 0 };
        struct err e;
        return wait_for(&x, ops->publish(bed.publisher, &proof, NULL, done, &x, &e));
}

static struct ended retract_it(enum proof_type type, const char *value, const char *handle)
{
        struct proof proof = { type, OWN("www.example.test"), OWN(PLACE), NULL, OWN(value) };
        struct ended x = { 0 };
        struct err e;
        return wait_for(&x, ops->retract(bed.publisher, &proof, handle, done, &x, &e));
}

/* ---- tests ---- */

static void a_record_is_added_and_exactly_it_is_deleted(void **state)
{
        (void)state;
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_int_equal(x.err.kind, ERR_NONE);
        assert_string_equal(x.handle, "example.test " PLACE);
        assert_string_equal(bed.zone, "example.test");
        assert_string_equal(bed.update.owner, PLACE);
        assert_string_equal(bed.update.text, "value");
        assert_int_equal(bed.update.class, DNS_CLASS_IN);
        assert_int_equal(bed.update.ttl, 77);
        assert_int_equal(bed.condition.type, DNS_CNAME); /* must not exist: it would hide the record */
        assert_int_equal(bed.condition.class, DNS_CLASS_NONE);
        x = retract_it(PROOF_TXT, "value", x.handle);
        assert_int_equal(x.err.kind, ERR_NONE);
        assert_int_equal(bed.update.type, DNS_TXT);
        assert_string_equal(bed.update.text, "value");
        assert_int_equal(bed.update.class, DNS_CLASS_NONE);
        assert_int_equal(bed.update.ttl, 0);
        assert_int_equal(bed.condition.type, 0);
        x = publish_it(PROOF_CNAME, "target.ca.test");
        assert_int_equal(x.err.kind, ERR_NONE);
        assert_string_equal(bed.update.text, "target.ca.test");
        assert_int_equal(bed.condition.type, DNS_CLASS_ANY); /* no record of any type */
}

static void a_long_value_is_cut_into_strings(void **state)
{
        char value[512];
        (void)state;
        memset(value, 'v', 511);
        value[511] = '\0';
        assert_int_equal(publish_it(PROOF_TXT, value).err.kind, ERR_NONE);
        assert_int_equal(bed.update.strings, 3); /* 255, 255, 1 */
        assert_string_equal(bed.update.text, value);
}

static void each_refusal_says_what_to_do(void **state)
{
        static const struct {
                unsigned rcode;
                int kind;
                const char *code, *text, *fix;
        } row[] = {
                { 2, ERR_TEMPORARY, "update.SERVFAIL", "127.0.0.1:5300 could not update zone example.test", "" },
                { 5, ERR_DENIED, "update.REFUSED", "127.0.0.1:5300 refuses the update of zone example.test",
                        "allow TSIG key" },
                { 9, ERR_DENIED, "update.NOTAUTH", "is not the primary of zone example.test",
                        "publishers.zone.server" },
                { 10, ERR_DENIED, "update.NOTZONE", PLACE " is outside zone example.test", "publishers.zone.zone" },
                { 4, ERR_DENIED, "update.rcode", "answers NOTIMP to the update of zone example.test", "" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                bed.rcode = row[i].rcode;
                struct ended x = publish_it(PROOF_TXT, "value");
                assert_int_equal(x.err.kind, row[i].kind);
                assert_string_equal(x.err.code, row[i].code);
                assert_non_null(strstr(x.err.text, "publishing " PLACE));
                assert_non_null(strstr(x.err.text, row[i].text));
                assert_non_null(strstr(x.err.fix, row[i].fix));
        }
        bed.rcode = 0;
        bed.wrong_id = true;
        assert_string_equal(publish_it(PROOF_TXT, "value").err.code, "update.answer");
}

static void a_lost_answer_is_asked_for_once_more(void **state)
{
        (void)state;
        bed.hang_ups = 1;
        assert_int_equal(publish_it(PROOF_TXT, "value").err.kind, ERR_NONE);
        assert_int_equal(bed.updates, 2);
        bed.hang_ups = 2;
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_int_equal(x.err.kind, ERR_UNKNOWN);
        assert_string_equal(x.err.code, "update.lost");
        assert_int_equal(bed.updates, 4);
}

static void a_refused_repetition_says_nothing_of_what_was_lost(void **state)
{
        (void)state;
        bed.hang_ups = 1;
        bed.rcode = 5;
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_int_equal(x.err.kind, ERR_UNKNOWN);
        assert_string_equal(x.err.code, "update.REFUSED");
}

static void what_is_in_the_way_is_named_and_stays(void **state)
{
        (void)state;
        bed.rcode = 7; /* YXRRSET */
        bed.alias_here = "elsewhere.test";
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_string_equal(x.err.code, "token.foreign");
        assert_non_null(strstr(x.err.text, PLACE " is an alias for elsewhere.test, which is not ours and stays"));
        x = publish_it(PROOF_CNAME, "target.ca.test");
        assert_string_equal(x.err.code, "token.foreign");
        bed.alias_here = "target.ca.test"; /* ours, from before a crash */
        assert_int_equal(publish_it(PROOF_CNAME, "target.ca.test").err.kind, ERR_NONE);
        bed.alias_here = NULL;
        x = publish_it(PROOF_CNAME, "target.ca.test");
        assert_non_null(strstr(x.err.text, PLACE " has other records, which are not ours and stay"));
}

static void a_name_in_no_zone_is_a_mistake(void **state)
{
        static const char *const settings[] = { "", ", zone: example.test" };
        (void)state;
        bed.alias = "www.tokens.nowhere";
        for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
                CLEANUP(free_p) char *text = text_format(", server: \"127.0.0.1:5300\"%s", settings[i]);
                open_publisher(text);
                struct ended x = publish_it(PROOF_TXT, "value");
                assert_int_equal(x.err.kind, ERR_CONFIG);
                assert_string_equal(x.err.code, "token.no-zone");
                assert_non_null(strstr(x.err.text, "no zone holds www.tokens.nowhere"));
                assert_non_null(strstr(x.err.fix, "CNAME"));
                assert_int_equal(bed.updates, 0);
        }
}

static void the_end_of_an_alias_is_written_to_and_remembered(void **state)
{
        (void)state;
        bed.alias = "www.tokens.test";
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_int_equal(x.err.kind, ERR_NONE);
        assert_string_equal(x.handle, "tokens.test www.tokens.test");
        assert_string_equal(bed.zone, "tokens.test");
        assert_string_equal(bed.update.owner, "www.tokens.test");
        bed.alias = NULL; /* the way there is gone: what was written down counts */
        x = retract_it(PROOF_TXT, "value", x.handle);
        assert_int_equal(x.err.kind, ERR_NONE);
        assert_string_equal(bed.update.owner, "www.tokens.test");
        assert_int_equal(bed.update.class, DNS_CLASS_NONE);
        bed.alias = PLACE;
        x = publish_it(PROOF_TXT, "value");
        assert_string_equal(x.err.code, "token.alias");
}

struct told {
        struct ended x; /* first: done() takes it */
        struct publish_call *call;
        bool said, own_name;
        char handle[300];
};

static void told(void *arg, const char *handle, bool own_name)
{
        struct told *t = arg;
        assert_false(t->said);
        t->said = true;
        t->own_name = own_name;
        snprintf(t->handle, sizeof t->handle, "%s", handle);
}

static void told_and_go_on(void *arg, const char *handle, bool own_name)
{
        told(arg, handle, own_name);
        ops->go_on(bed.publisher, ((struct told *)arg)->call);
}

/* I5 */
static void the_place_is_said_before_anything_is_sent(void **state)
{
        static const struct {
                const char *alias, *handle;
                bool own_name;
        } row[] = {
                { NULL, "example.test " PLACE, true },
                { "www.tokens.test", "tokens.test www.tokens.test", false },
        };
        struct proof proof = { PROOF_TXT, OWN("www.example.test"), OWN(PLACE), NULL, OWN("value") };
        struct err e;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct told t = { 0 };
                bed.alias = row[i].alias;
                bed.updates = 0;
                struct publish_call *c = ops->publish(bed.publisher, &proof, told, done, &t, &e);
                assert_true(loop_run_until(bed.loop, &t.said, LIMIT_MS));
                assert_string_equal(t.handle, row[i].handle);
                assert_int_equal(t.own_name, row[i].own_name);
                bed.alias = "other.tokens.test"; /* what was said stands */
                (void)loop_run_until(bed.loop, &t.x.over, 20);
                assert_int_equal(bed.updates, 0);
                ops->go_on(bed.publisher, c);
                assert_string_equal(wait_for(&t.x, c).handle, row[i].handle);
                assert_int_equal(bed.updates, 1);
                struct told at_once = { 0 };
                bed.alias = row[i].alias;
                at_once.call = ops->publish(bed.publisher, &proof, told_and_go_on, done, &at_once, &e);
                assert_string_equal(wait_for(&at_once.x, at_once.call).handle, row[i].handle);
        }
}

static void every_address_of_the_server_is_tried(void **state)
{
        (void)state;
        open_publisher(", server: \"two.test:5300\"");
        assert_int_equal(publish_it(PROOF_TXT, "value").err.kind, ERR_NONE);
        assert_int_equal(bed.updates, 1);
        open_publisher(", server: \"two.test:5301\""); /* none listens there */
        struct ended x = publish_it(PROOF_TXT, "value");
        assert_int_equal(x.err.kind, ERR_TEMPORARY);
        assert_string_equal(x.err.code, "update.connect");
        assert_non_null(strstr(x.err.text, "127.0.0.1:5301"));
}

static void what_is_cancelled_says_nothing(void **state)
{
        struct proof proof = { PROOF_TXT, OWN("www.example.test"), OWN(PLACE), NULL, OWN("value") };
        struct ended x[3] = { { 0 } }, kept = { 0 };
        struct err e;
        bool never = false;
        (void)state;
        ops->cancel(bed.publisher, ops->publish(bed.publisher, &proof, NULL, done, &x[0], &e));
        struct publish_call *c = ops->publish(bed.publisher, &proof, NULL, done, &x[1], &e);
        (void)loop_run_until(bed.loop, &never, 3);
        if (!x[1].over)
                ops->cancel(bed.publisher, c);
        (void)wait_for(&kept, ops->publish(bed.publisher, &proof, NULL, done, &kept, &e));
        assert_non_null(ops->publish(bed.publisher, &proof, NULL, done, &x[2], &e)); /* its close cancels it */
        assert_int_equal(x[0].calls + x[2].calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bed, close_bed)
int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_record_is_added_and_exactly_it_is_deleted),
                TEST(a_long_value_is_cut_into_strings),
                TEST(each_refusal_says_what_to_do),
                TEST(a_lost_answer_is_asked_for_once_more),
                TEST(what_is_in_the_way_is_named_and_stays),
                TEST(a_name_in_no_zone_is_a_mistake),
                TEST(the_end_of_an_alias_is_written_to_and_remembered),
                TEST(the_place_is_said_before_anything_is_sent),
                TEST(a_refused_repetition_says_nothing_of_what_was_lost),
                TEST(every_address_of_the_server_is_tried),
                TEST(what_is_cancelled_says_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
