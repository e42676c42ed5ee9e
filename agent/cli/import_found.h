/* What other clients and web servers have on this host, gathered to become a configuration of dcvd: one file per source
 * (import_certbot.c, ...), all of them in the one array of import_from.c. Everything read is hostile input: files are
 * bounded, belong to root or the caller, and nobody else can write them; nothing is executed; a path is only taken
 * where the file there holds what dcvd would replace. What cannot be taken over is told, never guessed. */
#ifndef DCVD_CLI_IMPORT_FOUND_H
#define DCVD_CLI_IMPORT_FOUND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/pki/chain.h"

#define IMPORT_FILE_MAX ((size_t)1024 * 1024)
#define IMPORT_CERTS_MAX 2000
#define IMPORT_TEXTS_MAX ((size_t)500) /* of each list: a hostile file must not fill the screen for ever */

/* What a file of a certificate holds: the forms of `files:`. */
enum import_form { IMPORT_FULLCHAIN, IMPORT_CERT, IMPORT_CHAIN, IMPORT_KEY, IMPORT_COMBINED, IMPORT_FORMS };

struct import_file {
        char *path;
        enum import_form form;
};
/* A place where a server names a certificate. */
struct import_use {
        const char *preset; /* "nginx" */
        char *said; /* "/etc/nginx/nginx.conf:12" */
        char *cert, *key, *chain; /* key NULL: in cert, too; chain NULL: in cert, too */
        char *root; /* document root; NULL: not said */
        struct texts names;
};
struct import_cert {
        char *name; /* as the source calls it */
        char *cert, *key; /* taken over: the chain, leaf first, and the key; one path twice for a bundle */
        struct import_file *file; /* paths that servers may read it from */
        size_t file_count;
        char *directory; /* of the CA; NULL: not said */
        char *email;
        json_t *publishers; /* {"default" or a name: section of publishers} */
        bool reuse_key;
        const char *preset[4]; /* servers that use it; NULL-terminated */
        struct chain chain; /* after import_load */
        char spki[65];
};
struct import {
        struct import_cert *cert;
        size_t cert_count;
        struct import_use *use;
        size_t use_count;
        struct texts left; /* what could not be taken over, and why; one line each, escaped */
        struct texts next; /* what the person has to do, one line each */
        bool closed; /* no file is opened: fuzzing */
        bool failed; /* no memory */
        size_t files, bytes; /* read so far */
};
struct import_source {
        const char *name, *where; /* where: read when none is named; "~/" is the caller's home */
        const char *program; /* what a timer or a cron job calls; NULL: a server, whose certificates somebody renews */
        bool (*read)(struct import *im, const char *where, struct err *e);
};
extern const struct import_source *const import_sources[]; /* import_from.c; ended by NULL */
const struct import_source *import_source_find(const char *name);

void import_done(struct import *im);
void import_cert_done(struct import_cert *c);
void import_left(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
void import_next(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Borrowed until the next one is added; NULL: too many, which was said, or no memory. */
struct import_cert *import_cert_add(struct import *im, const char *name);
struct import_use *import_use_add(struct import *im, const char *preset, const char *file, size_t line);
void import_cert_file(struct import *im, struct import_cert *c, enum import_form form, char *path_own);
/* Takes section. name NULL: of all names. */
void import_publish(struct import *im, struct import_cert *c, const char *name, json_t *section_own);
/* Keeps a text of a hostile file where it is plain: printable UTF-8, at most 1024 bytes; else NULL, and told. */
char *import_text(struct import *im, const char *file, size_t line, const char *text, size_t len);

/* ---- import_read.c: files and directories, within what may be read in all ---- */

bool import_read(struct import *im, const char *path, char **ret, size_t *ret_len, struct err *e);
/* The same; what is wrong is told in `left`. */
bool import_read_or_tell(struct import *im, const char *path, char **ret, size_t *ret_len);
bool import_exists(const struct import *im, const char *path);
/* Names in a directory that fit the pattern, sorted; no hidden ones. */
bool import_list(struct import *im, const char *directory, const char *pattern, struct texts *ret, struct err *e);
/* A path as it was written, made absolute below base, without "." and ".." components; NULL: not usable, and told. */
char *import_path(struct import *im, const char *base, const char *written);
/* Calls read for the files of an include of a server's configuration: a path, or a pattern in its last component. */
void import_include(struct import *im, const char *base, const char *written, unsigned depth,
        void (*read)(void *arg, const char *path, unsigned depth), void *arg);

/* ---- the parsers that are fuzzed: text in, certificates and uses out ---- */

void import_certbot_conf(struct import *im, const char *folder, const char *file, const char *text, size_t len);
void import_lego_json(struct import *im, const char *folder, const char *file, const char *text, size_t len);
void import_acme_sh_conf(struct import *im, const char *folder, const char *file, const char *text, size_t len);
void import_dehydrated_config(struct import *im, const char *file, const char *text, size_t len);
void import_nginx_text(struct import *im, const char *file, const char *text, size_t len);
void import_apache_text(struct import *im, const char *file, const char *text, size_t len);
void import_haproxy_text(struct import *im, const char *file, const char *text, size_t len);

extern const struct import_source import_certbot, import_lego, import_acme_sh, import_dehydrated, import_nginx,
        import_apache, import_haproxy;

#endif
