/* Problem documents (RFC 7807, RFC 8555 section 6.7): the one table from the other side's words to what a job does. */
#ifndef DCVD_CA_ACME_PROBLEM_H
#define DCVD_CA_ACME_PROBLEM_H

#include <jansson.h>

#include "agent/base/err.h"
#include "agent/pki/key.h"

/* Fills e: kind by type, else by status; code "acme.<type>" or "acme.http-<status>"; text with detail and every
 * subproblem; retry_after_s < 0: not said. doc: NULL where the body was no problem document. Returns false. */
bool acme_problem(int status, const json_t *doc, int64_t retry_after_s, const char *what, struct err *e);
/* "badNonce" of a document; "" if it has no ACME type. Borrowed. */
const char *acme_problem_type(const json_t *doc);
/* The best key that signs with one of the `algorithms` of a badSignatureAlgorithm (RFC 8555 section 6.2); KEY_NONE:
 * none of ours does. */
enum key_type acme_problem_key_type(const json_t *doc);
/* The same for an error inside an order or a challenge: ERR_TEMPORARY where a new order may succeed. */
bool acme_problem_inside(const json_t *doc, const char *name, struct err *e);

#endif
