/* The audit trail: each row's hash is SHA-256 over the hash before it and the row's own text, computed inside the
 * transaction, so that group commit and rolled-back neighbours cannot break the chain. */
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/journal.h"

#define GENESIS "0000000000000000000000000000000000000000000000000000000000000000"
#define LAST_HASH "ifnull((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '" GENESIS "')"

bool journal_audit(
        struct store_batch *b, int64_t now_s, const char *cert, int64_t job, const char *event, const json_t *data)
{
        CLEANUP(free_p) char *text = data ? json_text(data) : text_dup("{}");
        if (!text)
                return false;
        /* sha256_hex() is the store's SQL function. char(31) parts the fields: it can stand in none of them. VALUES,
         * not SELECT: for that SQLite keeps a journal of the statement, as if it could write several rows. */
        return store_batch_add(b,
                "INSERT INTO audit(at, cert, job, event, data, prev, hash) VALUES(?1, ?2, ?3, ?4, ?5, " LAST_HASH ","
                " sha256_hex(" LAST_HASH
                " || char(31) || ?1 || char(31) || ifnull(?2,'') || char(31) || ifnull(?3,0) ||"
                " char(31) || ?4 || char(31) || ?5))",
                "ititt", now_s, cert, job, event, text);
}

struct verify {
        char last[65];
        int64_t bad_id;
};

static bool verify_row(void *arg, const struct store_row *row)
{
        struct verify *v = arg;
        const char *prev = row_text(row, 6), *hash = row_text(row, 7);
        CLEANUP(free_p)
        char *text = text_format("%s\x1f%lld\x1f%s\x1f%lld\x1f%s\x1f%s", prev ? prev : "", (long long)row_i64(row, 1),
                row_text(row, 2) ? row_text(row, 2) : "", (long long)row_i64(row, 3),
                row_text(row, 4) ? row_text(row, 4) : "", row_text(row, 5) ? row_text(row, 5) : "");
        char want[65];
        if (!text)
                return false;
        sha256_hex(text, strlen(text), want);
        if (!hash || !prev || strcmp(prev, v->last) != 0 || strcmp(hash, want) != 0) {
                v->bad_id = row_i64(row, 0);
                return false;
        }
        memcpy(v->last, want, sizeof want);
        return true;
}

bool journal_audit_verify(struct store *s, struct err *e)
{
        struct verify v = { .last = GENESIS };
        if (!store_query(s, "SELECT id, at, cert, job, event, data, prev, hash FROM audit ORDER BY id", "", verify_row,
                    &v, e))
                return false;
        if (v.bad_id)
                return err_set(e, ERR_CONFIG, "audit.broken",
                        "the audit trail does not fit together at row %lld: it was changed from outside",
                        (long long)v.bad_id);
        return true;
}
