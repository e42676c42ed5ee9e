/* How often an action may be called: at most ten starts in any window whose length follows from the published limit.
 * Pure. */
#ifndef DCVD_NET_TENCENT_LIMIT_H
#define DCVD_NET_TENCENT_LIMIT_H

#include <stdint.h>

#define TENCENT_LIMIT_STARTS 10

struct tencent_limit {
        int64_t window_ms;
        int64_t not_before_ms; /* after the service said that it throttles */
        int64_t started_ms[TENCENT_LIMIT_STARTS]; /* a ring; value 0: none */
        unsigned oldest;
};
void tencent_limit_init(struct tencent_limit *l, const char *service, const char *action);
int64_t tencent_limit_delay_ms(const struct tencent_limit *l, int64_t boot_ms); /* 0: now */
void tencent_limit_start(struct tencent_limit *l, int64_t boot_ms);
void tencent_limit_hold(struct tencent_limit *l, int64_t until_boot_ms);

#endif
