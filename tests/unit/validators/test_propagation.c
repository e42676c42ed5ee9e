/* The propagation engine against name servers of the test: who is asked, how often, over what, and when it is sure. */
#include "test.h"

#include "agent/net/dns.h"
#include "name_server.h"
#include "own_time.h"
#include "validators/propagation.h"

#define PORT 5300 /* these tests have a network of their own */
#define LIMIT_MS 20000
#define SHORT_MS 1000
#define PLACE "_dnsauth.www.example.test"
#define VALUE "the-value"
#define OWN(text) ((char *)(uintptr_t)(text)) /* a proof borrows here */

struct played { /* what an authoritative server says about a challenge */
        const char *text[2]; /* TXT values; NULL: none */
        const char *alias;
        unsigned from, until; /* shown from this question on, up to that one (0: for ever) */
        unsigned asked; /* TXT and CNAME questions */
        uint8_t serial;
        bool refuses, forgets_aa, truncates, fails;
};
struct ended {
        bool over;
        unsigned calls;
        enum err_kind kind;
        char code[48], text[400], fix[256], state[400];
        size_t seen, wanted, count;
        int64_t elapsed_ms;
        struct propagation_server server[8];
        char name[8][64], zone[8][64];
};
static struct {
        struct loop *loop;
        struct dns *dns;
        struct propagation_engine *engine;
        struct name_server resolver, parent, server[4];
        struct played play[4];
        bool delegated; /* www.example.test is a zone of its own: its parent names ns3, it names ns3 and ns4 */
        bool addressless; /* there is no address of ns2 and ns3 */
        unsigned lookups_fail; /* so many questions for an address of ns2 */
        bool only_second; /* other.test has ns2 alone, not ns3 */
        const char *glue; /* of ns2 and ns3, from above */
        bool early; /* a resolver was asked for the challenge before all authoritative servers showed it */
        unsigned shown, needed, at_resolver;
        unsigned told;
        char said[400];
} bed;

/* ---- the played servers ---- */

static bool is(const struct dns_message *q, const char *name)
{
        return dns_name_equal(q->question, name);
}

static void name_servers(struct ns_reply *r, enum dns_section section, const char *zone, const char *a, const char *b)
{
        ns_pointer(r, section, zone, DNS_NS, a);
        if (b)
                ns_pointer(r, section, zone, DNS_NS, b);
}

static void resolve(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        static const char *const host[] = { "ns.test", "ns1.example.test", "ns2.example.test", "ns3.example.test",
                "ns4.example.test" };
        (void)s;
        (void)tcp;
        ns_start(r, q, 0x0080 | (dns_name_is_below(q->question, "nowhere.test") ? DNS_SERVFAIL : 0));
        bool address = q->qtype == DNS_A || q->qtype == DNS_AAAA, second = is(q, "ns2.example.test");
        if (address && second && bed.lookups_fail > 0) {
                bed.lookups_fail--;
                return ns_start(r, q, 0x0080 | DNS_SERVFAIL);
        }
        if (address && bed.addressless && (second || is(q, "ns3.example.test")))
                return;
        for (size_t i = 0; i < ARRAY_LEN(host); i++) {
                char text[32];
                snprintf(text, sizeof text, "127.0.0.%zu", 10 + i);
                if (q->qtype == DNS_A && is(q, host[i]))
                        return ns_address(r, DNS_ANSWER, host[i], text);
        }
        if (q->qtype == DNS_SOA && (is(q, "example.test") || is(q, "other.test") || is(q, "test")))
                return ns_soa(r, DNS_ANSWER, q->question, "ns1.example.test", 1);
        if (q->qtype == DNS_NS && is(q, "example.test"))
                return name_servers(r, DNS_ANSWER, q->question, "ns1.example.test", "ns2.example.test");
        if (q->qtype == DNS_NS && is(q, "other.test"))
                return name_servers(
                        r, DNS_ANSWER, q->question, bed.only_second ? "ns2.example.test" : "ns3.example.test", NULL);
        if (q->qtype == DNS_NS && is(q, "test"))
                return name_servers(r, DNS_ANSWER, q->question, "ns.test", NULL);
        if (dns_name_is_below(q->question, "www.example.test") || dns_name_is_below(q->question, "x.other.test")) {
                bed.at_resolver++;
                bed.early = bed.early || bed.shown < bed.needed;
                if (q->qtype == DNS_TXT)
                        ns_txt(r, q->question, VALUE);
        }
}

