/* O04 and O05: who on this host listens where CAs begin, and is the token path answered by what the configuration says?
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"
#include "agent/deploy/listeners.h"
#include "validators/check_host.h"
#include "validators/http_hop.h"

/* The first of the name's addresses that is this host's; false: another machine listens. */
static bool own_address(const struct check_host_addresses *name, uint16_t port, struct address *ret)
{
        for (size_t i = 0; i < name->count; i++)
                if (check_host_owns(&name->list[i])) {
                        *ret = name->list[i];
                        ret->port = port;
                        return true;
                }
        return false;
}

/* ---- O04 ---- */

/* A port may be forwarded by the kernel, to a container for one, without a socket of this host's. */
static bool answers(struct check_context *c, const struct address *at, bool *ret_known)
{
        CLEANUP(free_p) char *url = text_format("http://%s/", c->base);
        const struct http_hop *h = url ? check_http_hop(c, url, at, NULL, NULL) : NULL;
        *ret_known = h;
        return h && h->fault != HTTP_REFUSED && h->fault != HTTP_UNREACHABLE;
}

static void run_listener(struct check_context *c, struct judgements *out)
{
        struct check_host_addresses name;
        struct address at;
        struct listener who;
        bool known, file = c->target->method == METHOD_FILE;
        if (!check_host_addresses(c, c->base, &name))
                return;
        if (!own_address(&name, file ? 80 : 443, &at))
                return judge_unverifiable(
                        out, "O04", c->name, "%s leads to another machine, or through a router", c->name);
        enum listener_state state = listener_at(&at, &who);
        if (state == LISTENER_UNKNOWN)
                return judge_unverifiable(out, "O04", c->name, "/proc/net does not show the listeners");
        if (state == LISTENER_THERE || (file && (answers(c, &at, &known) || !known)))
                return;
        char text[ADDRESS_TEXT];
        address_text(&at, false, text);
        judge(out, "O04",
                (struct judgement_words){ .subject = c->name,
                        .observed = text,
                        .fix = file ? "start the web server with a listener on port 80, or let dcvd answer itself: "
                                      "publisher `responder` and tokens.listen: [\"ADDRESS:80\"]"
                                    : "let dcvd answer itself: publisher `responder` and tokens.tls_listen: "
                                      "[\"ADDRESS:443\"]" },
                "nothing on this host listens at %s port %u, where CAs begin", text, at.port);
}

extern const struct check check_listener;
const struct check check_listener = { .ids = "O04",
        .stage = STAGE_REST,
        .scope = CHECK_NAME,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS | CHECK_FILE | CHECK_TLS_ALPN,
        .run = run_listener };

/* ---- O05 ---- */

struct door { /* where CAs come in */
        struct address at;
        char owner[LISTENER_OWNER]; /* "": not to be seen */
        char url[600]; /* a token that nobody published */
};

static const char *who_text(const struct door *d)
{
        return d->owner[0] ? d->owner : "the server on port 80";
}

/* Where dcvd itself would answer; false: nowhere that can be asked over TCP. ret_own: that is the very door. */
static bool responder_at(const struct texts *listen, const struct address *door, struct address *ret, bool *ret_own)
{
        bool found = false;
        *ret_own = false;
        for (size_t i = 0; i < listen->count; i++) {
                struct address a;
                if (!address_parse(listen->item[i], door->port, &a))
                        continue; /* unix:PATH, systemd */
                *ret_own = *ret_own || listener_takes(&a, door);
                *ret = found ? *ret : a;
                found = true;
        }
        return found;
}

static bool same_answer(const struct http_hop *a, const struct http_hop *b)
{
        const char *x = http_header_of(a, "Content-Type"), *y = http_header_of(b, "Content-Type");
        return a->status == b->status && a->body_len == b->body_len && strcmp(x ? x : "", y ? y : "") == 0 &&
                (a->body_len == 0 || memcmp(a->body, b->body, a->body_len) == 0);
}

