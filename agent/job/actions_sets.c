/* What an operator can ask for: taking over what the host has, sets, putting to use again, looking, retiring. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"
#include "agent/pki/csr.h"
#include "agent/pki/weak.h"

/* ---- import ---- */

/* What an import brings, read and compared; nothing of it is kept yet. */
struct brought {
        struct chain chain;
        struct key *key; /* NULL: held elsewhere */
        char spki[65]; /* of the key; "" without one */
};

static void brought_done(struct brought *b)
{
        chain_done(&b->chain);
        key_free(b->key);
}

/* The files were the caller's: what is wrong with one is named by its path, and is wrong usage. */
static bool blame(struct err *e, const json_t *args, const char *label, const char *otherwise)
{
        const char *path = json_str(args, label);
        if (e->kind == ERR_PROTOCOL)
                e->kind = ERR_CONFIG;
        return err_wrap(e, "%s", path && path[0] ? path : otherwise);
}

static bool read_key(const json_t *args, struct brought *b, struct err *e)
{
        const char *pem = json_str(args, "key_pem"), *passphrase = json_str(args, "passphrase");
        struct secret phrase = { 0 };
        if (!pem)
                return true;
        if (passphrase && !secret_set(&phrase, passphrase, strlen(passphrase), e))
                return false;
        bool good = key_read_pem(pem, strlen(pem), passphrase ? &phrase : NULL, &b->key, e);
        if (!good && !passphrase && strcmp(e->code, "key.encrypted") == 0)
                err_fix(e, "give --passphrase-file FILE, or decrypt it: openssl pkey -in FILE -out PLAIN");
        secret_done(&phrase);
        if (!good)
                return blame(e, args, "key_file", "the key");
        return key_spki_hex(b->key, b->spki, e);
}

static bool check_csr(const json_t *args, const char *spki_hex, struct err *e)
{
        const char *pem = json_str(args, "csr_pem");
        struct csr csr = { 0 };
        if (!pem)
                return true;
        if (!csr_read(pem, strlen(pem), &csr, e))
                return blame(e, args, "csr_file", "the CSR");
        bool same = strcmp(csr.spki_hex, spki_hex) == 0;
        csr_done(&csr);
        return same || err_set(e, ERR_CONFIG, "import.csr", "the CSR is for another key than the certificate");
}

static bool check_import(const struct conf_cert *conf, const json_t *args, const struct brought *b, struct err *e)
{
        if (!b->key && conf && !conf->key_csr) {
                err_set(e, ERR_CONFIG, "import.key",
                        "the key of %s is not given, and its configuration does not say "
                        "that it is held elsewhere",
                        conf->name);
                return err_fix(e, "give --key FILE, or set key: {csr: FILE} of %s", conf->name);
        }
        for (size_t i = 0; conf && i < conf->names.count; i++)
                if (!names_cover(&b->chain.leaf.names, conf->names.item[i]))
                        return err_set(e, ERR_CONFIG, "import.names",
                                "the certificate does not cover %s, which the configuration names",
                                conf->names.item[i]);
        return check_csr(args, b->chain.leaf.spki_hex, e);
}

static bool read_import(const struct conf_cert *conf, const json_t *args, struct brought *ret, struct err *e)
{
        const char *pem = json_str(args, "cert_pem");
        if (!pem)
                return err_set(e, ERR_CONFIG, "usage", "no certificate was given");
        if (!read_key(args, ret, e))
                return false;
        if (!chain_read(pem, strlen(pem), ret->key ? ret->spki : NULL, &ret->chain, e))
                return blame(e, args, "cert_file", "the certificate");
        return check_import(conf, args, ret, e);
}

/* A key that was reported is never used again (I6), nor one that anybody can compute; what is live with it already is
 * being replaced. One that is only too small for a CA may come: its certificate is there. */
