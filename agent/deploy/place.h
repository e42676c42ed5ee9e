/* Where a target directory is to be made: the way there may be missing too, or lead over links. Blocking, with the
 * rights of this process. */
#ifndef DCVD_DEPLOY_PLACE_H
#define DCVD_DEPLOY_PLACE_H

#include <stdbool.h>

struct err;

/* The deepest directory above path (absolute, absent) that exists: *ret its path (free), *ret_fd open on it (either may
 * be NULL). A link on the way is followed only if root or this process's user owns it: whoever else made it could
 * choose where root writes. ERR_CONFIG names such a link, and a file or a link to nowhere that stands where a directory
 * must be made. Changes nothing. */
bool place_nearest(const char *path, char **ret, int *ret_fd, struct err *e);
/* Makes path and every missing directory above it, 0755, this process's user their owner, each synced, none of them
 * through a link; one that another process makes meanwhile is as good. *ret_fd is open on path (O_RDONLY). */
bool place_make(const char *path, int *ret_fd, struct err *e);

#endif
