#include "agent/deploy/owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "config/config.h"

static bool unknown(struct err *e, const struct conf_target *t, const char *key, const char *what, const char *name)
{
        err_set(e, ERR_CONFIG, strcmp(key, "owner") == 0 ? "target.owner" : "target.group",
                "%s of %s: there is no %s %s", key, t->directory, what, name);
        return err_fix(e, "correct %s of that target in the configuration of dcvd, or create %s %s", key, what, name);
}

/* A burst installs for one user and group nearly always: asked for once in the life of a helper, a minute at most. */
struct known {
        char name[128];
        id_t id;
};

static bool id_of_user(const char *name, id_t *ret)
{
        const struct passwd *p = getpwnam(name);
        if (p)
                *ret = p->pw_uid;
        return p != NULL;
}

static bool id_of_group(const char *name, id_t *ret)
{
        const struct group *g = getgrnam(name);
        if (g)
                *ret = g->gr_gid;
        return g != NULL;
}

static bool find_id(const char *name, struct known *k, bool (*look)(const char *name, id_t *ret), id_t *ret)
{
        int64_t number;
        bool is_number = parse_i64(name, 0, UINT32_MAX - 1, &number);
        if (!is_number && (!k->name[0] || strcmp(k->name, name) != 0)) {
                if (!look(name, &k->id))
                        return false;
                if (snprintf(k->name, sizeof k->name, "%s", name) >= (int)sizeof k->name)
                        k->name[0] = '\0'; /* cut: another name might be the same */
        }
        *ret = is_number ? (id_t)number : k->id;
        return true;
}

bool owner_find(const struct conf_target *t, uid_t *ret_uid, gid_t *ret_gid, struct err *e)
{
        static struct known user, group;
        uid_t uid;
        if (!find_id(t->owner, &user, id_of_user, &uid))
                return unknown(e, t, "owner", "user", t->owner);
        if (!find_id(t->group, &group, id_of_group, ret_gid))
                return unknown(e, t, "group", "group", t->group);
        *ret_uid = uid;
        return true;
}
