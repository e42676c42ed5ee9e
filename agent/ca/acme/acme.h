/* Inside the ACME CA: what its files share. */
#ifndef DCVD_CA_ACME_ACME_H
#define DCVD_CA_ACME_ACME_H

#include "agent/ca/acme/conf.h"
#include "agent/ca/acme/model.h"
#include "agent/ca/ca.h"

struct http_call;
struct timer;

#define ACME_NONCES_MAX 64 /* as many as jobs at once, mostly: one is fetched by itself where none is left */

struct acme_garble { /* answers that cannot be read, boot time */
        int64_t since_ms; /* 0: the last one could be */
        int64_t last_ms;
};

/* What this process knows of an open order; rebuilt by asking when it is gone. */
struct acme_place { /* one authorization of it */
        char *url;
        bool known;
        bool told; /* to validate, by the operation that runs */
        struct acme_authz authz;
};
struct acme_pace {
        int64_t us; /* after which a CA was most often done; 0: not known */
};
struct acme_note {
        struct acme_note *next;
        char *url;
        enum conf_validation validation;
        struct texts names; /* that were ordered */
        const struct texts *challenges; /* of the configuration */
        struct acme_order order;
        struct acme_place *place;
        size_t place_count;
        bool fresh; /* order is what the CA answered just now: the next look need not ask */
        bool finalizing; /* a CSR was sent by this process */
        int64_t taken_ms; /* boot time when the CA said that it took it: none is sent again; 0: it did not */
        int64_t making_ms; /* boot time when it was first seen being made; 0: it was not */
        unsigned looks; /* since something was sent: polls are farther and farther apart */
        struct acme_pace *first; /* that the first look after it will correct; NULL: that is past */
        int64_t first_us; /* what that look waits */
        int64_t told_ms; /* boot time; 0: not told; of an earlier process: when this one heard of it */
        struct acme_garble garble;
        int64_t retry_after_s; /* of the newest answer; < 0: not said */
};

struct acme_account {
        struct key *key;
        char *jwk, *thumbprint;
        char *url; /* NULL: not known */
        struct texts contact; /* as the CA has it */
        struct key *fresh; /* of a roll-over whose outcome is not known: asked before anything else */
        bool forgotten; /* the CA did not know it, and has done nothing for it since */
        bool ours; /* key was made by this process, and no CA has taken it yet: another may take its place, once */
        enum key_type takes; /* the best kind that the CA named when it refused the key's algorithm */
};

enum acme_turn { ACME_TURN_ANY, ACME_TURN_ORDERS, ACME_TURN_AUTHORIZATIONS };
struct acme_seat { /* a request's */
        enum acme_turn turn;
        enum { ACME_SEAT_OUT, ACME_SEAT_WAITS, ACME_SEAT_RUNS } state;
        struct acme_seat *next; /* of those that wait */
        int64_t since_ms; /* boot time */
        void (*go)(struct acme_seat *s); /* its turn has come */
};
struct acme_turns {
        enum acme_turn now; /* while some run */
        size_t running;
        struct acme_seat *first; /* that waits, the longest */
        struct timer *timer;
};

struct ca {
        struct ca_env env;
        char *name, *state_directory;
        const struct acme_conf *conf;
        const char *directory_url; /* of the configuration */
        char *origin; /* of it */
        struct acme_directory directory;
        int64_t directory_ms; /* boot time of the fetch; 0: none or stale */
        struct acme_account account;
        struct ca_call *setup; /* fetches the directory, finds the account */
        struct ca_call *alone; /* changes the account's key, or waits to; NULL: nobody does */
        struct {
                char *text;
                int64_t at_ms;
        } nonce[ACME_NONCES_MAX];
        size_t nonce_count;
        struct {
                struct acme_garble directory, account, order, nonce;
        } garble;
        struct acme_note *notes;
        struct ca_call *calls;
        int64_t quickest_us; /* of its answers; 0: none yet */
        struct acme_pace validation, issuance;
        struct acme_turns turns;
        bool clock_told; /* that this host's clock differs from its */
        int64_t server_time_s, server_time_ms; /* by its last Date header, and when that was, boot time */
};

/* One operation. Its owner embeds this as the first member. */
enum acme_want { ACME_WANT_NOTHING, ACME_WANT_DIRECTORY, ACME_WANT_ACCOUNT };
typedef void acme_ready_fn(struct ca_call *op, const struct err *err);
struct ca_call {
        struct ca *ca;
        struct ca_call *prev, *next;
        struct acme_request *requests;
        struct acme_making *making;
        struct timer *timer;
        enum acme_want want;
        bool acts; /* with the account, once it waits for nothing */
        acme_ready_fn *ready;
        bool failed; /* while ready is due */
        struct err outcome;
        void (*clean)(struct ca_call *op); /* frees what the owner holds, not the operation itself */
};
void acme_op_link(struct ca *ca, struct ca_call *op, void (*clean)(struct ca_call *op));
void acme_op_detach(struct ca_call *op); /* stops all; the CA forgets it: after it the callback may close the CA */
void acme_op_free(struct ca_call *op); /* detaches, cleans, frees */
/* Directory fetched, or account found too: ready runs later, once. */
bool acme_op_begin(struct ca_call *op, enum acme_want want, acme_ready_fn *ready, struct err *e);
bool acme_op_later(struct ca_call *op, acme_ready_fn *fn, struct err *e); /* the next turn of the loop */
/* Inside ready(): calls fn when no other operation acts with the account, and lets none begin before this one ends.
 * Where another one does so, ready() itself is called again after it. */
