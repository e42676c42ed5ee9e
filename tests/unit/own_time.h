/* The time of a test that is alone with its loop: it passes only while the loop waits and nobody has anything to say,
 * so that a machine that stands still, or is slow, takes nothing from it. Include it in one file of a program whose
 * threads do nothing by the clock; libuv, c-ares and the HTTP libraries then have this time as well, for it takes the
 * place of the C library's functions. The time of day is not touched.
 *
 * A wait is a real one, as long as asked for, up to REAL_WAIT_MS: what a kernel thread delivers later than at once
 * still comes first. When it ends with nothing, all of it has passed; when something came, none has. Whoever has a
 * thread that answers says beforehand that each wait is as long as asked for: REAL_WAIT_MS is INT_MAX. */
#ifndef DCVD_TEST_OWN_TIME_H
#define DCVD_TEST_OWN_TIME_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef REAL_WAIT_MS
#define REAL_WAIT_MS 50
#endif

static atomic_llong own_time_ns = 1000000000000; /* boot and monotonic time are the same here */

/* `ms` go by. */
static inline void own_time_pass(int64_t ms)
{
        (void)atomic_fetch_add(&own_time_ns, ms * 1000000);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
        if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE && id != CLOCK_MONOTONIC_RAW && id != CLOCK_BOOTTIME)
                return (int)syscall(SYS_clock_gettime, id, ret);
        /* A look takes a little: nothing takes no time at all. */
        long long now_ns = atomic_fetch_add(&own_time_ns, 1000);
        *ret = (struct timespec){ .tv_sec = (time_t)(now_ns / 1000000000), .tv_nsec = (long)(now_ns % 1000000000) };
        return 0;
}

static inline int64_t real_time_ms(void)
{
        struct timespec t = { 0 };
        (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In slices: one that took much longer than it should is not counted, for the machine, and whoever was to answer, stood
 * still in it. */
int epoll_pwait(int fd, struct epoll_event *ret, int max, int timeout_ms, const sigset_t *mask)
{
        enum { SLICE_MS = 20, LATE_MS = 100 };
        int left_ms = timeout_ms > REAL_WAIT_MS ? REAL_WAIT_MS : timeout_ms, n;
        do {
                int slice_ms = left_ms > SLICE_MS ? SLICE_MS : left_ms;
                int64_t from_ms = real_time_ms();
                n = (int)syscall(SYS_epoll_pwait, fd, ret, max, slice_ms, mask, _NSIG / 8);
                if (real_time_ms() - from_ms <= slice_ms + LATE_MS)
                        left_ms -= slice_ms;
        } while (n == 0 && left_ms > 0);
        if (n == 0 && timeout_ms > 0)
                own_time_pass(timeout_ms);
        return n;
}

int epoll_wait(int fd, struct epoll_event *ret, int max, int timeout_ms)
{
        return epoll_pwait(fd, ret, max, timeout_ms, NULL);
}

#endif
