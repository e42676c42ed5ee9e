/* Timers, deferred calls, threads, signals, watched descriptors, due times. What has to wait is woken by a pipe or by
 * another callback, never by time alone. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/due.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/due_timer.h"
#include "agent/net/loop.h"
#include "own_time.h"

static struct loop *loop;
static char said[256];

static int open_loop(void **state)
{
        (void)state;
        said[0] = '\0';
        return loop_open(&loop, NULL) ? 0 : -1;
}

static int close_loop(void **state)
{
        (void)state;
        loop_close(loop);
        return 0;
}

static void say(void *arg)
{
        size_t n = strlen(said);
        snprintf(said + n, sizeof said - n, "%s ", (const char *)arg);
}

static void say_and_stop(void *arg)
{
        say(arg);
        loop_stop(loop);
}

static char A[] = "a", B[] = "b", C[] = "c", END[] = "end";

/* ---- timers ---- */

static void timers_fire_once_in_order_of_their_time(void **state)
{
        (void)state;
        struct timer *a, *b, *c;
        assert_true(timer_new(&a, loop, say, A, NULL));
        assert_true(timer_new(&b, loop, say, B, NULL));
        assert_true(timer_new(&c, loop, say_and_stop, END, NULL));
        timer_start(c, 3);
        timer_start(a, 2);
        timer_start(b, -5); /* the past is now */
        assert_string_equal(said, "");
        loop_run(loop);
        assert_string_equal(said, "b a end ");
        timer_start(a, 0);
        timer_start(b, 0);
        timer_stop(b);
        timer_start(c, 1);
        loop_run(loop);
        assert_string_equal(said, "b a end a end ");
        timer_free(a);
        timer_free(b);
        timer_free(c);
        timer_free(NULL);
}

static struct timer *own;
static void free_own(void *arg)
{
        say(arg);
        timer_free(own);
        timer_free(own); /* closing already */
}

static void a_timer_may_free_itself(void **state)
{
        (void)state;
        assert_true(timer_new(&own, loop, free_own, A, NULL));
        timer_start(own, 0);
        loop_run(loop); /* ends by itself: nothing is left */
        assert_string_equal(said, "a ");
}

static void waiting_for_a_flag_ends_either_way(void **state)
{
        (void)state;
        bool flag = false;
        assert_false(loop_run_until(loop, &flag, 1));
        flag = true;
        assert_true(loop_run_until(loop, &flag, 1000000));
}

static void set_it(void *arg)
{
        *(bool *)arg = true;
}

static void not_called(void *arg)
{
        (void)arg;
        fail();
}

/* The time may be over when libuv looks at its timers before it waits; nothing else would wake it then. */
static void a_limit_that_is_over_at_once_is_seen_at_once(void **state)
{
        struct watch *watch;
        bool never = false;
        int quiet[2];
        (void)state;
        assert_int_equal(pipe(quiet), 0);
        assert_true(loop_watch(&watch, loop, quiet[0], not_called, NULL, NULL));
        (void)alarm(60);
        assert_false(loop_run_until(loop, &never, 0));
        (void)alarm(0);
        loop_unwatch(watch);
        close(quiet[0]);
        close(quiet[1]);
}

static void a_flag_set_by_a_timer_is_seen_at_once(void **state)
{
        (void)state;
        bool flag = false;
        struct timer *t;
        assert_true(timer_new(&t, loop, set_it, &flag, NULL));
        timer_start(t, 0);
        uint64_t start_ns = uv_hrtime();
        assert_true(loop_run_until(loop, &flag, 30000));
        assert_true((uv_hrtime() - start_ns) / 1000000 < 10000); /* not after waiting for something else */
        timer_free(t);
}

/* ---- deferred ---- */

