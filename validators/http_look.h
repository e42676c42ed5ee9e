/* Judging one look of http_evidence.h; the looks are held against each other in http_evidence.c. */
#ifndef DCVD_VALIDATORS_HTTP_LOOK_H
#define DCVD_VALIDATORS_HTTP_LOOK_H

#include <stdbool.h>

#include "validators/http_evidence.h"

/* Of the words for a person: where tokens are, and what serves them. */
#define HTTP_TOKEN_PATHS "/.well-known/acme-challenge/"
#define HTTP_NGINX_LINES "nginx: location ^~ " HTTP_TOKEN_PATHS " { root /var/www/html; default_type text/plain; }"

/* True if a CA would accept what this look met; what speaks against it is added to out. */
bool http_judge_look(const struct http_evidence *x, const struct http_look *l, struct judgements *out);
const struct http_hop *http_last_hop(const struct http_look *l);
bool http_dial_failed(const struct http_look *l); /* a CA then tries the other family */
bool http_is_v6(const struct http_look *l);
bool http_is_of_address(const struct http_evidence *x); /* what is validated is an address, not a name that has one */
bool http_is_redirect(int status);
/* A redirect has led to this hop, and away from the name. */
bool http_other_host(const struct http_evidence *x, const struct http_look *l, const struct http_hop *h);

#endif
