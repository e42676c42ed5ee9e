/* The small argument reader of the commands: long options with a value or without, and names. */
#ifndef DCVD_CLI_ARGS_H
#define DCVD_CLI_ARGS_H

#include <jansson.h>
#include <stdbool.h>

struct cli_arg {
        const char *name; /* "--reason" */
        const char **value; /* takes a value */
        bool *flag; /* or is one */
};
/* Reads argv[1..]; what is no option goes into ret_names (new array of texts). False: said what is wrong (exit 2). */
bool cli_args(int argc, char **argv, const struct cli_arg *args, json_t **ret_names);

#endif
