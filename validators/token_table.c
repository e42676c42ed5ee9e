#include "validators/token_table.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/httpd.h"

#define BUCKETS 1024 /* power of two */
#define ENTRIES_MAX 100000
#define BODY_MAX 1024
/* A CA's header has some hundred bytes, a server in front of this one adds about a thousand. All of a connection's
 * memory is cleared for each request. */
#define MEMORY_BYTES 4096

struct entry {
        struct entry *next;
        char *host; /* lower case; "" = any */
        char *path, *body;
        struct httpd_answer *answer;
};
struct token_table {
        struct entry *bucket[BUCKETS];
        size_t count;
};

static size_t bucket_of(const char *path)
{
        uint64_t h = 1469598103934665603u;
        for (; *path; path++)
                h = (h ^ (unsigned char)*path) * 1099511628211u;
        return (size_t)(h ^ h >> 32) & (BUCKETS - 1);
}

bool token_table_new(struct token_table **ret, struct err *e)
{
        struct token_table *t = calloc(1, sizeof *t);
        if (!t)
                return err_memory(e);
        *ret = t;
        return true;
}

static void entry_free(struct entry *x)
{
        free(x->host);
        free(x->path);
        free(x->body);
        httpd_answer_free(x->answer);
        free(x);
}

void token_table_free(struct token_table *t)
{
        for (size_t i = 0; t && i < BUCKETS; i++)
                while (t->bucket[i]) {
                        struct entry *x = t->bucket[i];
                        t->bucket[i] = x->next;
                        entry_free(x);
                }
        free(t);
}

static struct entry **find(struct token_table *t, const char *host, const char *path)
{
        struct entry **at = &t->bucket[bucket_of(path)];
        while (*at && (strcmp((*at)->path, path) != 0 || !text_equal_nocase((*at)->host, host)))
                at = &(*at)->next;
        return at;
}

bool token_table_put(struct token_table *t, const char *host, const char *path, const char *body, struct err *e)
{
        host = host ? host : "";
        struct entry **at = find(t, host, path);
        if (*at) {
                if (strcmp((*at)->body, body) == 0)
                        return true;
                return err_set(e, ERR_RULE, "token.foreign", "http://%s%s is in use with another content", host, path);
        }
        if (t->count >= ENTRIES_MAX)
                return err_set(e, ERR_TEMPORARY, "token.many", "more than %d tokens at once", ENTRIES_MAX);
        static const char *const plain[] = { "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", NULL };
        struct entry *x = calloc(1, sizeof *x);
        if (!x || !(x->host = text_dup(host)) || !(x->path = text_dup(path)) || !(x->body = text_dup(body)) ||
                !(x->answer = httpd_answer_new(200, "application/octet-stream", body, strlen(body), plain))) {
                if (x)
                        entry_free(x);
                return err_memory(e);
        }
        *at = x;
        t->count++;
        return true;
}

void token_table_drop(struct token_table *t, const char *host, const char *path)
{
        struct entry **at = find(t, host ? host : "", path), *x = *at;
        if (!x)
                return;
        *at = x->next;
        entry_free(x);
        t->count--;
}

size_t token_table_count(const struct token_table *t)
{
        return t->count;
}

/* "Host: www.example.com:80" against "www.example.com". */
static bool host_fits(const char *want, const char *header)
{
        size_t n = strlen(want);
        if (n == 0)
                return true;
        bool v6 = strchr(want, ':') != NULL; /* RFC 3986: in brackets */
        if (!header || (v6 && *header++ != '['))
                return false;
        for (size_t i = 0; i < n; i++) {
                char a = header[i] >= 'A' && header[i] <= 'Z' ? (char)(header[i] - 'A' + 'a') : header[i];
                char b = want[i] >= 'A' && want[i] <= 'Z' ? (char)(want[i] - 'A' + 'a') : want[i];
                if (a != b)
                        return false;
        }
        if (v6 && header[n] != ']')
                return false;
        if (v6 || header[n] == '.')
                n++;
        return header[n] == '\0' ||
                (header[n] == ':' && strspn(header + n + 1, "0123456789") == strlen(header + n + 1));
}

static const struct entry *lookup(const struct token_table *t, const char *host, const char *path)
{
        for (const struct entry *x = t->bucket[bucket_of(path)]; x; x = x->next)
                if (strcmp(x->path, path) == 0 && host_fits(x->host, host))
                        return x;
        return NULL;
}

void token_table_serve(void *table, struct httpd_exchange *x, const struct httpd_request *r)
{
        static const char *const allow[] = { "Allow", "GET, HEAD", NULL };
        if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
                return httpd_reply(x, 405, "text/plain", "", 0, allow);
        const struct entry *found = lookup(table, httpd_header(x, "Host", NULL), r->target);
        if (!found)
                return httpd_reply(x, 404, "text/plain", "", 0, NULL);
        httpd_reply_with(x, found->answer);
}

bool token_table_listen(
        struct token_table *t, struct loop *loop, const char *where, int fd, struct httpd **ret, struct err *e)
{
        struct httpd_conf conf = { .listen = where,
                .fd = fd,
                .body_max_bytes = BODY_MAX,
                .name = "tokens",
                .limits = { .memory_bytes = MEMORY_BYTES } };
        return httpd_open(ret, loop, &conf, token_table_serve, t, e);
}
