/* hook: one command of the root-owned configuration, run as user dcvd-hook. The request names its section and entry and
 * brings what a protocol says: arguments, environment values and bytes for standard input, each by a grammar in which
 * nothing means anything to a shell that the command may be written in. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/deploy/command.h"
#include "agent/deploy/helper_internal.h"
#include "validators/exec.h"

#define USER "dcvd-hook"
#define NOTIFY_MS 60000
#define ARGUMENTS_MAX 64
#define ARGUMENT_MAX 1024
#define VALUE_MAX 4096
#define SAID_MAX 4096

bool helper_become_hook_user(struct err *e)
{
        if (geteuid() != 0)
                return true;
        const struct passwd *p = getpwnam(USER);
        if (!p || p->pw_uid == 0) {
                err_set(e, ERR_CONFIG, "hook.user", "there is no user " USER ", and a hook is not run as root");
                return err_fix(e, "useradd --system --no-create-home --shell /usr/sbin/nologin " USER);
        }
        uid_t uid = p->pw_uid;
        gid_t gid = p->pw_gid;
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return err_errno(e, errno, "hook.user", "becoming user " USER);
        secret_forbid_cores(); /* a change of user undid it */
        return setresuid(0, 0, 0) < 0 || err_set(e, ERR_BUG, "hook.user", "root's rights could be taken back");
}

/* ---- which command ---- */

struct hook {
        const struct texts *command;
        int64_t timeout_ms;
        bool arguments; /* its protocol has some */
};

static bool find_notify(const struct conf *conf, const char *name, struct hook *ret)
{
        const struct conf_notify *n = config_notify(conf, name);
        if (!n || !n->command.count)
                return false;
        *ret = (struct hook){ &n->command, NOTIFY_MS, false };
        return true;
}

static bool find_publisher(const struct conf *conf, const char *name, struct hook *ret)
{
        const struct conf_backend *b = config_publisher(conf, name);
        if (!b || strcmp(b->kind->type, "exec") != 0)
                return false;
        const struct exec_conf *x = b->parsed;
        *ret = (struct hook){ &x->command, x->timeout_ms, true };
        return true;
}

/* certbot's second hook. */
static bool find_cleanup(const struct conf *conf, const char *name, struct hook *ret)
{
        const struct conf_backend *b = config_publisher(conf, name);
        const struct exec_conf *x = b && strcmp(b->kind->type, "exec") == 0 ? b->parsed : NULL;
        if (!x || !x->cleanup.count)
                return false;
        *ret = (struct hook){ &x->cleanup, x->timeout_ms, true };
        return true;
}

static bool find(const struct conf *conf, const json_t *header, struct hook *ret, struct err *e)
{
        static const struct {
                const char *kind;
                bool (*find)(const struct conf *conf, const char *name, struct hook *ret);
        } kinds[] = { { "notify", find_notify }, { "publisher", find_publisher }, { "cleanup", find_cleanup } };
        const char *kind = json_str(header, "kind"), *name = json_str(header, "name");
        for (size_t i = 0; kind && name && i < ARRAY_LEN(kinds); i++)
                if (strcmp(kinds[i].kind, kind) == 0 && kinds[i].find(conf, name, ret))
                        return true;
        err_set(e, ERR_CONFIG, "hook.section", "there is no command of %s %s in %s", kind ? kind : "?",
                name ? name : "?", conf->path);
        return err_fix(e, "the file was changed after dcvd read it: systemctl reload dcvd");
}

/* ---- what is handed to it ---- */

static bool word_is_good(const char *text)
{
        size_t len = strlen(text);
        return len > 0 && len <= ARGUMENT_MAX &&
                strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@=+,*/-") == len;
}