static void deferred_calls_run_later_in_order(void **state)
{
        (void)state;
        assert_non_null(loop_defer(loop, say, A));
        struct deferred *b = loop_defer(loop, say, B);
        assert_non_null(loop_defer(loop, say, C));
        assert_string_equal(said, "");
        loop_undefer(loop, b);
        loop_undefer(loop, NULL);
        loop_run(loop);
        assert_string_equal(said, "a c ");
        struct deferred *last = loop_defer(loop, say, A);
        loop_undefer(loop, last);
        loop_run(loop); /* nothing keeps it */
        assert_string_equal(said, "a c ");
        assert_non_null(loop_defer(loop, say, B));
        loop_undefer(loop, loop_defer(loop, say, A));
        assert_non_null(loop_defer(loop, say, C)); /* behind b: the end of the row was moved back */
        loop_run(loop);
        assert_string_equal(said, "a c b c ");
}

static unsigned chained;
static struct deferred *victim;
static void chain(void *arg)
{
        if (victim)
                loop_undefer(loop, STEAL(victim)); /* the last of this round */
        if (++chained < 1000000)
                (void)loop_defer(loop, chain, arg);
}

static void a_chain_of_deferrals_lets_others_in(void **state)
{
        (void)state;
        struct timer *t;
        assert_true(timer_new(&t, loop, say_and_stop, END, NULL));
        timer_start(t, 0);
        assert_non_null(loop_defer(loop, chain, NULL));
        victim = loop_defer(loop, say, B);
        loop_run(loop);
        assert_string_equal(said, "end ");
        assert_true(chained < 1000);
        timer_free(t);
}

static void closing_drops_what_is_deferred(void **state)
{
        (void)state;
        assert_non_null(loop_defer(loop, say, A));
        loop_close(loop);
        assert_string_equal(said, "");
        assert_true(loop_open(&loop, NULL));
}

/* ---- descriptors and signals ---- */

static int pipe_fd[2];
static void take_byte(void *arg)
{
        char c;
        assert_int_equal(read(pipe_fd[0], &c, 1), 1);
        say_and_stop(arg);
}

static void a_watched_descriptor_wakes_the_loop(void **state)
{
        (void)state;
        struct watch *w = NULL;
        struct err e = { 0 };
        assert_int_equal(pipe(pipe_fd), 0);
        assert_true(loop_watch(&w, loop, pipe_fd[0], take_byte, A, NULL));
        assert_int_equal(write(pipe_fd[1], "xy", 2), 2);
        loop_run(loop);
        assert_string_equal(said, "a ");
        loop_unwatch(w);
        loop_unwatch(NULL);
        loop_run(loop); /* the second byte wakes nobody any more */
        assert_string_equal(said, "a ");
        close(pipe_fd[0]);
        close(pipe_fd[1]);
        w = NULL;
        assert_false(loop_watch(&w, loop, 1000000, take_byte, A, &e));
        assert_null(w);
        assert_int_equal(e.kind, ERR_TEMPORARY);
}

static void a_forgotten_watch_does_not_keep_the_loop_from_closing(void **state)
{
        (void)state;
        static struct watch *forgotten; /* still reachable: its leak is meant */
        assert_int_equal(pipe(pipe_fd), 0);
        assert_true(loop_watch(&forgotten, loop, pipe_fd[0], take_byte, A, NULL));
        loop_close(loop);
        close(pipe_fd[0]);
        close(pipe_fd[1]);
        assert_true(loop_open(&loop, NULL));
}

static void on_signal(void *arg, int signum)
{
        assert_int_equal(signum, SIGUSR1);
        say_and_stop(arg);
}

static void signals_arrive_on_the_loop_and_pipes_may_break(void **state)
{
        (void)state;
        assert_true(loop_on_signal(loop, SIGUSR1, on_signal, A, NULL));
        loop_run(loop); /* a signal alone keeps nothing running */
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        assert_string_equal(said, "");
        struct timer *t;
        assert_true(timer_new(&t, loop, say_and_stop, END, NULL));
        timer_start(t, 60000);
        loop_run(loop);
        assert_string_equal(said, "a ");
        timer_free(t);
        assert_int_equal(pipe(pipe_fd), 0);
        close(pipe_fd[0]);
        assert_int_equal(write(pipe_fd[1], "x", 1), -1); /* and we are still here */
        close(pipe_fd[1]);
}

