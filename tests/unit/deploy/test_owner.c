/* Whose a file becomes: by name or number, each name looked up once in a row. */
#include "test.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/deploy/owner.h"
#include "config/config.h"

static unsigned asked;

/* Names of letters alone are there: users with the number of their length, groups with ten times that. */
struct passwd *__wrap_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name)
{
        static struct passwd p;
        asked++;
        p.pw_uid = (uid_t)strlen(name);
        return strchr(name, '-') ? NULL : &p;
}

struct group *__wrap_getgrnam(const char *name);
struct group *__wrap_getgrnam(const char *name)
{
        static struct group g;
        asked++;
        g.gr_gid = (gid_t)strlen(name) * 10;
        return strchr(name, '-') ? NULL : &g;
}

static void each_name_is_asked_for_once_in_a_row(void **state)
{
        static const struct {
                const char *owner, *group;
                uid_t uid;
                gid_t gid;
                unsigned asked;
        } row[] = {
                { "", "", 0, 0, 2 }, /* none is known yet: nobody is root by having no name */
                { "root", "root", 4, 40, 2 },
                { "root", "root", 4, 40, 0 },
                { "http", "root", 4, 40, 1 }, /* as long, another */
                { "http", "ssl", 4, 30, 1 },
                { "33", "0", 33, 0, 0 },
                { "http", "ssl", 4, 30, 0 },
                { "root", "root", 4, 40, 2 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_target t = {
                        .directory = (char *)"/x", .owner = (char *)row[i].owner, .group = (char *)row[i].group
                };
                struct err e = { 0 };
                uid_t uid = 77;
                gid_t gid = 77;
                asked = 0;
                if (!owner_find(&t, &uid, &gid, &e) || uid != row[i].uid || gid != row[i].gid || asked != row[i].asked)
                        fail_msg("row %zu: %u:%u, asked %u times; %s", i, uid, gid, asked, e.text);
        }
}

static void one_that_is_not_there_is_named_and_asked_for_again(void **state)
{
        struct conf_target t = {
                .directory = (char *)"/etc/tls", .owner = (char *)"root", .group = (char *)"no-group"
        };
        struct err e = { 0 };
        uid_t uid = 77;
        gid_t gid = 77;
        (void)state;
        assert_true(
                owner_find(&(struct conf_target){ .owner = (char *)"root", .group = (char *)"ssl" }, &uid, &gid, &e));
        for (int i = 0; i < 2; i++) {
                asked = 0;
                assert_false(owner_find(&t, &uid, &gid, &e));
                assert_int_equal(asked, 1);
                assert_string_equal(e.code, "target.group");
                assert_string_equal(e.text, "group of /etc/tls: there is no group no-group");
        }
        t.owner = (char *)"no-user";
        assert_false(owner_find(&t, &uid, &gid, &e));
        assert_string_equal(e.code, "target.owner");
        assert_non_null(strstr(e.fix, "create user no-user"));
        assert_true(uid == 4 && gid == 30);
}

/* Longer than is remembered. */
static void a_very_long_name_is_asked_for_each_time(void **state)
{
        char name[200];
        struct conf_target t = { .directory = (char *)"/x", .owner = name, .group = (char *)"0" };
        struct err e = { 0 };
        uid_t uid = 77;
        gid_t gid = 77;
        (void)state;
        memset(name, 'n', sizeof name);
        for (size_t len = sizeof name - 1; len > 120; len--) {
                name[len] = '\0';
                assert_true(owner_find(&t, &uid, &gid, &e));
                assert_int_equal(uid, len);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_name_is_asked_for_once_in_a_row),
                cmocka_unit_test(one_that_is_not_there_is_named_and_asked_for_again),
                cmocka_unit_test(a_very_long_name_is_asked_for_each_time),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
