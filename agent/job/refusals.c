#include "agent/job/refusals.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define LEAST_MS 10000
/* A disk that is nearly full takes some and refuses some: as long it is one trouble. */
#define MOST_MS (10 * 60 * 1000)

bool refusals_note(struct refusals *r, const char *code, int64_t now_ms)
{
        if (r->count == 0) {
                r->since_ms = now_ms;
                r->told = false;
                if (now_ms - r->last_ms > MOST_MS)
                        r->distance_ms = 0;
        }
        if (strcmp(r->code, code) != 0)
                r->distance_ms = 0;
        snprintf(r->code, sizeof r->code, "%s", code);
        r->count++;
        r->last_ms = now_ms;
        if (r->distance_ms > 0 && now_ms - r->told_ms < r->distance_ms)
                return false;
        r->distance_ms = MIN(MAX(2 * r->distance_ms, LEAST_MS), MOST_MS);
        r->told_ms = now_ms;
        r->told = true;
        return true;
}

bool refusals_over(struct refusals *r)
{
        r->count = 0;
        return r->told;
}
