#include "agent/cli/import_found.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

#define USES_MAX 10000
#define FILES_MAX 64 /* of one certificate */

void import_cert_done(struct import_cert *c)
{
        free(c->name);
        free(c->cert);
        free(c->key);
        for (size_t i = 0; i < c->file_count; i++)
                free(c->file[i].path);
        free(c->file);
        free(c->directory);
        free(c->email);
        json_decref(c->publishers);
        chain_done(&c->chain);
}

static void use_done(struct import_use *u)
{
        free(u->said);
        free(u->cert);
        free(u->key);
        free(u->chain);
        free(u->root);
        texts_done(&u->names);
}

void import_done(struct import *im)
{
        for (size_t i = 0; i < im->cert_count; i++)
                import_cert_done(&im->cert[i]);
        for (size_t i = 0; i < im->use_count; i++)
                use_done(&im->use[i]);
        free(im->cert);
        free(im->use);
        texts_done(&im->left);
        texts_done(&im->next);
        *im = (struct import){ 0 };
}

__attribute__((format(printf, 3, 0))) static void tell(
        struct import *im, struct texts *list, const char *format, va_list ap)
{
        struct buf plain = { .max = 16384 }, line = { .max = 16384 };
        buf_addv(&plain, format, ap);
        if (plain.data)
                buf_add_escaped(&line, plain.data, plain.len, 1000);
        if (line.data && list->count < IMPORT_TEXTS_MAX && !texts_has(list, line.data))
                im->failed |= !texts_add(list, line.data);
        buf_done(&plain);
        buf_done(&line);
}

void import_left(struct import *im, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        tell(im, &im->left, format, ap);
        va_end(ap);
}

void import_next(struct import *im, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        tell(im, &im->next, format, ap);
        va_end(ap);
}

/* Room for one more; lists grow at powers of two. */
static void *grown(struct import *im, void *list, size_t count, size_t size)
{
        if (count & (count - 1))
                return list;
        void *more = realloc(list, (count ? count * 2 : 1) * size);
        im->failed |= more == NULL;
        return more;
}

struct import_cert *import_cert_add(struct import *im, const char *name)
{
        if (im->cert_count >= IMPORT_CERTS_MAX) {
                import_left(im, "more than %d certificates: the others are not looked at", IMPORT_CERTS_MAX);
                return NULL;
        }
        struct import_cert *more = grown(im, im->cert, im->cert_count, sizeof *more);
        if (!more)
                return NULL;
        im->cert = more;
        struct import_cert *c = &im->cert[im->cert_count++];
        *c = (struct import_cert){ .name = text_dup(name), .publishers = json_object() };
        im->failed |= !c->name || !c->publishers;
        return c;
}

struct import_use *import_use_add(struct import *im, const char *preset, const char *file, size_t line)
{
        if (im->use_count >= USES_MAX) {
                import_left(
                        im, "%s: more than %d certificates are named: the others are not looked at", file, USES_MAX);
                return NULL;
        }
        struct import_use *more = grown(im, im->use, im->use_count, sizeof *more);
        if (!more)
                return NULL;
        im->use = more;
        struct import_use *u = &im->use[im->use_count++];
        *u = (struct import_use){ .preset = preset, .said = text_format("%s:%zu", file, line) };
        im->failed |= !u->said;
        return u;
}

void import_cert_file(struct import *im, struct import_cert *c, enum import_form form, char *path)
{
        struct import_file *more = NULL;
        for (size_t i = 0; path && i < c->file_count; i++)
                if (strcmp(c->file[i].path, path) == 0) {
                        free(path);
                        return;
                }
        if (path && c->file_count < FILES_MAX)
                more = grown(im, c->file, c->file_count, sizeof *more);
        im->failed |= !path;
        if (!more) {
                free(path);
                return;
        }
        c->file = more;
        c->file[c->file_count++] = (struct import_file){ path, form };
}

void import_publish(struct import *im, struct import_cert *c, const char *name, json_t *section)
{
        if (!section || json_object_set_new(c->publishers, name ? name : "default", section) != 0)
                im->failed = true;
}

char *import_text(struct import *im, const char *file, size_t line, const char *text, size_t len)
{
        bool good = len <= 1024 && text_is_utf8(text, len);
        for (size_t i = 0; good && i < len; i++)
                good = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
        if (!good) {
                import_left(im, "%s:%zu: a value that is too long, or no plain text", file, line);
                return NULL;
        }
        char *copy = text_dup_n(text, len);
        im->failed |= !copy;
        return copy;
}
