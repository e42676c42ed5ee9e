/* Link headers (RFC 8288): several of them, or one with commas. */
#ifndef DCVD_CA_ACME_LINK_H
#define DCVD_CA_ACME_LINK_H

#include "agent/base/buf.h"

struct http_answer;

/* The URLs of every link with this relation, at most 20; false: memory. */
bool acme_links(const struct http_answer *a, const char *relation, struct texts *ret);
/* One header's value; the pure part. */
bool acme_link_read(const char *value, const char *relation, struct texts *ret);

#endif
