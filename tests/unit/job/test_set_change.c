/* What a job changes of its certificate's sets waits for the disk in a thread; the loop does not. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "engine_fixture.h"
#include "fake_ca.h"

/* Of the sets and the live links: who syncs, what the disk answers, and a disk that stands still. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static pthread_t loop_thread;
static unsigned on_loop, in_threads;
static const char *fail, *stop; /* what is synced next of a path that holds this; NULL: nothing */
static bool stands;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        char link[40], path[300];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        if (!strstr(path, "/sets") && !strstr(path, "/live"))
                return __real_fsync(fd);
        pthread_mutex_lock(&lock);
        if (pthread_equal(pthread_self(), loop_thread))
                on_loop++;
        else
                in_threads++;
        bool fails = fail && strstr(path, fail), stops = stop && strstr(path, stop);
        if (fails)
                fail = NULL;
        if (stops) {
                stop = NULL;
                stands = true;
                while (stands)
                        pthread_cond_wait(&moved, &lock);
        }
        pthread_mutex_unlock(&lock);
        if (fails)
                errno = ENOSPC;
        return fails ? -1 : __real_fsync(fd);
}

static bool disk_stands(struct fixture *f)
{
        (void)f;
        pthread_mutex_lock(&lock);
        bool is = stands;
        pthread_mutex_unlock(&lock);
        return is;
}

static void let_disk_go_on(void)
{
        pthread_mutex_lock(&lock);
        stands = false;
        pthread_cond_signal(&moved);
        pthread_mutex_unlock(&lock);
}

static int begin(void **state)
{
        loop_thread = pthread_self();
        on_loop = in_threads = 0;
        fail = stop = NULL;
        stands = false;
        return setup(state);
}

static void again(struct fixture *f)
{
        fake_ca.validated = false;
        reissue(f, "www", false);
        expect_done(f);
}

static void the_loop_waits_for_no_disk(void **state)
{
        struct fixture *f = *state;
        f->engine->conf->keep_sets = 0;
        again(f);
        assert_true(in_threads > 0);
        unsigned first = in_threads;
        again(f); /* and the set before it goes */
        assert_true(in_threads > first);
        assert_int_equal(on_loop, 0);
}

static void what_the_disk_refuses_is_done_later(void **state)
{
        static const char *const what[] = { "/cert.pem", "/.new", "/sets/www", "/live", "/.dcvd-meta.json.tmp" };
        struct fixture *f = *state;
        for (size_t i = 0; i < ARRAY_LEN(what); i++) {
                fail = what[i];
                again(f);
                if (fail)
                        fail_msg("%s is never synced", what[i]);
                assert_int_equal(fake_ca.orders, i + 1); /* what was issued is fetched again, not ordered again */
                struct cert *c = engine_cert(f->engine, "www");
                CLEANUP(json_decref_p) json_t *meta = NULL;
                struct err e;
                assert_int_equal(sets_live(f->engine->sets, "www"), c->row.live_set);
                assert_true(sets_read_meta(f->engine->sets, "www", (unsigned)c->row.live_set, &meta, &e));
                assert_true(json_bool(meta, "good", false));
        }
}

/* Asked while the disk stands: status answers; who cancels hears of it once it is known what is on disk. */
static void while_the_disk_stands_the_loop_goes_on(void **state)
{
        static const struct {
                const char *at;
                enum job_state in;
                unsigned live;
                const char *text;
        } row[] = {
                { "/.new/cert.pem", JOB_ISSUED, 0, "cancelled; the order was cancelled at the CA" },
                { "/live", JOB_DEPLOYED, 1, "cancelled; set 1 is installed" },
                { "/.dcvd-meta.json.tmp", JOB_SERVED, 1, "the job has ended" },
        };
        struct fixture *f = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                stop = row[i].at;
                reissue(f, "www", false);
                assert_true(run_to(f, disk_stands));
                assert_int_equal(f->engine->job[0]->row.state, row[i].in);
                ask(f, action_status, json_pack("{s:[s]}", "certs", "www"));
                assert_non_null(f->answer);
                f->answered = false;
                CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:b}", "cert", "www", "yes", 1);
                action_cancel(f->engine, args, on_answer, f);
                assert_false(f->answered);
                let_disk_go_on();
                assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
                const char *said = json_str(f->answer, "text");
                if (!said || !text_starts(said, row[i].text))
                        fail_msg("%s: %s", row[i].at, said ? said : f->refused.text);
                assert_int_equal(sets_live(f->engine->sets, "www"), row[i].live);
                assert_true(run_to(f, idle_without_jobs));
                teardown((void **)&f);
                begin((void **)&f);
                *state = f;
        }
}

#define ENGINE(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ENGINE(the_loop_waits_for_no_disk),
                ENGINE(what_the_disk_refuses_is_done_later),
                ENGINE(while_the_disk_stands_the_loop_goes_on),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
