#include "test.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "dnssec_answers.h"
#include "validators/dnssec.h"
#include "validators/judgement.h"

#define NOW (MADE_S + 3600)
#define DAY 86400
#define SERVER "ns1.example.net (192.0.2.1)"

static size_t bytes_of(const char *name, uint8_t *ret, size_t size)
{
        for (size_t i = 0; i < ARRAY_LEN(dnssec_answers); i++) {
                size_t len;
                if (strcmp(dnssec_answers[i].name, name) != 0)
                        continue;
                assert_true(hex_decode(dnssec_answers[i].hex, strlen(dnssec_answers[i].hex), ret, size, &len));
                return len;
        }
        fail_msg("no answer %s", name);
        return 0;
}

enum spoil { WHOLE, NO_DENIAL, BAD_SIGNATURE, SERVFAIL, ANOTHER_TYPE };

/* Where the bytes of the last RRSIG before any OPT end. */
static size_t end_of_signature(const uint8_t *data, size_t len)
{
        struct dns_message m;
        struct err e;
        size_t end = 0;
        assert_true(dns_message_read(data, len, &m, &e));
        for (size_t i = 0; i < m.rr_count; i++)
                if (m.rr[i].type == DNS_RRSIG)
                        end = m.rr[i].rdata + m.rr[i].rdlength;
        dns_message_done(&m);
        assert_true(end > 0);
        return end;
}

static void load(const char *name, enum spoil spoil, struct dns_message *ret)
{
        uint8_t data[4096];
        struct err e;
        size_t len = bytes_of(name, data, sizeof data);
        if (spoil == NO_DENIAL) {
                data[9] = data[11] = 0; /* no authority, no OPT: cut behind the question */
                len = 12 + strlen((char *)data + 12) + 1 + 4;
        } else if (spoil == BAD_SIGNATURE) {
                data[end_of_signature(data, len) - 1] ^= 1;
        } else if (spoil == SERVFAIL) {
                data[3] = (uint8_t)((data[3] & 0xf0) | 2);
        } else if (spoil == ANOTHER_TYPE) {
                memcpy(data + 12 + strlen((char *)data + 12) + 1, "\0\1", 2); /* A, which is there */
        }
        assert_true(dns_message_read(data, len, ret, &e));
}

/* The parent's answer: a DS made by ldns from the zone's own key; digest 0: none; spoilt: of another key. */
static void make_ds(const char *zone, int digest, bool spoilt, struct dns_message *ret)
{
        uint8_t data[4096];
        struct err e;
        CLEANUP(free_p) char *name = text_format("%s @ DNSKEY", zone);
        size_t len = bytes_of(name, data, sizeof data);
        ldns_pkt *pkt,
                *made = ldns_pkt_query_new(ldns_dname_new_frm_str(zone), LDNS_RR_TYPE_DS, LDNS_RR_CLASS_IN, LDNS_QR);
        assert_int_equal(ldns_wire2pkt(&pkt, data, len), LDNS_STATUS_OK);
        for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_pkt_answer(pkt)) && digest; i++) {
                ldns_rr *key = ldns_rr_list_rr(ldns_pkt_answer(pkt), i);
                if (ldns_rr_get_type(key) != LDNS_RR_TYPE_DNSKEY || !(ldns_rdf2native_int16(ldns_rr_rdf(key, 0)) & 1))
                        continue;
                ldns_rr *ds = ldns_key_rr2ds(key, (ldns_hash)digest);
                if (spoilt)
                        ldns_rdf_data(ldns_rr_rdf(ds, 3))[0] ^= 1;
                ldns_pkt_push_rr(made, LDNS_SECTION_ANSWER, ds);
        }
        uint8_t *wire;
        size_t wire_len;
        assert_int_equal(ldns_pkt2wire(&wire, made, &wire_len), LDNS_STATUS_OK);
        assert_true(dns_message_read(wire, wire_len, ret, &e));
        free(wire);
        ldns_pkt_free(pkt);
        ldns_pkt_free(made);
}

