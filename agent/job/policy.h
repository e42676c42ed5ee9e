/* What a job was started with: names, key, CAs, validation, publishers and targets by name, as JSON in its row, without
 * secrets, for its whole life. Endpoints, credentials and commands are looked up by name in the current configuration
 * at each use. */
#ifndef DCVD_JOB_POLICY_H
#define DCVD_JOB_POLICY_H

#include "agent/base/err.h"
#include "config/config.h"

/* The canonical text of a certificate's policy; allocated, NULL: memory. */
char *policy_text(const struct conf_cert *cert);
/* The policy part of a conf_cert back from that text; targets have their directory only. */
bool policy_read(const char *text, struct conf_cert **ret, struct err *e);
void policy_free(struct conf_cert *p);
/* The attempt's own values: the CA entry's where it says something, else the certificate's. */
enum conf_validation policy_validation(const struct conf_cert *p, size_t ca_index);
enum key_type policy_key_type(const struct conf_cert *p, size_t ca_index);
const char *policy_publisher(const struct conf_cert *p, size_t ca_index, const char *name); /* NULL: none is named */

#endif
