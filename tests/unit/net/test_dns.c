/* Questions to a name server of the test, over loopback sockets of this process. */
#include "test.h"

#include <uv.h>

#include "agent/base/clock.h"
#include "agent/net/dns.h"
#include "agent/net/dns_internal.h"
#include "name_server.h"
#include "own_time.h"

#define LIMIT_MS 20000

struct outcome {
        unsigned ended;
        enum dns_outcome what;
        enum dns_transport transport;
        int64_t rtt_us;
        uint16_t rcode, id;
        bool rd, ad, tc;
        size_t answers;
        char text[300], err[200], code[32];
};
struct bed {
        struct loop *loop;
        struct dns *dns;
        struct name_server a, b;
        bool done;
        unsigned wanted, ended, good;
        uint16_t ids[1000];
        size_t id_count;
        bool saw_ad, saw_cd, saw_opt, saw_do;
        unsigned asked[8];
};
static struct bed bed;

/* ---- the played server: the first label says what it does ---- */

static bool has_opt(const struct dns_message *q, bool *ret_do)
{
        for (size_t i = 0; i < q->rr_count; i++)
                if (q->rr[i].type == DNS_OPT) {
                        *ret_do = q->rr[i].ttl & 0x8000;
                        return true;
                }
        return false;
}

static bool about(const struct dns_message *q, const char *label)
{
        return strncmp(q->question, label, strlen(label)) == 0;
}

static void answer_hosts(const struct dns_message *q, struct ns_reply *r)
{
        ns_start(r, q, 0);
        if (about(q, "both") || (about(q, "v4") && q->qtype == DNS_A)) {
                ns_pointer(r, DNS_ANSWER, q->question, DNS_CNAME, "host.test");
                if (q->qtype == DNS_A) {
                        ns_address(r, DNS_ANSWER, "host.test", "192.0.2.1");
                        ns_address(r, DNS_ANSWER, "host.test", "192.0.2.2");
                        ns_address(r, DNS_ANSWER, "host.test", "192.0.2.1");
                } else {
                        ns_address(r, DNS_ANSWER, "host.test", "2001:db8::1");
                }
        } else if (about(q, "nobody")) {
                ns_start(r, q, DNS_NXDOMAIN);
        }
}

static void answer(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        bool dnssec = false, opt = has_opt(q, &dnssec);
        bed.saw_ad = q->ad;
        bed.saw_cd = q->cd;
        bed.saw_opt = opt;
        bed.saw_do = dnssec;
        if (bed.id_count < ARRAY_LEN(bed.ids))
                bed.ids[bed.id_count++] = q->id;
        if (q->qtype == DNS_A || q->qtype == DNS_AAAA)
                return answer_hosts(q, r);
        if (about(q, "silent") || (about(q, "lost") && bed.asked[0]++ == 0) || (about(q, "tcponly") && !tcp))
                return;
        if (about(q, "closes") && tcp && bed.asked[1]++ == 1) { /* the second question of all */
                r->hang_up = true;
                return;
        }
        if (about(q, "hangs-up")) {
                r->hang_up = true;
                return;
        }
        if ((about(q, "old") && opt) || (about(q, "formerr"))) {
                ns_start(r, q, DNS_FORMERR);
                return;
        }
        ns_start(r, q, 0x0400 | (about(q, "refused") || (about(q, "second") && s == &bed.a) ? DNS_REFUSED : 0));
        if (about(q, "tc") && !tcp) {
                ns_start(r, q, 0x0600);
                return;
        }
        ns_txt(r, q->question, s == &bed.b ? "from b" : "value");
        for (int i = 0; about(q, "big") && i < 20; i++)
                ns_txt(r, q->question, "................................................................");
        r->twice_wrong = about(q, "wrongid");
        if (r->twice_wrong && tcp)
                r->twice_wrong = false;
        if (about(q, "malformed"))
                r->len -= 3; /* the record's data ends beyond the packet */
}

/* ---- the bed ---- */

static int open_bed(void **state)
{
        char resolver[ADDRESS_TEXT];
        struct err e;
        (void)state;
        memset(&bed, 0, sizeof bed);
        assert_true(loop_open(&bed.loop, &e));
        assert_true(ns_open(&bed.a, bed.loop, "127.0.0.1", 0, answer, NULL));
        assert_true(ns_open(&bed.b, bed.loop, "127.0.0.2", 0, answer, NULL));
        address_text(&bed.a.address, true, resolver);
        const char *const resolvers[] = { resolver, NULL };
        struct dns_conf conf = { .resolvers = resolvers, .port = bed.a.address.port };
        assert_true(dns_open(&bed.dns, bed.loop, &conf, &e));
        return 0;
}