static void judge_own_door(struct check_context *c, const struct door *d, const char *publisher, struct judgements *out)
{
        bool tls = d->at.port != 80;
        if (!d->owner[0])
                return judge_unverifiable(out, "O05", c->name,
                        "whose the listener on port %u is only root may see: sudo dcvctl check", d->at.port);
        if (strcmp(d->owner, "dcvd") == 0 || strcmp(d->owner, "systemd") == 0)
                return;
        judge(out, "O05",
                (struct judgement_words){ .subject = c->name,
                        .observed = d->owner,
                        .fix = tls ? "stop that server, or give dcvd another address under tokens.tls_listen and have "
                                     "the server on port 443 hand acme-tls/1 to it (nginx: stream with ssl_preread; "
                                     "haproxy: req.ssl_alpn)"
                                   : "stop that server, or give dcvd another address under tokens.listen and have the "
                                     "server on port 80 hand /.well-known/acme-challenge/ to it" },
                "port %u of %s is %s's, not dcvd's: publisher %s answers on tokens.%s, which names that very port",
                d->at.port, c->name, d->owner, publisher, tls ? "tls_listen" : "listen");
}

static void judge_handed_on(struct check_context *c, const struct door *d, const struct address *dcvd,
        const char *publisher, struct judgements *out)
{
        char place[ADDRESS_TEXT];
        address_text(dcvd, true, place);
        const struct http_hop *direct = check_http_hop(c, d->url, dcvd, NULL, NULL),
                              *there = check_http_hop(c, d->url, &d->at, NULL, NULL);
        if (!direct || !there)
                return;
        if (direct->fault != HTTP_ANSWERED)
                return judge_unverifiable(
                        out, "O05", c->name, "dcvd does not answer at %s (tokens.listen): does it run?", place);
        if (there->fault != HTTP_ANSWERED)
                return judge_unverifiable(out, "O05", c->name, "port 80 gives no answer that could be compared");
        if (there->status >= 300 && there->status <= 399)
                return judge_unverifiable(out, "O05", c->name,
                        "port 80 redirects the token path: group H follows it, and dcvctl rehearse proves it");
        if (same_answer(direct, there))
                return;
        CLEANUP(free_p)
        char *fix = text_format("hand the path to dcvd (nginx, in the server block of %s on port 80: location ^~ "
                                "/.well-known/acme-challenge/ { proxy_pass http://%s; })",
                c->base, place);
        judge(out, "O05", (struct judgement_words){ .subject = c->name, .observed = d->owner, .fix = fix },
                "%s answers the token path of %s itself (status %d) instead of handing it to dcvd at %s, where "
                "publisher %s would answer",
                who_text(d), c->name, there->status, place, publisher);
}

static void judge_responder(
        struct check_context *c, const struct door *d, const char *publisher, struct judgements *out)
{
        const struct conf *conf = c->target->conf;
        struct address dcvd;
        bool own;
        if (conf->tokens_listen.count == 0)
                return judge(out, "O05",
                        (struct judgement_words){ .subject = publisher,
                                .fix = "set tokens.listen: [\"127.0.0.1:8402\"] and have the server on port 80 hand "
                                       "/.well-known/acme-challenge/ to it, or [\"ADDRESS:80\"] if port 80 is free" },
                        "publisher %s lets dcvd answer, but tokens.listen is not set: nobody would serve the tokens "
                        "of %s",
                        publisher, c->name);
        if (!responder_at(&conf->tokens_listen, &d->at, &dcvd, &own))
                return judge_unverifiable(out, "O05", c->name,
                        "tokens.listen names no address that can be asked: dcvctl rehearse proves it");
        if (own)
                judge_own_door(c, d, publisher, out);
        else
                judge_handed_on(c, d, &dcvd, publisher, out);
}

