/* What the CA said of a certificate, kept as JSON in the job's row and, shortened, in the certificate's. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

char *subject_to_text(const struct ca_subject *s)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_put_text(o, "id", s->id);
        json_put_text(o, "resume_id", s->resume_id);
        json_put_text(o, "product", s->product);
        json_put_text(o, "common_name", s->common_name);
        json_object_set_new(o, "names", json_texts(&s->names));
        json_put_i64(o, "key_type", s->key_type);
        json_put_i64(o, "validation", s->validation);
        json_put_bool(o, "same_csr", s->same_csr);
        json_put_bool(o, "validation_expected", s->validation_expected);
        json_put_bool(o, "person_expected", s->person_expected);
        json_put_bool(o, "last_one", s->last_one);
        json_put_bool(o, "organization", s->organization);
        json_put_i64(o, "not_before", s->not_before_s);
        json_put_i64(o, "not_after", s->not_after_s);
        json_put_i64(o, "reissuable_until", s->reissuable_until_s);
        json_put_text(o, "spki", s->spki_hex);
        json_put_text(o, "sha256", s->cert_sha256);
        json_object_set_new(o, "notes", json_texts(&s->notes));
        json_object_set_new(o, "replaced", json_texts(&s->replaced));
        json_object_set_new(o, "exclusive", json_texts(&s->exclusive));
        return json_text(o);
}

static void list_from(const json_t *list, struct texts *ret)
{
        size_t i;
        json_t *item;
        json_array_foreach(list, i, item)
        {
                if (json_is_string(item))
                        (void)texts_add(ret,
                                json_string_value(
                                        item)); /* a shorter note list harms nobody; names are compared below */
        }
}

static void copy_id(char *ret, size_t size, const json_t *o, const char *key)
{
        const char *text = json_str(o, key);
        if (text && strlen(text) < size)
                memcpy(ret, text, strlen(text) + 1);
}

bool subject_from_text(const char *text, struct ca_subject *ret)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!text || !json_read(text, strlen(text), 8, &o, NULL))
                return false;
        struct ca_subject s = { 0 };
        copy_id(s.id, sizeof s.id, o, "id");
        copy_id(s.resume_id, sizeof s.resume_id, o, "resume_id");
        copy_id(s.spki_hex, sizeof s.spki_hex, o, "spki");
        copy_id(s.cert_sha256, sizeof s.cert_sha256, o, "sha256");
        s.product = text_dup(json_str(o, "product"));
        s.common_name = text_dup(json_str(o, "common_name"));
        s.key_type = (enum key_type)json_i64(o, "key_type", KEY_NONE);
        s.validation = (enum conf_validation)json_i64(o, "validation", VALIDATION_DNS);
        s.same_csr = json_bool(o, "same_csr", false);
        s.validation_expected = json_bool(o, "validation_expected", true);
        s.person_expected = json_bool(o, "person_expected", false);
        s.last_one = json_bool(o, "last_one", false);
        s.organization = json_bool(o, "organization", false);
        s.not_before_s = json_i64(o, "not_before", 0);
        s.not_after_s = json_i64(o, "not_after", 0);
        s.reissuable_until_s = json_i64(o, "reissuable_until", 0);
        list_from(json_object_get(o, "names"), &s.names);
        list_from(json_object_get(o, "notes"), &s.notes);
        list_from(json_object_get(o, "replaced"), &s.replaced);
        list_from(json_object_get(o, "exclusive"), &s.exclusive);
        if (s.names.count != json_array_size(json_object_get(o, "names"))) {
                ca_subject_done(&s);
                return false;
        }
        *ret = s;
        return true;
}

const struct ca_subject *job_subject(struct job *j)
{
        if (j->subject || !j->row.subject)
                return j->subject;
        struct ca_subject *s = calloc(1, sizeof *s);
        if (!s || !subject_from_text(j->row.subject, s)) {
                free(s);
                return NULL;
        }
        return j->subject = s;
}

/* Of key.reuse: what would become of the key that is live now. */
static void note_live_key(json_t *o, const struct cert *c, const struct backend_ca *ca, const struct ca_subject *s)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        struct live_key k;
        for (size_t i = 0; conf && i < conf->ca_count; i++) {
                if (strcmp(conf->ca[i].ca, ca->name) != 0)
                        continue;
                live_key_look(&k, c->engine, c, conf, i, (struct subject_ask){ 0 });
                bool kept = live_key_stays(&k, s);
                if (k.wanted)
                        json_object_set_new(o, "live_key",
                                json_pack("{s:s, s:b, s:s}", "spki", k.spki, "kept", kept, "why_not",
                                        kept ? "" : k.why_not));
                return;
        }
}

static void keep_facts(struct cert *c, const json_t *o)
{
        char *text = json_text(o);
        if (!text)
                return;
        free(c->row.reissuable);
        c->row.reissuable = text;
}

/* The REISSUE line of status lives on this until the CA is asked again. */
void cert_note_subject(
        struct cert *c, const struct backend_ca *ca, const struct ca_subject *s, const struct err *refusal)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        c->ask_first = false;
        json_put_text(o, "ca", ca->name);
        json_put_i64(o, "checked", clock_now_s());
        json_put_bool(o, "possible", refusal == NULL);
        if (refusal) {
                json_put_text(o, "rule", refusal->code);
                json_put_text(o, "text", refusal->text);
                json_put_bool(o, "passes", refusal->kind == ERR_WAITING);
        }
        if (s) {
                json_put_i64(o, "until", s->reissuable_until_s);
                json_put_i64(o, "not_before", s->not_before_s);
                json_put_i64(o, "not_after", s->not_after_s);
                json_put_bool(o, "last_one", s->last_one);
                json_put_bool(o, "organization", s->organization);
                json_put_text(o, "product", s->product);
                json_put_text(o, "spki", s->spki_hex);
                json_put_text(o, "sha256", s->cert_sha256);
                json_object_set_new(o, "notes", json_texts(&s->notes));
                note_live_key(o, c, ca, s);
                if (s->id[0])
                        job_set(&c->row.newest_id, s->id);
        }
        keep_facts(c, o);
}

void cert_note_refused(struct cert *c, const struct backend_ca *ca, const struct err *err)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        const char *known = c->row.reissuable;
        if (err->kind != ERR_DENIED && err->kind != ERR_CONFIG)
                return;
        if (!known || !json_read(known, strlen(known), 10, &o, NULL))
                o = json_object();
        json_put_text(o, "ca", ca->name);
        json_put_i64(o, "checked", 0);
        json_put_bool(o, "possible", false);
        json_put_bool(o, "passes", false);
        json_put_text(o, "rule", err->code);
        json_put_text(o, "text", err->text);
        keep_facts(c, o);
        cert_save(c);
}

void cert_note_limit(struct cert *c, const struct backend_ca *ca, const struct err *err)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        const char *known = c->row.reissuable;
        if (err->kind != ERR_RATE_LIMITED || !known || !json_read(known, strlen(known), 10, &o, NULL))
                return;
        const char *name = json_str(o, "ca");
        if (!name || strcmp(name, ca->name) != 0)
                return;
        json_put_i64(o, "limited_until", clock_now_s() + err->retry_after_s);
        json_put_text(o, "limit", err->text);
        keep_facts(c, o);
        cert_save(c);
}
