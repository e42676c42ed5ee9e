/* Texts and lists of texts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"

#define SHORT_TEXT 1024
#define LONG_TEXT (16 * 1024 * 1024)

/* Most texts are short. One that is printed into a buffer that grows is printed twice, and what does not fit costs libc
 * more than the rest: here it is printed once, and takes no more memory than it needs. */
char *text_format(const char *format, ...)
{
        char line[SHORT_TEXT];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        size_t size = n >= 0 ? (size_t)n + 1 : 0;
        char *text = size > 0 && size <= LONG_TEXT ? malloc(size) : NULL;
        if (text && size <= sizeof line) {
                memcpy(text, line, size);
        } else if (text) {
                va_start(ap, format);
                vsnprintf(text, size, format, ap);
                va_end(ap);
        }
        wipe(line, size > 0 ? MIN(size, sizeof line) : sizeof line); /* it may have been a secret */
        return text;
}

char *text_dup(const char *text)
{
        return text ? strdup(text) : NULL;
}

char *text_dup_n(const char *text, size_t n)
{
        char *copy = malloc(n + 1);
        if (copy) {
                memcpy(copy, text, n);
                copy[n] = '\0';
        }
        return copy;
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_equal_nocase(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        while (*a && lower(*a) == lower(*b)) {
                a++;
                b++;
        }
        return lower(*a) == lower(*b);
}

bool text_starts(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
        size_t n = strlen(text), m = strlen(suffix);
        return n >= m && strcmp(text + n - m, suffix) == 0;
}

void texts_done(struct texts *t)
{
        for (size_t i = 0; i < t->count; i++)
                free(t->item[i]);
        free(t->item);
        *t = (struct texts){ 0 };
}

/* Capacity is the next power of two of count: nothing to keep. */
bool texts_add_own(struct texts *t, char *text)
{
        if (!text)
                return false;
        if ((t->count & (t->count - 1)) == 0) {
                char **more = realloc(t->item, (t->count ? 2 * t->count : 1) * sizeof *more);
                if (!more)
                        return false;
                t->item = more;
        }
        t->item[t->count++] = text;
        return true;
}

bool texts_add(struct texts *t, const char *text)
{
        char *copy = text_dup(text);
        if (texts_add_own(t, copy))
                return true;
        free(copy);
        return false;
}

bool texts_has(const struct texts *t, const char *text)
{
        for (size_t i = 0; i < t->count; i++)
                if (strcmp(t->item[i], text) == 0)
                        return true;
        return false;
}

bool texts_copy(struct texts *ret, const struct texts *from)
{
        struct texts t = { 0 };
        for (size_t i = 0; i < from->count; i++)
                if (!texts_add(&t, from->item[i])) {
                        texts_done(&t);
                        return false;
                }
        *ret = t;
        return true;
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void texts_sort(struct texts *t)
{
        if (t->count > 1)
                qsort(t->item, t->count, sizeof *t->item, compare);
}

unsigned text_distance(const char *a, const char *b, unsigned max)
{
        size_t n = strlen(a), m = strlen(b);
        unsigned row[65];
        if (n > 64 || m > 64)
                return max + 1;
        for (size_t k = 0; k <= m; k++)
                row[k] = (unsigned)k;
        for (size_t i = 1; i <= n; i++) {
                unsigned diagonal = row[0], best = row[0] = (unsigned)i;
                for (size_t k = 1; k <= m; k++) {
                        unsigned change = diagonal + (lower(a[i - 1]) != lower(b[k - 1]));
                        diagonal = row[k];
                        row[k] = MIN(change, MIN(row[k], row[k - 1]) + 1);
                        best = MIN(best, row[k]);
                }
                if (best > max)
                        return max + 1;
        }
        return row[m] > max ? max + 1 : row[m];
}
