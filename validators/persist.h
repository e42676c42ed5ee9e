/* dns-persist-01 (draft-ietf-acme-dns-persist; Baseline Requirements 3.2.2.4.22): a record that stands for good says
 * which account may have certificates for a name. dcvd looks for it and never writes it. */
#ifndef DCVD_VALIDATORS_PERSIST_H
#define DCVD_VALIDATORS_PERSIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proof;
struct texts;

#define PERSIST_LABEL "_validation-persist"

/* The proof of one name. issuers: any one of them may stand in the record; the first one is shown to people. False:
 * memory. */
bool persist_proof(
        const char *name, bool wildcard, const struct texts *issuers, const char *account, struct proof *ret);
/* Does this TXT record permit what the proof asks for, as CAs read it? ret_why: why it does not; static. */
bool persist_fits(const struct proof *p, const void *record, size_t len, int64_t now_s, const char **ret_why);

#endif
