/* Requests to dcvd-helper: both ends of the wire, the broker that starts it, and helpers that misbehave. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/helper_internal.h"
#include "agent/net/loop.h"
#include "base/scratch_dir.h"
#include "script_helper.h"

static const char script[] =
        "#!/bin/sh\n"
        "read -r line\n"
        "n=${line##*'\"blob\":'}\n"
        "case $line in\n"
        "*'\"verb\":\"count\"'*) n=$(head -c \"${n%%[!0-9]*}\" | wc -c); echo \"{\\\"bytes\\\": $n}\";;\n"
        "*'\"verb\":\"refuse\"'*)\n"
        " echo '{\"was\":3,\"error\":{\"kind\":\"rule\",\"code\":\"deploy.test\",\"text\":\"no\",\"fix\":\"mend "
        "it\"}}';;\n"
        "*'\"verb\":\"odd\"'*) echo '{\"error\":{\"kind\":\"whatever\"}}';;\n"
        "*'\"verb\":\"garbage\"'*) echo 'not json';;\n"
        "*'\"verb\":\"cut\"'*) printf '{\"was\":3';;\n"
        "*'\"verb\":\"huge\"'*) head -c 300000 /dev/zero | tr '\\0' x;;\n"
        "*'\"verb\":\"slow\"'*) while printf x; do sleep 0.01; done 2>/dev/null;;\n" /* until nobody listens */
        "*'\"verb\":\"who\"'*) n=$(grep SigBlk: /proc/$$/status | tr -cd 0-9a-f); echo \"{\\\"pid\\\": $$, "
        "\\\"blocked\\\": \\\"$n\\\"}\";;\n"
        "esac\n";

struct said {
        bool over;
        unsigned times;
        json_t *answer;
        struct err e;
};

static void on_answer(void *arg, const json_t *answer, const struct err *err)
{
        struct said *s = arg;
        s->over = true;
        s->times++;
        s->answer = json_deep_copy(answer);
        s->e = err ? *err : (struct err){ 0 };
}

struct bed {
        struct scratch_dir *dir;
        struct loop *loop;
        struct helper *helper;
};

static void set_up(struct bed *b, struct scratch_dir *s, const char *program)
{
        struct err e;
        *b = (struct bed){ .dir = s };
        int fd = script_helper_broker(program);
        assert_true(loop_open(&b->loop, &e) && helper_open(&b->helper, b->loop, NULL, NULL, fd, &e));
}

static void tear_down(struct bed *b)
{
        helper_close(b->helper);
        loop_close(b->loop);
        assert_true(wait(NULL) > 0); /* the broker ends with us */
}

static void call(struct bed *b, const char *verb, const char *blob, int64_t timeout_ms, struct said *ret)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *header = json_pack("{s:s}", "cert", "www");
        *ret = (struct said){ 0 };
        if (!helper_start(b->helper, verb, header, blob, strlen(blob), timeout_ms, on_answer, ret, &e))
                fail_msg("%s: %s", verb, e.text);
        assert_false(ret->over); /* never before it returned */
        assert_true(loop_run_until(b->loop, &ret->over, 20000));
}

static const char *put_script(struct scratch_dir *s)
{
        scratch_file(s, "helper", 0755, script);
        return scratch_path(s, "helper");
}

static void what_a_helper_answers_is_told_by_its_kind(void **state)
{
        static const struct {
                const char *verb;
                int64_t timeout_ms;
                enum err_kind kind;
                const char *code, *said; /* of the error */
                bool answer;
        } row[] = {
                { "count", 0, ERR_NONE, "", "", true },
                { "refuse", 0, ERR_RULE, "deploy.test", "no", true },
                { "odd", 0, ERR_BUG, "helper", "dcvd-helper refused", true },
                { "garbage", 0, ERR_PROTOCOL, "json", "", false },
                { "cut", 0, ERR_TEMPORARY, "helper.lost", "dcvd-helper (cut): it ended without an answer", false },
                { "silent", 0, ERR_TEMPORARY, "helper.lost", "it ended without an answer", false },
                { "huge", 0, ERR_TEMPORARY, "helper.lost", "its answer is too large", false },
                { "slow", 60, ERR_TEMPORARY, "helper.lost", "dcvd-helper (slow): no answer in time", false },
        };
        struct bed b;
        set_up(&b, *state, put_script(*state));
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct said s;
                call(&b, row[i].verb, "bytes", row[i].timeout_ms, &s);
                if (s.e.kind != row[i].kind || !strstr(s.e.code, row[i].code) || !strstr(s.e.text, row[i].said) ||
                        (s.answer != NULL) != row[i].answer)
                        fail_msg("%s: %s %s: %s", row[i].verb, err_kind_name(s.e.kind), s.e.code, s.e.text);
                if (s.e.kind == ERR_RULE) {
                        assert_string_equal(s.e.fix, "mend it");
                        assert_int_equal(json_i64(s.answer, "was", 0), 3);
                }
                json_decref(s.answer);
        }
        tear_down(&b);
}

