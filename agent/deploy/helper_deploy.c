/* deploy and restore. The order of deploy: test as things are (nothing changed yet); write the generation; keep what is
 * there; switch; test; reload. If one of the last two fails: back to what was live, test and reload again, and say so
 * (I4). */
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/deploy/generations.h"
#include "agent/deploy/helper_internal.h"
#include "agent/pki/chain.h"
#include "agent/pki/key.h"

#define KEEP 3

struct material { /* what the request brought, checked */
        struct chain chain;
        struct secret key_pem, passphrase;
        struct key *key;
};

static void material_done(struct material *m)
{
        chain_done(&m->chain);
        secret_done(&m->key_pem);
        secret_done(&m->passphrase);
        key_free(m->key);
}

static const struct conf_target *find_target(
        const struct conf *conf, const json_t *header, const struct conf_cert **ret_cert, struct err *e)
{
        const char *cert = json_str(header, "cert"), *hash = json_str(header, "target");
        const struct conf_cert *c = cert ? config_cert(conf, cert) : NULL;
        for (size_t i = 0; c && hash && i < c->target_count; i++) {
                char own[65];
                target_hash(&c->target[i], own);
                if (!own[0]) {
                        err_memory(e);
                        return NULL;
                }
                if (strcmp(own, hash) == 0) {
                        *ret_cert = c;
                        return &c->target[i];
                }
        }
        err_set(e, ERR_CONFIG, "helper.section", "the deploy section of certificate %s is not the one in %s",
                cert ? cert : "?", conf->path);
        err_fix(e, "the file was changed after dcvd read it: systemctl reload dcvd");
        return NULL;
}

/* ---- checking again what came ---- */

static bool read_material(const struct conf_cert *c, const struct helper_request *r, struct material *m, struct err *e)
{
        const json_t *parts = json_object_get(r->header, "parts");
        int64_t key = json_i64(parts, "key", -1), cert = json_i64(parts, "cert", -1),
                chain = json_i64(parts, "chain", -1);
        if (key < 0 || cert <= 0 || chain < 0 || key > HELPER_BLOB_MAX || cert > HELPER_BLOB_MAX ||
                chain > HELPER_BLOB_MAX || (size_t)(key + cert + chain) != r->blob_len)
                return err_set(e, ERR_PROTOCOL, "helper.parts", "the parts of the request do not add up");
        if (!chain_read(r->blob + key, (size_t)(cert + chain), NULL, &m->chain, e))
                return false;
        if (key == 0)
                return true;
        if (c->key_passphrase.source != SECRET_NONE && !secret_load(&c->key_passphrase, &m->passphrase, e))
                return false;
        return secret_set(&m->key_pem, r->blob, (size_t)key, e) &&
                key_read_pem(r->blob, (size_t)key, m->passphrase.data ? &m->passphrase : NULL, &m->key, e);
}

static bool check_material(const struct conf_cert *c, const struct material *m, struct err *e)
{
        char spki[65];
        if (m->key) {
                if (!key_spki_hex(m->key, spki, e))
                        return false;
                if (strcmp(spki, m->chain.leaf.spki_hex) != 0)
                        return err_set(e, ERR_PROTOCOL, "helper.pair", "key and certificate do not belong together");
        }
        for (size_t i = 0; i < c->names.count; i++)
                if (!names_cover(&m->chain.leaf.names, c->names.item[i]))
                        return err_set(
                                e, ERR_PROTOCOL, "helper.names", "the certificate does not cover %s", c->names.item[i]);
        if (m->chain.leaf.not_after_s <= clock_now_s()) {
                err_set(e, ERR_RULE, "helper.expired", "the certificate has ended");
                return err_fix(e, "look at this host's clock (timedatectl) first");
        }
        return true;
}

/* ---- the forms ---- */

