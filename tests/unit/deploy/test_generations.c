/* A target directory: what was there is kept, the live link leads to one whole generation, everything goes back. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/generations.h"
#include "base/scratch_dir.h"

#define SWITCHES 300

/* Of the target directory itself. */
static ino_t synced_inode;
static unsigned syncs;

/* What a kill between two steps would leave: the names of one generation, or no name at all. */
static const char *watched;
static unsigned looks;
static void look_on(const char *directory);

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        struct stat st;
        syncs += fstat(fd, &st) == 0 && st.st_ino == synced_inode;
        if (watched)
                look_on(watched);
        return __real_fsync(fd);
}

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
        int r = __real_renameat(from_fd, from, to_fd, to);
        if (watched)
                look_on(watched);
        return r;
}

/* A helper without root's rights. */
static bool may_not_give;

int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
        if (!may_not_give)
                return __real_fchown(fd, uid, gid);
        errno = EPERM;
        return -1;
}

struct bed {
        struct scratch_dir *dir;
        char directory[300], elsewhere[300], uid[16], gid[16];
        struct conf_file file[2];
        struct conf_link link[1];
        struct conf_target target;
};

static void set_up(struct bed *b, struct scratch_dir *s)
{
        *b = (struct bed){ .dir = s };
        snprintf(b->directory, sizeof b->directory, "%s", scratch_path(s, "tls"));
        snprintf(b->elsewhere, sizeof b->elsewhere, "%s", scratch_path(s, "site.crt"));
        snprintf(b->uid, sizeof b->uid, "%u", (unsigned)geteuid());
        snprintf(b->gid, sizeof b->gid, "%u", (unsigned)getegid());
        b->file[0] = (struct conf_file){ (char *)"cert.pem", FORM_CERT };
        b->file[1] = (struct conf_file){ (char *)"key.pem", FORM_KEY };
        b->link[0] = (struct conf_link){ b->elsewhere, (char *)"cert.pem" };
        b->target = (struct conf_target){ .directory = b->directory,
                .owner = b->uid,
                .group = b->gid,
                .mode = 0640,
                .file = b->file,
                .file_count = 2 };
}

static const char *text_of(const char *directory, const char *name)
{
        static char text[4][64];
        static unsigned turn;
        char path[600], *t = text[turn++ % 4];
        snprintf(path, sizeof path, "%s/%s", directory, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, t, sizeof text[0] - 1) : -1;
        close_p(&fd);
        if (n < 0)
                return "";
        t[n] = '\0';
        return t;
}

static bool exists(const char *directory, const char *name)
{
        char path[600];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", directory, name);
        return lstat(path, &st) == 0;
}

static void look_on(const char *directory)
{
        const char *cert = text_of(directory, "cert.pem"), *key = text_of(directory, "key.pem");
        bool nothing = !exists(directory, "cert.pem") && !exists(directory, "key.pem");
        looks++;
        if (!nothing && (!cert[0] || strcmp(cert, key) != 0))
                fail_msg("cert.pem is of \"%s\", key.pem of \"%s\"", cert, key);
}