static void the_blob_comes_whole_and_the_configuration_is_named(void **state)
{
        struct bed b;
        struct said s;
        CLEANUP(free_p) char *blob = malloc(200001);
        memset(blob, 'k', 200000);
        blob[200000] = '\0';
        set_up(&b, *state, put_script(*state));
        call(&b, "count", blob, 0, &s);
        assert_int_equal(json_i64(s.answer, "bytes", 0), 200000);
        json_decref(s.answer);
        tear_down(&b);
}

/* ---- the broker ---- */

static const char broker_script[] = "#!/bin/sh\n"
                                    "grep -c TEST_SECRET /proc/$$/environ\n"
                                    "echo \"$*\"\n"
                                    "exit 3\n";

/* What it writes to its standard output comes over the socket. */
static void the_broker_gets_its_arguments_and_nothing_else_of_ours(void **state)
{
        struct scratch_dir *s = *state;
        struct err e;
        int fd, status;
        char said[3][100] = { "", "", "" };
        scratch_file(s, "helper", 0755, broker_script);
        assert_int_equal(setenv("DCVD_UNIT", "TEST_SECRET", 1), 0);
        if (!helper_broker_start(scratch_path(s, "helper"), "/etc/dcvd/dcvd.yaml", &fd, &e))
                fail_msg("%s", e.text);
        assert_string_equal(getenv("DCVD_UNIT"), "TEST_SECRET"); /* ours is as it was */
        for (size_t i = 0; i < ARRAY_LEN(said); i++)
                assert_true(recv(fd, said[i], sizeof said[i] - 1, 0) >= 0);
        assert_string_equal(said[0], "0\n");
        assert_string_equal(said[1], "--broker --config /etc/dcvd/dcvd.yaml\n");
        assert_string_equal(said[2], "");
        assert_true(wait(&status) > 0);
        assert_int_equal(WEXITSTATUS(status), 3);
        close(fd);
}

static void a_broker_that_cannot_be_started_is_named(void **state)
{
        struct err e;
        int fd;
        (void)state;
        assert_false(helper_broker_start("/nowhere/dcvd-helper", "/etc/dcvd/dcvd.yaml", &fd, &e));
        assert_string_equal(e.code, "helper.broker");
        assert_string_equal(e.text, "starting /nowhere/dcvd-helper: No such file or directory");
        assert_int_equal(wait(NULL), -1);
}

struct life {
        unsigned before;
        int fd;
};

static void count_start(void *arg)
{
        struct life *l = arg;
        l->before++;
}

static void tell_count(void *arg)
{
        const struct life *l = arg;
        char byte;
        char said = (char)('0' + l->before);
        _exit(write(STDOUT_FILENO, &said, 1) == 1 && read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1); /* until we close it */
}

static void tell_rest(void *arg)
{
        const struct life *l = arg;
        (void)!write(l->fd, "r", 1);
}

static int connect_to(int broker)
{
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_true(helper_fd_send(broker, pair[1]));
        close(pair[1]);
        return pair[0];
}

/* Two beside each other: it rests once, when both have ended. */
static void a_broker_prepares_each_helper_and_rests_after_the_last(void **state)
{
        int pair[2], told[2], helper[2];
        char said[2], rest[3];
        struct pollfd quiet;
        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct life l = { .fd = told[1] };
                close(pair[0]);
                close(told[0]);
                helper_broker_serve(pair[1], &(struct helper_broker){ &l, count_start, tell_count, tell_rest });
                _exit(0);
        }
        close(pair[1]);
        close(told[1]);
        for (int i = 0; i < 2; i++) {
                helper[i] = connect_to(pair[0]);
                assert_int_equal(read(helper[i], &said[i], 1), 1);
        }
        assert_memory_equal(said, "12", 2);
        quiet = (struct pollfd){ .fd = told[0], .events = POLLIN };
        assert_int_equal(poll(&quiet, 1, 0), 0); /* both run */
        close(helper[0]);
        close(helper[1]);
        assert_int_equal(read(told[0], rest, 1), 1);
        close(pair[0]);
        assert_int_equal(read(told[0], rest, sizeof rest), 0); /* once: now it has ended */
        assert_int_equal(wait(NULL), pid);
        close(told[0]);
}

