/* The sets of a certificate: whole or not there, one live link, what is damaged is named. */
#include "pki/make_cert.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/deploy/sets.h"
#include "base/scratch_dir.h"

struct bed {
        struct scratch_dir *dir;
        struct sets *sets;
        struct made made;
        struct chain chain;
        struct secret key;
};

/* Of STATE/sets: the names of certificates are on the disk. */
static ino_t sets_inode;
static unsigned sets_syncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        struct stat st;
        sets_syncs += fstat(fd, &st) == 0 && st.st_ino == sets_inode;
        return __real_fsync(fd);
}

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        assert_int_equal(scratch_dir_make((void **)&b->dir), 0);
        b->made = make_cert(&(struct cert_spec){ .subject = "www.example.test", .san = "DNS:www.example.test" });
        assert_true(chain_read(b->made.pem, strlen(b->made.pem), NULL, &b->chain, NULL));
        assert_true(key_write_pem(b->made.key, NULL, &b->key, NULL));
        assert_true(sets_open(&b->sets, b->dir->path, NULL));
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        sets_close(b->sets);
        chain_done(&b->chain);
        secret_done(&b->key);
        X509_free(b->made.x);
        free(b->made.pem);
        key_free(b->made.key);
        void *dir = b->dir;
        free(b);
        return scratch_dir_remove(&dir);
}

static unsigned write_set(struct bed *b)
{
        CLEANUP(json_decref_p) json_t *meta = set_meta_new(&b->chain, "issued", false, T0);
        struct err e = { 0 };
        unsigned number = 0;
        if (!sets_write(b->sets, "www", &b->chain, &b->key, meta, &number, &e))
                fail_msg("%s", e.text);
        return number;
}

static void what_is_written_is_read_back(void **state)
{
        struct bed *b = *state;
        struct set set = { 0 };
        struct err e;
        assert_int_equal(write_set(b), 1);
        assert_true(sets_read(b->sets, "www", 1, SET_WHOLE, &set, &e));
        assert_string_equal(set.chain.fullchain_pem, b->chain.fullchain_pem);
        assert_int_equal(set.key_pem.len, b->key.len);
        assert_memory_equal(set.key_pem.data, b->key.data, b->key.len);
        assert_string_equal(json_str(set.meta, "sha256"), b->chain.leaf.sha256);
        assert_false(json_bool(set.meta, "good", true));
        set_done(&set);
}

/* Who marks a set as good and who notes its revocation have read it at different times. */
static void a_change_of_the_meta_keeps_the_other_members(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *good = json_pack("{s:b}", "good", 1);
        CLEANUP(json_decref_p) json_t *revoked = json_pack("{s:i}", "revoked", 5);
        json_t *meta = NULL;
        struct err e;
        (void)write_set(b);
        assert_true(sets_change_meta(b->sets, "www", 1, good, &e));
        assert_true(sets_change_meta(b->sets, "www", 1, revoked, &e));
        assert_true(sets_read_meta(b->sets, "www", 1, &meta, &e));
        assert_true(json_bool(meta, "good", false));
        assert_int_equal(json_i64(meta, "revoked", 0), 5);
        assert_string_equal(json_str(meta, "sha256"), b->chain.leaf.sha256);
        json_decref(meta);
        assert_false(sets_change_meta(b->sets, "www", 2, good, &e));
        assert_string_equal(e.code, "set.absent");
        scratch_file(b->dir, "sets/www/1/meta.json", 0600, "{");
        assert_false(sets_change_meta(b->sets, "www", 1, good, &e));
        assert_non_null(strstr(e.text, "set 1 of www"));
}

