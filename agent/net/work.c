/* Short-lived threads for what computes long: at most one per core, never libuv's pool (keys there once held a commit
 * up for nine seconds). */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop_internal.h"

#define AGAIN_MS 200 /* after the system refused a thread */

struct work {
        struct work *next;
        struct works *owner;
        work_fn *fn;
        work_done_fn *done;
        void *arg;
        pthread_t thread;
        bool started, abandoned;
};
struct works {
        uv_async_t wake;
        uv_timer_t again;
        unsigned open; /* handles */
        pthread_mutex_t lock;
        struct work *ended; /* guarded by lock */
        struct work *waiting, **tail; /* the loop's alone */
        unsigned unsettled; /* of which done has not run yet: these keep the loop alive */
        unsigned running, most;
};

/* Any thread: hands w to the loop, where done runs. */
static void end(struct work *w)
{
        struct works *all = w->owner;
        pthread_mutex_lock(&all->lock);
        w->next = all->ended;
        all->ended = w;
        pthread_mutex_unlock(&all->lock);
        (void)uv_async_send(&all->wake); /* fails only once the loop is closing, which waits for us */
}

static void *thread_main(void *arg)
{
        struct work *w = arg;
        w->fn(w->arg);
        end(w);
        return NULL;
}

static void try_again(uv_timer_t *timer);

static void start_waiting(struct works *all)
{
        while (all->waiting && all->running < all->most) {
                struct work *w = all->waiting, *next = w->next;
                w->started = pthread_create(&w->thread, NULL, thread_main, w) == 0;
                if (!w->started)
                        break;
                all->waiting = next;
                if (!next)
                        all->tail = &all->waiting;
                all->running++;
        }
        /* One that runs starts the next when it ends; with none there is only time. */
        if (all->waiting && all->running == 0)
                (void)uv_timer_start(&all->again, try_again, AGAIN_MS, 0);
}

static void try_again(uv_timer_t *timer)
{
        start_waiting(CONTAINER_OF(timer, struct works, again));
}

static void settle(struct work *w)
{
        struct works *all = w->owner;
        work_done_fn *done = w->done;
        void *arg = w->arg;
        bool abandoned = w->abandoned;
        if (w->started) {
                (void)pthread_join(w->thread, NULL);
                all->running--;
        }
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
        for (struct work *w = ended, *next; w; w = next) {
                next = w->next;
                settle(w);
        }
        start_waiting(all);
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
                (void)uv_timer_init(&l->uv, &all->again); /* cannot fail */
                all->open = 2;
                long cores = sysconf(_SC_NPROCESSORS_ONLN);
                all->most = cores > 0 ? (unsigned)cores : 1;
                all->tail = &all->waiting;
                pthread_mutex_init(&all->lock, NULL);
                l->works = all;
        }
        *ret = l->works;
        return true;
}

/* Out of the row of those that wait. */
static void take_out(struct work *w)
{
        struct works *all = w->owner;
        struct work **at = &all->waiting;
        while (*at != w)
                at = &(*at)->next;
        *at = w->next;
        if (!*at)
                all->tail = at;
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
        *all->tail = w;
        all->tail = &w->next;
        start_waiting(all);
        if (all->running == 0) { /* not even one thread could be made */
                take_out(w);
                if (!all->waiting)
                        (void)uv_timer_stop(&all->again);
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
        if (w->abandoned)
                return;
        w->abandoned = true;
        if (w->started)
                return;
        take_out(w);
        end(w);
}

static void works_closed(uv_handle_t *handle)
{
        struct works *all = handle->data;
        if (--all->open > 0)
                return;
        pthread_mutex_destroy(&all->lock);
        free(all);
}

void work_finish(struct loop *l)
{
        struct works *all = l->works;
        if (!all)
                return;
        while (all->waiting)
                work_abandon(all->waiting);
        while (all->unsettled > 0) {
                (void)uv_run(&l->uv, UV_RUN_ONCE);
                while (all->waiting) /* a done may have started more */
                        work_abandon(all->waiting);
        }
        all->wake.data = all->again.data = all;
        uv_close((uv_handle_t *)&all->wake, works_closed);
        uv_close((uv_handle_t *)&all->again, works_closed);
        l->works = NULL;
}
