/* The texts of dcvctl snippet, one function a server. */
#ifndef DCVD_CLI_SNIPPET_H
#define DCVD_CLI_SNIPPET_H

#include "agent/base/buf.h"

struct snippet {
        const struct texts *names; /* NULL: no certificate was named, tokens alone */
        const char *listener; /* "127.0.0.1:8402" or a path: where dcvd answers tokens; NULL: nothing is passed on */
        const char *webroot; /* where a publisher writes them instead; NULL */
        const char *directory, *fullchain, *key, *combined; /* of the certificate's files; combined may be NULL */
};
void snippet_nginx(const struct snippet *s, struct buf *b);
void snippet_apache(const struct snippet *s, struct buf *b);
void snippet_haproxy(const struct snippet *s, struct buf *b);
void snippet_caddy(const struct snippet *s, struct buf *b);

#endif
