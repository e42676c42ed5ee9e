/* Files: bounded reads, and writes that are either whole or not there (temp in the same directory, mode first, write
 * all, fsync, rename, fsync directory). No function follows a symlink in the last component unless it says so. */
#ifndef DCVD_BASE_FILE_H
#define DCVD_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_NAME_SIZE (255 + 1) /* NAME_MAX and its end */

struct err;

/* Reads a regular file whole (follows symlinks; refuses FIFO, device, directory; O_NONBLOCK so that none hangs). max in
 * bytes; larger is ERR_CONFIG. ret is NUL-terminated and owned by the caller. */
bool file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);
bool file_read_at(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len, struct err *e);
/* Creates name (must not exist: ERR_CONFIG "file.exists") under dir_fd with exactly this mode, whole and fsynced; the
 * caller syncs the directory, or lets file_write_atomic do it. */
bool file_create_at(int dir_fd, const char *name, mode_t mode, const void *data, size_t len, struct err *e);
/* New files of one directory, all with this owner and group ((uid_t)-1 / (gid_t)-1: as they come), as file_create_at
 * makes each; the directory is synced too. All of them or none: what was made goes again. Of several files this waits
 * for the disk about as long as of one. At most NEW_FILES_MAX. */
#define NEW_FILES_MAX 64
struct new_file {
        const char *name;
        mode_t mode;
        const void *data;
        size_t len;
};
bool files_create_at(int dir_fd, const struct new_file *file, size_t count, uid_t uid, gid_t gid, struct err *e);
/* The name beside name under which a file or link is made that is then renamed: ".dcvd-NAME.tmp", the same each time,
 * and nothing is there: what a killed writer left is taken away. name: at most FILE_NAME_SIZE - 11 bytes. */
bool file_temporary_at(int dir_fd, const char *name, char ret[FILE_NAME_SIZE], struct err *e);
/* Replaces path by rename; owner and group kept as given unless (uid_t)-1 / (gid_t)-1. Syncs file and directory. One
 * writer of a name at a time: the file that is renamed is that of file_temporary_at. */
bool file_write_atomic(
        const char *path, mode_t mode, uid_t uid, gid_t gid, const void *data, size_t len, struct err *e);
bool file_write_atomic_at(
        int dir_fd, const char *name, mode_t mode, uid_t uid, gid_t gid, const void *data, size_t len, struct err *e);
/* Appends a line and fsyncs; creates with mode if absent. */
bool file_append_line(const char *path, mode_t mode, const char *line, struct err *e);
/* Makes link lead to target by one rename (symlinkat the name of file_temporary_at, renameat, fsync directory). */
bool symlink_switch_at(int dir_fd, const char *link, const char *target, struct err *e);
/* The same without the fsync. */
bool symlink_put_at(int dir_fd, const char *link, const char *target, struct err *e);
bool dir_sync(int dir_fd, struct err *e);
/* Opens (creating with mode if create) a directory. ret_fd is O_PATH-free, CLOEXEC. */
bool dir_open(const char *path, bool create, mode_t mode, int *ret_fd, struct err *e);
bool dir_open_at(int dir_fd, const char *name, bool create, mode_t mode, int *ret_fd, struct err *e);
/* Makes name anew, empty, with exactly this mode: whatever a killed writer left there goes first. */
bool dir_make_at(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct err *e);
/* Removes name under dir_fd with all below it; symlinks are removed, never followed. Absent is success. */
bool tree_remove_at(int dir_fd, const char *name, struct err *e);
/* Takes an exclusive open-file-description lock, without waiting; *ret_fd keeps it. A lock that another process holds
 * is ERR_TEMPORARY with code "locked" and names its pid if known. */
bool file_lock(const char *path, int *ret_fd, struct err *e);
/* True if name is one path component that we ever use ourselves: [A-Za-z0-9._-]{1,64}, no leading dot. */
bool name_is_safe(const char *name);

#endif
