/* Private keys as files.
 *
 * A key is written under a temporary name, synced, then linked to its own name, which fails if that exists: nothing is
 * ever overwritten. The directory is synced before keystore_put returns (I1). A temporary file that a crash left behind
 * holds key bytes: the next opening overwrites and removes it, or only removes it if it is already the key itself.
 */
#include "agent/pki/keystore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/keystore_internal.h"

#define SUFFIX ".pem"
#define TEMPORARY ".new-"
#define HEX_LEN 64
#define NAME_SIZE (HEX_LEN + sizeof SUFFIX)

bool spki_hex_is_good(const char *spki_hex)
{
        return spki_hex && strlen(spki_hex) == HEX_LEN && strspn(spki_hex, "0123456789abcdef") == HEX_LEN;
}

bool mode_check(const char *path, const struct stat *st, mode_t forbidden, const char *command, struct err *e)
{
        if (st->st_uid != geteuid()) {
                err_set(e, ERR_CONFIG, "keys.owner", "%s is owned by user %u, not by %u", path, (unsigned)st->st_uid,
                        (unsigned)geteuid());
                return err_fix(e, "chown %u %s", (unsigned)geteuid(), path);
        }
        if (st->st_mode & forbidden) {
                err_set(e, ERR_CONFIG, "keys.mode", "%s has mode %04o: other users could read or change it", path,
                        (unsigned)st->st_mode & 07777);
                return err_fix(e, "%s %s", command, path);
        }
        return true;
}

static bool file_name(const char *spki_hex, char ret[NAME_SIZE], struct err *e)
{
        if (!spki_hex_is_good(spki_hex))
                return err_set(e, ERR_BUG, "key.name", "%.80s is not the hash of a key", spki_hex ? spki_hex : "");
        snprintf(ret, NAME_SIZE, "%s" SUFFIX, spki_hex);
        return true;
}

static bool key_file_check(const struct keystore *s, const char *name, const struct stat *st, struct err *e)
{
        CLEANUP(free_p) char *path = text_format("%s/%s", s->keys_path, name);
        if (!path)
                return err_memory(e);
        if (!S_ISREG(st->st_mode)) {
                err_set(e, ERR_CONFIG, "keys.kind", "%s is not a regular file", path);
                return err_fix(e, "move it away");
        }
        return mode_check(path, st, 07177, "chmod 0600", e);
}

