/* Files are dated by the ticks of a coarse clock: a change is told by its date only in another one. */
#ifndef DCVD_TEST_FILE_TICK_H
#define DCVD_TEST_FILE_TICK_H

#include <time.h>

/* What is written from here on has another date than what was before. */
static inline void let_a_tick_pass(void)
{
        struct timespec before, now;
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &before);
        do
                (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
        while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

#endif
