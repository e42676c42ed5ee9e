/* The daemon's side of putting a set to use: one helper request a target, in order; after a failure the targets before
 * it go back as well. */
#include "agent/deploy/deploy.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"
#include "agent/net/loop.h"

struct deploy_run {
        struct loop *loop;
        struct helper *helper;
        enum deploy_act act;
        char *cert;
        unsigned number;
        struct texts hash, directory;
        unsigned *was_wanted; /* NULL: as the helper finds it */
        struct buf blob; /* key, cert, chain */
        size_t key_len, cert_len, chain_len;
        size_t at; /* target */
        bool going_back;
        struct helper_call *call;
        struct deferred *begin;
        deploy_done_fn *done;
        void *arg;
        struct deploy_result result;
        struct err err;
};

static void result_done(struct deploy_result *r)
{
        for (size_t i = 0; i < r->service_count; i++) {
                free(r->service[i].target);
                free(r->service[i].service);
        }
        free(r->service);
        free(r->was);
}

static void run_free(struct deploy_run *d)
{
        helper_cancel(d->call);
        loop_undefer(d->loop, d->begin);
        texts_done(&d->hash);
        texts_done(&d->directory);
        buf_done(&d->blob);
        result_done(&d->result);
        free(d->was_wanted);
        free(d->cert);
        free(d);
}

void deploy_cancel(struct deploy_run *d)
{
        if (d)
                run_free(d);
}

static void finish(struct deploy_run *d)
{
        deploy_done_fn *done = d->done;
        void *arg = d->arg;
        d->call = NULL;
        done(arg, &d->result, d->err.kind == ERR_NONE ? NULL : &d->err);
        run_free(d);
}

static const char *step_word(const char *step)
{
        static const char *const words[] = { "test", "reload", "signal", "install" };
        for (size_t i = 0; step && i < ARRAY_LEN(words); i++)
                if (strcmp(words[i], step) == 0)
                        return words[i];
        return "install";
}

static void keep_services(struct deploy_run *d, const json_t *answer)
{
        size_t i;
        json_t *s;
        json_array_foreach(json_object_get(answer, "services"), i, s)
        {
                struct deploy_service_result *more =
                        realloc(d->result.service, (d->result.service_count + 1) * sizeof *more);
                if (!more)
                        return;
                d->result.service = more;
                struct deploy_service_result *x = &more[d->result.service_count];
                *x = (struct deploy_service_result){ .target = text_dup(d->directory.item[d->at]),
                        .service = text_dup(json_str(s, "service") ? json_str(s, "service") : "?"),
                        .step = step_word(json_str(s, "step")),
                        .good = json_bool(s, "good", false) };
                snprintf(x->text, sizeof x->text, "%s", json_str(s, "text") ? json_str(s, "text") : "");
                if (!x->target || !x->service) {
                        free(x->target);
                        free(x->service);
                        return;
                }
                d->result.service_count++;
        }
}

static void next_target(struct deploy_run *d);

/* Of a way back that fails as well. */
static void blame_way_back(struct deploy_run *d, const struct err *err)
{
        struct err both;
        d->result.put_back_failed = true;
        err_set(&both, ERR_DENIED, "deploy.put-back-failed", "%s; putting %s back failed: %s", d->err.text,
                d->directory.item[d->at], err->text);
        d->err = both;
}

/* The other targets go back whatever became of this one; only a helper that did not answer is asked again. */
static void restored(struct deploy_run *d, const json_t *answer, const struct err *err)
{
        if (!answer || !json_bool(answer, "restored", false))
                d->result.restored = false;
        if (err && d->err.kind == ERR_NONE)
                d->err = *err;
        d->at++;
        if (err && err->kind == ERR_TEMPORARY)
                return finish(d);
        next_target(d);
}

/* I4: every target that was already switched goes back to what it had when this began. */
static void go_back(struct deploy_run *d)
{
        if (d->act != DEPLOY_INSTALL || d->at == 0)
                return finish(d);
        d->going_back = true;
        d->at--;
        d->result.put_back = true;
        next_target(d);
}

static void answered(void *arg, const json_t *answer, const struct err *err)
{
        struct deploy_run *d = arg;
        d->call = NULL;
        if (answer)
                keep_services(d, answer);
        if (d->going_back) {
                if (err)
                        blame_way_back(d, err);
                return go_back(d);
        }
        if (d->act == DEPLOY_RESTORE)
                return restored(d, answer, err);
        if (answer && json_object_get(answer, "was"))
                d->result.was[d->at] = (unsigned)json_i64(answer, "was", UINT_MAX);
        if (answer) {
                d->result.put_back = d->result.put_back || json_bool(answer, "put_back", false);
                d->result.put_back_failed = d->result.put_back_failed || json_bool(answer, "put_back_failed", false);
        }
        if (err) {
                d->err = *err;
                return go_back(d);
        }
        d->at++;
        next_target(d);
}

