#include "agent/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"

#define TREE_DEPTH 16

static bool read_fd(int fd, const char *name, size_t max, char **ret, size_t *ret_len, struct err *e)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, errno, "file.read", "%s", name);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_CONFIG, "file.kind", "%s is not a regular file", name);
        if ((uint64_t)st.st_size > max)
                return err_set(e, ERR_CONFIG, "file.size", "%s is larger than %zu bytes", name, max);
        size_t cap = (size_t)st.st_size + 1, len = 0;
        CLEANUP(free_p) char *data = malloc(cap + 1);
        if (!data)
                return err_memory(e);
        for (ssize_t n; (n = read(fd, data + len, cap - len)) != 0;) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "file.read", "reading %s", name);
                len += (size_t)n;
                if (len == cap)
                        return err_set(e, ERR_TEMPORARY, "file.grows", "%s grew while it was read", name);
        }
        data[len] = '\0';
        *ret_len = len;
        *ret = STEAL(data);
        return true;
}

bool file_read_at(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len, struct err *e)
{
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (fd < 0)
                return err_errno(e, errno, errno == ENOENT ? "file.absent" : "file.read", "%s", name);
        return read_fd(fd, name, max, ret, ret_len, e);
}

bool file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
        return file_read_at(AT_FDCWD, path, max, ret, ret_len, e);
}

static bool write_all(int fd, const char *name, const void *data, size_t len, struct err *e)
{
        const char *at = data;
        while (len > 0) {
                ssize_t n = write(fd, at, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return err_errno(e, n < 0 ? errno : EIO, "file.write", "writing %s", name);
                at += n;
                len -= (size_t)n;
        }
        return true;
}

/* over_left: what a killed writer left under this name of ours goes first. What everybody may read needs no hiding
 * while it has the owner that files get by themselves. */
static int open_new(int dir_fd, const char *name, mode_t mode, bool over_left)
{
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
        mode_t first = 0600 | (mode & S_IROTH ? mode & 0044 : 0);
        int fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, flags, first));
        if (fd < 0 && errno == EEXIST && over_left && unlinkat(dir_fd, name, 0) == 0)
                fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, flags, first));
        return fd;
}

/* Owner before mode, both before content: no moment at which others could read it. What it has already (an umask, an
 * ACL or a directory with setgid may have decided otherwise) is not set again. */
static bool give(int fd, const char *name, mode_t mode, uid_t uid, gid_t gid, struct err *e)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, errno, "file.write", "%s", name);
        bool others = (uid != (uid_t)-1 && uid != st.st_uid) || (gid != (gid_t)-1 && gid != st.st_gid);
        if (others && fchown(fd, uid, gid) < 0)
                return err_errno(e, errno, "file.owner", "giving %s to user %d, group %d", name, (int)uid, (int)gid);
        return (st.st_mode & 07777) == mode || fchmod(fd, mode) == 0 ||
                err_errno(e, errno, "file.mode", "mode of %s", name);
}

static bool sync_file(int fd, const char *name, struct err *e)
{
        return TEMP_FAILURE_RETRY(fsync(fd)) == 0 || err_errno(e, errno, "file.sync", "syncing %s", name);
}

/* Written, not synced; *ret is -1 and nothing is left where that failed. */
static bool create(int dir_fd, const struct new_file *f, uid_t uid, gid_t gid, bool over_left, int *ret, struct err *e)
{
        CLEANUP(close_p) int fd = open_new(dir_fd, f->name, f->mode, over_left);
        *ret = -1;
        if (fd < 0)
                return err_errno(e, errno, errno == EEXIST ? "file.exists" : "file.write", "creating %s", f->name);
        if (!give(fd, f->name, f->mode, uid, gid, e) || !write_all(fd, f->name, f->data, f->len, e)) {
                (void)unlinkat(
                        dir_fd, f->name, 0); /* half a file is worse than none; the first error is the one to tell */
                return false;
        }
        *ret = fd;
        fd = -1;
        return true;
}

static bool create_synced(int dir_fd, const struct new_file *f, uid_t uid, gid_t gid, bool over_left, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        if (!create(dir_fd, f, uid, gid, over_left, &fd, e))
                return false;
        if (sync_file(fd, f->name, e))
                return true;
        (void)unlinkat(dir_fd, f->name, 0); /* as above */
        return false;
}

bool file_create_at(int dir_fd, const char *name, mode_t mode, const void *data, size_t len, struct err *e)
{
        const struct new_file f = { name, mode, data, len };
        return create_synced(dir_fd, &f, (uid_t)-1, (gid_t)-1, false, e);
}

