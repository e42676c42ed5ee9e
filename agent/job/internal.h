/* The inside of the engine and of a job, for this room only. */
#ifndef DCVD_JOB_INTERNAL_H
#define DCVD_JOB_INTERNAL_H

#include <string.h>
#include <uv.h>

#include "agent/base/due.h"
#include "agent/ca/ca.h"
#include "agent/deploy/deploy.h"
#include "agent/job/actions.h"
#include "agent/job/engine.h"
#include "agent/job/journal.h"
#include "agent/job/policy.h"
#include "agent/job/refusals.h"
#include "agent/job/state.h"
#include "agent/net/httpd_set.h"
#include "agent/pki/keystore.h"
#include "validators/propagation.h"
#include "validators/publisher.h"

struct due_timer;
struct job;
struct rehearsal;

struct backend_ca {
        char *name;
        const struct ca_ops *ops;
        struct ca *ca;
};

/* Beside the configured ones; no configured name looks like these. */
#define PUBLISHER_SELF "(dcvd)" /* answers tls-alpn where no publisher was named that can */
#define PUBLISHER_STANDING "(standing)" /* of records that stand for good */
struct backend_publisher {
        char *name;
        const struct publisher_ops *ops;
        struct publisher *publisher;
        long ttl; /* for instructions */
};

/* One heap serves certificates, jobs and tokens: the kind says what an entry sits in. */
enum due_kind { DUE_CERT, DUE_JOB, DUE_TOKEN, DUE_INCIDENT };
struct due {
        struct due_entry entry;
        enum due_kind kind;
};

/* What is kept of a certificate at rest. */
struct cert {
        struct cert_row row;
        struct due due; /* the next planned look: expiry notice, question to the CA, retention */
        struct job *job; /* NULL: none runs */
        int64_t starting; /* the job whose row is being committed; 0: none */
        struct ca_call *asking; /* the planned question at the CA */
        unsigned ask_failures;
        bool ask_first; /* this process has not asked yet: the journal may be older than the world */
        int64_t live_not_before_s;
        int64_t live_revoked_s; /* when the live one was revoked from here; 0: it was not */
        unsigned last_set; /* the newest number there was at last_set_at (sets_changes + 1; 0: not looked yet) */
        uint64_t last_set_at;
        bool live_organization; /* the live one names who it belongs to */
        int64_t window_start_s, window_end_s; /* when its CA wants it renewed; 0: not said */
        int64_t window_renew_s; /* the moment chosen in it */
        int64_t window_next_s; /* when to ask again; 0: not asked yet */
        bool window_guessed; /* nobody knows which CA issued it: the one that is asked may not have */
        int64_t hurried_s; /* when this process last renewed it by the CA's word before its own rule did; 0: never */
        size_t told_end; /* which notice of its end was told last; 0: none */
        uint32_t renew_jitter; /* its own, so that certificates made together do not renew together */
        struct backend_ca *asked;
        struct engine *engine;
};

/* A token that is out, or on its way in either direction. */
struct token {
        struct token_row row;
        struct due due; /* a withdrawal that failed is tried again; its order's deadline passes */
        unsigned failures;
        struct backend_publisher *publisher; /* while call runs */
        struct publish_call *call;
        bool busy; /* a call or a commit of its row runs */
        bool placing; /* both: the call waits until its place is in the journal */
        bool new_place; /* which no earlier call went to */
        bool gone; /* withdrawn and committed: about to be freed */
        bool recorded; /* its row is in the journal */
        struct deferred *go_on; /* to the publisher, from the loop */
        char problem[240]; /* the last one, for people */
        struct err failure; /* of this round's publication, kept until every token of the job has its result */
        struct engine *engine;
};

struct propagate { /* one running propagation of a job */
        struct job *job;
        struct token *token;
        struct propagation *run;
        bool done, missed; /* missed: it was said that a standing record is not there */
        json_t *state; /* as last told */
};

