/* The start order that dcvd and dcvctl --local share: broker first, then directories, then another user, before STATE
 * is opened. */
#ifndef DCVD_JOB_START_H
#define DCVD_JOB_START_H

#include <stdbool.h>

struct conf;
struct err;

/* Starts the helper broker unless systemd's socket is there (*ret_helper_fd: our end or -1). Started as root: makes the
 * state and runtime directories for user dcvd if they are absent and becomes that user for good (a host without it:
 * said, and root stays); core files off; credentials are read before that where systemd hands over none. config_path is
 * handed to the helper. ERR_CONFIG names what is absent. */
bool start_privileges(struct conf *conf, const char *config_path, int *ret_helper_fd, struct err *e);

/* For a look at what the start would meet: becomes its user as that does, makes and starts nothing. */
bool start_user(struct conf *conf, struct err *e);
/* There is a user dcvd, and this process is neither root nor that one: it may look, but does not start the daemon. */
bool start_is_stranger(void);

#endif
