#include "agent/base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static atomic_llong fake_wall_ms = -1, fake_boot_ms = -1;

static int64_t read_ms(clockid_t id)
{
        struct timespec t;
        (void)clock_gettime(id, &t); /* cannot fail for these clocks */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
        int64_t fake = atomic_load(&fake_wall_ms);
        return fake >= 0 ? fake : read_ms(CLOCK_REALTIME);
}

int64_t clock_files_ms(void)
{
        int64_t fake = atomic_load(&fake_wall_ms);
        return fake >= 0 ? fake : read_ms(CLOCK_REALTIME_COARSE);
}

int64_t clock_now_s(void)
{
        return clock_now_ms() / 1000;
}

int64_t clock_boot_ms(void)
{
        int64_t fake = atomic_load(&fake_boot_ms);
        return fake >= 0 ? fake : read_ms(CLOCK_BOOTTIME);
}

void clock_fake(int64_t wall_ms, int64_t boot_ms)
{
        atomic_store(&fake_wall_ms, wall_ms);
        atomic_store(&fake_boot_ms, boot_ms);
}

void random_bytes(void *ret, unsigned len)
{
        /* Up to 256 bytes come whole, once the kernel's pool is up: getrandom waits for that. */
        for (unsigned done = 0; done < len;) {
                ssize_t n = getrandom((char *)ret + done, len - done, 0);
                if (n > 0)
                        done += (unsigned)n;
        }
}

uint64_t random_u64(void)
{
        uint64_t r;
        random_bytes(&r, sizeof r);
        return r;
}

uint64_t random_below(uint64_t bound)
{
        uint64_t limit = UINT64_MAX - UINT64_MAX % bound, r;
        do
                r = random_u64();
        while (r >= limit);
        return r % bound;
}
