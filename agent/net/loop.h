/* The one loop: timers, deferred calls, short-lived threads for what computes long (keys). All on libuv. The four rules
 * of pending work hold everywhere in this room: start never calls back before it returns; the callback runs exactly
 * once; after cancel it never runs; the object belongs to the module until then. */
#ifndef DCVD_NET_LOOP_H
#define DCVD_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct err;
struct loop;

bool loop_open(struct loop **ret, struct err *e); /* also ignores SIGPIPE */
void loop_close(struct loop *loop); /* runs the loop until every handle is closed, then frees */
void loop_run(struct loop *loop); /* until loop_stop */
bool loop_run_until(struct loop *loop, const bool *flag, int64_t timeout_ms); /* for one-shot programs and tests */
void loop_stop(struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);

/* A one-shot timer on boot time. timer_start replaces an earlier start. The callback may free its own timer. */
struct timer;
typedef void timer_fn(void *arg);
bool timer_new(struct timer **ret, struct loop *loop, timer_fn *fn, void *arg, struct err *e);
void timer_start(struct timer *t, int64_t delay_ms);
void timer_stop(struct timer *t);
void timer_free(struct timer *t); /* NULL allowed */

/* fn runs when the loop was busy and then had quiet_ms of quiet; a few events now and then (a watchdog's ping) neither
 * count as busy nor end the quiet, so that rest costs no wake-ups. One for each loop. */
bool loop_on_rest(struct loop *loop, int64_t quiet_ms, timer_fn *fn, void *arg, struct err *e);

/* Runs fn(arg) once from the loop, after the caller returned. Cancel by loop_undefer with the same handle; the handle
 * is gone once fn ran. NULL only if memory is out. */
struct deferred;
struct deferred *loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_undefer(struct loop *loop, struct deferred *d); /* NULL allowed */

/* Runs work(arg) in a thread beside the loop, at most one thread per core, in order of arrival; then done(arg) on the
 * loop. Work that runs cannot be stopped; work_abandon makes done run with abandoned = true as soon as it ends, or soon
 * if it still waits and is then never run (so that the owner frees arg there). loop_close abandons what waits. */
struct work;
typedef void work_fn(void *arg);
typedef void work_done_fn(void *arg, bool abandoned);
bool work_start(struct work **ret, struct loop *loop, work_fn *work, work_done_fn *done, void *arg, struct err *e);
void work_abandon(struct work *w);
/* Waits for the threads that run or stand in line, and runs their callbacks: before what they use is closed. */
void work_finish(struct loop *loop);

/* Signals: fn runs on the loop. */
bool loop_on_signal(struct loop *loop, int signum, void (*fn)(void *arg, int signum), void *arg, struct err *e);

/* fn runs when fd is readable. Owner closes fd after loop_unwatch. */
struct watch;
bool loop_watch(struct watch **ret, struct loop *loop, int fd, void (*fn)(void *arg), void *arg, struct err *e);
void loop_unwatch(struct watch *w); /* NULL allowed */

#endif
