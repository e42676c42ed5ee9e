#include "agent/job/incident_brake.h"

#include "agent/base/util.h"

/* When the oldest of the newest `limit` starts leaves the window; 0 if there are fewer in it. */
static int64_t within(
        const struct brake_start *list, size_t count, bool same_only, int64_t limit, int64_t window_s, int64_t now_s)
{
        int64_t seen = 0;
        if (limit <= 0)
                return INT64_MAX;
        for (size_t i = 0; i < count; i++) {
                int64_t at_s = MIN(list[i].at_s, now_s); /* a clock that was set back: as if it had been now */
                if (at_s + window_s <= now_s)
                        return 0;
                seen += !same_only || list[i].same;
                if (seen == limit)
                        return at_s + window_s;
        }
        return 0;
}

int64_t brake_until(const struct brake_limits *l, const struct brake_start *list, size_t count, int64_t now_s)
{
        int64_t hour = within(list, count, false, l->per_hour, 3600, now_s);
        int64_t own = within(list, count, true, l->per_cert, l->window_s, now_s);
        int64_t cool = within(list, count, true, 1, l->cooldown_s, now_s);
        return MAX(MAX(hour, own), cool);
}