static void add_glue(struct ns_reply *r, const char *name)
{
        if (bed.glue)
                ns_address(r, DNS_ADDITIONAL, name, bed.glue);
}

static void refer(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        (void)s;
        (void)tcp;
        ns_start(r, q, 0);
        if (is(q, "example.test"))
                name_servers(r, DNS_AUTHORITY, q->question, "ns1.example.test", "ns2.example.test");
        else
                name_servers(
                        r, DNS_AUTHORITY, q->question, bed.only_second ? "ns2.example.test" : "ns3.example.test", NULL);
        add_glue(r, is(q, "example.test") ? "ns2.example.test" : "ns3.example.test");
        if (bed.glue) {
                ns_address(r, DNS_ADDITIONAL, "ns2.example.test", bed.glue); /* said twice */
                ns_address(r, DNS_ADDITIONAL, "ns4.example.test", "127.0.0.99"); /* of nobody in question */
        }
}

static const char *zone_of(size_t at, const struct dns_message *q)
{
        if (dns_name_is_below(q->question, "other.test"))
                return "other.test";
        return at >= 2 ? "www.example.test" : "example.test";
}

static void say_value(size_t at, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        struct played *p = &bed.play[at];
        const char *zone = zone_of(at, q);
        p->asked++;
        if (p->refuses || p->fails)
                return ns_start(r, q, p->refuses ? DNS_REFUSED : DNS_SERVFAIL);
        if (p->forgets_aa)
                return ns_start(r, q, 0);
        if (p->truncates && !tcp)
                return ns_start(r, q, 0x0600);
        bool there = p->asked >= p->from && (p->until == 0 || p->asked <= p->until) && (p->text[0] || p->alias) &&
                !(p->alias && dns_name_is_below(q->question, "other.test"));
        ns_start(r, q, 0x0400 | (there ? 0 : DNS_NXDOMAIN));
        if (!there)
                return ns_soa(r, DNS_AUTHORITY, zone, "ns1.example.test", p->serial);
        if (p->alias)
                return ns_pointer(r, DNS_ANSWER, q->question, DNS_CNAME, p->alias);
        for (size_t i = 0; i < ARRAY_LEN(p->text) && p->text[i]; i++) {
                ns_txt(r, q->question, p->text[i]);
                bed.shown |= strcmp(p->text[i], VALUE) == 0 ? 1u << at : 0;
        }
}

static void serve(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        size_t at = (size_t)(s - bed.server);
        if (q->qtype == DNS_TXT || q->qtype == DNS_CNAME)
                return say_value(at, q, tcp, r);
        ns_start(r, q, 0x0400);
        if (bed.delegated && at < 2 && dns_name_is_below(q->question, "www.example.test")) {
                ns_start(r, q, 0);
                name_servers(r, DNS_AUTHORITY, "www.example.test", "ns3.example.test", NULL);
                return add_glue(r, "ns3.example.test");
        }
        if (q->qtype == DNS_NS && is(q, zone_of(at, q))) {
                name_servers(r, DNS_ANSWER, q->question, at >= 2 ? "ns3.example.test" : "ns1.example.test",
                        at >= 2 ? "ns4.example.test" : "ns2.example.test");
                if (bed.glue && at >= 2) /* not its to say: above the zone */
                        ns_address(r, DNS_ADDITIONAL, "ns4.example.test", "127.0.0.98");
                return;
        }
        ns_soa(r, DNS_AUTHORITY, zone_of(at, q), "ns1.example.test", 1);
}

