/* Short-lived threads for what computes long: at most one per core, never libuv's pool (keys there once held a commit
 * up for nine seconds). One that has nothing to do waits a moment for more: where certificates come by the hundred, to
 * begin and end a thread for each key, and what OpenSSL seeds in each, is work of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop_internal.h"

#define LINGER_S 1

struct work {
        struct work *next;
        struct works *owner;
        work_fn *fn;
        work_done_fn *done;
        void *arg;
        bool started; /* guarded by lock */
        bool abandoned;
};
struct worker {
        struct worker *next;
        struct works *owner;
        pthread_t thread;
        bool over; /* guarded by lock: it takes nothing more */
};
struct works {
        uv_async_t wake;
        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t come; /* work, or the end */
        struct work *waiting, **tail, *ended;
        unsigned waiting_count;
        unsigned live, idle, most; /* workers: not over; of these, those that wait for work */
        bool closing;
        /* the loop's alone */
        struct worker *workers;
        unsigned unsettled; /* of which done has not run yet: these keep the loop alive */
};

/* ---- threads ---- */

/* Locked. Hands w to the loop, where done runs. */
static void end(struct work *w)
{
        struct works *all = w->owner;
        w->next = all->ended;
        all->ended = w;
        (void)uv_async_send(&all->wake); /* fails only once the loop is closing, which waits for us */
}

/* Locked. Out of the row of those that wait. */
static void take_out(struct work *w)
{
        struct works *all = w->owner;
        struct work **at = &all->waiting;
        while (*at != w)
                at = &(*at)->next;
        *at = w->next;
        if (!*at)
                all->tail = at;
        all->waiting_count--;
}

/* Locked. NULL: none came. */
static struct work *take(struct works *all)
{
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until); /* if it is set meanwhile, the wait is another: no harm */
        until.tv_sec += LINGER_S;
        all->idle++;
        while (!all->waiting && !all->closing && pthread_cond_timedwait(&all->come, &all->lock, &until) == 0)
                ;
        all->idle--;
        struct work *w = all->waiting;
        if (w) {
                take_out(w);
                w->started = true;
        }
        return w;
}

static void *thread_main(void *arg)
{
        struct worker *me = arg;
        struct works *all = me->owner;
        pthread_mutex_lock(&all->lock);
        for (struct work *w; (w = take(all));) {
                pthread_mutex_unlock(&all->lock);
                w->fn(w->arg);
                pthread_mutex_lock(&all->lock);
                end(w);
        }
        me->over = true;
        all->live--;
        (void)uv_async_send(&all->wake); /* to be joined */
        pthread_mutex_unlock(&all->lock);
        return NULL;
}

/* Locked. */
static void worker_start(struct works *all)
{
        struct worker *w = calloc(1, sizeof *w);
        if (!w)
                return;
        w->owner = all;
        if (pthread_create(&w->thread, NULL, thread_main, w) != 0)
                return free(w);
        w->next = all->workers;
        all->workers = w;
        all->live++;
}

/* Those that are over; with any, all of them. */
static void join(struct works *all, bool any)
{
        for (struct worker **at = &all->workers, *w; (w = *at);) {
                pthread_mutex_lock(&all->lock);
                bool over = any || w->over;
                pthread_mutex_unlock(&all->lock);
                if (!over) {
                        at = &w->next;
                        continue;
                }
                (void)pthread_join(w->thread, NULL);
                *at = w->next;
                free(w);
        }
}

/* ---- the loop's side ---- */

static void settle(struct work *w)
{
        struct works *all = w->owner;
        work_done_fn *done = w->done;
        void *arg = w->arg;
        bool abandoned = w->abandoned;
        free(w);
        if (--all->unsettled == 0)
                uv_unref((uv_handle_t *)&all->wake);
        done(arg, abandoned);
}

static void woken(uv_async_t *wake)
{
        struct works *all = CONTAINER_OF(wake, struct works, wake);
        pthread_mutex_lock(&all->lock);
        struct work *ended = all->ended;
        all->ended = NULL;
        pthread_mutex_unlock(&all->lock);
        join(all, false);
        for (struct work *w = ended, *next; w; w = next) {
                next = w->next;
                settle(w);
        }
}

static bool works_of(struct loop *l, struct works **ret, struct err *e)
{
        if (!l->works) {
                struct works *all = calloc(1, sizeof *all);
                if (!all)
                        return err_memory(e);
                if (uv_async_init(&l->uv, &all->wake, woken) != 0) {
                        free(all);
                        return err_set(e, ERR_TEMPORARY, "loop", "the loop takes no more handles");
                }
                uv_unref((uv_handle_t *)&all->wake);
                long cores = sysconf(_SC_NPROCESSORS_ONLN);
                all->most = cores > 0 ? (unsigned)cores : 1;
                all->tail = &all->waiting;
                pthread_mutex_init(&all->lock, NULL);
                pthread_cond_init(&all->come, NULL);
                l->works = all;
        }
        *ret = l->works;
        return true;
}

bool work_start(struct work **ret, struct loop *l, work_fn *fn, work_done_fn *done, void *arg, struct err *e)
{
        struct works *all = NULL;
        if (!works_of(l, &all, e))
                return false;
        struct work *w = calloc(1, sizeof *w);
        if (!w)
                return err_memory(e);
        *w = (struct work){ .owner = all, .fn = fn, .done = done, .arg = arg };
        pthread_mutex_lock(&all->lock);
        *all->tail = w;
        all->tail = &w->next;
        if (++all->waiting_count > all->idle && all->live < all->most)
                worker_start(all);
        bool good = all->live > 0; /* else not even one thread could be made */
        if (!good)
                take_out(w);
        pthread_cond_signal(&all->come);
        pthread_mutex_unlock(&all->lock);
        if (!good) {
                free(w);
                return err_set(e, ERR_TEMPORARY, "thread", "no thread could be started");
        }
        if (all->unsettled++ == 0)
                uv_ref((uv_handle_t *)&all->wake);
        *ret = w;
        return true;
}

void work_abandon(struct work *w)
{
        struct works *all = w->owner;
        if (w->abandoned)
                return;
        w->abandoned = true;
        pthread_mutex_lock(&all->lock);
        if (!w->started) {
                take_out(w);
                end(w);
        }
        pthread_mutex_unlock(&all->lock);
}

static void works_closed(uv_handle_t *handle)
{
        struct works *all = CONTAINER_OF((uv_async_t *)handle, struct works, wake);
        pthread_cond_destroy(&all->come);
        pthread_mutex_destroy(&all->lock);
        free(all);
}

/* What waits is never run; with last, nothing comes after it. */
static void abandon_waiting(struct works *all, bool last)
{
        pthread_mutex_lock(&all->lock);
        while (all->waiting) {
                struct work *w = all->waiting;
                w->abandoned = true;
                take_out(w);
                end(w);
        }
        all->closing = last;
        if (last)
                pthread_cond_broadcast(&all->come);
        pthread_mutex_unlock(&all->lock);
}

void work_finish(struct loop *l)
{
        struct works *all = l->works;
        if (!all)
                return;
        abandon_waiting(all, false);
        while (all->unsettled > 0) {
                (void)uv_run(&l->uv, UV_RUN_ONCE);
                abandon_waiting(all, false); /* a done may have started more */
        }
        abandon_waiting(all, true);
        join(all, true);
        uv_close((uv_handle_t *)&all->wake, works_closed);
        l->works = NULL;
}
