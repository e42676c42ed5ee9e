#include "scratch_dir.h"

#include "agent/base/buf.h"
#include "agent/base/secret.h"

#define CANARY "c4n4ry-do-not-show"

/* No message about a secret may hold it. */
static void silent(const struct err *e)
{
        assert_null(strstr(e->text, "c4n4ry"));
        assert_null(strstr(e->fix, "c4n4ry"));
        assert_null(strstr(e->code, "c4n4ry"));
}

static bool load(enum secret_source source, const char *name, struct secret *ret, struct err *e)
{
        struct secret_ref r = { .source = source, .name = text_dup(name) };
        bool good = secret_load(&r, ret, e);
        secret_ref_done(&r);
        return good;
}

static void value(enum secret_source source, const char *name, const char *want)
{
        struct secret s = { 0 };
        struct err e = { 0 };
        if (!load(source, name, &s, &e))
                fail_msg("%s: %s", name, e.text);
        assert_int_equal(s.len, strlen(want));
        assert_string_equal((const char *)s.data, want);
        secret_done(&s);
        assert_null(s.data);
}

static void refused(enum secret_source source, const char *name, const char *code, const char *fix)
{
        struct secret s = { 0 };
        struct err e = { 0 };
        assert_false(load(source, name, &s, &e));
        assert_null(s.data);
        assert_string_equal(e.code, code);
        assert_int_equal(e.kind, ERR_CONFIG);
        if (fix)
                assert_string_equal(e.fix, fix);
        silent(&e);
}

static void a_file_is_read_without_its_newline(void **state)
{
        struct scratch_dir *d = *state;
        static const struct {
                const char *text, *want;
        } row[] = { { CANARY, CANARY }, { CANARY "\n", CANARY }, { CANARY "\r\n", CANARY },
                { CANARY "\n\n", CANARY "\n" }, { " " CANARY " \n", " " CANARY " " }, { CANARY "\r", CANARY "\r" } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                scratch_file(d, "s", 0600, row[i].text);
                value(SECRET_FILE, scratch_path(d, "s"), row[i].want);
        }
        assert_int_equal(symlinkat("s", d->fd, "link"), 0); /* secrets are often reached through links */
        value(SECRET_FILE, scratch_path(d, "link"), CANARY "\r");
}

static void modes_decide_and_the_fix_can_be_typed(void **state)
{
        struct scratch_dir *d = *state;
        static const struct {
                mode_t mode;
                const char *chmod; /* NULL: accepted */
        } row[] = { { 0600, NULL }, { 0400, NULL }, { 0640, NULL }, { 0440, NULL }, { 0604, "0600" }, { 0602, "0600" },
                { 0601, "0600" }, { 0620, "0600" }, { 0660, "0640" }, { 0644, "0640" }, { 0666, "0640" },
                { 0777, "0640" } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char fix[200];
                scratch_file(d, "s", row[i].mode, CANARY);
                const char *path = scratch_path(d, "s");
                snprintf(fix, sizeof fix, "chmod %s %s", row[i].chmod ? row[i].chmod : "", path);
                if (row[i].chmod)
                        refused(SECRET_FILE, path, "secret.mode", fix);
                else
                        value(SECRET_FILE, path, CANARY);
                assert_int_equal(unlinkat(d->fd, "s", 0), 0);
        }
}

static void somebody_elses_file_is_refused(void **state)
{
        struct scratch_dir *d = *state;
        if (geteuid() != 0)
                skip(); /* only root can give a file away */
        scratch_file(d, "s", 0600, CANARY);
        assert_int_equal(fchownat(d->fd, "s", 12345, (gid_t)-1, 0), 0);
        char fix[200];
        const char *path = scratch_path(d, "s");
        snprintf(fix, sizeof fix, "chown root %s && chmod 0640 %s, so that its group reads it", path, path);
        refused(SECRET_FILE, path, "secret.owner", fix);
}

