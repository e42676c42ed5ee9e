/* Group H: what a CA would meet when it fetches a token, gathered address by address and judged in http_evidence.c.
 * Nothing is published for it: the path is a random one, so that 404 is the healthy answer; with --value the file that
 * should be there is fetched. Redirects are followed as far as a CA would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/check.h"
#include "validators/check_host.h"
#include "validators/http_evidence.h"
#include "validators/http_hop.h"

#define ADDRESSES_MAX 16
#define VARIED_MAX 2 /* addresses that are asked with other headers too */
#define HOPS_MAX (HTTP_REDIRECTS_MAX + 2) /* a host without an address is one too */
#define LOOKS_MAX (ADDRESSES_MAX + 2 * VARIED_MAX)
#define PKI "/.well-known/pki-validation/"
#define OTHER_AGENT "Mozilla/5.0 (compatible; validation server)"

struct chain {
        struct http_hop hop[HOPS_MAX];
        size_t count;
};
struct gathering {
        struct check_context *c;
        struct http_evidence x;
        struct check_host_addresses name;
        struct http_look look[LOOKS_MAX];
        struct chain *chain; /* LOOKS_MAX */
        struct texts urls; /* that the hops of this call name */
        char *url;
        char token[300];
};

static void no_address(struct gathering *g, struct chain *l, const char *url)
{
        const char *kept = texts_add(&g->urls, url) ? g->urls.item[g->urls.count - 1] : "";
        l->hop[l->count++] = (struct http_hop){ .url = kept, .fault = HTTP_NO_ADDRESS };
}

/* One chain, begun at one address. False: not known yet. */
static bool walk(struct gathering *g, const char *from, const struct address *at, const char *host_header,
        const char *agent, struct chain *l)
{
        CLEANUP(texts_done) struct texts trail = { 0 };
        struct address here = *at;
        bool good = texts_add(&trail, from);
        for (l->count = 0; good && l->count < HOPS_MAX;) {
                const char *url = trail.item[trail.count - 1], *why;
                const struct http_hop *h = check_http_hop(g->c, url, &here, host_header, agent);
                CLEANUP(free_p) char *next = NULL;
                if (!h)
                        return false;
                l->hop[l->count++] = *h;
                if (h->fault != HTTP_ANSWERED ||
                        !http_goes_on(&g->x, &trail, h->status, http_header_of(h, "Location"), &next, &why))
                        break;
                struct check_host_addresses to;
                if (!check_host_of_url(g->c, next, &to))
                        return false;
                if (to.count == 0) {
                        no_address(g, l, next);
                        break;
                }
                here = to.list[0]; /* after a redirect a CA tries one address alone */
                good = texts_add(&trail, next);
        }
        return true;
}

/* What the CA is content with, where https is as good as http. */
static bool is_content(const struct gathering *g, const struct chain *l)
{
        const struct http_hop *h = &l->hop[l->count - 1];
        bool found = h->fault == HTTP_ANSWERED && h->status >= 200 && h->status <= 299;
        if (!g->x.wanted)
                return found || (h->fault == HTTP_ANSWERED && h->status == 404);
        return found && memmem(h->body, h->body_len, g->x.wanted, strlen(g->x.wanted)) != NULL;
}

static bool usable(const struct gathering *g, const struct address *a)
{
        return g->x.internal || !http_reserved(a);
}

static bool add_look(
        struct gathering *g, const struct address *at, enum http_purpose purpose, const char *host, const char *agent)
{
        struct chain *l = &g->chain[g->x.look_count];
        if (g->x.look_count >= LOOKS_MAX)
                return true;
        if (!walk(g, g->url, at, host, agent, l))
                return false;
        bool own = !host && !agent;
        if (own && g->x.pki_validation && !is_content(g, l)) {
                CLEANUP(free_p) char *secure = text_format("https%s", g->url + strlen("http"));
                struct chain other;
                if (!secure || !walk(g, secure, at, NULL, NULL, &other))
                        return false;
                if (is_content(g, &other))
                        *l = other;
        }
        g->look[g->x.look_count++] =
                (struct http_look){ .address = *at, .purpose = purpose, .hops = l->hop, .count = l->count };
        return true;
}

static bool look_at(struct gathering *g, const struct address *at, size_t number)
{
        char other[64], upper[DNS_NAME_TEXT];
        bool known = add_look(g, at, g->x.wanted ? HTTP_TOKEN : HTTP_RANDOM, NULL, NULL);
        if (number >= VARIED_MAX)
                return known;
        snprintf(other, sizeof other, "%s.invalid", check_random_label(g->c));
        snprintf(upper, sizeof upper, "%s", g->c->base);
        for (char *p = upper; *p; p++)
                if (*p >= 'a' && *p <= 'z')
                        *p = (char)(*p - 'a' + 'A');
        bool more = add_look(g, at, HTTP_OTHER_HOST, other, NULL);
        return add_look(g, at, HTTP_OTHER_AGENT, upper, OTHER_AGENT) && more && known;
}

