#include "agent/deploy/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"

#define KILL_AFTER_MS 5000
#define STEP_MS 50

void command_result_done(struct command_result *r)
{
        buf_done(&r->output);
}

static void child(const struct texts *argv, int out)
{
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        char **list = calloc(argv->count + 1, sizeof *list);
        sigset_t none;
        (void)setsid(); /* its own session and process group */
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (null < 0 || !list || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
                dup2(out, STDERR_FILENO) < 0)
                _exit(127);
        for (size_t i = 0; i < argv->count; i++)
                list[i] = argv->item[i];
        (void)clearenv();
        (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
        (void)setenv("LANG", "C.UTF-8", 1);
        execvp(list[0], list);
        _exit(errno == ENOENT ? 127 : 126);
}

/* Reads what is there; false at the end of the output. */
static bool drain(int fd, struct command_result *r, int wait_ms)
{
        char data[8192];
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, wait_ms) <= 0)
                return true;
        ssize_t n = read(fd, data, sizeof data);
        if (n > 0 &&
                r->output.len <
                        COMMAND_OUTPUT_MAX) /* beyond the cap it is read and dropped: the command must not block */
                (void)buf_append(&r->output, data, MIN((size_t)n, COMMAND_OUTPUT_MAX - r->output.len));
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* What it left behind by setsid comes to us, its nearest subreaper. */
static void reap_left(void)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
        for (int round = 0; round < 20; round++) {
                FILE *f = fopen(path, "re");
                long pid;
                bool any = false;
                while (f && fscanf(f, "%ld", &pid) == 1) {
                        any = true;
                        (void)kill((pid_t)pid, SIGKILL);
                }
                if (f)
                        (void)fclose(f);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
                if (!any)
                        return;
                (void)poll(NULL, 0, 10);
        }
}

static void wait_for(pid_t pid, int fd, int64_t timeout_ms, struct command_result *r)
{
        int64_t until_ms = clock_boot_ms() + timeout_ms;
        bool open = true, ended = false;
        int status = 0;
        unsigned stage = 0;
        while (!ended) {
                if (open)
                        open = drain(fd, r, STEP_MS);
                else
                        (void)poll(NULL, 0, STEP_MS / 10);
                ended = waitpid(pid, &status, WNOHANG) == pid;
                if (ended || clock_boot_ms() < until_ms)
                        continue;
                r->timed_out = true;
                (void)kill(-pid, stage++ == 0 ? SIGTERM : SIGKILL);
                until_ms = clock_boot_ms() + KILL_AFTER_MS;
        }
        for (int i = 0; open && i < 64 && r->output.len < COMMAND_OUTPUT_MAX; i++) {
                size_t before = r->output.len;
                open = drain(fd, r, 0);
                if (r->output.len == before)
                        break;
        }
        r->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

bool command_run(const struct texts *argv, int64_t timeout_ms, struct command_result *ret, struct err *e)
{
        int pipes[2];
        *ret = (struct command_result){ .output = { .max = COMMAND_OUTPUT_MAX } };
        if (argv->count == 0)
                return err_set(e, ERR_BUG, "command", "an empty command");
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (pipe2(pipes, O_CLOEXEC) < 0)
                return err_errno(e, errno, "command", "running %s", argv->item[0]);
        pid_t pid = fork();
        if (pid == 0)
                child(argv, pipes[1]);
        close_p(&pipes[1]);
        if (pid < 0) {
                int error = errno;
                close_p(&pipes[0]);
                return err_errno(e, error, "command", "running %s", argv->item[0]);
        }
        (void)fcntl(pipes[0], F_SETFL, O_NONBLOCK);
        wait_for(pid, pipes[0], timeout_ms, ret);
        reap_left();
        close_p(&pipes[0]);
        return true;
}

/* The line that says most: the first with "emerg", "error", "fail" or "invalid" in it, else the last. */
static void useful_line(const struct buf *output, struct buf *ret)
{
        static const char *const words[] = { "emerg", "error", "Error", "ERROR", "ALERT", "fail", "invalid", "denied" };
        const char *at = output->data, *best = NULL, *last = NULL;
        size_t best_len = 0, last_len = 0;
        for (size_t left = output->len; left > 0;) {
                const char *end = memchr(at, '\n', left);
                size_t n = end ? (size_t)(end - at) : left, used = end ? n + 1 : n;
                bool tells = false;
                for (size_t i = 0; i < ARRAY_LEN(words); i++)
                        tells = tells || memmem(at, n, words[i], strlen(words[i]));
                if (tells && !best) {
                        best = at;
                        best_len = n;
                }
                if (n > 0) {
                        last = at;
                        last_len = n;
                }
                at += used;
                left -= used;
        }
        if (best || last)
                buf_add_escaped(ret, best ? best : last, best ? best_len : last_len, 240);
}

bool command_failed(const struct texts *argv, const struct command_result *r, char *ret, size_t size)
{
        struct buf name = { .max = 300 }, line = { .max = 2000 };
        char how[48];
        if (r->exit_status == 0 && !r->timed_out)
                return false;
        for (size_t i = 0; i < argv->count && i < 4; i++)
                buf_addf(&name, "%s%s", i ? " " : "", argv->item[i]);
        useful_line(&r->output, &line);
        if (r->timed_out)
                snprintf(how, sizeof how, "did not end in time");
        else if (r->exit_status == 127)
                snprintf(how, sizeof how, "not found");
        else if (r->exit_status == 126)
                snprintf(how, sizeof how, "cannot be executed");
        else if (r->exit_status < 0)
                snprintf(how, sizeof how, "ended by signal %d", r->signal);
        else
                snprintf(how, sizeof how, "exit %d", r->exit_status);
        snprintf(ret, size, "%s failed: %s%s%s", name.data ? name.data : "?", line.data ? line.data : "",
                line.data ? ", " : "", how);
        buf_done(&name);
        buf_done(&line);
        return true;
}
