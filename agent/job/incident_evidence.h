/* The evidence of an incident, from the audit trail alone: what was reported, which certificates, what was done when.
 */
#ifndef DCVD_JOB_INCIDENT_EVIDENCE_H
#define DCVD_JOB_INCIDENT_EVIDENCE_H

#include <jansson.h>

#include "agent/base/err.h"

struct store;

/* {schema: "dcvd.evidence/1", incident, intact, last_hash, made, opened:{..}, certificates:[{cert, sha256, serial,
 * replaced, by, revoked, not_revoked}], confirmed:[..], remedied, remediation_seconds, ended, how, timeline:[{at, cert,
 * job, event, data}]}. New reference. */
bool evidence_of(struct store *s, int64_t incident, json_t **ret, struct err *e);

#endif