static int open_bed(void **state)
{
        struct err e;
        char resolver[32];
        (void)state;
        memset(&bed, 0, sizeof bed);
        snprintf(resolver, sizeof resolver, "127.0.0.1:%d", PORT);
        const char *const resolvers[] = { resolver, NULL };
        struct dns_conf conf = { .resolvers = resolvers, .port = PORT };
        assert_true(loop_open(&bed.loop, &e));
        assert_true(ns_open(&bed.resolver, bed.loop, "127.0.0.1", PORT, resolve, NULL));
        assert_true(ns_open(&bed.parent, bed.loop, "127.0.0.10", PORT, refer, NULL));
        for (size_t i = 0; i < ARRAY_LEN(bed.server); i++) {
                char address[32];
                snprintf(address, sizeof address, "127.0.0.%zu", 11 + i);
                assert_true(ns_open(&bed.server[i], bed.loop, address, PORT, serve, NULL));
                bed.play[i] = (struct played){ .text = { VALUE }, .serial = 7 };
        }
        bed.needed = 3;
        assert_true(dns_open(&bed.dns, bed.loop, &conf, &e));
        assert_true(propagation_engine_open(&bed.engine, bed.loop, bed.dns, NULL, &e));
        return 0;
}

static int close_bed(void **state)
{
        (void)state;
        propagation_engine_close(bed.engine);
        dns_close(bed.dns);
        ns_close(&bed.resolver);
        ns_close(&bed.parent);
        for (size_t i = 0; i < ARRAY_LEN(bed.server); i++)
                ns_close(&bed.server[i]);
        loop_close(bed.loop);
        return 0;
}

/* ---- running ---- */

static void changed(void *arg, const struct propagation_state *s)
{
        (void)arg;
        bed.told++;
        if (strstr(s->text, "serial"))
                snprintf(bed.said, sizeof bed.said, "%s", s->text);
}

static void done(void *arg, const struct propagation_state *s, const struct err *err)
{
        struct ended *x = arg;
        x->over = true;
        x->calls++;
        x->seen = s->seen;
        x->wanted = s->wanted;
        x->count = MIN(s->count, ARRAY_LEN(x->server));
        x->elapsed_ms = s->elapsed_ms;
        for (size_t i = 0; i < x->count; i++) { /* its texts are borrowed */
                x->server[i] = s->server[i];
                snprintf(x->name[i], sizeof x->name[i], "%s", s->server[i].name);
                snprintf(x->zone[i], sizeof x->zone[i], "%s", s->server[i].zone);
                x->server[i].name = x->server[i].zone = NULL;
        }
        snprintf(x->state, sizeof x->state, "%s", s->text);
        if (err) {
                x->kind = err->kind;
                snprintf(x->code, sizeof x->code, "%s", err->code);
                snprintf(x->text, sizeof x->text, "%s", err->text);
                snprintf(x->fix, sizeof x->fix, "%s", err->fix);
        }
}

/* A new engine: nothing is kept from the runs before. */
static void zones_forgotten(void)
{
        struct err e;
        propagation_engine_close(bed.engine);
        assert_true(propagation_engine_open(&bed.engine, bed.loop, bed.dns, NULL, &e));
}

static struct conf_propagation often(int64_t consecutive)
{
        return (struct conf_propagation){ .timeout_ms = 10000, .consecutive = consecutive };
}

static struct propagation *start(const struct conf_propagation *conf, bool gone, struct ended *ret)
{
        struct proof proof = { PROOF_TXT, OWN("www.example.test"), OWN(PLACE), NULL, OWN(VALUE) };
        struct propagation_request r = { .proof = &proof, .gone = gone, .conf = conf };
        struct err e;
        struct propagation *p = propagation_start(bed.engine, &r, changed, done, ret, &e);
        assert_non_null(p);
        assert_false(ret->over); /* never before it returned */
        return p;
}

static struct ended run(const struct conf_propagation *conf, bool gone)
{
        struct ended x = { 0 };
        (void)start(conf, gone, &x);
        assert_true(loop_run_until(bed.loop, &x.over, LIMIT_MS));
        assert_int_equal(x.calls, 1);
        return x;
}

