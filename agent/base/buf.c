#include "agent/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/secret.h"

#define MAX_DEFAULT ((size_t)16 * 1024 * 1024)

void buf_done(struct buf *b)
{
        if (b->secret && b->data)
                wipe(b->data, b->cap);
        free(b->data);
        *b = (struct buf){ .max = b->max, .secret = b->secret };
}

void buf_reset(struct buf *b)
{
        if (b->secret && b->data)
                wipe(b->data, b->cap);
        b->len = 0;
        b->failed = false;
        if (b->data)
                b->data[0] = '\0';
}

/* realloc would leave a copy of a secret behind: move by hand then. */
static char *move(struct buf *b, size_t cap)
{
        if (!b->secret)
                return realloc(b->data, cap);
        char *more = malloc(cap);
        if (more && b->data) {
                memcpy(more, b->data, b->len + 1);
                wipe(b->data, b->cap);
                free(b->data);
        }
        return more;
}

static bool reserve(struct buf *b, size_t more)
{
        size_t max = b->max ? b->max : MAX_DEFAULT;
        if (b->failed || more > max || b->len > max - more)
                return !(b->failed = true);
        size_t need = b->len + more + 1;
        if (need <= b->cap)
                return true;
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
                cap *= 2;
        char *data = move(b, cap);
        if (!data)
                return !(b->failed = true);
        b->data = data;
        b->cap = cap;
        return true;
}

bool buf_append(struct buf *b, const void *data, size_t len)
{
        if (!reserve(b, len))
                return false;
        if (len)
                memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
        return true;
}

bool buf_add(struct buf *b, const char *text)
{
        return buf_append(b, text, strlen(text));
}

bool buf_addc(struct buf *b, char c)
{
        return buf_append(b, &c, 1);
}

bool buf_addv(struct buf *b, const char *format, va_list ap)
{
        va_list again;
        if (!reserve(b, 0))
                return false;
        size_t room = b->cap - b->len; /* mostly enough: only to count would take as long as to print */
        va_copy(again, ap);
        int n = vsnprintf(b->data + b->len, room, format, ap);
        if (n < 0 || !reserve(b, (size_t)n)) {
                b->failed = true;
                b->data[b->len] = '\0';
        } else {
                if ((size_t)n >= room)
                        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
                b->len += (size_t)n;
        }
        va_end(again);
        return !b->failed;
}

bool buf_addf(struct buf *b, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        bool good = buf_addv(b, format, ap);
        va_end(ap);
        return good;
}

char *buf_steal(struct buf *b)
{
        if (!b->failed && !b->data)
                (void)buf_append(b, "", 0);
        if (b->failed) {
                buf_done(b);
                return NULL;
        }
        char *text = b->data;
        *b = (struct buf){ .max = b->max, .secret = b->secret };
        return text;
}

/* Length of the UTF-8 sequence at s, 0 if it is not one (RFC 3629); *ret_code its code point. */
static size_t utf8_at(const unsigned char *s, size_t len, uint32_t *ret_code)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = s[0] < 0x80                ? 1
                : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                              : 0;
        if (n == 0 || n > len)
                return 0;
        uint32_t code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (s[i] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                return 0;
        *ret_code = code;
        return n;
}

bool text_is_utf8(const char *text, size_t len)
{
        uint32_t code;
        for (size_t i = 0, n; i < len; i += n)
                if ((n = utf8_at((const unsigned char *)text + i, len - i, &code)) == 0)
                        return false;
        return true;
}

/* What a terminal would act on, or what would make a line read differently from what it is. */
static bool dangerous(uint32_t code)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
                (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x61c ||
                code == 0xfeff;
}

static size_t plain_run(const char *text, size_t len)
{
        size_t n = 0;
        while (n < len && text[n] >= 0x20 && text[n] < 0x7f)
                n++;
        return n;
}

bool buf_add_escaped(struct buf *b, const char *text, size_t len, size_t max_bytes)
{
        size_t end = len < max_bytes ? len : max_bytes, i = 0;
        for (size_t n; i < end; i += n) {
                uint32_t code = 0;
                n = plain_run(text + i, end - i); /* nearly all of nearly every text */
                if (n > 0) {
                        buf_append(b, text + i, n);
                        continue;
                }
                n = utf8_at((const unsigned char *)text + i, len - i, &code);
                if (n > end - i)
                        break; /* half a character is none */
                if (n > 0 && !dangerous(code)) {
                        buf_append(b, text + i, n);
                        continue;
                }
                n = n ? n : 1;
                for (size_t k = 0; k < n; k++)
                        buf_addf(b, "\\x%02x", (unsigned char)text[i + k]);
        }
        if (i < len)
                buf_add(b, "...");
        return !b->failed;
}
