/* The journal: what the rows of STATE/dcvd.db mean. Every row a job needs to go on after a restart, the audit trail,
 * and nothing secret. */
#ifndef DCVD_JOB_JOURNAL_H
#define DCVD_JOB_JOURNAL_H

#include <jansson.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/job/state.h"
#include "agent/store/store.h"
#include "validators/proof.h"

extern const char *const journal_migrations[];
extern const size_t journal_migration_count;

/* One row of `job`. Text members are owned; NULL = not known yet. */
struct job_row {
        int64_t id;
        char *cert;
        enum job_state state;
        char *policy; /* JSON, for the job's whole life */
        char *trigger; /* "operator", "alert", ... */
        char *reason;
        bool compromised; /* a key of this certificate is reported compromised */
        bool force;
        int64_t created_s, entered_s; /* entered_s: into the present state */
        int64_t due_ms; /* wall; 0 = at once */
        int64_t failures; /* in a row, in this state */
        /* the attempt that runs */
        int64_t attempt; /* from 1; 0 = none yet */
        int64_t attempt_s; /* when this CA of the list was turned to; 0 = none yet */
        int64_t ca_index; /* in policy's list */
        char *ca;
        char *subject; /* JSON of what the CA said when asked */
        char *subject_id;
        char *spki; /* of the key this attempt uses */
        char *csr; /* PEM */
        char *order_id;
        bool same_csr;
        bool told; /* the CA was told to validate what is published now */
        bool rehearsed;
        int64_t ordered_s; /* when the intent was committed */
        char *live_sha256; /* live when the job began; NULL: none */
        int64_t live_set;
        char *was; /* JSON list: per target the generation live when the job began */
        int64_t set_number; /* the new set; 0: not yet */
        char *cert_sha256; /* of the new certificate */
        char *err_kind, *err_code, *err_text, *err_fix;
        char *waiting; /* JSON: party, act, place, since, deadline; NULL: nobody is waited for */
        char *result; /* how it ended, one line; NULL: runs */
        int64_t ended_s;
};
void job_row_done(struct job_row *r);
bool journal_add_job(struct store_batch *b, const struct job_row *r);
/* As it is now: all but cert, policy, trigger, reason, created_s. A job that was not added fails the batch. */
bool journal_put_job(struct store_batch *b, const struct job_row *r);

/* One row of `certificate`: what is remembered of a certificate between jobs. */
struct cert_row {
        char *name;
        char *newest_id; /* at its CA */
        char *reissuable; /* JSON: possible, until, rule, text, checked_s, expires */
        char *stopped; /* why nothing may start by itself; NULL: nothing */
        int64_t live_set;
        char *live_sha256, *live_spki;
        int64_t live_not_after_s;
        int64_t last_success_s, last_failure_s;
        char *served; /* JSON list of endpoints as last seen */
};
void cert_row_done(struct cert_row *r);
bool journal_put_cert(struct store_batch *b, const struct cert_row *r);

struct intent_row {
        int64_t id, job;
        char *kind, *target, *request_sha256;
        int64_t opened_s;
};
bool journal_open_intent(struct store_batch *b, int64_t job, const char *kind, const char *target,
        const char *request_sha256, int64_t now_s);
bool journal_close_intents(struct store_batch *b, int64_t job, const char *result, int64_t now_s);

struct token_row {
        int64_t id;
        char *publisher;
        struct proof proof;
        char *handle; /* NULL until published */
        char *state; /* "recorded", "published", "withdrawn" */
        char *cert;
        char *order_id;
        int64_t *holder; /* jobs; none: held by its open order, or by nobody */
        size_t holder_count;
        bool probe;
        int64_t created_s;
};
void token_row_done(struct token_row *r);
bool journal_put_token(struct store_batch *b, const struct token_row *r); /* with its holders */

struct order_row { /* an order at a CA that may outlive its job */
        char *ca, *order_id, *cert, *subject_id, *spki, *csr;
        bool open;
        int64_t opened_s, deadline_s, job;
};
void order_row_done(struct order_row *r);
bool journal_put_order(struct store_batch *b, const struct order_row *r);

/* Audit: hash-chained; each row's hash covers the one before it. data: object, borrowed; no secrets. */
bool journal_audit(
        struct store_batch *b, int64_t now_s, const char *cert, int64_t job, const char *event, const json_t *data);
/* Verifies the whole chain: ERR_CONFIG "audit.broken" names the first row that does not fit. */
bool journal_audit_verify(struct store *s, struct err *e);

bool journal_key(struct store_batch *b, const char *spki, const char *cert, int64_t now_s);
bool journal_compromised(struct store_batch *b, const char *spki, int64_t now_s, const char *why);
bool journal_attempt(struct store_batch *b, const struct job_row *r, const char *result, int64_t now_s);
bool journal_service(struct store_batch *b, const char *cert, const char *target, const char *service,
        const char *state, const char *text, int64_t set_number, int64_t now_s);

/* Loading, at start. Each returns an allocated array. */
bool journal_load_jobs(struct store *s, struct job_row **ret, size_t *ret_count, struct err *e); /* those that run */
bool journal_load_certs(struct store *s, struct cert_row **ret, size_t *ret_count, struct err *e);
bool journal_load_tokens(struct store *s, struct token_row **ret, size_t *ret_count, struct err *e); /* not withdrawn */
bool journal_load_orders(struct store *s, struct order_row **ret, size_t *ret_count, struct err *e); /* open ones */
bool journal_open_intents_of(struct store *s, int64_t job, bool *ret_any, struct err *e);
bool journal_next_ids(struct store *s, int64_t *ret_job, int64_t *ret_token, struct err *e);

#endif