static void only_regular_files_of_a_sane_size(void **state)
{
        struct scratch_dir *d = *state;
        assert_int_equal(mkfifoat(d->fd, "fifo", 0600), 0); /* must not hang */
        refused(SECRET_FILE, scratch_path(d, "fifo"), "secret.kind", NULL);
        refused(SECRET_FILE, d->path, "secret.kind", NULL);
        refused(SECRET_FILE, "/dev/null", "secret.kind", NULL);
        scratch_file(d, "empty", 0600, "");
        refused(SECRET_FILE, scratch_path(d, "empty"), "secret.empty", NULL);
        scratch_file(d, "newline", 0600, "\n");
        refused(SECRET_FILE, scratch_path(d, "newline"), "secret.empty", NULL);
        CLEANUP(free_p) char *big = malloc(64 * 1024 + 2);
        memset(big, 'x', 64 * 1024 + 1);
        big[64 * 1024 + 1] = '\0';
        scratch_file(d, "big", 0600, big);
        refused(SECRET_FILE, scratch_path(d, "big"), "secret.size", NULL);
        big[64 * 1024] = '\0';
        scratch_file(d, "fits", 0600, big);
        value(SECRET_FILE, scratch_path(d, "fits"), big);
}

static void an_absent_file_says_how_to_make_it(void **state)
{
        struct scratch_dir *d = *state;
        char fix[300];
        const char *path = scratch_path(d, "none");
        snprintf(fix, sizeof fix,
                "create it with the secret as its only line, mode 0600: install -m 0600 /dev/stdin %s", path);
        refused(SECRET_FILE, path, "secret.absent", fix);
        scratch_file(d, "file", 0600, CANARY);
        refused(SECRET_FILE, scratch_path(d, "file/below"), "secret.open", "");
}

static void a_credential_is_found_plain_then_prefixed(void **state)
{
        struct scratch_dir *d = *state;
        setenv("CREDENTIALS_DIRECTORY", d->path, 1);
        scratch_file(d, "dcvd_one", 0400, "prefixed");
        value(SECRET_CREDENTIAL, "one", "prefixed");
        scratch_file(d, "one", 0440, "plain"); /* as systemd makes them */
        value(SECRET_CREDENTIAL, "one", "plain");
        scratch_file(d, "two", 0460, CANARY);
        char fix[200];
        snprintf(fix, sizeof fix, "chmod 0640 %s", scratch_path(d, "two"));
        refused(SECRET_CREDENTIAL, "two", "secret.mode", fix);
        refused(SECRET_CREDENTIAL, "three", "secret.absent",
                "write the secret into /etc/dcvd/credentials/three (mode 0600) and restart dcvd: credentials are read "
                "by systemd at start");
        static const char *const names[] = { "../one", "a/b", "", ".", "..", ".hidden", "a b", "a\nb" };
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                refused(SECRET_CREDENTIAL, names[i], "secret.name", NULL);
        unsetenv("CREDENTIALS_DIRECTORY");
        refused(SECRET_CREDENTIAL, "there-is-none-of-this-name", "secret.absent",
                "write the secret into /etc/dcvd/credentials/there-is-none-of-this-name (mode 0600)");
}

