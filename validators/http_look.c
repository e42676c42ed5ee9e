/* One look at a token over HTTP: hop by hop, the last one by what was wanted there. */
#include "validators/http_look.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "validators/judgement.h"

#define BODY_LIMIT 128
#define SLOW_MS 5000
#define PKI_PATHS "/.well-known/pki-validation/"

struct seat {
        const struct http_evidence *x;
        const struct http_look *look;
        const struct http_hop *hop;
        char at[ADDRESS_TEXT];
        struct judgements *out;
};

const char *http_header_of(const struct http_hop *h, const char *name)
{
        for (size_t i = 0; i < h->header_count; i++)
                if (text_equal_nocase(h->headers[i].name, name))
                        return h->headers[i].value;
        return NULL;
}

const struct http_hop *http_last_hop(const struct http_look *l)
{
        return &l->hops[l->count - 1];
}

bool http_dial_failed(const struct http_look *l)
{
        return l->hops[0].fault != HTTP_ANSWERED && l->hops[0].fault < HTTP_FAULTS_OF_DIAL;
}

bool http_is_v6(const struct http_look *l)
{
        return l->address.family == AF_INET6;
}

/* Case aside; body is not NUL-terminated. */
static bool body_has(const struct http_hop *h, const char *text)
{
        size_t n = strlen(text);
        for (size_t i = 0; i + n <= h->body_len; i++)
                if (strncasecmp((const char *)h->body + i, text, n) == 0)
                        return true;
        return false;
}

static bool header_has(const struct http_hop *h, const char *name, const char *text)
{
        const char *value = http_header_of(h, name);
        return value && strcasestr(value, text);
}

static struct judgement_words words(const struct seat *s, const char *fix)
{
        return (struct judgement_words){ s->hop->url, fix, NULL, NULL };
}

/* ---- no answer ---- */

static const char *const fault_texts[HTTP_FAULT_COUNT] = {
        [HTTP_REFUSED] = "connection refused",
        [HTTP_UNREACHABLE] = "no route to it",
        [HTTP_CONNECT_TIMEOUT] = "timeout during connect (likely a firewall)",
        [HTTP_RESET] = "the connection was reset",
        [HTTP_READ_TIMEOUT] = "connected, but no answer in time (slow or overloaded)",
        [HTTP_GARBAGE] = "what came is not HTTP",
        [HTTP_NOT_TLS] = "it speaks plain HTTP where TLS is expected",
        [HTTP_TLS_OLD] = "it offers nothing newer than TLS 1.1",
        [HTTP_TLS_FAILED] = "the TLS handshake fails",
        [HTTP_NO_ADDRESS] = "the host has no address",
};

static bool is_h2(const struct http_hop *h)
{
        return h->body_len >= 9 && h->body[0] == 0 && h->body[1] == 0 && h->body[3] == 4;
}

static bool is_tls(const struct http_hop *h)
{
        return h->body_len >= 2 && (h->body[0] == 0x15 || h->body[0] == 0x16) && h->body[1] == 3;
}

static bool is_cdn(const struct http_hop *h);

static bool behind_cdn(const struct http_look *l)
{
        for (size_t i = 0; i < l->count; i++)
                if (is_cdn(&l->hops[i]))
                        return true;
        return false;
}

static const char *fault_id(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        if (h->fault == HTTP_GARBAGE && is_h2(h))
                return "H20";
        if ((h->fault == HTTP_GARBAGE && is_tls(h)) || h->fault == HTTP_NOT_TLS)
                return "H19";
        if (h->fault == HTTP_TLS_OLD)
                return "H22";
        if (h->fault == HTTP_TLS_FAILED)
                return behind_cdn(s->look) ? "H27" : "H24";
        if (h > s->look->hops)
                return "H24";
        return http_is_v6(s->look) ? "H04" : "H05";
}

static const struct {
        const char *id, *fix;
} fault_fixes[] = {
        { "H04", "open port 80 over IPv6 to this host, or remove the AAAA record until it works" },
        { "H05", "open port 80 to this host in the firewall, forward it in the router, and start the web server" },
        { "H19",
                "let port 80 speak plain HTTP and 443 TLS (nginx: `listen 80;` without ssl), and redirect http to "
                "https, not the other way" },
        { "H20", "disable HTTP/2 on port 80 (nginx: no http2 on `listen 80`)" },
        { "H22", "enable TLS 1.2 (nginx: ssl_protocols TLSv1.2 TLSv1.3;)" },
        { "H24", "serve the token on the host of the redirect, or take the path off the redirect: " HTTP_NGINX_LINES },
        { "H27", "wait until the CDN has its certificate, or let it use plain HTTP to the origin for the path" },
};

