/* Drives the Tencent Cloud CA as a job would, one operation per run, against a double on loopback:
 *   driver_tencent ENDPOINT MEMORY-FILE inspect ID [dns|file|dns-auto] [compromised]
 *                                       order|resolve ID CSR-FILE dns|file|dns-auto [SUBMITTED-AT]
 *                                       view|validate|diagnose|fetch|cancel ID
 *                                       revoke ID CERTIFICATE-FILE
 *                                       list [SEARCH]
 * The credentials are $TENCENT_ID and $TENCENT_KEY; MEMORY-FILE holds what the CA remembers, "key=value" lines. Prints
 * one JSON object; exit 0 whenever the operation called back. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "agent/pki/chain.h"
#include "agent/pki/csr.h"

#define MEMORY_MAX 65536
#define LIMIT_MS 300000

struct run {
        json_t *out;
        bool done;
        const char *memory;
};

static void die(const char *what, const struct err *e)
{
        fprintf(stderr, "%s: %s\n", what, e ? e->text : "usage: see the source");
        exit(2);
}

/* ---- memory in a file ---- */

static json_t *memory_read(const struct run *r)
{
        json_t *found = json_load_file(r->memory, 0, NULL);

        return found ? found : json_object();
}

static bool remember(void *arg, const char *ca, const char *key, const char *value)
{
        const struct run *r = arg;
        json_t *all = memory_read(r);

        (void)ca;
        if (value)
                json_object_set_new(all, key, json_string(value));
        else
                json_object_del(all, key);
        bool ok = json_dump_file(all, r->memory, JSON_COMPACT) == 0;
        json_decref(all);
        return ok;
}

static char *recall(void *arg, const char *ca, const char *key)
{
        json_t *all = memory_read(arg);
        char *value = text_dup(json_str(all, key));

        (void)ca;
        json_decref(all);
        return value;
}

/* ---- answers ---- */

static void finish(struct run *r, const struct err *err)
{
        if (err) {
                json_put_text(r->out, "kind", err_kind_name(err->kind));
                json_put_text(r->out, "code", err->code);
                json_put_text(r->out, "text", err->text);
                json_put_text(r->out, "fix", err->fix);
                json_put_i64(r->out, "retry_after_s", err->retry_after_s);
        }
        r->done = true;
}

static json_t *texts_json(const struct texts *t)
{
        json_t *list = json_array();

        for (size_t i = 0; i < t->count; i++)
                json_array_append_new(list, json_string(t->item[i]));
        return list;
}

static void on_subject(void *arg, const struct ca_subject *s, const struct err *err)
{
        struct run *r = arg;

        if (s) {
                json_put_text(r->out, "id", s->id);
                json_put_text(r->out, "resume_id", s->resume_id);
                json_put_text(r->out, "resume_spki", s->resume_spki_hex);
                json_put_text(r->out, "product", s->product);
                json_put_text(r->out, "common_name", s->common_name);
                json_put_text(r->out, "spki", s->spki_hex);
                json_put_text(r->out, "key_type", key_type_name(s->key_type));
                json_put_text(r->out, "validation", conf_validation_name(s->validation));
                json_put_bool(r->out, "validation_expected", s->validation_expected);
                json_put_bool(r->out, "person_expected", s->person_expected);
                json_put_bool(r->out, "last_one", s->last_one);
                json_put_i64(r->out, "not_after_s", s->not_after_s);
                json_object_set_new(r->out, "names", texts_json(&s->names));
                json_object_set_new(r->out, "notes", texts_json(&s->notes));
                json_object_set_new(r->out, "replaced", texts_json(&s->replaced));
                json_object_set_new(r->out, "exclusive", texts_json(&s->exclusive));
        }
        finish(r, err);
}

static void on_id(void *arg, const char *id, const struct err *err)
{
        struct run *r = arg;

        json_put_text(r->out, "id", id);
        finish(r, err);
}

