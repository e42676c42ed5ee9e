/* Reading rows back, at start. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/job/journal.h"

/* A growing array of rows of one size: every loader fills one. */
struct rows {
        void *data;
        size_t count, size;
        bool failed;
};

static void *rows_push(struct rows *r)
{
        if ((r->count & (r->count - 1)) == 0) {
                size_t cap = r->count ? 2 * r->count : 1;
                void *more = realloc(r->data, cap * r->size);
                if (!more) {
                        r->failed = true;
                        return NULL;
                }
                r->data = more;
        }
        void *slot = (char *)r->data + r->count++ * r->size;
        memset(slot, 0, r->size);
        return slot;
}

static char *text_of(const struct store_row *row, int column)
{
        return text_dup(row_text(row, column));
}

static bool load(
        struct store *s, const char *sql, store_row_fn *fn, size_t size, void **ret, size_t *ret_count, struct err *e)
{
        struct rows rows = { .size = size };
        if (!store_query(s, sql, "", fn, &rows, e) || rows.failed) {
                if (rows.failed)
                        err_memory(e);
                free(rows.data); /* the texts inside are lost with a process that cannot start */
                return false;
        }
        *ret = rows.data;
        *ret_count = rows.count;
        return true;
}

static bool job_loaded(void *arg, const struct store_row *row)
{
        struct job_row *r = rows_push(arg);
        if (!r)
                return false;
        int c = 0;
        r->id = row_i64(row, c++);
        r->cert = text_of(row, c++);
        if (!job_state_from_name(row_text(row, c++), &r->state))
                r->state = JOB_FAILED;
        r->policy = text_of(row, c++);
        r->trigger = text_of(row, c++);
        r->reason = text_of(row, c++);
        r->compromised = row_i64(row, c++) != 0;
        r->force = row_i64(row, c++) != 0;
        r->created_s = row_i64(row, c++);
        r->entered_s = row_i64(row, c++);
        r->due_ms = row_i64(row, c++);
        r->failures = row_i64(row, c++);
        r->attempt = row_i64(row, c++);
        r->ca_index = row_i64(row, c++);
        char **const texts[] = { &r->ca, &r->subject, &r->subject_id, &r->spki, &r->csr, &r->order_id };
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                *texts[i] = text_of(row, c++);
        r->same_csr = row_i64(row, c++) != 0;
        r->told = row_i64(row, c++) != 0;
        r->rehearsed = row_i64(row, c++) != 0;
        r->ordered_s = row_i64(row, c++);
        r->live_sha256 = text_of(row, c++);
        r->live_set = row_i64(row, c++);
        r->was = text_of(row, c++);
        r->set_number = row_i64(row, c++);
        char **const tail[] = { &r->cert_sha256, &r->err_kind, &r->err_code, &r->err_text, &r->err_fix, &r->waiting,
                &r->result };
        for (size_t i = 0; i < ARRAY_LEN(tail); i++)
                *tail[i] = text_of(row, c++);
        r->ended_s = row_i64(row, c++);
        r->attempt_s = row_i64(row, c++);
        return true;
}

bool journal_load_jobs(struct store *s, struct job_row **ret, size_t *ret_count, struct err *e)
{
        return load(s,
                "SELECT id, cert, state, policy, trigger, reason, compromised, force, created, entered, due_ms, "
                "failures, attempt,"
                " ca_index, ca, subject, subject_id, spki, csr, order_id, same_csr, told, rehearsed, ordered, "
                "live_sha256, live_set, was,"
                " set_number, cert_sha256, err_kind, err_code, err_text, err_fix, waiting, result, ended, attempt_began"
                " FROM job WHERE ended IS NULL ORDER BY id",
                job_loaded, sizeof **ret, (void **)ret, ret_count, e);
}

static bool cert_loaded(void *arg, const struct store_row *row)
{
        struct cert_row *r = rows_push(arg);
        if (!r)
                return false;
        r->name = text_of(row, 0);
        r->newest_id = text_of(row, 1);
        r->reissuable = text_of(row, 2);
        r->stopped = text_of(row, 3);
        r->live_set = row_i64(row, 4);
        r->live_sha256 = text_of(row, 5);
        r->live_spki = text_of(row, 6);
        r->live_not_after_s = row_i64(row, 7);
        r->last_success_s = row_i64(row, 8);
        r->last_failure_s = row_i64(row, 9);
        r->served = text_of(row, 10);
        return true;
}