bool acme_op_alone(struct ca_call *op, acme_ready_fn *fn, struct err *e);

/* turns.c: ret_now: it goes at once; else go is called, from the loop. Each seat that was not refused is ended, which
 * is harmless twice. */
bool acme_turn_wait(struct acme_turns *t, struct acme_seat *s, struct loop *loop, bool *ret_now, struct err *e);
void acme_turn_end(struct acme_turns *t, struct acme_seat *s);
void acme_turns_done(struct acme_turns *t); /* no seat is left */

/* request.c */
enum acme_sign { ACME_GET, ACME_KID, ACME_JWK };
struct acme_ask {
        const char *action; /* "newOrder", for the metric: static, one of few */
        const char *what; /* "newOrder www.example.com", for messages */
        const char *url;
        enum acme_sign sign;
        const char *payload; /* "" reads (POST-as-GET) */
        struct key *key; /* with ACME_JWK: signs instead of the account's; outlives the operation */
        const char *accept; /* NULL: JSON; else the body is not parsed */
        bool repeat; /* a lost answer: ask again, it harms nobody */
        enum acme_turn turn;
};
struct acme_answer {
        int status;
        const json_t *json; /* NULL: no body */
        const char *body;
        size_t body_len;
        const char *location;
        int64_t retry_after_s; /* < 0: not said */
        const struct http_answer *http;
};
/* a is given with an error too where a good status came with what is ACME_UNREADABLE: what the headers say. A refusal
 * that is not the CA's own has that code as well (request.c: is_by_another). Either is ERR_TEMPORARY where the request
 * may be repeated, else ERR_UNKNOWN; who asked for it bounds that (acme_unread). */
typedef void acme_answer_fn(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err);
bool acme_ask(struct ca_call *op, const struct acme_ask *ask, acme_answer_fn *fn, void *tag, struct err *e);
void acme_requests_cancel(struct ca_call *op);
bool acme_nonce_is_good(const char *text); /* base64url of bearable length: it becomes part of what is signed */
void acme_nonces_drop(struct ca *ca);
bool acme_url_allowed(const struct ca *ca, const char *url, struct err *e); /* at a host that the directory names */

/* The profile to order: the configured one, or the preferred one where it is offered; NULL: none. */
const char *acme_profile(const struct ca *ca);

/* account.c */
bool acme_account_load(struct ca *ca, struct err *e); /* the key is on disk when it returns */
bool acme_account_on_disk(const struct ca *ca);
bool acme_account_is_known(const struct ca *ca); /* and as the configuration wants it */
bool acme_account_ask(struct ca_call *op, acme_answer_fn *fn, struct err *e);
bool acme_account_find(struct ca_call *op, acme_answer_fn *fn, struct err *e); /* by its key; nothing is made */
bool acme_account_read(struct ca_call *op, acme_answer_fn *fn, struct err *e); /* its key and URL are known */
bool acme_account_check(
        const struct ca *ca, const struct acme_answer *a, struct err *e); /* does it say that it is valid? */
/* What a person can do about one that is refused. own: it was itself asked for, so that showing it tells no more. */
void acme_account_fix(const struct ca *ca, bool own, struct err *e);
bool acme_account_take(struct ca *ca, const struct acme_answer *a, const struct err *err, struct err *e);
/* newAccount was refused: the type of a key to try instead, with acme_account_key_own; KEY_NONE: there is none, or the
 * key is not ours to replace. */
enum key_type acme_account_other_key(const struct ca *ca, const struct err *err);
bool acme_account_key_own(struct ca *ca, struct key *key, struct err *e); /* on disk then; takes key, always */
/* The CA does not take the algorithm of the account's key: remembers what it takes, adds to e what a person can do. */
void acme_account_note_algorithms(struct ca *ca, const json_t *problem, struct err *e);
/* Roll-over: the new key is on disk before it is named; adopted when the CA has it, dropped when it has not. */
bool acme_account_fresh_own(struct ca *ca, struct key *key, struct err *e); /* takes key, always */
bool acme_account_fresh_adopt(struct ca *ca, struct err *e);
void acme_account_fresh_drop(struct ca *ca);
bool acme_account_fresh_ask(struct ca_call *op, acme_answer_fn *fn, struct err *e); /* does the CA know it? */
/* What it says: adopted if it is this account's key, else dropped; false: still not known. */
bool acme_account_fresh_settle(
        struct ca *ca, const struct acme_answer *a, const struct err *err, bool *ret_adopted, struct err *e);
