/* Incidents in the journal. */
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

static const char *const state_names[INCIDENT_STATES] = { "open", "revoking", "done", "dismissed" };
static const char *const case_names[CASE_STATES] = { "open", "replaced", "kept", "gone" };
static const char *const revocation_names[REVOKE_STATES] = { "not-yet", "waits", "runs", "done", "not" };
static const char *const strength_names[] = { "hint", "exact", "exposed", "revoked", "proof" };

static unsigned find_name(const char *const *names, size_t count, const char *name)
{
        unsigned i = 0;
        while (i < count && (!name || strcmp(names[i], name) != 0))
                i++;
        return i;
}

const char *incident_state_name(enum incident_state s)
{
        return (unsigned)s < INCIDENT_STATES ? state_names[s] : "?";
}

bool incident_state_from_name(const char *name, enum incident_state *ret)
{
        unsigned i = find_name(state_names, INCIDENT_STATES, name);
        if (i < INCIDENT_STATES)
                *ret = (enum incident_state)i;
        return i < INCIDENT_STATES;
}

const char *case_state_name(enum case_state s)
{
        return (unsigned)s < CASE_STATES ? case_names[s] : "?";
}

const char *case_revocation_name(enum case_revocation s)
{
        return (unsigned)s < REVOKE_STATES ? revocation_names[s] : "?";
}

const char *report_strength_name(enum report_strength s)
{
        return (unsigned)s < ARRAY_LEN(strength_names) ? strength_names[s] : "?";
}

bool report_strength_from_name(const char *name, enum report_strength *ret)
{
        unsigned i = find_name(strength_names, ARRAY_LEN(strength_names), name);
        if (i < ARRAY_LEN(strength_names))
                *ret = (enum report_strength)i;
        return i < ARRAY_LEN(strength_names);
}

void incident_row_done(struct incident_row *r)
{
        char **const owned[] = { &r->key, &r->spki, &r->source, &r->text, &r->link, &r->because, &r->others };
        for (size_t i = 0; i < ARRAY_LEN(owned); i++)
                free(*owned[i]);
        *r = (struct incident_row){ 0 };
}

void incident_case_done(struct incident_case *c)
{
        char **const owned[] = { &c->cert, &c->sha256, &c->serial, &c->text, &c->revoke_text };
        for (size_t i = 0; i < ARRAY_LEN(owned); i++)
                free(*owned[i]);
        *c = (struct incident_case){ 0 };
}

bool journal_put_incident(struct store_batch *b, const struct incident_row *r)
{
        return store_batch_add(b,
                "INSERT INTO incident(id, key, spki, state, source, text, link, strength, revocation_reason, marked,"
                " passes_brake, confirmed, reported, opened, deadline, remedied, ended, warned, stuck_told, because,"
                " reports, last_report, audit_from, others) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                " ON CONFLICT(id) DO UPDATE SET state=excluded.state, source=excluded.source, text=excluded.text,"
                " link=excluded.link, strength=excluded.strength, revocation_reason=excluded.revocation_reason,"
                " marked=excluded.marked, passes_brake=excluded.passes_brake, confirmed=excluded.confirmed,"
                " deadline=excluded.deadline, remedied=excluded.remedied, ended=excluded.ended, warned=excluded.warned,"
                " stuck_told=excluded.stuck_told, because=excluded.because, reports=excluded.reports,"
                " last_report=excluded.last_report, others=excluded.others",
                "itttttttiiiiiiiiiiitiiit", r->id, r->key, r->spki, incident_state_name(r->state), r->source, r->text,
                r->link, report_strength_name(r->strength), r->revocation_reason, (int64_t)r->marked,
                (int64_t)r->passes_brake, (int64_t)r->confirmed, r->reported_s, r->opened_s, r->deadline_s,
                r->remedied_s, r->ended_s, (int64_t)r->warned, (int64_t)r->stuck_told, r->because, r->reports,
                r->last_report_s, r->audit_from, r->others);
}

bool journal_put_case(struct store_batch *b, int64_t incident, const struct incident_case *c)
{
        return store_batch_add(b,
                "INSERT OR REPLACE INTO incident_case(incident, cert, sha256, serial, set_number, not_after, live,"
                " state, reissue, revoke, job, failures, again, held, replaced, revoked, revocation, revoke_again, "
                "text,"
                " revoke_text) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                "itttiiitttiiiiiititt", incident, c->cert, c->sha256, c->serial, c->set_number, c->not_after_s,
                (int64_t)c->live, case_state_name(c->state), verdict_word_name(c->reissue),
                verdict_word_name(c->revoke), c->job, c->failures, c->again_s, c->held_s, c->replaced_s, c->revoked_s,
                case_revocation_name(c->revocation), c->revoke_again_s, c->text, c->revoke_text);
}

/* ---- reading ---- */

static char *text_of(const struct store_row *row, int column)
{
        return text_dup(row_text(row, column));
}

#define ROW                                                                                                            \
        "SELECT id, key, spki, state, source, text, link, strength, revocation_reason, marked, passes_brake, "         \
        "confirmed, reported, opened, deadline, remedied, ended, warned, stuck_told, because, reports, last_report, "  \
        "audit_from, others FROM incident "

struct found_row {
        struct incident_row *row;
        bool found;
};