static void put(const char *directory, const char *name, const char *text, mode_t mode)
{
        char path[600];
        snprintf(path, sizeof path, "%s/%s", directory, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        assert_int_equal(fchmod(fd, mode), 0);
        close_p(&fd);
}

static void open_it(struct bed *b, struct generations *g)
{
        struct err e = { 0 };
        if (!generations_open(g, &b->target, true, &e))
                fail_msg("%s", e.text);
}

/* The number that it got; 0: none. */
static unsigned write_one(struct generations *g, unsigned n, const char *text, struct err *e)
{
        struct generation_file file[2] = { { .name = "cert.pem", .mode = 0644 }, { .name = "key.pem", .mode = 0640 } };
        for (size_t i = 0; i < 2; i++)
                assert_true(secret_set(&file[i].content, text, strlen(text), NULL));
        bool good = generations_write(g, &n, file, 2, e);
        for (size_t i = 0; i < 2; i++)
                secret_done(&file[i].content);
        return good ? n : 0;
}

static void install(struct generations *g, unsigned n, const char *text)
{
        struct err e = { 0 };
        if (write_one(g, n, text, &e) != n || !generations_switch(g, n, &e))
                fail_msg("%s", e.text);
}

static mode_t mode_of(const char *directory, const char *name)
{
        char path[600];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 07777;
}

/* ---- installing and going back ---- */

static void into_an_empty_place_and_out_again(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        open_it(&b, &g);
        assert_int_equal(generations_live(&g), GENERATION_NONE);
        watched = b.directory;
        install(&g, 1, "one");
        assert_int_equal(generations_live(&g), 1);
        assert_string_equal(text_of(b.directory, "cert.pem"), "one");
        assert_string_equal(text_of(b.directory, "key.pem"), "one");
        assert_int_equal(mode_of(b.directory, "cert.pem"), 0644);
        assert_int_equal(mode_of(b.directory, "key.pem"), 0640);
        install(&g, 2, "two");
        watched = NULL;
        assert_false(exists(b.directory, ".dcvd/0")); /* nothing was there, and a key of ours is not kept for good */
        assert_true(generations_restore(&g, GENERATION_NONE, &e));
        assert_false(exists(b.directory, "cert.pem") || exists(b.directory, "key.pem"));
        assert_int_equal(generations_live(&g), GENERATION_NONE);
        install(&g, 3, "three");
        assert_string_equal(text_of(b.directory, "cert.pem"), "three");
        generations_close(&g);
}

static void what_was_there_is_generation_zero(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        assert_int_equal(mkdir(b.directory, 0755), 0);
        put(b.directory, "cert.pem", "old", 0604);
        put(b.directory, "key.pem", "old", 0400);
        put(b.directory, "other.pem", "mine", 0644);
        open_it(&b, &g);
        assert_int_equal(generations_live(&g), 0);
        watched = b.directory;
        looks = 0;
        install(&g, 1, "one"); /* what is read is whole at each step: look_on() */
        watched = NULL;
        assert_true(looks > 10);
        assert_string_equal(text_of(b.directory, "key.pem"), "one");
        assert_true(generations_restore(&g, 0, &e));
        assert_string_equal(text_of(b.directory, "cert.pem"), "old");
        assert_int_equal(mode_of(b.directory, "cert.pem"), 0604);
        assert_int_equal(mode_of(b.directory, "key.pem"), 0400);
        assert_string_equal(text_of(b.directory, "other.pem"), "mine");
        install(&g, 2, "two"); /* zero is kept once: the first that was there */
        assert_true(generations_restore(&g, 0, &e));
        assert_string_equal(text_of(b.directory, "cert.pem"), "old");
        generations_close(&g);
}

/* By somebody, in the place of a link of ours: a file, or a link of his. */
static void what_came_later_is_kept_too(void **state)
{
        for (int link = 0; link < 2; link++) {
                struct scratch_dir *s = NULL;
                struct bed b;
                struct generations g;
                char path[400];
                assert_int_equal(scratch_dir_make((void **)&s), 0);
                set_up(&b, s);
                open_it(&b, &g);
                install(&g, 1, "one");
                snprintf(path, sizeof path, "%s/cert.pem", b.directory);
                assert_int_equal(unlink(path), 0);
                put(b.directory, link ? "his.pem" : "cert.pem", "his", 0644);
                assert_true(!link || symlink("his.pem", path) == 0);
                generations_close(&g);
                open_it(&b, &g);
                assert_int_equal(generations_live(&g), 1);
                install(&g, 2, "two");
                assert_string_equal(text_of(b.directory, "cert.pem"), "two");
                assert_string_equal(text_of(b.directory, ".dcvd/0/cert.pem"), "his");
                assert_false(exists(b.directory, ".dcvd/0/key.pem")); /* was ours */
                generations_close(&g);
                assert_int_equal(scratch_dir_remove((void **)&s), 0);
        }
        (void)state;
}

static void links_of_ours_that_lead_nowhere_are_nothing(void **state)
{
        struct bed b;
        struct generations g;
        set_up(&b, *state);
        open_it(&b, &g);
        install(&g, 1, "one");
        generations_close(&g);
        CLEANUP(free_p) char *live = text_format("%s/.dcvd/live", b.directory);
        assert_int_equal(unlink(live), 0);
        assert_int_equal(symlink("nonsense", live), 0);
        for (int i = 0; i < 2; i++) {
                open_it(&b, &g);
                assert_int_equal(generations_live(&g), GENERATION_NONE);
                install(&g, 2, "two");
                assert_int_equal(generations_live(&g), 2);
                assert_string_equal(text_of(b.directory, "cert.pem"), "two");
                generations_close(&g);
                assert_int_equal(unlink(live), 0); /* the second time it is gone altogether */
        }
}

static void a_fixed_path_elsewhere_is_kept_and_comes_back(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        b.target.link = b.link;
        b.target.link_count = 1;
        const char *place = scratch_path(b.dir, ".");
        CLEANUP(free_p) char *home = text_dup(place);
        put(home, "site.crt", "before", 0644);
        open_it(&b, &g);
        install(&g, 1, "one");
        assert_string_equal(text_of(home, "site.crt"), "one");
        assert_string_equal(text_of(home, "site.crt.dcvd-orig"), "before");
        install(&g, 2, "two");
        assert_string_equal(text_of(home, "site.crt"), "two");
        assert_string_equal(text_of(home, "site.crt.dcvd-orig"), "before");
        assert_true(generations_restore(&g, 1, &e));
        assert_string_equal(text_of(home, "site.crt"), "one");
        assert_true(generations_restore(&g, GENERATION_NONE, &e));
        assert_string_equal(text_of(home, "site.crt"), "before");
        assert_false(exists(home, "site.crt.dcvd-orig"));
        generations_close(&g);
}

/* A folder of certificates is read whole: certificate and key in one file, or NAME with NAME.key; hidden files are not.
 */
static void what_haproxy_would_read_from_a_folder_is_kept_hidden(void **state)
{
        static const struct {
                enum conf_form form; /* of what the path leads to */
                const char *other; /* a second path; NULL: none */
                bool hidden;
        } row[] = {
                { FORM_CERT, NULL, false },
                { FORM_COMBINED, NULL, true },
                { FORM_CERT, "site.crt.key", true },
                { FORM_CERT, "site.key", false },
                { FORM_CERT, "site.crt.key.old", false },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct bed b;
                struct generations g;
                struct err e;
                char name[16], other[300] = "";
                set_up(&b, *state);
                CLEANUP(free_p) char *home = text_dup(scratch_path(b.dir, "."));
                if (row[i].other)
                        snprintf(other, sizeof other, "%s", scratch_path(b.dir, row[i].other));
                struct conf_link link[] = { b.link[0], { other, (char *)"key.pem" } };
                snprintf(name, sizeof name, "%zu", i);
                b.file[0].form = row[i].form;
                b.target.link = link;
                b.target.link_count = row[i].other ? 2 : 1;
                put(home, "site.crt", name, 0644);
                open_it(&b, &g);
                install(&g, (unsigned)i + 1, "new");
                if (strcmp(text_of(home, ".site.crt.dcvd-orig"), row[i].hidden ? name : "") != 0 ||
                        strcmp(text_of(home, "site.crt.dcvd-orig"), row[i].hidden ? "" : name) != 0)
                        fail_msg("row %zu", i);
                b.file[0].form = row[i].hidden ? FORM_CERT : FORM_COMBINED; /* the configuration changed meanwhile */
                b.target.link_count = 1;
                assert_true(generations_restore(&g, GENERATION_NONE, &e));
                assert_string_equal(text_of(home, "site.crt"), name);
                generations_close(&g);
                if (row[i].other)
                        assert_int_equal(unlink(other), 0);
        }
}

static void a_generation_that_is_gone_cannot_be_restored(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        open_it(&b, &g);
        install(&g, 1, "one");
        assert_false(generations_restore(&g, 7, &e));
        assert_string_equal(e.code, "target.absent");
        assert_string_equal(text_of(b.directory, "cert.pem"), "one");
        generations_close(&g);
}

/* ---- writing ---- */

static void a_generation_is_written_once(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        open_it(&b, &g);
        install(&g, 3, "three");
        assert_int_equal(write_one(&g, 3, "three", &e), 3); /* a repeated request */
        assert_int_equal(write_one(&g, 3, "other", &e), 4); /* what is there is never overwritten */
        assert_int_equal(write_one(&g, 3, "third", &e), 5);
        assert_int_equal(write_one(&g, 2, "two", &e), 2);
        assert_string_equal(text_of(b.directory, ".dcvd/3/key.pem"), "three");
        assert_string_equal(text_of(b.directory, ".dcvd/4/key.pem"), "other");
        put(b.directory, ".dcvd/7", "a file of somebody", 0644);
        assert_int_equal(write_one(&g, 7, "seven", &e), 8);
        generations_close(&g);
}

/* dcvctl deploy after owner, group or mode was changed. */
static void what_others_may_read_is_not_the_same(void **state)
{
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        open_it(&b, &g);
        install(&g, 1, "one");
        CLEANUP(free_p) char *key = text_format("%s/.dcvd/1/key.pem", b.directory);
        assert_int_equal(chmod(key, 0644), 0); /* by whoever */
        assert_int_equal(write_one(&g, 1, "one", &e), 2);
        assert_int_equal(mode_of(b.directory, ".dcvd/2/key.pem"), 0640);
        assert_int_equal(chmod(key, 0640), 0);
        assert_int_equal(write_one(&g, 1, "one", &e), 1);
        assert_int_equal(unlink(key), 0);
        assert_int_equal(symlink("../2/key.pem", key), 0);
        assert_int_equal(write_one(&g, 1, "one", &e), 3);
        generations_close(&g);
        if (geteuid() != 0)
                skip(); /* only root can give a file away */
        for (int i = 0; i < 2; i++) {
                b.target.owner = (char *)(i ? "12345" : "0");
                b.target.group = (char *)(i ? "0" : "23456");
                open_it(&b, &g);
                assert_int_equal(write_one(&g, 2, "one", &e), 4 + i);
                assert_int_equal(write_one(&g, 4 + (unsigned)i, "one", &e), 4 + i);
                generations_close(&g);
        }
}

static void the_files_are_whose_they_are_configured_to_be(void **state)
{
        static const char *const files[] = { ".dcvd/1/cert.pem", ".dcvd/1/key.pem" };
        struct bed b;
        struct generations g;
        struct err e;
        struct stat st;
        set_up(&b, *state);
        b.target.owner = (char *)"12345";
        b.target.group = (char *)"23456";
        open_it(&b, &g);
        may_not_give = true;
        assert_int_equal(write_one(&g, 1, "one", &e), 0);
        may_not_give = false;
        assert_non_null(strstr(e.text, "/tls, of 12345:23456: giving cert.pem to"));
        assert_non_null(strstr(e.fix, "set owner and group of the target to those it runs as"));
        assert_false(exists(b.directory, ".dcvd/1"));
        if (geteuid() == 0) { /* only root can give a file away */
                install(&g, 1, "one");
                for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                        CLEANUP(free_p) char *path = text_format("%s/%s", b.directory, files[i]);
                        assert_int_equal(stat(path, &st), 0);
                        assert_true(st.st_uid == 12345 && st.st_gid == 23456);
                        assert_int_equal(st.st_mode, S_IFREG | (i ? 0640 : 0644));
                }
        }
        generations_close(&g);
        b.target.file_count = GENERATION_FILES_MAX + 1;
        assert_false(generations_open(&g, &b.target, true, &e));
        assert_string_equal(e.code, "target.files");
}