static bool key_may_come(struct engine *g, const struct cert *cert, const struct brought *b, struct err *e)
{
        const char *spki = b->chain.leaf.spki_hex, *live = cert->row.live_sha256;
        if (live && strcmp(live, b->chain.leaf.sha256) == 0)
                return true;
        if (!cert_check_strength(b->chain.leaf_der, b->chain.leaf_der_len, e) && weak_is_computable(e))
                return err_fix(e, "dcvctl reissue %s makes a new one", cert->row.name);
        if (!compromised_has(g->keystore, spki))
                return true;
        err_set(e, ERR_RULE, "I6", "the key %.16s... of this certificate is marked compromised: it is not taken over",
                spki);
        return err_fix(e, "dcvctl reissue %s makes a new one", cert->row.name);
}

static bool adopt(struct engine *g, struct cert *cert, const struct brought *b, unsigned *ret_number, struct err *e)
{
        const struct chain *c = &b->chain;
        CLEANUP(json_decref_p) json_t *meta = set_meta_new(c, "imported", true, clock_now_s());
        struct secret pem = { 0 };
        char spki[65];
        if (cert->row.live_sha256 && strcmp(cert->row.live_sha256, c->leaf.sha256) == 0) {
                *ret_number = (unsigned)cert->row.live_set;
                return true;
        }
        bool kept = !b->key || (keystore_put(g->keystore, b->key, spki, e) && key_write_pem(b->key, NULL, &pem, e));
        kept = kept && sets_write(g->sets, cert->row.name, c, &pem, meta, ret_number, e) &&
                sets_switch(g->sets, cert->row.name, *ret_number, e) && cert_load_live(cert, e);
        secret_done(&pem);
        if (!kept)
                return false;
        job_set(&cert->row.stopped, NULL);
        struct store_batch *batch = store_batch_new();
        if (batch && journal_put_cert(batch, &cert->row) &&
                (!b->key || journal_key(batch, b->spki, cert->row.name, clock_now_s())) &&
                journal_audit(batch, clock_now_s(), cert->row.name, 0, "imported", meta))
                engine_commit_logged(g, batch);
        else
                store_batch_free(batch);
        incidents_look_back(g, c->leaf.spki_hex, c->leaf.sha256);
        return true;
}

static json_t *import_answer(struct engine *g, const struct cert *cert, const struct chain *c, unsigned number)
{
        char date[32], end[64];
        bool ended = c->leaf.not_after_s <= clock_now_s();
        format_date(c->leaf.not_after_s, date, sizeof date);
        snprintf(end, sizeof end, ended ? "warning: it ended on %s, every client refuses it" : "valid until %s", date);
        bool compromised = compromised_has(g->keystore, c->leaf.spki_hex), dry = number == 0;
        bool same = cert->row.live_sha256 && strcmp(cert->row.live_sha256, c->leaf.sha256) == 0;
        const char *warning = compromised ? "; its key is marked compromised: reissue it" : "";
        CLEANUP(free_p)
        char *text = !dry ? text_format("%s: taken over as set %u, %s%s", cert->row.name, number, end, warning)
                : same    ? text_format("%s: is live already, %s%s", cert->row.name, end, warning)
                          : text_format("%s: would be taken over, %s%s", cert->row.name, end, warning);
        json_t *o = json_pack("{s:i, s:s, s:s?, s:s, s:b, s:b}", "exit", 0, "cert", cert->row.name, "text", text,
                "sha256", c->leaf.sha256, "compromised", compromised, "dry_run", dry);
        json_put_i64(o, "not_after", c->leaf.not_after_s);
        json_put_bool(o, "ended", ended);
        if (!dry)
                json_put_i64(o, "set", number);
        return o;
}