static bool row_loaded(void *arg, const struct store_row *row)
{
        struct found_row *f = arg;
        struct incident_row *r = f->row;
        int c = 0;
        r->id = row_i64(row, c++);
        r->key = text_of(row, c++);
        r->spki = text_of(row, c++);
        if (!incident_state_from_name(row_text(row, c++), &r->state))
                r->state = INCIDENT_OPEN; /* of a newer dcvd: it is shown, and looked at again */
        r->source = text_of(row, c++);
        r->text = text_of(row, c++);
        r->link = text_of(row, c++);
        (void)report_strength_from_name(row_text(row, c++), &r->strength); /* else a hint */
        r->revocation_reason = row_i64(row, c++);
        r->marked = row_i64(row, c++) != 0;
        r->passes_brake = row_i64(row, c++) != 0;
        r->confirmed = row_i64(row, c++) != 0;
        int64_t *const times[] = { &r->reported_s, &r->opened_s, &r->deadline_s, &r->remedied_s, &r->ended_s };
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
                *times[i] = row_i64(row, c++);
        r->warned = row_i64(row, c++) != 0;
        r->stuck_told = row_i64(row, c++) != 0;
        r->because = text_of(row, c++);
        r->reports = row_i64(row, c++);
        r->last_report_s = row_i64(row, c++);
        r->audit_from = row_i64(row, c++);
        r->others = text_of(row, c++);
        f->found = true;
        return false;
}

bool incident_load_row(struct store *s, int64_t id, struct incident_row *ret, bool *ret_found, struct err *e)
{
        struct found_row f = { .row = ret };
        bool good = store_query(s, ROW "WHERE id=?", "i", row_loaded, &f, e, id);
        *ret_found = f.found;
        return good;
}

bool incident_load_last(struct store *s, const char *key, struct incident_row *ret, bool *ret_found, struct err *e)
{
        struct found_row f = { .row = ret };
        bool good = store_query(s, ROW "WHERE key=? ORDER BY id DESC LIMIT 1", "t", row_loaded, &f, e, key);
        *ret_found = f.found;
        return good;
}

static bool case_loaded(void *arg, const struct store_row *row)
{
        struct incident *i = arg;
        struct incident_case *more = realloc(i->cases, (i->case_count + 1) * sizeof *more);
        if (!more)
                return false;
        i->cases = more;
        struct incident_case *c = &more[i->case_count++];
        *c = (struct incident_case){ .cert = text_of(row, 0), .sha256 = text_of(row, 1), .serial = text_of(row, 2) };
        int n = 3;
        c->set_number = row_i64(row, n++);
        c->not_after_s = row_i64(row, n++);
        c->live = row_i64(row, n++) != 0;
        c->state = (enum case_state)(find_name(case_names, CASE_STATES, row_text(row, n++)) % CASE_STATES);
        if (!verdict_word_from_name(row_text(row, n++), &c->reissue))
                c->reissue = VERDICT_ASK;
        if (!verdict_word_from_name(row_text(row, n++), &c->revoke))
                c->revoke = VERDICT_ASK;
        int64_t *const numbers[] = { &c->job, &c->failures, &c->again_s, &c->held_s, &c->replaced_s, &c->revoked_s };
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
                *numbers[k] = row_i64(row, n++);
        c->revocation =
                (enum case_revocation)(find_name(revocation_names, REVOKE_STATES, row_text(row, n++)) % REVOKE_STATES);
        c->revoke_again_s = row_i64(row, n++);
        c->text = text_of(row, n++);
        c->revoke_text = text_of(row, n++);
        return true;
}

bool incident_load_cases(struct store *s, struct incident *i, struct err *e)
{
        bool good = store_query(s,
                "SELECT cert, sha256, serial, set_number, not_after, live, state, reissue, revoke, job, failures,"
                " again, held, replaced, revoked, revocation, revoke_again, text, revoke_text FROM incident_case"
                " WHERE incident=? ORDER BY cert, sha256",
                "i", case_loaded, i, e, i->row.id);
        i->durable = true;
        return good;
}

struct id_list {
        int64_t *id;
        size_t count;
};

static bool id_loaded(void *arg, const struct store_row *row)
{
        struct id_list *l = arg;
        int64_t *more = realloc(l->id, (l->count + 1) * sizeof *more);
        if (!more)
                return false;
        l->id = more;
        more[l->count++] = row_i64(row, 0);
        return true;
}

static bool next_id(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0) + 1;
        return false;
}

static struct incident *load_one(struct engine *g, int64_t id, struct err *e)
{
        bool found = false;
        struct incident *i = incident_new(g, e);
        if (i && incident_load_row(g->store, id, &i->row, &found, e) && found && incident_load_cases(g->store, i, e))
                return i;
        if (i)
                incident_free(i);
        return NULL;
}

bool incidents_load_open(struct engine *g, struct err *e)
{
        struct id_list l = { 0 };
        bool good = store_query(g->store, "SELECT ifnull(max(id), 0) FROM incident", "", next_id,
                            &g->incidents->next_id, e) &&
                store_query(g->store, "SELECT id FROM incident WHERE ended = 0 ORDER BY id", "", id_loaded, &l, e);
        for (size_t i = 0; good && i < l.count; i++) {
                err_memory(e);
                good = load_one(g, l.id[i], e) != NULL;
        }
        free(l.id);
        return good;
}
