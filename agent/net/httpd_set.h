/* The listeners of one setting (tokens.listen, admin.listen), changed whole or not at all: what is new opens before
 * what is gone closes, and what stays is not touched. */
#ifndef DCVD_NET_HTTPD_SET_H
#define DCVD_NET_HTTPD_SET_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct httpd;
struct texts;

struct httpd_set {
        char **where;
        struct httpd **httpd;
        size_t count;
};
typedef bool httpd_set_open_fn(void *arg, const char *where, struct httpd **ret, struct err *e);

/* Opens what `want` names and `now` has not. Failure: nothing stays open, `now` is as it was. ret_next shares its old
 * members with `now` until one of the two below is called. */
bool httpd_set_prepare(const struct httpd_set *now, const struct texts *want, httpd_set_open_fn *open, void *arg,
        struct httpd_set *ret_next, struct err *e);
void httpd_set_commit(struct httpd_set *now, struct httpd_set *next); /* now becomes next; closes what is gone */
void httpd_set_abandon(const struct httpd_set *now, struct httpd_set *next); /* closes what was new */
void httpd_set_done(struct httpd_set *s); /* closes all */

#endif
