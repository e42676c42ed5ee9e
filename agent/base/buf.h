/* A growing byte buffer with a limit, and text helpers: escaping foreign text, hex, base64, small parsers.
 * Appending never overruns: past the limit or out of memory the buffer is marked failed and further calls do nothing,
 * so that a builder checks once, at the end. */
#ifndef DCVD_BASE_BUF_H
#define DCVD_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
        char *data; /* always NUL-terminated once something was appended; owned */
        size_t len; /* bytes, without the NUL */
        size_t cap;
        size_t max; /* limit of len in bytes; 0 = 16 MiB */
        bool failed; /* limit or memory */
        bool secret; /* wipe when growing and when freed */
};

void buf_done(struct buf *b); /* frees; wipes first if secret; b may be zero-initialised */
void buf_reset(struct buf *b);
bool buf_append(struct buf *b, const void *data, size_t len); /* false once failed */
bool buf_add(struct buf *b, const char *text);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_addv(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* Appends text escaped for a terminal or a log line: control bytes, DEL, C1, bidi controls and invalid UTF-8 as \xNN.
 * At most max_bytes of input are used, then "..." follows. */
bool buf_add_escaped(struct buf *b, const char *text, size_t len, size_t max_bytes);
char *buf_steal(struct buf *b); /* the string (caller frees) or NULL if failed; "" if nothing was appended */

/* Allocated printf; NULL on failure. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_dup(const char *text); /* NULL in, NULL out */
char *text_dup_n(const char *text, size_t n);
bool text_equal_nocase(const char *a, const char *b); /* ASCII; NULL equals NULL only */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
bool text_is_utf8(const char *text, size_t len);
/* A list of strings as one allocation-owning array. */
struct texts {
        char **item;
        size_t count;
};
void texts_done(struct texts *t);
bool texts_add(struct texts *t, const char *text); /* copies; false: memory */
bool texts_add_own(struct texts *t, char *text); /* takes text; on failure the caller still owns it */
bool texts_has(const struct texts *t, const char *text);
bool texts_copy(struct texts *ret, const struct texts *from);
void texts_sort(struct texts *t);

/* Levenshtein distance, bounded: for "did you mean". Returns max + 1 when larger. */
unsigned text_distance(const char *a, const char *b, unsigned max);

void hex_encode(char *ret /* 2*len+1 */, const void *data, size_t len); /* lower case */
bool hex_decode(const char *text, size_t text_len, uint8_t *ret, size_t ret_size, size_t *ret_len);
/* Standard base64 (RFC 4648 section 4), and url-safe without padding (section 5). Decoding is strict: no blanks, right
 * padding, no trailing bits. Results are allocated; NULL / false on failure. */
char *base64_encode(const void *data, size_t len);
bool base64_decode(const char *text, size_t len, uint8_t **ret, size_t *ret_len);
char *base64url_encode(const void *data, size_t len);
bool base64url_decode(const char *text, size_t len, uint8_t **ret, size_t *ret_len);
void sha256(const void *data, size_t len, uint8_t ret[32]);
void sha256_hex(const void *data, size_t len, char ret[65]);

/* Decimal without sign, blanks or leading '+'; refuses overflow and values outside [min, max]. */
bool parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret);
/* Duration "90s" "10m" "12h" "3d" "250ms" -> milliseconds; a bare number is refused. */
bool parse_duration_ms(const char *text, int64_t *ret_ms);
/* The same for people: "29 d 4 h", "6 m", "12 s"; at most two units. */
void format_span(int64_t seconds, char *ret, size_t size);
/* RFC 3339 UTC "2026-08-02T07:00:00Z"; and the date alone. Years 0..9999, else "-". */
void format_time(int64_t unix_s, char *ret, size_t size);
void format_date(int64_t unix_s, char *ret, size_t size);
bool parse_time(const char *text, int64_t *ret_unix_s); /* RFC 3339, Z or offset; "2026-08-02"; "@1700000000" */
/* HTTP date (RFC 9110 section 5.6.7, IMF-fixdate) and Retry-After in both forms, clamped to [0, 7 d]. */
bool parse_http_date(const char *text, int64_t *ret_unix_s);
bool parse_retry_after(const char *text, int64_t now_s, int64_t *ret_s);

#endif
