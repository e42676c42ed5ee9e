/* What a run knows: each question is asked once, whoever wants to know, and its answer is kept until the run ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/check_internal.h"

static unsigned bucket_of(const char *key)
{
        unsigned h = 2166136261u;
        for (const char *at = key; *at; at++)
                h = (h ^ (unsigned char)*at) * 16777619u;
        return h % FACT_BUCKETS;
}

static struct check_fact *find(struct check_run *r, const char *key)
{
        for (struct check_fact *f = r->bucket[bucket_of(key)]; f; f = f->next)
                if (strcmp(f->key, key) == 0)
                        return f;
        return NULL;
}

static void fact_free(struct check_fact *f)
{
        if (f->value && f->kind->free_value)
                f->kind->free_value(f->value);
        free(f->waiter);
        free(f->key);
        free(f);
}

void check_facts_free(struct check_run *r)
{
        for (size_t i = 0; i < FACT_BUCKETS; i++)
                for (struct check_fact *f = r->bucket[i]; f; f = f->next)
                        if (!f->value && f->place && f->kind->cancel)
                                f->kind->cancel(f);
        for (size_t i = 0; i < FACT_BUCKETS; i++)
                while (r->bucket[i]) {
                        struct check_fact *f = r->bucket[i];
                        r->bucket[i] = f->next;
                        fact_free(f);
                }
}

void check_fact_done(struct check_fact *f, void *value)
{
        f->value = value;
        f->place = NULL;
        for (size_t i = 0; i < f->waiting; i++)
                check_unit_heard(f->waiter[i].unit, f->waiter[i].serial);
        free(f->waiter);
        f->waiter = NULL;
        f->waiting = 0;
}

struct check_run *check_fact_run(struct check_fact *f)
{
        return f->run;
}

void **check_fact_place(struct check_fact *f)
{
        return &f->place;
}

static bool wait_for(struct check_fact *f, struct check_context *c)
{
        struct check_unit *u = c->unit;
        if (f->waiting % 8 == 0) {
                struct waiter *more = realloc(f->waiter, (f->waiting + 8) * sizeof *more);
                if (!more)
                        return false;
                f->waiter = more;
        }
        f->waiter[f->waiting++] = (struct waiter){ u, u->serial };
        c->open++;
        return true;
}

static struct check_fact *begin(struct check_run *r, const char *key, const struct check_fact_kind *kind)
{
        struct check_fact *f = r->facts < FACTS_MAX ? calloc(1, sizeof *f) : NULL;
        if (!f || !(f->key = text_dup(key))) {
                free(f);
                return NULL;
        }
        unsigned b = bucket_of(key);
        f->run = r;
        f->kind = kind;
        f->next = r->bucket[b];
        r->bucket[b] = f;
        r->facts++;
        return f;
}

/* Out of memory nothing can be said: the run ends as incomplete, and this call looks as if it waited. */
const void *check_no_memory(struct check_context *c)
{
        c->run->failed = true;
        c->open++;
        return NULL;
}

const void *check_fact(
        struct check_context *c, const char *key, const struct check_fact_kind *kind, const void *request)
{
        struct err e;
        struct check_fact *f = find(c->run, key);
        if (f && f->value)
                return f->value;
        if (!f) {
                f = begin(c->run, key, kind);
                if (!f)
                        return check_no_memory(c);
                if (!kind->start(f, request, &e)) {
                        f->value = kind->failed(&e);
                        return f->value ? f->value : check_no_memory(c);
                }
        }
        return wait_for(f, c) ? NULL : check_no_memory(c);
}

const void *check_known(struct check_run *r, const char *key)
{
        const struct check_fact *f = find(r, key);
        return f ? f->value : NULL;
}

bool check_know(struct check_run *r, const char *key, const struct check_fact_kind *kind, void *value)
{
        struct check_fact *f = begin(r, key, kind);
        if (f)
                f->value = value;
        return f;
}

