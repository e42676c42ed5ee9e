/* Asks dcvd-helper to run one configured command as user dcvd-hook. The daemon names it (section and entry); the
 * command itself comes from the configuration that the helper reads. */
#ifndef DCVD_NET_HOOK_H
#define DCVD_NET_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct helper;
struct helper_call;
struct texts;

struct hook_request {
        const char *kind, *name; /* "publisher" or its "cleanup" and an entry of type exec, or "notify" and an entry
                                  * with a command */
        const struct texts *args; /* appended to the configured ones, letters, digits and ._:@=+,*-/; NULL: none */
        const struct texts *env; /* "NAME=value", CERTBOT_*, EXEC_* or DCVD_*; NULL: none */
        const void *input; /* its standard input; NULL: empty */
        size_t input_len;
        int64_t timeout_ms; /* what the configuration lets it take; 0: a minute */
};
struct hook_result { /* borrowed by the callback */
        int exit_status; /* -1: ended by signal */
        int signal;
        bool timed_out;
        const char *output; /* stdout and stderr, escaped, line feeds kept, at most 64 KiB */
        const char *said; /* stdout alone, at most 4 KiB */
        const char *failure; /* for people: "dns-hook present failed: last useful line, exit 1"; "" if it succeeded */
};
/* r NULL: it was not run, or nobody knows what came of it (ERR_TEMPORARY "helper.lost"). */
typedef void hook_done_fn(void *arg, const struct hook_result *r, const struct err *err);
struct hook_call;
struct hook_call *hook_start(
        struct helper *h, const struct hook_request *q, hook_done_fn *done, void *arg, struct err *e);
void hook_cancel(struct hook_call *c); /* NULL allowed; the command goes on to its end */

#endif