static int close_bed(void **state)
{
        (void)state;
        clock_fake(0, 0);
        dns_close(bed.dns);
        ns_close(&bed.a);
        ns_close(&bed.b);
        loop_close(bed.loop);
        return 0;
}

static void note(void *arg, const struct dns_answer *a)
{
        struct outcome *o = arg;
        uint8_t *text = NULL;
        size_t len;
        o->ended++;
        o->what = a->outcome;
        o->transport = a->transport;
        o->rtt_us = a->rtt_us;
        bed.done = ++bed.ended >= bed.wanted;
        if (a->outcome != DNS_ANSWERED) {
                snprintf(o->err, sizeof o->err, "%.199s", a->err->text);
                snprintf(o->code, sizeof o->code, "%.31s", a->err->code);
                return;
        }
        o->rcode = a->message->rcode;
        o->id = a->message->id;
        o->tc = a->message->tc;
        o->rd = a->message->rd;
        o->answers = a->message->rr_count;
        if (a->message->rr_count > 0 && dns_rr_txt(a->message, &a->message->rr[0], &text, &len, NULL))
                snprintf(o->text, sizeof o->text, "%.299s", (char *)text);
        free(text);
}

static void run(unsigned wanted)
{
        bed.wanted = wanted;
        bed.ended = 0;
        bed.done = false;
        assert_true(loop_run_until(bed.loop, &bed.done, LIMIT_MS));
}

static struct outcome ask_one(const char *name, enum dns_transport t, unsigned flags)
{
        struct outcome o = { 0 };
        struct err e;
        assert_non_null(dns_ask(bed.dns, &bed.a.address, t, name, DNS_TXT, flags, note, &o, &e));
        assert_int_equal(o.ended, 0); /* never before it returned */
        run(1);
        return o;
}

static struct outcome ask_any(const char *name)
{
        struct outcome o = { 0 };
        struct err e;
        assert_non_null(dns_ask_any(bed.dns, &bed.a.address, name, DNS_TXT, 0, note, &o, &e));
        run(1);
        return o;
}

/* ---- tests ---- */

static void an_answer_comes_with_what_carried_it(void **state)
{
        static const enum dns_transport each[] = { DNS_UDP, DNS_TCP };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(each); i++) {
                struct outcome o = ask_one("txt.test", each[i], 0);
                assert_int_equal(o.what, DNS_ANSWERED);
                assert_int_equal(o.transport, each[i]);
                assert_int_equal(o.rcode, DNS_NOERROR);
                assert_string_equal(o.text, "value");
                assert_true(o.rtt_us > 0 && o.rtt_us < 5000000);
                assert_false(o.rd);
                assert_true(bed.saw_opt);
        }
        assert_int_equal(bed.a.connections, 1);
}

static void an_rcode_is_an_answer(void **state)
{
        (void)state;
        struct outcome o = ask_one("refused.test", DNS_UDP, 0);
        assert_int_equal(o.what, DNS_ANSWERED);
        assert_int_equal(o.rcode, DNS_REFUSED);
        assert_int_equal(bed.a.questions, 1); /* not swallowed, not repeated */
        o = ask_any("refused.test");
        assert_int_equal(o.transport, DNS_UDP);
        o = ask_one("formerr.test", DNS_UDP, 0);
        assert_int_equal(o.what, DNS_ANSWERED);
        assert_int_equal(o.rcode, DNS_FORMERR);
}

static void flags_reach_the_server(void **state)
{
        (void)state;
        struct outcome o = ask_one("txt.test", DNS_UDP, DNS_RECURSE);
        assert_true(o.rd && !bed.saw_ad && !bed.saw_cd && !bed.saw_do);
        (void)ask_one("txt.test", DNS_UDP, DNS_WANT_AD);
        assert_true(bed.saw_ad && !bed.saw_cd && !bed.saw_do);
        (void)ask_one("txt.test", DNS_UDP, DNS_CHECKING_DISABLED | DNS_WANT_DNSSEC);
        assert_true(!bed.saw_ad && bed.saw_cd && bed.saw_do);
}

