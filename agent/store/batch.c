/* Batches: SQL with copied values, waiting for the writer. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/store/store_internal.h"

static const struct err no_memory = { .kind = ERR_TEMPORARY, .code = "memory", .text = "out of memory" };

struct payload {
        size_t count, bytes;
};

/* How much room the texts and blobs need. An unknown type letter counts as null: binding then reports it. */
static struct payload measure(const char *types, va_list ap)
{
        struct payload p = { 0 };
        for (const char *t = types; *t; t++, p.count++) {
                if (*t == 'i') {
                        (void)va_arg(ap, int64_t); /* stepped over */
                } else if (*t == 't') {
                        const char *text = va_arg(ap, const char *);
                        p.bytes += text ? strlen(text) + 1 : 0;
                } else if (*t == 'b') {
                        (void)va_arg(ap, const void *); /* stepped over */
                        p.bytes += va_arg(ap, size_t) + 1;
                }
        }
        return p;
}

static struct value copy(char type, const void *data, size_t len, char **at)
{
        if (!data)
                return (struct value){ .type = 'n' };
        struct value v = { .type = type, .data = *at, .len = len };
        if (len)
                memcpy(*at, data, len);
        (*at)[len] = '\0';
        *at += len + 1;
        return v;
}

struct statement *statement_new(const char *sql, const char *types, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        struct payload p = measure(types, again);
        va_end(again);
        size_t sql_size = strlen(sql) + 1, head = sizeof(struct statement) + p.count * sizeof(struct value);
        struct statement *s = malloc(head + sql_size + p.bytes);
        if (!s)
                return NULL;
        char *at = (char *)s + head;
        memcpy(at, sql, sql_size);
        *s = (struct statement){ .sql = at, .count = p.count };
        at += sql_size;
        for (size_t i = 0; i < p.count; i++) {
                if (types[i] == 'i') {
                        s->value[i] = (struct value){ .type = 'i', .i = va_arg(ap, int64_t) };
                } else if (types[i] == 't') {
                        const char *text = va_arg(ap, const char *);
                        s->value[i] = copy('t', text, text ? strlen(text) : 0, &at);
                } else if (types[i] == 'b') {
                        const void *data = va_arg(ap, const void *);
                        s->value[i] = copy('b', data, va_arg(ap, size_t), &at);
                } else {
                        s->value[i] = (struct value){ .type = types[i] };
                }
        }
        return s;
}

struct store_batch *store_batch_new(void)
{
        return calloc(1, sizeof(struct store_batch));
}

bool store_batch_add(struct store_batch *b, const char *sql, const char *types, ...)
{
        if (!b)
                return false;
        va_list ap;
        va_start(ap, types);
        struct statement *s = statement_new(sql, types, ap);
        va_end(ap);
        if (!s) {
                b->failed = true;
                return false;
        }
        if (b->last)
                b->last->next = s;
        else
                b->first = s;
        b->last = s;
        b->count++;
        return true;
}

void store_batch_must_change(struct store_batch *b)
{
        if (b && b->last)
                b->last->must_change = true;
}

size_t store_batch_count(const struct store_batch *b)
{
        return b ? b->count : 0;
}

static void clear_err(struct store_batch *b)
{
        if (b->err != &no_memory)
                free((struct err *)b->err);
        b->err = NULL;
}

void batch_fail(struct store_batch *b, const struct err *err)
{
        clear_err(b);
        struct err *copied = malloc(sizeof *copied);
        if (copied)
                *copied = *err;
        b->err = copied ? copied : &no_memory;
}

void store_batch_free(struct store_batch *b)
{
        if (!b)
                return;
        for (struct statement *s = b->first, *next; s; s = next) {
                next = s->next;
                free(s);
        }
        clear_err(b);
        free(b);
}
