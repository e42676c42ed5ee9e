/* revoke(): signed by the certificate's own key where it is here, for only that proves the compromise and has the CA
 * block the key; else, or if the CA does not take it so, by the account (RFC 8555 section 7.6). */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/pki/jws.h"

struct revoke {
        struct ca_call op;
        struct key *key; /* NULL: not here, or tried */
        char *certificate; /* base64url */
        enum ca_reason reason;
        bool unread; /* an answer could not be read */
        ca_done_fn *done;
        void *arg;
};

static void ask(struct revoke *r);
static bool begin(struct revoke *r, struct err *e);

static void revoke_clean(struct ca_call *op)
{
        free(((struct revoke *)op)->certificate);
}

static void revoke_end(struct revoke *r, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_op_detach(&r->op);
        r->done(r->arg, err ? &e : NULL);
        acme_op_free(&r->op);
}

static bool may_pass(const struct err *err)
{
        return err->kind == ERR_TEMPORARY || err->kind == ERR_RATE_LIMITED || err->kind == ERR_UNKNOWN;
}

/* A key's own signature proves that it is out: what a CA that takes no other reason wants to hear. By the account that
 * would be a lie, so it is asked without one. */
static bool other_reason(struct revoke *r)
{
        if (r->reason == CA_UNSPECIFIED)
                return false;
        r->reason = r->key && r->reason != CA_KEY_COMPROMISE ? CA_KEY_COMPROMISE : CA_UNSPECIFIED;
        return true;
}

static void by_account(struct revoke *r)
{
        struct err e;
        if (!begin(r, &e))
                revoke_end(r, &e);
}

static void answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct revoke *r = (struct revoke *)op;
        (void)tag;
        (void)a;
        if (!err || strcmp(err->code, "acme.alreadyRevoked") == 0)
                return revoke_end(r, NULL);
        if (strcmp(err->code, ACME_UNREADABLE) == 0 && !r->unread) { /* what was done meanwhile is alreadyRevoked */
                r->unread = true;
                return ask(r);
        }
        if (strcmp(err->code, "acme.badRevocationReason") == 0 && other_reason(r)) {
                log_info(op->ca->name, "%s; again %s", err->text,
                        r->reason == CA_UNSPECIFIED ? "without a reason" : "as keyCompromise");
                return ask(r);
        }
        if (r->key && !may_pass(err)) {
                log_info(op->ca->name, "%s; trying with the account's key", err->text);
                r->key = NULL;
                return by_account(r);
        }
        revoke_end(r, err);
}

static char *payload_text(const struct revoke *r)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        bool good = o && json_put_text(o, "certificate", r->certificate);
        if (good && r->reason != CA_UNSPECIFIED)
                good = json_put_i64(o, "reason", r->reason);
        return good ? json_text(o) : NULL;
}

static void ask(struct revoke *r)
{
        struct ca *ca = r->op.ca;
        struct err e;
        CLEANUP(free_p) char *payload = payload_text(r);
        if (!payload) {
                err_memory(&e);
                return revoke_end(r, &e);
        }
        const struct acme_ask ask = { .action = "revokeCert",
                .what = r->key ? "revokeCert by the certificate's key" : "revokeCert by the account",
                .url = ca->directory.revoke_cert,
                .sign = r->key ? ACME_JWK : ACME_KID,
                .key = r->key,
                .payload = payload,
                .repeat = true };
        if (!acme_ask(&r->op, &ask, answered, NULL, &e))
                revoke_end(r, &e);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct revoke *r = (struct revoke *)op;
        struct err e;
        if (err)
                return revoke_end(r, err);
        if (!op->ca->directory.revoke_cert) {
                err_set(&e, ERR_DENIED, "acme.revoke", "%s offers no revocation", op->ca->name);
                return revoke_end(r, &e);
        }
        ask(r);
}

/* The certificate's key needs no account: one that is lost, or ended, is not made anew for it. */
static bool begin(struct revoke *r, struct err *e)
{
        return acme_op_begin(&r->op, r->key ? ACME_WANT_DIRECTORY : ACME_WANT_ACCOUNT, ready, e);
}

struct ca_call *acme_revoke(
        struct ca *ca, const struct ca_revoke_request *q, ca_done_fn *done, void *arg, struct err *e)
{
        struct revoke *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(e);
                return NULL;
        }
        r->key = q->key && jws_algorithm(q->key) ? q->key : NULL;
        r->reason = q->reason;
        r->done = done;
        r->arg = arg;
        acme_op_link(ca, &r->op, revoke_clean);
        r->certificate = base64url_encode(q->der, q->der_len);
        if (!r->certificate)
                err_memory(e);
        if (!r->certificate || !begin(r, e)) {
                acme_op_free(&r->op);
                return NULL;
        }
        return &r->op;
}
