#include "validators/dnssec.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/judgement.h"

/* Plan (RFC 4035 section 5, RFC 5155, RFC 9276; Baseline Requirements 3.2.2.4):
 *   1. no DS: the zone is insecure and everything passes; else a key of every server's DNSKEY set must match one DS;
 *   2. that key must sign the DNSKEY set, and the set's keys every other answer; ldns verifies, at the time handed in;
 *   3. what does not exist must be denied by NSEC or NSEC3 that are signed as well.
 * Every message was read by dns_message_read before ldns sees its bytes. */

#define SOON_S (3 * 86400)
#define ITERATIONS_WARN 0
#define ITERATIONS_MAX 500 /* hashed here */
#define ITERATIONS_BAD 100 /* beyond this most validators treat the zone as insecure or fail */

struct sight {
        const struct dnssec_zone *z;
        const struct dnssec_answer *answer;
        ldns_pkt *pkt;
        ldns_rr_list *keys; /* of the zone, that a DS leads to; NULL: none of them */
        struct judgements *out;
};

/* ldns takes records whose data end early (those of an update may), and then aborts where it or we look for a field
 * that is not there. */
static bool is_whole(const ldns_rr_list *section)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(section); i++) {
                const ldns_rr *rr = ldns_rr_list_rr(section, i);
                if (ldns_rr_rd_count(rr) < ldns_rr_descriptor_minimum(ldns_rr_descript((uint16_t)ldns_rr_get_type(rr))))
                        return false;
        }
        return true;
}

/* NULL: nothing that can be judged. */
static ldns_pkt *packet(const struct dns_message *m)
{
        ldns_pkt *pkt = NULL;
        if (ldns_wire2pkt(&pkt, m->data, m->len) != LDNS_STATUS_OK)
                return NULL;
        if (is_whole(ldns_pkt_answer(pkt)) && is_whole(ldns_pkt_authority(pkt)))
                return pkt;
        ldns_pkt_free(pkt);
        return NULL;
}

static bool is_of_zone(const struct dnssec_zone *z, const ldns_rr *rr)
{
        ldns_rdf *zone = ldns_dname_new_frm_str(*z->zone ? z->zone : ".");
        bool same = zone && ldns_dname_compare(ldns_rr_owner(rr), zone) == 0;
        ldns_rdf_deep_free(zone);
        return same;
}

/* The zone's own records of a type in the answer section. The list is the caller's, its records are the packet's. */
static ldns_rr_list *zone_records(const struct dnssec_zone *z, const ldns_pkt *pkt, ldns_rr_type type)
{
        ldns_rr_list *all = ldns_pkt_answer(pkt), *ret = ldns_rr_list_new();
        for (size_t i = 0; ret && i < ldns_rr_list_rr_count(all); i++)
                if (ldns_rr_get_type(ldns_rr_list_rr(all, i)) == type && is_of_zone(z, ldns_rr_list_rr(all, i)))
                        ldns_rr_list_push_rr(ret, ldns_rr_list_rr(all, i));
        return ret;
}

static const char *zone_text(const struct dnssec_zone *z)
{
        return *z->zone ? z->zone : ".";
}

static char *set_text(const ldns_rr *rr)
{
        char *owner = ldns_rdf2str(ldns_rr_owner(rr)), *type = ldns_rr_type2str(ldns_rr_get_type(rr));
        char *text = text_format("%s %s", owner ? owner : "?", type ? type : "?");
        free(owner);
        free(type);
        return text;
}

/* ---- S07, S08 ---- */

static const struct {
        int number;
        const char *name;
} old_algorithms[] = { { 1, "RSAMD5" }, { 3, "DSA" }, { 5, "RSASHA1" }, { 6, "DSA-NSEC3-SHA1" },
        { 7, "RSASHA1-NSEC3-SHA1" }, { 12, "ECC-GOST" } },
  old_digests[] = { { 1, "SHA-1" }, { 3, "GOST R 34.11-94" } };

