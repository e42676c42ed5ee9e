/* One signed request: nonce, signature, answer. A refused nonce is no failure: the same request goes again, signed
 * anew, a bounded number of times. A lost answer is repeated only where that harms nobody; libcurl repeats nothing
 * (net/http.h). Redirects are refused: the signature covers the URL. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/link.h"
#include "agent/ca/acme/problem.h"
#include "agent/net/ca_requests.h"
#include "agent/net/http.h"
#include "agent/pki/jws.h"

#define NONCE_TRIES 64 /* even where nine of ten are refused, one request in a thousand runs out of them */
#define NONCE_AGE_MS (30 * 60 * 1000)
#define NONCE_LEN_MAX 256
#define NO_NONCE "acme.nonce"
#define LOST_TRIES 2
#define ANSWER_MAX (512 * 1024)
#define RETRY_MAX_S 86400
#define CLOCK_OFF_S 60
#define JSON_DEPTH 16

struct acme_request {
        struct acme_seat seat; /* first */
        struct acme_request *next;
        struct ca_call *op;
        struct http_call *http;
        const char *action;
        char *what, *url, *payload, *accept;
        enum acme_sign sign;
        struct key *key;
        bool repeat;
        unsigned refused, lost;
        bool nonce_gone; /* newNonce was not where the directory says */
        const size_t *place; /* in the directory, of url as that was before; NULL: it goes nowhere else */
        struct err *why; /* the directory was asked again for; NULL: it was not */
        acme_answer_fn *fn;
        void *tag;
};

static bool go(struct acme_request *r, struct err *e);
static bool start(struct acme_request *r, struct http_request *q, http_done_fn *done, struct err *e);

/* ---- nonces ---- */

void acme_nonces_drop(struct ca *ca)
{
        for (size_t i = 0; i < ca->nonce_count; i++)
                free(ca->nonce[i].text);
        ca->nonce_count = 0;
}

