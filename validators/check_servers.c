/* Group D, the servers: does every address of every name server answer for the zone, over UDP and TCP, with the newest
 * data, and whatever it is asked. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_gather.h"
#include "validators/check_repeat.h"

#define NAMED_MAX 4 /* servers that one message lists */

static const char *shown(const char *zone)
{
        return *zone ? zone : ".";
}

struct sight { /* one server of a zone */
        struct check_context *c;
        const struct check_zone *z;
        const struct check_server *s;
        const struct check_answer *udp, *tcp; /* SOA of the apex */
        struct judgements *out;
};

static bool serial_of(const struct check_answer *a, const char *apex, uint32_t *ret)
{
        struct dns_soa soa;
        if (!check_is_answered(a) || !a->message->aa)
                return false;
        for (size_t i = 0; i < a->message->rr_count; i++)
                if (a->message->rr[i].section == DNS_ANSWER && a->message->rr[i].type == DNS_SOA &&
                        dns_name_equal(a->message->rr[i].owner, apex) &&
                        dns_rr_soa(a->message, &a->message->rr[i], &soa)) {
                        *ret = soa.serial;
                        return true;
                }
        return false;
}

static bool is_authoritative(const struct sight *s)
{
        uint32_t serial;
        return serial_of(s->udp, s->z->apex, &serial) || serial_of(s->tcp, s->z->apex, &serial);
}

/* ---- D06, D07, D14: is it there, over both ---- */

/* Without the OPT record it answers: then the silence is about EDNS. 1 yes, 0 not known yet, -1 no. */
static int answers_plainly(const struct sight *s)
{
        const struct check_answer *a =
                check_dns(s->c, &s->s->address, CHECK_UDP, s->z->apex, DNS_SOA, DNS_WITHOUT_EDNS);
        return !a ? 0 : check_is_answered(a) ? 1 : -1;
}

static void judge_edns(const struct sight *s, const char *how)
{
        judge(s->out, "D14",
                (struct judgement_words){ check_server_text(s->s),
                        "update the name server, or the firewall before it: questions with an OPT record (RFC 6891) "
                        "must pass",
                        how, NULL },
                "%s mishandles EDNS: %s, and answers without it; resolvers of CAs all use EDNS",
                check_server_text(s->s), how);
}

static void judge_udp(const struct sight *s)
{
        char address[ADDRESS_TEXT];
        address_text(&s->s->address, false, address);
        if (!check_is_silent(s->udp))
                return;
        if (!host_reaches(&s->s->address))
                return judge_unverifiable(s->out, "D06", check_server_text(s->s),
                        "%s cannot be asked: this host has no route to such an address", check_server_text(s->s));
        int plainly = answers_plainly(s);
        if (plainly == 0)
                return;
        if (plainly > 0)
                return judge_edns(s, "a question with EDNS stays unanswered");
        CLEANUP(free_p)
        char *fix = text_format("start the name server at %s, open 53/udp to it, or take %s out of the NS records of "
                                "%s; try: dig @%s SOA %s",
                address, s->s->name, shown(s->z->apex), address, shown(s->z->apex));
        judge(s->out, "D06", (struct judgement_words){ check_server_text(s->s), fix, s->udp->error, NULL },
                "%s does not answer over UDP%s", check_server_text(s->s),
                check_is_silent(s->tcp) ? ", nor over TCP" : ", only over TCP");
}

static void judge_tcp(const struct sight *s)
{
        if (!check_is_silent(s->tcp) || check_is_silent(s->udp))
                return;
        CLEANUP(free_p)
        char *fix = text_format("open 53/tcp to %s, and let the name server listen on it", s->s->name);
        judge(s->out, "D07", (struct judgement_words){ check_server_text(s->s), fix, s->tcp->error, NULL },
                "%s does not answer over TCP (%s); large and truncated answers fail", check_server_text(s->s),
                s->tcp->outcome == DNS_UNREACHABLE ? "refused" : "silent");
}

static void judge_plain(const struct sight *s)
{
        if (s->udp->plain)
                return judge_edns(s, "it answers FORMERR to a question with EDNS");
        bool odd = s->udp->outcome == DNS_ANSWERED &&
                (s->udp->message->rcode == DNS_NOTIMP || s->udp->message->rcode == DNS_SERVFAIL ||
                        s->udp->message->rcode == 16);
        if (odd && answers_plainly(s) > 0)
                judge_edns(s, dns_rcode_name(s->udp->message->rcode));
}

