#define SD_JOURNAL_SUPPRESS_LOCATION
#include "systemd.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "agent/net/httpd.h"

void systemd_take_sockets(void)
{
        char **names = NULL;
        int count = sd_listen_fds_with_names(0, &names);
        for (int i = 0; i < count; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
                        (void)listen_fd_give(names[i], fd); /* else who asks for it says that there is none */
                free(names[i]);
        }
        free(names);
}

void systemd_log(int priority, const char *program, const char *subject, const char *message)
{
        (void)sd_journal_send("MESSAGE=%s%s%s", subject, subject[0] ? ": " : "", message, "PRIORITY=%d", priority,
                "CERTIFICATE=%s", subject, "SYSLOG_IDENTIFIER=%s", program, NULL);
}
