/* K12: who can read the key files? Judged against the owner, group and mode that the configuration sets: stricter or
 * equal is silent, wider is a warning with the command that mends it. A copy of a key that everybody can read in a
 * directory that is served is a report. What this process may not see is not judged. All of it in a thread: the files
 * may lie on anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/pki/evidence.h"
#include "validators/webroot.h"

#define DEPTH 5
#define ENTRIES_MAX 5000 /* of all served directories together */
#define COPY_MAX 65536
#define FINDS_MAX 64

struct key_file { /* owned */
        char *path, *owner, *group;
        unsigned mode;
};
struct find {
        char *text, *fix; /* fix NULL: a report about spki */
        char spki[65];
};
struct check {
        struct detector *detector;
        struct work *work;
        char *cert;
        struct key_file *file;
        size_t file_count;
        struct texts served; /* directories */
        struct find find[FINDS_MAX];
        size_t find_count, entries;
};

static void check_free(struct check *c)
{
        for (size_t i = 0; i < c->file_count; i++) {
                free(c->file[i].path);
                free(c->file[i].owner);
                free(c->file[i].group);
        }
        for (size_t i = 0; i < c->find_count; i++) {
                free(c->find[i].text);
                free(c->find[i].fix);
        }
        free(c->file);
        texts_done(&c->served);
        free(c->cert);
        free(c);
}

/* Takes both texts. */
static void found(struct check *c, char *text_own, char *fix_own, const char *spki)
{
        if (!text_own || c->find_count == FINDS_MAX) {
                free(text_own);
                free(fix_own);
                return;
        }
        struct find *f = &c->find[c->find_count++];
        f->text = text_own;
        f->fix = fix_own;
        snprintf(f->spki, sizeof f->spki, "%s", spki ? spki : "");
}

/* ---- key files ---- */

static bool id_of_user(const char *name, uid_t *ret)
{
        char space[4096];
        struct passwd p, *there = NULL;
        int64_t number;
        if (parse_i64(name, 0, UINT32_MAX - 1, &number)) {
                *ret = (uid_t)number;
                return true;
        }
        if (getpwnam_r(name, &p, space, sizeof space, &there) != 0 || !there)
                return false;
        *ret = p.pw_uid;
        return true;
}

static bool id_of_group(const char *name, gid_t *ret)
{
        char space[16384];
        struct group g, *there = NULL;
        int64_t number;
        if (parse_i64(name, 0, UINT32_MAX - 1, &number)) {
                *ret = (gid_t)number;
                return true;
        }
        if (getgrnam_r(name, &g, space, sizeof space, &there) != 0 || !there)
                return false;
        *ret = g.gr_gid;
        return true;
}

static void judge_mode(struct check *c, const struct key_file *f, const struct stat *st)
{
        unsigned wider = (unsigned)st->st_mode & 0777 & ~f->mode;
        uid_t uid;
        gid_t gid;
        if (wider)
                found(c,
                        text_format("key file %s has mode %04o, wider than %04o", f->path, (unsigned)st->st_mode & 0777,
                                f->mode),
                        text_format("chmod %04o %s", f->mode, f->path), NULL);
        if (id_of_user(f->owner, &uid) && st->st_uid != uid && st->st_uid != 0)
                found(c,
                        text_format(
                                "key file %s belongs to user %u, not to %s", f->path, (unsigned)st->st_uid, f->owner),
                        text_format("chown %s %s", f->owner, f->path), NULL);
        if ((st->st_mode & 070) && id_of_group(f->group, &gid) && st->st_gid != gid && st->st_gid != 0)
                found(c,
                        text_format(
                                "key file %s can be read by group %u, not %s", f->path, (unsigned)st->st_gid, f->group),
                        text_format("chgrp %s %s", f->group, f->path), NULL);
        if (st->st_nlink > 1)
                found(c, text_format("key file %s has %lu names", f->path, (unsigned long)st->st_nlink),
                        text_format("find / -xdev -samefile %s", f->path), NULL);
        if (getxattr(f->path, "system.posix_acl_access", NULL, 0) > 0)
                found(c, text_format("key file %s has an access list beside its mode", f->path),
                        text_format("getfacl %s; setfacl -b %s", f->path, f->path), NULL);
}

/* Whoever may write to a directory above can put another file in its place. */
static void judge_above(struct check *c, const char *path)
{
        CLEANUP(free_p) char *at = text_dup(path);
        for (char *slash; at && (slash = strrchr(at, '/')) != NULL;) {
                struct stat st;
                *slash = '\0';
                const char *directory = at[0] ? at : "/";
                if (stat(directory, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                        found(c,
                                text_format(
                                        "everybody may replace key file %s: %s is writable by all", path, directory),
                                text_format("chmod o-w %s", directory), NULL);
                if (!at[0])
                        return;
        }
}

/* Copies that editors and people leave beside it. */
static void judge_copies(struct check *c, const struct key_file *f)
{
        static const char *const endings[] = { ".bak", ".old", "~", ".orig", ".save", ".swp" };
        for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
                struct stat st;
                CLEANUP(free_p) char *path = text_format("%s%s", f->path, endings[i]);
                if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && ((unsigned)st.st_mode & 0777 & ~f->mode))
                        found(c,
                                text_format(
                                        "a copy of a key file, %s, has mode %04o", path, (unsigned)st.st_mode & 0777),
                                text_format("shred -u %s", path), NULL);
        }
}

