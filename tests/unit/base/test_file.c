#include "scratch_dir.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/buf.h"

/* What a file is like when it changes hands and when it is first written. */
static mode_t mode_at_giving, mode_at_writing;
static unsigned gave;

int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        mode_at_giving = st.st_mode & 07777;
        gave++;
        return __real_fchown(fd, uid, gid);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        mode_at_writing = st.st_mode & 07777;
        return __real_write(fd, data, len);
}

/* The order in which the disk is asked: "w" a file's writing back begins, "s" a file is synced, "d" a directory. */
static char asked[64];
static unsigned fail_sync; /* this one of those that come, from 1; 0: none */

static void note(char what)
{
        size_t n = strlen(asked);
        if (n + 1 < sizeof asked)
                asked[n] = what;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        note(S_ISDIR(st.st_mode) ? 'd' : 's');
        if (fail_sync > 0 && --fail_sync == 0) {
                errno = ENOSPC;
                return -1;
        }
        return __real_fsync(fd);
}

int __real_sync_file_range(int fd, off_t from, off_t len, unsigned flags);
int __wrap_sync_file_range(int fd, off_t from, off_t len, unsigned flags);
int __wrap_sync_file_range(int fd, off_t from, off_t len, unsigned flags)
{
        note('w');
        return __real_sync_file_range(fd, from, len, flags);
}

static void refused_read(struct scratch_dir *d, const char *name, size_t max, enum err_kind kind, const char *code)
{
        char *text = NULL;
        size_t len = 77;
        struct err e = { 0 };
        assert_false(file_read(scratch_path(d, name), max, &text, &len, &e));
        assert_null(text);
        assert_int_equal(len, 77);
        assert_string_equal(e.code, code);
        assert_int_equal(e.kind, kind);
        assert_non_null(strstr(e.text, name));
}

static void holds(struct scratch_dir *d, const char *name, const char *want, mode_t mode)
{
        char *text = NULL;
        size_t len = 0;
        struct stat st;
        assert_true(file_read_at(d->fd, name, 1000, &text, &len, NULL));
        assert_int_equal(len, strlen(want));
        assert_string_equal(text, want);
        free(text);
        assert_int_equal(fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(st.st_mode & 07777, mode);
}

/* Only what the test made is there: no temporary file was left behind. */
static void count_is(struct scratch_dir *d, unsigned want)
{
        char command[128], text[16] = "";
        snprintf(command, sizeof command, "find %s -mindepth 1 -maxdepth 1 | wc -l", d->path);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof text, f));
        pclose(f);
        assert_int_equal(strtoul(text, NULL, 10), want);
}

static void reading_is_bounded(void **state)
{
        struct scratch_dir *d = *state;
        scratch_file(d, "five", 0600, "12345");
        char *text = NULL;
        size_t len = 0;
        assert_true(file_read(scratch_path(d, "five"), 5, &text, &len, NULL));
        assert_int_equal(len, 5);
        assert_string_equal(text, "12345");
        free(text);
        refused_read(d, "five", 4, ERR_CONFIG, "file.size");
        refused_read(d, "none", 4, ERR_CONFIG, "file.absent");
        refused_read(d, "five/below", 4, ERR_CONFIG, "file.read");
        scratch_file(d, "empty", 0600, "");
        assert_true(file_read(scratch_path(d, "empty"), 0, &text, &len, NULL));
        assert_int_equal(len, 0);
        assert_string_equal(text, "");
        free(text);
        assert_int_equal(symlinkat("five", d->fd, "link"), 0);
        assert_true(file_read(scratch_path(d, "link"), 5, &text, &len, NULL));
        free(text);
}

