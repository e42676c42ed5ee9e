#include "agent/job/policy.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define POLICY_DEPTH 8

static json_t *map_json(const struct conf_publisher_map *m)
{
        json_t *o = json_object();
        json_put_text(o, "default", m->otherwise);
        json_object_set_new(o, "suffix", json_texts(&m->suffix));
        json_object_set_new(o, "publisher", json_texts(&m->publisher));
        return o;
}

static json_t *use_json(const struct conf_ca_use *u)
{
        json_t *o = json_object();
        json_put_text(o, "use", u->ca);
        json_put_i64(o, "validation", u->validation);
        json_object_set_new(o, "publisher", map_json(&u->publisher));
        json_put_i64(o, "key_type", u->key_type);
        return o;
}

static json_t *propagation_json(const struct conf_propagation *p)
{
        json_t *o = json_object();
        json_put_i64(o, "timeout_ms", p->timeout_ms);
        json_put_i64(o, "settle_ms", p->settle_ms);
        json_put_i64(o, "consecutive", p->consecutive);
        json_put_i64(o, "view", p->view);
        json_put_i64(o, "quorum", p->quorum);
        json_object_set_new(o, "ignore", json_texts(&p->ignore));
        return o;
}

char *policy_text(const struct conf_cert *c)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_put_text(o, "name", c->name);
        if (c->staging)
                json_put_bool(o, "staging", true);
        json_object_set_new(o, "names", json_texts(&c->names));
        json_t *cas = json_array(), *targets = json_array();
        for (size_t i = 0; i < c->ca_count; i++)
                json_array_append_new(cas, use_json(&c->ca[i]));
        for (size_t i = 0; i < c->target_count; i++)
                json_array_append_new(targets, json_string(c->target[i].directory));
        json_object_set_new(o, "ca", cas);
        json_object_set_new(o, "targets", targets);
        json_put_i64(o, "fallback_after_ms", c->fallback_after_ms);
        json_put_bool(o, "fallback_downgrade", c->fallback_downgrade);
        json_put_text(o, "certificate_id", c->certificate_id);
        json_put_i64(o, "validation", c->validation);
        json_object_set_new(o, "publisher", map_json(&c->publisher));
        json_put_i64(o, "rehearse", c->rehearse);
        json_put_i64(o, "key_type", c->key_type);
        json_put_i64(o, "key_reuse", c->key_reuse);
        json_put_text(o, "key_csr", c->key_csr);
        json_object_set_new(o, "propagation", propagation_json(&c->propagation));
        return json_text(o);
}

static bool texts_from(const json_t *list, struct texts *ret)
{
        size_t i;
        json_t *item;
        json_array_foreach(list, i, item)
        {
                if (!json_is_string(item) || !texts_add(ret, json_string_value(item)))
                        return false;
        }
        return true;
}

static bool map_from(const json_t *o, struct conf_publisher_map *ret)
{
        ret->otherwise = text_dup(json_str(o, "default"));
        return texts_from(json_object_get(o, "suffix"), &ret->suffix) &&
                texts_from(json_object_get(o, "publisher"), &ret->publisher) &&
                ret->suffix.count == ret->publisher.count;
}

static bool cas_from(const json_t *list, struct conf_cert *c)
{
        c->ca = calloc(MAX(json_array_size(list), 1), sizeof *c->ca);
        if (!c->ca)
                return false;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *o = json_array_get(list, i);
                struct conf_ca_use *u = &c->ca[c->ca_count++];
                u->ca = text_dup(json_str(o, "use"));
                u->validation = (enum conf_validation)json_i64(o, "validation", 0);
                u->key_type = (enum key_type)json_i64(o, "key_type", 0);
                if (!u->ca || !map_from(json_object_get(o, "publisher"), &u->publisher))
                        return false;
        }
        return c->ca_count > 0;
}

