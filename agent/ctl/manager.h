/* What the service manager is told over $NOTIFY_SOCKET. sd_notify(3) would wait while nobody reads that socket, and the
 * loop waits for nobody: a message that does not fit is dropped. */
#ifndef DCVD_CTL_MANAGER_H
#define DCVD_CTL_MANAGER_H

#include <stdbool.h>

/* "READY=1\nSTATUS=..." False: nobody asked to be told, or it could not be said. */
bool manager_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
