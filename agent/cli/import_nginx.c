/* nginx: blocks, quotes, comments, include. Of each server block: server_name, ssl_certificate and its key (pairs in
 * their order; inherited from the block around), root. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"

#define NESTING_MAX 32
#define WORDS_MAX 512
#define WORD_MAX 4096

struct block {
        bool is_server;
        size_t line;
        struct texts certs, keys, names, cert_said;
        char *root;
};
struct parser {
        struct import *im;
        char *base; /* relative paths start here */
        struct block block[NESTING_MAX];
        size_t depth;
        struct texts words; /* of the directive that is being read */
        const char *file;
        unsigned included;
};

static void block_done(struct block *b)
{
        texts_done(&b->certs);
        texts_done(&b->keys);
        texts_done(&b->names);
        texts_done(&b->cert_said);
        free(b->root);
        *b = (struct block){ 0 };
}

/* ---- what a server block says ---- */

static const struct block *with_certificates(const struct parser *p)
{
        for (size_t i = p->depth + 1; i-- > 0;)
                if (p->block[i].certs.count > 0)
                        return &p->block[i];
        return NULL;
}

static const char *root_of(const struct parser *p)
{
        for (size_t i = p->depth + 1; i-- > 0;)
                if (p->block[i].root)
                        return p->block[i].root;
        return NULL;
}

static void server_ends(struct parser *p)
{
        const struct block *b = &p->block[p->depth], *from = with_certificates(p);
        for (size_t i = 0; from && i < from->certs.count; i++) {
                if (i >= from->keys.count) {
                        import_left(
                                p->im, "%s: ssl_certificate without its ssl_certificate_key", from->cert_said.item[i]);
                        continue;
                }
                struct import_use *u = import_use_add(p->im, "nginx", p->file, b->line);
                if (!u)
                        return;
                u->cert = text_dup(from->certs.item[i]);
                u->key = text_dup(from->keys.item[i]);
                u->root = text_dup(root_of(p));
                p->im->failed |= !u->cert || !u->key || !texts_copy(&u->names, &b->names);
        }
}

/* ---- directives ---- */

static void keep_path(struct parser *p, size_t line, struct texts *to, bool told)
{
        const char *written = p->words.count > 1 ? p->words.item[1] : "";
        struct block *b = &p->block[p->depth];
        if (strchr(written, '$') || strncmp(written, "data:", 5) == 0 || strncmp(written, "engine:", 7) == 0) {
                import_left(p->im, "%s:%zu: \"%s\" is not a file that can be named", p->file, line, written);
                return;
        }
        CLEANUP(free_p) char *path = import_path(p->im, p->base, written);
        CLEANUP(free_p) char *said = text_format("%s:%zu", p->file, line);
        if (path && said)
                p->im->failed |= !texts_add(to, path) || (told && !texts_add(&b->cert_said, said));
}

static void read_file(void *arg, const char *path, unsigned depth);

static void directive(struct parser *p, size_t line)
{
        struct block *b = &p->block[p->depth];
        const char *word = p->words.count ? p->words.item[0] : "";
        if (strcmp(word, "include") == 0 && p->words.count == 2) {
                import_include(p->im, p->base, p->words.item[1], p->included, read_file, p);
        } else if (strcmp(word, "ssl_certificate") == 0) {
                keep_path(p, line, &b->certs, true);
        } else if (strcmp(word, "ssl_certificate_key") == 0) {
                keep_path(p, line, &b->keys, false);
        } else if (strcmp(word, "server_name") == 0) {
                for (size_t i = 1; i < p->words.count; i++)
                        p->im->failed |= !texts_add(&b->names, p->words.item[i]);
        } else if (strcmp(word, "root") == 0 && p->words.count == 2 && !strchr(p->words.item[1], '$')) {
                free(b->root);
                b->root = import_path(p->im, p->base, p->words.item[1]);
        }
        texts_done(&p->words);
}

