/* What is the case with an incident, for people: one line, and who must act. */
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

struct counts {
        size_t live, replaced, asks, held, gone, failing, acting, revoked, revoke_asks, revoke_waits;
        int64_t held_until_s;
};

static bool job_wants_person(const struct incident *i, const struct incident_case *c)
{
        const struct cert *cert = engine_cert(i->engine, c->cert);
        const struct job *j = cert ? cert->job : NULL;
        return j && j->row.waiting && j->row.err_code && strcmp(j->row.err_code, "person") == 0;
}

static struct counts count(const struct incident *i)
{
        struct counts n = { 0 };
        int64_t now_s = clock_now_s();
        for (size_t k = 0; k < i->case_count; k++) {
                const struct incident_case *c = &i->cases[k];
                n.live += c->live;
                n.replaced += c->state == CASE_REPLACED;
                n.gone += c->state == CASE_GONE;
                n.revoked += c->revocation == REVOKE_DONE;
                bool settled = c->state != CASE_OPEN && c->state != CASE_GONE;
                n.revoke_asks += settled && c->revoke == VERDICT_ASK && c->revocation <= REVOKE_WAITS;
                n.revoke_waits += c->revocation == REVOKE_WAITS && c->revoke == VERDICT_YES;
                if (c->state != CASE_OPEN)
                        continue;
                if (c->reissue == VERDICT_ASK || job_wants_person(i, c)) {
                        n.asks++;
                } else if (c->held_s > now_s) {
                        n.held++;
                        n.held_until_s = n.held_until_s ? MIN(n.held_until_s, c->held_s) : c->held_s;
                } else {
                        n.acting++;
                        n.failing += c->failures > 0;
                }
        }
        return n;
}

enum incident_act incident_acts(const struct incident *i)
{
        struct counts n = count(i);
        if (i->row.state == INCIDENT_DONE || i->row.state == INCIDENT_DISMISSED)
                return INCIDENT_CLOSED;
        if (n.acting)
                return INCIDENT_ACTS;
        if (n.held)
                return INCIDENT_HOLDS;
        if (n.asks || n.revoke_asks)
                return INCIDENT_ASKS;
        return i->case_count > 0 && n.gone < n.live ? INCIDENT_ACTS : INCIDENT_TELLS;
}

size_t incident_certs(const struct incident *i)
{
        size_t n = 0;
        for (size_t k = 0; k < i->case_count; k++) {
                bool before = false;
                for (size_t m = 0; m < k; m++)
                        before = before || strcmp(i->cases[m].cert, i->cases[k].cert) == 0;
                n += !before;
        }
        return n;
}

static void add(struct buf *b, size_t n, const char *one, const char *more)
{
        if (n > 0)
                buf_addf(b, ", %zu %s", n, n == 1 ? one : more);
}

void incident_say(const struct incident *i, char *ret, size_t size)
{
        struct buf b = { .max = 4000 };
        struct counts n = count(i);
        if (incident_is_nameless(&i->row))
                buf_addf(&b,
                        "nothing says which key leaked: look whether it is one of this host; dcvctl report FILE if it "
                        "is, "
                        "then dcvctl dismiss %lld --because TEXT",
                        (long long)i->row.id);
        else
                buf_addf(&b, "%s: %zu certificate%s",
                        i->row.marked         ? "key marked compromised for ever"
                                : i->row.spki ? "key not marked"
                                              : "no key was named",
                        n.live, n.live == 1 ? "" : "s");
        add(&b, n.replaced, "replaced", "replaced");
        add(&b, n.acting - n.failing, "being replaced", "being replaced");
        add(&b, n.failing, "tried again", "tried again");
        add(&b, n.asks, "waits for you", "wait for you");
        add(&b, n.gone, "no longer configured here", "no longer configured here");
        if (n.held) {
                char when[40] = "dcvctl confirm";
                if (n.held_until_s < INT64_MAX)
                        format_time(n.held_until_s, when, sizeof when);
                buf_addf(&b, ", %zu held by the storm brake until %s", n.held, when);
        }
        add(&b, n.revoked, "revoked", "revoked");
        add(&b, n.revoke_waits, "not revoked yet", "not revoked yet");
        if (n.revoke_asks && !n.asks)
                add(&b, n.revoke_asks, "revocation waits for you", "revocations wait for you");
        if (i->row.state == INCIDENT_DISMISSED)
                buf_addf(&b, "; dismissed: %s", i->row.because ? i->row.because : "");
        snprintf(ret, size, "%s", b.data ? b.data : "");
        buf_done(&b);
}