struct job {
        struct job_row row;
        struct engine *engine;
        struct cert *cert;
        struct conf_cert *policy;
        struct due due;
        enum job_state next;
        int64_t entered_ms; /* clock_boot_ms when the state was entered, for its duration */
        bool moving; /* takes no event until its row is on disk */
        bool slot; /* acts */
        bool ready; /* waits in the line for a slot */
        bool ended;
        bool stop_wanted; /* cancel arrived while moving */
        bool cancelling; /* its order is being cancelled at the CA: no step begins */
        struct cancel *cancel; /* who asked for that */
        bool organization; /* the CA that was asked last has an OV or EV certificate here */
        bool restart; /* its order is being cancelled because its key was reported */
        bool order_over; /* it ended; the pause before another one runs */
        bool key_stays; /* it was said that the live key is kept */
        bool key_refused; /* the CA took one key not: another was made, once */
        unsigned orders_ended; /* of this attempt, without a certificate */
        bool foreign; /* one of them brought a certificate for another key, or none that could be had */
        bool cancel_order; /* and the order at the CA is to be cancelled */
        bool intent_fresh; /* the open intent was committed by this process just now: the write may be sent */
        bool lock_held;
        bool counted; /* failures: this state's last action failed */
        uint64_t parked; /* commits that failed in a row: the row's own count starts anew with each state */
        struct timer *limit;
        struct timer *poll;
        struct timer *pause;
        /* what runs for it; at most one of each */
        struct backend_ca *ca;
        struct ca_call *ca_call;
        struct deploy_run *deploy;
        struct look_run *look;
        bool looked_before; /* at what is served, before anything is installed */
        struct keying *keying;
        struct set_change *set_change;
        struct rehearsal *rehearsal; /* in `rehearsed` */
        struct propagate *propagate;
        size_t propagate_count;
        struct ca_subject *subject; /* of this attempt; read back from the row when needed */
        struct ca_view *view; /* the newest */
        struct deferred *go_on;
        char *asked_person; /* what somebody was asked to publish last, by this process */
        char *progress; /* one line for people; NULL: none yet */
        char *saw; /* of its tokens, by dcvd itself, before the CA was told; NULL: not since the start */
        char *ca_says; /* of the same, a line for each name; NULL: not asked yet */
        int64_t submitted_ms; /* boot time of the last telling */
        int64_t diagnosed_ms;
};

struct listener {
        engine_event_fn *fn;
        engine_wants_fn *wants; /* NULL: all */
        void *arg;
};
struct engine_listener {
        struct listener l;
        struct engine_listener *next;
};

struct engine {
        struct loop *loop;
        struct conf *conf;
        const struct ca_ops *const *ca_registry;
        const struct publisher_ops *const *publisher_registry;
        int lock_fd;
        struct dns *dns;
        struct http *http;
        struct helper *helper;
        struct store *store;
        uv_async_t *wake; /* the writer has answers */
        uv_prepare_t *turn; /* there is something for the writer, at the end of this turn of the loop */
        struct refusals refusals; /* by the journal */
        struct timer *calm; /* runs while it takes what is written, after refusals */
        bool is_calm; /* it runs */
        struct keystore *keystore;
        struct sets *sets;
        struct propagation_engine *propagation;
        struct token_table *token_table;
        struct alpn_table *alpn_table;
        struct dry_run *dry_run; /* those that run */
        struct rehearsal *rehearsal; /* also */
        struct looks *looks; /* for dcvctl check */
        int64_t last_rehearsal; /* the newest holder of probes that is no job: negative */
        struct revocation *revocation;
        struct account_ask *account_ask;
        struct httpd_set tokens_httpd;
        struct tls_alpn *tokens_tls;
        bool listens; /* for tokens */
        struct backend_ca *ca;
        size_t ca_count;
        struct backend_publisher *publisher;
        size_t publisher_count;
        struct cert **cert; /* sorted by name */
        size_t cert_count;
        struct job **job; /* by id, rising */
        size_t job_count;
        struct token **token;
        size_t token_count;
        struct order_row *order; /* open ones */
        size_t order_count;
        json_t *memory; /* {ca: {key: value}} */
        struct due_heap heap;
        struct due_timer *due_timer;
        struct engine_listener *listener;
        struct incidents *incidents;
        struct notice_listener *notices;
        size_t acting; /* jobs that hold a slot */
        int64_t ask_phase_s; /* of this process: when certificates at rest are asked for in groups (certs.c) */
        int64_t next_job, next_token;
        char retired_to[65]; /* the key of keys_retire()'s last row; "": it begins with the first */
        int64_t clock_suspect_until_ms; /* after a jump: nothing renews, expires or revokes before it is confirmed */
        bool rebuilt; /* empty journal beside existing sets */
        int64_t rest_until_s; /* then nothing starts by itself before this */
        bool started, closing;
};

