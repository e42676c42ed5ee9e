/* import --from ... --write: the text becomes a file of the included directory (never in place of one), the whole
 * configuration is tried, and certificates and keys are taken over as `dcvctl import CERT` does. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "agent/cli/import_check.h"
#include "agent/job/engine.h"
#include "config/config.h"
#include "config/yaml.h"

#define RELOAD_MS 10000

/* ---- where ---- */

/* The first pattern of `include` that would take DIRECTORY/NAME.yaml. */
static char *place_in(const struct yaml_node *include, const char *name)
{
        size_t count = !include ? 0 : include->kind == YAML_LIST ? include->count : 1;
        for (size_t i = 0; i < count; i++) {
                const struct yaml_node *n = include->kind == YAML_LIST ? include->item[i] : include;
                const char *slash = n->kind == YAML_SCALAR ? strrchr(n->text, '/') : NULL;
                size_t folder = slash ? (size_t)(slash - n->text) : 0;
                if (folder == 0 || strcspn(n->text, "*?[") < folder)
                        continue;
                char *path = text_format("%.*s/%s.yaml", (int)folder, n->text, name);
                if (path && fnmatch(n->text, path, FNM_PATHNAME | FNM_PERIOD) == 0)
                        return path;
                free(path);
        }
        return NULL;
}

static bool find_place(const char *config, const char *name, char **ret, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        struct conf_problems p = { 0 };
        const struct yaml_node *include = NULL;
        size_t len = 0;
        if (!file_read(config, CONF_FILE_MAX, &text, &len, e))
                return false;
        struct yaml_tree *tree = yaml_read(config, text, len, &p);
        const struct yaml_node *root = tree ? yaml_root(tree) : NULL;
        for (size_t i = 0; root && root->kind == YAML_MAP && i < root->count; i++)
                if (strcmp(root->key[i], "include") == 0)
                        include = root->item[i];
        *ret = place_in(include, name);
        yaml_tree_free(tree);
        conf_problems_done(&p);
        if (*ret)
                return true;
        err_set(e, ERR_CONFIG, "import.include", "%s includes no directory that a new file could be put into", config);
        return err_fix(e, "add to it: include: /etc/dcvd/conf.d/*.yaml");
}

/* Made where there is none, in a directory that is there. */
static bool make_folder(const char *path, struct err *e)
{
        return mkdir(path, 0755) == 0 || errno == EEXIST || err_errno(e, errno, "import.write", "making %s", path);
}

static bool create(const char *path, const char *text, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        const char *slash = strrchr(path, '/');
        CLEANUP(free_p) char *folder = text_dup_n(path, (size_t)(slash - path));
        if (!folder)
                return err_memory(e);
        if (!dir_open(folder, false, 0, &fd, e))
                return false;
        if (!file_create_at(fd, slash + 1, 0644, text, strlen(text), e)) {
                err_wrap(e, "%s", folder);
                return strcmp(e->code, "file.exists") == 0 ? err_fix(e, "look at it and move it away first") : false;
        }
        return dir_sync(fd, e);
}

/* A host without a configuration gets one that only includes. */
static bool main_file(const char *config, struct err *e)
{
        const char *slash = strrchr(config, '/');
        if (access(config, F_OK) == 0)
                return true;
        if (!slash || slash == config)
                return err_set(e, ERR_CONFIG, "import.config", "%s: an absolute path is wanted", config);
        CLEANUP(free_p) char *folder = text_dup_n(config, (size_t)(slash - config));
        CLEANUP(free_p) char *text = text_format("include: %s/conf.d/*.yaml\n", folder);
        if (!text)
                return err_memory(e);
        return make_folder(folder, e) && create(config, text, e);
}

/* ---- the file ---- */

static bool tried(const char *config, struct err *e)
{
        struct conf_problems p = { 0 };
        struct conf *conf = NULL;
        bool good = config_load(config, engine_kinds(), &conf, &p);
        if (!good)
                err_set(e, ERR_CONFIG, "import.config", "%s", p.text.count ? p.text.item[0] : "no memory");
        config_free(conf);
        conf_problems_done(&p);
        return good;
}

static bool put_included(const struct cli_options *o, const char *name, const char *text, char **ret, struct err *e)
{
        CLEANUP(free_p) char *path = NULL;
        if (!find_place(o->config, name, &path, e))
                return false;
        CLEANUP(free_p) char *folder = text_dup_n(path, (size_t)(strrchr(path, '/') - path));
        if (!folder || !make_folder(folder, e) || !config_check_owner(o->config, geteuid(), e) ||
                !create(path, text, e))
                return false;
        if (!tried(o->config, e)) {
                (void)unlink(path); /* what is told is why */
                return err_wrap(e, "with the new file the configuration is not accepted, it was removed again");
        }
        *ret = STEAL(path);
        return true;
}

