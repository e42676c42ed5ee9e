#include "agent/base/util.h"

#include <errno.h>
#include <unistd.h>

void close_p(int *fd)
{
        int saved = errno;
        if (*fd >= 0)
                (void)close(*fd); /* nothing can be done about a failed close of a file that was fsynced or only read */
        *fd = -1;
        errno = saved;
}
