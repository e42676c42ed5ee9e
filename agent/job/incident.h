/* An incident: what follows when a key is reported compromised, from the report to the revocation. Whoever hears of one
 * (a listener, a detector, the operator) fills a struct report and hands it in; everything after that is decided here.
 * The same key reported again is the same incident. */
#ifndef DCVD_JOB_INCIDENT_H
#define DCVD_JOB_INCIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct engine;

/* How far a report is to be believed, rising. */
enum report_strength {
        REPORT_HINT, /* a name alone, or nobody vouches for the sender: it can only ask */
        REPORT_EXACT, /* an authenticated sender names the key or the certificate */
        REPORT_EXPOSED, /* a detector of our own found the key where others can read it */
        REPORT_REVOKED, /* the CA revoked the certificate, or said that it will (ARI) */
        REPORT_PROOF, /* the sender holds the key: it signed, or its bytes were there, or a list of burnt keys has it */
};
const char *report_strength_name(enum report_strength s); /* "hint" "exact" "exposed" "revoked" "proof" */

#define REPORT_TEXT_MAX 400
#define REPORT_DOMAINS_MAX 100
#define REPORT_SEEN_MAX 4

/* One entry of the replay memory: what a sender's delivery is told by. */
struct report_seen {
        const char *key; /* any text up to 500 bytes; only its hash is kept */
        int64_t expires_s; /* wall time; at most 31 days ahead */
};

/* Everything is borrowed during the call. Facts are in normal form (alerts.md section 5); NULL = not said. Several
 * facts are alternatives of falling weight: the first that is given decides, the rest only confirm a SHA-1 or a serial
 * number.
 */
struct report {
        const char *source; /* "webhook scanner", "detector crl", "operator root": for people, metrics and the audit */
        enum report_strength strength;
        const char *spki_hex; /* 64 lower-case hex digits; of a compressed point too */
        const char *modulus_hex; /* SHA-256 of an RSA modulus, 64 lower-case hex digits */
        const char *cert_sha256; /* 64 lower-case hex digits */
        const char *aki_hex, *serial_hex; /* lower case, no colons, no leading zeros; AKI + serial = an ARI certID */
        const char *issuer; /* RFC 2253 ("CN=R3,O=...") or the slash form; compared as a Name, never as text */
        const char *cert_sha1; /* 40 digits: needs a serial number or a domain that fits the same certificate */
        const struct texts *domains; /* A-labels, lower case, no final dot: a hint only */
        const char *text; /* one line for people, escaped, at most REPORT_TEXT_MAX bytes; no secrets */
        const char *link; /* where a person reads more; NULL: none */
        bool by_operator; /* a person on this host said so: not asked again before it reissues, and not braked */
        int revocation_reason; /* REPORT_REVOKED: RFC 5280 code; -1: not known. Only 1 marks the key. */
        int64_t reported_s; /* when the sender says it was found; 0: now */
        const struct report_seen *seen; /* committed together with the report */
        size_t seen_count;
};

/* What becomes of it. */
enum incident_act {
        INCIDENT_NOTHING, /* no key or certificate here fits; remembered for 30 days */
        INCIDENT_TELLS, /* shown and notified, nothing else (a name alone) */
        INCIDENT_ASKS, /* waits for dcvctl confirm */
        INCIDENT_HOLDS, /* the storm brake holds it back for a while */
        INCIDENT_ACTS, /* certificates are being reissued */
        INCIDENT_CLOSED, /* it was dismissed, or everything is done */
};
const char *incident_act_name(enum incident_act a); /* "nothing" "tells" "asks" "holds" "acts" "closed" */

struct incident_answer {
        int64_t id; /* 0: INCIDENT_NOTHING */
        bool known; /* was reported before: nothing new was begun */
        enum incident_act act;
        size_t certs; /* how many certificates of this host it concerns */
        char text[480]; /* one line for people: what will happen */
};
typedef void incident_done_fn(void *arg, const struct incident_answer *answer, const struct err *err);

/* Takes a report. done runs exactly once, never before this returned, after the durable commit (err: it is not on disk;
 * tell the sender 503), and not at all once engine_close has begun. False: refused at once, done never runs:
 * ERR_TEMPORARY "incident.busy" (too many are waiting for the disk), "seen.full"; ERR_PROTOCOL "report" (a fact is not
 * in normal form: our caller's bug). */
bool incident_take(struct engine *g, const struct report *r, incident_done_fn *done, void *arg, struct err *e);
/* What would become of it, without doing anything: `dcvctl alert test`. */
void incident_judge(struct engine *g, const struct report *r, struct incident_answer *ret);

/* Replay memory: by source and key, over restarts, bounded: ALERT_SEEN_MAX entries, refused and never evicted when
 * full. check: was it there, and which incident (0: none) was answered? add: for deliveries that carry no report (a
 * ping); in memory at once, on disk shortly after. ERR_TEMPORARY "seen.full" with retry_after_s. */
#define ALERT_SEEN_MAX 65536
bool alert_seen_check(struct engine *g, const char *source, const char *key, int64_t *ret_incident);
bool alert_seen_add(struct engine *g, const char *source, const struct report_seen *seen, struct err *e);

/* What people want to be told. Said at most once an occasion in a process's life; whoever delivers it keeps it until it
 * is accepted. */
enum notice_kind {
        NOTICE_FAILED, /* a job ended without a certificate */
        NOTICE_WAITING, /* a person must act, also: an incident asks, the brake holds */
        NOTICE_OPENED, /* an incident */
        NOTICE_SERVED, /* a new certificate was seen on every endpoint */
        NOTICE_STUCK, /* a job or an incident is behind its time */
        NOTICE_EXPIRING, /* a certificate that nothing renews nears its end */
        NOTICE_DONE, /* an incident is over: the evidence document is whole */
};
const char *notice_kind_name(enum notice_kind k); /* "failed" ..., as `notify.NAME.on` spells them */
struct notice {
        enum notice_kind kind;
        const char *cert; /* NULL: none */
        int64_t job, incident; /* 0: none */
        const char *text; /* one line, escaped */
        const char *fix; /* the next command to type; NULL: none */
        int64_t at_s;
        const char *key; /* one occasion is one key: "waiting incident 3": a second notice with it is a repetition */
};
typedef void notice_fn(void *arg, const struct notice *n); /* must not call back into the engine; copy what you keep */
struct notice_listener;
struct notice_listener *notice_listen(struct engine *g, notice_fn *fn, void *arg); /* NULL: memory */
void notice_unlisten(struct engine *g, struct notice_listener *l); /* NULL allowed; not from inside fn */

#endif