/* A file that lies there already shows whether the web server looks into this directory. */
static void judge_web_root(struct check_context *c, const struct door *d, const char *publisher, const char *directory,
        struct judgements *out)
{
        CLEANUP(free_p) char *file = NULL;
        CLEANUP(free_p) char *content = NULL;
        size_t len = 0;
        if (strcmp(d->owner, "dcvd") == 0)
                return judge(out, "O05",
                        (struct judgement_words){ .subject = c->name,
                                .observed = d->owner,
                                .fix = "use a publisher of type responder, or let the web server have port 80" },
                        "port 80 of %s is dcvd's own: the files of publisher %s in %s are never served", c->name,
                        publisher, directory);
        if (!deploy_lying_file(directory, &file, &content, &len))
                return judge_unverifiable(out, "O05", c->name,
                        "no file lies in %s/.well-known/acme-challenge that could be compared: dcvctl rehearse proves "
                        "what is served",
                        directory);
        CLEANUP(free_p) char *url = text_format("http://%s/.well-known/acme-challenge/%s", c->base, file);
        const struct http_hop *h = url ? check_http_hop(c, url, &d->at, NULL, NULL) : NULL;
        if (!h)
                return;
        if (h->fault != HTTP_ANSWERED || (h->status >= 300 && h->status <= 399))
                return judge_unverifiable(out, "O05", c->name,
                        "port 80 gives no answer of its own for the token path: see group H; dcvctl rehearse proves "
                        "it");
        if (h->status == 200 && h->body_len == len && memcmp(h->body, content, len) == 0)
                return;
        CLEANUP(free_p)
        char *fix = text_format("serve the directory (nginx, in the server block of %s on port 80: location ^~ "
                                "/.well-known/acme-challenge/ { root %s; }), or correct `directory` of publisher %s",
                c->base, directory, publisher);
        judge(out, "O05", (struct judgement_words){ .subject = c->name, .observed = d->owner, .fix = fix },
                "%s does not serve %s: %s/.well-known/acme-challenge/%s is there, but %s answers %d%s", who_text(d),
                directory, directory, file, url, h->status, h->status == 200 ? " with another content" : "");
}

/* tls-alpn: dcvd alone answers it; whoever has the port must be dcvd, or hand it on. */
static void judge_tls(struct check_context *c, const struct door *d, const char *publisher, struct judgements *out)
{
        const struct texts *listen = &c->target->conf->tokens_tls_listen;
        struct address dcvd;
        bool own;
        if (listen->count == 0)
                judge(out, "O05",
                        (struct judgement_words){ .subject = publisher,
                                .fix = "set tokens.tls_listen: [\"ADDRESS:443\"], or another address and have the "
                                       "server "
                                       "on port 443 hand acme-tls/1 to it" },
                        "dcvd answers tls-alpn itself, but tokens.tls_listen is not set: nobody would answer for %s",
                        c->name);
        else if (responder_at(listen, &d->at, &dcvd, &own) && own)
                judge_own_door(c, d, publisher, out);
        else
                judge_unverifiable(out, "O05", c->name,
                        "whether the server on port 443 hands acme-tls/1 to tokens.tls_listen is only seen while a "
                        "challenge is there");
}

static void run_answerer(struct check_context *c, struct judgements *out)
{
        struct check_host_addresses name;
        struct door d = { 0 };
        struct listener who;
        const char *publisher = deploy_publisher_of(c->target, 0, c->name);
        const struct conf_backend *b = publisher ? config_publisher(c->target->conf, publisher) : NULL;
        const char *directory = deploy_web_root(b);
        bool tls = c->target->method == METHOD_TLS_ALPN;
        if (!tls && (!b || (!directory && strcmp(b->kind->type, "responder") != 0)))
                return judge_unverifiable(out, "O05", c->name, "publisher %s says by itself where its files go",
                        publisher ? publisher : "(none)");
        if (!check_host_addresses(c, c->base, &name))
                return;
        if (!own_address(&name, tls ? 443 : 80, &d.at))
                return judge_unverifiable(
                        out, "O05", c->name, "%s leads to another machine, or through a router", c->name);
        if (listener_at(&d.at, &who) == LISTENER_THERE)
                listener_owner(&who, d.owner);
        snprintf(d.url, sizeof d.url, "http://%s/.well-known/acme-challenge/%s", c->base, check_random_label(c));
        if (tls)
                judge_tls(c, &d, publisher ? publisher : "(dcvd)", out);
        else if (directory)
                judge_web_root(c, &d, publisher, directory, out);
        else
                judge_responder(c, &d, publisher, out);
}

extern const struct check check_answerer;
const struct check check_answerer = { .ids = "O05",
        .stage = STAGE_REST,
        .scope = CHECK_NAME,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS | CHECK_FILE | CHECK_TLS_ALPN,
        .run = run_answerer };
