/* What dcvd-helper does with a request: checked again against the configuration, refused before anything is touched. */
#include "pki/make_cert.h"

#include <limits.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/deploy/helper_verbs.h"
#include "base/scratch_dir.h"

#define MANY 64 /* as many files as the configuration allows */

struct bed {
        struct scratch_dir *dir;
        char directory[300], uid[16], gid[16], name[MANY][16];
        struct conf_file file[MANY];
        struct conf_target target;
        struct conf_cert cert;
        struct conf conf;
        struct made made;
        struct secret key;
};

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        int64_t now_s = clock_now_s();
        assert_int_equal(scratch_dir_make((void **)&b->dir), 0);
        snprintf(b->directory, sizeof b->directory, "%s", scratch_path(b->dir, "tls"));
        snprintf(b->uid, sizeof b->uid, "%u", (unsigned)geteuid());
        snprintf(b->gid, sizeof b->gid, "%u", (unsigned)getegid());
        for (size_t i = 0; i < MANY; i++) {
                snprintf(b->name[i], sizeof b->name[i], "file-%zu", i);
                b->file[i] = (struct conf_file){ b->name[i], i == 0 ? FORM_KEY : FORM_FULLCHAIN };
        }
        b->target = (struct conf_target){ .directory = b->directory,
                .owner = b->uid,
                .group = b->gid,
                .mode = 0600,
                .file = b->file,
                .file_count = 2 };
        b->cert = (struct conf_cert){ .name = (char *)"www", .target = &b->target, .target_count = 1 };
        assert_true(texts_add(&b->cert.names, "www.example.test"));
        b->conf = (struct conf){ .path = (char *)"/etc/dcvd/dcvd.yaml", .cert = &b->cert, .cert_count = 1 };
        b->made = make_cert(&(struct cert_spec){ .subject = "www.example.test",
                .san = "DNS:www.example.test",
                .from = now_s - DAY,
                .until = now_s + DAY });
        assert_true(key_write_pem(b->made.key, NULL, &b->key, NULL));
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        void *dir = b->dir;
        texts_done(&b->cert.names);
        secret_done(&b->key);
        X509_free(b->made.x);
        free(b->made.pem);
        key_free(b->made.key);
        free(b);
        return scratch_dir_remove(&dir);
}

/* A request to install; more: members that replace those of the header (borrowed), NULL: none. */
static bool ask(struct bed *b, const char *verb, const char *cert_pem, json_t *more, json_t *answer, struct err *e)
{
        struct buf blob = { .max = HELPER_BLOB_MAX };
        assert_true(buf_append(&blob, b->key.data, b->key.len) && buf_add(&blob, cert_pem));
        char hash[65];
        target_hash(&b->target, hash);
        json_t *header = json_pack("{s:s, s:s, s:s, s:i, s:{s:I, s:I, s:i}}", "cert", "www", "target", hash, "mode",
                "install", "set", 1, "parts", "key", (json_int_t)b->key.len, "cert", (json_int_t)strlen(cert_pem),
                "chain", 0);
        assert_non_null(header);
        if (more)
                assert_int_equal(json_object_update(header, more), 0);
        struct helper_request r = {
                .header = header, .verb = (char *)verb, .blob = (uint8_t *)blob.data, .blob_len = blob.len
        };
        *e = (struct err){ 0 };
        bool good = helper_do(&b->conf, &r, answer, e);
        json_decref(header);
        buf_done(&blob);
        return good;
}

static bool ask_quietly(struct bed *b, const char *verb, const char *cert_pem, json_t *more, struct err *e)
{
        CLEANUP(json_decref_p) json_t *answer = json_object();
        return ask(b, verb, cert_pem, more, answer, e);
}

static bool installed(struct bed *b)
{
        return access(scratch_path(b->dir, "tls/file-1"), F_OK) == 0;
}

static void a_good_request_is_installed_and_undone(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *answer = json_object();
        CLEANUP(json_decref_p) json_t *to = json_pack("{s:I}", "to", (json_int_t)UINT_MAX);
        struct err e;
        if (!ask(b, "deploy", b->made.pem, NULL, answer, &e))
                fail_msg("%s", e.text);
        assert_int_equal(json_i64(answer, "was", -1), UINT_MAX);
        assert_true(installed(b));
        assert_true(ask(b, "restore", b->made.pem, to, answer, &e));
        assert_true(json_bool(answer, "restored", false));
        assert_false(installed(b));
}

