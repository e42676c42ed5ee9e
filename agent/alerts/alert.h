/* What a sender says, in one shape whatever its format. Read only after the signature was found good. */
#ifndef DCVD_ALERTS_ALERT_H
#define DCVD_ALERTS_ALERT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/alerts/forms.h"
#include "agent/alerts/signature.h"
#include "agent/base/buf.h"

#define ALERT_BODY_MAX 1048576
#define ALERT_ITEMS_MAX 100
#define ALERT_SEEN_KEYS 4

enum alert_field {
        FIELD_SPKI,
        FIELD_MODULUS,
        FIELD_CERT,
        FIELD_CERT_SHA1,
        FIELD_SERIAL,
        FIELD_SERIAL_DECIMAL,
        FIELD_ISSUER,
        FIELD_CERT_ID,
        FIELD_DOMAIN,
        FIELD_PEM,
        ALERT_FIELDS
};
/* As members of JSON and as the default names of labels: "spki_sha256", "cert_sha256", "domain", ... */
extern const char *const alert_field_names[ALERT_FIELDS + 1];

struct alert_seen {
        char *key;
        int64_t expires_s;
};
struct alert_item { /* one key that is reported */
        char spki_hex[65], modulus_hex[65], cert_sha256[65], cert_sha1[41]; /* "" = not said */
        char serial_hex[FORM_SERIAL];
        char *aki_hex; /* with serial_hex: of a renewal id */
        char *issuer;
        struct texts domains;
        char *evidence; /* PEM, base64, JWS: may hold a private key; wiped */
        size_t evidence_len;
        char *text, *link; /* for people */
        char *fetch_url; /* GitHub: where the secret itself is */
        int64_t reported_s; /* 0: not said */
        struct alert_seen seen[ALERT_SEEN_KEYS];
        size_t seen_count;
};
enum alert_kind {
        ALERT_KEYS, /* items */
        ALERT_PING, /* the sender tries whether we are there */
        ALERT_NOTHING, /* an event that reports no key: another type, resolved, ... */
};
struct alert {
        enum alert_kind kind;
        char why[96]; /* ALERT_NOTHING: what it was, for the answer and the log */
        struct alert_item *item;
        size_t count;
        bool truncated; /* the sender left some out */
        bool unmapped; /* one that fires has no label that names anything: the mapping, or the sender's route, is wrong */
        struct alert_seen seen; /* of the delivery as a whole; key NULL: none */
};

struct alert_request {
        enum alert_format format;
        const char *(*header)(void *arg, const char *name, unsigned *ret_count);
        void *arg;
        const char *body;
        size_t body_len;
        int64_t now_s;
        /* Alertmanager: our field names and the labels that carry them; NULL: the same names. */
        const struct texts *label_ours, *label_theirs;
};
/* ERR_PROTOCOL "alert.json" or "alert.member": which member is wrong, never its value. */
bool alert_read(const struct alert_request *r, struct alert *ret, struct err *e);
/* One native event, {spki_sha256, cert_sha256, serial, issuer, domains, proof, ...}: what `data` holds in a Standard
 * Webhooks event; also the drop folder's JSON files. */
bool alert_native(const json_t *data, struct alert_item *ret, struct err *e);
/* Names a key or certificate by something better than a domain. */
bool alert_item_is_exact(const struct alert_item *i);
bool alert_item_says_something(const struct alert_item *i);
void alert_item_done(struct alert_item *i);
void alert_done(struct alert *a);

#endif
