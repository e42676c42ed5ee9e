/* What the start refuses, and who it becomes. The calls that need root, or would change this process for good, are the
 * test's. */
#include "test.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/start.h"
#include "agent/net/helper.h"
#include "base/scratch_dir.h"
#include "config/config.h"

static struct {
        bool root, no_helper, socket, no_user; /* how the host is */
        int fails; /* which step of becoming fails: 1 groups, 2 group, 3 user; 0: none */
        bool comes_back; /* root's rights can be taken again */
        bool became, chowned;
} host;

uid_t __wrap_geteuid(void);
int __wrap_access(const char *path, int mode);
int __real_access(const char *path, int mode);
struct passwd *__wrap_getpwnam(const char *name);
int __wrap_initgroups(const char *user, gid_t group);
int __wrap_setresgid(gid_t r, gid_t e, gid_t s);
int __wrap_setresuid(uid_t r, uid_t e, uid_t s);
int __wrap_lchown(const char *path, uid_t uid, gid_t gid);

uid_t __wrap_geteuid(void)
{
        return host.root && !host.became ? 0 : 61000;
}

int __wrap_access(const char *path, int mode)
{
        errno = ENOENT;
        if (strcmp(path, HELPER_SOCKET) == 0)
                return host.socket ? 0 : -1;
        const char *name = strrchr(path, '/');
        if (name && strcmp(name, "/dcvd-helper") == 0)
                return host.no_helper ? -1 : 0;
        return __real_access(path, mode);
}

struct passwd *__wrap_getpwnam(const char *name)
{
        static struct passwd p = { .pw_uid = 61000, .pw_gid = 61000 };
        assert_string_equal(name, "dcvd");
        return host.no_user ? NULL : &p;
}

static int step(int number)
{
        errno = EPERM;
        return host.fails == number ? -1 : 0;
}

int __wrap_initgroups(const char *user, gid_t group)
{
        assert_string_equal(user, "dcvd");
        assert_int_equal(group, 61000);
        return step(1);
}

int __wrap_setresgid(gid_t r, gid_t e, gid_t s)
{
        assert_true(r == 61000 && e == 61000 && s == 61000);
        return step(2);
}

int __wrap_setresuid(uid_t r, uid_t e, uid_t s)
{
        if (r == 0 && e == 0 && s == 0) {
                assert_true(host.became);
                return host.comes_back ? 0 : -1;
        }
        assert_true(r == 61000 && e == 61000 && s == 61000);
        host.became = step(3) == 0;
        return step(3);
}

int __wrap_lchown(const char *path, uid_t uid, gid_t gid)
{
        (void)path;
        assert_true(uid == 61000 && gid == 61000);
        host.chowned = true;
        return 0;
}

/* The end of the broker, if one was started. */
static void close_broker(int fd)
{
        if (fd < 0)
                return;
        close(fd);
        assert_true(wait(NULL) > 0);
}

static bool start(
        struct scratch_dir *s, const char *state, const char *runtime, const char *config, int *ret_fd, struct err *e)
{
        char paths[3][160];
        snprintf(paths[0], sizeof paths[0], "%s", scratch_path(s, state));
        snprintf(paths[1], sizeof paths[1], "%s", scratch_path(s, runtime));
        snprintf(paths[2], sizeof paths[2], "%s", scratch_path(s, config));
        struct conf conf = { .state_directory = paths[0], .runtime_directory = paths[1] };
        *e = (struct err){ 0 };
        return start_privileges(&conf, paths[2], ret_fd, e);
}

static void what_cannot_be_is_refused_and_named(void **state)
{
        static const struct {
                bool root, no_helper;
                const char *state, *runtime, *config;
                int fails;
                bool comes_back;
                const char *code, *said, *fix;
        } row[] = {
                { false, true, "s", "r", "conf", 0, false, "helper.absent",
                        "dcvd-helper is not where it belongs: ", "install dcvd-helper beside dcvd" },
                { false, false, "s", "r", "absent", 0, false, "config", "/absent: No such file", "" },
                { false, false, "s", "no/r", "conf", 0, false, "runtime", "runtime directory ",
                        "name another: runtime_directory" },
                { true, false, "no/s", "r", "conf", 0, false, "dir.make", "/no/s: No such file",
                        "install -d -o dcvd -g dcvd -m 700 " },
                { true, false, "s", "no/r", "conf", 0, false, "dir.make", "/no/r: No such file",
                        "install -d -o dcvd -g dcvd -m 755 " },
                { true, false, "s", "r", "conf", 1, false, "user", "becoming user dcvd", "" },
                { true, false, "s", "r", "conf", 2, false, "user", "becoming user dcvd", "" },
                { true, false, "s", "r", "conf", 3, false, "user", "becoming user dcvd", "" },
                { true, false, "s", "r", "conf", 0, true, "user", "root's rights could be taken back", "" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct scratch_dir *s = NULL;
                struct err e;
                int fd = -1;
                scratch_dir_make((void **)&s);
                scratch_file(s, "conf", 0644, "");
                memset(&host, 0, sizeof host);
                host.root = row[i].root;
                host.no_helper = row[i].no_helper;
                host.fails = row[i].fails;
                host.comes_back = row[i].comes_back;
                bool good = start(s, row[i].state, row[i].runtime, row[i].config, &fd, &e);
                if (good || strcmp(e.code, row[i].code) != 0 || !strstr(e.text, row[i].said) ||
                        !strstr(e.fix, row[i].fix))
                        fail_msg("row %zu: %s: %s", i, e.code, good ? "started" : e.text);
                close_broker(fd);
                scratch_dir_remove((void **)&s);
        }
}

static void root_makes_the_directories_and_becomes_the_user(void **state)
{
        struct scratch_dir *s = *state;
        struct err e;
        struct stat st;
        int fd = -1;
        memset(&host, 0, sizeof host);
        host.root = true;
        scratch_file(s, "conf", 0644, "");
        if (!start(s, "s", "r", "conf", &fd, &e))
                fail_msg("%s", e.text);
        assert_true(host.became && host.chowned);
        assert_int_equal(fstatat(s->fd, "s", &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700); /* nobody else looks into STATE */
        assert_int_equal(fstatat(s->fd, "r", &st, 0), 0);
        assert_true(fd >= 0);
        close_broker(fd);
}

static void without_the_user_root_stays_root(void **state)
{
        struct scratch_dir *s = *state;
        struct err e;
        int fd = -1;
        memset(&host, 0, sizeof host);
        host.root = host.no_user = true;
        scratch_file(s, "conf", 0644, "");
        assert_true(start(s, "s", "r", "conf", &fd, &e));
        assert_false(host.became);
        close_broker(fd);
}

static void with_the_socket_of_systemd_no_broker_is_started(void **state)
{
        struct scratch_dir *s = *state;
        struct err e;
        int fd = 7;
        memset(&host, 0, sizeof host);
        host.socket = host.no_helper = true; /* nor is the program looked for */
        assert_true(start(s, "s", "r", "absent", &fd, &e));
        assert_int_equal(fd, -1);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_cannot_be_is_refused_and_named),
                IN_DIR(root_makes_the_directories_and_becomes_the_user),
                IN_DIR(without_the_user_root_stays_root),
                IN_DIR(with_the_socket_of_systemd_no_broker_is_started),
        };
        log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        (void)umask(022);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
