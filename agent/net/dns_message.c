#include "agent/net/dns_message.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/address.h"

/* Plan (RFC 1035 section 4.1, RFC 6891 section 6.1):
 *   header, exactly 12 bytes; then at most one question; then records as long as the counts say and the packet lasts. A
 * name is walked with its jumps counted and every jump strictly backwards, so that a walk ends. Nothing is read by
 * pointer arithmetic: each access goes through the cursor. */

#define HEADER 12
#define JUMPS_MAX 127
#define NAME_WIRE_MAX 255
#define RECORDS_MAX 4096
#define OPTION_EDE 15

struct cursor {
        const uint8_t *data;
        size_t len, at;
        bool bad;
};

static uint8_t u8(struct cursor *c)
{
        if (c->bad || c->at >= c->len) {
                c->bad = true;
                return 0;
        }
        return c->data[c->at++];
}

static uint16_t u16(struct cursor *c)
{
        uint16_t high = u8(c);
        return (uint16_t)(high << 8 | u8(c));
}

static uint32_t u32(struct cursor *c)
{
        uint32_t high = u16(c);
        return high << 16 | u16(c);
}

static void skip(struct cursor *c, size_t n)
{
        if (c->bad || n > c->len - c->at)
                c->bad = true;
        else
                c->at += n;
}

/* Presentation form of one octet of a label; returns bytes written (at most 4). */
static size_t present(uint8_t byte, char *ret)
{
        if (byte == '.' || byte == '\\') {
                ret[0] = '\\';
                ret[1] = (char)byte;
                return 2;
        }
        if (byte > 0x20 && byte < 0x7f) {
                ret[0] = (char)byte;
                return 1;
        }
        ret[0] = '\\';
        ret[1] = (char)('0' + byte / 100);
        ret[2] = (char)('0' + byte / 10 % 10);
        ret[3] = (char)('0' + byte % 10);
        return 4;
}

/* Reads a name at the cursor; leaves it behind the name. ret: DNS_NAME_TEXT bytes. */
static void name(struct cursor *c, char *ret)
{
        struct cursor at = *c;
        size_t text = 0, wire = 1, lowest = c->at, end = 0;
        unsigned jumps = 0;
        for (;;) {
                uint8_t n = u8(&at);
                if (at.bad)
                        break;
                if ((n & 0xc0) == 0xc0) {
                        size_t target = (size_t)(n & 0x3f) << 8 | u8(&at);
                        if (end == 0)
                                end = at.at;
                        /* Strictly before everything walked so far: no loop, no forward pointer. */
                        if (at.bad || target >= lowest || ++jumps > JUMPS_MAX)
                                break;
                        at.at = lowest = target;
                        continue;
                }
                if (n & 0xc0)
                        break;
                if (n == 0) {
                        ret[text] = '\0';
                        c->at = end ? end : at.at;
                        return;
                }
                wire += (size_t)n + 1;
                if (wire > NAME_WIRE_MAX)
                        break;
                if (text > 0)
                        ret[text++] = '.';
                for (uint8_t i = 0; i < n; i++)
                        text += present(u8(&at), ret + text);
                if (at.bad)
                        break;
        }
        c->bad = true;
}

static void read_edns(struct dns_message *m, struct cursor *c, uint32_t ttl, size_t end)
{
        m->edns = true;
        m->rcode = (uint16_t)(m->rcode | (ttl >> 24) << 4);
        while (!c->bad && end - c->at >= 4) {
                uint16_t code = u16(c), len = u16(c);
                if (len > end - c->at) {
                        c->bad = true;
                        return;
                }
                if (code == OPTION_EDE && len >= 2 && m->ede < 0) {
                        struct cursor option = *c;
                        m->ede = u16(&option);
                }
                skip(c, len);
        }
}

static bool record(struct dns_message *m, struct cursor *c, enum dns_section section, size_t *cap)
{
        char owner[DNS_NAME_TEXT];
        name(c, owner);
        struct dns_rr rr = { .section = section };
        rr.type = u16(c);
        rr.class = u16(c);
        rr.ttl = u32(c);
        rr.rdlength = u16(c);
        rr.rdata = c->at;
        if (c->bad || rr.rdlength > c->len - c->at)
                return false;
        if (rr.type == DNS_OPT && section == DNS_ADDITIONAL && owner[0] == '\0' && !m->edns) {
                struct cursor options = *c;
                read_edns(m, &options, rr.ttl, c->at + rr.rdlength);
        }
        skip(c, rr.rdlength);
        if (m->rr_count == *cap) {
                size_t more = *cap ? 2 * *cap : 8;
                struct dns_rr *list = more > RECORDS_MAX ? NULL : realloc(m->rr, more * sizeof *list);
                if (!list)
                        return false;
                m->rr = list;
                *cap = more;
        }
        rr.owner = text_dup(owner);
        if (!rr.owner)
                return false;
        m->rr[m->rr_count++] = rr;
        return true;
}

static bool sections(struct dns_message *m, struct cursor *c, const uint16_t count[3])
{
        size_t cap = 0;
        for (int s = 0; s < 3; s++)
                for (uint16_t i = 0; i < count[s]; i++)
                        if (!record(m, c, (enum dns_section)s, &cap))
                                return false;
        return true;
}