static void as_many_files_as_the_configuration_allows(void **state)
{
        struct bed *b = *state;
        struct err e;
        b->target.file_count = MANY;
        if (!ask_quietly(b, "deploy", b->made.pem, NULL, &e))
                fail_msg("%s", e.text);
        assert_int_equal(access(scratch_path(b->dir, "tls/file-63"), F_OK), 0);
}

static void what_does_not_fit_is_refused_untouched(void **state)
{
        static const struct {
                const char *verb, *more, *code;
        } row[] = {
                { "deploy", "{\"parts\": {\"key\": 1, \"cert\": 1, \"chain\": 1}}", "helper.parts" },
                { "deploy", "{\"parts\": {\"key\": 0, \"cert\": 0, \"chain\": 0}}", "helper.parts" },
                { "deploy", "{\"parts\": {\"key\": -5, \"cert\": 9, \"chain\": 0}}", "helper.parts" },
                { "deploy", "{\"parts\": {\"key\": 9223372036854775807, \"cert\": 9223372036854775807, \"chain\": 2}}",
                        "helper.parts" },
                { "deploy", "{\"parts\": 7}", "helper.parts" },
                { "deploy", "{\"target\": \"0123\"}", "helper.section" },
                { "deploy", "{\"target\": null}", "helper.section" },
                { "deploy", "{\"cert\": \"shop\"}", "helper.section" },
                { "deploy", "{\"mode\": \"format\"}", "helper.request" },
                { "deploy", "{\"mode\": 1}", "helper.request" },
                { "deploy", "{\"set\": 0}", "helper.request" },
                { "deploy", "{\"set\": 4294967295}", "helper.request" },
                { "restore", "{}", "helper.request" },
                { "restore", "{\"to\": -1}", "helper.request" },
                { "restore", "{\"to\": 4294967296}", "helper.request" },
                { "restore", "{\"to\": 0, \"target\": \"0123\"}", "helper.section" },
                { "hook", "{}", "hook.section" },
                { "", "{}", "helper.verb" },
                { "deploy ", "{}", "helper.verb" },
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *more = json_loads(row[i].more, 0, NULL);
                struct err e;
                assert_non_null(more);
                assert_false(ask_quietly(b, row[i].verb, b->made.pem, more, &e));
                assert_string_equal(e.code, row[i].code);
                assert_false(installed(b));
        }
}

static void a_certificate_that_does_not_fit_is_refused(void **state)
{
        struct bed *b = *state;
        int64_t now_s = clock_now_s();
        struct {
                struct cert_spec spec;
                const char *code;
                enum err_kind kind;
        } row[] = {
                { { .subject = "www.example.test",
                          .san = "DNS:www.example.test",
                          .from = now_s - DAY,
                          .until = now_s + DAY },
                        "helper.pair", ERR_PROTOCOL }, /* of another key */
                { { .subject = "evil.test",
                          .san = "DNS:evil.test",
                          .key_of = &b->made,
                          .from = now_s - DAY,
                          .until = now_s + DAY },
                        "helper.names", ERR_PROTOCOL },
                { { .subject = "www.example.test",
                          .san = "DNS:www.example.test",
                          .key_of = &b->made,
                          .from = now_s - 2 * DAY,
                          .until = now_s - 1 },
                        "helper.expired", ERR_RULE },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct made other = make_cert(&row[i].spec);
                struct err e;
                assert_false(ask_quietly(b, "deploy", other.pem, NULL, &e));
                assert_string_equal(e.code, row[i].code);
                assert_int_equal(e.kind, row[i].kind);
                assert_false(installed(b));
                X509_free(other.x);
                free(other.pem);
                key_free(other.key);
        }
}

