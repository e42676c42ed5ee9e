/* What this process knows of the orders it follows, in memory only: when it told the CA to validate, what the CA last
 * said. Losing it costs a question. */
#ifndef DCVD_CA_TENCENT_NOTES_H
#define DCVD_CA_TENCENT_NOTES_H

#include "agent/ca/tencent/model.h"

struct tc_note {
        char id[TC_ID_MAX];
        int64_t told_ms, checked_ms; /* boot time; 0: never */
        enum tc_known validated;
        bool can_complete, brand_known;
};
struct tc_notes {
        struct tc_note *item; /* owned */
        size_t count, cap, oldest;
};
void tc_notes_done(struct tc_notes *n);
struct tc_note *tc_notes_find(struct tc_notes *n, const char *id); /* NULL if unknown; valid until the next call here */
struct tc_note *tc_notes_get(struct tc_notes *n, const char *id); /* made if absent; NULL: memory */
void tc_notes_forget(struct tc_notes *n, const char *id);

#endif
