/* What one target of `notify:` has still to be told, in order: bounded, without repetitions, and when it is tried next.
 * Pure data; who stores and sends it is notify.c. */
#ifndef DCVD_ALERTS_NOTIFY_QUEUE_H
#define DCVD_ALERTS_NOTIFY_QUEUE_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "config/config.h"

#define NOTIFY_QUEUE_MAX 1000 /* notices of one target */
#define NOTIFY_KEEP_S (INT64_C(30) * 86400) /* then nobody wants to know any more */

struct notify_item { /* texts are owned; NULL: none */
        int64_t id; /* of its row; 0: not stored */
        enum conf_event event;
        char *delivery; /* the same at every try: "msg_..." */
        char *key; /* one occasion is one key */
        char *cert, *text, *fix;
        int64_t job, incident; /* 0: none */
        int64_t at_s;
        struct notify_item *next;
};
void notify_item_free(struct notify_item *i); /* NULL allowed */

struct notify_queue {
        struct notify_item *first, **last;
        size_t count;
        unsigned failures; /* in a row */
        int64_t due_ms; /* wall time of the next try; 0: at once */
};
void notify_queue_init(struct notify_queue *q);
void notify_queue_done(struct notify_queue *q);
enum notify_added { NOTIFY_ADDED, NOTIFY_KNOWN, NOTIFY_FULL };
/* Takes item if it is added. */
enum notify_added notify_queue_add_own(struct notify_queue *q, struct notify_item *item);
/* The first ones were accepted; or gone, if they are too old. The next are due at once. */
struct notify_item *notify_queue_take(struct notify_queue *q);
bool notify_queue_too_old(const struct notify_queue *q, int64_t now_s); /* the first one */
void notify_queue_accepted(struct notify_queue *q);
/* The next try: growing, up to cap_ms, with jitter; not before the other side said (after_s, 0: nothing). */
void notify_queue_failed(struct notify_queue *q, int64_t now_ms, int64_t cap_ms, int64_t after_s);
/* The pause after so many failures in a row, without jitter. */
int64_t notify_delay_ms(unsigned failures, int64_t cap_ms);

#endif