static void truncation_is_seen_or_followed_by_tcp(void **state)
{
        (void)state;
        struct outcome o = ask_one("tc.test", DNS_UDP, 0);
        assert_true(o.tc && o.answers == 0 && o.transport == DNS_UDP);
        o = ask_any("tc.test");
        assert_true(!o.tc && o.transport == DNS_TCP);
        assert_string_equal(o.text, "value");
        o = ask_any("big.test");
#if ARES_VERSION < 0x011600 /* a datagram of more than we allow is cut on the way in, whatever its TC says */
        assert_int_equal(o.transport, DNS_TCP);
#endif
        assert_int_equal(o.answers, 21);
}

static void a_lost_datagram_is_sent_again(void **state)
{
        (void)state;
        struct outcome o = ask_one("lost.test", DNS_UDP, 0);
        assert_int_equal(o.what, DNS_ANSWERED);
        assert_int_equal(o.transport, DNS_UDP);
        assert_int_equal(bed.a.questions, 2);
}

static void another_id_is_not_our_answer(void **state)
{
        (void)state;
        struct outcome o = ask_one("wrongid.test", DNS_UDP, 0);
        assert_int_equal(o.what, DNS_ANSWERED);
        assert_int_equal(o.id, bed.ids[bed.id_count - 1]);
        assert_int_equal(bed.a.questions, 1);
}

static void what_cannot_be_read_is_malformed(void **state)
{
        (void)state;
        struct outcome o = ask_one("malformed.test", DNS_UDP, 0);
#if ARES_VERSION < 0x011600
        assert_int_equal(o.what, DNS_MALFORMED);
        assert_string_equal(o.code, "dns.failed");
#else
        assert_true(o.what != DNS_ANSWERED); /* thrown away before it came here */
#endif
}

static void count(void *arg, const struct dns_answer *a)
{
        (void)arg;
        bed.good += a->outcome == DNS_ANSWERED && a->message->rcode == DNS_NOERROR;
        bed.done = ++bed.ended >= bed.wanted;
}

/* All the silent ones at once: this takes as long as one. */
static void silence_ends(void **state)
{
        struct outcome udp = { 0 }, tcp = { 0 }, any = { 0 }, only = { 0 };
        struct err e;
        (void)state;
        uint64_t start_ns = uv_hrtime();
        assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_UDP, "silent.test", DNS_TXT, 0, note, &udp, &e));
        assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_TCP, "silent.test", DNS_TXT, 0, note, &tcp, &e));
        assert_non_null(dns_ask_any(bed.dns, &bed.a.address, "silent.test", DNS_TXT, 0, note, &any, &e));
        assert_non_null(dns_ask_any(bed.dns, &bed.a.address, "tcponly.test", DNS_TXT, 0, note, &only, &e));
        for (int i = 0; i < 600; i++) /* more than two windows: the rest ends unsent */
                assert_non_null(dns_ask(bed.dns, &bed.b.address, DNS_UDP, "silent.test", DNS_TXT, 0, count, NULL, &e));
        run(604);
        assert_int_equal(bed.good, 0);
        assert_true((uv_hrtime() - start_ns) / 1000000 < 12000);
        assert_int_equal(udp.what, DNS_TIMEOUT);
        assert_string_equal(udp.code, "dns.silent");
        assert_non_null(strstr(udp.err, "127.0.0.1"));
        assert_non_null(strstr(udp.err, "UDP"));
        assert_int_equal(tcp.what, DNS_TIMEOUT);
        assert_int_equal(any.what, DNS_TIMEOUT);
        assert_int_equal(any.transport, DNS_TCP);
        assert_int_equal(only.what, DNS_ANSWERED);
        assert_int_equal(only.transport, DNS_TCP);
        assert_int_equal(udp.ended + tcp.ended + any.ended + only.ended, 4);
        /* A dead socket is not used again: what was asked after the first silence went over a connection of its own. */
        assert_int_equal(bed.a.connections, 2);
}

static void nobody_there_is_told_at_once(void **state)
{
        struct outcome o = { 0 };
        struct err e;
        (void)state;
        struct address closed = bed.b.address;
        ns_close(&bed.b);
        uint64_t start_ns = uv_hrtime();
        assert_non_null(dns_ask_any(bed.dns, &closed, "txt.test", DNS_TXT, 0, note, &o, &e));
        run(1);
        assert_int_equal(o.what, DNS_UNREACHABLE);
        assert_int_equal(o.transport, DNS_TCP);
        assert_true((uv_hrtime() - start_ns) / 1000000 < 900); /* before any time-out */
}

