/* The delegation walk and every check of DNS over it, fed by servers that answer anything: a run must end, keep I7, and
 * say something of which every id is in the catalogue. The bytes say what each answer is: names, types and sections
 * from a small pool, so that referrals, aliases, loops and lies meet each other. */
#include <assert.h>
#include <stdint.h>

#include "agent/base/util.h"
#include "tests/unit/fake_dns.h"
#include "validators/check.h"
#include "validators/check_repeat.h"

static const uint8_t *bytes;
static size_t left;

static unsigned take(unsigned bound)
{
        if (left == 0)
                return 0;
        left--;
        return *bytes++ % bound;
}

static const char *const names[] = { "", "org", "example.org", "www.example.org", "_acme-challenge.www.example.org",
        "ns1.example.org", "ns2.host.net", "host.net", "net", "a.b.c.example.org", "tokens.host.net", "*.example.org" };

static const char *name_of(const char *asked)
{
        unsigned i = take(ARRAY_LEN(names) + 3);
        return i < ARRAY_LEN(names) ? names[i] : asked;
}

static void add_record(struct buf *b, enum dns_section section, const char *asked, uint16_t type)
{
        static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_NS, DNS_CNAME, DNS_SOA, DNS_TXT, DNS_CAA, DNS_DS,
                DNS_DNSKEY, DNS_RRSIG };
        unsigned i = take(ARRAY_LEN(types) + 4);
        const char *owner = name_of(asked);
        uint8_t raw[64];
        uint16_t t = i < ARRAY_LEN(types) ? types[i] : type;
        if (t == DNS_SOA)
                return fake_dns_rr_soa(b, section, owner);
        if (t == DNS_NS || t == DNS_CNAME)
                return fake_dns_rr_name(b, section, owner, t, name_of(asked));
        size_t len = t == DNS_A ? 4 : t == DNS_AAAA ? 16 : take(sizeof raw);
        for (size_t k = 0; k < len; k++)
                raw[k] = (uint8_t)take(256);
        if (t == DNS_TXT && len > 0)
                raw[0] = (uint8_t)(len - 1);
        fake_dns_rr(b, section, owner, t, raw, len);
}

static enum fake_reply serve(const char *server, enum dns_transport t, const char *name, uint16_t type, struct buf *b)
{
        (void)t;
        if (strcmp(server, "resolver") == 0) /* I7; nothing is ever published here */
                for (const char *at = name; at && *at; at = dns_name_parent(at))
                        assert(*at != '_');
        unsigned what = take(16);
        if (left == 0 || what == 0)
                return FAKE_TIMES_OUT;
        unsigned flags = 0x8000 | (take(4) ? 0x0400 : 0) | (take(8) ? 0 : 0x0200) | (take(3) ? 0 : take(6));
        fake_dns_begin(b, flags, take(16) ? name : name_of(name), type);
        unsigned counts[3] = { take(4), take(3), take(3) };
        for (unsigned section = 0; section < 3; section++)
                for (unsigned i = 0; i < counts[section]; i++)
                        add_record(b, (enum dns_section)section, name, type);
        if (what == 1 && b->len > 12) /* a lie in the counts, or a cut */
                b->data[7] = (char)take(256);
        if (what == 2)
                b->len -= MIN(b->len, take(40));
        return b->failed ? FAKE_TIMES_OUT : FAKE_ANSWERS;
}

/* Sends packets of its own; not here. */
const struct repeat_count *check_repeat(struct check_context *c, const struct address *server, const char *apex)
{
        static const struct repeat_count none;
        (void)c;
        (void)server;
        (void)apex;
        return &none;
}

static bool done;

static void finished(void *arg, const struct check_result *r, size_t count)
{
        (void)arg;
        for (size_t i = 0; i < count; i++) {
                assert(check_verdict(&r[i]));
                for (size_t k = 0; k < r[i].doubt_count; k++)
                        assert(check_id_find(r[i].doubt[k].id));
        }
        done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const issuers[] = { "ca.example", NULL };
        static const struct check *const *const checks[] = { validator_checks, NULL };
        struct loop *loop = NULL;
        struct err e;
        if (size > 4096)
                return 0;
        bytes = data;
        left = size;
        if (!loop_open(&loop, &e))
                return 0;
        struct check_target target = { .method = take(2) ? METHOD_DNS : METHOD_DNS_PERSIST,
                .issuers = issuers,
                .ca = "ca",
                .dns_label = "_acme-challenge",
                .acme = true };
        fake_dns.loop = loop;
        fake_dns.fn = serve;
        fake_dns.resolvers = 1;
        done = false;
        const struct check_conf conf = {
                .loop = loop, .targets = &target, .target_count = 1, .checks = checks, .timeout_ms = 20000
        };
        if (texts_add(&target.names, "www.example.org") && texts_add(&target.names, "*.example.org")) {
                struct check_run *r = check_run_start(&conf, finished, NULL, &e);
                assert(r && loop_run_until(loop, &done, 10000)); /* long before the deadline: every walk has an end */
                check_run_free(r);
        }
        texts_done(&target.names);
        loop_close(loop);
        return 0;
}
