/* Files and directories of other programs, read as the caller. What others could have written there is not believed:
 * the result decides what root replaces later. Links are followed (certbot and sites-enabled/ are made of them), but
 * what they lead to must be a regular file of root or the caller that nobody else can write. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"

#define FILES_MAX 20000
#define BYTES_MAX ((size_t)128 * 1024 * 1024)
#define ENTRIES_MAX 20000 /* of one directory */
#define DEPTH_MAX 16

static bool trusted(int fd, const char *path, struct err *e)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, errno, "import.read", "%s", path);
        if (st.st_uid != 0 && st.st_uid != geteuid())
                return err_set(e, ERR_CONFIG, "import.owner", "%s belongs to user %u: what it says is not believed",
                               path, (unsigned)st.st_uid) ||
                        err_fix(e, "look at it, then: chown root %s", path);
        if (st.st_mode & 022 & ~(st.st_gid == 0 ? 020u : 0u))
                return err_set(e, ERR_CONFIG, "import.owner", "%s can be written by others (mode %04o)", path,
                               (unsigned)(st.st_mode & 07777)) ||
                        err_fix(e, "look at it, then: chmod go-w %s", path);
        return true;
}

bool import_read(struct import *im, const char *path, char **ret, size_t *ret_len, struct err *e)
{
        char proc[64];
        if (im->closed)
                return err_set(e, ERR_CONFIG, "import.closed", "%s is not read", path);
        if (im->files >= FILES_MAX || im->bytes >= BYTES_MAX)
                return err_set(e, ERR_CONFIG, "import.size", "%s is not read: too much was read already", path);
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (fd < 0)
                return err_errno(e, errno, errno == ENOENT ? "file.absent" : "import.read", "%s", path);
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        if (!trusted(fd, path, e))
                return false;
        if (!file_read(proc, IMPORT_FILE_MAX, ret, ret_len, e)) {
                const char *said = strstr(e->text, proc) ? e->text + strlen(proc) : e->text;
                CLEANUP(free_p) char *rest = text_dup(said);
                return err_set(e, e->kind, "import.read", "%s%s", path, rest ? rest : "");
        }
        im->files++;
        im->bytes += *ret_len;
        return true;
}

bool import_read_or_tell(struct import *im, const char *path, char **ret, size_t *ret_len)
{
        struct err e;
        if (import_read(im, path, ret, ret_len, &e))
                return true;
        if (!im->closed)
                import_left(im, "%s%s%s", e.text, e.fix[0] ? "; " : "", e.fix);
        return false;
}

bool import_exists(const struct import *im, const char *path)
{
        return !im->closed && access(path, F_OK) == 0;
}

bool import_list(struct import *im, const char *directory, const char *pattern, struct texts *ret, struct err *e)
{
        if (im->closed)
                return err_set(e, ERR_CONFIG, "import.closed", "%s is not read", directory);
        DIR *d = opendir(directory);
        if (!d)
                return err_errno(e, errno, errno == ENOENT ? "file.absent" : "import.read", "%s", directory);
        bool good = true;
        size_t seen = 0;
        for (struct dirent *entry; good && (entry = readdir(d));) {
                if (++seen > ENTRIES_MAX)
                        good = err_set(
                                e, ERR_CONFIG, "import.size", "%s holds more than %d files", directory, ENTRIES_MAX);
                else if (entry->d_name[0] != '.' && fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
                        good = texts_add(ret, entry->d_name) || err_memory(e);
        }
        (void)closedir(d);
        texts_sort(ret);
        return good;
}

/* "/a//b/./c/../d" -> "/a/b/d". As text: what a link leads to is not asked. */
static void squeeze(char *path)
{
        char *to = path;
        for (const char *from = path; *from;) {
                from += strspn(from, "/");
                size_t len = strcspn(from, "/");
                if (len == 2 && memcmp(from, "..", 2) == 0) {
                        while (to > path && *--to != '/')
                                ;
                } else if (len > 0 && !(len == 1 && *from == '.')) {
                        *to++ = '/';
                        memmove(to, from, len);
                        to += len;
                }
                from += len;
        }
        if (to == path)
                *to++ = '/';
        *to = '\0';
}

char *import_path(struct import *im, const char *base, const char *written)
{
        bool plain = written[0] && strlen(written) < 1024;
        for (const char *c = written; plain && *c; c++)
                plain = (unsigned char)*c >= 0x20 && *c != 0x7f;
        CLEANUP(free_p)
        char *path = !plain ? NULL : written[0] == '/' ? text_dup(written) : text_format("%s/%s", base, written);
        if (!path || path[0] != '/' || strlen(path) >= PATH_MAX) {
                import_left(im, "\"%s\" is no usable path", written);
                return NULL;
        }
        squeeze(path);
        return STEAL(path);
}

void import_include(struct import *im, const char *base, const char *written, unsigned depth,
        void (*read)(void *arg, const char *path, unsigned depth), void *arg)
{
        struct texts names = { 0 };
        struct err e;
        CLEANUP(free_p) char *path = import_path(im, base, written);
        if (!path)
                return;
        char *slash = strrchr(path, '/');
        size_t head = (size_t)(slash - path);
        if (depth >= DEPTH_MAX) {
                import_left(im, "%s: included too deeply, not read", path);
        } else if (!strpbrk(path, "*?[")) {
                read(arg, path, depth + 1);
        } else if (strcspn(path, "*?[") < head) {
                import_left(im, "%s: a pattern in a directory's name is not followed", path);
        } else {
                *slash = '\0';
                if (import_list(im, *path ? path : "/", slash + 1, &names, &e))
                        for (size_t i = 0; i < names.count; i++) {
                                CLEANUP(free_p) char *one = text_format("%s/%s", path, names.item[i]);
                                if (one)
                                        read(arg, one, depth + 1);
                        }
                else if (!im->closed && strcmp(e.code, "file.absent") != 0)
                        import_left(im, "%s", e.text);
        }
        texts_done(&names);
}
