/* The replay memory: in memory for the question, in the journal for the next process. */
#include "agent/job/alert_seen.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

#define SEEN_CAP_MIN 64
#define SEEN_LONGEST_S (31 * 86400)
#define SEEN_KEY_MAX 500

void seen_table_done(struct seen_table *t)
{
        free(t->entry);
        *t = (struct seen_table){ .max = t->max };
}

/* The length first: no pair of texts can be split in two ways. */
void seen_hash(const char *source, const char *key, uint8_t ret[32])
{
        CLEANUP(free_p) char *text = text_format("%zu:%s%s", strlen(source), source, key);
        sha256(text ? text : "", text ? strlen(text) : 0, ret);
}

static size_t slot_of(const struct seen_table *t, const uint8_t hash[32])
{
        uint64_t h;
        memcpy(&h, hash, sizeof h);
        size_t at = (size_t)h & (t->cap - 1);
        while (t->entry[at].expires_s && memcmp(t->entry[at].hash, hash, 32) != 0)
                at = (at + 1) & (t->cap - 1);
        return at;
}

struct seen_entry *seen_table_find(struct seen_table *t, const uint8_t hash[32], int64_t now_s)
{
        if (t->cap == 0)
                return NULL;
        struct seen_entry *found = &t->entry[slot_of(t, hash)];
        return found->expires_s > now_s ? found : NULL;
}

static int64_t sooner(int64_t a_s, int64_t b_s)
{
        return a_s && a_s < b_s ? a_s : b_s;
}

/* Into a new array, without what is over. */
static bool rebuild(struct seen_table *t, int64_t now_s)
{
        size_t living = 0, cap = SEEN_CAP_MIN;
        for (size_t i = 0; i < t->cap; i++)
                living += t->entry[i].expires_s > now_s;
        while (cap < 2 * (living + 1))
                cap *= 2;
        struct seen_table next = {
                .entry = calloc(cap, sizeof *next.entry), .cap = cap, .max = t->max, .rebuilds = t->rebuilds + 1
        };
        if (!next.entry)
                return false;
        for (size_t i = 0; i < t->cap; i++)
                if (t->entry[i].expires_s > now_s) {
                        next.entry[slot_of(&next, t->entry[i].hash)] = t->entry[i];
                        next.first_end_s = sooner(next.first_end_s, t->entry[i].expires_s);
                        next.count++;
                }
        free(t->entry);
        *t = next;
        return true;
}

bool seen_table_put(struct seen_table *t, const struct seen_entry *entry, int64_t now_s, bool *ret_full)
{
        *ret_full = false;
        struct seen_entry *known = seen_table_find(t, entry->hash, now_s);
        if (known) {
                bool pending = known->pending && entry->pending;
                *known = *entry;
                known->pending = pending;
                t->first_end_s = sooner(t->first_end_s, entry->expires_s);
                return true;
        }
        /* Full and none is over yet: whoever is refused must not cost a look through all of it. */
        *ret_full = t->count >= t->max && now_s < t->first_end_s;
        if (*ret_full)
                return false;
        if ((t->count + 1) * 2 > t->cap || t->count >= t->max) {
                if (!rebuild(t, now_s))
                        return false;
                *ret_full = t->count >= t->max;
                if (*ret_full)
                        return false;
        }
        struct seen_entry *slot = &t->entry[slot_of(t, entry->hash)];
        t->count += slot->expires_s == 0;
        *slot = *entry;
        t->first_end_s = sooner(t->first_end_s, entry->expires_s);
        return true;
}

void seen_table_settle(struct seen_table *t, const uint8_t hash[32], bool on_disk)
{
        struct seen_entry *e = t->cap ? &t->entry[slot_of(t, hash)] : NULL;
        if (!e || !e->expires_s || !e->pending)
                return;
        e->pending = false;
        if (!on_disk)
                e->expires_s = t->first_end_s = 1; /* long over */
}

void seen_pending_done(struct seen_pending *p)
{
        free(p->hash);
        *p = (struct seen_pending){ 0 };
}

static bool pending_add(struct seen_pending *p, const uint8_t hash[32])
{
        if (p->count == p->cap) {
                size_t cap = p->cap ? 2 * p->cap : REPORT_SEEN_MAX;
                uint8_t(*more)[32] = realloc(p->hash, cap * sizeof *more);
                if (!more)
                        return false;
                p->hash = more;
                p->cap = cap;
        }
        memcpy(p->hash[p->count++], hash, 32);
        return true;
}

