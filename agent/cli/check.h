/* dcvctl check: what its files share. check.c reads the command line and runs, check_target.c says what is checked,
 * check_print.c shows it. */
#ifndef DCVD_CLI_CHECK_H
#define DCVD_CLI_CHECK_H

#include <stdio.h>

#include "agent/cli/cli.h"
#include "validators/check.h"

extern const struct check *const *const cli_checks[]; /* ended by NULL */

struct check_options {
        struct texts names, certs; /* --name; positional */
        const char *validation, *caa, *value;
        bool internal, verbose, watch, strict, catalogue;
};
struct check_targets {
        struct check_target *item;
        size_t count;
        struct conf *conf; /* NULL: none */
        struct check_said *said; /* by the daemon, one a target; NULL: it was not asked */
        bool asked_aside; /* there is no daemon: a process of this program has looked in its place */
};
/* False: said what is wrong (exit 2). */
bool check_targets_make(struct check_targets *ret, const struct cli_options *o, const struct check_options *c);
/* The texts as an array ended by NULL (its items are borrowed); NULL for none, or out of memory. */
const char **check_list(const struct texts *t);
void check_targets_done(struct check_targets *t);

/* Fills what the daemon says of configured certificates (without one, what root may see in its place), or why it does
 * not. Again: asks again. */
void check_ask_daemon(struct check_targets *t, const struct cli_options *o, int64_t within_ms);
void check_forget_daemon(struct check_targets *t);

json_t *check_document(const struct check_result *results, size_t count); /* dcvd.check/1 */
void check_print(FILE *to, const struct check_result *results, size_t count, bool verbose);
int check_exit(const struct check_result *results, size_t count, bool strict);
void check_print_catalogue(FILE *to); /* docs/checks.md */
json_t *check_catalogue_document(void);

#endif