struct row {
        const char *zone;
        int digest; /* of the DS */
        bool spoilt_ds;
        const char *answer[3]; /* after "ZONE " */
        enum spoil spoil; /* of the last answer */
        int64_t now_s;
        enum dnssec_verdict verdict;
        const char *ids; /* each once, in order */
        const char *said;
};

static const struct row rows[] = {
        { "plain.test", 0, false, { "www CAA" }, WHOLE, NOW, DNSSEC_INSECURE, "", NULL },
        { "nsec.test", 0, false, { "@ DNSKEY", "www CAA" }, NO_DENIAL, NOW, DNSSEC_INSECURE, "", NULL },
        /* healthy: positive, NODATA, NXDOMAIN, empty non-terminal, wildcards */
        { "nsec.test", 2, false, { "@ DNSKEY", "@ SOA", "txt TXT" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec.test", 2, false, { "@ DNSKEY", "www CAA", "@ CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec.test", 2, false, { "@ DNSKEY", "nope CAA", "a.b.nope CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec.test", 2, false, { "@ DNSKEY", "ent CAA", "x.wild CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec.test", 4, false, { "@ DNSKEY", "x.wild A" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec3.test", 2, false, { "@ DNSKEY", "@ SOA", "txt TXT" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec3.test", 2, false, { "@ DNSKEY", "www CAA", "@ CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec3.test", 2, false, { "@ DNSKEY", "nope CAA", "a.b.nope CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec3.test", 2, false, { "@ DNSKEY", "ent CAA", "x.wild CAA" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        { "nsec3.test", 2, false, { "@ DNSKEY", "x.wild A", "@ NSEC3PARAM" }, WHOLE, NOW, DNSSEC_SECURE, "", NULL },
        /* S02 */
        { "nsec.test", 2, true, { "@ DNSKEY" }, WHOLE, NOW, DNSSEC_BOGUS, "S02", "replace the DS by: nsec.test." },
        { "plain.test", 2, true, { "@ DNSKEY" }, WHOLE, NOW, DNSSEC_INSECURE, "", NULL }, /* no key, no DS made */
        { "nsec.test", 2, false, { "@ SOA" }, WHOLE, NOW, DNSSEC_UNDECIDED, "~S02", NULL },
        { "nsec.test", 2, true, { "@ DNSKEY", "@ SOA" }, WHOLE, NOW, DNSSEC_BOGUS, "S02", SERVER },
        /* S03, S04 */
        { "nsec.test", 2, false, { "@ DNSKEY" }, WHOLE, NOW + 15 * DAY, DNSSEC_BOGUS, "S03", "expired at 2026-12-07" },
        { "nsec.test", 2, false, { "@ DNSKEY" }, WHOLE, NOW - 15 * DAY, DNSSEC_BOGUS, "S03",
                "is not valid before 2026-11-23" },
        { "nsec.test", 2, false, { "@ DNSKEY" }, WHOLE, NOW + 12 * DAY, DNSSEC_SECURE, "S04", "ends at 2026-12-07" },
        { "nsec.test", 2, false, { "@ DNSKEY" }, WHOLE, NOW + 10 * DAY, DNSSEC_SECURE, "", NULL },
        { "nsec.test", 2, false, { "@ DNSKEY" }, BAD_SIGNATURE, NOW, DNSSEC_BOGUS, "S03", "does not verify" },
        { "nsec.test", 2, false, { "@ DNSKEY", "txt TXT" }, BAD_SIGNATURE, NOW, DNSSEC_BOGUS, "S03",
                "txt.nsec.test. TXT does not verify" },
        { "nsec.test", 2, false, { "@ DNSKEY", "www CAA" }, BAD_SIGNATURE, NOW, DNSSEC_BOGUS, "S03", "NSEC" },
        { "nsec3.test", 2, false, { "@ DNSKEY", "www CAA" }, BAD_SIGNATURE, NOW, DNSSEC_BOGUS, "S03", "NSEC3" },
        /* S05 */
        { "nsec.test", 2, false, { "@ DNSKEY", "@ SOA plain" }, WHOLE, NOW, DNSSEC_BOGUS, "S05", "nsec.test. SOA" },
        { "nsec.test", 2, false, { "@ DNSKEY plain" }, WHOLE, NOW, DNSSEC_BOGUS, "S05", "DNSKEY" },
        /* S06 */
        { "nsec.test", 2, false, { "@ DNSKEY", "www CAA" }, NO_DENIAL, NOW, DNSSEC_BOGUS, "S06", "no NSEC" },
        { "nsec3.test", 2, false, { "@ DNSKEY", "nope CAA" }, NO_DENIAL, NOW, DNSSEC_BOGUS, "S06", "no NSEC" },
        { "nsec.test", 2, false, { "@ DNSKEY", "www CAA" }, SERVFAIL, NOW, DNSSEC_BOGUS, "S06", "CAA? www.nsec.test" },
        { "nsec.test", 2, false, { "@ DNSKEY", "www CAA" }, ANOTHER_TYPE, NOW, DNSSEC_BOGUS, "S06", "do not cover" },
        { "nsec3.test", 2, false, { "@ DNSKEY", "www CAA" }, ANOTHER_TYPE, NOW, DNSSEC_BOGUS, "S06", "do not cover" },
        /* S07 */
        { "rsa1.test", 2, false, { "@ DNSKEY", "@ SOA" }, WHOLE, NOW, DNSSEC_SECURE, "S07", "algorithm 5 (RSASHA1)" },
        { "nsec.test", 1, false, { "@ DNSKEY" }, WHOLE, NOW, DNSSEC_SECURE, "S07", "digest type 1 (SHA-1)" },
        /* S08 */
        { "iter.test", 2, false, { "@ DNSKEY", "@ NSEC3PARAM" }, WHOLE, NOW, DNSSEC_SECURE, "S08",
                "150 NSEC3 iterations: validators treat" },
        { "iter.test", 2, false, { "@ DNSKEY", "www CAA" }, WHOLE, NOW, DNSSEC_SECURE, "S08", SERVER },
};

static void every_zone_gets_its_verdict_and_ids(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];
                struct dns_message ds, m[3];
                struct dnssec_answer a[3];
                struct judgements j = { 0 };
                char ids[100] = "";
                size_t n = 0, last = r->answer[2] ? 2 : r->answer[1] ? 1 : 0;
                make_ds(r->zone, r->digest, r->spoilt_ds, &ds);
                for (; n <= last; n++) {
                        CLEANUP(free_p) char *name = text_format("%s %s", r->zone, r->answer[n]);
                        load(name, n == last ? r->spoil : WHOLE, &m[n]);
                        a[n] = (struct dnssec_answer){ SERVER, &m[n] };
                }
                struct dnssec_zone z = { r->zone, &ds, a, n, r->now_s };
                enum dnssec_verdict got = dnssec_judge(&z, &j);
                bool said = !r->said;
                for (size_t k = 0; k < j.count; k++) {
                        said = said || strstr(j.item[k].message, r->said) || strstr(j.item[k].fix, r->said);
                        if (!strstr(ids, j.item[k].id))
                                snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%s%s", *ids ? " " : "",
                                        j.item[k].unverifiable ? "~" : "", j.item[k].id);
                        assert_true(j.item[k].unverifiable || *j.item[k].fix);
                }
                if (got != r->verdict || strcmp(ids, r->ids) != 0 || !said)
                        fail_msg("row %zu (%s %s): %d, %s: %s", i, r->zone, r->answer[last], (int)got, ids,
                                j.count ? j.item[0].message : "");
                assert_false(j.failed);
                judgements_done(&j);
                dns_message_done(&ds);
                while (n > 0)
                        dns_message_done(&m[--n]);
        }
}