static void judge_algorithm(const struct dnssec_zone *z, int algorithm, const char *where, struct judgements *out)
{
        for (size_t i = 0; i < ARRAY_LEN(old_algorithms); i++)
                if (old_algorithms[i].number == algorithm)
                        judge(out, "S07",
                                (struct judgement_words){ z->zone,
                                        "roll the keys to algorithm 13 (ECDSA P-256) or 8 (RSA/SHA-256), then the DS "
                                        "at the registrar",
                                        NULL, "13" },
                                "%s of %s: algorithm %d (%s) is obsolete; a validator may refuse the zone or take it "
                                "as unsigned",
                                where, zone_text(z), algorithm, old_algorithms[i].name);
}

static void judge_ds_fields(const struct dnssec_zone *z, const ldns_rr *ds, struct judgements *out)
{
        int digest = ldns_rdf2native_int8(ldns_rr_rdf(ds, 2));
        judge_algorithm(z, ldns_rdf2native_int8(ldns_rr_rdf(ds, 1)), "the DS", out);
        for (size_t i = 0; i < ARRAY_LEN(old_digests); i++)
                if (old_digests[i].number == digest)
                        judge(out, "S07",
                                (struct judgement_words){ z->zone,
                                        "publish a DS with digest type 2 (SHA-256) at the registrar", NULL, "2" },
                                "the DS of %s: digest type %d (%s) is obsolete", zone_text(z), digest,
                                old_digests[i].name);
}

static void judge_iterations(const struct sight *s, const ldns_rr *rr)
{
        int n = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
        if (n > ITERATIONS_WARN)
                judge(s->out, "S08",
                        (struct judgement_words){ s->z->zone,
                                "set the NSEC3 iterations to 0 and use no salt (RFC 9276), then sign again", NULL,
                                "0" },
                        "%s (%s): %d NSEC3 iterations: %s", zone_text(s->z), s->answer->server, n,
                        n > ITERATIONS_BAD ? "validators treat the zone as insecure or fail"
                                           : "validators may treat the zone as insecure");
}

/* ---- S03, S04: one set and its signatures ---- */

static ldns_rr_list *signatures_of(const ldns_rr *rr, const ldns_rr_list *section)
{
        ldns_rr_list *ret = ldns_rr_list_new();
        for (size_t i = 0; ret && i < ldns_rr_list_rr_count(section); i++) {
                ldns_rr *sig = ldns_rr_list_rr(section, i);
                if (ldns_rr_get_type(sig) == LDNS_RR_TYPE_RRSIG && ldns_rr_rrsig_typecovered(sig) &&
                        ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(sig)) == ldns_rr_get_type(rr) &&
                        ldns_dname_compare(ldns_rr_owner(sig), ldns_rr_owner(rr)) == 0)
                        ldns_rr_list_push_rr(ret, sig);
        }
        return ret;
}

/* RFC 4034 section 3.1.5: 32 bits, compared as serial numbers around the time handed in. */
static int64_t near(int64_t now_s, const ldns_rdf *time)
{
        return now_s + (int32_t)(ldns_rdf2native_int32(time) - (uint32_t)now_s);
}

static bool times_are_good(struct sight *s, const ldns_rr *sig, const char *what, bool alone)
{
        int64_t from = near(s->z->now_s, ldns_rr_rrsig_inception(sig)),
                to = near(s->z->now_s, ldns_rr_rrsig_expiration(sig));
        bool early = s->z->now_s<from, late = s->z->now_s> to;
        char when[32];
        format_time(early ? from : to, when, sizeof when);
        struct judgement_words w = { s->answer->server,
                late ? "sign the zone again (is the signer running? is the secondary fed?)"
                     : "check the clocks of the signer and of this host",
                when, NULL };
        if (!early && !late && to - s->z->now_s < SOON_S) {
                w.fix = "check that the signer runs: it should have signed again by now";
                judge(s->out, "S04", w, "%s: the signature over %s ends at %s", s->answer->server, what, when);
        }
        if ((early || late) && alone)
                judge(s->out, "S03", w, "%s: the RRSIG over %s %s %s", s->answer->server, what,
                        late ? "expired at" : "is not valid before", when);
        return !early && !late;
}