static void judge_file(struct check *c, const struct key_file *f)
{
        struct stat st;
        if (stat(f->path, &st) < 0)
                return; /* not there yet, or not to be seen from here */
        judge_mode(c, f, &st);
        judge_above(c, f->path);
        judge_copies(c, f);
}

/* ---- served directories ---- */

static void judge_served(struct check *c, int directory, const char *name, const char *where)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        static const struct evidence_asks nothing;
        struct evidence v = { 0 };
        struct err e;
        if (!file_read_at(directory, name, COPY_MAX, &text, &len, &e))
                return;
        if (strstr(text, "PRIVATE KEY-----") && evidence_read(text, len, &nothing, &v, &e) &&
                v.kind == EVIDENCE_PRIVATE_KEY)
                found(c,
                        text_format(
                                "everybody can read a private key in the served directory %.150s/%.100s", where, name),
                        NULL, v.spki_hex);
        evidence_done(&v);
        wipe(text, len);
}

static void walk(struct check *c, int fd, const char *where, unsigned depth)
{
        DIR *d = fdopendir(fd);
        if (!d) {
                close_p(&fd);
                return;
        }
        for (struct dirent *entry; c->entries < ENTRIES_MAX && (entry = readdir(d)) != NULL; c->entries++) {
                struct stat st;
                const char *name = entry->d_name;
                if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                        fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                CLEANUP(free_p) char *path = text_format("%s/%s", where, name);
                if (S_ISDIR(st.st_mode) && depth < DEPTH && path) {
                        int below = openat(dirfd(d), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        if (below >= 0)
                                walk(c, below, path, depth + 1);
                } else if (S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) && st.st_size > 0 && st.st_size <= COPY_MAX) {
                        judge_served(c, dirfd(d), name, where);
                }
        }
        (void)closedir(d);
}

static void look(void *arg)
{
        struct check *c = arg;
        for (size_t i = 0; i < c->file_count; i++)
                judge_file(c, &c->file[i]);
        for (size_t i = 0; i < c->served.count; i++) {
                int fd = open(c->served.item[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0)
                        walk(c, fd, c->served.item[i], 0);
        }
}

static void looked(void *arg, bool abandoned)
{
        struct check *c = arg;
        if (abandoned)
                return check_free(c);
        for (size_t i = 0; i < c->find_count; i++) {
                const struct find *f = &c->find[i];
                CLEANUP(free_p) char *key = text_format("%s %s", f->text, f->spki);
                struct report r = {
                        .strength = REPORT_EXPOSED, .spki_hex = f->spki, .text = f->text, .revocation_reason = -1
                };
                if (f->spki[0])
                        detector_report(c->detector, &r, key);
                detector_warn(c->detector, c->cert, f->text, f->fix ? f->fix : "remove it from there");
        }
        detector_over(c->detector);
        check_free(c);
}

/* ---- copying what the thread needs ---- */

static bool holds_key(enum conf_form form)
{
        return form == FORM_KEY || form == FORM_COMBINED || form == FORM_PKCS12;
}

static bool add_file(struct check *c, const struct conf_target *t, const char *name)
{
        struct key_file *more = realloc(c->file, (c->file_count + 1) * sizeof *more);
        if (!more)
                return false;
        c->file = more;
        struct key_file *f = &more[c->file_count++];
        *f = (struct key_file){ text_format("%s/%s", t->directory, name), text_dup(t->owner), text_dup(t->group),
                t->mode };
        return f->path && f->owner && f->group;
}

static bool add_served(struct check *c, const struct conf *conf)
{
        for (size_t i = 0; i < conf->publisher_count; i++) {
                const struct conf_backend *b = &conf->publisher[i];
                if (strcmp(b->kind->type, "webroot") == 0 &&
                        !texts_add(&c->served, ((const struct webroot_conf *)b->parsed)->directory))
                        return false;
        }
        return true;
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        struct check *c = calloc(1, sizeof *c);
        const struct conf *conf = engine_config(detector_engine(d));
        bool good = c && (c->cert = text_dup(cert->name));
        if (c)
                c->detector = d;
        for (size_t i = 0; good && i < cert->target_count; i++)
                for (size_t k = 0; good && k < cert->target[i].file_count; k++)
                        if (holds_key(cert->target[i].file[k].form))
                                good = add_file(c, &cert->target[i], cert->target[i].file[k].name);
        /* Once a round: the directories are the same for all. */
        good = good && (cert != conf->cert || add_served(c, conf));
        if (!good)
                err_memory(e);
        else if (work_start(&c->work, engine_loop(detector_engine(d)), look, looked, c, e))
                return c;
        if (c)
                check_free(c);
        return NULL;
}

static void cancel(void *check)
{
        work_abandon(((struct check *)check)->work);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->key_files_ms;
}

const struct detector_ops detect_files = {
        .name = "key_files", .interval_ms = interval_ms, .start = start, .cancel = cancel
};