bool acme_nonce_is_good(const char *text)
{
        size_t len = text ? strlen(text) : 0;
        return len > 0 && len <= NONCE_LEN_MAX &&
                strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static void nonce_put(struct ca *ca, const char *text)
{
        if (!acme_nonce_is_good(text))
                return;
        if (ca->nonce_count == ACME_NONCES_MAX) {
                free(ca->nonce[0].text);
                memmove(&ca->nonce[0], &ca->nonce[1], --ca->nonce_count * sizeof ca->nonce[0]);
        }
        char *copy = text_dup(text);
        if (!copy)
                return;
        ca->nonce[ca->nonce_count].text = copy;
        ca->nonce[ca->nonce_count++].at_ms = clock_boot_ms();
}

/* The newest; the caller frees. NULL: none that is young enough. */
static char *nonce_take(struct ca *ca)
{
        if (ca->nonce_count == 0)
                return NULL;
        if (clock_boot_ms() - ca->nonce[ca->nonce_count - 1].at_ms > NONCE_AGE_MS) {
                acme_nonces_drop(ca);
                return NULL;
        }
        return ca->nonce[--ca->nonce_count].text;
}

/* ---- where to ---- */

/* Only a directory that the configuration itself names by http (on this machine) may lead to places by http. */
static bool may_be_plain(const struct ca *ca)
{
        return text_starts(ca->directory_url, "http://") && !acme_origin_is_open(ca->origin);
}

bool acme_url_allowed(const struct ca *ca, const char *url, struct err *e)
{
        CLEANUP(free_p) char *origin = acme_origin(url);
        if (text_starts(url, "http://") && !may_be_plain(ca))
                return err_set(
                        e, ERR_PROTOCOL, "acme.http", "%s sends us to %.200s, which is not https", ca->name, url);
        if (origin && (strcmp(origin, ca->origin) == 0 || texts_has(&ca->directory.hosts, origin)))
                return true;
        err_set(e, ERR_PROTOCOL, "acme.host", "%s sends us to %.200s, a host that its directory does not name",
                ca->name, url);
        return false;
}

/* ---- ends ---- */

static void request_free(struct acme_request *r)
{
        http_cancel(r->http);
        free(r->what);
        free(r->url);
        free(r->payload);
        free(r->accept);
        free(r->why);
        free(r);
}

static void unlist(struct acme_request *r)
{
        for (struct acme_request **at = &r->op->requests; *at; at = &(*at)->next)
                if (*at == r) {
                        *at = r->next;
                        return;
                }
}

void acme_requests_cancel(struct ca_call *op)
{
        while (op->requests) {
                struct acme_request *r = op->requests;
                op->requests = r->next;
                acme_turn_end(&op->ca->turns, &r->seat);
                request_free(r);
        }
}

/* The callback may free the operation, even the CA: nothing of them is touched afterwards. */
static void finish(struct acme_request *r, const struct acme_answer *a, const struct err *err)
{
        unlist(r);
        acme_turn_end(&r->op->ca->turns, &r->seat);
        ca_requests_count(r->op->ca->name, r->action, err);
        r->fn(r->op, r->tag, a, err);
        request_free(r);
}

/* ---- answers ---- */

/* Renewal times and validity hang on it (RFC 9773 section 6); said once until it is right again. */
static void note_clock(struct ca *ca, int64_t date_s)
{
        int64_t off_s = date_s - clock_now_s();
        char span[40];
        bool wrong = off_s > CLOCK_OFF_S || off_s < -CLOCK_OFF_S;
        if (wrong && !ca->clock_told) {
                format_span(off_s > 0 ? off_s : -off_s, span, sizeof span);
                log_warning(ca->name, "this host's clock is %s %s by the CA's; set it: timedatectl set-ntp true", span,
                        off_s > 0 ? "slow" : "fast");
        }
        ca->clock_told = wrong;
}

static void note_server(struct ca *ca, const struct http_answer *a)
{
        const char *date = http_answer_header(a, "date");
        int64_t s;
        if (date && parse_http_date(date, &s)) {
                ca->server_time_s = s;
                ca->server_time_ms = clock_boot_ms();
                note_clock(ca, s);
        }
        if (a->total_us > 0 && (ca->quickest_us == 0 || a->total_us < ca->quickest_us))
                ca->quickest_us = a->total_us;
        nonce_put(ca, http_answer_header(a, "replay-nonce"));
}

static int64_t retry_after_of(const struct http_answer *a)
{
        const char *text = http_answer_header(a, "retry-after");
        int64_t s;
        if (!text || !parse_retry_after(text, clock_now_s(), &s))
                return -1;
        return MIN(MAX(s, 1), RETRY_MAX_S);
}

static bool again(struct acme_request *r)
{
        struct err e;
        if (go(r, &e))
                return true;
        finish(r, NULL, &e);
        return true;
}

/* ---- a directory that is not true any more ---- */

static char **endpoint(struct ca *ca, const size_t *place)
{
        return (char **)((char *)&ca->directory + *place);
}

/* Those whose requests do not name their own URL inside, as keyChange and a bound newAccount do; NULL: none of them. */
static const size_t *place_of(const struct acme_request *r)
{
        static const size_t places[] = { offsetof(struct acme_directory, new_order),
                offsetof(struct acme_directory, revoke_cert) };
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                const char *url = *endpoint(r->op->ca, &places[i]);
                if (url && strcmp(url, r->url) == 0)
                        return &places[i];
        }
        return NULL;
}

/* What was asked for is elsewhere now, or really is not there. */
static bool follow(struct acme_request *r, struct err *e)
{
        const char *url = r->place ? *endpoint(r->op->ca, r->place) : NULL;
        if (!url || strcmp(url, r->url) == 0) {
                *e = *r->why;
                return r->nonce_gone;
        }
        char *copy = text_dup(url);
        if (!copy)
                return err_memory(e);
        free(r->url);
        r->url = copy;
        return true;
}

static void directory_answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct acme_request *r = arg;
        CLEANUP(json_decref_p) json_t *doc = NULL;
        struct err e = *r->why;
        r->http = NULL;
        if (err || a->status != 200 || !json_read(a->body, a->body_len, JSON_DEPTH, &doc, NULL) || !json_is_object(doc))
                return finish(r, NULL, &e);
        if (!acme_directory_take(r->op->ca, doc, &e) || !follow(r, &e))
                return finish(r, NULL, &e);
        (void)again(r);
}

/* A place of the directory answers 404 (why): the CA did nothing yet. The directory is read anew, once for each
 * request, which goes where it says then; what cannot go on fails, and the next one finds the new place. */
static bool ask_where(struct acme_request *r, const struct err *why)
{
        static const char *const headers[] = { "Accept: application/json", NULL };
        struct http_request q = { .method = "GET", .url = r->op->ca->directory_url, .headers = headers };
        struct err e;
        r->op->ca->directory_ms = 0;
        if (r->why || !(r->why = malloc(sizeof *r->why)))
                return false;
        *r->why = *why;
        r->place = place_of(r);
        return start(r, &q, directory_answered, &e);
}

