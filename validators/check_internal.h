/* The inside of a run: check_run.c has the stages, check_facts.c the memory of what was asked, check_result.c what
 * comes out. */
#ifndef DCVD_VALIDATORS_CHECK_INTERNAL_H
#define DCVD_VALIDATORS_CHECK_INTERNAL_H

#include "validators/check.h"

#define FACT_BUCKETS 16384
#define FACTS_MAX 400000 /* of one run */
#define AGAIN_MS 20 /* what is still waited for holds up what came by no more than this */

struct check_unit;
struct waiter {
        struct check_unit *unit;
        unsigned serial;
};
struct check_fact {
        struct check_fact *next; /* in its bucket */
        struct check_run *run;
        char *key;
        const struct check_fact_kind *kind;
        void *value; /* NULL: not known yet */
        void *place;
        struct waiter *waiter;
        size_t waiting;
};
struct zone_node { /* the zone checks of one apex */
        struct zone_node *next;
        char *apex;
        size_t left; /* units that run */
        const char *fatal; /* the id; NULL: none */
        struct check_unit *first;
        struct name_state **waiting; /* names whose stage goes on with it */
        size_t waiting_count;
};
struct name_state {
        struct target_state *target;
        const char *name, *base;
        bool is_address;
        enum check_stage stage;
        size_t left; /* units and zones the stage waits for */
        const char *stopped_by; /* the id of the fatal finding; NULL: none */
        bool ended;
        struct zone_node **zone;
        size_t zone_count;
};
struct target_state {
        struct check_run *run;
        const struct check_target *target;
        struct name_state *name;
        size_t passed[STAGES]; /* names that are through with it */
        size_t left; /* units of its own in STAGE_NAMES */
};
struct check_unit {
        struct check_unit *next; /* in its run, oldest first */
        struct check_unit *next_of_zone;
        struct check_unit *next_ready;
        struct check_context c;
        struct name_state *name; /* NULL but for CHECK_NAME */
        struct target_state *target; /* NULL for CHECK_ZONE */
        struct zone_node *zone; /* NULL but for CHECK_ZONE */
        struct judgements out;
        struct check_row *row;
        size_t row_count;
        unsigned serial; /* of its last call */
        size_t open; /* answers it waits for */
        bool queued, stale, done;
};
struct early { /* ids that are unverifiable without any unit having run */
        struct target_state *target;
        const char *ids; /* of the check */
        char *why;
};
struct check_run {
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        const struct check_target *targets;
        struct target_state *state;
        size_t target_count;
        const struct check *const *const *checks;
        check_done_fn *done;
        void *arg;
        struct check_fact *bucket[FACT_BUCKETS];
        size_t facts;
        struct texts published;
        char random[17];
        struct zone_node *zones;
        struct check_unit *units, **units_tail;
        size_t running; /* units that are not done */
        struct check_unit *ready, **ready_tail;
        struct deferred *pass;
        struct timer *again, *deadline;
        bool again_armed, passing, ended, over, failed;
        int64_t timeout_ms;
        struct early *early;
        size_t early_count;
        struct check_result *result;
};

void check_facts_free(struct check_run *r);
const void *check_known(struct check_run *r, const char *key); /* a value that was worked out; NULL: none */
bool check_know(struct check_run *r, const char *key, const struct check_fact_kind *kind, void *value_own);
const void *check_no_memory(struct check_context *c); /* NULL, and the run ends as incomplete */
/* What a server said, if it was asked and has answered; asks nothing. */
const struct check_answer *check_peek(
        struct check_run *r, const struct address *server, enum check_transport t, const char *name, uint16_t type);
/* Tells the units that wait for it. */
void check_unit_heard(struct check_unit *u, unsigned serial);
void check_rows_free(struct check_row *row, size_t count);
bool check_results_make(struct check_run *r); /* false: memory */
void check_results_free(struct check_run *r);
bool check_has_group(const char *ids, const char *group);

#endif
