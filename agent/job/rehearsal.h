/* A rehearsal: probe tokens exactly where the real ones will go, by the same publishers, with values that no CA
 * accepts; seen at every authoritative address (a file: at every address of its host), withdrawn, seen gone. Resolvers
 * are asked for nothing but a probe at a random label that no CA uses (I7). For the state `rehearsed` of a job and for
 * dcvctl rehearse. */
#ifndef DCVD_JOB_REHEARSAL_H
#define DCVD_JOB_REHEARSAL_H

#include <jansson.h>

#include "agent/job/internal.h"

struct rehearsal;

/* One probe of the plan. */
struct probe_plan {
        char *ca, *publisher; /* publisher NULL: none is configured */
        struct proof proof;
        bool predicted; /* the CA names the place only with an order */
        bool label; /* at a random label, for the resolvers; it decides nothing */
        struct err why_not; /* kind set: it cannot be rehearsed, and why */
};
void probe_plan_done(struct probe_plan *p);
struct rehearsal_plan {
        struct probe_plan *item;
        size_t count;
};
/* The probes of one CA of the list, or of all of it (ALL_CAS), each place once per value that an order would put there.
 * labels: with one at a random label per publisher of DNS records. */
#define ALL_CAS SIZE_MAX
bool rehearsal_plan_make(struct engine *g, const struct conf_cert *policy, size_t ca_index, bool labels,
        struct rehearsal_plan *ret, struct err *e);
void rehearsal_plan_done(struct rehearsal_plan *p);

struct rehearsal_request {
        const struct conf_cert *policy; /* lives as long as the rehearsal */
        int64_t holder; /* of its tokens: the job, or a negative number of its own */
        int64_t timeout_ms; /* at most this for the spreading; 0: as the policy says */
        bool hurried; /* ends as soon as all is seen or one failed: what goes back does so in the background */
};
/* text: a line for people. */
typedef void rehearsal_note_fn(void *arg, const char *text);
/* err NULL: every probe was seen. The rehearsal can be read in the callback and is gone after it. */
typedef void rehearsal_done_fn(void *arg, const struct rehearsal *r, const struct err *err);
/* Takes the plan over on success. */
struct rehearsal *rehearsal_start(struct engine *g, const struct rehearsal_request *r, struct rehearsal_plan *plan_own,
        rehearsal_note_fn *note, rehearsal_done_fn *done, void *arg, struct err *e);
void rehearsal_cancel(struct rehearsal *r); /* NULL allowed; its tokens go back in the background */

/* {probes:[..], forecast_ms}: times, servers, what went wrong. */
json_t *rehearsal_json(const struct rehearsal *r);
json_t *probe_plan_json(const struct probe_plan *p);

#endif