static void the_links_of_a_first_installation_are_synced_together(void **state)
{
        struct bed b;
        struct generations g;
        struct stat st;
        set_up(&b, *state);
        open_it(&b, &g);
        assert_int_equal(stat(b.directory, &st), 0);
        synced_inode = st.st_ino;
        syncs = 0;
        install(&g, 1, "1");
        assert_int_equal(syncs, 1);
        install(&g, 2, "2"); /* they are there */
        assert_int_equal(syncs, 1);
        generations_close(&g);
}

static void leftovers_of_a_crash_are_replaced(void **state)
{
        struct bed b;
        struct generations g;
        char home[400];
        set_up(&b, *state);
        snprintf(home, sizeof home, "%s/.dcvd", b.directory);
        assert_int_equal(mkdir(b.directory, 0755), 0);
        put(b.directory, "cert.pem", "old", 0644);
        put(b.directory, "key.pem", "old", 0644);
        assert_int_equal(mkdir(home, 0755), 0);
        for (unsigned n = 0; n < 2; n++) {
                CLEANUP(free_p) char *half = text_format("%s/.%u.new", home, n);
                assert_int_equal(mkdir(half, 0700), 0);
                put(half, "cert.pem", "half", 0600);
                put(half, "more.pem", "half", 0600);
        }
        CLEANUP(free_p) char *live = text_format("%s/.dcvd-live.tmp", home);
        CLEANUP(free_p) char *cert = text_format("%s/.dcvd-cert.pem.tmp", b.directory);
        assert_true(symlink("7", live) == 0 && symlink("half", cert) == 0);
        open_it(&b, &g);
        install(&g, 1, "whole");
        assert_string_equal(text_of(b.directory, "cert.pem"), "whole");
        assert_string_equal(text_of(home, "0/cert.pem"), "old");
        assert_false(exists(home, "1/more.pem") || exists(home, "0/more.pem"));
        assert_int_equal(mode_of(home, "1"), 0755);
        assert_false(exists(home, ".1.new") || exists(home, ".0.new"));
        assert_false(exists(home, ".dcvd-live.tmp") || exists(b.directory, ".dcvd-cert.pem.tmp"));
        generations_close(&g);
}