void action_import(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        struct brought b = { 0 };
        unsigned number = 0;
        if (!action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        if (cert->job) {
                err_set(&e, ERR_RULE, "running", "job %lld of %s is running; dcvctl cancel %s first",
                        (long long)cert->job->row.id, cert->row.name, cert->row.name);
                return done(arg, NULL, &e);
        }
        bool dry = json_bool(args, "dry_run", false);
        bool good = read_import(config_cert(g->conf, cert->row.name), args, &b, &e) && key_may_come(g, cert, &b, &e) &&
                (dry || adopt(g, cert, &b, &number, &e));
        CLEANUP(json_decref_p) json_t *o = good ? import_answer(g, cert, &b.chain, number) : NULL;
        brought_done(&b);
        if (good && !dry)
                cert_plan(cert);
        done(arg, o, good ? NULL : &e);
}

/* ---- list ---- */

struct listing {
        struct backend_ca *ca;
        action_done_fn *done;
        void *arg;
};

static void listed(void *arg, const struct ca_listed *list, size_t count, const struct err *err)
{
        struct listing *l = arg;
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s, s:[]}", "exit", 0, "ca", l->ca->name, "certificates");
        for (size_t i = 0; i < count; i++) {
                json_t *c = json_object(), *names = json_array();
                for (size_t k = 0; k < list[i].names.count; k++)
                        json_array_append_new(names, json_string(list[i].names.item[k]));
                json_put_text(c, "id", list[i].id);
                json_put_text(c, "product", list[i].product);
                json_put_text(c, "domain", list[i].domain);
                json_put_text(c, "status", list[i].status);
                json_object_set_new(c, "names", names);
                json_put_i64(c, "not_after", list[i].not_after_s);
                json_put_i64(c, "reissuable_until", list[i].reissuable_until_s);
                json_put_text(c, "rule", list[i].rule);
                json_put_text(c, "rule_text", list[i].rule_text);
                json_put_text(c, "validation", conf_validation_name(list[i].validation));
                json_array_append_new(json_object_get(o, "certificates"), c);
        }
        l->done(l->arg, err ? NULL : o, err);
        free(l);
}

void action_list(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        const char *name = json_str(args, "ca"), *search = json_str(args, "search");
        struct listing *l = calloc(1, sizeof *l);
        if (!l) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        for (size_t i = 0; i < g->ca_count && !l->ca; i++)
                if (name && (strcmp(g->ca[i].name, name) == 0 || strcmp(g->ca[i].ops->type, name) == 0))
                        l->ca = &g->ca[i];
        *l = (struct listing){ l->ca, done, arg };
        if (!l->ca || !l->ca->ops->list) {
                err_set(&e, ERR_CONFIG, "ca.unknown", "no CA %s is configured that can list its certificates",
                        name ? name : "");
                err_fix(&e,
                        "name one of cas: of type tencent, or what is here: "
                        "certbot lego acme.sh dehydrated nginx apache haproxy");
        } else if (l->ca->ops->list(l->ca->ca, search, listed, l, &e))
                return;
        free(l);
        done(arg, NULL, &e);
}

/* ---- sets, deploy, verify, forget ---- */

void action_sets(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        if (!action_cert(g, args, &cert, &e) || !sets_list(g->sets, cert->row.name, &number, &count, &e))
                return done(arg, NULL, &e);
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s, s:[]}", "exit", 0, "cert", cert->row.name, "sets");
        for (size_t i = 0; i < count; i++) {
                struct set s = { 0 };
                json_t *one;
                if (sets_read(g->sets, cert->row.name, number[i], SET_WHOLE, &s, &e)) {
                        one = json_deep_copy(s.meta);
                        json_put_bool(one, "compromised", compromised_has(g->keystore, s.chain.leaf.spki_hex));
                        set_done(&s);
                } else {
                        one = json_pack("{s:s}", "damaged", e.text);
                }
                json_put_i64(one, "set", number[i]);
                json_put_bool(one, "live", number[i] == sets_live(g->sets, cert->row.name));
                json_array_append_new(json_object_get(o, "sets"), one);
        }
        done(arg, o, NULL);
}

struct redeploy {
        struct engine *g;
        struct cert *cert;
        struct job_row row;
        action_done_fn *done;
        void *arg;
};

static void redeploy_started(void *arg, int64_t rowid, const struct err *err)
{
        (void)rowid;
        struct redeploy *r = arg;
        struct err e;
        struct job *j = NULL;
        r->cert->starting = 0;
        if (err)
                e = *err;
        else if ((j = job_new(r->g, &r->row, &e)))
                job_run(j);
        CLEANUP(json_decref_p)
        json_t *o = j ? json_pack("{s:i, s:[{s:I, s:s, s:b}]}", "exit", 0, "jobs", "id", (json_int_t)j->row.id, "cert",
                                j->row.cert, "joined", 0)
                      : NULL;
        r->done(r->arg, o, o ? NULL : &e);
        job_row_done(&r->row);
        free(r);
}

