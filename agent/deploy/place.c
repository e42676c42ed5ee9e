#include "agent/deploy/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"

#define LINKS_MAX 16
#define MODE 0755

/* Takes the first component off rest: false at the end. */
static bool next_name(char *rest, char name[NAME_MAX + 1])
{
        size_t skip = strspn(rest, "/"), len = strcspn(rest + skip, "/");
        if (len == 0 || len > NAME_MAX) /* too long: the caller's open fails by the whole of it */
                return false;
        memcpy(name, rest + skip, len);
        name[len] = '\0';
        memmove(rest, rest + skip + len, strlen(rest + skip + len) + 1);
        return true;
}

/* Puts what the link says before the rest of the way. 0 or -errno; -EPERM: the link is a stranger's. */
static int follow(int link_fd, const struct stat *st, char *rest, bool *ret_from_root)
{
        char to[PATH_MAX], whole[PATH_MAX];
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return -EPERM;
        ssize_t len = readlinkat(link_fd, "", to, sizeof to - 1);
        if (len < 0)
                return -errno;
        to[len] = '\0';
        int n = snprintf(whole, sizeof whole, "%s/%s", to, rest);
        if (n < 0 || (size_t)n >= sizeof whole)
                return -ENAMETOOLONG;
        memcpy(rest, whole, (size_t)n + 1);
        *ret_from_root = to[0] == '/';
        return 0;
}

static void replace(int *fd, int other)
{
        close_p(fd);
        *fd = other;
}

/* A way without any link has none to judge: the kernel goes it at once, and stops at the first. -1: there is one, or it
 * ends before. */
static int open_without_links(const char *path)
{
        struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
        return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

/* Step by step, so that every link is seen before it is followed, and followed as it was seen. 0 or -errno. */
static int walk(const char *path, int *ret)
{
        char rest[PATH_MAX], name[NAME_MAX + 1];
        int straight = open_without_links(path);
        if (straight >= 0) {
                *ret = straight;
                return 0;
        }
        CLEANUP(close_p) int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (at < 0 || strlen(path) >= sizeof rest)
                return at < 0 ? -errno : -ENAMETOOLONG;
        snprintf(rest, sizeof rest, "%s", path);
        for (unsigned links = 0; next_name(rest, name);) {
                CLEANUP(close_p) int step = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
                struct stat st;
                bool from_root = false;
                if (step < 0 || fstat(step, &st) < 0)
                        return -errno;
                if (S_ISLNK(st.st_mode)) {
                        int r = ++links > LINKS_MAX ? -ELOOP : follow(step, &st, rest, &from_root);
                        if (r < 0)
                                return r;
                        if (from_root)
                                replace(&at, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
                } else if (S_ISDIR(st.st_mode)) {
                        replace(&at, step);
                        step = -1;
                } else {
                        return -ENOTDIR;
                }
        }
        if (rest[strspn(rest, "/")])
                return -ENAMETOOLONG;
        *ret = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? -errno : 0;
}

/* What stands where the next directory must be made: nothing, unless the way was not passable because of it. */
static bool nothing_in_the_way(int fd, const char *path, size_t used, struct err *e)
{
        char name[NAME_MAX + 1], rest[PATH_MAX];
        struct stat st;
        snprintf(rest, sizeof rest, "%s", path + used);
        if (!next_name(rest, name))
                return err_errno(e, ENAMETOOLONG, "target.open", "target directory %s", path);
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || err_errno(e, errno, "target.open", "target directory %s", path);
        if (S_ISDIR(st.st_mode))
                return true; /* made just now */
        const char *what = "not a directory";
        if (S_ISLNK(st.st_mode))
                what = st.st_uid == 0 || st.st_uid == geteuid()
                        ? "a link that leads nowhere, or over a link of another user"
                        : "a link of another user, who could choose where this is written";
        err_set(e, ERR_CONFIG, "target.kind", "target directory %s cannot be made: %.*s%s%s is %s", path, (int)used,
                path, used > 1 ? "/" : "", name, what);
        return err_fix(e, "move it away, or name another directory");
}

/* True if the way ends before path, by something absent or something that cannot be passed. */
static bool shorter(int r)
{
        return r == -ENOENT || r == -ENOTDIR || r == -EPERM;
}

bool place_nearest(const char *path, char **ret, int *ret_fd, struct err *e)
{
        CLEANUP(free_p) char *above = text_dup(path);
        CLEANUP(close_p) int fd = -1;
        int r = -ENOENT;
        if (!above)
                return err_memory(e);
        while (shorter(r) && strcmp(above, "/") != 0) {
                char *slash = strrchr(above, '/');
                if (!slash)
                        return err_set(e, ERR_BUG, "target.open", "%s is not an absolute path", path);
                slash[slash == above] = '\0';
                r = walk(above, &fd);
        }
        if (r < 0)
                return err_errno(e, -r, "target.open", "%s, on the way to target directory %s", above, path);
        if (!nothing_in_the_way(fd, path, strlen(above), e))
                return false;
        if (ret)
                *ret = STEAL(above);
        if (ret_fd) {
                *ret_fd = fd;
                fd = -1;
        }
        return true;
}

static bool make_one(int *at, const char *name, const char *path, struct err *e)
{
        bool made = mkdirat(*at, name, MODE) == 0;
        if (!made && errno != EEXIST) {
                int error = errno;
                err_errno(e, error, "target.make", "making %s for target directory %s", name, path);
                return error == EACCES || error == EPERM
                        ? err_fix(e, "dcvd-helper needs root's rights for that, or make it: install -d -m 0755 %s",
                                  path)
                        : false;
        }
        CLEANUP(close_p) int fd = openat(*at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return err_errno(e, errno, "target.make", "%s, just made for target directory %s", name, path);
        if (made && fchmod(fd, MODE) < 0) /* the umask took bits away */
                return err_errno(e, errno, "target.make", "mode of %s for target directory %s", name, path);
        if (made && !dir_sync(*at, e))
                return err_wrap(e, "target directory %s", path);
        replace(at, fd);
        fd = -1;
        return true;
}

bool place_make(const char *path, int *ret_fd, struct err *e)
{
        CLEANUP(free_p) char *above = NULL;
        CLEANUP(close_p) int at = -1;
        char rest[PATH_MAX], name[NAME_MAX + 1];
        if (!place_nearest(path, &above, &at, e))
                return false;
        snprintf(rest, sizeof rest, "%s", path + strlen(above));
        while (next_name(rest, name))
                if (!make_one(&at, name, path, e))
                        return false;
        if (rest[strspn(rest, "/")])
                return err_errno(e, ENAMETOOLONG, "target.make", "target directory %s", path);
        *ret_fd = at;
        at = -1;
        return true;
}