static void expect_kept(const struct bed *b, const bool *kept, unsigned count)
{
        for (unsigned n = 0; n < count; n++) {
                char name[24];
                snprintf(name, sizeof name, ".dcvd/%u", n);
                if (exists(b->directory, name) != kept[n])
                        fail_msg("generation %u: %s", n, kept[n] ? "gone" : "kept");
        }
}

static void the_newest_the_live_and_zero_are_kept(void **state)
{
        static const bool first[] = { true, false, true, true, true, true },
                          then[] = { true, false, true, false, true, true, true };
        struct bed b;
        struct generations g;
        struct err e;
        set_up(&b, *state);
        assert_int_equal(mkdir(b.directory, 0755), 0);
        put(b.directory, "cert.pem", "old", 0644);
        open_it(&b, &g);
        for (unsigned n = 1; n <= 5; n++) {
                char text[8];
                snprintf(text, sizeof text, "%u", n);
                install(&g, n, text);
        }
        assert_true(generations_restore(&g, 2, &e));
        generations_retire(&g, 3);
        expect_kept(&b, first, ARRAY_LEN(first));
        generations_close(&g);
        open_it(&b, &g);
        install(&g, 6, "6");
        assert_true(generations_restore(&g, 2, &e));
        generations_retire(&g, 3);
        expect_kept(&b, then, ARRAY_LEN(then));
        assert_string_equal(text_of(b.directory, "cert.pem"), "2");
        generations_close(&g);
}

