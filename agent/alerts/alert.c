#include "agent/alerts/alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/alert_internal.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/pki/evidence.h"

#define JSON_DEPTH 24
#define ISSUER_MAX 1024
#define TEXT_MAX 400
#define LINK_MAX 500

const char *const alert_field_names[ALERT_FIELDS + 1] = {
        [FIELD_SPKI] = "spki_sha256",
        [FIELD_MODULUS] = "modulus_sha256",
        [FIELD_CERT] = "cert_sha256",
        [FIELD_CERT_SHA1] = "cert_sha1",
        [FIELD_SERIAL] = "serial",
        [FIELD_SERIAL_DECIMAL] = "serial_decimal",
        [FIELD_ISSUER] = "issuer",
        [FIELD_CERT_ID] = "cert_id",
        [FIELD_DOMAIN] = "domain",
        [FIELD_PEM] = "pem",
};

void alert_item_done(struct alert_item *i)
{
        free(i->aki_hex);
        free(i->issuer);
        texts_done(&i->domains);
        if (i->evidence)
                wipe(i->evidence, i->evidence_len);
        free(i->evidence);
        free(i->text);
        free(i->link);
        free(i->fetch_url);
        for (size_t k = 0; k < i->seen_count; k++)
                free(i->seen[k].key);
        *i = (struct alert_item){ 0 };
}

void alert_done(struct alert *a)
{
        for (size_t i = 0; i < a->count; i++)
                alert_item_done(&a->item[i]);
        free(a->item);
        free(a->seen.key);
        *a = (struct alert){ 0 };
}

bool alert_item_is_exact(const struct alert_item *i)
{
        return i->spki_hex[0] || i->modulus_hex[0] || i->cert_sha256[0] || i->cert_sha1[0] || i->serial_hex[0] ||
                i->evidence;
}

bool alert_item_says_something(const struct alert_item *i)
{
        return alert_item_is_exact(i) || i->domains.count > 0;
}

/* ---- building ---- */

bool alert_seen_key(struct alert_item *i, char *key_own, int64_t expires_s)
{
        if (!key_own || i->seen_count == ALERT_SEEN_KEYS) {
                free(key_own);
                return false;
        }
        i->seen[i->seen_count++] = (struct alert_seen){ key_own, expires_s };
        return true;
}

struct alert_item *alert_add(struct alert *a, struct err *e)
{
        if (a->count == ALERT_ITEMS_MAX) {
                err_set(e, ERR_PROTOCOL, "alert.member", "more than %d alerts in one request", ALERT_ITEMS_MAX);
                return NULL;
        }
        struct alert_item *more = realloc(a->item, (a->count + 1) * sizeof *more);
        if (!more) {
                err_memory(e);
                return NULL;
        }
        a->item = more;
        more[a->count] = (struct alert_item){ 0 };
        return &more[a->count++];
}

/* One line for people, without what could mislead a terminal. */
bool alert_put_line(char **ret, const char *text, size_t max)
{
        struct buf b = { 0 };
        buf_add_escaped(&b, text, strlen(text), max);
        free(*ret);
        *ret = buf_steal(&b);
        buf_done(&b);
        return *ret != NULL;
}

bool alert_put_link(struct alert_item *i, const char *url)
{
        /* No link is better than one that leads a person astray. */
        if (!url || (!text_starts(url, "https://") && !text_starts(url, "http://")) || strlen(url) > LINK_MAX)
                return true;
        return alert_put_line(&i->link, url, LINK_MAX);
}

static bool put_cert_id(struct alert_item *i, const char *value)
{
        CLEANUP(free_p) char *serial = NULL;
        CLEANUP(free_p) char *aki = NULL;
        struct err ignored;
        if (!renewal_id_split(value, &aki, &serial, &ignored) || !form_serial(serial, i->serial_hex))
                return false;
        free(i->aki_hex);
        i->aki_hex = STEAL(aki);
        return true;
}

static bool put_evidence(struct alert_item *i, const char *value)
{
        size_t len = strlen(value);
        if (len == 0 || len > EVIDENCE_MAX || i->evidence)
                return false;
        i->evidence = text_dup(value);
        i->evidence_len = len;
        return i->evidence != NULL;
}

static bool put_domain(struct alert_item *i, const char *value)
{
        char domain[FORM_DOMAIN];
        return form_domain(value, domain) && i->domains.count < ALERT_ITEMS_MAX && texts_add(&i->domains, domain);
}

static bool put(struct alert_item *i, enum alert_field f, const char *value)
{
        switch (f) {
        case FIELD_SPKI:
                return form_sha256(value, i->spki_hex);
        case FIELD_MODULUS:
                return form_sha256(value, i->modulus_hex);
        case FIELD_CERT:
                return form_sha256(value, i->cert_sha256);
        case FIELD_CERT_SHA1:
                return form_sha1(value, i->cert_sha1);
        case FIELD_SERIAL:
                return form_serial(value, i->serial_hex);
        case FIELD_SERIAL_DECIMAL:
                return form_serial_decimal(value, i->serial_hex);
        case FIELD_ISSUER:
                free(i->issuer);
                i->issuer = strlen(value) <= ISSUER_MAX ? text_dup(value) : NULL;
                return i->issuer != NULL;
        case FIELD_CERT_ID:
                return put_cert_id(i, value);
        case FIELD_DOMAIN:
                return put_domain(i, value);
        case FIELD_PEM:
                return put_evidence(i, value);
        default:
                return false;
        }
}