static void a_program_that_is_not_there_is_a_helper_without_an_answer(void **state)
{
        struct bed b;
        struct said s;
        set_up(&b, *state, "/nowhere/dcvd-helper");
        call(&b, "count", "x", 0, &s);
        assert_string_equal(s.e.code, "helper.lost");
        tear_down(&b);
}

static void after_a_cancel_nobody_is_told(void **state)
{
        struct bed b;
        struct said s = { 0 };
        struct err e;
        bool never = false;
        CLEANUP(json_decref_p) json_t *header = json_object();
        set_up(&b, *state, put_script(*state));
        struct helper_call *c = helper_start(b.helper, "count", header, "x", 1, 0, on_answer, &s, &e);
        assert_non_null(c);
        helper_cancel(c);
        assert_non_null(
                helper_start(b.helper, "slow", header, "x", 1, 0, on_answer, &s, &e)); /* helper_close ends it */
        (void)loop_run_until(b.loop, &never, 1);
        tear_down(&b);
        assert_int_equal(s.times, 0);
}

/* ---- reaching it ---- */

static bool reach(struct helper *h, const char *verb, struct said *s, struct err *e)
{
        CLEANUP(json_decref_p) json_t *header = json_object();
        return helper_start(h, verb, header, "x", 1, 0, on_answer, s, e) != NULL;
}

static void who_cannot_be_reached_is_named_with_its_unit(void **state)
{
        struct loop *loop;
        struct helper *h;
        struct err e;
        struct said s = { 0 };
        (void)state;
        assert_true(loop_open(&loop, &e));
        assert_true(helper_open(&h, loop, "/nowhere/socket", "/nowhere/hook", -1, &e));
        assert_false(reach(h, "deploy", &s, &e));
        assert_string_equal(e.code, "helper.absent");
        assert_non_null(strstr(e.text, "/nowhere/socket"));
        assert_string_equal(e.fix, "systemctl enable --now dcvd-helper.socket");
        assert_false(reach(h, "hook", &s, &e));
        assert_non_null(strstr(e.text, "/nowhere/hook"));
        assert_string_equal(e.fix, "systemctl enable --now dcvd-hook.socket");
        helper_close(h);
        loop_close(loop);
}

/* Each is waited for when it ends, not when the next one is asked for; and what the broker needs for that is its own.
 */
static void a_helper_that_ended_is_no_zombie(void **state)
{
        struct bed b;
        set_up(&b, *state, put_script(*state));
        for (int i = 0; i < 3; i++) {
                struct said s;
                call(&b, "who", "", 0, &s);
                pid_t pid = (pid_t)json_i64(s.answer, "pid", 0);
                assert_true(pid > 0);
                assert_string_equal(json_str(s.answer, "blocked"), "0000000000000000");
                json_decref(s.answer);
                int64_t end_ms = clock_boot_ms() + 20000;
                while (kill(pid, 0) == 0 && clock_boot_ms() < end_ms) /* a zombie can be sent signals */
                        sched_yield();
                assert_int_equal(kill(pid, 0), -1);
                assert_int_equal(errno, ESRCH);
        }
        tear_down(&b);
}

static void a_broker_that_is_gone_or_busy_never_stops_the_loop(void **state)
{
        struct loop *loop;
        struct helper *h;
        struct err e = { 0 };
        struct said s = { 0 };
        int pair[2];
        (void)state;
        assert_true(loop_open(&loop, &e));
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_true(helper_open(&h, loop, NULL, NULL, pair[0], &e));
        for (int i = 0; i < 2000 && reach(h, "hook", &s, &e); i++)
                ; /* nobody takes them */
        assert_string_equal(e.code, "helper.busy");
        assert_int_equal(e.kind, ERR_TEMPORARY);
        close(pair[1]);
        assert_false(reach(h, "hook", &s, &e));
        assert_string_equal(e.code, "helper.broker");
        assert_non_null(strstr(e.text, "restart dcvd"));
        helper_close(h);
        loop_close(loop);
}

