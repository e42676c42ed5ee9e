/* The checks of this room: what dcvd finds on this host when it publishes a file and puts a certificate to use. They
 * read, and run nothing; a configuration test is the daemon's to run. */
#include "agent/deploy/check_deploy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"
#include "agent/deploy/command.h"
#include "agent/net/helper.h"
#include "validators/webroot.h"

#define DISK_LEAST_MB 64
#define INODES_LEAST 1000
#define LYING_MAX 4000 /* what a look keeps of a body */
#define TOKEN_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* ---- O12: the commands ---- */

static void judge_command(const struct conf_target *t, const struct conf_service *s, const struct texts *argv,
        const char *what, struct judgements *out)
{
        if (argv->count == 0 || command_exists(argv->item[0]))
                return;
        judge(out, "O12",
                (struct judgement_words){ .subject = argv->item[0],
                        .fix = "install it, or correct the path in deploy.services of the configuration" },
                "the %s command of service %s for %s is not on this host, or not executable: %s", what, s->name,
                t->directory, argv->item[0]);
}

static void judge_commands(struct check_context *c, struct judgements *out)
{
        const struct conf_cert *cert = c->target->cert;
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++) {
                        const struct conf_service *s = &cert->target[i].service[k];
                        judge_command(&cert->target[i], s, &s->test, "test", out);
                        judge_command(&cert->target[i], s, &s->reload, "reload", out);
                        if (s->signal_pidfile && access(s->signal_pidfile, F_OK) != 0 && errno == ENOENT)
                                judge(out, "O12",
                                        (struct judgement_words){ .subject = s->signal_pidfile,
                                                .fix = "start the service, or correct signal.pidfile" },
                                        "the pidfile of service %s is not there: %s", s->name, s->signal_pidfile);
                }
}

/* ---- O13: what dcvd-helper may ---- */

static void judge_helper(struct check_context *c, struct judgements *out)
{
        const struct conf_cert *cert = c->target->cert;
        struct stat st;
        if (access(HELPER_SOCKET, F_OK) == 0 || cert->target_count == 0)
                return;
        if (stat(c->target->conf->state_directory, &st) < 0)
                return judge_unverifiable(out, "O13", cert->name, "the state directory cannot be looked at");
        for (size_t i = 0; i < cert->target_count; i++) {
                struct stat own;
                const char *directory = cert->target[i].directory;
                if (geteuid() == 0 || stat(directory, &own) < 0)
                        continue; /* started as root, dcvd starts a broker first */
                if (own.st_uid == st.st_uid || (own.st_mode & S_IWOTH))
                        continue;
                if (geteuid() !=
                        st.st_uid) /* what the daemon's helper may is tried by the daemon, if it may be asked */
                        return judge_unverifiable(out, "O13", directory,
                                "only root and dcvd know whether dcvd was started as root, which gives it a helper");
                judge(out, "O13",
                        (struct judgement_words){ .subject = directory,
                                .fix = "systemctl enable --now dcvd-helper.socket, or start dcvd as root" },
                        "%s belongs to another user than dcvd, and there is no dcvd-helper that may write it",
                        directory);
        }
}

/* ---- O06: web roots ---- */

static void judge_webroot(const struct conf_backend *b, const char *name, struct judgements *out)
{
        const struct webroot_conf *w = b->parsed;
        struct stat st;
        struct judgement_words words = { .subject = w->directory };
        words.fix = "create it, or correct publishers: ... directory: the document root of the site on port 80";
        if (stat(w->directory, &st) < 0 && errno != EACCES)
                judge(out, "O06", words, "the web root of publisher %s for %s is not there: %s: %s", b->name, name,
                        w->directory, strerror(errno));
        else if (stat(w->directory, &st) == 0 && !S_ISDIR(st.st_mode))
                judge(out, "O06", words, "the web root of publisher %s for %s is no directory: %s", b->name, name,
                        w->directory);
        else if (stat(w->directory, &st) == 0 && !(st.st_mode & S_IXOTH) && st.st_uid == 0 && st.st_gid == 0) {
                words.fix = "let the web server's user in: chmod o+x";
                judge(out, "O06", words, "the web root %s can be entered by root alone: the web server cannot serve it",
                        w->directory);
        }
}

