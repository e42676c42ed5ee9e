/* Keys of jobs: made in a thread of their own, on disk before anything else knows of them (I1); and removed when
 * nothing names them any more. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"
#include "agent/pki/csr.h"
#include "agent/pki/weak.h"

/* One making of a key. The thread owns it while it runs; a job that loses interest clears job. */
struct keying {
        struct job *job;
        struct keystore *keystore;
        struct work *work;
        enum key_type type;
        struct key *key;
        char spki[65];
        bool ended, good;
        struct err err;
};

static void make(void *arg)
{
        struct keying *k = arg;
        /* A generator that fails makes keys that others have too: better no key than such a one. */
        k->good = key_generate(k->type, &k->key, &k->err) && key_check_strength(k->key, &k->err) &&
                keystore_put(k->keystore, k->key, k->spki, &k->err);
}

static void made(void *arg, bool abandoned)
{
        struct keying *k = arg;
        crash_point("key.made");
        k->ended = true;
        k->work = NULL;
        if (abandoned || !k->job) {
                /* Nobody's key: it was never named in a CSR. keys_retire removes the file. */
                key_free(k->key);
                free(k);
                return;
        }
        struct job *j = k->job;
        if (j->row.state == JOB_KEYED && j->slot && !j->moving) /* else it sleeps, and finds the key when it wakes */
                step_keyed(j);
}

void keying_start(struct job *j, enum key_type type)
{
        if (j->keying && j->keying->type == type)
                return;
        keying_drop(j);
        struct keying *k = calloc(1, sizeof *k);
        struct err e;
        if (!k)
                return;
        *k = (struct keying){ .job = j, .keystore = j->engine->keystore, .type = type };
        if (!work_start(&k->work, j->engine->loop, make, made, k, &e)) {
                log_err(j->row.cert, "no thread for the making of a key", &e);
                free(k);
                return;
        }
        j->keying = k;
}

void keying_drop(struct job *j)
{
        struct keying *k = j->keying;
        j->keying = NULL;
        if (!k)
                return;
        k->job = NULL;
        if (!k->ended) {
                work_abandon(k->work);
                return;
        }
        key_free(k->key);
        free(k);
}

static void go_ordered(struct job *j, const char *why)
{
        struct store_batch *b = store_batch_new();
        int64_t now_s = clock_now_s();
        char hash[65] = "";
        if (j->row.csr)
                sha256_hex(j->row.csr, strlen(j->row.csr), hash);
        j->row.ordered_s = now_s;
        bool good = b && (!j->row.spki || journal_key(b, j->row.spki, j->row.cert, now_s)) &&
                journal_open_intent(b, j->row.id, "order", j->row.subject_id, hash, now_s);
        if (!good) {
                struct err e;
                store_batch_free(b);
                err_memory(&e);
                return job_trouble(j, &e);
        }
        unsent_note(j);
        j->intent_fresh = true;
        job_go_with(j, JOB_ORDERED, b, why);
}

static bool own_csr(struct job *j, struct key *key, struct err *e)
{
        const struct ca_subject *s = job_subject(j);
        struct csr_request r = { .common_name = s->common_name, .names = &s->names };
        char *pem = NULL;
        if (!csr_make(key, &r, &pem, e))
                return false;
        free(j->row.csr);
        j->row.csr = pem;
        return true;
}

static bool take_foreign_csr(struct job *j, struct err *e)
{
        CLEANUP(free_p) char *pem = NULL;
        char spki[65];
        if (!foreign_csr(j->engine, j->cert, j->policy, j->row.compromised, job_subject(j), &pem, spki, e))
                return false;
        job_set(&j->row.spki, spki);
        free(j->row.csr);
        j->row.csr = STEAL(pem);
        return true;
}

/* The live key goes into one more certificate: it is in STATE/keys before anything for it leaves (I1), also where a
 * restore left it in the set alone. */
static void keep_live_key(struct job *j)
{
        struct err e;
        struct key *key = NULL;
        char spki[65];
        bool good = live_key_load(j->engine, j->cert, &key, &e) && keystore_put(j->engine->keystore, key, spki, &e) &&
                (j->row.same_csr || own_csr(j, key, &e));
        key_free(key);
        if (!good)
                return job_trouble(j, &e);
        job_set(&j->row.spki, spki);
        go_ordered(j, j->row.same_csr ? "the same CSR again: no new key" : "the live key is kept");
}