/* Record i of a message ends after so many bytes of its data; what follows moves up. False: that is no message. */
static bool cut(const struct dns_message *m, size_t i, size_t len, struct dns_message *ret)
{
        uint8_t data[4096];
        struct err e;
        size_t at = m->rr[i].rdata, end = at + m->rr[i].rdlength;
        memcpy(data, m->data, at);
        data[at - 2] = (uint8_t)(len >> 8);
        data[at - 1] = (uint8_t)len;
        memcpy(data + at, m->data + at, len);
        memcpy(data + at + len, m->data + end, m->len - end);
        return dns_message_read(data, m->len - (end - at) + len, ret, &e);
}

/* Every byte of the fields, not of a signature. */
static size_t step(size_t len)
{
        return len < 32 ? 1 : 16;
}

/* ret_unread: an answer that could not be read was told. */
static enum dnssec_verdict judge_two(
        const struct row *r, const struct dns_message *ds, const struct dnssec_answer a[2], bool *ret_unread)
{
        struct judgements j = { 0 };
        struct dnssec_zone z = { r->zone, ds, a, 2, NOW };
        enum dnssec_verdict got = dnssec_judge(&z, &j);
        assert_false(j.failed);
        *ret_unread = false;
        for (size_t i = 0; i < j.count; i++)
                *ret_unread =
                        *ret_unread || (j.item[i].unverifiable && strstr(j.item[i].message, "cannot be read whole"));
        judgements_done(&j);
        return got;
}