static bool any_in_time(const struct sight *s, const ldns_rr_list *sigs)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(sigs); i++) {
                const ldns_rr *sig = ldns_rr_list_rr(sigs, i);
                if (s->z->now_s >= near(s->z->now_s, ldns_rr_rrsig_inception(sig)) &&
                        s->z->now_s <= near(s->z->now_s, ldns_rr_rrsig_expiration(sig)))
                        return true;
        }
        return false;
}

/* A signature that is in time but wrong, or made by a key that no DS leads to. */
static bool signature_is_good(struct sight *s, ldns_rr_list *set, ldns_rr_list *sigs, const char *what)
{
        ldns_status status = ldns_verify_time(set, sigs, s->keys, (time_t)s->z->now_s, NULL);
        if (status != LDNS_STATUS_OK)
                judge(s->out, "S03",
                        (struct judgement_words){ s->answer->server,
                                "sign the zone again, and load the same zone on every server", NULL, NULL },
                        "%s: the RRSIG over %s does not verify: %s", s->answer->server, what,
                        ldns_get_errorstr_by_id(status));
        return status == LDNS_STATUS_OK;
}

static bool judge_signatures(struct sight *s, ldns_rr_list *set, ldns_rr_list *sigs, const char *what)
{
        bool good = true, some = any_in_time(s, sigs);
        if (ldns_rr_list_rr_count(sigs) == 0) {
                judge(s->out, "S05",
                        (struct judgement_words){ s->answer->server,
                                "have this server load the signed zone (a secondary: transfer it from the signer)",
                                NULL, NULL },
                        "%s serves %s without a signature, but the zone is signed", s->answer->server, what);
                return false;
        }
        for (size_t i = 0; i < ldns_rr_list_rr_count(sigs); i++)
                good = times_are_good(s, ldns_rr_list_rr(sigs, i), what, !some) && good;
        return some && signature_is_good(s, set, sigs, what);
}

static bool judge_set(struct sight *s, const ldns_rr *first, const ldns_rr_list *section)
{
        ldns_rr_list *set = ldns_rr_list_new(), *sigs = signatures_of(first, section);
        CLEANUP(free_p) char *what = set_text(first);
        for (size_t i = 0; i < ldns_rr_list_rr_count(section); i++) {
                ldns_rr *rr = ldns_rr_list_rr(section, i);
                if (ldns_rr_get_type(rr) == ldns_rr_get_type(first) &&
                        ldns_dname_compare(ldns_rr_owner(rr), ldns_rr_owner(first)) == 0)
                        ldns_rr_list_push_rr(set, rr);
        }
        bool good = judge_signatures(s, set, sigs, what ? what : "?");
        ldns_rr_list_free(set);
        ldns_rr_list_free(sigs);
        return good;
}

static bool is_first_of_set(const ldns_rr_list *section, size_t i)
{
        const ldns_rr *rr = ldns_rr_list_rr(section, i);
        for (size_t k = 0; k < i; k++)
                if (ldns_rr_get_type(ldns_rr_list_rr(section, k)) == ldns_rr_get_type(rr) &&
                        ldns_dname_compare(ldns_rr_owner(ldns_rr_list_rr(section, k)), ldns_rr_owner(rr)) == 0)
                        return false;
        return true;
}

/* Every set of a section that belongs to this zone; delegations and what lies below other zones is theirs. */
static bool judge_section(struct sight *s, const ldns_rr_list *section)
{
        bool good = true;
        ldns_rdf *zone = ldns_dname_new_frm_str(zone_text(s->z));
        for (size_t i = 0; zone && i < ldns_rr_list_rr_count(section); i++) {
                ldns_rr *rr = ldns_rr_list_rr(section, i);
                ldns_rr_type type = ldns_rr_get_type(rr);
                bool inside = ldns_dname_compare(ldns_rr_owner(rr), zone) == 0 ||
                        ldns_dname_is_subdomain(ldns_rr_owner(rr), zone);
                bool synthesised = type == LDNS_RR_TYPE_CNAME && ldns_rr_list_rr_count(section) > 0 && i > 0 &&
                        ldns_rr_get_type(ldns_rr_list_rr(section, i - 1)) == LDNS_RR_TYPE_RRSIG &&
                        ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(ldns_rr_list_rr(section, i - 1))) ==
                                LDNS_RR_TYPE_DNAME;
                if (inside && !synthesised && type != LDNS_RR_TYPE_RRSIG && type != LDNS_RR_TYPE_NS &&
                        is_first_of_set(section, i))
                        good = judge_set(s, rr, section) && good;
        }
        ldns_rdf_deep_free(zone);
        return good;
}

