#include "agent/cli/evidence.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

static const struct {
        const char *event, *text;
} words[] = {
        { "incident-opened", "reported" },
        { "incident-stronger", "reported again, with more weight" },
        { "incident-confirmed", "confirmed by a person" },
        { "incident-held", "held by the storm brake" },
        { "incident-job", "a job works on it" },
        { "incident-not-started", "no job could be started" },
        { "incident-failed", "its job ended without a certificate" },
        { "incident-replaced", "replaced" },
        { "incident-remedied", "every certificate is replaced" },
        { "incident-deadline", "the deadline is near" },
        { "incident-stuck", "behind its time" },
        { "incident-revoked", "the old certificate is revoked" },
        { "incident-not-revoked", "the old certificate is not revoked" },
        { "incident-dismissed", "dismissed" },
        { "incident-done", "everything is done" },
};

static const char *words_of(const char *event)
{
        for (size_t i = 0; event && i < ARRAY_LEN(words); i++)
                if (strcmp(words[i].event, event) == 0)
                        return words[i].text;
        return event ? event : "";
}

static const char *detail_of(const json_t *data)
{
        static const char *const keys[] = { "text", "because", "why", "open", "certificates", "result", "reason" };
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                if (json_str(data, keys[i]) && json_str(data, keys[i])[0])
                        return json_str(data, keys[i]);
        return NULL;
}

char *evidence_line(const json_t *row)
{
        char when[32];
        struct buf b = { .max = 4000 };
        const json_t *data = json_object_get(row, "data");
        const char *event = json_str(row, "event"), *detail = detail_of(data);
        format_time(json_i64(row, "at", 0), when, sizeof when);
        buf_addf(&b, "%s %s", when, json_str(row, "cert") ? json_str(row, "cert") : "-");
        if (json_i64(row, "job", 0))
                buf_addf(&b, " job %lld", (long long)json_i64(row, "job", 0));
        if (event && strcmp(event, "state") == 0 && json_str(data, "to"))
                buf_addf(&b, ": %s", json_str(data, "to"));
        else
                buf_addf(&b, ": %s", words_of(event));
        if (detail)
                buf_addf(&b, ": %s", detail);
        return buf_steal(&b);
}

/* Foreign text in a table: a bar would end the cell. */
static void add_cell(struct buf *b, const char *text)
{
        buf_add(b, " ");
        for (const char *c = text ? text : ""; *c; c++) {
                if (*c == '|' || *c == '\\' || *c == '`' || *c == '<')
                        buf_addc(b, '\\');
                buf_addc(b, *c == '\n' ? ' ' : *c);
        }
        buf_add(b, " |");
}

static void add_time(struct buf *b, int64_t at_s)
{
        char when[32] = "";
        if (at_s > 0)
                format_time(at_s, when, sizeof when);
        add_cell(b, when);
}

static void add_fact(struct buf *b, const char *name, const char *text)
{
        if (!text || !text[0])
                return;
        buf_addf(b, "| %s |", name);
        add_cell(b, text);
        buf_add(b, "\n");
}

static void add_fact_time(struct buf *b, const char *name, int64_t at_s)
{
        char when[32];
        format_time(at_s, when, sizeof when);
        add_fact(b, name, at_s > 0 ? when : NULL);
}

static void add_facts(struct buf *b, const json_t *e)
{
        const json_t *opened = json_object_get(e, "opened");
        char span[40] = "";
        buf_add(b, "| | |\n|---|---|\n");
        add_fact(b, "Reported by", json_str(opened, "source"));
        add_fact(b, "Weight of the report", json_str(opened, "strength"));
        add_fact(b, "Report", json_str(opened, "text"));
        add_fact(b, "Reference", json_str(opened, "link"));
        add_fact(b, "Key (SHA-256 of its SPKI)", json_str(opened, "spki"));
        add_fact(b, "Key marked for ever", json_bool(opened, "marked", false) ? "yes" : "no");
        add_fact_time(b, "Found", json_i64(opened, "reported", 0));
        add_fact_time(b, "Received", json_i64(opened, "at", 0));
        add_fact_time(b, "Deadline", json_i64(opened, "deadline", 0));
        add_fact_time(b, "All certificates replaced", json_i64(e, "remedied", 0));
        if (json_i64(e, "remedied", 0))
                format_span(json_i64(e, "remediation_seconds", 0), span, sizeof span);
        add_fact(b, "Time to remediation", span);
        add_fact_time(b, "Closed", json_i64(e, "ended", 0));
        add_fact(b, json_bool(e, "dismissed", false) ? "Dismissed because" : "Outcome", json_str(e, "how"));
}

static void add_certificates(struct buf *b, const json_t *e)
{
        size_t k;
        json_t *c;
        buf_add(b,
                "\n## Certificates\n\n"
                "| Name | Old serial number | Was live | Replaced | New certificate (SHA-256) | Old one revoked |\n"
                "|---|---|---|---|---|---|\n");
        json_array_foreach(json_object_get(e, "certificates"), k, c)
        {
                buf_add(b, "|");
                add_cell(b, json_str(c, "cert"));
                add_cell(b, json_str(c, "serial"));
                add_cell(b, json_bool(c, "live", false) ? "yes" : "no");
                add_time(b, json_i64(c, "replaced", 0));
                add_cell(b, json_str(c, "by"));
                if (json_i64(c, "revoked", 0))
                        add_time(b, json_i64(c, "revoked", 0));
                else
                        add_cell(b, json_str(c, "not_revoked") ? json_str(c, "not_revoked") : "no");
                buf_add(b, "\n");
        }
}

char *evidence_markdown(const json_t *e)
{
        struct buf b = { 0 };
        size_t k;
        json_t *row;
        buf_addf(&b, "# Incident %lld\n\n", (long long)json_i64(e, "incident", 0));
        add_facts(&b, e);
        add_certificates(&b, e);
        buf_add(&b, "\n## Timeline\n\n");
        json_array_foreach(json_object_get(e, "timeline"), k, row)
        {
                CLEANUP(free_p) char *line = evidence_line(row);
                buf_add(&b, "-");
                struct buf cell = { 0 };
                add_cell(&cell, line);
                buf_append(&b, cell.data ? cell.data : "", cell.len > 2 ? cell.len - 2 : 0);
                buf_done(&cell);
                buf_add(&b, "\n");
        }
        buf_addf(&b, "\nThe audit trail this was made of %s; hash of its last row: %s.\n",
                json_bool(e, "intact", false) ? "is whole" : "DOES NOT FIT TOGETHER: it was changed from outside",
                json_str(e, "last_hash") ? json_str(e, "last_hash") : "-");
        return buf_steal(&b);
}
