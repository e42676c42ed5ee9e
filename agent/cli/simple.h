/* What the short commands share: ask once, confirm if the answer wants it, print the text or the document. */
#ifndef DCVD_CLI_SIMPLE_H
#define DCVD_CLI_SIMPLE_H

#include "agent/cli/cli.h"
#include "agent/cli/print.h"

/* Asks verb with args ("yes" and "dry_run" are added from the options). print NULL: the answer's "text". */
int cli_simple(const struct cli_options *o, const char *verb, json_t *args, print_fn *print);
/* The last part alone: the document, or the text unless --quiet. Returns the answer's "exit". */
int cli_answer(const struct cli_options *o, const json_t *answer, print_fn *print);

#endif