static void a_socket_whose_queue_is_full_does_not_block(void **state)
{
        struct scratch_dir *d = *state;
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        struct loop *loop;
        struct helper *h;
        struct err e = { 0 };
        struct said s = { 0 };
        snprintf(where.sun_path, sizeof where.sun_path, "%s", scratch_path(d, "socket"));
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&where, sizeof where), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_true(loop_open(&loop, &e));
        assert_true(helper_open(&h, loop, where.sun_path, NULL, -1, &e));
        int made = 0;
        while (made < 100 && reach(h, "deploy", &s, &e))
                made++;
        assert_in_range(made, 1, 10);
        assert_string_equal(e.code, "helper.absent");
        helper_close(h);
        loop_close(loop);
        close(listener);
}

/* ---- the helper's side ---- */

static void a_request_is_taken_whole_or_named(void **state)
{
        enum { GOOD = -1 };
        static const struct {
                const char *bytes;
                int kind; /* GOOD: taken */
                const char *said;
        } row[] = {
                { "{\"verb\":\"deploy\",\"blob\":3}\nabc", GOOD, NULL },
                { "{\"verb\":\"deploy\",\"blob\":0}\n", GOOD, NULL },
                { "", ERR_PROTOCOL, "without a header line" },
                { "{\"verb\":\"deploy\",\"blob\":3}", ERR_PROTOCOL, "without a header line" },
                { "nonsense\n", ERR_PROTOCOL, "helper request: " },
                { "[1]\n", ERR_PROTOCOL, "not a helper request" },
                { "{\"blob\":0}\n", ERR_PROTOCOL, "verb, and blob of 0 to 327680 bytes" },
                { "{\"verb\":\"deploy\"}\n", ERR_PROTOCOL, "verb, and blob" },
                { "{\"verb\":\"deploy\",\"blob\":-1}\n", ERR_PROTOCOL, "verb, and blob" },
                { "{\"verb\":\"deploy\",\"blob\":327681}\n", ERR_PROTOCOL, "verb, and blob" },
                { "{\"verb\":\"deploy\",\"blob\":3}\nab", ERR_PROTOCOL, "2 bytes follow the header instead of 3" },
                { "{\"verb\":\"deploy\",\"blob\":3}\nabcd", ERR_PROTOCOL, "4 bytes follow the header instead of 3" },
                { "{\"verb\":\"d\",\"blob\":0,\"a\":[[[[[[[[[[1]]]]]]]]]]}\n", ERR_PROTOCOL, "helper request: " },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct helper_request r = { 0 };
                struct err e = { 0 };
                int pair[2];
                assert_int_equal(pipe(pair), 0);
                assert_int_equal(write(pair[1], row[i].bytes, strlen(row[i].bytes)), (ssize_t)strlen(row[i].bytes));
                close(pair[1]);
                bool good = helper_request_read(pair[0], &r, &e);
                close(pair[0]);
                if (good != (row[i].kind == GOOD) ||
                        (!good && ((int)e.kind != row[i].kind || !strstr(e.text, row[i].said))))
                        fail_msg("row %zu: %s", i, good ? "taken" : e.text);
                if (good) {
                        assert_string_equal(r.verb, "deploy");
                        assert_string_equal((char *)r.blob, i == 0 ? "abc" : "");
                } else {
                        assert_null(r.header);
                }
                helper_request_done(&r);
        }
}

static void what_is_too_large_is_not_read(void **state)
{
        struct helper_request r = { 0 };
        struct err e = { 0 };
        int pair[2];
        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        pid_t pid = fork();
        if (pid == 0) {
                char block[4096];
                close(pair[0]);
                memset(block, 'x', sizeof block);
                while (send(pair[1], block, sizeof block, MSG_NOSIGNAL) > 0)
                        ;
                _exit(0);
        }
        close(pair[1]);
        assert_false(helper_request_read(pair[0], &r, &e));
        assert_string_equal(e.text, "a request header of more than 64 KiB");
        close(pair[0]); /* which ends the other */
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        CLEANUP(free_p) char *header = malloc(HELPER_HEADER_MAX + 3);
        memset(header, ' ', HELPER_HEADER_MAX + 2);
        header[HELPER_HEADER_MAX + 1] = '\n';
        assert_false(helper_request_parse((uint8_t *)header, HELPER_HEADER_MAX + 2, &r, &e));
        assert_int_equal(e.kind, ERR_PROTOCOL);
}

/* A few bytes at a time, by a process of its own; then the end. */
static int slowly(const char *bytes, pid_t *ret_pid)
{
        int pair[2];
        assert_int_equal(pipe(pair), 0);
        *ret_pid = fork();
        if (*ret_pid == 0) {
                for (const char *at = bytes; *at; at++)
                        if (write(pair[1], at, 1) != 1)
                                _exit(1);
                _exit(0);
        }
        close(pair[1]);
        return pair[0];
}

