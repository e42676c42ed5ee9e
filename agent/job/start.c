#include "agent/job/start.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"
#include "config/config.h"

#define USER "dcvd"

/* Beside our own program (a build tree, /usr/local), else where it was installed. */
static bool helper_path(char ret[PATH_MAX], struct err *e)
{
        ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 32);
        if (n > 0) {
                ret[n] = '\0';
                char *slash = strrchr(ret, '/');
                if (slash) {
                        memcpy(slash + 1, "dcvd-helper", sizeof "dcvd-helper");
                        if (access(ret, X_OK) == 0)
                                return true;
                }
        }
        snprintf(ret, PATH_MAX, "%s", DCVD_HELPER_PATH);
        if (access(ret, X_OK) == 0)
                return true;
        err_set(e, ERR_CONFIG, "helper.absent", "dcvd-helper is not where it belongs: %s", ret);
        return err_fix(e, "install dcvd-helper beside dcvd");
}

static bool make_for(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *e)
{
        struct stat st;
        if (mkdir(path, mode) < 0) {
                if (errno != EEXIST) {
                        err_errno(e, errno, "dir.make", "making %s", path);
                        return err_fix(e,
                                "make it: install -d -o " USER " -g " USER " -m %o %s, or name another in the "
                                "configuration",
                                (unsigned)mode, path);
                }
                if (stat(path, &st) < 0 || st.st_uid != 0)
                        return true; /* somebody's already: the later checks judge it */
        }
        if (lchown(path, uid, gid) < 0)
                return err_errno(e, errno, "dir.owner", "giving %s to user " USER, path);
        return true;
}

/* In a user namespace that maps few users there may be nobody to become: root there is nobody's root outside. */
static bool become(uid_t uid, gid_t gid, const char *name, struct err *e)
{
        if (initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return err_errno(e, errno, "user", "becoming user %s", name);
        secret_forbid_cores(); /* with fs.suid_dumpable=2 the change of user allowed them again */
        if (setresuid(0, 0, 0) == 0)
                return err_set(e, ERR_BUG, "user", "root's rights could be taken back");
        return true;
}

/* The credentials are root's to read where systemd hands over none. */
static bool leave_root(struct conf *conf, const struct passwd *p, struct err *e)
{
        uid_t uid = p->pw_uid;
        gid_t gid = p->pw_gid;
        const char *credentials = getenv("CREDENTIALS_DIRECTORY");
        if (!(credentials && credentials[0]) && !config_hold_credentials(conf, e))
                return false;
        return become(uid, gid, USER, e);
}

static bool drop_root(struct conf *conf, struct err *e)
{
        const struct passwd *p = getpwnam(USER);
        if (!p) {
                log_warning("", "there is no user " USER ": running as root; useradd --system " USER);
                return true;
        }
        return make_for(conf->state_directory, 0700, p->pw_uid, p->pw_gid, e) &&
                make_for(conf->runtime_directory, 0755, p->pw_uid, p->pw_gid, e) && leave_root(conf, p, e);
}

bool start_user(struct conf *conf, struct err *e)
{
        const struct passwd *p = geteuid() == 0 ? getpwnam(USER) : NULL;
        secret_forbid_cores();
        return !p || leave_root(conf, p, e);
}

bool start_is_stranger(void)
{
        const struct passwd *p = getpwnam(USER);
        return geteuid() != 0 && p && p->pw_uid != geteuid();
}

static bool make_runtime(const char *path, struct err *e)
{
        if (mkdir(path, 0755) == 0 || errno == EEXIST)
                return true;
        err_errno(e, errno, "runtime", "runtime directory %s", path);
        return err_fix(e,
                "make it for the user that runs this, or name another: runtime_directory in the configuration, "
                "or RUNTIME_DIRECTORY");
}

bool start_privileges(struct conf *conf, const char *config_path, int *ret_helper_fd, struct err *e)
{
        char path[PATH_MAX], config[PATH_MAX];
        *ret_helper_fd = -1;
        secret_forbid_cores();
        if (access(HELPER_SOCKET, F_OK) != 0) {
                if (!helper_path(path, e))
                        return false;
                if (!realpath(config_path, config))
                        return err_errno(e, errno, "config", "%s", config_path);
                if (!helper_broker_start(path, config, ret_helper_fd, e))
                        return false;
        }
        const struct rlimit none = { 0, 0 };
        (void)setrlimit(
                RLIMIT_CORE, &none); /* a second line; the broker, started before, hands its own to what it runs */
        return (geteuid() != 0 || drop_root(conf, e)) && make_runtime(conf->runtime_directory, e);
}
