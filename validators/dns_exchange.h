/* One DNS message to one server over TCP and its answer: for updates, whose answers c-ares would not match (RFC 2136
 * section 3.8). */
#ifndef DCVD_VALIDATORS_DNS_EXCHANGE_H
#define DCVD_VALIDATORS_DNS_EXCHANGE_H

#include "agent/net/address.h"
#include "agent/net/loop.h"

/* err: ERR_TEMPORARY "update.connect" if nothing was sent; ERR_UNKNOWN "update.lost" if it may have been received. */
typedef void dns_exchange_fn(void *arg, const uint8_t *answer, size_t len, const struct err *err);
struct dns_exchange;
struct dns_exchange *dns_exchange_start(struct loop *loop, const struct address *server, const uint8_t *packet,
        size_t len, int64_t timeout_ms, dns_exchange_fn *done, void *arg, struct err *e);
void dns_exchange_cancel(struct dns_exchange *x); /* NULL allowed */

#endif