static bool open_block(struct parser *p, size_t line)
{
        bool server = p->words.count == 1 && strcmp(p->words.item[0], "server") == 0;
        texts_done(&p->words);
        if (p->depth + 1 >= NESTING_MAX) {
                import_left(p->im, "%s:%zu: blocks inside each other too deeply; the rest is not read", p->file, line);
                return false;
        }
        p->block[++p->depth] = (struct block){ .is_server = server, .line = line };
        return true;
}

static void close_block(struct parser *p)
{
        texts_done(&p->words);
        if (p->depth == 0)
                return; /* one too many: nginx itself would refuse the file */
        if (p->block[p->depth].is_server)
                server_ends(p);
        block_done(&p->block[p->depth--]);
}

/* ---- words ---- */

static bool ends_word(char c, char quote, bool dollar, bool brace)
{
        if (quote)
                return c == quote || c == '\0';
        return strchr(" \t\r\n;", c) || (c == '{' && !dollar) || (c == '}' && !brace);
}

/* From a word's first character to behind it; NULL: no end, or nothing that nginx reads. */
static const char *word(struct parser *p, const char *at, const char *end, size_t *line)
{
        struct buf b = { .max = WORD_MAX };
        char quote = *at == '"' || *at == '\'' ? *at++ : 0;
        bool dollar = false, brace = false; /* in "${name}" the braces are part of the word */
        buf_add(&b, "");
        for (; at < end && !ends_word(*at, quote, dollar, brace); at++) {
                brace = !quote && (*at == '{' || (brace && *at != '}'));
                dollar = *at == '$';
                *line += *at == '\n';
                at += *at == '\\' && at + 1 < end && at[1] != '\0';
                buf_addc(&b, *at);
        }
        bool ended = at == end ? !quote : *at != '\0';
        bool good = ended && !b.failed && p->words.count < WORDS_MAX && texts_add(&p->words, b.data);
        buf_done(&b);
        return good ? at + (quote != 0) : NULL;
}

static void parse(struct parser *p, const char *text, size_t len)
{
        size_t line = 1;
        for (const char *at = text, *end = text + len; at && at < end;) {
                if (*at == '#') {
                        const char *stop = memchr(at, '\n', (size_t)(end - at));
                        at = stop ? stop : end;
                } else if (*at && strchr(" \t\r\n", *at)) {
                        line += *at++ == '\n';
                } else if (*at == ';') {
                        directive(p, line);
                        at++;
                } else if (*at == '{') {
                        at = open_block(p, line) ? at + 1 : NULL;
                } else if (*at == '}') {
                        close_block(p);
                        at++;
                } else if (!(at = word(p, at, end, &line))) {
                        import_left(p->im, "%s:%zu: not what nginx reads; the rest of the file is not looked at",
                                p->file, line);
                }
        }
        texts_done(&p->words);
}

static void read_file(void *arg, const char *path, unsigned depth)
{
        struct parser *p = arg;
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        const char *file = p->file;
        unsigned included = p->included;
        struct texts words = p->words; /* of the include itself: freed by who reads it */
        if (!import_read_or_tell(p->im, path, &text, &len))
                return;
        p->words = (struct texts){ 0 };
        p->file = path;
        p->included = depth;
        parse(p, text, len);
        p->file = file;
        p->included = included;
        p->words = words;
}

void import_nginx_text(struct import *im, const char *file, const char *text, size_t len)
{
        const char *slash = strrchr(file, '/');
        CLEANUP(free_p) struct parser *p = calloc(1, sizeof *p);
        if (!p || !(p->base = text_dup_n(file, slash ? (size_t)(slash - file) : 0))) {
                im->failed = true;
                return;
        }
        p->im = im;
        p->file = file;
        parse(p, text, len);
        while (p->depth > 0)
                block_done(&p->block[p->depth--]);
        block_done(&p->block[0]);
        free(p->base);
}

static bool read_conf(struct import *im, const char *where, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!import_read(im, where, &text, &len, e))
                return false;
        import_nginx_text(im, where, text, len);
        return true;
}

const struct import_source import_nginx = { .name = "nginx", .where = "/etc/nginx/nginx.conf", .read = read_conf };
