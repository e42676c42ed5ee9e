/* account(): shows it, gives it a new key (RFC 8555 section 7.3.5), ends it. The new key is on disk before it is named;
 * whatever comes of the request, the CA is asked which key it has, if need be at the next use. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/pki/jws.h"

struct change {
        struct ca_call op;
        enum ca_account_verb verb;
        struct err why; /* of a roll-over that did not succeed at once */
        bool lost; /* an answer to its end */
        ca_text_fn *done;
        void *arg;
};

static void change_clean(struct ca_call *op)
{
        (void)op; /* holds nothing */
}

static void change_fail(struct change *c, const struct err *err)
{
        struct err e = *err;
        acme_op_detach(&c->op);
        c->done(c->arg, "", 0, &e);
        acme_op_free(&c->op);
}

static void change_end(struct change *c, const char *status, const json_t *contact)
{
        const struct ca *ca = c->op.ca;
        CLEANUP(json_decref_p) json_t *o = json_object();
        bool good = o && json_put_text(o, "url", ca->account.url) && json_put_text(o, "status", status) &&
                json_put_text(o, "key", ca->account.thumbprint) && json_put_text(o, "directory", ca->directory_url) &&
                json_put_text(o, "terms", ca->directory.terms) &&
                json_put_bool(o, "rollover", ca->directory.key_change != NULL) &&
                (contact ? json_object_set(o, "contact", (json_t *)(uintptr_t)contact) == 0
                         : json_object_set_new(o, "contact", json_texts(&ca->account.contact)) == 0);
        struct err e;
        if (good && strcmp(status, "valid") != 0) {
                acme_account_fix(ca, true, &e);
                good = json_put_text(o, "fix", e.fix);
        }
        CLEANUP(free_p) char *text = good ? json_text(o) : NULL;
        if (!text) {
                err_memory(&e);
                return change_fail(c, &e);
        }
        acme_op_detach(&c->op);
        c->done(c->arg, text, strlen(text), NULL);
        acme_op_free(&c->op);
}

/* ---- roll-over ---- */

static void adopted(struct change *c)
{
        log_info(c->op.ca->name, "the account has a new key");
        change_end(c, "valid", NULL);
}

static void known(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct change *c = (struct change *)op;
        bool ours = false;
        struct err e;
        (void)tag;
        if (!acme_account_fresh_settle(op->ca, a, err, &ours, &e)) /* asked again before the next use */
                err_fix(&c->why, "which key is the right one is asked before the account is used again");
        else if (c->why.kind == ERR_UNKNOWN)
                c->why.kind = ERR_TEMPORARY; /* it did not happen */
        if (ours)
                return adopted(c);
        change_fail(c, &c->why);
}

static void rolled(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct change *c = (struct change *)op;
        struct err e;
        (void)tag;
        (void)a;
        if (!err && !acme_account_fresh_adopt(op->ca, &e))
                return change_fail(c, &e);
        if (!err)
                return adopted(c);
        c->why = *err;
        if (!acme_account_fresh_ask(op, known, &e))
                change_fail(c, &e);
}

/* The new key signs that it takes over this account from that key. */
static char *inner_text(const struct ca *ca, struct err *e)
{
        CLEANUP(json_decref_p) json_t *head = json_object(), *payload = json_object(), *fresh = NULL, *old = NULL;
        CLEANUP(free_p) char *jwk = NULL, *head_text = NULL, *payload_text = NULL;
        char *text = NULL;
        bool good = head && payload && jwk_public(ca->account.fresh, &jwk, e) &&
                json_read(jwk, strlen(jwk), 2, &fresh, e) &&
                json_read(ca->account.jwk, strlen(ca->account.jwk), 2, &old, e) &&
                json_put_text(head, "alg", jws_algorithm(ca->account.fresh)) &&
                json_object_set(head, "jwk", fresh) == 0 && json_put_text(head, "url", ca->directory.key_change) &&
                json_put_text(payload, "account", ca->account.url) && json_object_set(payload, "oldKey", old) == 0 &&
                (head_text = json_text(head)) && (payload_text = json_text(payload));
        if (!good)
                err_memory(e);
        else if (!jws_sign(ca->account.fresh, head_text, payload_text, &text, e))
                return NULL;
        return text;
}

