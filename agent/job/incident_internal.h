/* The inside of incidents, for this room only. */
#ifndef DCVD_JOB_INCIDENT_INTERNAL_H
#define DCVD_JOB_INCIDENT_INTERNAL_H

#include "agent/job/alert_seen.h"
#include "agent/job/incident.h"
#include "agent/job/incident_decide.h"
#include "agent/job/internal.h"

#define INCIDENT_WAITERS_MAX 4096 /* senders that wait for the disk */

enum incident_state {
        INCIDENT_OPEN, /* certificates are being replaced, or a person is asked whether they may be */
        INCIDENT_REVOKING, /* all are served anew; the old ones are being revoked, or a person is asked */
        INCIDENT_DONE,
        INCIDENT_DISMISSED,
        INCIDENT_STATES
};
const char *incident_state_name(enum incident_state s);
bool incident_state_from_name(const char *name, enum incident_state *ret);

/* How far a certificate of an incident has come. */
enum case_state {
        CASE_OPEN, /* to be replaced */
        CASE_REPLACED, /* the new one was seen on every endpoint */
        CASE_KEPT, /* was not live when the incident was opened: nothing to replace */
        CASE_GONE, /* no longer configured: nothing here can replace it */
        CASE_STATES
};
enum case_revocation {
        REVOKE_NOT_YET,
        REVOKE_WAITS, /* text says for what */
        REVOKE_RUNS,
        REVOKE_DONE,
        REVOKE_NOT, /* not to be, or not possible: text says why */
        REVOKE_STATES
};

/* One certificate (a set) with the reported key. */
struct incident_case {
        char *cert; /* its name here */
        char *sha256, *serial; /* of the old certificate */
        int64_t set_number, not_after_s;
        bool live; /* when the incident was opened */
        enum case_state state;
        enum verdict_word reissue, revoke;
        int64_t job; /* the newest that works for it; 0: none */
        int64_t failures, again_s; /* jobs that ended without success; not before then */
        int64_t held_s; /* the brake holds it until then; 0: not held */
        int64_t replaced_s, revoked_s;
        enum case_revocation revocation;
        int64_t revoke_again_s;
        char *text; /* the last thing that stood in the way; NULL: nothing */
        char *revoke_text;
        /* of this process */
        bool dirty; /* not on disk as it is */
        bool starting; /* a job is being committed */
        struct case_look *look;
        struct revoking *revoking; /* that waits for the look */
        bool running; /* a look or a call at the CA */
};

struct incident_row {
        int64_t id;
        char *key; /* what makes it the same incident: "spki HEX", "cert HEX", or "names A,B" */
        char *spki; /* NULL: no key was named */
        enum incident_state state;
        char *source, *text, *link;
        enum report_strength strength;
        int64_t revocation_reason;
        bool marked; /* the key, for ever */
        bool passes_brake;
        bool confirmed; /* by a person: not braked */
        int64_t reported_s, opened_s, deadline_s, remedied_s, ended_s;
        bool warned, stuck_told; /* an hour before the deadline; behind its time */
        char *because; /* why it was dismissed */
        int64_t reports, last_report_s;
        int64_t audit_from; /* the trail's newest row when it was opened */
        char *others; /* JSON list: what else carries the key (accounts, orders, keys on disk) */
};

struct waiter {
        incident_done_fn *done;
        void *arg;
        bool known;
        struct waiter *next;
};

struct incident {
        struct incident_row row;
        struct incident_case *cases;
        size_t case_count;
        struct engine *engine;
        struct due due;
        struct waiter *waiter; /* for the next commit */
        struct waiter *committing; /* for the one that runs */
        json_t *events, *writing; /* audit rows: of the next commit, of the one that runs */
        struct store_batch *extra; /* what else belongs to the next commit */
        struct seen_pending seen, seen_writing; /* deliveries that wait for it, and for the one that runs */
        bool dirty; /* the row is not on disk as it is */
        bool durable; /* it was on disk once: it may act */
        bool moving; /* a commit runs */
        bool refused; /* the last one was, and that was said */
        int64_t clear_ms; /* boot time: when nobody showed the old key any more; 0: not looked, or somebody does */
        struct deferred *step;
};

struct incidents {
        struct incident **list; /* open ones, by id */
        size_t count;
        int64_t next_id;
        size_t waiting; /* senders */
        struct seen_table seen;
        struct known_certs *known;
        struct answer_later *later;
        struct starts *starts;
};

/* incident_index.c: every certificate in every kept set, and what it may be named by */
struct known_cert {
        char *cert;
        unsigned set_number;
        char sha256[65], sha1[41], spki[65], spki_compressed[65], modulus[65], aki[129];
        char *serial;
        int64_t not_after_s;
};
bool known_refresh(struct engine *g, const struct known_cert **ret, size_t *ret_count, struct err *e);
void known_free(struct known_certs *k);

