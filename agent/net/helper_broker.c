/* The broker: dcvd-helper, started before anything else, which keeps the rights it was started with and does nothing
 * but fork a helper for each socket that it is handed. The fork is that of a small process with its libraries mapped,
 * bound and read: a start of its own for each helper cost several times as much. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/err.h"
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

/* What a helper runs starts with what it has: signals as before, nothing open of the broker's. */
static void become_helper(const struct helper_broker *b, int from, int fd, const sigset_t *before)
{
        (void)signal(SIGCHLD, SIG_DFL);
        (void)sigprocmask(SIG_SETMASK, before, NULL);
        (void)prctl(PR_SET_NAME, "dcvd-helper");
        if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
                _exit(127);
        close_p(&fd);
        if (from > STDOUT_FILENO)
                close_p(&from);
        b->helper(b->arg);
        exit(EXIT_SUCCESS);
}

static void start_one(const struct helper_broker *b, int from, int fd, const sigset_t *before, unsigned *running)
{
        b->before(b->arg);
        pid_t pid = fork();
        if (pid == 0)
                become_helper(b, from, fd, before);
        if (pid > 0)
                ++*running;
}

void helper_broker_serve(int from, const struct helper_broker *b)
{
        unsigned running = 0;
        sigset_t before;
        /* A terminal's interrupt is for the program in front; the broker ends when its parent does. */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN);
        (void)prctl(PR_SET_NAME, "dcvd-broker");
        hear_of_ends(&before);
        for (;;) {
                struct pollfd asked = { .fd = from, .events = POLLIN };
                bool busy = running > 0;
                while (running > 0 && waitpid(-1, NULL, running >= AT_ONCE ? 0 : WNOHANG) > 0)
                        running--;
                if (busy && running == 0)
                        b->rest(b->arg);
                if (ppoll(&asked, 1, NULL, &before) < 0 && errno == EINTR)
                        continue;
                int fd = receive_fd(from);
                if (fd == -2)
                        break;
                if (fd < 0)
                        continue;
                start_one(b, from, fd, &before, &running);
                close_p(&fd);
        }
        /* A helper that has begun ends what it began. */
        while (running > 0 && (waitpid(-1, NULL, 0) > 0 || errno == EINTR))
                running--;
}

/* Nothing of ours but the socket, and no environment: secrets may be in it ({env: NAME}), and /proc/PID/environ would
 * show it for as long as the broker lives. */
static int start(const char *helper_path, const char *config_path, int fd)
{
        char *argv[] = { (char *)"dcvd-helper", (char *)"--broker", (char *)"--config", (char *)config_path, NULL };
        char *envp[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                (char *)"LANG=C.UTF-8", NULL };
        posix_spawn_file_actions_t files;
        pid_t pid;
        int r = posix_spawn_file_actions_init(&files);
        if (r != 0)
                return r;
        r = posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(&pid, helper_path, &files, NULL, argv, envp);
        (void)posix_spawn_file_actions_destroy(&files);
        return r;
}

bool helper_broker_start(const char *helper_path, const char *config_path, int *ret_fd, struct err *e)
{
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return err_errno(e, errno, "helper.broker", "making the helper's socket");
        int r = start(helper_path, config_path, pair[1]);
        close_p(&pair[1]);
        if (r != 0) {
                close_p(&pair[0]);
                return err_errno(e, r, "helper.broker", "starting %s", helper_path);
        }
        *ret_fd = pair[0];
        return true;
}
