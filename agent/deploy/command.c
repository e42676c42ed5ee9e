#include "agent/deploy/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"

#define PLACES "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define KILL_AFTER_MS 5000
#define STEP_MS 50

void command_result_done(struct command_result *r)
{
        buf_done(&r->output);
        buf_done(&r->said);
}

static bool is_program(const char *path)
{
        struct stat st;
        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool command_exists(const char *program)
{
        char path[512];
        if (strchr(program, '/'))
                return is_program(program);
        for (const char *at = PLACES; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
                snprintf(path, sizeof path, "%.*s/%s", (int)strcspn(at, ":"), at, program);
                if (is_program(path))
                        return true;
        }
        return false;
}

/* After fork; never returns. */
static void child(const struct command *c, int in, int out, int err)
{
        size_t more = c->more ? c->more->count : 0, at = 0;
        char **list = calloc(c->argv->count + more + 1, sizeof *list);
        sigset_t none;
        (void)setsid(); /* its own session and process group */
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (!list || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
                _exit(127);
        (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        for (size_t i = 0; i < c->argv->count; i++)
                list[at++] = c->argv->item[i];
        for (size_t i = 0; i < more; i++)
                list[at++] = c->more->item[i];
        (void)clearenv();
        (void)setenv("PATH", PLACES, 1);
        (void)setenv("LANG", "C.UTF-8", 1);
        for (size_t i = 0; c->environment && i < c->environment->count; i++)
                (void)putenv(c->environment->item[i]);
        execvp(list[0], list);
        _exit(errno == ENOENT ? 127 : 126);
}

/* stdout, stderr (-1 once at its end) and the process itself. */
struct watch {
        struct pollfd fd[3];
};

/* Beyond the cap it is read and dropped: the command must not block. */
static void keep(struct buf *b, const char *data, size_t len)
{
        if (b->len < b->max)
                (void)buf_append(b, data, MIN(len, b->max - b->len));
}

/* Reads what is there; true if there was something. */
static bool drain(struct watch *w, struct command_result *r, int wait_ms)
{
        char data[65536];
        bool any = false;
        if (poll(w->fd, ARRAY_LEN(w->fd), wait_ms) <= 0)
                return false;
        for (size_t i = 0; i < 2; i++) {
                ssize_t n = w->fd[i].revents ? read(w->fd[i].fd, data, sizeof data) : -1;
                if (n > 0) {
                        keep(&r->output, data, (size_t)n);
                        if (i == 0)
                                keep(&r->said, data, (size_t)n);
                        any = true;
                } else if (w->fd[i].revents && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
                        close_p(&w->fd[i].fd);
                }
        }
        return any;
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

static void wait_for(pid_t pid, struct watch *w, int64_t timeout_ms, struct command_result *r)
{
        int64_t until_ms = clock_boot_ms() + timeout_ms;
        bool ended = false;
        int status = 0;
        unsigned stage = 0;
        while (!ended) {
                (void)drain(w, r, STEP_MS);
                ended = waitpid(pid, &status, WNOHANG) == pid;
                if (ended || clock_boot_ms() < until_ms)
                        continue;
                r->timed_out = true;
                (void)kill(-pid, stage++ == 0 ? SIGTERM : SIGKILL);
                until_ms = clock_boot_ms() + KILL_AFTER_MS;
        }
        close_p(&w->fd[2].fd);
        for (int i = 0; i < 64 && r->output.len < COMMAND_OUTPUT_MAX && drain(w, r, 0); i++)
                ;
        r->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* The bytes as a file that only the command sees: it may read them late or not at all, and nobody waits for it. */
static int input_open(const struct command *c)
{
        if (!c->input_len)
                return open("/dev/null", O_RDONLY | O_CLOEXEC);
        int fd = memfd_create("input", MFD_CLOEXEC);
        for (size_t at = 0; fd >= 0 && at < c->input_len;) {
                ssize_t n = write(fd, (const char *)c->input + at, c->input_len - at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        close_p(&fd);
                else
                        at += (size_t)n;
        }
        if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                close_p(&fd);
        return fd;
}

static bool start(const struct command *c, struct watch *w, pid_t *ret_pid, struct err *e)
{
        int pipes[2][2] = { { -1, -1 }, { -1, -1 } };
        CLEANUP(close_p) int in = input_open(c);
        bool good = in >= 0 && pipe2(pipes[0], O_CLOEXEC) == 0 && pipe2(pipes[1], O_CLOEXEC) == 0;
        pid_t pid = good ? fork() : -1;
        if (pid == 0)
                child(c, in, pipes[0][1], pipes[1][1]);
        int error = errno;
        for (size_t i = 0; i < 2; i++) {
                close_p(&pipes[i][1]);
                if (pid < 0)
                        close_p(&pipes[i][0]);
                w->fd[i] = (struct pollfd){ .fd = pipes[i][0], .events = POLLIN };
                if (pid > 0)
                        (void)fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
        }
        if (pid < 0)
                return err_errno(e, error, "command", "running %s", c->argv->item[0]);
        w->fd[2] = (struct pollfd){ .fd = pidfd_open(pid, 0), .events = POLLIN };
        *ret_pid = pid;
        return true;
}

bool command_run_with(const struct command *c, struct command_result *ret, struct err *e)
{
        struct watch w;
        pid_t pid = -1;
        *ret = (struct command_result){ .output = { .max = COMMAND_OUTPUT_MAX },
                .said = { .max = COMMAND_OUTPUT_MAX } };
        if (c->argv->count == 0)
                return err_set(e, ERR_BUG, "command", "an empty command");
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (!start(c, &w, &pid, e))
                return false;
        wait_for(pid, &w, c->timeout_ms, ret);
        reap_left();
        close_p(&w.fd[0].fd);
        close_p(&w.fd[1].fd);
        return true;
}

bool command_run(const struct texts *argv, int64_t timeout_ms, struct command_result *ret, struct err *e)
{
        return command_run_with(&(struct command){ .argv = argv, .timeout_ms = timeout_ms }, ret, e);
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
