/* Short-lived threads for what computes long: at most one per core, never libuv's pool (keys there once held a commit
 * up for nine seconds). */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/loop_internal.h"

struct work {
        struct work *next;
        struct works *owner;
        work_fn *fn;
        work_done_fn *done;
        void *arg;
        pthread_t thread;
        bool abandoned;
};
struct works {
        uv_async_t wake;
        pthread_mutex_t lock;
        struct work *ended; /* guarded by lock */
        struct work *waiting, **tail; /* the loop's alone */
        unsigned running, most;
};

static void *thread_main(void *arg)
{
        struct work *w = arg;
        w->fn(w->arg);
        pthread_mutex_lock(&w->owner->lock);
        w->next = w->owner->ended;
        w->owner->ended = w;
        pthread_mutex_unlock(&w->owner->lock);
        (void)uv_async_send(&w->owner->wake); /* fails only once the loop is closing, which joins us */
        return NULL;
}

static void start_waiting(struct works *all)
{
        while (all->waiting && all->running < all->most) {
                struct work *w = all->waiting;
                if (pthread_create(&w->thread, NULL, thread_main, w) != 0)
                        return; /* tried again when one that runs ends, or at the next start */
                all->waiting = w->next;
                if (!all->waiting)
                        all->tail = &all->waiting;
                all->running++;
        }
        if (all->running == 0)
                uv_unref((uv_handle_t *)&all->wake);
        else
                uv_ref((uv_handle_t *)&all->wake);
}

static void woken(uv_async_t *wake)
{
        struct works *all = CONTAINER_OF(wake, struct works, wake);
        pthread_mutex_lock(&all->lock);
        struct work *ended = all->ended;
        all->ended = NULL;
        pthread_mutex_unlock(&all->lock);
        while (ended) {
                struct work *w = ended;
                ended = w->next;
                (void)pthread_join(w->thread, NULL);
                all->running--;
                work_done_fn *done = w->done;
                void *arg = w->arg;
                bool abandoned = w->abandoned;
                free(w);
                done(arg, abandoned);
        }
        start_waiting(all);
}

static bool works_of(struct loop *l, struct works **ret, struct err *e)
{
        if (!l->works) {
                struct works *all = calloc(1, sizeof *all);
                if (!all)
                        return err_memory(e);
                long cores = sysconf(_SC_NPROCESSORS_ONLN);
                all->most = cores > 0 ? (unsigned)cores : 1;
                all->tail = &all->waiting;
                pthread_mutex_init(&all->lock, NULL);
                if (uv_async_init(&l->uv, &all->wake, woken) != 0) {
                        free(all);
                        return err_set(e, ERR_TEMPORARY, "loop", "the loop takes no more handles");
                }
                uv_unref((uv_handle_t *)&all->wake);
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
        *all->tail = w;
        all->tail = &w->next;
        *ret = w;
        start_waiting(all);
        if (all->running == 0) { /* not even the first thread could be made */
                all->waiting = NULL;
                all->tail = &all->waiting;
                free(w);
                return err_set(e, ERR_TEMPORARY, "thread", "no thread could be started");
        }
        return true;
}

void work_abandon(struct work *w)
{
        w->abandoned = true;
}

static void works_closed(uv_handle_t *handle)
{
        struct works *all = CONTAINER_OF((uv_async_t *)handle, struct works, wake);
        pthread_mutex_destroy(&all->lock);
        free(all);
}

void work_finish(struct loop *l)
{
        struct works *all = l->works;
        if (!all)
                return;
        while (all->running > 0 || all->waiting) {
                uv_ref((uv_handle_t *)&all->wake);
                (void)uv_run(&l->uv, UV_RUN_ONCE);
        }
        uv_close((uv_handle_t *)&all->wake, works_closed);
        l->works = NULL;
}
