/* The states of a job as one table, who may follow whom, and what an order's view means. Pure: no clock, no memory, no
 * I/O. */
#ifndef DCVD_JOB_STATE_H
#define DCVD_JOB_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct ca_view;

/* A state is named after what will be true when it is left. */
enum job_state {
        JOB_QUEUED, /* may go: siblings, identical orders, limits */
        JOB_ELIGIBLE, /* the CA was asked for the certificate; its rules were applied; the web server's configuration is
                         sound */
        JOB_REHEARSED, /* a probe token was seen everywhere and withdrawn */
        JOB_KEYED, /* the key is on disk, its row committed */
        JOB_ORDERED, /* the order is open at the CA, its id committed */
        JOB_PUBLISHED, /* the CA's tokens are out */
        JOB_PROPAGATED, /* every authoritative address shows them */
        JOB_SUBMITTED, /* the CA was told to validate and says it has */
        JOB_REVIEWED, /* a person approved */
        JOB_FINALIZED, /* the CSR of this order was accepted */
        JOB_ISSUED, /* chain fetched and checked */
        JOB_DEPLOYED, /* installed, tested, reloaded */
        JOB_SERVED, /* seen on every endpoint */
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELLED,
        JOB_STATES
};

const char *job_state_name(enum job_state s);
const char *job_state_doing(enum job_state s); /* what is being done in it, for people: "publishing the CA's tokens" */
bool job_state_from_name(const char *name, enum job_state *ret);
/* The matrix. A state may follow itself (its action is repeated with a new intent). */
bool job_may_go(enum job_state from, enum job_state to);
bool job_is_final(enum job_state s);
/* Between these the job holds the CA's exclusive keys and its order is open. */
bool job_has_order_open(enum job_state s);
/* Its action asks and looks, and makes what is only this host's; nothing outside is changed by it. So it need not wait
 * until its row is on disk: run again after a crash, it finds the same. */
bool job_state_only_reads(enum job_state s);
int64_t job_state_limit_s(
        enum job_state s); /* longest time one action of the state may take before it is stopped and repeated */

/* What an order's view asks for next: JOB_PUBLISHED, _SUBMITTED, _REVIEWED, _FINALIZED, _ISSUED or _FAILED. told: every
 * open proof was published, seen everywhere, and the CA was told. The precedence: ended, ready, open proofs, CSR,
 * person, validation. */
enum job_state order_next(const struct ca_view *view, bool told);

#endif