/* Root reads it, then becomes somebody who could not. */
static void a_credential_that_is_held_is_read_once(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct secret s = { 0 };
        struct secret_ref r = { .source = SECRET_CREDENTIAL, .name = text_dup("one") },
                          absent = { .source = SECRET_CREDENTIAL, .name = text_dup("two") }, copy;
        setenv("CREDENTIALS_DIRECTORY", d->path, 1);
        scratch_file(d, "one", 0400, "first");
        assert_true(secret_ref_hold(&r, &e) && secret_ref_hold(&absent, &e));
        assert_int_equal(unlinkat(d->fd, "one", 0), 0);
        scratch_file(d, "two", 0400, "too late");
        assert_true(secret_ref_hold(&r, &e)); /* a second time keeps what is held */
        assert_true(secret_ref_copy(&copy, &r));
        assert_true(secret_load(&copy, &s, &e));
        assert_string_equal((char *)s.data, "first");
        secret_done(&s);
        secret_ref_done(&copy);
        assert_true(secret_ref_copy(&copy, &absent));
        assert_false(secret_load(&copy, &s, &e));
        assert_string_equal(e.code, "secret.absent");
        assert_string_equal(e.text, "credential two: there was no /etc/dcvd/credentials/two at the start");
        secret_ref_done(&copy);
        scratch_file(d, "three", 0444, "open");
        free(absent.name);
        absent.name = text_dup("three");
        secret_done(absent.held);
        free(absent.held);
        absent.held = NULL;
        assert_int_equal(fchmodat(d->fd, "three", 0666, 0), 0);
        assert_false(secret_ref_hold(&absent, &e)); /* what is wrong is wrong at once */
        assert_string_equal(e.code, "secret.mode");
        secret_ref_done(&absent);
        secret_ref_done(&r);
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void an_empty_directory_variable_counts_as_none(void **state)
{
        (void)state;
        setenv("CREDENTIALS_DIRECTORY", "", 1);
        refused(SECRET_CREDENTIAL, "there-is-none-of-this-name", "secret.absent",
                "write the secret into /etc/dcvd/credentials/there-is-none-of-this-name (mode 0600)");
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_credential_may_belong_to_root_or_its_user(void **state)
{
        struct scratch_dir *d = *state;
        if (geteuid() != 0)
                skip(); /* only root can give a file away */
        setenv("CREDENTIALS_DIRECTORY", d->path, 1);
        scratch_file(d, "one", 0400, "mine");
        assert_int_equal(fchownat(d->fd, "one", 12345, 12345, 0), 0);
        value(SECRET_CREDENTIAL, "one", "mine");
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void the_environment_is_taken_and_overwritten(void **state)
{
        (void)state;
        setenv("DCVD_TEST_SECRET", CANARY, 1);
        const char *in_place = getenv("DCVD_TEST_SECRET");
        struct secret_ref r = { .source = SECRET_ENV, .name = text_dup("DCVD_TEST_SECRET") }, copy;
        struct secret s = { 0 };
        struct err e = { 0 };
        assert_true(secret_ref_take_env(&r, &e));
        for (size_t i = 0; i < strlen(CANARY); i++)
                assert_int_equal(in_place[i], 0);
        assert_true(secret_ref_take_env(&r, &e)); /* a second time keeps what is held */
        assert_true(secret_ref_copy(&copy, &r));
        secret_ref_done(&r);
        assert_true(secret_load(&copy, &s, &e));
        assert_string_equal((const char *)s.data, CANARY);
        secret_done(&s);
        secret_ref_done(&copy);
        r = (struct secret_ref){ .source = SECRET_ENV, .name = text_dup("DCVD_TEST_SECRET") };
        assert_false(secret_ref_take_env(&r, &e)); /* it is empty now */
        assert_string_equal(e.code, "secret.absent");
        assert_string_equal(e.fix, "set DCVD_TEST_SECRET before dcvd starts, or use {file: ...}");
        secret_ref_done(&r);
        unsetenv("DCVD_TEST_SECRET");
        refused(SECRET_ENV, "DCVD_TEST_SECRET", "secret.absent", NULL);
        refused(SECRET_NONE, "x", "secret.none", NULL);
        struct secret_ref file = { .source = SECRET_FILE };
        assert_true(secret_ref_take_env(&file, &e));
        assert_null(file.held);
}

static void equal_means_set_and_the_same(void **state)
{
        (void)state;
        struct secret a = { 0 }, b = { 0 };
        assert_false(secret_equal(&a, &b)); /* two that are not set are no proof of anything */
        assert_true(secret_set(&a, "abc", 3, NULL));
        assert_false(secret_equal(&a, &b));
        assert_true(secret_set(&b, "abcd", 4, NULL));
        assert_false(secret_equal(&a, &b));
        assert_true(secret_set(&b, "abd", 3, NULL));
        assert_false(secret_equal(&a, &b));
        assert_true(secret_set(&b, a.data, a.len, NULL));
        assert_true(secret_equal(&a, &b));
        assert_true(secret_set(&a, a.data + 1, 2, NULL)); /* out of its own value */
        assert_string_equal((const char *)a.data, "bc");
        secret_done(&a);
        secret_done(&b);
        char text[] = "wiped";
        wipe(text, 5);
        assert_memory_equal(text, "\0\0\0\0\0", 5);
        wipe_free_text(text_dup("x"));
        wipe_free_text(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(a_file_is_read_without_its_newline),
                IN_DIR(modes_decide_and_the_fix_can_be_typed),
                IN_DIR(somebody_elses_file_is_refused),
                IN_DIR(only_regular_files_of_a_sane_size),
                IN_DIR(an_absent_file_says_how_to_make_it),
                IN_DIR(a_credential_is_found_plain_then_prefixed),
                IN_DIR(a_credential_that_is_held_is_read_once),
                cmocka_unit_test(an_empty_directory_variable_counts_as_none),
                IN_DIR(a_credential_may_belong_to_root_or_its_user),
                cmocka_unit_test(the_environment_is_taken_and_overwritten),
                cmocka_unit_test(equal_means_set_and_the_same),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