/* ---- S06 ---- */

static ldns_rr_list *of_type(const ldns_rr_list *section, ldns_rr_type type)
{
        ldns_rr_list *ret = ldns_rr_list_new();
        for (size_t i = 0; ret && i < ldns_rr_list_rr_count(section); i++)
                if (ldns_rr_get_type(ldns_rr_list_rr(section, i)) == type)
                        ldns_rr_list_push_rr(ret, ldns_rr_list_rr(section, i));
        return ret;
}

/* An NSEC whose next name lies below the asked one proves an empty non-terminal, which ldns does not know. */
static bool is_empty_non_terminal(const ldns_rr_list *nsecs, const ldns_rdf *name)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(nsecs); i++)
                if (ldns_dname_is_subdomain(ldns_rr_rdf(ldns_rr_list_rr(nsecs, i), 0), name))
                        return true;
        return false;
}

/* A wildcard's own NSEC without the type, next to one that covers the name (RFC 4035 section 3.1.3.4). */
static bool is_wildcard_nodata(const ldns_rr_list *nsecs)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(nsecs); i++)
                if (ldns_dname_is_wildcard(ldns_rr_owner(ldns_rr_list_rr(nsecs, i))))
                        return true;
        return false;
}

/* NSEC3 (RFC 5155 section 8.3 to 8.7). ldns verifies this too, but leaks a name per call, and hashes as often as the
 * zone's iterations and the name's labels say. */
struct chain {
        ldns_rr_list *nsec3s;
        ldns_rdf *zone;
};

/* The NSEC3 at the hash of name, NULL if none; ret_covered: one spans it, so that the name is not there. */
static ldns_rr *at_hash(const struct chain *c, const ldns_rdf *name, bool *ret_covered)
{
        ldns_rr *found = NULL;
        ldns_rdf *hash = ldns_nsec3_hash_name_frm_nsec3(ldns_rr_list_rr(c->nsec3s, 0), (ldns_rdf *)(uintptr_t)name);
        *ret_covered = false;
        if (hash && ldns_dname_cat(hash, c->zone) == LDNS_STATUS_OK)
                for (size_t i = 0; i < ldns_rr_list_rr_count(c->nsec3s); i++) {
                        ldns_rr *rr = ldns_rr_list_rr(c->nsec3s, i);
                        if (ldns_dname_compare(ldns_rr_owner(rr), hash) == 0)
                                found = rr;
                        else if (ldns_nsec_covers_name(rr, hash))
                                *ret_covered = true;
                }
        ldns_rdf_deep_free(hash);
        return found;
}

static bool lacks_type(const ldns_rr *nsec3, ldns_rr_type type)
{
        const ldns_rdf *bitmap = ldns_nsec_get_bitmap(nsec3);
        return !bitmap ||
                (!ldns_nsec_bitmap_covers_type(bitmap, type) &&
                        !ldns_nsec_bitmap_covers_type(bitmap, LDNS_RR_TYPE_CNAME));
}

static bool wildcard_is_denied(const struct chain *c, const ldns_rdf *encloser, ldns_rr_type type, bool nodata)
{
        bool covered = false;
        ldns_rdf *star = ldns_dname_new_frm_str("*");
        ldns_rr *rr = star && ldns_dname_cat(star, encloser) == LDNS_STATUS_OK ? at_hash(c, star, &covered) : NULL;
        ldns_rdf_deep_free(star);
        return nodata && rr ? lacks_type(rr, type) : covered;
}