static bool overwrite(int fd, off_t size)
{
        static const char zeros[4096];
        for (off_t at = 0; at < size;) {
                ssize_t n = pwrite(fd, zeros, (size_t)MIN((off_t)sizeof zeros, size - at), at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                at += n;
        }
        return fsync(fd) == 0;
}

/* Absent is success. */
static bool shred(const struct keystore *s, const char *name, struct err *e)
{
        struct stat st;
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(s->keys_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd < 0 && errno == ENOENT)
                return dir_sync(s->keys_fd, e);
        bool good = fd >= 0 && fstat(fd, &st) == 0;
        /* A second link is the key itself, put in place just before a crash. */
        if (good && S_ISREG(st.st_mode) && st.st_nlink == 1)
                good = overwrite(fd, st.st_size);
        if (!good || unlinkat(s->keys_fd, name, 0) < 0)
                return err_errno(e, errno, "key.remove", "removing %s/%s", s->keys_path, name);
        return dir_sync(s->keys_fd, e);
}

typedef bool name_fn(struct keystore *s, const char *name, void *arg, struct err *e);

static bool each_name(struct keystore *s, name_fn *fn, void *arg, struct err *e)
{
        int fd = (int)TEMP_FAILURE_RETRY(openat(s->keys_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                err_errno(e, errno, "keys.read", "reading %s", s->keys_path);
                close_p(&fd);
                return false;
        }
        bool good = true;
        for (struct dirent *entry; good && (entry = readdir(d));)
                good = fn(s, entry->d_name, arg, e);
        (void)closedir(d); /* read only */
        return good;
}

/* The hash in a file name; false: not a key's name. */
static bool hash_of(const char *name, char ret[HEX_LEN + 1])
{
        if (strlen(name) != HEX_LEN + strlen(SUFFIX) || strcmp(name + HEX_LEN, SUFFIX) != 0)
                return false;
        memcpy(ret, name, HEX_LEN);
        ret[HEX_LEN] = '\0';
        return spki_hex_is_good(ret);
}

static bool check_name(struct keystore *s, const char *name, void *arg, struct err *e)
{
        char hex[HEX_LEN + 1];
        struct stat st;
        (void)arg;
        if (text_starts(name, TEMPORARY))
                return shred(s, name, e);
        if (!hash_of(name, hex))
                return true; /* somebody's note: never read, never removed */
        if (fstatat(s->keys_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return err_errno(e, errno, "keys.read", "%s/%s", s->keys_path, name);
        return key_file_check(s, name, &st, e);
}

static bool open_directory(struct keystore *s, const char *state_directory, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct stat st;
        if (!dir_open(state_directory, false, 0, &fd, e))
                return false;
        if (fstat(fd, &st) < 0)
                return err_errno(e, errno, "keys.read", "%s", state_directory);
        if (!mode_check(state_directory, &st, 0022, "chmod go-w", e))
                return false;
        if (fstatat(fd, "keys", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
                err_set(e, ERR_CONFIG, "keys.kind", "%s is not a directory", s->keys_path);
                return err_fix(e, "move it away");
        }
        if (!dir_open_at(fd, "keys", true, 0700, &s->keys_fd, e) || !dir_sync(fd, e))
                return err_wrap(e, "%s", state_directory);
        if (fstat(s->keys_fd, &st) < 0)
                return err_errno(e, errno, "keys.read", "%s", s->keys_path);
        return mode_check(s->keys_path, &st, 07077, "chmod 0700", e);
}

static void remember_written(struct keystore *s, const char *spki_hex, const struct secret *pem)
{
        pthread_mutex_lock(&s->lock);
        struct written *w = &s->written[s->written_count++ % KEYSTORE_WRITTEN];
        sha256(pem->data, pem->len, w->file);
        snprintf(w->spki_hex, sizeof w->spki_hex, "%s", spki_hex);
        pthread_mutex_unlock(&s->lock);
}

static bool is_written(struct keystore *s, const char *spki_hex, const struct secret *pem)
{
        uint8_t file[32];
        bool found = false;
        sha256(pem->data, pem->len, file);
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < MIN(s->written_count, (size_t)KEYSTORE_WRITTEN); i++)
                found = found ||
                        (strcmp(s->written[i].spki_hex, spki_hex) == 0 &&
                                memcmp(s->written[i].file, file, sizeof file) == 0);
        pthread_mutex_unlock(&s->lock);
        return found;
}

bool keystore_open(struct keystore **ret, const char *state_directory, struct err *e)
{
        struct keystore *s = calloc(1, sizeof *s);
        if (!s)
                return err_memory(e);
        s->keys_fd = -1;
        pthread_mutex_init(&s->lock, NULL);
        s->keys_path = text_format("%s/keys", state_directory);
        s->compromised_path = text_format("%s/compromised", state_directory);
        bool good = (s->keys_path && s->compromised_path) || err_memory(e);
        good = good && open_directory(s, state_directory, e) && each_name(s, check_name, NULL, e) &&
                compromised_load(s, e);
        if (!good) {
                keystore_close(s);
                return false;
        }
        *ret = s;
        return true;
}

void keystore_close(struct keystore *s)
{
        if (!s)
                return;
        close_p(&s->keys_fd);
        texts_done(&s->compromised);
        pthread_mutex_destroy(&s->lock);
        free(s->keys_path);
        free(s->compromised_path);
        free(s);
}

static bool place(struct keystore *s, const char *name, const struct secret *pem, struct err *e)
{
        char temporary[48];
        snprintf(temporary, sizeof temporary, TEMPORARY "%016llx", (unsigned long long)random_u64());
        if (!file_create_at(s->keys_fd, temporary, 0600, pem->data, pem->len, e))
                return err_wrap(e, "%s", s->keys_path);
        bool good = linkat(s->keys_fd, temporary, s->keys_fd, name, 0) == 0 || errno == EEXIST ||
                err_errno(e, errno, "key.write", "putting %s/%s in place", s->keys_path, name);
        return shred(s, temporary, good ? e : NULL) && good; /* syncs the directory */
}

static bool read_file(const struct keystore *s, const char *name, struct secret *ret, struct err *e)
{
        struct stat st;
        char data[KEY_PEM_MAX + 1];
        size_t len = 0;
        ssize_t n = 0;
        CLEANUP(close_p)
        int fd = (int)TEMP_FAILURE_RETRY(openat(s->keys_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd < 0 && errno == ENOENT)
                return err_set(e, ERR_CONFIG, "key.absent", "there is no private key %s/%s", s->keys_path, name);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, errno, "key.read", "%s/%s", s->keys_path, name);
        if (!key_file_check(s, name, &st, e))
                return false;
        while (len < sizeof data && (n = read(fd, data + len, sizeof data - len)) != 0) {
                if (n < 0 && errno != EINTR)
                        break;
                len += n > 0 ? (size_t)n : 0;
        }
        bool good =
                n >= 0 ? secret_set(ret, data, len, e) : err_errno(e, errno, "key.read", "%s/%s", s->keys_path, name);
        wipe(data, len);
        return good;
}

/* The file is these bytes and no others. */
static bool is_there(const struct keystore *s, const char *name, const struct secret *pem)
{
        struct secret there = { 0 };
        bool same = pem->len > 0 && read_file(s, name, &there, NULL) && secret_equal(&there, pem);
        secret_done(&there);
        return same;
}

bool keystore_put(struct keystore *s, const struct key *k, char ret_spki_hex[65], struct err *e)
{
        char name[NAME_SIZE], hex[65];
        struct secret pem = { 0 };
        struct key *there = NULL;
        if (!key_spki_hex(k, hex, e) || !file_name(hex, name, e))
                return false;
        bool before = keystore_has(s, hex);
        bool good = before || (key_write_pem(k, NULL, &pem, e) && place(s, name, &pem, e));
        /* What is there, perhaps from before, must be this key, whole, and on the disk. */
        bool ours = good && is_there(s, name, &pem);
        good = good && (ours || keystore_get(s, hex, &there, e)) && (!before || dir_sync(s->keys_fd, e));
        if (ours)
                remember_written(s, hex, &pem);
        secret_done(&pem);
        key_free(there);
        if (good)
                memcpy(ret_spki_hex, hex, sizeof hex);
        return good;
}

bool keystore_get(struct keystore *s, const char *spki_hex, struct key **ret, struct err *e)
{
        char name[NAME_SIZE], hex[65] = "";
        struct secret pem = { 0 };
        struct key *k = NULL;
        struct err why = { 0 };
        if (!file_name(spki_hex, name, e) || !read_file(s, name, &pem, e))
                return false;
        bool good = key_read_pem(pem.data, pem.len, NULL, &k, &why) && key_spki_hex(k, hex, &why);
        secret_done(&pem);
        if (good && strcmp(hex, spki_hex) != 0)
                good = err_set(&why, ERR_CONFIG, "key.damaged", "it holds another key");
        if (good) {
                *ret = k;
                return true;
        }
        key_free(k);
        if (why.kind == ERR_TEMPORARY)
                return err_set(e, why.kind, why.code, "private key %s/%s: %s", s->keys_path, name, why.text);
        err_set(e, ERR_CONFIG, "key.damaged", "private key %s/%s is damaged: %s", s->keys_path, name, why.text);
        return err_fix(e, "restore it from a backup, or move it away and reissue its certificates with a new key");
}

bool keystore_get_pem(struct keystore *s, const char *spki_hex, struct secret *ret, struct err *e)
{
        char name[NAME_SIZE];
        struct secret pem = { 0 };
        struct key *k = NULL;
        if (!file_name(spki_hex, name, e) || !read_file(s, name, &pem, e))
                return false;
        if (is_written(s, spki_hex, &pem)) {
                secret_done(ret);
                *ret = pem;
                return true;
        }
        secret_done(&pem);
        bool good = keystore_get(s, spki_hex, &k, e) && key_write_pem(k, NULL, ret, e);
        key_free(k);
        return good;
}

bool keystore_has(struct keystore *s, const char *spki_hex)
{
        char name[NAME_SIZE];
        struct stat st;
        return file_name(spki_hex, name, NULL) && fstatat(s->keys_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool list_name(struct keystore *s, const char *name, void *arg, struct err *e)
{
        char hex[HEX_LEN + 1];
        (void)s;
        return !hash_of(name, hex) || texts_add(arg, hex) || err_memory(e);
}

bool keystore_list(struct keystore *s, struct texts *ret_spki_hex, struct err *e)
{
        struct texts list = { 0 };
        if (!each_name(s, list_name, &list, e)) {
                texts_done(&list);
                return false;
        }
        texts_sort(&list);
        *ret_spki_hex = list;
        return true;
}

bool keystore_remove(struct keystore *s, const char *spki_hex, struct err *e)
{
        char name[NAME_SIZE];
        return file_name(spki_hex, name, e) && shred(s, name, e);
}
