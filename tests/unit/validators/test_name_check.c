#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/judgement.h"
#include "validators/name_check.h"

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static void every_name_gets_the_id_it_deserves(void **state)
{
        static const char *const offered[] = { "http-01", "dns-01", NULL };
        static const struct {
                const char *name, *method, *id; /* NULL: good */
                const char *said; /* in message or fix */
        } t[] = {
                { "example.com", "dns-01", NULL, NULL },
                { "www.example.co.uk", "dns-01", NULL, NULL },
                { "*.example.com", "dns-01", NULL, NULL },
                { "WWW.Example.COM", "http-01", NULL, NULL },
                { "a1-b--c.example.com", "dns-01", NULL, NULL },
                { L63 ".example.com", "dns-01", NULL, NULL },
                { "a.b.c.d.e.f.g.h.example.com", "dns-01", NULL, NULL },
                { "user.github.io", "dns-01", NULL, NULL },
                { "github.io", "dns-01", NULL, NULL }, /* the private section does not count */
                { "www.123.com", "dns-01", NULL, NULL },
                /* N01 */
                { "", "dns-01", "N01", "empty label" },
                { ".example.com", "dns-01", "N01", "empty label" },
                { "a..example.com", "dns-01", "N01", "empty label" },
                { "example.com.", "dns-01", "N01", "final dot" },
                { "localhost", "dns-01", "N01", "single label" },
                { "a.b.c.d.e.f.g.h.i.example.com", "dns-01", "N01", "more than 10" },
                { L63 "h.example.com", "dns-01", "N01", "63 bytes" },
                { "a." L63 "h", "dns-01", "N01", "63 bytes" },
                { L63 "." L63 "." L63 "." L63 ".com", "dns-01", "N01", "253" },
                { "-a.example.com", "dns-01", "N01", "hyphen" },
                { "a-.example.com", "dns-01", "N01", "hyphen" },
                { "a.example-.com", "dns-01", "N01", "hyphen" },
                { "a b.example.com", "dns-01", "N01", "other characters" },
                { "a/b.example.com", "dns-01", "N01", "other characters" },
                { "a\n.example.com", "dns-01", "N01", "other characters" },
                { "m\xc3\xbcnchen.example.com", "dns-01", "N01", "write it as xn--mnchen-3ya.example.com" },
                { "www.example.1", "dns-01", "N01", "number" },
                /* N02 */
                { "xn--mnchen-3ya.example.com", "dns-01", NULL, NULL },
                { "XN--MNCHEN-3YA.example.com", "dns-01", NULL, NULL },
                { "xn--ls8h.example.com", "dns-01", NULL, NULL }, /* a symbol: CAs issue for it */
                { "xn--cafe-yvc.example.com", "dns-01", "N02", "normal form C" },
                { "xn--zzzzzzzzzzzzz999999999999.example.com", "dns-01", "N02", "cannot be decoded" },
                { "xn--.example.com", "dns-01", "N01", "hyphen" },
                { "ab--cd.example.com", "dns-01", "N02", "xn--" },
                { "www.ab--cd.com", "dns-01", "N02", "ab--cd" },
                { "a-b--cd.example.com", "dns-01", NULL, NULL },
                /* N03 */
                { "192.0.2.1", "dns-01", "N03", "http-01" },
                { "192.0.2.1", "http-01", "N03", "type ip" },
                { "2001:db8::1", "dns-01", "N03", "IP address" },
                { "*.192.0.2.1", "dns-01", "N03", "IP address" },
                /* N04, N05 */
                { "*.*.example.com", "dns-01", "N04", "leading" },
                { "www.*.example.com", "dns-01", "N04", "leading" },
                { "w*.example.com", "dns-01", "N04", "leading" },
                { "*", "dns-01", "N04", "leading" },
                { "*.example.com", "http-01", "N05", "through DNS" },
                { "*.example.com", "file", "N05", "not by file" },
                { "*.example.com", "tls-alpn-01", "N05", "through DNS" },
                { "*.example.com", NULL, NULL, NULL },
                /* N06 */
                { "example.com", "tls-alpn-01", "N06", "http-01, dns-01" },
                /* N07 */
                { "co.uk", "dns-01", "N07", "public suffix" },
                { "*.co.uk", "dns-01", "N07", "other people's" },
                { "*.com", "dns-01", "N01", "single label" },
                { "server.local", "dns-01", "N07", "private name" },
                { "server.corp.internal", "dns-01", "N07", "private name" },
                { "a.ck", "dns-01", "N07", "public suffix" }, /* *.ck */
                { "www.ck", "dns-01", NULL, NULL }, /* and its exception */
                /* N09 */
                { "1.2.0.192.in-addr.arpa", "dns-01", "N09", "reverse" },
                { "8.b.d.0.1.0.0.2.IP6.ARPA", "dns-01", "N09", "reverse" },
                { "in-addr.arpa.example.com", "dns-01", NULL, NULL },
                /* N10 */
                { "my_host.example.com", "dns-01", "N10", "*.example.com" },
                { "a.my_host.example.com", "dns-01", "N10", "no certificate of a public CA" },
                { "my_host.com", "dns-01", "N10", "no certificate of a public CA" }, /* *.com is nobody's */
                { "my_host.co.uk", "dns-01", "N10", "no certificate of a public CA" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct judgements j = { 0 };
                struct name_request r = { .names = &t[i].name, .count = 1, .method = t[i].method };
                if (t[i].method && strncmp(t[i].method, "tls", 3) == 0)
                        r.offered = offered;
                bool good = names_judge(&r, &j);
                const char *got = j.count ? j.item[0].id : "";
                if (j.count > 1 || strcmp(got, t[i].id ? t[i].id : "") != 0 || good != !t[i].id)
                        fail_msg("%s: %zu findings, %s %s", t[i].name, j.count, got, j.count ? j.item[0].message : "");
                if (t[i].said && !strstr(j.item[0].message, t[i].said) && !strstr(j.item[0].fix, t[i].said))
                        fail_msg("%s: %s / %s", t[i].name, j.item[0].message, j.item[0].fix);
                if (j.count)
                        assert_true(*j.item[0].fix != '\0');
                judgements_done(&j);
        }
}

static void an_internal_ca_and_an_address_type_are_allowed_more(void **state)
{
        static const char *const names[] = { "server.corp.internal", "1.0.0.10.in-addr.arpa", "10.0.0.1" };
        struct name_request r = { .names = names, .count = 3, .method = "http-01", .ip_type = "ip", .internal = true };
        struct judgements j = { 0 };
        (void)state;
        assert_true(names_judge(&r, &j));
        assert_int_equal(j.count, 0);
        r.method = "dns-01";
        assert_false(names_judge(&r, &j));
        assert_string_equal(judgements_find(&j, "N03")->subject, "10.0.0.1");
        judgements_done(&j);
}

static void the_list_is_judged_as_a_whole(void **state)
{
        static const struct {
                const char *names[4];
                unsigned max;
                const char *ids[3], *subject;
                bool good;
        } t[] = {
                { { "a.example.com", "b.example.com" }, 2, { NULL }, NULL, true },
                { { "a.example.com", "b.example.com", "c.example.com" }, 2, { "N11" }, "a.example.com", false },
                { { "a.example.com", "*.example.com" }, 0, { "N12" }, "a.example.com", true },
                { { "*.example.com", "A.Example.com" }, 0, { "N12" }, "A.Example.com", true },
                { { "*.example.com", "example.com" }, 0, { NULL }, NULL, true },
                { { "*.example.com", "a.b.example.com", "*.b.example.com" }, 0, { "N12" }, "a.b.example.com", true },
                { { "*.example.com", "*.b.example.com" }, 0, { NULL }, NULL, true },
                { { "a.example.com", "a.example.com" }, 0, { "N12" }, "a.example.com", true },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct judgements j = { 0 };
                struct name_request r = { .names = t[i].names, .method = "dns-01", .names_max = t[i].max };
                while (r.count < 4 && t[i].names[r.count])
                        r.count++;
                assert_int_equal(names_judge(&r, &j), t[i].good);
                size_t n = 0;
                for (; t[i].ids[n]; n++) {
                        assert_true(n < j.count);
                        assert_string_equal(j.item[n].id, t[i].ids[n]);
                        assert_string_equal(j.item[n].subject, t[i].subject);
                }
                assert_int_equal(j.count, n);
                judgements_done(&j);
        }
}

static void the_registrable_domain_is_that_of_the_icann_section(void **state)
{
        static const struct {
                const char *name, *want;
        } t[] = { { "www.example.co.uk", "example.co.uk" }, { "*.example.com", "example.com" },
                { "example.com", "example.com" }, { "a.b.github.io", "github.io" }, { "co.uk", NULL }, { "com", NULL },
                { "192.0.2.1", NULL }, { "WWW.Example.COM", "Example.COM" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                CLEANUP(free_p) char *got = name_registrable(t[i].name);
                if (strcmp(got ? got : "", t[i].want ? t[i].want : "") != 0)
                        fail_msg("%s: %s", t[i].name, got ? got : "none");
        }
}

static void an_absent_domain_is_named(void **state)
{
        struct judgements j = { 0 };
        (void)state;
        name_judge_absent("exmaple.com", &j);
        assert_non_null(strstr(judgements_find(&j, "N08")->message, "exmaple.com"));
        judgements_done(&j);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(every_name_gets_the_id_it_deserves),
                cmocka_unit_test(an_internal_ca_and_an_address_type_are_allowed_more),
                cmocka_unit_test(the_list_is_judged_as_a_whole),
                cmocka_unit_test(the_registrable_domain_is_that_of_the_icann_section),
                cmocka_unit_test(an_absent_domain_is_named) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
