/* token-put and token-drop: one file below the web root of a publisher of the root-owned configuration. openat2 keeps
 * every step beneath it and off symlinks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/helper_internal.h"
#include "validators/proof.h"
#include "validators/webroot.h"

#define BODY_MAX 4096
#define DEPTH 4
#define TRIES 20

static int open_below(int dir_fd, const char *path, int flags)
{
        struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
        return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
}

static bool open_root(const struct conf *conf, const json_t *header, int *ret, struct stat *ret_st, struct err *e)
{
        const char *name = json_str(header, "publisher");
        const struct conf_backend *b = name ? config_publisher(conf, name) : NULL;
        if (!b || strcmp(b->kind->type, "webroot") != 0)
                return err_set(e, ERR_CONFIG, "helper.publisher",
                        "there is no web root publisher %s in the configuration that dcvd-helper reads",
                        name ? name : "");
        const struct webroot_conf *w = b->parsed;
        if (!dir_open(w->directory, false, 0, ret, e)) {
                err_wrap(e, "web root of publisher %s", name);
                return err_fix(e, "create it, or correct publishers.%s.directory", name);
        }
        return fstat(*ret, ret_st) == 0 || err_errno(e, errno, "webroot", "%s", w->directory);
}

/* "/.well-known/x/y" without its slash; the grammar allows no "..", no hidden component after the first. */
static bool check_path(const json_t *header, const struct helper_request *r, struct proof *ret, struct err *e)
{
        static char body[BODY_MAX + 1];
        if (r->blob_len > BODY_MAX || memchr(r->blob, 0, r->blob_len))
                return err_set(e, ERR_PROTOCOL, "token.grammar", "a token of %zu bytes, or with NUL", r->blob_len);
        memcpy(body, r->blob, r->blob_len);
        body[r->blob_len] = '\0';
        const char *host = json_str(header, "host"), *path = json_str(header, "path");
        *ret = (struct proof){
                .type = PROOF_FILE, .place = (char *)(host ? host : "a.invalid"), .path = (char *)path, .value = body
        };
        return proof_check(ret, e);
}

