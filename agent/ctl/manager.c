#include "agent/ctl/manager.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/util.h"

bool manager_tell(const char *format, ...)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        char text[512];
        va_list ap;
        size_t len = path ? strlen(path) : 0;
        if (len < 2 || len >= sizeof where.sun_path || (path[0] != '/' && path[0] != '@'))
                return false;
        memcpy(where.sun_path, path, len);
        if (path[0] == '@') /* an abstract name */
                where.sun_path[0] = '\0';
        va_start(ap, format);
        int n = vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        CLEANUP(close_p) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (n <= 0 || n >= (int)sizeof text || fd < 0)
                return false;
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        return sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&where, size) == n;
}
