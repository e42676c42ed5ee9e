#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/journal.h"

struct fixture {
        char directory[64], path[96];
        struct store *store;
};

static void no_wake(void *arg)
{
        (void)arg;
}

static void open_store_at(struct fixture *f, size_t version)
{
        struct store_conf conf = {
                .path = f->path, .migrations = journal_migrations, .migration_count = version, .wake = no_wake
        };
        enum store_origin origin;
        struct err e = { 0 };
        if (!store_open(&f->store, &conf, &origin, &e))
                fail_msg("%s", e.text);
}

static void open_store(struct fixture *f)
{
        open_store_at(f, journal_migration_count);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        strcpy(f->directory, "/tmp/dcvd-journal-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        snprintf(f->path, sizeof f->path, "%s/dcvd.db", f->directory);
        open_store(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        struct err e;
        store_close(f->store);
        assert_true(tree_remove_at(-100, f->directory, &e));
        free(f);
        return 0;
}

static void committed(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        if (e)
                fail_msg("%s", e->text);
        (*(int *)arg)++;
}

static void commit(struct fixture *f, struct store_batch *b)
{
        int done = 0;
        struct err e;
        assert_true(store_commit_own(f->store, b, committed, &done, &e));
        assert_true(store_flush(f->store, &e));
        assert_int_equal(done, 1);
}

static void reopen(struct fixture *f)
{
        store_close(f->store);
        open_store(f);
}

static bool count_row(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

static int64_t number(struct fixture *f, const char *sql)
{
        int64_t n = -1;
        struct err e = { 0 };
        if (!store_query(f->store, sql, "", count_row, &n, &e))
                fail_msg("%s", e.text);
        return n;
}

static void a_job_comes_back_as_it_was(void **state)
{
        struct fixture *f = *state;
        struct job_row r = { .id = 17,
                .cert = (char *)"www",
                .state = JOB_SUBMITTED,
                .policy = (char *)"{}",
                .trigger = (char *)"operator",
                .reason = (char *)"key leaked",
                .compromised = true,
                .created_s = 1,
                .entered_s = 2,
                .due_ms = 3,
                .failures = 4,
                .attempt = 5,
                .ca_index = 1,
                .ca = (char *)"tencent",
                .subject = (char *)"{\"id\":\"a\"}",
                .subject_id = (char *)"a",
                .spki = (char *)"ab",
                .csr = (char *)"PEM",
                .order_id = (char *)"e5F6",
                .told = true,
                .ordered_s = 6,
                .attempt_s = 4,
                .live_set = 7,
                .was = (char *)"[1]",
                .set_number = 8,
                .err_kind = (char *)"temporary",
                .err_code = (char *)"x",
                .err_text = (char *)"y",
                .waiting = (char *)"{}" };
        struct store_batch *b = store_batch_new();
        assert_true(journal_add_job(b, &r) && journal_open_intent(b, 17, "order", "a", "00", 9));
        commit(f, b);
        reopen(f);
        struct job_row *rows = NULL;
        size_t count = 0;
        struct err e;
        bool open = false;
        int64_t job = 0, token = 0;
        assert_true(journal_load_jobs(f->store, &rows, &count, &e));
        assert_int_equal(count, 1);
        assert_int_equal(rows[0].id, 17);
        assert_int_equal(rows[0].state, JOB_SUBMITTED);
        assert_string_equal(rows[0].order_id, "e5F6");
        assert_string_equal(rows[0].was, "[1]");
        assert_string_equal(rows[0].waiting, "{}");
        assert_string_equal(rows[0].err_text, "y");
        assert_null(rows[0].err_fix);
        assert_true(rows[0].told && rows[0].compromised && !rows[0].same_csr);
        assert_int_equal(rows[0].set_number, 8);
        assert_int_equal(rows[0].ordered_s, 6);
        assert_int_equal(rows[0].attempt_s, 4);
        assert_true(journal_open_intents_of(f->store, 17, &open, &e) && open);
        assert_true(journal_next_ids(f->store, &job, &token, &e));
        assert_int_equal(job, 18);
        assert_int_equal(token, 1);
        /* Ended: it no longer runs, its intents are closed. */
        rows[0].ended_s = 99;
        rows[0].state = JOB_DONE;
        b = store_batch_new();
        assert_true(journal_put_job(b, &rows[0]) && journal_close_intents(b, 17, "found", 10));
        commit(f, b);
        job_row_done(&rows[0]);
        free(rows);
        assert_true(journal_load_jobs(f->store, &rows, &count, &e));
        assert_int_equal(count, 0);
        free(rows);
        assert_true(journal_open_intents_of(f->store, 17, &open, &e) && !open);
}

/* Every column that may change is carried over: a row written twice is the second one. */
static void a_job_written_again_is_as_it_is_now(void **state)
{
        struct fixture *f = *state;
        struct job_row r = { .id = 7, .cert = (char *)"www", .policy = (char *)"{}", .created_s = 1 }, *rows = NULL;
        char name[20][4];
        char **const texts[] = { &r.ca, &r.subject, &r.subject_id, &r.spki, &r.csr, &r.order_id, &r.live_sha256, &r.was,
                &r.cert_sha256, &r.err_kind, &r.err_code, &r.err_text, &r.err_fix, &r.waiting, &r.result };
        int64_t *const numbers[] = { &r.entered_s, &r.due_ms, &r.failures, &r.attempt, &r.attempt_s, &r.ca_index,
                &r.ordered_s, &r.live_set, &r.set_number };
        struct store_batch *b = store_batch_new();
        assert_true(journal_add_job(b, &r));
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                snprintf(name[i], sizeof name[i], "t%zu", i);
                *texts[i] = name[i];
        }
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
                *numbers[i] = 100 + (int64_t)i;
        r.state = JOB_SERVED;
        r.compromised = r.force = r.same_csr = r.told = r.rehearsed = true;
        assert_true(journal_put_job(b, &r));
        commit(f, b);
        size_t count = 0;
        struct err e;
        assert_true(journal_load_jobs(f->store, &rows, &count, &e));
        assert_int_equal(count, 1);
        struct job_row was = r;
        r = rows[0]; /* the tables above look into r */
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                assert_string_equal(*texts[i], name[i]);
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
                assert_int_equal(*numbers[i], 100 + (int64_t)i);
        assert_int_equal(r.state, was.state);
        assert_true(r.compromised && r.force && r.same_csr && r.told && r.rehearsed);
        assert_string_equal(r.cert, "www");
        assert_int_equal(r.created_s, 1);
        job_row_done(&rows[0]);
        free(rows);
}

static void refused(void *arg, int64_t rowid, const struct err *e)
{
        (void)rowid;
        snprintf(arg, sizeof((struct err){ 0 }).code, "%s", e ? e->code : "");
}

/* What was told as written is on disk: a move of a job whose row is gone is not. */
static void a_job_that_was_not_added_is_not_written(void **state)
{
        struct fixture *f = *state;
        char code[sizeof((struct err){ 0 }).code];
        struct job_row r = { .id = 7, .cert = (char *)"www", .policy = (char *)"{}", .created_s = 1 };
        struct store_batch *b = store_batch_new();
        struct err e;
        assert_true(journal_audit(b, 1, "www", 7, "state", NULL) && journal_put_job(b, &r));
        assert_true(store_commit_own(f->store, b, refused, code, &e));
        assert_true(store_flush(f->store, &e));
        assert_string_equal(code, "store.absent");
        assert_int_equal(number(f, "SELECT count(*) FROM audit"), 0);
}

static void a_token_comes_back_with_its_holders(void **state)
{
        struct fixture *f = *state;
        int64_t holders[] = { 3, 5 };
        struct token_row t = { .id = 1,
                .publisher = (char *)"zone",
                .state = (char *)"published",
                .cert = (char *)"www",
                .order_id = (char *)"o",
                .proof = { PROOF_TXT, (char *)"www.example.com", (char *)"_dnsauth.www.example.com", NULL,
                        (char *)"20231115" },
                .handle = (char *)"h",
                .holder = holders,
                .holder_count = 2,
                .created_s = 5 };
        struct store_batch *b = store_batch_new();
        assert_true(journal_put_token(b, &t));
        t.id = 2;
        t.state = (char *)"withdrawn";
        t.holder_count = 0;
        assert_true(journal_put_token(b, &t));
        commit(f, b);
        reopen(f);
        struct token_row *rows = NULL;
        size_t count = 0;
        struct err e;
        assert_true(journal_load_tokens(f->store, &rows, &count, &e));
        assert_int_equal(count, 1); /* the withdrawn one is history */
        assert_int_equal(rows[0].holder_count, 2);
        assert_int_equal(rows[0].holder[1], 5);
        assert_string_equal(rows[0].proof.place, "_dnsauth.www.example.com");
        assert_string_equal(rows[0].handle, "h");
        rows[0].holder_count = 1;
        b = store_batch_new();
        assert_true(journal_put_token(b, &rows[0]));
        commit(f, b);
        token_row_done(&rows[0]);
        free(rows);
        assert_true(journal_load_tokens(f->store, &rows, &count, &e));
        assert_int_equal(rows[0].holder_count, 1);
        token_row_done(&rows[0]);
        free(rows);
}

static void audit_some(struct fixture *f, int n)
{
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p) json_t *data = json_pack("{s:s}", "k", "v");
        for (int i = 0; i < n; i++)
                assert_true(journal_audit(b, 1000 + i, i % 2 ? "www" : NULL, i, "event", data));
        commit(f, b);
}

static void the_audit_chain_holds_and_shows_a_change(void **state)
{
        struct fixture *f = *state;
        struct err e = { 0 };
        audit_some(f, 5);
        audit_some(f, 5);
        if (!journal_audit_verify(f->store, &e))
                fail_msg("%s", e.text);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE audit SET data='{}' WHERE id=4", ""));
        commit(f, b);
        assert_false(journal_audit_verify(f->store, &e));
        assert_string_equal(e.code, "audit.broken");
        assert_non_null(strstr(e.text, "row 4"));
}

static void a_removed_audit_row_shows(void **state)
{
        struct fixture *f = *state;
        struct err e = { 0 };
        audit_some(f, 5);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "DELETE FROM audit WHERE id=2", ""));
        commit(f, b);
        assert_false(journal_audit_verify(f->store, &e));
}