int64_t seen_table_first_end(const struct seen_table *t)
{
        return t->first_end_s;
}

/* ---- of the engine ---- */

bool alert_seen_check(struct engine *g, const char *source, const char *key, int64_t *ret_incident)
{
        uint8_t hash[32];
        seen_hash(source, key, hash);
        const struct seen_entry *found = seen_table_find(&g->incidents->seen, hash, clock_now_s());
        if (!found || found->pending)
                return false;
        if (ret_incident)
                *ret_incident = found->incident;
        return true;
}

void seen_settle(struct engine *g, struct seen_pending *p, bool on_disk)
{
        for (size_t k = 0; k < p->count; k++)
                seen_table_settle(&g->incidents->seen, p->hash[k], on_disk);
        seen_pending_done(p);
}

bool seen_remember(struct engine *g, struct store_batch *b, const char *source, const struct report_seen *seen,
        int64_t incident, struct seen_pending *pending, struct err *e)
{
        int64_t now_s = clock_now_s();
        struct seen_entry entry = { .expires_s = MIN(seen->expires_s, now_s + SEEN_LONGEST_S),
                .incident = incident,
                .pending = pending != NULL };
        struct seen_table *t = &g->incidents->seen;
        bool full;
        char hex[65];
        if (!seen->key || strlen(seen->key) > SEEN_KEY_MAX)
                return err_set(
                        e, ERR_PROTOCOL, "report", "the name of a delivery is longer than %d bytes", SEEN_KEY_MAX);
        if (entry.expires_s <= now_s)
                return true;
        seen_hash(source, seen->key, entry.hash);
        uint64_t rebuilds = t->rebuilds;
        if (pending && !pending_add(pending, entry.hash))
                return err_memory(e);
        if (!seen_table_put(t, &entry, now_s, &full)) {
                if (!full)
                        return err_memory(e);
                err_set(e, ERR_TEMPORARY, "seen.full", "%zu deliveries are remembered; no more are taken", t->count);
                e->retry_after_s = MAX(1, MIN(seen_table_first_end(t) - now_s, 3600));
                return false;
        }
        hex_encode(hex, entry.hash, sizeof entry.hash);
        /* What the table left out goes from the journal too, or that would grow until the next start. */
        if (t->rebuilds != rebuilds && !store_batch_add(b, "DELETE FROM alert_seen WHERE expires <= ?", "i", now_s))
                return err_memory(e);
        return store_batch_add(b, "INSERT OR REPLACE INTO alert_seen(hash, source, expires, incident) VALUES(?,?,?,?)",
                       "ttii", hex, source, entry.expires_s, incident) ||
                err_memory(e);
}

bool alert_seen_add(struct engine *g, const char *source, const struct report_seen *seen, struct err *e)
{
        struct store_batch *b = store_batch_new();
        if (!b)
                return err_memory(e);
        if (!seen_remember(g, b, source, seen, 0, NULL, e)) {
                store_batch_free(b);
                return false;
        }
        engine_commit_logged(g, b);
        return true;
}

struct seen_load {
        struct seen_table *table;
        int64_t now_s;
        bool any_over;
};

static bool seen_row(void *arg, const struct store_row *row)
{
        struct seen_load *l = arg;
        struct seen_entry entry = { .expires_s = row_i64(row, 1), .incident = row_i64(row, 2) };
        const char *hex = row_text(row, 0);
        size_t n = 0;
        bool full;
        if (entry.expires_s <= l->now_s) {
                l->any_over = true;
                return true;
        }
        return !hex || !hex_decode(hex, strlen(hex), entry.hash, sizeof entry.hash, &n) || n != sizeof entry.hash ||
                seen_table_put(l->table, &entry, l->now_s, &full);
}

static void forget_over(struct engine *g, int64_t now_s)
{
        struct store_batch *b = store_batch_new();
        if (b && store_batch_add(b, "DELETE FROM alert_seen WHERE expires <= ?", "i", now_s))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
}

bool seen_load(struct engine *g, struct err *e)
{
        struct seen_load l = { .table = &g->incidents->seen, .now_s = clock_now_s() };
        l.table->max = ALERT_SEEN_MAX;
        if (!store_query(g->store, "SELECT hash, expires, incident FROM alert_seen", "", seen_row, &l, e))
                return false;
        if (l.any_over) /* else nearly every start would begin with a commit for nothing */
                forget_over(g, l.now_s);
        return true;
}
