/* The daemon's side of helper requests: calls (helper.c) and the connections they go over (helper_link.c). For this
 * room only. */
#ifndef DCVD_NET_HELPER_INTERNAL_H
#define DCVD_NET_HELPER_INTERNAL_H

#include <uv.h>

#include "agent/base/buf.h"
#include "agent/net/helper.h"
#include "agent/net/loop.h"

#define HELPER_LINKS_MAX 12 /* systemd's socket and the broker have 16 */
#define HELPER_IDLE_MS 1000 /* no process of root's is kept around */
#define HELPER_LINK_REQUESTS 128
#define HELPER_LINK_AGE_MS 30000 /* both half of what a helper serves, so that none ends while it is asked */

struct helper_link; /* one connection, one process */

struct helper {
        struct loop *loop;
        char *socket_path, *hook_path;
        int broker;
        struct helper_call *busy; /* those that have a connection */
        struct helper_call *line, **line_end; /* those that wait for one, in order */
        unsigned in_line;
        struct deferred *turn;
        struct helper_link *idle; /* newest first */
        unsigned links; /* shared ones: idle or busy */
        struct timer *idle_timer;
};

/* A connection of a call: one that is idle, else a new one if there may be more. NULL without ret_full: e tells. hook:
 * one of its own, for this one request. */
struct helper_link *link_take(struct helper *h, bool hook, bool *ret_full, struct err *e);
/* Sends (takes over out) for call, which gets call_got() for each piece of the answer and call_gone() if it ends. A
 * connection on which that fails is closed. */
bool link_send(struct helper_link *l, struct helper_call *call, struct buf *out, struct err *e);
/* After the answer. good: it was well formed and says that the helper takes more. */
void link_put(struct helper_link *l, bool good);
void link_close(struct helper_link *l);
void links_close_idle(struct helper *h);
void links_close_old(void *arg); /* arg: struct helper; the timer's */

/* Hands fd over to the broker at the other end of to, without waiting. False: errno. */
bool helper_fd_send(int to, int fd);

/* helper.c: of the call whose link it is */
void call_got(struct helper_call *c, const char *data, size_t len);
void call_gone(struct helper_call *c);
/* A connection became free, or may be made. */
void calls_next(struct helper *h);

#endif