/* engine.c */
struct cert *engine_cert(struct engine *g, const char *name);
struct cert *engine_cert_add(struct engine *g, const char *name, struct err *e);
struct job *engine_job(struct engine *g, int64_t id);
struct backend_ca *engine_ca(struct engine *g, const char *name);
bool engine_ca_is_internal(const struct engine *g, const char *name); /* as the configuration says; false: not known */
struct backend_publisher *engine_publisher(struct engine *g, const char *name);
struct order_row *engine_order(struct engine *g, const char *ca, const char *order_id);
struct order_row *engine_order_of_cert(struct engine *g, const char *cert, const char *ca);
bool engine_order_put(
        struct engine *g, struct store_batch *b, const struct order_row *row); /* copies into memory too */
bool engine_put_compromised(struct engine *g, const char *spki, const char *why,
        struct err *e); /* file and journal, before it returns / queued */

/* engine_journal.c */
bool engine_open_journal(struct engine *g, enum store_origin *ret_origin, struct err *e);
void engine_close_journal(struct engine *g);
bool engine_commit(struct engine *g, struct store_batch *own, store_done_fn *done, void *arg, struct err *e);
void engine_commit_logged(struct engine *g, struct store_batch *own); /* nobody waits */

/* backends.c: each list ends up complete, or e says which failed; the caller closes what was opened */
bool backends_open_cas(
        struct engine *g, const struct conf *conf, struct backend_ca **ret, size_t *ret_count, struct err *e);
bool backends_open_publishers(
        struct engine *g, const struct conf *conf, struct backend_publisher **ret, size_t *ret_count, struct err *e);
void backends_close(
        struct backend_ca *ca, size_t ca_count, struct backend_publisher *publisher, size_t publisher_count);

/* load.c */
bool engine_load(struct engine *g, enum store_origin origin, struct err *e);

/* events.c */
void engine_emit(struct engine *g, json_t *event_own);
void job_emit(struct job *j, const char *text);

/* schedule.c */
/* It is to act: takes a slot or stands in line. Nothing for one that works already: that goes on by itself. */
void job_run(struct job *j);
void job_rest(struct job *j); /* holds no slot any more */
bool job_limit(struct job *j, int64_t ms, struct err *e); /* what runs for it is stopped then; 0: never */
void schedule_dispatch(struct engine *g);
bool job_lock_order(struct job *j, const struct ca_subject *s, char *ret_holder, size_t size);
void job_unlock_order(struct job *j);
void engine_due_set(struct engine *g, struct due *d, int64_t due_ms);
void engine_due_clear(struct engine *g, struct due *d);
void engine_due_fired(void *engine, struct due_entry *entry);

/* job.c */
struct job *job_new(struct engine *g, struct job_row *row_own, struct err *e);
void job_free(struct job *j);
/* It puts a set to use that is here already: no CA is asked. */
bool job_only_deploys(const struct job *j);
void job_go(struct job *j, enum job_state next);
void job_go_with(struct job *j, enum job_state next, struct store_batch *more_own, const char *why);
void job_trouble(struct job *j, const struct err *e); /* decides by kind: again later, wait, next CA, end */
void job_wait(struct job *j, const struct err *e, const json_t *waiting,
        int64_t again_ms); /* nobody's fault: look again later */
