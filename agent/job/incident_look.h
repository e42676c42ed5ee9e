/* Does anybody still show the old certificate? The endpoints here, the `elsewhere` entries, and the public addresses of
 * the names, one after another: of every certificate that has the key, because a CA that hears of the key from the key
 * itself revokes whatever else has it. */
#ifndef DCVD_JOB_INCIDENT_LOOK_H
#define DCVD_JOB_INCIDENT_LOOK_H

#include "agent/job/internal.h"
#include "agent/net/address.h"

struct case_look;
enum shown { SHOWN_NOT, SHOWN_YES, SHOWN_UNSURE };
/* text: who shows it, or who cannot be looked at; "" if nobody. */
typedef void case_look_fn(void *arg, enum shown shown, const char *text);
/* certs: whose places are looked at; none: nobody's, and done says so. old: the set that was replaced. spki: of the
 * reported key; NULL: the certificate alone counts. */
struct case_look *case_look_start(struct engine *g, const struct texts *certs, const struct set *old, const char *spki,
        case_look_fn *done, void *arg, struct err *e);
void shown_text(
        const struct address *a, char *ret, size_t size); /* "203.0.113.9:443 (not this host) still serves ..." */
void case_look_cancel(struct case_look *l); /* NULL allowed */

#endif