struct loop *check_loop(struct check_run *r)
{
        return r->loop;
}

struct dns *check_net(struct check_run *r)
{
        return r->dns;
}

struct http *check_http_client(struct check_run *r)
{
        return r->http;
}

/* ---- DNS ---- */

struct question {
        const struct address *server; /* NULL: the resolvers in order */
        enum check_transport transport;
        const char *name;
        uint16_t type;
        unsigned flags;
};
struct kept { /* the value of a DNS fact */
        struct check_answer a;
        struct dns_message m;
        char *error;
};

static void kept_free(void *value)
{
        struct kept *k = value;
        if (k->a.message)
                dns_message_done(&k->m);
        free(k->error);
        free(k);
}

static void *dns_failed(const struct err *err)
{
        struct kept *k = calloc(1, sizeof *k);
        if (!k || !(k->error = text_dup(err->text))) {
                free(k);
                return NULL;
        }
        k->a.outcome = DNS_FAILED;
        k->a.error = k->error;
        return k;
}

static void keep_message(struct kept *k, const struct dns_message *m)
{
        struct err e;
        if (dns_message_read(m->data, m->len, &k->m, &e)) {
                k->a.message = &k->m;
                return;
        }
        k->a.outcome = DNS_FAILED;
        k->a.error = "no memory for the answer";
}

static void dns_answered(void *arg, const struct dns_answer *a)
{
        struct check_fact *f = arg;
        struct kept *k = calloc(1, sizeof *k);
        if (!k) {
                f->place = NULL;
                f->run->failed = true;
                return;
        }
        k->a.outcome = a->outcome;
        k->a.transport = a->transport;
        k->a.plain = a->plain;
        k->a.rtt_us = a->rtt_us;
        if (a->outcome == DNS_ANSWERED) {
                keep_message(k, a->message);
        } else {
                k->error = text_dup(a->err->text);
                k->a.error = k->error ? k->error : "no answer";
        }
        check_fact_done(f, k);
}

static bool dns_start(struct check_fact *f, const void *request, struct err *e)
{
        const struct question *q = request;
        struct dns *d = f->run->dns;
        if (!q->server)
                f->place = dns_ask_resolver(d, q->name, q->type, q->flags, dns_answered, f, e);
        else
                f->place = dns_ask(d, q->server, q->transport == CHECK_TCP ? DNS_TCP : DNS_UDP, q->name, q->type,
                        q->flags, dns_answered, f, e);
        return f->place != NULL;
}

static void dns_stop(struct check_fact *f)
{
        dns_cancel(f->place);
}

static const struct check_fact_kind dns_kind = { dns_start, dns_stop, kept_free, dns_failed };

static void question_key(const struct question *q, char *ret, size_t size)
{
        char server[ADDRESS_TEXT] = "resolvers";
        if (q->server)
                address_text(q->server, true, server);
        snprintf(ret, size, "dns %s %d %u %u %s", server, q->transport, q->flags, q->type, q->name);
}

static const struct check_answer *ask(struct check_context *c, const struct question *q)
{
        char key[DNS_NAME_TEXT + 160];
        question_key(q, key, sizeof key);
        const struct kept *k = check_fact(c, key, &dns_kind, q);
        return k ? &k->a : NULL;
}

/* UDP first; what was asked over either is not asked again. */
const struct check_answer *check_dns(struct check_context *c, const struct address *server, enum check_transport t,
        const char *name, uint16_t type, unsigned flags)
{
        struct question q = { server, t == CHECK_TCP ? CHECK_TCP : CHECK_UDP, name, type, flags };
        const struct check_answer *a = ask(c, &q);
        if (!a || t != CHECK_ANY || (a->outcome == DNS_ANSWERED && !a->message->tc))
                return a;
        q.transport = CHECK_TCP;
        const struct check_answer *b = ask(c, &q);
        return !b || b->outcome == DNS_ANSWERED || a->outcome != DNS_ANSWERED ? b : a;
}