/* ---- threads ---- */

static bool refuse_threads;
static unsigned threads_made;
static unsigned thread_count, thread_most, thread_ran;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER, counter = PTHREAD_MUTEX_INITIALIZER;

static void count_thread(int by)
{
        pthread_mutex_lock(&counter);
        thread_count += (unsigned)by;
        thread_ran += by > 0;
        if (thread_count > thread_most)
                thread_most = thread_count;
        pthread_mutex_unlock(&counter);
}

static unsigned ran_so_far(void)
{
        pthread_mutex_lock(&counter);
        unsigned n = thread_ran;
        pthread_mutex_unlock(&counter);
        return n;
}

static void pass_the_gate(void *arg)
{
        assert_ptr_not_equal(arg, NULL);
        count_thread(1);
        pthread_mutex_lock(&gate);
        pthread_mutex_unlock(&gate);
        count_thread(-1);
}

static unsigned ended, abandoned_count;
static void work_ended(void *arg, bool abandoned)
{
        (void)arg;
        ended++;
        abandoned_count += abandoned;
}

static int open_with_threads(void **state)
{
        thread_count = thread_most = thread_ran = ended = abandoned_count = 0;
        return open_loop(state);
}

static void work_runs_beside_the_loop_at_most_one_a_core(void **state)
{
        (void)state;
        enum { WORKS = 12 };
        struct work *w;
        unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN), first = cores < WORKS ? cores : WORKS;
        pthread_mutex_lock(&gate);
        for (int i = 0; i < WORKS; i++)
                assert_true(work_start(&w, loop, pass_the_gate, work_ended, A, NULL));
        while (ran_so_far() < first)
                sched_yield();
        assert_int_equal(ended, 0);
        pthread_mutex_unlock(&gate);
        loop_run(loop); /* ends when all have */
        assert_int_equal(ended, WORKS);
        assert_int_equal(thread_ran, WORKS);
        assert_int_equal(abandoned_count, 0);
        assert_true(thread_most <= first);
}

static void abandoned_work_says_so_and_does_not_begin(void **state)
{
        (void)state;
        enum { WORKS = 40 };
        struct work *w[WORKS];
        unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
        if (cores >= WORKS)
                skip(); /* none would stand in line */
        pthread_mutex_lock(&gate);
        for (int i = 0; i < WORKS; i++)
                assert_true(work_start(&w[i], loop, pass_the_gate, work_ended, A, NULL));
        while (ran_so_far() < cores)
                sched_yield();
        work_abandon(w[0]); /* runs already */
        for (int i = WORKS - 1; i >= (int)cores; i--)
                work_abandon(w[i]);
        work_abandon(w[0]);
        assert_int_equal(ended, 0); /* never from inside the call */
        pthread_mutex_unlock(&gate);
        loop_run(loop);
        assert_int_equal(ended, WORKS);
        assert_int_equal(abandoned_count, WORKS - cores + 1);
        assert_int_equal(thread_ran, cores);
}

static void open_the_gate(void *arg)
{
        (void)arg;
        pthread_mutex_unlock(&gate);
}

static void closing_waits_for_what_runs_and_abandons_the_rest(void **state)
{
        (void)state;
        enum { WORKS = 40 };
        struct work *w;
        unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
        if (cores >= WORKS)
                skip(); /* none would stand in line */
        pthread_mutex_lock(&gate);
        for (int i = 0; i < WORKS; i++)
                assert_true(work_start(&w, loop, pass_the_gate, work_ended, A, NULL));
        while (ran_so_far() < cores)
                sched_yield();
        assert_non_null(loop_defer(loop, open_the_gate, NULL)); /* runs while it is being closed */
        loop_close(loop);
        assert_int_equal(ended, WORKS);
        assert_int_equal(thread_ran, cores);
        assert_int_equal(abandoned_count, WORKS - cores);
        assert_true(loop_open(&loop, NULL));
}

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
        threads_made += !refuse_threads;
        return refuse_threads ? 11 /* EAGAIN */ : __real_pthread_create(ret, attr, fn, arg);
}