void step_keyed(struct job *j)
{
        struct err e;
        const struct ca_subject *s = job_subject(j);
        if (!s) {
                err_set(&e, ERR_BUG, "subject", "the facts of the CA are missing in the journal");
                return job_trouble(j, &e);
        }
        /* Looked at again: hours may have passed since the CA was asked, and the key may have been reported. */
        struct live_key live;
        live_key_look(&live, j->engine, j->cert, j->policy, (size_t)j->row.ca_index, job_ask(j));
        bool keep = live_key_stays(&live, s);
        j->row.same_csr = keep && s->same_csr && strcmp(live.spki, s->spki_hex) == 0;
        if (keep)
                return keep_live_key(j);
        if (j->key_stays)
                job_note(j, "the live key is not kept after all: %s", live.why_not);
        j->key_stays = false;
        if (j->policy->key_csr)
                return take_foreign_csr(j, &e) ? go_ordered(j, "the CSR of a key held elsewhere") : job_trouble(j, &e);
        enum key_type type = policy_key_type(j->policy, (size_t)j->row.ca_index);
        if (type == KEY_NONE)
                type = s->key_type;
        /* A key that an earlier attempt of this job made, and that never left, is kept if this CA takes its type. */
        keying_start(j, type);
        if (!j->keying) {
                err_set(&e, ERR_TEMPORARY, "key.thread", "no thread could be started to make the key");
                return job_trouble(j, &e);
        }
        struct keying *k = j->keying;
        if (!k->ended)
                return; /* made() comes back here */
        if (!k->good || compromised_has(j->engine->keystore, k->spki)) {
                e = k->err;
                if (k->good)
                        err_set(&e, ERR_BUG, "key.compromised", "a new key has the hash of a compromised one");
                keying_drop(j);
                return job_trouble(j, &e);
        }
        if (!own_csr(j, k->key, &e))
                return job_trouble(j, &e);
        job_set(&j->row.spki, k->spki);
        keying_drop(j);
        job_note(j, "%s key %.16s... is on disk", key_type_name(type), j->row.spki);
        go_ordered(j, key_type_name(type));
}

static bool named(struct engine *g, const char *spki)
{
        if (incidents_need_key(g, spki))
                return true;
        for (size_t i = 0; i < g->job_count; i++)
                if ((g->job[i]->row.spki && strcmp(g->job[i]->row.spki, spki) == 0) || g->job[i]->keying)
                        return true;
        for (size_t i = 0; i < g->order_count; i++)
                if (g->order[i].spki && strcmp(g->order[i].spki, spki) == 0)
                        return true;
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i]->row.live_spki && strcmp(g->cert[i]->row.live_spki, spki) == 0)
                        return true;
        return false;
}

static bool in_kept_set(struct engine *g, const char *cert, const char *spki)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        if (!sets_list(g->sets, cert, &number, &count, &e))
                return true;
        for (size_t i = 0; i < count; i++) {
                struct set s = { 0 };
                bool same = !sets_read(g->sets, cert, number[i], 0, &s, &e) || strcmp(s.chain.leaf.spki_hex, spki) == 0;
                set_done(&s);
                if (same)
                        return true;
        }
        return false;
}

static void key_removed(struct engine *g, const char *spki, const char *cert)
{
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p) json_t *data = json_pack("{s:s}", "spki", spki);
        if (b && journal_audit(b, clock_now_s(), cert, 0, "key-removed", data))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
}

void key_drop_staging(struct job *j)
{
        struct err e;
        const char *spki = j->row.spki;
        if (!spki || j->policy->key_csr || !keystore_has(j->engine->keystore, spki))
                return;
        if (keystore_remove(j->engine->keystore, spki, &e))
                key_removed(j->engine, spki, j->row.cert);
        else
                log_err(j->row.cert, "the key of a trial could not be removed", &e);
}

/* How many rows are looked at each time: a host has as many as it ever had keys, and each job that ends looks. */
#define RETIRE_LOOKS 50

struct retire {
        struct engine *g;
        int64_t before_s;
        size_t looked;
        struct texts go, cert;
};

static bool old_key(void *arg, const struct store_row *row)
{
        struct retire *r = arg;
        if (++r->looked == RETIRE_LOOKS)
                snprintf(r->g->retired_to, sizeof r->g->retired_to, "%s", row_text(row, 0));
        return row_i64(row, 2) >= r->before_s ||
                (texts_add(&r->go, row_text(row, 0)) && texts_add(&r->cert, row_text(row, 1) ? row_text(row, 1) : ""));
}

/* Keys older than `keep.keys` that no live or kept set, running job or open order names. Their rows stay: a hash is for
 * ever. So each time goes on where the last one ended, and begins anew after the last row. */
void keys_retire(struct engine *g)
{
        struct retire r = { .g = g, .before_s = clock_now_s() - g->conf->keep_keys_ms / 1000 };
        struct err e;
        char from[sizeof g->retired_to];
        memcpy(from, g->retired_to, sizeof from);
        if (!store_query(g->store, "SELECT spki, cert, created FROM key WHERE spki > ? ORDER BY spki LIMIT ?", "ti",
                    old_key, &r, &e, from, (int64_t)RETIRE_LOOKS))
                log_err("", "old keys", &e);
        if (r.looked < RETIRE_LOOKS)
                g->retired_to[0] = '\0';
        for (size_t i = 0; i < r.go.count; i++) {
                const char *spki = r.go.item[i];
                if (!keystore_has(g->keystore, spki) || named(g, spki) || in_kept_set(g, r.cert.item[i], spki))
                        continue;
                if (!keystore_remove(g->keystore, spki, &e)) {
                        log_err(r.cert.item[i], "an old key could not be removed", &e);
                        continue;
                }
                key_removed(g, spki, r.cert.item[i]);
        }
        texts_done(&r.go);
        texts_done(&r.cert);
}
