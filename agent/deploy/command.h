/* Runs one configured command: an argument array, never a shell; a clean environment, its own process group, a time
 * limit, its output capped. */
#ifndef DCVD_DEPLOY_COMMAND_H
#define DCVD_DEPLOY_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define COMMAND_OUTPUT_MAX (64 * 1024)

struct command_result {
        int exit_status; /* -1: ended by signal */
        int signal;
        bool timed_out;
        struct buf output; /* stdout and stderr as they came, capped */
        struct buf said; /* stdout alone, capped */
};
struct command {
        const struct texts *argv;
        const struct texts *more; /* appended to argv; NULL: none */
        const struct texts *environment; /* "NAME=value" beside PATH and LANG; NULL: none */
        const void *input; /* its standard input; NULL: empty */
        size_t input_len;
        int64_t timeout_ms;
};
/* Blocking. e only if the command could not be run at all; result then is empty. Children it leaves behind are killed.
 */
bool command_run_with(const struct command *c, struct command_result *ret, struct err *e);
bool command_run(const struct texts *argv, int64_t timeout_ms, struct command_result *ret, struct err *e);
void command_result_done(struct command_result *r);
/* Would it be found and may it be run, by a path or in the PATH that commands get? */
bool command_exists(const char *program);
/* "nginx -t failed (exit 1): first useful line": for people; false if it succeeded. */
bool command_failed(const struct texts *argv, const struct command_result *r, char *ret, size_t size);

#endif
