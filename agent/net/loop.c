#include "agent/net/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop_internal.h"

#define BUSY_ROUNDS 6 /* one exchange with anybody wakes the loop more often */

/* ---- the loop ---- */

bool loop_open(struct loop **ret, struct err *e)
{
        struct loop *l = calloc(1, sizeof *l);
        if (!l)
                return err_memory(e);
        int r = uv_loop_init(&l->uv);
        if (r != 0) {
                free(l);
                return err_set(e, ERR_TEMPORARY, "loop", "the event loop cannot be made: %s", uv_strerror(r));
        }
        (void)signal(SIGPIPE, SIG_IGN); /* a peer that goes away is an error of that write */
        *ret = l;
        return true;
}

static void close_left(uv_handle_t *handle, void *arg)
{
        (void)arg;
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

void loop_close(struct loop *l)
{
        if (!l)
                return;
        work_finish(l);
        timer_free(l->rest);
        for (struct deferred *d = l->deferred; d; d = l->deferred)
                loop_undefer(l, d);
        /* The loop's own handles, and what somebody forgot: closed first, for a forgotten watch would keep the run
         * below from ending; its memory is leaked so that it shows. */
        uv_walk(&l->uv, close_left, NULL);
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
        (void)uv_loop_close(&l->uv);
        for (struct signal_watch *w = l->signals, *next; w; w = next) {
                next = w->next;
                free(w);
        }
        free(l);
}

static bool busy(const struct loop *l)
{
        return l->rounds - l->rested >= BUSY_ROUNDS;
}

static void rest_or_wait(void *arg)
{
        struct loop *l = arg;
        bool quiet = !busy(l);
        l->rested = l->rounds;
        l->rest_waits = !quiet;
        if (quiet)
                l->rest_fn(l->rest_arg);
        else
                timer_start(l->rest, l->quiet_ms);
}

bool loop_on_rest(struct loop *l, int64_t quiet_ms, timer_fn *fn, void *arg, struct err *e)
{
        if (!timer_new(&l->rest, l, rest_or_wait, l, e))
                return false;
        l->quiet_ms = quiet_ms;
        l->rest_fn = fn;
        l->rest_arg = arg;
        l->rest_waits = true; /* what came before this call was the start: busy enough */
        timer_start(l->rest, quiet_ms);
        return true;
}

void loop_run(struct loop *l)
{
        l->stop = false;
        while (!l->stop && uv_run(&l->uv, UV_RUN_ONCE)) {
                l->rounds++;
                if (l->rest && !l->rest_waits && busy(l)) {
                        l->rest_waits = true;
                        l->rested = l->rounds;
                        timer_start(l->rest, l->quiet_ms);
                }
        }
}

void loop_stop(struct loop *l)
{
        l->stop = true;
        uv_stop(&l->uv);
}

static void time_over(void *arg)
{
        *(bool *)arg = true;
}

/* Timers run before libuv waits: one that sets the flag, or says that it is too late, must not be followed by a wait
 * for something else. */
static void before_wait(uv_prepare_t *prepare)
{
        struct loop *l = prepare->data;
        if (*l->until || *l->until_late)
                uv_stop(&l->uv);
}

bool loop_run_until(struct loop *l, const bool *flag, int64_t timeout_ms)
{
        bool over = false;
        struct timer *t;
        if (!timer_new(&t, l, time_over, &over, NULL))
                return false;
        if (!l->prepare_made) {
                (void)uv_prepare_init(&l->uv, &l->prepare); /* cannot fail */
                l->prepare.data = l;
                l->prepare_made = true;
        }
        l->until = flag;
        l->until_late = &over;
        (void)uv_prepare_start(&l->prepare, before_wait);
        timer_start(t, timeout_ms);
        while (!*flag && !over)
                (void)uv_run(&l->uv, UV_RUN_ONCE);
        (void)uv_prepare_stop(&l->prepare);
        timer_free(t);
        return *flag;
}

uv_loop_t *loop_uv(struct loop *l)
{
        return &l->uv;
}

/* ---- timers ---- */

struct timer {
        uv_timer_t uv;
        timer_fn *fn;
        void *arg;
};

static void timer_fired(uv_timer_t *uv)
{
        struct timer *t = CONTAINER_OF(uv, struct timer, uv);
        t->fn(t->arg);
}

bool timer_new(struct timer **ret, struct loop *l, timer_fn *fn, void *arg, struct err *e)
{
        struct timer *t = calloc(1, sizeof *t);
        if (!t)
                return err_memory(e);
        (void)uv_timer_init(&l->uv, &t->uv); /* cannot fail */
        t->fn = fn;
        t->arg = arg;
        *ret = t;
        return true;
}

void timer_start(struct timer *t, int64_t delay_ms)
{
        /* libuv counts from the time it last looked at its clock: long work since then would shorten the delay. */
        uv_update_time(t->uv.loop);
        (void)uv_timer_start(&t->uv, timer_fired, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

void timer_stop(struct timer *t)
{
        (void)uv_timer_stop(&t->uv);
}

static void timer_closed(uv_handle_t *handle)
{
        free(CONTAINER_OF((uv_timer_t *)handle, struct timer, uv));
}

void timer_free(struct timer *t)
{
        if (t && !uv_is_closing((uv_handle_t *)&t->uv))
                uv_close((uv_handle_t *)&t->uv, timer_closed);
}

/* ---- deferred calls: one idle handle for all of them, active only while there are some ---- */

struct deferred {
        struct deferred *next;
        uint64_t number; /* of arrival */
        void (*fn)(void *arg);
        void *arg;
};

static void run_deferred(uv_idle_t *idle)
{
        struct loop *l = idle->data;
        /* Only those that were there when the round began: a chain of deferrals must let the loop poll between. */
        uint64_t last = l->deferred_count;
        while (l->deferred && l->deferred->number <= last) {
                struct deferred *d = l->deferred;
                l->deferred = d->next;
                if (!l->deferred)
                        l->deferred_end = &l->deferred;
                void (*fn)(void *) = d->fn;
                void *arg = d->arg;
                free(d);
                fn(arg);
        }
        if (!l->deferred)
                (void)uv_idle_stop(idle);
}

struct deferred *loop_defer(struct loop *l, void (*fn)(void *arg), void *arg)
{
        struct deferred *d = calloc(1, sizeof *d);
        if (!d)
                return NULL;
        if (!l->idle_made) {
                (void)uv_idle_init(&l->uv, &l->idle); /* cannot fail */
                l->idle.data = l;
                l->idle_made = true;
        }
        d->number = ++l->deferred_count;
        d->fn = fn;
        d->arg = arg;
        if (!l->deferred)
                l->deferred_end = &l->deferred;
        *l->deferred_end = d;
        l->deferred_end = &d->next;
        (void)uv_idle_start(&l->idle, run_deferred); /* no-op when running */
        return d;
}

void loop_undefer(struct loop *l, struct deferred *d)
{
        for (struct deferred **at = &l->deferred; d && *at; at = &(*at)->next)
                if (*at == d) {
                        *at = d->next;
                        if (!d->next)
                                l->deferred_end = at;
                        free(d);
                        break;
                }
        if (l->idle_made && !l->deferred)
                (void)uv_idle_stop(&l->idle);
}

/* ---- signals and descriptors ---- */

static void signalled(uv_signal_t *uv, int signum)
{
        struct signal_watch *w = CONTAINER_OF(uv, struct signal_watch, uv);
        w->fn(w->arg, signum);
}

bool loop_on_signal(struct loop *l, int signum, void (*fn)(void *arg, int signum), void *arg, struct err *e)
{
        struct signal_watch *w = calloc(1, sizeof *w);
        if (!w)
                return err_memory(e);
        (void)uv_signal_init(&l->uv, &w->uv);
        w->fn = fn;
        w->arg = arg;
        w->next = l->signals;
        l->signals = w;
        int r = uv_signal_start(&w->uv, signalled, signum);
        /* Signals alone keep no loop running. */
        uv_unref((uv_handle_t *)&w->uv);
        return r == 0 || err_set(e, ERR_TEMPORARY, "signal", "signal %d cannot be watched: %s", signum, uv_strerror(r));
}

struct watch {
        uv_poll_t uv;
        void (*fn)(void *arg);
        void *arg;
};

static void readable(uv_poll_t *uv, int status, int events)
{
        struct watch *w = CONTAINER_OF(uv, struct watch, uv);
        (void)status; /* the read that follows meets the error */
        (void)events;
        w->fn(w->arg);
}

bool loop_watch(struct watch **ret, struct loop *l, int fd, void (*fn)(void *arg), void *arg, struct err *e)
{
        struct watch *w = calloc(1, sizeof *w);
        if (!w)
                return err_memory(e);
        int r = uv_poll_init(&l->uv, &w->uv, fd);
        if (r != 0) {
                free(w);
                return err_set(e, ERR_TEMPORARY, "loop", "descriptor %d cannot be watched: %s", fd, uv_strerror(r));
        }
        w->fn = fn;
        w->arg = arg;
        (void)uv_poll_start(&w->uv, UV_READABLE, readable); /* fails only for a closing handle */
        *ret = w;
        return true;
}

static void watch_closed(uv_handle_t *handle)
{
        free(CONTAINER_OF((uv_poll_t *)handle, struct watch, uv));
}

void loop_unwatch(struct watch *w)
{
        if (w)
                uv_close((uv_handle_t *)&w->uv, watch_closed);
}
