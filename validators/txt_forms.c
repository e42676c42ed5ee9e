#include "validators/txt_forms.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/judgement.h"

/* Plan: a CA joins the strings of each record and compares byte for byte (RFC 8555 section 8.4); one record that is
 * right suffices. If none is, each value is held against the ways in which people and panels spoil one, nearest first;
 * the first that explains it is said. Without a wanted value (dry run) only what can be told from the shape alone is.
 */

#define DIGEST_TEXT 43 /* base64url of 32 bytes without padding */
#define DIGEST_BYTES 32
#define LARGE_BYTES 1232
#define LARGE_COUNT 20
#define B64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

struct trial {
        const struct txt_want *want;
        const struct txt_seen *seen;
        const struct txt_value *value;
        const char *text; /* of value, for words */
        struct judgements *out;
};

static bool is_exactly(const char *data, size_t len, const char *wanted)
{
        return wanted && strlen(wanted) == len && memcmp(data, wanted, len) == 0;
}

static bool is_digest(const char *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (!data[i] || !strchr(B64URL, data[i]))
                        return false;
        return len == DIGEST_TEXT;
}

/* The wanted value, or where none is known something that could be one. */
static bool is_meant(const struct txt_want *want, const char *data, size_t len)
{
        return want->value ? is_exactly(data, len, want->value) : want->acme && is_digest(data, len);
}

static struct judgement_words words(const struct trial *t, const char *fix)
{
        return (struct judgement_words){ t->want->owner, fix, t->text, t->want->value };
}

static char *record_line(const struct txt_want *want)
{
        const char *value = want->value ? want->value : "";
        return want->cname ? text_format("%s. 60 IN CNAME %s.", want->owner, value)
                           : text_format("%s. 60 IN TXT \"%s\"", want->owner, value);
}

/* ---- T03, T04 ---- */

static bool is_mark(char c)
{
        return c == '"' || c == '\'' || c == '\\' || c == '`';
}

static bool has_quotes(const struct trial *t)
{
        struct buf bare = { 0 };
        buf_add(&bare, "");
        for (size_t i = 0; i < t->value->len; i++)
                if (!is_mark((char)t->value->data[i]))
                        buf_addc(&bare, (char)t->value->data[i]);
        bool found =
                !bare.failed && bare.len < t->value->len && is_meant(t->want, bare.data ? bare.data : "", bare.len);
        buf_done(&bare);
        if (found)
                judge(t->out, "T03",
                        words(t,
                                "enter the value in the DNS panel without quotes and backslashes; the panel adds its "
                                "own"),
                        "the TXT value at %s (%s) contains literal quotes or backslashes: %s", t->want->owner,
                        t->seen->server, t->text);
        return found;
}

static bool has_blanks(const struct trial *t)
{
        const char *data = (const char *)t->value->data;
        size_t from = 0, to = t->value->len;
        while (from < to && isspace((unsigned char)data[from]))
                from++;
        while (to > from && isspace((unsigned char)data[to - 1]))
                to--;
        size_t before = from, after = t->value->len - to;
        if (before + after == 0 || !is_meant(t->want, data + from, to - from))
                return false;
        judge(t->out, "T04", words(t, "enter the value again without blanks or line ends"),
                "the TXT value at %s (%s) has %zu blank(s) at the %s", t->want->owner, t->seen->server, before + after,
                before == 0          ? "end"
                        : after == 0 ? "beginning"
                                     : "beginning and the end");
        return true;
}

/* ---- T07: the digest in another form ---- */

static bool as_base64url_padded(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        size_t bare = len;
        while (bare > 0 && text[bare - 1] == '=')
                bare--;
        return bare < len && len - bare <= 2 && base64url_decode(text, bare, ret, ret_len);
}

static bool as_base64_unpadded(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        char padded[DIGEST_TEXT + 1];
        if (len != DIGEST_TEXT || (!memchr(text, '+', len) && !memchr(text, '/', len)))
                return false; /* without these it is base64url as well */
        memcpy(padded, text, len);
        padded[len] = '=';
        return base64_decode(padded, sizeof padded, ret, ret_len);
}

static bool as_hex(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        CLEANUP(free_p) uint8_t *bytes = malloc(DIGEST_BYTES);
        if (!bytes || len != 2 * DIGEST_BYTES || !hex_decode(text, len, bytes, DIGEST_BYTES, ret_len))
                return false;
        *ret = STEAL(bytes);
        return true;
}

/* The digest of the digest's characters, or hex put into base64: seen where a script encodes twice. */
static bool as_base64_of_hex(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        CLEANUP(free_p) uint8_t *hex = NULL;
        size_t n;
        if (!base64url_decode(text, len, &hex, &n) && !base64_decode(text, len, &hex, &n))
                return false;
        return as_hex((const char *)hex, n, ret, ret_len);
}

