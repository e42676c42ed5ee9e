/* Who issues: the contract of a CA. One file or folder per CA, registry.c has the one array. A CA never touches a job,
 * the store or another CA; it may call loop and http, and remembers small things (clock offset, rate limits) through
 * the functions it is opened with. Every call follows the loop's four rules; cancel() forgets a call whose request may
 * have been sent. */
#ifndef DCVD_CA_CA_H
#define DCVD_CA_CA_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/pki/key.h"
#include "config/config.h"
#include "validators/proof.h"

struct ca;
struct ca_call;
struct http;
struct loop;

#define CA_KEY_REFUSED "ca.key" /* an error's code */
#define CA_ID_MAX 256 /* bytes of an order or certificate id, with its NUL */

#define CA_STAGING_SUFFIX ".staging"
struct ca_env {
        struct loop *loop;
        struct http *http;
        const char *name; /* in the configuration, with CA_STAGING_SUFFIX behind it where staging; copied */
        bool staging; /* at the directory that ops->staging names, with an account of its own */
        const char *state_directory; /* for what must be a file: account keys; NULL: a CA that has none. Copied */
        bool (*remember)(void *arg, const char *ca, const char *key, const char *value); /* value NULL forgets */
        char *(*recall)(void *arg, const char *ca, const char *key); /* allocated, NULL if absent */
        void *memory_arg;
};

/* May this certificate be had again now, and how? Asked before anything is spent. */
struct ca_subject_request {
        const char *certificate_id; /* as configured, or as the journal last knew it */
        const struct texts *names;
        enum conf_validation validation;
        enum key_type key_type; /* wanted; KEY_NONE: the CA's rule decides */
        bool compromised; /* then the same CSR is out of the question */
        const char *reuse_spki_hex; /* of the live key, if it may be used again: the same CSR is for this one only;
                                       NULL: none */
        enum key_type
                reuse_type; /* its type: key_type of the answer, where the rule takes it and nothing else is wanted */
        const char *csr_pem; /* a CSR from the configuration (key held elsewhere), or NULL */
        bool force; /* lifts rules marked (?) in the reference */
        bool dry; /* nothing follows: what an order would be refused for may be asked for by itself */
};
struct ca_subject {
        char id[CA_ID_MAX]; /* the newest issued member of the chain: what a reissue will name */
        char resume_id[CA_ID_MAX]; /* a reissue that is running and is ours to adopt (R5); "" if none */
        int64_t resume_since_s;
        char resume_spki_hex[65]; /* of the key in that order's CSR, to be held against the keys on the host; "" if not
                                     shown */
        char *product; /* "TrustAsia DV, free" */
        bool organization; /* OV or EV: the certificate names who it belongs to */
        char *common_name; /* for the CSR; NULL: none */
        struct texts names; /* SANs for the CSR, exactly as the original has them */
        enum key_type key_type; /* to make */
        enum conf_validation validation; /* what will really be used */
        bool same_csr; /* the order will send the original's CSR: no new key is made */
        bool validation_expected, person_expected;
        bool last_one; /* cannot be had twice (free DV) */
        int64_t not_before_s, not_after_s;
        int64_t reissuable_until_s; /* R2; 0: unknown */
        char spki_hex[65]; /* of the certificate as the CA has it; "" if unknown */
        char cert_sha256[65];
        char *cert_pem; /* public chain as the CA has it; NULL if not given */
        struct texts notes; /* lines for people: "R8: no validation needed: 41 h since issue", what revocation can do */
        struct texts rules; /* for a dry run: each rule of the CA as it stands, with its date: "R2: it can be reissued
                               until ..." */
        struct texts replaced; /* chain, oldest first: ids, for status and the lost-journal check */
        struct texts exclusive; /* what only one job may hold from here until it is issued: registrable domains (R4) */
};
void ca_subject_done(struct ca_subject *s);
bool ca_subject_copy(struct ca_subject *ret, const struct ca_subject *from);
/* Refused by a rule: ERR_RULE, code "R3", text with facts and date; a rule that passes by itself (R4: a sibling is
 * being reissued): ERR_WAITING "R4" with retry_after_s. subject may be given together with a refusal. */
typedef void ca_subject_fn(void *arg, const struct ca_subject *subject, const struct err *err);

