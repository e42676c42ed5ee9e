/* An engine with a CA and a publisher of the tests (fake_ca.h), and a hand on its clock. */
#ifndef DCVD_TEST_ENGINE_FIXTURE_H
#define DCVD_TEST_ENGINE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

#define LIMIT_MS 120000 /* only against waiting for ever: a disk may take seconds for each commit */

struct fixture {
        char directory[64], runtime[64]; /* runtime: in memory, as /run is */
        struct loop *loop;
        struct engine *engine;
        bool answered;
        int64_t job;
        struct err refused;
        int exit; /* of the last job that ended; -1: none yet */
        char text[300];
        struct engine_listener *listener;
        size_t more; /* certificates beside www and two */
        bool looks; /* the CA is asked soon after a start, as it is outside of tests */
        bool two_cas; /* www may go to a second one */
        const char *key; /* of www, as `key:` has it; NULL: nothing is said */
        json_t *answer; /* of the last action, a copy; NULL: it was refused */
};

/* cmocka's: an engine that runs, with certificates www and two of one name, and nothing left of it. */
int setup(void **state);
int teardown(void **state);
/* On the same directories, which is a restart. */
void start_engine(struct fixture *f);
void stop_engine(struct fixture *f);
void reconfigure(struct fixture *f); /* with the same */

void on_answer(void *fixture, const json_t *result, const struct err *err); /* an action's: what it said is kept */
void ask(struct fixture *f, action_fn *action, json_t *args_own); /* to its answer */
void reissue(struct fixture *f, const char *cert, bool compromised);
void let_time_pass(struct fixture *f); /* whoever sleeps until a due time is woken */
/* Turns the loop, time passing, until reached(f). False: not within LIMIT_MS. */
bool run_to(struct fixture *f, bool (*reached)(struct fixture *f));
bool ended(struct fixture *f); /* a job, since the last reissue() */
bool has_a_job(struct fixture *f);
bool idle_without_jobs(struct fixture *f);
void expect_done(struct fixture *f); /* the job ends well and leaves no token */

#endif
