/* Where a challenge name leads: DNS validation follows aliases (RFC 8555 section 8.4 and the CAs' own words), so a
 * token published beside an alias is never seen. */
#ifndef DCVD_VALIDATORS_ALIAS_H
#define DCVD_VALIDATORS_ALIAS_H

#include <stdbool.h>

struct alias_follow;
struct err;
struct propagation_engine;

#define ALIASES_MAX 8 /* the longest chain that is followed */

/* owner: the name at the end of the chain (the first one if it is no alias); zone, primary: the zone that holds it.
 * Borrowed. Asks authoritative servers only (I7). ERR_CONFIG "token.alias" for a loop or a longer chain; else the
 * errors of zone_find_start. Servers that do not answer are passed over; if none does, the name counts as no alias. */
typedef void alias_followed_fn(
        void *arg, const char *owner, const char *zone, const char *primary, const struct err *err);
struct alias_follow *alias_follow_start(
        struct propagation_engine *g, const char *name, alias_followed_fn *done, void *arg, struct err *e);
void alias_follow_cancel(struct alias_follow *f); /* NULL allowed */

/* For who writes there: a name that the root alone answers for is in nobody's zone. ERR_CONFIG "token.no-zone". */
bool alias_zone_is_ours(const char *owner, const char *zone, struct err *e);

#endif
