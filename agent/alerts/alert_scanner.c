/* The secret scanners: GitHub (secret_scanning_alert) and GitGuardian (custom webhook). Neither sends the key; what
 * they send is a hint, unless the key can be fetched. */
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/alert_internal.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define URL_MAX 1000
#define FORM_FIELD "payload="

/* ---- GitHub ---- */

static int hex_digit(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded: the JSON is in the field payload. */
static char *form_payload(const char *body, size_t len, size_t *ret_len)
{
        const char *end = body + len, *at = body;
        while (at < end && (size_t)(end - at) >= strlen(FORM_FIELD) &&
                memcmp(at, FORM_FIELD, strlen(FORM_FIELD)) != 0) {
                const char *next = memchr(at, '&', (size_t)(end - at));
                at = next ? next + 1 : end;
        }
        char *ret = at < end ? malloc(len + 1) : NULL, *to = ret;
        if (!ret || (size_t)(end - at) < strlen(FORM_FIELD)) {
                free(ret);
                return NULL;
        }
        for (at += strlen(FORM_FIELD); at < end && *at != '&'; at++) {
                if (*at == '%' && end - at > 2 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
                        *to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
                        at += 2;
                } else {
                        *to++ = *at == '+' ? ' ' : *at;
                }
        }
        *to = '\0';
        *ret_len = (size_t)(to - ret);
        return ret;
}

static bool read_body(const struct alert_request *r, json_t **ret, struct err *e)
{
        const char *type = alert_header(r, "Content-Type");
        size_t len = 0;
        if (!type || !text_starts(type, "application/x-www-form-urlencoded"))
                return alert_json(r->body, r->body_len, ret, e);
        CLEANUP(free_p) char *text = form_payload(r->body, r->body_len, &len);
        return text ? alert_json(text, len, ret, e)
                    : err_set(e, ERR_PROTOCOL, "alert.member", "the form has no field payload");
}

static bool is_key_type(const char *type)
{
        static const char *const types[] = { "rsa_private_key", "ec_private_key", "generic_private_key",
                "openssh_private_key" };
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
                if (strcmp(type, types[i]) == 0)
                        return true;
        return false;
}

/* GitHub signs neither time nor delivery: the content is remembered too, and what it is about. */
static bool github_seen(const struct alert_request *r, const json_t *o, const json_t *alert, struct alert_item *i)
{
        int64_t until_s = r->now_s + SEEN_LONG_S;
        const char *delivery = alert_header(r, "X-GitHub-Delivery"), *updated = json_str(alert, "updated_at");
        if (delivery && !alert_seen_key(i, text_format("delivery %.100s", delivery), until_s))
                return false;
        return alert_seen_key(i, alert_body_key(r), until_s) &&
                alert_seen_key(i,
                        text_format("alert %lld %lld %.40s %.40s",
                                (long long)json_i64(json_object_get(o, "repository"), "id", 0),
                                (long long)json_i64(alert, "number", 0), json_str(o, "action"), updated ? updated : ""),
                        until_s);
}

static bool github_item(const struct alert_request *r, const json_t *o, struct alert *a, struct err *e)
{
        const json_t *alert = json_object_get(o, "alert");
        const char *type = json_str(alert, "secret_type"), *url = json_str(alert, "url");
        const char *repo = json_str(json_object_get(o, "repository"), "full_name");
        const char *created = json_str(alert, "created_at");
        if (!type)
                return err_set(e, ERR_PROTOCOL, "alert.member", "alert.secret_type is missing");
        if (!is_key_type(type))
                return alert_is_nothing(a, "not a private key: ", type);
        struct alert_item *i = alert_add(a, e);
        if (!i)
                return false;
        CLEANUP(free_p)
        char *text = text_format("GitHub secret scanning, %.100s: alert %lld in %.200s", json_str(o, "action"),
                (long long)json_i64(alert, "number", 0), repo ? repo : "a repository");
        if (url && strlen(url) <= URL_MAX)
                i->fetch_url = text_dup(url);
        if (created)
                (void)parse_time(created, &i->reported_s); /* for people only: unknown is now */
        return (text && alert_put_line(&i->text, text, 400) && alert_put_link(i, json_str(alert, "html_url")) &&
                       github_seen(r, o, alert, i)) ||
                err_memory(e);
}

bool alert_read_github(const struct alert_request *r, struct alert *a, struct err *e)
{
        static const char *const actions[] = { "created", "reopened", "publicly_leaked", "validated" };
        CLEANUP(json_decref_p) json_t *o = NULL;
        const char *event = alert_header(r, "X-GitHub-Event");
        if (!event)
                return err_set(e, ERR_PROTOCOL, "alert.member", "the header X-GitHub-Event is missing");
        if (!read_body(r, &o, e))
                return false;
        if (strcmp(event, "ping") == 0) {
                a->kind = ALERT_PING;
                return true;
        }
        if (strcmp(event, "secret_scanning_alert") != 0)
                return alert_is_nothing(a, "not an event that reports a key: ", event);
        const char *action = json_str(o, "action");
        if (!action)
                return err_set(e, ERR_PROTOCOL, "alert.member", "action is missing");
        for (size_t i = 0; i < ARRAY_LEN(actions); i++)
                if (strcmp(action, actions[i]) == 0)
                        return github_item(r, o, a, e);
        return alert_is_nothing(a, "nothing to do for action ", action);
}

/* ---- GitGuardian ---- */

bool alert_read_gitguardian(const struct alert_request *r, struct alert *a, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!alert_json(r->body, r->body_len, &o, e))
                return false;
        const json_t *incident = json_object_get(o, "incident");
        const json_t *detector = json_object_get(incident, "detector");
        const char *action = json_str(o, "action"), *name = json_str(detector, "name");
        const char *shown = json_str(detector, "display_name"), *time = alert_header(r, "Timestamp");
        if (!action)
                return err_set(e, ERR_PROTOCOL, "alert.member", "action is missing");
        if (strcmp(action, "ping") == 0 || strcmp(action, "test") == 0) {
                a->kind = ALERT_PING;
                return true;
        }
        if (strcmp(action, "incident_triggered") != 0)
                return alert_is_nothing(a, "nothing to do for action ", action);
        if (name && !strstr(name, "private_key"))
                return alert_is_nothing(a, "not a private key: ", name);
        struct alert_item *i = alert_add(a, e);
        if (!i || !alert_native(incident, i, e)) /* its own members, should a rule have added them */
                return false;
        CLEANUP(free_p)
        char *text = text_format("GitGuardian incident %lld: %.100s", (long long)json_i64(incident, "id", 0),
                shown ? shown : "a private key");
        CLEANUP(free_p)
        char *key =
                text_format("incident %lld %s %.20s", (long long)json_i64(incident, "id", 0), action, time ? time : "");
        return (text && alert_put_line(&i->text, text, 400) &&
                       alert_put_link(i, json_str(incident, "gitguardian_url")) &&
                       alert_seen_key(i, STEAL(key), r->now_s + SEEN_LONG_S)) ||
                err_memory(e);
}
