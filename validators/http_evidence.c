#include "validators/http_evidence.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "validators/http_look.h"
#include "validators/judgement.h"

/* Plan (Boulder va/http.go; Baseline Requirements 3.2.2.4.18 and .19): each look is judged hop by hop, the last hop by
 * what was wanted there; then the looks are held against each other. Only a dial that fails makes a CA try IPv4 after
 * IPv6, so that a wrong answer over IPv6 is final. */

static bool is_main(const struct http_evidence *x, const struct http_look *l)
{
        return l->count > 0 && l->purpose == (x->wanted ? HTTP_TOKEN : HTTP_RANDOM);
}

static bool text_same(const char *a, const char *b)
{
        return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_body(const struct http_hop *a, const struct http_hop *b)
{
        return a->body_len == b->body_len && (a->body_len == 0 || memcmp(a->body, b->body, a->body_len) == 0);
}

static bool same_answer(const struct http_look *a, const struct http_look *b)
{
        const struct http_hop *x = http_last_hop(a), *y = http_last_hop(b);
        return a->count == b->count && x->fault == y->fault && x->status == y->status &&
                text_same(http_header_of(x, "Server"), http_header_of(y, "Server")) &&
                text_same(http_header_of(x, "Location"), http_header_of(y, "Location"));
}

static const struct http_look *find(const struct http_evidence *x, bool v6, bool *ret_all_dials_fail)
{
        const struct http_look *answering = NULL;
        *ret_all_dials_fail = true;
        for (size_t i = 0; i < x->look_count; i++) {
                const struct http_look *l = &x->looks[i];
                if (!is_main(x, l) || l->outside || http_is_v6(l) != v6)
                        continue;
                *ret_all_dials_fail = *ret_all_dials_fail && http_dial_failed(l);
                if (!http_dial_failed(l) && !answering)
                        answering = l;
        }
        return answering;
}

static void judge_pair(const struct http_look *a, const struct http_look *b, const char *id, const char *fix,
        const char *text, struct judgements *out)
{
        char at[ADDRESS_TEXT], other[ADDRESS_TEXT];
        address_text(&a->address, false, at);
        address_text(&b->address, false, other);
        judge(out, id, (struct judgement_words){ a->hops[0].url, fix, NULL, NULL }, "%s (%s: %d, %s: %d)", text, at,
                http_last_hop(a)->status, other, http_last_hop(b)->status);
}

static bool judge_families(const struct http_evidence *x, struct judgements *out)
{
        bool none4, none6;
        const struct http_look *v4 = find(x, false, &none4), *v6 = find(x, true, &none6);
        bool redirects = v4 && http_is_redirect(v4->hops[0].status) && !http_other_host(x, v4, http_last_hop(v4));
        bool has_v6 = false;
        for (size_t i = 0; i < x->look_count; i++)
                has_v6 = has_v6 || (is_main(x, &x->looks[i]) && !x->looks[i].outside && http_is_v6(&x->looks[i]));
        if (v4 && v6 &&
                (http_last_hop(v4)->status != http_last_hop(v6)->status ||
                        (x->wanted && !same_body(http_last_hop(v4), http_last_hop(v6))))) {
                judge_pair(v6, v4, "H06", "let IPv6 lead to the same web server, or remove the AAAA record",
                        "IPv6 serves different content than IPv4, and the CA will not fall back", out);
                return false;
        }
        if (has_v6 && none6 && redirects) {
                judge(out, "H23",
                        (struct judgement_words){ v4->hops[0].url,
                                "mend IPv6 or remove the AAAA record, or take the path off the "
                                "redirect: " HTTP_NGINX_LINES,
                                NULL, NULL },
                        "IPv6 of %s is dead and http redirects: after the redirect no CA falls back to IPv4", x->name);
                return false;
        }
        return true;
}

static void judge_difference(const struct http_evidence *x, struct judgements *out)
{
        const struct http_look *first = NULL;
        for (size_t i = 0; i < x->look_count; i++) {
                const struct http_look *l = &x->looks[i];
                if (!is_main(x, l) || l->outside || http_dial_failed(l))
                        continue;
                if (first && !same_answer(first, l)) {
                        judge_pair(l, first, "H07", "serve the token at every address, by the same configuration",
                                "the addresses answer differently", out);
                        return;
                }
                first = first ? first : l;
        }
}

static void judge_variant(const struct http_evidence *x, const struct http_look *main, const struct http_look *other,
        bool accepted, struct judgements *out)
{
        bool same = http_last_hop(main)->status == http_last_hop(other)->status &&
                same_body(http_last_hop(main), http_last_hop(other));
        char at[ADDRESS_TEXT];
        address_text(&main->address, false, at);
        struct judgement_words w = { main->hops[0].url, "", NULL, NULL };
        if (other->purpose == HTTP_OTHER_AGENT && !same) {
                w.fix = "exempt " HTTP_TOKEN_PATHS " from rules that look at headers: " HTTP_NGINX_LINES;
                judge(out, "H32", w, "%s: the answer depends on the User-Agent or the case of the host", at);
        } else if (other->purpose == HTTP_OTHER_HOST && same && !accepted && http_last_hop(main)->status != 404) {
                CLEANUP(free_p)
                char *fix = text_format(
                        "add the name to the web server (nginx: server { listen 80; server_name %s; })", x->name);
                w.fix = fix;
                judge(out, "H36", w, "%s: the default site answers for %s", at, x->name);
        }
}

static void judge_variants(
        const struct http_evidence *x, const struct http_look *main, bool accepted, struct judgements *out)
{
        for (size_t i = 0; i < x->look_count; i++) {
                const struct http_look *other = &x->looks[i];
                if (other->count > 0 && other->purpose != HTTP_TOKEN && other->purpose != HTTP_RANDOM &&
                        address_equal(&other->address, &main->address) &&
                        http_last_hop(other)->fault == HTTP_ANSWERED && http_last_hop(main)->fault == HTTP_ANSWERED)
                        judge_variant(x, main, other, accepted, out);
        }
}

static void judge_hsts(const struct http_look *l, struct judgements *out)
{
        bool to_tls = false, hsts = false;
        for (size_t i = 0; i < l->count; i++) {
                hsts = hsts || http_header_of(&l->hops[i], "Strict-Transport-Security");
                to_tls = to_tls || text_starts(l->hops[i].url, "https://");
        }
        if (hsts && to_tls)
                judge(out, "H35",
                        (struct judgement_words){
                                .subject = l->hops[0].url, .fix = "keep port 80 open for " HTTP_TOKEN_PATHS },
                        "browsers use https here (HSTS), but CAs start on port 80 and ignore it");
}

/* ---- the name ---- */

static bool judge_lookup(const struct http_evidence *x, struct judgements *out)
{
        struct judgement_words w = { .subject = x->name, .observed = x->lookup_error };
        if (x->lookup_failed) {
                w.fix = "mend the zone: see the findings of the groups D and S";
                judge(out, "H02", w, "the address lookup of %s failed: %s", x->name,
                        x->lookup_error ? x->lookup_error : "no answer");
                return false;
        }
        CLEANUP(free_p)
        char *fix = text_format("add a record: %s. IN A ADDRESS-OF-THE-WEB-SERVER, or validate through DNS", x->name);
        w.fix = fix;
        if (x->address_count == 0)
                judge(out, "H01", w, "%s has no address", x->name);
        return x->address_count > 0;
}

static const char *reserved_for(const struct http_evidence *x, const struct address *a)
{
        return x->internal ? NULL : http_reserved(a);
}

bool http_is_of_address(const struct http_evidence *x)
{
        struct address a;
        return address_parse(x->name, 0, &a);
}

/* CAs drop reserved addresses: one beside public ones is untidy, alone it is the end. */
static void judge_reserved(
        const struct http_evidence *x, const struct address *a, const char *why, bool alone, struct judgements *out)
{
        char text[ADDRESS_TEXT];
        address_text(a, false, text);
        if (alone && http_is_of_address(x))
                return judge(out, "H03",
                        (struct judgement_words){ x->name,
                                "order for a public address, or at a CA of your own (`internal: true`)", text, NULL },
                        "%s is not reachable from the Internet (%s)", text, why);
        CLEANUP(free_p)
        char *fix = alone
                ? text_format("publish the public address of %s, or validate through DNS", x->name)
                : text_format("take %s out of the public zone: visitors cannot reach it, and CAs pass it over", text);
        struct judgement_words w = { x->name, fix, text, NULL };
        if (alone)
                judge(out, "H03", w, "%s points to %s, not reachable from the Internet (%s)", x->name, text, why);
        else
                judge(out, "H07", w, "%s points to %s beside its public addresses (%s)", x->name, text, why);
}

static bool judge_addresses(const struct http_evidence *x, struct judgements *out)
{
        size_t usable = 0, v4 = 0;
        for (size_t i = 0; i < x->address_count; i++) {
                usable += !reserved_for(x, &x->addresses[i]);
                v4 += x->addresses[i].family == AF_INET;
        }
        for (size_t i = 0; i < x->address_count; i++) {
                const char *why = reserved_for(x, &x->addresses[i]);
                if (why)
                        judge_reserved(x, &x->addresses[i], why, usable == 0, out);
        }
        if (v4 == 0 && !http_is_of_address(x))
                judge(out, "H08",
                        (struct judgement_words){
                                .subject = x->name, .fix = "keep the IPv6 routing sound, or add an A record" },
                        "%s has only IPv6: every perspective of the CA must reach it", x->name);
        return usable > 0;
}

static bool judge_outside(
        const struct http_evidence *x, bool inside_good, bool outside_good, bool any_outside, struct judgements *out)
{
        if (!any_outside) {
                judge_unverifiable(out, "H31", x->name,
                        "CAs ask from three or more regions; one host cannot see a filter by address or country");
                return true;
        }
        if (inside_good && !outside_good)
                judge(out, "H31",
                        (struct judgement_words){ .subject = x->name,
                                .fix = "take the geo-block or address filter off " HTTP_TOKEN_PATHS },
                        "%s works from here but not from the second vantage: a filter by address or country", x->name);
        return outside_good;
}

struct tally {
        bool outside_good, any_outside;
        size_t inside;
};

static bool judge_each(const struct http_evidence *x, struct tally *t, struct judgements *out)
{
        bool v4_good = true, v6_dead_only = true;
        for (size_t i = 0; i < x->look_count; i++) {
                const struct http_look *l = &x->looks[i];
                if (!is_main(x, l))
                        continue;
                if (l->outside) {
                        struct judgements quiet = { 0 };
                        t->any_outside = true;
                        t->outside_good = http_judge_look(x, l, &quiet) && t->outside_good;
                        judgements_done(&quiet);
                        continue;
                }
                bool good = http_judge_look(x, l, out);
                t->inside++;
                judge_variants(x, l, good, out);
                judge_hsts(l, out);
                if (!good && http_is_v6(l) && http_dial_failed(l))
                        continue; /* the CA goes on with IPv4 */
                v6_dead_only = false;
                v4_good = v4_good && good;
        }
        return v4_good && !(v6_dead_only && t->inside > 0);
}

/* Nothing answers here, and it would be this very host: NAT that does not lead back in looks the same. */
static bool is_hairpin(const struct http_evidence *x)
{
        size_t inside = 0, dead = 0, outside = 0;
        for (size_t i = 0; i < x->look_count; i++) {
                bool counts = is_main(x, &x->looks[i]);
                outside += counts && x->looks[i].outside;
                inside += counts && !x->looks[i].outside;
                dead += counts && !x->looks[i].outside && http_dial_failed(&x->looks[i]);
        }
        return x->own_host && inside > 0 && dead == inside && outside == 0;
}

bool http_judge(const struct http_evidence *x, struct judgements *out)
{
        struct tally t = { .outside_good = true };
        if (!judge_lookup(x, out) || !judge_addresses(x, out))
                return false;
        if (is_hairpin(x)) {
                CLEANUP(free_p)
                char *fix =
                        text_format("look from another network: curl -v http://%s" HTTP_TOKEN_PATHS "test", x->name);
                judge(out, "H33", (struct judgement_words){ .subject = x->name, .fix = fix },
                        "%s does not answer from this host itself: NAT may not lead back in, so that this proves "
                        "little",
                        x->name);
                return true;
        }
        bool good = judge_each(x, &t, out);
        good = judge_families(x, out) && good;
        judge_difference(x, out);
        return judge_outside(x, good, t.outside_good, t.any_outside, out) && good;
}
