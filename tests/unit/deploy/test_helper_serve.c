/* The life of dcvd-helper over one connection: what it serves one after another, when it ends, and that it never uses a
 * configuration that is no longer there. It runs in a thread; the test is the daemon. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/helper_verbs.h"
#include "file_tick.h"
#include "validators/proof.h"
#include "validators/webroot.h"

#define FOLDER "/.well-known/acme-challenge"
#define LATER_MS 4000000000000 /* no file of today is young then */

static const struct conf_kind kinds[] = {
        { .section = "publishers",
                .type = "webroot",
                .keys = webroot_keys,
                .size = sizeof(struct webroot_conf),
                .can = PROOF_FILE },
        { .section = NULL },
};

struct bed {
        char place[64];
        int fd, theirs;
        pthread_t thread;
        bool good; /* what helper_serve returned */
};

static atomic_int loads, lowered;
static atomic_llong waited_ms;
static atomic_bool silent; /* nothing more will come: no wait */

bool __real_config_load(const char *path, const struct conf_kind *k, struct conf **ret, struct conf_problems *p);
bool __wrap_config_load(const char *path, const struct conf_kind *k, struct conf **ret, struct conf_problems *p);
bool __real_helper_request_comes(int fd, int64_t wait_ms);
bool __wrap_helper_request_comes(int fd, int64_t wait_ms);
bool __wrap_helper_become_hook_user(struct err *e);

bool __wrap_config_load(const char *path, const struct conf_kind *k, struct conf **ret, struct conf_problems *p)
{
        loads++;
        return __real_config_load(path, k, ret, p);
}

bool __wrap_helper_request_comes(int fd, int64_t wait_ms)
{
        waited_ms = wait_ms;
        return __real_helper_request_comes(fd, silent ? 0 : wait_ms);
}

bool __wrap_helper_become_hook_user(struct err *e)
{
        (void)e;
        lowered++;
        return true;
}

static const char *at(struct bed *b, const char *name)
{
        static char path[200];
        snprintf(path, sizeof path, "%s/%s", b->place, name);
        return path;
}

