/* The inside of struct loop, for loop.c and work.c. */
#ifndef DCVD_NET_LOOP_INTERNAL_H
#define DCVD_NET_LOOP_INTERNAL_H

#include "agent/net/loop.h"

struct signal_watch {
        uv_signal_t uv;
        struct signal_watch *next;
        void (*fn)(void *arg, int signum);
        void *arg;
};
struct works;
struct loop {
        uv_loop_t uv;
        bool stop;
        uv_prepare_t prepare; /* before each wait: is what loop_run_until waits for true by now? */
        bool prepare_made;
        const bool *until, *until_late;
        uint64_t rounds, rested; /* how often it woke; at the last rest */
        struct timer *rest; /* runs from the first round of a busy time */
        bool rest_waits;
        int64_t quiet_ms;
        timer_fn *rest_fn;
        void *rest_arg;
        uv_idle_t idle;
        bool idle_made;
        struct deferred *deferred, **deferred_end;
        uint64_t deferred_count; /* made so far */
        struct signal_watch *signals;
        struct works *works; /* made at the first use */
};

#endif
