#include "agent/net/tencent_limit.h"

#include <string.h>

#include "agent/base/util.h"

/* Requests arrive a little closer together than they were sent: so much is added to each window. */
#define SLACK_MS 50

static const struct {
        const char *service, *action;
        int64_t per_second;
} limits[] = {
        { "dnspod", "CreateRecord", 500 },
        { "dnspod", "ModifyRecord", 500 },
        { "dnspod", "DeleteRecord", 500 },
        { "dnspod", "DescribeRecordList", 100 },
        { "dnspod", NULL, 20 },
        { NULL, NULL, 10 },
};

void tencent_limit_init(struct tencent_limit *l, const char *service, const char *action)
{
        size_t i = 0;

        while ((limits[i].service && strcmp(limits[i].service, service) != 0) ||
                (limits[i].action && strcmp(limits[i].action, action) != 0))
                i++;
        *l = (struct tencent_limit){ .window_ms = TENCENT_LIMIT_STARTS * 1000 / limits[i].per_second + SLACK_MS };
}

int64_t tencent_limit_delay_ms(const struct tencent_limit *l, int64_t boot_ms)
{
        int64_t first = l->started_ms[l->oldest];
        int64_t may = first ? first + l->window_ms : 0;

        may = MAX(may, l->not_before_ms);
        return may > boot_ms ? may - boot_ms : 0;
}

void tencent_limit_start(struct tencent_limit *l, int64_t boot_ms)
{
        l->started_ms[l->oldest] = boot_ms ? boot_ms : 1;
        l->oldest = (l->oldest + 1) % TENCENT_LIMIT_STARTS;
}

void tencent_limit_hold(struct tencent_limit *l, int64_t until_boot_ms)
{
        l->not_before_ms = MAX(l->not_before_ms, until_boot_ms);
}
