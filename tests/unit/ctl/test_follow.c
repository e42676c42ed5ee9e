/* Whoever follows a job over the control socket: all its steps, or only what ends or waits. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/ctl/server.h"
#include "job/engine_fixture.h"
#include "job/fake_ca.h"

struct follower {
        int fd;
        struct buf in;
        unsigned results, steps, waits, ends;
};
static struct follower all = { .fd = -1 }, ends = { .fd = -1 };
static struct ctl_server *server;

static void count(struct follower *f, const char *line, size_t len)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err e;
        if (!json_read(line, len, 32, &o, &e))
                fail_msg("%s: %.*s", e.text, (int)len, line);
        const json_t *event = json_object_get(o, "event");
        f->results += json_object_get(o, "result") != NULL;
        if (json_bool(event, "ended", false))
                f->ends++;
        else if (json_is_object(json_object_get(event, "waiting")))
                f->waits++;
        else
                f->steps += event != NULL;
}

static void hear(struct follower *f)
{
        char data[65536], *end;
        ssize_t n;
        while ((n = recv(f->fd, data, sizeof data, MSG_DONTWAIT)) > 0)
                assert_true(buf_append(&f->in, data, (size_t)n));
        while (f->in.len > 0 && (end = memchr(f->in.data, '\n', f->in.len))) {
                size_t used = (size_t)(end - f->in.data) + 1;
                count(f, f->in.data, used - 1);
                memmove(f->in.data, f->in.data + used, f->in.len - used);
                f->in.len -= used;
        }
}

static bool both_follow(struct fixture *f)
{
        (void)f;
        hear(&all);
        hear(&ends);
        return all.results == 1 && ends.results == 1;
}

static bool both_heard_the_end(struct fixture *f)
{
        (void)both_follow(f);
        return all.ends == 1 && ends.ends == 1;
}

static bool both_heard_a_wait(struct fixture *f)
{
        (void)both_follow(f);
        return all.waits > 0 && ends.waits > 0;
}

static void follow(struct follower *f, const struct sockaddr_un *where, const char *request)
{
        *f = (struct follower){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = { .max = 1 << 20 } };
        assert_int_equal(connect(f->fd, (const struct sockaddr *)where, sizeof *where), 0);
        assert_int_equal(send(f->fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

static int set_up(void **state)
{
        struct err e;
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        assert_int_equal(setup(state), 0);
        struct fixture *f = *state;
        snprintf(where.sun_path, sizeof where.sun_path, "%s/dcvd.sock", f->runtime);
        if (!ctl_server_open(&server, f->engine, where.sun_path, ctl_verbs, &e))
                fail_msg("%s", e.text);
        follow(&all, &where, "{\"verb\":\"follow\",\"args\":{\"jobs\":[3,2,1]}}\n");
        follow(&ends, &where, "{\"verb\":\"follow\",\"args\":{\"jobs\":[3,2,1],\"ends\":true}}\n");
        assert_true(run_to(f, both_follow));
        return 0;
}

static int tear_down(void **state)
{
        ctl_server_close(server);
        assert_int_equal(close(all.fd) + close(ends.fd), 0);
        buf_done(&all.in);
        buf_done(&ends.in);
        return teardown(state);
}

static void one_who_shows_no_steps_hears_the_end_alone(void **state)
{
        struct fixture *f = *state;
        reissue(f, "www", false);
        assert_true(run_to(f, both_heard_the_end));
        assert_true(all.steps > 5);
        assert_int_equal(ends.steps, 0);
        assert_int_equal(ends.waits, all.waits);
}

/* dcvctl gives the terminal back then, and says so with its exit code. */
static void one_who_shows_no_steps_hears_that_a_person_is_needed(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        reissue(f, "www", false);
        assert_true(run_to(f, both_heard_a_wait));
        assert_int_equal(ends.steps, 0);
        assert_int_equal(ends.waits, all.waits);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_who_shows_no_steps_hears_the_end_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        one_who_shows_no_steps_hears_that_a_person_is_needed, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