static const struct propagation_server *at(const struct ended *x, const char *address)
{
        for (size_t i = 0; i < x->count; i++) {
                char text[ADDRESS_TEXT];
                address_text(&x->server[i].address, false, text);
                if (strcmp(text, address) == 0)
                        return &x->server[i];
        }
        fail_msg("%s was not asked", address);
        return NULL;
}

static const char *zone_at(const struct ended *x, const char *address)
{
        return x->zone[at(x, address) - x->server];
}

static const char *name_at(const struct ended *x, const char *address)
{
        return x->name[at(x, address) - x->server];
}

/* ---- tests ---- */

static void the_verdict_names_every_address_and_what_carried_it(void **state)
{
        struct conf_propagation conf = often(2);
        (void)state;
        bed.play[1].truncates = true;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.seen, 2);
        assert_int_equal(x.wanted, 2);
        assert_int_equal(at(&x, "127.0.0.11")->transport, DNS_UDP);
        assert_int_equal(at(&x, "127.0.0.12")->transport, DNS_TCP);
        for (size_t i = 0; i < x.count; i++)
                if (!x.server[i].resolver) {
                        assert_int_equal(x.server[i].look, LOOK_SEEN);
                        assert_true(x.server[i].aa);
                        assert_int_equal(x.server[i].in_a_row, 2);
                        assert_true(x.server[i].seen_after_ms >= 0);
                        assert_string_equal(x.server[i].saw, "\"" VALUE "\"");
                }
        assert_string_equal(x.state, "2 of 2 agree, 1 by TCP");
}

/* I7 */
static void resolvers_are_asked_last(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.play[1].from = 4;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_false(bed.early);
        assert_int_equal(bed.at_resolver, 1);
        assert_true(at(&x, "127.0.0.1")->resolver);
        assert_int_equal(at(&x, "127.0.0.1")->look, LOOK_SEEN);
}

static void who_lags_is_named_and_alone_asked_again(void **state)
{
        struct conf_propagation conf = often(2);
        (void)state;
        bed.play[1].from = 5;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(bed.play[0].asked, 2);
        assert_int_equal(bed.play[1].asked, 6);
        assert_true(bed.told > 0);
        assert_non_null(strstr(bed.said, "ns2.example.test (127.0.0.12) still at serial 7; 1 of 2 agree; timeout in "));
}

static void a_value_that_goes_again_does_not_count(void **state)
{
        struct conf_propagation conf = often(3);
        (void)state;
        bed.play[1].from = 1;
        bed.play[1].until = 2; /* shown twice, then not */
        conf.timeout_ms = 900;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "propagation.timeout");
        assert_int_equal(x.seen, 1);
        assert_int_equal(at(&x, "127.0.0.12")->in_a_row, 0);
        assert_int_equal(at(&x, "127.0.0.12")->look, LOOK_ABSENT);
        assert_non_null(strstr(x.text, "TXT " PLACE " is not shown everywhere: ns2.example.test (127.0.0.12)"));
        assert_false(bed.at_resolver);
}

static void bytes_are_compared_exactly(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        conf.timeout_ms = SHORT_MS;
        bed.play[0].text[0] = "The-Value"; /* another case */
        bed.play[1].text[0] = VALUE " "; /* one byte more */
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "propagation.timeout");
        assert_int_equal(at(&x, "127.0.0.11")->look, LOOK_OTHER);
        assert_int_equal(at(&x, "127.0.0.12")->look, LOOK_OTHER);
        bed.play[0] = bed.play[1] = (struct played){ .text = { "of somebody else", VALUE } };
        x = run(&conf, false);
        assert_string_equal(x.code, "");
}

