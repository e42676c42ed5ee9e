/* What the short commands share: ask once, confirm if the answer wants it, print the text or the document. */
#ifndef DCVD_CLI_SIMPLE_H
#define DCVD_CLI_SIMPLE_H

#include "agent/cli/cli.h"

/* Asks verb with args ("yes" and "dry_run" are added from the options). print NULL: the answer's "text". */
int cli_simple(const struct cli_options *o, const char *verb, json_t *args, void (*print)(const json_t *answer));

#endif