/* Every send fails within the call: the depth of the stack must not grow with the line. */
static void a_long_line_to_nowhere_ends(void **state)
{
        struct address nowhere;
        struct err e;
        (void)state;
        assert_true(address_parse("255.255.255.255", 53, &nowhere));
        for (int i = 0; i < 20000; i++)
                assert_non_null(dns_ask(bed.dns, &nowhere, DNS_UDP, "txt.test", DNS_TXT, 0, count, NULL, &e));
        run(20000);
        assert_int_equal(bed.good, 0);
}

static void an_idle_connection_that_closes_costs_nothing(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++)
                assert_int_equal(ask_one("closes.test", DNS_TCP, 0).what, DNS_ANSWERED);
        assert_int_equal(bed.a.connections, 2);
        struct outcome o = ask_one("hangs-up.test", DNS_TCP, 0); /* but not for ever */
        assert_int_equal(o.what, DNS_UNREACHABLE);
}

static void a_server_from_before_edns_is_asked_without(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++) {
                struct outcome o = ask_one("old.test", DNS_UDP, DNS_WANT_DNSSEC);
                assert_int_equal(o.what, DNS_ANSWERED);
                assert_int_equal(o.rcode, DNS_NOERROR);
                assert_string_equal(o.text, "value");
        }
        assert_false(bed.saw_opt);
        unsigned before = bed.a.questions;
        (void)ask_one("old.test", DNS_UDP, 0);
#if ARES_VERSION < 0x011600
        assert_int_equal(bed.a.questions, before + 1);
#else
        assert_in_range(bed.a.questions, before + 1, before + 2); /* c-ares asks again by itself, and does not say so */
#endif
}

static void a_thousand_questions_are_all_answered(void **state)
{
        struct err e;
        unsigned same = 0, next = 0;
        (void)state;
        for (int i = 0; i < 1000; i++) {
                char name[40];
                snprintf(name, sizeof name, "txt%d.test", i);
                assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_UDP, name, DNS_TXT, 0, count, NULL, &e));
        }
        run(1000);
        assert_int_equal(bed.good, 1000);
        for (size_t i = 1; i < bed.id_count; i++) {
                same += bed.ids[i] == bed.ids[i - 1];
                next += bed.ids[i] == (uint16_t)(bed.ids[i - 1] + 1);
        }
        assert_int_equal(bed.id_count, 1000);
        assert_true(same < 5 && next < 5); /* random: about one in 65536 each */
}

static void turn(void)
{
        (void)uv_run(loop_uv(bed.loop), UV_RUN_NOWAIT);
}

static void at_most_a_window_is_outstanding(void **state)
{
        struct err e;
        (void)state;
        bed.a.holding = true; /* nothing is measured yet: the first one is sent again after a second */
        for (int i = 0; i < 1000; i++)
                assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_UDP, "txt.test", DNS_TXT, 0, count, NULL, &e));
        for (int i = 0; i < 50 && bed.a.held_count < DNS_WINDOW; i++)
                turn();
        for (int i = 0; i < 5; i++)
                turn();
        assert_int_equal(bed.a.held_count, DNS_WINDOW);
        bed.wanted = 1000;
        bed.ended = 0;
        bed.done = false;
        ns_release(&bed.a);
        assert_true(loop_run_until(bed.loop, &bed.done, LIMIT_MS));
        assert_int_equal(bed.good, 1000);
}

static void must_not(void *arg, const struct dns_answer *a)
{
        (void)arg;
        (void)a;
        fail_msg("called back after cancel or close");
}

static struct dns_query *victim;

static void cancel_the_other(void *arg, const struct dns_answer *a)
{
        (void)arg;
        (void)a;
        dns_cancel(victim);
        bed.done = true;
}

static void cancel_before_sending_and_while_under_way(void **state)
{
        struct err e;
        struct dns_query *q[20];
        (void)state;
        bed.a.holding = true;
        for (size_t i = 0; i < ARRAY_LEN(q); i++)
                q[i] = dns_ask(bed.dns, &bed.a.address, DNS_UDP, "txt.test", DNS_TXT, 0, must_not, NULL, &e);
        for (size_t i = 0; i < 10; i++)
                dns_cancel(q[i]);
        for (int i = 0; i < 50 && bed.a.held_count < 10; i++)
                turn();
        assert_int_equal(bed.a.held_count, 10); /* the others never left */
        for (size_t i = 10; i < 20; i++)
                dns_cancel(q[i]);
        ns_release(&bed.a);
        dns_cancel(NULL);
        assert_int_equal(ask_one("txt.test", DNS_UDP, 0).what, DNS_ANSWERED);
}