static void put(struct bed *b, const char *name, const char *text)
{
        let_a_tick_pass();
        FILE *f = fopen(at(b, name), "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

/* The web root of publisher `site`. */
static void configure(struct bed *b, const char *root)
{
        CLEANUP(free_p)
        char *text = text_format("publishers:\n  site: {type: webroot, directory: \"%s/%s\"}\n", b->place, root);
        put(b, "dcvd.yaml", text);
}

static void *run(void *arg)
{
        struct bed *b = arg;
        CLEANUP(free_p) char *path = text_format("%s/dcvd.yaml", b->place);
        struct helper_conf conf = { .path = path, .kinds = kinds };
        b->good = helper_serve(b->theirs, b->theirs, &conf);
        helper_conf_forget(&conf);
        close(b->theirs);
        return NULL;
}

static void start(struct bed *b)
{
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        b->fd = pair[0];
        b->theirs = pair[1];
        assert_int_equal(pthread_create(&b->thread, NULL, run, b), 0);
}

/* It ended, and said nothing more. */
static void expect_end(struct bed *b, bool good)
{
        char byte;
        assert_int_equal(read(b->fd, &byte, 1), 0);
        assert_int_equal(pthread_join(b->thread, NULL), 0);
        assert_int_equal(b->good, good);
        close_p(&b->fd);
}

/* The usual temporary directory is open to everybody: the configuration must lie elsewhere. */
static int set_up(void **state)
{
        static const char *const roots[] = { "/run", "/var/lib", "/root" };
        struct bed *b = calloc(1, sizeof *b);
        *state = b;
        b->fd = -1;
        loads = lowered = 0;
        silent = false;
        clock_fake(LATER_MS, -1);
        for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
                snprintf(b->place, sizeof b->place, "%s/dcvd-serve-XXXXXX", roots[i]);
                if (!mkdtemp(b->place))
                        continue;
                configure(b, "a");
                return mkdir(at(b, "a"), 0755) == 0 && mkdir(at(b, "b"), 0755) == 0 ? 0 : -1;
        }
        b->place[0] = '\0';
        return 0; /* not root: skipped */
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        close_p(&b->fd);
        clock_fake(-1, -1);
        bool gone = !b->place[0] || tree_remove_at(AT_FDCWD, b->place, NULL);
        free(b);
        return gone ? 0 : -1;
}

/* A configuration whose whole path is root's, or this user's: not every machine has a place for one. */
#define NEEDS_PLACE(b)                                                                                                 \
        do {                                                                                                           \
                if (!(b)->place[0])                                                                                    \
                        skip(); /* no such directory here */                                                           \
        } while (0)

static void send_text(struct bed *b, const char *text)
{
        assert_int_equal(write(b->fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* The error's code, "" for none; whether more may come. */
static void read_answer(struct bed *b, char ret_code[48], bool *ret_more)
{
        char text[2000] = "";
        for (size_t len = 0; !strchr(text, '\n');) {
                ssize_t n = read(b->fd, text + len, sizeof text - 1 - len);
                assert_true(n > 0);
                len += (size_t)n;
        }
        CLEANUP(json_decref_p) json_t *o = json_loads(text, 0, NULL);
        const char *code = json_str(json_object_get(o, "error"), "code");
        snprintf(ret_code, 48, "%s", code ? code : "");
        assert_true(json_is_boolean(json_object_get(o, "more")));
        *ret_more = json_bool(o, "more", false);
}

static void ask(struct bed *b, const char *verb, const char *token, char ret_code[48], bool *ret_more)
{
        CLEANUP(free_p)
        char *text =
                text_format("{\"verb\":\"%s\",\"publisher\":\"site\",\"host\":\"www.example.test\",\"path\":\"" FOLDER
                            "/%s\",\"blob\":%zu}\n%s",
                        verb, token, strlen(token), token);
        send_text(b, text);
        read_answer(b, ret_code, ret_more);
}

static void expect(struct bed *b, const char *verb, const char *token, const char *want_code, bool want_more)
{
        char code[48];
        bool more;
        ask(b, verb, token, code, &more);
        if (strcmp(code, want_code) != 0 || more != want_more)
                fail_msg("%s: %s instead of %s, more: %d", verb, code, want_code, more);
}

static bool there(struct bed *b, const char *root, const char *token)
{
        CLEANUP(free_p) char *name = text_format("%s" FOLDER "/%s", root, token);
        return access(at(b, name), F_OK) == 0;
}

/* ---- one after another ---- */

static void several_requests_are_served_with_one_look_at_the_configuration(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        start(b);
        expect(b, "token-put", "one", "", true);
        expect(b, "token-put", "two", "", true);
        assert_true(there(b, "a", "one") && there(b, "a", "two"));
        expect(b, "token-drop", "one", "", true);
        assert_true(!there(b, "a", "one") && there(b, "a", "two"));
        expect(b, "nonsense", "x", "helper.verb", true); /* a refusal is an answer like another */
        expect(b, "token-drop", "two", "", true);
        assert_int_equal(loads, 1);
        assert_int_equal(shutdown(b->fd, SHUT_WR), 0);
        expect_end(b, true);
        assert_int_equal(waited_ms, 5000);
}

static void whoever_asks_once_and_closes_its_side_is_answered(void **state)
{
        struct bed *b = *state;
        char code[48];
        bool more;
        NEEDS_PLACE(b);
        start(b);
        send_text(b, "{\"verb\":\"nonsense\",\"blob\":1}\nx");
        assert_int_equal(shutdown(b->fd, SHUT_WR), 0);
        read_answer(b, code, &more);
        assert_string_equal(code, "helper.verb");
        expect_end(b, false);
}

static void silence_ends_it(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        silent = true;
        start(b);
        expect(b, "token-put", "one", "", true);
        expect_end(b, true); /* our side is open */
        assert_int_equal(waited_ms, 5000);
}

static void what_breaks_the_framing_is_named_and_ends_it(void **state)
{
        static const char *const bytes[] = { "nonsense\n", "{\"verb\":\"token-put\",\"blob\":1}\nxy",
                "{\"blob\":0}\n" };
        struct bed *b = *state;
        NEEDS_PLACE(b);
        for (size_t i = 0; i < 2 * ARRAY_LEN(bytes); i++) {
                char code[48];
                bool more;
                start(b);
                if (i % 2)
                        expect(b, "token-put", "one", "", true);
                send_text(b, bytes[i / 2]);
                read_answer(b, code, &more);
                assert_true(text_starts(code, "json") || strcmp(code, "helper.request") == 0);
                assert_false(more);
                expect_end(b, false);
        }
}

/* ---- limits ---- */

static unsigned open_files(void)
{
        unsigned n = 0;
        DIR *d = opendir("/proc/self/fd");
        while (d && readdir(d))
                n++;
        closedir(d);
        return n;
}

static void a_helper_serves_256_requests_and_keeps_nothing_of_them(void **state)
{
        struct bed *b = *state;
        unsigned files = 0;
        NEEDS_PLACE(b);
        start(b);
        for (int i = 1; i <= 256; i++) {
                expect(b, i % 2 ? "token-put" : "token-drop", "one", "", i < 256);
                if (i == 2)
                        files = open_files();
                if (i == 254)
                        assert_int_equal(open_files(), files);
        }
        expect_end(b, true);
}

static void a_helper_takes_no_more_after_a_minute(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        clock_fake(LATER_MS, 1000000);
        start(b);
        expect(b, "token-put", "one", "", true);
        clock_fake(LATER_MS, 1000000 + 59999);
        expect(b, "token-drop", "one", "", true);
        clock_fake(LATER_MS, 1000000 + 60000);
        expect(b, "token-put", "one", "", false);
        expect_end(b, true);
}

static void a_hook_is_the_only_request_of_its_process(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        start(b);
        expect(b, "hook", "one", "hook.section", false);
        expect_end(b, false);
        assert_int_equal(lowered, 1);
        start(b);
        expect(b, "token-put", "one", "", true);
        expect(b, "hook", "one", "helper.request", false);
        expect_end(b, false);
        assert_int_equal(lowered, 1);
}

/* ---- the configuration of the moment ---- */

static void a_configuration_that_changed_is_read_anew(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        start(b);
        expect(b, "token-put", "one", "", true);
        configure(b, "b");
        expect(b, "token-put", "two", "", true);
        assert_true(there(b, "a", "one") && there(b, "b", "two") && !there(b, "a", "two"));
        put(b, "dcvd.yaml", "publishers: [nonsense]\n");
        expect(b, "token-put", "three", "helper.config", true);
        configure(b, "a");
        expect(b, "token-put", "three", "", true);
        assert_true(there(b, "a", "three"));
        assert_int_equal(loads, 4);
        let_a_tick_pass();
        assert_int_equal(chmod(at(b, "dcvd.yaml"), 0666), 0); /* by whoever: its owner is judged anew as well */
        expect(b, "token-put", "four", "config.owner", true);
        assert_false(there(b, "a", "four"));
        assert_int_equal(shutdown(b->fd, SHUT_WR), 0);
        expect_end(b, false);
}

static void a_file_that_is_added_to_it_is_seen(void **state)
{
        struct bed *b = *state;
        NEEDS_PLACE(b);
        CLEANUP(free_p) char *main_text = text_format("include: \"%s/conf.d/*.yaml\"\n", b->place);
        CLEANUP(free_p)
        char *text = text_format("publishers:\n  site: {type: webroot, directory: \"%s/a\"}\n", b->place);
        put(b, "dcvd.yaml", main_text);
        assert_int_equal(mkdir(at(b, "conf.d"), 0755), 0);
        start(b);
        expect(b, "token-put", "one", "helper.publisher", true);
        expect(b, "token-put", "one", "helper.publisher", true);
        assert_int_equal(loads, 1);
        put(b, "conf.d/site.yaml", text);
        expect(b, "token-put", "one", "", true);
        assert_true(there(b, "a", "one"));
        let_a_tick_pass();
        assert_int_equal(unlink(at(b, "conf.d/site.yaml")), 0);
        expect(b, "token-put", "two", "helper.publisher", true);
        assert_int_equal(loads, 3);
        assert_int_equal(shutdown(b->fd, SHUT_WR), 0);
        expect_end(b, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(several_requests_are_served_with_one_look_at_the_configuration),
                TEST(whoever_asks_once_and_closes_its_side_is_answered),
                TEST(silence_ends_it),
                TEST(what_breaks_the_framing_is_named_and_ends_it),
                TEST(a_helper_serves_256_requests_and_keeps_nothing_of_them),
                TEST(a_helper_takes_no_more_after_a_minute),
                TEST(a_hook_is_the_only_request_of_its_process),
                TEST(a_configuration_that_changed_is_read_anew),
                TEST(a_file_that_is_added_to_it_is_seen),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
