/* Whether a request comes from who shares a secret with us (specs/alerts.md sections 1 to 3). Judged over the body's
 * bytes as they came, before anything is parsed. */
#ifndef DCVD_ALERTS_SIGNATURE_H
#define DCVD_ALERTS_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;

enum alert_format {
        ALERT_STANDARD_WEBHOOKS,
        ALERT_GITHUB,
        ALERT_GITGUARDIAN,
        ALERT_ALERTMANAGER,
        ALERT_GENERIC,
        ALERT_FORMATS
};
#define SIGNATURE_SLACK_S 300 /* of a Standard Webhooks timestamp, both ways */
#define GITGUARDIAN_SLACK_S 60
#define GENERIC_HEADER "X-Signature"

struct signed_request {
        /* The first value of a header and how many there are; NULL and 0 if none. */
        const char *(*header)(void *arg, const char *name, unsigned *ret_count);
        void *arg;
        const char *body;
        size_t body_len;
        int64_t now_s;
        bool any_time; /* this host's clock cannot be trusted: a signed time is read, and not judged */
};

/* A secret that this format can use: ERR_CONFIG says what is wrong, never the secret. Called at start: a check with an
 * empty key would pass for anyone. */
bool signature_secret_check(enum alert_format f, const struct secret *s, struct err *e);
/* Any of the secrets may match. header: where a generic sender puts its signature; NULL: GENERIC_HEADER. */
bool signature_is_good(enum alert_format f, const char *header, const struct secret *secrets, size_t count,
        const struct signed_request *r);

/* The headers that a sender of this format sends with the body, "Name: value" each: for `dcvctl alert test`, and for the
 * calls of `notify`. */
struct texts;
struct signature_test {
        const char *header; /* generic */
        const char *id; /* of the delivery */
        const char *event; /* GitHub's X-GitHub-Event */
        int64_t now_s;
};
bool signature_make(enum alert_format f, const struct secret *s, const struct signature_test *t, const char *body,
        size_t len, struct texts *ret, struct err *e);

#endif