static void cancel_from_a_callback(void **state)
{
        struct err e;
        (void)state;
        bed.a.holding = true;
        assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_UDP, "txt.test", DNS_TXT, 0, cancel_the_other, NULL, &e));
        victim = dns_ask(bed.dns, &bed.a.address, DNS_UDP, "txt2.test", DNS_TXT, 0, must_not, NULL, &e);
        assert_non_null(victim);
        for (int i = 0; i < 50 && bed.a.held_count < 2; i++)
                turn();
        bed.done = false;
        ns_release(&bed.a);
        assert_true(loop_run_until(bed.loop, &bed.done, LIMIT_MS));
        for (int i = 0; i < 5; i++)
                turn();
}

static void must_not_find(void *arg, const struct address *list, size_t n, const struct err *err)
{
        (void)arg;
        (void)list;
        (void)n;
        (void)err;
        fail_msg("called back after close");
}

static void close_with_questions_outstanding_calls_nobody(void **state)
{
        struct err e;
        (void)state;
        bed.a.holding = true;
        for (int i = 0; i < 600; i++)
                assert_non_null(dns_ask_any(bed.dns, &bed.a.address, "txt.test", DNS_TXT, 0, must_not, NULL, &e));
        assert_non_null(dns_ask(bed.dns, &bed.a.address, DNS_TCP, "silent.test", DNS_TXT, 0, must_not, NULL, &e));
        assert_non_null(dns_lookup(bed.dns, "both.test", must_not_find, NULL, &e));
        for (int i = 0; i < 50 && bed.a.held_count < DNS_WINDOW; i++)
                turn();
        assert_non_null(dns_lookup(bed.dns, "127.0.0.1", must_not_find, NULL, &e));
        dns_close(bed.dns);
        bed.dns = NULL;
        ns_release(&bed.a);
        for (int i = 0; i < 5; i++)
                turn();
}

static void count_active_timers(uv_handle_t *h, void *arg)
{
        if (uv_handle_get_type(h) == UV_TIMER && uv_is_active(h) && !uv_is_closing(h))
                ++*(unsigned *)arg;
}

static void at_rest_only_the_idle_close_is_armed(void **state)
{
        unsigned timers = 0;
        (void)state;
        (void)ask_one("txt.test", DNS_UDP, 0);
        (void)ask_one("txt.test", DNS_TCP, 0);
        turn();
        uv_walk(loop_uv(bed.loop), count_active_timers, &timers);
        assert_int_equal(timers, 1);
        assert_int_equal(bed.dns->channels, 2);
        dns_sweep(bed.dns); /* used just now: they stay */
        assert_int_equal(bed.dns->channels, 2);
        clock_fake(0, clock_boot_ms() + 31000);
        dns_sweep(bed.dns);
        assert_int_equal(bed.dns->channels, 0);
        timers = 0;
        uv_walk(loop_uv(bed.loop), count_active_timers, &timers);
        assert_int_equal(timers, 0);
        clock_fake(0, 0);
        assert_int_equal(ask_one("txt.test", DNS_UDP, 0).what, DNS_ANSWERED);
}

static void bad_names_are_refused_at_once(void **state)
{
        static const char *const bad[] = { "a..b", ".a", "a\\999",
                "0123456789012345678901234567890123456789012345678901234567890123.test" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct err e = { 0 };
                assert_null(dns_ask(bed.dns, &bed.a.address, DNS_UDP, bad[i], DNS_TXT, 0, must_not, NULL, &e));
                assert_int_equal(e.kind, ERR_CONFIG);
        }
        assert_int_equal(ask_one("", DNS_UDP, 0).what, DNS_ANSWERED); /* the root is a name */
#if ARES_VERSION < 0x011600 /* later ones take no name that a host cannot have */
        assert_int_equal(ask_one("txt\\000\\046x.test", DNS_UDP, 0).what, DNS_ANSWERED);
#endif
}