static void read_flags(struct dns_message *m, uint8_t high, uint8_t low)
{
        m->qr = high & 0x80;
        m->opcode = high >> 3 & 15;
        m->aa = high & 0x04;
        m->tc = high & 0x02;
        m->rd = high & 0x01;
        m->ra = low & 0x80;
        m->ad = low & 0x20;
        m->cd = low & 0x10;
        m->rcode = low & 0x0f;
}

bool dns_message_read(const uint8_t *data, size_t len, struct dns_message *ret, struct err *e)
{
        struct dns_message m = { .ede = -1, .len = len };
        char question[DNS_NAME_TEXT] = "";
        if (len < HEADER || len > DNS_MESSAGE_MAX)
                return err_set(e, ERR_PROTOCOL, "dns.malformed", "a DNS message of %zu bytes", len);
        m.data = malloc(len);
        if (!m.data)
                return err_memory(e);
        memcpy(m.data, data, len);
        struct cursor c = { .data = m.data, .len = len };
        m.id = u16(&c);
        uint8_t high = u8(&c), low = u8(&c);
        read_flags(&m, high, low);
        uint16_t questions = u16(&c);
        uint16_t count[3];
        for (int s = 0; s < 3; s++)
                count[s] = u16(&c);
        if (questions == 1) {
                name(&c, question);
                m.qtype = u16(&c);
                m.qclass = u16(&c);
        }
        m.question = text_dup(question);
        bool good = questions <= 1 && !c.bad && m.question;
        /* Cut anywhere: what came whole is kept, TCP will tell the rest. */
        good = good && (sections(&m, &c, count) || m.tc);
        if (!good) {
                err_set(e, ERR_PROTOCOL, "dns.malformed", "a DNS message that cannot be read at byte %zu of %zu", c.at,
                        len);
                dns_message_done(&m);
                return false;
        }
        *ret = m;
        return true;
}

void dns_message_done(struct dns_message *m)
{
        for (size_t i = 0; i < m->rr_count; i++)
                free(m->rr[i].owner);
        free(m->rr);
        free(m->question);
        free(m->data);
        *m = (struct dns_message){ 0 };
}

/* A cursor over the record's data that may follow pointers into the whole message, but starts and must end inside the
 * data. */
static struct cursor rdata_of(const struct dns_message *m, const struct dns_rr *rr)
{
        return (struct cursor){ .data = m->data, .len = rr->rdata + rr->rdlength, .at = rr->rdata };
}

static bool at_end(const struct cursor *c)
{
        return !c->bad && c->at == c->len;
}

bool dns_rr_name(const struct dns_message *m, const struct dns_rr *rr, char *ret)
{
        struct cursor c = rdata_of(m, rr);
        char text[DNS_NAME_TEXT];
        if (rr->type != DNS_NS && rr->type != DNS_CNAME && rr->type != DNS_DNAME)
                return false;
        name(&c, text);
        if (!at_end(&c))
                return false;
        memcpy(ret, text, strlen(text) + 1);
        return true;
}

bool dns_rr_address(const struct dns_message *m, const struct dns_rr *rr, struct address *ret)
{
        struct address a = { .family = rr->type == DNS_A ? AF_INET : AF_INET6 };
        size_t want = rr->type == DNS_A ? sizeof a.ip.v4 : sizeof a.ip.v6;
        if ((rr->type != DNS_A && rr->type != DNS_AAAA) || rr->rdlength != want)
                return false;
        memcpy(&a.ip, m->data + rr->rdata, want);
        *ret = a;
        return true;
}

bool dns_rr_txt(
        const struct dns_message *m, const struct dns_rr *rr, uint8_t **ret, size_t *ret_len, unsigned *ret_strings)
{
        struct cursor c = rdata_of(m, rr);
        size_t len = 0;
        unsigned strings = 0;
        if (rr->type != DNS_TXT || rr->rdlength == 0)
                return false;
        CLEANUP(free_p) uint8_t *text = malloc((size_t)rr->rdlength + 1);
        while (text && !c.bad && c.at < c.len) {
                uint8_t n = u8(&c);
                size_t from = c.at;
                skip(&c, n);
                if (c.bad)
                        return false;
                memcpy(text + len, m->data + from, n);
                len += n;
                strings++;
        }
        if (!text)
                return false;
        text[len] = 0;
        *ret_len = len;
        if (ret_strings)
                *ret_strings = strings;
        *ret = STEAL(text);
        return true;
}

bool dns_rr_soa(const struct dns_message *m, const struct dns_rr *rr, struct dns_soa *ret)
{
        struct cursor c = rdata_of(m, rr);
        char rname[DNS_NAME_TEXT];
        struct dns_soa soa;
        if (rr->type != DNS_SOA)
                return false;
        name(&c, soa.mname);
        name(&c, rname);
        soa.serial = u32(&c);
        soa.refresh = u32(&c);
        soa.retry = u32(&c);
        soa.expire = u32(&c);
        soa.minimum = u32(&c);
        if (!at_end(&c))
                return false;
        *ret = soa;
        return true;
}
