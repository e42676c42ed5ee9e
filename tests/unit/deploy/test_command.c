/* Commands that misbehave (faults G1 to G3): time passes at once when a command says that it is where it should be, so
 * that no limit is waited for, and none comes before. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/deploy/command.h"

#define LIMIT_MS 60000 /* far away: a test that reaches it is wrong */
#define SHORT_MS 6000
#define JUMP_MS 10000 /* over any limit but that */

int64_t __real_clock_boot_ms(void);
int64_t __wrap_clock_boot_ms(void);

static char marks[] = "/tmp/dcvd-marks-XXXXXX"; /* each byte that is written to it lets JUMP_MS pass */

int64_t __wrap_clock_boot_ms(void)
{
        struct stat seen;
        return __real_clock_boot_ms() + (stat(marks, &seen) == 0 ? (int64_t)seen.st_size * JUMP_MS : 0);
}

static int make_marks(void **state)
{
        CLEANUP(close_p) int fd = mkstemp(marks);
        (void)state;
        return fd < 0;
}

static int remove_marks(void **state)
{
        (void)state;
        return unlink(marks);
}

static struct command_result run(const char *const *words, size_t count, int64_t timeout_ms, char *failure, size_t size)
{
        char *item[8];
        struct texts argv = { .item = item, .count = count };
        struct command_result r;
        struct err e = { 0 };
        assert_true(count <= ARRAY_LEN(item));
        for (size_t i = 0; i < count; i++)
                item[i] = strdup(words[i]);
        if (!command_run(&argv, timeout_ms, &r, &e))
                fail_msg("%s: %s", e.code, e.text);
        failure[0] = '\0';
        bool failed = command_failed(&argv, &r, failure, size);
        assert_int_equal(failed, failure[0] != '\0');
        for (size_t i = 0; i < count; i++)
                free(item[i]);
        return r;
}

static struct command_result shell(const char *script, int64_t timeout_ms, char *failure, size_t size)
{
        return run((const char *const[]){ "/bin/sh", "-c", script }, 3, timeout_ms, failure, size);
}

/* In its words `mark` lets time pass. */
static struct command_result marking(const char *script, char *failure, size_t size)
{
        CLEANUP(free_p) char *whole = text_format("mark() { echo >>%s; }; %s", marks, script);
        assert_non_null(whole);
        return shell(whole, SHORT_MS, failure, size);
}

static void assert_output(const struct command_result *r, const char *want)
{
        assert_int_equal(r->output.len, strlen(want));
        assert_memory_equal(r->output.data, want, strlen(want));
}