bool journal_load_certs(struct store *s, struct cert_row **ret, size_t *ret_count, struct err *e)
{
        return load(s,
                "SELECT name, newest_id, reissuable, stopped, live_set, live_sha256, live_spki, live_not_after, "
                "last_success,"
                " last_failure, served FROM certificate ORDER BY name",
                cert_loaded, sizeof **ret, (void **)ret, ret_count, e);
}

/* Rows come joined with their holders, ordered by token: a repeated id adds a holder. */
static bool token_loaded(void *arg, const struct store_row *row)
{
        struct rows *rows = arg;
        struct token_row *last = rows->count ? (struct token_row *)rows->data + rows->count - 1 : NULL;
        if (!last || last->id != row_i64(row, 0)) {
                last = rows_push(rows);
                if (!last)
                        return false;
                last->id = row_i64(row, 0);
                last->publisher = text_of(row, 1);
                if (!proof_type_from_name(row_text(row, 2), &last->proof.type))
                        last->proof.type = PROOF_TXT;
                last->proof.name = text_of(row, 3);
                last->proof.place = text_of(row, 4);
                last->proof.path = text_of(row, 5);
                last->proof.value = text_of(row, 6);
                last->handle = text_of(row, 7);
                last->state = text_of(row, 8);
                last->cert = text_of(row, 9);
                last->order_id = text_of(row, 10);
                last->probe = row_i64(row, 11) != 0;
                last->created_s = row_i64(row, 12);
        }
        if (row_is_null(row, 13))
                return true;
        int64_t *more = realloc(last->holder, (last->holder_count + 1) * sizeof *more);
        if (!more) {
                rows->failed = true;
                return false;
        }
        last->holder = more;
        last->holder[last->holder_count++] = row_i64(row, 13);
        return true;
}

bool journal_load_tokens(struct store *s, struct token_row **ret, size_t *ret_count, struct err *e)
{
        return load(s,
                "SELECT t.id, t.publisher, t.type, t.name, t.place, t.path, t.value, t.handle, t.state, t.cert, "
                "t.order_id, t.probe,"
                " t.created, h.job FROM token t LEFT JOIN token_holder h ON h.token = t.id WHERE t.state <> 'withdrawn'"
                " ORDER BY t.id, h.job",
                token_loaded, sizeof **ret, (void **)ret, ret_count, e);
}

static bool order_loaded(void *arg, const struct store_row *row)
{
        struct order_row *r = rows_push(arg);
        if (!r)
                return false;
        r->ca = text_of(row, 0);
        r->order_id = text_of(row, 1);
        r->cert = text_of(row, 2);
        r->subject_id = text_of(row, 3);
        r->spki = text_of(row, 4);
        r->csr = text_of(row, 5);
        r->open = row_i64(row, 6) != 0;
        r->opened_s = row_i64(row, 7);
        r->deadline_s = row_i64(row, 8);
        r->job = row_i64(row, 9);
        return true;
}

bool journal_load_orders(struct store *s, struct order_row **ret, size_t *ret_count, struct err *e)
{
        return load(s,
                "SELECT ca, order_id, cert, subject_id, spki, csr, open, opened, deadline, job FROM orders WHERE open "
                "ORDER BY opened",
                order_loaded, sizeof **ret, (void **)ret, ret_count, e);
}

static bool first_i64(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

bool journal_open_intents_of(struct store *s, int64_t job, bool *ret_any, struct err *e)
{
        int64_t count = 0;
        if (!store_query(
                    s, "SELECT count(*) FROM intent WHERE job=? AND closed IS NULL", "i", first_i64, &count, e, job))
                return false;
        *ret_any = count > 0;
        return true;
}

bool journal_next_ids(struct store *s, int64_t *ret_job, int64_t *ret_token, struct err *e)
{
        int64_t job = 0, token = 0;
        if (!store_query(s, "SELECT ifnull(max(id),0)+1 FROM job", "", first_i64, &job, e) ||
                !store_query(s, "SELECT ifnull(max(id),0)+1 FROM token", "", first_i64, &token, e))
                return false;
        *ret_job = job;
        *ret_token = token;
        return true;
}