static json_t *header_of(const struct deploy_run *d)
{
        json_t *o = json_object();
        json_put_text(o, "cert", d->cert);
        json_put_text(o, "target", d->hash.item[d->at]);
        if (d->going_back || d->act == DEPLOY_RESTORE) {
                json_put_i64(o, "to", d->going_back ? d->result.was[d->at] : d->was_wanted[d->at]);
                return o;
        }
        json_put_text(o, "mode", d->act == DEPLOY_TEST ? "test" : "install");
        if (d->act == DEPLOY_INSTALL) {
                json_put_i64(o, "set", d->number);
                json_object_set_new(o, "parts",
                        json_pack("{s:I, s:I, s:I}", "key", (json_int_t)d->key_len, "cert", (json_int_t)d->cert_len,
                                "chain", (json_int_t)d->chain_len));
                if (d->was_wanted)
                        json_put_i64(o, "was", d->was_wanted[d->at]);
        }
        return o;
}

static void next_target(struct deploy_run *d)
{
        if (d->at >= d->hash.count)
                return finish(d);
        bool restore = d->going_back || d->act == DEPLOY_RESTORE, with_blob = d->act == DEPLOY_INSTALL && !restore;
        CLEANUP(json_decref_p) json_t *header = header_of(d);
        struct err e;
        d->call = helper_start(d->helper, restore ? "restore" : "deploy", header, with_blob ? d->blob.data : "",
                with_blob ? d->blob.len : 0, 0, answered, d, &e);
        if (d->call)
                return;
        d->result.restored = false;
        if (d->going_back)
                blame_way_back(d, &e);
        else
                d->err = e;
        finish(d);
}

static void begin(void *arg)
{
        struct deploy_run *d = arg;
        d->begin = NULL;
        next_target(d);
}

/* With a pass phrase the key travels, and lies on the web server's side, encrypted. */
static bool put_key(struct deploy_run *d, const struct conf_cert *cert, const struct set *set, struct err *e)
{
        struct secret phrase = { 0 }, pem = { 0 };
        struct key *key = NULL;
        if (set->key_pem.len == 0)
                return true;
        if (cert->key_passphrase.source == SECRET_NONE) {
                d->key_len = set->key_pem.len;
                return buf_append(&d->blob, set->key_pem.data, set->key_pem.len) || err_memory(e);
        }
        bool good = secret_load(&cert->key_passphrase, &phrase, e) &&
                key_read_pem(set->key_pem.data, set->key_pem.len, NULL, &key, e) &&
                key_write_pem(key, &phrase, &pem, e);
        if (good) {
                d->key_len = pem.len;
                good = buf_append(&d->blob, pem.data, pem.len) || err_memory(e);
        }
        key_free(key);
        secret_done(&phrase);
        secret_done(&pem);
        return good;
}

static bool copy_targets(struct deploy_run *d, const struct conf_cert *cert, const unsigned *was)
{
        d->result.target_count = cert->target_count;
        d->result.restored = d->act == DEPLOY_RESTORE && cert->target_count > 0;
        d->result.was = calloc(cert->target_count + 1, sizeof *d->result.was);
        if (was)
                d->was_wanted = calloc(cert->target_count + 1, sizeof *d->was_wanted);
        if (!d->result.was || (was && !d->was_wanted))
                return false;
        for (size_t i = 0; i < cert->target_count; i++) {
                char hash[65];
                target_hash(&cert->target[i], hash);
                if (!hash[0] || !texts_add(&d->hash, hash) || !texts_add(&d->directory, cert->target[i].directory))
                        return false;
                d->result.was[i] = UINT_MAX;
                if (was)
                        d->was_wanted[i] = was[i];
        }
        return true;
}

struct deploy_run *deploy_start(struct loop *loop, struct helper *helper, const struct conf_cert *cert,
        enum deploy_act act, const struct set *set, const unsigned *was, deploy_done_fn *done, void *arg, struct err *e)
{
        struct deploy_run *d = calloc(1, sizeof *d);
        if (!d || !(d->cert = text_dup(cert->name))) {
                free(d);
                err_memory(e);
                return NULL;
        }
        d->loop = loop;
        d->helper = helper;
        d->act = act;
        d->done = done;
        d->arg = arg;
        d->blob = (struct buf){ .max = HELPER_BLOB_MAX, .secret = true };
        bool good = copy_targets(d, cert, was) || err_memory(e);
        if (good && act == DEPLOY_INSTALL) {
                d->number = set->number;
                d->cert_len = strlen(set->chain.cert_pem);
                d->chain_len = strlen(set->chain.chain_pem);
                good = put_key(d, cert, set, e) &&
                        ((buf_add(&d->blob, set->chain.cert_pem) && buf_add(&d->blob, set->chain.chain_pem)) ||
                                err_memory(e));
        }
        if (good && !(d->begin = loop_defer(loop, begin, d)))
                good = err_memory(e);
        if (!good) {
                run_free(d);
                return NULL;
        }
        return d;
}
