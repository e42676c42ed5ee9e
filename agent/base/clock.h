/* The clocks, replaceable in tests. Wall time for dates and due times, boot time for limits inside an exchange. */
#ifndef DCVD_BASE_CLOCK_H
#define DCVD_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_now_s(void); /* CLOCK_REALTIME, seconds since 1970 */
int64_t clock_now_ms(void); /* CLOCK_REALTIME, milliseconds */
int64_t clock_files_ms(void); /* CLOCK_REALTIME_COARSE, milliseconds: what files are dated by; a tick behind wall time */
int64_t clock_boot_ms(void); /* CLOCK_BOOTTIME, milliseconds: counts through suspend, never jumps */
/* Tests only: after this all stand still at the given values until set again; both < 0: the real ones again. */
void clock_fake(int64_t wall_ms, int64_t boot_ms);

/* Random for jitter and names (getrandom), never for keys: OpenSSL makes those. */
uint64_t random_u64(void);
uint64_t random_below(uint64_t bound); /* uniform in [0, bound), bound > 0 */
void random_bytes(void *ret, unsigned len);

#endif
