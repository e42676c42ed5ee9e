#include "agent/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"

#define SECRET_MAX (64 * 1024)
#define CREDENTIALS_OTHERWISE "/etc/dcvd/credentials"

void wipe(void *data, size_t len)
{
        OPENSSL_cleanse(data, len);
}

void wipe_free_text(char *text)
{
        if (text)
                wipe(text, strlen(text));
        free(text);
}

bool secret_set(struct secret *s, const void *data, size_t len, struct err *e)
{
        uint8_t *copy = malloc(len + 1);
        if (!copy)
                return err_memory(e);
        if (len)
                memcpy(copy, data, len);
        copy[len] = 0;
        secret_done(s);
        s->data = copy;
        s->len = len;
        return true;
}

void secret_done(struct secret *s)
{
        if (s->data)
                wipe(s->data, s->len);
        free(s->data);
        *s = (struct secret){ 0 };
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
        return a->data && b->data && a->len == b->len && CRYPTO_memcmp(a->data, b->data, a->len) == 0;
}

void secret_ref_done(struct secret_ref *r)
{
        free(r->name);
        if (r->held)
                secret_done(r->held);
        free(r->held);
        *r = (struct secret_ref){ 0 };
}

bool secret_ref_copy(struct secret_ref *ret, const struct secret_ref *from)
{
        struct secret_ref r = { .source = from->source, .name = text_dup(from->name) };
        if (from->name && !r.name)
                return false;
        if (from->held) {
                r.held = calloc(1, sizeof *r.held);
                if (!r.held || !secret_set(r.held, from->held->data, from->held->len, NULL)) {
                        secret_ref_done(&r);
                        return false;
                }
        }
        *ret = r;
        return true;
}

static bool check_file(const char *path, const struct stat *st, bool credential, struct err *e)
{
        if (!S_ISREG(st->st_mode))
                return err_set(e, ERR_CONFIG, "secret.kind", "secret file %s is not a regular file", path);
        if (st->st_size > SECRET_MAX)
                return err_set(e, ERR_CONFIG, "secret.size", "secret file %s is larger than 64 KiB", path);
        if (!credential && st->st_uid != 0 && st->st_uid != geteuid()) {
                err_set(e, ERR_CONFIG, "secret.owner", "secret file %s is owned by user %u", path,
                        (unsigned)st->st_uid);
                return err_fix(e, "chown root %s", path);
        }
        if (st->st_mode & (credential ? 0022 : 0027)) {
                err_set(e, ERR_CONFIG, "secret.mode", "secret file %s has mode %04o: others could read or change it",
                        path, (unsigned)st->st_mode & 07777);
                return err_fix(e, "chmod %s %s", st->st_mode & 0040 ? "0640" : "0600", path);
        }
        return true;
}

/* Reads the open file whole; drops one newline at the end. */
static bool take(int fd, const char *path, struct secret *ret, struct err *e)
{
        uint8_t *data = malloc(SECRET_MAX + 1);
        size_t len = 0;
        ssize_t n = 0;
        if (!data)
                return err_memory(e);
        while (len <= SECRET_MAX && (n = read(fd, data + len, SECRET_MAX + 1 - len)) > 0)
                len += (size_t)n;
        bool good = true;
        if (n < 0)
                good = err_errno(e, errno, "secret.read", "reading secret file %s", path);
        else if (len > SECRET_MAX)
                good = err_set(e, ERR_CONFIG, "secret.size", "secret file %s is larger than 64 KiB", path);
        if (good && len > 0 && data[len - 1] == '\n')
                len -= len > 1 && data[len - 2] == '\r' ? 2 : 1;
        if (good && len == 0)
                good = err_set(e, ERR_CONFIG, "secret.empty", "secret file %s is empty", path);
        good = good && secret_set(ret, data, len, e);
        wipe(data, SECRET_MAX + 1);
        free(data);
        return good;
}

static bool load_file(const char *path, bool credential, struct secret *ret, struct err *e)
{
        CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0) {
                bool absent = errno == ENOENT;
                err_errno(e, errno, absent ? "secret.absent" : "secret.open", "secret file %s", path);
                if (absent)
                        err_fix(e,
                                "create it with the secret as its only line, mode 0600: install -m 0600 /dev/stdin %s",
                                path);
                return false;
        }
        if (fstat(fd, &st) < 0)
                return err_errno(e, errno, "secret.open", "secret file %s", path);
        return check_file(path, &st, credential, e) && take(fd, path, ret, e);
}

/* $CREDENTIALS_DIRECTORY/NAME, then dcvd_NAME: the unit's LoadCredential= of a directory puts its own name in front. */
static bool load_credential(const char *name, struct secret *ret, struct err *e)
{
        if (!name_is_safe(name))
                return err_set(e, ERR_CONFIG, "secret.name", "credential name \"%s\" is not a plain file name", name);
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        CLEANUP(free_p) char *plain = text_format("%s/%s", directory ? directory : CREDENTIALS_OTHERWISE, name);
        CLEANUP(free_p) char *prefixed = text_format("%s/dcvd_%s", directory ? directory : CREDENTIALS_OTHERWISE, name);
        if (!plain || !prefixed)
                return err_memory(e);
        if (access(plain, F_OK) == 0 || access(prefixed, F_OK) != 0) {
                if (access(plain, F_OK) == 0)
                        return load_file(plain, directory != NULL, ret, e);
                err_set(e, ERR_CONFIG, "secret.absent", "credential %s: there is no %s", name, plain);
                return err_fix(e, "write the secret into " CREDENTIALS_OTHERWISE "/%s (mode 0600)%s", name,
                        directory ? " and restart dcvd: credentials are read by systemd at start" : "");
        }
        return load_file(prefixed, directory != NULL, ret, e);
}

bool secret_load(const struct secret_ref *r, struct secret *ret, struct err *e)
{
        switch (r->source) {
        case SECRET_FILE:
                return load_file(r->name, false, ret, e);
        case SECRET_CREDENTIAL:
                return load_credential(r->name, ret, e);
        case SECRET_ENV:
                if (r->held)
                        return secret_set(ret, r->held->data, r->held->len, e);
                err_set(e, ERR_CONFIG, "secret.absent", "environment variable %s is not set", r->name);
                return err_fix(e, "set %s before dcvd starts, or use {file: ...}", r->name);
        default:
                return err_set(e, ERR_CONFIG, "secret.none", "no secret is configured");
        }
}

bool secret_ref_take_env(struct secret_ref *r, struct err *e)
{
        if (r->source != SECRET_ENV || r->held)
                return true;
        char *value = getenv(r->name);
        if (!value || !value[0])
                return secret_load(r, &(struct secret){ 0 }, e);
        struct secret *held = calloc(1, sizeof *held);
        if (!held || !secret_set(held, value, strlen(value), e)) {
                free(held);
                return held ? false : err_memory(e);
        }
        /* Overwritten in place: /proc/PID/environ shows the original memory. */
        wipe(value, strlen(value));
        r->held = held;
        return true;
}
