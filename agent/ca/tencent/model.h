/* A certificate of the account as the API describes it, read from JSON that is hostile until proven otherwise: every
 * text is bounded, every field may be missing, null or of another type. */
#ifndef DCVD_CA_TENCENT_MODEL_H
#define DCVD_CA_TENCENT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/ca/tencent/product.h"

#define TC_ID_MAX 72
#define TC_NAMES_MAX 500
#define TC_PROOFS_MAX 500

enum tc_known { TC_UNKNOWN, TC_NO, TC_YES };
/* Status, by number. */
enum tc_status {
        TC_STATUS_MISSING = -1,
        TC_REVIEWING = 0,
        TC_ISSUED = 1,
        TC_REVIEW_FAILED = 2,
        TC_EXPIRED = 3,
        TC_DNS_ADDED = 4,
        TC_INFORMATION_WANTED = 5,
        TC_CANCELLING = 6,
        TC_CANCELLED = 7,
        TC_LETTER_WANTED = 8,
        TC_REVOKING = 9,
        TC_REVOKED = 10,
        TC_REISSUING = 11,
        TC_REVOKE_LETTER_WANTED = 12,
        TC_FREE_INFORMATION_WANTED = 13,
        TC_REFUNDED = 14,
        TC_MIGRATING = 15,
};
const char *tc_status_text(int status); /* "revoked"; "unknown" */
bool tc_status_has_ended(int status); /* nothing more will come of an order in it */
bool tc_status_is_pending(int status); /* an order in it may still be issued; unknown numbers are pending */

/* One entry of DvAuths, or the fields above it. Texts are owned, NULL if not given. */
struct tc_dv {
        char *key, *value, *domain, *path, *sub_domain, *type;
};

struct tc_cert {
        char id[TC_ID_MAX];
        int status;
        char status_msg[300];
        bool uploaded; /* From = upload */
        int package; /* -1: null, an uploaded certificate */
        char *domain; /* lower case, NULL if not given */
        struct texts names; /* lower case, with domain first, no doubles */
        int64_t begin_s, end_s, inserted_s, validate_by_s, validated_s; /* 0: none */
        char replaced_by[TC_ID_MAX], replaced_for[TC_ID_MAX];
        enum tc_known is_dv, is_vip, is_sm, is_wildcard, is_dnspod;
        enum tc_class cert_type;
        char verify_type[16];
        char algorithm[40];
        char fingerprint[80];
        struct tc_dv top;
        struct tc_dv *dv;
        size_t dv_count;
        char *pem, *csr; /* NULL if not given */
};
/* object is an element of Certificates or the Response of a Describe call. False: no usable id, or memory. fallback_id:
 * what was asked for, for replies that do not repeat it; may be NULL. */
bool tc_cert_read(const json_t *object, const char *fallback_id, struct tc_cert *ret);
void tc_cert_done(struct tc_cert *c);
bool tc_id_is_valid(const char *id); /* [A-Za-z0-9_-]{1,64} */
/* An order without any link, for exactly these names: what a reissue looks like where the service shows no links. */
bool tc_cert_is_lookalike(const struct tc_cert *c, const struct tc_cert *original);
bool tc_cert_has_wildcard(const struct tc_cert *c);

#endif
