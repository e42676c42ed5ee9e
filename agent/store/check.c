/* What is looked at before anything is written, so that a newer or damaged journal stays exactly as it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

/* SQLite file format, section 1.3: the header's first 16 bytes, and user_version at offset 60, big-endian. */
#define HEADER_SIZE 100
#define SMALLEST_PAGE 512
static const char magic[16] = "SQLite format 3";

enum { MAIN, WAL, SHM, ROLLBACK, FILES };
static const char *const suffix[FILES] = { "", "-wal", "-shm", "-journal" };

struct files {
        bool there[FILES];
        off_t size[FILES];
};

static bool file_check(const char *path, const struct stat *st, struct err *e)
{
        if (!S_ISREG(st->st_mode)) {
                err_set(e, ERR_CONFIG, "store.kind", "journal file %s is not a regular file", path);
                return err_fix(e, "move it away");
        }
        if (st->st_uid != geteuid()) {
                err_set(e, ERR_CONFIG, "store.owner", "journal file %s is owned by user %u, not by %u", path,
                        (unsigned)st->st_uid, (unsigned)geteuid());
                return err_fix(e, "chown %u %s", (unsigned)geteuid(), path);
        }
        if ((st->st_mode & 07777) != 0600) {
                err_set(e, ERR_CONFIG, "store.mode", "journal file %s has mode %04o, not 0600", path,
                        (unsigned)st->st_mode & 07777);
                return err_fix(e, "chmod 0600 %s", path);
        }
        return true;
}

static bool look(const char *path, struct files *ret, struct err *e)
{
        for (int i = 0; i < FILES; i++) {
                CLEANUP(free_p) char *name = text_format("%s%s", path, suffix[i]);
                struct stat st;
                if (!name)
                        return err_memory(e);
                if (lstat(name, &st) < 0) {
                        if (errno != ENOENT)
                                return err_errno(e, errno, "store.open", "journal file %s", name);
                        continue;
                }
                if (!file_check(name, &st, e))
                        return false;
                ret->there[i] = true;
                ret->size[i] = st.st_size;
        }
        return true;
}

static bool make(const char *path, struct err *e)
{
        CLEANUP(free_p) char *dir = text_dup(path);
        CLEANUP(close_p) int dir_fd = -1;
        if (!dir)
                return err_memory(e);
        char *slash = strrchr(dir, '/');
        if (slash)
                slash[slash == dir] = '\0';
        if (!dir_open(slash ? dir : ".", false, 0, &dir_fd, e))
                return err_wrap(e, "making journal %s", path);
        const char *name = strrchr(path, '/');
        return (file_create_at(dir_fd, name ? name + 1 : path, 0600, "", 0, e) && dir_sync(dir_fd, e)) ||
                err_wrap(e, "making journal %s", path);
}

static bool newer(const char *path, int64_t version, size_t known, struct err *e)
{
        err_set(e, ERR_CONFIG, "store.newer",
                "journal %s was made by a newer dcvd (version %lld; this one knows %zu); it is left untouched", path,
                (long long)version, known);
        return err_fix(e, "start the newer dcvd again, or restore the journal kept from before the upgrade");
}

/* The header alone, by our own eyes: SQLite is not let near a file that is not one, or not ours to read. */
static bool header_check(const char *path, size_t known, struct err *e)
{
        uint8_t head[HEADER_SIZE];
        CLEANUP(close_p) int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd < 0)
                return err_errno(e, errno, "store.open", "journal %s", path);
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, head, sizeof head, 0));
        if (n < 0)
                return err_errno(e, errno, "store.io", "reading journal %s", path);
        if (n < HEADER_SIZE)
                return store_damaged(path, "it was cut short", e);
        if (memcmp(head, magic, sizeof magic) != 0)
                return store_damaged(path, "it does not begin like a SQLite database", e);
        uint32_t version =
                (uint32_t)head[60] << 24 | (uint32_t)head[61] << 16 | (uint32_t)head[62] << 8 | (uint32_t)head[63];
        return version <= known || newer(path, (int32_t)version, known, e);
}

static bool quick_check(struct connection *c, struct err *e)
{
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(c->db, "PRAGMA quick_check(3)", -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        bool good = rc == SQLITE_ROW;
        if (!good)
                connection_err(c, "PRAGMA quick_check", e);
        const char *said = good ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (good && (!said || strcmp(said, "ok") != 0))
                good = store_damaged(c->path, said ? said : "the check says nothing", e);
        (void)sqlite3_finalize(stmt); /* repeats the step's error */
        return good;
}

/* By the connection that writes afterwards: each connection parses the whole schema. Until it writes it does no more
 * than a reader, but closed after a refusal it would move a write-ahead log into the file. */
bool journal_check(struct connection *c, const struct journal_found *f, size_t known, struct err *e)
{
        int64_t version = 0, tables = 0;
        (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, f->log, NULL);
        bool good = connection_i64(c, "PRAGMA user_version", &version, e);
        if (good && (version < 0 || (uint64_t)version > known))
                good = newer(c->path, version, known, e);
        good = good && quick_check(c, e);
        good = good && connection_i64(c, "SELECT count(*) FROM sqlite_schema", &tables, e);
        if (good && version == 0 && tables > 0)
                good = store_damaged(c->path, "it is a database, but not one of dcvd's", e);
        if (good)
                (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        (void)sqlite3_db_release_memory(c->db); /* the pages that nobody asks for again */
        return good;
}

bool journal_look(const char *path, size_t known, struct journal_found *ret, struct err *e)
{
        struct files f = { 0 };
        if (!look(path, &f, e))
                return false;
        *ret = (struct journal_found){ .content = f.size[MAIN] > 0, .log = f.size[WAL] > 0 };
        /* SQLite deletes a write-ahead log that has no database beside it, and with it what was committed last. */
        if (f.size[MAIN] == 0 && f.size[WAL] > 0)
                return store_damaged(path, "it is absent or empty, but its write-ahead log is there", e);
        if (!f.there[MAIN])
                return make(path, e);
        if (f.size[MAIN] == 0)
                return true; /* made by a start that ended right after */
        if (f.size[MAIN] < SMALLEST_PAGE)
                return store_damaged(path, "it was cut short", e);
        return header_check(path, known, e);
}
