/* Prometheus Alertmanager's webhook, version 4: many alerts in one request; labels, then annotations, name the key. */
#include <string.h>

#include "agent/alerts/alert_internal.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

/* What the rule's author called our field; the field's own name if nothing was said. */
static const char *label_of(const struct alert_request *r, const char *field)
{
        for (size_t i = 0; r->label_ours && i < r->label_ours->count; i++)
                if (strcmp(r->label_ours->item[i], field) == 0)
                        return r->label_theirs->item[i];
        return field;
}

static const char *value_of(const json_t *alert, const char *name)
{
        const char *value = json_str(json_object_get(alert, "labels"), name);
        return value && value[0] ? value : json_str(json_object_get(alert, "annotations"), name);
}

static bool take_fields(const struct alert_request *r, const json_t *alert, struct alert_item *i, struct err *e)
{
        for (int f = 0; f < ALERT_FIELDS; f++) {
                const char *value = value_of(alert, label_of(r, alert_field_names[f]));
                if (value && value[0] && !alert_put(i, (enum alert_field)f, value, e))
                        return false;
        }
        return true;
}

static bool take_alert(const struct alert_request *r, const json_t *alert, struct alert *a, struct err *e)
{
        const char *summary = value_of(alert, "summary"), *name = value_of(alert, "alertname");
        const char *print = json_str(alert, "fingerprint"), *starts = json_str(alert, "startsAt");
        struct alert_item *i = alert_add(a, e);
        if (!i || !take_fields(r, alert, i, e))
                return false;
        if (!alert_item_says_something(i)) {
                alert_item_done(i);
                a->count--;
                a->unmapped = true;
                return true;
        }
        if (starts)
                (void)parse_time(starts, &i->reported_s); /* for people only: unknown is now */
        CLEANUP(free_p)
        char *text = text_format("%.100s: %.280s", name ? name : "Alertmanager", summary ? summary : "firing");
        CLEANUP(free_p)
        char *key = text_format("alert %.100s %.100s firing", print ? print : "", starts ? starts : "");
        return (text && alert_put_line(&i->text, text, 400) && alert_put_link(i, json_str(alert, "generatorURL")) &&
                       (!print || alert_seen_key(i, STEAL(key), r->now_s + SEEN_LONG_S))) ||
                err_memory(e);
}

bool alert_read_alertmanager(const struct alert_request *r, struct alert *a, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        size_t n;
        json_t *alert;
        if (!alert_json(r->body, r->body_len, &o, e))
                return false;
        const char *version = json_str(o, "version");
        const json_t *list = json_object_get(o, "alerts");
        if (!version || strcmp(version, "4") != 0)
                return err_set(e, ERR_PROTOCOL, "alert.member", "version is not \"4\"");
        if (!json_is_array(list))
                return err_set(e, ERR_PROTOCOL, "alert.member", "alerts is not a list");
        a->truncated = json_i64(o, "truncatedAlerts", 0) > 0;
        json_array_foreach((json_t *)list, n, alert)
        {
                const char *status = json_str(alert, "status");
                /* That a rule no longer fires takes no leak back. */
                if (status && strcmp(status, "firing") == 0 && !take_alert(r, alert, a, e))
                        return false;
        }
        return a->count > 0 ||
                alert_is_nothing(a, "no firing alert whose labels name a key, a certificate or a domain", NULL);
}
