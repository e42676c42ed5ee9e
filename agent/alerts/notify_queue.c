#include "agent/alerts/notify_queue.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"

#define FIRST_MS 5000

void notify_item_free(struct notify_item *i)
{
        if (!i)
                return;
        free(i->delivery);
        free(i->key);
        free(i->cert);
        free(i->text);
        free(i->fix);
        free(i);
}

void notify_queue_init(struct notify_queue *q)
{
        *q = (struct notify_queue){ .last = &q->first };
}

void notify_queue_done(struct notify_queue *q)
{
        while (q->first)
                notify_item_free(notify_queue_take(q));
}

enum notify_added notify_queue_add_own(struct notify_queue *q, struct notify_item *item)
{
        for (const struct notify_item *i = q->first; i; i = i->next)
                if (strcmp(i->key, item->key) == 0)
                        return NOTIFY_KNOWN;
        if (q->count >= NOTIFY_QUEUE_MAX)
                return NOTIFY_FULL;
        item->next = NULL;
        *q->last = item;
        q->last = &item->next;
        q->count++;
        return NOTIFY_ADDED;
}

struct notify_item *notify_queue_take(struct notify_queue *q)
{
        struct notify_item *i = q->first;
        if (!i)
                return NULL;
        q->first = i->next;
        q->count--;
        if (!q->first)
                q->last = &q->first;
        return i;
}

bool notify_queue_too_old(const struct notify_queue *q, int64_t now_s)
{
        return q->first && q->first->at_s + NOTIFY_KEEP_S < now_s;
}

void notify_queue_accepted(struct notify_queue *q)
{
        q->failures = 0;
        q->due_ms = 0;
}

int64_t notify_delay_ms(unsigned failures, int64_t cap_ms)
{
        int64_t delay_ms = FIRST_MS;
        for (unsigned i = 1; i < failures && delay_ms < cap_ms; i++)
                delay_ms *= 2;
        return MIN(delay_ms, cap_ms);
}

void notify_queue_failed(struct notify_queue *q, int64_t now_ms, int64_t cap_ms, int64_t after_s)
{
        if (q->failures < 1000)
                q->failures++;
        int64_t delay_ms = notify_delay_ms(q->failures, cap_ms);
        delay_ms -= (int64_t)random_below((uint64_t)delay_ms / 4 + 1);
        q->due_ms = now_ms + MAX(delay_ms, MIN(after_s * 1000, cap_ms));
}
