#include "agent/deploy/generations.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/owner.h"
#include "agent/deploy/place.h"

#define HOME ".dcvd"
#define LIVE "live"
#define ORIGINAL_SUFFIX ".dcvd-orig"
#define OLD_FILE_MAX (1024 * 1024)
#define GENERATIONS_MAX 1000
#define ROOM_BYTES (1024 * 1024) /* a generation is some ten kilobytes */
#define ROOM_FILES 64

static char *parent_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        return text_dup_n(path, slash == path ? 1 : (size_t)(slash - path));
}

/* ---- opening ---- */

/* Without a link as its last component. *ret stays -1 if it is not there and not to be made. */
static bool open_directory(const char *path, bool make, int *ret, struct err *e)
{
        struct stat st;
        *ret = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (*ret >= 0)
                return true;
        int error = errno;
        bool there = error != ENOENT && lstat(path, &st) == 0;
        if (!there && (errno == ENOENT || errno == ENOTDIR))
                return !make || place_make(path, ret, e);
        if (!there || S_ISDIR(st.st_mode))
                return err_errno(e, error, "target.open", "target directory %s", path);
        err_set(e, ERR_CONFIG, "target.kind", "%s is not a directory: something else is in its place", path);
        return err_fix(e, "move it away, or name another directory");
}

