/* Writing: rows into batches. Reading is in journal_load.c. */
#include "agent/job/journal.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

void job_row_done(struct job_row *r)
{
        char **const owned[] = { &r->cert, &r->policy, &r->trigger, &r->reason, &r->ca, &r->subject, &r->subject_id,
                &r->spki, &r->csr, &r->order_id, &r->live_sha256, &r->was, &r->cert_sha256, &r->err_kind, &r->err_code,
                &r->err_text, &r->err_fix, &r->waiting, &r->result };
        for (size_t i = 0; i < ARRAY_LEN(owned); i++)
                free(*owned[i]);
        *r = (struct job_row){ 0 };
}

/* Each statement is parsed once in a process, and most processes run one job: an INSERT of the few columns that never
 * change and an UPDATE of the others take a fifth of what one INSERT .. ON CONFLICT DO UPDATE of all of them took. */
bool journal_add_job(struct store_batch *b, const struct job_row *r)
{
        return store_batch_add(b,
                       "INSERT INTO job(id, cert, state, policy, trigger, reason, created) VALUES(?,?,?,?,?,?,?)",
                       "ittttti", r->id, r->cert, job_state_name(r->state), r->policy, r->trigger, r->reason,
                       r->created_s) &&
                journal_put_job(b, r);
}

/* Some fifteen times in a job's life. `ended` is in an index, which an UPDATE of all the rest leaves alone. */
bool journal_put_job(struct store_batch *b, const struct job_row *r)
{
        bool good = store_batch_add(b,
                "UPDATE job SET state=?, compromised=?, force=?, entered=?, due_ms=?, failures=?, attempt=?, "
                "ca_index=?,"
                " ca=?, subject=?, subject_id=?, spki=?, csr=?, order_id=?, same_csr=?, told=?, rehearsed=?, ordered=?,"
                " live_sha256=?, live_set=?, was=?, set_number=?, cert_sha256=?, err_kind=?, err_code=?, err_text=?,"
                " err_fix=?, waiting=?, result=?, attempt_began=? WHERE id=?",
                "tiiiiiiittttttiiiititittttttt"
                "ii",
                job_state_name(r->state), (int64_t)r->compromised, (int64_t)r->force, r->entered_s, r->due_ms,
                r->failures, r->attempt, r->ca_index, r->ca, r->subject, r->subject_id, r->spki, r->csr, r->order_id,
                (int64_t)r->same_csr, (int64_t)r->told, (int64_t)r->rehearsed, r->ordered_s, r->live_sha256,
                r->live_set, r->was, r->set_number, r->cert_sha256, r->err_kind, r->err_code, r->err_text, r->err_fix,
                r->waiting, r->result, r->attempt_s, r->id);
        store_batch_must_change(b);
        return good &&
                (!r->ended_s || store_batch_add(b, "UPDATE job SET ended=? WHERE id=?", "ii", r->ended_s, r->id));
}

void cert_row_done(struct cert_row *r)
{
        char **const owned[] = { &r->name, &r->newest_id, &r->reissuable, &r->stopped, &r->live_sha256, &r->live_spki,
                &r->served };
        for (size_t i = 0; i < ARRAY_LEN(owned); i++)
                free(*owned[i]);
        *r = (struct cert_row){ 0 };
}

bool journal_put_cert(struct store_batch *b, const struct cert_row *r)
{
        return store_batch_add(b,
                "INSERT OR REPLACE INTO certificate(name, newest_id, reissuable, stopped, live_set, live_sha256, "
                "live_spki,"
                " live_not_after, last_success, last_failure, served) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                "ttttittiiit", r->name, r->newest_id, r->reissuable, r->stopped, r->live_set, r->live_sha256,
                r->live_spki, r->live_not_after_s, r->last_success_s, r->last_failure_s, r->served);
}

bool journal_open_intent(struct store_batch *b, int64_t job, const char *kind, const char *target,
        const char *request_sha256, int64_t now_s)
{
        return store_batch_add(b, "INSERT INTO intent(job, kind, target, request_sha256, opened) VALUES(?,?,?,?,?)",
                "ittti", job, kind, target, request_sha256, now_s);
}

