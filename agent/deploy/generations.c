#include "agent/deploy/generations.h"

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

static bool open_directory(const char *path, bool make, int *ret, struct err *e)
{
        struct stat st;
        bool there = lstat(path, &st) == 0;
        if (!there && (errno == ENOENT || errno == ENOTDIR) && make)
                return place_make(path, ret, e);
        if (!there) {
                return err_errno(e, errno, "target.open", "target directory %s", path);
        } else if (!S_ISDIR(st.st_mode)) {
                err_set(e, ERR_CONFIG, "target.kind", "%s is not a directory: something else is in its place", path);
                return err_fix(e, "move it away, or name another directory");
        }
        *ret = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        return *ret >= 0 || err_errno(e, errno, "target.open", "target directory %s", path);
}

static bool open_home(struct generations *g, bool make, struct err *e)
{
        struct stat st;
        if (fstatat(g->dir_fd, HOME, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
                return err_set(e, ERR_CONFIG, "target.kind",
                        "%s/" HOME " is not a directory: something else is in its place", g->target->directory);
        if (!make && fstatat(g->dir_fd, HOME, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return true; /* nothing of ours yet */
        return dir_open_at(g->dir_fd, HOME, make, 0755, &g->dcvd_fd, e) || err_wrap(e, "%s", g->target->directory);
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

bool generations_open(struct generations *g, const struct conf_target *target, bool make, struct err *e)
{
        *g = (struct generations){ .target = target, .dir_fd = -1, .dcvd_fd = -1, .lock_fd = -1 };
        struct stat st;
        if (!owner_find(target, &g->uid, &g->gid, e))
                return false;
        if (!make && lstat(target->directory, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
                return true; /* not there yet: generations_ready looks whether it can be made */
        if (!open_directory(target->directory, make, &g->dir_fd, e) || !open_home(g, make, e) ||
                (g->dcvd_fd >= 0 && make && !lock(g, e))) {
                generations_close(g);
                return false;
        }
        return true;
}

void generations_close(struct generations *g)
{
        close_p(&g->lock_fd);
        close_p(&g->dcvd_fd);
        close_p(&g->dir_fd);
}

static bool number_of(const char *name, unsigned *ret)
{
        int64_t n;
        if (!parse_i64(name, 0, UINT_MAX - 1, &n) || (name[0] == '0' && name[1]))
                return false;
        *ret = (unsigned)n;
        return true;
}

static bool any_plain_file(const struct generations *g)
{
        struct stat st;
        for (size_t i = 0; i < g->target->file_count; i++)
                if (fstatat(g->dir_fd, g->target->file[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        return true;
        return false;
}

unsigned generations_live(const struct generations *g)
{
        char target[32];
        unsigned n;
        ssize_t len = g->dcvd_fd >= 0 ? readlinkat(g->dcvd_fd, LIVE, target, sizeof target - 1) : -1;
        if (len > 0) {
                target[len] = '\0';
                if (number_of(target, &n))
                        return n;
        }
        return g->dir_fd >= 0 && any_plain_file(g) ? 0 : GENERATION_NONE;
}

/* ---- writing ---- */

static bool same_file(int fd, const struct generation_file *f)
{
        CLEANUP(free_p) char *now = NULL;
        size_t len = 0;
        if (!file_read_at(fd, f->name, OLD_FILE_MAX, &now, &len, NULL))
                return false;
        bool same = len == f->content.len && memcmp(now, f->content.data, len) == 0;
        wipe(now, len);
        return same;
}

static bool is_there(struct generations *g, const char *name, const struct generation_file *file, size_t count)
{
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        bool same = fd >= 0;
        for (size_t i = 0; same && i < count; i++)
                same = same_file(fd, &file[i]);
        return same;
}

static bool give(struct generations *g, int fd, const char *name, mode_t mode, struct err *e)
{
        struct stat st;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return err_errno(e, errno, "target.write", "%s/%s", g->target->directory, name);
        if ((st.st_uid != g->uid || st.st_gid != g->gid) &&
                fchownat(fd, name, g->uid, g->gid, AT_SYMLINK_NOFOLLOW) < 0) {
                err_errno(e, errno, "target.owner", "giving %s/%s to %s:%s", g->target->directory, name,
                        g->target->owner, g->target->group);
                return err_fix(e,
                        "dcvd-helper needs root's rights for that, or set owner and group of the target to those it "
                        "runs as");
        }
        return fchmodat(fd, name, mode, 0) == 0 ||
                err_errno(e, errno, "target.mode", "mode of %s/%s", g->target->directory, name);
}

static unsigned highest(const struct generations *g)
{
        unsigned most = 0, n;
        int fd = (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                close_p(&fd);
                return GENERATION_NONE - 1;
        }
        for (struct dirent *entry; (entry = readdir(d));)
                if (number_of(entry->d_name, &n))
                        most = MAX(most, n);
        (void)closedir(d);
        return most;
}

unsigned generations_choose(struct generations *g, unsigned n, const struct generation_file *file, size_t count)
{
        char name[16];
        struct stat st;
        snprintf(name, sizeof name, "%u", n);
        bool taken = fstatat(g->dcvd_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        return taken && !is_there(g, name, file, count) ? highest(g) + 1 : n;
}

bool generations_write(
        struct generations *g, unsigned n, const struct generation_file *file, size_t count, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        char name[16], temporary[24];
        snprintf(name, sizeof name, "%u", n);
        snprintf(temporary, sizeof temporary, ".%u.new", n);
        if (is_there(g, name, file, count))
                return true;
        if (generations_live(g) == n && n != 0)
                return err_set(e, ERR_CONFIG, "target.changed",
                        "generation %u of %s is live but was changed by somebody; deploy another set", n,
                        g->target->directory);
        if (!tree_remove_at(g->dcvd_fd, temporary, e) || !tree_remove_at(g->dcvd_fd, name, e) ||
                !dir_open_at(g->dcvd_fd, temporary, true, 0755, &fd, e))
                return err_wrap(e, "%s", g->target->directory);
        for (size_t i = 0; i < count; i++)
                if (!file_create_at(fd, file[i].name, 0600, file[i].content.data, file[i].content.len, e) ||
                        !give(g, fd, file[i].name, file[i].mode, e))
                        return err_wrap(e, "%s", g->target->directory);
        if (!dir_sync(fd, e))
                return false;
        if (renameat(g->dcvd_fd, temporary, g->dcvd_fd, name) < 0)
                return err_errno(e, errno, "target.write", "generation %u of %s", n, g->target->directory);
        return dir_sync(g->dcvd_fd, e);
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

static bool keep_zero(struct generations *g, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct stat st;
        if (fstatat(g->dcvd_fd, "0", &st, AT_SYMLINK_NOFOLLOW) == 0 || !any_plain_file(g))
                return true;
        if (!tree_remove_at(g->dcvd_fd, ".0.new", e) || !dir_open_at(g->dcvd_fd, ".0.new", true, 0755, &fd, e))
                return err_wrap(e, "%s", g->target->directory);
        for (size_t i = 0; i < g->target->file_count; i++)
                if (!keep_one(g, fd, g->target->file[i].name, e))
                        return false;
        if (!dir_sync(fd, e) || renameat(g->dcvd_fd, ".0.new", g->dcvd_fd, "0") < 0)
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

bool generations_adopt(struct generations *g, struct err *e)
{
        if (!keep_zero(g, e))
                return false;
        char current[32];
        bool linked = readlinkat(g->dcvd_fd, LIVE, current, sizeof current) > 0;
        struct stat st;
        if (!linked && fstatat(g->dcvd_fd, "0", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                !symlink_switch_at(g->dcvd_fd, LIVE, "0", e))
                return err_wrap(e, "%s", g->target->directory);
        return true;
}

/* After live leads somewhere: each name becomes a link through it. */
static bool link_files(struct generations *g, struct err *e)
{
        bool made = false;
        for (size_t i = 0; i < g->target->file_count; i++) {
                char want[300];
                file_link(g->target->file[i].name, want, sizeof want);
                if (is_our_link(g->dir_fd, g->target->file[i].name, want))
                        continue;
                if (!symlink_put_at(g->dir_fd, g->target->file[i].name, want, e))
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
        char name[16];
        snprintf(name, sizeof name, "%u", n);
        bool first = generations_live(g) == GENERATION_NONE;
        if (!first && !link_files(g, e))
                return false;
        if (!symlink_switch_at(g->dcvd_fd, LIVE, name, e))
                return err_wrap(e, "%s", g->target->directory);
        return !first || link_files(g, e);
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
        return symlink_switch_at(g->dcvd_fd, LIVE, name, e) || err_wrap(e, "%s", g->target->directory);
}

static int falling(const void *a, const void *b)
{
        unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
        return (x < y) - (x > y);
}

void generations_retire(struct generations *g, unsigned keep)
{
        unsigned list[GENERATIONS_MAX];
        size_t count = 0;
        struct err e;
        int fd = (int)TEMP_FAILURE_RETRY(openat(g->dcvd_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                close_p(&fd);
                return;
        }
        for (struct dirent *entry; count < GENERATIONS_MAX && (entry = readdir(d));) {
                unsigned n;
                if (number_of(entry->d_name, &n) && n != 0)
                        list[count++] = n;
        }
        (void)closedir(d);
        qsort(list, count, sizeof list[0], falling);
        unsigned live = generations_live(g);
        for (size_t i = keep; i < count; i++) {
                char name[16];
                snprintf(name, sizeof name, "%u", list[i]);
                if (list[i] != live)
                        (void)tree_remove_at(g->dcvd_fd, name, &e); /* tried again after the next deployment */
        }
}
