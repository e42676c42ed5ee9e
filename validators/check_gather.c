#include "validators/check_gather.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "validators/check_internal.h"

#define RING 8

static char *ring(size_t *ret_size)
{
        static _Thread_local char text[RING][DNS_NAME_TEXT + ADDRESS_TEXT + 8];
        static _Thread_local unsigned at;
        *ret_size = sizeof text[0];
        return text[at++ % RING];
}

const char *check_server_text(const struct check_server *s)
{
        size_t size;
        char address[ADDRESS_TEXT], *text = ring(&size);
        address_text(&s->address, s->address.port != 0, address);
        snprintf(text, size, "%s (%s)", s->name, address);
        return text;
}

/* ---- lists of addresses ---- */

static bool has(const struct address_list *l, const struct address *a)
{
        struct address x = *a;
        x.port = 0;
        for (size_t i = 0; i < l->count; i++)
                if (address_equal(&l->item[i], &x))
                        return true;
        return false;
}

void address_list_add(struct address_list *l, const struct address *a)
{
        if (has(l, a) || l->count >= ADDRESS_LIST_MAX)
                return;
        l->item[l->count] = *a;
        l->item[l->count++].port = 0;
}

bool address_lists_equal(const struct address_list *a, const struct address_list *b)
{
        bool same = a->count == b->count;
        for (size_t i = 0; same && i < a->count; i++)
                same = has(b, &a->item[i]);
        return same;
}

void address_list_text(const struct address_list *l, char *ret, size_t size)
{
        size_t n = (size_t)snprintf(ret, size, "%s", l->count ? "" : "none");
        for (size_t i = 0; i < l->count && n < size; i++) {
                char one[ADDRESS_TEXT];
                address_text(&l->item[i], false, one);
                n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? ", " : "", one);
        }
}

/* ---- answers ---- */

void answer_addresses(const struct dns_message *m, struct address_list *ret)
{
        struct address a;
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && dns_rr_address(m, &m->rr[i], &a))
                        address_list_add(ret, &a);
}

bool answer_alias(const struct dns_message *m, const char *name, char ret[DNS_NAME_TEXT])
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && m->rr[i].type == DNS_CNAME &&
                        dns_name_equal(m->rr[i].owner, name) && dns_rr_name(m, &m->rr[i], ret))
                        return true;
        return false;
}

void answer_names(const struct dns_message *m, const char *owner, uint16_t type, struct texts *ret)
{
        char name[DNS_NAME_TEXT];
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && m->rr[i].type == type && dns_name_equal(m->rr[i].owner, owner) &&
                        dns_rr_name(m, &m->rr[i], name) && !texts_has(ret, name))
                        (void)texts_add(ret, name); /* fewer names are a weaker comparison, not a wrong one */
}

bool answer_has(const struct dns_message *m, const char *owner, uint16_t type)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_ANSWER && m->rr[i].type == type && dns_name_equal(m->rr[i].owner, owner))
                        return true;
        return false;
}

/* RFC 8914 section 5.2 and the registry. */
const char *ede_text(int code)
{
        static const char *const texts[] = { "other", "unsupported DNSKEY algorithm", "unsupported DS digest",
                "stale answer", "forged answer", "DNSSEC indeterminate", "DNSSEC bogus", "signature expired",
                "signature not yet valid", "DNSKEY missing", "RRSIGs missing", "no zone key bit set", "NSEC missing",
                "cached error", "not ready", "blocked", "censored", "filtered", "prohibited", "stale NXDOMAIN",
                "not authoritative", "not supported", "no reachable authority", "network error", "invalid data",
                "signature expired before valid", "too early", "unsupported NSEC3 iterations" };
        return code >= 0 && (size_t)code < ARRAY_LEN(texts) ? texts[code] : NULL;
}

const char *answer_text(const struct check_answer *a)
{
        size_t size;
        char *text = ring(&size);
        if (a->outcome != DNS_ANSWERED)
                snprintf(text, size, "%s", a->error);
        else if (a->message->ede >= 0 && ede_text(a->message->ede))
                snprintf(text, size, "%s (%s)", dns_rcode_name(a->message->rcode), ede_text(a->message->ede));
        else
                snprintf(text, size, "%s", dns_rcode_name(a->message->rcode));
        return text;
}

/* ---- one server ---- */

bool check_is_silent(const struct check_answer *a)
{
        return a && (a->outcome == DNS_TIMEOUT || a->outcome == DNS_UNREACHABLE);
}

bool host_reaches(const struct address *a)
{
        struct sockaddr_storage ss;
        struct address to = *a;
        to.port = to.port ? to.port : 53;
        socklen_t len = address_sockaddr(&to, &ss);
        int fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool reaches = fd >= 0 && connect(fd, (struct sockaddr *)&ss, len) == 0; /* sends nothing */
        close_p(&fd);
        return reaches;
}

const struct check_answer *check_server(
        struct check_context *c, const struct check_zone *z, size_t i, const char *name, uint16_t type, unsigned flags)
{
        static const struct check_answer silent = { .outcome = DNS_TIMEOUT, .error = "does not answer" };
        const struct address *at = &z->server[i].address;
        if (check_is_silent(check_peek(c->run, at, CHECK_UDP, z->apex, DNS_SOA)) &&
                check_is_silent(check_peek(c->run, at, CHECK_TCP, z->apex, DNS_SOA)))
                return &silent;
        return check_dns(c, at, CHECK_ANY, name, type, flags);
}
