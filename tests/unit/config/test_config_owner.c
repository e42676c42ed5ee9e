/* Who could change the configuration that root acts on. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/config.h"

static char place[128];

static char *at(const char *name)
{
        static char path[4][256];
        static unsigned turn;

        turn = (turn + 1) % 4;
        snprintf(path[turn], sizeof path[turn], "%s/%s", place, name);
        return path[turn];
}

static void put(const char *name, const char *text, mode_t mode)
{
        FILE *f = fopen(at(name), "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        assert_int_equal(chmod(at(name), mode), 0);
}

/* A directory with only good ones above it; the usual temporary directory is open to everybody. */
static int make_place(void **state)
{
        static const char *const roots[] = { "/run", "/var/lib", "/root" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
                snprintf(place, sizeof place, "%s/dcvd-owner-XXXXXX", roots[i]);
                if (mkdtemp(place))
                        return 0;
        }
        place[0] = '\0';
        return 0; /* not root: the tests that need it skip */
}

static int drop_place(void **state)
{
        struct err e = { 0 };

        (void)state;
        return !*place || tree_remove_at(AT_FDCWD, place, &e) ? 0 : -1;
}

/* A directory whose whole path is root's, or this user's: not every machine has one to write in. */
#define NEEDS_PLACE()                                                                                                  \
        do {                                                                                                           \
                if (!*place)                                                                                           \
                        skip(); /* no such directory here */                                                           \
        } while (0)

static void refused(const char *path, const char *said)
{
        struct err e = { 0 };

        assert_false(config_check_owner(path, getuid(), &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        if (!strstr(e.text, said))
                fail_msg("%s lacks %s", e.text, said);
}

static void accepted(const char *path)
{
        struct err e = { 0 };

        if (!config_check_owner(path, getuid(), &e))
                fail_msg("%s", e.text);
}

static void a_file_only_its_owner_can_write_is_good(void **state)
{
        (void)state;
        NEEDS_PLACE();
        put("a.yaml", "log: {}\n", 0644);
        accepted(at("a.yaml"));
}

static void a_file_or_directory_that_others_can_write_is_not(void **state)
{
        (void)state;
        NEEDS_PLACE();
        put("a.yaml", "log: {}\n", 0664);
        refused(at("a.yaml"), "can be written by its group or by others (mode 0664)");
        chmod(at("a.yaml"), 0644);
        chmod(place, 0777);
        refused(at("a.yaml"), "(mode 0777)");
        refused("/tmp/dcvd-nothing.yaml", "/tmp can be written");
}

static void a_file_of_another_user_is_not(void **state)
{
        struct err e = { 0 };

        (void)state;
        NEEDS_PLACE();
        put("a.yaml", "log: {}\n", 0644);
        if (getuid() != 0 || chown(at("a.yaml"), 65534, (gid_t)-1) != 0)
                skip(); /* only root can give a file away */
        refused(at("a.yaml"), "belongs to user 65534");
        assert_true(config_check_owner(at("a.yaml"), 65534, &e)); /* unless that user is who is asked about */
}

static void every_link_on_the_way_is_followed_and_its_directories_checked(void **state)
{
        (void)state;
        NEEDS_PLACE();
        put("real.yaml", "log: {}\n", 0644);
        assert_int_equal(symlink("real.yaml", at("one")), 0);
        assert_int_equal(symlink(at("one"), at("two")), 0);
        accepted(at("two"));
        assert_int_equal(mkdir(at("open"), 0755), 0);
        assert_int_equal(chmod(at("open"), 0777), 0);
        assert_int_equal(symlink("../real.yaml", at("open/hop")), 0);
        assert_int_equal(symlink("open/hop", at("three")), 0);
        refused(at("three"), "open can be written"); /* start and end are good, a hop between is not */
        assert_int_equal(symlink("loop", at("loop")), 0);
        refused(at("loop"), "too many symbolic links");
}

static void included_files_and_their_directories_count(void **state)
{
        (void)state;
        NEEDS_PLACE();
        CLEANUP(free_p) char *text = text_format("include: [%s/conf.d/*.yaml, %s/one.yaml]\n", place, place);
        put("a.yaml", text, 0644);
        put("one.yaml", "", 0644);
        assert_int_equal(mkdir(at("conf.d"), 0755), 0);
        put("conf.d/b.yaml", "", 0644);
        accepted(at("a.yaml"));
        chmod(at("conf.d/b.yaml"), 0666);
        refused(at("a.yaml"), "conf.d/b.yaml can be written");
        unlink(at("conf.d/b.yaml"));
        chmod(at("conf.d"), 0777); /* empty, but anybody could add a file */
        refused(at("a.yaml"), "conf.d can be written");
        chmod(at("conf.d"), 0755);
        chmod(at("one.yaml"), 0622);
        refused(at("a.yaml"), "one.yaml can be written");
}

static void what_cannot_be_read_is_refused(void **state)
{
        (void)state;
        NEEDS_PLACE();
        refused(at("missing.yaml"), "missing.yaml");
        put("bad.yaml", "include: [\n", 0644);
        refused(at("bad.yaml"), "is not YAML");
        put("bad.yaml", "include: conf.d/*.yaml\n", 0644);
        refused(at("bad.yaml"), "is not an absolute path");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_file_only_its_owner_can_write_is_good, make_place, drop_place),
                cmocka_unit_test_setup_teardown(
                        a_file_or_directory_that_others_can_write_is_not, make_place, drop_place),
                cmocka_unit_test_setup_teardown(a_file_of_another_user_is_not, make_place, drop_place),
                cmocka_unit_test_setup_teardown(
                        every_link_on_the_way_is_followed_and_its_directories_checked, make_place, drop_place),
                cmocka_unit_test_setup_teardown(included_files_and_their_directories_count, make_place, drop_place),
                cmocka_unit_test_setup_teardown(what_cannot_be_read_is_refused, make_place, drop_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
