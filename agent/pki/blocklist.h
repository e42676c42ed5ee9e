/* A list of burnt keys as a file (badkeys' blocklist.dat): records of 16 bytes, sorted: the first 15 bytes of a key's
 * hash (weak.h) and the number of the list that it came from. */
#ifndef DCVD_PKI_BLOCKLIST_H
#define DCVD_PKI_BLOCKLIST_H

#include "agent/base/err.h"

struct blocklist;

/* Blocking, and long for a large file: it is read once to see that it is whole and sorted (ERR_CONFIG "blocklist" if
 * not: a search in such a file would find nothing and say that all is well). Thread-safe. */
bool blocklist_open(struct blocklist **ret, const char *path, struct err *e);
void blocklist_close(struct blocklist *b); /* NULL allowed */
/* Was the file changed or replaced since? */
bool blocklist_is_old(const struct blocklist *b);
/* ret_list: the number of the list; ret_found false: not in it. */
bool blocklist_find(
        const struct blocklist *b, const uint8_t hash[32], bool *ret_found, unsigned *ret_list, struct err *e);

#endif
