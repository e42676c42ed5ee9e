/* The plain-text dialogues before TLS: what to say, what to wait for. Pure: fed with bytes, it tells what to send next.
 */
#ifndef DCVD_NET_TLS_STARTTLS_H
#define DCVD_NET_TLS_STARTTLS_H

#include "agent/base/buf.h"
#include "agent/net/tls_look.h"

struct starttls {
        enum tls_protocol protocol;
        unsigned step;
        size_t fed; /* at most 64 KiB in all */
        struct buf in; /* at most 16 KiB */
        char said[80]; /* after STARTTLS_FAILED: the beginning of the line that was not wanted; "": none, or binary */
};
enum starttls_result { STARTTLS_MORE, STARTTLS_SEND, STARTTLS_READY, STARTTLS_FAILED };
/* After connecting with len 0, then with every piece received. STARTTLS_SEND: *ret_send, *ret_len is to be sent. */
enum starttls_result starttls_feed(
        struct starttls *s, const void *data, size_t len, const char **ret_send, size_t *ret_len);
void starttls_done(struct starttls *s);

#endif