static void fresh_made(struct ca_call *op, struct key *key, const struct err *err)
{
        struct change *c = (struct change *)op;
        struct ca *ca = op->ca;
        struct err e;
        if (err)
                return change_fail(c, err);
        if (!acme_account_fresh_own(ca, key, &e))
                return change_fail(c, &e);
        CLEANUP(free_p) char *inner = inner_text(ca, &e);
        const struct acme_ask ask = { .action = "keyChange",
                .what = "keyChange",
                .url = ca->directory.key_change,
                .sign = ACME_KID,
                .payload = inner };
        if (inner && acme_ask(&c->op, &ask, rolled, NULL, &e))
                return;
        acme_account_fresh_drop(ca); /* never named */
        change_fail(c, &e);
}

/* Of the kind that the account has: the CA took that, and perhaps no other. */
static void alone(struct ca_call *op, const struct err *err)
{
        enum key_type type = key_type_of(op->ca->account.key);
        struct err e;
        (void)err; /* nobody gives one */
        if (!acme_key_start(op, type == KEY_OTHER ? KEY_EC_P256 : type, fresh_made, &e))
                change_fail((struct change *)op, &e);
}

static void rollover(struct change *c)
{
        const struct ca *ca = c->op.ca;
        struct err e;
        if (!ca->directory.key_change) {
                err_set(&e, ERR_DENIED, "acme.rollover", "%s offers no change of account keys", ca->name);
                return change_fail(c, &e);
        }
        if (!acme_op_alone(&c->op, alone, &e))
                change_fail(c, &e);
}

/* ---- show, deactivate ---- */

static void end(struct change *c);

static void told(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct change *c = (struct change *)op;
        (void)tag;
        if (err && c->verb == CA_ACCOUNT_DEACTIVATE && err->kind == ERR_UNKNOWN && !c->lost) {
                c->lost = true;
                return end(c);
        }
        if (err && c->lost && strcmp(err->code, "acme.unauthorized") == 0) /* by what was lost */
                return change_end(c, "deactivated", NULL);
        if (err)
                return change_fail(c, err);
        const char *status = json_str(a->json, "status");
        change_end(c, status ? status : "?", json_object_get(a->json, "contact"));
}

/* Not repeated by itself: an account that ended refuses whoever asks again. */
static void end(struct change *c)
{
        struct err e;
        const struct acme_ask ask = { .action = "account",
                .what = "ending the account",
                .url = c->op.ca->account.url,
                .sign = ACME_KID,
                .payload = "{\"status\":\"deactivated\"}" };
        if (!acme_ask(&c->op, &ask, told, NULL, &e))
                change_fail(c, &e);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct change *c = (struct change *)op;
        struct err e;
        if (err)
                return change_fail(c, err);
        if (c->verb == CA_ACCOUNT_ROLLOVER)
                return rollover(c);
        if (c->verb == CA_ACCOUNT_DEACTIVATE)
                return end(c);
        if (!acme_account_read(op, told, &e))
                change_fail(c, &e);
}

struct ca_call *acme_account(struct ca *ca, enum ca_account_verb verb, ca_text_fn *done, void *arg, struct err *e)
{
        if (!acme_account_on_disk(ca)) {
                err_set(e, ERR_CONFIG, "acme.account", "there is no account at %s yet; the first order makes it",
                        ca->name);
                return NULL;
        }
        struct change *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        c->verb = verb;
        c->done = done;
        c->arg = arg;
        acme_op_link(ca, &c->op, change_clean);
        if (!acme_op_begin(&c->op, ACME_WANT_ACCOUNT, ready, e)) {
                acme_op_free(&c->op);
                return NULL;
        }
        return &c->op;
}
