/* revoke(): the certificate is read before anything is sent, and after a lost answer, so that RevokeCertificate, which
 * is final, goes once. What it then wants of people (records within three days, a letter, a review) is told until they
 * have done it. A certificate that has a reissue, or is one, is refused: to this CA they are one, and both would go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/proofs.h"
#include "agent/ca/tencent/revocation.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/pki/chain.h"

#define SETTLE_MS 3000
#define AGAIN_S 300 /* people act, the CA looks: nobody is in a hurry to be asked */

struct revoke {
        struct ca_call op;
        char id[TC_ID_MAX];
        const char *reason;
        int64_t end_s; /* of the certificate that is meant */
        bool sent;
        ca_done_fn *done;
        void *arg;
};

static void revoke_clean(struct ca_call *op)
{
        (void)op;
}

static void revoke_finish(struct revoke *r, const struct err *err)
{
        struct err e;

        if (err) {
                e = *err;
                tc_err_place(r->op.ca, &e, r->id);
        }
        tc_op_detach(&r->op);
        r->done(r->arg, err ? &e : NULL);
        tc_op_free(&r->op);
}

/* ---- what it waits for ---- */

/* The records have the form of those of an order. */
static bool records_of(const json_t *response, const char *id, struct proof **ret, size_t *ret_count, struct err *e)
{
        CLEANUP(json_decref_p) json_t *as_order = json_copy((json_t *)response);
        json_t *detail = json_object_get(response, "DvRevokeAuthDetail");
        struct tc_cert c = { 0 };

        *ret_count = 0;
        if (!json_is_array(detail))
                return true;
        if (!as_order || json_object_set_new(as_order, "DvAuthDetail", json_pack("{s:O}", "DvAuths", detail)) != 0 ||
                !tc_cert_read(as_order, id, &c))
                return err_memory(e);
        bool good = tc_proofs(&c, ret, ret_count, e);
        tc_cert_done(&c);
        return good;
}

static void say_waiting(struct revoke *r, const json_t *response, struct err *e)
{
        struct proof *list = NULL;
        size_t count = 0;
        struct buf b = { .max = 500 };
        char text[300];

        if (!records_of(response, r->id, &list, &count, e))
                return;
        for (size_t i = 0; i < count && i < 2; i++) {
                proof_text(&list[i], text, sizeof text);
                buf_addf(&b, "%s%s \"%.80s\"", i ? " and " : "", text, list[i].value ? list[i].value : "");
        }
        if (count > 2)
                buf_addf(&b, " and %zu more", count - 2);
        if (count > 0)
                err_set(e, ERR_WAITING, "person", "Tencent revokes %s when it sees, within 3 days of being asked: %s",
                        r->id, b.data ? b.data : "what its console shows");
        else
                err_set(e, ERR_WAITING, "reviewers", "waiting for the CA's reviewers: the revocation of %s", r->id);
        e->retry_after_s = AGAIN_S;
        buf_done(&b);
        tc_proofs_free(list, count);
}

/* ---- its state ---- */

static bool revoke_send(struct revoke *r, struct err *e);

/* False: e says why it cannot be. */
static bool may_be_revoked(const struct revoke *r, const struct tc_cert *c, struct err *e)
{
        struct tc_revocation said;

        if (c->status != TC_ISSUED && !c->uploaded)
                return err_set(e, ERR_RULE, "tc.status", "%s is not issued (%s)", r->id, tc_status_text(c->status));
        if (c->end_s && llabs(c->end_s - r->end_s) > 86400)
                return err_set(e, ERR_RULE, "tc.other", "%s is another certificate than the one to be revoked", r->id);
        tc_revocation_of(c, NULL, tc_now_s(r->op.ca), &said);
        return !said.code || err_set(e, ERR_RULE, said.code, "%s", said.text);
}

static void state_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct revoke *r = (struct revoke *)op;
        struct tc_cert c = { 0 };
        struct err e;

        if (err)
                return revoke_finish(r, err);
        if (!tc_cert_read(response, r->id, &c)) {
                err_memory(&e);
                return revoke_finish(r, &e);
        }
        int status = c.status;
        bool may = may_be_revoked(r, &c, &e);
        tc_cert_done(&c);
        if (status == TC_REVOKED)
                return revoke_finish(r, NULL);
        if (status == TC_REVOKING) {
                say_waiting(r, response, &e);
                return revoke_finish(r, &e);
        }
        if (status == TC_REVOKE_LETTER_WANTED) {
                err_set(&e, ERR_WAITING, "person",
                        "waiting for your company: Tencent wants the letter for the revocation of %s (status 12)",
                        r->id);
                e.retry_after_s = AGAIN_S;
                return revoke_finish(r, &e);
        }
        if (may && r->sent)
                may = err_set(&e, ERR_TEMPORARY, "tc.revoke", "the revocation of %s does not show yet", r->id);
        if (!may || !revoke_send(r, &e))
                revoke_finish(r, &e);
}

static void state_ask(struct ca_call *op)
{
        struct revoke *r = (struct revoke *)op;
        struct err e;

        if (!tc_op_ask_id(op, 0, "DescribeCertificate", r->id, false, state_answered, &e))
                revoke_finish(r, &e);
}

/* ---- asking for it ---- */

static void revoke_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct revoke *r = (struct revoke *)op;
        struct err e;

        (void)response; /* what it wants is read with the state */
        if (err && err->kind != ERR_UNKNOWN)
                return revoke_finish(r, err);
        r->sent = true;
        if (!tc_op_wait(op, err ? SETTLE_MS : 0, state_ask, &e))
                revoke_finish(r, &e);
}

static bool revoke_send(struct revoke *r, struct err *e)
{
        json_t *p = json_pack("{s:s, s:s}", "CertificateId", r->id, "Reason", r->reason);

        return tc_op_ask(&r->op, 0, "RevokeCertificate", p, true, revoke_answered, e);
}

struct ca_call *tc_revoke(struct ca *ca, const struct ca_revoke_request *q, ca_done_fn *done, void *arg, struct err *e)
{
        if (!q->id || !q->id[0]) {
                err_set(e, ERR_CONFIG, "tc.id", "the certificate's id at Tencent is not known here");
                err_fix(e, "revoke it at %s/ssl", ca->console);
                return NULL;
        }
        struct cert_info leaf = { 0 };
        if (!tc_id_check(q->id, e) || !chain_from_der(q->der, q->der_len, &leaf, e))
                return NULL;
        int64_t end_s = leaf.not_after_s;
        cert_info_done(&leaf);
        struct revoke *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(e);
                return NULL;
        }
        r->end_s = end_s;
        snprintf(r->id, sizeof r->id, "%s", q->id);
        r->reason = q->reason == CA_KEY_COMPROMISE ? "key compromised" : "superseded";
        r->done = done;
        r->arg = arg;
        tc_op_link(ca, &r->op, revoke_clean);
        if (!tc_op_ask_id(&r->op, 0, "DescribeCertificate", r->id, false, state_answered, e)) {
                tc_op_free(&r->op);
                return NULL;
        }
        return &r->op;
}