/* For a person, while what the step began goes on and sees what that person does. */
void job_wait_looking(struct job *j, const struct err *e, const json_t *waiting);
void job_wait_order(struct job *j, const struct ca_view *v);
void job_fail(struct job *j, const struct err *e); /* whatever its kind, and no other CA is tried */
void job_end(struct job *j, enum job_state final, const char *result);
void job_stop_work(struct job *j); /* cancels what runs for it, and what it was asked to begin */
void job_set(char **member, const char *text);
void job_resume_loaded(struct job *j);
bool job_stop_if_wanted(
        struct job *j); /* the operator's word, at the first moment at which nothing moves; true: it took over */
void job_note(struct job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
void job_set_progress(struct job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
int job_exit_code(const struct job_row *r);
void job_note_trouble(struct job *j, const struct err *e); /* in its row */
void job_again_later(struct job *j, const struct err *e); /* counts the failure, and sleeps */

/* job_fallback.c: to the next CA of the list */
/* Is there one, and may it be asked? Where an organization's name is in the way, what would allow it goes into e's fix.
 */
bool job_may_fall_back(struct job *j, struct err *e);
void job_next_attempt(struct job *j, const struct err *why);
/* From a certificate that names an organization to one of the CA after ca that does not, which was not allowed; what
 * would allow it goes into the fix (false). There is a CA after it. */
bool fallback_is_downgrade(struct engine *g, const struct conf_cert *policy, size_t ca, bool organization);
bool fallback_say_downgrade(struct err *e, const struct conf_cert *policy, size_t ca);
/* The CA gave no final answer for fallback.after, and there is a next one: then it is on its way there. */
bool job_is_too_long_at_ca(struct job *j, const struct err *e);
int64_t job_wait_ms(struct job *j, int64_t wanted_ms); /* not past that moment */
bool job_go_elsewhere(struct job *j, const struct err *why); /* to the next CA of its list, if there may be one */
void job_new_attempt(struct job *j, struct store_batch *b_own, const char *why); /* from eligible on */

/* job_notice.c: what people want to be told */
void job_notice_end(struct job *j); /* it is in a final state */
void job_notice_waiting(struct job *j, const struct err *e);
void job_notice_person(struct job *j, const char *text, const char *fix); /* text of any length */
void job_notice_again(struct job *j, const struct err *e); /* after its failure was counted */
void cert_notice_end(
        struct cert *c, int64_t left_s, const char *text); /* nothing renews it, and its last third has begun */

/* job_key.c */
void job_leave_key(struct job *j); /* its key is reported: called again until the job has another one */
void job_restart(struct job *j, struct store_batch *b_own);

/* steps_*.c: one action per state */
void step_queued(struct job *j);
void step_eligible(struct job *j);
void step_rehearsed(struct job *j);
void step_keyed(struct job *j);
void step_ordered(struct job *j);
void step_published(struct job *j);
void step_propagated(struct job *j);
void step_submitted(struct job *j);
void step_reviewed(struct job *j);
void step_finalized(struct job *j);
void step_issued(struct job *j);
void step_deployed(struct job *j);
void step_served(struct job *j);
void step_final(struct job *j);
/* set_change.c: what a job changes of its certificate's sets, in a thread. make runs there and sees nothing but this;
 * then runs on the loop, e NULL if it was made. What it does not take out of c is released after it. */
struct set_change;
typedef bool set_change_fn(struct set_change *c, struct err *e);
typedef void set_change_done_fn(struct job *j, struct set_change *c, const struct err *e);
struct set_change {
        struct sets *sets;
        char *cert;
        unsigned number; /* the job's set, if it has one yet */
        struct chain chain;
        struct secret key_pem;
        json_t *meta;
        struct store_batch *batch; /* for the move that follows */
        unsigned *old; /* sets to remove */
        size_t old_count;
        unsigned stays; /* one that could not be; 0: none */
        char *text; /* for people: how it ends */
        struct err told; /* what is to be said after it */
        /* set_change.c's own */
        struct job *job; /* NULL: it is gone */
        struct work *work;
        set_change_fn *make;
        set_change_done_fn *then;
        bool good;
        struct err err;
};
struct set_change *set_change_new(struct job *j); /* NULL: no memory */
void set_change_free(struct set_change *c); /* NULL allowed */
void set_change_start(struct job *j, struct set_change *own, set_change_fn *make, set_change_done_fn *then);
void set_change_drop(struct job *j); /* it is freed: the process ends */

/* steps_deploy.c: what is remembered of looks; whoever calls saves the row. */
void cert_keep_endpoints(struct cert *c, const struct look_endpoint *list, size_t count);
struct look_known *known_endpoints(
        const json_t *list, size_t *ret_count); /* found before by `verify: auto`; texts borrowed from list */
#define LOOK_WHILE_SPREADING_MS 30000 /* the CA looks by itself too */
void job_look_at_order(struct job *j);
struct subject_ask job_ask(const struct job *j); /* steps_begin.c */
/* steps_begin.c: what this host lacks for it, before anything is spent. */
bool validation_is_possible(const struct engine *g, enum conf_validation v, struct err *e);
/* unsent.c: which open intent certainly never left (see there). */
void unsent_note(struct job *j); /* before the intent is committed; without it a crash only costs questions */
bool unsent_is_noted(struct job *j);
bool unsent_forget(void *job, struct err *e); /* a ca_order_request's sending; and when the job ends */

bool job_have_ca(struct job *j); /* finds j->ca; false: the job has been told */
bool job_put_order(struct job *j, struct store_batch *b, bool open, int64_t deadline_s);
void job_poll_in(struct job *j, int64_t ms);
void job_order_again(struct job *j, const char *why); /* a new order at the same CA, from eligible on */
/* As at an ACME CA, which hands one order to everybody who asks for the same names with the same account. */
bool job_orders_cost_nothing(const struct job *j);
bool job_drop_free_order(struct job *j, struct store_batch *b); /* when no more will come of it; false: no memory */
bool job_may_order_again(const struct job *j); /* not for ever */
bool job_holds(const struct job *j, const struct token *t); /* a token of its order, not a probe */
const struct ca_subject *job_subject(struct job *j);
char *subject_to_text(const struct ca_subject *s);
bool subject_from_text(const char *text, struct ca_subject *ret);
void cert_note_subject(
        struct cert *c, const struct backend_ca *ca, const struct ca_subject *s, const struct err *refusal);
/* Of a refusal that does not end by itself (credentials, an account, a setting): nothing can be had, for status. */
void cert_note_refused(struct cert *c, const struct backend_ca *ca, const struct err *err);
/* Of a limit: until when none can be had, for status. Other errors, and those of another CA, say nothing of that. */
void cert_note_limit(struct cert *c, const struct backend_ca *ca, const struct err *err);

/* live_key.c: what key.reuse comes to. c NULL: it is not known yet. */
struct subject_ask {
        bool compromised, force;
        bool refused; /* the CA did not take the live key */
        bool dry; /* nothing follows */
};
struct live_key {
        bool wanted; /* the policy is to keep it; else the rest says nothing */
        bool may;
        enum key_type type;
        char spki[65];
        char why_not[300]; /* for people, of "it" */
};
void live_key_look(struct live_key *ret, const struct engine *g, const struct cert *c, const struct conf_cert *policy,
        size_t ca_index, struct subject_ask ask);
bool live_key_may_stay(const struct engine *g, const struct cert *c, const struct conf_cert *policy, size_t ca_index,
        struct subject_ask ask);
bool live_key_stays(struct live_key *k, const struct ca_subject *s); /* once the CA has said what it takes */
bool live_key_load(const struct engine *g, const struct cert *c, struct key **ret, struct err *e);

/* subject_request.c: what a CA is asked about a certificate. c NULL: it is not known yet. On failure (key.csr cannot be
 * read) there is nothing to release. */
struct subject_request {
        struct ca_subject_request r; /* borrows from c and policy, and from what follows */
        struct live_key live;
        char *csr;
};
bool subject_request_make(struct subject_request *ret, const struct engine *g, const struct cert *c,
        const struct conf_cert *policy, size_t ca_index, struct subject_ask ask, struct err *e);
void subject_request_done(struct subject_request *r);
/* The CSR of key.csr, whose key is held elsewhere: it must be for this certificate and for a key nobody reported. */
bool foreign_csr(const struct engine *g, const struct cert *c, const struct conf_cert *policy, bool compromised,
        const struct ca_subject *s, char **ret_pem, char ret_spki[65], struct err *e);

/* untaken.c: did the CA issue this certificate for a key of this host, and no set here has it? Not one that the journal
 * knows, unless the CA would refuse another (refusal: its rule; NULL: none). One for the live key is taken only where
 * that key may stay: it may be the one that leaked. */
bool cert_never_taken(const struct cert *c, const struct backend_ca *ca, const struct ca_subject *s,
        const struct err *refusal, bool live_may_stay);
/* The newest set here that holds it. Where the sets cannot be listed it is taken for known, as number 0: then nothing
 * changes. */
bool cert_has_set_of(const struct cert *c, const char *sha256, unsigned *ret_number);
void subject_set_untaken(struct ca_subject *s); /* what is to be resumed is the certificate itself */
bool subject_is_untaken(const struct ca_subject *s);
/* At a start: a job that has no order yet, but a set of its own, was loaded from an older journal. It deploys that. */
void job_find_own_set(struct job *j);

/* tokens.c */
struct token *token_find(struct engine *g, const char *publisher, const struct proof *p);
struct token *token_new(
        struct engine *g, const char *publisher, const struct proof *p, const char *cert, bool probe, struct err *e);
bool token_hold(struct token *t, int64_t job);
bool token_held_by(const struct token *t, int64_t job);
bool token_wanted(const struct token *t); /* by a job, or by an open order before its deadline */
/* Adds its row and holders to the batch that moves the job which wants it out. */
bool token_record(struct token *t, struct store_batch *b); /* false: memory */
void tokens_recorded(struct job *j); /* that batch is committed */
/* If not out yet; one that is not recorded is recorded first. Ends in job_token_moved of its holders. */
void token_publish(struct token *t);
void job_token_moved(struct job *j, struct token *t, const struct err *e);
bool tokens_not_for_order(struct job *j, struct store_batch *b); /* false: memory */
void tokens_let_go(struct engine *g, int64_t job); /* the job holds none any more; what nobody holds is withdrawn */
bool tokens_pending_withdrawal(struct engine *g, const char *cert);
void tokens_start(struct engine *g); /* after a restart: publish again, sweep */
void token_due(struct token *t);
void token_withdraw(struct token *t); /* unless it is wanted */
bool token_exclusive_conflict(struct engine *g, const char *publisher, const struct proof *p, struct token **ret);
void token_free(struct token *t);

/* incident_step.c */
bool incidents_open(struct engine *g, struct err *e); /* loads them */
void incidents_start(struct engine *g);
void incidents_close(struct engine *g);
void incidents_declare(void); /* their metrics, before the first sample */
void incidents_look(struct engine *g); /* something they may wait for has happened */
void incident_due(struct due *d);
/* notices.c */
void notices_done(struct engine *g);
void incidents_status(struct engine *g, json_t *status); /* its members "incidents" and "held" */
/* Certificates that wait: party "brake" or "person". */
void incidents_each_waiting(struct engine *g, void (*fn)(void *arg, const char *cert, const char *party), void *arg);
size_t incidents_count(const struct engine *g, int64_t *ret_deadline_s); /* open ones; the first deadline, 0: none */
void incidents_look_back(struct engine *g, const char *spki, const char *sha256); /* was it reported before it came? */
bool incidents_need_set(struct engine *g, const char *cert, unsigned number); /* it is still to be revoked */
bool incidents_need_key(struct engine *g, const char *spki);
/* rehearsal.c: a token that is out, or is not; that is back, or stays; before engine and backends go, those of no
 * job */
void rehearsals_token_moved(struct engine *g, const struct token *t, const struct err *err);
void rehearsals_token_back(struct engine *g, const struct token *t, const struct err *err);
void rehearsals_end(struct engine *g, const struct err *err);

/* steps_spread.c: who showed what; new reference */
json_t *propagation_servers_json(const struct propagation_state *s);

/* keys.c */
struct keying;
void keying_start(struct job *j, enum key_type type);
void keying_drop(struct job *j);
void key_drop_staging(struct job *j); /* what a trial made is of no use to anybody */
void keys_retire(struct engine *g); /* removes keys that nothing names any more */

/* actions.c: names it, what is near, or those there are; returns false */
bool cert_unknown(const struct engine *g, const char *name, struct err *e);

/* certs.c */
/* when_end_text of it; now: what the first CA of its list says, NULL: what it said last. */
char *cert_end_text(const struct cert *c, const struct ca_subject *now, int64_t now_s);
int64_t cert_renewal_s(const struct cert *c); /* when it is renewed by itself; 0: never */
void cert_due(struct cert *c);
void cert_plan(struct cert *c);
void cert_plan_soon(struct cert *c);
void cert_plan_first(struct cert *c); /* of this process: the CA is asked whatever the journal knows */
void cert_free(struct cert *c);
void cert_save(struct cert *c); /* nobody waits for it */
bool cert_load_live(struct cert *c, struct err *e); /* reads the live set's meta into the row */
bool cert_shared_key(struct engine *g, const char *spki, struct texts *ret);

/* actions.c: the certificate that "cert" names, with "did you mean" */
bool action_cert(struct engine *g, const json_t *args, struct cert **ret, struct err *e);

/* actions_key.c */
/* args: of action_reissue. An operator's word about the key that lives in c? An incident's is about one that was there
 * before. */
bool reissue_reports_key(const struct cert *c, const json_t *args);
/* Adds to also what that word would have reissued besides, if it is in neither list: asked for, and told of, before
 * anything is done. */
void reissue_note_others(struct engine *g, const struct cert *c, const json_t *args, const json_t *names, json_t *also);
void dry_run_note_key(struct engine *g, const struct cert *c, const json_t *args, json_t *result);
/* I6: every other certificate with that key is replaced too, and what is kept of it. */
void reissue_take_others(struct engine *g, const struct cert *c, const char *reason, json_t *also);

/* dry_run.c */
bool dry_run_start(
        struct engine *g, struct cert *c, const json_t *args, action_done_fn *done, void *arg, struct err *e);
void revocations_cancel(struct engine *g);
/* Would revoking an older certificate of c at this CA take the live one with it? Then *ret_what says so. */
bool revocation_takes_live(
        struct engine *g, const struct cert *c, const struct backend_ca *ca, char *ret_what, size_t size);
void account_asks_cancel(struct engine *g);
void looks_cancel(struct engine *g); /* actions_check.c: also */
void dry_runs_cancel(struct engine *g); /* each is answered: the backends are about to go */

/* actions_cancel.c */
void job_cancel_order(struct job *j);
void job_give_back_no_more(struct job *j, const struct err *err); /* while cancelling: its CA is not waited for */
void job_cancel_over(struct job *j); /* the job ends, or the daemon: whoever asked to cancel it is told */
void job_cancel_unwritten(struct job *j, const struct err *e); /* it goes on: the journal took no end */

/* staging.c */
struct backend_ca *staging_of(struct engine *g, const char *ca); /* NULL: it has none */
/* The policy of a trial: one CA, nothing to deploy to. from: which CA of the list to begin with. */
char *staging_policy(struct engine *g, const struct conf_cert *conf, size_t from, struct err *e);
void staging_make_trial(struct conf_cert *copy); /* the rest of it, but for the CA */
void staging_done(struct job *j); /* issued and checked: that was all */
void staging_clear(struct job *j); /* at its end, however it came: order, key */

/* actions_issue.c: the first CA of the list with one of these CONF_CA_* */
bool cert_ca_that_can(struct engine *g, const struct conf_cert *conf, unsigned can, size_t *ret);

/* status.c */
json_t *cert_status_json(struct cert *c, bool records);
json_t *job_status_json(const struct job *j);

/* metrics.c */
void metrics_job_moved(struct job *j, enum job_state from);
void metrics_job_ended(struct job *j);
void metrics_token_seen(const char *publisher, int64_t elapsed_ms);
/* What the CA said of a reissue when it was asked last, without what has been used since; null: it was not asked; new
 * reference */
json_t *cert_reissuable_json(const struct cert *c);
json_t *cert_served_json(const struct cert *c); /* the last look, judged by what is live now; new reference */

#endif
