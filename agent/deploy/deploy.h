/* Putting a set to use: the daemon's side. It asks dcvd-helper, target by target, and keeps I4: after a failed test or
 * reload every target is back on exactly the set that was live when it began. The look at what is served is a step of
 * its own (look_start). */
#ifndef DCVD_DEPLOY_DEPLOY_H
#define DCVD_DEPLOY_DEPLOY_H

#include "agent/deploy/sets.h"
#include "config/config.h"

struct deploy_run;
struct dns;
struct helper;
struct look_run;
struct loop;

enum deploy_act {
        DEPLOY_TEST, /* the services' configuration tests as things are now: before an order is spent */
        DEPLOY_INSTALL, /* copy, switch, test, reload; put back what was there if a test or reload fails */
        DEPLOY_RESTORE, /* back to generation `was` of an earlier answer; test and reload */
};
struct deploy_service_result {
        char *target, *service; /* directory, service name */
        const char *step; /* "test" "reload" "signal" "install" */
        bool good;
        char text[400]; /* "nginx -t failed: ..." first useful lines of its output, escaped; "" if good */
};
struct deploy_result {
        struct deploy_service_result *service;
        size_t service_count;
        unsigned *was; /* per target of the certificate, in order: the generation that was live before (0: the files
                          that were there; UINT_MAX: nothing) */
        size_t target_count;
        bool put_back, put_back_failed;
        bool restored; /* RESTORE: the files of every target are back, whatever the services said to it */
};
/* err: ERR_RULE "deploy.test" (a test failed before anything was changed, or
 * something that is wanted is not there: that has a fix), ERR_DENIED "deploy.failed" (put back),
 * ERR_TEMPORARY (helper unreachable), ERR_CONFIG (hash of the section differs: reload dcvd; owner of the
 * configuration). result is given whenever there is one. */
typedef void deploy_done_fn(void *arg, const struct deploy_result *result, const struct err *err);
/* set: for INSTALL; was: for RESTORE, target_count long; passphrase of cert encrypts privkey.pem on the way. All
 * borrowed during start (copied). */
struct deploy_run *deploy_start(struct loop *loop, struct helper *helper, const struct conf_cert *cert,
        enum deploy_act act, const struct set *set, const unsigned *was, deploy_done_fn *done, void *arg,
        struct err *e);
void deploy_cancel(struct deploy_run *d); /* NULL allowed; the helper finishes what it began */

enum look_verdict { LOOK_SAME, LOOK_DIFFERENT, LOOK_FAILED };
struct look_endpoint {
        char *address, *sni, *service;
        enum tls_protocol protocol;
        enum look_verdict verdict;
        char served_sha256[65];
        int64_t served_not_after_s;
        char *served_serial;
        bool ours; /* what it served carries one of the names */
        char text[240];
        bool found; /* by `verify: auto`: it presents the certificate, or did before (known) */
};
struct look_known { /* found by an earlier look: it counts now, also if nothing answers there any more */
        const char *address, *sni; /* as a look_endpoint has them; sni NULL: none */
};
/* err NULL: every endpoint served want_sha256 three times in a row (or there was none to look at: count 0). ERR_DENIED
 * "look.different" / ERR_TEMPORARY "look.failed" otherwise, naming the first endpoint. */
typedef void look_done_fn(void *arg, const struct look_endpoint *endpoint, size_t count, const struct err *err);
struct look_request {
        const struct conf_cert *cert;
        const char *want_sha256;
        struct dns *dns; /* for endpoints that are names: every address is looked at, one of loopback that refuses only
                            if no other shows the certificate */
        const struct look_known *known; /* only for services with `verify: auto` */
        size_t known_count;
        enum key_type key_type; /* only this type's signature algorithms are offered */
        unsigned in_a_row; /* 3 after a reload, 1 for verify */
        int64_t patience_ms; /* a reload may need a moment: looks are repeated until then before they count as different
                              */
};
struct look_run *look_start(
        struct loop *loop, const struct look_request *r, look_done_fn *done, void *arg, struct err *e);
void look_cancel(struct look_run *l); /* NULL allowed */
bool look_is_automatic(const struct conf_cert *cert); /* some service of it has `verify: auto` */

#endif
