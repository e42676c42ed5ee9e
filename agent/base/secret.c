#include "agent/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

void secret_forbid_cores(void)
{
        (void)prctl(PR_SET_DUMPABLE, 0); /* fails only for bad arguments */
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
        free(r->where);
        if (r->held)
                secret_done(r->held);
        free(r->held);
        *r = (struct secret_ref){ 0 };
}

bool secret_ref_copy(struct secret_ref *ret, const struct secret_ref *from)
{
        struct secret_ref r = { .source = from->source, .name = text_dup(from->name), .where = text_dup(from->where) };
        if ((from->name && !r.name) || (from->where && !r.where)) {
                secret_ref_done(&r);
                return false;
        }
        if (from->held) {
                r.held = calloc(1, sizeof *r.held);
                if (!r.held || (from->held->data && !secret_set(r.held, from->held->data, from->held->len, NULL))) {
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
                return err_fix(e, "chown root %s && chmod 0640 %s, so that its group reads it", path, path);
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
        while (len <= SECRET_MAX && (n = TEMP_FAILURE_RETRY(read(fd, data + len, SECRET_MAX + 1 - len))) > 0)
                len += (size_t)n;
        bool good = true;
        const size_t read_in = len;
        if (n < 0)
                good = err_errno(e, errno, "secret.read", "reading secret file %s", path);
        else if (len > SECRET_MAX)
                good = err_set(e, ERR_CONFIG, "secret.size", "secret file %s is larger than 64 KiB", path);
        if (good && len > 0 && data[len - 1] == '\n')
                len -= len > 1 && data[len - 2] == '\r' ? 2 : 1;
        if (good && len == 0)
                good = err_set(e, ERR_CONFIG, "secret.empty", "secret file %s is empty", path);
        good = good && secret_set(ret, data, len, e);
        wipe(data, read_in); /* and not all there is room for: this runs for every alert */
        free(data);
        return good;
}

static bool load_file(const char *path, bool credential, struct secret *ret, struct err *e)
{
        CLEANUP(close_p) int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        struct stat st;
        if (fd < 0) {
                bool absent = errno == ENOENT, denied = errno == EACCES;
                err_errno(e, errno, absent ? "secret.absent" : "secret.open", "secret file %s", path);
                if (absent)
                        err_fix(e,
                                "create it with the secret as its only line, mode 0600: install -m 0600 /dev/stdin %s",
                                path);
                if (denied)
                        err_fix(e, "let dcvd's group read it: chown root:%u %s && chmod 0640 %s", (unsigned)getegid(),
                                path, path);
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
        const char *given = getenv("CREDENTIALS_DIRECTORY"), *directory = given && given[0] ? given : NULL;
        CLEANUP(free_p) char *plain = text_format("%s/%s", directory ? directory : CREDENTIALS_OTHERWISE, name);
        CLEANUP(free_p) char *prefixed = text_format("%s/dcvd_%s", directory ? directory : CREDENTIALS_OTHERWISE, name);
        if (!plain || !prefixed)
                return err_memory(e);
        struct err why;
        if (load_file(plain, directory != NULL, ret, &why))
                return true;
        bool absent = strcmp(why.code, "secret.absent") == 0;
        if (absent && access(prefixed, F_OK) == 0)
                return load_file(prefixed, directory != NULL, ret, e);
        if (absent) {
                err_set(&why, ERR_CONFIG, "secret.absent", "credential %s: there is no %s", name, plain);
                err_fix(&why, "write the secret into " CREDENTIALS_OTHERWISE "/%s (mode 0600)%s", name,
                        directory ? " and restart dcvd: credentials are read by systemd at start" : "");
        } else if (strcmp(why.code, "secret.open") == 0 && !directory) {
                err_fix(&why, "credentials are read at start, by systemd or as root: restart dcvd, or use sudo");
        }
        if (e)
                *e = why;
        return false;
}

/* As this user now, nobody could even see whether it is there. */
static bool was_absent(const char *name, struct err *e)
{
        err_set(e, ERR_CONFIG, "secret.absent", "credential %s: there was no " CREDENTIALS_OTHERWISE "/%s at the start",
                name, name);
        return err_fix(e, "write the secret into " CREDENTIALS_OTHERWISE "/%s (mode 0600) and start again", name);
}

bool secret_load(const struct secret_ref *r, struct secret *ret, struct err *e)
{
        switch (r->source) {
        case SECRET_FILE:
                return load_file(r->name, false, ret, e);
        case SECRET_CREDENTIAL:
                if (r->held && r->held->data)
                        return secret_set(ret, r->held->data, r->held->len, e);
                return r->held ? was_absent(r->name, e) : load_credential(r->name, ret, e);
        case SECRET_ENV:
                if (r->held)
                        return secret_set(ret, r->held->data, r->held->len, e);
                err_set(e, ERR_CONFIG, "secret.absent", "environment variable %s is not set", r->name);
                return err_fix(e, "set %s before dcvd starts, or use {file: ...}", r->name);
        default:
                return err_set(e, ERR_CONFIG, "secret.none", "no secret is configured");
        }
}

bool secret_ref_hold(struct secret_ref *r, struct err *e)
{
        if (r->source != SECRET_CREDENTIAL || r->held)
                return true;
        struct secret *held = calloc(1, sizeof *held);
        if (!held)
                return err_memory(e);
        struct err why;
        if (secret_load(r, held, &why) || strcmp(why.code, "secret.absent") == 0) {
                r->held = held;
                return true;
        }
        free(held);
        if (strcmp(why.code, "secret.owner") == 0)
                return true; /* it may be of the user who reads it next, and who is told if it is not */
        if (e)
                *e = why;
        return false;
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
