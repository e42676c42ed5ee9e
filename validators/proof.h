/* What a CA asks to see, and where: one proof. Its grammar is checked before anything is done with it. */
#ifndef DCVD_VALIDATORS_PROOF_H
#define DCVD_VALIDATORS_PROOF_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum proof_type { PROOF_TXT = 1, PROOF_CNAME = 2, PROOF_FILE = 4, PROOF_TLS = 8, PROOF_PERSIST = 16 }; /* bits: what a publisher can */
const char *proof_type_name(int type); /* "TXT" */
bool proof_type_from_name(const char *name, enum proof_type *ret);

struct proof {
        enum proof_type type;
        char *name; /* the identifier it proves, no "*." */
        char *place; /* TXT, CNAME, PERSIST: owner name, no final dot. FILE, TLS: host name or address */
        char *path; /* FILE: "/.well-known/..."; PERSIST: persist.h; else NULL */
        char *value; /* TXT: the text; CNAME: target, no final dot; FILE: the body; TLS: the hash, base64url; PERSIST: a record that would do */
};
bool proof_copy(struct proof *ret, const struct proof *from);
void proof_done(struct proof *p);
bool proof_equal(const struct proof *a, const struct proof *b); /* names without case */
/* The grammar: owner and target are host-like names (underscore allowed) of legal length; TXT value 1..2048 bytes of
 * printable ASCII; FILE path below /.well-known/acme-challenge/ or /.well-known/pki-validation/, components
 * [A-Za-z0-9._-] not starting with a dot, at most 255 bytes; body 1..4096 bytes of printable ASCII and LF; TLS value 43 base64url characters. ERR_PROTOCOL
 * "token.grammar"; the text names the field and quotes at most 60 escaped bytes. */
bool proof_check(const struct proof *p, struct err *e);
/* "TXT _dnsauth.www.example.com" / "file http://www.example.com/.well-known/...": for people. */
void proof_text(const struct proof *p, char *ret, size_t size);
/* The record in zone-file form, or the file's whole instruction, for `manual` and for fixes; allocated. */
char *proof_instruction(const struct proof *p, long ttl);

#endif
