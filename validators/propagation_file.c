/* One look at one address of a host: is the file there, exactly, with status 200 and no redirect? */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/propagation_internal.h"

#define LOOK_MS 10000
#define BODY_MAX (64 * 1024)

/* One newline at the end is tolerated by CAs; anything else differs. */
static bool same_body(const char *want, const char *body, size_t len)
{
        size_t n = strlen(want);
        if (len == n + 1 && body[n] == '\n')
                len = n;
        return len == n && memcmp(want, body, n) == 0;
}

static void answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct look *l = arg;
        l->http = NULL;
        if (err) {
                snprintf(l->s.saw, sizeof l->s.saw, "%.*s", (int)sizeof l->s.saw - 1, err->text);
                l->silent++;
                return look_result(l, LOOK_SILENT);
        }
        l->silent = 0;
        l->s.rcode = a->status;
        l->s.rtt_us = a->total_us;
        bool same = same_body(l->run->proof.value, a->body, a->body_len);
        if (a->status == 200 && same) {
                snprintf(l->s.saw, sizeof l->s.saw, "200");
                return look_result(l, LOOK_SEEN);
        }
        if (a->status >= 300 && a->status < 400)
                snprintf(l->s.saw, sizeof l->s.saw, "%d, a redirect to %.120s", a->status,
                        a->redirect_url ? a->redirect_url : "?");
        else if (a->status == 200)
                snprintf(l->s.saw, sizeof l->s.saw, "200 with another content (%zu bytes)", a->body_len);
        else
                snprintf(l->s.saw, sizeof l->s.saw, "status %d", a->status);
        look_result(l, a->status == 200 ? LOOK_OTHER : a->status == 404 ? LOOK_ABSENT : LOOK_ERROR);
}

void look_file(struct look *l)
{
        struct err e;
        struct propagation *p = l->run;
        CLEANUP(free_p) char *url = text_format("http://%s%s", p->proof.place, p->proof.path);
        struct http_request r = { .method = "GET",
                .url = url,
                .answer_max_bytes = BODY_MAX,
                .timeout_ms = LOOK_MS,
                .allow_http = true,
                .look = true,
                .pin = &l->s.address };
        l->http = url ? http_start(p->engine->http, &r, answered, l, &e) : NULL;
        if (!l->http) {
                snprintf(l->s.saw, sizeof l->s.saw, "cannot be asked");
                look_later(l);
        }
}
