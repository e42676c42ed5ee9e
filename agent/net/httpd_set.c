#include "agent/net/httpd_set.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/httpd.h"

static bool has(const struct httpd_set *s, const struct httpd *h)
{
        for (size_t i = 0; i < s->count; i++)
                if (s->httpd[i] == h)
                        return true;
        return false;
}

/* The listener of `now` for this address, unless next took it already. */
static struct httpd *kept(const struct httpd_set *now, const struct httpd_set *next, const char *where)
{
        for (size_t i = 0; i < now->count; i++)
                if (strcmp(now->where[i], where) == 0 && !has(next, now->httpd[i]))
                        return now->httpd[i];
        return NULL;
}

static void forget(struct httpd_set *s)
{
        for (size_t i = 0; i < s->count; i++)
                free(s->where[i]);
        free(s->where);
        free(s->httpd);
        *s = (struct httpd_set){ 0 };
}

bool httpd_set_prepare(const struct httpd_set *now, const struct texts *want, httpd_set_open_fn *open, void *arg,
        struct httpd_set *ret_next, struct err *e)
{
        struct httpd_set next = { .where = calloc(want->count + 1, sizeof(char *)),
                .httpd = calloc(want->count + 1, sizeof(struct httpd *)) };
        bool good = (next.where && next.httpd) || err_memory(e);
        for (size_t i = 0; good && i < want->count; i++) {
                struct httpd *h = kept(now, &next, want->item[i]);
                char *where = text_dup(want->item[i]);
                good = where ? h || open(arg, where, &h, e) : err_memory(e);
                if (!good) {
                        free(where);
                        break;
                }
                next.where[next.count] = where;
                next.httpd[next.count++] = h;
        }
        if (good)
                *ret_next = next;
        else
                httpd_set_abandon(now, &next);
        return good;
}

void httpd_set_commit(struct httpd_set *now, struct httpd_set *next)
{
        for (size_t i = 0; i < now->count; i++)
                if (!has(next, now->httpd[i]))
                        httpd_close(now->httpd[i]);
        forget(now);
        *now = *next;
        *next = (struct httpd_set){ 0 };
}

void httpd_set_abandon(const struct httpd_set *now, struct httpd_set *next)
{
        for (size_t i = 0; i < next->count; i++)
                if (!has(now, next->httpd[i]))
                        httpd_close(next->httpd[i]);
        forget(next);
}

void httpd_set_done(struct httpd_set *s)
{
        for (size_t i = 0; i < s->count; i++)
                httpd_close(s->httpd[i]);
        forget(s);
}