/* The test is good before and bad once the files are there; on the way back good or bad. */
static void a_way_back_that_fails_is_told_with_its_cause(void **state)
{
        static const struct {
                const char *absent, *code, *said; /* absent: what the test wants not to be there */
        } row[] = {
                { "file-1", "deploy.failed", NULL }, /* gone again on the way back */
                { ".dcvd/2", "deploy.put-back-failed", "; putting back failed: " }, /* a generation stays */
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(json_decref_p) json_t *answer = json_object();
                struct texts test = { 0 };
                struct err e;
                CLEANUP(free_p)
                char *script = text_format("test ! -e %s/%s", b->directory, row[i].absent);
                assert_true(texts_add(&test, "/bin/sh") && texts_add(&test, "-c") && texts_add(&test, script));
                struct conf_service service = { .name = (char *)"server", .test = test };
                b->target.service = &service;
                b->target.service_count = 1;
                CLEANUP(json_decref_p) json_t *more = json_pack("{s:i}", "set", (int)i + 1);
                assert_false(ask(b, "deploy", b->made.pem, more, answer, &e));
                assert_string_equal(e.code, row[i].code);
                assert_int_equal(e.kind, ERR_DENIED);
                assert_true(json_bool(answer, "put_back", false));
                assert_int_equal(json_bool(answer, "put_back_failed", false), row[i].said != NULL);
                if (row[i].said)
                        assert_non_null(strstr(e.text, row[i].said));
                assert_false(installed(b));
                texts_done(&test);
        }
}

/* One has the new files and goes back; two was never told of them. */
static void a_reload_that_never_ran_is_put_back_whole(void **state)
{
        struct bed *b = *state;
        CLEANUP(json_decref_p) json_t *answer = json_object();
        CLEANUP(free_p) char *calls = text_format("%s/calls", b->dir->path), *text = NULL;
        CLEANUP(free_p) char *script = text_format("echo >>%s", calls);
        struct texts reload = { 0 };
        struct err e;
        size_t len = 0;
        assert_true(texts_add(&reload, "/bin/sh") && texts_add(&reload, "-c") && texts_add(&reload, script));
        struct conf_service service[2] = { { .name = (char *)"one", .reload = reload },
                { .name = (char *)"two", .signal_name = (char *)"HUP", .signal_pidfile = (char *)"/run/nosuch.pid" } };
        b->target.service = service;
        b->target.service_count = 2;
        assert_false(ask(b, "deploy", b->made.pem, NULL, answer, &e));
        assert_string_equal(e.code, "signal.pidfile");
        assert_int_equal(e.kind, ERR_DENIED);
        assert_non_null(strstr(e.text, "the pidfile of service two cannot be read: /run/nosuch.pid"));
        assert_true(json_bool(answer, "put_back", false));
        assert_false(json_bool(answer, "put_back_failed", false));
        assert_false(installed(b));
        assert_true(file_read(calls, 100, &text, &len, &e));
        assert_int_equal(len, 2); /* there and back */
        texts_done(&reload);
}

static void what_reload_needs_is_missed_before_anything_is_touched(void **state)
{
        static const char *const modes[] = { "test", "install" };
        struct bed *b = *state;
        struct texts reload = { 0 };
        assert_true(texts_add(&reload, "/usr/sbin/nosuch"));
        struct conf_service service = { .name = (char *)"server", .reload = reload };
        b->target.service = &service;
        b->target.service_count = 1;
        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
                CLEANUP(json_decref_p) json_t *more = json_pack("{s:s}", "mode", modes[i]);
                struct err e;
                assert_false(ask_quietly(b, "deploy", b->made.pem, more, &e));
                assert_int_equal(e.kind, ERR_RULE);
                assert_string_equal(e.code, "deploy.test");
                assert_non_null(strstr(e.text, "the reload command of service server is not on this host"));
                assert_non_null(strstr(e.fix, "deploy.services"));
                assert_false(installed(b));
        }
        texts_done(&reload);
}

#define BED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                BED(a_good_request_is_installed_and_undone),
                BED(as_many_files_as_the_configuration_allows),
                BED(what_does_not_fit_is_refused_untouched),
                BED(a_certificate_that_does_not_fit_is_refused),
                BED(a_way_back_that_fails_is_told_with_its_cause),
                BED(a_reload_that_never_ran_is_put_back_whole),
                BED(what_reload_needs_is_missed_before_anything_is_touched),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