static const struct {
        bool (*decode)(const char *text, size_t len, uint8_t **ret, size_t *ret_len);
        const char *form;
} forms[] = {
        { as_hex, "hexadecimal" },
        { as_base64url_padded, "padded with =" },
        { base64_decode, "standard base64 (with +, / or =)" },
        { as_base64_unpadded, "standard base64 (with + or /)" },
        { as_base64_of_hex, "base64 of the hexadecimal digest" },
};

static bool is_this_digest(const struct txt_want *want, const uint8_t *bytes, size_t len)
{
        CLEANUP(free_p) char *text = base64url_encode(bytes, len);
        return text && len == DIGEST_BYTES && is_meant(want, text, strlen(text));
}

static bool has_other_form(const struct trial *t)
{
        const char *text = (const char *)t->value->data;
        for (size_t i = 0; i < ARRAY_LEN(forms) && t->want->acme; i++) {
                CLEANUP(free_p) uint8_t *bytes = NULL;
                size_t len = 0;
                if (!forms[i].decode(text, t->value->len, &bytes, &len) || !is_this_digest(t->want, bytes, len))
                        continue;
                CLEANUP(free_p) char *ours = base64url_encode(bytes, len);
                CLEANUP(free_p)
                char *fix = text_format(
                        "publish the 43-character form: %s. 60 IN TXT \"%s\"", t->want->owner, ours ? ours : "");
                judge(t->out, "T07", words(t, fix),
                        "the TXT value at %s (%s) is %s; base64url without = is expected: %s", t->want->owner,
                        t->seen->server, forms[i].form, t->text);
                return true;
        }
        return false;
}

/* ---- T08: the content of the file ---- */

static bool is_file_content(const struct trial *t)
{
        const char *text = (const char *)t->value->data;
        const char *dot = memchr(text, '.', t->value->len);
        if (!t->want->acme || !dot)
                return false;
        const char *wanted = t->want->key_authorization, *thumb = wanted ? strchr(wanted, '.') : NULL;
        size_t after = t->value->len - (size_t)(dot - text);
        /* The same account's thumbprint behind the dot tells it even for another token. */
        if (thumb ? !is_exactly(dot, after, thumb) : !(dot - text >= 22 && is_digest(dot + 1, after - 1)))
                return false;
        uint8_t digest[32];
        sha256(text, t->value->len, digest);
        CLEANUP(free_p)
        char *value = t->want->value ? text_dup(t->want->value) : base64url_encode(digest, sizeof digest);
        CLEANUP(free_p)
        char *fix = text_format("publish its digest: %s. 60 IN TXT \"%s\"", t->want->owner, value ? value : "");
        judge(t->out, "T08", words(t, fix), "the content of the http-01 file was published as TXT at %s (%s): %s",
                t->want->owner, t->seen->server, t->text);
        return true;
}

/* ---- T09: another value of the right shape ---- */

static bool looks_alike(const struct trial *t)
{
        if (!t->want->value)
                return false;
        return t->want->acme ? is_digest((const char *)t->value->data, t->value->len)
                             : t->value->len == strlen(t->want->value);
}

static bool is_older(const struct trial *t)
{
        if (!looks_alike(t))
                return false;
        CLEANUP(free_p) char *line = record_line(t->want);
        CLEANUP(free_p)
        char *fix = text_format("replace it by: %s and wait %u s (its TTL)", line ? line : "", (unsigned)t->value->ttl);
        judge(t->out, "T09", words(t, fix), "another challenge value is present at %s (%s): %s, wanted %s",
                t->want->owner, t->seen->server, t->text, t->want->value);
        return true;
}

/* ---- T06: one value over two records ---- */

static bool joins(const struct txt_want *want, const struct txt_value *a, const struct txt_value *b)
{
        size_t len = want->value ? strlen(want->value) : DIGEST_TEXT;
        if (a->len == 0 || b->len == 0 || a->len + b->len != len)
                return false;
        CLEANUP(free_p) char *both = malloc(len + 1);
        if (!both)
                return false;
        memcpy(both, a->data, a->len);
        memcpy(both + a->len, b->data, b->len);
        return is_meant(want, both, len);
}

