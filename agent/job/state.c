#include "agent/job/state.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/ca.h"

#define BIT(s) (1u << (s))
#define ENDS (BIT(JOB_FAILED) | BIT(JOB_CANCELLED))
/* The order decides among these, in both directions: proofs may appear late, even during a review. */
#define BY_ORDER (BIT(JOB_PUBLISHED) | BIT(JOB_SUBMITTED) | BIT(JOB_REVIEWED) | BIT(JOB_FINALIZED) | BIT(JOB_ISSUED))
#define ONLY_READ (BIT(JOB_ELIGIBLE) | BIT(JOB_KEYED) | BIT(JOB_PROPAGATED) | BIT(JOB_ISSUED))

static const struct {
        const char *name, *doing;
        unsigned next;
        int64_t limit_s;
} states[JOB_STATES] = {
        [JOB_QUEUED] = { "queued", "waiting for its turn", BIT(JOB_ELIGIBLE) | BIT(JOB_DEPLOYED) | ENDS, 60 },
        /* back to queued: a sibling or an identical order runs; straight to ordered: a running reissue is adopted */
        [JOB_ELIGIBLE] = { "eligible", "asking the CA whether and how",
                BIT(JOB_QUEUED) | BIT(JOB_REHEARSED) | BIT(JOB_KEYED) | BIT(JOB_ORDERED) | ENDS, 600 },
        [JOB_REHEARSED] = { "rehearsed", "rehearsing with a probe token", BIT(JOB_KEYED) | BIT(JOB_ELIGIBLE) | ENDS,
                1800 },
        [JOB_KEYED] = { "keyed", "making the key", BIT(JOB_ORDERED) | BIT(JOB_ELIGIBLE) | ENDS, 600 },
        /* back to eligible: the attempt ended and the next CA begins, or the CA said that nothing was processed */
        [JOB_ORDERED] = { "ordered", "opening the order at the CA", BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS, 600 },
        [JOB_PUBLISHED] = { "published", "publishing the CA's tokens",
                BIT(JOB_PROPAGATED) | BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS, 900 },
        [JOB_PROPAGATED] = { "propagated", "waiting until every name server or address shows them",
                BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS, 7 * 86400 },
        [JOB_SUBMITTED] = { "submitted", "having the CA validate", BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS, 600 },
        [JOB_REVIEWED] = { "reviewed", "waiting for the approval of a person", BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS,
                600 },
        [JOB_FINALIZED] = { "finalized", "handing over the CSR", BY_ORDER | BIT(JOB_ELIGIBLE) | ENDS, 600 },
        [JOB_ISSUED] = { "issued", "fetching the certificate", BIT(JOB_DEPLOYED) | BIT(JOB_DONE) | BIT(JOB_ELIGIBLE) | ENDS, 600 }, /* done: a trial */
        [JOB_DEPLOYED] = { "deployed", "installing, testing, reloading", BIT(JOB_SERVED) | ENDS, 1800 },
        [JOB_SERVED] = { "served", "looking at what is served", BIT(JOB_DONE) | BIT(JOB_DEPLOYED) | ENDS, 1800 },
        [JOB_DONE] = { "done", "taking the tokens back", 0, 0 },
        [JOB_FAILED] = { "failed", "taking the tokens back", 0, 0 },
        [JOB_CANCELLED] = { "cancelled", "taking the tokens back", 0, 0 },
};

const char *job_state_name(enum job_state s)
{
        return (unsigned)s < JOB_STATES ? states[s].name : "?";
}

const char *job_state_doing(enum job_state s)
{
        return (unsigned)s < JOB_STATES ? states[s].doing : "?";
}

bool job_state_from_name(const char *name, enum job_state *ret)
{
        for (unsigned s = 0; name && s < JOB_STATES; s++)
                if (strcmp(states[s].name, name) == 0) {
                        *ret = (enum job_state)s;
                        return true;
                }
        return false;
}

bool job_is_final(enum job_state s)
{
        return s == JOB_DONE || s == JOB_FAILED || s == JOB_CANCELLED;
}

bool job_may_go(enum job_state from, enum job_state to)
{
        if ((unsigned)from >= JOB_STATES || (unsigned)to >= JOB_STATES)
                return false;
        return (states[from].next & BIT(to)) || (from == to && !job_is_final(from));
}

bool job_has_order_open(enum job_state s)
{
        return s >= JOB_ORDERED && s <= JOB_ISSUED;
}

bool job_state_only_reads(enum job_state s)
{
        return (unsigned)s < JOB_STATES && (ONLY_READ & BIT(s));
}

int64_t job_state_limit_s(enum job_state s)
{
        return (unsigned)s < JOB_STATES ? states[s].limit_s : 0;
}

enum job_state order_next(const struct ca_view *view, bool told)
{
        if (view->end != CA_END_NONE)
                return JOB_FAILED;
        if (view->ready)
                return JOB_ISSUED;
        if (view->proof_count > 0 && !told)
                return JOB_PUBLISHED;
        if (view->csr_wanted || view->issuing)
                return JOB_FINALIZED;
        if (view->person_wanted && !(view->proof_count > 0 && view->validation_wanted))
                return JOB_REVIEWED;
        return JOB_SUBMITTED;
}