static bool deployable(struct engine *g, struct cert *cert, int64_t number, struct set *s, struct err *e)
{
        if (cert->job || cert->starting) {
                err_set(e, ERR_RULE, "running", "job %lld of %s is running",
                        (long long)(cert->job ? cert->job->row.id : cert->starting), cert->row.name);
                return err_fix(e, "let it end (dcvctl status %s), or dcvctl cancel %s", cert->row.name, cert->row.name);
        }
        if (number <= 0 || number > UINT32_MAX) {
                err_set(e, ERR_CONFIG, "set.none", "no set of %s was put to use yet", cert->row.name);
                return err_fix(e, "dcvctl sets %s lists those there are; dcvctl deploy %s --set N takes one",
                        cert->row.name, cert->row.name);
        }
        if (!sets_read(g->sets, cert->row.name, (unsigned)number, SET_WHOLE, s, e))
                return false;
        if (compromised_has(g->keystore, s->chain.leaf.spki_hex)) {
                err_set(e, ERR_RULE, "I6", "set %lld of %s uses a key that is marked compromised", (long long)number,
                        cert->row.name);
                return err_fix(e, "dcvctl sets %s shows the others; dcvctl reissue %s makes a new one", cert->row.name,
                        cert->row.name);
        }
        return true;
}

void action_deploy(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        struct set s = { 0 };
        if (!action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        const struct conf_cert *conf = config_cert(g->conf, cert->row.name);
        int64_t number = json_i64(args, "set", cert->row.live_set);
        struct redeploy *r = calloc(1, sizeof *r);
        bool good = r && deployable(g, cert, number, &s, &e);
        if (!r)
                err_memory(&e);
        if (good && !conf)
                good = err_set(&e, ERR_CONFIG, "cert.retired", "certificate %s is no longer in the configuration",
                        cert->row.name);
        if (good && json_bool(args, "dry_run", false)) {
                CLEANUP(free_p)
                char *text = text_format("would deploy set %lld of %s to %zu target%s; nothing is spent",
                        (long long)number, cert->row.name, conf->target_count, conf->target_count == 1 ? "" : "s");
                CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s?, s:b}", "exit", 0, "text", text, "dry_run", 1);
                set_done(&s);
                free(r);
                return done(arg, o, NULL);
        }
        if (good) {
                r->g = g;
                r->cert = cert;
                r->done = done;
                r->arg = arg;
                r->row = (struct job_row){ .id = g->next_job++,
                        .cert = text_dup(cert->row.name),
                        .state = JOB_QUEUED,
                        .policy = policy_text(conf),
                        .trigger = text_dup("operator"),
                        .reason = text_dup("deploy"),
                        .created_s = clock_now_s(),
                        .entered_s = clock_now_s(),
                        .live_set = cert->row.live_set,
                        .live_sha256 = text_dup(cert->row.live_sha256),
                        .set_number = number,
                        .cert_sha256 = text_dup(s.chain.leaf.sha256),
                        .spki = text_dup(s.chain.leaf.spki_hex) };
                struct store_batch *b = store_batch_new();
                good = b && journal_add_job(b, &r->row) &&
                        journal_audit(b, clock_now_s(), cert->row.name, r->row.id, "deploy", NULL);
                if (!good) {
                        store_batch_free(b);
                        err_memory(&e);
                } else {
                        good = engine_commit(g, b, redeploy_started, r, &e);
                        if (good)
                                cert->starting = r->row.id;
                }
                if (!good)
                        job_row_done(&r->row);
        }
        set_done(&s);
        if (!good) {
                free(r);
                done(arg, NULL, &e);
        }
}

/* Looks at every endpoint of the chosen certificates, one certificate after the other. */
struct verify {
        struct engine *g;
        action_done_fn *done;
        void *arg;
        json_t *result, *names;
        size_t at;
        char want[65]; /* of the one that is looked at */
        bool wrong; /* something is different, or could not be compared */
};
static void verify_next(void *arg);