static void a_refused_thread_is_an_error_only_if_there_is_no_other(void **state)
{
        (void)state;
        enum { WORKS = 12 };
        struct work *w = NULL;
        struct err e = { 0 };
        refuse_threads = true;
        assert_false(work_start(&w, loop, pass_the_gate, work_ended, A, &e));
        assert_null(w);
        assert_int_equal(e.kind, ERR_TEMPORARY);
        loop_run(loop); /* nothing is left of it */
        for (int i = 0; i < WORKS; i++) {
                refuse_threads = i > 0;
                assert_true(work_start(&w, loop, pass_the_gate, work_ended, A, NULL));
        }
        refuse_threads = false;
        loop_run(loop);
        assert_int_equal(ended, WORKS);
        assert_int_equal(abandoned_count, 0);
        assert_int_equal(thread_most, 1);
}

static void a_thread_takes_what_comes_soon_after(void **state)
{
        (void)state;
        enum { ROUNDS = 5 }; /* one in which the machine stood still costs a thread */
        struct work *w;
        struct timer *soon;
        threads_made = 0;
        assert_true(timer_new(&soon, loop, say, A, NULL));
        for (unsigned i = 0; i < ROUNDS; i++) {
                assert_true(work_start(&w, loop, pass_the_gate, work_ended, A, NULL));
                timer_start(soon, 20);
                loop_run(loop);
        }
        timer_free(soon);
        assert_int_equal(ended, ROUNDS);
        assert_in_range(threads_made, 1, ROUNDS - 1);
}

/* ---- due times ---- */

static struct due_heap heap;
static struct due_entry due[200];
static unsigned fired;
static int64_t jumps[8];
static unsigned jump_count, jumps_before_fire;

static void fire(void *arg, struct due_entry *entry)
{
        assert_int_equal(entry->index, 0); /* out of the heap already */
        if (fired++ == 0)
                jumps_before_fire = jump_count;
        if (fired == *(unsigned *)arg)
                loop_stop(loop);
}

static void jumped(void *arg, int64_t delta_s)
{
        (void)arg;
        jumps[jump_count++] = delta_s;
}

static int open_with_due(void **state)
{
        fired = jump_count = jumps_before_fire = 0;
        return open_loop(state);
}

static int close_with_due(void **state)
{
        clock_fake(-1, -1);
        due_heap_done(&heap);
        return close_loop(state);
}

static void due_entries_fire_and_later_ones_stay(void **state)
{
        (void)state;
        struct due_timer *t = NULL;
        unsigned want = 190;
        int64_t now_ms = clock_now_ms();
        for (size_t i = 0; i < ARRAY_LEN(due); i++)
                assert_true(due_set(&heap, &due[i], i < 150 ? 1000 : i < 190 ? now_ms + 5 : now_ms + 3600000));
        assert_true(due_timer_open(&t, loop, &heap, fire, jumped, &want, NULL));
        assert_int_equal(fired, 0);
        loop_run(loop);
        assert_int_equal(fired, 190);
        assert_int_equal(heap.count, 10);
        assert_int_equal(jump_count, 0);
        /* An entry that comes earlier than all wakes it, once it is told. */
        want = 191;
        assert_true(due_set(&heap, &due[0], clock_now_ms()));
        due_timer_arm(t);
        loop_run(loop);
        assert_int_equal(fired, 191);
        due_timer_close(t);
        due_timer_close(NULL);
}