static void what_is_wrong_with_a_server_is_named(void **state)
{
        static const struct {
                struct played play;
                enum propagation_look look;
                const char *said;
                bool undelegate; /* the fix */
        } row[] = {
                { { .refuses = true }, LOOK_LAME, "(127.0.0.12) is lame for example.test: REFUSED", true },
                { { .forgets_aa = true }, LOOK_LAME, "is lame for example.test: not authoritative", true },
                { { .fails = true }, LOOK_ERROR, "ns2.example.test (127.0.0.12): SERVFAIL", false },
                { { .serial = 41 }, LOOK_ABSENT, "ns2.example.test (127.0.0.12) still at serial 41", false },
                { { .serial = 41, .truncates = true }, LOOK_ABSENT,
                        "ns2.example.test (127.0.0.12, TCP) still at serial 41", false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_propagation conf = often(1);
                conf.timeout_ms = SHORT_MS;
                bed.play[1] = row[i].play;
                struct ended x = run(&conf, false);
                assert_string_equal(x.code, "propagation.timeout");
                assert_int_equal(at(&x, "127.0.0.12")->look, row[i].look);
                assert_non_null(strstr(x.text, row[i].said));
                assert_int_equal(strstr(x.fix, "propagation.ignore") != NULL, row[i].undelegate);
        }
}

static void a_quorum_and_ignored_servers_decide_with_fewer(void **state)
{
        (void)state;
        struct conf_propagation conf = often(1);
        bed.play[1] = (struct played){ .refuses = true };
        conf.quorum = 1;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 1);
        static const char *const ignored[] = { "127.0.0.12", "NS2.example.test" };
        for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
                conf = often(1);
                assert_true(texts_add(&conf.ignore, ignored[i]));
                bed.play[1].asked = 0;
                x = run(&conf, false);
                assert_string_equal(x.code, "");
                assert_int_equal(at(&x, "127.0.0.12")->look, LOOK_IGNORED);
                assert_int_equal(bed.play[1].asked, 0);
                texts_done(&conf.ignore);
        }
        conf = often(1);
        conf.quorum = -1; /* the majority of two is two */
        conf.timeout_ms = SHORT_MS;
        x = run(&conf, false);
        assert_string_equal(x.code, "propagation.timeout");
        assert_int_equal(x.wanted, 2);
}

static void an_alias_is_followed_into_its_own_zone(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.play[0] = bed.play[1] = (struct played){ .alias = "x.other.test" };
        bed.needed = 4;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 1);
        assert_string_equal(zone_at(&x, "127.0.0.13"), "other.test");
        assert_false(bed.early);
        bed.play[0].alias = bed.play[1].alias = PLACE;
        x = run(&conf, false);
        assert_string_equal(x.code, "propagation.alias");
        assert_non_null(strstr(x.text, "the alias chain of " PLACE " loops at " PLACE));
}

static void servers_that_the_zone_alone_names_are_asked_too(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.delegated = true;
        bed.needed = 12;
        bed.play[3].from = 3;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 2);
        assert_string_equal(name_at(&x, "127.0.0.13"), "ns3.example.test");
        assert_string_equal(name_at(&x, "127.0.0.14"), "ns4.example.test");
        assert_string_equal(zone_at(&x, "127.0.0.14"), "www.example.test");
        assert_int_equal(bed.play[3].asked, 3);
        assert_int_equal(bed.play[0].asked + bed.play[1].asked, 0);
        assert_false(bed.early);
}

/* The parent's word, and a resolver that comes by it, leads there all the same. */
static void a_server_without_address_is_asked_by_its_glue(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.addressless = true;
        bed.glue = "127.0.0.12";
        bed.play[1].from = 4;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 2);
        assert_string_equal(name_at(&x, "127.0.0.12"), "ns2.example.test");
        assert_int_equal(bed.play[1].asked, 4);
        assert_false(bed.early);
}

static void the_glue_of_a_delegation_counts_too(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.delegated = bed.addressless = true;
        bed.glue = "127.0.0.13";
        bed.needed = 12;
        bed.play[2].from = 3;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 2);
        assert_string_equal(name_at(&x, "127.0.0.13"), "ns3.example.test");
        assert_int_equal(bed.play[2].asked, 3);
        assert_false(bed.early);
}