static const char *const verdicts[] = {
        [LOOK_SAME] = "same", [LOOK_DIFFERENT] = "different", [LOOK_FAILED] = "unreachable"
};

static void not_compared(struct verify *v, const char *name, const char *text)
{
        json_array_append_new(json_object_get(v->result, "certificates"),
                json_pack("{s:s, s:[], s:s}", "cert", name, "endpoints", "text", text));
        v->wrong = true;
}

/* What status shows is what was seen last; unless another set went live meanwhile, whose own look counts. */
static void keep_seen(const struct verify *v, struct cert *c, const struct look_endpoint *list, size_t count)
{
        if (!c || count == 0 || c->job || !c->row.live_sha256 || strcmp(c->row.live_sha256, v->want) != 0)
                return;
        cert_keep_endpoints(c, list, count);
        cert_save(c);
}

static void verified(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct verify *v = arg;
        const char *name = json_string_value(json_array_get(v->names, v->at));
        json_t *o = json_pack("{s:s, s:[]}", "cert", name, "endpoints");
        struct cert *c = engine_cert(v->g, name);
        for (size_t i = 0; i < count; i++) {
                json_t *x = json_object();
                json_put_text(x, "endpoint", list[i].address);
                json_put_text(x, "sni", list[i].sni);
                json_put_text(x, "protocol", tls_protocol_name(list[i].protocol));
                json_put_bool(x, "match", list[i].verdict == LOOK_SAME);
                json_put_text(x, "verdict", verdicts[list[i].verdict]);
                json_put_text(x, "sha256", list[i].served_sha256);
                json_put_i64(x, "not_after", list[i].served_not_after_s);
                json_put_text(x, "text", list[i].text);
                json_array_append_new(json_object_get(o, "endpoints"), x);
        }
        const struct conf_cert *conf = config_cert(v->g->conf, name);
        if (err)
                json_put_text(o, "text", err->text);
        else if (count == 0)
                json_put_text(o, "text", "deployed, not looked at: there is no endpoint");
        v->wrong = v->wrong || err || (count == 0 && conf && look_is_automatic(conf)); /* somebody should serve it */
        keep_seen(v, c, list, count);
        json_array_append_new(json_object_get(v->result, "certificates"), o);
        v->at++;
        verify_next(v);
}

static bool verify_one(struct verify *v, const struct cert *c, const struct conf_cert *conf, struct err *e)
{
        CLEANUP(json_decref_p) json_t *before = NULL;
        CLEANUP(free_p) struct look_known *known = NULL;
        size_t known_count = 0;
        struct set s = { 0 };
        if (!sets_read(v->g->sets, c->row.name, (unsigned)c->row.live_set, 0, &s, e))
                return false;
        if (c->row.served && json_read(c->row.served, strlen(c->row.served), 8, &before, NULL))
                known = known_endpoints(before, &known_count);
        snprintf(v->want, sizeof v->want, "%s", s.chain.leaf.sha256);
        struct look_request r = { .cert = conf,
                .dns = v->g->dns,
                .want_sha256 = s.chain.leaf.sha256,
                .known = known,
                .known_count = known_count,
                .key_type = s.chain.leaf.key_type,
                .in_a_row = 1 };
        bool started = look_start(v->g->loop, &r, verified, v, e) != NULL;
        set_done(&s);
        return started;
}

static void verify_next(void *arg)
{
        struct verify *v = arg;
        for (; v->at < json_array_size(v->names); v->at++) {
                const char *name = json_string_value(json_array_get(v->names, v->at));
                const struct cert *c = engine_cert(v->g, name);
                const struct conf_cert *conf = config_cert(v->g->conf, name);
                struct err e;
                if (!c || !conf || !c->row.live_set)
                        not_compared(v, name, "not adopted: nothing to compare with");
                else if (verify_one(v, c, conf, &e))
                        return;
                else
                        not_compared(v, name, e.text);
        }
        json_put_i64(v->result, "exit", v->wrong ? 1 : 0);
        v->done(v->arg, v->result, NULL);
        json_decref(v->result);
        json_decref(v->names);
        free(v);
}

