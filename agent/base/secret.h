/* Bytes that are wiped when freed and never printed: API keys, TSIG keys, pass phrases, private keys in PEM. */
#ifndef DCVD_BASE_SECRET_H
#define DCVD_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct secret {
        uint8_t *data; /* NUL-terminated; len counts without it; NULL: not set */
        size_t len;
};

bool secret_set(struct secret *s, const void *data, size_t len, struct err *e); /* copies; wipes the old value */
void secret_done(struct secret *s);
bool secret_equal(const struct secret *a, const struct secret *b); /* constant time over equal lengths */
void wipe(void *data, size_t len);
/* This process leaves no core file and cannot be looked into by others of its user. Exec and a change of user undo it:
 * to be called again after those. */
void secret_forbid_cores(void);
void wipe_free_text(char *text); /* wipes up to the NUL, frees */

/* Where a secret comes from: `{file: P}`, `{credential: N}`, `{env: N}`. */
enum secret_source { SECRET_NONE, SECRET_FILE, SECRET_CREDENTIAL, SECRET_ENV };
struct secret_ref {
        enum secret_source source;
        char *name; /* path, credential name or variable name; owned */
        char *where; /* FILE:LINE:COLUMN: path.to.key, for messages; NULL: not from a file; owned */
        struct secret *held; /* SECRET_ENV: the value taken at start, the variable overwritten in place;
                                SECRET_CREDENTIAL: what root read before it became another user; owned */
};
void secret_ref_done(struct secret_ref *r);
bool secret_ref_copy(struct secret_ref *ret, const struct secret_ref *from);
/* Reads the secret now, at most 64 KiB; one trailing newline is dropped, an empty one is refused. A file must be a
 * regular file that neither group-writable nor readable or writable by others; a credential is
 * $CREDENTIALS_DIRECTORY/NAME, then $CREDENTIALS_DIRECTORY/dcvd_NAME, and when that variable is unset (run without
 * systemd) /etc/dcvd/credentials/NAME. Errors: ERR_CONFIG naming the file to create or the chmod to type; the value
 * never appears. */
bool secret_load(const struct secret_ref *r, struct secret *ret, struct err *e);
/* For SECRET_CREDENTIAL: reads it once and for all; one that is not there stays absent (secret_load says so). One of
 * another user than root is not held: it may be of the user who reads it next. */
bool secret_ref_hold(struct secret_ref *r, struct err *e);
/* For SECRET_ENV at start: takes the value out of the environment and overwrites it in place. */
bool secret_ref_take_env(struct secret_ref *r, struct err *e);

#endif