static void test_ends(void **state)
{
        static const struct {
                const char *script;
                int exit_status, signal;
                const char *tells; /* NULL: it succeeded */
        } table[] = {
                { "exit 0", 0, 0, NULL },
                { "echo error: only words; exit 0", 0, 0, NULL },
                { "exit 1", 1, 0, "exit 1" },
                { "exit 126", 126, 0, "cannot be executed" },
                { "exit 127", 127, 0, "not found" },
                { "kill -SEGV $$", -1, SIGSEGV, "ended by signal 11" },
                { "kill -KILL $$", -1, SIGKILL, "ended by signal 9" },
                { "echo one; echo '[emerg] two'; echo three; exit 1", 1, 0, "[emerg] two, exit 1" },
                { "echo one; echo two >&2; exit 1", 1, 0, "two, exit 1" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                char text[600];
                struct command_result r = shell(table[i].script, LIMIT_MS, text, sizeof text);
                assert_int_equal(r.exit_status, table[i].exit_status);
                assert_int_equal(r.signal, table[i].signal);
                assert_false(r.timed_out);
                if (table[i].tells ? !strstr(text, table[i].tells) : text[0] != '\0')
                        fail_msg("%s: %s", table[i].script, text);
                command_result_done(&r);
        }
}

static void test_cannot_start(void **state)
{
        char text[600];
        (void)state;
        struct command_result r = run((const char *const[]){ "/nowhere/dcvd-absent" }, 1, LIMIT_MS, text, sizeof text);
        assert_int_equal(r.exit_status, 127);
        command_result_done(&r);
        r = run((const char *const[]){ "/etc/passwd" }, 1, LIMIT_MS, text, sizeof text);
        assert_int_equal(r.exit_status, 126);
        command_result_done(&r);
        struct texts none = { 0 };
        struct err e = { 0 };
        assert_false(command_run(&none, LIMIT_MS, &r, &e));
        assert_int_equal(e.kind, ERR_BUG);
        assert_int_equal(r.output.len, 0);
}

static void test_words_are_no_shell(void **state)
{
        char text[600];
        (void)state;
        struct command_result r =
                run((const char *const[]){ "printf", "%s|", "$HOME; id", "`id`", "*" }, 5, LIMIT_MS, text, sizeof text);
        assert_int_equal(r.exit_status, 0);
        assert_output(&r, "$HOME; id|`id`|*|");
        command_result_done(&r);
}

static void test_clean_environment(void **state)
{
        char text[600];
        (void)state;
        assert_int_equal(setenv("DCVD_TEST_SECRET", "shown", 1), 0);
        assert_int_equal(setenv("LD_LIBRARY_PATH", "/nowhere", 1), 0);
        struct command_result r = run((const char *const[]){ "/usr/bin/env" }, 1, LIMIT_MS, text, sizeof text);
        assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
        assert_output(&r, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C.UTF-8\n");
        command_result_done(&r);
        r = shell("cat; read -r pid name state parent group session rest </proc/$$/stat;"
                  "[ $pid = $group ] && [ $pid = $session ] && echo leads",
                LIMIT_MS, text, sizeof text);
        assert_output(&r, "leads\n"); /* leads its own group and session; standard input was empty */
        command_result_done(&r);
}

static void test_time_limit(void **state)
{
        char text[600];
        (void)state;
        struct command_result r = marking("echo began; mark; exec sleep 600", text, sizeof text);
        assert_true(r.timed_out);
        assert_int_equal(r.signal, SIGTERM);
        assert_output(&r, "began\n");
        assert_non_null(strstr(text, "did not end in time"));
        command_result_done(&r);
        r = marking("trap mark TERM; mark; while :; do sleep 600; done", text, sizeof text);
        assert_true(r.timed_out);
        assert_int_equal(r.signal, SIGKILL);
        command_result_done(&r);
        r = marking("trap 'exit 0' TERM; mark; while :; do sleep 0.01; done", text, sizeof text);
        assert_int_equal(r.exit_status, 0);
        assert_non_null(strstr(text, "did not end in time")); /* exit 0 after the limit is no success */
        command_result_done(&r);
}

static void test_left_behind(void **state)
{
        char text[600];
        (void)state;
        struct command_result r = shell("setsid sleep 600 & echo $!", LIMIT_MS, text, sizeof text);
        assert_int_equal(r.exit_status, 0);
        assert_true(r.output.len > 1);
        pid_t pid = (pid_t)strtol(r.output.data, NULL, 10);
        assert_true(pid > 1);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to wait for */
        command_result_done(&r);
}

static void test_output(void **state)
{
        char text[600];
        (void)state;
        struct command_result r = shell("head -c 20000000 /dev/zero; exit 3", LIMIT_MS, text, sizeof text);
        assert_int_equal(r.exit_status, 3); /* it was read to its end, not stopped by a full pipe */
        assert_int_equal(r.output.len, COMMAND_OUTPUT_MAX);
        command_result_done(&r);
        r = shell("printf 'error \\033[2J\\000\\r\\007 end'; exit 1", LIMIT_MS, text, sizeof text);
        assert_int_equal(r.output.len, 17);
        for (const char *at = text; *at; at++)
                assert_true(*at >= ' ' && *at != 0x7f);
        assert_non_null(strstr(text, "error"));
        assert_non_null(strstr(text, "end, exit 1"));
        command_result_done(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),
                cmocka_unit_test(test_cannot_start),
                cmocka_unit_test(test_words_are_no_shell),
                cmocka_unit_test(test_clean_environment),
                cmocka_unit_test(test_time_limit),
                cmocka_unit_test(test_left_behind),
                cmocka_unit_test(test_output),
        };
        return cmocka_run_group_tests(tests, make_marks, remove_marks);
}