const struct check_answer *check_peek(
        struct check_run *r, const struct address *server, enum check_transport t, const char *name, uint16_t type)
{
        char key[DNS_NAME_TEXT + 160];
        question_key(&(const struct question){ server, t, name, type, 0 }, key, sizeof key);
        const struct kept *k = check_known(r, key);
        return k ? &k->a : NULL;
}

/* ---- I7 ---- */

const char *check_random_label(struct check_context *c)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
        uint8_t bytes[16];
        if (!c->run->random[0]) {
                random_bytes(bytes, sizeof bytes);
                for (size_t i = 0; i < sizeof bytes; i++)
                        c->run->random[i] = letters[bytes[i] % 26];
        }
        return c->run->random;
}

void check_published(struct check_context *c, const char *name)
{
        if (!texts_has(&c->run->published, name) && !texts_add(&c->run->published, name))
                c->run->failed = true;
}

/* May a shared resolver be asked for this now? */
static bool may_ask(const struct check_run *r, const char *name)
{
        if (texts_has(&r->published, name))
                return true;
        for (const char *at = name; at && *at; at = dns_name_parent(at))
                if (*at == '_' || *at == '*' || (r->random[0] && text_starts(at, r->random)))
                        return false;
        return true;
}

static const struct check_answer refused = { .outcome = DNS_FAILED,
        .error = "not asked at a resolver: nothing is published there yet, and the question would plant the answer "
                 "\"no such name\"" };

const struct check_answer *check_resolver(struct check_context *c, const char *name, uint16_t type, unsigned flags)
{
        if (!may_ask(c->run, name))
                return &refused;
        return ask(c, &(const struct question){ NULL, CHECK_ANY, name, type, flags | DNS_RECURSE });
}

const struct check_answer *check_resolver_at(
        struct check_context *c, size_t i, const char *name, uint16_t type, unsigned flags)
{
        if (!may_ask(c->run, name))
                return &refused;
        return check_dns(c, dns_resolver(c->run->dns, i), CHECK_ANY, name, type, flags | DNS_RECURSE);
}

bool check_is_answered(const struct check_answer *a)
{
        return a && a->outcome == DNS_ANSWERED &&
                (a->message->rcode == DNS_NOERROR || a->message->rcode == DNS_NXDOMAIN);
}

/* ---- host names ---- */

static void addresses_free(void *value)
{
        struct check_addresses *a = value;
        free(a->list);
        free((void *)(uintptr_t)a->error);
        free((void *)(uintptr_t)a->code);
        free(a);
}

static void *lookup_failed(const struct err *err)
{
        struct check_addresses *a = calloc(1, sizeof *a);
        if (!a || !(a->error = text_dup(err->text)) || !(a->code = text_dup(err->code))) {
                if (a)
                        addresses_free(a);
                return NULL;
        }
        return a;
}

static void looked_up(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct check_fact *f = arg;
        struct check_addresses *a = err ? lookup_failed(err) : calloc(1, sizeof *a);
        if (a && count > 0 && (a->list = calloc(count, sizeof *list)) != NULL) {
                memcpy(a->list, list, count * sizeof *list);
                a->count = count;
        }
        if (!a || a->count != count) {
                if (a)
                        addresses_free(a);
                f->place = NULL;
                f->run->failed = true;
                return;
        }
        check_fact_done(f, a);
}

static bool lookup_start(struct check_fact *f, const void *request, struct err *e)
{
        const char *host = request;
        struct address numeric;
        if (!address_parse(host, 0, &numeric) && (!dns_name_is_valid(host) || !may_ask(f->run, host)))
                return err_set(e, ERR_CONFIG, "dns.name", "%s is not asked for at a resolver", host);
        f->place = dns_lookup(f->run->dns, host, looked_up, f, e);
        return f->place != NULL;
}

static void lookup_stop(struct check_fact *f)
{
        dns_lookup_cancel(f->place);
}

static const struct check_fact_kind lookup_kind = { lookup_start, lookup_stop, addresses_free, lookup_failed };

