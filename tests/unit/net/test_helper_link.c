/* Which connections to dcvd-helper are used again, how many there are, who waits for one, when they end. The helper is
 * the test itself, at the other end of systemd's socket. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/helper_internal.h"
#include "base/scratch_dir.h"
#include "own_time.h"

#define MORE "{\"more\":true}\n"

struct said {
        bool over;
        struct err e;
};

struct bed {
        struct scratch_dir *dir;
        struct loop *loop;
        struct helper *helper;
        int listener, hooks;
};

static int listen_at(const char *path)
{
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof where), 0);
        assert_int_equal(listen(fd, 64), 0);
        return fd;
}

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        struct err e;
        assert_int_equal(scratch_dir_make((void **)&b->dir), 0);
        b->listener = listen_at(scratch_path(b->dir, "socket"));
        b->hooks = listen_at(scratch_path(b->dir, "hook"));
        CLEANUP(free_p) char *hook = text_dup(scratch_path(b->dir, "hook"));
        assert_true(loop_open(&b->loop, &e));
        assert_true(helper_open(&b->helper, b->loop, scratch_path(b->dir, "socket"), hook, -1, &e));
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        void *dir = b->dir;
        clock_fake(-1, -1);
        if (b->helper)
                helper_close(b->helper);
        loop_close(b->loop);
        close_p(&b->listener);
        close_p(&b->hooks);
        free(b);
        return scratch_dir_remove(&dir);
}

static void on_answer(void *arg, const json_t *answer, const struct err *err)
{
        struct said *s = arg;
        (void)answer;
        assert_false(s->over);
        s->over = true;
        s->e = err ? *err : (struct err){ 0 };
}

static struct helper_call *call(struct bed *b, const char *verb, int64_t timeout_ms, struct said *ret)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *header = json_object();
        *ret = (struct said){ 0 };
        struct helper_call *c = helper_start(b->helper, verb, header, "x", 1, timeout_ms, on_answer, ret, &e);
        if (!c)
                fail_msg("%s: %s", verb, e.text);
        return c;
}

/* The next connection; -1: nobody came. */
static int came(int listener)
{
        return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The request that is there has this verb. */
static void expect_request(int fd, const char *verb)
{
        char text[300] = "", want[64];
        ssize_t n = read(fd, text, sizeof text - 1);
        snprintf(want, sizeof want, "\"verb\":\"%s\"", verb);
        if (n <= 0 || !strstr(text, want))
                fail_msg("%s instead of %s", text, verb);
}

static void turn(struct bed *b)
{
        bool never = false;
        (void)loop_run_until(b->loop, &never, 1);
}

static void answer(struct bed *b, int fd, const char *text, struct said *s)
{
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_true(loop_run_until(b->loop, &s->over, 20000));
}

static bool ended(struct bed *b, int fd)
{
        char byte;
        turn(b);
        ssize_t n = read(fd, &byte, 1);
        return n == 0 || (n < 0 && errno != EAGAIN);
}

/* ---- used again ---- */

static void a_second_call_goes_over_the_same_connection(void **state)
{
        struct bed *b = *state;
        struct said s;
        (void)call(b, "one", 0, &s);
        CLEANUP(close_p) int fd = came(b->listener);
        for (int i = 0; i < 3; i++) {
                expect_request(fd, i ? "two" : "one");
                answer(b, fd, MORE, &s);
                (void)call(b, "two", 0, &s);
                assert_int_equal(came(b->listener), -1);
        }
}

struct quick {
        struct bed *bed;
        int fd;
        struct said s;
};

static void ask_and_answer(void *arg)
{
        struct quick *q = arg;
        (void)call(q->bed, "quick", 0, &q->s);
        expect_request(q->fd, "quick");
        assert_int_equal(write(q->fd, MORE, strlen(MORE)), (ssize_t)strlen(MORE));
}

/* Between the deferred functions and the callbacks of what was written libuv looks for what can be read. */
static void an_answer_before_the_loop_knows_that_it_asked_keeps_the_connection(void **state)
{
        struct bed *b = *state;
        struct quick q = { .bed = b };
        (void)call(b, "one", 0, &q.s);
        CLEANUP(close_p) int fd = came(b->listener);
        expect_request(fd, "one");
        answer(b, fd, MORE, &q.s);
        q.fd = fd;
        for (int i = 0; i < 3; i++) {
                assert_non_null(loop_defer(b->loop, ask_and_answer, &q));
                q.s.over = false;
                assert_true(loop_run_until(b->loop, &q.s.over, 20000));
                assert_string_equal(q.s.e.code, "");
                assert_int_equal(came(b->listener), -1);
        }
}

static void only_a_good_answer_that_says_so_keeps_a_connection(void **state)
{
        static const struct {
                const char *answer, *code;
                bool kept;
        } row[] = {
                { MORE, "", true },
                { "{\"more\":true,\"error\":{\"kind\":\"rule\",\"code\":\"deploy.test\"}}\n", "deploy.test", true },
                { "{}\n", "", false },
                { "{\"more\":false}\n", "", false },
                { "{\"more\":1}\n", "", false },
                { "{\"more\":true}\n{", "", false },
                { "\"more\":true\n", "json", false },
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct said s;
                (void)call(b, "one", 0, &s);
                CLEANUP(close_p) int fd = came(b->listener);
                expect_request(fd, "one");
                answer(b, fd, row[i].answer, &s);
                if (!strstr(s.e.code, row[i].code) || ended(b, fd) == row[i].kept)
                        fail_msg("row %zu: %s", i, s.e.code);
        }
}

static void what_was_cancelled_or_late_is_not_used_again(void **state)
{
        struct bed *b = *state;
        struct said s, late;
        struct helper_call *c = call(b, "one", 0, &s);
        CLEANUP(close_p) int first = came(b->listener);
        expect_request(first, "one");
        turn(b); /* all is written */
        helper_cancel(c);
        assert_true(ended(b, first));
        (void)call(b, "two", 10, &late);
        CLEANUP(close_p) int second = came(b->listener);
        expect_request(second, "two");
        assert_true(loop_run_until(b->loop, &late.over, 20000));
        assert_string_equal(late.e.code, "helper.lost");
        assert_true(ended(b, second));
        assert_false(s.over);
}

static void the_newest_idle_one_is_used_first(void **state)
{
        struct bed *b = *state;
        struct said s[2];
        (void)call(b, "one", 0, &s[0]);
        (void)call(b, "two", 0, &s[1]);
        CLEANUP(close_p) int first = came(b->listener);
        CLEANUP(close_p) int second = came(b->listener);
        expect_request(first, "one");
        expect_request(second, "two");
        answer(b, second, MORE, &s[1]);
        answer(b, first, MORE, &s[0]);
        (void)call(b, "three", 0, &s[0]);
        expect_request(first, "three");
}

static void a_hook_has_a_connection_of_its_own_once(void **state)
{
        struct bed *b = *state;
        struct said s, second, third;
        (void)call(b, "hook", 0, &s);
        CLEANUP(close_p) int fd = came(b->hooks);
        expect_request(fd, "hook");
        assert_true(ended(b, fd)); /* nothing more comes */
        answer(b, fd, MORE, &s);
        (void)call(b, "hook", 0, &second);
        CLEANUP(close_p) int other = came(b->hooks);
        expect_request(other, "hook");
        assert_int_equal(came(b->listener), -1);
        (void)call(b, "one", 0, &third); /* nobody else's request goes over a hook's */
        CLEANUP(close_p) int shared = came(b->listener);
        expect_request(shared, "one");
}

/* ---- limits ---- */

static void a_connection_serves_so_many_requests(void **state)
{
        struct bed *b = *state;
        struct said s;
        (void)call(b, "one", 0, &s);
        CLEANUP(close_p) int fd = came(b->listener);
        for (int i = 1; i < HELPER_LINK_REQUESTS; i++) {
                expect_request(fd, "one");
                answer(b, fd, MORE, &s);
                (void)call(b, "one", 0, &s);
        }
        expect_request(fd, "one");
        answer(b, fd, MORE, &s);
        assert_true(ended(b, fd));
}

static void a_connection_gets_only_so_old(void **state)
{
        struct bed *b = *state;
        struct said s;
        clock_fake(-1, 1000000);
        (void)call(b, "one", 0, &s);
        CLEANUP(close_p) int fd = came(b->listener);
        clock_fake(-1, 1000000 + HELPER_LINK_AGE_MS - 1);
        expect_request(fd, "one");
        answer(b, fd, MORE, &s);
        assert_false(ended(b, fd));
        (void)call(b, "two", 0, &s);
        clock_fake(-1, 1000000 + HELPER_LINK_AGE_MS);
        expect_request(fd, "two");
        answer(b, fd, MORE, &s);
        assert_true(ended(b, fd));
}

static void set_flag(void *arg)
{
        *(bool *)arg = true;
}

static void an_idle_connection_ends_soon_and_nothing_ticks_on(void **state)
{
        struct bed *b = *state;
        struct said s;
        struct watch *w;
        struct err e;
        bool seen = false;
        (void)call(b, "one", 0, &s);
        CLEANUP(close_p) int fd = came(b->listener);
        expect_request(fd, "one");
        int64_t from_ms = clock_boot_ms();
        answer(b, fd, MORE, &s);
        assert_true(loop_watch(&w, b->loop, fd, set_flag, &seen, &e));
        assert_true(loop_run_until(b->loop, &seen, 20000)); /* its end */
        assert_in_range(clock_boot_ms() - from_ms, HELPER_IDLE_MS - 50, 10 * HELPER_IDLE_MS);
        loop_unwatch(w);
        assert_true(ended(b, fd));
        for (int i = 0; i < 3; i++)
                (void)uv_run(loop_uv(b->loop), UV_RUN_NOWAIT); /* what this test closed */
        assert_false(uv_loop_alive(loop_uv(b->loop))); /* no timer, no connection */
}

static void closing_ends_idle_connections_at_once(void **state)
{
        struct bed *b = *state;
        struct said s;
        (void)call(b, "one", 0, &s);
        CLEANUP(close_p) int fd = came(b->listener);
        expect_request(fd, "one");
        answer(b, fd, MORE, &s);
        assert_false(ended(b, fd));
        helper_close(STEAL(b->helper));
        assert_true(ended(b, fd));
}

/* ---- helpers that end ---- */

static void one_that_ended_idle_is_not_asked(void **state)
{
        struct bed *b = *state;
        for (int i = 0; i < 2; i++) {
                struct said s;
                (void)call(b, "one", 0, &s);
                int fd = came(b->listener);
                expect_request(fd, "one");
                answer(b, fd, MORE, &s);
                close(fd);
                if (i == 1)
                        turn(b); /* the loop saw it; else it is seen when it is to be used */
                (void)call(b, "two", 0, &s);
                CLEANUP(close_p) int other = came(b->listener);
                expect_request(other, "two");
                answer(b, other, "{}\n", &s);
                assert_int_equal(s.e.kind, ERR_NONE);
        }
}

static void one_that_speaks_unasked_is_not_asked(void **state)
{
        struct bed *b = *state;
        for (int i = 0; i < 2; i++) {
                struct said s;
                (void)call(b, "one", 0, &s);
                CLEANUP(close_p) int fd = came(b->listener);
                expect_request(fd, "one");
                answer(b, fd, MORE, &s);
                assert_int_equal(write(fd, MORE, strlen(MORE)), (ssize_t)strlen(MORE));
                if (i == 1)
                        turn(b);
                (void)call(b, "two", 0, &s);
                CLEANUP(close_p) int other = came(b->listener);
                expect_request(other, "two");
                assert_true(ended(b, fd));
                answer(b, other, "{}\n", &s);
        }
}

static void a_request_whose_helper_ends_is_lost_and_never_sent_twice(void **state)
{
        struct bed *b = *state;
        struct said s;
        (void)call(b, "one", 0, &s);
        int fd = came(b->listener);
        expect_request(fd, "one");
        answer(b, fd, MORE, &s);
        (void)call(b, "two", 0, &s);
        expect_request(fd, "two");
        close(fd);
        assert_true(loop_run_until(b->loop, &s.over, 20000));
        assert_string_equal(s.e.code, "helper.lost");
        assert_int_equal(s.e.kind, ERR_TEMPORARY);
        assert_int_equal(came(b->listener), -1);
}

/* ---- the line ---- */

/* As many calls as may be, "busy" each; then those that wait, "0" and so on. */
static void fill(struct bed *b, struct said *busy, int *fd, struct helper_call **waiting, struct said *said, int count)
{
        for (int i = 0; i < HELPER_LINKS_MAX; i++) {
                (void)call(b, "busy", 0, &busy[i]);
                fd[i] = came(b->listener);
                expect_request(fd[i], "busy");
        }
        for (int i = 0; i < count; i++) {
                char verb[8];
                snprintf(verb, sizeof verb, "%d", i);
                waiting[i] = call(b, verb, 0, &said[i]);
        }
        assert_int_equal(came(b->listener), -1);
}

static void close_all(int *fd)
{
        for (int i = 0; i < HELPER_LINKS_MAX; i++)
                close_p(&fd[i]);
}

static void more_than_there_are_connections_wait_in_line_and_are_all_answered(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s[4];
        struct helper_call *waiting[4];
        int fd[HELPER_LINKS_MAX];
        fill(b, busy, fd, waiting, s, 4);
        answer(b, fd[3], MORE, &busy[3]);
        turn(b);
        expect_request(fd[3], "0");
        answer(b, fd[5], "{}\n", &busy[5]); /* closed: a new one for the next */
        turn(b);
        close_p(&fd[5]);
        fd[5] = came(b->listener);
        expect_request(fd[5], "1");
        answer(b, fd[3], MORE, &s[0]);
        turn(b);
        expect_request(fd[3], "2");
        answer(b, fd[5], MORE, &s[1]);
        turn(b);
        expect_request(fd[5], "3");
        answer(b, fd[3], MORE, &s[2]);
        answer(b, fd[5], MORE, &s[3]);
        assert_int_equal(came(b->listener), -1);
        close_all(fd);
}

static void whoever_comes_later_does_not_overtake(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s, late;
        struct helper_call *waiting[1];
        int fd[HELPER_LINKS_MAX];
        fill(b, busy, fd, waiting, &s, 1);
        assert_int_equal(write(fd[0], MORE, strlen(MORE)), (ssize_t)strlen(MORE));
        while (!busy[0].over)
                (void)uv_run(loop_uv(b->loop), UV_RUN_NOWAIT);
        (void)call(b, "late", 0, &late);
        turn(b);
        expect_request(fd[0], "0");
        close_all(fd);
}

static void whoever_is_cancelled_in_line_leaves_it(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s[3], last;
        struct helper_call *waiting[3];
        int fd[HELPER_LINKS_MAX];
        fill(b, busy, fd, waiting, s, 3);
        helper_cancel(waiting[0]);
        helper_cancel(waiting[2]); /* the end of the line is mended */
        (void)call(b, "last", 0, &last);
        answer(b, fd[0], MORE, &busy[0]);
        turn(b);
        expect_request(fd[0], "1");
        answer(b, fd[0], MORE, &s[1]);
        turn(b);
        expect_request(fd[0], "last");
        assert_false(s[0].over || s[2].over);
        close_all(fd);
}

static void a_wait_in_line_ends_by_the_time_of_the_call(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s;
        int fd[HELPER_LINKS_MAX];
        fill(b, busy, fd, NULL, NULL, 0);
        (void)call(b, "one", 10, &s);
        assert_true(loop_run_until(b->loop, &s.over, 20000));
        assert_string_equal(s.e.code, "helper.busy");
        assert_int_equal(s.e.kind, ERR_TEMPORARY);
        close_all(fd);
}

static void the_line_has_an_end(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s = { 0 };
        struct err e = { 0 };
        CLEANUP(json_decref_p) json_t *header = json_object();
        int fd[HELPER_LINKS_MAX], in_line = 0;
        fill(b, busy, fd, NULL, NULL, 0);
        while (in_line < 10000 && helper_start(b->helper, "one", header, "", 0, 0, on_answer, &s, &e))
                in_line++;
        assert_int_equal(in_line, 1024);
        assert_string_equal(e.code, "helper.busy");
        close_all(fd);
}

static void in_line_for_a_helper_that_cannot_be_reached_any_more(void **state)
{
        struct bed *b = *state;
        struct said busy[HELPER_LINKS_MAX], s[3];
        struct helper_call *waiting[3];
        int fd[HELPER_LINKS_MAX];
        fill(b, busy, fd, waiting, s, 3);
        close_p(&b->listener);
        answer(b, fd[0], "{}\n", &busy[0]);
        for (int i = 0; i < 3; i++) {
                assert_true(loop_run_until(b->loop, &s[i].over, 20000));
                assert_string_equal(s[i].e.code, "helper.absent");
        }
        close_all(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_second_call_goes_over_the_same_connection),
                TEST(an_answer_before_the_loop_knows_that_it_asked_keeps_the_connection),
                TEST(only_a_good_answer_that_says_so_keeps_a_connection),
                TEST(what_was_cancelled_or_late_is_not_used_again),
                TEST(the_newest_idle_one_is_used_first),
                TEST(a_hook_has_a_connection_of_its_own_once),
                TEST(a_connection_serves_so_many_requests),
                TEST(a_connection_gets_only_so_old),
                TEST(an_idle_connection_ends_soon_and_nothing_ticks_on),
                TEST(closing_ends_idle_connections_at_once),
                TEST(one_that_ended_idle_is_not_asked),
                TEST(one_that_speaks_unasked_is_not_asked),
                TEST(a_request_whose_helper_ends_is_lost_and_never_sent_twice),
                TEST(more_than_there_are_connections_wait_in_line_and_are_all_answered),
                TEST(whoever_comes_later_does_not_overtake),
                TEST(whoever_is_cancelled_in_line_leaves_it),
                TEST(a_wait_in_line_ends_by_the_time_of_the_call),
                TEST(the_line_has_an_end),
                TEST(in_line_for_a_helper_that_cannot_be_reached_any_more),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
