#include "agent/cli/import_lines.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/cli/import_found.h"

#define WORDS_MAX 32

/* ---- lines ---- */

void import_lines(struct import_line *l, const char *text, size_t len)
{
        *l = (struct import_line){ .rest = text, .end = text + len };
}

static bool blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

bool import_next_line(struct import_line *l)
{
        if (l->rest >= l->end)
                return false;
        const char *stop = memchr(l->rest, '\n', (size_t)(l->end - l->rest));
        const char *from = l->rest, *to = stop ? stop : l->end;
        l->rest = stop ? stop + 1 : l->end;
        l->number++;
        while (from < to && blank(*from))
                from++;
        while (to > from && blank(to[-1]))
                to--;
        l->text = from;
        l->len = (size_t)(to - from);
        return true;
}

/* ---- a shell's assignments ---- */

static bool name_char(char c, bool first)
{
        return c == '_' || isalpha((unsigned char)c) || (!first && isdigit((unsigned char)c));
}

const char *import_shell_get(const struct import_shell *s, const char *key)
{
        for (size_t i = 0; i < s->count; i++)
                if (strcmp(s->set[i].key, key) == 0)
                        return s->set[i].value[0] ? s->set[i].value : NULL;
        return NULL;
}

static void set(struct import *im, struct import_shell *s, const char *key, char *value_own)
{
        size_t at = 0;
        while (at < s->count && strcmp(s->set[at].key, key) != 0)
                at++;
        char *name = at == s->count && at < ARRAY_LEN(s->set) ? text_dup(key) : NULL;
        if (at == s->count && !name) {
                free(value_own);
                return;
        }
        if (at < s->count)
                free(s->set[at].value);
        else
                s->set[s->count++].key = name;
        s->set[at].value = value_own;
        im->failed |= !value_own;
        if (!value_own)
                s->set[at].value = calloc(1, 1);
}

/* "$NAME" or "${NAME}" at *at; false: something that only a shell knows. */
static bool expand(const struct import_shell *s, const char **at, const char *end, struct buf *to)
{
        char key[65];
        size_t n = 0;
        const char *p = *at + 1;
        bool braces = p < end && *p == '{';
        p += braces;
        while (p < end && n < sizeof key - 1 && name_char(*p, n == 0))
                key[n++] = *p++;
        key[n] = '\0';
        if (n == 0 || (braces && (p >= end || *p++ != '}')))
                return false;
        const char *value = import_shell_get(s, key);
        *at = p;
        return buf_add(to, value ? value : "");
}

/* One value up to a blank; false: it needs a shell. */
static bool value_of(const struct import_shell *s, const char *at, const char *end, struct buf *to)
{
        char quote = 0;
        buf_add(to, "");
        while (at < end && (quote || !blank(*at))) {
                if (!quote && (*at == '\'' || *at == '"')) {
                        quote = *at++;
                } else if (quote && *at == quote) {
                        quote = 0;
                        at++;
                } else if (quote != '\'' && *at == '$') {
                        if (!expand(s, &at, end, to))
                                return false;
                } else if (quote != '\'' && (*at == '`' || *at == '\\' || (!quote && strchr(";|&<>()*?", *at)))) {
                        return false;
                } else if (!buf_addc(to, *at++)) {
                        return false;
                }
        }
        while (at < end && blank(*at))
                at++;
        return !quote && (at == end || *at == '#');
}

void import_shell_read(struct import *im, struct import_shell *s, const char *file, const char *text, size_t len)
{
        struct import_line l;
        import_lines(&l, text, len);
        while (import_next_line(&l)) {
                char key[65];
                size_t n = 0, skip = l.len > 7 && memcmp(l.text, "export ", 7) == 0 ? 7 : 0;
                const char *at = l.text + skip, *end = l.text + l.len;
                while (at < end && n < sizeof key - 1 && name_char(*at, n == 0))
                        key[n++] = *at++;
                key[n] = '\0';
                if (n == 0 || at >= end || *at != '=')
                        continue; /* not an assignment: nothing that is wanted from these files */
                struct buf value = { .max = 4096 };
                if (value_of(s, at + 1, end, &value) && value.data)
                        set(im, s, key, import_text(im, file, l.number, value.data, value.len));
                else
                        import_left(im, "%s:%zu: %s is set to what only a shell can tell", file, l.number, key);
                buf_done(&value);
        }
}

void import_shell_done(struct import_shell *s)
{
        for (size_t i = 0; i < s->count; i++) {
                free(s->set[i].key);
                free(s->set[i].value);
        }
        s->count = 0;
}

/* ---- commands ---- */

void import_words_free(char **words)
{
        for (size_t i = 0; words && words[i]; i++)
                free(words[i]);
        free(words);
}

char **import_words(const char *command)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:@,+%";
        char **words = calloc(WORDS_MAX + 1, sizeof *words);
        size_t count = 0;
        for (const char *at = command; words && at[strspn(at, " \t")];) {
                at += strspn(at, " \t");
                size_t len = strcspn(at, " \t");
                if (count == WORDS_MAX || strspn(at, plain) < len || !(words[count++] = text_dup_n(at, len))) {
                        import_words_free(words);
                        return NULL;
                }
                at += len;
        }
        if (words && count > 0 && words[0][0] == '/')
                return words;
        import_words_free(words);
        return NULL;
}