/* A file system with a journal commits it once for each file that is synced while its blocks are still to be found
 * room for. So all are sent on their way first: the first fsync commits for the rest too. Only a hint: what goes wrong
 * is told by the fsync. */
static void begin_writing_back(const int *fd, size_t count)
{
        for (size_t i = 0; i < count; i++)
                (void)sync_file_range(fd[i], 0, 0, SYNC_FILE_RANGE_WRITE);
}

bool files_create_at(int dir_fd, const struct new_file *file, size_t count, uid_t uid, gid_t gid, struct err *e)
{
        int fd[NEW_FILES_MAX];
        size_t made = 0;
        bool good = count <= NEW_FILES_MAX || err_set(e, ERR_BUG, "file.many", "%zu new files at once", count);
        while (good && made < count && (good = create(dir_fd, &file[made], uid, gid, false, &fd[made], e)))
                made++;
        if (good)
                begin_writing_back(fd, made);
        for (size_t i = 0; good && i < made; i++)
                good = sync_file(fd[i], file[i].name, e);
        good = good && dir_sync(dir_fd, e);
        for (size_t i = 0; i < made; i++) {
                close_p(&fd[i]);
                if (!good)
                        (void)unlinkat(dir_fd, file[i].name, 0); /* as above */
        }
        return good;
}

static bool temporary_of(const char *name, char ret[FILE_NAME_SIZE], struct err *e)
{
        return snprintf(ret, FILE_NAME_SIZE, ".dcvd-%s.tmp", name) < FILE_NAME_SIZE ||
                err_errno(e, ENAMETOOLONG, "file.write", "%s", name);
}

bool file_temporary_at(int dir_fd, const char *name, char ret[FILE_NAME_SIZE], struct err *e)
{
        return temporary_of(name, ret, e) &&
                (unlinkat(dir_fd, ret, 0) == 0 || errno == ENOENT ||
                        err_errno(e, errno, "file.write", "removing %s", ret));
}

bool dir_sync(int dir_fd, struct err *e)
{
        if (TEMP_FAILURE_RETRY(fsync(dir_fd)) < 0)
                return err_errno(e, errno, "file.sync", "syncing a directory");
        return true;
}

bool file_write_atomic_at(
        int dir_fd, const char *name, mode_t mode, uid_t uid, gid_t gid, const void *data, size_t len, struct err *e)
{
        char temporary[FILE_NAME_SIZE];
        if (!temporary_of(name, temporary, e))
                return false;
        const struct new_file f = { temporary, mode, data, len };
        if (!create_synced(dir_fd, &f, uid, gid, true, e))
                return err_wrap(e, "%s", name);
        if (renameat(dir_fd, temporary, dir_fd, name) < 0) {
                err_errno(e, errno, "file.rename", "putting %s in place", name);
                (void)unlinkat(dir_fd, temporary, 0); /* the rename's error is the one to tell */
                return false;
        }
        return dir_sync(dir_fd, e);
}

/* Splits "a/b/c" into "a/b" and "c"; "c" into "." and "c". */
static bool split(const char *path, char **ret_dir, const char **ret_name, struct err *e)
{
        const char *slash = strrchr(path, '/');
        char *dir = !slash ? text_dup(".") : slash == path ? text_dup("/") : text_dup_n(path, (size_t)(slash - path));
        if (!dir)
                return err_memory(e);
        *ret_dir = dir;
        *ret_name = slash ? slash + 1 : path;
        return true;
}

bool file_write_atomic(const char *path, mode_t mode, uid_t uid, gid_t gid, const void *data, size_t len, struct err *e)
{
        CLEANUP(free_p) char *dir = NULL;
        CLEANUP(close_p) int fd = -1;
        const char *name = NULL;
        if (!split(path, &dir, &name, e) || !dir_open(dir, false, 0, &fd, e))
                return false;
        if (!file_write_atomic_at(fd, name, mode, uid, gid, data, len, e))
                return err_wrap(e, "%s", dir);
        return true;
}