static bool content(const struct conf_file *f, const struct material *m, struct secret *ret, struct err *e)
{
        const struct chain *c = &m->chain;
        struct buf both = { .secret = true };
        bool needs_key = f->form == FORM_KEY || f->form == FORM_COMBINED || f->form == FORM_PKCS12;
        if (needs_key && !m->key)
                return err_set(e, ERR_CONFIG, "target.form", "file %s needs the key, which is held elsewhere", f->name);
        switch (f->form) {
        case FORM_CERT:
                return secret_set(ret, c->cert_pem, strlen(c->cert_pem), e);
        case FORM_CHAIN:
                return secret_set(ret, c->chain_pem, strlen(c->chain_pem), e);
        case FORM_FULLCHAIN:
                return secret_set(ret, c->fullchain_pem, strlen(c->fullchain_pem), e);
        case FORM_KEY:
                return secret_set(ret, m->key_pem.data, m->key_pem.len, e);
        case FORM_COMBINED:
                buf_append(&both, m->key_pem.data, m->key_pem.len);
                buf_add(&both, c->fullchain_pem);
                if (both.failed) {
                        buf_done(&both);
                        return err_memory(e);
                }
                bool good = secret_set(ret, both.data, both.len, e);
                buf_done(&both);
                return good;
        case FORM_DER:
                return secret_set(ret, c->leaf_der, c->leaf_der_len, e);
        case FORM_PKCS12:
                return chain_pkcs12(c, m->key, m->passphrase.data ? &m->passphrase : NULL, ret, e);
        }
        return err_set(e, ERR_BUG, "target.form", "file %s has an unknown form", f->name);
}

static bool secret_form(enum conf_form f)
{
        return f == FORM_KEY || f == FORM_COMBINED || f == FORM_PKCS12;
}

static bool write_generation(struct generations *g, unsigned *n, const struct material *m, struct err *e)
{
        struct generation_file file[GENERATION_FILES_MAX] = { 0 };
        const struct conf_target *t = g->target;
        size_t count = 0;
        bool good = true;
        for (size_t i = 0; good && i < t->file_count; i++) {
                if (t->file[i].form == FORM_KEY && !m->key)
                        continue; /* held elsewhere: the certificate alone */
                file[count].name = t->file[i].name;
                file[count].mode = secret_form(t->file[i].form) ? t->mode : (t->mode | 0444);
                good = content(&t->file[i], m, &file[count].content, e);
                count++;
        }
        good = good && generations_write(g, n, file, count, e);
        for (size_t i = 0; i < count; i++)
                secret_done(&file[i].content);
        return good;
}

/* ---- deploy ---- */

/* why: what failed; if the way back fails as well, that is told with it. reloaded: so many services may know the new
 * files; the others never left the old ones. */
static void put_back(
        const struct conf *c, struct generations *g, unsigned was, size_t reloaded, json_t *answer, struct err *why)
{
        struct err e = { 0 }, both;
        CLEANUP(json_decref_p) json_t *aside = json_object();
        log_warning("", "%s: %s; putting back", g->target->directory, why->text);
        bool good = generations_restore(g, was, &e) && services_test(c, g->target, aside, &e) &&
                services_reload(c, g->target, reloaded, NULL, aside, &e);
        json_put_bool(answer, "put_back", true);
        if (good)
                return;
        json_put_bool(answer, "put_back_failed", true);
        err_set(&both, ERR_DENIED, "deploy.put-back-failed", "%s; putting back failed: %s", why->text, e.text);
        *why = both;
}

static bool install(const struct conf *c, struct generations *g, unsigned n, unsigned was, const struct material *m,
        json_t *answer, struct err *e)
{
        size_t reached = 0;
        if (!write_generation(g, &n, m, e) || !generations_switch(g, n, e))
                return false;
        if (!services_test(c, g->target, answer, e)) {
                put_back(c, g, was, 0, answer, e);
                return false;
        }
        if (!services_reload(c, g->target, g->target->service_count, &reached, answer, e)) {
                put_back(c, g, was, reached, answer, e);
                return false;
        }
        generations_retire(g, KEEP);
        return true;
}