bool import_put_file(const struct cli_options *o, const char *name, const char *text, char **ret, struct err *e)
{
        bool first = access(o->config, F_OK) != 0;
        if (!main_file(o->config, e))
                return false;
        if (put_included(o, name, text, ret, e))
                return true;
        if (first)
                (void)unlink(o->config); /* it was made for what did not come */
        return false;
}

/* ---- taking over ---- */

static json_t *request(const struct import_cert *c, struct err *e)
{
        CLEANUP(free_p) char *cert = NULL;
        CLEANUP(free_p) char *key = NULL;
        size_t cert_len = 0, key_len = 0;
        json_t *args = NULL;
        if (file_read(c->cert, IMPORT_FILE_MAX, &cert, &cert_len, e) &&
                file_read(c->key, IMPORT_FILE_MAX, &key, &key_len, e)) {
                args = json_pack("{s:s, s:s, s:s, s:s%, s:s%}", "cert", c->name, "cert_file", c->cert, "key_file",
                        c->key, "cert_pem", c->chain.fullchain_pem, strlen(c->chain.fullchain_pem), "key_pem", key,
                        key_len);
                if (!args)
                        err_set(e, ERR_CONFIG, "import.file", "%s is not a text file", c->key);
        }
        if (key)
                wipe(key, key_len);
        if (cert)
                wipe(cert, cert_len);
        return args;
}

/* A daemon that runs has the configuration of before: it is told, and asked again until it knows the new names. */
static bool ask(struct session *s, const json_t *args, json_t **ret, struct err *e)
{
        int64_t until_ms = clock_boot_ms() + RELOAD_MS;
        while (!session_ask(s, "import", args, ret, e)) {
                bool unknown = strcmp(e->code, "cert.unknown") == 0 && !session_is_local(s);
                if (!unknown || clock_boot_ms() > until_ms)
                        return false;
                session_pause(s, 100);
        }
        return true;
}

static int take_all(struct session *s, json_t *requests, json_t *report)
{
        size_t i;
        json_t *args, *ready = NULL;
        struct err e;
        int status = EXIT_GOOD;
        if (!session_is_local(s) && session_ask(s, "reload", NULL, &ready, &e))
                json_decref(ready);
        json_array_foreach(requests, i, args)
        {
                CLEANUP(json_decref_p) json_t *r = NULL;
                bool good = ask(s, args, &r, &e);
                json_t *line = json_pack("{s:s, s:b, s:s}", "cert", json_str(args, "cert"), "taken", good, "text",
                        good ? json_str(r, "text") : e.text);
                json_array_append_new(json_object_get(report, "imported"), line);
                status = cli_worse(status, good ? EXIT_GOOD : EXIT_JOB_FAILED);
        }
        return status;
}

static void forget_keys(json_t *requests)
{
        size_t i;
        json_t *args;
        json_array_foreach(requests, i, args)
        {
                json_t *key = json_object_get(args, "key_pem");
                if (key)
                        wipe((void *)(uintptr_t)json_string_value(key), json_string_length(key));
        }
        json_decref(requests);
}

int import_write(const struct cli_options *o, struct import *im, const char *source, const char *text, json_t *report)
{
        CLEANUP(free_p) char *path = NULL;
        struct cli_options mine = *o;
        struct session *s = NULL;
        struct err e;
        int status = EXIT_GOOD;
        if (!import_put_file(o, source, text, &path, &e))
                return cli_fail(o, &e);
        json_put_text(report, "written", path);
        json_t *requests = json_array(); /* read before this process becomes another user */
        for (size_t i = 0; i < im->cert_count; i++) {
                json_t *args = request(&im->cert[i], &e);
                if (!args)
                        import_left(im, "%s: %s", im->cert[i].name, e.text);
                json_array_append_new(requests, args);
        }
        json_object_set_new(report, "imported", json_array());
        mine.look = true; /* nothing is renewed while this process is here */
        if (session_open(&s, &mine, true, &e)) {
                status = take_all(s, requests, report);
                session_close(s);
        } else {
                import_left(im, "%s is there, but nothing was taken over: %s", path, e.text);
                status = cli_exit_of(&e);
        }
        forget_keys(requests);
        return status;
}