/* ---- D05 ---- */

static bool refers_upwards(const struct dns_message *m, const char *apex)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_AUTHORITY && m->rr[i].type == DNS_NS &&
                        !dns_name_is_below(m->rr[i].owner, apex))
                        return true;
        return false;
}

static const char *why_lame(const struct sight *s, const struct check_answer *a)
{
        if (a->outcome == DNS_MALFORMED)
                return "its answer cannot be read";
        const struct dns_message *m = a->message;
        if (m->rcode != DNS_NOERROR && m->rcode != DNS_NXDOMAIN)
                return answer_text(a);
        if (!m->aa)
                return refers_upwards(m, s->z->apex) ? "it refers to the zone above"
                                                     : "its answers are not authoritative (no AA)";
        return m->rcode == DNS_NXDOMAIN ? "it says there is no such name" : "it has no SOA for the zone";
}

static void judge_lame(const struct sight *s)
{
        const struct check_answer *a = check_is_silent(s->udp) ? s->tcp : s->udp;
        if (check_is_silent(a) || a->outcome == DNS_FAILED || is_authoritative(s))
                return;
        CLEANUP(free_p)
        char *fix =
                text_format("load the zone %s on it (look at its log for why it does not), or take %s out of the NS "
                            "records at the registrar and in the zone",
                        shown(s->z->apex), s->s->name);
        const char *why = why_lame(s, a);
        judge(s->out, "D05", (struct judgement_words){ check_server_text(s->s), fix, why, NULL },
                "%s is not authoritative for %s: %s", check_server_text(s->s), shown(s->z->apex), why);
}

/* ---- D13, D15 ---- */

static void judge_caa(const struct sight *s)
{
        const struct check_answer *caa = check_dns(s->c, &s->s->address, CHECK_ANY, s->z->apex, DNS_CAA, 0);
        if (!caa || check_is_answered(caa))
                return;
        const struct check_answer *a = check_dns(s->c, &s->s->address, CHECK_ANY, s->z->apex, DNS_A, 0);
        if (!check_is_answered(a))
                return;
        CLEANUP(free_p)
        char *fix = text_format(
                "upgrade the name server: an unknown type is answered with NOERROR and no records; try: dig "
                "@%s CAA %s",
                s->s->name, shown(s->z->apex));
        judge(s->out, "D13", (struct judgement_words){ check_server_text(s->s), fix, answer_text(caa), "NOERROR" },
                "%s fails questions for CAA (%s) although it answers A; no public CA may issue then",
                check_server_text(s->s), answer_text(caa));
}

static void mix_case(const char *name, char ret[DNS_NAME_TEXT])
{
        bool up = true;
        size_t i = 0;
        for (; name[i] && i < DNS_NAME_TEXT - 1; i++) {
                bool letter = isalpha((unsigned char)name[i]);
                ret[i] = (char)(letter && up ? toupper((unsigned char)name[i]) : tolower((unsigned char)name[i]));
                up = letter ? !up : up;
        }
        ret[i] = '\0';
}

static void judge_case(const struct sight *s)
{
        char mixed[DNS_NAME_TEXT];
        mix_case(s->z->apex, mixed);
        if (strcmp(mixed, s->z->apex) == 0)
                return;
        const struct check_answer *a = check_dns(s->c, &s->s->address, CHECK_UDP, mixed, DNS_SOA, 0);
        if (!a || a->outcome != DNS_ANSWERED || strcmp(a->message->question, mixed) == 0)
                return;
        judge(s->out, "D15",
                (struct judgement_words){ check_server_text(s->s),
                        "update the name server or the middlebox before it: the question is to be copied as it came",
                        a->message->question, mixed },
                "%s changes the case of the question (%s came back as %s); resolvers that vary it drop such answers",
                check_server_text(s->s), mixed, a->message->question);
}

/* ---- D17 ---- */

static void judge_repeats(const struct sight *s)
{
        const struct repeat_count *n = check_repeat(s->c, &s->s->address, s->z->apex);
        if (!n || n->sent == 0 || n->whole >= n->sent)
                return;
        unsigned lost = 100 * (n->sent - n->whole) / n->sent;
        char observed[80];
        snprintf(observed, sizeof observed, "%u of %u answered, %u of them truncated", n->whole + n->truncated, n->sent,
                n->truncated);
        judge(s->out, "D17",
                (struct judgement_words){ check_server_text(s->s),
                        "raise its response rate limit, or exempt the resolvers of CAs", observed, NULL },
                "%s drops or cuts %u%% of repeated questions", check_server_text(s->s), lost);
}

