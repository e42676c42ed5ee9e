/* Opening: what is made, what is refused and left alone, migrations; and reading. */
#include "scratch.h"

static void write_file(const char *path, mode_t mode, const void *data, size_t len)
{
        assert_true(file_write_atomic(path, mode, (uid_t)-1, (gid_t)-1, data, len, NULL));
}

/* A journal with one job, closed again; version: how many migrations. */
static void make_journal(const struct scratch *t, size_t version)
{
        struct store_conf conf = conf_of(t, version);
        struct store *s = open_good(&conf, STORE_NEW);
        assert_true(store_commit_own(s, insert_job("www"), NULL, NULL, NULL));
        store_close(s);
}

static void refused(const struct scratch *t, size_t migrations, enum err_kind kind, const char *code)
{
        struct store_conf conf = conf_of(t, migrations);
        struct store *s = NULL;
        struct err e = { 0 };
        enum store_origin origin;
        assert_false(store_open(&s, &conf, &origin, &e));
        assert_null(s);
        assert_string_equal(e.code, code);
        assert_int_equal(e.kind, kind);
        assert_non_null(strstr(e.text, t->path));
        assert_true(e.fix[0] != '\0');
}

static char *bytes_of(const char *path, size_t *ret_len)
{
        char *data = NULL;
        return file_read(path, 1 << 20, &data, ret_len, NULL) ? data : NULL;
}

/* To the byte: the file, and the write-ahead log where there is one. */
static void refused_and_left(const struct scratch *t, size_t migrations, const char *code)
{
        char wal[96];
        size_t len[4] = { 0 };
        snprintf(wal, sizeof wal, "%s-wal", t->path);
        CLEANUP(free_p) char *main_before = bytes_of(t->path, &len[0]);
        CLEANUP(free_p) char *wal_before = bytes_of(wal, &len[1]);
        refused(t, migrations, ERR_CONFIG, code);
        CLEANUP(free_p) char *main_after = bytes_of(t->path, &len[2]);
        CLEANUP(free_p) char *wal_after = bytes_of(wal, &len[3]);
        assert_int_equal(len[0], len[2]);
        assert_memory_equal(main_before, main_after, len[0]);
        assert_int_equal(wal_before != NULL, wal_after != NULL);
        assert_int_equal(len[1], len[3]);
        if (wal_before)
                assert_memory_equal(wal_before, wal_after, len[1]);
}