static bool nsec3_denies(const struct chain *c, const ldns_rdf *name, ldns_rr_type type, bool nodata)
{
        bool covered, next_closer_covered = false, denied = false, found = false;
        ldns_rr *rr = at_hash(c, name, &covered);
        if (rr)
                return nodata && lacks_type(rr, type);
        ldns_rdf *at = ldns_rdf_clone(name);
        while (at && !found && ldns_dname_is_subdomain(at, c->zone)) {
                ldns_rdf *parent = ldns_dname_left_chop(at);
                next_closer_covered = covered;
                found = parent && at_hash(c, parent, &covered);
                if (found)
                        denied = next_closer_covered && wildcard_is_denied(c, parent, type, nodata);
                ldns_rdf_deep_free(at);
                at = parent;
        }
        ldns_rdf_deep_free(at);
        return denied;
}

static bool judge_nsec3s(ldns_rr_list *nsec3s, const ldns_rr *asked, bool nodata)
{
        const ldns_rr *first = ldns_rr_list_rr(nsec3s, 0);
        if (ldns_rr_rd_count(first) < 5 /* an empty non-terminal has no bitmap */)
                return false;
        if (ldns_rdf2native_int16(ldns_rr_rdf(first, 2)) > ITERATIONS_MAX)
                return true; /* not worth the hashing; S08 says enough */
        struct chain c = { nsec3s, ldns_dname_left_chop(ldns_rr_owner(first)) };
        bool denied = c.zone && nsec3_denies(&c, ldns_rr_owner(asked), ldns_rr_get_type(asked), nodata);
        ldns_rdf_deep_free(c.zone);
        return denied;
}

static bool is_denied(const struct sight *s, ldns_rr_list *nsecs, ldns_rr_list *nsec3s, ldns_rr_list *sigs)
{
        ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(s->pkt), 0), *rr = ldns_rr_new();
        bool nodata = ldns_pkt_get_rcode(s->pkt) == LDNS_RCODE_NOERROR, denied = false;
        if (!rr)
                return true;
        ldns_rr_set_owner(rr, ldns_rdf_clone(ldns_rr_owner(question)));
        ldns_rr_set_type(rr, ldns_rr_get_type(question));
        if (ldns_rr_list_rr_count(nsec3s) > 0)
                denied = judge_nsec3s(nsec3s, rr, nodata);
        else if (ldns_rr_list_rr_count(nsecs) > 0)
                denied = ldns_dnssec_verify_denial(rr, nsecs, sigs) == LDNS_STATUS_OK ||
                        (nodata && (is_empty_non_terminal(nsecs, ldns_rr_owner(rr)) || is_wildcard_nodata(nsecs)));
        ldns_rr_free(rr);
        return denied;
}

static bool judge_denial(struct sight *s, const char *question)
{
        ldns_rr_list *authority = ldns_pkt_authority(s->pkt);
        ldns_rr_list *nsecs = of_type(authority, LDNS_RR_TYPE_NSEC), *nsec3s = of_type(authority, LDNS_RR_TYPE_NSEC3);
        ldns_rr_list *sigs = of_type(authority, LDNS_RR_TYPE_RRSIG);
        bool any = ldns_rr_list_rr_count(nsecs) + ldns_rr_list_rr_count(nsec3s) > 0,
             good = is_denied(s, nsecs, nsec3s, sigs);
        if (!good)
                judge(s->out, "S06",
                        (struct judgement_words){ s->answer->server,
                                "upgrade the name server, or sign the zone again with its NSEC chain whole; CAA "
                                "answers are mostly empty",
                                NULL, NULL },
                        "%s: the empty answer to %s is not provable: %s", s->answer->server, question,
                        any ? "its NSEC records do not cover the name" : "it has no NSEC or NSEC3");
        for (size_t i = 0; i < ldns_rr_list_rr_count(nsec3s) && i < 1; i++)
                if (ldns_rr_rd_count(ldns_rr_list_rr(nsec3s, i)) > 2)
                        judge_iterations(s, ldns_rr_list_rr(nsec3s, i));
        ldns_rr_list_free(nsecs);
        ldns_rr_list_free(nsec3s);
        ldns_rr_list_free(sigs);
        return judge_section(s, authority) && good;
}

/* ---- one answer ---- */