/* ---- what is in the way ---- */

enum obstacle {
        FIFO_AS_FILE,
        DIRECTORY_AS_FILE,
        FILE_AS_TARGET,
        LINK_AS_TARGET,
        FILE_AS_HOME,
        LINK_AS_HOME,
        DIRECTORY_AS_LINK
};

static void place(struct bed *b, enum obstacle o)
{
        char path[400];
        if (o != FILE_AS_TARGET && o != LINK_AS_TARGET)
                assert_int_equal(mkdir(b->directory, 0755), 0);
        snprintf(path, sizeof path, "%s/%s", b->directory,
                o == FILE_AS_HOME || o == LINK_AS_HOME ? ".dcvd" : "cert.pem");
        switch (o) {
        case FIFO_AS_FILE:
                assert_int_equal(mkfifo(path, 0644), 0);
                break;
        case DIRECTORY_AS_FILE:
                assert_int_equal(mkdir(path, 0755), 0);
                break;
        case FILE_AS_TARGET:
                put(scratch_path(b->dir, "."), "tls", "x", 0644);
                break;
        case LINK_AS_TARGET:
                assert_int_equal(symlink("/tmp", b->directory), 0);
                break;
        case FILE_AS_HOME:
                put(b->directory, ".dcvd", "x", 0644);
                break;
        case LINK_AS_HOME:
                assert_int_equal(symlink("/tmp", path), 0);
                break;
        case DIRECTORY_AS_LINK:
                assert_int_equal(mkdir(b->elsewhere, 0755), 0);
                break;
        }
}