static bool targets_from(const json_t *list, struct conf_cert *c)
{
        c->target = calloc(MAX(json_array_size(list), 1), sizeof *c->target);
        if (!c->target)
                return false;
        for (size_t i = 0; i < json_array_size(list); i++) {
                c->target[c->target_count].directory = text_dup(json_string_value(json_array_get(list, i)));
                if (!c->target[c->target_count++].directory)
                        return false;
        }
        return true;
}

static bool propagation_from(const json_t *o, struct conf_propagation *p)
{
        p->timeout_ms = json_i64(o, "timeout_ms", 600000);
        p->settle_ms = json_i64(o, "settle_ms", 0);
        p->consecutive = json_i64(o, "consecutive", 2);
        p->view = (int)json_i64(o, "view", VIEW_AUTHORITATIVE);
        p->quorum = json_i64(o, "quorum", 0);
        return texts_from(json_object_get(o, "ignore"), &p->ignore);
}

static bool cert_from(const json_t *o, struct conf_cert *c)
{
        c->name = text_dup(json_str(o, "name"));
        c->staging = json_bool(o, "staging", false);
        c->certificate_id = text_dup(json_str(o, "certificate_id"));
        c->key_csr = text_dup(json_str(o, "key_csr"));
        c->fallback_after_ms = json_i64(o, "fallback_after_ms", 0);
        c->fallback_downgrade = json_bool(o, "fallback_downgrade", false);
        c->validation = (enum conf_validation)json_i64(o, "validation", VALIDATION_DNS);
        c->rehearse = (int)json_i64(o, "rehearse", REHEARSE_AUTO);
        c->key_type = (enum key_type)json_i64(o, "key_type", KEY_NONE);
        c->key_reuse = (int)json_i64(o, "key_reuse", REUSE_NEVER);
        return c->name && texts_from(json_object_get(o, "names"), &c->names) && cas_from(json_object_get(o, "ca"), c) &&
                targets_from(json_object_get(o, "targets"), c) &&
                map_from(json_object_get(o, "publisher"), &c->publisher) &&
                propagation_from(json_object_get(o, "propagation"), &c->propagation);
}

bool policy_read(const char *text, struct conf_cert **ret, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!json_read(text, strlen(text), POLICY_DEPTH, &o, e))
                return err_wrap(e, "policy of a job in the journal");
        struct conf_cert *c = calloc(1, sizeof *c);
        if (!c)
                return err_memory(e);
        if (!cert_from(o, c)) {
                policy_free(c);
                return err_set(e, ERR_BUG, "policy", "policy of a job in the journal is incomplete");
        }
        *ret = c;
        return true;
}

static void map_done(struct conf_publisher_map *m)
{
        free(m->otherwise);
        texts_done(&m->suffix);
        texts_done(&m->publisher);
}

void policy_free(struct conf_cert *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < c->ca_count; i++) {
                free(c->ca[i].ca);
                map_done(&c->ca[i].publisher);
        }
        for (size_t i = 0; i < c->target_count; i++)
                free(c->target[i].directory);
        free(c->ca);
        free(c->target);
        free(c->name);
        free(c->certificate_id);
        free(c->key_csr);
        texts_done(&c->names);
        texts_done(&c->propagation.ignore);
        map_done(&c->publisher);
        free(c);
}

enum conf_validation policy_validation(const struct conf_cert *p, size_t ca_index)
{
        return p->ca[ca_index].validation != VALIDATION_UNSET ? p->ca[ca_index].validation : p->validation;
}

enum key_type policy_key_type(const struct conf_cert *p, size_t ca_index)
{
        return p->ca[ca_index].key_type != KEY_NONE ? p->ca[ca_index].key_type : p->key_type;
}

const char *policy_publisher(const struct conf_cert *p, size_t ca_index, const char *name)
{
        const char *own = conf_publisher_for(&p->ca[ca_index].publisher, name);
        return own ? own : conf_publisher_for(&p->publisher, name);
}