static void resolvers_are_asked_in_order(void **state)
{
        char first[ADDRESS_TEXT], second[ADDRESS_TEXT];
        struct outcome o = { 0 };
        struct err e;
        (void)state;
        address_text(&bed.a.address, true, first);
        address_text(&bed.b.address, true, second);
        const char *const both[] = { first, second, NULL };
        struct dns_conf conf = { .resolvers = both };
        assert_true(dns_configure(bed.dns, &conf, &e));
        assert_int_equal(dns_resolver_count(bed.dns), 2);
        assert_int_equal(dns_port(bed.dns), 53);
        assert_non_null(dns_ask_resolver(bed.dns, "txt.test", DNS_TXT, 0, note, &o, &e));
        run(1);
        assert_string_equal(o.text, "value");
        assert_true(o.rd);
        assert_non_null(dns_ask_resolver(bed.dns, "second.test", DNS_TXT, 0, note, &o, &e));
        run(1);
        assert_string_equal(o.text, "from b");
        assert_int_equal(o.ended, 2);
        /* A bad list changes nothing. */
        const char *const bad[] = { second, "resolver.test", NULL };
        struct dns_conf wrong = { .resolvers = bad, .port = 1 };
        assert_false(dns_configure(bed.dns, &wrong, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_int_equal(dns_resolver_count(bed.dns), 2);
        assert_int_equal(dns_port(bed.dns), 53);
}

/* ---- hosts ---- */

struct found {
        size_t count;
        char list[500], code[32];
};

static void note_found(void *arg, const struct address *list, size_t n, const struct err *err)
{
        struct found *f = arg;
        f->count = n;
        f->list[0] = '\0';
        for (size_t i = 0; i < n; i++) {
                char text[ADDRESS_TEXT];
                assert_int_equal(list[i].port, 0);
                address_text(&list[i], false, text);
                strcat(f->list, i ? " " : "");
                strcat(f->list, text);
        }
        assert_true((n == 0) == (err != NULL));
        snprintf(f->code, sizeof f->code, "%.31s", err ? err->code : "");
        bed.done = true;
}

static void hosts_are_looked_up(void **state)
{
        static const struct {
                const char *host, *list, *code;
        } row[] = { { "both.test", "2001:db8::1 192.0.2.1 192.0.2.2", "" }, { "v4.test", "192.0.2.1 192.0.2.2", "" },
                { "none.test", "", "dns.no-address" }, { "nobody.test", "", "dns.no-address" },
                { "192.0.2.9", "192.0.2.9", "" }, { "2001:db8::9", "2001:db8::9", "" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct found f = { 0 };
                struct err e;
                bed.done = false;
                assert_non_null(dns_lookup(bed.dns, row[i].host, note_found, &f, &e));
                assert_false(bed.done);
                assert_true(loop_run_until(bed.loop, &bed.done, LIMIT_MS));
                assert_string_equal(f.list, row[i].list);
                assert_string_equal(f.code, row[i].code);
        }
        unsigned before = bed.a.questions;
        struct found f = { 0 };
        struct err e;
        bed.done = false;
        assert_non_null(dns_lookup(bed.dns, "x.localhost", note_found, &f, &e));
        assert_true(loop_run_until(bed.loop, &bed.done, LIMIT_MS));
        assert_string_equal(f.list, "::1 127.0.0.1");
        assert_int_equal(bed.a.questions, before); /* never asked for */
        assert_null(dns_lookup(bed.dns, "a..b", note_found, &f, &e));
}

#define on_a_bed(test) cmocka_unit_test_setup_teardown(test, open_bed, close_bed)

int main(void)
{
        const struct CMUnitTest tests[] = {
                on_a_bed(an_answer_comes_with_what_carried_it),
                on_a_bed(an_rcode_is_an_answer),
                on_a_bed(flags_reach_the_server),
                on_a_bed(truncation_is_seen_or_followed_by_tcp),
                on_a_bed(a_lost_datagram_is_sent_again),
                on_a_bed(another_id_is_not_our_answer),
                on_a_bed(what_cannot_be_read_is_malformed),
                on_a_bed(silence_ends),
                on_a_bed(nobody_there_is_told_at_once),
                on_a_bed(a_long_line_to_nowhere_ends),
                on_a_bed(an_idle_connection_that_closes_costs_nothing),
                on_a_bed(a_server_from_before_edns_is_asked_without),
                on_a_bed(a_thousand_questions_are_all_answered),
                on_a_bed(at_most_a_window_is_outstanding),
                on_a_bed(cancel_before_sending_and_while_under_way),
                on_a_bed(cancel_from_a_callback),
                on_a_bed(close_with_questions_outstanding_calls_nobody),
                on_a_bed(at_rest_only_the_idle_close_is_armed),
                on_a_bed(bad_names_are_refused_at_once),
                on_a_bed(resolvers_are_asked_in_order),
                on_a_bed(hosts_are_looked_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
