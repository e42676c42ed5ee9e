/* One delivery to one target: a command through the hook unit, or a signed call. */
#ifndef DCVD_ALERTS_NOTIFY_SEND_H
#define DCVD_ALERTS_NOTIFY_SEND_H

#include "agent/alerts/notify_queue.h"

struct engine;
struct delivery;

struct delivery_result {
        bool accepted;
        int64_t after_s; /* the other side wants to be asked again after so long; 0: not said */
        struct err err; /* not accepted: why */
};
typedef void delivery_done_fn(void *arg, const struct delivery_result *r);
/* How many of a queue one delivery carries: a command's mail may tell of several. */
size_t delivery_size(const struct conf_notify *target, size_t waiting);
/* first: borrowed during the call. done runs once, not before this returned. NULL: e. */
struct delivery *delivery_start(struct engine *g, const struct conf_notify *target, const struct notify_item *first,
        size_t count, delivery_done_fn *done, void *arg, struct err *e);
void delivery_cancel(struct delivery *d); /* NULL allowed */

#endif