bool journal_close_intents(struct store_batch *b, int64_t job, const char *result, int64_t now_s)
{
        return store_batch_add(
                b, "UPDATE intent SET closed=?, result=? WHERE job=? AND closed IS NULL", "iti", now_s, result, job);
}

void token_row_done(struct token_row *r)
{
        free(r->publisher);
        proof_done(&r->proof);
        free(r->handle);
        free(r->state);
        free(r->cert);
        free(r->order_id);
        free(r->holder);
        *r = (struct token_row){ 0 };
}

bool journal_put_token(struct store_batch *b, const struct token_row *r)
{
        bool good = store_batch_add(b,
                "INSERT INTO token(id, publisher, type, name, place, path, value, handle, state, cert, order_id, "
                "probe, created)"
                " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)"
                " ON CONFLICT(id) DO UPDATE SET handle=excluded.handle, state=excluded.state, "
                "order_id=excluded.order_id",
                "itttttttttt"
                "ii",
                r->id, r->publisher, proof_type_name((int)r->proof.type), r->proof.name, r->proof.place, r->proof.path,
                r->proof.value, r->handle, r->state, r->cert, r->order_id, (int64_t)r->probe, r->created_s);
        good = good && store_batch_add(b, "DELETE FROM token_holder WHERE token=?", "i", r->id);
        for (size_t i = 0; good && i < r->holder_count; i++)
                good = store_batch_add(
                        b, "INSERT INTO token_holder(token, job) VALUES(?,?)", "ii", r->id, r->holder[i]);
        return good;
}

void order_row_done(struct order_row *r)
{
        char **const owned[] = { &r->ca, &r->order_id, &r->cert, &r->subject_id, &r->spki, &r->csr };
        for (size_t i = 0; i < ARRAY_LEN(owned); i++)
                free(*owned[i]);
        *r = (struct order_row){ 0 };
}

bool journal_put_order(struct store_batch *b, const struct order_row *r)
{
        return store_batch_add(b,
                "INSERT OR REPLACE INTO orders(ca, order_id, cert, subject_id, spki, csr, open, opened, deadline, job)"
                " VALUES(?,?,?,?,?,?,?,?,?,?)",
                "ttttttiiii", r->ca, r->order_id, r->cert, r->subject_id, r->spki, r->csr, (int64_t)r->open,
                r->opened_s, r->deadline_s, r->job);
}

bool journal_key(struct store_batch *b, const char *spki, const char *cert, int64_t now_s)
{
        return store_batch_add(b,
                "INSERT INTO key(spki, cert, created) VALUES(?,?,?) ON CONFLICT(spki) DO UPDATE SET cert=excluded.cert "
                "WHERE cert IS NULL",
                "tti", spki, cert, now_s);
}

bool journal_compromised(struct store_batch *b, const char *spki, int64_t now_s, const char *why)
{
        return store_batch_add(
                b, "INSERT OR IGNORE INTO compromised(spki, since, why) VALUES(?,?,?)", "tit", spki, now_s, why);
}

bool journal_attempt(struct store_batch *b, const struct job_row *r, const char *result, int64_t now_s)
{
        char csr_sha256[65] = "";
        if (r->csr)
                sha256_hex(r->csr, strlen(r->csr), csr_sha256);
        return store_batch_add(b,
                "INSERT OR REPLACE INTO attempt(job, number, ca, spki, csr_sha256, order_id, result, at) "
                "VALUES(?,?,?,?,?,?,?,?)",
                "iittttti", r->id, r->attempt, r->ca, r->spki, csr_sha256[0] ? csr_sha256 : NULL, r->order_id, result,
                now_s);
}

bool journal_service(struct store_batch *b, const char *cert, const char *target, const char *service,
        const char *state, const char *text, int64_t set_number, int64_t now_s)
{
        return store_batch_add(b,
                "INSERT OR REPLACE INTO service(cert, target, service, state, text, set_number, at) "
                "VALUES(?,?,?,?,?,?,?)",
                "tttttii", cert, target, service, state, text, set_number, now_s);
}
