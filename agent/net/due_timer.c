#include "agent/net/due_timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/due.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"

#define JUMP_S 300
#define FIRE_AT_ONCE 64 /* entries a round: a thousand due certificates must not hold the loop */

struct due_timer {
        struct loop *loop;
        struct due_heap *heap;
        void (*fire)(void *arg, struct due_entry *entry);
        void (*jumped)(void *arg, int64_t delta_s);
        void *arg;
        struct watch *watch;
        int fd;
        int64_t armed_ms; /* wall time the descriptor is set to; -1: not */
        int64_t offset_ms; /* wall minus boot, as last seen */
};

static void set(struct due_timer *t, int64_t due_ms)
{
        struct itimerspec when = { 0 };
        if (due_ms >= 0) {
                int64_t at_ms = due_ms > 0 ? due_ms : 1; /* zero would disarm */
                when.it_value.tv_sec = (time_t)(at_ms / 1000);
                when.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
        } else {
                /* Nothing is due: still armed, far away, so that a set clock is noticed. */
                when.it_value.tv_sec = (time_t)(clock_now_s() + 86400 * 365);
        }
        int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
        if (timerfd_settime(t->fd, flags, &when, NULL) < 0 && errno == ECANCELED) {
                /* The clock was set since the last read: the new time is in force, but the notice is used up. Due at
                 * once then, so that the jump is seen in its own round. */
                when = (struct itimerspec){ .it_value.tv_nsec = 1 };
                (void)timerfd_settime(t->fd, flags, &when, NULL);
        }
        t->armed_ms = due_ms;
}

void due_timer_arm(struct due_timer *t)
{
        const struct due_entry *first = due_first(t->heap);
        int64_t due_ms = first ? (first->due_ms > 0 ? first->due_ms : 0) : -1;
        if (due_ms != t->armed_ms)
                set(t, due_ms);
}

static void check_jump(struct due_timer *t)
{
        int64_t offset_ms = clock_now_ms() - clock_boot_ms(), delta_s = (offset_ms - t->offset_ms) / 1000;
        t->offset_ms = offset_ms;
        if ((delta_s > JUMP_S || delta_s < -JUMP_S) && t->jumped)
                t->jumped(t->arg, delta_s);
}

static void ready(void *arg)
{
        struct due_timer *t = arg;
        uint64_t count;
        if (read(t->fd, &count, sizeof count) < 0 && errno == EAGAIN)
                return;
        check_jump(t); /* at every round: its notice, ECANCELED, can get lost in setting the timer */
        struct due_entry *entry;
        for (int i = 0; i < FIRE_AT_ONCE && (entry = due_pop(t->heap, clock_now_ms())); i++)
                t->fire(t->arg, entry);
        t->armed_ms = -2; /* spent: arm again in any case */
        due_timer_arm(t);
}

bool due_timer_open(struct due_timer **ret, struct loop *loop, struct due_heap *heap,
        void (*fire)(void *arg, struct due_entry *entry), void (*jumped)(void *arg, int64_t delta_s), void *arg,
        struct err *e)
{
        struct due_timer *t = calloc(1, sizeof *t);
        if (!t)
                return err_memory(e);
        *t = (struct due_timer){ .loop = loop,
                .heap = heap,
                .fire = fire,
                .jumped = jumped,
                .arg = arg,
                .armed_ms = -2,
                .offset_ms = clock_now_ms() - clock_boot_ms() };
        t->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (t->fd < 0) {
                err_errno(e, errno, "timer", "making the timer of due times");
                free(t);
                return false;
        }
        if (!loop_watch(&t->watch, loop, t->fd, ready, t, e)) {
                close_p(&t->fd);
                free(t);
                return false;
        }
        due_timer_arm(t);
        *ret = t;
        return true;
}

void due_timer_close(struct due_timer *t)
{
        if (!t)
                return;
        loop_unwatch(t->watch);
        close_p(&t->fd);
        free(t);
}