static void only_regular_files_are_read(void **state)
{
        struct scratch_dir *d = *state;
        assert_int_equal(mkfifoat(d->fd, "fifo", 0600), 0); /* must not hang */
        refused_read(d, "fifo", 100, ERR_CONFIG, "file.kind");
        assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
        refused_read(d, "dir", 100, ERR_CONFIG, "file.kind");
        assert_int_equal(symlinkat("/dev/zero", d->fd, "zero"), 0);
        refused_read(d, "zero", 100, ERR_CONFIG, "file.kind");
        assert_int_equal(symlinkat("loop", d->fd, "loop"), 0);
        refused_read(d, "loop", 100, ERR_CONFIG, "file.read");
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s", scratch_path(d, "socket"));
        CLEANUP(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        refused_read(d, "socket", 100, ERR_CONFIG, "file.read");
}

static void creating_never_touches_what_is_there(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        mode_t old = umask(0077);
        assert_true(file_create_at(d->fd, "new", 0644, "abc", 3, &e)); /* exactly this mode, whatever the umask */
        umask(old);
        holds(d, "new", "abc", 0644);
        assert_false(file_create_at(d->fd, "new", 0600, "x", 1, &e));
        assert_string_equal(e.code, "file.exists");
        assert_int_equal(e.kind, ERR_CONFIG);
        holds(d, "new", "abc", 0644);
        assert_int_equal(symlinkat("elsewhere", d->fd, "link"), 0); /* a dangling link must not be written through */
        assert_false(file_create_at(d->fd, "link", 0600, "x", 1, &e));
        assert_string_equal(e.code, "file.exists");
        assert_int_equal(faccessat(d->fd, "elsewhere", F_OK, 0), -1);
        assert_false(file_create_at(d->fd, "none/x", 0600, "x", 1, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
}

static void atomic_writes_replace_the_name_not_the_target(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        scratch_file(d, "precious", 0600, "precious");
        assert_int_equal(symlinkat("precious", d->fd, "name"), 0);
        assert_true(file_write_atomic(scratch_path(d, "name"), 0640, (uid_t)-1, (gid_t)-1, "one", 3, &e));
        holds(d, "name", "one", 0640);
        holds(d, "precious", "precious", 0600);
        assert_true(file_write_atomic_at(d->fd, "name", 0600, (uid_t)-1, (gid_t)-1, "", 0, &e));
        holds(d, "name", "", 0600);
        count_is(d, 2);
        /* A directory in the way: the error is told, nothing is left behind. */
        assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
        assert_false(file_write_atomic(scratch_path(d, "dir"), 0600, (uid_t)-1, (gid_t)-1, "x", 1, &e));
        assert_string_equal(e.code, "file.rename");
        assert_non_null(strstr(e.text, d->path));
        count_is(d, 3);
        assert_false(file_write_atomic(scratch_path(d, "no/file"), 0600, (uid_t)-1, (gid_t)-1, "x", 1, &e));
        assert_string_equal(e.code, "dir.open");
        assert_int_equal(e.kind, ERR_CONFIG);
}

static void owner_is_set_or_nothing_is_written(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct stat st;
        if (geteuid() != 0)
                skip(); /* only root can give a file away */
        assert_true(file_write_atomic(scratch_path(d, "f"), 0640, 12345, 23456, "x", 1, &e));
        assert_int_equal(fstatat(d->fd, "f", &st, 0), 0);
        assert_int_equal(st.st_uid, 12345);
        assert_int_equal(st.st_gid, 23456);
        assert_int_equal(st.st_mode & 07777, 0640);
}

/* Nobody but the owner reads a secret on its way to another owner, and its content comes last. */
static void owner_then_mode_then_content(void **state)
{
        static const struct {
                mode_t mode, at_giving;
        } row[] = { { 0600, 0600 }, { 0640, 0600 }, { 0440, 0600 }, { 0400, 0600 }, { 0660, 0600 }, { 0644, 0644 },
                { 0604, 0604 }, { 0666, 0644 } };
        static const mode_t masks[] = { 0, 0022, 0077, 0777 };
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct stat st;
        for (size_t i = 0; i < ARRAY_LEN(row) * ARRAY_LEN(masks); i++) {
                mode_t mode = row[i / ARRAY_LEN(masks)].mode, mask = masks[i % ARRAY_LEN(masks)], old = umask(mask);
                bool root = geteuid() == 0; /* only root can give a file away */
                mode_at_giving = row[i / ARRAY_LEN(masks)].at_giving & ~mask;
                const struct new_file f = { "f", mode, "x", 1 };
                assert_true(files_create_at(d->fd, &f, 1, root ? 12345 : geteuid(), root ? 23456 : getegid(), &e));
                (void)umask(old);
                assert_int_equal(fstatat(d->fd, "f", &st, 0), 0);
                if ((st.st_mode & 07777) != mode || mode_at_writing != mode ||
                        mode_at_giving != (row[i / ARRAY_LEN(masks)].at_giving & ~mask))
                        fail_msg("%04o, umask %04o: given as %04o, written as %04o, ends as %04o", mode, mask,
                                mode_at_giving, mode_at_writing, st.st_mode & 07777);
                if (root)
                        assert_true(st.st_uid == 12345 && st.st_gid == 23456);
                assert_int_equal(unlinkat(d->fd, "f", 0), 0);
        }
}

/* In a directory with setgid a new file has another group than its writer. */
static void an_owner_is_given_where_it_is_not_there_yet(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct stat st;
        if (geteuid() != 0)
                skip(); /* only root can give a directory away */
        assert_true(files_create_at(d->fd, &(struct new_file){ "usual", 0600, "x", 1 }, 1, 0, getegid(), &e));
        assert_int_equal(fchown(d->fd, 0, 23456), 0);
        assert_int_equal(fchmod(d->fd, 02755), 0);
        gave = 0;
        assert_true(files_create_at(d->fd, &(struct new_file){ "theirs", 0600, "x", 1 }, 1, 0, 23456, &e));
        assert_int_equal(gave, 0);
        assert_true(files_create_at(d->fd, &(struct new_file){ "ours", 0600, "x", 1 }, 1, 0, 0, &e));
        assert_int_equal(fstatat(d->fd, "ours", &st, 0), 0);
        assert_int_equal(st.st_gid, 0);
        assert_true(files_create_at(d->fd, &(struct new_file){ "group", 0600, "x", 1 }, 1, (uid_t)-1, 34567, &e));
        assert_int_equal(fstatat(d->fd, "group", &st, 0), 0);
        assert_true(st.st_uid == 0 && st.st_gid == 34567);
}

static void files_come_together(void **state)
{
        static const struct new_file file[] = { { "a", 0600, "one", 3 }, { "b", 0644, "", 0 },
                { "c", 0640, "three", 5 } };
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        memset(asked, 0, sizeof asked);
        assert_true(files_create_at(d->fd, file, ARRAY_LEN(file), (uid_t)-1, (gid_t)-1, &e));
        assert_string_equal(asked, "wwwsssd"); /* all are on their way before the first is waited for */
        holds(d, "a", "one", 0600);
        holds(d, "b", "", 0644);
        holds(d, "c", "three", 0640);
        assert_true(files_create_at(d->fd, NULL, 0, (uid_t)-1, (gid_t)-1, &e));
}

static void of_files_that_come_together_none_is_left_alone(void **state)
{
        static const struct new_file file[] = { { "a", 0600, "1", 1 }, { "b", 0600, "2", 1 }, { "c", 0600, "3", 1 } };
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        assert_true(file_create_at(d->fd, "c", 0600, "old", 3, &e));
        assert_false(files_create_at(d->fd, file, ARRAY_LEN(file), (uid_t)-1, (gid_t)-1, &e));
        assert_string_equal(e.code, "file.exists");
        assert_non_null(strstr(e.text, "c"));
        holds(d, "c", "old", 0600); /* it was there before */
        count_is(d, 1);
        assert_int_equal(unlinkat(d->fd, "c", 0), 0);
        for (unsigned i = 1; i <= ARRAY_LEN(file) + 1; i++) { /* the last is the directory */
                fail_sync = i;
                assert_false(files_create_at(d->fd, file, ARRAY_LEN(file), (uid_t)-1, (gid_t)-1, &e));
                assert_int_equal(fail_sync, 0);
                assert_string_equal(e.code, "file.sync");
                assert_int_equal(e.kind, ERR_TEMPORARY);
                count_is(d, 0);
        }
        fail_sync = 1;
        assert_false(file_create_at(d->fd, "alone", 0600, "x", 1, &e));
        count_is(d, 0);
        struct new_file many[NEW_FILES_MAX + 1] = { 0 };
        assert_false(files_create_at(d->fd, many, ARRAY_LEN(many), (uid_t)-1, (gid_t)-1, &e));
        assert_int_equal(e.kind, ERR_BUG);
}

static void a_full_disk_is_temporary_and_leaves_nothing(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        if (access("/dev/full", W_OK) != 0)
                skip(); /* a machine without that device */
        assert_int_equal(symlinkat("/dev/full", d->fd, "full"), 0);
        assert_false(file_append_line(scratch_path(d, "full"), 0600, "x", &e)); /* not through a link */
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_false(file_append_line("/dev/full", 0600, "x", &e));
        assert_int_equal(e.kind, ERR_TEMPORARY);
        assert_string_equal(e.code, "file.write");
}

static void appending_keeps_what_was_there(void **state)
{
        struct scratch_dir *d = *state;
        assert_true(file_append_line(scratch_path(d, "list"), 0600, "one", NULL));
        assert_true(file_append_line(scratch_path(d, "list"), 0644, "two", NULL));
        holds(d, "list", "one\ntwo\n", 0600);
}

static void links_switch_in_one_step(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        char target[32] = "";
        assert_true(symlink_switch_at(d->fd, "live", "sets/1", &e));
        assert_true(symlink_switch_at(d->fd, "live", "sets/2", &e));
        assert_int_equal(readlinkat(d->fd, "live", target, sizeof target), 6);
        assert_string_equal(target, "sets/2");
        count_is(d, 1);
        assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
        assert_false(symlink_switch_at(d->fd, "dir", "sets/3", &e));
        assert_string_equal(e.code, "file.link");
        count_is(d, 2);
}

static void what_a_killed_writer_left_goes_with_the_next_write(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        char name[FILE_NAME_SIZE] = "";
        scratch_file(d, ".dcvd-name.tmp", 0600, "half a fi");
        assert_true(file_write_atomic_at(d->fd, "name", 0600, (uid_t)-1, (gid_t)-1, "whole", 5, &e));
        holds(d, "name", "whole", 0600);
        assert_int_equal(symlinkat("sets/1", d->fd, ".dcvd-live.tmp"), 0);
        assert_true(symlink_switch_at(d->fd, "live", "sets/2", &e));
        count_is(d, 2);
        /* Of a directory it says that it is in the way. */
        assert_int_equal(mkdirat(d->fd, ".dcvd-live.tmp", 0700), 0);
        assert_false(symlink_switch_at(d->fd, "live", "sets/3", &e));
        assert_string_equal(e.code, "file.link");
        assert_non_null(strstr(e.text, ".dcvd-live.tmp"));
        assert_int_equal(mkdirat(d->fd, ".dcvd-name.tmp", 0700), 0);
        assert_false(file_write_atomic_at(d->fd, "name", 0600, (uid_t)-1, (gid_t)-1, "new", 3, &e));
        assert_string_equal(e.code, "file.write");
        assert_non_null(strstr(e.text, ".dcvd-name.tmp"));
        holds(d, "name", "whole", 0600);
        assert_int_equal(unlinkat(d->fd, ".dcvd-live.tmp", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(d->fd, ".dcvd-name.tmp", AT_REMOVEDIR), 0);
        /* One byte more than has room for the name of the file beside it. */
        memset(name, 'n', FILE_NAME_SIZE - 10);
        assert_false(file_write_atomic_at(d->fd, name, 0600, (uid_t)-1, (gid_t)-1, "x", 1, &e));
        assert_false(symlink_switch_at(d->fd, name, "x", &e));
        name[FILE_NAME_SIZE - 11] = '\0';
        assert_true(symlink_switch_at(d->fd, name, "x", &e));
        count_is(d, 3);
}

static void directories_are_made_with_their_mode(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct stat st;
        int fd = -1;
        mode_t old = umask(0077);
        assert_true(dir_open(scratch_path(d, "a"), true, 0750, &fd, &e));
        umask(old);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_true(dir_sync(fd, &e));
        close_p(&fd);
        assert_true(dir_open_at(d->fd, "a", true, 0700, &fd, &e)); /* one that is there keeps its mode */
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        close_p(&fd);
        scratch_file(d, "file", 0600, "");
        assert_false(dir_open_at(d->fd, "file", true, 0700, &fd, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_false(dir_open_at(d->fd, "none", false, 0700, &fd, &e));
        assert_string_equal(e.code, "dir.open");
        assert_int_equal(fd, -1);
}

static void a_directory_is_made_anew_over_what_was_left(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        struct stat st;
        int fd = -1;
        mode_t old = umask(0077);
        scratch_file(d, "precious", 0600, "x");
        for (int i = 0; i < 3; i++) {
                if (i == 2) /* not even through a link */
                        assert_int_equal(symlinkat(".", d->fd, ".new"), 0);
                assert_true(dir_make_at(d->fd, ".new", 0755, &fd, &e));
                assert_int_equal(fstatat(d->fd, ".new", &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_mode, S_IFDIR | 0755);
                assert_true(file_create_at(fd, "file", 0600, "x", 1, &e)); /* that of the last time is gone */
                close_p(&fd);
                if (i == 1)
                        assert_true(tree_remove_at(d->fd, ".new", &e));
        }
        umask(old);
        count_is(d, 2);
        assert_false(dir_make_at(d->fd, "none/x", 0755, &fd, &e));
        assert_string_equal(e.code, "dir.make");
}

static void a_tree_goes_but_nothing_behind_its_links(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        int fd = -1, below = -1;
        assert_true(dir_open_at(d->fd, "keep", true, 0700, &fd, &e));
        assert_true(file_create_at(fd, "file", 0600, "x", 1, &e));
        close_p(&fd);
        assert_true(dir_open_at(d->fd, "tree", true, 0700, &fd, &e));
        assert_true(file_create_at(fd, "file", 0400, "x", 1, &e));
        assert_int_equal(symlinkat("../keep", fd, "link"), 0);
        assert_true(dir_open_at(fd, "below", true, 0700, &below, &e));
        assert_true(file_create_at(below, "file", 0600, "x", 1, &e));
        assert_int_equal(symlinkat("../../keep/file", below, "link"), 0);
        close_p(&below);
        close_p(&fd);
        assert_true(tree_remove_at(d->fd, "tree", &e));
        assert_int_equal(faccessat(d->fd, "tree", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(faccessat(d->fd, "keep/file", F_OK, 0), 0);
        assert_int_equal(symlinkat("keep", d->fd, "link"), 0);
        assert_true(tree_remove_at(d->fd, "link", &e)); /* the link alone */
        assert_int_equal(faccessat(d->fd, "keep/file", F_OK, 0), 0);
        assert_true(tree_remove_at(d->fd, "never-was", &e));
}

static void a_bottomless_tree_is_refused(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        int fd = dup(d->fd), next = -1;
        for (int i = 0; i < 20; i++) {
                assert_true(dir_open_at(fd, "d", true, 0700, &next, &e));
                close_p(&fd);
                fd = next;
        }
        close_p(&fd);
        assert_false(tree_remove_at(d->fd, "d", &e));
        assert_string_equal(e.code, "file.depth");
        assert_int_equal(renameat(d->fd, "d/d/d/d/d/d/d/d", d->fd, "half"), 0);
        assert_true(tree_remove_at(d->fd, "d", &e) && tree_remove_at(d->fd, "half", &e));
}

static void a_lock_has_one_owner(void **state)
{
        struct scratch_dir *d = *state;
        struct err e = { 0 };
        char want[64];
        int first = -1, second = -1;
        assert_true(file_lock(scratch_path(d, "lock"), &first, &e));
        assert_false(file_lock(scratch_path(d, "lock"), &second, &e)); /* OFD: this holds inside one process too */
        assert_int_equal(second, -1);
        assert_string_equal(e.code, "locked");
        assert_int_equal(e.kind, ERR_TEMPORARY);
        snprintf(want, sizeof want, "pid %ld", (long)getpid());
        assert_non_null(strstr(e.text, want));
        close_p(&first);
        assert_true(file_lock(scratch_path(d, "lock"), &second, &e));
        close_p(&second);
        assert_int_equal(symlinkat("lock", d->fd, "link"), 0);
        assert_false(file_lock(scratch_path(d, "link"), &second, &e));
        assert_string_equal(e.code, "lock.open");
        assert_false(file_lock(scratch_path(d, "no/lock"), &second, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
}

static void names_that_may_become_a_path(void **state)
{
        static const char *const good[] = { "www", "a", "A-b_c.1", "dcvd.db", "a..b",
                "0123456789012345678901234567890123456789012345678901234567890123" };
        static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "/", "a b", "a\n", "\xc3\xa9", "a\\b", "*",
                "01234567890123456789012345678901234567890123456789012345678901234" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(good); i++)
                assert_true(name_is_safe(good[i]));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                assert_false(name_is_safe(bad[i]));
        assert_false(name_is_safe(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(reading_is_bounded),
                IN_DIR(only_regular_files_are_read),
                IN_DIR(creating_never_touches_what_is_there),
                IN_DIR(atomic_writes_replace_the_name_not_the_target),
                IN_DIR(owner_is_set_or_nothing_is_written),
                IN_DIR(owner_then_mode_then_content),
                IN_DIR(an_owner_is_given_where_it_is_not_there_yet),
                IN_DIR(files_come_together),
                IN_DIR(of_files_that_come_together_none_is_left_alone),
                IN_DIR(a_full_disk_is_temporary_and_leaves_nothing),
                IN_DIR(appending_keeps_what_was_there),
                IN_DIR(links_switch_in_one_step),
                IN_DIR(what_a_killed_writer_left_goes_with_the_next_write),
                IN_DIR(directories_are_made_with_their_mode),
                IN_DIR(a_directory_is_made_anew_over_what_was_left),
                IN_DIR(a_tree_goes_but_nothing_behind_its_links),
                IN_DIR(a_bottomless_tree_is_refused),
                IN_DIR(a_lock_has_one_owner),
                cmocka_unit_test(names_that_may_become_a_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
