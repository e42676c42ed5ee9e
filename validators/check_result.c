/* What comes out of a run: each finding once, gravest first; what could not be judged with its reason; the table of
 * servers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_internal.h"

const char *check_severity_name(enum check_severity s)
{
        static const char *const names[] = { "info", "warning", "error", "fatal" };
        return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

const struct check_id *check_id_find(const char *id)
{
        for (const struct check_id *at = check_catalogue; at->id; at++)
                if (strcmp(at->id, id) == 0)
                        return at;
        return NULL;
}

const char *check_verdict(const struct check_result *r)
{
        if (r->by_severity[CHECK_FATAL] + r->by_severity[CHECK_ERROR] > 0)
                return "would-fail";
        return r->judged && !r->incomplete ? "would-validate" : "unverifiable";
}

/* ---- findings ---- */

static bool same(const struct check_finding *a, const char *id, const struct judgement *b)
{
        return strcmp(a->id->id, id) == 0 && strcmp(a->said->subject, b->subject) == 0 &&
                strcmp(a->said->message, b->message) == 0;
}

static bool add_finding(struct check_result *t, const char *name, const struct judgement *j)
{
        const struct check_id *id = check_id_find(j->id);
        for (size_t i = 0; i < t->count; i++)
                if (same(&t->finding[i], j->id, j))
                        return true;
        assert(id); /* every id a check writes is in the catalogue */
        if (t->count % 16 == 0) {
                struct check_finding *more = realloc(t->finding, (t->count + 16) * sizeof *more);
                if (!more)
                        return false;
                t->finding = more;
        }
        t->finding[t->count++] = (struct check_finding){ id, name, j };
        t->by_severity[id->severity]++;
        return true;
}

static bool add_doubt(struct check_result *t, const char *id, const char *why)
{
        for (size_t i = 0; i < t->doubt_count; i++)
                if (strcmp(t->doubt[i].id, id) == 0 && strcmp(t->doubt[i].why, why) == 0)
                        return true;
        if (t->doubt_count % 16 == 0) {
                struct check_doubt *more = realloc(t->doubt, (t->doubt_count + 16) * sizeof *more);
                if (!more)
                        return false;
                t->doubt = more;
        }
        t->doubt[t->doubt_count++] = (struct check_doubt){ id, why };
        return true;
}

static bool has_doubt(const struct check_result *t, const char *id)
{
        for (size_t i = 0; i < t->doubt_count; i++)
                if (strcmp(t->doubt[i].id, id) == 0)
                        return true;
        return false;
}

/* Each id of "D03 D04", as the catalogue has it. */
static bool add_doubts(struct check_result *t, const char *ids, const char *why)
{
        bool good = true;
        for (const struct check_id *at = check_catalogue; at->id; at++)
                if (check_has_group(ids, at->id))
                        good = add_doubt(t, at->id, why) && good;
        return good;
}