/* On which disk room is to be made, say. */
static void what_cannot_be_written_is_told_with_the_state_directory(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *meta = json_object();
        unsigned number;
        struct err e;
        (void)write_set(b);
        scratch_file(b->dir, "sets/two", 0600, "in the way");
        assert_false(sets_write(b->sets, "two", &b->chain, &b->key, meta, &number, &e));
        assert_true(text_starts(e.text, b->dir->path));
        assert_int_equal(mkdir(scratch_path(b->dir, "live/www"), 0700), 0);
        assert_false(sets_switch(b->sets, "www", 1, &e));
        assert_true(text_starts(e.text, b->dir->path));
        const struct rlimit none = { 0, RLIM_INFINITY };
        struct rlimit before;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
        bool written = sets_write(b->sets, "www", &b->chain, &b->key, meta, &number, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_false(written);
        assert_true(text_starts(e.text, b->dir->path));
        assert_non_null(strstr(e.text, ": set 2 of www: "));
}

static void a_leaf_is_read_without_its_chain_and_key(void **state)
{
        struct bed *b = *state;
        CLEANUP(free_p) uint8_t *der = NULL, *none = NULL;
        CLEANUP(json_decref_p) json_t *meta = NULL, *no_meta = NULL;
        size_t len = 0;
        struct err e;
        (void)write_set(b);
        assert_int_equal(unlink(scratch_path(b->dir, "sets/www/1/fullchain.pem")), 0);
        assert_int_equal(unlink(scratch_path(b->dir, "sets/www/1/privkey.pem")), 0);
        assert_true(sets_read_leaf(b->sets, "www", 1, &der, &len, &meta, &e));
        assert_int_equal(len, b->chain.leaf_der_len);
        assert_memory_equal(der, b->chain.leaf_der, len);
        assert_string_equal(json_str(meta, "sha256"), b->chain.leaf.sha256);
        assert_false(sets_read_leaf(b->sets, "www", 2, &none, &len, &no_meta, &e));
        assert_string_equal(e.code, "set.absent");
        scratch_file(b->dir, "sets/www/1/cert.pem", 0600, "nothing");
        assert_false(sets_read_leaf(b->sets, "www", 1, &none, &len, &no_meta, &e));
        assert_string_equal(e.code, "set.damaged");
        assert_non_null(strstr(e.text, "set 1 of www"));
        assert_null(none);
        assert_null(no_meta);
}

static void a_key_held_elsewhere_makes_a_set_without_one(void **state)
{
        struct bed *b = *state;
        struct set set = { 0 };
        struct err e;
        secret_done(&b->key);
        assert_int_equal(write_set(b), 1);
        assert_true(sets_read(b->sets, "www", 1, SET_WHOLE, &set, &e));
        assert_int_equal(set.key_pem.len, 0);
        assert_int_equal(access(scratch_path(b->dir, "sets/www/1/privkey.pem"), F_OK), -1);
        set_done(&set);
}

static void only_the_parts_that_are_named_are_read(void **state)
{
        struct bed *b = *state;
        struct err e;
        assert_int_equal(write_set(b), 1);
        for (unsigned parts = 0; parts <= SET_WHOLE; parts++) {
                struct set set = { 0 };
                assert_true(sets_read(b->sets, "www", 1, parts, &set, &e));
                assert_string_equal(set.chain.fullchain_pem, b->chain.fullchain_pem);
                assert_int_equal(set.number, 1);
                assert_int_equal(set.key_pem.data != NULL, (parts & SET_KEY) != 0);
                assert_int_equal(set.meta != NULL, (parts & SET_META) != 0);
                set_done(&set);
        }
}

static void numbers_rise_and_are_not_given_twice(void **state)
{
        struct bed *b = *state;
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        for (unsigned i = 1; i <= 11; i++)
                assert_int_equal(write_set(b), i);
        assert_true(sets_remove(b->sets, "www", 3, &e));
        assert_int_equal(write_set(b), 12);
        assert_true(sets_list(b->sets, "www", &number, &count, &e));
        assert_int_equal(count, 11);
        assert_int_equal(number[2], 4);
        assert_int_equal(number[10], 12); /* as numbers: not 10 before 2 */
}

static void the_live_set_is_switched_and_never_removed(void **state)
{
        struct bed *b = *state;
        struct err e;
        (void)write_set(b);
        (void)write_set(b);
        assert_int_equal(sets_live(b->sets, "www"), 0);
        assert_true(sets_switch(b->sets, "www", 2, &e));
        assert_int_equal(sets_live(b->sets, "www"), 2);
        assert_false(sets_remove(b->sets, "www", 2, &e));
        assert_int_equal(e.kind, ERR_BUG);
        assert_false(sets_switch(b->sets, "www", 7, &e));
        assert_string_equal(e.code, "set.absent");
        assert_int_equal(sets_live(b->sets, "www"), 2);
        assert_true(sets_forget(b->sets, "www", &e));
        assert_int_equal(sets_live(b->sets, "www"), 0);
        assert_int_equal(access(scratch_path(b->dir, "sets/www"), F_OK), -1);
}

static void half_written_sets_are_swept_at_start(void **state)
{
        struct bed *b = *state;
        struct err e;
        (void)write_set(b);
        assert_int_equal(mkdirat(b->dir->fd, "sets/www/.new", 0700), 0);
        scratch_file(b->dir, "sets/www/.new/cert.pem", 0600, "half");
        sets_close(b->sets);
        b->sets = NULL;
        assert_true(sets_open(&b->sets, b->dir->path, &e));
        assert_int_equal(access(scratch_path(b->dir, "sets/www/.new"), F_OK), -1);
        assert_int_equal(write_set(b), 2);
}

static void a_damaged_set_is_named(void **state)
{
        static const struct {
                const char *file, *text; /* text NULL: removed; "" keeps its first half */
                unsigned part; /* whoever does not read it does not see the damage; 0: the chain, which everybody reads
                                */
        } row[] = {
                { "fullchain.pem", NULL, 0 },
                { "fullchain.pem", "", 0 },
                { "fullchain.pem", "nothing of the kind\n", 0 },
                { "privkey.pem", "", SET_KEY },
                { "privkey.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", SET_KEY },
                { "meta.json", NULL, SET_META },
                { "meta.json", "", SET_META },
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct set set = { 0 };
                struct stat st;
                struct err e = { 0 };
                char path[64], want[32];
                unsigned n = write_set(b);
                assert_true(sets_read(b->sets, "www", n, SET_WHOLE, &set, &e)); /* what was good once is judged again */
                set_done(&set);
                snprintf(path, sizeof path, "sets/www/%u/%s", n, row[i].file);
                snprintf(want, sizeof want, "set %u of www", n);
                if (!row[i].text) {
                        assert_int_equal(unlinkat(b->dir->fd, path, 0), 0);
                } else if (row[i].text[0]) {
                        scratch_file(b->dir, path, 0600, row[i].text);
                } else {
                        assert_int_equal(fstatat(b->dir->fd, path, &st, 0), 0);
                        assert_int_equal(truncate(scratch_path(b->dir, path), st.st_size / 2), 0);
                }
                assert_false(sets_read(b->sets, "www", n, SET_WHOLE, &set, &e));
                assert_non_null(strstr(e.text, want));
                assert_null(set.meta);
                for (unsigned parts = 0; parts < SET_WHOLE; parts++) {
                        assert_int_equal(
                                sets_read(b->sets, "www", n, parts, &set, &e), !(parts & row[i].part) && row[i].part);
                        if (!row[i].part || parts & row[i].part)
                                assert_non_null(strstr(e.text, want));
                        set_done(&set);
                }
        }
}

static void a_key_of_another_certificate_is_damage(void **state)
{
        struct bed *b = *state;
        struct set set = { 0 };
        struct key *other = NULL;
        struct secret pem = { 0 };
        struct err e;
        (void)write_set(b);
        assert_true(sets_read(b->sets, "www", 1, SET_WHOLE, &set, &e));
        set_done(&set);
        assert_true(key_generate(KEY_EC_P256, &other, &e) && key_write_pem(other, NULL, &pem, &e));
        key_free(other);
        CLEANUP(free_p) char *text = text_dup_n((const char *)pem.data, pem.len);
        secret_done(&pem);
        scratch_file(b->dir, "sets/www/1/privkey.pem", 0600, text);
        for (int i = 0; i < 2; i++) {
                assert_false(sets_read(b->sets, "www", 1, SET_WHOLE, &set, &e));
                assert_string_equal(e.code, "set.damaged");
                assert_non_null(strstr(e.text, "set 1 of www"));
        }
}

/* A chain that was read before is the same one, in memory of its own, whole, for more sets than are remembered. */
static void a_set_read_again_is_the_same(void **state)
{
        struct bed *b = *state;
        struct set first = { 0 }, again = { 0 };
        struct err e;
        for (unsigned i = 0; i < 20; i++) {
                struct made made = make_cert(&(struct cert_spec){ .subject = "www.example.test",
                        .key_of = &b->made,
                        .san = "DNS:www.example.test,DNS:b.example.test" });
                chain_done(&b->chain);
                assert_true(chain_read(made.pem, strlen(made.pem), NULL, &b->chain, NULL));
                X509_free(made.x);
                free(made.pem);
                key_free(made.key);
                assert_int_equal(write_set(b), i + 1);
                for (unsigned k = 0; k < 2; k++) {
                        assert_true(sets_read(b->sets, "www", i + 1, SET_WHOLE, &first, &e));
                        assert_true(sets_read(b->sets, "www", i / 2 + 1, SET_WHOLE, &again, &e));
                        assert_string_equal(first.chain.fullchain_pem, b->chain.fullchain_pem);
                        set_done(&first);
                        assert_string_equal(again.chain.leaf.sha256, json_str(again.meta, "sha256"));
                        assert_string_equal(again.chain.leaf.spki_hex, json_str(again.meta, "spki"));
                        set_done(&again);
                }
        }
        assert_true(sets_read(b->sets, "www", 20, SET_WHOLE, &again, &e));
        const struct chain *is = &again.chain, *was = &b->chain;
        assert_string_equal(is->cert_pem, was->cert_pem);
        assert_string_equal(is->chain_pem, was->chain_pem);
        assert_int_equal(is->count, was->count);
        assert_int_equal(is->leaf_der_len, was->leaf_der_len);
        assert_memory_equal(is->leaf_der, was->leaf_der, was->leaf_der_len);
        assert_string_equal(is->leaf.serial_hex, was->leaf.serial_hex);
        assert_string_equal(is->leaf.subject, was->leaf.subject);
        assert_string_equal(is->leaf.issuer, was->leaf.issuer);
        assert_true(names_same(&is->leaf.names, &was->leaf.names));
        assert_int_equal(is->leaf.not_after_s, was->leaf.not_after_s);
        assert_int_equal(is->leaf.key_type, was->leaf.key_type);
        set_done(&again);
}

static void names_cannot_leave_their_place(void **state)
{
        static const char *const names[] = { "..", "../live", "a/b", "", ".new" };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                CLEANUP(free_p) unsigned *number = NULL;
                size_t count = 0;
                struct set set;
                struct err e;
                assert_false(sets_list(b->sets, names[i], &number, &count, &e));
                assert_false(sets_read(b->sets, names[i], 1, SET_WHOLE, &set, &e));
                assert_false(sets_switch(b->sets, names[i], 1, &e));
                assert_false(sets_forget(b->sets, names[i], &e));
                assert_int_equal(sets_live(b->sets, names[i]), 0);
        }
}

