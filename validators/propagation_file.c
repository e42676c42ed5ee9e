/* One look at one address of a host: is the file there, exactly, with status 200? Redirects are followed as far as the
 * CA would (http_goes_on), which for some is nowhere. */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/http_evidence.h"
#include "validators/propagation_internal.h"

#define LOOK_MS 10000
#define BODY_MAX (64 * 1024)

static bool ask(struct look *l, const char *url);

/* One newline at the end is tolerated by CAs; anything else differs. */
static bool same_body(const char *want, const char *body, size_t len)
{
        size_t n = strlen(want);
        if (len == n + 1 && body[n] == '\n')
                len = n;
        return len == n && memcmp(want, body, n) == 0;
}

/* Files of CAs without ACME: http or https, either suffices, and no redirect. */
static bool is_pki(const struct look *l)
{
        return text_starts(l->run->proof.path, "/.well-known/pki-validation/");
}

static char *first_url(const struct look *l)
{
        const struct proof *p = &l->run->proof;
        bool v6 = strchr(p->place, ':') != NULL;
        return text_format(
                "%s://%s%s%s%s", l->secure ? "https" : "http", v6 ? "[" : "", p->place, v6 ? "]" : "", p->path);
}

static bool begin(struct look *l, bool secure)
{
        l->secure = secure;
        texts_done(&l->trail);
        CLEANUP(free_p) char *url = first_url(l);
        return ask(l, url);
}

/* A verdict, unless the other scheme may still do. Where nobody answers there, what http said counts: a server without
 * https is no silent one. */
static void result(struct look *l, enum propagation_look what)
{
        bool other = is_pki(l) && what != LOOK_SEEN;
        if (other && !l->secure) {
                l->plain = what;
                l->plain_rcode = l->s.rcode;
                memcpy(l->plain_saw, l->s.saw, sizeof l->plain_saw);
                if (begin(l, true))
                        return;
        } else if (other && what == LOOK_SILENT && l->plain != LOOK_SILENT) {
                what = l->plain;
                l->s.rcode = l->plain_rcode;
                memcpy(l->s.saw, l->plain_saw, sizeof l->s.saw);
        }
        look_result(l, what);
}

static bool leads_on(struct look *l, const struct http_answer *a)
{
        const struct http_evidence rule = { .pki_validation = is_pki(l), .internal = l->run->internal };
        CLEANUP(free_p) char *url = NULL;
        const char *why;
        if (http_goes_on(&rule, &l->trail, a->status, http_answer_header(a, "location"), &url, &why))
                return ask(l, url);
        if (why)
                snprintf(l->s.saw, sizeof l->s.saw, "%d, a redirect to %.100s: %s", a->status,
                        a->redirect_url ? a->redirect_url : "?", why);
        return false;
}

static void judge_answer(struct look *l, const struct http_answer *a)
{
        bool same = same_body(l->run->proof.value, a->body, a->body_len);
        const char *at = l->trail.count > 1 ? l->trail.item[l->trail.count - 1] : "";
        l->s.rcode = a->status;
        l->s.rtt_us = a->total_us;
        if (leads_on(l, a))
                return;
        if (a->status == 200)
                snprintf(l->s.saw, sizeof l->s.saw, same ? "200" : "200 with another content (%zu bytes)", a->body_len);
        else if (a->status < 300 || a->status > 399)
                snprintf(l->s.saw, sizeof l->s.saw, "status %d%s%.120s", a->status, *at ? " at " : "", at);
        result(l, a->status == 200 ? (same ? LOOK_SEEN : LOOK_OTHER) : a->status == 404 ? LOOK_ABSENT : LOOK_ERROR);
}

static void answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct look *l = arg;
        l->http = NULL;
        if (!err) {
                l->silent = 0;
                return judge_answer(l, a);
        }
        snprintf(l->s.saw, sizeof l->s.saw, "%.*s", (int)sizeof l->s.saw - 1, err->text);
        if (!l->secure)
                l->silent++;
        result(l, LOOK_SILENT);
}

/* Redirects on the same host stay at this address, so that each is judged by itself; another host is looked up. */
static bool is_same_host(const struct look *l, const char *url)
{
        const char *host = strstr(url, "://");
        size_t n = strlen(l->run->proof.place);
        host = host ? host + 3 : url;
        host += *host == '[';
        return strncasecmp(host, l->run->proof.place, n) == 0 && strchr("/:]", host[n]) != NULL;
}

static bool ask(struct look *l, const char *url)
{
        struct err e;
        struct address at = l->s.address;
        at.port = 0; /* the URL's */
        struct http_request r = { .method = "GET",
                .url = url,
                .answer_max_bytes = BODY_MAX,
                .timeout_ms = LOOK_MS,
                .allow_http = true,
                .look = true,
                .pin = url && is_same_host(l, url) ? &at : NULL };
        bool good = url && texts_add(&l->trail, url);
        l->http = good ? http_start(l->run->engine->http, &r, answered, l, &e) : NULL;
        if (!l->http)
                snprintf(l->s.saw, sizeof l->s.saw, "cannot be asked");
        return l->http;
}

void look_file(struct look *l)
{
        if (!begin(l, false))
                look_later(l);
}
