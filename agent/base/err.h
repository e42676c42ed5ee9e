/* One error value. Whatever talks to the world or reads user input returns bool and fills one of these, always the last
 * parameter. The kind decides what a job does next; the text tells a person what is wrong and where; the fix what to
 * do. */
#ifndef DCVD_BASE_ERR_H
#define DCVD_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_kind {
        ERR_NONE,
        ERR_TEMPORARY, /* try again after a growing delay: network, server fault, memory, disk */
        ERR_RATE_LIMITED, /* try again, not before retry_after_s */
        ERR_UNKNOWN, /* a write was sent and its outcome is not known: ask first, never repeat blindly (I2) */
        ERR_WAITING, /* a person or another party must act first */
        ERR_RULE, /* refused by a rule (eligibility, brake, broken web server): code names the rule, "R3" */
        ERR_DENIED, /* the other side refused for good: credentials, permission, a final business error */
        ERR_PROTOCOL, /* the other side broke its protocol, or hostile input */
        ERR_CONFIG, /* our user's input is wrong: usage, configuration, files */
        ERR_CANCELLED, /* we were told to stop */
        ERR_BUG, /* our own fault */
        ERR_KINDS
};

struct err {
        enum err_kind kind;
        int64_t retry_after_s; /* 0: not said */
        char code[64]; /* short, stable, for machines: "R3", "dns.refused", "tc.RequestLimitExceeded" */
        char text[640]; /* what we were doing and what went wrong, naming host, file, record; control bytes escaped */
        char fix[320]; /* what a person can do about it; empty if nothing */
};

/* Fills e (NULL allowed) and returns false, so that `return err_set(...)` ends a function. Foreign text inside the
 * format's arguments is escaped: control characters and invalid UTF-8 never reach a terminal. Clears fix and
 * retry_after_s. */
bool err_set(struct err *e, enum err_kind kind, const char *code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Sets the fix of an error already set. Returns false. */
bool err_fix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "what: " before the text; keeps kind, code and fix. Returns false. */
bool err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* err_set from an errno value: kind ERR_TEMPORARY for ENOSPC, EMFILE, ENOMEM, EIO and the like, ERR_CONFIG for ENOENT,
 * EACCES, EPERM, ENOTDIR, ELOOP. The text is "<format>: <strerror>". Returns false. */
bool err_errno(struct err *e, int error, const char *code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* err_set for a failed allocation: ERR_TEMPORARY "memory". Returns false. */
bool err_memory(struct err *e);

/* Stable lower-case word of a kind ("temporary", "rule"), for logs, JSON and the journal; and back (ERR_BUG if
 * unknown). */
const char *err_kind_name(enum err_kind kind);
enum err_kind err_kind_from_name(const char *name);

#endif