static bool judge_fault(const struct seat *s)
{
        const char *id = fault_id(s), *fix = "", *text = s->hop->error ? s->hop->error : fault_texts[s->hop->fault];
        for (size_t i = 0; i < ARRAY_LEN(fault_fixes); i++)
                if (strcmp(fault_fixes[i].id, id) == 0)
                        fix = fault_fixes[i].fix;
        if (strcmp(id, "H04") == 0 && http_is_of_address(s->x))
                fix = "open port 80 over IPv6 to this host, and start the web server";
        if (strcmp(id, "H20") == 0)
                text = "it speaks HTTP/2 only";
        else if (strcmp(id, "H19") == 0 && s->hop->fault == HTTP_GARBAGE)
                text = "it speaks TLS where plain HTTP is expected";
        bool dead = strcmp(id, "H04") == 0 || strcmp(id, "H05") == 0;
        if (dead && s->hop->fault == HTTP_RESET)
                fix = "a firewall or the web server ends the connection: look at the logs of both";
        else if (dead && s->hop->fault >= HTTP_FAULTS_OF_DIAL)
                fix = "the port is open, and nobody answers there: look at the load and the log of the web server";
        bool bracketed = s->look->address.family == AF_INET6;
        CLEANUP(free_p)
        char *tried = text_format("%s; try: curl -v --connect-to ::%s%s%s: %s", fix, bracketed ? "[" : "", s->at,
                bracketed ? "]" : "", s->hop->url);
        judge(s->out, id, words(s, dead && tried ? tried : fix), "%s %s%s: %s", http_is_v6(s->look) ? "IPv6" : "IPv4",
                s->at, s->hop > s->look->hops ? ", after its redirect" : "", text);
        return false;
}

/* ---- redirects ---- */

bool http_is_redirect(int status)
{
        return status == 301 || status == 302 || status == 307 || status == 308;
}

static bool was_seen(const struct http_look *l, const char *url)
{
        for (size_t i = 0; i < l->count; i++)
                if (strcmp(l->hops[i].url, url) == 0)
                        return true;
        return false;
}

static bool judge_redirect(const struct seat *s)
{
        const char *id, *location = http_header_of(s->hop, "Location");
        CLEANUP(free_p) char *url = NULL;
        if (s->x->pki_validation) {
                judge(s->out, "H34",
                        (struct judgement_words){ s->hop->url,
                                "take " PKI_PATHS " off the redirect (nginx: location ^~ " PKI_PATHS
                                " { root /var/www/html; }), or serve the file over https at this very name",
                                location, NULL },
                        "%s: %s answers with a redirect (%d): this CA wants the file itself, over http or https", s->at,
                        s->hop->url, s->hop->status);
                return false;
        }
        if (!http_is_redirect(s->hop->status)) {
                judge(s->out, "H15", words(s, "redirect with 301, 302, 307 or 308, or not at all: " HTTP_NGINX_LINES),
                        "%s: the redirect status %d is not allowed", s->at, s->hop->status);
                return false;
        }
        const char *why = http_redirect_fault(s->hop->url, location, s->x, &id, &url);
        if (why) {
                judge(s->out, id,
                        (struct judgement_words){ s->hop->url,
                                strcmp(id, "H17") == 0 ? "add the slash (nginx: return 301 https://$host$request_uri;)"
                                                       : "redirect to a public name on port 80 or 443, or not at "
                                                         "all: " HTTP_NGINX_LINES,
                                location, NULL },
                        "%s: the redirect to %s is refused: %s", s->at, location ? location : "nowhere", why);
                return false;
        }
        if (s->look->count > HTTP_REDIRECTS_MAX || (url && was_seen(s->look, url))) {
                struct judgement_words w = { s->hop->url, "take the path off the redirect: " HTTP_NGINX_LINES, location,
                        NULL };
                if (s->look->count > HTTP_REDIRECTS_MAX)
                        judge(s->out, "H18", w, "%s: too many redirects (CAs follow %d)", s->at, HTTP_REDIRECTS_MAX);
                else
                        judge(s->out, "H18", w, "%s: a redirect loop: %s leads to %s, where it was before", s->at,
                                s->hop->url, url);
                return false;
        }
        judge(s->out, "H24",
                (struct judgement_words){
                        s->hop->url, "take the path off the redirect: " HTTP_NGINX_LINES, location, NULL },
                "%s: the redirect to %s leads to no answer", s->at, location);
        return false;
}

/* ---- the last answer ---- */