/* RFC 8555 section 6.6: a page about the limit that was met. */
static void name_help(const struct http_answer *a, struct err *e)
{
        struct texts pages = { 0 };
        if (e->kind == ERR_RATE_LIMITED && !e->fix[0] && acme_links(a, "help", &pages) && pages.count > 0)
                err_fix(e, "see %.250s", pages.item[0]);
        texts_done(&pages);
}

/* RFC 8555 section 7.3.3: terms that changed are in a Link where no page is named to agree on. */
static void name_terms(const struct ca *ca, const struct http_answer *a, struct err *e)
{
        struct texts pages = { 0 };
        bool person = strcmp(e->code, "acme.userActionRequired") == 0 || strcmp(e->code, "acme.agreementRequired") == 0;
        if (!person || e->fix[0])
                return;
        bool linked = acme_links(a, "terms-of-service", &pages) && pages.count > 0;
        if (linked || ca->directory.terms)
                err_fix(e, "read %.250s and agree to it", linked ? pages.item[0] : ca->directory.terms);
        texts_done(&pages);
}

static bool is_place(const struct acme_request *r, const char *url)
{
        return url && strcmp(url, r->url) == 0;
}

/* Of the account, not of what it asks for: that its orders, its own page and its key are refused. */
static bool is_of_account(const struct acme_request *r, const char *detail)
{
        const struct ca *ca = r->op->ca;
        return is_place(r, ca->directory.new_order) || is_place(r, ca->directory.key_change) ||
                is_place(r, ca->account.url) || (detail && strstr(detail, "deactivated"));
}

/* Looked for, or made anew, at the next try, once: a CA that does not know it then either has refused for good. */
static void account_is_unknown(struct ca *ca, struct err *e)
{
        bool again = ca->conf->terms_agreed && !ca->account.forgotten;
        acme_account_forget(ca);
        if (again)
                e->kind = ERR_TEMPORARY;
        else if (ca->conf->terms_agreed)
                acme_account_fix(ca, false, e);
}

/* What was asked for may have been done all the same. What may be repeated is asked for again; a write that spends
 * something is resolved by reading. */
static void note_unreadable(const struct acme_request *r, struct err *e)
{
        snprintf(e->code, sizeof e->code, "%s", ACME_UNREADABLE);
        e->kind = r->repeat ? ERR_TEMPORARY : ERR_UNKNOWN;
}

/* No ACME server refuses without a type what it could read: somebody before it did (a firewall, a balancer), and its
 * page is as good as one in the place of an answer. 404 may be the CA's all the same: what is asked for is gone, or its
 * place has moved; 408, 429 and what is above say themselves that they pass, 501 that it cannot be done. Of what is
 * not signed, the directory, something else is likelier: its URL. */
static bool is_by_another(const struct acme_request *r, const char *type, int status)
{
        return r->sign != ACME_GET && !*type && status < 500 && status != 404 && status != 408 && status != 429;
}

static void note_another(const struct acme_request *r, struct err *e)
{
        note_unreadable(r, e);
        if (!e->fix[0])
                err_fix(e, "the CA gives no reason: look whether a proxy or firewall on the way refuses it");
}

static void refused(struct acme_request *r, const struct http_answer *a)
{
        struct ca *ca = r->op->ca;
        struct err e;
        CLEANUP(json_decref_p) json_t *doc = NULL;
        (void)json_read(a->body, a->body_len, JSON_DEPTH, &doc, NULL); /* a balancer's page says nothing we need */
        const char *type = acme_problem_type(doc);
        if (strcmp(type, "badNonce") == 0 && r->sign != ACME_GET) {
                char *fresh = nonce_take(ca); /* the one this answer brought */
                acme_nonces_drop(ca);
                nonce_put(ca, fresh);
                free(fresh);
                if (++r->refused < NONCE_TRIES && again(r))
                        return;
        }
        acme_problem(a->status, doc, retry_after_of(a), r->what, &e);
        if (strcmp(type, "badNonce") == 0)
                err_wrap(&e, "%s refused %u nonces in a row", ca->name, r->refused);
        if (strcmp(type, "accountDoesNotExist") == 0 && r->sign == ACME_KID)
                account_is_unknown(ca, &e);
        if (strcmp(type, "unauthorized") == 0 && r->sign == ACME_KID && is_of_account(r, json_str(doc, "detail")))
                acme_account_fix(ca, is_place(r, ca->account.url), &e);
        if (strcmp(type, "badSignatureAlgorithm") == 0 && !r->key)
                acme_account_note_algorithms(ca, doc, &e);
        if (a->status == 404 && place_of(r) && ask_where(r, &e))
                return;
        if (a->status == 404)
                ca->directory_ms = 0; /* its endpoints may have moved */
        if (is_by_another(r, type, a->status))
                note_another(r, &e);
        name_help(a, &e);
        name_terms(ca, a, &e);
        acme_limit_note(ca, is_place(r, ca->directory.new_account), &e); /* no account: no order at all */
        finish(r, NULL, &e);
}

