/* T20: does the publisher write to the zone the world sees? Its server is asked like any other. */
#include <stdio.h>

#include "agent/base/util.h"
#include "validators/check_gather.h"
#include "validators/publisher.h"

static const char *shown(const char *zone)
{
        return *zone ? zone : ".";
}

/* The server the publisher of this name writes to; NULL: it has none. */
static const char *server_of(const struct check_context *c)
{
        const struct conf_cert *cert = c->target->cert;
        const struct conf_publisher_map *map = &cert->publisher;
        if (cert->ca_count && (cert->ca[0].publisher.otherwise || cert->ca[0].publisher.suffix.count))
                map = &cert->ca[0].publisher;
        const char *name = conf_publisher_for(map, c->base);
        const struct conf_backend *b = name ? config_publisher(c->target->conf, name) : NULL;
        const struct publisher_ops *ops = b ? publisher_ops_find(b->kind->type) : NULL;
        return ops && ops->server ? ops->server(b->parsed) : NULL;
}

/* Its first address. 1 known, 0 not yet, -1 none. */
static int address_of(struct check_context *c, const char *server, struct address *ret)
{
        uint16_t port = 53;
        CLEANUP(free_p) char *host = NULL;
        if (address_parse(server, 53, ret))
                return 1;
        if (!hostport_split(server, &host, &port, NULL))
                host = text_dup(server);
        const struct check_addresses *list = host ? check_lookup(c, host) : NULL;
        if (!list)
                return 0;
        if (list->count == 0)
                return -1;
        *ret = list->list[0];
        ret->port = port;
        return 1;
}

static bool soa_of(const struct check_answer *a, const char *apex, struct dns_soa *ret)
{
        for (size_t i = 0; check_is_answered(a) && a->message->aa && i < a->message->rr_count; i++)
                if (a->message->rr[i].section == DNS_ANSWER && dns_name_equal(a->message->rr[i].owner, apex) &&
                        dns_rr_soa(a->message, &a->message->rr[i], ret))
                        return true;
        return false;
}

static void judge_difference(const struct check_zone *z, const char *server, const struct dns_soa *its,
        const struct dns_soa *public, struct judgements *out)
{
        bool other = !dns_name_equal(its->mname, public->mname), behind = dns_serial_newer(public->serial, its->serial);
        CLEANUP(free_p) char *a = text_format("%s, serial %u", its->mname, its->serial);
        CLEANUP(free_p) char *b = text_format("%s, serial %u", public->mname, public->serial);
        if (other || behind)
                judge(out, "T20",
                        (struct judgement_words){
                                server, "let `server:` of the publisher be the primary of the public zone", a, b },
                        "the publisher writes to %s, whose zone %s is not the one the world uses: primary %s there, %s "
                        "in "
                        "public",
                        server, shown(z->apex), a ? a : "?", b ? b : "?");
}

static void judge_server(
        struct check_context *c, const struct check_zone *z, const char *server, struct judgements *out)
{
        struct address at;
        struct dns_soa its, public;
        bool known = false;
        int found = address_of(c, server, &at);
        if (found == 0)
                return;
        const struct check_answer *a = found > 0 ? check_dns(c, &at, CHECK_ANY, z->apex, DNS_SOA, 0) : NULL;
        if (found > 0 && !a)
                return;
        if (!a || a->outcome != DNS_ANSWERED)
                return judge_unverifiable(out, "T20", c->name, "the publisher's server %s does not answer: %s", server,
                        a ? a->error : "it has no address");
        for (size_t i = 0; i < z->server_count && !known; i++)
                known = soa_of(check_server(c, z, i, z->apex, DNS_SOA, 0), z->apex, &public);
        if (!soa_of(a, z->apex, &its))
                judge(out, "T20",
                        (struct judgement_words){ server,
                                "let `server:` of the publisher be the primary of the public zone, and load the zone "
                                "there",
                                answer_text(a), NULL },
                        "the publisher writes to %s, which is not authoritative for %s (%s)", server, shown(z->apex),
                        answer_text(a));
        else if (known)
                judge_difference(z, server, &its, &public, out);
}

static void of_name(struct check_context *c, struct judgements *out)
{
        const struct check_challenge *l = check_challenge(c);
        const char *server = server_of(c);
        if (!server)
                return judge_unverifiable(
                        out, "T20", c->name, "the publisher of %s has no server of its own to compare", c->name);
        if (l && l->zone && !l->zone->error)
                judge_server(c, l->zone, server, out);
}

const struct check check_publisher_name = { "T20", STAGE_METHOD, CHECK_NAME, CHECK_DNS | CHECK_NEEDS_CERT, of_name };