static void a_request_that_comes_in_pieces_is_whole(void **state)
{
        struct helper_request r = { 0 };
        struct err e;
        pid_t pid;
        (void)state;
        CLEANUP(close_p) int fd = slowly("{\"verb\":\"deploy\",\"blob\":5}\na\nb\nc", &pid);
        if (!helper_request_read(fd, &r, &e))
                fail_msg("%s", e.text);
        assert_string_equal((char *)r.blob, "a\nb\nc");
        helper_request_done(&r);
        assert_false(helper_request_comes(fd, 10000)); /* the end, though it is readable */
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_request_is_read_without_its_end_and_no_further(void **state)
{
        static const char bytes[] = "{\"verb\":\"deploy\",\"blob\":3}\nabc";
        int pair[2];
        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_false(helper_request_comes(pair[0], 0));
        for (int i = 0; i < 3; i++) {
                struct helper_request r = { 0 };
                struct err e;
                assert_int_equal(write(pair[1], bytes, strlen(bytes)), (ssize_t)strlen(bytes));
                assert_true(helper_request_comes(pair[0], 10000));
                assert_true(helper_request_read(pair[0], &r, &e)); /* pair[1] is open */
                assert_string_equal((char *)r.blob, "abc");
                helper_request_done(&r);
        }
        struct helper_request r = { 0 };
        struct err e;
        assert_int_equal(write(pair[1], bytes, strlen(bytes) + 1), (ssize_t)strlen(bytes) + 1);
        assert_false(helper_request_read(pair[0], &r, &e)); /* one byte too many: known at once */
        assert_int_equal(e.kind, ERR_PROTOCOL);
        close(pair[1]);
        assert_false(helper_request_comes(pair[0], 10000));
        close(pair[0]);
}

static void an_answer_says_what_went_wrong(void **state)
{
        struct err e;
        char text[512] = "";
        int pair[2];
        CLEANUP(json_decref_p) json_t *answer = json_pack("{s:i}", "was", 2);
        (void)state;
        err_set(&e, ERR_DENIED, "deploy.failed", "nginx -t failed");
        err_fix(&e, "mend it");
        assert_int_equal(pipe(pair), 0);
        assert_true(helper_answer_write(pair[1], answer, &e));
        close(pair[1]);
        assert_true(read(pair[0], text, sizeof text - 1) > 0);
        assert_int_equal(text[strlen(text) - 1], '\n');
        CLEANUP(json_decref_p) json_t *o = json_loads(text, 0, NULL);
        const json_t *error = json_object_get(o, "error");
        assert_string_equal(json_str(error, "kind"), "denied");
        assert_string_equal(json_str(error, "code"), "deploy.failed");
        assert_string_equal(json_str(error, "text"), "nginx -t failed");
        assert_string_equal(json_str(error, "fix"), "mend it");
        assert_int_equal(json_i64(o, "was", 0), 2);
        assert_false(helper_answer_write(pair[0], answer, NULL)); /* nobody can be told: a pipe's reading end */
        close(pair[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(what_a_helper_answers_is_told_by_its_kind),
                IN_DIR(the_blob_comes_whole_and_the_configuration_is_named),
                IN_DIR(the_broker_gets_its_arguments_and_nothing_else_of_ours),
                cmocka_unit_test(a_broker_that_cannot_be_started_is_named),
                cmocka_unit_test(a_broker_prepares_each_helper_and_rests_after_the_last),
                IN_DIR(a_helper_that_ended_is_no_zombie),
                IN_DIR(a_program_that_is_not_there_is_a_helper_without_an_answer),
                IN_DIR(after_a_cancel_nobody_is_told),
                cmocka_unit_test(who_cannot_be_reached_is_named_with_its_unit),
                cmocka_unit_test(a_broker_that_is_gone_or_busy_never_stops_the_loop),
                IN_DIR(a_socket_whose_queue_is_full_does_not_block),
                cmocka_unit_test(a_request_is_taken_whole_or_named),
                cmocka_unit_test(what_is_too_large_is_not_read),
                cmocka_unit_test(a_request_that_comes_in_pieces_is_whole),
                cmocka_unit_test(a_request_is_read_without_its_end_and_no_further),
                cmocka_unit_test(an_answer_says_what_went_wrong),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