static void accepted(struct acme_request *r, const struct http_answer *a)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *doc = NULL;
        bool good = r->accept || a->body_len == 0 || json_read(a->body, a->body_len, JSON_DEPTH, &doc, &e);
        const struct acme_answer answer = { .status = a->status,
                .json = doc,
                .body = a->body,
                .body_len = a->body_len,
                .location = http_answer_header(a, "location"),
                .retry_after_s = retry_after_of(a),
                .http = a };
        if (!good) {
                err_wrap(&e, "%s", r->what);
                if (e.kind == ERR_PROTOCOL) /* a balancer's page, a body cut short */
                        note_unreadable(r, &e);
                return finish(r, strcmp(e.code, ACME_UNREADABLE) == 0 ? &answer : NULL, &e);
        }
        if (r->sign == ACME_KID && !is_place(r, r->op->ca->account.url))
                r->op->ca->account.forgotten = false; /* it may act: known */
        finish(r, &answer, NULL);
}

/* Where it leads to is told, for whoever wrote the old place into the configuration. */
static void redirected(struct acme_request *r, const char *url, const struct http_answer *a)
{
        const char *to = http_answer_header(a, "location");
        struct err e;
        err_set(&e, ERR_PROTOCOL, "acme.redirect", "%s: %s answers with a redirect (%d)%s%.300s; %s", r->what, url,
                a->status, to ? " to " : "", to ? to : "",
                r->sign == ACME_GET ? "none is followed" : "a signed request follows none");
        finish(r, NULL, &e);
}

static void answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct acme_request *r = arg;
        struct err e;
        r->http = NULL;
        bool lost = err && err->kind == ERR_UNKNOWN && strcmp(err->code, "http.size") != 0; /* that comes again */
        if (lost && r->repeat && ++r->lost <= LOST_TRIES && again(r))
                return;
        if (err) {
                e = *err;
                if (e.kind == ERR_UNKNOWN && r->repeat)
                        e.kind = ERR_TEMPORARY;
                err_wrap(&e, "%s", r->what);
                return finish(r, NULL, &e);
        }
        note_server(r->op->ca, a);
        if (a->status >= 300 && a->status < 400)
                return redirected(r, r->url, a);
        if (a->status >= 400)
                return refused(r, a);
        accepted(r, a);
}

/* ---- sending ---- */

static struct key *signer(const struct acme_request *r)
{
        return r->key ? r->key : r->op->ca->account.key;
}

/* Nothing in it has to be escaped: what would be is no URL (acme_origin) and no nonce (acme_nonce_is_good). */
static char *header_text(const struct acme_request *r, const char *nonce, struct err *e)
{
        const struct key *key = signer(r);
        const char *alg = jws_algorithm(key);
        CLEANUP(free_p) char *jwk = NULL, *who = NULL;
        if (r->sign == ACME_JWK && !jwk_public(key, &jwk, e))
                return NULL;
        if (!jwk && !r->op->ca->account.url) { /* another request heard that the CA does not know it */
                err_set(e, ERR_TEMPORARY, "acme.account", "%s: the account at %s is being looked for again", r->what,
                        r->op->ca->name);
                return NULL;
        }
        who = jwk ? text_format("\"jwk\":%s", jwk) : text_format("\"kid\":\"%s\"", r->op->ca->account.url);
        char *header = who
                ? text_format("{\"alg\":\"%s\",%s,\"nonce\":\"%s\",\"url\":\"%s\"}", alg ? alg : "", who, nonce, r->url)
                : NULL;
        if (!header)
                err_memory(e);
        return header;
}

static bool start(struct acme_request *r, struct http_request *q, http_done_fn *done, struct err *e)
{
        q->timeout_ms = 60000;
        q->answer_max_bytes = ANSWER_MAX;
        q->allow_http = may_be_plain(r->op->ca);
        q->use_proxy = true;
        q->ca_bundle = r->op->ca->conf->ca_bundle;
        r->http = http_start(r->op->ca->env.http, q, done, r, e);
        return r->http != NULL;
}

