#include "agent/alerts/notify_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

/* What happened, in few words. */
static void add_headline(struct buf *b, const struct notify_item *i)
{
        static const char *const words[] = {
                [EVENT_FAILED] = "failed",
                [EVENT_WAITING] = "waits for you",
                [EVENT_OPENED] = "a key is reported compromised",
                [EVENT_SERVED] = "the new certificate is served",
                [EVENT_STUCK] = "is behind its time",
                [EVENT_EXPIRING] = "nears its end and nothing renews it",
                [EVENT_DONE] = "is over",
        };
        if (i->incident)
                buf_addf(b, "incident %" PRId64, i->incident);
        if (i->cert)
                buf_addf(b, "%s%s", i->incident ? ", " : "", i->cert);
        if (!i->incident && !i->cert)
                buf_add(b, "dcvd");
        buf_addf(b, "%s %s", i->event == EVENT_OPENED || i->event == EVENT_SERVED ? ":" : "", words[i->event]);
}

static void add_look(struct buf *b, const struct notify_item *i)
{
        if (i->incident)
                buf_addf(b, "dcvctl incident %" PRId64, i->incident);
        else if (i->cert)
                buf_addf(b, "dcvctl status %s; dcvctl history %s", i->cert, i->cert);
        else
                buf_add(b, "dcvctl status");
}

/* A header line is ASCII: what is not becomes "?". */
static void add_subject(struct buf *b, const char *host, const struct notify_item *first, size_t count)
{
        struct buf line = { .max = 400 };
        buf_addf(&line, "[dcvd %s] ", host);
        if (count > 1)
                buf_addf(&line, "%zu notices, first: ", count);
        add_headline(&line, first);
        for (size_t i = 0; i < line.len; i++)
                if (line.data[i] < ' ' || line.data[i] > '~')
                        line.data[i] = '?';
        buf_addf(b, "Subject: %s\n", line.data ? line.data : "dcvd");
        buf_done(&line);
}

static void add_notice(struct buf *b, const struct notify_item *i)
{
        char when[40];
        format_time(i->at_s, when, sizeof when);
        add_headline(b, i);
        buf_addf(b, "\n\n  %s\n", i->text ? i->text : "");
        if (i->fix)
                buf_addf(b, "\nWhat to do:\n\n  %s\n", i->fix);
        buf_add(b, "\nLook closer:\n\n  ");
        add_look(b, i);
        buf_addf(b, "\n\n%s, event %s", when, conf_event_name(i->event));
        if (i->job)
                buf_addf(b, ", job %" PRId64, i->job);
        buf_addc(b, '\n');
}

bool notify_mail(struct buf *b, const char *host, const struct texts *to, const struct notify_item *first, size_t count)
{
        buf_add(b, "To: ");
        for (size_t i = 0; i < to->count; i++)
                buf_addf(b, "%s%s", i ? ", " : "", to->item[i]);
        buf_add(b, to->count ? "\n" : "root\n");
        add_subject(b, host, first, count);
        buf_addf(b,
                "Auto-Submitted: auto-generated\nX-Dcvd-Event: %s\nMIME-Version: 1.0\n"
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
                conf_event_name(first->event));
        for (size_t i = 0; i < count && first; i++, first = first->next) {
                if (i)
                        buf_add(b, "\n----\n\n");
                add_notice(b, first);
        }
        return !b->failed;
}

char *notify_json(const char *host, const struct notify_item *i)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_t *data = json_object();
        CLEANUP(buf_done) struct buf headline = { .max = 400 }, look = { .max = 400 }, type = { .max = 40 };
        char when[40];
        add_headline(&headline, i);
        add_look(&look, i);
        buf_addf(&type, "dcvd.%s", conf_event_name(i->event));
        format_time(i->at_s, when, sizeof when);
        json_put_text(data, "host", host);
        json_put_text(data, "headline", headline.data);
        json_put_text(data, "text", i->text);
        json_put_text(data, "fix", i->fix);
        json_put_text(data, "look", look.data);
        json_put_text(data, "certificate", i->cert);
        if (i->job)
                json_put_i64(data, "job", i->job);
        if (i->incident)
                json_put_i64(data, "incident", i->incident);
        json_put_text(o, "type", type.data);
        json_put_text(o, "timestamp", when);
        json_object_set_new(o, "data", data);
        return headline.failed || look.failed || type.failed ? NULL : json_text(o);
}
