/* What an operator can ask for, each as one function with JSON in and out, used by the control socket and by dcvctl in
 * its own process. done is called once, never before the function returned. result carries "exit" (interface.md section
 * 1) and the facts; err the refusal. */
#ifndef DCVD_JOB_ACTIONS_H
#define DCVD_JOB_ACTIONS_H

#include <jansson.h>

#include "agent/base/err.h"

struct engine;

typedef void action_done_fn(void *arg, const json_t *result, const struct err *err);
typedef void action_fn(struct engine *g, const json_t *args, action_done_fn *done, void *arg);

/* {certs:[..] | all:true | spki | issuer | serials:[..], reason, compromised, force, dry_run, yes} ->
 * {jobs:[{id,cert,joined}], refused:[..]} or, in a dry run, what would happen. */
action_fn action_reissue;
action_fn
        action_issue; /* {cert, force, dry_run}: a first certificate; like reissue, or {text} if there is one already */
action_fn action_account; /* {verb: show|rollover|deactivate, ca, yes, dry_run} */
action_fn action_revoke; /* {cert, serial, live, reason, yes, dry_run}: by default the newest one that is not live */
action_fn action_cancel; /* {cert, yes} */
action_fn action_status; /* {certs:[..], records} -> dcvd.status/1 */
action_fn action_history; /* {cert, since_s, limit} */
action_fn action_import; /* {cert, cert_pem, key_pem, csr_pem, passphrase} */
action_fn action_list; /* {ca, search}: what the account holds -> for import --from tencent */
action_fn action_sets; /* {cert} */
action_fn action_deploy; /* {cert, set, dry_run} */
action_fn action_forget; /* {cert, purge, yes} */
action_fn action_withdraw; /* {cert | stale} */
action_fn action_publish; /* {cert, dry_run}: what is wanted of it, again ->
                             {tokens:[{token,value,publisher,state,problem}]} */
action_fn action_check; /* {certs:[..]}: what only the daemon can say for dcvctl check */
/* {certs:[..], dry_run, timeout_ms, id} -> dcvd.rehearse/1. What happens meanwhile is told as events of "job" id, a
 * negative number of the asker's. */
action_fn action_rehearse;
action_fn action_verify; /* {certs:[..]} */
action_fn action_incidents; /* {all}: open ones, or also those that are over -> dcvd.incidents/1 */
action_fn action_incident; /* {id} -> dcvd.incident/1, its evidence inside */
action_fn action_confirm; /* {id, yes, dry_run}: answers what the incident asks now */
action_fn action_dismiss; /* {id, because, dry_run} */
action_fn action_job; /* {id}: the state of one job, also an ended one */

#endif