static bool is_filter(const struct http_hop *h)
{
        static const int codes[] = { 401, 403, 406, 429 };
        static const char *const marks[] = { "acme-protocol", "/aes.js", "toNumbers", "cf-chl-",
                "Attention Required! | Cloudflare" };
        for (size_t i = 0; i < ARRAY_LEN(codes); i++)
                if (h->status == codes[i])
                        return true;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++)
                if (body_has(h, marks[i]))
                        return true;
        return header_has(h, "cf-mitigated", "challenge") || http_header_of(h, "x-sucuri-block") != NULL;
}

static bool is_http_on_tls(const struct http_hop *h)
{
        return h->status == 497 ||
                (h->status == 400 &&
                        (body_has(h, "HTTPS port") || body_has(h, "to an HTTPS server") ||
                                body_has(h, "speaking plain HTTP to an SSL")));
}

static bool is_cached(const struct http_hop *h)
{
        const char *age = http_header_of(h, "Age");
        return (age && strcmp(age, "0") != 0) || header_has(h, "X-Cache", "hit") ||
                header_has(h, "CF-Cache-Status", "hit");
}

bool http_other_host(const struct http_evidence *x, const struct http_look *l, const struct http_hop *h)
{
        CLEANUP(free_p) char *prefix = text_format("http://%s/", x->name);
        CLEANUP(free_p) char *secure = text_format("https://%s/", x->name);
        return h > l->hops && prefix && secure && strncasecmp(h->url, prefix, strlen(prefix)) != 0 &&
                strncasecmp(h->url, secure, strlen(secure)) != 0;
}

/* What a status other than the wanted one means. */
static bool judge_status(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        if (is_filter(h))
                judge(s->out, "H10",
                        words(s,
                                "exempt " HTTP_TOKEN_PATHS
                                " from the firewall, the bot filter and passwords: " HTTP_NGINX_LINES),
                        "%s: a firewall, bot filter or password answered with %d", s->at, h->status);
        else if (is_http_on_tls(h))
                judge(s->out, "H19", words(s, "mend the virtual host: port 80 without TLS, 443 with it"),
                        "%s mixes HTTP and TLS (status %d)", s->at, h->status);
        else if (h->status == 404 && is_cached(h))
                judge(s->out, "H28",
                        words(s, "purge the path at the CDN, and have nobody ask for a token before it is published"),
                        "%s: a cache answers with an old 404", s->at);
        else if (http_other_host(s->x, s->look, h))
                judge(s->out, "H24",
                        words(s, "serve the token there, or take the path off the redirect: " HTTP_NGINX_LINES),
                        "%s redirects to %s, which answers %d", s->at, h->url, h->status);
        else if (s->look->purpose == HTTP_RANDOM)
                judge(s->out, "H09",
                        words(s,
                                "mend what fails there (the log of the web server says it), so that the files of the "
                                "web root are served: " HTTP_NGINX_LINES),
                        "%s gave %d for a token that does not exist, where 404 is healthy: %s", s->at, h->status,
                        h->url);
        else
                judge(s->out, "H09", words(s, "serve the file with status 200: " HTTP_NGINX_LINES), "%s gave %d for %s",
                        s->at, h->status, h->url);
        return false;
}