/* What the parent says beside the zone's own word is asked as well: a resolver may have come that way. */
static void glue_that_differs_is_asked_beside_the_address(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.glue = "127.0.0.14";
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 3);
        assert_string_equal(name_at(&x, "127.0.0.14"), "ns2.example.test");
}

static void a_server_without_any_address_is_named_and_waited_for(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.addressless = true;
        conf.timeout_ms = SHORT_MS;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "propagation.timeout");
        assert_int_equal(x.seen, 1);
        assert_int_equal(x.wanted, 2);
        assert_int_equal(x.count, 2);
        assert_string_equal(x.name[1], "ns2.example.test");
        assert_int_equal(x.server[1].look, LOOK_PENDING);
        assert_int_equal(x.server[1].address.family, 0);
        assert_non_null(strstr(x.text, "is not shown everywhere: ns2.example.test: no address known"));
        assert_non_null(strstr(x.state, "ns2.example.test: no address known; 1 of 2 agree; timeout in "));
        assert_non_null(strstr(x.fix, "propagation.ignore"));
        assert_int_equal(bed.at_resolver, 0);
        assert_true(texts_add(&conf.ignore, "ns2.example.test."));
        x = run(&conf, false);
        texts_done(&conf.ignore);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 1);
        assert_int_equal(x.server[1].look, LOOK_IGNORED);
}

static void a_lookup_that_failed_is_made_again(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        conf.timeout_ms = SHORT_MS;
        bed.lookups_fail = 2; /* A and AAAA */
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "propagation.timeout");
        assert_non_null(strstr(x.text, "ns2.example.test: looking up ns2.example.test: SERVFAIL"));
        x = run(&conf, false); /* what was not found out is kept for nobody */
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 2);
        zones_forgotten();
        conf = often(1); /* within one wait */
        bed.lookups_fail = 2;
        bed.shown = 0;
        bed.play[1] = (struct played){ .text = { VALUE }, .from = 2 };
        x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.wanted, 2);
        assert_int_equal(x.seen, 2);
        assert_int_equal(bed.play[1].asked, 2);
        assert_false(bed.early);
}

static void lookups_that_fail_for_all_servers_are_no_empty_zone(void **state)
{
        struct conf_propagation conf = often(1);
        struct proof proof = { PROOF_TXT, OWN("www.other.test"), OWN("_dnsauth.www.other.test"), NULL, OWN(VALUE) };
        struct propagation_request r = { .proof = &proof, .conf = &conf };
        struct ended x = { 0 };
        struct err e;
        (void)state;
        bed.only_second = true;
        bed.lookups_fail = 2;
        assert_non_null(propagation_start(bed.engine, &r, NULL, done, &x, &e));
        assert_true(loop_run_until(bed.loop, &x.over, LIMIT_MS));
        assert_string_equal(x.code, "propagation.resolver");
        assert_int_equal(x.kind, ERR_TEMPORARY);
        assert_non_null(strstr(x.text, "looking up ns2.example.test: SERVFAIL"));
}

static void gone_means_gone_everywhere(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        bed.play[0].text[0] = "of somebody else";
        bed.play[1].from = 1;
        bed.play[1].until = 3;
        struct ended x = run(&conf, true);
        assert_string_equal(x.code, "");
        assert_int_equal(bed.play[1].asked, 4);
        assert_int_equal(bed.at_resolver, 0);
        conf.timeout_ms = SHORT_MS;
        bed.play[1].until = 0;
        x = run(&conf, true);
        assert_string_equal(x.code, "propagation.timeout");
        assert_non_null(strstr(x.text, "is not gone everywhere"));
}

static void it_settles_before_it_is_sure(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        conf.settle_ms = 400;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_true(x.elapsed_ms >= 400);
}

static void other_views_ask_others(void **state)
{
        struct conf_propagation conf = often(1);
        (void)state;
        conf.view = VIEW_PUBLISHER;
        struct ended x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_int_equal(x.count, 0);
        bed.needed = 0;
        conf.view = VIEW_RESOLVERS;
        x = run(&conf, false);
        assert_string_equal(x.code, "");
        assert_true(x.count == 1 && x.server[0].resolver);
        assert_int_equal(bed.play[0].asked + bed.play[1].asked, 0);
}

