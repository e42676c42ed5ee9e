#include "agent/job/when.h"

#include <stdio.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

int64_t when_next_ms(const struct when_input *in)
{
        const int64_t base_ms = in->urgent ? 2000 : 30 * 1000;
        /* Jitter makes ten minutes of 480 s. */
        const int64_t cap_ms = in->paid ? 480 * 1000 : in->urgent ? 600 * 1000 : (int64_t)86400 * 1000;
        int64_t delay_ms = base_ms;
        if ((in->kind == ERR_CONFIG && !in->paid) || in->kind == ERR_BUG)
                delay_ms = cap_ms;
        for (uint64_t i = 1; i < in->failures && delay_ms < cap_ms; i++)
                delay_ms *= 2;
        delay_ms = MIN(delay_ms, cap_ms);
        int64_t floor_ms = MIN(MAX(in->retry_after_s, 0), (int64_t)7 * 86400) * 1000;
        delay_ms = MAX(delay_ms, floor_ms);
        /* Jitter only adds: a Retry-After is a lower bound. */
        return delay_ms + (int64_t)((double)delay_ms / 4 * ((double)in->jitter / (double)UINT32_MAX));
}

int64_t when_passed_s(int64_t now_ms, int64_t in_ms)
{
        return (now_ms + in_ms + 999) / 1000;
}

int64_t when_renew_s(int64_t not_before_s, int64_t not_after_s, uint32_t jitter)
{
        int64_t life_s = not_after_s - not_before_s, left_s = life_s < 10 * 86400 ? life_s / 2 : life_s / 3;
        return not_after_s - left_s - (int64_t)((double)left_s / 10 * ((double)jitter / (double)UINT32_MAX));
}

char *when_end_text(const char *cert, int64_t not_before_s, int64_t not_after_s, int64_t now_s, bool could)
{
        char left[40], date[32], end[100];
        if (not_before_s <= 0 || not_after_s <= not_before_s || now_s < not_after_s - (not_after_s - not_before_s) / 3)
                return NULL;
        format_span(MAX(not_after_s - now_s, 0), left, sizeof left);
        format_date(not_after_s, date, sizeof date);
        if (now_s < not_after_s)
                snprintf(end, sizeof end, "%s left (until %s)", left, date);
        else
                snprintf(end, sizeof end, "the certificate ended on %s", date);
        return could ? text_format("%s, and nothing renews it by itself: dcvctl reissue %s does", end, cert)
                     : text_format("%s; a reissue keeps the end date: buy or apply for a new one at the CA, then set "
                                   "its certificate_id",
                               end);
}