static json_t *proofs_json(const struct ca_view *v)
{
        json_t *list = json_array();

        for (size_t i = 0; i < v->proof_count; i++) {
                const struct proof *p = &v->proof[i];
                json_t *o = json_object();
                json_put_text(o, "type", proof_type_name((int)p->type));
                json_put_text(o, "name", p->name);
                json_put_text(o, "place", p->place);
                json_put_text(o, "path", p->path);
                json_put_text(o, "value", p->value);
                json_array_append_new(list, o);
        }
        return list;
}

static void on_view(void *arg, const struct ca_view *v, const struct err *err)
{
        struct run *r = arg;

        if (v) {
                json_object_set_new(r->out, "proofs", proofs_json(v));
                json_put_bool(r->out, "validation_wanted", v->validation_wanted);
                json_put_bool(r->out, "person_wanted", v->person_wanted);
                json_put_bool(r->out, "person_is_ours", v->person_is_ours);
                json_put_bool(r->out, "ready", v->ready);
                json_put_i64(r->out, "end", (int)v->end);
                json_put_text(r->out, "end_reason", v->end_reason);
                json_put_text(r->out, "state", v->state);
                json_put_text(r->out, "party", v->party);
                json_put_text(r->out, "act", v->act);
                json_put_i64(r->out, "deadline_s", v->deadline_s);
        }
        finish(r, err);
}

static void on_done(void *arg, const struct err *err)
{
        finish(arg, err);
}

static void on_text(void *arg, const char *text, size_t len, const struct err *err)
{
        struct run *r = arg;

        if (text)
                json_object_set_new(r->out, "text", json_stringn(text, len));
        finish(r, err);
}

static void on_list(void *arg, const struct ca_listed *rows, size_t count, const struct err *err)
{
        struct run *r = arg;
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++) {
                json_t *o = json_object();
                json_put_text(o, "id", rows[i].id);
                json_put_text(o, "product", rows[i].product);
                json_put_text(o, "domain", rows[i].domain);
                json_put_text(o, "rule", rows[i].rule);
                json_put_text(o, "rule_text", rows[i].rule_text);
                json_array_append_new(list, o);
        }
        json_object_set_new(r->out, "list", list);
        finish(r, err);
}

/* ---- operations ---- */

static enum conf_validation method_of(const char *text)
{
        return !text || strcmp(text, "dns") == 0 ? VALIDATION_DNS
                : strcmp(text, "file") == 0      ? VALIDATION_FILE
                                                 : VALIDATION_DNS_AUTO;
}

static struct ca_call *order_start(const struct ca_ops *ops, struct ca *ca, char **a, struct run *r, struct err *e)
{
        static char *pem;
        static struct csr csr;
        size_t len;

        if (!a[1] || !a[2] || !a[3] || !file_read(a[2], 65536, &pem, &len, e) || !csr_read(pem, len, &csr, e))
                die("order", e);
        const struct ca_order_request q = { .subject_id = a[1],
                .csr_pem = pem,
                .validation = method_of(a[3]),
                .reason = "key compromised",
                .submitted_at_s = a[4] ? atoll(a[4]) : clock_now_s(),
                .spki_hex = csr.spki_hex };
        struct ca_call *call =
                strcmp(a[0], "order") == 0 ? ops->order(ca, &q, on_id, r, e) : ops->resolve(ca, &q, on_id, r, e);
        csr_done(&csr);
        free(pem);
        return call;
}

static struct ca_call *revoke_start(const struct ca_ops *ops, struct ca *ca, char **a, struct run *r, struct err *e)
{
        char *pem = NULL;
        size_t len = 0;
        struct chain c = { 0 };

        if (!a[2] || !file_read(a[2], 65536, &pem, &len, e) || !chain_read(pem, len, NULL, &c, e))
                die("revoke", e);
        const struct ca_revoke_request q = {
                .der = c.leaf_der, .der_len = c.leaf_der_len, .id = a[1], .reason = CA_KEY_COMPROMISE
        };
        struct ca_call *call = ops->revoke(ca, &q, on_done, r, e);
        chain_done(&c);
        free(pem);
        return call;
}