bool check_has_group(const char *ids, const char *id)
{
        size_t len = strlen(id);
        for (const char *at = strstr(ids, id); at; at = strstr(at + 1, id))
                if ((at == ids || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
                        return true;
        return false;
}

/* ---- rows ---- */

static bool row_copy(struct check_row *to, const struct check_row *from)
{
        *to = *from;
        to->values = (struct texts){ 0 };
        to->zone = text_dup(from->zone);
        to->name = text_dup(from->name);
        return to->zone && to->name && texts_copy(&to->values, &from->values);
}

static bool add_row(struct check_result *t, const struct check_row *from)
{
        bool good = true;
        for (size_t i = 0; i < t->row_count; i++) {
                struct check_row *row = &t->row[i];
                if (!dns_name_equal(row->zone, from->zone) || !address_equal(&row->address, &from->address))
                        continue;
                for (size_t k = 0; k < from->values.count; k++)
                        if (!texts_has(&row->values, from->values.item[k]))
                                good = texts_add(&row->values, from->values.item[k]) && good;
                if (!row->has_serial && from->has_serial) {
                        row->serial = from->serial;
                        row->has_serial = true;
                }
                return good;
        }
        struct check_row *more = realloc(t->row, (t->row_count + 1) * sizeof *more);
        if (!more)
                return false;
        t->row = more;
        return row_copy(&t->row[t->row_count++], from);
}

/* ---- units ---- */

static bool zone_is_of(const struct zone_node *z, const struct target_state *t)
{
        for (size_t i = 0; i < t->target->names.count; i++)
                for (size_t k = 0; k < t->name[i].zone_count; k++)
                        if (t->name[i].zone[k] == z)
                                return true;
        return false;
}

static bool add_unit(struct check_run *r, struct check_result *t, const struct check_unit *u)
{
        bool good = true;
        if (!u->done)
                return add_doubts(
                        t, u->c.check->ids, r->over ? "not known when the time of --timeout was over" : "memory");
        for (size_t i = 0; i < u->out.count; i++) {
                const struct judgement *j = &u->out.item[i];
                good = (j->unverifiable ? add_doubt(t, j->id, j->message) : add_finding(t, u->c.name, j)) && good;
        }
        for (size_t i = 0; i < u->row_count; i++)
                good = add_row(t, &u->row[i]) && good;
        return good;
}

/* Names that never came to their later stages. */
static bool add_unreached(struct check_run *r, struct check_result *t, const struct name_state *n)
{
        bool good = true;
        for (const struct check *const *const *array = r->checks; !n->ended && *array; array++)
                for (const struct check *const *at = *array; *at; at++)
                        if ((*at)->stage > n->stage && !((*at)->needs & CHECK_REGARDLESS) &&
                                (((*at)->needs & 0xf0) == 0 || ((*at)->needs & (unsigned)n->target->target->method)))
                                good = add_doubts(t, (*at)->ids, "not reached when the time of --timeout was over") &&
                                        good;
        return good;
}

static bool claims(const struct check_run *r, const struct check_target *t, const char *id)
{
        for (const struct check *const *const *array = r->checks; *array; array++)
                for (const struct check *const *at = *array; *at; at++)
                        if ((((*at)->needs & 0xf0) == 0 || ((*at)->needs & (unsigned)t->method)) &&
                                check_has_group((*at)->ids, id))
                                return true;
        return false;
}

static int by_gravity(const void *a, const void *b)
{
        const struct check_finding *x = a, *y = b;
        if (x->id->severity != y->id->severity)
                return x->id->severity < y->id->severity ? 1 : -1;
        if (x->id != y->id)
                return x->id < y->id ? -1 : 1;
        int by_subject = strcmp(x->said->subject, y->said->subject);
        return by_subject ? by_subject : strverscmp(x->said->message, y->said->message); /* R2 before R10 */
}

static int by_id(const void *a, const void *b)
{
        const struct check_doubt *x = a, *y = b;
        const struct check_id *p = check_id_find(x->id), *q = check_id_find(y->id);
        if (p != q)
                return p < q ? -1 : 1;
        return strcmp(x->why, y->why);
}

static int by_zone(const void *a, const void *b)
{
        const struct check_row *x = a, *y = b;
        char p[ADDRESS_TEXT], q[ADDRESS_TEXT];
        int by = strcmp(x->zone, y->zone);
        if (by == 0)
                by = strcmp(x->name, y->name);
        address_text(&x->address, true, p);
        address_text(&y->address, true, q);
        return by ? by : strcmp(p, q);
}

/* A name of which no server could be judged (D01 is in doubt) was not checked. */
static bool was_judged(const struct check_result *t)
{
        for (size_t i = 0; i < t->doubt_count; i++)
                if (strcmp(t->doubt[i].id, "D01") == 0)
                        return false;
        return true;
}

static void sort(struct check_result *t)
{
        if (t->count)
                qsort(t->finding, t->count, sizeof *t->finding, by_gravity);
        if (t->doubt_count)
                qsort(t->doubt, t->doubt_count, sizeof *t->doubt, by_id);
        if (t->row_count)
                qsort(t->row, t->row_count, sizeof *t->row, by_zone);
}

static bool fill(struct check_run *r, struct target_state *s, struct check_result *t)
{
        bool good = true;
        t->target = s->target;
        for (const struct check_unit *u = r->units; u; u = u->next)
                if (u->zone ? zone_is_of(u->zone, s) : u->target == s)
                        good = add_unit(r, t, u) && good;
        for (size_t i = 0; i < r->early_count; i++)
                if (!r->early[i].target || r->early[i].target == s)
                        good = add_doubts(t, r->early[i].ids, r->early[i].why) && good;
        for (size_t i = 0; r->over && i < s->target->names.count; i++)
                good = add_unreached(r, t, &s->name[i]) && good;
        for (const struct check_id *at = check_catalogue; at->id; at++)
                if (at->never && !has_doubt(t, at->id) && claims(r, s->target, at->id))
                        good = add_doubt(t, at->id, at->never) && good;
        t->judged = was_judged(t);
        t->incomplete = r->over || r->failed || !good;
        sort(t);
        return good;
}

bool check_results_make(struct check_run *r)
{
        bool good = true;
        r->result = calloc(r->target_count + 1, sizeof *r->result);
        for (size_t i = 0; r->result && i < r->target_count; i++)
                good = fill(r, &r->state[i], &r->result[i]) && good;
        return r->result && good;
}

void check_results_free(struct check_run *r)
{
        for (size_t i = 0; r->result && i < r->target_count; i++) {
                free(r->result[i].finding);
                free(r->result[i].doubt);
                check_rows_free(r->result[i].row, r->result[i].row_count);
        }
        free(r->result);
        r->result = NULL;
}
