#include "agent/ctl/page.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"

static const char head[] =
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh "
        "content=10><title>dcvd</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse;width:100%}"
        "th,td{text-align:left;padding:.4em .8em;border-bottom:1px solid "
        "#ddd;vertical-align:top}.bad{color:#a00}.wait{color:#850}"
        "small{color:#666}</style><h1>dcvd</h1><table><tr><th>Certificate<th>Live until<th>Job<th>Reissue<th>Who must "
        "act</tr>";

static void text(struct buf *b, const char *s)
{
        for (; s && *s; s++)
                switch (*s) {
                case '<':
                        buf_add(b, "&lt;");
                        break;
                case '>':
                        buf_add(b, "&gt;");
                        break;
                case '&':
                        buf_add(b, "&amp;");
                        break;
                case '"':
                        buf_add(b, "&quot;");
                        break;
                default:
                        buf_addc(b, *s);
                }
}

static void row(struct buf *b, const json_t *c)
{
        const json_t *live = json_object_get(c, "live"), *job = json_object_get(c, "job"),
                     *error = json_object_get(job, "error"), *last = json_object_get(c, "last_job");
        if (!error && !json_str(c, "stopped") && json_str(last, "state") &&
                strcmp(json_str(last, "state"), "failed") == 0)
                error = last; /* it has the same two members */
        char until[40] = "not adopted";
        if (json_is_object(live))
                format_time(json_i64(live, "not_after", 0), until, sizeof until);
        buf_add(b, "<tr><td>");
        text(b, json_str(c, "name"));
        buf_addf(b, "<td>%s<td>", until);
        if (json_is_object(job)) {
                buf_addf(b, "%lld: ", (long long)json_i64(job, "job", 0));
                text(b, json_str(job, "state"));
                buf_add(b, "<br><small>");
                text(b, json_str(job, "progress"));
                buf_add(b, "</small>");
        }
        buf_add(b, "<td>");
        text(b, json_str(c, "reissue"));
        if (json_str(c, "end")) {
                buf_add(b, "<br><small>");
                text(b, json_str(c, "end"));
                buf_add(b, "</small>");
        }
        buf_add(b, "<td class=wait>");
        text(b, error ? json_str(error, "text") : json_str(c, "stopped"));
        if (error && json_str(error, "fix")) {
                buf_add(b, "<br><small>");
                text(b, json_str(error, "fix"));
                buf_add(b, "</small>");
        }
        buf_add(b, "</tr>");
}

bool page_render(const json_t *status, struct buf *ret)
{
        size_t i;
        json_t *c;
        char now[40];
        format_time(json_i64(status, "now", 0), now, sizeof now);
        buf_add(ret, head);
        json_array_foreach(json_object_get(status, "certificates"), i, c)
        {
                row(ret, c);
        }
        return buf_addf(ret, "</table><p><small>%s, version ", now) &&
                (text(ret, json_str(status, "version")), buf_add(ret, "</small>"));
}
