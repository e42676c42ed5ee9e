/* Group D, the delegation: is there a zone for the name, do parent and zone list the same servers, can each be found.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_gather.h"
#include "validators/name_check.h"

static const char *shown(const char *zone)
{
        return *zone ? zone : ".";
}

/* ---- D01, N08: of a name ---- */

static void judge_absent(struct check_context *c, const char *name, const struct check_zone *z, struct judgements *out)
{
        CLEANUP(free_p) char *registrable = name_registrable(name);
        CLEANUP(free_p)
        char *fix = text_format("delegate the zone: NS records for it at %s, and servers that answer for it; try: dig "
                                "+trace SOA %s",
                z->denied_by ? shown(z->denied_by) : "the registrar", name);
        if (z->blocked)
                judge_unverifiable(out, "D01", c->name,
                        "%s: the DNS cannot be asked from here (%s); open 53/udp and "
                        "53/tcp outwards, or mend resolv.conf",
                        name, z->error);
        else if (z->denied_by && registrable && !c->internal)
                name_judge_absent(registrable, out);
        else
                judge(out, "D01", (struct judgement_words){ c->name, fix, z->error, NULL },
                        "no zone answers for %s: %s", name, z->error);
}

static void of_name(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->base);
        if (!z)
                return;
        if (z->error)
                return judge_absent(c, c->base, z, out);
        check_needs_zone(c, z->apex);
        if (c->target->method != METHOD_DNS && c->target->method != METHOD_DNS_PERSIST)
                return;
        const struct check_challenge *l = check_challenge(c);
        if (l && l->zone && !l->zone->error)
                check_needs_zone(c, l->zone->apex);
}

/* ---- D02, D03 ---- */

static void judge_no_address(const struct check_zone *z, struct judgements *out)
{
        for (size_t i = 0; i < z->no_address.count; i++) {
                CLEANUP(free_p)
                char *fix = text_format("give %s an A or AAAA record (and glue at the registrar if it is below %s), or "
                                        "take it out of the NS records of %s",
                        z->no_address.item[i], shown(z->apex), shown(z->apex));
                judge(out, "D02", (struct judgement_words){ z->no_address.item[i], fix, NULL, NULL },
                        "name server %s of %s has no address", z->no_address.item[i], shown(z->apex));
        }
}

static void judge_aliases(struct check_context *c, const struct texts *ns, const char *zone, struct judgements *out)
{
        char target[DNS_NAME_TEXT];
        for (size_t i = 0; i < ns->count; i++) {
                const struct check_answer *a = check_resolver(c, ns->item[i], DNS_A, 0);
                if (!check_is_answered(a) || !answer_alias(a->message, ns->item[i], target))
                        continue;
                CLEANUP(free_p)
                char *fix = text_format(
                        "in %s and at its registrar, let the NS record name %s instead", shown(zone), target);
                judge(out, "D03", (struct judgement_words){ ns->item[i], fix, target, NULL },
                        "name server %s of %s is an alias for %s, which NS records must not name", ns->item[i],
                        shown(zone), target);
        }
}

/* ---- D04 ---- */

static bool same_names(const struct texts *a, const struct texts *b)
{
        bool same = a->count == b->count;
        for (size_t i = 0; same && i < a->count; i++) {
                same = false;
                for (size_t k = 0; k < b->count; k++)
                        same = same || dns_name_equal(a->item[i], b->item[k]);
        }
        return same;
}

static void names_text(const struct texts *t, char *ret, size_t size)
{
        size_t n = 0;
        ret[0] = '\0';
        for (size_t i = 0; i < t->count && n < size; i++)
                n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? ", " : "", t->item[i]);
}

static void judge_lists(struct check_context *c, const struct check_zone *z, struct judgements *out)
{
        char parent[400], child[400];
        for (size_t i = 0; i < z->server_count; i++) {
                struct texts ns = { 0 };
                const struct check_answer *a = check_server(c, z, i, z->apex, DNS_NS, 0);
                if (check_is_answered(a) && a->message->aa)
                        answer_names(a->message, z->apex, DNS_NS, &ns);
                bool differs = ns.count > 0 && z->parent_ns.count > 0 && !same_names(&ns, &z->parent_ns);
                names_text(&z->parent_ns, parent, sizeof parent);
                names_text(&ns, child, sizeof child);
                texts_done(&ns);
                if (!differs)
                        continue;
                CLEANUP(free_p)
                char *fix = text_format("make both lists equal: at the registrar (%s) and in the zone %s",
                        z->parent ? shown(z->parent) : "?", z->apex);
                judge(out, "D04", (struct judgement_words){ shown(z->apex), fix, child, parent },
                        "the parent of %s lists %s; the zone itself, at %s, lists %s", shown(z->apex), parent,
                        check_server_text(&z->server[i]), child);
                return; /* once for a zone */
        }
        if (z->parent_ns.count == 0)
                judge_unverifiable(out, "D04", shown(z->apex), "what the parent of %s lists is not known: %s",
                        shown(z->apex),
                        z->parent ? "parent and zone are on the same servers" : "it does not answer from here");
}

