/* A token in a web root: put there exactly, taken away exactly, and nothing of anybody else touched on the way. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/deploy/helper_verbs.h"
#include "base/scratch_dir.h"
#include "config/config.h"
#include "validators/webroot.h"

#define FOLDER ".well-known/pki-validation"
#define PATH "/" FOLDER "/fileauth.txt"

struct bed {
        struct webroot_conf webroot;
        struct conf_kind kind, other;
        struct conf_backend publisher[2];
        struct conf conf;
        int64_t made;
        bool foreign;
};

static void set_up(struct bed *b, struct scratch_dir *s)
{
        *b = (struct bed){ .webroot = { s->path }, .kind = { .type = "webroot" }, .other = { .type = "manual" } };
        b->publisher[0] = (struct conf_backend){ .name = (char *)"hand", .kind = &b->other };
        b->publisher[1] = (struct conf_backend){ .name = (char *)"site", .kind = &b->kind, .parsed = &b->webroot };
        b->conf = (struct conf){ .publisher = b->publisher, .publisher_count = 2 };
}

static bool ask(struct bed *b, const char *verb, const char *publisher, const char *path, const char *body, size_t len,
        int64_t made, struct err *e)
{
        CLEANUP(json_decref_p)
        json_t *header = json_pack("{s:s*, s:s, s:s*, s:I}", "publisher", publisher, "host", "www.example.test", "path",
                path, "made", (json_int_t)made);
        CLEANUP(json_decref_p) json_t *answer = json_object();
        CLEANUP(free_p) char *blob = malloc(len + 1);
        memcpy(blob, body, len);
        blob[len] = '\0';
        struct helper_request r = { .header = header, .verb = (char *)verb, .blob = (uint8_t *)blob, .blob_len = len };
        *e = (struct err){ 0 };
        bool good = helper_do(&b->conf, &r, answer, e);
        b->made = json_i64(answer, "made", -1);
        b->foreign = json_bool(answer, "foreign", false);
        return good;
}

static bool put(struct bed *b, const char *body, struct err *e)
{
        return ask(b, "token-put", "site", PATH, body, strlen(body), 0, e);
}

static bool drop(struct bed *b, const char *body, int64_t made, struct err *e)
{
        return ask(b, "token-drop", "site", PATH, body, strlen(body), made, e);
}

static bool holds(struct scratch_dir *s, const char *name, const char *want)
{
        CLEANUP(free_p) char *now = NULL;
        size_t len = 0;
        return file_read_at(s->fd, name, 4096, &now, &len, NULL) && strcmp(now, want) == 0;
}

static bool there(struct scratch_dir *s, const char *name)
{
        struct stat st;
        return fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void a_token_comes_and_goes_with_what_it_needed(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        struct stat st;
        set_up(&b, s);
        mode_t mask = umask(0077);
        bool good = put(&b, "token", &e);
        (void)umask(mask);
        if (!good)
                fail_msg("%s", e.text);
        assert_int_equal(b.made, 2);
        assert_true(holds(s, FOLDER "/fileauth.txt", "token"));
        assert_int_equal(fstatat(s->fd, FOLDER "/fileauth.txt", &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644); /* the web server reads it, whatever the umask */
        assert_int_equal(fstatat(s->fd, FOLDER, &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        assert_true(put(&b, "token", &e)); /* again is no harm */
        assert_int_equal(b.made, 0);
        assert_true(drop(&b, "token", 2, &e));
        assert_false(b.foreign || there(s, ".well-known"));
        assert_true(drop(&b, "token", 2, &e)); /* again is no harm */
}

static void what_a_killed_helper_left_goes(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        set_up(&b, s);
        assert_true(put(&b, "token", &e) && drop(&b, "token", 0, &e));
        scratch_file(s, FOLDER "/.dcvd-fileauth.txt.tmp", 0600, "tok");
        assert_true(put(&b, "token", &e));
        assert_false(there(s, FOLDER "/.dcvd-fileauth.txt.tmp"));
        assert_true(drop(&b, "token", 0, &e));
        scratch_file(s, FOLDER "/.dcvd-fileauth.txt.tmp", 0600, "tok");
        assert_true(drop(&b, "token", 2, &e)); /* nor does it keep what was made for the token */
        assert_false(there(s, ".well-known"));
        /* Something of another's in its place must not keep the token out. */
        assert_true(put(&b, "token", &e));
        assert_int_equal(mkdirat(s->fd, FOLDER "/.dcvd-fileauth.txt.tmp", 0755), 0);
        assert_true(drop(&b, "token", 2, &e));
        assert_false(there(s, FOLDER "/fileauth.txt"));
        assert_true(there(s, FOLDER "/.dcvd-fileauth.txt.tmp"));
}

static void what_others_put_beside_it_stays(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        set_up(&b, s);
        assert_true(put(&b, "token", &e));
        int64_t made = b.made;
        scratch_file(s, ".well-known/security.txt", 0644, "theirs");
        assert_true(drop(&b, "token", made, &e));
        assert_false(there(s, FOLDER));
        assert_true(holds(s, ".well-known/security.txt", "theirs"));
        assert_true(put(&b, "token", &e));
        assert_int_equal(b.made, 1);
        assert_true(drop(
                &b, "token", 4, &e)); /* however much is said to be made: never the root, never what is not empty */
        assert_true(there(s, ".well-known"));
        assert_true(put(&b, "token", &e) && drop(&b, "token", 99, &e) && drop(&b, "token", -1, &e));
        assert_true(there(s, FOLDER)); /* nonsense removes nothing */
}

static void a_file_of_somebody_else_is_named_and_stays(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        set_up(&b, s);
        assert_int_equal(mkdirat(s->fd, ".well-known", 0755) | mkdirat(s->fd, FOLDER, 0755), 0);
        scratch_file(s, FOLDER "/fileauth.txt", 0644, "theirs");
        assert_false(put(&b, "token", &e));
        assert_int_equal(e.kind, ERR_RULE);
        assert_string_equal(e.code, "token.foreign");
        assert_non_null(strstr(e.text, PATH));
        assert_true(drop(&b, "token", 2, &e));
        assert_true(b.foreign);
        assert_true(holds(s, FOLDER "/fileauth.txt", "theirs"));
}

static void a_link_is_never_followed(void **state)
{
        static const char *const links[] = { ".well-known", FOLDER, FOLDER "/fileauth.txt" };
        for (size_t i = 0; i < ARRAY_LEN(links); i++) {
                struct scratch_dir *s = NULL;
                struct bed b;
                struct err e;
                scratch_dir_make((void **)&s);
                set_up(&b, s);
                assert_int_equal(
                        mkdirat(s->fd, "elsewhere", 0755) | mkdirat(s->fd, "elsewhere/pki-validation", 0755), 0);
                scratch_file(s, "elsewhere/fileauth.txt", 0644, "token"); /* even if it would be right */
                scratch_file(s, "elsewhere/pki-validation/fileauth.txt", 0644, "token");
                if (i > 0)
                        assert_int_equal(mkdirat(s->fd, ".well-known", 0755), 0);
                if (i > 1)
                        assert_int_equal(mkdirat(s->fd, FOLDER, 0755), 0);
                const char *to = i == 0 ? "elsewhere" : i == 1 ? "../elsewhere" : "../../elsewhere/fileauth.txt";
                assert_int_equal(symlinkat(to, s->fd, links[i]), 0);
                assert_false(put(&b, "token", &e));
                assert_true(e.kind == ERR_CONFIG || e.kind == ERR_RULE);
                bool dropped = drop(&b, "token", 2, &e);
                assert_true(i < 2 ? !dropped : dropped && b.foreign);
                assert_true(there(s, links[i]));
                assert_true(holds(s, "elsewhere/fileauth.txt", "token"));
                assert_true(holds(s, "elsewhere/pki-validation/fileauth.txt", "token"));
                scratch_dir_remove((void **)&s);
        }
        (void)state;
}

static void what_stands_in_the_way_is_named(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        set_up(&b, s);
        scratch_file(s, ".well-known", 0644, "a file");
        assert_false(put(&b, "token", &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_non_null(strstr(e.text, ".well-known in the web root (a link or a file in the way?)"));
        assert_true(holds(s, ".well-known", "a file"));
        assert_int_equal(unlinkat(s->fd, ".well-known", 0), 0);
        assert_int_equal(mkdirat(s->fd, ".well-known", 0755) | mkdirat(s->fd, FOLDER, 0755), 0);
        assert_int_equal(mkdirat(s->fd, FOLDER "/fileauth.txt", 0755), 0);
        assert_false(put(&b, "token", &e));
        assert_string_equal(e.code, "token.foreign");
        assert_true(drop(&b, "token", 2, &e) && b.foreign && there(s, FOLDER "/fileauth.txt"));
}

static void a_request_that_is_not_for_a_token_is_refused(void **state)
{
        static const struct {
                const char *publisher, *path, *body;
                size_t len; /* 0: of body */
                const char *code;
        } row[] = {
                { "nobody", PATH, "token", 0, "helper.publisher" },
                { NULL, PATH, "token", 0, "helper.publisher" },
                { "hand", PATH, "token", 0, "helper.publisher" },
                { "site", NULL, "token", 0, "token.grammar" },
                { "site", "/etc/passwd", "token", 0, "token.grammar" },
                { "site", "/.well-known/../../etc/cron.d/x", "token", 0, "token.grammar" },
                { "site", "/.well-known/pki-validation/.htaccess", "token", 0, "token.grammar" },
                { "site", "/.well-known/pki-validation/", "token", 0, "token.grammar" },
                { "site", "/.well-known/pki-validation/a\nb", "token", 0, "token.grammar" },
                { "site", PATH, "a\0b", 3, "token.grammar" },
                { "site", PATH, "", 0, "token.grammar" },
        };
        struct scratch_dir *s = *state;
        static const char *const verbs[] = { "token-put", "token-drop" };
        for (size_t i = 0; i < ARRAY_LEN(row) * 2; i++) {
                struct bed b;
                struct err e;
                size_t n = i / 2, len = row[n].len ? row[n].len : strlen(row[n].body);
                set_up(&b, s);
                if (ask(&b, verbs[i % 2], row[n].publisher, row[n].path, row[n].body, len, 2, &e) ||
                        strcmp(e.code, row[n].code) != 0)
                        fail_msg("row %zu: %s: %s %s", n, verbs[i % 2], e.code, e.text);
        }
        CLEANUP(free_p) char *large = calloc(1, 4098);
        memset(large, 'x', 4097);
        struct bed b;
        struct err e;
        set_up(&b, s);
        assert_false(put(&b, large, &e));
        assert_string_equal(e.code, "token.grammar");
        assert_false(there(s, ".well-known"));
}

static void a_web_root_that_is_gone_is_named_with_its_setting(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        set_up(&b, s);
        b.webroot.directory = (char *)"/nowhere/html";
        assert_false(put(&b, "token", &e));
        assert_non_null(strstr(e.text, "web root of publisher site"));
        assert_string_equal(e.fix, "create it, or correct publishers.site.directory");
}

static void what_is_made_belongs_to_the_owner_of_the_web_root(void **state)
{
        struct scratch_dir *s = *state;
        struct bed b;
        struct err e;
        struct stat st;
        set_up(&b, s);
        if (geteuid() != 0 || fchown(s->fd, 12345, 12346) < 0)
                skip(); /* only root can give a directory away */
        assert_true(put(&b, "token", &e));
        assert_int_equal(fstatat(s->fd, FOLDER "/fileauth.txt", &st, 0), 0);
        assert_true(st.st_uid == 12345 && st.st_gid == 12346);
        assert_int_equal(fstatat(s->fd, FOLDER, &st, 0), 0);
        assert_true(st.st_uid == 12345 && st.st_gid == 12346);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(a_token_comes_and_goes_with_what_it_needed),
                IN_DIR(what_a_killed_helper_left_goes),
                IN_DIR(what_others_put_beside_it_stays),
                IN_DIR(a_file_of_somebody_else_is_named_and_stays),
                cmocka_unit_test(a_link_is_never_followed),
                IN_DIR(what_stands_in_the_way_is_named),
                IN_DIR(a_request_that_is_not_for_a_token_is_refused),
                IN_DIR(a_web_root_that_is_gone_is_named_with_its_setting),
                IN_DIR(what_is_made_belongs_to_the_owner_of_the_web_root),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