static bool is_space(uint8_t c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool judge_body(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        const char *wanted = s->x->wanted;
        size_t n = h->body_len, len = strlen(wanted), same = 0;
        CLEANUP(free_p) char *seen = text_dup_n((const char *)h->body, n < 80 ? n : 80);
        struct judgement_words w = { h->url, "write the file again, exactly as given, without anything before or after",
                seen, wanted };
        if (n >= 3 && memcmp(h->body, "\xef\xbb\xbf", 3) == 0) {
                w.fix = "save the file as plain ASCII, without byte-order mark";
                judge(s->out, "H12", w, "%s: the file begins with a byte-order mark", s->at);
                return false;
        }
        if (h->body_size >= BODY_LIMIT) {
                w.fix = "serve the bare file: no banner, no HTML, no error page with 200";
                judge(s->out, "H14", w, "%s: the answer is too long (%zu bytes; CAs read less than 128)", s->at,
                        h->body_size);
                return false;
        }
        while (n > 0 && is_space(h->body[n - 1]))
                n--;
        while (same < n && same < len && h->body[same] == (uint8_t)wanted[same])
                same++;
        if (same < n || same < len) {
                judge(s->out, "H11", w,
                        "%s: the file has %zu bytes, wanted are %zu; the first difference is at byte %zu", s->at,
                        h->body_len, len, same);
                return false;
        }
        if (n < h->body_len)
                judge(s->out, "H13", (struct judgement_words){ h->url, "nothing has to be done", NULL, NULL },
                        "%s: harmless white space at the end of the file", s->at);
        return true;
}

static bool is_router(const struct http_hop *h)
{
        static const char *const marks[] = { "micro_httpd", "cisco-IOS", "LANCOM", "Mini web server" };
        for (size_t i = 0; i < ARRAY_LEN(marks); i++)
                if (header_has(h, "Server", marks[i]))
                        return true;
        return false;
}

static bool judge_pki(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        CLEANUP(free_p) char *seen = text_dup_n((const char *)h->body, h->body_len < 80 ? h->body_len : 80);
        if (h->status >= 200 && h->status <= 299 && body_has(h, s->x->wanted))
                return true;
        judge(s->out, "H34",
                (struct judgement_words){ h->url,
                        "place the file with exactly this content and serve it with status 200", seen, s->x->wanted },
                "%s: %s gave %d, expected %s", s->at, h->url, h->status, s->x->wanted);
        return false;
}

static bool judge_random(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        if (h->status == 404 || h->status == 410)
                return !is_cached(h) || judge_status(s);
        if (h->status < 200 || h->status > 299 || is_filter(h))
                return judge_status(s);
        judge(s->out, "H30", words(s, "answer 404 for tokens that do not exist: " HTTP_NGINX_LINES),
                "%s: any path below " HTTP_TOKEN_PATHS " answers %d", s->at, h->status);
        return true;
}

static bool judge_final(const struct seat *s)
{
        if (s->hop->status >= 300 && s->hop->status <= 399)
                return judge_redirect(s);
        if (s->look->purpose == HTTP_RANDOM || !s->x->wanted)
                return judge_random(s);
        if (s->x->pki_validation)
                return judge_pki(s);
        return s->hop->status == 200 && !is_filter(s->hop) ? judge_body(s) : judge_status(s);
}

/* ---- what is worth a word on any hop ---- */

static const struct {
        const char *name, *header, *mark;
} cdns[] = {
        { "Cloudflare", "CF-Ray", "" },
        { "Cloudflare", "Server", "cloudflare" },
        { "CloudFront", "X-Amz-Cf-Id", "" },
        { "Fastly", "X-Served-By", "cache-" },
        { "Akamai", "Server", "AkamaiGHost" },
        { "Tencent EdgeOne", "EO-LOG-UUID", "" },
        { "Tencent CDN", "X-NWS-LOG-UUID", "" },
        { "Varnish", "Via", "varnish" },
};

static const char *cdn_of(const struct http_hop *h)
{
        for (size_t i = 0; i < ARRAY_LEN(cdns); i++)
                if (header_has(h, cdns[i].header, cdns[i].mark))
                        return cdns[i].name;
        return NULL;
}

static bool is_cdn(const struct http_hop *h)
{
        return cdn_of(h) != NULL;
}

static void remark(const struct seat *s)
{
        const struct http_hop *h = s->hop;
        if (h->first_byte_ms > SLOW_MS)
                judge(s->out, "H25",
                        words(s, "have the web server answer this path by itself, without the application"),
                        "%s: %u.%u s to the first byte; CAs stop near 10 s", s->at, h->first_byte_ms / 1000,
                        h->first_byte_ms % 1000 / 100);
        if (h->certificate_fault)
                judge(s->out, "H21", words(s, "CAs ignore it; renew it for the users' sake"),
                        "%s: the certificate of %s is not good: %s", s->at, h->url, h->certificate_fault);
        if (is_cdn(h))
                judge(s->out, "H26", words(s, "bypass the cache for " HTTP_TOKEN_PATHS ", or validate through DNS"),
                        "%s: %s stands before the web server", s->at, cdn_of(h));
        if (is_router(h))
                judge(s->out, "H29", words(s, "forward port 80 of the router to the web server"),
                        "%s: a router answers on port 80 (%s)", s->at, http_header_of(h, "Server"));
}

bool http_judge_look(const struct http_evidence *x, const struct http_look *l, struct judgements *out)
{
        struct seat s = { .x = x, .look = l, .out = out };
        address_text(&l->address, false, s.at);
        for (size_t i = 0; i < l->count; i++) {
                s.hop = &l->hops[i];
                if (s.hop->fault == HTTP_ANSWERED)
                        remark(&s);
        }
        if (s.hop->fault != HTTP_ANSWERED)
                return judge_fault(&s);
        return judge_final(&s);
}

/* ---- the looks against each other ---- */
