/* What the checks of this room share. */
#ifndef DCVD_DEPLOY_CHECK_INTERNAL_H
#define DCVD_DEPLOY_CHECK_INTERNAL_H

#include "agent/deploy/deploy.h"
#include "agent/pki/chain.h"
#include "validators/check.h"

/* A fact that is a look at what is served (deploy.h), and its end before it is there. */
bool deploy_look_begin(struct check_fact *f, const struct look_request *request, look_done_fn *done, struct err *e);
void deploy_look_stop(struct check_fact *f);
/* The set that is live for this certificate. */
bool deploy_live_chain(const struct conf *conf, const char *cert, struct chain *ret, struct err *e);
/* Who publishes for this name at the CA of this place in the list; NULL: nobody. */
const char *deploy_publisher_of(const struct check_target *t, size_t ca, const char *name);
/* The directory of a webroot publisher; NULL: it is none, or of another type. */
const char *deploy_web_root(const struct conf_backend *publisher);
/* Any file in DIRECTORY/.well-known/acme-challenge that everybody may read, of 1 to 4000 bytes; both allocated. */
bool deploy_lying_file(const char *directory, char **ret_name, char **ret_content, size_t *ret_len);
/* check_certbot.c: it has a timer, which is switched off, and nothing else that starts it. Blocks for some small files.
 */
bool check_certbot_is_off(void);

#endif
