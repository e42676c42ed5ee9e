/* Standard Webhooks events, and the same event under a plain MAC of the body. */
#include <string.h>

#include "agent/alerts/alert_internal.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define EVENT "key.compromised"

static bool one_item(const json_t *data, struct alert *a, struct err *e)
{
        struct alert_item *i = alert_add(a, e);
        if (!i || !alert_native(data, i, e))
                return false;
        return alert_item_says_something(i) ||
                err_set(e, ERR_PROTOCOL, "alert.member",
                        "nothing in it names a key: spki_sha256, cert_sha256, serial and issuer, cert_id, pem, proof "
                        "or "
                        "domains");
}

bool alert_read_standard(const struct alert_request *r, struct alert *a, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        const char *id = alert_header(r, "webhook-id");
        if (!alert_json(r->body, r->body_len, &o, e))
                return false;
        const char *type = json_str(o, "type");
        const json_t *data = json_object_get(o, "data");
        a->seen = (struct alert_seen){ text_format("id %s", id ? id : ""), r->now_s + SEEN_WEBHOOK_S };
        if (!a->seen.key)
                return err_memory(e);
        if (!type)
                return err_set(e, ERR_PROTOCOL, "alert.member", "type is missing: \"" EVENT "\"");
        if (strcmp(type, "ping") == 0) {
                a->kind = ALERT_PING;
                return true;
        }
        if (strcmp(type, EVENT) != 0)
                return alert_is_nothing(a, "not an event that reports a key: ", type);
        return json_is_object(data) ? one_item(data, a, e)
                                    : err_set(e, ERR_PROTOCOL, "alert.member", "data is not an object");
}

bool alert_read_generic(const struct alert_request *r, struct alert *a, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!alert_json(r->body, r->body_len, &o, e))
                return false;
        const json_t *data = json_object_get(o, "data");
        a->seen = (struct alert_seen){ alert_body_key(r), r->now_s + SEEN_LONG_S };
        if (!a->seen.key)
                return err_memory(e);
        if (json_is_object(data)) {
                const char *type = json_str(o, "type");
                return type && strcmp(type, EVENT) != 0 ? alert_is_nothing(a, "not an event that reports a key: ", type)
                                                        : one_item(data, a, e);
        }
        return one_item(o, a, e);
}
