/* Going on after a restart: what the journal and the state directory say. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

static bool memory_row(void *arg, const struct store_row *row)
{
        json_t *all = arg;
        json_t *of_ca = json_object_get(all, row_text(row, 0));
        if (!of_ca) {
                of_ca = json_object();
                json_object_set_new(all, row_text(row, 0), of_ca);
        }
        return json_put_text(of_ca, row_text(row, 1), row_text(row, 2));
}

static bool load_jobs(struct engine *g, struct err *e)
{
        struct job_row *rows = NULL;
        size_t count = 0;
        bool good = journal_load_jobs(g->store, &rows, &count, e);
        for (size_t i = 0; good && i < count; i++) {
                struct job *j = job_new(g, &rows[i], e);
                good = j != NULL;
                if (good) /* its state began before this process did */
                        j->entered_ms -= MAX(0, clock_now_s() - j->row.entered_s) * 1000;
        }
        for (size_t i = 0; i < count; i++)
                job_row_done(&rows[i]);
        free(rows);
        return good;
}

static bool load_certs(struct engine *g, struct err *e)
{
        struct cert_row *rows = NULL;
        size_t count = 0;
        bool good = journal_load_certs(g->store, &rows, &count, e);
        for (size_t i = 0; good && i < count; i++) {
                struct cert *c = engine_cert_add(g, rows[i].name, e);
                good = c != NULL;
                if (good) {
                        free(c->row.name);
                        c->row = rows[i];
                        rows[i] = (struct cert_row){ 0 };
                }
        }
        for (size_t i = 0; i < count; i++)
                cert_row_done(&rows[i]);
        free(rows);
        for (size_t i = 0; good && i < g->conf->cert_count; i++)
                if (!engine_cert(g, g->conf->cert[i].name))
                        good = engine_cert_add(g, g->conf->cert[i].name, e) != NULL;
        return good;
}

static bool load_tokens(struct engine *g, struct err *e)
{
        struct token_row *rows = NULL;
        size_t count = 0;
        if (!journal_load_tokens(g->store, &rows, &count, e))
                return false;
        g->token = calloc(count + 1, sizeof(struct token *));
        bool good = g->token != NULL;
        for (size_t i = 0; i < count; i++) {
                struct token *t = good ? calloc(1, sizeof *t) : NULL;
                good = t != NULL;
                if (!t) {
                        token_row_done(&rows[i]);
                        continue;
                }
                t->engine = g;
                t->due.kind = DUE_TOKEN;
                t->recorded = true;
                t->row = rows[i];
                g->token[g->token_count++] = t;
        }
        free(rows);
        return good || err_memory(e);
}

#define REST_CA "-" /* no CA's name: the engine's own rows of what is remembered */
#define REST_KEY "rest_until"

/* Over restarts, too: a second start finds a journal that is no longer new. */
static void rest(struct engine *g)
{
        const char *until = json_str(json_object_get(g->memory, REST_CA), REST_KEY);
        int64_t now_s = clock_now_s(), kept_s = 0;
        if (until && parse_i64(until, 0, INT64_MAX, &kept_s))
                g->rest_until_s = MIN(kept_s, now_s + g->conf->limit_cooldown_ms / 1000);
        if (!g->rebuilt)
                return;
        g->rest_until_s = now_s + g->conf->limit_cooldown_ms / 1000;
        CLEANUP(free_p) char *text = text_format("%lld", (long long)g->rest_until_s);
        struct store_batch *b = store_batch_new();
        if (text && b &&
                store_batch_add(b, "INSERT OR REPLACE INTO memory(ca, key, value) VALUES(?,?,?)", "ttt", REST_CA,
                        REST_KEY, text))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
}

/* Live sets are the truth about what is live; the journal only remembers. An empty journal beside existing sets was
 * lost: nothing starts by itself until the CA was asked. */
