/* Several targets, one helper request each, in order; what a failure in the middle brings back, and what is said of a
 * way back that fails too (I4). The helper is a script that answers what the test wrote and keeps what it was asked. */
#include "pki/make_cert.h"

#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/deploy/deploy.h"
#include "agent/net/helper.h"
#include "agent/net/loop.h"
#include "base/scratch_dir.h"
#include "script_helper.h"

#define STEPS 6

struct bed {
        struct scratch_dir *dir;
        struct loop *loop;
        struct helper *helper;
        struct conf_target target[2];
        struct conf_cert cert;
        struct set set;
        struct made made;
        /* the last result */
        bool over;
        struct err e;
        unsigned was[2];
        bool put_back, put_back_failed, restored;
        size_t services;
        char last_text[100];
};

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        struct err e;
        assert_int_equal(scratch_dir_make((void **)&b->dir), 0);
        CLEANUP(free_p)
        char *script = text_format(
                "#!/bin/sh\ncd %s\nread -r line\nb=${line##*'\"blob\":'}\nn=$(cat count)\necho $((n + 1)) >count\n"
                "echo \"$line\" >asked.$n\nhead -c \"${b%%%%[!0-9]*}\" >blob.$n\n[ ! -s answer.$n ] || cat answer.$n\n",
                b->dir->path);
        scratch_file(b->dir, "helper", 0755, script);
        int fd = script_helper_broker(scratch_path(b->dir, "helper"));
        assert_true(loop_open(&b->loop, &e) && helper_open(&b->helper, b->loop, NULL, NULL, fd, &e));
        b->target[0] = (struct conf_target){ .directory = (char *)"/tls/a" };
        b->target[1] = (struct conf_target){ .directory = (char *)"/tls/b" };
        b->cert = (struct conf_cert){ .name = (char *)"www", .target = b->target, .target_count = 2 };
        b->made = make_cert(&(struct cert_spec){ .subject = "www.example.test", .san = "DNS:www.example.test" });
        b->set.number = 7;
        assert_true(chain_read(b->made.pem, strlen(b->made.pem), NULL, &b->set.chain, &e));
        assert_true(key_write_pem(b->made.key, NULL, &b->set.key_pem, &e));
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        void *dir = b->dir;
        helper_close(b->helper);
        loop_close(b->loop);
        assert_true(wait(NULL) > 0); /* the broker */
        set_done(&b->set);
        made_done(&b->made);
        free(b);
        return scratch_dir_remove(&dir);
}

static void on_done(void *arg, const struct deploy_result *r, const struct err *err)
{
        struct bed *b = arg;
        assert_false(b->over);
        b->over = true;
        b->e = err ? *err : (struct err){ 0 };
        for (size_t i = 0; i < 2; i++)
                b->was[i] = r->was[i];
        b->put_back = r->put_back;
        b->put_back_failed = r->put_back_failed;
        b->restored = r->restored;
        b->services = r->service_count;
        snprintf(
                b->last_text, sizeof b->last_text, "%s", r->service_count ? r->service[r->service_count - 1].text : "");
}

static void answers(struct bed *b, const char *const *list)
{
        for (int i = 0; i < STEPS; i++) {
                char name[16];
                snprintf(name, sizeof name, "answer.%d", i);
                scratch_file(b->dir, name, 0644, list && *list ? *list++ : "");
                snprintf(name, sizeof name, "asked.%d", i);
                (void)unlinkat(b->dir->fd, name, 0); /* of the row before, if at all */
        }
        scratch_file(b->dir, "count", 0644, "0\n");
}

/* "deploy a install, restore a 3": what the helper was asked. */
static void asked(struct bed *b, char *ret, size_t size)
{
        struct buf all = { 0 };
        for (int i = 0; i < STEPS; i++) {
                char name[16];
                CLEANUP(free_p) char *text = NULL;
                size_t len;
                snprintf(name, sizeof name, "asked.%d", i);
                if (!file_read_at(b->dir->fd, name, 65536, &text, &len, NULL))
                        break;
                CLEANUP(json_decref_p) json_t *o = json_loads(text, 0, NULL);
                assert_string_equal(json_str(o, "cert"), "www");
                const char *mode = json_str(o, "mode");
                char first[65], second[65];
                target_hash(&b->target[0], first);
                target_hash(&b->target[1], second);
                bool is_first = strcmp(json_str(o, "target"), first) == 0;
                assert_true(is_first || strcmp(json_str(o, "target"), second) == 0);
                buf_addf(&all, "%s%s %s ", i ? ", " : "", json_str(o, "verb"), is_first ? "a" : "b");
                if (mode)
                        buf_add(&all, mode);
                else
                        buf_addf(&all, "%lld", (long long)json_i64(o, "to", -1));
                if (json_object_get(o, "was"))
                        buf_addf(&all, " was %lld", (long long)json_i64(o, "was", -1));
        }
        snprintf(ret, size, "%s", all.data ? all.data : "");
        buf_done(&all);
}