static bool make_directories(
        int root, const char *relative, const struct stat *owner, int *ret, int64_t *ret_made, struct err *e)
{
        char path[256];
        const char *slash = strrchr(relative, '/');
        size_t end = (size_t)(slash - relative);
        for (size_t at = 0; at <= end; at++) {
                if (relative[at] != '/' && at != end)
                        continue;
                memcpy(path, relative, at);
                path[at] = '\0';
                CLEANUP(close_p) int there = open_below(root, path, O_RDONLY | O_DIRECTORY);
                if (there >= 0)
                        continue;
                if (errno != ENOENT) {
                        err_errno(e, errno, "webroot.path", "%s in the web root (a link or a file in the way?)", path);
                        return err_fix(e, "make it a directory of the web root: no link is followed there");
                }
                char *last = strrchr(path, '/');
                if (last)
                        *last = '\0';
                CLEANUP(close_p)
                int parent = last ? open_below(root, path, O_RDONLY | O_DIRECTORY) : fcntl(root, F_DUPFD_CLOEXEC, 3);
                const char *name = last ? last + 1 : path;
                int made = parent < 0 ? -1 : mkdirat(parent, name, 0755);
                if (made < 0 && parent >= 0 && errno == EEXIST)
                        continue; /* another token's helper made it just now */
                if (made < 0)
                        return err_errno(e, errno, "webroot.make", "making %s in the web root", name);
                (*ret_made)++;
                if (geteuid() == 0 && fchownat(parent, name, owner->st_uid, owner->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
                        return err_errno(e, errno, "webroot.owner", "owner of %s in the web root", name);
                if (fchmodat(parent, name, 0755, 0) < 0) /* the umask took bits away */
                        return err_errno(e, errno, "webroot.mode", "mode of %s in the web root", name);
        }
        memcpy(path, relative, end);
        path[end] = '\0';
        *ret = open_below(root, path, O_RDONLY | O_DIRECTORY);
        return *ret >= 0 || err_errno(e, errno, "webroot.path", "%s in the web root", path);
}

enum state { ABSENT, SAME, OTHER };
static bool look(int fd, const char *name, const struct proof *p, enum state *ret, struct err *e)
{
        CLEANUP(free_p) char *now = NULL;
        size_t len = 0;
        struct stat st;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                *ret = ABSENT;
                return errno == ENOENT || err_errno(e, errno, "webroot.read", "%s", p->path);
        }
        *ret = OTHER;
        if (S_ISREG(st.st_mode) && st.st_size <= BODY_MAX && file_read_at(fd, name, BODY_MAX, &now, &len, NULL) &&
                len == strlen(p->value) && memcmp(now, p->value, len) == 0)
                *ret = SAME;
        return true;
}

static bool write_token(int fd, const struct proof *p, const struct stat *owner, struct err *e)
{
        enum state now = ABSENT;
        const char *name = strrchr(p->path, '/') + 1;
        if (!look(fd, name, p, &now, e))
                return false;
        if (now == SAME)
                return true;
        if (now == OTHER) {
                err_set(e, ERR_RULE, "token.foreign",
                        "%s exists in the web root with another content; it is not ours and stays", p->path);
                return err_fix(e, "remove it if nobody needs it");
        }
        char temporary[FILE_NAME_SIZE];
        if (!file_temporary_at(fd, name, temporary, e) ||
                !file_create_at(fd, temporary, 0644, p->value, strlen(p->value), e))
                return false;
        bool good = geteuid() != 0 || fchownat(fd, temporary, owner->st_uid, owner->st_gid, AT_SYMLINK_NOFOLLOW) == 0;
        /* Never over somebody's file, not even one that appeared just now. */
        good = good && renameat2(fd, temporary, fd, name, RENAME_NOREPLACE) == 0;
        if (!good) {
                err_errno(e, errno, "webroot.write", "%s", p->path);
                (void)unlinkat(fd, temporary, 0); /* the error above is the one to tell */
                return false;
        }
        return dir_sync(fd, e);
}

/* The helper of another token takes its empty directories away when it goes. */
static bool vanished(int fd)
{
        struct stat st;
        return fd < 0 || (fstat(fd, &st) == 0 && st.st_nlink == 0);
}

bool helper_token_put(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        CLEANUP(close_p) int root = -1;
        CLEANUP(close_p) int fd = -1;
        struct stat owner;
        struct proof p;
        int64_t made = 0;
        if (!check_path(r->header, r, &p, e) || !open_root(conf, r->header, &root, &owner, e))
                return false;
        bool good = false;
        for (int i = 0; i < TRIES && !good && vanished(fd); i++) {
                close_p(&fd);
                fd = -1;
                good = make_directories(root, p.path + 1, &owner, &fd, &made, e) && write_token(fd, &p, &owner, e);
        }
        json_put_i64(answer, "made", MIN(made, (int64_t)DEPTH));
        return good;
}

static void remove_made(int root, const char *relative, int64_t made)
{
        char path[256];
        snprintf(path, sizeof path, "%s", relative);
        for (char *slash; made > 0 && (slash = strrchr(path, '/')); made--) {
                *slash = '\0';
                if (unlinkat(root, path, AT_REMOVEDIR) < 0) /* somebody put something there: it stays */
                        return;
        }
}

bool helper_token_drop(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        CLEANUP(close_p) int root = -1;
        struct stat owner;
        struct proof p;
        enum state now = ABSENT;
        char dir[256], left[FILE_NAME_SIZE];
        if (!check_path(r->header, r, &p, e) || !open_root(conf, r->header, &root, &owner, e))
                return false;
        snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(p.path, '/') - p.path - 1), p.path + 1);
        CLEANUP(close_p) int fd = open_below(root, dir, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && errno != ENOENT)
                return err_errno(e, errno, "webroot.path", "%s in the web root", dir);
        const char *name = strrchr(p.path, '/') + 1;
        if (fd >= 0 && !look(fd, name, &p, &now, e))
                return false;
        json_put_bool(answer, "foreign", now == OTHER);
        if (now == SAME && unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                return err_errno(e, errno, "webroot.remove", "%s", p.path);
        /* What a killed helper left of it goes too; what is in its place and does not go keeps no token out. */
        if (fd >= 0)
                (void)file_temporary_at(fd, name, left, &(struct err){ 0 });
        int64_t made = json_i64(r->header, "made", 0);
        if (made > 0 && made <= DEPTH)
                remove_made(root, p.path + 1, made);
        return true;
}
