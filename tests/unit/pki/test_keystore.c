/* STATE/keys and STATE/compromised: what is on the disk, what is refused, what a crash leaves. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/keystore.h"

#define H1 "1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "2222222222222222222222222222222222222222222222222222222222222222"

struct scratch {
        char state[64], path[256];
        struct keystore *store;
        struct key *key;
        char hex[65];
};

/* Of directories: which names are on the disk. */
static unsigned dir_syncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        struct stat st;
        dir_syncs += fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
        return __real_fsync(fd);
}

static char *at(struct scratch *s, const char *format, const char *name)
{
        snprintf(s->path, sizeof s->path, "%s/", s->state);
        size_t n = strlen(s->path);
        if (strcmp(format, "key") == 0)
                snprintf(s->path + n, sizeof s->path - n, "keys/%s.pem", name);
        else
                snprintf(s->path + n, sizeof s->path - n, "%s", name);
        return s->path;
}

static int make(void **state)
{
        struct scratch *s = calloc(1, sizeof *s);
        snprintf(s->state, sizeof s->state, "/tmp/dcvd-keys-XXXXXX");
        assert_non_null(mkdtemp(s->state));
        assert_true(key_generate(KEY_EC_P256, &s->key, NULL));
        assert_true(key_spki_hex(s->key, s->hex, NULL));
        assert_true(keystore_open(&s->store, s->state, NULL));
        *state = s;
        return 0;
}

static int drop(void **state)
{
        struct scratch *s = *state;
        keystore_close(s->store);
        key_free(s->key);
        assert_true(tree_remove_at(AT_FDCWD, s->state, NULL));
        free(s);
        return 0;
}

static void reopen(struct scratch *s)
{
        struct err e = { 0 };
        keystore_close(s->store);
        s->store = NULL;
        if (!keystore_open(&s->store, s->state, &e))
                fail_msg("%s", e.text);
}

static void refused(struct scratch *s, const char *code, const char *path, const char *fix)
{
        struct keystore *other = NULL;
        struct err e = { 0 };
        assert_false(keystore_open(&other, s->state, &e));
        assert_null(other);
        assert_string_equal(e.code, code);
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_non_null(strstr(e.text, path));
        assert_string_equal(e.fix, fix);
}

