/* An alert as it comes: the first byte chooses the format and whether the headers below are replaced by those of an
 * honest sender; then header lines; after an empty line the body. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/alerts/alert.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS_MAX 8
#define NOW INT64_C(1763881200)

struct lines {
        char *name[HEADERS_MAX], *value[HEADERS_MAX];
        size_t count;
};

static const char *header_of(void *arg, const char *name, unsigned *ret_count)
{
        const struct lines *l = arg;
        const char *first = NULL;
        unsigned n = 0;
        for (size_t i = 0; i < l->count; i++)
                if (strcasecmp(l->name[i], name) == 0 && n++ == 0)
                        first = l->value[i];
        if (ret_count)
                *ret_count = n;
        return first;
}

static void add_line(struct lines *l, char *line)
{
        char *colon = strstr(line, ": ");
        if (!colon || l->count == HEADERS_MAX)
                return;
        *colon = '\0';
        l->name[l->count] = line;
        l->value[l->count++] = colon + 2;
}

static char *read_lines(char *text, struct lines *l)
{
        char *end;
        while (*text != '\n' && (end = strchr(text, '\n'))) {
                *end = '\0';
                add_line(l, text);
                text = end + 1;
        }
        return *text == '\n' ? text + 1 : text;
}

static void check(const struct alert *a)
{
        for (size_t i = 0; i < a->count; i++) {
                const struct alert_item *item = &a->item[i];
                if ((item->spki_hex[0] && strlen(item->spki_hex) != 64) || item->seen_count > ALERT_SEEN_KEYS ||
                        (item->text && strpbrk(item->text, "\n\r\033")))
                        abort();
        }
        if (a->count > ALERT_ITEMS_MAX || (a->kind != ALERT_KEYS && a->count > 0))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char whsec[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        struct lines l = { 0 };
        struct texts made = { 0 };
        struct secret s = { 0 };
        struct alert a = { 0 };
        struct err e = { 0 };
        if (size < 1 || size > 65536)
                return 0;
        enum alert_format f = data[0] % ALERT_FORMATS;
        char *text = text_dup_n((const char *)data + 1, size - 1), *body = text ? read_lines(text, &l) : NULL;
        const struct signature_test t = { .id = "msg_1", .event = "secret_scanning_alert", .now_s = NOW };
        if (!text || !secret_set(&s, whsec, strlen(whsec), NULL))
                abort();
        size_t len = size - 1 - (size_t)(body - text);
        if (data[0] & 0x80 && signature_make(f, &s, &t, body, len, &made, NULL)) {
                l.count = 0;
                for (size_t i = 0; i < made.count; i++)
                        add_line(&l, made.item[i]);
        }
        struct signed_request r = { header_of, &l, body, len, NOW, false };
        bool good = signature_is_good(f, NULL, &s, 1, &r);
        if (data[0] & 0x80 && !good)
                abort();
        struct alert_request q = {
                .format = f, .header = header_of, .arg = &l, .body = body, .body_len = len, .now_s = NOW
        };
        if (alert_read(&q, &a, &e)) {
                check(&a);
                alert_done(&a);
        }
        texts_done(&made);
        secret_done(&s);
        free(text);
        return 0;
}
