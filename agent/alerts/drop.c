/* RUNTIME/alerts: where scripts of group dcvd drop what they found. The directory is not trusted: a name may become
 * anything between two looks. A file is opened once, without following links and without waiting, and only what that
 * open file holds counts; it is removed once its report is on disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/alerts/intake_internal.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/loop.h"
#include "agent/pki/evidence.h"

#define WAITING_MAX 256 /* names remembered; the rest is found by looking again */
#define SETTLE_S 3 /* a file found by looking may still be written */
#define RETRY_MS 30000
#define SCAN_MAX 4096 /* names looked at in one go */
#define BAD_PREFIX ".refused-"
#define BAD_MAX 64

struct drop {
        struct intake *intake;
        char *path;
        int dir_fd, inotify_fd;
        struct watch *watch;
        struct timer *timer; /* look again */
        struct deferred *later;
        struct texts waiting;
        char *current; /* being taken */
        struct stat seen; /* of current, when it was opened */
        bool busy, overflow;
};

static void go_on(struct drop *d);

static bool is_ours(const char *name)
{
        return name[0] != '.' && strlen(name) <= 255;
}

static void remember(struct drop *d, const char *name)
{
        if (!is_ours(name) || texts_has(&d->waiting, name) || (d->current && strcmp(d->current, name) == 0))
                return;
        if (d->waiting.count == WAITING_MAX || !texts_add(&d->waiting, name))
                d->overflow = true;
}

/* ---- removing ---- */

/* Only what was read: another file may have the name by now. */
static bool is_same(const struct drop *d, const char *name)
{
        struct stat st;
        return fstatat(d->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == d->seen.st_dev &&
                st.st_ino == d->seen.st_ino;
}

static void remove_current(struct drop *d)
{
        if (is_same(d, d->current) && unlinkat(d->dir_fd, d->current, 0) < 0)
                log_warning("", "%s/%s cannot be removed: %s", d->path, d->current, strerror(errno));
}

static unsigned count_refused(const struct drop *d)
{
        unsigned n = 0;
        int fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
                close_p(&fd);
                return 0;
        }
        for (struct dirent *entry; n <= BAD_MAX && (entry = readdir(dir));)
                n += text_starts(entry->d_name, BAD_PREFIX);
        closedir(dir);
        return n;
}

/* A person may want to see what was wrong with it; a script that errs for ever does not fill the disk. */
static void set_aside(struct drop *d)
{
        char name[300];
        snprintf(name, sizeof name, BAD_PREFIX "%.240s", d->current);
        if (!is_same(d, d->current))
                return;
        if (count_refused(d) >= BAD_MAX || renameat(d->dir_fd, d->current, d->dir_fd, name) < 0)
                remove_current(d);
}

static void current_done(struct drop *d)
{
        free(d->current);
        d->current = NULL;
        d->busy = false;
        go_on(d);
}

/* ---- taking ---- */

static void look_again(struct drop *d, int64_t after_ms)
{
        timer_start(d->timer, after_ms);
}

static void on_taken(void *arg, const struct take_result *r)
{
        struct drop *d = arg;
        const struct err *err = r->err;
        if (!d->intake) { /* closed meanwhile */
                free(d->current);
                free(d);
                return;
        }
        if (err && (err->kind == ERR_CONFIG || err->kind == ERR_PROTOCOL)) {
                alerts_count("drop", "malformed");
                log_warning("", "%s/%s reports nothing that is understood: %s; it is kept as " BAD_PREFIX "%s", d->path,
                        d->current, err->text, d->current);
                set_aside(d);
        } else if (err) {
                alerts_count("drop", "busy");
                log_err("", "a dropped report could not be stored; tried again", err);
                look_again(d, RETRY_MS);
        } else {
                alerts_count("drop", r->known ? "known" : r->opened ? "taken" : "nothing");
                log_info("", "%s/%s: %s", d->path, d->current, r->count ? r->answer[0].text : "");
                remove_current(d);
        }
        current_done(d);
}

/* What is no plain file has no business here; a directory is left to who made it. */
static bool refuse(struct drop *d, const char *name, const char *what)
{
        alerts_count("drop", "malformed");
        log_warning("", "%s/%s is %s, not a report; %s", d->path, name, what,
                unlinkat(d->dir_fd, name, 0) == 0 ? "removed" : "it is left alone");
        return false;
}

