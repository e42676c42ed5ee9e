/* A CA and a publisher of the tests: they answer from the loop, as told, and count. */
#ifndef DCVD_TEST_FAKE_CA_H
#define DCVD_TEST_FAKE_CA_H

#include "agent/ca/ca.h"
#include "validators/publisher.h"

struct fake_ca { /* pages of its own, so that it can outlive a process: fake_ca_outlives */
        _Alignas(4096) long serial; /* of what it issued last */
        /* what to do next time; each is used up */
        struct err finalize_err; /* of one that finalizes */
        unsigned unfetched; /* this many certificates are gone when they are fetched */
        unsigned refused_keys; /* this many CSRs are not taken, for their keys */
        struct err renewal_err; /* when it is asked for a window */
        struct err inspect_err, order_err, view_err, validate_err, fetch_err, publish_err, retract_err, revoke_err,
                cancel_err;
        bool inspect_hangs; /* no answer, until told otherwise */
        bool order_lost; /* processed, the answer lost */
        bool order_hangs; /* processed, no answer ever */
        bool order_reads; /* does not come to sending */
        bool cancel_hangs; /* no answer to that, ever */
        int64_t ahead_s; /* its clock, and the certificate's beginning, before this host's; it says so */
        bool mute; /* it does not */
        bool wrong_key; /* the certificate is for another key */
        unsigned failing_orders; /* end without a certificate, and another may succeed */
        int64_t again_after_s; /* but not before */
        unsigned others_orders; /* are finalized by somebody else, with another key */
        bool person; /* a review stands between validation and issue, until approved */
        bool approved, closed;
        int64_t deadline_s; /* of its orders, as views say it; 0: not said */
        bool late_proofs; /* the first view has none */
        size_t more_proofs; /* beside the one, at most 3 */
        bool slow; /* told to validate, it does not yet; it wants to be asked after a minute */
        char diagnosis[100]; /* what it says of that */
        bool publisher_down; /* until told otherwise */
        char place[32]; /* where an alias leads now, FAKE_OWN_NAME: nowhere; "": the publisher knows no places */
        bool publisher_hangs; /* it sends, no answer ever */
        void (*place_said)(void *arg); /* called then; used up */
        void *place_said_arg;
        bool strangers; /* its certificates are not one another's: an open order is none to resume */
        bool organization; /* what it has names one */
        bool last_one; /* cancelling an order may cost the only reissue */
        char newest_spki[65], newest_sha256[65]; /* of the certificate "new", the newest it has; "": it shows none */
        int64_t not_before_s, not_after_s; /* of the newest certificate; 0: not said */
        bool waives; /* takes the CSR of the newest once more, for the key that it is told may be used again */
        bool insists_on_csr; /* says that it will send that, whatever it is told */
        enum key_type rule; /* what it takes, whatever it is told; KEY_NONE: what is wanted, what is live, ec-p256 */
        char note[100]; /* said with every subject; "": none */
        struct err refusal; /* said with every subject, until told otherwise */
        /* what happened */
        unsigned orders, inspects, views, validates, fetches, resolves, cancels, publishes, retracts,
                out; /* out: tokens that are published now */
        char out_at[100]; /* the places, each followed by a space */
        unsigned revokes, diagnoses;
        int64_t revoke_asked_ms; /* when it was, last */
        bool revoked_by_key; /* the last one, for the compromise of it */
        bool revoked_by_account; /* the last one: it was given no key */
        bool open, validated, finalized;
        bool held_told; /* what it heard with attach */
        size_t held_names;
        bool doubled; /* an order was opened beside an open one */
        char csr[8192]; /* the last that was sent */
        bool original; /* the last order was for the CSR of the newest */
        char reuse_spki[65]; /* what it was told of */
        char told[300]; /* by who asked last: names, validation, key */
        char exclusive[32]; /* "": none */
        int64_t window_start_s, window_end_s; /* what it says of a renewal */
        unsigned renewals;
        bool replaces; /* the last order named what it replaces */
};
#define FAKE_OWN_NAME "own"
extern struct fake_ca fake_ca;
extern const struct ca_ops *const fake_cas[];
extern const struct publisher_ops *const fake_publishers[];
const struct conf_kind *fake_kinds(void);
void fake_ca_reset(void);
/* From now on what a child of this process does to the CA is seen by this one and by its next child. */
void fake_ca_outlives(void);
void fake_ca_renews(bool yes); /* and says when; until told otherwise */
void fake_ca_has_staging(bool yes); /* of engines that open from now on */
void fake_publisher_is_a_person(bool yes); /* until told otherwise */
void fake_ca_takes(const char *const *key_types); /* until told otherwise; NULL: all */
void fake_ca_finalizes(bool yes); /* the CSR comes after the validation, as at an ACME CA; until told otherwise */
void fake_ca_orders_cost_nothing(bool yes); /* as at an ACME CA: resolve() is missing; until told otherwise */

#endif