static void run(struct bed *b, enum deploy_act act, const unsigned *was)
{
        struct err e;
        b->over = false;
        if (!deploy_start(b->loop, b->helper, &b->cert, act, &b->set, was, on_done, b, &e))
                fail_msg("%s", e.text);
        assert_false(b->over); /* never before it returned */
        assert_true(loop_run_until(b->loop, &b->over, 20000));
}

#define GOOD(was) "{\"was\":" was ",\"services\":[{\"service\":\"nginx\",\"step\":\"reload\",\"good\":true}]}\n"
#define BAD                                                                                                            \
        "{\"was\":4,\"put_back\":true,\"services\":[{\"service\":\"nginx\",\"step\":\"test\",\"good\":false,"          \
        "\"text\":\"bad line\"}],\"error\":{\"kind\":\"denied\",\"code\":\"deploy.failed\",\"text\":\"nginx -t "       \
        "failed\"}}\n"
#define STUCK "{\"error\":{\"kind\":\"denied\",\"code\":\"x\",\"text\":\"no way back\"}}\n"

static void targets_go_in_order_and_back_together(void **state)
{
        static const struct {
                const char *what;
                enum deploy_act act;
                const char *answer[STEPS];
                const char *asked, *code, *said;
                unsigned was[2];
                bool put_back, failed;
        } row[] = {
                { "both good", DEPLOY_INSTALL, { GOOD("3"), GOOD("4") }, "deploy a install, deploy b install", "", "",
                        { 3, 4 }, false, false },
                { "the first fails", DEPLOY_INSTALL, { BAD }, "deploy a install", "deploy.failed", "nginx -t failed",
                        { 4, UINT_MAX }, true, false },
                { "the second fails: the first goes back to what it had", DEPLOY_INSTALL, { GOOD("3"), BAD, GOOD("0") },
                        "deploy a install, deploy b install, restore a 3", "deploy.failed", "nginx -t failed", { 3, 4 },
                        true, false },
                { "and cannot", DEPLOY_INSTALL, { GOOD("3"), BAD, STUCK },
                        "deploy a install, deploy b install, restore a 3", "deploy.put-back-failed",
                        "nginx -t failed; putting /tls/a back failed: no way back", { 3, 4 }, true, true },
                { "nothing was there before", DEPLOY_INSTALL, { GOOD("4294967295"), BAD, GOOD("0") },
                        "deploy a install, deploy b install, restore a 4294967295", "deploy.failed", "",
                        { UINT_MAX, 4 }, true, false },
                { "the helper dies at the second", DEPLOY_INSTALL, { GOOD("3"), "", GOOD("0") },
                        "deploy a install, deploy b install, restore a 3", "helper.lost", "ended without an answer",
                        { 3, UINT_MAX }, true, false },
                { "tests alone change nothing", DEPLOY_TEST, { GOOD("3"), BAD }, "deploy a test, deploy b test",
                        "deploy.failed", "nginx -t failed", { 3, 4 }, true, false },
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char was_asked[300];
                answers(b, row[i].answer);
                run(b, row[i].act, NULL);
                asked(b, was_asked, sizeof was_asked);
                if (strcmp(was_asked, row[i].asked) != 0 || strcmp(b->e.code, row[i].code) != 0 ||
                        !strstr(b->e.text, row[i].said) || b->was[0] != row[i].was[0] || b->was[1] != row[i].was[1] ||
                        b->put_back != row[i].put_back || b->put_back_failed != row[i].failed)
                        fail_msg("%s: %s; was %u %u, %d %d; asked %s", row[i].what, b->e.text, b->was[0], b->was[1],
                                b->put_back, b->put_back_failed, was_asked);
        }
}

static void the_second_try_says_what_was_live_when_the_job_began(void **state)
{
        struct bed *b = *state;
        char was_asked[300];
        answers(b, (const char *const[STEPS]){ GOOD("3"), GOOD("0") });
        run(b, DEPLOY_INSTALL, (const unsigned[]){ 3, 0 });
        asked(b, was_asked, sizeof was_asked);
        assert_string_equal(was_asked, "deploy a install was 3, deploy b install was 0");
}

