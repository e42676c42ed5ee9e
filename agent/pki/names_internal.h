/* Names inside certificates and requests, for this room only. */
#ifndef DCVD_PKI_NAMES_INTERNAL_H
#define DCVD_PKI_NAMES_INTERNAL_H

#include <openssl/x509v3.h>

#include "agent/base/buf.h"

/* DNS names in lower case and addresses in canonical text, in their order. A name with bytes that no host name has is
 * kept escaped: it then equals no name that anybody asked for. */
bool names_from_general(const GENERAL_NAMES *general, struct texts *ret);
/* A host name or an address, as it stands in a certificate or a request. ERR_CONFIG "csr.name": it is neither. */
bool names_add_general(GENERAL_NAMES *list, const char *name, struct err *e);
/* The first common name in lower case, escaped; NULL if none. */
bool common_name_of(const X509_NAME *name, char **ret, struct err *e);
/* RFC 2253 text, control characters and all else that could mislead a terminal escaped. NULL: memory. */
char *name_text(const X509_NAME *name);
/* Canonical text of an IPv4 or IPv6 address; false: it is none. */
bool address_canonical(const char *text, char ret[46]);
/* Host name or wildcard name that may stand in a request. */
bool dns_name_is_good(const char *name);

#endif
