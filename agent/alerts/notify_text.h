/* What a notice says: a mail for a command, a JSON document for a call. */
#ifndef DCVD_ALERTS_NOTIFY_TEXT_H
#define DCVD_ALERTS_NOTIFY_TEXT_H

#include "agent/alerts/notify_queue.h"

/* A message that sendmail -t takes: header, blank line, body; of the first count items. to: addresses, none: root. */
bool notify_mail(
        struct buf *ret, const char *host, const struct texts *to, const struct notify_item *first, size_t count);
/* The body of a Standard Webhooks call: type, timestamp, data. Allocated; NULL: memory. */
char *notify_json(const char *host, const struct notify_item *item);
#endif