/* ---- D10 ---- */

struct family {
        uint16_t type;
        sa_family_t family;
        const char *name;
};
static const struct family families[] = { { DNS_A, AF_INET, "A" }, { DNS_AAAA, AF_INET6, "AAAA" } };

/* The addresses the zone itself has for one of its servers, from the first of its servers that says. 1 known, 0 not
 * yet, -1 nobody says. */
static int own_addresses(
        struct check_context *c, const struct check_zone *z, const char *ns, uint16_t type, struct address_list *ret)
{
        bool open = false;
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *a = check_server(c, z, i, ns, type, 0);
                open = open || !a;
                if (!check_is_answered(a) || !a->message->aa)
                        continue;
                answer_addresses(a->message, ret);
                return 1;
        }
        return open ? 0 : -1;
}

static void judge_glue_of(struct check_context *c, const struct check_zone *z, const char *ns, const struct family *f,
        struct judgements *out)
{
        struct address_list own = { 0 }, glue = { 0 };
        char a[300], b[300];
        if (own_addresses(c, z, ns, f->type, &own) != 1)
                return;
        for (size_t i = 0; i < z->glue_count; i++)
                if (dns_name_equal(z->glue[i].name, ns) && z->glue[i].address.family == f->family)
                        address_list_add(&glue, &z->glue[i].address);
        if (address_lists_equal(&own, &glue))
                return;
        address_list_text(&glue, a, sizeof a);
        address_list_text(&own, b, sizeof b);
        CLEANUP(free_p)
        char *fix = text_format("at the registrar, set the %s glue of the host object %s to %s", f->name, ns, b);
        if (glue.count == 0 && z->glue_count > 0)
                return; /* a referral carries what fits; another family may be left out */
        judge(out, "D10", (struct judgement_words){ ns, fix, a, b },
                "the glue of %s at the parent of %s is %s, the zone says %s", ns, z->apex, a, b);
}

static void judge_glue(struct check_context *c, const struct check_zone *z, struct judgements *out)
{
        for (size_t i = 0; i < z->parent_ns.count; i++)
                for (size_t k = 0; k < ARRAY_LEN(families); k++)
                        if (dns_name_is_below(z->parent_ns.item[i], z->apex))
                                judge_glue_of(c, z, z->parent_ns.item[i], &families[k], out);
}

/* ---- D11, D12 ---- */

static bool same_network(const struct address *a, const struct address *b)
{
        if (a->family != b->family)
                return false;
        return a->family == AF_INET ? ((ntohl(a->ip.v4.s_addr) ^ ntohl(b->ip.v4.s_addr)) & 0xffffff00u) == 0
                                    : memcmp(&a->ip.v6, &b->ip.v6, 6) == 0;
}

static void judge_networks(const struct check_zone *z, struct judgements *out)
{
        const char *fix = "add a name server in another network, better at another provider";
        size_t names = z->child_ns.count ? z->child_ns.count : z->parent_ns.count;
        char address[ADDRESS_TEXT];
        bool one = z->server_count > 0;
        for (size_t i = 1; i < z->server_count; i++)
                one = one && same_network(&z->server[0].address, &z->server[i].address);
        if (!one)
                return;
        address_text(&z->server[0].address, false, address);
        if (names == 1)
                judge(out, "D11", (struct judgement_words){ shown(z->apex), fix, z->server[0].name, NULL },
                        "%s has a single name server, %s", shown(z->apex), z->server[0].name);
        else
                judge(out, "D11", (struct judgement_words){ shown(z->apex), fix, address, NULL },
                        "all %zu addresses of the name servers of %s are in the network of %s (%s)", z->server_count,
                        shown(z->apex), address, z->server[0].address.family == AF_INET ? "/24" : "/48");
}

static void judge_public(const struct check_context *c, const struct check_zone *z, struct judgements *out)
{
        char address[ADDRESS_TEXT];
        for (size_t i = 0; i < z->server_count && !c->internal; i++) {
                const struct check_server *s = &z->server[i];
                address_text(&s->address, false, address);
                if (!address_is_public(&s->address))
                        judge(out, "D12",
                                (struct judgement_words){ check_server_text(s),
                                        "publish its public address, or take it out of the NS records", address, NULL },
                                "name server %s of %s has the address %s, which is not public", s->name, shown(z->apex),
                                address);
        }
}

static void of_zone(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->zone);
        if (!z || z->error)
                return;
        judge_no_address(z, out);
        judge_aliases(c, &z->parent_ns, z->apex, out);
        if (!same_names(&z->parent_ns, &z->child_ns))
                judge_aliases(c, &z->child_ns, z->apex, out);
        judge_lists(c, z, out);
        judge_glue(c, z, out);
        judge_networks(z, out);
        judge_public(c, z, out);
}

const struct check check_delegation_name = { "N08 D01 D18", STAGE_DNS, CHECK_NAME, CHECK_NEEDS_HOST, of_name };
const struct check check_delegation_zone = { "D02 D03 D04 D10 D11 D12", STAGE_DNS, CHECK_ZONE, 0, of_zone };