static bool is_split(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        size_t most = seen->count < LARGE_COUNT ? seen->count : LARGE_COUNT;
        for (size_t i = 0; i < most && want->value; i++)
                for (size_t j = 0; j < most; j++) {
                        if (i == j || !joins(want, &seen->values[i], &seen->values[j]))
                                continue;
                        CLEANUP(free_p) char *line = record_line(want);
                        CLEANUP(free_p) char *fix = text_format("delete both and enter one: %s", line ? line : "");
                        judge(out, "T06", (struct judgement_words){ want->owner, fix, NULL, want->value },
                                "the value at %s (%s) was entered as two records", want->owner, seen->server);
                        return true;
                }
        return false;
}

/* ---- the whole answer ---- */

static char *text_of(const struct txt_value *v)
{
        return text_dup_n((const char *)v->data, v->len); /* up to a NUL: for words only */
}

static void judge_values(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        static bool (*const ways[])(
                const struct trial *) = { has_quotes, has_blanks, has_other_form, is_file_content, is_older };
        size_t most = seen->count < LARGE_COUNT ? seen->count : LARGE_COUNT; /* beyond that T19 speaks */
        bool explained = is_split(want, seen, out);
        for (size_t i = 0; i < most; i++) {
                CLEANUP(free_p) char *text = text_of(&seen->values[i]);
                struct trial t = { want, seen, &seen->values[i], text ? text : "", out };
                for (size_t w = 0; w < ARRAY_LEN(ways); w++)
                        if (ways[w](&t)) {
                                explained = true;
                                break;
                        }
        }
        if (explained || !want->value)
                return;
        CLEANUP(free_p) char *line = record_line(want), *found = text_of(&seen->values[0]);
        CLEANUP(free_p) char *fix = text_format("add: %s", line ? line : "");
        struct judgement_words w = { want->owner, fix, found, want->value };
        if (want->acme)
                judge(out, "T02", w, "no TXT record at %s (%s) has the value %s; there are %zu others", want->owner,
                        seen->server, want->value, seen->count);
        else
                judge(out, "T23", w, "%s (%s): expected %s, found %s", want->owner, seen->server, want->value,
                        found ? found : "");
}

static void judge_size(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        if (want->cname || (seen->count <= LARGE_COUNT && seen->message_bytes <= LARGE_BYTES))
                return;
        CLEANUP(free_p)
        char *fix = text_format("delete the TXT records at %s that no running order needs", want->owner);
        judge(out, "T19", (struct judgement_words){ want->owner, fix, NULL, NULL },
                "%zu TXT records, %zu bytes, at %s (%s): answers this large get lost or refused", seen->count,
                seen->message_bytes, want->owner, seen->server);
}

static void judge_strings(
        const struct txt_want *want, const struct txt_seen *seen, const struct txt_value *v, struct judgements *out)
{
        if (v->strings > 1)
                judge(out, "T05",
                        (struct judgement_words){ want->owner,
                                "one string is the safer form, but nothing has to be done", NULL, want->value },
                        "the value at %s (%s) is split in %u strings: CAs join them, Pebble before 2.10 does not",
                        want->owner, seen->server, v->strings);
}

static bool is_right(const struct txt_want *want, const struct txt_value *v)
{
        if (!want->cname)
                return is_exactly((const char *)v->data, v->len, want->value);
        CLEANUP(free_p) char *target = text_of(v);
        return target && strlen(target) == v->len && dns_name_equal(target, want->value);
}

static enum txt_match judge_cname(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        CLEANUP(free_p) char *line = record_line(want), *found = text_of(&seen->values[0]);
        CLEANUP(free_p) char *fix = text_format("replace it by: %s", line ? line : "");
        judge(out, "T23", (struct judgement_words){ want->owner, fix, found, want->value },
                "%s (%s): expected the alias %s, found %s", want->owner, seen->server, want->value, found ? found : "");
        return TXT_DIFFERS;
}

static enum txt_match judge_absent(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        CLEANUP(free_p) char *line = record_line(want);
        CLEANUP(free_p)
        char *fix = text_format(
                "add: %s (and check that %s is the zone's exact owner name)", line ? line : "", want->owner);
        if (want->value)
                judge(out, "T02", (struct judgement_words){ want->owner, fix, "", want->value },
                        "no %s record at %s (%s)", want->cname ? "CNAME" : "TXT", want->owner, seen->server);
        return TXT_ABSENT;
}

enum txt_match txt_judge(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out)
{
        if (seen->count == 0)
                return judge_absent(want, seen, out);
        judge_size(want, seen, out);
        for (size_t i = 0; i < seen->count && want->value; i++)
                if (is_right(want, &seen->values[i])) {
                        judge_strings(want, seen, &seen->values[i], out);
                        return TXT_PRESENT;
                }
        if (want->cname)
                return want->value ? judge_cname(want, seen, out) : TXT_DIFFERS;
        judge_values(want, seen, out);
        return TXT_DIFFERS;
}
