/* The registrable domain of a name, by the public suffix list: what Tencent's rules call the primary domain. */
#ifndef DCVD_CA_TENCENT_DOMAIN_H
#define DCVD_CA_TENCENT_DOMAIN_H

#include <stdbool.h>

struct texts;

/* Borrowed from name (its tail), "*." ignored; the name itself if it is no more than a public suffix. name in lower
 * case. */
const char *tc_registrable(const char *name);
/* Those of all names, sorted, each once. */
bool tc_registrable_all(const struct texts *names, struct texts *ret);
/* name equals domain or lies below it; without case. */
bool tc_is_below(const char *name, const char *domain);

#endif
