/* A journal in a directory of its own, for the tests of this folder. */
#ifndef DCVD_TEST_STORE_SCRATCH_H
#define DCVD_TEST_STORE_SCRATCH_H

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

struct scratch {
        char directory[64], path[80];
};

static const char *const schema[] = {
        "CREATE TABLE job(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash BLOB);"
        "CREATE TABLE step(id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES job(id) DEFERRABLE INITIALLY "
        "DEFERRED)",
        "ALTER TABLE job ADD COLUMN due INTEGER; UPDATE job SET due = 7",
        "CREATE TABLE token(value TEXT)",
};

static inline int scratch_make(void **state)
{
        struct scratch *s = calloc(1, sizeof *s);
        snprintf(s->directory, sizeof s->directory, "/tmp/dcvd-store-XXXXXX");
        assert_non_null(mkdtemp(s->directory));
        snprintf(s->path, sizeof s->path, "%s/dcvd.db", s->directory);
        *state = s;
        return 0;
}

static inline int scratch_remove(void **state)
{
        struct scratch *s = *state;
        assert_true(tree_remove_at(AT_FDCWD, s->directory, NULL));
        free(s);
        return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

static inline struct store_conf conf_of(const struct scratch *s, size_t migrations)
{
        return (struct store_conf){ .path = s->path, .migrations = schema, .migration_count = migrations };
}

static inline struct store *open_good(const struct store_conf *conf, enum store_origin want)
{
        struct store *s = NULL;
        struct err e = { 0 };
        enum store_origin origin = STORE_EXISTING;
        if (!store_open(&s, conf, &origin, &e))
                fail_msg("%s: %s", e.code, e.text);
        assert_int_equal(origin, want);
        return s;
}

/* What the callbacks said, in order. */
struct said {
        char text[256];
        struct err err;
        int64_t rowid;
        unsigned count;
};
struct note {
        struct said *said;
        const char *name;
};

static inline void note_done(void *arg, int64_t rowid, const struct err *err)
{
        struct note *n = arg;
        size_t len = strlen(n->said->text);
        snprintf(n->said->text + len, sizeof n->said->text - len, "%s%s ", n->name, err ? "!" : "");
        n->said->rowid = rowid;
        n->said->count++;
        if (err)
                n->said->err = *err;
}

static inline struct store_batch *insert_job(const char *name)
{
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "INSERT INTO job(name) VALUES(?)", "t", name));
        return b;
}

static inline bool take_i64(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

static inline int64_t count_of(struct store *s, const char *sql)
{
        int64_t n = -1;
        struct err e = { 0 };
        if (!store_query(s, sql, "", take_i64, &n, &e))
                fail_msg("%s", e.text);
        return n;
}

#endif
