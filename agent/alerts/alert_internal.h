/* What the readers of the formats share, for this room only. */
#ifndef DCVD_ALERTS_ALERT_INTERNAL_H
#define DCVD_ALERTS_ALERT_INTERNAL_H

#include "agent/alerts/alert.h"

#define SEEN_LONG_S (30 * 86400) /* what is not signed is remembered by its content for 30 days */
#define SEEN_WEBHOOK_S (2 * SIGNATURE_SLACK_S + 60) /* twice the time that a signature is good, and a minute */

/* Fills ret (zeroed); the caller frees it, also after a failure. */
typedef bool alert_reader_fn(const struct alert_request *r, struct alert *ret, struct err *e);
alert_reader_fn alert_read_standard, alert_read_github, alert_read_gitguardian, alert_read_alertmanager,
        alert_read_generic;

bool alert_json(const char *text, size_t len, json_t **ret, struct err *e); /* an object */
const char *alert_header(const struct alert_request *r, const char *name); /* NULL unless it stands there once */
char *alert_body_key(const struct alert_request *r); /* allocated */
struct alert_item *alert_add(struct alert *a, struct err *e); /* zeroed; earlier items may have moved */
bool alert_seen_key(struct alert_item *i, char *key_own, int64_t expires_s); /* false: memory, or too many */
bool alert_put(struct alert_item *i, enum alert_field f, const char *value, struct err *e);
bool alert_put_line(char **ret, const char *text, size_t max); /* false: memory */
bool alert_put_link(struct alert_item *i, const char *url); /* false: memory */
/* Makes it ALERT_NOTHING: why, then (escaped) what. Always true. */
bool alert_is_nothing(struct alert *a, const char *why, const char *what);

#endif