void acme_account_forget(struct ca *ca); /* the CA does not know it (any more): to be looked for again */
void acme_account_done(struct acme_account *a);
char *acme_account_label(const char *account); /* "_ujmmovf2vn55tgye._acme-challenge", of dns-account-01; allocated */
void acme_about(const void *conf, const char *name, const char *state_directory, struct ca_about *ret);

/* account_key.c: fn runs once, from the loop, with a key, which it owns then, or an error; never after the cancel. */
typedef void acme_key_fn(struct ca_call *op, struct key *key_own, const struct err *err);
bool acme_key_start(struct ca_call *op, enum key_type type, acme_key_fn *fn, struct err *e);
void acme_key_cancel(struct ca_call *op);

/* setup.c */
bool acme_setup(struct ca *ca, struct err *e); /* runs until what every operation wants is there */
void acme_setup_anew(struct ca *ca); /* for those who wait though nothing runs */
bool acme_directory_take(struct ca *ca, const json_t *o, struct err *e);

/* notes.c */
struct acme_note *acme_note_find(struct ca *ca, const char *url);
struct acme_note *acme_note_get(struct ca *ca, const char *url); /* NULL: memory */
void acme_note_forget(struct ca *ca, const char *url);
void acme_notes_done(struct ca *ca);
/* Takes over what the CA said of the order; what is known of its authorizations stays. */
bool acme_note_take(struct acme_note *n, const struct acme_answer *a, struct err *e);
/* e says why an answer is not what was asked for: asked again, but not for ever. g NULL: since when is not known. */
void acme_unread(struct acme_garble *g, struct err *e);
void acme_note_unread(struct acme_note *n, struct err *e); /* n NULL: not known yet */
const struct acme_challenge *acme_note_challenge(const struct acme_note *n, const struct acme_authz *a, struct err *e);
/* Is it for one of the names that were ordered? For another one nothing is ever published. */
bool acme_note_is_asked(const struct acme_note *n, const struct acme_authz *a, struct err *e);
/* Until the next look; quickest_us: what the quickest answer of this CA took; pace: of what is waited for, which
 * the look that follows corrects; NULL: nothing is. */
int64_t acme_note_poll_ms(struct acme_note *n, int64_t quickest_us, struct acme_pace *pace);

/* limits.c */
bool acme_limit_check(struct ca *ca, const struct texts *names, struct err *e); /* the CA said to wait, over restarts */
void acme_limit_note(struct ca *ca, bool whole, const struct err *e); /* whole: rateLimited is not about some names */
void acme_limit_note_names(struct ca *ca, const struct texts *names, const struct err *e); /* newOrder was refused so */

/* The operations. */
struct ca_call *acme_inspect(
        struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e);
struct ca_call *acme_order(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e);
struct ca_call *acme_view(struct ca *ca, const char *order_id, ca_view_fn *done, void *arg, struct err *e);
struct ca_call *acme_validate(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);
struct ca_call *acme_diagnose(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e);
struct ca_call *acme_finalize(
        struct ca *ca, const char *order_id, const char *csr_pem, ca_done_fn *done, void *arg, struct err *e);
bool acme_renewal_read(const json_t *o, int64_t retry_after_s, struct ca_renewal *ret, struct err *e); /* pure */
struct ca_call *acme_account(struct ca *ca, enum ca_account_verb verb, ca_text_fn *done, void *arg, struct err *e);
struct ca_call *acme_renewal(
        struct ca *ca, const uint8_t *der, size_t len, ca_renewal_fn *done, void *arg, struct err *e);
struct ca_call *acme_revoke(
        struct ca *ca, const struct ca_revoke_request *r, ca_done_fn *done, void *arg, struct err *e);
struct ca_call *acme_fetch(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e);
struct ca_call *acme_cancel_order(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);

/* look.c: reads an order, and those of its authorizations that are not known, for the operations above. */
enum acme_depth { ACME_LOOK_ORDER, ACME_LOOK_OPEN, ACME_LOOK_ALL };
struct acme_look {
        struct ca_call op;
        char *url;
        enum acme_depth depth;
        bool may_use_fresh;
        bool anew; /* what was pending when it was read last is read again */
        size_t open, next;
        void (*seen)(struct acme_look *l, struct acme_note *n, const struct err *err);
        void (*given)(struct acme_look *l, const struct err *err);
};
/* l is embedded as first member; url is copied; begins after this returns. */
bool acme_look_begin(struct acme_look *l, struct ca *ca, const char *url, enum acme_depth depth,
        void (*seen)(struct acme_look *l, struct acme_note *n, const struct err *err), struct err *e);
void acme_look_again(struct acme_look *l); /* inside an operation that runs */
/* Inside seen(): gives every authorization back that was seen pending. given may run before this returns. */
void acme_look_give_back(struct acme_look *l, void (*given)(struct acme_look *l, const struct err *err));
/* Of a challenge or authorization: decided in the meantime, or by an answer that was lost; the next look tells. */
bool acme_is_decided(const struct err *err);
void acme_look_clean(struct ca_call *op);

#endif
