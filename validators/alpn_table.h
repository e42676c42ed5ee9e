/* What the tls-alpn listener answers with: one certificate a name, only while published. Filled only by publish() and
 * emptied by retract() of the responder publisher; nothing of it is on disk. */
#ifndef DCVD_VALIDATORS_ALPN_TABLE_H
#define DCVD_VALIDATORS_ALPN_TABLE_H

#include <stdbool.h>

struct alpn_table;
struct err;
struct tls_alpn_answer;

bool alpn_table_new(struct alpn_table **ret, struct err *e);
void alpn_table_free(struct alpn_table *t); /* NULL allowed */
/* name: host name or address; value: base64url of the hash of the key authorization. The same entry again is success;
 * another value for the name is ERR_RULE "token.foreign". */
bool alpn_table_put(struct alpn_table *t, const char *name, const char *value, struct err *e);
void alpn_table_drop(struct alpn_table *t, const char *name);
/* A tls_alpn_find_fn (arg = the table). */
bool alpn_table_find(void *table, const char *sni, struct tls_alpn_answer *ret);

/* The server name that a CA asks with: for an address its name in the reverse zone (RFC 8738 section 6). Allocated. */
char *alpn_server_name(const char *name);

#endif