static bool judge_answer(struct sight *s)
{
        const struct dns_message *m = s->answer->message;
        CLEANUP(free_p) char *question = text_format("%s? %s", dns_type_name(m->qtype), m->question);
        if (m->rcode == DNS_SERVFAIL) {
                judge(s->out, "S06",
                        (struct judgement_words){ s->answer->server,
                                "upgrade or repair the name server: its signed zone has no answer here", "SERVFAIL",
                                NULL },
                        "%s fails on %s, so that nothing is provable", s->answer->server, question);
                return false;
        }
        if ((m->rcode != DNS_NOERROR && m->rcode != DNS_NXDOMAIN) || m->tc)
                return true; /* D05, D07 */
        ldns_rr_list *answer = ldns_pkt_answer(s->pkt);
        for (size_t i = 0; i < ldns_rr_list_rr_count(answer); i++)
                if (ldns_rr_get_type(ldns_rr_list_rr(answer, i)) == LDNS_RR_TYPE_NSEC3PARAM)
                        judge_iterations(s, ldns_rr_list_rr(answer, i));
        if (ldns_rr_list_rr_count(answer) > 0)
                return judge_section(s, answer);
        return !m->aa || judge_denial(s, question ? question : "?");
}

/* ---- S02: the way from the DS to the keys ---- */

static bool matches(const ldns_rr *ds, const ldns_rr *key)
{
        int digest = ldns_rdf2native_int8(ldns_rr_rdf(ds, 2));
        ldns_rr *made = ldns_key_rr2ds(key, (ldns_hash)digest);
        bool same = made && ldns_rr_compare_ds(made, ds) &&
                ldns_rdf_compare(ldns_rr_rdf(made, 0), ldns_rr_rdf(ds, 0)) == 0 &&
                ldns_rdf_compare(ldns_rr_rdf(made, 3), ldns_rr_rdf(ds, 3)) == 0;
        ldns_rr_free(made);
        return same;
}

static bool any_matches(const ldns_rr_list *ds, const ldns_rr_list *keys, ldns_rr_list *ret)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(ds); i++)
                for (size_t k = 0; k < ldns_rr_list_rr_count(keys); k++)
                        if (matches(ldns_rr_list_rr(ds, i), ldns_rr_list_rr(keys, k)))
                                ldns_rr_list_push_rr(ret, ldns_rr_list_rr(keys, k));
        return ldns_rr_list_rr_count(ret) > 0;
}

static char *tags_text(const ldns_rr_list *ds)
{
        struct buf b = { 0 };
        for (size_t i = 0; i < ldns_rr_list_rr_count(ds); i++)
                buf_addf(&b, "%s%d", i ? ", " : "", ldns_rdf2native_int16(ldns_rr_rdf(ldns_rr_list_rr(ds, i), 0)));
        return buf_steal(&b);
}

static char *wanted_ds(const ldns_rr_list *keys)
{
        for (size_t i = 0; i < ldns_rr_list_rr_count(keys); i++) {
                const ldns_rr *key = ldns_rr_list_rr(keys, i);
                ldns_rr *ds = ldns_rdf2native_int16(ldns_rr_rdf(key, 0)) & 1 ? ldns_key_rr2ds(key, LDNS_SHA256) : NULL;
                char *text = ds ? ldns_rr2str(ds) : NULL;
                ldns_rr_free(ds);
                if (text)
                        text[strcspn(text, "\n;")] = '\0';
                for (char *c = text; c && *c; c++)
                        *c = *c == '\t' ? ' ' : *c;
                if (text)
                        return text;
        }
        return NULL;
}

static bool judge_keys(struct sight *s, const ldns_rr_list *ds)
{
        ldns_rr_list *keys = zone_records(s->z, s->pkt, LDNS_RR_TYPE_DNSKEY), *trusted = ldns_rr_list_new();
        CLEANUP(free_p) char *tags = tags_text(ds), *wanted = wanted_ds(keys);
        CLEANUP(free_p)
        char *fix = wanted ? text_format("at the registrar, replace the DS by: %s; or remove it", wanted)
                           : text_format("remove the DS of %s at the registrar, or sign the zone", zone_text(s->z));
        bool good = any_matches(ds, keys, trusted);
        if (!good)
                judge(s->out, "S02", (struct judgement_words){ s->answer->server, fix, tags, wanted },
                        "%s: the DS %s of %s matches no DNSKEY (was the provider changed?)", s->answer->server, tags,
                        zone_text(s->z));
        for (size_t i = 0; i < ldns_rr_list_rr_count(keys); i++)
                judge_algorithm(
                        s->z, ldns_rdf2native_int8(ldns_rr_rdf(ldns_rr_list_rr(keys, i), 2)), "a DNSKEY", s->out);
        s->keys = trusted;
        good = good && judge_set(s, ldns_rr_list_rr(keys, 0), ldns_pkt_answer(s->pkt));
        s->keys = NULL;
        ldns_rr_list_free(keys);
        ldns_rr_list_free(trusted);
        return good;
}

