/* STATE/sets/<cert>/<n>/: complete sets (cert.pem chain.pem fullchain.pem privkey.pem meta.json), copies, never links;
 * and STATE/live/<cert>, the one link, switched by one rename (I3). Blocking file work: what writes waits for the disk.
 * From any thread; the sets of one certificate have one writer at a time, but for their meta. */
#ifndef DCVD_DEPLOY_SETS_H
#define DCVD_DEPLOY_SETS_H

#include <jansson.h>

#include "agent/pki/chain.h"
#include "agent/pki/key.h"

struct sets;

struct set { /* one complete set, in memory */
        unsigned number;
        struct chain chain;
        struct secret key_pem; /* len 0: the key is held elsewhere */
        json_t *meta; /* object: spki, sha256, not_before, not_after, names, ca, order, job, created, good (bool),
                         looked_at (bool; absent: as good), origin */
};
void set_done(struct set *s);
/* The facts of a chain that a set's meta begins with: names, spki, sha256, serial, issuer, dates, created, origin,
 * good. New reference. */
json_t *set_meta_new(const struct chain *c, const char *origin, bool good, int64_t now_s);

bool sets_open(struct sets **ret, const char *state_directory,
        struct err *e); /* makes sets/ and live/; removes half-written temporary ones */
void sets_close(struct sets *s);
/* Writes a new set under the next number (whole or not at all; fsynced). meta is borrowed. chain is as chain_read gives
 * it, key_pem the leaf's key as keystore_get_pem or key_write_pem gives it: sets_read does not read or prove these
 * bytes again. */
bool sets_write(struct sets *s, const char *cert, const struct chain *chain, const struct secret *key_pem,
        const json_t *meta, unsigned *ret_number, struct err *e);
/* A set's chain and, of its other parts, those that are named; the others are neither read nor looked for. */
enum set_part { SET_KEY = 1, SET_META = 2, SET_WHOLE = SET_KEY | SET_META };
bool sets_read(struct sets *s, const char *cert, unsigned number, unsigned parts, struct set *ret, struct err *e);
/* What a question about a set needs: meta (new reference); and its certificate, allocated. Neither chain nor key is
 * looked at, which of a set that nobody read of late takes as long as ten such questions. */
bool sets_read_meta(struct sets *s, const char *cert, unsigned number, json_t **ret, struct err *e);
bool sets_read_leaf(struct sets *s, const char *cert, unsigned number, uint8_t **ret_der, size_t *ret_len,
        json_t **ret_meta, struct err *e);
/* Puts these members into a set's meta; the others stay, whoever else puts some there. */
bool sets_change_meta(struct sets *s, const char *cert, unsigned number, const json_t *changes, struct err *e);
unsigned sets_live(struct sets *s, const char *cert); /* 0: none */
bool sets_switch(struct sets *s, const char *cert, unsigned number, struct err *e);
uint64_t sets_changes(struct sets *s); /* grows whenever a set comes, goes or becomes live */
/* Numbers, rising; allocated (free). */
bool sets_list(struct sets *s, const char *cert, unsigned **ret, size_t *ret_count, struct err *e);
bool sets_certs(struct sets *s, struct texts *ret, struct err *e); /* names that have sets */
bool sets_remove(struct sets *s, const char *cert, unsigned number, struct err *e); /* refuses the live one */
bool sets_forget(struct sets *s, const char *cert, struct err *e); /* all sets and the live link */

#endif