static bool send_signed(struct acme_request *r, const char *nonce, struct err *e)
{
        CLEANUP(free_p) char *header = header_text(r, nonce, e), *body = NULL, *accept = NULL;
        if (!header || !jws_sign(signer(r), header, r->payload, &body, e))
                return false;
        accept = text_format("Accept: %s", r->accept ? r->accept : "application/json");
        if (!accept)
                return err_memory(e);
        /* No parameter after the type: some servers compare it letter by letter. */
        const char *const headers[] = { "Content-Type: application/jose+json", accept, NULL };
        struct http_request q = {
                .method = "POST", .url = r->url, .headers = headers, .body = body, .body_len = strlen(body)
        };
        return start(r, &q, answered, e);
}

static void nonce_answered(void *arg, const struct http_answer *a, const struct err *err)
{
        struct acme_request *r = arg;
        struct ca *ca = r->op->ca;
        struct err e;
        r->http = NULL;
        if (err && err->kind == ERR_UNKNOWN && ++r->lost <= LOST_TRIES && again(r))
                return;
        if (err) {
                e = *err;
                if (e.kind == ERR_UNKNOWN)
                        e.kind = ERR_TEMPORARY; /* nothing of ours was sent yet */
                err_wrap(&e, "%s: newNonce", r->what);
                return finish(r, NULL, &e);
        }
        note_server(ca, a);
        if (a->status >= 300 && a->status < 400)
                return redirected(r, ca->directory.new_nonce, a);
        CLEANUP(free_p) char *nonce = a->status < 300 ? nonce_take(ca) : NULL;
        if (!nonce && a->status >= 400) {
                acme_problem(a->status, NULL, retry_after_of(a), ca->directory.new_nonce, &e);
                err_wrap(&e, "%s: newNonce", r->what);
                if (is_by_another(r, "", a->status)) {
                        note_another(r, &e);
                        snprintf(e.code, sizeof e.code, "%s", NO_NONCE);
                        e.kind = ERR_TEMPORARY; /* nothing of ours was sent yet */
                        acme_unread(&ca->garble.nonce, &e);
                }
                r->nonce_gone = a->status == 404;
                if (r->nonce_gone && ask_where(r, &e))
                        return;
                acme_limit_note(ca, true, &e);
                return finish(r, NULL, &e);
        }
        if (!nonce) { /* a maintenance page, most likely; nothing of ours was sent yet */
                err_set(&e, ERR_PROTOCOL, NO_NONCE, "%s: newNonce: %s brought no usable nonce (%d)", r->what,
                        ca->directory.new_nonce, a->status);
                acme_unread(&ca->garble.nonce, &e);
                return finish(r, NULL, &e);
        }
        ca->garble.nonce.since_ms = 0;
        if (!send_signed(r, nonce, &e))
                finish(r, NULL, &e);
}

static bool go(struct acme_request *r, struct err *e)
{
        struct ca *ca = r->op->ca;
        if (r->sign == ACME_GET) {
                static const char *const headers[] = { "Accept: application/json", NULL };
                struct http_request q = { .method = "GET", .url = r->url, .headers = headers };
                return start(r, &q, answered, e);
        }
        CLEANUP(free_p) char *nonce = nonce_take(ca);
        if (nonce)
                return send_signed(r, nonce, e);
        struct http_request q = { .method = "HEAD", .url = ca->directory.new_nonce };
        return start(r, &q, nonce_answered, e);
}

static void go_now(struct acme_seat *s)
{
        (void)again((struct acme_request *)s);
}

bool acme_ask(struct ca_call *op, const struct acme_ask *ask, acme_answer_fn *fn, void *tag, struct err *e)
{
        bool now;
        if (!acme_url_allowed(op->ca, ask->url, e))
                return false;
        struct acme_request *r = calloc(1, sizeof *r);
        if (!r)
                return err_memory(e);
        *r = (struct acme_request){ .seat = { .turn = ask->turn, .go = go_now },
                .op = op,
                .action = ask->action,
                .what = text_dup(ask->what),
                .url = text_dup(ask->url),
                .payload = text_dup(ask->payload),
                .accept = text_dup(ask->accept),
                .sign = ask->sign,
                .key = ask->key,
                .repeat = ask->repeat,
                .fn = fn,
                .tag = tag };
        bool good = r->what && r->url && (r->payload || ask->sign == ACME_GET) && (r->accept || !ask->accept);
        if (!good)
                err_memory(e);
        good = good && acme_turn_wait(&op->ca->turns, &r->seat, op->ca->env.loop, &now, e) && (!now || go(r, e));
        if (!good) {
                acme_turn_end(&op->ca->turns, &r->seat);
                request_free(r);
                return false;
        }
        r->next = op->requests;
        op->requests = r;
        return true;
}