static void an_open_order_outlives_its_job(void **state)
{
        struct fixture *f = *state;
        struct order_row o = { .ca = (char *)"t",
                .order_id = (char *)"e5F6",
                .cert = (char *)"www",
                .spki = (char *)"ab",
                .open = true,
                .opened_s = 7,
                .deadline_s = 8,
                .job = 3 };
        struct store_batch *b = store_batch_new();
        assert_true(journal_put_order(b, &o));
        commit(f, b);
        struct order_row *rows = NULL;
        size_t count = 0;
        struct err e;
        assert_true(journal_load_orders(f->store, &rows, &count, &e));
        assert_int_equal(count, 1);
        assert_string_equal(rows[0].spki, "ab");
        order_row_done(&rows[0]);
        free(rows);
        o.open = false;
        b = store_batch_new();
        assert_true(journal_put_order(b, &o));
        commit(f, b);
        assert_true(journal_load_orders(f->store, &rows, &count, &e));
        assert_int_equal(count, 0);
        free(rows);
}

static void a_journal_of_the_first_release_is_carried_over(void **state)
{
        struct fixture *f = *state;
        struct err e;
        store_close(f->store);
        assert_true(tree_remove_at(-100, f->path, &e));
        open_store_at(f, 1);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "INSERT INTO job(id, cert, state, policy, ordered) VALUES(?,?,?,?,?)", "ittti",
                            (int64_t)3, "www", "submitted", "{}", (int64_t)7) &&
                journal_compromised(b, "ab", 1, "told") && journal_audit(b, 5, "www", 3, "started", NULL));
        commit(f, b);
        reopen(f);
        assert_int_equal(number(f, "PRAGMA user_version"), (int64_t)journal_migration_count);
        assert_int_equal(number(f, "SELECT count(*) FROM job WHERE id=3 AND cert='www'"), 1);
        assert_int_equal(number(f, "SELECT count(*) FROM compromised WHERE spki='ab'"), 1);
        assert_int_equal(number(f, "SELECT count(*) FROM incident"), 0);
        assert_int_equal(number(f, "SELECT count(*) FROM incident_case"), 0);
        assert_int_equal(number(f, "SELECT count(*) FROM alert_seen"), 0);
        assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema WHERE name='audit_by_cert'"), 0);
        assert_true(journal_audit_verify(f->store, &e));
        struct job_row *row = NULL;
        size_t count = 0;
        assert_true(journal_load_jobs(f->store, &row, &count, &e));
        assert_int_equal(count, 1);
        assert_int_equal(row[0].ordered_s, 7);
        assert_int_equal(row[0].attempt_s, 0);
        job_row_done(&row[0]);
        free(row);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_job_comes_back_as_it_was, setup, teardown),
                cmocka_unit_test_setup_teardown(a_job_written_again_is_as_it_is_now, setup, teardown),
                cmocka_unit_test_setup_teardown(a_job_that_was_not_added_is_not_written, setup, teardown),
                cmocka_unit_test_setup_teardown(a_token_comes_back_with_its_holders, setup, teardown),
                cmocka_unit_test_setup_teardown(the_audit_chain_holds_and_shows_a_change, setup, teardown),
                cmocka_unit_test_setup_teardown(a_removed_audit_row_shows, setup, teardown),
                cmocka_unit_test_setup_teardown(an_open_order_outlives_its_job, setup, teardown),
                cmocka_unit_test_setup_teardown(a_journal_of_the_first_release_is_carried_over, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
