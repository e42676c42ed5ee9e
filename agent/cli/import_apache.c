/* Apache: a directive a line, `\` joins lines, <VirtualHost> sections, Define and ${NAME}, Include. Of each virtual
 * host: ServerName, ServerAlias, SSLCertificateFile with its key (pairs in their order) and chain, DocumentRoot. What
 * stands in <IfModule> and the like is taken as if the condition held. Debian's envvars, beside the configuration, say
 * what the environment would. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/cli/import_found.h"
#include "agent/cli/import_lines.h"

#define LINE_MAX_BYTES 16384
#define WORDS_MAX 256

struct host {
        struct texts names, certs, keys;
        char *chain, *root;
        size_t line;
};
struct parser {
        struct import *im;
        char *base;
        struct host main, host;
        bool in_host;
        struct texts names, values; /* of Define */
        const struct import_shell *environment; /* NULL: not known */
        const char *file;
        unsigned included;
};

static void host_done(struct host *h)
{
        texts_done(&h->names);
        texts_done(&h->certs);
        texts_done(&h->keys);
        free(h->chain);
        free(h->root);
        *h = (struct host){ 0 };
}

static void host_ends(struct parser *p)
{
        const struct host *h = p->in_host ? &p->host : &p->main;
        for (size_t i = 0; i < h->certs.count; i++) {
                struct import_use *u = import_use_add(p->im, "apache", p->file, h->line);
                if (!u)
                        return;
                u->cert = text_dup(h->certs.item[i]);
                u->key = text_dup(i < h->keys.count ? h->keys.item[i] : NULL); /* none: it is in the same file */
                u->chain = text_dup(h->chain);
                u->root = text_dup(h->root ? h->root : p->main.root);
                p->im->failed |= !u->cert || !texts_copy(&u->names, &h->names);
        }
}

static const char *defined(const struct parser *p, const char *name, size_t len)
{
        for (size_t i = p->names.count; i-- > 0;) /* the last one counts */
                if (strlen(p->names.item[i]) == len && memcmp(p->names.item[i], name, len) == 0)
                        return p->values.item[i];
        CLEANUP(free_p) char *key = p->environment ? text_dup_n(name, len) : NULL;
        return key ? import_shell_get(p->environment, key) : NULL;
}

/* "${NAME}" becomes what Define said, else the environment; what neither knows stays as it is written. */
static bool put_char(const struct parser *p, const char **at, const char *end, struct buf *word)
{
        const char *close =
                **at == '$' && *at + 1 < end && (*at)[1] == '{' ? memchr(*at, '}', (size_t)(end - *at)) : NULL;
        const char *value = close ? defined(p, *at + 2, (size_t)(close - *at - 2)) : NULL;
        if (!value)
                return buf_addc(word, *(*at)++);
        *at = close + 1;
        return buf_add(word, value);
}

static bool split(const struct parser *p, const char *at, const char *end, struct texts *ret)
{
        bool good = true;
        while (good && at < end) {
                struct buf word = { .max = 4096 };
                while (at < end && (*at == ' ' || *at == '\t'))
                        at++;
                if (at == end)
                        break;
                char quote = *at == '"' || *at == '\'' ? *at++ : 0;
                buf_add(&word, "");
                while (at < end && (quote ? *at != quote : *at != ' ' && *at != '\t') && !word.failed) {
                        if (*at == '\\' && at + 1 < end && (at[1] == quote || at[1] == '\\'))
                                at++;
                        (void)put_char(p, &at, end, &word); /* seen by word.failed */
                }
                at += quote && at < end;
                good = !word.failed && strlen(word.data) == word.len && ret->count < WORDS_MAX &&
                        texts_add(ret, word.data);
                buf_done(&word);
        }
        return good;
}

static void put_path(struct parser *p, const struct texts *words, size_t line, struct texts *list, char **one)
{
        const char *written = words->count > 1 ? words->item[1] : NULL;
        bool known = written && !strstr(written, "${");
        if (written && !known)
                import_left(p->im, "%s:%zu: \"%s\" has a variable that is not set anywhere", p->file, line, written);
        char *path = known ? import_path(p->im, p->base, written) : NULL;
        if (one) {
                free(*one);
                *one = path;
        } else {
                p->im->failed |= path && !texts_add(list, path);
                free(path);
        }
}

static void read_file(void *arg, const char *path, unsigned depth);