static bool name_is_good(const char *name)
{
        static const char *const prefixes[] = { "CERTBOT_", "EXEC_", "DCVD_" };
        size_t len = strlen(name);
        if (len > 64 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
                if (text_starts(name, prefixes[i]))
                        return true;
        return false;
}

static bool value_is_good(const char *text)
{
        size_t len = strlen(text);
        for (size_t i = 0; i < len; i++)
                if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n' && text[i] != '\t')
                        return false;
        return len <= VALUE_MAX;
}

static bool read_arguments(const json_t *list, const struct hook *hook, struct texts *ret, struct err *e)
{
        if (!list)
                return true;
        if (!json_is_array(list) || json_array_size(list) > (hook->arguments ? ARGUMENTS_MAX : 0))
                return err_set(e, ERR_PROTOCOL, "hook.grammar", "arguments that its protocol does not have");
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *text = json_string_value(json_array_get(list, i));
                if (!text || !word_is_good(text))
                        return err_set(e, ERR_PROTOCOL, "hook.grammar",
                                "argument %zu is not 1 to %d of letters, digits and ._:@=+,*/-", i + 1, ARGUMENT_MAX);
                if (!texts_add(ret, text))
                        return err_memory(e);
        }
        return true;
}

static bool read_environment(json_t *map, struct texts *ret, struct err *e)
{
        const char *name;
        json_t *value;
        if (!map)
                return true;
        if (!json_is_object(map) || json_object_size(map) > ARGUMENTS_MAX)
                return err_set(e, ERR_PROTOCOL, "hook.grammar", "an environment that is no map of a few values");
        json_object_foreach(map, name, value)
        {
                const char *text = json_string_value(value);
                if (!text || !name_is_good(name) || !value_is_good(text))
                        return err_set(e, ERR_PROTOCOL, "hook.grammar",
                                "environment value %s is not a CERTBOT_, EXEC_ or DCVD_ one of at most %d printable "
                                "bytes",
                                name, VALUE_MAX);
                CLEANUP(free_p) char *pair = text_format("%s=%s", name, text);
                if (!texts_add_own(ret, pair))
                        return err_memory(e);
                pair = NULL;
        }
        return true;
}

/* ---- what came of it ---- */

/* A page of lines for people: escaped, line feeds kept. */
static void put_page(json_t *answer, const char *key, const struct buf *raw, size_t max)
{
        struct buf b = { .max = max };
        for (size_t at = 0; at < raw->len && !b.failed;) {
                const char *end = memchr(raw->data + at, '\n', raw->len - at);
                size_t n = end ? (size_t)(end - raw->data) - at : raw->len - at;
                buf_add_escaped(&b, raw->data + at, n, n);
                if (end)
                        buf_addc(&b, '\n');
                at += n + (end ? 1 : 0);
        }
        json_put_text(answer, key, b.data ? b.data : "");
        buf_done(&b);
}

static void tell(json_t *answer, const struct texts *argv, const struct command_result *r)
{
        char text[600] = "";
        (void)command_failed(argv, r, text, sizeof text);
        json_put_i64(answer, "exit", r->exit_status);
        json_put_i64(answer, "signal", r->signal);
        json_put_bool(answer, "timed_out", r->timed_out);
        json_put_text(answer, "failure", text);
        put_page(answer, "output", &r->output, COMMAND_OUTPUT_MAX);
        put_page(answer, "said", &r->said, SAID_MAX);
}

bool helper_hook(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        struct hook hook;
        struct texts arguments = { 0 }, environment = { 0 };
        struct command_result result;
        bool good = find(conf, r->header, &hook, e) &&
                read_arguments(json_object_get(r->header, "args"), &hook, &arguments, e) &&
                read_environment(json_object_get(r->header, "env"), &environment, e) &&
                command_run_with(&(struct command){ .argv = hook.command,
                                         .more = &arguments,
                                         .environment = &environment,
                                         .input = r->blob,
                                         .input_len = r->blob_len,
                                         .timeout_ms = hook.timeout_ms },
                        &result, e);
        if (good) {
                tell(answer, hook.command, &result);
                command_result_done(&result);
        }
        texts_done(&arguments);
        texts_done(&environment);
        return good;
}