void action_verify(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        json_t *names = json_deep_copy(json_object_get(args, "certs"));
        if (json_array_size(names) == 0) {
                json_decref(names);
                names = json_array();
                for (size_t i = 0; i < g->conf->cert_count; i++)
                        json_array_append_new(names, json_string(g->conf->cert[i].name));
        }
        for (size_t i = 0; i < json_array_size(names); i++) {
                struct cert *c;
                CLEANUP(json_decref_p) json_t *one = json_pack("{s:O}", "cert", json_array_get(names, i));
                if (!action_cert(g, one, &c, &e)) {
                        json_decref(names);
                        return done(arg, NULL, &e);
                }
        }
        struct verify *v = calloc(1, sizeof *v);
        if (!v) {
                json_decref(names);
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        *v = (struct verify){ .g = g,
                .done = done,
                .arg = arg,
                .names = names,
                .result = json_pack("{s:s, s:[]}", "schema", "dcvd.verify/1", "certificates") };
        verify_next(v);
}

static bool has_sets(struct engine *g, const char *name)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        return name && sets_list(g->sets, name, &number, &count, NULL) && count > 0;
}

/* cert NULL: it was forgotten before, and left its sets. */
static bool may_forget(struct engine *g, const struct cert *cert, const char *name, bool purge, struct err *e)
{
        if (!cert && !(purge && has_sets(g, name) && !config_cert(g->conf, name)))
                return cert_unknown(g, name, e);
        if (config_cert(g->conf, name)) {
                err_set(e, ERR_CONFIG, "forget", "certificate %s is still in the configuration", name);
                return err_fix(e, "remove it from the configuration and reload dcvd first");
        }
        if (cert && (cert->job || tokens_pending_withdrawal(g, name)))
                return err_set(e, ERR_RULE, "running",
                        "%s still has a running job or tokens out; dcvctl cancel, then dcvctl withdraw %s", name, name);
        return true;
}

static void cert_drop(struct engine *g, struct cert *cert)
{
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i] == cert) {
                        memmove(&g->cert[i], &g->cert[i + 1], (--g->cert_count - i) * sizeof *g->cert);
                        break;
                }
        cert_free(cert);
}

void action_forget(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        const char *name = json_str(args, "cert");
        struct cert *cert = engine_cert(g, name);
        bool purge = json_bool(args, "purge", false);
        if (!may_forget(g, cert, name, purge, &e))
                return done(arg, NULL, &e);
        if (json_bool(args, "dry_run", false)) {
                CLEANUP(free_p)
                char *would = text_format("%s: would be forgotten%s", name, purge ? ", its sets and keys removed" : "");
                CLEANUP(json_decref_p)
                json_t *o = json_pack("{s:i, s:s?, s:b}", "exit", 0, "text", would, "dry_run", 1);
                return done(arg, o, NULL);
        }
        if (purge && !json_bool(args, "yes", false)) {
                CLEANUP(json_decref_p)
                json_t *o = json_pack("{s:i, s:b, s:s}", "exit", 0, "confirm", 1, "text",
                        "--purge removes its sets and keys from disk");
                return done(arg, o, NULL);
        }
        if (purge && !sets_forget(g->sets, name, &e))
                return done(arg, NULL, &e);
        struct store_batch *b = store_batch_new();
        if (b && store_batch_add(b, "DELETE FROM certificate WHERE name=?", "t", name) &&
                journal_audit(b, clock_now_s(), name, 0, purge ? "purged" : "forgotten", NULL))
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        CLEANUP(free_p)
        char *text = text_format("%s: forgotten%s", name,
                purge                       ? ", its sets removed; keys go with the next retirement"
                        : has_sets(g, name) ? "; its sets stay on disk, --purge removes them"
                                            : "");
        if (cert)
                cert_drop(g, cert);
        if (purge)
                keys_retire(g);
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:s?}", "exit", 0, "text", text);
        done(arg, o, NULL);
}