static void a_key_put_is_private_named_by_its_hash_and_comes_back(void **state)
{
        struct scratch *s = *state;
        struct stat st;
        char hex[65] = "";
        struct key *read = NULL;
        assert_int_equal(stat(at(s, "", "keys"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_false(keystore_has(s->store, s->hex));
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        assert_string_equal(hex, s->hex);
        assert_int_equal(stat(at(s, "key", hex), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_nlink, 1);
        reopen(s);
        assert_true(keystore_has(s->store, hex));
        assert_true(keystore_get(s->store, hex, &read, NULL));
        assert_int_equal(EVP_PKEY_eq(read->pkey, s->key->pkey), 1);
        key_free(read);
}

/* As a set holds it: what was just written, what an earlier process wrote, and never another key's file. */
static void a_key_is_given_as_pem(void **state)
{
        struct scratch *s = *state;
        struct secret pem = { 0 }, want = { 0 };
        struct key *other = NULL;
        char hex[65] = "", other_hex[65] = "", path[256];
        struct err e = { 0 };
        assert_false(keystore_get_pem(s->store, s->hex, &pem, &e));
        assert_string_equal(e.code, "key.absent");
        assert_true(keystore_put(s->store, s->key, hex, NULL) && key_write_pem(s->key, NULL, &want, NULL));
        for (int i = 0; i < 2; i++) {
                assert_true(keystore_get_pem(s->store, hex, &pem, &e));
                assert_true(secret_equal(&pem, &want));
                secret_done(&pem);
                reopen(s);
        }
        assert_true(key_generate(KEY_EC_P256, &other, NULL) && keystore_put(s->store, s->key, hex, NULL) &&
                keystore_put(s->store, other, other_hex, NULL));
        snprintf(path, sizeof path, "%s", at(s, "key", hex));
        assert_int_equal(rename(at(s, "key", other_hex), path), 0);
        assert_false(keystore_get_pem(s->store, hex, &pem, &e));
        assert_string_equal(e.code, "key.damaged");
        assert_null(pem.data);
        secret_done(&want);
        key_free(other);
}

static void putting_twice_changes_nothing(void **state)
{
        struct scratch *s = *state;
        struct stat before, after;
        char hex[65];
        struct texts list = { 0 };
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        assert_int_equal(stat(at(s, "key", hex), &before), 0);
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        assert_int_equal(stat(at(s, "key", hex), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_true(keystore_list(s->store, &list, NULL));
        assert_int_equal(list.count, 1);
        assert_string_equal(list.item[0], hex);
        texts_done(&list);
}

static void absent_and_misnamed_keys_are_told_apart(void **state)
{
        struct scratch *s = *state;
        struct key *k = NULL;
        struct err e = { 0 };
        assert_false(keystore_get(s->store, H1, &k, &e));
        assert_string_equal(e.code, "key.absent");
        assert_int_equal(e.kind, ERR_CONFIG);
        static const char *const bad[] = { "", "../../etc/passwd", "xyz", H1 "1",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                assert_false(keystore_get(s->store, bad[i], &k, &e));
                assert_int_equal(e.kind, ERR_BUG);
                assert_false(keystore_has(s->store, bad[i]));
                assert_false(keystore_remove(s->store, bad[i], &e));
        }
}

static void a_damaged_file_is_named_and_never_overwritten(void **state)
{
        struct scratch *s = *state;
        struct key *other = NULL, *read = NULL;
        struct secret pem = { 0 };
        char hex[65], text[] = "rubbish";
        assert_true(key_generate(KEY_EC_P256, &other, NULL));
        assert_true(key_write_pem(other, NULL, &pem, NULL));
        const struct {
                const void *data;
                size_t len;
        } row[] = { { text, 7 }, { "", 0 }, { pem.data, pem.len } }; /* the last: a good key under a wrong name */
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct err e = { 0 };
                assert_true(file_write_atomic(
                        at(s, "key", s->hex), 0600, (uid_t)-1, (gid_t)-1, row[i].data, row[i].len, NULL));
                assert_false(keystore_get(s->store, s->hex, &read, &e));
                assert_string_equal(e.code, "key.damaged");
                assert_int_equal(e.kind, ERR_CONFIG);
                assert_non_null(strstr(e.text, s->path));
                e = (struct err){ 0 };
                assert_false(keystore_put(s->store, s->key, hex, &e));
                assert_string_equal(e.code, "key.damaged");
                CLEANUP(free_p) char *now = NULL;
                size_t len;
                assert_true(file_read(s->path, 65536, &now, &len, NULL));
                assert_int_equal(len, row[i].len);
                assert_memory_equal(now, row[i].data, len);
        }
        secret_done(&pem);
        key_free(other);
}

static void removing_overwrites_and_unlinks(void **state)
{
        struct scratch *s = *state;
        char hex[65], data[512];
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        int fd = open(at(s, "key", hex), O_RDONLY | O_CLOEXEC); /* still sees the bytes after unlink */
        assert_true(fd >= 0);
        assert_true(keystore_remove(s->store, hex, NULL));
        ssize_t n = read(fd, data, sizeof data);
        close(fd);
        assert_true(n > 200);
        for (ssize_t i = 0; i < n; i++)
                assert_int_equal(data[i], 0);
        assert_false(keystore_has(s->store, hex));
        assert_true(keystore_remove(s->store, hex, NULL)); /* again is success */
}

/* The two moments of a crash in keystore_put: before and after the link. */
static void leftovers_of_a_crash_go_without_harm(void **state)
{
        struct scratch *s = *state;
        struct key *read = NULL;
        char hex[65], temporary[128];
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        snprintf(temporary, sizeof temporary, "%s/keys/.new-0123456789abcdef", s->state);
        assert_int_equal(link(at(s, "key", hex), temporary), 0);
        reopen(s);
        assert_int_not_equal(access(temporary, F_OK), 0);
        assert_true(keystore_get(s->store, hex, &read, NULL)); /* not shredded through its second name */
        key_free(read);
        assert_true(file_write_atomic(temporary, 0600, (uid_t)-1, (gid_t)-1, "half a key", 10, NULL));
        int fd = open(temporary, O_RDONLY | O_CLOEXEC);
        char data[16] = "";
        reopen(s);
        assert_int_not_equal(access(temporary, F_OK), 0);
        assert_int_equal(pread(fd, data, 10, 0), 10);
        assert_memory_equal(data, "\0\0\0\0\0\0\0\0\0\0", 10);
        close(fd);
}

static void wrong_modes_and_owners_are_refused_with_the_command(void **state)
{
        struct scratch *s = *state;
        char hex[65], path[160], fix[200];
        assert_true(keystore_put(s->store, s->key, hex, NULL));
        assert_true(compromised_add(s->store, H1, NULL));
        const struct {
                const char *name;
                mode_t bad, good;
                const char *command;
        } row[] = {
                { "", 0777, 0700, "chmod go-w" },
                { "", 0720, 0750, "chmod go-w" },
                { "/keys", 0750, 0700, "chmod 0700" },
                { "/keys", 0701, 0700, "chmod 0700" },
                { "key", 0640, 0600, "chmod 0600" },
                { "key", 0604, 0400, "chmod 0600" },
                { "/compromised", 0622, 0644, "chmod go-w" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                if (row[i].name[0] == 'k')
                        snprintf(path, sizeof path, "%s/keys/%s.pem", s->state, hex);
                else
                        snprintf(path, sizeof path, "%s%s", s->state, row[i].name);
                assert_int_equal(chmod(path, row[i].bad), 0);
                snprintf(fix, sizeof fix, "%s %s", row[i].command, path);
                refused(s, "keys.mode", path, fix);
                assert_int_equal(chmod(path, row[i].good), 0);
                reopen(s);
                if (geteuid() != 0)
                        continue;
                assert_int_equal(chown(path, 4711, (gid_t)-1), 0);
                snprintf(fix, sizeof fix, "chown 0 %s", path);
                refused(s, "keys.owner", path, fix);
                assert_int_equal(chown(path, 0, (gid_t)-1), 0);
        }
}

static void a_symlink_or_fifo_in_place_of_a_key_is_refused(void **state)
{
        struct scratch *s = *state;
        struct key *k = NULL;
        struct err e = { 0 };
        char hex[65];
        assert_int_equal(symlink("/dev/zero", at(s, "key", s->hex)), 0);
        refused(s, "keys.kind", s->path, "move it away");
        assert_false(keystore_get(s->store, s->hex, &k, &e));
        assert_false(keystore_put(s->store, s->key, hex, &e));
        assert_int_equal(unlink(s->path), 0);
        assert_int_equal(mkfifo(s->path, 0600), 0);
        refused(s, "keys.kind", s->path, "move it away");
        assert_false(keystore_get(s->store, s->hex, &k, &e));
        assert_string_equal(e.code, "keys.kind");
}

static void a_state_directory_that_is_not_there_is_named(void **state)
{
        struct keystore *k = NULL;
        struct err e = { 0 };
        (void)state;
        assert_false(keystore_open(&k, "/nonexistent-dcvd", &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_non_null(strstr(e.text, "/nonexistent-dcvd"));
}

static void a_compromised_key_stays_so_over_restarts(void **state)
{
        struct scratch *s = *state;
        struct texts list = { 0 };
        struct err e = { 0 };
        assert_false(compromised_has(s->store, H1));
        assert_true(compromised_add(s->store, H1, NULL));
        assert_true(compromised_add(s->store, H1, NULL));
        assert_true(compromised_add(s->store, H2, NULL));
        assert_true(compromised_has(s->store, H1));
        reopen(s);
        assert_true(compromised_has(s->store, H1) && compromised_has(s->store, H2));
        assert_true(compromised_list(s->store, &list, NULL));
        assert_int_equal(list.count, 2);
        texts_done(&list);
        assert_false(compromised_add(s->store, "short", &e));
        assert_int_equal(e.kind, ERR_BUG);
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        assert_true(file_read(at(s, "", "compromised"), 4096, &text, &len, NULL));
        assert_string_equal(text, H1 "\n" H2 "\n");
}

static void a_torn_line_is_skipped_and_does_not_eat_the_next(void **state)
{
        struct scratch *s = *state;
        static const char torn[] = H1 "\n2222";
        assert_true(
                file_write_atomic(at(s, "", "compromised"), 0600, (uid_t)-1, (gid_t)-1, torn, sizeof torn - 1, NULL));
        reopen(s);
        assert_true(compromised_has(s->store, H1));
        assert_true(compromised_add(s->store, H2, NULL));
        reopen(s);
        assert_true(compromised_has(s->store, H1) && compromised_has(s->store, H2));
        struct texts list = { 0 };
        assert_true(compromised_list(s->store, &list, NULL));
        assert_int_equal(list.count, 2);
        texts_done(&list);
}

static void a_whole_last_line_without_its_end_counts(void **state)
{
        struct scratch *s = *state;
        assert_true(file_write_atomic(at(s, "", "compromised"), 0600, (uid_t)-1, (gid_t)-1, H1, 64, NULL));
        reopen(s);
        assert_true(compromised_add(s->store, H2, NULL));
        reopen(s);
        assert_true(compromised_has(s->store, H1) && compromised_has(s->store, H2));
}

static void a_damaged_list_is_refused_with_its_line(void **state)
{
        struct scratch *s = *state;
        static const struct {
                const char *data;
                size_t len;
        } row[] = { { H1 "\nhello\n", 71 }, { H1 "\n\0\0\0\n" H2, 133 }, { H1 "\n" H2 "2\n", 131 } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                assert_true(file_write_atomic(
                        at(s, "", "compromised"), 0600, (uid_t)-1, (gid_t)-1, row[i].data, row[i].len, NULL));
                char where[200];
                snprintf(where, sizeof where, "%s:2:", s->path);
                refused(s, "compromised.damaged", where, "restore the file from a backup, or remove that line");
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

/* I1. Also one that was there: whoever made it may have died before its name was. */
static void the_name_of_a_key_is_on_the_disk_before_it_is_told(void **state)
{
        struct scratch *s = *state;
        char hex[65];
        for (int i = 0; i < 2; i++) {
                dir_syncs = 0;
                assert_true(keystore_put(s->store, s->key, hex, NULL));
                assert_int_equal(dir_syncs, 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_key_put_is_private_named_by_its_hash_and_comes_back),
                TEST(a_key_is_given_as_pem),
                TEST(putting_twice_changes_nothing),
                TEST(the_name_of_a_key_is_on_the_disk_before_it_is_told),
                TEST(absent_and_misnamed_keys_are_told_apart),
                TEST(a_damaged_file_is_named_and_never_overwritten),
                TEST(removing_overwrites_and_unlinks),
                TEST(leftovers_of_a_crash_go_without_harm),
                TEST(wrong_modes_and_owners_are_refused_with_the_command),
                TEST(a_symlink_or_fifo_in_place_of_a_key_is_refused),
                TEST(a_state_directory_that_is_not_there_is_named),
                TEST(a_compromised_key_stays_so_over_restarts),
                TEST(a_torn_line_is_skipped_and_does_not_eat_the_next),
                TEST(a_whole_last_line_without_its_end_counts),
                TEST(a_damaged_list_is_refused_with_its_line),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
