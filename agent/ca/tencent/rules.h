/* May this certificate be reissued now, and how? The rules R1 to R18 of the service as pure functions of (chain, what
 * runs in the account, request, now). The service has the last word: what is predicted here (waivers) is corrected by
 * its reply. */
#ifndef DCVD_CA_TENCENT_RULES_H
#define DCVD_CA_TENCENT_RULES_H

#include "agent/base/err.h"
#include "agent/ca/ca.h"
#include "agent/ca/tencent/chain.h"
#include "agent/pki/csr.h"

#define TC_LEFT_MIN_S (30 * 86400) /* R2 */
#define TC_WAIVER_S (72 * 3600) /* R8 */
#define TC_DCV_S (3 * 86400) /* R18 */

struct tc_facts {
        const struct tc_chain *chain; /* sorted */
        const struct tc_cert *head; /* the newest issued member; where none is, the newest */
        const struct tc_cert *list; /* of the account: at least those whose order runs */
        size_t list_count;
        const struct ca_subject_request *request;
        const struct csr *csr; /* of request->csr_pem; NULL: none */
        const char *head_spki_hex; /* "" unknown */
        enum key_type head_key_type; /* KEY_NONE unknown */
        const char *running_spki_hex; /* of the CSR of a reissue that runs; "" unknown */
        int64_t now_s; /* by the CA's clock */
        int64_t issued_s; /* of head; 0: unknown */
        bool (*is_ours)(void *arg, const char *id); /* an order that this host placed or follows */
        void *is_ours_arg;
};

struct tc_ruling {
        struct err refused; /* kind ERR_NONE: may go */
        char resume_id[TC_ID_MAX];
        int64_t resume_since_s;
        enum key_type key_type;
        enum conf_validation validation;
        bool same_csr, validation_expected, person_expected, last_one;
        int64_t reissuable_until_s;
        struct texts notes;
};
void tc_ruling_done(struct tc_ruling *r);

/* One rule: fills the ruling, returns false with ruling->refused set where it refuses. */
typedef bool tc_rule_fn(const struct tc_facts *f, struct tc_ruling *r);
struct tc_rule {
        const char *name; /* "R2" */
        tc_rule_fn *apply;
};
/* All of them, in the order in which a refusal is most useful: what is final first, what passes by itself last. Ended
 * by name NULL. */
extern const struct tc_rule tc_rules[];
/* Applies them; the notes are complete only where nothing refuses. False: memory. */
bool tc_rules_apply(const struct tc_facts *f, struct tc_ruling *r);

/* The rules as they stand, a line each in their order ("R2: it can be reissued until ..."), whatever the ruling is.
 * False: memory. */
bool tc_calendar(const struct tc_facts *f, const struct tc_ruling *r, struct texts *ret);
/* What the rules look for; NULL: none. R3: the reissue that used up the only one. R4: a sibling that is being reissued. R5:
 * the one that runs. */
const struct tc_cert *tc_used_by(const struct tc_facts *f);
const struct tc_cert *tc_sibling_of(const struct tc_facts *f);
const struct tc_cert *tc_running_of(const struct tc_facts *f);

/* Of a list entry: has it a reissue that runs (R4)? */
bool tc_is_reissuing(const struct tc_cert *c);

#endif