/* A server or whoever stands before it may send anything. */
static void a_record_that_ends_early_ends_nothing_else(void **state)
{
        size_t tried = 0, told = 0;
        bool unread;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];
                struct dns_message ds, short_ds, m[2], short_m;
                struct dnssec_answer a[2];
                if (r->spoil != WHOLE || r->now_s != NOW || !r->answer[1] || r->spoilt_ds)
                        continue;
                make_ds(r->zone, r->digest, false, &ds);
                for (size_t n = 0; n < 2; n++) {
                        CLEANUP(free_p) char *name = text_format("%s %s", r->zone, r->answer[n]);
                        load(name, WHOLE, &m[n]);
                        a[n] = (struct dnssec_answer){ SERVER, &m[n] };
                }
                for (size_t k = 0; k < ds.rr_count; k++)
                        for (size_t len = 0; len < ds.rr[k].rdlength; len += step(len))
                                if (cut(&ds, k, len, &short_ds)) {
                                        assert_int_not_equal(judge_two(r, &short_ds, a, &unread), DNSSEC_SECURE);
                                        dns_message_done(&short_ds);
                                        tried++;
                                }
                for (size_t n = 0; n < 2; n++) {
                        for (size_t k = 0; k < m[n].rr_count; k++)
                                for (size_t len = 0; len < m[n].rr[k].rdlength; len += step(len))
                                        if (cut(&m[n], k, len, &short_m)) {
                                                a[n].message = &short_m;
                                                enum dnssec_verdict got = judge_two(r, &ds, a, &unread);
                                                told += unread ? 1 : 0;
                                                if (n == 0 && r->digest) /* the keys */
                                                        assert_int_not_equal(got, DNSSEC_SECURE);
                                                a[n].message = &m[n];
                                                dns_message_done(&short_m);
                                                tried++;
                                        }
                }
                dns_message_done(&ds);
                dns_message_done(&m[0]);
                dns_message_done(&m[1]);
        }
        assert_true(tried > 1000 && told > tried / 4);
}

static void without_the_parents_answer_nothing_is_decided(void **state)
{
        struct judgements j = { 0 };
        struct dnssec_zone z = { .zone = "nsec.test", .now_s = NOW };
        (void)state;
        assert_int_equal(dnssec_judge(&z, &j), DNSSEC_UNDECIDED);
        assert_int_equal(j.count, 1);
        assert_true(j.item[0].unverifiable);
        judgements_done(&j);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(every_zone_gets_its_verdict_and_ids),
                cmocka_unit_test(a_record_that_ends_early_ends_nothing_else),
                cmocka_unit_test(without_the_parents_answer_nothing_is_decided) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
