/* HAProxy: `bind ... ssl crt PATH` (a bundle of chain and key, or a folder of them), `crt-list FILE`, crt-base. A
 * bundle without a key has it beside it, as PATH.key; where there is no PATH, PATH.rsa and the like are meant. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"
#include "agent/cli/import_lines.h"

#define WORDS_MAX 128

struct parser {
        struct import *im;
        char *folder, *crt_base;
        const char *file;
};

/* Blanks between words; quotes and backslashes as HAProxy has them; `#` ends the line. */
static bool split(const char *at, const char *end, struct texts *ret)
{
        bool good = true;
        while (good) {
                struct buf word = { .max = 4096 };
                char quote = 0;
                while (at < end && (*at == ' ' || *at == '\t'))
                        at++;
                if (at == end || *at == '#')
                        break;
                buf_add(&word, "");
                for (; at < end && (quote || (*at != ' ' && *at != '\t')); at++) {
                        if (!quote && (*at == '"' || *at == '\''))
                                quote = *at;
                        else if (quote && *at == quote)
                                quote = 0;
                        else if (*at == '\\' && quote != '\'' && at + 1 < end)
                                buf_addc(&word, *++at);
                        else
                                buf_addc(&word, *at);
                }
                good = !quote && !word.failed && strlen(word.data) == word.len && ret->count < WORDS_MAX &&
                        texts_add(ret, word.data);
                buf_done(&word);
        }
        return good;
}

static void use(struct parser *p, const char *path, size_t line)
{
        CLEANUP(free_p) char *key = text_format("%s.key", path);
        struct import_use *u = key ? import_use_add(p->im, "haproxy", p->file, line) : NULL;
        if (!u)
                return;
        u->cert = text_dup(path);
        u->key = import_exists(p->im, key) ? STEAL(key) : NULL;
        p->im->failed |= !u->cert;
}

static void folder(struct parser *p, const char *path, size_t line)
{
        static const char *const beside[] = { ".key", ".ocsp", ".issuer", ".sctl", ".dh" };
        struct texts names = { 0 };
        struct err e;
        if (!import_list(p->im, path, "*", &names, &e))
                import_left(p->im, "%s", e.text);
        for (size_t i = 0; i < names.count; i++) {
                bool other = false;
                for (size_t k = 0; k < ARRAY_LEN(beside); k++)
                        other |= text_ends(names.item[i], beside[k]);
                CLEANUP(free_p) char *one = other ? NULL : text_format("%s/%s", path, names.item[i]);
                if (one)
                        use(p, one, line);
        }
        texts_done(&names);
}

/* One certificate for each kind of key (HAProxy's ssl-load-extra-files: bundle). */
static bool kinds(struct parser *p, const char *path, size_t line)
{
        static const char *const kind[] = { ".rsa", ".ecdsa", ".dsa" };
        bool any = false;
        for (size_t i = 0; i < ARRAY_LEN(kind); i++) {
                CLEANUP(free_p) char *one = text_format("%s%s", path, kind[i]);
                if (!one || !import_exists(p->im, one))
                        continue;
                use(p, one, line);
                any = true;
        }
        return any;
}

static void crt(struct parser *p, const char *written, size_t line)
{
        struct stat st;
        CLEANUP(free_p) char *path = import_path(p->im, p->crt_base ? p->crt_base : p->folder, written);
        if (!path)
                return;
        if (!p->im->closed && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                folder(p, path, line);
        else if (import_exists(p->im, path) || !kinds(p, path, line))
                use(p, path, line);
}

static void crt_list(struct parser *p, const char *written)
{
        CLEANUP(free_p) char *path = import_path(p->im, p->folder, written);
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct import_line l;
        const char *file = p->file;
        if (!path || !import_read_or_tell(p->im, path, &text, &len))
                return;
        p->file = path;
        import_lines(&l, text, len);
        while (import_next_line(&l)) {
                struct texts words = { 0 };
                if (split(l.text, l.text + l.len, &words) && words.count > 0)
                        crt(p, words.item[0], l.number);
                texts_done(&words);
        }
        p->file = file;
}

static void line_of(struct parser *p, const struct texts *words, size_t line)
{
        const char *word = words->count > 0 ? words->item[0] : "";
        if (strcmp(word, "crt-base") == 0 && words->count > 1) {
                free(p->crt_base);
                p->crt_base = import_path(p->im, p->folder, words->item[1]);
        }
        if (strcmp(word, "crt-store") == 0)
                import_left(p->im, "%s:%zu: crt-store is not read", p->file, line);
        for (size_t i = 1; strcmp(word, "bind") == 0 && i + 1 < words->count; i++)
                if (strcmp(words->item[i], "crt") == 0)
                        crt(p, words->item[++i], line);
                else if (strcmp(words->item[i], "crt-list") == 0)
                        crt_list(p, words->item[++i]);
}

void import_haproxy_text(struct import *im, const char *file, const char *text, size_t len)
{
        const char *slash = strrchr(file, '/');
        struct parser p = { .im = im, .file = file, .folder = text_dup_n(file, slash ? (size_t)(slash - file) : 0) };
        struct import_line l;
        import_lines(&l, text, len);
        while (p.folder && import_next_line(&l)) {
                struct texts words = { 0 };
                if (!split(l.text, l.text + l.len, &words))
                        import_left(im, "%s:%zu: not what HAProxy reads", file, l.number);
                else
                        line_of(&p, &words, l.number);
                texts_done(&words);
        }
        free(p.folder);
        free(p.crt_base);
}

static bool read_conf(struct import *im, const char *where, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!import_read(im, where, &text, &len, e))
                return false;
        import_haproxy_text(im, where, text, len);
        return true;
}

const struct import_source import_haproxy = {
        .name = "haproxy", .where = "/etc/haproxy/haproxy.cfg", .read = read_conf
};