static int open_home_as_it_is(const struct generations *g)
{
        return (int)TEMP_FAILURE_RETRY(openat(g->dir_fd, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

/* Another helper may be making it too. */
static bool open_home(struct generations *g, bool make, struct err *e)
{
        bool made = false;
        g->dcvd_fd = open_home_as_it_is(g);
        if (g->dcvd_fd < 0 && errno == ENOENT) {
                if (!make)
                        return true; /* nothing of ours yet */
                made = mkdirat(g->dir_fd, HOME, 0755) == 0;
                if (made || errno == EEXIST)
                        g->dcvd_fd = open_home_as_it_is(g);
        }
        if (g->dcvd_fd < 0 && (errno == ENOTDIR || errno == ELOOP))
                return err_set(e, ERR_CONFIG, "target.kind",
                        "%s/" HOME " is not a directory: something else is in its place", g->target->directory);
        g->most = made ? 0 : UINT_MAX;
        return (g->dcvd_fd >= 0 && (!made || fchmod(g->dcvd_fd, 0755) == 0)) || /* the umask took bits away */
                err_errno(e, errno, "dir.make", "%s/" HOME, g->target->directory);
}

static bool lock(struct generations *g, struct err *e)
{
        g->lock_fd =
                (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (g->lock_fd < 0)
                return err_errno(e, errno, "target.lock", "%s/" HOME "/lock", g->target->directory);
        /* Another helper on the same target ends within its own limits. */
        if (flock(g->lock_fd, LOCK_EX) < 0)
                return err_errno(e, errno, "target.lock", "%s/" HOME "/lock", g->target->directory);
        return true;
}

static bool number_of(const char *name, unsigned *ret)
{
        int64_t n;
        if (!parse_i64(name, 0, UINT_MAX - 1, &n) || (name[0] == '0' && name[1]))
                return false;
        *ret = (unsigned)n;
        return true;
}

static unsigned read_live(const struct generations *g)
{
        char target[32];
        unsigned n;
        ssize_t len = readlinkat(g->dcvd_fd, LIVE, target, sizeof target - 1);
        if (len < 0)
                return GENERATION_NONE;
        target[len] = '\0';
        return number_of(target, &n) ? n : GENERATION_NONE;
}

bool generations_open(struct generations *g, const struct conf_target *target, bool make, struct err *e)
{
        *g = (struct generations){
                .target = target, .dir_fd = -1, .dcvd_fd = -1, .lock_fd = -1, .live = GENERATION_NONE
        };
        if (target->file_count > GENERATION_FILES_MAX)
                return err_set(e, ERR_CONFIG, "target.files", "more than %d files in %s", GENERATION_FILES_MAX,
                        target->directory);
        if (!owner_find(target, &g->uid, &g->gid, e))
                return false;
        bool good = open_directory(target->directory, make, &g->dir_fd, e) &&
                (g->dir_fd < 0 || open_home(g, make, e)) && (!make || lock(g, e));
        if (!good)
                generations_close(g);
        else if (g->dcvd_fd >= 0)
                g->live = read_live(g);
        return good;
}

void generations_close(struct generations *g)
{
        close_p(&g->lock_fd);
        close_p(&g->dcvd_fd);
        close_p(&g->dir_fd);
}

/* ---- what is there ---- */

enum standing { NOTHING, OURS, OTHER }; /* under a name of the target; OURS: its link through the live one */

static bool is_our_link(int dir_fd, const char *name, const char *want)
{
        char target[PATH_MAX];
        ssize_t len = readlinkat(dir_fd, name, target, sizeof target - 1);
        if (len < 0)
                return false;
        target[len] = '\0';
        return strcmp(target, want) == 0;
}

static void file_link(const char *name, char *ret, size_t size)
{
        snprintf(ret, size, HOME "/" LIVE "/%s", name);
}

static enum standing standing_at(const struct generations *g, const char *name)
{
        char want[300];
        file_link(name, want, sizeof want);
        errno = 0;
        if (is_our_link(g->dir_fd, name, want))
                return OURS;
        return errno == ENOENT ? NOTHING : OTHER;
}

unsigned generations_live(const struct generations *g)
{
        for (size_t i = 0; g->live == GENERATION_NONE && g->dir_fd >= 0 && i < g->target->file_count; i++)
                if (standing_at(g, g->target->file[i].name) == OTHER)
                        return 0;
        return g->live;
}

/* ---- writing ---- */

/* Content, and who may read it. */
static bool same_file(const struct generations *g, int fd, const struct generation_file *f)
{
        CLEANUP(free_p) char *now = NULL;
        size_t len = 0;
        struct stat st;
        if (fstatat(fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mode != (S_IFREG | f->mode) ||
                st.st_uid != g->uid || st.st_gid != g->gid ||
                !file_read_at(fd, f->name, OLD_FILE_MAX, &now, &len, NULL))
                return false;
        bool same = len == f->content.len && memcmp(now, f->content.data, len) == 0;
        wipe(now, len);
        return same;
}

/* Does generation n hold just that? *ret_taken: its place is not free, whatever is there. */
static bool is_there(
        const struct generations *g, unsigned n, const struct generation_file *file, size_t count, bool *ret_taken)
{
        char name[16];
        snprintf(name, sizeof name, "%u", n);
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        bool same = fd >= 0;
        *ret_taken = same || errno != ENOENT;
        for (size_t i = 0; same && i < count; i++)
                same = same_file(g, fd, &file[i]);
        return same;
}

static DIR *list(const struct generations *g)
{
        int fd = (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d)
                close_p(&fd);
        return d;
}

static bool next_free(const struct generations *g, unsigned *ret, struct err *e)
{
        unsigned most = 0, n;
        DIR *d = list(g);
        if (!d)
                return err_errno(e, errno, "target.read", "%s/" HOME, g->target->directory);
        for (struct dirent *entry; (entry = readdir(d));)
                if (number_of(entry->d_name, &n))
                        most = MAX(most, n);
        (void)closedir(d);
        *ret = most + 1;
        return true;
}

static bool write_files(
        const struct generations *g, int fd, const struct generation_file *file, size_t count, struct err *e)
{
        struct new_file new[GENERATION_FILES_MAX];
        static_assert(GENERATION_FILES_MAX <= NEW_FILES_MAX, "a generation is written at once");
        for (size_t i = 0; i < count; i++)
                new[i] = (struct new_file){ file[i].name, file[i].mode, file[i].content.data, file[i].content.len };
        if (files_create_at(fd, new, count, g->uid, g->gid, e))
                return true;
        if (strcmp(e->code, "file.owner") != 0)
                return err_wrap(e, "%s", g->target->directory);
        err_wrap(e, "%s, of %s:%s", g->target->directory, g->target->owner, g->target->group);
        return err_fix(e,
                "dcvd-helper needs root's rights for that, or set owner and group of the target to those it runs as");
}

bool generations_write(
        struct generations *g, unsigned *n, const struct generation_file *file, size_t count, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        char name[16], temporary[24];
        unsigned number = *n;
        bool taken;
        if (is_there(g, number, file, count, &taken))
                return true;
        if (taken && !next_free(g, &number, e))
                return false;
        snprintf(name, sizeof name, "%u", number);
        snprintf(temporary, sizeof temporary, ".%u.new", number);
        if (!dir_make_at(g->dcvd_fd, temporary, 0755, &fd, e))
                return err_wrap(e, "%s", g->target->directory);
        if (!write_files(g, fd, file, count, e))
                return false;
        if (renameat(g->dcvd_fd, temporary, g->dcvd_fd, name) < 0)
                return err_errno(e, errno, "target.write", "generation %u of %s", number, g->target->directory);
        g->most += g->most < UINT_MAX;
        if (!dir_sync(g->dcvd_fd, e))
                return false;
        *n = number;
        return true;
}

/* ---- adopting what is there ---- */

/* A file that a link of ours may replace, or nothing: ret_content tells whether it holds anything. */
static bool replaceable(
        const struct generations *g, const char *name, struct stat *ret, bool *ret_content, struct err *e)
{
        *ret_content = false;
        if (fstatat(g->dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || err_errno(e, errno, "target.read", "%s/%s", g->target->directory, name);
        if (S_ISLNK(ret->st_mode) && fstatat(g->dir_fd, name, ret, 0) < 0)
                return true; /* a dangling link holds nothing */
        if (!S_ISREG(ret->st_mode)) {
                err_set(e, ERR_CONFIG, "target.kind", "%s/%s is not a file: something else is in its place",
                        g->target->directory, name);
                return err_fix(e, "move it away, or choose other names under files:");
        }
        *ret_content = true;
        return true;
}

static bool keep_one(struct generations *g, int zero_fd, const char *name, struct err *e)
{
        struct stat st;
        CLEANUP(free_p) char *old = NULL;
        size_t len = 0;
        bool content;
        if (!replaceable(g, name, &st, &content, e))
                return false;
        if (!content)
                return true;
        if (!file_read_at(g->dir_fd, name, OLD_FILE_MAX, &old, &len, e))
                return err_wrap(e, "%s", g->target->directory);
        bool good = file_create_at(zero_fd, name, st.st_mode & 07777, old, len, e);
        wipe(old, len);
        if (good && fchownat(zero_fd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
                good = err_errno(e, errno, "target.owner", "keeping %s/%s", g->target->directory, name);
        return good;
}

/* What stands under the names when the first of ours comes, and is not ours. */
static bool keep_zero(struct generations *g, const enum standing *standing, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct stat st;
        if (fstatat(g->dcvd_fd, "0", &st, AT_SYMLINK_NOFOLLOW) == 0)
                return true;
        if (!dir_make_at(g->dcvd_fd, ".0.new", 0755, &fd, e))
                return err_wrap(e, "%s", g->target->directory);
        for (size_t i = 0; i < g->target->file_count; i++)
                if (standing[i] == OTHER && !keep_one(g, fd, g->target->file[i].name, e))
                        return false;
        if (!dir_sync(fd, e))
                return false;
        if (renameat(g->dcvd_fd, ".0.new", g->dcvd_fd, "0") < 0)
                return err_errno(e, errno, "target.write", "generation 0 of %s", g->target->directory);
        return dir_sync(g->dcvd_fd, e);
}

static bool link_replaceable(const struct conf_link *l, struct stat *ret, bool *ret_there, struct err *e)
{
        *ret_there = lstat(l->path, ret) == 0;
        if (*ret_there && !S_ISREG(ret->st_mode) && !S_ISLNK(ret->st_mode)) {
                err_set(e, ERR_CONFIG, "target.kind", "%s is not a file: something else is in its place", l->path);
                return err_fix(e, "move it away, or choose another path under links:");
        }
        return true;
}

/* Is b the file that HAProxy looks for beside a: its key? */
static bool is_key_beside(const char *a, const char *b)
{
        size_t len = strlen(a);
        return strncmp(a, b, len) == 0 && strcmp(b + len, ".key") == 0;
}

/* Of the kind that HAProxy reads from a folder: certificate and key in one, or NAME with NAME.key. */
static bool may_be_in_a_folder(const struct conf_target *t, const struct conf_link *l)
{
        for (size_t i = 0; i < t->file_count; i++)
                if (strcmp(t->file[i].name, l->file) == 0 && t->file[i].form == FORM_COMBINED)
                        return true;
        for (size_t i = 0; i < t->link_count; i++)
                if (is_key_beside(l->path, t->link[i].path) || is_key_beside(t->link[i].path, l->path))
                        return true;
        return false;
}

/* Where the file of a fixed path is kept: beside it. HAProxy reads all of a folder of certificates but hidden files,
 * and would go on serving the old one. */
static void original_of(const struct conf_link *l, bool hidden, char ret[PATH_MAX])
{
        const char *name = strrchr(l->path, '/') + 1;
        snprintf(ret, PATH_MAX, "%.*s%s%s" ORIGINAL_SUFFIX, (int)(name - l->path), l->path, hidden ? "." : "", name);
}

/* A fixed path elsewhere: its content is kept beside it, then a link takes its place by one rename. */
static bool link_elsewhere(struct generations *g, const struct conf_link *l, struct err *e)
{
        char target[PATH_MAX], kept[PATH_MAX];
        struct stat st, was;
        bool there;
        snprintf(target, sizeof target, "%s/%s", g->target->directory, l->file);
        original_of(l, may_be_in_a_folder(g->target, l), kept);
        if (is_our_link(AT_FDCWD, l->path, target))
                return true;
        if (!link_replaceable(l, &was, &there, e))
                return false;
        if (there && lstat(kept, &st) < 0 && link(l->path, kept) < 0 && (!S_ISLNK(was.st_mode) || errno != EPERM))
                return err_errno(e, errno, "target.link", "keeping %s", l->path);
        CLEANUP(free_p) char *dir = parent_of(l->path);
        CLEANUP(close_p) int fd = -1;
        if (!dir)
                return err_memory(e);
        return (dir_open(dir, false, 0, &fd, e) && symlink_switch_at(fd, strrchr(l->path, '/') + 1, target, e)) ||
                err_wrap(e, "%s", l->path);
}

/* A name that nothing stands under gets its link at once; what readers know is replaced by one rename. */
static bool put_link(int dir_fd, const char *name, const char *target, bool nothing, struct err *e)
{
        return (nothing && symlinkat(target, dir_fd, name) == 0) || symlink_put_at(dir_fd, name, target, e);
}

static bool lead(struct generations *g, unsigned n, struct err *e)
{
        char name[16];
        snprintf(name, sizeof name, "%u", n);
        if (!put_link(g->dcvd_fd, LIVE, name, g->live == GENERATION_NONE, e) || !dir_sync(g->dcvd_fd, e))
                return err_wrap(e, "%s", g->target->directory);
        g->live = n;
        return true;
}

/* After live leads somewhere: each name becomes a link through it. */
static bool link_files(struct generations *g, const enum standing *standing, struct err *e)
{
        bool made = false;
        for (size_t i = 0; i < g->target->file_count; i++) {
                char want[300];
                if (standing[i] == OURS)
                        continue;
                file_link(g->target->file[i].name, want, sizeof want);
                if (!put_link(g->dir_fd, g->target->file[i].name, want, standing[i] == NOTHING, e))
                        return err_wrap(e, "%s", g->target->directory);
                made = true;
        }
        if (made && !dir_sync(g->dir_fd, e))
                return err_wrap(e, "%s", g->target->directory);
        for (size_t i = 0; i < g->target->link_count; i++)
                if (!link_elsewhere(g, &g->target->link[i], e))
                        return false;
        return true;
}

/* The links are there before the switch where something was live before, so that readers go over in one rename; on a
 * first installation they lead nowhere for that moment, so the switch comes first. */
bool generations_switch(struct generations *g, unsigned n, struct err *e)
{
        enum standing standing[GENERATION_FILES_MAX];
        bool others = false;
        for (size_t i = 0; i < g->target->file_count; i++) {
                standing[i] = standing_at(g, g->target->file[i].name);
                others |= standing[i] == OTHER;
        }
        if (others && (!keep_zero(g, standing, e) || (g->live == GENERATION_NONE && !lead(g, 0, e))))
                return false;
        bool first = g->live == GENERATION_NONE;
        return (first || link_files(g, standing, e)) && lead(g, n, e) && (!first || link_files(g, standing, e));
}

/* ---- looking ahead ---- */

/* A directory that something is to be made in. */
static bool can_make_in(const char *directory, const char *what, struct err *e)
{
        struct statvfs fs;
        if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0) {
                int error = errno;
                err_errno(e, error, "target.write", "%s cannot be made in %s", what, directory);
                if (error == ENOENT)
                        return err_fix(e, "install -d -m 0755 %s, or correct the path in the configuration", directory);
                return error == EROFS ? err_fix(e, "mount it writable, or let the unit of dcvd-helper write there")
                                      : err_fix(e, "dcvd-helper needs root's rights for that");
        }
        if (statvfs(directory, &fs) < 0)
                return err_errno(e, errno, "target.write", "%s", directory);
        if ((uint64_t)fs.f_bavail * fs.f_frsize < ROOM_BYTES || (fs.f_files > 0 && fs.f_favail < ROOM_FILES)) {
                err_set(e, ERR_CONFIG, "target.space", "the file system of %s is full", directory);
                return err_fix(e, "make room there: df -h %s; df -i %s", directory, directory);
        }
        return true;
}

static bool link_ready(const struct generations *g, const struct conf_link *l, struct err *e)
{
        char target[PATH_MAX];
        struct stat st;
        bool there;
        CLEANUP(free_p) char *dir = parent_of(l->path);
        snprintf(target, sizeof target, "%s/%s", g->target->directory, l->file);
        if (is_our_link(AT_FDCWD, l->path, target))
                return true;
        if (!dir)
                return err_memory(e);
        return link_replaceable(l, &st, &there, e) && can_make_in(dir, "the link of links:", e);
}

bool generations_ready(const struct generations *g, struct err *e)
{
        const struct conf_target *t = g->target;
        CLEANUP(free_p) char *nearest = NULL;
        struct stat st;
        bool content;
        if (g->dir_fd < 0 && !place_nearest(t->directory, &nearest, NULL, e))
                return false;
        if (!can_make_in(
                    nearest ? nearest : t->directory, nearest ? t->directory : "the target directory's content", e))
                return false;
        for (size_t i = 0; g->dir_fd >= 0 && i < t->file_count; i++)
                if (!replaceable(g, t->file[i].name, &st, &content, e))
                        return false;
        for (size_t i = 0; i < t->link_count; i++)
                if (!link_ready(g, &t->link[i], e))
                        return false;
        return true;
}

/* ---- back ---- */

static bool unlink_elsewhere(const struct generations *g, const struct conf_link *l, struct err *e)
{
        char target[PATH_MAX], kept[PATH_MAX];
        snprintf(target, sizeof target, "%s/%s", g->target->directory, l->file);
        if (!is_our_link(AT_FDCWD, l->path, target))
                return true;
        for (int hidden = 1; hidden >= 0; hidden--) { /* whatever its kind was when it was kept */
                original_of(l, hidden, kept);
                if (rename(kept, l->path) == 0)
                        return true;
                if (errno != ENOENT)
                        return err_errno(e, errno, "target.link", "putting %s back", l->path);
        }
        return unlink(l->path) == 0 || err_errno(e, errno, "target.link", "removing %s", l->path);
}

static bool remove_links(struct generations *g, struct err *e)
{
        for (size_t i = 0; i < g->target->file_count; i++) {
                char want[300];
                file_link(g->target->file[i].name, want, sizeof want);
                if (is_our_link(g->dir_fd, g->target->file[i].name, want) &&
                        unlinkat(g->dir_fd, g->target->file[i].name, 0) < 0)
                        return err_errno(e, errno, "target.restore", "removing %s/%s", g->target->directory,
                                g->target->file[i].name);
        }
        if (unlinkat(g->dcvd_fd, LIVE, 0) < 0 && errno != ENOENT)
                return err_errno(e, errno, "target.restore", "removing the live link of %s", g->target->directory);
        g->live = GENERATION_NONE;
        return dir_sync(g->dir_fd, e);
}

bool generations_restore(struct generations *g, unsigned n, struct err *e)
{
        if (n == GENERATION_NONE || n == 0)
                for (size_t i = 0; i < g->target->link_count; i++)
                        if (!unlink_elsewhere(g, &g->target->link[i], e))
                                return false;
        if (n == GENERATION_NONE)
                return remove_links(g, e);
        char name[16];
        struct stat st;
        snprintf(name, sizeof name, "%u", n);
        if (fstatat(g->dcvd_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                err_set(e, ERR_CONFIG, "target.absent", "%s has no generation %u", g->target->directory, n);
                return err_fix(e, "dcvctl deploy puts a kept set there again");
        }
        return lead(g, n, e);
}

static int falling(const void *a, const void *b)
{
        unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
        return (x < y) - (x > y);
}

void generations_retire(struct generations *g, unsigned keep)
{
        unsigned number[GENERATIONS_MAX];
        size_t count = 0;
        struct err e;
        DIR *d = g->most > keep ? list(g) : NULL;
        if (!d)
                return;
        for (struct dirent *entry; count < GENERATIONS_MAX && (entry = readdir(d));) {
                unsigned n;
                if (number_of(entry->d_name, &n) && n != 0)
                        number[count++] = n;
        }
        (void)closedir(d);
        qsort(number, count, sizeof number[0], falling);
        for (size_t i = keep; i < count; i++) {
                char name[16];
                snprintf(name, sizeof name, "%u", number[i]);
                if (number[i] != g->live)
                        (void)tree_remove_at(g->dcvd_fd, name, &e); /* tried again after the next deployment */
        }
}
