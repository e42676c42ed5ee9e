/* STATE/keys: one file per key, <spki-sha256>.pem, 0600, never overwritten; and STATE/compromised, the append-only list. */
#ifndef DCVD_PKI_KEYSTORE_H
#define DCVD_PKI_KEYSTORE_H

#include "agent/base/buf.h"
#include "agent/pki/key.h"

struct keystore;
struct secret;

bool keystore_open(struct keystore **ret, const char *state_directory, struct err *e); /* makes keys/ 0700; checks owner and modes */
void keystore_close(struct keystore *s);
/* Writes the key if it is not there yet (same hash = same key: success); file and directory are fsynced when it returns (I1). */
bool keystore_put(struct keystore *s, const struct key *k, char ret_spki_hex[65], struct err *e);
bool keystore_get(struct keystore *s, const char *spki_hex, struct key **ret, struct err *e); /* absent: ERR_CONFIG "key.absent" */
/* The same as plain PKCS#8, as it goes into a set. What keystore_put wrote in this process is not judged again. */
bool keystore_get_pem(struct keystore *s, const char *spki_hex, struct secret *ret, struct err *e);
bool keystore_has(struct keystore *s, const char *spki_hex);
bool keystore_list(struct keystore *s, struct texts *ret_spki_hex, struct err *e);
bool keystore_remove(struct keystore *s, const char *spki_hex, struct err *e); /* overwritten, unlinked, directory synced */

bool compromised_has(struct keystore *s, const char *spki_hex);
bool compromised_add(struct keystore *s, const char *spki_hex, struct err *e); /* fsynced; already there is success */
bool compromised_list(struct keystore *s, struct texts *ret, struct err *e);

#endif