bool alert_put(struct alert_item *i, enum alert_field f, const char *value, struct err *e)
{
        return put(i, f, value) ||
                err_set(e, ERR_PROTOCOL, "alert.member", "%s is not in a form that is known", alert_field_names[f]);
}

/* ---- the native event ---- */

static bool take_domains(const json_t *list, struct alert_item *ret, struct err *e)
{
        size_t i;
        json_t *one;
        if (!list)
                return true;
        if (!json_is_array(list) || json_array_size(list) > ALERT_ITEMS_MAX)
                return err_set(
                        e, ERR_PROTOCOL, "alert.member", "domains is not a list of up to %d names", ALERT_ITEMS_MAX);
        json_array_foreach(
                list, i, one) if (!json_is_string(one) || !put_domain(ret, json_string_value(one))) return err_set(e,
                ERR_PROTOCOL, "alert.member", "domains[%zu] is not a host name", i);
        return true;
}

static bool take_time(const json_t *value, int64_t *ret, struct err *e)
{
        if (!value || json_is_null(value))
                return true;
        if (json_is_integer(value) && json_integer_value(value) >= 0)
                *ret = json_integer_value(value);
        else if (!json_is_string(value) || !parse_time(json_string_value(value), ret))
                return err_set(e, ERR_PROTOCOL, "alert.member", "reported_at is no time (2026-11-23T07:00:00Z)");
        return true;
}

bool alert_native(const json_t *data, struct alert_item *ret, struct err *e)
{
        const json_t *proof = json_object_get(data, "proof");
        const char *text = json_str(data, "text");
        for (int f = 0; f < ALERT_FIELDS; f++) {
                const json_t *value = json_object_get(data, alert_field_names[f]);
                if (!value || json_is_null(value))
                        continue;
                if (!json_is_string(value))
                        return err_set(e, ERR_PROTOCOL, "alert.member", "%s is not a text", alert_field_names[f]);
                if (!alert_put(ret, (enum alert_field)f, json_string_value(value), e))
                        return false;
        }
        if (proof && !json_is_null(proof)) {
                const char *content = json_is_string(proof) ? json_string_value(proof) : json_str(proof, "content");
                if (!content || !put_evidence(ret, content))
                        return err_set(e, ERR_PROTOCOL, "alert.member",
                                "proof is not {format, content}, content a text of at most %d bytes", EVIDENCE_MAX);
        }
        if (text && !alert_put_line(&ret->text, text, TEXT_MAX))
                return err_memory(e);
        return take_domains(json_object_get(data, "domains"), ret, e) &&
                take_time(json_object_get(data, "reported_at"), &ret->reported_s, e) &&
                (alert_put_link(ret, json_str(data, "link")) || err_memory(e));
}

/* ---- reading ---- */

bool alert_is_nothing(struct alert *a, const char *why, const char *what)
{
        struct buf b = { 0 };
        buf_add(&b, why);
        if (what)
                buf_add_escaped(&b, what, strlen(what), 48);
        a->kind = ALERT_NOTHING;
        snprintf(a->why, sizeof a->why, "%s", b.data ? b.data : "");
        buf_done(&b);
        return true;
}

bool alert_json(const char *text, size_t len, json_t **ret, struct err *e)
{
        struct err why = { 0 };
        if (!json_read(text, len, JSON_DEPTH, ret, &why))
                return err_set(
                        e, why.kind == ERR_TEMPORARY ? ERR_TEMPORARY : ERR_PROTOCOL, "alert.json", "%s", why.text);
        if (json_is_object(*ret))
                return true;
        json_decref(*ret);
        *ret = NULL;
        return err_set(e, ERR_PROTOCOL, "alert.json", "the body is not a JSON object");
}

const char *alert_header(const struct alert_request *r, const char *name)
{
        unsigned n = 0;
        const char *value = r->header(r->arg, name, &n);
        return n == 1 ? value : NULL;
}

char *alert_body_key(const struct alert_request *r)
{
        char hex[65];
        sha256_hex(r->body, r->body_len, hex);
        return text_format("body %s", hex);
}

bool alert_read(const struct alert_request *r, struct alert *ret, struct err *e)
{
        static alert_reader_fn *const readers[ALERT_FORMATS] = {
                [ALERT_STANDARD_WEBHOOKS] = alert_read_standard,
                [ALERT_GITHUB] = alert_read_github,
                [ALERT_GITGUARDIAN] = alert_read_gitguardian,
                [ALERT_ALERTMANAGER] = alert_read_alertmanager,
                [ALERT_GENERIC] = alert_read_generic,
        };
        struct alert a = { 0 };
        if (r->body_len > ALERT_BODY_MAX)
                return err_set(e, ERR_PROTOCOL, "alert.json", "more than %d bytes", ALERT_BODY_MAX);
        if (!readers[r->format](r, &a, e)) {
                alert_done(&a);
                return false;
        }
        *ret = a;
        return true;
}
