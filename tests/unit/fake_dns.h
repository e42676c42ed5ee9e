/* Name servers that live in the test: what net/dns.h declares, answered by one function from the loop. Include it in
 * one file of a program; the real module is then not linked. */
#ifndef DCVD_TEST_FAKE_DNS_H
#define DCVD_TEST_FAKE_DNS_H

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"

enum fake_reply { FAKE_ANSWERS, FAKE_TIMES_OUT, FAKE_NEVER };
/* server: "192.0.2.1", "resolver". packet: the answer, for FAKE_ANSWERS. */
typedef enum fake_reply fake_dns_fn(
        const char *server, enum dns_transport t, const char *name, uint16_t type, struct buf *packet);
static struct {
        struct loop *loop;
        fake_dns_fn *fn;
        size_t asked, resolvers;
} fake_dns;

struct dns_query {
        struct deferred *deferred;
        dns_done_fn *done;
        void *arg;
        struct buf packet;
        enum dns_transport transport;
        bool silent;
};

static void fake_dns_answer(void *arg)
{
        struct dns_query *q = arg;
        struct dns_message m;
        struct err e;
        struct dns_answer a = { .outcome = DNS_TIMEOUT, .transport = q->transport, .rtt_us = 1000, .err = &e };
        err_set(&e, ERR_TEMPORARY, "dns.silent", "it does not answer");
        if (!q->silent) {
                bool good = dns_message_read((uint8_t *)q->packet.data, q->packet.len, &m, &e);
                a.outcome = good ? DNS_ANSWERED : DNS_MALFORMED;
                a.message = good ? &m : NULL;
        }
        q->done(q->arg, &a);
        if (a.message)
                dns_message_done(&m);
        buf_done(&q->packet);
        free(q);
}

static struct dns_query *fake_dns_ask(const char *server, enum dns_transport t, const char *name, uint16_t type,
        dns_done_fn *done, void *arg, struct err *e)
{
        struct dns_query *q = dns_name_is_valid(name) ? calloc(1, sizeof *q) : NULL;
        if (!q) {
                err_set(e, ERR_CONFIG, "dns.name", "not a name");
                return NULL;
        }
        fake_dns.asked++;
        q->done = done;
        q->arg = arg;
        q->transport = t;
        enum fake_reply reply = fake_dns.fn(server, t, name, type, &q->packet);
        q->silent = reply == FAKE_TIMES_OUT;
        if (reply != FAKE_NEVER)
                q->deferred = loop_defer(fake_dns.loop, fake_dns_answer, q);
        return q;
}

struct dns_query *dns_ask(struct dns *d, const struct address *server, enum dns_transport t, const char *name,
        uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        char text[ADDRESS_TEXT];
        (void)d;
        address_text(server, false, text);
        return fake_dns_ask(flags & DNS_RECURSE ? "resolver" : text, t, name, type, done, arg, e);
}

struct dns_query *dns_ask_any(struct dns *d, const struct address *server, const char *name, uint16_t type,
        unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        return dns_ask(d, server, DNS_UDP, name, type, flags, done, arg, e);
}

struct dns_query *dns_ask_resolver(
        struct dns *d, const char *name, uint16_t type, unsigned flags, dns_done_fn *done, void *arg, struct err *e)
{
        (void)d;
        (void)flags;
        return fake_dns_ask("resolver", DNS_UDP, name, type, done, arg, e);
}

void dns_cancel(struct dns_query *q)
{
        if (!q)
                return;
        loop_undefer(fake_dns.loop, q->deferred);
        buf_done(&q->packet);
        free(q);
}

size_t dns_resolver_count(const struct dns *d)
{
        (void)d;
        return fake_dns.resolvers;
}

const struct address *dns_resolver(const struct dns *d, size_t i)
{
        static struct address a = { .family = AF_INET, .port = 53 };
        (void)d;
        (void)i;
        a.ip.v4.s_addr = 0x350000c0u; /* 192.0.0.53 */
        return &a;
}

uint16_t dns_port(const struct dns *d)
{
        (void)d;
        return 53;
}

struct dns_lookup {
        struct dns_query *query;
        dns_lookup_fn *done;
        void *arg;
};

static void fake_dns_looked(void *arg, const struct dns_answer *a)
{
        struct dns_lookup *l = arg;
        struct address list[8];
        size_t n = 0;
        struct err e;
        err_set(&e, ERR_TEMPORARY, "dns.no-address", "it has no address");
        for (size_t i = 0; a->outcome == DNS_ANSWERED && i < a->message->rr_count && n < 8; i++)
                if (a->message->rr[i].section == DNS_ANSWER && dns_rr_address(a->message, &a->message->rr[i], &list[n]))
                        n++;
        l->done(l->arg, list, n, n ? NULL : &e);
        free(l);
}

struct dns_lookup *dns_lookup(struct dns *d, const char *host, dns_lookup_fn *done, void *arg, struct err *e)
{
        struct dns_lookup *l = calloc(1, sizeof *l);
        (void)d;
        if (!l)
                return NULL;
        l->done = done;
        l->arg = arg;
        l->query = fake_dns_ask("resolver", DNS_UDP, host, DNS_A, fake_dns_looked, l, e);
        if (l->query)
                return l;
        free(l);
        return NULL;
}

void dns_lookup_cancel(struct dns_lookup *l)
{
        if (!l)
                return;
        dns_cancel(l->query);
        free(l);
}

/* ---- writing answers ---- */

static void fake_dns_u16(struct buf *b, unsigned value)
{
        buf_addc(b, (char)(value >> 8));
        buf_addc(b, (char)value);
}

static void fake_dns_name(struct buf *b, const char *name)
{
        uint8_t wire[256];
        buf_append(b, wire, dns_name_wire(name, false, wire, sizeof wire));
}

/* Head and question; counts are set by fake_dns_rr. flags: 0x8400 is an authoritative answer. */
static void fake_dns_begin(struct buf *b, unsigned flags, const char *name, uint16_t type)
{
        fake_dns_u16(b, 1);
        fake_dns_u16(b, flags);
        fake_dns_u16(b, 1);
        for (int i = 0; i < 3; i++)
                fake_dns_u16(b, 0);
        fake_dns_name(b, name);
        fake_dns_u16(b, type);
        fake_dns_u16(b, DNS_CLASS_IN);
}

/* Sections in order. */
static void fake_dns_rr(
        struct buf *b, enum dns_section section, const char *owner, uint16_t type, const void *rdata, size_t len)
{
        if (b->failed || b->len < 12 || len > 60000)
                return;
        fake_dns_name(b, owner);
        fake_dns_u16(b, type);
        fake_dns_u16(b, DNS_CLASS_IN);
        fake_dns_u16(b, 0);
        fake_dns_u16(b, 60);
        fake_dns_u16(b, (unsigned)len);
        buf_append(b, rdata, len);
        b->data[7 + 2 * (int)section]++;
}

static void fake_dns_rr_name(
        struct buf *b, enum dns_section section, const char *owner, uint16_t type, const char *target)
{
        uint8_t wire[256];
        fake_dns_rr(b, section, owner, type, wire, dns_name_wire(target, false, wire, sizeof wire));
}

static void fake_dns_rr_soa(struct buf *b, enum dns_section section, const char *owner)
{
        uint8_t wire[600];
        size_t n = dns_name_wire("ns1.host.net", false, wire, 256);
        n += dns_name_wire("hostmaster.host.net", false, wire + n, 256);
        memset(wire + n, 0, 20);
        wire[n + 3] = 1;
        fake_dns_rr(b, section, owner, DNS_SOA, wire, n + 20);
}

#endif
