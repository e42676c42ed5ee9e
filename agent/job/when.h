/* When next? Pure functions of what happened; saturating, capped, with jitter. */
#ifndef DCVD_JOB_WHEN_H
#define DCVD_JOB_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

struct when_input {
        enum err_kind kind;
        uint64_t failures; /* in a row, at least 1 */
        int64_t retry_after_s;
        bool urgent; /* a key is compromised: first again soon, cap low */
        bool paid; /* an order is open, its deadline comes, and what stands in the way is for somebody to mend: the cap
                    * is such that it is looked at again within ten minutes, and our own input counts as any other's */
        uint32_t jitter; /* random; 0 = none, UINT32_MAX = all of it (a quarter) */
};
/* Milliseconds until the next try. Temporary: 30 s doubling up to a day (urgent: 2 s up to 10 min). Our own input at
 * fault: the cap at once, unless the order is paid for. retry_after_s is a lower bound, clamped to 7 d. */
int64_t when_next_ms(const struct when_input *in);

/* The first whole second (Unix time) at which in_ms have passed since now_ms: for who keeps times in seconds, and must
 * not come early. */
int64_t when_passed_s(int64_t now_ms, int64_t in_ms);

/* When a certificate is to be renewed without a word of its CA: a third of its lifetime before the end, half of it
 * below ten days; jitter makes that earlier by up to a tenth of it. */
int64_t when_renew_s(int64_t not_before_s, int64_t not_after_s, uint32_t jitter);

/* What to say of the end of a certificate that nothing renews by itself, once a third of its lifetime is left or less:
 * that a reissue keeps the end date and what to buy. could: a CA of its list could renew it, if it were asked. NULL:
 * too early, a date is not known (0), or no memory; the caller frees. */
char *when_end_text(const char *cert, int64_t not_before_s, int64_t not_after_s, int64_t now_s, bool could);

#endif
