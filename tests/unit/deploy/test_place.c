/* A target directory whose parents are missing: made whole, over links of ours alone, or named with what stands in the
 * way. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/deploy/place.h"
#include "base/scratch_dir.h"

static void below(struct scratch_dir *s, const char *name, char ret[300])
{
        snprintf(ret, 300, "%s", scratch_path(s, name));
}

static void every_missing_directory_is_made_with_its_mode(void **state)
{
        struct scratch_dir *s = *state;
        static const char *const made[] = { "nginx", "nginx/tls", "nginx/tls/www" };
        char path[300];
        struct err e = { 0 };
        int fd = -1;
        struct stat st, opened;
        below(s, "nginx/tls/www", path);
        mode_t mask = umask(0077);
        bool good = place_make(path, &fd, &e);
        (void)umask(mask);
        if (!good)
                fail_msg("%s", e.text);
        for (size_t i = 0; i < ARRAY_LEN(made); i++) {
                assert_int_equal(fstatat(s->fd, made[i], &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_mode, S_IFDIR | 0755);
                assert_int_equal(st.st_uid, geteuid());
        }
        assert_int_equal(fstat(fd, &opened), 0);
        assert_int_equal(opened.st_ino, st.st_ino);
        close_p(&fd);
        assert_true(place_make(path, &fd, &e)); /* another helper was faster */
        close_p(&fd);
}

static void the_nearest_is_found_and_nothing_made(void **state)
{
        struct scratch_dir *s = *state;
        char path[300];
        struct err e = { 0 };
        CLEANUP(free_p) char *nearest = NULL;
        below(s, "a/b/c", path);
        assert_int_equal(mkdirat(s->fd, "a", 0700), 0);
        assert_true(place_nearest(path, &nearest, NULL, &e));
        assert_string_equal(nearest, scratch_path(s, "a"));
        assert_int_equal(faccessat(s->fd, "a/b", F_OK, 0), -1);
        CLEANUP(free_p) char *root = NULL;
        assert_true(place_nearest("/dcvd-absent", &root, NULL, &e));
        assert_string_equal(root, "/");
}

static void a_link_of_ours_on_the_way_is_followed(void **state)
{
        struct scratch_dir *s = *state;
        char path[300];
        struct err e = { 0 };
        int fd = -1;
        assert_int_equal(mkdirat(s->fd, "real", 0755), 0);
        assert_int_equal(mkdirat(s->fd, "real/in", 0755), 0);
        assert_int_equal(symlinkat("../real/in", s->fd, "real/relative"), 0);
        assert_int_equal(symlinkat(scratch_path(s, "real/relative"), s->fd, "absolute"), 0);
        below(s, "absolute/tls/www", path);
        if (!place_make(path, &fd, &e))
                fail_msg("%s", e.text);
        close_p(&fd);
        assert_int_equal(faccessat(s->fd, "real/in/tls/www", F_OK, 0), 0);
}

static void what_stands_in_the_way_is_named(void **state)
{
        static const struct {
                const char *path, *named, *said;
        } row[] = {
                { "file/tls/www", "/file ", "is not a directory" },
                { "file/www", "/file ", "is not a directory" },
                { "dangling/tls/www", "/dangling ", "a link that leads nowhere" },
                { "loop/tls", "/loop", "Too many levels" },
                { "stranger/tls/www", "/stranger ", "a link of another user" },
                { "over/tls", "/over ", "over a link of another user" },
        };
        struct scratch_dir *s = *state;
        scratch_file(s, "file", 0644, "");
        assert_int_equal(mkdirat(s->fd, "real", 0755), 0);
        assert_int_equal(symlinkat("nowhere", s->fd, "dangling"), 0);
        assert_int_equal(symlinkat("loop", s->fd, "loop"), 0);
        assert_int_equal(symlinkat("real", s->fd, "stranger"), 0);
        assert_int_equal(symlinkat("stranger/tls", s->fd, "over"), 0);
        /* Only root can make one. */
        size_t count = fchownat(s->fd, "stranger", 1, 1, AT_SYMLINK_NOFOLLOW) == 0 ? ARRAY_LEN(row) : 4;
        for (size_t i = 0; i < count; i++) {
                char path[300];
                struct err look = { 0 }, make = { 0 };
                int fd = -1;
                below(s, row[i].path, path);
                bool seen = place_nearest(path, NULL, NULL, &look), made = place_make(path, &fd, &make);
                if (seen || made || look.kind != ERR_CONFIG || !strstr(look.text, row[i].named) ||
                        !strstr(look.text, row[i].said) || strcmp(look.text, make.text) != 0)
                        fail_msg("%s: %s", row[i].path, seen ? "nothing seen" : made ? "made" : look.text);
        }
        assert_int_equal(faccessat(s->fd, "nowhere", F_OK, 0), -1);
        assert_int_equal(faccessat(s->fd, "real/tls", F_OK, 0), -1);
}

static void a_component_that_is_too_long_is_an_error_and_not_the_end(void **state)
{
        struct scratch_dir *s = *state;
        char path[800];
        struct err e = { 0 };
        int fd = -1;
        assert_int_equal(mkdirat(s->fd, "x", 0755), 0);
        snprintf(path, sizeof path, "%s/%0300d/www", scratch_path(s, "x"), 0);
        assert_false(place_make(path, &fd, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        snprintf(path, sizeof path, "%s/%0300d", scratch_path(s, "x"), 0);
        assert_int_equal(fd, -1);
        assert_false(place_make(path, &fd, &e)); /* not taken for the directory above */
        assert_int_equal(e.kind, ERR_CONFIG);
}

static void what_cannot_be_made_says_what_to_type(void **state)
{
        (void)state;
        struct err e = { 0 };
        int fd = -1;
        bool made = place_make("/proc/dcvd-absent/www", &fd, &e); /* a file system that makes nothing, for root too */
        assert_false(made);
        assert_non_null(strstr(e.text, "making dcvd-absent for target directory /proc/dcvd-absent/www"));
        if (geteuid() == 0)
                return;
        assert_false(place_make("/etc/dcvd-absent/www", &fd, &e));
        assert_non_null(strstr(e.fix, "install -d -m 0755 /etc/dcvd-absent/www"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(every_missing_directory_is_made_with_its_mode),
                IN_DIR(the_nearest_is_found_and_nothing_made),
                IN_DIR(a_link_of_ours_on_the_way_is_followed),
                IN_DIR(what_stands_in_the_way_is_named),
                IN_DIR(a_component_that_is_too_long_is_an_error_and_not_the_end),
                cmocka_unit_test(what_cannot_be_made_says_what_to_type),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
