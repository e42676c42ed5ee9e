/* The options every command has. They may stand before or after the command's name. */
#ifndef DCVD_CLI_COMMON_H
#define DCVD_CLI_COMMON_H

#include "agent/cli/cli.h"

struct cli_common {
        struct cli_options o; /* filled with the defaults by the caller */
        bool help, version;
};
/* Takes the common options out of argv[1..], up to "--"; what is left, the command first, goes into rest (argc + 1
 * places). False: said what is wrong (exit 2). */
bool cli_common_read(int argc, char **argv, struct cli_common *c, char **rest, int *ret_count);

/* The name of the common option nearest to text within `max` changes; NULL: none is near. */
const char *cli_common_near(const char *text, unsigned max);

#endif