static void obstacles_are_named_before_and_never_replaced(void **state)
{
        static const char *const named[] = { "tls/cert.pem", "tls/cert.pem", "/tls", "/tls", "tls/.dcvd", "tls/.dcvd",
                "site.crt" };
        for (size_t i = 0; i < ARRAY_LEN(named); i++) {
                struct scratch_dir *s = NULL;
                struct bed b;
                struct generations g;
                struct err e = { 0 };
                assert_int_equal(scratch_dir_make((void **)&s), 0);
                set_up(&b, s);
                b.target.link = b.link;
                b.target.link_count = 1;
                place(&b, (enum obstacle)i);
                bool ready = generations_open(&g, &b.target, false, &e) && generations_ready(&g, &e);
                generations_close(&g);
                if (ready || !strstr(e.text, named[i]) || !strstr(e.text, "something else is in its place"))
                        fail_msg("obstacle %zu: looking ahead: %s", i, ready ? "nothing seen" : e.text);
                e = (struct err){ 0 };
                bool good = generations_open(&g, &b.target, true, &e) && write_one(&g, 1, "one", &e) &&
                        generations_switch(&g, 1, &e);
                generations_close(&g);
                if (good || !strstr(e.text, named[i]))
                        fail_msg("obstacle %zu: installing: %s", i, good ? "done" : e.text);
                assert_int_equal(scratch_dir_remove((void **)&s), 0);
        }
        (void)state;
}

static bool ready(struct bed *b, struct err *e)
{
        struct generations g;
        *e = (struct err){ 0 };
        bool good = generations_open(&g, &b->target, false, e) && generations_ready(&g, e);
        generations_close(&g);
        return good;
}