const struct check_addresses *check_lookup(struct check_context *c, const char *host)
{
        CLEANUP(free_p) char *key = text_format("lookup %s", host);
        return key ? check_fact(c, key, &lookup_kind, host) : check_no_memory(c);
}

/* ---- HTTP ---- */

#define PAGE_MAX 65536

struct page {
        struct check_page p;
        char *texts; /* body, then names and values */
};
struct fetch {
        const char *url;
        const struct address *at;
        const char *header;
};

static void page_free(void *value)
{
        struct page *p = value;
        for (size_t i = 0; i < p->p.header_count; i++) {
                free((void *)(uintptr_t)p->p.headers[i].name);
                free((void *)(uintptr_t)p->p.headers[i].value);
        }
        free((void *)(uintptr_t)p->p.headers);
        free((void *)(uintptr_t)p->p.body);
        free((void *)(uintptr_t)p->p.location);
        free((void *)(uintptr_t)p->p.error);
        free((void *)(uintptr_t)p->p.code);
        free(p);
}

static void *page_failed(const struct err *err)
{
        struct page *p = calloc(1, sizeof *p);
        if (!p || !(p->p.error = text_dup(err->text)) || !(p->p.code = text_dup(err->code)) ||
                !(p->p.body = text_dup(""))) {
                if (p)
                        page_free(p);
                return NULL;
        }
        p->p.kind = err->kind;
        return p;
}

static bool keep_headers(struct page *p, const struct http_answer *a)
{
        struct http_header *list = calloc(a->header_count + 1, sizeof *list);
        p->p.headers = list;
        for (size_t i = 0; list && i < a->header_count; i++) {
                list[i] = (struct http_header){ text_dup(a->headers[i].name), text_dup(a->headers[i].value) };
                p->p.header_count++;
                if (!list[i].name || !list[i].value)
                        return false;
        }
        return list != NULL;
}

static struct page *keep_page(const struct http_answer *a)
{
        struct page *p = calloc(1, sizeof *p);
        if (!p)
                return NULL;
        p->p.status = a->status;
        p->p.body_len = a->body_len;
        p->p.body = text_dup_n(a->body ? a->body : "", a->body_len);
        p->p.location = text_dup(a->redirect_url);
        p->p.total_us = a->total_us;
        if (p->p.body && (p->p.location || !a->redirect_url) && keep_headers(p, a))
                return p;
        page_free(p);
        return NULL;
}

static void fetched(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct check_fact *f = arg;
        struct page *p = answer ? keep_page(answer) : page_failed(err);
        if (!p) {
                f->place = NULL;
                f->run->failed = true;
                return;
        }
        check_fact_done(f, p);
}

static bool fetch_start(struct check_fact *f, const void *request, struct err *e)
{
        const struct fetch *q = request;
        const char *headers[] = { "Accept: */*", q->header, NULL };
        const struct http_request r = { .method = "GET",
                .url = q->url,
                .headers = headers,
                .answer_max_bytes = PAGE_MAX,
                .connect_timeout_ms = 5000,
                .timeout_ms = 10000,
                .allow_http = true,
                .look = true,
                .pin = q->at };
        f->place = http_start(f->run->http, &r, fetched, f, e);
        return f->place != NULL;
}

static void fetch_stop(struct check_fact *f)
{
        http_cancel(f->place);
}

static const struct check_fact_kind fetch_kind = { fetch_start, fetch_stop, page_free, page_failed };

const struct check_page *check_http(
        struct check_context *c, const char *url, const struct address *at, const char *header)
{
        char server[ADDRESS_TEXT];
        address_text(at, true, server);
        CLEANUP(free_p) char *key = text_format("http %s %s %s", server, url, header ? header : "");
        const struct page *p =
                key ? check_fact(c, key, &fetch_kind, &(const struct fetch){ url, at, header }) : check_no_memory(c);
        return p ? &p->p : NULL;
}
