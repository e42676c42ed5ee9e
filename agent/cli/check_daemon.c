/* What dcvctl check asks the daemon before it looks: a CA's answer, a configuration test, a publisher's right to write
 * need its credentials and its helper. Without a daemon root (or the user of the state directory) asks in a process of
 * its own; for anybody else those ids are unverifiable, and the reason is said. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/check.h"
#include "agent/job/check_job.h"

#define ANSWER_MAX (16 << 20)

static void nobody(struct check_targets *t, const char *why, const char *fix)
{
        for (size_t i = 0; i < t->count; i++) {
                json_decref(t->said[i].facts);
                t->said[i].facts = NULL;
                t->said[i].unknown = false;
                snprintf(t->said[i].why, sizeof t->said[i].why, "%.200s%s%.90s", why, *fix ? ": " : "", fix);
        }
}

static void take(struct check_targets *t, const json_t *answer)
{
        size_t k;
        json_t *one;
        nobody(t, "the daemon does not know this certificate yet", "systemctl reload dcvd");
        for (size_t i = 0; i < t->count; i++)
                t->said[i].unknown = true; /* those that it knows are unmarked below */
        json_array_foreach(json_object_get(answer, "certificates"), k, one)
        {
                for (size_t i = 0; i < t->count; i++)
                        if (t->item[i].label && json_str(one, "cert") &&
                                strcmp(t->item[i].label, json_str(one, "cert")) == 0)
                                t->said[i] = (struct check_said){ .facts = json_incref(one) };
        }
}

static json_t *certs_of(const struct check_targets *t)
{
        json_t *list = json_array();
        for (size_t i = 0; i < t->count; i++)
                if (t->item[i].cert)
                        json_array_append_new(list, json_string(t->item[i].label));
        return list;
}

/* ---- without a daemon ---- */

/* Somebody who may open the state directory, which a daemon has used before: a dry run does not make one. */
static bool may_ask_aside(const struct conf *conf, struct err *e)
{
        struct stat st;
        CLEANUP(free_p) char *journal = text_format("%s/dcvd.db", conf->state_directory);
        bool is_owner = stat(conf->state_directory, &st) == 0 && st.st_uid == geteuid();
        if (geteuid() != 0 && !is_owner)
                return false; /* what the socket said stands */
        if (!journal || access(journal, F_OK) != 0)
                return err_set(e, ERR_TEMPORARY, "no-daemon",
                        "no daemon answers, and none has run here yet: systemctl start dcvd");
        return true;
}

static void answer_aside(const struct cli_options *o, json_t *args, int fd)
{
        struct session *s = NULL;
        struct err e;
        CLEANUP(json_decref_p) json_t *result = NULL;
        json_t *answer = NULL;
        struct cli_options mine = *o;
        mine.look = true; /* jobs rest, nothing is renewed */
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere >= 0)
                (void)dup2(nowhere, STDERR_FILENO); /* what goes wrong is said in the answer */
        if (session_open_local(&s, &mine, &e) && session_ask(s, "check", args, &result, &e))
                answer = json_pack("{s:O}", "result", result);
        else
                answer = json_pack("{s:s}", "error", e.text);
        session_close(s);
        _exit(answer && json_dumpfd(answer, fd, JSON_COMPACT) == 0 ? EXIT_GOOD : EXIT_JOB_FAILED);
}

/* All that comes from fd until its end, for at most ms. */
static void read_all(int fd, int64_t ms, struct buf *ret)
{
        int64_t until_ms = clock_boot_ms() + ms;
        for (;;) {
                char data[16384];
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left_ms = until_ms - clock_boot_ms();
                if (left_ms <= 0 || TEMP_FAILURE_RETRY(poll(&p, 1, (int)left_ms)) <= 0)
                        return;
                ssize_t n = TEMP_FAILURE_RETRY(read(fd, data, sizeof data));
                if (n <= 0 || !buf_append(ret, data, (size_t)n))
                        return;
        }
}

/* The engine becomes user dcvd for good, and this process has more to look at as root: a child of it asks. */
static json_t *ask_aside(
        const struct check_targets *t, const struct cli_options *o, json_t *args, int64_t ms, struct err *e)
{
        const char *runtime = t->conf->runtime_directory;
        bool was_there = access(runtime, F_OK) == 0;
        int pair[2];
        struct buf b = { .max = ANSWER_MAX };
        json_t *answer = NULL;
        struct err unread;
        if (pipe2(pair, O_CLOEXEC) < 0) {
                err_errno(e, errno, "no-daemon", "asking in the daemon's place");
                return NULL;
        }
        pid_t pid = fork();
        if (pid == 0)
                answer_aside(o, args, pair[1]);
        close_p(&pair[1]);
        if (pid > 0)
                read_all(pair[0], ms, &b);
        close_p(&pair[0]);
        if (pid > 0) {
                (void)kill(pid, SIGKILL); /* it has ended, or its time has */
                (void)TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
        }
        if (!was_there)
                (void)rmdir(runtime); /* an engine makes it, and a dry run leaves nothing */
        if (!json_read(b.data ? b.data : "", b.len, 16, &answer, &unread))
                err_set(e, ERR_TEMPORARY, "no-daemon", "no daemon answers, and looking in its place took too long");
        else if (!json_object_get(answer, "result"))
                err_set(e, ERR_TEMPORARY, "no-daemon", "no daemon answers, and looking in its place failed: %s",
                        json_str(answer, "error") ? json_str(answer, "error") : "?");
        json_t *result = json_incref(json_object_get(answer, "result"));
        json_decref(answer);
        buf_done(&b);
        return result;
}

/* ---- either ---- */

void check_ask_daemon(struct check_targets *t, const struct cli_options *o, int64_t within_ms)
{
        struct session *s = NULL;
        struct err e;
        struct cli_options mine = *o;
        json_t *answer = NULL;
        mine.timeout_ms = within_ms;
        if (t->count == 0 || !t->item[0].cert || t->asked_aside)
                return;
        if (!t->said && !(t->said = calloc(t->count, sizeof *t->said)))
                return;
        for (size_t i = 0; i < t->count; i++)
                t->item[i].more = &t->said[i];
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:o}", "certs", certs_of(t));
        if (session_open(&s, &mine, false, &e)) {
                if (session_ask(s, "check", args, &answer, &e))
                        take(t, answer);
        } else if (strcmp(e.code, "no-daemon") == 0 && may_ask_aside(t->conf, &e)) {
                answer = ask_aside(t, &mine, args, mine.timeout_ms, &e);
                t->asked_aside = answer != NULL; /* once: it holds the lock that a daemon needs to start */
                if (answer)
                        take(t, answer);
        }
        if (!answer)
                nobody(t, e.text, e.fix);
        json_decref(answer);
        session_close(s);
}

void check_forget_daemon(struct check_targets *t)
{
        for (size_t i = 0; t->said && i < t->count; i++)
                json_decref(t->said[i].facts);
        free(t->said);
        t->said = NULL;
}
