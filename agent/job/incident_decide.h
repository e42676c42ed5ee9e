/* What a report is worth: a pure table (specs/alerts.md section 6). No clock, no memory, no I/O. */
#ifndef DCVD_JOB_INCIDENT_DECIDE_H
#define DCVD_JOB_INCIDENT_DECIDE_H

#include "agent/job/incident.h"

struct verdict_input {
        enum report_strength strength;
        bool exact; /* a key or a certificate was named, not a domain or a lonely serial number */
        int revocation_reason; /* REPORT_REVOKED: RFC 5280; -1: not known */
        int on_reissue, on_revoke; /* enum conf_confirm: the certificate's on_compromise */
        int on_domain_alert; /* enum conf_domain_alert */
};
enum verdict_word { VERDICT_NO, VERDICT_ASK, VERDICT_YES };
struct verdict {
        bool mark; /* the key, for ever, at once */
        enum verdict_word reissue, revoke;
        bool passes_brake;
};
struct verdict incident_decide(const struct verdict_input *in);
const char *verdict_word_name(enum verdict_word w); /* "no" "ask" "yes" */
bool verdict_word_from_name(const char *name, enum verdict_word *ret);

#endif
