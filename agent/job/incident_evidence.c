#include "agent/job/incident_evidence.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/journal.h"

#define ROWS_MAX 20000

static bool trail_row(void *arg, const struct store_row *row)
{
        json_t *data = NULL, *o = json_object();
        const char *text = row_text(row, 4);
        if (!text || !json_read(text, strlen(text), 10, &data, NULL))
                data = json_object();
        json_put_i64(o, "at", row_i64(row, 0));
        json_put_text(o, "cert", row_text(row, 1));
        json_put_i64(o, "job", row_i64(row, 2));
        json_put_text(o, "event", row_text(row, 3));
        json_object_set_new(o, "data", data);
        return json_array_append_new(arg, o) == 0;
}

/* Its own rows, and those of the jobs that it started or joined. */
static bool read_trail(struct store *s, int64_t incident, json_t *list, struct err *e)
{
        return store_query(s,
                "WITH own AS (SELECT id, job FROM audit WHERE event LIKE 'incident-%'"
                " AND json_extract(data, '$.incident') = ?1)"
                " SELECT at, cert, job, event, data FROM audit WHERE id IN (SELECT id FROM own)"
                " OR (id >= (SELECT min(id) FROM own) AND job IN (SELECT job FROM own WHERE job > 0)"
                " AND event NOT LIKE 'incident-%')"
                " ORDER BY id LIMIT ?2",
                "ii", trail_row, list, e, incident, (int64_t)ROWS_MAX);
}

static bool last_hash(void *arg, const struct store_row *row)
{
        json_put_text(arg, "last_hash", row_text(row, 0));
        return false;
}

static json_t *find_cert(json_t *list, const char *cert, const char *sha256)
{
        size_t k;
        json_t *c;
        json_array_foreach(list, k, c)
        {
                const char *name = json_str(c, "cert"), *hash = json_str(c, "sha256");
                if (cert && name && strcmp(cert, name) == 0 && sha256 && hash && strcmp(sha256, hash) == 0)
                        return c;
        }
        return NULL;
}

/* The newest list of what it is about: a stronger report may have added some. */
static void take_opened(json_t *o, const json_t *row)
{
        const json_t *data = json_object_get(row, "data");
        json_t *known = json_object_get(o, "certificates"), *c;
        size_t k;
        json_t *opened = json_deep_copy(data);
        json_object_del(opened, "certificates");
        json_put_i64(opened, "at", json_i64(row, "at", 0));
        json_object_set_new(o, json_object_get(o, "opened") ? "stronger" : "opened", opened);
        json_array_foreach(json_object_get(data, "certificates"), k, c)
        {
                if (!find_cert(known, json_str(c, "cert"), json_str(c, "sha256")))
                        json_array_append_new(known, json_deep_copy(c));
        }
}

static void take_case(json_t *o, const json_t *row, const char *event)
{
        const json_t *data = json_object_get(row, "data");
        json_t *c = find_cert(json_object_get(o, "certificates"), json_str(row, "cert"), json_str(data, "sha256"));
        int64_t at_s = json_i64(row, "at", 0);
        if (!c)
                return;
        if (strcmp(event, "incident-replaced") == 0) {
                json_put_i64(c, "replaced", at_s);
                json_put_text(c, "by", json_str(data, "by"));
                json_put_i64(c, "new_set", json_i64(data, "set", 0));
        } else if (strcmp(event, "incident-revoked") == 0) {
                json_put_i64(c, "revoked", at_s);
                json_object_del(c, "not_revoked");
        } else if (strcmp(event, "incident-not-revoked") == 0) {
                json_put_text(c, "not_revoked", json_str(data, "text"));
        }
}

static void take_row(json_t *o, const json_t *row)
{
        const char *event = json_str(row, "event");
        const json_t *data = json_object_get(row, "data");
        if (!event)
                return;
        if (strcmp(event, "incident-opened") == 0 || strcmp(event, "incident-stronger") == 0)
                return take_opened(o, row);
        if (strcmp(event, "incident-confirmed") == 0) {
                json_t *c = json_deep_copy(data);
                json_put_i64(c, "at", json_i64(row, "at", 0));
                json_array_append_new(json_object_get(o, "confirmed"), c);
        } else if (strcmp(event, "incident-remedied") == 0) {
                json_put_i64(o, "remedied", json_i64(row, "at", 0));
                json_put_i64(o, "remediation_seconds", json_i64(data, "seconds", 0));
        } else if (strcmp(event, "incident-done") == 0 || strcmp(event, "incident-dismissed") == 0) {
                json_put_i64(o, "ended", json_i64(row, "at", 0));
                json_put_text(o, "how",
                        strcmp(event, "incident-done") == 0 ? json_str(data, "text") : json_str(data, "because"));
                json_put_bool(o, "dismissed", strcmp(event, "incident-dismissed") == 0);
        } else {
                take_case(o, row, event);
        }
}

bool evidence_of(struct store *s, int64_t incident, json_t **ret, struct err *e)
{
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:s, s:I, s:I, s:[], s:[], s:[]}", "schema", "dcvd.evidence/1", "incident",
                (json_int_t)incident, "made", (json_int_t)clock_now_s(), "certificates", "confirmed", "timeline");
        json_t *trail = json_object_get(o, "timeline"), *row;
        size_t k;
        struct err broken;
        if (!o)
                return err_memory(e);
        if (!read_trail(s, incident, trail, e) ||
                !store_query(s, "SELECT hash FROM audit ORDER BY id DESC LIMIT 1", "", last_hash, o, e))
                return false;
        json_array_foreach(trail, k, row)
        {
                take_row(o, row);
        }
        bool intact = journal_audit_verify(s, &broken);
        json_put_bool(o, "intact", intact);
        if (!intact)
                json_put_text(o, "broken", broken.text);
        *ret = STEAL(o);
        return true;
}
