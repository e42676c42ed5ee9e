/* Who could change the configuration? The helper acts as root on what the files say, so nobody else may be able to
 * write them, replace them, or redirect a symlink on the way to them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

#define HOPS_MAX 40

/* A walk from the root: done is what was passed and found good, rest what is still to go. */
struct walk {
        char done[PATH_MAX], rest[PATH_MAX];
        unsigned owner, hops;
};

static bool check_one(const struct stat *st, const char *path, unsigned owner, struct err *e)
{
        if (st->st_uid != 0 && st->st_uid != owner)
                return err_set(e, ERR_CONFIG, "config.owner",
                               "%s belongs to user %u, who could change the configuration", path,
                               (unsigned)st->st_uid) ||
                        err_fix(e, "chown root %s", path);
        if (!S_ISLNK(st->st_mode) && (st->st_mode & 022))
                return err_set(e, ERR_CONFIG, "config.owner", "%s can be written by its group or by others (mode %04o)",
                               path, (unsigned)(st->st_mode & 07777)) ||
                        err_fix(e, "chmod go-w %s", path);
        return true;
}

static bool follow(struct walk *w, struct err *e)
{
        char target[PATH_MAX], joined[PATH_MAX];
        ssize_t n = readlink(w->done, target, sizeof target - 1);

        if (n < 0)
                return err_errno(e, errno, "config.owner", "%s", w->done);
        if (++w->hops > HOPS_MAX)
                return err_set(e, ERR_CONFIG, "config.owner", "%s: too many symbolic links", w->done);
        target[n] = '\0';
        int len = snprintf(joined, sizeof joined, "%s/%s", target, w->rest);
        if (len < 0 || (size_t)len >= sizeof joined)
                return err_set(e, ERR_CONFIG, "config.owner", "%s: the path is too long", w->done);
        memcpy(w->rest, joined, (size_t)len + 1);
        if (target[0] == '/')
                w->done[0] = '\0';
        else
                *strrchr(w->done, '/') = '\0';
        return true;
}

/* Takes the next component of rest. */
static bool step(struct walk *w, struct err *e)
{
        char *from = w->rest + strspn(w->rest, "/");
        size_t len = strcspn(from, "/"), have = strlen(w->done);
        bool up = len == 2 && memcmp(from, "..", 2) == 0, same = len == 0 || (len == 1 && *from == '.');
        struct stat st;

        if (up && have)
                *strrchr(w->done, '/') = '\0';
        if (!up && !same) {
                if (have + len + 2 > sizeof w->done)
                        return err_set(e, ERR_CONFIG, "config.owner", "%s: the path is too long", w->done);
                w->done[have] = '/';
                memcpy(w->done + have + 1, from, len);
                w->done[have + 1 + len] = '\0';
        }
        memmove(w->rest, from + len, strlen(from + len) + 1);
        if (up || same)
                return true;
        if (lstat(w->done, &st) != 0)
                return err_errno(e, errno, "config.owner", "%s", w->done);
        return check_one(&st, w->done, w->owner, e) && (!S_ISLNK(st.st_mode) || follow(w, e));
}

static bool check_path(const char *path, unsigned owner, struct err *e)
{
        struct walk w = { .owner = owner };
        struct stat st;
        char whole[PATH_MAX];

        if (path[0] != '/') {
                if (!getcwd(whole, sizeof whole))
                        return err_errno(e, errno, "config.owner", "the current directory");
                if (snprintf(w.rest, sizeof w.rest, "%s/%s", whole, path) >= (int)sizeof w.rest)
                        return err_set(e, ERR_CONFIG, "config.owner", "%s: the path is too long", path);
        } else if (snprintf(w.rest, sizeof w.rest, "%s", path) >= (int)sizeof w.rest) {
                return err_set(e, ERR_CONFIG, "config.owner", "the path of the configuration is too long");
        }
        if (stat("/", &st) != 0)
                return err_errno(e, errno, "config.owner", "/");
        if (!check_one(&st, "/", owner, e))
                return false;
        while (w.rest[strspn(w.rest, "/")])
                if (!step(&w, e))
                        return false;
        return true;
}

static bool first_problem(const struct conf_problems *p, struct err *e)
{
        return err_set(e, ERR_CONFIG, "config.owner", "%s",
                p->text.count ? p->text.item[0] : "the configuration cannot be read");
}

/* The directory that a pattern lists must be good too: whoever can write it can add a file. */
static bool check_pattern_directory(const char *pattern, unsigned owner, struct err *e)
{
        CLEANUP(free_p) char *fixed = text_dup_n(pattern, strcspn(pattern, "*?["));

        if (!fixed)
                return err_memory(e);
        *strrchr(fixed, '/') = '\0';
        return access(*fixed ? fixed : "/", F_OK) != 0 || check_path(*fixed ? fixed : "/", owner, e);
}

static bool check_included(const struct yaml_tree *tree, unsigned owner, struct conf_problems *p, struct err *e)
{
        const struct yaml_node *include = yaml_get(yaml_root(tree), "include");
        struct texts patterns = { 0 }, files = { 0 };
        bool good = true;

        if (yaml_is_null(include))
                return true;
        if (!include_patterns(include, &patterns, p) || !include_expand(&patterns, include, &files, p))
                good = first_problem(p, e);
        for (size_t i = 0; good && i < patterns.count; i++)
                good = check_pattern_directory(patterns.item[i], owner, e);
        for (size_t i = 0; good && i < files.count; i++)
                good = check_path(files.item[i], owner, e);
        texts_done(&patterns);
        texts_done(&files);
        return good;
}

bool config_check_owner(const char *path, unsigned owner_uid, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        struct conf_problems p = { 0 };
        size_t len;

        if (!check_path(path, owner_uid, e) || !file_read(path, CONF_FILE_MAX, &text, &len, e))
                return false;
        struct yaml_tree *tree = yaml_read(path, text, len, &p);
        bool good = tree ? check_included(tree, owner_uid, &p, e) : first_problem(&p, e);
        yaml_tree_free(tree);
        conf_problems_done(&p);
        return good;
}