/* ---- the zone ---- */

static ldns_rr_list *keys_of(const struct dnssec_zone *z, ldns_pkt **packets, const ldns_rr_list *ds)
{
        ldns_rr_list *keys = NULL;
        for (size_t i = 0; i < z->count && !keys; i++) {
                ldns_rr_list *trusted = ldns_rr_list_new(),
                             *all = packets[i] ? zone_records(z, packets[i], LDNS_RR_TYPE_DNSKEY) : NULL;
                if (all && any_matches(ds, all, trusted))
                        keys = STEAL(all);
                ldns_rr_list_free(trusted);
                ldns_rr_list_free(all);
        }
        return keys;
}

static enum dnssec_verdict judge_zone(
        const struct dnssec_zone *z, ldns_pkt **packets, const ldns_rr_list *ds, struct judgements *out)
{
        bool asked = false, good = true;
        ldns_rr_list *keys = keys_of(z, packets, ds);
        for (size_t i = 0; i < ldns_rr_list_rr_count(ds); i++)
                judge_ds_fields(z, ldns_rr_list_rr(ds, i), out);
        for (size_t i = 0; i < z->count; i++) {
                struct sight s = { z, &z->answers[i], packets[i], keys, out };
                if (!packets[i]) {
                        judge_unverifiable(out, "S06", s.answer->server,
                                "%s: its answer to %s? %s cannot be read whole, and a validator may refuse it",
                                s.answer->server, dns_type_name(s.answer->message->qtype), s.answer->message->question);
                        continue;
                }
                bool of_keys =
                        s.answer->message->qtype == DNS_DNSKEY && dns_name_equal(s.answer->message->question, z->zone);
                asked = asked || of_keys;
                if (of_keys && s.answer->message->rcode == DNS_NOERROR && !s.answer->message->tc)
                        good = judge_keys(&s, ds) && good;
                else if (keys)
                        good = judge_answer(&s) && good;
        }
        ldns_rr_list_free(keys);
        if (!asked)
                judge_unverifiable(out, "S02", z->zone, "no server was asked for the DNSKEY of %s, or none answered",
                        zone_text(z));
        return !good ? DNSSEC_BOGUS : asked ? DNSSEC_SECURE : DNSSEC_UNDECIDED;
}

enum dnssec_verdict dnssec_judge(const struct dnssec_zone *z, struct judgements *out)
{
        ldns_pkt *parent =
                z->ds && (z->ds->rcode == DNS_NOERROR || z->ds->rcode == DNS_NXDOMAIN) ? packet(z->ds) : NULL;
        if (!parent) {
                judge_unverifiable(out, "S02", z->zone, "the parent of %s did not answer for its DS", zone_text(z));
                return DNSSEC_UNDECIDED;
        }
        enum dnssec_verdict verdict = DNSSEC_INSECURE;
        ldns_rr_list *ds = zone_records(z, parent, LDNS_RR_TYPE_DS);
        ldns_pkt **packets = calloc(z->count + 1, sizeof *packets);
        for (size_t i = 0; packets && i < z->count; i++)
                packets[i] = packet(z->answers[i].message);
        if (packets && ds && ldns_rr_list_rr_count(ds) > 0)
                verdict = judge_zone(z, packets, ds, out);
        for (size_t i = 0; packets && i < z->count; i++)
                ldns_pkt_free(packets[i]);
        out->failed = out->failed || !packets || !ds;
        free(packets);
        ldns_rr_list_free(ds);
        ldns_pkt_free(parent);
        return verdict;
}
