/* What libsystemd does, for dcvd alone: it brings six more libraries, and a program pays for them at each start. */
#ifndef DCVD_SYSTEMD_H
#define DCVD_SYSTEMD_H

/* Gives the listening sockets that systemd passed in (LISTEN_FDS) to listen_fd_give; no program started later has them.
 * Once, by the process that systemd started. */
void systemd_take_sockets(void);
/* A log_journal_fn: the journal's own protocol, with the subject as the field CERTIFICATE. */
void systemd_log(int priority, const char *program, const char *subject, const char *message);

#endif