/* ---- D08, D01 ---- */

static bool newest(struct check_context *c, const struct check_zone *z, uint32_t *ret)
{
        bool any = false;
        for (size_t i = 0; i < z->server_count; i++) {
                uint32_t serial;
                const struct check_answer *a = check_server(c, z, i, z->apex, DNS_SOA, 0);
                if (!serial_of(a, z->apex, &serial) || (any && !dns_serial_newer(serial, *ret)))
                        continue;
                *ret = serial;
                any = true;
        }
        return any;
}

static void judge_serials(struct check_context *c, const struct check_zone *z, struct judgements *out)
{
        uint32_t top = 0, serial;
        char observed[16], wanted[16];
        if (!newest(c, z, &top))
                return;
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *a = check_server(c, z, i, z->apex, DNS_SOA, 0);
                if (!serial_of(a, z->apex, &serial) || serial == top)
                        continue;
                snprintf(observed, sizeof observed, "%u", serial);
                snprintf(wanted, sizeof wanted, "%u", top);
                judge(out, "D08",
                        (struct judgement_words){ check_server_text(&z->server[i]),
                                "have it transfer the zone now (knotc zone-refresh ZONE, nsd-control transfer ZONE, "
                                "rndc retransfer ZONE); if that fails look at its log, and at NOTIFY, TSIG and access "
                                "lists of the primary",
                                observed, wanted },
                        "%s serves serial %u of %s, the newest is %u", check_server_text(&z->server[i]), serial,
                        shown(z->apex), top);
        }
}

/* Nobody answers for the zone: the CA cannot find it either. */
static void judge_none(struct check_context *c, const struct check_zone *z, struct judgements *out)
{
        size_t unknown = 0, good = 0;
        for (size_t i = 0; i < z->server_count; i++) {
                uint32_t serial;
                const struct check_answer *a = check_server(c, z, i, z->apex, DNS_SOA, 0);
                good += serial_of(a, z->apex, &serial);
                unknown += !a || (check_is_silent(a) && !host_reaches(&z->server[i].address));
        }
        if (good > 0 || unknown > 0)
                return;
        CLEANUP(free_p)
        char *fix = text_format("have at least one of its name servers answer for %s; try: dig +trace SOA %s",
                shown(z->apex), shown(z->apex));
        CLEANUP(buf_done) struct buf list = { .max = 600 };
        for (size_t i = 0; i < z->server_count && i < NAMED_MAX; i++)
                buf_addf(&list, "%s%s", i ? ", " : "", check_server_text(&z->server[i]));
        if (z->server_count > NAMED_MAX)
                buf_addf(&list, " and %zu more", z->server_count - NAMED_MAX);
        judge(out, "D01", (struct judgement_words){ shown(z->apex), fix, NULL, NULL },
                "no zone answers for %s: no name server of it answers with authority (%s)", shown(z->apex),
                list.data ? list.data : "?");
}

static void of_server(struct check_context *c, const struct check_zone *z, size_t i, struct judgements *out)
{
        struct sight s = { c, z, &z->server[i], NULL, NULL, out };
        s.udp = check_dns(c, &s.s->address, CHECK_UDP, z->apex, DNS_SOA, 0);
        s.tcp = check_dns(c, &s.s->address, CHECK_TCP, z->apex, DNS_SOA, 0);
        bool alive = !check_is_silent(s.udp);
        if (alive) { /* all at once; what a silent server would be asked is not asked */
                judge_caa(&s);
                judge_case(&s);
                if (s.udp && check_is_answered(s.udp))
                        judge_repeats(&s);
        }
        if (!s.udp || !s.tcp)
                return;
        check_show(c, shown(z->apex), s.s, check_is_silent(s.udp) ? s.tcp : s.udp, NULL);
        judge_udp(&s);
        judge_tcp(&s);
        judge_plain(&s);
        judge_lame(&s);
}

static void of_zone(struct check_context *c, struct judgements *out)
{
        const struct check_zone *z = check_zone(c, c->zone);
        if (!z || z->error)
                return;
        for (size_t i = 0; i < z->server_count; i++)
                of_server(c, z, i, out);
        judge_serials(c, z, out);
        judge_none(c, z, out);
}

const struct check check_servers_zone = { "D01 D05 D06 D07 D08 D13 D14 D15 D17", STAGE_DNS, CHECK_ZONE, 0, of_zone };