static void directive(struct parser *p, const struct texts *words, size_t line)
{
        struct host *h = p->in_host ? &p->host : &p->main;
        const char *word = words->item[0];
        if (strcasecmp(word, "<VirtualHost") == 0) {
                host_done(&p->host);
                p->host.line = line;
                p->in_host = true;
        } else if (strcasecmp(word, "</VirtualHost>") == 0) {
                if (p->in_host)
                        host_ends(p);
                p->in_host = false;
        } else if (strcasecmp(word, "SSLCertificateFile") == 0) {
                put_path(p, words, line, &h->certs, NULL);
        } else if (strcasecmp(word, "SSLCertificateKeyFile") == 0) {
                put_path(p, words, line, &h->keys, NULL);
        } else if (strcasecmp(word, "SSLCertificateChainFile") == 0) {
                put_path(p, words, line, NULL, &h->chain);
        } else if (strcasecmp(word, "DocumentRoot") == 0) {
                put_path(p, words, line, NULL, &h->root);
        } else if (strcasecmp(word, "ServerName") == 0 || strcasecmp(word, "ServerAlias") == 0) {
                for (size_t i = 1; i < words->count; i++)
                        p->im->failed |= !texts_add(&h->names, words->item[i]);
        } else if (strcasecmp(word, "Define") == 0 && words->count == 3 && p->names.count < 1000) {
                p->im->failed |= !texts_add(&p->values, words->item[2]) || !texts_add(&p->names, words->item[1]);
        } else if (strcasecmp(word, "ServerRoot") == 0) {
                put_path(p, words, line, NULL, &p->base);
        } else if ((strcasecmp(word, "Include") == 0 || strcasecmp(word, "IncludeOptional") == 0) &&
                words->count == 2 && p->base) {
                import_include(p->im, p->base, words->item[1], p->included, read_file, p);
        }
}

static void parse(struct parser *p, const char *text, size_t len)
{
        struct import_line l;
        struct buf line = { .max = LINE_MAX_BYTES };
        import_lines(&l, text, len);
        while (import_next_line(&l)) {
                struct texts words = { 0 };
                bool more = l.len > 0 && l.text[l.len - 1] == '\\';
                buf_append(&line, l.text, l.len - more);
                if (more && buf_addc(&line, ' '))
                        continue;
                if (line.failed)
                        import_left(p->im, "%s:%zu: a line that is too long", p->file, l.number);
                else if (line.len > 0 && line.data[0] != '#' && split(p, line.data, line.data + line.len, &words) &&
                        words.count > 0)
                        directive(p, &words, l.number);
                texts_done(&words);
                buf_done(&line);
                line = (struct buf){ .max = LINE_MAX_BYTES };
        }
        buf_done(&line);
}

/* Include of a directory: all that is in it. */
static void read_folder(struct parser *p, const char *path, unsigned depth)
{
        struct texts names = { 0 };
        struct err e;
        if (!import_list(p->im, path, "*", &names, &e))
                import_left(p->im, "%s", e.text);
        for (size_t i = 0; i < names.count; i++)
                import_include(p->im, path, names.item[i], depth, read_file, p);
        texts_done(&names);
}

static void read_file(void *arg, const char *path, unsigned depth)
{
        struct parser *p = arg;
        struct stat st;
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        const char *file = p->file;
        unsigned included = p->included;
        if (!p->im->closed && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                return read_folder(p, path, depth);
        if (!import_exists(p->im, path) || !import_read_or_tell(p->im, path, &text, &len))
                return; /* IncludeOptional may name what is not there */
        p->file = path;
        p->included = depth;
        parse(p, text, len);
        p->file = file;
        p->included = included;
}

static void read_text(struct import *im, const char *file, const char *text, size_t len, const struct import_shell *env)
{
        const char *slash = strrchr(file, '/');
        struct parser p = {
                .im = im, .file = file, .base = text_dup_n(file, slash ? (size_t)(slash - file) : 0), .environment = env
        };
        if (p.base)
                parse(&p, text, len);
        p.in_host = false;
        host_ends(&p); /* what stands outside of every virtual host */
        host_done(&p.main);
        host_done(&p.host);
        texts_done(&p.names);
        texts_done(&p.values);
        free(p.base);
}

void import_apache_text(struct import *im, const char *file, const char *text, size_t len)
{
        read_text(im, file, text, len, NULL);
}

/* What a shell would have to tell of it is missed only where the configuration uses it, and told there. */
static void read_environment(struct import *im, const char *where, struct import_shell *ret)
{
        struct import quiet = { 0 };
        CLEANUP(free_p) char *path = import_path(im, "/", where), *text = NULL;
        CLEANUP(free_p)
        char *file = path ? text_format("%.*senvvars", (int)(strrchr(path, '/') + 1 - path), path) : NULL;
        size_t len = 0;
        if (file && import_exists(im, file) && import_read_or_tell(im, file, &text, &len))
                import_shell_read(&quiet, ret, file, text, len);
        im->failed |= quiet.failed;
        import_done(&quiet);
}

static bool read_conf(struct import *im, const char *where, struct err *e)
{
        struct import_shell environment = { 0 };
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        if (!import_read(im, where, &text, &len, e))
                return false;
        read_environment(im, where, &environment);
        read_text(im, where, text, len, &environment);
        import_shell_done(&environment);
        return true;
}

const struct import_source import_apache = {
        .name = "apache", .where = "/etc/apache2/apache2.conf", .read = read_conf
};