/* "fileauth.txt=CONTENT": how a CA without ACME is told of. */
static bool choose_named_file(struct gathering *g)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        const char *value = g->c->target->value;
        size_t n = value ? strspn(value, letters) : 0;
        if (n == 0 || n > 100 || value[n] != '=' || value[0] == '.' || value[n + 1] == '\0')
                return false;
        g->x.wanted = value + n + 1;
        snprintf(g->token, sizeof g->token, PKI "%.*s", (int)n, value);
        return true;
}

/* The path: of the file that should be there (an ACME key authorization begins with its token), else a random one. */
static bool choose_path(struct gathering *g)
{
        const struct check_target *t = g->c->target;
        const char *dot = t->value ? strchr(t->value, '.') : NULL;
        const char *random = check_random_label(g->c);
        g->x.pki_validation = !t->acme;
        if (t->acme && dot) {
                g->x.wanted = t->value;
                snprintf(g->token, sizeof g->token, "/.well-known/acme-challenge/%.*s",
                        (int)MIN((size_t)(dot - t->value), (size_t)200), t->value);
        } else if (t->acme) {
                snprintf(g->token, sizeof g->token, "/.well-known/acme-challenge/%s", random);
        } else if (!choose_named_file(g)) {
                snprintf(g->token, sizeof g->token, PKI "%s.txt", random);
        }
        struct address numeric;
        bool v6 = address_parse(g->c->base, 0, &numeric) && numeric.family == AF_INET6;
        g->url = text_format(v6 ? "http://[%s]%s" : "http://%s%s", g->c->base, g->token);
        return g->url != NULL;
}

static void gather(struct gathering *g, struct judgements *out)
{
        struct check_context *c = g->c;
        bool no_v6 = false, known = true;
        size_t asked = 0;
        for (size_t i = 0; i < g->name.count && i < ADDRESSES_MAX; i++) {
                const struct address *a = &g->name.list[i];
                if (!usable(g, a))
                        continue;
                if (a->family == AF_INET6 && !check_host_has_v6()) {
                        no_v6 = true;
                        continue;
                }
                known = look_at(g, a, asked++) && known;
        }
        if (!known || c->open > 0)
                return;
        g->x.looks = g->look;
        g->x.own_host = c->target->cert && !check_host_is_public();
        for (size_t i = 0; i < g->name.count; i++)
                g->x.own_host = g->x.own_host && !check_host_owns(&g->name.list[i]);
        if (g->x.pki_validation && !g->x.wanted)
                judge_unverifiable(out, "H34", c->name,
                        "the CA names the file with the order; --value FILE=CONTENT tells what should be there");
        if (no_v6)
                judge_unverifiable(out, "H04", c->name, "this host has no IPv6: the AAAA records cannot be tried");
        if (g->x.look_count == 0 && no_v6)
                return judge_unverifiable(
                        out, "H09", c->name, "no address of the name can be tried from this host (IPv6 only)");
        (void)http_judge(&g->x, out); /* the verdict is made of the findings */
}

static void run(struct check_context *c, struct judgements *out)
{
        struct gathering g = { .c = c };
        if (text_starts(c->name, "*.") || !check_host_addresses(c, c->base, &g.name))
                return;
        g.chain = calloc(LOOKS_MAX, sizeof *g.chain);
        g.x.name = c->base;
        g.x.internal = c->target->internal;
        g.x.addresses = g.name.list;
        g.x.address_count = g.name.count;
        g.x.lookup_failed = g.name.count == 0 && g.name.error[0];
        g.x.lookup_error = g.name.error;
        if (g.chain && choose_path(&g))
                gather(&g, out);
        else
                out->failed = true;
        texts_done(&g.urls);
        free(g.chain);
        free(g.url);
}

extern const struct check check_http_file;
const struct check check_http_file = {
        .ids = "H01 H02 H03 H04 H05 H06 H07 H08 H09 H10 H11 H12 H13 H14 H15 H16 H17 H18 H19 H20 H21 H22 H23 H24 H25 "
               "H26 H27 H28 H29 H30 H31 H32 H33 H34 H35 H36",
        .stage = STAGE_METHOD,
        .scope = CHECK_NAME,
        .needs = CHECK_FILE,
        .run = run,
};