struct ca_order_request {
        const char *subject_id; /* ca_subject.id */
        const struct texts *names; /* what the certificate is to be for */
        const char *csr_pem; /* NULL only with same_csr */
        const uint8_t *replaces_der; /* the live certificate, if this CA issued it; NULL: none */
        size_t replaces_len;
        bool same_csr;
        enum conf_validation validation;
        const char *reason; /* short, one line */
        int64_t submitted_at_s; /* wall time of the intent, committed before */
        const char *spki_hex; /* of the CSR, to recognise our order */
        /* order() calls it right before the first byte of a write that spends something leaves, and sends nothing if it
         * says false; NULL: nobody cares. Valid until the call has ended or was cancelled. */
        bool (*sending)(void *arg, struct err *e);
        void *sending_arg;
};
/* id: of the order at the CA. ERR_UNKNOWN: ask resolve(). */
typedef void ca_id_fn(void *arg, const char *id, const struct err *err);

enum ca_end { CA_END_NONE, CA_END_FAILED, CA_END_CLOSED, CA_END_CANCELLED, CA_END_REVOKED };
/* The neutral view of an order; a pure function of the job room picks the next state from it. */
struct ca_view {
        struct proof *proof; /* open ones: to be published and shown */
        size_t proof_count;
        bool validation_wanted; /* the CA has not validated yet (proofs may still be missing) */
        bool person_wanted; /* party must act: your company, the CA's reviewers, the CA */
        bool person_is_ours; /* the user's company must act, not the CA */
        bool csr_wanted; /* finalize is open (ACME) */
        bool issuing; /* the CSR was taken, the certificate is being made (ACME) */
        bool ready; /* the certificate can be fetched */
        enum ca_end end;
        bool end_again; /* a new order may succeed: nothing was spent, what failed can pass */
        int64_t again_after_s; /* not sooner; 0: that is not said */
        char end_reason[460]; /* escaped */
        char state[120]; /* "status 11, PENDING-DCV" */
        char party[80], act[160], place[160]; /* "your company" / "send the confirmation letter" / console URL */
        int64_t since_s, deadline_s; /* 0: unknown */
        int64_t poll_after_ms; /* when to look again */
        bool poll_exact; /* that is the CA's own word or way: not sooner */
};
void ca_view_done(struct ca_view *v);
typedef void ca_view_fn(void *arg, const struct ca_view *view, const struct err *err);
typedef void ca_done_fn(void *arg, const struct err *err);
typedef void ca_text_fn(void *arg, const char *text, size_t len, const struct err *err); /* borrowed */

enum ca_account_verb { CA_ACCOUNT_SHOW, CA_ACCOUNT_ROLLOVER, CA_ACCOUNT_DEACTIVATE };

struct ca_renewal {
        int64_t start_s, end_s; /* when the CA would like it renewed; 0: it does not say */
        int64_t look_again_s; /* seconds until it is asked again */
        char explanation[300]; /* a page for people; "" */
};
typedef void ca_renewal_fn(void *arg, const struct ca_renewal *r, const struct err *err);

enum ca_reason { CA_UNSPECIFIED = 0, CA_KEY_COMPROMISE = 1, CA_SUPERSEDED = 4, CA_CESSATION = 5 }; /* RFC 5280 */
struct ca_revoke_request {
        const uint8_t *der; /* the certificate */
        size_t der_len;
        const char *id; /* at a CA that names its certificates; NULL: not known */
        struct key *key; /* its own: proof that we may, and what has the CA block it; NULL: not here, or
                                  it must not be blocked. Lives as long as the call */
        enum ca_reason reason;
};

struct ca_listed { /* one certificate of the account, for import */
        char id[CA_ID_MAX];
        char *product, *domain, *status;
        struct texts names;
        int64_t not_after_s, reissuable_until_s;
        char rule[16]; /* the rule in the way, "" if none */
        char rule_text[300];
        enum conf_validation validation;
};
typedef void ca_list_fn(void *arg, const struct ca_listed *list, size_t count, const struct err *err);