/* A configuration that is broken already would make every reload a risk: nothing is touched. */
static bool test_first(const struct conf *c, const struct conf_target *t, json_t *answer, struct err *e)
{
        if (services_ready(t, e) && services_test(c, t, answer, e))
                return true;
        if (e->kind == ERR_DENIED) {
                e->kind = ERR_RULE;
                snprintf(e->code, sizeof e->code, "deploy.test");
        }
        return false;
}

/* Before an order is spent: everything that would make the installation fail, and the services' own tests. */
static bool look_ahead(const struct conf *conf, const struct conf_cert *c, const struct conf_target *t,
        struct generations *g, json_t *answer, struct err *e)
{
        struct secret passphrase = { 0 };
        bool ready = generations_open(g, t, false, e) && generations_ready(g, e) &&
                (c->key_passphrase.source == SECRET_NONE || secret_load(&c->key_passphrase, &passphrase, e));
        secret_done(&passphrase);
        if (ready)
                return test_first(conf, t, answer, e);
        if (!e->fix[0])
                err_fix(e, "mend that, or correct deploy of certificate %s in %s", c->name, conf->path);
        e->kind = ERR_RULE;
        snprintf(e->code, sizeof e->code, "deploy.test");
        return false;
}

bool helper_deploy(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        const struct conf_cert *cert = NULL;
        const struct conf_target *t = find_target(conf, r->header, &cert, e);
        const char *mode = json_str(r->header, "mode");
        struct generations g;
        struct material m = { 0 };
        int64_t n = json_i64(r->header, "set", -1);
        if (!t)
                return false;
        bool testing = mode && strcmp(mode, "test") == 0;
        if (!testing && (!mode || strcmp(mode, "install") != 0 || n <= 0 || n >= UINT_MAX))
                return err_set(e, ERR_PROTOCOL, "helper.request", "deploy needs a mode, and a set to install");
        if (testing ? !look_ahead(conf, cert, t, &g, answer, e) : !generations_open(&g, t, true, e)) {
                generations_close(&g);
                return false;
        }
        /* Told by the job: live when it began. A second try after a crash would see its own generation. */
        int64_t told = json_i64(r->header, "was", -1);
        unsigned was = told >= 0 && told <= UINT_MAX ? (unsigned)told : generations_live(&g);
        json_put_i64(answer, "was", was);
        bool good = testing ||
                (read_material(cert, r, &m, e) && check_material(cert, &m, e) && test_first(conf, t, answer, e) &&
                        install(conf, &g, (unsigned)n, was, &m, answer, e));
        material_done(&m);
        generations_close(&g);
        return good;
}

bool helper_restore(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        const struct conf_cert *cert = NULL;
        const struct conf_target *t = find_target(conf, r->header, &cert, e);
        struct generations g;
        int64_t to = json_i64(r->header, "to", -1);
        if (!t)
                return false;
        if (to < 0 || to > UINT_MAX)
                return err_set(e, ERR_PROTOCOL, "helper.request", "restore needs a generation");
        if (!generations_open(&g, t, true, e))
                return false;
        bool restored = generations_restore(&g, (unsigned)to, e);
        json_put_bool(answer, "restored", restored);
        bool good = restored && services_test(conf, t, answer, e) &&
                services_reload(conf, t, t->service_count, NULL, answer, e);
        generations_close(&g);
        return good;
}

bool helper_do(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e)
{
        static const struct {
                const char *verb;
                bool (*run)(const struct conf *conf, const struct helper_request *r, json_t *answer, struct err *e);
        } verbs[] = { { "deploy", helper_deploy }, { "restore", helper_restore }, { "token-put", helper_token_put },
                { "token-drop", helper_token_drop }, { "hook", helper_hook } };
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
                if (strcmp(verbs[i].verb, r->verb) == 0)
                        return verbs[i].run(conf, r, answer, e);
        return err_set(e, ERR_PROTOCOL, "helper.verb", "dcvd-helper does not know \"%s\"", r->verb);
}
