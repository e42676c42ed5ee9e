/* Drives a heap of due times (base/due.h) from one CLOCK_REALTIME timerfd with TFD_TIMER_CANCEL_ON_SET: no polling, and
 * a clock that is set is noticed at once. */
#ifndef DCVD_NET_DUE_TIMER_H
#define DCVD_NET_DUE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct loop;
struct due_heap;
struct due_entry;
struct due_timer;

/* fire is called for every entry that is due (already removed from the heap); jumped when the wall clock moved against
 * the boot clock by more than 300 s (delta in seconds, signed), before anything fires. heap is borrowed. */
bool due_timer_open(struct due_timer **ret, struct loop *loop, struct due_heap *heap,
        void (*fire)(void *arg, struct due_entry *entry), void (*jumped)(void *arg, int64_t delta_s), void *arg,
        struct err *e);
void due_timer_close(struct due_timer *t);
/* To be called after the heap's first entry may have changed; cheap if it has not. */
void due_timer_arm(struct due_timer *t);

#endif
