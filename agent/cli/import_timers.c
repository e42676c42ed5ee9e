/* What starts another client by itself: cron's files and systemd's units that name the program. Nothing is switched off
 * here: `next` says what to type. Of what is off already nothing is said. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/cli/import_lines.h"

#define CRONTABS "/var/spool/cron/crontabs" /* what crontab(1) writes, a file a user */

#define SYSTEMD_RUNS "/run/systemd/system" /* sd_booted(3) */

static const char *const units[] = { "/etc/systemd/system", SYSTEMD_RUNS, "/lib/systemd/system" };
static const char *const jobs[] = { "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
        "/etc/cron.monthly", CRONTABS };

/* Where the program's word ends; a snap runs "certbot.renew". */
static bool ends_word(const char *at, const char *end)
{
        static const char app[] = ".renew";
        if ((size_t)(end - at) >= sizeof app - 1 && memcmp(at, app, sizeof app - 1) == 0)
                at += sizeof app - 1;
        return at == end || strchr(" \t;&|\"'", *at) != NULL;
}

/* A package's line of cron that does nothing where systemd runs, since a timer does it there. */
static bool leaves_it_to_systemd(const struct import_line *l)
{
        return memmem(l->text, l->len, SYSTEMD_RUNS, strlen(SYSTEMD_RUNS)) && access(SYSTEMD_RUNS, F_OK) == 0;
}

/* The program as a word of a line that is no comment. */
static bool calls(const struct import_line *l, const char *program)
{
        size_t n = strlen(program);
        if (l->len == 0 || *l->text == '#' || leaves_it_to_systemd(l))
                return false;
        for (const char *at = l->text, *end = l->text + l->len; at + n <= end; at++) {
                bool word = memcmp(at, program, n) == 0 && (at == l->text || strchr(" \t/;&|\"'", at[-1])) &&
                        ends_word(at + n, end);
                if (word)
                        return true;
        }
        return false;
}

/* The line that calls it; 0: none. */
static size_t line_in(struct import *im, const char *path, const char *program)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct import_line l;
        struct err e;
        if (!import_exists(im, path) || !import_read(im, path, &text, &len, &e))
                return 0; /* not ours to believe, or to say anything about */
        import_lines(&l, text, len);
        while (import_next_line(&l))
                if (calls(&l, program))
                        return l.number;
        return 0;
}

/* A link too whose target is elsewhere, or not there. */
static bool is_there(const char *path)
{
        struct stat st;
        return lstat(path, &st) == 0;
}

static bool is_masked(const char *path)
{
        char target[16];
        ssize_t n = readlink(path, target, sizeof target);
        return n == (ssize_t)strlen("/dev/null") && memcmp(target, "/dev/null", (size_t)n) == 0;
}

/* Enabled, by a link in such a folder, and not masked. Of a template, and where that cannot be read: perhaps. */
static bool is_wanted(struct import *im, const char *timer)
{
        bool wanted = text_ends(timer, "@.timer");
        struct err e;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                CLEANUP(free_p) char *path = text_format("%s/%s", units[i], timer);
                struct texts folders = { 0 };
                if (path && is_masked(path))
                        return false;
                if (!import_list(im, units[i], "*.wants", &folders, &e))
                        wanted = wanted || strcmp(e.code, "file.absent") != 0;
                for (size_t k = 0; k < folders.count; k++) {
                        CLEANUP(free_p) char *want = text_format("%s/%s/%s", units[i], folders.item[k], timer);
                        wanted = wanted || (want && is_there(want));
                }
                texts_done(&folders);
        }
        return wanted;
}

static void unit(struct import *im, const char *folder, const char *service, const char *program)
{
        CLEANUP(free_p) char *stem = text_dup_n(service, strlen(service) - strlen(".service"));
        CLEANUP(free_p) char *path = text_format("%s/%s", folder, service);
        CLEANUP(free_p) char *timer = stem ? text_format("%s/%s.timer", folder, stem) : NULL;
        if (!path || !timer || !import_exists(im, timer))
                return;
        CLEANUP(free_p) char *name = text_format("%s.timer", stem);
        if (line_in(im, path, program) > 0 && (!name || is_wanted(im, name)))
                import_next(im, "switch the other client off: systemctl disable --now %s.timer", stem);
}

static void job(struct import *im, const char *path, const char *program)
{
        size_t line = line_in(im, path, program);
        const char *user = text_starts(path, CRONTABS "/") ? path + strlen(CRONTABS "/") : NULL;
        if (line > 0 && user) /* cron does not notice what is written into these files */
                import_next(im, "switch the other client off: crontab -u %s -e, and remove line %zu", user, line);
        else if (line > 0)
                import_next(im, "switch the other client off: remove line %zu of %s", line, path);
}

void import_timers(struct import *im, const char *program)
{
        struct err e;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                struct texts names = { 0 };
                if (import_list(im, units[i], "*.service", &names, &e))
                        for (size_t k = 0; k < names.count; k++)
                                unit(im, units[i], names.item[k], program);
                texts_done(&names);
        }
        for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
                struct texts names = { 0 };
                if (import_list(im, jobs[i], "*", &names, &e))
                        for (size_t k = 0; k < names.count; k++) {
                                CLEANUP(free_p) char *path = text_format("%s/%s", jobs[i], names.item[k]);
                                if (path)
                                        job(im, path, program);
                        }
                texts_done(&names);
        }
        job(im, "/etc/crontab", program);
}