static void what_is_cancelled_says_nothing(void **state)
{
        struct conf_propagation conf = often(2);
        struct ended dropped[3] = { { 0 } }, kept = { 0 };
        bool never = false;
        (void)state;
        propagation_cancel(NULL);
        propagation_cancel(start(&conf, false, &dropped[0])); /* before it began */
        struct propagation *middle = start(&conf, false, &dropped[1]);
        (void)start(&conf, false, &kept);
        (void)loop_run_until(bed.loop, &never, 5);
        propagation_cancel(middle);
        assert_true(loop_run_until(bed.loop, &kept.over, LIMIT_MS));
        (void)start(&conf, false, &dropped[2]); /* the engine's end cancels it */
        assert_int_equal(dropped[0].calls + dropped[1].calls, 0);
}

static void a_zone_that_cannot_be_found_is_named(void **state)
{
        struct conf_propagation conf = often(1);
        struct proof proof = { PROOF_TXT, OWN("www.nowhere.test"), OWN("_dnsauth.www.nowhere.test"), NULL, OWN(VALUE) };
        struct propagation_request r = { .proof = &proof, .conf = &conf };
        struct ended x = { 0 };
        struct err e;
        (void)state;
        assert_non_null(propagation_start(bed.engine, &r, NULL, done, &x, &e));
        assert_true(loop_run_until(bed.loop, &x.over, LIMIT_MS));
        assert_string_equal(x.code, "propagation.resolver");
        assert_string_equal(x.text, "finding the zone of _dnsauth.www.nowhere.test: SERVFAIL");
        assert_int_equal(bed.at_resolver, 0);
}

static void a_domain_that_is_not_delegated_is_for_somebody_to_mend(void **state)
{
        struct conf_propagation conf = often(1);
        struct proof proof = { PROOF_TXT, OWN("www.gone.example"), OWN("_dnsauth.www.gone.example"), NULL, OWN(VALUE) };
        struct propagation_request r = { .proof = &proof, .conf = &conf };
        struct ended x = { 0 };
        struct err e;
        (void)state;
        assert_non_null(propagation_start(bed.engine, &r, NULL, done, &x, &e));
        assert_true(loop_run_until(bed.loop, &x.over, LIMIT_MS));
        assert_string_equal(x.code, "propagation.no-zone");
        assert_non_null(strstr(x.text, "no zone answers for it; is the domain delegated?"));
        assert_non_null(strstr(x.fix, "have the domain delegated"));
        assert_int_equal(bed.at_resolver, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bed, close_bed)
int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_domain_that_is_not_delegated_is_for_somebody_to_mend),
                TEST(the_verdict_names_every_address_and_what_carried_it),
                TEST(resolvers_are_asked_last),
                TEST(who_lags_is_named_and_alone_asked_again),
                TEST(a_value_that_goes_again_does_not_count),
                TEST(bytes_are_compared_exactly),
                TEST(what_is_wrong_with_a_server_is_named),
                TEST(a_quorum_and_ignored_servers_decide_with_fewer),
                TEST(an_alias_is_followed_into_its_own_zone),
                TEST(servers_that_the_zone_alone_names_are_asked_too),
                TEST(a_server_without_address_is_asked_by_its_glue),
                TEST(the_glue_of_a_delegation_counts_too),
                TEST(glue_that_differs_is_asked_beside_the_address),
                TEST(a_server_without_any_address_is_named_and_waited_for),
                TEST(a_lookup_that_failed_is_made_again),
                TEST(lookups_that_fail_for_all_servers_are_no_empty_zone),
                TEST(gone_means_gone_everywhere),
                TEST(it_settles_before_it_is_sure),
                TEST(other_views_ask_others),
                TEST(what_is_cancelled_says_nothing),
                TEST(a_zone_that_cannot_be_found_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