static void going_back_asks_every_target_whatever_became_of_the_first(void **state)
{
        static const struct {
                const char *answer[STEPS];
                const char *asked, *code;
                bool restored;
        } row[] = {
                { { "{\"restored\":true}\n", "{\"restored\":true}\n" }, "restore a 3, restore b 0", "", true },
                { { STUCK, "{\"restored\":true}\n" }, "restore a 3, restore b 0", "x", false },
                { { "{\"restored\":true,\"error\":{\"kind\":\"denied\",\"code\":\"r\",\"text\":\"reload failed\"}}\n",
                          "{\"restored\":true}\n" },
                        "restore a 3, restore b 0", "r", true }, /* the files are back, the service is another matter */
                { { "" }, "restore a 3", "helper.lost", false }, /* asked again as a whole */
        };
        struct bed *b = *state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char was_asked[300];
                answers(b, row[i].answer);
                run(b, DEPLOY_RESTORE, (const unsigned[]){ 3, 0 });
                asked(b, was_asked, sizeof was_asked);
                if (strcmp(was_asked, row[i].asked) != 0 || strcmp(b->e.code, row[i].code) != 0 ||
                        b->restored != row[i].restored)
                        fail_msg("row %zu: %s %s, restored %d; asked %s", i, b->e.code, b->e.text, b->restored,
                                was_asked);
        }
}

static void key_and_chain_travel_in_their_parts(void **state)
{
        struct bed *b = *state;
        CLEANUP(free_p) char *header = NULL;
        CLEANUP(free_p) char *blob = NULL;
        size_t header_len, len;
        answers(b, (const char *const[STEPS]){ GOOD("3"), GOOD("4") });
        run(b, DEPLOY_INSTALL, NULL);
        assert_true(file_read_at(b->dir->fd, "asked.0", 65536, &header, &header_len, NULL));
        assert_true(file_read_at(b->dir->fd, "blob.0", 65536, &blob, &len, NULL));
        CLEANUP(json_decref_p) json_t *o = json_loads(header, 0, NULL);
        const json_t *parts = json_object_get(o, "parts");
        size_t key = (size_t)json_i64(parts, "key", 0), cert = (size_t)json_i64(parts, "cert", 0);
        assert_int_equal(json_i64(o, "set", 0), 7);
        assert_int_equal(len, key + cert + (size_t)json_i64(parts, "chain", -1));
        assert_int_equal(key, b->set.key_pem.len);
        assert_memory_equal(blob, b->set.key_pem.data, key);
        assert_memory_equal(blob + key, b->set.chain.cert_pem, cert);
        assert_int_equal(b->services, 2);
}

/* The key in the clear never leaves where a pass phrase is configured. */
static void with_a_pass_phrase_the_key_travels_encrypted(void **state)
{
        struct bed *b = *state;
        struct err e;
        CLEANUP(free_p) char *blob = NULL;
        size_t len;
        scratch_file(b->dir, "phrase", 0600, "correct horse");
        b->cert.key_passphrase =
                (struct secret_ref){ .source = SECRET_FILE, .name = text_dup(scratch_path(b->dir, "phrase")) };
        answers(b, (const char *const[STEPS]){ GOOD("3"), GOOD("4") });
        run(b, DEPLOY_INSTALL, NULL);
        assert_true(file_read_at(b->dir->fd, "blob.0", 65536, &blob, &len, NULL));
        assert_non_null(strstr(blob, "BEGIN ENCRYPTED PRIVATE KEY"));
        assert_null(strstr(blob, "BEGIN PRIVATE KEY"));
        assert_int_equal(unlinkat(b->dir->fd, "phrase", 0), 0);
        assert_null(deploy_start(b->loop, b->helper, &b->cert, DEPLOY_INSTALL, &b->set, NULL, on_done, b, &e));
        assert_string_equal(e.code, "secret.absent"); /* nothing was asked for */
        secret_ref_done(&b->cert.key_passphrase);
}

static void after_a_cancel_nobody_is_told(void **state)
{
        struct bed *b = *state;
        struct err e;
        bool never = false;
        answers(b, (const char *const[STEPS]){ GOOD("3"), GOOD("4") });
        b->over = false;
        struct deploy_run *d = deploy_start(b->loop, b->helper, &b->cert, DEPLOY_TEST, NULL, NULL, on_done, b, &e);
        deploy_cancel(d); /* before it began */
        d = deploy_start(b->loop, b->helper, &b->cert, DEPLOY_TEST, NULL, NULL, on_done, b, &e);
        (void)loop_run_until(b->loop, &never, 1); /* the first request is out */
        deploy_cancel(d);
        (void)loop_run_until(b->loop, &never, 50);
        assert_false(b->over);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(targets_go_in_order_and_back_together, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        the_second_try_says_what_was_live_when_the_job_began, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        going_back_asks_every_target_whatever_became_of_the_first, set_up, tear_down),
                cmocka_unit_test_setup_teardown(key_and_chain_travel_in_their_parts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(with_a_pass_phrase_the_key_travels_encrypted, set_up, tear_down),
                cmocka_unit_test_setup_teardown(after_a_cancel_nobody_is_told, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