/* incident_match.c */
struct match {
        bool exact;
        char spki[65]; /* "" for a hint */
        struct texts certs; /* of the configuration, for a hint; else those that carry the key */
        char only_sha256[65]; /* the report names this one certificate */
        size_t kept; /* certificates in kept sets with the key */
        bool account, order, key; /* an account key, an open order's, a key on disk is it */
        json_t *others; /* lines for people */
};
bool report_is_good(const struct report *r, struct err *e);
bool report_is_nameless(const struct report *r); /* a key leaked, and nothing says which: a secret scanner's alert */
bool incident_match(struct engine *g, const struct report *r, struct match *ret, struct err *e);
bool account_has_key(const struct engine *g, const char *ca, const char *spki);
void match_done(struct match *m);
char *match_key(const struct match *m); /* allocated */

/* incident_rows.c */
bool report_strength_from_name(const char *name, enum report_strength *ret);
void incident_row_done(struct incident_row *r);
void incident_case_done(struct incident_case *c);
bool journal_put_incident(struct store_batch *b, const struct incident_row *r);
bool journal_put_case(struct store_batch *b, int64_t incident, const struct incident_case *c);
const char *case_state_name(enum case_state s);
const char *case_revocation_name(enum case_revocation s);
bool incident_load_cases(struct store *s, struct incident *i, struct err *e);
bool incident_load_row(struct store *s, int64_t id, struct incident_row *ret, bool *ret_found, struct err *e);
bool incident_load_last(struct store *s, const char *key, struct incident_row *ret, bool *ret_found, struct err *e);
bool incidents_load_open(struct engine *g, struct err *e);

/* incident.c */
struct incident *incident_new(struct engine *g, struct err *e); /* listed */
void incident_free(struct incident *i);
struct incident *incident_find(struct engine *g, int64_t id);
/* An audit row for the next commit; and the commit, if there is something to write and none runs. */
void incident_note(struct incident *i, const char *event, const char *cert, int64_t job, json_t *data_own);
void incident_flush(struct incident *i);
bool incident_await(struct incident *i, incident_done_fn *done, void *arg, struct err *e); /* the next commit */
void waiters_add(struct waiter **list, struct waiter *more);
void incident_answer_of(const struct incident *i, bool known, struct incident_answer *ret);
struct incident *incident_by_key(struct engine *g, const char *key); /* an open one */
bool incident_is_nameless(const struct incident_row *r); /* of a nameless report: a person must look, then dismiss it */
char *incident_key_of(const struct report *r, const struct match *m); /* allocated */
struct verdict incident_verdict_for(struct engine *g, const struct report *r, const struct match *m, const char *cert);
struct incident *incident_open_new(struct engine *g, const struct report *r, const struct match *m, struct err *e);
bool incident_strengthen(struct incident *i, const struct report *r, const struct match *m, struct err *e);
void incident_tell_opened(const struct incident *i);
bool incident_mark(struct incident *i, struct err *e); /* the key, for ever */
void answers_drop(struct engine *g);

/* incident_say.c: what is the case, for people */
enum incident_act incident_acts(const struct incident *i);
size_t incident_certs(const struct incident *i); /* names of certificates, each once */
void incident_say(const struct incident *i, char *ret, size_t size);

/* incident_step.c */
void incident_wake(struct incident *i); /* looks at it again, soon */
void incident_ended(struct incident *i); /* it is over, and on disk */

/* incident_starts.c: the storm brake's memory */
bool starts_load(struct engine *g, struct err *e);
void starts_free(struct starts *s);
void starts_note(struct engine *g, const char *cert); /* a job that an alert started */
int64_t starts_until_s(struct engine *g, const char *cert); /* as brake_until */

/* incident_revoke.c */
void incident_revoke_step(struct incident *i, struct incident_case *c, bool forced);
void incident_revoke_drop(struct incident_case *c); /* what runs of it */
int64_t incident_revoke_due_s(const struct incident_case *c); /* 0: nothing is planned */

/* alert_seen.c */
/* pending: what seen_settle gets when the commit of b is over; NULL: known at once. */
bool seen_remember(struct engine *g, struct store_batch *b, const char *source, const struct report_seen *seen,
        int64_t incident, struct seen_pending *pending, struct err *e);
void seen_settle(struct engine *g, struct seen_pending *p, bool on_disk); /* and empties it */
bool seen_load(struct engine *g, struct err *e);

/* notices.c */
void notice_tell(struct engine *g, const struct notice *n); /* key NULL: kind and incident or job */

#endif