static bool load_live(struct engine *g, enum store_origin origin, struct err *e)
{
        struct texts names = { 0 };
        bool good = sets_certs(g->sets, &names, e);
        g->rebuilt = good && origin == STORE_NEW && names.count > 0;
        for (size_t i = 0; good && i < names.count; i++) {
                struct cert *c = engine_cert(g, names.item[i]);
                if (!c && !(c = engine_cert_add(g, names.item[i], e))) {
                        good = false;
                        break;
                }
                struct err read;
                if (!cert_load_live(c, &read))
                        log_err(c->row.name, "the live set cannot be read", &read);
                if (g->rebuilt)
                        job_set(&c->row.stopped,
                                "the journal was lost: sets and keys were taken over, nothing starts by itself");
        }
        texts_done(&names);
        rest(g);
        if (g->rebuilt)
                log_warning("",
                        "the journal is empty beside existing sets: rebuilt from what is on disk; automatic work rests "
                        "for %lld h",
                        (long long)(g->conf->limit_cooldown_ms / 3600000));
        return good;
}

static bool known_key(void *arg, const struct store_row *row)
{
        return json_object_set_new(arg, row_text(row, 0), json_true()) == 0;
}

/* Which certificate's set has a key: {spki: name}. */
static json_t *keys_of_sets(struct engine *g)
{
        struct texts names = { 0 };
        struct err e;
        json_t *of = json_object();
        (void)sets_certs(g->sets, &names, &e); /* without them the keys stay nobody's */
        for (size_t i = 0; i < names.count; i++) {
                CLEANUP(free_p) unsigned *number = NULL;
                size_t count = 0;
                if (!sets_list(g->sets, names.item[i], &number, &count, &e))
                        continue;
                for (size_t k = 0; k < count; k++) {
                        struct set s = { 0 };
                        if (sets_read(g->sets, names.item[i], number[k], 0, &s, &e))
                                json_put_text(of, s.chain.leaf.spki_hex, names.item[i]);
                        set_done(&s);
                }
        }
        texts_done(&names);
        return of;
}

/* Keys that the journal does not know: made right before a crash, or the journal was lost. From now on they have an age
 * and go when nothing names them (keys_retire). */
static bool adopt_keys(struct engine *g, struct err *e)
{
        struct texts list = { 0 };
        CLEANUP(json_decref_p) json_t *known = json_object();
        CLEANUP(json_decref_p) json_t *of = NULL;
        if (!store_query(g->store, "SELECT spki FROM key", "", known_key, known, e) ||
                !keystore_list(g->keystore, &list, e))
                return false;
        struct store_batch *b = store_batch_new();
        bool good = b != NULL;
        for (size_t i = 0; good && i < list.count; i++) {
                if (json_object_get(known, list.item[i]))
                        continue;
                if (!of)
                        of = keys_of_sets(g);
                good = journal_key(b, list.item[i], json_str(of, list.item[i]), clock_now_s());
        }
        texts_done(&list);
        if (good && store_batch_count(b) > 0)
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        return good || err_memory(e);
}

static bool merge_compromised(struct engine *g, struct err *e)
{
        struct texts list = { 0 };
        if (!compromised_list(g->keystore, &list, e))
                return false;
        struct store_batch *b = store_batch_new();
        bool good = b != NULL;
        for (size_t i = 0; good && i < list.count; i++)
                good = journal_compromised(b, list.item[i], clock_now_s(), "STATE/compromised");
        texts_done(&list);
        if (good && store_batch_count(b) > 0)
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        return good || err_memory(e);
}

static bool back_compromised(void *arg, const struct store_row *row)
{
        struct engine *g = arg;
        struct err e;
        const char *spki = row_text(row, 0);
        return !spki || compromised_has(g->keystore, spki) || compromised_add(g->keystore, spki, &e);
}

bool engine_load(struct engine *g, enum store_origin origin, struct err *e)
{
        return store_query(g->store, "SELECT ca, key, value FROM memory", "", memory_row, g->memory, e) &&
                load_certs(g, e) && load_live(g, origin, e) &&
                journal_load_orders(g->store, &g->order, &g->order_count, e) && load_tokens(g, e) && load_jobs(g, e) &&
                journal_next_ids(g->store, &g->next_job, &g->next_token, e) && adopt_keys(g, e) &&
                merge_compromised(g, e) &&
                store_query(g->store, "SELECT spki FROM compromised", "", back_compromised, g, e);
}