static void the_directory_of_a_certificate_is_synced_before_its_first_set(void **state)
{
        struct bed *b = *state;
        struct stat st;
        CLEANUP(free_p) char *path = text_format("%s/sets", b->dir->path);
        assert_int_equal(stat(path, &st), 0);
        sets_inode = st.st_ino;
        sets_syncs = 0;
        (void)write_set(b);
        assert_int_equal(sets_syncs, 1);
        (void)write_set(b);
        assert_int_equal(sets_syncs, 1);
}

#define BED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                BED(what_is_written_is_read_back),
                BED(a_change_of_the_meta_keeps_the_other_members),
                BED(the_directory_of_a_certificate_is_synced_before_its_first_set),
                BED(what_cannot_be_written_is_told_with_the_state_directory),
                BED(a_leaf_is_read_without_its_chain_and_key),
                BED(a_key_held_elsewhere_makes_a_set_without_one),
                BED(only_the_parts_that_are_named_are_read),
                BED(numbers_rise_and_are_not_given_twice),
                BED(the_live_set_is_switched_and_never_removed),
                BED(half_written_sets_are_swept_at_start),
                BED(a_damaged_set_is_named),
                BED(a_key_of_another_certificate_is_damage),
                BED(a_set_read_again_is_the_same),
                BED(names_cannot_leave_their_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