static void looking_ahead_changes_nothing_and_finds_what_is_absent(void **state)
{
        struct bed b;
        struct err e;
        set_up(&b, *state);
        assert_true(ready(&b, &e)); /* the directory can be made */
        assert_int_equal(access(b.directory, F_OK), -1);
        b.target.owner = (char *)"no-such-user-here";
        assert_false(ready(&b, &e));
        assert_non_null(strstr(e.text, "there is no user no-such-user-here"));
        assert_non_null(strstr(e.fix, "correct owner of that target in the configuration"));
        b.target.owner = b.uid;
        b.target.link = b.link;
        b.target.link_count = 1;
        snprintf(b.elsewhere, sizeof b.elsewhere, "%s", scratch_path(b.dir, "absent/site.crt"));
        assert_false(ready(&b, &e));
        assert_non_null(strstr(e.fix, "/absent"));
        b.target.link_count = 0;
        snprintf(b.directory, sizeof b.directory, "%s", scratch_path(b.dir, "site.crt/tls/www"));
        scratch_file(b.dir, "site.crt", 0644, "");
        assert_false(ready(&b, &e));
        assert_non_null(strstr(e.text, "/site.crt is not a directory"));
        snprintf(b.directory, sizeof b.directory, "%s", scratch_path(b.dir, "nginx/tls/www"));
        assert_true(ready(&b, &e)); /* the directories above can be made too */
        assert_int_equal(access(scratch_path(b.dir, "nginx"), F_OK), -1);
        struct generations g;
        open_it(&b, &g);
        install(&g, 1, "1");
        assert_string_equal(text_of(b.directory, "cert.pem"), "1");
        generations_close(&g);
}

/* ---- I3 ---- */

struct reader {
        const char *directory;
        atomic_bool stop;
        unsigned long reads, mixed;
};

/* As whoever wants certainty does: opens the live directory once and reads through it. */
static void *read_on(void *arg)
{
        struct reader *r = arg;
        char path[400];
        snprintf(path, sizeof path, "%s/.dcvd/live", r->directory);
        while (!atomic_load(&r->stop)) {
                char text[2][16] = { { 0 } };
                int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                for (size_t i = 0; dir >= 0 && i < 2; i++) {
                        int fd = openat(dir, i ? "key.pem" : "cert.pem", O_RDONLY | O_CLOEXEC);
                        if (fd < 0 || read(fd, text[i], sizeof text[i] - 1) <= 0)
                                text[i][0] = i ? '?' : '!'; /* not there: a mixture too */
                        close_p(&fd);
                }
                r->mixed += dir < 0 || strcmp(text[0], text[1]) != 0;
                r->reads++;
                close_p(&dir);
        }
        return NULL;
}

static void a_reader_never_sees_a_mixture(void **state)
{
        struct bed b;
        struct generations g;
        pthread_t thread;
        set_up(&b, *state);
        open_it(&b, &g);
        install(&g, 1, "1");
        struct reader r = { .directory = b.directory };
        assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
        for (unsigned n = 2; n < SWITCHES; n++) {
                char text[8];
                struct err e;
                snprintf(text, sizeof text, "%u", n);
                install(&g, n, text);
                if (n % 3 == 0)
                        assert_true(generations_restore(&g, n - 1, &e));
        }
        atomic_store(&r.stop, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(r.reads > 0);
        assert_int_equal(r.mixed, 0);
        generations_close(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(into_an_empty_place_and_out_again),
                IN_DIR(what_was_there_is_generation_zero),
                cmocka_unit_test(what_came_later_is_kept_too),
                IN_DIR(links_of_ours_that_lead_nowhere_are_nothing),
                IN_DIR(a_fixed_path_elsewhere_is_kept_and_comes_back),
                IN_DIR(what_haproxy_would_read_from_a_folder_is_kept_hidden),
                IN_DIR(a_generation_that_is_gone_cannot_be_restored),
                IN_DIR(a_generation_is_written_once),
                IN_DIR(what_others_may_read_is_not_the_same),
                IN_DIR(the_files_are_whose_they_are_configured_to_be),
                IN_DIR(the_links_of_a_first_installation_are_synced_together),
                IN_DIR(leftovers_of_a_crash_are_replaced),
                IN_DIR(the_newest_the_live_and_zero_are_kept),
                cmocka_unit_test(obstacles_are_named_before_and_never_replaced),
                IN_DIR(looking_ahead_changes_nothing_and_finds_what_is_absent),
                IN_DIR(a_reader_never_sees_a_mixture),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