static void a_fresh_journal_is_private_and_new_then_existing(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = conf_of(t, 3);
        struct store *s = open_good(&conf, STORE_NEW);
        struct stat st;
        assert_int_equal(stat(t->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(stat(s->wal_path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(count_of(s, "PRAGMA user_version"), 3);
        int64_t n = 0;
        assert_true(connection_i64(&s->writer, "PRAGMA synchronous", &n, NULL));
        assert_int_equal(n, 2);
        assert_true(connection_i64(&s->writer, "PRAGMA foreign_keys", &n, NULL));
        assert_int_equal(n, 1);
        store_close(s);
        assert_int_equal(access(t->path, F_OK), 0);
        s = open_good(&conf, STORE_EXISTING);
        store_close(s);
}

static void an_empty_file_of_a_start_cut_short_is_new(void **state)
{
        struct scratch *t = *state;
        write_file(t->path, 0600, "", 0);
        struct store_conf conf = conf_of(t, 1);
        store_close(open_good(&conf, STORE_NEW));
}

static void an_older_journal_is_brought_up_and_keeps_its_rows(void **state)
{
        struct scratch *t = *state;
        make_journal(t, 1);
        struct store_conf conf = conf_of(t, 3);
        struct store *s = open_good(&conf, STORE_EXISTING);
        assert_int_equal(count_of(s, "SELECT due FROM job WHERE name='www'"), 7);
        assert_int_equal(count_of(s, "PRAGMA user_version"), 3);
        store_close(s);
}

static void a_failing_migration_leaves_the_version_before_it(void **state)
{
        struct scratch *t = *state;
        static const char *const bad[] = { "CREATE TABLE a(x)", "CREATE TABLE b(x); INSERT INTO nowhere VALUES(1)" };
        static const char *const dangling[] = { "CREATE TABLE a(x)",
                "CREATE TABLE b(x REFERENCES c(y)); CREATE TABLE c(y PRIMARY KEY); INSERT INTO b VALUES(1)" };
        struct store_conf conf = { .path = t->path, .migrations = bad, .migration_count = 2 };
        struct store *s = NULL;
        struct err e = { 0 };
        enum store_origin origin;
        assert_false(store_open(&s, &conf, &origin, &e));
        assert_int_equal(e.kind, ERR_BUG);
        assert_non_null(strstr(e.text, "migration 2"));
        conf.migrations = dangling;
        assert_false(store_open(&s, &conf, &origin, &e));
        assert_string_equal(e.code, "store.migration");
        conf.migration_count = 1;
        s = open_good(&conf, STORE_EXISTING);
        assert_int_equal(count_of(s, "PRAGMA user_version"), 1);
        assert_int_equal(count_of(s, "SELECT count(*) FROM sqlite_schema"), 1);
        store_close(s);
}

static void a_newer_journal_is_refused_and_left_untouched(void **state)
{
        struct scratch *t = *state;
        make_journal(t, 3);
        refused_and_left(t, 2, "store.newer");
        struct store_conf conf = conf_of(t, 3);
        store_close(open_good(&conf, STORE_EXISTING));
}

/* As a kill leaves it: a copy of a running one, with what was committed last in the log alone. */
static void copy_running(const struct scratch *t, enum store_origin origin, struct scratch *ret_copy)
{
        char wal[104];
        struct store_conf conf = conf_of(t, 3);
        struct store *s = open_good(&conf, origin);
        assert_true(store_commit_own(s, insert_job("last"), NULL, NULL, NULL));
        assert_true(store_flush(s, NULL));
        size_t main_len, wal_len;
        CLEANUP(free_p) char *main_data = bytes_of(t->path, &main_len);
        CLEANUP(free_p) char *wal_data = bytes_of(s->wal_path, &wal_len);
        store_close(s);
        assert_true(main_len >= 100 && wal_len > 0);
        assert_int_equal(main_data[63], origin == STORE_NEW ? 0 : 3); /* the version in the header */
        *ret_copy = *t;
        snprintf(ret_copy->path, sizeof ret_copy->path, "%s/copy?#%%.db", t->directory);
        snprintf(wal, sizeof wal, "%s-wal", ret_copy->path);
        write_file(ret_copy->path, 0600, main_data, main_len);
        write_file(wal, 0600, wal_data, wal_len);
}

static void a_newer_version_in_the_log_alone_is_seen(void **state)
{
        struct scratch copy;
        copy_running(*state, STORE_NEW, &copy);
        refused_and_left(&copy, 2, "store.newer");
        struct store_conf all = conf_of(&copy, 3);
        store_close(open_good(&all, STORE_EXISTING));
        char wal[104];
        snprintf(wal, sizeof wal, "%s-wal", copy.path);
        assert_int_not_equal(access(wal, F_OK), 0); /* moved into the file */
}

static void zero_at(const char *path, off_t at, size_t len)
{
        uint8_t zeros[4096] = { 0 };
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        for (size_t n = 0; n < len; n += sizeof zeros)
                assert_true(pwrite(fd, zeros, MIN(sizeof zeros, len - n), at + (off_t)n) > 0);
        close(fd);
}

static void a_damaged_journal_is_refused_with_what_to_do(void **state)
{
        struct scratch *t = *state;
        static const struct {
                off_t cut; /* truncate to this, if > 0 */
                off_t zero_at;
                size_t zero_len;
        } row[] = {
                { 50, 0, 0 },
                { 300, 0, 0 },
                { 4096, 0, 0 },
                { 0, 0, 4096 },
                { 0, 0, 1 << 20 },
                { 0, 4096, 4096 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct stat st;
                make_journal(t, 3);
                assert_int_equal(stat(t->path, &st), 0);
                assert_true(st.st_size > 4096);
                if (row[i].cut)
                        assert_int_equal(truncate(t->path, row[i].cut), 0);
                else
                        zero_at(t->path, row[i].zero_at, MIN(row[i].zero_len, (size_t)st.st_size));
                refused_and_left(t, 3, "store.damaged");
                assert_int_equal(unlink(t->path), 0);
        }
}

static void a_damaged_journal_keeps_its_log(void **state)
{
        struct scratch *t = *state, copy;
        struct stat st;
        make_journal(t, 3);
        copy_running(t, STORE_EXISTING, &copy);
        assert_int_equal(stat(copy.path, &st), 0);
        zero_at(copy.path, st.st_size - 4096, 4096); /* a page that the log does not have */
        refused_and_left(&copy, 3, "store.damaged");
}

static int cache_bytes(const struct store *s)
{
        int now = 0, most = 0;
        assert_int_equal(sqlite3_db_status(s->writer.db, SQLITE_DBSTATUS_CACHE_USED, &now, &most, 0), SQLITE_OK);
        return now;
}

static void what_the_check_read_is_not_kept(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = conf_of(t, 3);
        struct store *s = open_good(&conf, STORE_NEW);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "INSERT INTO token(value) VALUES(hex(zeroblob(250000)))", ""));
        assert_true(store_commit_own(s, b, NULL, NULL, NULL));
        store_close(s);
        s = open_good(&conf, STORE_EXISTING);
        assert_in_range(cache_bytes(s), 0, 100000);
        assert_int_equal(count_of(s, "SELECT length(value) FROM token"), 500000);
        assert_true(cache_bytes(s) > 100000); /* and the measure is right */
        store_close(s);
}

static void a_log_without_its_journal_is_not_thrown_away(void **state)
{
        struct scratch *t = *state;
        char wal[96];
        snprintf(wal, sizeof wal, "%s-wal", t->path);
        write_file(wal, 0600, "committed", 9);
        refused(t, 3, ERR_CONFIG, "store.damaged");
        write_file(t->path, 0600, "", 0);
        refused(t, 3, ERR_CONFIG, "store.damaged");
        assert_int_equal(access(wal, F_OK), 0);
}

static void a_foreign_database_is_refused(void **state)
{
        struct scratch *t = *state;
        sqlite3 *db;
        assert_int_equal(sqlite3_open(t->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE cookies(x)", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(chmod(t->path, 0600), 0);
        refused(t, 3, ERR_CONFIG, "store.damaged");
}

static void wrong_mode_owner_and_kind_are_refused_with_the_command(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = conf_of(t, 1);
        struct store *s = NULL;
        struct err e = { 0 };
        enum store_origin origin;
        char want[128];
        write_file(t->path, 0644, "", 0);
        refused(t, 1, ERR_CONFIG, "store.mode");
        assert_false(store_open(&s, &conf, &origin, &e));
        snprintf(want, sizeof want, "chmod 0600 %s", t->path);
        assert_string_equal(e.fix, want);
        if (geteuid() == 0) {
                assert_int_equal(chown(t->path, 4711, (gid_t)-1), 0);
                refused(t, 1, ERR_CONFIG, "store.owner");
                assert_false(store_open(&s, &conf, &origin, &e));
                snprintf(want, sizeof want, "chown 0 %s", t->path);
                assert_string_equal(e.fix, want);
        }
        assert_int_equal(unlink(t->path), 0);
        assert_int_equal(symlink("/etc/passwd", t->path), 0);
        refused(t, 1, ERR_CONFIG, "store.kind");
        assert_int_equal(unlink(t->path), 0);
        assert_int_equal(mkfifo(t->path, 0600), 0);
        refused(t, 1, ERR_CONFIG, "store.kind");
}

static void an_absent_directory_is_named(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = { .path = "/nonexistent-dcvd/dcvd.db", .migrations = schema, .migration_count = 1 };
        struct store *s = NULL;
        struct err e = { 0 };
        enum store_origin origin;
        (void)t;
        assert_false(store_open(&s, &conf, &origin, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_non_null(strstr(e.text, "/nonexistent-dcvd"));
}

struct seen {
        char text[64];
        size_t blob_len;
        bool null;
        unsigned rows;
};

static bool see(void *arg, const struct store_row *row)
{
        struct seen *s = arg;
        s->rows++;
        snprintf(s->text, sizeof s->text, "%s", row_text(row, 0));
        s->null = row_is_null(row, 1) && row_text(row, 1) == NULL && row_i64(row, 1) == 0;
        const uint8_t *blob = row_blob(row, 2, &s->blob_len);
        assert_true(s->blob_len == 0 || memcmp(blob, "a\0b", 3) == 0);
        return true;
}

static void values_of_every_type_come_back(void **state)
{
        struct scratch *t = *state;
        static const char *const one[] = { "CREATE TABLE v(t TEXT, n, b BLOB, i INTEGER)" };
        struct store_conf conf = { .path = t->path, .migrations = one, .migration_count = 1 };
        struct store *s = open_good(&conf, STORE_NEW);
        struct store_batch *b = store_batch_new();
        char text[] = "it's; DROP TABLE v";
        assert_true(store_batch_add(b, "INSERT INTO v VALUES(?,?,?,?)", "ttbi", text, (const char *)NULL,
                (const void *)"a\0b", (size_t)3, INT64_MIN));
        assert_true(store_batch_add(
                b, "INSERT INTO v VALUES(?,?,?,?)", "tnbi", "x", (const void *)NULL, (size_t)0, (int64_t)5));
        assert_int_equal(store_batch_count(b), 2);
        memset(text, 'X', sizeof text - 1); /* values were copied */
        assert_true(store_commit_own(s, b, NULL, NULL, NULL));
        assert_true(store_flush(s, NULL));
        struct seen seen = { 0 };
        assert_true(store_query(s, "SELECT t,n,b FROM v WHERE i=?", "i", see, &seen, NULL, INT64_MIN));
        assert_string_equal(seen.text, "it's; DROP TABLE v");
        assert_true(seen.null && seen.blob_len == 3 && seen.rows == 1);
        assert_true(store_query(s, "SELECT t,n,b FROM v ORDER BY i DESC", "", see, &seen, NULL));
        assert_int_equal(seen.rows, 3);
        assert_int_equal(count_of(s, "SELECT count(*) FROM v WHERE b IS NULL"), 1);
        store_close(s);
}

struct nested {
        struct store *store;
        unsigned depth;
};

static bool again(void *arg, const struct store_row *row)
{
        struct nested *n = arg;
        (void)row;
        if (++n->depth < 3)
                assert_true(store_query(n->store, "SELECT 1 WHERE ?<5", "i", again, n, NULL, (int64_t)n->depth));
        return true;
}

static void a_query_may_run_inside_its_own_callback(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = conf_of(t, 1);
        struct store *s = open_good(&conf, STORE_NEW);
        struct nested n = { .store = s };
        assert_true(store_query(s, "SELECT 1 WHERE ?<5", "i", again, &n, NULL, (int64_t)0));
        assert_int_equal(n.depth, 3);
        store_close(s);
}

static void queries_that_are_wrong_or_write_are_our_own_fault(void **state)
{
        struct scratch *t = *state;
        static const char *const row[] = { "SELECT nothing FROM nowhere", "SELECT ?", "SELECT 1; SELECT 2", "",
                "INSERT INTO job(name) VALUES('x')", "PRAGMA user_version=9" };
        struct store_conf conf = conf_of(t, 1);
        struct store *s = open_good(&conf, STORE_NEW);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct err e = { 0 };
                assert_false(store_query(s, row[i], "", NULL, NULL, &e));
                assert_int_equal(e.kind, ERR_BUG);
        }
        assert_int_equal(count_of(s, "SELECT count(*) FROM job"), 0);
        store_close(s);
}

static void more_statements_than_the_cache_holds_all_work(void **state)
{
        struct scratch *t = *state;
        struct store_conf conf = conf_of(t, 1);
        struct store *s = open_good(&conf, STORE_NEW);
        for (int round = 0; round < 2; round++)
                for (int i = 0; i < 3 * STATEMENT_CACHE; i++) {
                        char sql[48];
                        snprintf(sql, sizeof sql, "SELECT %d", i);
                        assert_int_equal(count_of(s, sql), i);
                }
        store_close(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_fresh_journal_is_private_and_new_then_existing),
                TEST(an_empty_file_of_a_start_cut_short_is_new),
                TEST(an_older_journal_is_brought_up_and_keeps_its_rows),
                TEST(a_failing_migration_leaves_the_version_before_it),
                TEST(a_newer_journal_is_refused_and_left_untouched),
                TEST(a_newer_version_in_the_log_alone_is_seen),
                TEST(a_damaged_journal_is_refused_with_what_to_do),
                TEST(a_damaged_journal_keeps_its_log),
                TEST(what_the_check_read_is_not_kept),
                TEST(a_log_without_its_journal_is_not_thrown_away),
                TEST(a_foreign_database_is_refused),
                TEST(wrong_mode_owner_and_kind_are_refused_with_the_command),
                TEST(an_absent_directory_is_named),
                TEST(values_of_every_type_come_back),
                TEST(a_query_may_run_inside_its_own_callback),
                TEST(queries_that_are_wrong_or_write_are_our_own_fault),
                TEST(more_statements_than_the_cache_holds_all_work),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
