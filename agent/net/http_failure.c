/* Why an exchange failed, as an error whose kind says what may follow. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/http_internal.h"

bool http_is_write(const struct http_call *c)
{
        return strcmp(c->method, "POST") == 0;
}

/* libcurl counts a proxy's CONNECT too: behind TLS nothing of ours
 * left before the handshake was over, which a connection that was warm already has behind it. */
bool http_may_have_arrived(const struct http_call *c)
{
        long sent = 0, connects = 0;
        curl_off_t handshake_us = 0;
        (void)curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
        (void)curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &connects);
        (void)curl_easy_getinfo(c->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
        return sent > 0 && !(c->tls && connects > 0 && handshake_us == 0);
}

/* Of a proxy, to CONNECT; 0: none came, or none was asked. */
static long connect_answer(const struct http_call *c)
{
        long answer = 0;
        (void)curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
        return answer;
}

static bool is_bad_certificate(CURLcode result)
{
        return result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_ISSUER_ERROR ||
                result == CURLE_SSL_INVALIDCERTSTATUS || result == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}

/* Good at another time: the clock that is wrong is mostly this machine's, and either side's mending lets it pass. */
static bool is_of_time(const char *why)
{
        return strstr(why, "has expired") || strstr(why, "not yet valid");
}

/* A proxy that speaks TLS shows its own first: the host's is seen once it let us through. */
static bool is_of_proxy(const struct http_call *c)
{
        return c->proxied && connect_answer(c) / 100 != 2;
}

static void bad_certificate(const struct http_call *c, const char *why, struct err *ret)
{
        char now[40];
        bool proxy = is_of_proxy(c);
        const char *whose = proxy ? "proxy " : "", *host = proxy ? c->proxy_host : c->host;
        err_set(ret, ERR_DENIED, "http.certificate", "%s%s: its TLS certificate does not verify: %s", whose, host, why);
        if (proxy)
                err_fix(ret, "mend proxy.url, or add the proxy's root to this host's (update-ca-certificates)");
        if (!is_of_time(why))
                return;
        format_time(clock_now_s(), now, sizeof now);
        err_set(ret, ERR_TEMPORARY, "http.certificate",
                "%s%s: its TLS certificate does not verify: %s; this machine's clock says %s", whose, host, why, now);
        err_fix(ret,
                "set the clock if it is wrong (timedatectl set-ntp true); else that server needs a new certificate");
}

/* CURLE_UNSUPPORTED_PROTOCOL: an answer without a status line would be HTTP/0.9. */
static bool is_no_http(CURLcode result)
{
        return result == CURLE_WEIRD_SERVER_REPLY || result == CURLE_UNSUPPORTED_PROTOCOL ||
                result == CURLE_BAD_CONTENT_ENCODING || result == CURLE_HTTP2;
}

/* A look says what a CA would have met. */
static const char *tls_code(const char *why)
{
        static const struct {
                const char *words, *code;
        } known[] = {
                { "wrong version number", "http.not-tls" },
                { "packet length too long", "http.not-tls" },
                { "http request", "http.not-tls" },
                { "unsupported protocol", "http.tls-old" },
                { "protocol version", "http.tls-old" },
        };
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (strcasestr(why, known[i].words))
                        return known[i].code;
        return "http.tls";
}

