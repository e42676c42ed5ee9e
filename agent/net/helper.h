/* Requests to dcvd-helper: the little that needs other rights. A request is a JSON header line and a blob of bytes, its
 * answer one JSON line; with "more" in it the helper takes another request on the connection, one after another, so
 * that a burst is served by one start. Whoever sends only one may shut its side down. The helper is reached through a
 * systemd socket (Accept=yes), or through a broker, dcvd-helper again, that the mains start before anything else and
 * that does nothing but fork helpers. The framing of both sides is here, so that it is written once; what the verbs
 * mean is the deploy room's. */
#ifndef DCVD_NET_HELPER_H
#define DCVD_NET_HELPER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct helper;
struct helper_call;

#define HELPER_HEADER_MAX (64 * 1024)
#define HELPER_BLOB_MAX (320 * 1024)
#define HELPER_ANSWER_MAX (256 * 1024)

/* Starts the broker (call before threads, sockets and secrets): helper_path as `dcvd-helper --broker --config FILE`,
 * with its end of a socket as stdin and stdout, and a clean environment. It ends when the other end, *ret_fd, is closed
 * and what it started has ended. */
bool helper_broker_start(const char *helper_path, const char *config_path, int *ret_fd, struct err *e);
/* The broker's life, until the other end of from is closed: for each socket that comes, a process that runs helper()
 * with it as stdin and stdout, at most 16 beside each other. from: its socket, usually stdin. */
struct helper_broker {
        void *arg;
        void (*before)(void *arg); /* in the broker, before each of them is forked: what all would do */
        void (*helper)(void *arg); /* in the process of its own, which ends when it returns */
        void (*rest)(void *arg); /* in the broker: none of them runs any more */
};
void helper_broker_serve(int from, const struct helper_broker *b);

/* systemd's sockets: of what needs root, and of hooks. */
#define HELPER_SOCKET "/run/dcvd-helper/socket"
#define HELPER_HOOK_SOCKET "/run/dcvd-hook/socket"

/* Either systemd's sockets (NULL: none; tried first; the verb "hook" goes to the second) or broker_fd (taken over; -1:
 * none). */
bool helper_open(struct helper **ret, struct loop *loop, const char *socket_path, const char *hook_path, int broker_fd,
        struct err *e);
/* Idle connections are closed at once, which ends their helpers. */
void helper_close(struct helper *h);

/* header is encoded at once (borrowed); it gets "verb" and "blob" (bytes that follow) added. done gets the answer
 * object (borrowed), or NULL and err. An answer {"error":{kind,code,text,fix}, ...} is delivered with both: answer and
 * err. timeout_ms 0 = 150 s, counted from now, also while it waits for one of the connections (12; the verb "hook",
 * which gets one of its own, is not counted); helper.busy: that time went by in line, or the line is full. A request
 * whose helper ends is told as helper.lost and never sent twice: it may have begun. Both are ERR_TEMPORARY. */
typedef void helper_done_fn(void *arg, const json_t *answer, const struct err *err);
struct helper_call *helper_start(struct helper *h, const char *verb, const json_t *header, const void *blob,
        size_t blob_len, int64_t timeout_ms, helper_done_fn *done, void *arg, struct err *e);
void helper_cancel(struct helper_call *c); /* NULL allowed; the helper finishes what it began */

/* The helper's side, blocking: reads one header line and its blob from fd within 30 s, and no further. */
struct helper_request {
        json_t *header; /* owned */
        char *verb; /* owned */
        uint8_t *blob; /* owned, wiped by done */
        size_t blob_len;
};
bool helper_request_read(int fd, struct helper_request *ret, struct err *e);
void helper_request_done(struct helper_request *r);
/* Waits for the first byte of the next request; false: the other side is done, or none came in time. */
bool helper_request_comes(int fd, int64_t wait_ms);
/* Also for fuzzing: one complete request as bytes. */
bool helper_request_parse(const uint8_t *data, size_t len, struct helper_request *ret, struct err *e);
bool helper_answer_write(int fd, json_t *answer, const struct err *error_or_null);

#endif
