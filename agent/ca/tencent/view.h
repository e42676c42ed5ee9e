/* An order as the API shows it -> the neutral view. Pure. */
#ifndef DCVD_CA_TENCENT_VIEW_H
#define DCVD_CA_TENCENT_VIEW_H

#include "agent/ca/ca.h"
#include "agent/ca/tencent/model.h"

struct tc_view_input {
        const struct tc_cert *order;
        int64_t now_s; /* by the CA's clock */
        bool same_id; /* the reissue came back under the original's id: issued means another certificate than */
        const char *old_fingerprint; /* this one (SHA-1, "" unknown), */
        int64_t old_begin_s; /* begun then */
        enum tc_known validated; /* by CheckCertificateDomainVerification */
        int64_t told_age_s; /* since the CA was last told to validate; < 0: not by this process */
        const char *console; /* "https://console.cloud.tencent.com" */
};
/* A pending order whose state alone does not say whether its domains are validated: ask the CA. */
bool tc_view_needs_check(const struct tc_view_input *in);
/* False: a proof breaks the grammar (ERR_PROTOCOL), or memory. */
bool tc_view_make(const struct tc_view_input *in, struct ca_view *ret, struct err *e);

#endif