const char *deploy_publisher_of(const struct check_target *t, size_t ca, const char *name)
{
        const char *own = conf_publisher_for(&t->cert->ca[ca].publisher, name);
        return own ? own : conf_publisher_for(&t->cert->publisher, name);
}

const char *deploy_web_root(const struct conf_backend *publisher)
{
        bool is_one = publisher && publisher->parsed && strcmp(publisher->kind->type, "webroot") == 0;
        return is_one ? ((const struct webroot_conf *)publisher->parsed)->directory : NULL;
}

bool deploy_lying_file(const char *directory, char **ret_name, char **ret_content, size_t *ret_len)
{
        CLEANUP(free_p) char *folder = text_format("%s/.well-known/acme-challenge", directory);
        DIR *dir = folder ? opendir(folder) : NULL;
        bool found = false;
        for (struct dirent *d; dir && !found && (d = readdir(dir));) {
                CLEANUP(free_p) char *path = text_format("%s/%s", folder, d->d_name);
                struct stat st;
                struct err e;
                bool plain = d->d_name[strspn(d->d_name, TOKEN_LETTERS)] == '\0' && path && lstat(path, &st) == 0 &&
                        S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) && st.st_size > 0 && st.st_size <= LYING_MAX;
                if (!plain || !file_read(path, LYING_MAX, ret_content, ret_len, &e))
                        continue;
                *ret_name = text_dup(d->d_name);
                found = *ret_name != NULL;
        }
        if (dir)
                closedir(dir);
        return found;
}

static void judge_webroots(struct check_context *c, struct judgements *out)
{
        const struct check_target *t = c->target;
        for (size_t i = 0; i < t->cert->ca_count; i++)
                for (size_t k = 0; k < t->names.count; k++) {
                        const char *name = deploy_publisher_of(t, i, t->names.item[k]);
                        const struct conf_backend *b = name ? config_publisher(t->conf, name) : NULL;
                        if (deploy_web_root(b))
                                judge_webroot(b, t->names.item[k], out);
                }
}

/* ---- O08, O09: the state directory ---- */

static void judge_mode(const char *path, unsigned forbidden, unsigned wanted, struct judgements *out)
{
        struct stat st;
        CLEANUP(free_p) char *fix = text_format("chmod %04o %s", wanted, path);
        if (lstat(path, &st) == 0 && (st.st_mode & forbidden))
                judge(out, "O08", (struct judgement_words){ .subject = path, .fix = fix },
                        "%s has mode %04o: others could read or change it", path, (unsigned)st.st_mode & 07777);
}

static void judge_space(const char *path, struct judgements *out)
{
        struct statvfs v;
        if (statvfs(path, &v) < 0)
                return judge_unverifiable(out, "O09", path, "%s cannot be looked at: %s", path, strerror(errno));
        unsigned long long mb = (unsigned long long)v.f_bavail * v.f_frsize / (1024 * 1024);
        struct judgement_words w = { .subject = path,
                .fix = "make room: without it no key and no journal row is written" };
        if (mb < DISK_LEAST_MB)
                judge(out, "O09", w, "%s has %llu MB left, %d are wanted", path, mb, DISK_LEAST_MB);
        else if (v.f_files > 0 && v.f_favail < INODES_LEAST)
                judge(out, "O09", w, "the file system of %s has %llu inodes left", path,
                        (unsigned long long)v.f_favail);
        if (v.f_flag & ST_RDONLY)
                judge(out, "O09", w, "the file system of %s is read-only", path);
}