static void a_clock_that_moved_is_told_before_anything_fires(void **state)
{
        static const struct {
                int64_t wall_s, boot_s, want; /* since the start; 0: no jump */
        } row[] = { { 300, 0, 0 }, { 301, 0, 301 }, { 3600, 3600, 0 }, { 0, 301, -301 }, { 0, 300, 0 },
                { 1000000, 0, 1000000 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct due_timer *t = NULL;
                unsigned want = 1;
                fired = jump_count = jumps_before_fire = 0;
                clock_fake(1000000000, 5000000);
                assert_true(due_timer_open(&t, loop, &heap, fire, jumped, &want, NULL));
                clock_fake(1000000000 + row[i].wall_s * 1000, 5000000 + row[i].boot_s * 1000);
                assert_true(due_set(&heap, &due[0], 1000)); /* past for the kernel's clock too */
                due_timer_arm(t);
                loop_run(loop);
                assert_int_equal(fired, 1);
                assert_int_equal(jump_count, row[i].want != 0);
                assert_int_equal(jumps_before_fire, jump_count);
                if (jump_count)
                        assert_int_equal(jumps[0], row[i].want);
                /* Told once: the new relation is the one to compare with. */
                assert_true(due_set(&heap, &due[0], 1000));
                want = 2;
                due_timer_arm(t);
                loop_run(loop);
                assert_int_equal(jump_count, row[i].want != 0);
                due_timer_close(t);
        }
}

/* ---- rest ---- */

static int left;
static unsigned pause_ms;

static void one_of_many(void *arg)
{
        (void)arg;
        if (--left > 0)
                timer_start(own, pause_ms);
        else if (pause_ms > 1)
                say_and_stop(END);
}

static void rested(void *arg)
{
        say(arg);
        bool first = strcmp(said, "r ") == 0;
        if (strlen(said) > strlen("r r "))
                return loop_stop(loop);
        left = first ? 20 : 3; /* a burst; then one event now and then */
        pause_ms = first ? 1 : 8;
        timer_start(own, pause_ms);
}

static void rest_comes_after_a_burst_and_not_after_lone_events(void **state)
{
        static char R[] = "r";
        (void)state;
        assert_true(timer_new(&own, loop, one_of_many, NULL, NULL));
        assert_true(loop_on_rest(loop, 4, rested, R, NULL));
        loop_run(loop);
        assert_string_equal(said, "r r end ");
        timer_free(own);
}

#define ON_LOOP(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
#define THREADS(f) cmocka_unit_test_setup_teardown(f, open_with_threads, close_loop)
#define DUE(f) cmocka_unit_test_setup_teardown(f, open_with_due, close_with_due)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_LOOP(timers_fire_once_in_order_of_their_time),
                ON_LOOP(a_timer_may_free_itself),
                ON_LOOP(waiting_for_a_flag_ends_either_way),
                ON_LOOP(a_limit_that_is_over_at_once_is_seen_at_once),
                ON_LOOP(a_flag_set_by_a_timer_is_seen_at_once),
                ON_LOOP(deferred_calls_run_later_in_order),
                ON_LOOP(a_chain_of_deferrals_lets_others_in),
                ON_LOOP(closing_drops_what_is_deferred),
                ON_LOOP(a_watched_descriptor_wakes_the_loop),
                ON_LOOP(a_forgotten_watch_does_not_keep_the_loop_from_closing),
                ON_LOOP(rest_comes_after_a_burst_and_not_after_lone_events),
                ON_LOOP(signals_arrive_on_the_loop_and_pipes_may_break),
                THREADS(work_runs_beside_the_loop_at_most_one_a_core),
                THREADS(abandoned_work_says_so_and_does_not_begin),
                THREADS(closing_waits_for_what_runs_and_abandons_the_rest),
                THREADS(a_refused_thread_is_an_error_only_if_there_is_no_other),
                THREADS(a_thread_takes_what_comes_soon_after),
                DUE(due_entries_fire_and_later_ones_stay),
                DUE(a_clock_that_moved_is_told_before_anything_fires),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
