/* One look at one name server: is the value there? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/persist.h"
#include "validators/propagation_internal.h"

static void add_value(struct buf *b, const void *data, size_t len)
{
        if (b->len > 0)
                buf_add(b, ", ");
        buf_addc(b, '"');
        buf_add_escaped(b, data, len, 80);
        buf_addc(b, '"');
}

/* What the answer says of the final name; alias: where it leads, if that is all it says. */
struct reading {
        bool seen, other;
        char alias[DNS_NAME_TEXT];
        struct buf values;
};

static bool is_value(const struct propagation *p, const uint8_t *text, size_t len)
{
        return len == strlen(p->proof.value) && memcmp(text, p->proof.value, len) == 0;
}

static void read_rr(struct reading *r, const struct propagation *p, const struct dns_message *m,
        const struct dns_rr *rr, const char *owner)
{
        char target[DNS_NAME_TEXT];
        if (rr->section != DNS_ANSWER || !dns_name_equal(rr->owner, owner))
                return;
        if (rr->type == DNS_CNAME && dns_rr_name(m, rr, target)) {
                if (p->proof.type == PROOF_CNAME) {
                        bool same = dns_name_equal(target, p->proof.value);
                        r->seen = r->seen || same;
                        r->other = r->other || !same;
                        add_value(&r->values, target, strlen(target));
                } else {
                        snprintf(r->alias, sizeof r->alias, "%s", target);
                }
        } else if (rr->type == DNS_TXT && p->proof.type != PROOF_CNAME) {
                uint8_t *text = NULL;
                size_t len = 0;
                if (!dns_rr_txt(m, rr, &text, &len, NULL))
                        return;
                const char *why = NULL;
                bool same = p->proof.type == PROOF_PERSIST ? persist_fits(&p->proof, text, len, clock_now_s(), &why)
                                                           : is_value(p, text, len);
                r->seen = r->seen || same;
                r->other = r->other || !same;
                add_value(&r->values, text, len);
                if (why)
                        buf_addf(&r->values, " (%s)", why);
                free(text);
        }
}

static void read_serial(struct look *l, const struct dns_message *m)
{
        struct dns_soa soa;
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_AUTHORITY && m->rr[i].type == DNS_SOA && dns_rr_soa(m, &m->rr[i], &soa)) {
                        l->s.serial = soa.serial;
                        l->s.has_serial = true;
                }
}

static enum propagation_look judge(struct look *l, const struct dns_message *m, struct reading *r)
{
        struct propagation *p = l->run;
        char saw[sizeof l->s.saw];
        for (size_t i = 0; i < m->rr_count; i++)
                read_rr(r, p, m, &m->rr[i], p->owner);
        read_serial(l, m);
        if (m->rcode == DNS_REFUSED || m->rcode == DNS_NOTIMP) {
                snprintf(l->s.saw, sizeof l->s.saw, "%s", dns_rcode_name(m->rcode));
                return LOOK_LAME;
        }
        if (m->rcode != DNS_NOERROR && m->rcode != DNS_NXDOMAIN) {
                snprintf(l->s.saw, sizeof l->s.saw, "%s", dns_rcode_name(m->rcode));
                return LOOK_ERROR;
        }
        if (!m->aa && !l->s.resolver) {
                snprintf(l->s.saw, sizeof l->s.saw, "not authoritative");
                return LOOK_LAME;
        }
        snprintf(saw, sizeof saw, "%s",
                r->values.data                     ? r->values.data
                        : m->rcode == DNS_NXDOMAIN ? "no such name"
                                                   : "no such record");
        memcpy(l->s.saw, saw, sizeof saw);
        return r->seen ? LOOK_SEEN : r->other ? LOOK_OTHER : LOOK_ABSENT;
}

static void answered(void *arg, const struct dns_answer *a)
{
        struct look *l = arg;
        l->query = NULL;
        l->s.transport = a->transport;
        l->s.rtt_us = a->rtt_us;
        if (a->outcome != DNS_ANSWERED) {
                snprintf(l->s.saw, sizeof l->s.saw, "%.*s", (int)sizeof l->s.saw - 1, a->err->text);
                l->silent++;
                return look_result(l, a->outcome == DNS_MALFORMED ? LOOK_ERROR : LOOK_SILENT);
        }
        l->silent = 0;
        l->s.rcode = a->message->rcode;
        l->s.aa = a->message->aa;
        struct reading r = { .values = { .max = 4096 } };
        enum propagation_look what = judge(l, a->message, &r);
        buf_done(&r.values);
        /* Behind an alias the value lives in the target's zone; a value that came along counts only from there. */
        if (r.alias[0] && a->message->aa && !l->s.resolver)
                return run_follow_alias(l->run, r.alias);
        if (r.alias[0] && l->s.resolver) { /* a resolver follows by itself: any owner in its answer will do */
                struct reading all = { .values = { .max = 4096 } };
                for (size_t i = 0; i < a->message->rr_count; i++)
                        read_rr(&all, l->run, a->message, &a->message->rr[i], a->message->rr[i].owner);
                what = all.seen ? LOOK_SEEN : LOOK_ABSENT;
                buf_done(&all.values);
        }
        look_result(l, what);
}

void look_dns(struct look *l)
{
        struct err e;
        struct propagation *p = l->run;
        uint16_t type = p->proof.type == PROOF_CNAME ? DNS_CNAME : DNS_TXT;
        l->query = dns_ask_any(p->engine->dns, &l->s.address, l->s.resolver ? p->proof.place : p->owner, type,
                l->s.resolver ? DNS_RECURSE : 0, answered, l, &e);
        if (!l->query) {
                snprintf(l->s.saw, sizeof l->s.saw, "%.*s", (int)sizeof l->s.saw - 1, e.text);
                look_later(l);
        }
}
