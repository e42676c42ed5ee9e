/* How often it is said that the journal takes nothing: at once, then ever more rarely while it stays so. Pure; times
 * are boot time. */
#ifndef DCVD_JOB_REFUSALS_H
#define DCVD_JOB_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

struct refusals {
        uint64_t count; /* of this trouble; 0: there is none */
        int64_t since_ms, last_ms;
        int64_t told_ms, distance_ms; /* the last line, and what passes before the next; 0: none yet */
        bool told; /* of this trouble */
        char code[64]; /* of the last one */
};
/* One more, for this reason (an err's code). True: it is to be told. */
bool refusals_note(struct refusals *r, const char *code, int64_t now_ms);
/* All is taken again. True: that is to be told, as the trouble was. */
bool refusals_over(struct refusals *r);

#endif
