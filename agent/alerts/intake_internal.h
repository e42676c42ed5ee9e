/* The inside of the intake, for this room only. */
#ifndef DCVD_ALERTS_INTAKE_INTERNAL_H
#define DCVD_ALERTS_INTAKE_INTERNAL_H

#include "agent/alerts/challenge.h"
#include "agent/alerts/intake.h"
#include "agent/alerts/take.h"
#include "agent/net/httpd.h"
#include "agent/net/httpd_set.h"
#include "config/config.h"

#define TEST_HEADER "X-Dcvd-Test"
#define REQUESTS_MAX 512 /* under way at a time */
#define BUSY_RETRY_S 5

struct drop;
struct rate;
struct request;
struct intake {
        struct engine *engine;
        struct httpd_set now, next;
        struct drop *drop;
        struct rate *failures, *proofs; /* by address */
        struct challenges challenges;
        struct request *requests;
        size_t request_count;
        char test_nonce[33]; /* of the alert test that is under way; "" if none */
        int64_t secret_told_ms; /* when it was last said that a secret cannot be read */
        int64_t late_told_ms; /* and that a genuine alert comes at a wrong time */
};
/* The intake of this process; NULL: none is open. */
struct intake *intake_running(const struct engine *g);

/* request.c: one HTTP request, from its target to its answer. */
httpd_handler_fn request_handle;
void requests_abandon(struct intake *i); /* their answers are no longer waited for */
/* Every secret of the webhooks can be used; those that are not there yet are left for later. */
bool request_check_secrets(const struct conf *conf, struct err *e);
bool webhook_secrets(const struct conf_webhook *h, struct secret **ret, size_t *ret_count, struct err *e);
void webhook_secrets_free(struct secret *s, size_t count);

/* github.c: the secret behind an alert, as one more item's evidence. done runs once, never before this returned. */
typedef void fetch_done_fn(void *arg, const struct err *err);
bool github_fetch(
        struct engine *g, const struct conf_webhook *h, struct alert *a, fetch_done_fn *done, void *arg, struct err *e);

/* drop.c: RUNTIME/alerts. */
bool drop_open(struct drop **ret, struct intake *i, struct err *e);
void drop_close(struct drop *d); /* NULL allowed */

void alerts_count(const char *source, const char *result); /* dcvd_alerts_total */

#endif