/* What a dry run must know of a CA without asking it. */
struct ca_about {
        const char *directory; /* of an ACME CA: its open description; NULL: none */
        const char *url; /* a page of it that anybody may fetch: it lives, and its Date is its clock */
        const char *ca_bundle; /* extra roots for it; NULL */
        const struct texts *caa; /* its identifying domains, from the configuration; may be empty */
        bool acme, internal;
        unsigned names_max; /* names in one certificate; 0: not known */
        char *account; /* URL of the account, from the state directory; the caller's; NULL: not known */
        const char *challenge; /* the first that is wanted for validation dns, "dns-persist-01"; NULL: the usual one */
        char *dns_label; /* where its TXT records go then, if not at ops->dns_label; the caller's */
};

struct ca_held { /* an order that is open, as its job knows it */
        const char *order_id;
        enum conf_validation validation;
        const struct texts *names; /* it is for these alone; copied */
        bool told; /* to validate, by this process or an earlier one */
};

struct ca_ops {
        const char *type;
        unsigned can; /* CONF_CA_* */
        const char *const *key_types;
        const struct conf_key *keys;
        size_t conf_size;
        bool (*check)(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);
        const char *dns_label; /* where its TXT records go, for the rehearsal; NULL: named with each order, usually
                                  "_dnsauth" */
        const char *file_folder; /* where its files go; NULL: named with each order, usually
                                    "/.well-known/pki-validation/" */
        /* NULL: there is nothing to say. state_directory NULL: without the account. */
        void (*about)(const void *conf, const char *name, const char *state_directory, struct ca_about *ret);
        const char *(*staging)(const void *conf); /* where a whole order can be tried; NULL, or it says NULL: nowhere */
        const char *not_in_build; /* the functions below are NULL then */
        bool (*open)(struct ca **ret, const struct ca_env *env, const void *conf, struct err *e);
        void (*close)(struct ca *ca); /* cancels what runs */
        struct ca_call *(*inspect)(
                struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e);
        struct ca_call *(*order)(
                struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e);
        /* After ERR_UNKNOWN or a crash with an open intent: id = found and adopted; id NULL without err = certainly not
         * processed (may take over 60 s); err = still not known. NULL: order() spends nothing and may be repeated. */
        struct ca_call *(*resolve)(
                struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e);
        /* What the job knows of an open order, said before view, validate and the like of it; may be said again. NULL:
         * not needed. */
        bool (*attach)(struct ca *ca, const struct ca_held *h, struct err *e);
        struct ca_call *(*view)(struct ca *ca, const char *order_id, ca_view_fn *done, void *arg, struct err *e);
        /* Tells the CA to validate now; success also where the CA looks by itself. May be repeated. */
        struct ca_call *(*validate)(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);
        /* What the CA itself says of each name's validation, lines for people. */
        struct ca_call *(*diagnose)(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e);
        /* ERR_DENIED CA_KEY_REFUSED: this key or its CSR is not taken; another order with a new one may be. */
        struct ca_call *(*finalize)(struct ca *ca, const char *order_id, const char *csr_pem, ca_done_fn *done,
                void *arg, struct err *e); /* NULL: none */
        struct ca_call *(*fetch)(
                struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e); /* PEM, any order */
        struct ca_call *(*cancel_order)(
                struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);
        /* Revoked, or was before: success. ERR_WAITING: under way, and what people must do is in the text. May be
         * repeated. NULL: not by this CA. */
        struct ca_call *(*revoke)(
                struct ca *ca, const struct ca_revoke_request *r, ca_done_fn *done, void *arg, struct err *e);
        /* When the CA wants a certificate of its own renewed. NULL: it has no such thing. */
        struct ca_call *(*renewal)(
                struct ca *ca, const uint8_t *der, size_t len, ca_renewal_fn *done, void *arg, struct err *e);
        /* The account we have there. The text is a JSON object: url, status, contact, key (thumbprint), rollover (the
         * CA offers it); orders may go on. NULL: it has none. */
        struct ca_call *(*account)(
                struct ca *ca, enum ca_account_verb verb, ca_text_fn *done, void *arg, struct err *e);
        struct ca_call *(*list)(struct ca *ca, const char *search, ca_list_fn *done, void *arg, struct err *e);
        void (*cancel)(struct ca *ca, struct ca_call *call);
        int64_t (*server_time_s)(struct ca *ca); /* by its last Date header, else 0 */
};
/* One array, one file: agent/ca/registry.c. Ended by NULL. */
extern const struct ca_ops *const ca_registry[];
const struct ca_ops *ca_ops_find(const char *type);

#endif