/* A script's umask, most often: its report is not thrown away. */
static bool unreadable(struct drop *d, const char *name)
{
        alerts_count("drop", "malformed");
        log_warning("", "%s/%s cannot be read by dcvd: chmod 0644 before it is renamed; it is kept as " BAD_PREFIX "%s",
                d->path, name, name);
        if (fstatat(d->dir_fd, name, &d->seen, AT_SYMLINK_NOFOLLOW) == 0)
                set_aside(d);
        return false;
}

static bool read_file(struct drop *d, const char *name, struct buf *ret)
{
        char block[4096];
        int fd = openat(d->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ELOOP                       ? refuse(d, name, "a symbolic link")
                        : errno == ENXIO || errno == ENODEV ? refuse(d, name, "a socket or device")
                        : errno == EACCES                   ? unreadable(d, name)
                                                            : false;
        bool good = fstat(fd, &d->seen) == 0;
        if (good && !S_ISREG(d->seen.st_mode))
                good = refuse(d, name, S_ISDIR(d->seen.st_mode) ? "a directory" : "no regular file");
        else if (good && d->seen.st_nlink > 1) /* it may be somebody else's file, lent a name here */
                good = refuse(d, name, "a file with a second name");
        else if (good && (d->seen.st_size > EVIDENCE_MAX || d->seen.st_size == 0))
                good = refuse(d, name, d->seen.st_size ? "larger than 64 KiB" : "empty");
        ssize_t n = 0;
        while (good && (n = read(fd, block, sizeof block)) > 0)
                good = buf_append(ret, block, (size_t)n);
        wipe(block, sizeof block);
        close_p(&fd);
        return good && n == 0;
}

static bool take_file(struct drop *d, const char *name)
{
        struct take_conf c = { .engine = d->intake->engine,
                .challenges = &d->intake->challenges,
                .source = "drop folder",
                .trust = TAKE_WORD };
        struct buf text = { .max = EVIDENCE_MAX, .secret = true };
        struct alert a = { 0 };
        struct err e;
        d->busy = true;
        d->current = text_dup(name);
        bool good = d->current && read_file(d, name, &text);
        bool read = good;
        good = good && take_read_text(text.data, text.len, &a, &e) && take_start(&c, &a, on_taken, d, &e);
        buf_done(&text);
        if (good)
                return true;
        if (read) {
                const struct take_result failed = { .err = &e };
                on_taken(d, &failed);
        } else {
                current_done(d);
        }
        return true;
}

/* ---- looking ---- */

/* Finds what no event told of: from before the start, or beyond the queue. */
static void scan(struct drop *d)
{
        int fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        bool young = false;
        struct stat st;
        if (!dir) {
                close_p(&fd);
                return;
        }
        d->overflow = false;
        unsigned n = 0;
        for (struct dirent *entry; n < SCAN_MAX && (entry = readdir(dir)); n++) {
                if (!is_ours(entry->d_name) || fstatat(d->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                        S_ISDIR(st.st_mode))
                        continue;
                if (S_ISREG(st.st_mode) && clock_now_s() - st.st_mtime < SETTLE_S && st.st_mtime <= clock_now_s())
                        young = true;
                else
                        remember(d, entry->d_name);
        }
        closedir(dir);
        if (young)
                look_again(d, SETTLE_S * 1000);
}

static void on_later(void *arg)
{
        struct drop *d = arg;
        d->later = NULL;
        if (d->busy)
                return;
        if (d->waiting.count == 0 && d->overflow)
                scan(d);
        if (d->waiting.count == 0)
                return;
        CLEANUP(free_p) char *name = d->waiting.item[--d->waiting.count];
        (void)take_file(d, name);
}

/* From the loop, one at a time: a thousand files are a thousand turns. */
static void go_on(struct drop *d)
{
        if (!d->busy && !d->later && (d->waiting.count > 0 || d->overflow))
                d->later = loop_defer(engine_loop(d->intake->engine), on_later, d);
}

static void on_timer(void *arg)
{
        struct drop *d = arg;
        scan(d);
        go_on(d);
}

static void on_events(void *arg)
{
        struct drop *d = arg;
        _Alignas(struct inotify_event) char space[16384];
        ssize_t n = read(d->inotify_fd, space, sizeof space);
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
                const struct inotify_event *event = (const struct inotify_event *)(space + at);
                if (event->mask & IN_Q_OVERFLOW)
                        d->overflow = true;
                else if (event->len > 0 && !(event->mask & IN_ISDIR))
                        remember(d, event->name);
                at += (ssize_t)(sizeof *event + event->len);
        }
        go_on(d);
}

/* ---- open, close ---- */

static bool is_mine(gid_t gid)
{
        gid_t list[256];
        int count = getgroups((int)ARRAY_LEN(list), list); /* more than that: none is found */
        for (int i = 0; i < count; i++)
                if (list[i] == gid)
                        return true;
        return gid == getegid();
}

/* The group that may act is the one that may report. A group of which dcvd is no member cannot be given the folder, and
 * under systemd no other one either: its unit lets no owner be changed, by nobody. */
static void give_to_group(struct drop *d, const struct conf *conf, gid_t now)
{
        const char *wanted = NULL;
        for (size_t i = 0; i < conf->control_act.count; i++) {
                const struct group *group = getgrnam(conf->control_act.item[i]);
                if (!group)
                        continue;
                wanted = conf->control_act.item[i];
                gid_t gid = group->gr_gid;
                if (gid == now)
                        return;
                if (is_mine(gid) && fchown(d->dir_fd, (uid_t)-1, gid) == 0) {
                        (void)fchmod(d->dir_fd, 0730); /* chown may have cleared nothing; the mode is said either way */
                        return;
                }
        }
        if (wanted)
                log_warning("",
                        "%s cannot be given to group %s, whose members then cannot drop reports there; "
                        "systemctl edit dcvd: [Service] ExecStartPost=+/bin/chgrp %s %s",
                        d->path, wanted, wanted, d->path);
}

static bool set_up(struct drop *d, struct err *e)
{
        struct loop *loop = engine_loop(d->intake->engine);
        struct stat st;
        if (!dir_open(d->path, true, 0730, &d->dir_fd, e))
                return false;
        if (fstat(d->dir_fd, &st) < 0)
                return err_errno(e, errno, "drop.open", "%s", d->path);
        if (st.st_uid != geteuid() || st.st_mode & 07 || !(st.st_mode & 030)) {
                if (st.st_uid != geteuid()) {
                        err_set(e, ERR_CONFIG, "drop.owner", "%s belongs to another user", d->path);
                        return err_fix(e, "chown dcvd:dcvd %s; chmod 0730 %s", d->path, d->path);
                }
                if (fchmod(d->dir_fd, 0730) < 0)
                        return err_errno(e, errno, "drop.mode", "chmod 0730 %s", d->path);
        }
        give_to_group(d, engine_config(d->intake->engine), st.st_gid);
        d->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (d->inotify_fd < 0 ||
                inotify_add_watch(d->inotify_fd, d->path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
                return err_errno(e, errno, "drop.watch", "watching %s", d->path);
        return timer_new(&d->timer, loop, on_timer, d, e) &&
                loop_watch(&d->watch, loop, d->inotify_fd, on_events, d, e);
}

bool drop_open(struct drop **ret, struct intake *i, struct err *e)
{
        struct drop *d = calloc(1, sizeof *d);
        if (!d)
                return err_memory(e);
        d->intake = i;
        d->dir_fd = d->inotify_fd = -1;
        d->path = text_format("%s/alerts", engine_config(i->engine)->runtime_directory);
        if (!d->path || !set_up(d, e)) {
                if (!d->path)
                        err_memory(e);
                drop_close(d);
                return false;
        }
        scan(d);
        go_on(d);
        *ret = d;
        return true;
}

void drop_close(struct drop *d)
{
        if (!d)
                return;
        loop_undefer(engine_loop(d->intake->engine), d->later);
        loop_unwatch(d->watch);
        timer_free(d->timer);
        close_p(&d->inotify_fd);
        close_p(&d->dir_fd);
        free(d->path);
        texts_done(&d->waiting);
        d->intake = NULL;
        if (d->busy)
                return; /* on_taken frees the rest */
        free(d->current);
        free(d);
}
