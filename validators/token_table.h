/* The table the responder answers from: exact paths, only while published. Filled only by publish() and emptied by
 * retract() of the responder publisher; the tokens listener asks it through net/httpd. */
#ifndef DCVD_VALIDATORS_TOKEN_TABLE_H
#define DCVD_VALIDATORS_TOKEN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct httpd;
struct httpd_exchange;
struct httpd_request;
struct loop;
struct token_table;

bool token_table_new(struct token_table **ret, struct err *e);
void token_table_free(struct token_table *t);
/* host NULL or "" = any. The same entry again is success; another body for the same host and path is ERR_RULE
 * "token.foreign". */
bool token_table_put(struct token_table *t, const char *host, const char *path, const char *body, struct err *e);
void token_table_drop(struct token_table *t, const char *host, const char *path);
size_t token_table_count(const struct token_table *t);
/* httpd handler (arg = the table): GET and HEAD of an exact published path, Host compared without case and port; else
 * 404; other methods 405. */
void token_table_serve(void *table, struct httpd_exchange *x, const struct httpd_request *r);
/* Opens a listener that serves the table, which must outlive it. where or fd: as in httpd_conf. */
bool token_table_listen(
        struct token_table *t, struct loop *loop, const char *where, int fd, struct httpd **ret, struct err *e);

#endif