static const char *look_code(const struct http_call *c, CURLcode result, bool arrived, const char *why)
{
        long error = 0;
        curl_off_t connected_us = 0;
        (void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &error);
        (void)curl_easy_getinfo(c->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
        if (arrived)
                return result == CURLE_OPERATION_TIMEDOUT ? "http.silent" : "http.reset";
        if (result == CURLE_SSL_CONNECT_ERROR)
                return tls_code(why);
        if (result == CURLE_OPERATION_TIMEDOUT)
                return c->tls && connected_us > 0 ? "http.tls" : "http.timeout";
        return error == ECONNREFUSED                                                      ? "http.refused"
                : error == EHOSTUNREACH || error == ENETUNREACH || error == EADDRNOTAVAIL ? "http.unreachable"
                                                                                          : "http.connect";
}

#define PROXY_WANTS_LOGIN 407

/* What did not get through to the host may be the proxy's doing, which only its name can tell. Of an answer that is no
 * HTTP libcurl says "response 0", "aborted" or, where a line has no colon, "bad argument". */
static void name_proxy(const struct http_call *c, CURLcode result, struct err *e)
{
        long answer = connect_answer(c);
        if (answer == PROXY_WANTS_LOGIN)
                err_set(e, e->kind, "http.proxy-login", "%s: it wants a login (407), which dcvd does not have",
                        c->host);
        else if (result == CURLE_BAD_FUNCTION_ARGUMENT || (result == CURLE_RECV_ERROR && answer == 0))
                err_set(e, e->kind, e->code, "%s: it does not answer as an HTTP proxy does", c->host);
        err_wrap(e, "through proxy %s:%u", c->proxy_host, c->proxy_port);
        if (answer == PROXY_WANTS_LOGIN)
                err_fix(e, "have the proxy let this host through without a login, or name %s in proxy.except", c->host);
        else
                err_fix(e,
                        "see that this proxy runs and lets dcvd through, mend proxy.url, or name the host in "
                        "proxy.except");
}

void http_proxy_not_found(const struct http_call *c, struct err *e)
{
        err_wrap(e, "%s: the proxy %s was not found", c->host, c->proxy_host);
        err_fix(e, "mend proxy.url, or let a resolver of this host know that name");
}

/* libcurl says that it may not send the body again ("rewind"), which is our own wish, and nobody's trouble. */
static void lost(const struct http_call *c, CURLcode result, const char *why, struct err *ret)
{
        if (result == CURLE_SEND_FAIL_REWIND || result == CURLE_GOT_NOTHING)
                err_set(ret, ERR_UNKNOWN, "http.lost",
                        "%s: the request was sent, and the connection ended before the answer came", c->host);
        else
                err_set(ret, ERR_UNKNOWN, "http.lost", "%s: the request was sent, the answer was lost: %s", c->host,
                        why);
}

/* It did not come to speak with the host, not even to be shown its certificate. */
static void not_reached(const struct http_call *c, CURLcode result, const char *why, struct err *ret)
{
        err_set(ret, ERR_TEMPORARY, result == CURLE_OPERATION_TIMEDOUT ? "http.timeout" : "http.connect", "%s: %s",
                c->host, why);
        if (c->proxied)
                name_proxy(c, result, ret);
}

void http_failure(const struct http_call *c, CURLcode result, struct err *ret)
{
        bool arrived = http_may_have_arrived(c);
        const char *why = c->curl_error[0] ? c->curl_error : curl_easy_strerror(result);
        /* A bad answer to a write still leaves open what the write has done (I2). */
        enum err_kind bad_answer = arrived && http_is_write(c) ? ERR_UNKNOWN : ERR_PROTOCOL;
        if (c->too_large)
                err_set(ret, bad_answer, "http.size", "%s: the answer is larger than %zu bytes", c->host,
                        c->answer_max);
        else if (!arrived && is_bad_certificate(result))
                bad_certificate(c, why, ret);
        else if (!arrived && result == CURLE_SSL_CACERT_BADFILE)
                err_set(ret, ERR_CONFIG, "http.roots", "%s: the roots in %s cannot be read: %s", c->host,
                        c->ca_bundle ? c->ca_bundle : "the system's store", why);
        else if (arrived && is_no_http(result))
                err_set(ret, bad_answer, "http.protocol", "%s: %s", c->host, why);
        else if (arrived)
                lost(c, result, why, ret);
        else
                not_reached(c, result, why, ret);
        bool named = strcmp(ret->code, "http.lost") != 0 && strcmp(ret->code, "http.connect") != 0 &&
                strcmp(ret->code, "http.timeout") != 0;
        if (c->look && !named)
                snprintf(ret->code, sizeof ret->code, "%s", look_code(c, result, arrived, why));
}
