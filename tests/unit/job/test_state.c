#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/job/state.h"

static const char *const rows[] = {
        /* q e r k o p P s v f i d S D F C  (from, then who may follow; a state may follow itself) */
        "queued     qe.........d..FC",
        "eligible   qerko.........FC",
        "rehearsed  .erk..........FC",
        "keyed      .e.ko.........FC",
        "ordered    .e..op.svfi...FC",
        "published  .e...pPsvfi...FC",
        "propagated .e...pPsvfi...FC",
        "submitted  .e...p.svfi...FC",
        "reviewed   .e...p.svfi...FC",
        "finalized  .e...p.svfi...FC",
        "issued     .e........id.DFC",
        "deployed   ...........dS.FC",
        "served     ...........dSDFC",
        "done       ................",
        "failed     ................",
        "cancelled  ................",
};

static void the_successor_matrix_is_exactly_this(void **state)
{
        (void)state;
        for (unsigned from = 0; from < JOB_STATES; from++) {
                const char *row = rows[from];
                size_t n = strcspn(row, " ");
                assert_memory_equal(row, job_state_name((enum job_state)from), n);
                for (unsigned to = 0; to < JOB_STATES; to++)
                        if (job_may_go((enum job_state)from, (enum job_state)to) != (row[11 + to] != '.'))
                                fail_msg("%s -> %s", job_state_name((enum job_state)from),
                                        job_state_name((enum job_state)to));
        }
        assert_false(job_may_go((enum job_state)77, JOB_DONE));
        assert_false(job_may_go(JOB_QUEUED, (enum job_state)77));
}

static void names_go_both_ways(void **state)
{
        (void)state;
        for (unsigned s = 0; s < JOB_STATES; s++) {
                enum job_state back = JOB_QUEUED;
                assert_true(job_state_from_name(job_state_name((enum job_state)s), &back));
                assert_int_equal(back, s);
        }
        enum job_state untouched = JOB_ISSUED;
        assert_false(job_state_from_name("nonsense", &untouched));
        assert_false(job_state_from_name(NULL, &untouched));
        assert_int_equal(untouched, JOB_ISSUED);
}

static void every_state_that_acts_has_a_limit(void **state)
{
        (void)state;
        for (unsigned s = 0; s < JOB_STATES; s++)
                assert_true(job_is_final((enum job_state)s) == (job_state_limit_s((enum job_state)s) == 0));
}

/* What else one does is a write at the CA, a token, a file of a web server. */
static void these_states_only_read(void **state)
{
        (void)state;
        for (unsigned s = 0; s < JOB_STATES; s++)
                assert_true(job_state_only_reads((enum job_state)s) ==
                        (s == JOB_ELIGIBLE || s == JOB_KEYED || s == JOB_PROPAGATED || s == JOB_ISSUED));
        assert_false(job_state_only_reads((enum job_state)77));
}

static void the_view_decides_what_comes_next(void **state)
{
        static const struct {
                struct ca_view v;
                bool told;
                enum job_state want;
        } row[] = {
                { { .end = CA_END_FAILED, .ready = true, .proof_count = 1 }, false, JOB_FAILED },
                { { .end = CA_END_CANCELLED }, true, JOB_FAILED },
                { { .ready = true, .proof_count = 2, .validation_wanted = true }, false, JOB_ISSUED },
                { { .proof_count = 1, .validation_wanted = true }, false, JOB_PUBLISHED },
                { { .proof_count = 1, .validation_wanted = true }, true, JOB_SUBMITTED },
                { { .proof_count = 1, .validation_wanted = true, .person_wanted = true }, true, JOB_SUBMITTED },
                { { .proof_count = 1, .person_wanted = true }, true, JOB_REVIEWED },
                { { .proof_count = 1, .person_wanted = true }, false,
                        JOB_PUBLISHED }, /* proofs that appear during a review */
                { { .person_wanted = true }, false, JOB_REVIEWED },
                { { .csr_wanted = true }, true, JOB_FINALIZED },
                { { .issuing = true }, true, JOB_FINALIZED },
                { { .issuing = true, .ready = true }, true, JOB_ISSUED },
                { { .csr_wanted = true, .proof_count = 1 }, false, JOB_PUBLISHED },
                { { .validation_wanted = true }, false, JOB_SUBMITTED }, /* proofs not there yet: wait for them */
                { { 0 }, true, JOB_SUBMITTED },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (order_next(&row[i].v, row[i].told) != row[i].want)
                        fail_msg("row %zu: %s", i, job_state_name(order_next(&row[i].v, row[i].told)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_successor_matrix_is_exactly_this),
                cmocka_unit_test(names_go_both_ways),
                cmocka_unit_test(every_state_that_acts_has_a_limit),
                cmocka_unit_test(these_states_only_read),
                cmocka_unit_test(the_view_decides_what_comes_next),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
