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
        for (size_t i = 0; good && i < count; i++)
                good = job_new(g, &rows[i], e) != NULL;
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
                t->row = rows[i];
                g->token[g->token_count++] = t;
        }
        free(rows);
        return good || err_memory(e);
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
        if (g->rebuilt)
                log_warning("",
                        "the journal is empty beside existing sets: rebuilt from what is on disk; automatic work rests "
                        "for %lld h",
                        (long long)(g->conf->limit_cooldown_ms / 3600000));
        return good;
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
                journal_next_ids(g->store, &g->next_job, &g->next_token, e) && merge_compromised(g, e) &&
                store_query(g->store, "SELECT spki FROM compromised", "", back_compromised, g, e);
}