bool file_append_line(const char *path, mode_t mode, const char *line, struct err *e)
{
        CLEANUP(free_p) char *text = text_format("%s\n", line);
        CLEANUP(free_p) char *dir = NULL;
        CLEANUP(close_p) int dir_fd = -1;
        const char *name = NULL;
        if (!text)
                return err_memory(e);
        if (!split(path, &dir, &name, e) || !dir_open(dir, false, 0, &dir_fd, e))
                return false;
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(
                openat(dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
        if (fd < 0)
                return err_errno(e, errno, "file.write", "%s", path);
        if (!write_all(fd, path, text, strlen(text), e))
                return false;
        if (TEMP_FAILURE_RETRY(fsync(fd)) < 0)
                return err_errno(e, errno, "file.sync", "syncing %s", path);
        return dir_sync(dir_fd, e);
}

bool symlink_put_at(int dir_fd, const char *link, const char *target, struct err *e)
{
        char temporary[FILE_NAME_SIZE];
        if (!temporary_of(link, temporary, e))
                return false;
        int r = symlinkat(target, dir_fd, temporary);
        if (r < 0 && errno == EEXIST && unlinkat(dir_fd, temporary, 0) == 0) /* a killed writer's */
                r = symlinkat(target, dir_fd, temporary);
        if (r < 0)
                return err_errno(e, errno, "file.link", "making link %s", temporary);
        if (renameat(dir_fd, temporary, dir_fd, link) < 0) {
                err_errno(e, errno, "file.link", "switching link %s", link);
                (void)unlinkat(dir_fd, temporary, 0); /* the rename's error is the one to tell */
                return false;
        }
        return true;
}

bool symlink_switch_at(int dir_fd, const char *link, const char *target, struct err *e)
{
        return symlink_put_at(dir_fd, link, target, e) && dir_sync(dir_fd, e);
}

/* mode: of one that was made just now; the umask took bits away. */
static bool open_dir(int dir_fd, const char *name, int flags, const mode_t *mode, int *ret_fd, struct err *e)
{
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
        if (fd < 0)
                return err_errno(e, errno, "dir.open", "directory %s", name);
        if (mode && fchmod(fd, *mode) < 0)
                return err_errno(e, errno, "dir.make", "mode of directory %s", name);
        *ret_fd = fd;
        fd = -1;
        return true;
}

bool dir_open_at(int dir_fd, const char *name, bool create_it, mode_t mode, int *ret_fd, struct err *e)
{
        bool made = create_it && mkdirat(dir_fd, name, mode) == 0;
        if (create_it && !made && errno != EEXIST)
                return err_errno(e, errno, "dir.make", "making directory %s", name);
        return open_dir(dir_fd, name, 0, made ? &mode : NULL, ret_fd, e);
}

bool dir_open(const char *path, bool create_it, mode_t mode, int *ret_fd, struct err *e)
{
        return dir_open_at(AT_FDCWD, path, create_it, mode, ret_fd, e);
}

static bool remove_below(int dir_fd, const char *name, unsigned depth, struct err *e)
{
        if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
                return true;
        if (errno != EISDIR && errno != EPERM)
                return err_errno(e, errno, "file.remove", "removing %s", name);
        if (depth == 0)
                return err_set(e, ERR_CONFIG, "file.depth", "removing %s: too deep", name);
        int fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                err_errno(e, errno, "file.remove", "removing %s", name);
                close_p(&fd);
                return false;
        }
        bool good = true;
        for (struct dirent *entry; good && (entry = readdir(d));)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        good = remove_below(fd, entry->d_name, depth - 1, e);
        (void)closedir(d);
        if (good && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                good = err_errno(e, errno, "file.remove", "removing directory %s", name);
        return good;
}

bool tree_remove_at(int dir_fd, const char *name, struct err *e)
{
        return remove_below(dir_fd, name, TREE_DEPTH, e);
}

bool dir_make_at(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct err *e)
{
        int r = mkdirat(dir_fd, name, mode);
        if (r < 0 && errno == EEXIST) {
                if (!tree_remove_at(dir_fd, name, e))
                        return false;
                r = mkdirat(dir_fd, name, mode);
        }
        if (r < 0)
                return err_errno(e, errno, "dir.make", "making directory %s", name);
        return open_dir(dir_fd, name, O_NOFOLLOW, &mode, ret_fd, e);
}

bool file_lock(const char *path, int *ret_fd, struct err *e)
{
        int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (fd < 0)
                return err_errno(e, errno, "lock.open", "%s", path);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
                int error = errno;
                char pid[24] = "";
                ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
                pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
                close_p(&fd);
                if (error != EAGAIN && error != EACCES)
                        return err_errno(e, error, "lock", "locking %s", path);
                err_set(e, ERR_TEMPORARY, "locked", "%s is held by another process%s%s", path, pid[0] ? ", pid " : "",
                        pid);
                return err_fix(e, "another dcvd or dcvctl works there: let it end, or systemctl stop dcvd");
        }
        char text[24];
        int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
                text[0] = '\0'; /* only a help for the next one who asks */
        *ret_fd = fd;
        return true;
}

bool name_is_safe(const char *name)
{
        size_t n = name ? strlen(name) : 0;
        if (n == 0 || n > 64 || name[0] == '.')
                return false;
        return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}