static void judge_state(struct check_context *c, struct judgements *out)
{
        const char *path = c->target->conf->state_directory;
        struct stat st, keys_st;
        if (stat(path, &st) < 0) {
                if (errno == ENOENT)
                        judge_unverifiable(out, "O08", path, "%s is not there yet: dcvd has not run", path);
                else
                        judge_unverifiable(out, "O08", path, "%s: %s", path, strerror(errno));
                return;
        }
        CLEANUP(free_p) char *keys = text_format("%s/keys", path);
        CLEANUP(free_p) char *database = text_format("%s/dcvd.db", path);
        judge_mode(path, 0022, 0700, out);
        judge_mode(keys, 0077, 0700, out);
        judge_mode(database, 0022, 0600, out);
        if (stat(keys, &keys_st) == 0 && keys_st.st_uid != st.st_uid)
                judge(out, "O08",
                        (struct judgement_words){ .subject = keys, .fix = "chown -R it to the user that dcvd runs as" },
                        "%s belongs to another user than %s", keys, path);
        else if (stat(keys, &keys_st) < 0 && errno == EACCES)
                judge_unverifiable(out, "O08", keys, "only dcvd and root may look into %s", path);
        judge_space(path, out);
}

/* ---- O01: secrets ---- */

/* As the user who will need them: root would be let in everywhere, and finds the owner wrong. */
static bool read_secrets(struct conf *conf, struct texts *absent, struct err *e)
{
        struct stat st;
        bool other = geteuid() == 0 && stat(conf->state_directory, &st) == 0 && st.st_uid != 0;
        gid_t gid = getegid();
        if (geteuid() == 0 && !config_hold_credentials(conf, e)) /* at the start of dcvd root, or systemd, reads them */
                return false;
        if (other && (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)) {
                if (setegid(gid) < 0)
                        abort(); /* nothing of root's may go on in a group of another */
                return err_errno(e, errno, "user", "becoming user %u", (unsigned)st.st_uid);
        }
        bool good = config_check_secrets(conf, 1u << SECRET_FILE | 1u << SECRET_CREDENTIAL, absent, e);
        if (other && (seteuid(0) < 0 || setegid(gid) < 0))
                abort(); /* cannot be: the saved id is root's */
        return good;
}

static void judge_secrets(struct check_context *c, struct judgements *out)
{
        CLEANUP(texts_done) struct texts absent = { 0 }, variables = { 0 };
        struct err e;
        struct conf *conf = (struct conf *)(uintptr_t)c->target->conf; /* it is read only */
        if (!read_secrets(conf, &absent, &e)) {
                if (geteuid() != 0 && strstr(e.text, "denied"))
                        judge_unverifiable(
                                out, "O01", conf->path, "only dcvd and root may read its secrets: %s", e.text);
                else
                        judge(out, "O01", (struct judgement_words){ .subject = conf->path, .fix = e.fix },
                                "a secret cannot be used: %s", e.text);
        }
        for (size_t i = 0; i < absent.count; i++)
                judge(out, "O01", (struct judgement_words){ .subject = conf->path, .fix = "create the file it names" },
                        "a secret is not there yet: %s", absent.item[i]);
        if (config_check_secrets(conf, 1u << SECRET_ENV, &variables, &e) && variables.count)
                judge_unverifiable(out, "O01", conf->path, "only the daemon knows its own environment (%zu secret%s)",
                        variables.count, variables.count == 1 ? "" : "s");
}

static void run_host(struct check_context *c, struct judgements *out)
{
        judge_secrets(c, out);
        judge_webroots(c, out);
        judge_state(c, out);
        judge_commands(c, out);
        judge_helper(c, out);
}

static const struct check check_host = { .ids = "O01 O06 O08 O09 O12 O13",
        .stage = STAGE_REST,
        .scope = CHECK_TARGET,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS,
        .run = run_host };
extern const struct check check_served, check_agents, check_listener, check_answerer, check_pair;
const struct check *const deploy_checks[] = { &check_host, &check_served, &check_pair, &check_agents, &check_listener,
        &check_answerer, NULL };
