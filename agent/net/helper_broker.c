/* The broker: forked before anything else, it keeps the rights it was started with and does nothing but start
 * dcvd-helper on a socket that it is handed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"

#define AT_ONCE 16

static int receive_fd(int from)
{
        char byte;
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec io = { &byte, 1 };
        struct msghdr m = {
                .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
        if (n == 0)
                return -2; /* the parent is gone */
        if (n < 0)
                return errno == EINTR ? -1 : -2;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        int fd = -1;
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
                memcpy(&fd, CMSG_DATA(c), sizeof fd);
        return fd;
}

static void become_helper(int fd, const char *helper_path, const char *config_path)
{
        char *argv[] = { (char *)"dcvd-helper", (char *)"--config", (char *)config_path, NULL };
        char *envp[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                (char *)"LANG=C.UTF-8", NULL };
        if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
                execve(helper_path, argv, envp);
        _exit(127);
}

/* Secrets may come in the environment ({env: NAME}); neither the broker nor a helper uses any of it, and
 * /proc/PID/environ would show it for as long as the broker lives. */
static void forget_environment(void)
{
        for (char **variable = environ; variable && *variable; variable++)
                wipe(*variable, strlen(*variable));
        environ = NULL;
}

static void one_ended(int signum)
{
        (void)signum;
}

/* SIGCHLD comes only while the broker waits (ppoll): none is missed in between, and no helper stays a zombie until the
 * next one is asked for. */
static void hear_of_ends(sigset_t *ret_before)
{
        struct sigaction a = { .sa_handler = one_ended, .sa_flags = SA_NOCLDSTOP };
        sigset_t ends;
        (void)sigemptyset(&a.sa_mask);
        (void)sigaction(SIGCHLD, &a, NULL);
        (void)sigemptyset(&ends);
        (void)sigaddset(&ends, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &ends, ret_before);
        (void)sigdelset(ret_before, SIGCHLD);
}

/* Never returns. */
static void serve(int from, const char *helper_path, const char *config_path)
{
        unsigned running = 0;
        sigset_t before;
        hear_of_ends(&before);
        for (;;) {
                struct pollfd asked = { .fd = from, .events = POLLIN };
                while (running > 0 && waitpid(-1, NULL, running >= AT_ONCE ? 0 : WNOHANG) > 0)
                        running--;
                if (ppoll(&asked, 1, NULL, &before) < 0 && errno == EINTR)
                        continue;
                int fd = receive_fd(from);
                if (fd == -2)
                        break;
                if (fd < 0)
                        continue;
                pid_t pid = fork();
                if (pid == 0) {
                        (void)sigprocmask(SIG_SETMASK, &before, NULL); /* exec keeps it */
                        become_helper(fd, helper_path, config_path);
                }
                if (pid > 0)
                        running++;
                close_p(&fd);
        }
        /* A helper that has begun ends what it began. */
        while (running > 0 && (waitpid(-1, NULL, 0) > 0 || errno == EINTR))
                running--;
        _exit(0);
}

bool helper_broker_fork(const char *helper_path, const char *config_path, int *ret_fd, struct err *e)
{
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return err_errno(e, errno, "helper.broker", "making the helper's socket");
        pid_t pid = fork();
        if (pid < 0) {
                int error = errno;
                close_p(&pair[0]);
                close_p(&pair[1]);
                return err_errno(e, error, "helper.broker", "starting the helper's broker");
        }
        if (pid == 0) {
                close_p(&pair[0]);
                forget_environment();
                /* A terminal's interrupt is for the program in front; the broker ends when its parent does. */
                (void)signal(SIGINT, SIG_IGN);
                (void)signal(SIGHUP, SIG_IGN);
                (void)signal(SIGTERM, SIG_IGN);
                (void)prctl(PR_SET_NAME, "dcvd-broker");
                serve(pair[1], helper_path, config_path);
        }
        close_p(&pair[1]);
        *ret_fd = pair[0];
        return true;
}
