/* Read by pread, not mapped: twenty small reads find a key, and a file that somebody shortens while it is searched is a
 * short read here; in a mapping it would be SIGBUS, the end of the daemon. */
#include "agent/pki/blocklist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define RECORD 16
#define KEY 15
#define CHUNK (1024 * RECORD)
#define SIZE_MAX_BYTES (INT64_C(4) << 30)

struct blocklist {
        char *path;
        int fd;
        struct stat st;
        off_t count;
};

static bool read_at(int fd, void *ret, size_t len, off_t at, const char *path, struct err *e)
{
        for (size_t got = 0; got < len;) {
                ssize_t n = pread(fd, (char *)ret + got, len - got, at + (off_t)got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "blocklist", "%s", path);
                if (n == 0)
                        return err_set(e, ERR_TEMPORARY, "blocklist", "%s was shortened while it was read", path);
                got += (size_t)n;
        }
        return true;
}

static bool is_sorted(struct blocklist *b, struct err *e)
{
        CLEANUP(free_p) uint8_t *chunk = malloc(CHUNK);
        uint8_t last[RECORD] = { 0 };
        if (!chunk)
                return err_memory(e);
        for (off_t at = 0; at < b->st.st_size;) {
                size_t len = (size_t)MIN((off_t)CHUNK, b->st.st_size - at);
                if (!read_at(b->fd, chunk, len, at, b->path, e))
                        return false;
                for (size_t i = 0; i < len; i += RECORD) {
                        if (memcmp(last, chunk + i, RECORD) > 0) {
                                err_set(e, ERR_CONFIG, "blocklist", "%s is not sorted: record %lld", b->path,
                                        (long long)(at + (off_t)i) / RECORD);
                                return err_fix(e, "fetch it again; it must be in the blocklist.dat format of badkeys");
                        }
                        memcpy(last, chunk + i, RECORD);
                }
                at += (off_t)len;
        }
        return true;
}

static bool check_file(struct blocklist *b, struct err *e)
{
        if (fstat(b->fd, &b->st) < 0)
                return err_errno(e, errno, "blocklist", "%s", b->path);
        if (!S_ISREG(b->st.st_mode))
                return err_set(e, ERR_CONFIG, "blocklist", "%s is not a regular file", b->path);
        if (b->st.st_size == 0 || b->st.st_size % RECORD != 0 || b->st.st_size > SIZE_MAX_BYTES) {
                err_set(e, ERR_CONFIG, "blocklist", "%s has %lld bytes, which are no whole records of %d", b->path,
                        (long long)b->st.st_size, RECORD);
                return err_fix(e, "fetch it again; it must be in the blocklist.dat format of badkeys");
        }
        b->count = b->st.st_size / RECORD;
        return is_sorted(b, e);
}

bool blocklist_open(struct blocklist **ret, const char *path, struct err *e)
{
        struct blocklist *b = calloc(1, sizeof *b);
        if (!b || !(b->path = text_dup(path))) {
                free(b);
                return err_memory(e);
        }
        b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        bool good = b->fd >= 0 || err_errno(e, errno, "blocklist", "%s", path);
        if (!good || !check_file(b, e)) {
                blocklist_close(b);
                return false;
        }
        *ret = b;
        return true;
}

void blocklist_close(struct blocklist *b)
{
        if (!b)
                return;
        close_p(&b->fd);
        free(b->path);
        free(b);
}

bool blocklist_is_old(const struct blocklist *b)
{
        struct stat st;
        return stat(b->path, &st) < 0 || st.st_ino != b->st.st_ino || st.st_dev != b->st.st_dev ||
                st.st_size != b->st.st_size || st.st_mtim.tv_sec != b->st.st_mtim.tv_sec ||
                st.st_mtim.tv_nsec != b->st.st_mtim.tv_nsec;
}

bool blocklist_find(
        const struct blocklist *b, const uint8_t hash[32], bool *ret_found, unsigned *ret_list, struct err *e)
{
        uint8_t record[RECORD];
        off_t low = 0, high = b->count;
        while (low < high) {
                off_t middle = low + (high - low) / 2;
                if (!read_at(b->fd, record, sizeof record, middle * RECORD, b->path, e))
                        return false;
                int order = memcmp(record, hash, KEY);
                if (order == 0) {
                        *ret_found = true;
                        *ret_list = record[KEY];
                        return true;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return true;
}
