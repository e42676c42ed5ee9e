/* Does something start certbot by itself? Its package brings a timer, and a line of cron that does nothing where
 * systemd runs. What cannot be read may do so. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"

#define CERTBOT "certbot"
#define SYSTEMD_RUNS "/run/systemd/system" /* sd_booted(3) */
#define FILE_MAX_BYTES (256 * 1024)
#define FILES_MAX 2000

static const char *const units[] = { "/etc/systemd/system", SYSTEMD_RUNS, "/usr/lib/systemd/system",
        "/lib/systemd/system" };
static const char *const jobs[] = { "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
        "/etc/cron.monthly", "/var/spool/cron/crontabs" };

/* Is there a file in folder for which the question is answered by yes, or a folder that cannot be read? */
static bool any(const char *folder, bool (*question)(const char *folder, const char *name))
{
        bool found = false;
        DIR *dir = opendir(folder);
        if (!dir)
                return errno != ENOENT;
        size_t seen = 0;
        for (struct dirent *d; !found && (d = readdir(dir)); seen++)
                found = seen > FILES_MAX || (d->d_name[0] != '.' && question(folder, d->d_name));
        closedir(dir);
        return found;
}

/* ---- timers ---- */

static bool is_its_timer(const char *folder, const char *name)
{
        (void)folder;
        return text_ends(name, ".timer") && strstr(name, CERTBOT);
}

static bool is_masked(const char *timer)
{
        char target[16];
        for (size_t i = 0; i < 2; i++) {
                CLEANUP(free_p) char *path = text_format("%s/%s", units[i], timer);
                ssize_t n = path ? readlink(path, target, sizeof target) : -1;
                if (n == (ssize_t)strlen("/dev/null") && memcmp(target, "/dev/null", (size_t)n) == 0)
                        return true;
        }
        return false;
}

/* A timer of another name, whose service calls it. */
static bool its_service_calls(const char *timer)
{
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                CLEANUP(free_p) char *text = NULL;
                CLEANUP(free_p)
                char *path = text_format("%s/%.*s.service", units[i], (int)(strlen(timer) - strlen(".timer")), timer);
                size_t len = 0;
                if (path && file_read(path, FILE_MAX_BYTES, &text, &len, NULL) && strstr(text, CERTBOT))
                        return true;
        }
        return false;
}

static bool starts_it(const char *folder, const char *name)
{
        return text_ends(name, ".timer") && !is_masked(name) && (is_its_timer(folder, name) || its_service_calls(name));
}

/* `systemctl enable` makes a link in such a folder. */
static bool wants_it(const char *folder, const char *name)
{
        CLEANUP(free_p) char *wants = text_format("%s/%s", folder, name);
        return text_ends(name, ".wants") && (!wants || any(wants, starts_it));
}

static bool any_unit(bool (*question)(const char *folder, const char *name))
{
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
                if (any(units[i], question))
                        return true;
        return false;
}

/* ---- cron ---- */

static bool calls_it(const char *folder, const char *name)
{
        CLEANUP(free_p) char *path = text_format("%s/%s", folder, name);
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!path || !file_read(path, FILE_MAX_BYTES, &text, &len, NULL))
                return true;
        for (char *line = text, *rest = NULL; (line = strtok_r(line, "\n", &rest)); line = NULL)
                if (line[strspn(line, " \t")] != '#' && strstr(line, CERTBOT) && !strstr(line, SYSTEMD_RUNS))
                        return true;
        return false;
}

static bool cron_calls_it(void)
{
        for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
                if (any(jobs[i], calls_it))
                        return true;
        return access("/etc/crontab", F_OK) == 0 && calls_it("/etc", "crontab");
}

/* Where no timer of it is known nobody knows what starts it. */
bool check_certbot_is_off(void)
{
        return access(SYSTEMD_RUNS, F_OK) == 0 && any_unit(is_its_timer) && !any_unit(wants_it) && !cron_calls_it();
}