static struct ca_call *start(const struct ca_ops *ops, struct ca *ca, char **a, struct run *r, struct err *e)
{
        const char *verb = a[0];

        if (strcmp(verb, "list") == 0)
                return ops->list(ca, a[1], on_list, r, e);
        if (!a[1])
                die(verb, NULL);
        if (strcmp(verb, "inspect") == 0) {
                const struct ca_subject_request q = {
                        .certificate_id = a[1], .validation = method_of(a[2]), .compromised = a[2] && a[3]
                };
                return ops->inspect(ca, &q, on_subject, r, e);
        }
        if (strcmp(verb, "order") == 0 || strcmp(verb, "resolve") == 0)
                return order_start(ops, ca, a, r, e);
        if (strcmp(verb, "view") == 0)
                return ops->view(ca, a[1], on_view, r, e);
        if (strcmp(verb, "validate") == 0)
                return ops->validate(ca, a[1], on_done, r, e);
        if (strcmp(verb, "diagnose") == 0)
                return ops->diagnose(ca, a[1], on_text, r, e);
        if (strcmp(verb, "fetch") == 0)
                return ops->fetch(ca, a[1], on_text, r, e);
        if (strcmp(verb, "revoke") == 0)
                return revoke_start(ops, ca, a, r, e);
        if (strcmp(verb, "cancel") == 0)
                return ops->cancel_order(ca, a[1], on_done, r, e);
        die(verb, NULL);
        return NULL;
}

static struct ca *ca_start(
        const struct ca_ops *ops, const char *endpoint, struct loop *loop, struct http *http, struct run *r)
{
        char *id = getenv("TENCENT_ID"), *key = getenv("TENCENT_KEY");
        struct secret id_value = { (uint8_t *)id, id ? strlen(id) : 0 },
                      key_value = { (uint8_t *)key, key ? strlen(key) : 0 };
        const struct tencent_conf conf = { .endpoint = (char *)(uintptr_t)endpoint,
                .secret_id = { SECRET_ENV, (char *)(uintptr_t) "TENCENT_ID", NULL, &id_value },
                .secret_key = { SECRET_ENV, (char *)(uintptr_t) "TENCENT_KEY", NULL, &key_value } };
        const struct ca_env env = {
                .loop = loop, .http = http, .name = "tencent", .remember = remember, .recall = recall, .memory_arg = r
        };
        struct ca *ca = NULL;
        struct err e;

        if (!id || !key || !ops->open(&ca, &env, &conf, &e))
                die("open", id && key ? &e : NULL);
        return ca;
}

int main(int argc, char **argv)
{
        const struct ca_ops *ops = ca_ops_find("tencent");
        const struct http_conf http_conf = { .user_agent = "dcvd-test" };
        struct run r = { .out = json_object() };
        struct loop *loop = NULL;
        struct http *http = NULL;
        struct err e;

        if (argc < 4)
                die("driver", NULL);
        log_init("driver", getenv("DRIVER_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
        r.memory = argv[2];
        if (!loop_open(&loop, &e) || !http_open(&http, loop, NULL, &http_conf, &e))
                die("loop", &e);
        struct ca *ca = ca_start(ops, argv[1], loop, http, &r);
        int64_t begun_ms = clock_boot_ms();
        if (!start(ops, ca, argv + 3, &r, &e))
                finish(&r, &e);
        if (!r.done)
                loop_run_until(loop, &r.done, LIMIT_MS);
        json_put_bool(r.out, "done", r.done);
        json_put_i64(r.out, "took_ms", clock_boot_ms() - begun_ms);
        char *text = json_text(r.out);
        printf("%s\n", text);
        free(text);
        json_decref(r.out);
        ops->close(ca);
        http_close(http);
        loop_close(loop);
        return r.done ? 0 : 1;
}
