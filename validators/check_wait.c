/* Group W of DNS methods: how long caches and secondaries may hold up what is published. All of it from authoritative
 * servers: the challenge name is asked at no resolver (I7). */
#include <stdio.h>

#include "agent/base/util.h"
#include "validators/check.h"

#define NEGATIVE_LONG_S 900
#define TTL_LONG_S 300

struct facts {
        uint32_t ttl; /* of what stands at the challenge name; 0: nothing */
        bool soa_known;
        uint32_t negative_s, refresh_s;
        int64_t rtt_us;
};

static void read_soa(const struct check_answer *a, struct facts *f)
{
        struct dns_soa soa;
        for (size_t i = 0; i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->type != DNS_SOA || !dns_rr_soa(a->message, rr, &soa))
                        continue;
                f->soa_known = true;
                f->negative_s = MIN(rr->ttl, soa.minimum); /* RFC 2308 section 5 */
                f->refresh_s = soa.refresh;
        }
}

static void read_txt(const struct check_answer *a, const char *owner, struct facts *f)
{
        for (size_t i = 0; i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->section == DNS_ANSWER && (rr->type == DNS_TXT || rr->type == DNS_CNAME) &&
                        dns_name_equal(rr->owner, owner))
                        f->ttl = MAX(f->ttl, rr->ttl);
        }
}

/* False: not known yet. */
static bool gather(struct check_context *c, const struct check_challenge *x, struct facts *f)
{
        bool known = true;
        for (size_t i = 0; i < x->zone->server_count; i++) {
                const struct address *at = &x->zone->server[i].address;
                const struct check_answer *soa = check_dns(c, at, CHECK_ANY, x->zone->apex, DNS_SOA, 0),
                                          *txt = check_dns(c, at, CHECK_ANY, x->final, DNS_TXT, 0);
                known = known && soa && txt;
                if (check_is_answered(soa))
                        read_soa(soa, f);
                if (check_is_answered(txt)) {
                        read_txt(txt, x->final, f);
                        f->rtt_us = MAX(f->rtt_us, txt->rtt_us);
                }
        }
        return known;
}

static void run(struct check_context *c, struct judgements *out)
{
        struct facts f = { 0 };
        const struct check_challenge *x = check_challenge(c);
        if (!x)
                return;
        if (!x->zone || x->zone->server_count == 0) {
                judge_unverifiable(out, "W01", c->name, "the zone of %s was not found", x->owner);
                judge_unverifiable(out, "W03", c->name, "the zone of %s was not found", x->owner);
                return;
        }
        if (!gather(c, x, &f))
                return;
        struct judgement_words w = { .subject = x->owner };
        if (f.soa_known && f.negative_s > NEGATIVE_LONG_S) {
                w.fix = "let nobody ask for the name before it is published; a negative TTL of 300 s or less (the "
                        "last number of the SOA record) shortens the wait";
                judge(out, "W01", w, "a cache that was asked for %s too early remembers the miss for up to %u s",
                        x->owner, f.negative_s);
        }
        if (f.ttl > TTL_LONG_S) {
                w.fix = "give the record a TTL of 60 s";
                judge(out, "W02", w, "what stands at %s has a TTL of %u s: later changes linger in caches", x->final,
                        f.ttl);
        }
        if (!f.soa_known)
                return judge_unverifiable(out, "W03", c->name, "no server of %s shows its SOA record", x->zone->apex);
        unsigned least = 1 + (unsigned)(f.rtt_us / 1000000);
        unsigned most = least + f.ttl + (x->zone->server_count > 1 ? f.refresh_s : 0);
        w.fix = "dcvctl rehearse measures it";
        bool others = x->zone->server_count > 1;
        char worst[120] = "";
        if (most > least)
                snprintf(worst, sizeof worst, " (at worst %u s: %s%s%s)", most, f.ttl ? "an older record's TTL" : "",
                        f.ttl && others ? ", and " : "", others ? "a secondary that misses its NOTIFY" : "");
        judge(out, "W03", w, "a new record at %s is visible everywhere in about %u s%s", x->owner, least, worst);
}

extern const struct check check_wait;
const struct check check_wait = {
        .ids = "W01 W02 W03", .stage = STAGE_REST, .scope = CHECK_NAME, .needs = CHECK_DNS, .run = run
};
